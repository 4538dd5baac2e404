# Transmission seeds to rtorrent, in plain connections, HTTP tracker; taken on the seeder
switch
host tracker 1
host seeder 2
host downloader 3
download_content
tracker tracker "$info_hash"

transmission seeder "$work/content"
transmission_add seeder "$work/download.torrent"
wait_for 5 "the seeder's content" transmission_has_all seeder

capture seeder
transmission_start seeder
sleep 2
rtorrent_client downloader "$work/downloads" "$work/download.torrent" 'pieces.hash.on_completion.set = no'
wait_for 120 "the download" same_content "$work/downloads/download.bin" "$work/content/download.bin"
sleep 3
stop "$rtorrent_pid" INT
transmission_exit seeder
capture_end

whole "$work/downloads/download.bin" "$work/content/download.bin"
handshake_first '51413, 6884'
no_loss
contains "$(hex 'event=stopped')" 'the announce of the end'
at_least 16 blocks "$(count 7)"
accept pcap "$work/download.torrent"
