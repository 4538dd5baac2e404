# libtorrent downloads from libtorrent over uTP
switch
host tracker 1
host seeder 2
host downloader 3
content utp 150000 "$work/content/utp.bin"
torrent utp 15 "$work/content/utp.bin"
tracker tracker "$info_hash"
libtorrent seeder seeder "$work/utp.torrent" "$work/content" --transport utp --listen 10.77.0.2:6885
wait_for 20 "the seeder" grep -q complete "$work/libtorrent-seeder.log"
sleep 2

capture downloader 'tcp or udp' --time-stamp-precision=nano
libtorrent downloader downloader "$work/utp.torrent" "$work/downloads" --transport utp \
    --listen 10.77.0.3:6886 --leave 3
wait_for 120 "the download" ended "$libtorrent_pid"
capture_end

whole "$work/downloads/utp.bin" "$work/content/utp.bin"
contains "$(hex 'BitTorrent protocol')" 'a handshake'
accept pcap "$work/utp.torrent"
