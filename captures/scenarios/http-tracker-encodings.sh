# HTTP trackers that answer in gzip, in chunks, with peers as dictionaries, or not at all
switch
host tracker 1
host seeder 2
host downloader 3
content encodings 40000 "$work/content/small.bin"
start tracker tracker /usr/bin/python3 "$captures/tools/tracker.py" 10.77.0.1:8000 10.77.0.2:51413
wait_for 10 "the tracker" listening tracker 8000

# The same content announced in four places: four torrents, but for their URL alike.
for form in gzip chunked dictionaries elsewhere; do
    torrent "$form" 15 "$work/content/small.bin" "http://10.77.0.1:8000/$form/announce"
done
libtorrent seeder seeder "$work/elsewhere.torrent" "$work/content" --listen 10.77.0.2:51413
wait_for 20 "the seeder" grep -q complete "$work/libtorrent-seeder.log"

capture_pcapng downloader
aria2 downloader "$work/aria2" "$work/gzip.torrent"
wait_for 60 "the first download" ended "$aria2_pid"
for form in chunked dictionaries elsewhere; do
    libtorrent downloader "$form" "$work/$form.torrent" "$work/$form" --leave 1
    if [[ $form == elsewhere ]]; then
        sleep 3
        stop "$libtorrent_pid"
    else
        wait_for 60 "the download after $form" ended "$libtorrent_pid"
        whole "$work/$form/small.bin" "$work/content/small.bin"
    fi
done
capture_end

whole "$work/aria2/small.bin" "$work/content/small.bin"
contains "$(hex 'Content-Encoding: gzip')" 'an answer in gzip'
contains "$(hex 'Transfer-Encoding: chunked')" 'an answer in chunks'
contains "$(hex '7:peer id20:')" 'peers as dictionaries'
contains "$(hex '404 Not Found')" 'a refusal'
accept pcapng "$work/gzip.torrent"
