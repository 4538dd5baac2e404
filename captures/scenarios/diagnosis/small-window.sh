# a path of 100 ms, and a client with a receive buffer of 16 KiB
swarm --delay 50
on downloader sysctl -qw net.ipv4.tcp_rmem='4096 16384 16384'
seed_and_torrent 1500000 16
libtorrent_seed

tap downloader
tap seeder
note "the downloader begins"
libtorrent_download
downloaded 60
diagnosed window
