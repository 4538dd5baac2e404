# a path of 40 ms on which 2 % of the packets with data are lost
swarm --delay 20 --loss 2 --seed 7
seed_and_torrent 4000000 16
libtorrent_seed

tap downloader
tap seeder
note "the downloader begins"
libtorrent_download
downloaded 90
at_least 20 "packets sent again" "$(packets tcp.analysis.retransmission)"
grep lost "$work/path-downloader.log" >>"$work/diary"
diagnosed network
