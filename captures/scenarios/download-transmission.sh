# Transmission downloads from qBittorrent, in plain legacy connections, HTTP tracker
switch
host tracker 1
host seeder 2
host downloader 3
download_content
tracker tracker "$info_hash"
qbittorrent seeder "$work/content"
qbittorrent_add seeder "$work/download.torrent"
wait_for 30 "the seeder's content" qbittorrent_has_all seeder
sleep 2

transmission downloader "$work/downloads"
transmission_add downloader "$work/download.torrent"
capture downloader
transmission_start downloader
wait_for 120 "the download" transmission_has_all downloader
sleep 2
transmission_exit downloader
capture_end

whole "$work/downloads/download.bin" "$work/content/download.bin"
handshake_first '6882, 51413'
no_loss
contains "$(hex 'event=stopped')" 'the announce of the end'
at_least 16 blocks "$(count 7)"
accept pcap "$work/download.torrent"
