# everything over IPv6; the HTTP tracker answers with peers6
switch
for name in 'tracker 1' 'seeder 2' 'downloader 3'; do
    host "${name% *}" "${name#* }"
    only_ipv6 "${name% *}" "${name#* }"
done
content ipv6 150000 "$work/content/ipv6.bin"
torrent ipv6 15 "$work/content/ipv6.bin" 'http://[fd77::1]:9000/announce'

# Debian's opentracker speaks IPv4 only; qBittorrent has a tracker inside.
qbittorrent tracker "$work/nothing" TrackerEnabled=true
qbittorrent_api tracker app/setPreferences -d 'json={"enable_embedded_tracker":true,"embedded_tracker_port":9000}'
wait_for 10 "the tracker" listening tracker 9000
libtorrent seeder seeder "$work/ipv6.torrent" "$work/content" --listen '[fd77::2]:6885'
wait_for 20 "the seeder's announce" grep -q tracker_reply "$work/libtorrent-seeder.log"

capture downloader
libtorrent downloader downloader "$work/ipv6.torrent" "$work/downloads" --listen '[fd77::3]:6886' --leave 3
wait_for 60 "the download" ended "$libtorrent_pid"
capture_end

whole "$work/downloads/ipv6.bin" "$work/content/ipv6.bin"
handshake_first '6885, 6886'
no_loss
contains "$(hex '6:peers6')" 'peers6'
accept pcap "$work/ipv6.torrent"
