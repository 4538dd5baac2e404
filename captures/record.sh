#!/usr/bin/env bash
# Records the reference captures again: real clients, in network namespaces
# made for the purpose, which nothing leaves. One scenario, one capture, one
# file in scenarios/.
set -Eeuo pipefail

captures=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly captures

usage() {
    cat <<'USAGE'
usage: record.sh all | <scenario>...     record (needs root)
       record.sh --list                  the scenarios, and what each shows
       record.sh --help

Writes <scenario>.pcap, .pcapng or .pcap.gz, and <scenario>.torrent, beside
this script; a capture replaces the old one only after its checks have passed.

  RECORD_INTO=DIR   write there instead
  RECORD_KEEP=1     keep the working folder (client logs, downloads)
USAGE
}

scenarios() {
    local file
    for file in "$captures"/scenarios/*.sh "$captures"/scenarios/diagnosis/*.sh; do
        file=${file#"$captures/scenarios/"}
        echo "${file%.sh}"
    done
}

list() {
    local scenario
    for scenario in $(scenarios); do
        printf '%-40s %s\n' "$scenario" "$(sed -n '1s/^# //p' "$captures/scenarios/$scenario.sh")"
    done
}

# Each command, and the Debian package it comes from.
readonly wanted='
    aria2c=aria2 cc=gcc capinfos=wireshark-common ctorrent=ctorrent curl=curl dumpcap=wireshark-common
    ethtool=ethtool ip=iproute2 mktorrent=mktorrent openssl=openssl
    opentracker=opentracker qbittorrent-nox=qbittorrent-nox rtorrent=rtorrent
    tcpdump=tcpdump transmission-daemon=transmission-daemon
    transmission-remote=transmission-cli transmission-show=transmission-cli
    tshark=tshark'

require_tools() {
    local pair missing=()
    for pair in $wanted; do
        command -v "${pair%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    # Debian's own interpreter: another python3 found first on the path would
    # not see Debian's libtorrent.
    /usr/bin/python3 -c 'import libtorrent' 2>/dev/null || missing+=(python3-libtorrent)
    if ((${#missing[@]})); then
        echo "record.sh: programs are missing; install them with" >&2
        echo "  apt-get install --no-install-recommends $(printf '%s\n' "${missing[@]}" | sort -u | xargs)" >&2
        exit 2
    fi
}

cleanup() {
    local status=$?
    trap - EXIT INT TERM
    stop_everything
    delete_hosts
    if [[ -n ${RECORD_KEEP:-} ]]; then
        echo "kept $work" >&2
    else
        rm -rf "$work"
    fi
    exit "$status"
}

record() {
    # A scenario of scenarios/diagnosis/ is kept in diagnosis/.
    scenario=${1##*/}
    into=${RECORD_INTO:-$captures}
    if [[ $1 == */* ]]; then
        into=$into/${1%/*}
    fi
    mkdir -p "$into"
    work=$(mktemp -d "${TMPDIR:-/tmp}/bittrace-captures.XXXXXX")
    # opentracker and tcpdump give up root, and must still find their files.
    chmod 755 "$work"
    source "$captures/tools/network.sh"
    source "$captures/tools/clients.sh"
    source "$captures/tools/content.sh"
    source "$captures/tools/checks.sh"
    source "$captures/tools/diagnosis.sh"
    trap cleanup EXIT
    trap 'exit 130' INT TERM
    trap 'echo "$scenario: ${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND" >&2' ERR
    echo "$1: recording" >&2
    source "$captures/scenarios/$1.sh"
    echo "$1: done" >&2
}

main() {
    case ${1:-} in
    '' | -h | --help) usage; exit "$((${#} == 0 ? 2 : 0))" ;;
    --list) list; exit ;;
    esac

    local names=("$@") name failed=()
    if [[ $1 == all ]]; then
        mapfile -t names < <(scenarios)
    fi
    for name in "${names[@]}"; do
        if [[ ! -f $captures/scenarios/$name.sh ]]; then
            echo "record.sh: no scenario '$name'; --list names them" >&2
            exit 2
        fi
    done
    if ((EUID != 0)); then
        echo "record.sh: needs root, to make network namespaces and to capture in them" >&2
        exit 2
    fi
    require_tools

    if ((${#names[@]} == 1)); then
        record "${names[0]}"
        exit
    fi
    # A process a scenario: one that fails is cleaned up and does not stop the rest.
    for name in "${names[@]}"; do
        "${BASH_SOURCE[0]}" "$name" || failed+=("$name")
    done
    if ((${#failed[@]})); then
        echo "record.sh: not recorded: ${failed[*]}" >&2
        exit 1
    fi
}

main "$@"
