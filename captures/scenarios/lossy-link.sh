# a download through a link that loses, reorders and duplicates packets
switch
host tracker 1
host seeder 2
namespace downloader
plug downloader port3 3
# port3 is not on the bridge: lossy_link.py carries its frames to and from there.
ip -n "$prefix-switch" link add carried type veth peer name bridged
ip -n "$prefix-switch" link set bridged master br0
for end in carried bridged; do
    ip -n "$prefix-switch" link set "$end" up
done
for end in carried port3; do
    ip -n "$prefix-switch" link set "$end" promisc on
done
start switch lossy-link /usr/bin/python3 "$captures/tools/lossy_link.py" port3 carried 7
wait_for 10 "the link" grep -q forwarding "$work/lossy-link.log"

content lossy 200000 "$work/content/lossy.bin"
torrent lossy 15 "$work/content/lossy.bin"
tracker tracker "$info_hash"
qbittorrent seeder "$work/content"
qbittorrent_add seeder "$work/lossy.torrent"
wait_for 30 "the seeder's content" qbittorrent_has_all seeder
sleep 2

capture downloader
rtorrent_client downloader "$work/downloads" "$work/lossy.torrent"
wait_for 120 "the download" same_content "$work/downloads/lossy.bin" "$work/content/lossy.bin"
sleep 3
stop "$rtorrent_pid" INT
capture_end

whole "$work/downloads/lossy.bin" "$work/content/lossy.bin"
for what in retransmission out_of_order; do
    at_least 1 "packets of $what" \
        "$(tshark -r "$work/capture" -Y "tcp.analysis.$what" 2>/dev/null | wc -l)"
done
accept pcap.gz "$work/lossy.torrent"
