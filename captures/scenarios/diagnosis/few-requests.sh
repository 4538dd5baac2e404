# a path of 100 ms, and a client that keeps two requests outstanding
swarm --delay 50
seed_and_torrent 2000000 16
libtorrent_seed

tap downloader
tap seeder
note "the downloader begins"
leecher --outstanding 2
downloaded 60
diagnosed 'too few requests'
