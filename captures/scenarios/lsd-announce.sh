# a trackerless torrent: peers found by local service discovery
switch
host seeder 2
host downloader 3
for name in seeder downloader; do
    ip -n "$prefix-$name" route add 224.0.0.0/4 dev eth0
done
content lsd 100000 "$work/content/lsd.bin"
torrent lsd 15 "$work/content/lsd.bin" ''
transmission_seed seeder "$work/content" "$work/lsd.torrent" '"lpd-enabled": true'

capture_pcapng downloader
libtorrent downloader downloader "$work/lsd.torrent" "$work/downloads" \
    --listen 10.77.0.3:6885 --set enable_lsd=1 --leave 2
wait_for 120 "the download" ended "$libtorrent_pid"
capture_end

whole "$work/downloads/lsd.bin" "$work/content/lsd.bin"
contains "$(hex 'BT-SEARCH')" 'a search'
accept pcapng "$work/lsd.torrent"
