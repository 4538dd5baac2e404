# Content and torrents, the same on every run. Sourced by record.sh.

# content SEED BYTES PATH: a file that does not compress, fixed by its seed.
content() {
    mkdir -p "$(dirname "$3")"
    /usr/bin/python3 "$captures/tools/content.py" "$1" "$2" >"$3"
}

# numbered_content SEED BYTES PATH: the same, but one that compresses well, so that
# megabytes of it make a small capture.
numbered_content() {
    mkdir -p "$(dirname "$3")"
    /usr/bin/python3 "$captures/tools/content.py" "$1" "$2" numbered >"$3"
}

# torrent NAME EXPONENT PATH [ANNOUNCE URL]: $work/NAME.torrent over PATH, its
# pieces of 2^EXPONENT bytes, with no tracker if the URL is given and empty; its info hash in $info_hash.
torrent() {
    local announce=(-a "${4-http://10.77.0.1:6969/announce}")
    if [[ $# == 4 && -z $4 ]]; then
        announce=()
    fi
    # -d: no creation date, or the file would differ on every run.
    mktorrent -d -l "$2" "${announce[@]}" -o "$work/$1.torrent" "$3" >/dev/null
    info_hash=$(info_hash_of "$work/$1.torrent")
}

info_hash_of() {
    transmission-show "$1" | sed -n 's/^ *Hash: //p'
}

# url_escaped INFO_HASH: as an announce has it.
url_escaped() {
    sed 's/../%&/g' <<<"$1"
}

# The content of the four download-* scenarios: the last of the eight pieces is
# shorter and ends in a block of 17 bytes.
download_content() {
    content download 245777 "$work/content/download.bin"
    torrent download 15 "$work/content/download.bin"
}
