# a seeder with one upload slot, which goes to each of two downloaders in turn, for four seconds
swarm
host rival 4
seed_and_torrent 2000000 16
libtorrent_seed --set unchoke_slots_limit=1 --set upload_rate_limit=204800 --set unchoke_interval=4 \
    --set optimistic_unchoke_interval=4
torrent trackerless 16 "$work/content/$scenario.bin" ''
libtorrent rival rival "$work/trackerless.torrent" "$work/rival" --clock --limited --peer 10.77.0.2:6885 --leave 0
wait_for 10 "the rival's slot" grep -q block_finished "$work/libtorrent-rival.log"
tap downloader
note "the downloader begins"
libtorrent_download
downloaded 90
diagnosed 'upload limit'
