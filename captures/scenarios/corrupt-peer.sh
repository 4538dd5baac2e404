# one peer sends wrong bytes; the client notices, and gets the pieces again from another
switch
host tracker 1
host good 2
host downloader 3
host bad 4
content corrupt 163840 "$work/content/corrupt.bin"
torrent corrupt 15 "$work/content/corrupt.bin"
tracker tracker "$info_hash"

# The bad one checks its file, and then its file changes: one byte in each of
# pieces 1 and 3. (Transmission would see that, and refuse to send them.)
mkdir "$work/altered"
cp "$work/content/corrupt.bin" "$work/altered"
libtorrent bad bad "$work/corrupt.torrent" "$work/altered"
wait_for 20 "the bad peer" grep -q complete "$work/libtorrent-bad.log"
for at in 40000 100000; do
    printf '\xff\xff' | dd of="$work/altered/corrupt.bin" bs=1 seek="$at" conv=notrunc status=none
done
sleep 3

transmission downloader "$work/downloads"
transmission_add downloader "$work/corrupt.torrent"
capture downloader
transmission_start downloader
# The good one comes when the bad one has been found out.
wait_for 60 "a failed piece" grep -q 'failed its checksum' "$work/transmission-downloader.log"
transmission_seed good "$work/content" "$work/corrupt.torrent"
wait_for 120 "the download" transmission_has_all downloader
sleep 2
transmission_exit downloader
capture_end

whole "$work/downloads/corrupt.bin" "$work/content/corrupt.bin"
handshake_first '51413, 6885'
at_least 11 blocks "$(count 7)"
for peer in 2 4; do
    at_least 1 "blocks from 10.77.0.$peer" "$(count 7 "ip.src == 10.77.0.$peer")"
done
accept pcap.gz "$work/corrupt.torrent"
