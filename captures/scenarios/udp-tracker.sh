# libtorrent downloads from Transmission, in plain connections, UDP tracker
switch
host tracker 1
host seeder 2
host downloader 3
content download 245777 "$work/content/download.bin"
torrent download 15 "$work/content/download.bin" udp://10.77.0.1:6969/announce
tracker tracker "$info_hash"
transmission_seed seeder "$work/content" "$work/download.torrent"
sleep 3

capture downloader
libtorrent downloader downloader "$work/download.torrent" "$work/downloads" --leave 1
wait_for 120 "the download" ended "$libtorrent_pid"
capture_end

whole "$work/downloads/download.bin" "$work/content/download.bin"
handshake_first '51413, 6885'
no_loss
contains 0000041727101980 'a connect request'
at_least 16 blocks "$(count 7)"
accept pcap "$work/download.torrent"
