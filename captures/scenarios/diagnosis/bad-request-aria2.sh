# aria2 is asked for bytes past the end of a piece
swarm
seed_and_torrent 1000000 16
aria2_seed seeder "$work/content" "$metainfo"
sleep 3

tap downloader
note "the downloader begins"
peer=10.77.0.2:6881
leecher --outstanding 4 --beyond 20 --stay 8
within 40 ended "$downloader_pid" || true
note "the downloader has ended"
taps_end
diagnosed 'no limit'
