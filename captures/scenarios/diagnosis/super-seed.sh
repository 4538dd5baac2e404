# a seeder that shows each peer few pieces at a time, and two downloaders
swarm
host other 4
seed_and_torrent 2000000 16
libtorrent_seed --super-seed

tap downloader
note "the downloaders begin"
libtorrent other other "$metainfo" "$work/other" --clock --limited --listen 10.77.0.4:6885 \
    --set upload_rate_limit=102400
libtorrent_download
downloaded 120
diagnosed '10.77.0.2=super-seeding,10.77.0.4=upload limit'
