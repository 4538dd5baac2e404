# a seeder with one unchoke slot for two: choke, reject, suggest
switch
host tracker 1
host seeder 2
host downloader 3
host rival 4
content fast 300000 "$work/content/fast.bin"
torrent fast 15 "$work/content/fast.bin"
tracker tracker "$info_hash"
# Whoever is choked has its requests rejected; the suggestions are of pieces just read.
libtorrent seeder seeder "$work/fast.torrent" "$work/content" --set upload_rate_limit=40000 \
    --set unchoke_slots_limit=1 --set unchoke_interval=2 --set seed_choking_algorithm=0 --set seeding_piece_quota=2 \
    --set suggest_mode=1 --limited
wait_for 20 "the seeder's announce" grep -q tracker_reply "$work/libtorrent-seeder.log"

capture downloader
libtorrent downloader downloader "$work/fast.torrent" "$work/downloads" --listen 10.77.0.3:6886 --leave 2
downloader_pid=$libtorrent_pid
# It has requests on the way when it loses the slot.
sleep 2
libtorrent rival rival "$work/fast.torrent" "$work/rival" --set upload_rate_limit=2000 --limited
wait_for 180 "the download" ended "$downloader_pid"
capture_end

whole "$work/downloads/fast.bin" "$work/content/fast.bin"
at_least 1 "reject-request messages" "$(count 16)"
accept pcap "$work/fast.torrent"
