# an MSE exchange that selects plaintext: the handshake comes hundreds of bytes into the stream
switch
host tracker 1
host seeder 2
host downloader 3
content mse 150000 "$work/content/mse.bin"
torrent mse 15 "$work/content/mse.bin"
tracker tracker "$info_hash"
transmission_seed seeder "$work/content" "$work/mse.torrent"
sleep 3

capture downloader
aria2 downloader "$work/downloads" "$work/mse.torrent"
wait_for 120 "the download" ended "$aria2_pid"
capture_end

whole "$work/downloads/mse.bin" "$work/content/mse.bin"
no_loss
contains "$(hex 'BitTorrent protocol')" 'a handshake in plaintext'
accept pcap "$work/mse.torrent"
