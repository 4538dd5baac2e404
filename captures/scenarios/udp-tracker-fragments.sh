# a UDP tracker's answer that reaches the client in two IP fragments
switch
host tracker 1
host downloader 3
host crowd 4
ip -n "$prefix-tracker" link set eth0 mtu 576
content fragments 40000 "$work/content/none.bin"
torrent none 15 "$work/content/none.bin" udp://10.77.0.1:6969/announce
tracker tracker "$info_hash"

# 120 peers of 6 bytes each are more than a packet of 576 bytes holds.
escaped=$(url_escaped "$info_hash")
for port in $(seq 7001 7120); do
    echo "url = http://10.77.0.1:6969/announce?info_hash=$escaped&$(
    )peer_id=-XX0000-00000000$port&port=$port&uploaded=0&downloaded=0&left=1&compact=1&event=started"
    echo 'output = /dev/null'
done >"$work/announces"
on crowd curl -s --config "$work/announces"
unplug crowd

# UDP alone: what it then dials is gone, and no part of this.
capture downloader udp
libtorrent downloader downloader "$work/none.torrent" "$work/downloads"
wait_for 20 "the tracker's answer" grep -q 'received peers' "$work/libtorrent-downloader.log"
stop "$libtorrent_pid"
capture_end

at_least 2 fragments "$(tshark -r "$work/capture" -Y 'ip.flags.mf == 1 || ip.frag_offset > 0' 2>/dev/null | wc -l)"
accept pcap "$work/none.torrent"
