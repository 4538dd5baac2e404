# pieces from a web seed of BEP 17, asked for by info hash and number, beside a peer
switch
host tracker 1
host seeder 2
host downloader 3
host web 4
content http-seed 200000 "$work/content/pieces.bin"
mktorrent -d -l 15 -a http://10.77.0.1:6969/announce -o "$work/plain.torrent" "$work/content/pieces.bin" >/dev/null
# mktorrent knows BEP 19 alone; the keys stay sorted.
url=http://10.77.0.4:8080/seed
sed "0,/4:infod/s||9:httpseedsl${#url}:${url}e4:infod|" "$work/plain.torrent" >"$work/pieces.torrent"
tracker tracker "$(info_hash_of "$work/pieces.torrent")"
start web web /usr/bin/python3 "$captures/tools/http_seed.py" 10.77.0.4:8080 "$work/content/pieces.bin" 32768
wait_for 10 "the web seed" listening web 8080
libtorrent seeder seeder "$work/pieces.torrent" "$work/content" --set upload_rate_limit=30000
wait_for 20 "the seeder's announce" grep -q tracker_reply "$work/libtorrent-seeder.log"

capture downloader
libtorrent downloader downloader "$work/pieces.torrent" "$work/downloads" --listen 10.77.0.3:6886 --leave 2
wait_for 60 "the download" ended "$libtorrent_pid"
capture_end

whole "$work/downloads/pieces.bin" "$work/content/pieces.bin"
contains "$(hex '&piece=')" 'a request for a piece'
accept pcap "$work/pieces.torrent"
