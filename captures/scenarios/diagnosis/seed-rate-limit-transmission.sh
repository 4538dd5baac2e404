# Transmission seeds, limited to 200 kB/s by its own setting, to libtorrent
swarm
seed_and_torrent 2000000 16
transmission_seed seeder "$work/content" "$metainfo" '"speed-limit-up": 200, "speed-limit-up-enabled": true'
sleep 3

tap downloader
note "the downloader begins"
libtorrent_download
downloaded 60
diagnosed 'upload limit'
