# a seeder limited to 100 KiB/s by its own setting, on a path that loses 2 %: the losses do not matter
swarm --delay 20 --loss 2 --seed 3
seed_and_torrent 1500000 16
libtorrent_seed --set upload_rate_limit=102400

tap downloader
note "the downloader begins"
libtorrent_download
downloaded 90
diagnosed 'upload limit'
