# How each client is started, with everything off that a scenario did not ask
# for: DHT, LSD, PEX, uTP, encryption. Sourced by record.sh.

# tracker HOST [INFO HASH...]: opentracker, with HTTP and UDP on port 6969.
# Debian's build answers for the torrents of a whitelist only.
tracker() {
    local name=$1
    shift
    mkdir -p "$work/tracker"
    printf '%s\n' "$@" >"$work/tracker/whitelist"
    start "$name" opentracker opentracker -i 10.77.0.1 -p 6969 -P 6969 -d "$work/tracker" -w /whitelist
    wait_for 10 opentracker listening "$name" 6969
}

# transmission HOST FOLDER [SETTINGS AS JSON MEMBERS]: a daemon whose downloads,
# and content to seed, are in FOLDER. Listens on 51413. Torrents are added paused.
transmission() {
    local name=$1 folder=$2 more=${3:-}
    mkdir -p "$work/transmission-$name" "$folder"
    # Later members win, so a scenario can overrule any of these.
    cat >"$work/transmission-$name/settings.json" <<SETTINGS
{ "encryption": 0, "dht-enabled": false, "pex-enabled": false, "lpd-enabled": false,
  "utp-enabled": false, "port-forwarding-enabled": false, "peer-port": 51413,
  "rpc-bind-address": "127.0.0.1", "rpc-authentication-required": false,
  "rpc-host-whitelist-enabled": false, "start-added-torrents": false,
  "cache-size-mb": 0, "message-level": 3, "blocklist-enabled": false,
  "download-dir": "$folder"${more:+, $more} }
SETTINGS
    start "$name" "transmission-$name" transmission-daemon -f -g "$work/transmission-$name"
    transmission_pid=$started
    wait_for 20 transmission listening "$name" 9091
}

remote() {
    local name=$1
    shift
    on "$name" transmission-remote 127.0.0.1:9091 "$@"
}

# transmission_add HOST TORRENT: adds it and waits until what is there was checked.
transmission_add() {
    remote "$1" -a "$2" >/dev/null
    remote "$1" -t 1 --verify >/dev/null
    sleep 1
    wait_for 30 "transmission to check its files" transmission_checked "$1"
}

transmission_checked() {
    remote "$1" -t 1 -i | grep -q 'State: Stopped'
}

transmission_start() {
    remote "$1" -t 1 -s >/dev/null
}

transmission_has_all() {
    remote "$1" -t 1 -i | grep -q 'Percent Done: 100%'
}

transmission_seeds() {
    remote "$1" -t 1 -i | grep -Eq 'State: (Seeding|Idle)'
}

# transmission_seed HOST FOLDER TORRENT [SETTINGS]: all of the above, for a seeder.
transmission_seed() {
    transmission "$1" "$2" "${4:-}"
    transmission_add "$1" "$3"
    wait_for 5 "transmission to find its content whole" transmission_has_all "$1"
    transmission_start "$1"
}

# transmission_exit HOST: lets it say `stopped` to its tracker, which it may not
# get round to when it is told to end at once.
transmission_exit() {
    remote "$1" -t 1 -S >/dev/null
    sleep 2
    remote "$1" --exit >/dev/null
    within 20 ended "$transmission_pid" || true
}

# aria2 HOST FOLDER TORRENT [OPTION...]: one download, then the end; listens on 6881.
aria2() {
    local name=$1 folder=$2 metainfo=$3
    shift 3
    start "$name" "aria2-$name" aria2c --no-conf --dir="$folder" --listen-port=6881 \
        --enable-dht=false --enable-dht6=false --bt-enable-lpd=false \
        --enable-peer-exchange=false --disable-ipv6=true --file-allocation=none \
        --seed-time=0 --summary-interval=0 --console-log-level=notice \
        --bt-save-metadata=false --log="$work/aria2-$name.debug" --log-level=debug "$@" "$metainfo"
    aria2_pid=$started
    wait_for 10 aria2 listening "$name" 6881
}

# aria2_seed HOST FOLDER TORRENT [OPTION...]
aria2_seed() {
    local name=$1 folder=$2 metainfo=$3
    shift 3
    aria2 "$name" "$folder" "$metainfo" --check-integrity=true --seed-ratio=0.0 --seed-time=600 "$@"
}

