# a capture that lost packets which the network delivered
switch
host tracker 1
host seeder 2
host downloader 3
content capture-loss 300000 "$work/content/lost.bin"
torrent lost 15 "$work/content/lost.bin"
tracker tracker "$info_hash"
qbittorrent seeder "$work/content"
qbittorrent_add seeder "$work/lost.torrent"
wait_for 30 "the seeder's content" qbittorrent_has_all seeder
sleep 2

transmission downloader "$work/downloads"
transmission_add downloader "$work/lost.torrent"
# One in 32 of the full packets is not captured, by the number the sender's kernel gave it, and one in 16 of
# the small ones that carry requests and haves: what a busy machine does to its captures, but the same often.
capture downloader 'tcp and not (ip[2:2] > 1000 and ip[4:2] & 0x1f = 9)
    and not (dst port 6882 and ip[2:2] > 60 and ip[2:2] < 200 and ip[4:2] & 0x0f = 5)'
transmission_start downloader
wait_for 120 "the download" transmission_has_all downloader
sleep 2
transmission_exit downloader
capture_end

whole "$work/downloads/lost.bin" "$work/content/lost.bin"
at_least 5 "lost segments" \
    "$(tshark -r "$work/capture" -Y 'tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment' 2>/dev/null | wc -l)"
accept pcap "$work/lost.torrent"
