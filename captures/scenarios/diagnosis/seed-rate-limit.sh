# a seeder that is limited to 200 KiB/s by its own setting
swarm
seed_and_torrent 2000000 16
libtorrent_seed --set upload_rate_limit=204800

tap downloader
tap seeder
note "aria2 begins"
aria2 downloader "$work/downloads" "$metainfo"
wait_for 60 "the download" ended "$aria2_pid"
note "aria2 has ended"
taps_end

whole "$work/downloads/$scenario.bin" "$work/content/$scenario.bin"
diagnosed 'upload limit'
