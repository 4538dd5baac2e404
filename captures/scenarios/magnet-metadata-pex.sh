# a magnet link: metadata of several pieces over ut_metadata, peers over PEX, no tracker
switch
host seeder 2
host downloader 3
host companion 4
content magnet 390000 "$work/content/sample.bin"
torrent small 15 "$work/content/sample.bin"
# 16 KiB of metadata are one message; this is two.
/usr/bin/python3 "$captures/tools/metainfo.py" pad "$work/small.torrent" 30000 "$work/sample.torrent"
magnet="magnet:?xt=urn:btih:$(info_hash_of "$work/sample.torrent")"
transmission_seed seeder "$work/content" "$work/sample.torrent" \
    '"pex-enabled": true, "speed-limit-up": 30, "speed-limit-up-enabled": true'
sleep 1

# The downloader is told of the companion alone, which tells it of the seeder.
capture downloader
libtorrent companion companion "$magnet" "$work/companion" --pex \
    --listen 10.77.0.4:6884 --peer 10.77.0.2:51413
sleep 1
libtorrent downloader downloader "$magnet" "$work/downloads" --pex \
    --listen 10.77.0.3:6883 --peer 10.77.0.4:6884 --leave 3
wait_for 180 "the download" ended "$libtorrent_pid"
capture_end

whole "$work/downloads/sample.bin" "$work/content/sample.bin"
handshake_first '6883, 6884, 51413'
no_loss
contains "$(hex '5:added')" 'a PEX message'
contains "$(hex '8:msg_type')" 'a metadata message'
grep -q '10.77.0.2:51413' "$work/libtorrent-downloader.log" || fail "the seeder was not found"
accept pcap "$work/sample.torrent"
