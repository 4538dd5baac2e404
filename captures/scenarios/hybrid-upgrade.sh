# a hybrid torrent: the handshake that asks has the v1 info hash, the one that answers the v2
switch
host tracker 1
host seeder 2
host downloader 3
mkdir -p "$work/content"
content hybrid-1 150000 "$work/content/hybrid/large.bin"
content hybrid-2 20000 "$work/content/hybrid/small.bin"
/usr/bin/python3 "$captures/tools/metainfo.py" hybrid "$work/content/hybrid" 32768 \
    http://10.77.0.1:6969/announce "$work/hybrid.torrent"
# The tracker refuses the v2 info hash, so that the downloader does not know the
# seeder to be of the second kind before it has asked.
mapfile -t both < <(/usr/bin/python3 "$captures/tools/metainfo.py" hashes "$work/hybrid.torrent")
tracker tracker "${both[0]}"
libtorrent seeder seeder "$work/hybrid.torrent" "$work/content"
wait_for 20 "the seeder's announce" grep -q tracker_reply "$work/libtorrent-seeder.log"

capture downloader
libtorrent downloader downloader "$work/hybrid.torrent" "$work/downloads" --listen 10.77.0.3:6886 --leave 3
wait_for 60 "the download" ended "$libtorrent_pid"
capture_end

for file in large small; do
    whole "$work/downloads/hybrid/$file.bin" "$work/content/hybrid/$file.bin"
done
handshake_first '6885, 6886'
no_loss
accept pcap "$work/hybrid.torrent"
