# a torrent of version 2 alone, from its .torrent: info hashes cut to 20 bytes
switch
host tracker 1
host seeder 2
host downloader 3
content v2 150000 "$work/content/v2.bin"
/usr/bin/python3 "$captures/tools/metainfo.py" v2 "$work/content/v2.bin" 32768 \
    http://10.77.0.1:6969/announce "$work/v2.torrent"
info_hash=$(/usr/bin/python3 "$captures/tools/metainfo.py" hashes "$work/v2.torrent")
tracker tracker "${info_hash:0:40}"
libtorrent seeder seeder "$work/v2.torrent" "$work/content"
wait_for 20 "the seeder's announce" grep -q tracker_reply "$work/libtorrent-seeder.log"

capture_pcapng downloader
libtorrent downloader downloader "$work/v2.torrent" "$work/downloads" --listen 10.77.0.3:6886 --leave 3
wait_for 60 "the download" ended "$libtorrent_pid"
capture_end

whole "$work/downloads/v2.bin" "$work/content/v2.bin"
handshake_first '6885, 6886'
no_loss
accept pcapng "$work/v2.torrent"
