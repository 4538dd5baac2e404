# rtorrent downloads from Transmission, in plain legacy connections, HTTP tracker
switch
host tracker 1
host seeder 2
host downloader 3
download_content
tracker tracker "$info_hash"
transmission_seed seeder "$work/content" "$work/download.torrent"
sleep 3

capture downloader
# Otherwise it reads everything again when it has finished, and ends without
# ever having said `completed`.
rtorrent_client downloader "$work/downloads" "$work/download.torrent" 'pieces.hash.on_completion.set = no'
wait_for 120 "the download" same_content "$work/downloads/download.bin" "$work/content/download.bin"
sleep 5
stop "$rtorrent_pid" INT
capture_end

whole "$work/downloads/download.bin" "$work/content/download.bin"
handshake_first '51413, 6884'
no_loss
contains "$(hex 'event=stopped')" 'the announce of the end'
at_least 16 blocks "$(count 7)"
accept pcap "$work/download.torrent"
