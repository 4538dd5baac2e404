# pieces from a web seed, by range over HTTP, beside a peer
switch
host tracker 1
host seeder 2
host downloader 3
host web 4
content web-seed 200000 "$work/content/web.bin"
mktorrent -d -l 15 -a http://10.77.0.1:6969/announce -w http://10.77.0.4:8080/web.bin \
    -o "$work/web.torrent" "$work/content/web.bin" >/dev/null
tracker tracker "$(info_hash_of "$work/web.torrent")"
start web web /usr/bin/python3 "$captures/tools/web_seed.py" 10.77.0.4:8080 "$work/content"
wait_for 10 "the web seed" listening web 8080
libtorrent seeder seeder "$work/web.torrent" "$work/content" --set upload_rate_limit=30000
wait_for 20 "the seeder's announce" grep -q tracker_reply "$work/libtorrent-seeder.log"

capture downloader
libtorrent downloader downloader "$work/web.torrent" "$work/downloads" --listen 10.77.0.3:6886 --leave 2
wait_for 60 "the download" ended "$libtorrent_pid"
capture_end

whole "$work/downloads/web.bin" "$work/content/web.bin"
contains "$(hex '206 Partial Content')" 'a range'
accept pcap "$work/web.torrent"
