# What a capture must show before it is accepted. Sourced by record.sh.

# same_content A B: two files or folders hold the same bytes.
same_content() {
    diff -r "$1" "$2" >/dev/null
}

# whole FILE WANTED: the download is there, and is the content.
whole() {
    same_content "$1" "$2" || fail "the download $1 differs from the content"
}

# count TYPE [FILTER]: how many messages of that type tshark finds in the capture.
count() {
    # One packet holds several messages, whose types tshark joins with commas.
    tshark -o tcp.reassemble_out_of_order:TRUE -r "$work/capture" -Y "bittorrent.msg.type && (${2:-frame})" \
        -T fields -e bittorrent.msg.type 2>/dev/null | tr ',' '\n' | grep -cx "$1" || true
}

handshakes() {
    tshark -o tcp.reassemble_out_of_order:TRUE -r "$work/capture" -Y 'bittorrent.protocol.name' \
        -T fields -e bittorrent.info_hash 2>/dev/null | wc -l
}

# at_least NUMBER WHAT FOUND
at_least() {
    (($3 >= $1)) || fail "expected at least $1 $2, the capture has $3"
}

# handshake_first PORT: each direction of each TCP stream with a port of PORT
# that carries anything begins with a BitTorrent handshake.
handshake_first() {
    local first
    first=$(tshark -r "$work/capture" -Y "tcp.port in {$1} && tcp.len > 0" \
        -T fields -e tcp.stream -e ip.src -e ipv6.src -e tcp.payload 2>/dev/null |
        awk -F '\t' '!seen[$1 $2 $3]++ { print $1, substr($4, 1, 40) }')
    [[ -n $first ]] || fail "nothing was said on port $1"
    if grep -v ' 13426974546f7272656e742070726f746f636f6c$' <<<"$first" >&2; then
        fail "a stream on port $1 begins with something else than a handshake"
    fi
}

# no_loss: no retransmission and no gap anywhere.
no_loss() {
    local odd
    odd=$(tshark -r "$work/capture" -Y 'tcp.analysis.retransmission || tcp.analysis.lost_segment ||
        tcp.analysis.out_of_order' 2>/dev/null | wc -l)
    ((odd == 0)) || fail "$odd packets were sent again, lost or out of order"
}

# contains HEX WHAT: some packet's TCP or UDP payload holds these bytes (no separators).
contains() {
    local bytes
    bytes=$(sed 's/../&:/g; s/:$//' <<<"$1")
    tshark -r "$work/capture" -Y "frame contains $bytes" 2>/dev/null | grep -q . ||
        fail "no packet holds $2"
}

hex() {
    printf %s "$1" | od -An -v -tx1 | tr -d ' \n'
}

# expect FILE: its counts take the place of the old ones in expected.tsv.
expect() {
    local table=$into/expected.tsv
    touch "$table"
    {
        grep -v "^$scenario\." "$table" || true
        /usr/bin/python3 "$captures/tools/count_messages.py" "$1"
    } | LC_ALL=C sort >"$work/expected.tsv"
    cp "$work/expected.tsv" "$table"
}

# accept SUFFIX [TORRENT]: the capture takes the place of the old one.
accept() {
    local format=pcap
    if [[ -f $work/dumped ]]; then
        format=pcapng
    fi
    [[ ${1%.gz} == "$format" ]] || fail "recorded as $format, to be kept as $1"
    rm -f "$into/$scenario".{pcap,pcapng,pcap.gz,pcapng.gz}
    case $1 in
    *.gz) gzip -9 -n <"$work/capture" >"$into/$scenario.$1" ;;
    *) cp "$work/capture" "$into/$scenario.$1" ;;
    esac
    if [[ -n ${2:-} ]]; then
        cp "$2" "$into/$scenario.torrent"
    fi
    expect "$into/$scenario.$1"
    echo "$scenario: $(stat -c %s "$into/$scenario.$1") bytes," \
        "$(handshakes) handshakes, $(count 7) blocks" >&2
}
