# a fast peer that lacks the last pieces, and a slow one that has them
swarm
host slow 4
numbered_content "$scenario-1" 1310720 "$work/content/$scenario/first.bin"
numbered_content "$scenario-2" 196608 "$work/content/$scenario/last.bin"
torrent "$scenario" 16 "$work/content/$scenario"
metainfo=$work/$scenario.torrent
tracker tracker "$info_hash"
mkdir "$work/fast" "$work/late"
cp -r "$work/content/$scenario" "$work/fast"
cp -r "$work/content/$scenario" "$work/late"
rm "$work/fast/$scenario/last.bin" "$work/late/$scenario/first.bin"
libtorrent slow slow "$metainfo" "$work/late" --clock --limited --listen 10.77.0.4:6885 --unwanted first.bin \
    --set upload_rate_limit=16384 --set allowed_fast_set_size=0
rm -r "$work/content"
mv "$work/fast" "$work/content"
libtorrent_seed --unwanted last.bin --set upload_rate_limit=409600
wait_for 20 "the slow peer's announce" grep -q tracker_reply "$work/libtorrent-slow.log"

tap downloader
note "the downloader begins"
libtorrent_download
wait_for 60 "the download" ended "$downloader_pid"
note "the downloader has ended"
taps_end
diagnosed 'upload limit'
