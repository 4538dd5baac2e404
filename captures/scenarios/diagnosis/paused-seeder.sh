# a seeder that is stopped for 12 seconds in the middle
swarm
seed_and_torrent 2000000 16
libtorrent_seed --set upload_rate_limit=409600

tap downloader
note "the downloader begins"
libtorrent_download
sleep 3
kill -STOP "$seeder_pid"
note "the seeder is stopped (SIGSTOP)"
sleep 12
note "the seeder goes on (SIGCONT)"
kill -CONT "$seeder_pid"
downloaded 60
diagnosed 'far end'
