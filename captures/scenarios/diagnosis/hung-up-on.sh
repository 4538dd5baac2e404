# a peer that closes after each bad request; the downloader dials three times
swarm
seed_and_torrent 1000000 16
rtorrent_client seeder "$work/content" "$metainfo"
sleep 4

tap downloader
note "the downloader begins"
peer=10.77.0.2:6884
for turn in 1 2 3; do
    leecher --outstanding 4 --beyond 10 --stay 1
    within 20 ended "$downloader_pid" || true
    note "connection $turn has ended"
    sleep 1
done
taps_end
diagnosed 'no limit'
