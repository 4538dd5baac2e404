# two peers that have the same half of the pieces
swarm
seed_and_torrent 1048576 16
halved "$work/content/$scenario.bin" "$work/half" 524288
halved "$work/content/$scenario.bin" "$work/downloads" 524288
rm -r "$work/content"
cp -r "$work/half" "$work/content"
libtorrent_seed

tap downloader
transmission downloader "$work/downloads"
transmission_add downloader "$metainfo"
note "the downloader begins"
transmission_start downloader
sleep 15
note "the downloader is told to end"
transmission_exit downloader
taps_end
((0 == $(count 7))) || fail "there were blocks to give"
diagnosed 'no limit'
