# a client that is unchoked, wants pieces and asks for nothing for 10 seconds
swarm
seed_and_torrent 1000000 16
libtorrent_seed --set upload_rate_limit=409600

tap downloader
note "the downloader begins"
leecher --ask-after 10 --outstanding 20
downloaded 60
diagnosed 'upload limit'
