# What the scenarios of scenarios/diagnosis/ share: paths that are slow, long or bad, captures at
# both ends, and a diary of what was done when. Sourced by record.sh.

# far_host NAME N OPTION...: a host on the switch, behind tools/path.py with these options.
far_host() {
    local name=$1 number=$2
    shift 2
    namespace "$name"
    plug "$name" "port$number" "$number"
    ip -n "$prefix-switch" link add "carried$number" type veth peer name "bridged$number"
    ip -n "$prefix-switch" link set "bridged$number" master br0
    for end in "carried$number" "bridged$number"; do
        ip -n "$prefix-switch" link set "$end" up
    done
    for end in "carried$number" "port$number"; do
        ip -n "$prefix-switch" link set "$end" promisc on
    done
    start switch "path-$name" /usr/bin/python3 "$captures/tools/path.py" "port$number" "carried$number" "$@"
    wait_for 10 "the path" grep -q forwarding "$work/path-$name.log"
}

# slow_link N RATE QUEUE: what goes to host N passes a link of that rate (as tc has it: 4mbit), whose
# queue is that long (100ms).
slow_link() {
    tc -n "$prefix-switch" qdisc add dev "port$1" root tbf rate "$2" burst 4kb latency "$3"
}

# as_linux_does NAME...: what a host does by default. The machine that records may be tuned:
# BBR, for one, does not slow down for losses.
as_linux_does() {
    local name
    for name; do
        ip -n "$prefix-$name" route change 10.77.0.0/24 dev eth0 scope link congctl cubic
        on "$name" sysctl -qw net.ipv4.tcp_rmem='4096 131072 6291456' net.ipv4.tcp_wmem='4096 16384 4194304'
        # One host knows another from an earlier connection, and would start with its numbers.
        on "$name" sysctl -qw net.ipv4.tcp_no_metrics_save=1
    done
}

# swarm [OPTION...]: the tracker, the seeder and the downloader on the switch; the downloader
# behind tools/path.py if there are options for that.
swarm() {
    switch
    host tracker 1
    host seeder 2
    if (($#)); then
        far_host downloader 3 "$@"
    else
        host downloader 3
    fi
    as_linux_does seeder downloader
}

# seed_and_torrent BYTES EXPONENT: the content of the scenario and its torrent, pieces of 2^EXPONENT
# bytes, and the tracker that knows it.
seed_and_torrent() {
    numbered_content "$scenario" "$1" "$work/content/$scenario.bin"
    torrent "$scenario" "$2" "$work/content/$scenario.bin"
    metainfo=$work/$scenario.torrent
    tracker tracker "$info_hash"
}

# libtorrent_seed [OPTION...]: libtorrent seeds the content on 10.77.0.2:6885. Limits hold for
# neighbours too, and nothing is given to peers that are choked.
libtorrent_seed() {
    libtorrent seeder seeder "$metainfo" "$work/content" --clock --limited --set allowed_fast_set_size=0 \
        --set suggest_mode=0 "$@"
    seeder_pid=$libtorrent_pid
    wait_for 20 "the seeder's announce" grep -q tracker_reply "$work/libtorrent-seeder.log"
}

# libtorrent_download [OPTION...]: libtorrent downloads to $work/downloads, on 10.77.0.3:6886.
libtorrent_download() {
    libtorrent downloader downloader "$metainfo" "$work/downloads" --clock --limited \
        --listen 10.77.0.3:6886 --leave 1 "$@"
    downloader_pid=$libtorrent_pid
}

# leecher OPTION...: tools/leecher.py downloads to $work/downloads from 10.77.0.2:6885, unless
# $peer says another.
leecher() {
    mkdir -p "$work/downloads"
    start downloader leecher /usr/bin/python3 "$captures/tools/leecher.py" "$metainfo" \
        "$work/downloads/$scenario.bin" "${peer:-10.77.0.2:6885}" "$@"
    downloader_pid=$started
}

# downloaded SECONDS: waits for the download of the client begun last, ends the captures, and compares.
downloaded() {
    wait_for "$1" "the download" ended "$downloader_pid"
    note "the downloader has ended"
    taps_end
    whole "$work/downloads/$scenario.bin" "$work/content/$scenario.bin"
}

# halved FROM TO BYTES: a copy of the content in the folder TO, of which only the first BYTES are right.
halved() {
    mkdir -p "$2"
    cp "$1" "$2"
    local copy=$2/${1##*/}
    dd if=/dev/zero of="$copy" bs="$3" seek=1 count=1 conv=notrunc status=none
    truncate -s "$(stat -c %s "$1")" "$copy"
}

# note TEXT: a line in the diary, with its time.
note() {
    printf '%s %s\n' "$(date +%s.%6N)" "$*" >>"$work/diary"
}

taps=()

# tap HOST: begins capturing, as pcapng, what eth0 of HOST sees.
tap() {
    start "$1" "tap-$1" dumpcap -q -i eth0 -f 'tcp or udp' -B 32 -w "$work/tapped-$1"
    taps+=("$1=$started")
    wait_for 10 dumpcap grep -q '^File: ' "$work/tap-$1.log"
}

# taps_end: lets the last packets arrive, stops all captures, and insists on having every packet.
# The first that was begun is the capture of the scenario.
taps_end() {
    local pair name
    sleep 1
    for pair in "${taps[@]}"; do
        name=${pair%=*}
        stop "${pair#*=}" INT
        grep -Eq 'dropped on .*: [0-9]+/0 ' "$work/tap-$name.log" ||
            fail "packets were dropped: $(tr '\r\n' '  ' <"$work/tap-$name.log")"
        /usr/bin/python3 "$captures/tools/scrub_pcapng.py" "$work/tapped-$name" "$work/tap-$name.pcapng"
    done
    touch "$work/dumped"
    cp "$work/tap-${taps[0]%=*}.pcapng" "$work/capture"
}

# packets FILTER: how many packets of the capture it finds.
packets() {
    tshark -r "$work/capture" -Y "$1" 2>/dev/null | wc -l
}

# diagnosed CAUSE: the captures of the scenario take the places of the old ones, that of the first host
# without a suffix, those of others with -at-HOST. CAUSE says what held back the blocks that were asked
# for (or ADDRESS=CAUSE,..., or CAUSE@TIME,CAUSE), for truth.tsv; the diary stays with the log of the recording.
diagnosed() {
    local pair name
    local -r main=$scenario cause=$1
    keep_truth "$cause"
    for pair in "${taps[@]:1}"; do
        name=${pair%=*}
        scenario=$main-at-$name
        cp "$work/tap-$name.pcapng" "$work/capture"
        keep_truth "$cause"
    done
    scenario=$main
    sed "s/^/$scenario: /" "$work/diary" >&2
}

# keep_truth CAUSE: accepts the capture, and its lines take the place of the old ones in truth.tsv.
keep_truth() {
    accept pcapng.gz "$metainfo"
    touch "$into/truth.tsv"
    {
        grep -v "^$scenario\." "$into/truth.tsv" || true
        /usr/bin/python3 "$captures/tools/timeline.py" --truth "$1" "$into/$scenario.pcapng.gz"
    } | LC_ALL=C sort >"$work/truth.tsv"
    cp "$work/truth.tsv" "$into/truth.tsv"
}
