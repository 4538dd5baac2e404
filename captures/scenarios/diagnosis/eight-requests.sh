# a path of 200 ms, and a client that keeps eight requests outstanding
swarm --delay 100
seed_and_torrent 4000000 16
libtorrent_seed

tap downloader
note "the downloader begins"
leecher --outstanding 8
downloaded 60
diagnosed 'too few requests'
