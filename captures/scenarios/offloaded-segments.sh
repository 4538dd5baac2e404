# taken on a seeder that leaves segmenting and checksums to its network card
switch
host tracker 1
host seeder 2
host downloader 3
for name in seeder downloader; do
    on "$name" ethtool -K eth0 tx on tso on gso on gro on >/dev/null
done
content offloaded 400000 "$work/content/offloaded.bin"
torrent offloaded 16 "$work/content/offloaded.bin"
tracker tracker "$info_hash"

capture seeder
qbittorrent seeder "$work/content"
qbittorrent_add seeder "$work/offloaded.torrent"
wait_for 30 "the seeder's content" qbittorrent_has_all seeder
sleep 2
aria2 downloader "$work/downloads" "$work/offloaded.torrent"
wait_for 120 "the download" ended "$aria2_pid"
sleep 1
stop "$qbittorrent_pid"
capture_end

whole "$work/downloads/offloaded.bin" "$work/content/offloaded.bin"
at_least 1 "packets too large for the wire" "$(tshark -r "$work/capture" -Y 'frame.len > 1514' 2>/dev/null | wc -l)"
accept pcap "$work/offloaded.torrent"
