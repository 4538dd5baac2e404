# a tracker that accepts the connection and never answers; that of the next tier does
swarm
seed_and_torrent 400000 16
libtorrent_seed
# The info hash is the same: the trackers are no part of it.
mktorrent -d -l 16 -a http://10.77.0.1:8000/announce -a http://10.77.0.1:6969/announce \
    -o "$work/two-trackers.torrent" "$work/content/$scenario.bin" >/dev/null
metainfo=$work/two-trackers.torrent
start tracker silent /usr/bin/python3 "$captures/tools/silent.py" 10.77.0.1:8000
wait_for 10 "the silent tracker" listening tracker 8000

tap downloader
note "the downloader begins"
libtorrent_download
downloaded 90
diagnosed 'no limit'
