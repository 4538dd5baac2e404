# one tracker over HTTP, two dead peers, and one peer that gives everything
switch
host tracker 1
host seeder 2
host downloader 3
host closed 21
host gone 22
content http-tracker 300123 "$work/content/sample.bin"
torrent sample 15 "$work/content/sample.bin"
tracker tracker "$info_hash"

# Two peers that only announce: one host refuses connections, the other is gone.
escaped=$(url_escaped "$info_hash")
for name in closed gone; do
    on "$name" curl -s -o /dev/null "http://10.77.0.1:6969/announce?info_hash=$escaped&$(
    )peer_id=-XX0000-000000000000&port=6999&uploaded=0&downloaded=0&left=1&compact=1&event=started"
done
unplug gone

# The seeder dials, and comes last: see download-aria2.
transmission seeder "$work/content"
transmission_add seeder "$work/sample.torrent"
wait_for 5 "the seeder's content" transmission_has_all seeder
capture downloader tcp
aria2 downloader "$work/downloads" "$work/sample.torrent"
sleep 2
transmission_start seeder
wait_for 120 "the download" ended "$aria2_pid"
capture_end

whole "$work/downloads/sample.bin" "$work/content/sample.bin"
handshake_first 6881
no_loss
at_least 1 "refused connections" \
    "$(tshark -r "$work/capture" -Y 'ip.src == 10.77.0.21 && tcp.flags.reset == 1' 2>/dev/null | wc -l)"
at_least 19 blocks "$(count 7)"
accept pcap "$work/sample.torrent"
