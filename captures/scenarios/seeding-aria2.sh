# aria2 seeds to libtorrent, in plain connections, HTTP tracker; taken on the seeder
switch
host tracker 1
host seeder 2
host downloader 3
download_content
tracker tracker "$info_hash"

capture seeder
aria2_seed seeder "$work/content" "$work/download.torrent"
sleep 2
libtorrent downloader downloader "$work/download.torrent" "$work/downloads" --leave 2
wait_for 120 "the download" ended "$libtorrent_pid"
stop "$aria2_pid" INT
capture_end

whole "$work/downloads/download.bin" "$work/content/download.bin"
handshake_first '6881, 6885'
no_loss
contains "$(hex 'event=stopped')" 'the announce of the end'
at_least 16 blocks "$(count 7)"
accept pcap "$work/download.torrent"
