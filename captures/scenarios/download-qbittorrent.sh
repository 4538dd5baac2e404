# qBittorrent downloads from aria2, in plain legacy connections, HTTP tracker
switch
host tracker 1
host seeder 2
host downloader 3
download_content
tracker tracker "$info_hash"
aria2_seed seeder "$work/content" "$work/download.torrent"
sleep 3

qbittorrent downloader "$work/downloads"
capture_pcapng downloader
qbittorrent_add downloader "$work/download.torrent"
wait_for 120 "the download" qbittorrent_has_all downloader
sleep 2
stop "$qbittorrent_pid"
capture_end

whole "$work/downloads/download.bin" "$work/content/download.bin"
handshake_first '6881, 6882'
no_loss
contains "$(hex 'event=stopped')" 'the announce of the end'
at_least 16 blocks "$(count 7)"
accept pcapng "$work/download.torrent"
