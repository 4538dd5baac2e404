# a seeder limited to 200 KiB/s by its own setting, and without a limit later; then the link of 4 Mbit/s is the limit
swarm
slow_link 3 4mbit 100ms
seed_and_torrent 5000000 16
libtorrent_seed --set upload_rate_limit=204800 --at 11 upload_rate_limit=0

tap downloader
sleep 3
note "the downloader begins"
libtorrent_download
downloaded 90
change=$(sed -n 's/ changed: upload_rate_limit=0$//p' "$work/libtorrent-seeder.log")
diagnosed "upload limit@$change,network"
