# a link of 2 Mbit/s under uTP
swarm
slow_link 3 2mbit 400ms
seed_and_torrent 2000000 16
libtorrent_seed --transport utp

tap downloader
note "the downloader begins"
libtorrent_download --transport utp
downloaded 60
diagnosed network
