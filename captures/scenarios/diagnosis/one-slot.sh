# a seeder with one upload slot, which a rival has first
swarm
host rival 4
seed_and_torrent 2000000 16
# The slot goes to another peer every 15 s, if there is one that waits.
libtorrent_seed --set unchoke_slots_limit=1 --set upload_rate_limit=163840 --set unchoke_interval=15 \
    --set optimistic_unchoke_interval=15
# The rival knows no tracker, so that the downloader does not know the rival.
torrent trackerless 16 "$work/content/$scenario.bin" ''
libtorrent rival rival "$work/trackerless.torrent" "$work/rival" --clock --limited --peer 10.77.0.2:6885 --leave 0
wait_for 10 "the rival's slot" grep -q block_finished "$work/libtorrent-rival.log"

tap downloader
note "the downloader begins"
libtorrent_download
wait_for 60 "the rival to end" grep -qx complete "$work/libtorrent-rival.log"
note "the rival is complete and leaves"
downloaded 60
diagnosed 'upload limit'
