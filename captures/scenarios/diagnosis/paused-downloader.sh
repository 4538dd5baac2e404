# a downloader that is stopped for 12 seconds in the middle
swarm
seed_and_torrent 2000000 16
libtorrent_seed --set upload_rate_limit=409600

tap downloader
note "the downloader begins"
libtorrent_download
sleep 3
kill -STOP "$downloader_pid"
note "the downloader is stopped (SIGSTOP)"
sleep 12
note "the downloader goes on (SIGCONT)"
kill -CONT "$downloader_pid"
downloaded 60
diagnosed 'upload limit'
