# aria2 downloads from Transmission, in plain legacy connections, HTTP tracker
switch
host tracker 1
host seeder 2
host downloader 3
download_content
tracker tracker "$info_hash"

# aria2 always dials with MSE first, so it is the seeder that must dial: it
# comes to the swarm last.
transmission seeder "$work/content"
transmission_add seeder "$work/download.torrent"
wait_for 5 "the seeder's content" transmission_has_all seeder

capture downloader
aria2 downloader "$work/downloads" "$work/download.torrent"
sleep 2
transmission_start seeder
wait_for 120 "the download" ended "$aria2_pid"
capture_end

whole "$work/downloads/download.bin" "$work/content/download.bin"
handshake_first 6881
no_loss
contains "$(hex 'event=stopped')" 'the announce of the end'
at_least 16 blocks "$(count 7)"
accept pcap "$work/download.torrent"
