# a UDP tracker: connect, announce, scrape; and a small download
switch
host tracker 1
host seeder 2
host downloader 3
content udp-tracker 100000 "$work/content/small.bin"
torrent small 15 "$work/content/small.bin" udp://10.77.0.1:6969/announce
tracker tracker "$info_hash"
transmission_seed seeder "$work/content" "$work/small.torrent"
sleep 3

# All interfaces, and the link type that goes with that.
capture downloader 'tcp or udp' -i any -y LINUX_SLL2
libtorrent downloader downloader "$work/small.torrent" "$work/downloads" --scrape --leave 3
wait_for 120 "the download" ended "$libtorrent_pid"
capture_end

whole "$work/downloads/small.bin" "$work/content/small.bin"
handshake_first '51413, 6885'
no_loss
contains 0000041727101980 'a connect request'
grep -q scrape_reply "$work/libtorrent-downloader.log" || fail "the scrape was not answered"
at_least 7 blocks "$(count 7)"
accept pcap "$work/small.torrent"
