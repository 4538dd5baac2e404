# a link of 4 Mbit/s
swarm
slow_link 3 4mbit 100ms
seed_and_torrent 3000000 16
libtorrent_seed

tap downloader
tap seeder
note "the downloader begins"
libtorrent_download
downloaded 60
diagnosed network
