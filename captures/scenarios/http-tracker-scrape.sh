# HTTP announces and scrapes; one torrent the tracker does not know
switch
host tracker 1
host seeder 2
host client 3
for name in unknown first second; do
    content "scrape-$name" 40000 "$work/content/$name.bin"
    torrent "$name" 15 "$work/content/$name.bin"
done
tracker tracker "$info_hash" "$(info_hash_of "$work/first.torrent")"

# A torrent that no one has is left out of opentracker's answers.
libtorrent seeder seeder "$work/first.torrent" "$work/content"
wait_for 20 "the seeder's announce" grep -q tracker_reply "$work/libtorrent-seeder.log"

capture_pcapng client
# libtorrent announces, and scrapes a second later: what is known, and what is not.
for name in first unknown; do
    libtorrent client "$name" "$work/$name.torrent" "$work/content" --scrape
    wait_for 20 "the scrape" grep -Eq 'scrape_(reply|failed)' "$work/libtorrent-$name.log"
    sleep 1
    stop "$libtorrent_pid"
done
# Transmission announces three torrents at once, one of them refused.
transmission client "$work/content"
for name in first second unknown; do
    remote client -a "$work/$name.torrent" >/dev/null
done
remote client -t all -s >/dev/null
sleep 5
remote client -t all -S >/dev/null
sleep 2
transmission_exit client
capture_end

contains "$(hex 'GET /scrape?')" 'a scrape'
contains "$(hex 'event=started')" 'an announce'
contains "$(hex 'd5:filesd20:')" 'an answer to a scrape'
contains "$(hex '14:failure reason')" 'a failure'
accept pcapng "$work/first.torrent"
