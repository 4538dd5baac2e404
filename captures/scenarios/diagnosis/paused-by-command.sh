# a downloader that is told to pause for 10 seconds in the middle, and closes its connections
swarm
seed_and_torrent 2000000 16
libtorrent_seed --set upload_rate_limit=409600

tap downloader
note "the downloader begins"
libtorrent_download --set min_reconnect_time=1 --at 3 pause --at 13 resume
downloaded 60
grep changed "$work/libtorrent-downloader.log" >>"$work/diary"
diagnosed 'upload limit'
