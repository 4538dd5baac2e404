#!/usr/bin/python3
"""How fast bittrace, libtorrent and rqbit carry a torrent over loopback, from each to each: over uTP, TCP, and TCP with RC4.

    cargo build --release
    /usr/bin/python3 benches/utp.py [--mib 240] [--rounds 3] [--record] [--way uTP] [--binary target/release/bittrace]

One run seeds, another one downloads, both in one way alone; content and downloads are in memory-backed storage (/dev/shm).
Prints, for each way and pair, the median of the rounds: MiB/s of the download, its start included, the CPU seconds a GiB of
both runs together, and how many datagrams found the receiver's buffer full (of all programs on the machine; Linux). With --record
each download of bittrace is measured a second time, recording all that it sends and receives. Debian's python3-libtorrent and
rqbit (benches/download.py says from where) are what it wants; where one is missing, it is left out. rqbit does not encrypt.
"""
import argparse
import hashlib
import http.server
import importlib.util
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from download import RQBIT, SEEDER_PORT, SETTINGS, Tracker, bencode

ROOT = pathlib.Path(__file__).resolve().parent.parent
PIECE = 1 << 20

# Of each way: the options of bittrace, the settings of libtorrent, and the options of rqbit, where it has the way.
WAYS = {
    "uTP": (["--encryption", "off", "--utp", "require"],
        {"enable_outgoing_tcp": False, "enable_incoming_tcp": False, "enable_outgoing_utp": True, "enable_incoming_utp": True},
        ["--experimental-enable-utp-listen", "--disable-tcp-listen", "--disable-tcp-connect"]),
    "TCP": (["--encryption", "off", "--utp", "off"], {}, []),
    "TCP, RC4": (["--encryption", "require", "--utp", "off"],
        {"in_enc_policy": 0, "out_enc_policy": 0, "allowed_enc_level": 2, "prefer_rc4": True}, None),
}

LIBTORRENT = SETTINGS + """
session.apply_settings(eval(sys.argv[4]))
params = {"ti": info, "save_path": sys.argv[3]}
if sys.argv[5] == "seed":
    params["flags"] = lt.torrent_flags.seed_mode
handle = session.add_torrent(params)
while sys.argv[5] == "seed" or not handle.status().is_seeding:
    time.sleep(0.01)
"""


def make_torrent(path, content, announce):
    pieces = b"".join(hashlib.sha1(content[at : at + PIECE]).digest() for at in range(0, len(content), PIECE))
    info = {b"length": len(content), b"name": b"content", b"piece length": PIECE, b"pieces": pieces}
    path.write_bytes(bencode({b"announce": announce, b"info": info}))


def cpu_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def dropped():
    """How many datagrams found a receiver's buffer full since the machine began."""
    try:
        names, counts = (line.split() for line in open("/proc/net/snmp") if line.startswith("Udp:"))
    except OSError:
        return 0
    return int(counts[names.index("RcvbufErrors")])


def command(client, role, way, torrent, folder, options, recorded):
    """The words that start a client."""
    ours, theirs, rqbits = WAYS[way]
    port = SEEDER_PORT if role == "seed" else 0
    if client == "rqbit":
        # Another port than that of the seeder, which is on the same address.
        words = [*RQBIT, *rqbits, "--listen-port", str(port or SEEDER_PORT + 2), "download", "--disable-http-api", "--overwrite"]
        return [*words, *([] if role == "seed" else ["--exit-on-finish"]), "-o", folder, torrent]
    if client == "libtorrent":
        # Another port than that of the seeder, which is on the same address.
        return [sys.executable, "-c", LIBTORRENT, str(port or SEEDER_PORT + 1), torrent, folder, repr(theirs), role]
    words = [options.binary, "download", torrent, "-o", folder, "--port", str(port), "--listen", "127.0.0.1", "--quiet",
        "--no-dht", "--no-lsd", *ours]
    if role == "seed":
        words.append("--seed")
    elif recorded:
        words += ["--record", folder.parent / "run.pcapng"]
    return words


def transfer(seeder, leecher, way, torrent, folder, options, recorded):
    """The seconds of a download, the CPU seconds of both ends, and the datagrams that were dropped."""
    before, full = cpu_of_children(), dropped()
    words = command(seeder, "seed", way, torrent, folder / "seed", options, False)
    seeding = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        # It hashes its content first.
        time.sleep(3)
        output = folder / "out"
        words = command(leecher, "leech", way, torrent, output, options, recorded)
        began = time.monotonic()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, timeout=600)
        took = time.monotonic() - began
        assert (output / "content").read_bytes() == (folder / "seed" / "content").read_bytes()
        shutil.rmtree(output)
    finally:
        seeding.terminate()
        seeding.wait()
    return took, cpu_of_children() - before, dropped() - full


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--mib", type=int, default=240)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--record", action="store_true")
    options.add_argument("--way", choices=WAYS, action="append")
    options.add_argument("--binary", default=ROOT / "target/release/bittrace")
    options = options.parse_args()
    has_libtorrent = importlib.util.find_spec("libtorrent") is not None
    clients = ["bittrace"] + ["libtorrent"] * has_libtorrent + ["rqbit"] * (shutil.which("rqbit") is not None)
    tracker = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tracker)
    threading.Thread(target=tracker.serve_forever, daemon=True).start()
    announce = b"http://127.0.0.1:%d/announce" % tracker.server_address[1]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = pathlib.Path(name)
        (folder / "seed").mkdir()
        content = os.urandom(options.mib << 20)
        (folder / "seed" / "content").write_bytes(content)
        torrent = folder / "it.torrent"
        make_torrent(torrent, content, announce)
        print(f"{'way':9} {'from':11} {'to':11} {'':9} {'MiB/s':>8} {'CPU s/GiB':>10} {'dropped':>8}")
        pairs = [
            (way, seeder, leecher, recorded)
            for way in options.way or WAYS
            for seeder in clients
            for leecher in clients
            for recorded in (False, True)
            if not recorded or options.record and leecher == "bittrace"
            if WAYS[way][2] is not None or "rqbit" not in (seeder, leecher)
        ]
        rounds = {pair: [] for pair in pairs}
        for _ in range(options.rounds):
            for way, seeder, leecher, recorded in pairs:
                one = transfer(seeder, leecher, way, torrent, folder, options, recorded)
                rounds[way, seeder, leecher, recorded].append(one)
        for (way, seeder, leecher, recorded), all_of_it in rounds.items():
            rate = statistics.median(options.mib / took for took, _, _ in all_of_it)
            cpu = statistics.median(cpu * 1024 / options.mib for _, cpu, _ in all_of_it)
            full = statistics.median(full for _, _, full in all_of_it)
            note = "recorded" if recorded else ""
            print(f"{way:9} {seeder:11} {leecher:11} {note:9} {rate:8.1f} {cpu:10.2f} {full:8.0f}", flush=True)


if __name__ == "__main__":
    main()