# qbittorrent HOST FOLDER ["KEY=VALUE" OF [BitTorrent] ...]: listens on 6882.
qbittorrent() {
    local name=$1 folder=$2
    local settings=$work/qbittorrent-$name/qBittorrent/config
    shift 2
    mkdir -p "$settings" "$folder"
    {
        echo '[LegalNotice]'
        echo 'Accepted=true'
        echo '[Network]'
        echo 'PortForwardingEnabled=false'
        echo '[Preferences]'
        printf 'WebUI\\%s\n' Address=127.0.0.1 Port=8080 LocalHostAuth=false UseUPnP=false
        echo '[BitTorrent]'
        printf 'Session\\%s\n' Encryption=2 DHTEnabled=false LSDEnabled=false PeXEnabled=false \
            BTProtocol=TCP Port=6882 UseRandomPort=false QueueingSystemEnabled=false \
            "DefaultSavePath=$folder" "$@"
    } >"$settings/qBittorrent.conf"
    start "$name" "qbittorrent-$name" qbittorrent-nox "--profile=$work/qbittorrent-$name"
    qbittorrent_pid=$started
    wait_for 30 qbittorrent qbittorrent_api "$name" app/version
}

qbittorrent_api() {
    local name=$1 method=$2
    shift 2
    on "$name" curl -sSf "$@" "http://127.0.0.1:8080/api/v2/$method"
}

# qbittorrent_add HOST TORRENT: starts it, whether to download or to seed.
qbittorrent_add() {
    qbittorrent_api "$1" torrents/add -F "torrents=@$2" -F root_folder=true >/dev/null
}

# qbittorrent_add_unwanted HOST TORRENT INFO_HASH FILE_NAME...: the same, without these files.
qbittorrent_add_unwanted() {
    local name=$1 metainfo=$2 hash=$3 unwanted
    shift 3
    qbittorrent_api "$name" torrents/add -F "torrents=@$metainfo" -F root_folder=true -F paused=true >/dev/null
    wait_for 10 "qbittorrent to know the torrent" qbittorrent_api "$name" "torrents/files?hash=$hash"
    for unwanted; do
        # The answer is one line of JSON objects, each with its index before its name.
        qbittorrent_api "$name" "torrents/files?hash=$hash" | tr '{' '\n' | grep -F "/$unwanted\"" |
            sed 's/.*"index":\([0-9]*\).*/\1/' | while read -r index; do
            qbittorrent_api "$name" torrents/filePrio -d "hash=$hash&id=$index&priority=0"
        done
    done
    qbittorrent_api "$name" torrents/resume -d "hashes=$hash"
}

qbittorrent_has_all() {
    qbittorrent_api "$1" torrents/info | grep -q '"progress":1[,}]'
}

# rtorrent_client HOST FOLDER TORRENT [COMMAND...]: listens on 6884.
rtorrent_client() {
    local name=$1 folder=$2 metainfo=$3
    local session=$work/rtorrent-$name
    shift 3
    mkdir -p "$session" "$folder"
    {
        printf '%s\n' "directory.default.set = $folder" "session.path.set = $session" \
            'network.port_range.set = 6884-6884' 'network.port_random.set = no' \
            'dht.mode.set = disable' 'protocol.pex.set = no' 'trackers.use_udp.set = no' \
            'protocol.encryption.set = none' 'system.daemon.set = true' \
            "log.open_file = \"log\", $session/log" 'log.add_output = "debug", "log"' \
            "network.scgi.open_local = $session/rpc" "$@"
        echo "load.start = $metainfo"
    } >"$session/rc"
    start "$name" "rtorrent-$name" rtorrent -n -o "import=$session/rc"
    rtorrent_pid=$started
    wait_for 20 rtorrent listening "$name" 6884
}

# ctorrent_client HOST FILE TORRENT [OPTION...]: one download, then the end; listens on 6887.
ctorrent_client() {
    local name=$1 file=$2 metainfo=$3
    shift 3
    mkdir -p "$(dirname "$file")"
    start "$name" "ctorrent-$name" ctorrent -e 0 -p 6887 -s "$file" "$@" "$metainfo"
    ctorrent_pid=$started
    wait_for 20 ctorrent listening "$name" 6887
}

# libtorrent HOST LABEL OPTION...: see tools/libtorrent_peer.py.
libtorrent() {
    local name=$1 label=$2
    shift 2
    start "$name" "libtorrent-$label" /usr/bin/python3 -u "$captures/tools/libtorrent_peer.py" "$@"
    libtorrent_pid=$started
}
