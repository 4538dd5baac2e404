# a tracker that hands out three peers that are gone; the seeder begins after 12 seconds, and dials
swarm
seed_and_torrent 400000 16
# announced HOST N: a peer that the tracker knows and that answers nothing.
announced() {
    host "$1" "$2"
    local query="peer_id=-XX0000-00000000699$2&port=699$2&uploaded=0&downloaded=0&left=0&compact=1&event=started"
    on "$1" curl -sf -o /dev/null "http://10.77.0.1:6969/announce?info_hash=$(url_escaped "$info_hash")&$query"
}
announced refusing 4
announced silent 5
announced mute 6
# Their answers go nowhere, as behind a firewall; the first host refuses.
for name in silent mute; do
    ip -n "$prefix-$name" route add blackhole 10.77.0.3
done

tap downloader
note "the downloader begins"
libtorrent_download
sleep 12
note "the seeder begins, and dials"
libtorrent_seed --peer 10.77.0.3:6886
downloaded 60
diagnosed 'no limit'
