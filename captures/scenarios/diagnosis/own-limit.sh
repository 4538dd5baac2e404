# a downloader that is limited to 200 KiB/s by its own setting
swarm
seed_and_torrent 2000000 16
libtorrent_seed

tap downloader
note "the downloader begins"
libtorrent_download --set download_rate_limit=204800
downloaded 60
diagnosed 'own limit'
