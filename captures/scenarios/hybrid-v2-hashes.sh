# a hybrid torrent from a magnet link: BEP 52 hash requests and hashes
switch
host tracker 1
host seeder 2
host downloader 3
mkdir -p "$work/content"
content hybrid-1 300000 "$work/content/hybrid/large.bin"
content hybrid-2 70000 "$work/content/hybrid/small.bin"
/usr/bin/python3 "$captures/tools/metainfo.py" hybrid "$work/content/hybrid" 32768 \
    http://10.77.0.1:6969/announce "$work/hybrid.torrent"
mapfile -t both < <(/usr/bin/python3 "$captures/tools/metainfo.py" hashes "$work/hybrid.torrent")
# A tracker knows a v2 torrent by the first 20 of the 32 bytes.
tracker tracker "${both[0]}" "${both[1]:0:40}"
libtorrent seeder seeder "$work/hybrid.torrent" "$work/content"
wait_for 20 "the seeder's announce" grep -q tracker_reply "$work/libtorrent-seeder.log"

capture downloader
libtorrent downloader downloader \
    "magnet:?xt=urn:btih:${both[0]}&xt=urn:btmh:1220${both[1]}&tr=http%3A%2F%2F10.77.0.1%3A6969%2Fannounce" \
    "$work/downloads" --listen 10.77.0.3:6886 --leave 3
wait_for 60 "the download" ended "$libtorrent_pid"
capture_end

for file in large small; do
    whole "$work/downloads/hybrid/$file.bin" "$work/content/hybrid/$file.bin"
done
handshake_first '6885, 6886'
no_loss
grep -q 'HASH_REQUEST' "$work/libtorrent-downloader.log" || fail "no hash request was sent"
accept pcap "$work/hybrid.torrent"
