# CTorrent downloads from Transmission, in plain connections, HTTP tracker
switch
host tracker 1
host seeder 2
host downloader 3
download_content
tracker tracker "$info_hash"
transmission_seed seeder "$work/content" "$work/download.torrent"
sleep 3

capture downloader
ctorrent_client downloader "$work/downloads/download.bin" "$work/download.torrent"
wait_for 120 "the download" ended "$ctorrent_pid"
capture_end

whole "$work/downloads/download.bin" "$work/content/download.bin"
handshake_first '51413, 6887'
no_loss
contains "$(hex 'event=stopped')" 'the announce of the end'
at_least 16 blocks "$(count 7)"
accept pcap "$work/download.torrent"
