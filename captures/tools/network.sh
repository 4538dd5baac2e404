# Hosts are network namespaces on one bridge, which has no way out:
# 10.77.0.N/24 and fd77::N/64, MAC 02:00:00:00:00:NN. Sourced by record.sh.

prefix=bittrace-$$
hosts=()
processes=()

# switch: the bridge that every host is plugged into.
switch() {
    ip netns add "$prefix-switch"
    hosts+=(switch)
    ip -n "$prefix-switch" link add br0 type bridge
    ip -n "$prefix-switch" link set br0 up
}

# namespace NAME: a network namespace with nothing but its loopback.
namespace() {
    ip netns add "$prefix-$1"
    hosts+=("$1")
    on "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
    ip -n "$prefix-$1" link set lo up
}

# plug NAME PORT N: eth0 of host NAME, its far end called PORT in the switch.
plug() {
    ip -n "$prefix-$1" link add eth0 address "$(printf '02:00:00:00:00:%02x' "$3")" \
        type veth peer name "$2" netns "$prefix-switch"
    # Without this, captures hold 64 KiB "packets" with unset checksums.
    on "$1" ethtool -K eth0 tx off tso off gso off gro off >/dev/null
    ip -n "$prefix-$1" addr add "10.77.0.$3/24" dev eth0
    ip -n "$prefix-$1" link set eth0 up
    ip -n "$prefix-switch" link set "$2" up
}

# host NAME N: a host on the switch.
host() {
    namespace "$1"
    plug "$1" "port$2" "$2"
    ip -n "$prefix-switch" link set "port$2" master br0
}

# unplug NAME: the host is there no longer.
unplug() {
    ip -n "$prefix-$1" link del eth0
}

# only_ipv6 NAME N: takes IPv4 from a host and gives it fd77::N.
only_ipv6() {
    on "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.eth0.disable_ipv6=0
    ip -n "$prefix-$1" addr flush dev eth0
    ip -n "$prefix-$1" addr add "fd77::$2/64" dev eth0 nodad
}

# on HOST COMMAND...: runs there, to the end.
on() {
    local name=$1
    shift
    ip netns exec "$prefix-$name" "$@"
}

# start HOST LOG COMMAND...: runs there in the background, pid in $started.
start() {
    local name=$1 log=$2
    shift 2
    ip netns exec "$prefix-$name" "$@" >"$work/$log.log" 2>&1 </dev/null &
    started=$!
    processes+=("$started")
}

# stop PID [SIGNAL]: asks it to end, and waits for it at most 20 s.
stop() {
    kill "-${2:-TERM}" "$1" 2>/dev/null || return 0
    within 20 ended "$1" || kill -KILL "$1"
    wait "$1" 2>/dev/null || true
}

ended() {
    # A child that has ended but was not waited for is a zombie, and still has a pid.
    [[ ! -e /proc/$1 ]] || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}

stop_everything() {
    local pid
    # Asked first: Transmission leaves a file in /tmp if it is killed.
    kill -TERM "${processes[@]}" 2>/dev/null || true
    for pid in "${processes[@]}"; do
        within 5 ended "$pid" || true
    done
    for pid in "${processes[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true
}

delete_hosts() {
    local name
    for name in "${hosts[@]}"; do
        ip netns del "$prefix-$name" 2>/dev/null || true
    done
}

# within SECONDS COMMAND...: tries again until it succeeds.
within() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= deadline)); then
            return 1
        fi
        sleep 0.1
    done
}

# wait_for SECONDS WHAT COMMAND...: the same, and the scenario ends if it never does.
wait_for() {
    local what=$2 seconds=$1
    shift 2
    within "$seconds" "$@" || fail "waited $seconds s in vain for $what"
}

fail() {
    echo "$scenario: $*" >&2
    exit 1
}

listening() {
    on "$1" ss -Hltn "sport = :$2" | grep -q .
}

# capture HOST [FILTER [TCPDUMP OPTION...]]: begins capturing, as pcap, what eth0 of HOST sees.
capture() {
    local name=$1 filter=${2:-tcp or udp}
    shift $(($# < 2 ? $# : 2))
    # Small default buffers lose packets; -Z keeps it from giving up root, and with
    # it the right to write in the working folder.
    start "$name" capturing tcpdump -Z root -i eth0 -n -U -B 32768 -s 65535 \
        -w "$work/capture" "$@" "$filter"
    capturing=$started
    wait_for 10 tcpdump grep -q 'listening on' "$work/capturing.log"
}

# capture_pcapng HOST [FILTER]: the same, as pcapng with what dumpcap adds to it.
capture_pcapng() {
    start "$1" capturing dumpcap -i eth0 -f "${2:-tcp or udp}" -B 32 -w "$work/dumped"
    capturing=$started
    wait_for 10 dumpcap grep -q '^File: ' "$work/capturing.log"
}

# capture_end: lets the last packets arrive, then stops, and insists on having them all.
capture_end() {
    sleep 1.5
    stop "$capturing" INT
    if [[ -f $work/dumped ]]; then
        /usr/bin/python3 "$captures/tools/scrub_pcapng.py" "$work/dumped" "$work/capture"
    fi
    grep -Eq '^0 packets dropped by kernel|dropped on .*: [0-9]+/0 ' "$work/capturing.log" ||
        fail "packets were dropped: $(tr '\r\n' '  ' <"$work/capturing.log")"
}
