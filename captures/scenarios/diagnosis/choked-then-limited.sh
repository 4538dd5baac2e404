# a seeder that chokes for the first 10 seconds, and then gives 200 KiB/s by its own setting
swarm
seed_and_torrent 2000000 16
libtorrent_seed --set unchoke_slots_limit=0 --set unchoke_interval=1 --set upload_rate_limit=204800 \
    --at 14 unchoke_slots_limit=8

tap downloader
within 4 false || true
note "the downloader begins"
libtorrent_download
downloaded 60
diagnosed 'upload limit'
