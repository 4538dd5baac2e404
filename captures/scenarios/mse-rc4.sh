# an MSE exchange that selects RC4: nothing of the connection can be read
switch
host tracker 1
host seeder 2
host downloader 3
content mse 150000 "$work/content/mse.bin"
torrent mse 15 "$work/content/mse.bin"
tracker tracker "$info_hash"
transmission_seed seeder "$work/content" "$work/mse.torrent" '"encryption": 2'
sleep 3

capture downloader
aria2 downloader "$work/downloads" "$work/mse.torrent" --bt-require-crypto=true --bt-min-crypto-level=arc4
wait_for 120 "the download" ended "$aria2_pid"
capture_end

whole "$work/downloads/mse.bin" "$work/content/mse.bin"
no_loss
at_least 1 announces "$(tshark -r "$work/capture" -Y http.request 2>/dev/null | wc -l)"
if tshark -r "$work/capture" -Y 'frame contains "BitTorrent protocol"' 2>/dev/null | grep -q .; then
    fail "a handshake can be read"
fi
accept pcap "$work/mse.torrent"
