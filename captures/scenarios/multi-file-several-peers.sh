# several files from peers of three kinds, two of which hold only a part
switch
host tracker 1
host transmission 3
host qbittorrent 4
host rtorrent 5
host libtorrent 6
# Files that begin and end inside pieces; an empty one; zero-filled pieces, in
# which a decoder that has lost its place sees keep-alives without end.
root=$work/whole/collection
content multi-1 61 "$root/about.txt"
content multi-2 100003 "$root/numbers/one.bin"
content multi-3 41234 "$root/numbers/deep/two.bin"
content multi-4 80000 "$root/numbers/snøfnugg ❄.bin"
: >"$root/numbers/empty.bin"
truncate -s 100000 "$root/zeros.bin"
torrent collection 15 "$root"
tracker tracker "$info_hash"

# Each of two peers lacks what the other has, and a file that neither has. They
# want no more than they have. rtorrent has all, but is slow.
cp -r "$work/whole" "$work/left"
cp -r "$work/whole" "$work/right"
rm "$work/left/collection/zeros.bin" "$work/left/collection/numbers/deep/two.bin"
rm "$work/right/collection/numbers/one.bin"
rm "$work"/{left,right}/collection/numbers/snø*
rtorrent_client rtorrent "$work/whole" "$work/collection.torrent" 'throttle.global_up.max_rate.set_kb = 30'
sleep 3

transmission transmission "$work/downloads"
transmission_add transmission "$work/collection.torrent"
capture transmission
qbittorrent qbittorrent "$work/left"
qbittorrent_add_unwanted qbittorrent "$work/collection.torrent" "$info_hash" \
    zeros.bin two.bin 'snøfnugg ❄.bin'
libtorrent libtorrent libtorrent "$work/collection.torrent" "$work/right" \
    --unwanted one.bin --unwanted 'snøfnugg ❄.bin'
sleep 1
transmission_start transmission
wait_for 180 "the download" transmission_has_all transmission
sleep 2
transmission_exit transmission
capture_end

# Transmission does not make empty files.
: >"$work/downloads/collection/numbers/empty.bin"
whole "$work/downloads/collection" "$root"
handshake_first '51413, 6882, 6884, 6885'
for peer in 4 5 6; do
    at_least 1 "blocks from 10.77.0.$peer" "$(count 7 "ip.src == 10.77.0.$peer")"
done
accept pcap "$work/collection.torrent"
