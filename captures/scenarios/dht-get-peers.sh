# a trackerless torrent: ping, find_node, get_peers and announce_peer of the DHT, PORT messages
switch
host node 1
host seeder 2
host downloader 3
host stranger 4
content dht 100000 "$work/content/dht.bin"
torrent dht 15 "$work/content/dht.bin" ''
content other 20000 "$work/other/other.bin"
torrent other 15 "$work/other/other.bin" ''
info_hash=$(info_hash_of "$work/dht.torrent")

# dht_node HOST N TORRENT FOLDER [OPTION...]: a libtorrent that is a node as well;
# 10.77.0.1 is where each of them begins.
dht_node() {
    local name=$1 number=$2 source=$3 folder=$4
    shift 4
    libtorrent "$name" "$name" "$source" "$folder" --listen "10.77.0.$number:6885" \
        --set enable_dht=1 --set dht_bootstrap_nodes= --node 10.77.0.1:6885 \
        --set dht_restrict_routing_ips=0 --set dht_restrict_search_ips=0 \
        --set dht_enforce_node_id=0 "$@"
}

dht_node node 1 "$work/other.torrent" "$work/other"
sleep 1
dht_node seeder 2 "$work/dht.torrent" "$work/content"
sleep 3
capture downloader
dht_node downloader 3 "magnet:?xt=urn:btih:$info_hash" "$work/downloads" --leave 12
downloader_pid=$libtorrent_pid
# libtorrent asks get_peers where others ping; aria2 shows what they do.
sleep 1
aria2 stranger "$work/stranger" "$work/other.torrent" --enable-dht=true --dht-listen-port=6891 \
    --dht-entry-point=10.77.0.3:6885 --dht-file-path="$work/dht.dat"
wait_for 120 "the download" ended "$downloader_pid"
capture_end

whole "$work/downloads/dht.bin" "$work/content/dht.bin"
for query in ping find_node get_peers announce_peer; do
    contains "$(hex "$query")" "a query for $query"
done
at_least 1 "PORT messages" "$(count 9)"
accept pcap "$work/dht.torrent"
