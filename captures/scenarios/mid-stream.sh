# a capture begun and ended in the middle of running connections
switch
host tracker 1
host seeder 2
host downloader 3
host companion 4
content mid-stream 3000000 "$work/content/long.bin"
torrent long 15 "$work/content/long.bin"
tracker tracker "$info_hash"
transmission_seed seeder "$work/content" "$work/long.torrent" \
    '"speed-limit-up": 80, "speed-limit-up-enabled": true'
sleep 2
libtorrent companion companion "$work/long.torrent" "$work/companion"
sleep 2
qbittorrent downloader "$work/downloads"
qbittorrent_add downloader "$work/long.torrent"
# Both of them must have pieces the other lacks, and have been unchoked.
sleep 15

capture_pcapng downloader 'tcp port 51413 or tcp port 6885'
sleep 4
capture_end

if tshark -r "$work/capture" -Y 'tcp.flags.syn == 1 or tcp.flags.fin == 1' 2>/dev/null | grep -q .; then
    fail "a connection began or ended during the capture"
fi
if tshark -r "$work/capture" -Y 'frame contains "BitTorrent protocol"' 2>/dev/null | grep -q .; then
    fail "a handshake can be seen"
fi
for port in 51413 6885; do
    at_least 20 "packets with port $port" \
        "$(tshark -r "$work/capture" -Y "tcp.port == $port && tcp.len > 0" 2>/dev/null | wc -l)"
done
accept pcapng.gz "$work/long.torrent"
