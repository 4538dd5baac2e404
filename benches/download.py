#!/usr/bin/python3
"""How fast bittrace downloads, beside aria2, libtorrent and (where it is installed) rqbit.

    cargo build --release
    cargo build --release -p bittrace-client --examples
    /usr/bin/python3 benches/download.py [--gib 2] [--piece-kib 1024] [--rounds 3] [--seeder light] [CLIENT...]

All in one run, in turn, from the same seeder over loopback, with content and downloads in memory-backed storage
(/dev/shm). Prints, for each client, the median of the rounds: MiB/s, CPU seconds a GiB (of the client alone, then of
the seeder), and peak resident memory. Debian's python3-libtorrent and aria2 are what it wants, and rqbit from crates.io:

    cargo install --locked rqbit --no-default-features --features default-tls

The light seeder does next to nothing, so that the clients are what is measured; the other one is libtorrent in
high-performance settings, which takes a processor for itself. The client "bare" receives, hashes and writes, and
nothing else: no client can be much cheaper. "bare-twice" also writes all that it received to a second file: no recording
can be much cheaper.
"""
import argparse
import hashlib
import http.server
import os
import pathlib
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASE = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
SEEDER_PORT = 46881
BLOCK = 16 << 10

SETTINGS = """
import libtorrent as lt, sys, time
settings = lt.high_performance_seed()
settings.update({"listen_interfaces": "127.0.0.1:%s" % sys.argv[1], "enable_dht": False, "enable_lsd": False,
    "enable_upnp": False, "enable_natpmp": False, "allow_multiple_connections_per_ip": True,
    "in_enc_policy": 2, "out_enc_policy": 2, "enable_outgoing_utp": False, "enable_incoming_utp": False,
    "unchoke_slots_limit": -1, "max_allowed_in_request_queue": 2000, "max_out_request_queue": 2000,
    "alert_mask": 0, "announce_to_all_trackers": False})
session = lt.session(settings)
info = lt.torrent_info(sys.argv[2])
"""

SEED = SETTINGS + """
session.add_torrent({"ti": info, "save_path": sys.argv[3], "flags": lt.torrent_flags.seed_mode})
while True:
    time.sleep(3600)
"""

LEECH = SETTINGS + """
handle = session.add_torrent({"ti": info, "save_path": sys.argv[3]})
while not handle.status().is_seeding:
    time.sleep(0.01)
"""


# It would look around in the local network, and for a router that opens a port.
RQBIT = ["rqbit", "--disable-dht", "--disable-lsd", "--disable-upnp-port-forward", "--listen-ip", "127.0.0.1"]


class Tracker(http.server.BaseHTTPRequestHandler):
    """Hands out the seeder, whatever is asked."""

    def do_GET(self):
        peer = bytes([127, 0, 0, 1]) + SEEDER_PORT.to_bytes(2, "big")
        body = b"d8:completei1e10:incompletei1e8:intervali1800e5:peers6:" + peer + b"e"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, dict):
        return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"
    raise TypeError(value)


def make_content(path, size, piece_length, framed):
    """Bytes that do not compress, where framed as the piece message of each block; and the SHA-1 of each piece."""
    block = hashlib.shake_256(b"bittrace").digest(1 << 20)
    hashes = []
    with open(path, "wb") as file:
        piece = hashlib.sha1()
        in_piece = 0
        for number in range(size >> 20):
            chunk = number.to_bytes(8, "big") + block[8:]
            if framed:
                for at in range(0, len(chunk), BLOCK):
                    index, begin = divmod((number << 20) + at, piece_length)
                    file.write(struct.pack(">IBII", 9 + BLOCK, 7, index, begin))
                    file.write(chunk[at : at + BLOCK])
            else:
                file.write(chunk)
            at = 0
            while at < len(chunk):
                part = chunk[at : at + piece_length - in_piece]
                piece.update(part)
                in_piece += len(part)
                at += len(part)
                if in_piece == piece_length:
                    hashes.append(piece.digest())
                    piece, in_piece = hashlib.sha1(), 0
    return b"".join(hashes)


def clients(work, torrent, light):
    """Name, and the command that downloads into a folder and then ends."""
    bittrace, bare = RELEASE / "bittrace", RELEASE / "examples/bare"
    found = {}
    if light and bare.exists():
        found["bare"] = [str(bare), torrent, str(SEEDER_PORT), "{out}/content.bin"]
        found["bare-twice"] = found["bare"] + [f"{work}/live.pcapng"]
    if bittrace.exists():
        common = [str(bittrace), "download", torrent, "-q", "--port", "0", "--listen", "127.0.0.1", "-o", "{out}"]
        found["bittrace"] = common
        found["bittrace-recording"] = common + ["--record", f"{work}/live.pcapng"]
    if shutil.which("aria2c"):
        found["aria2"] = ["aria2c", "-q", "--dir={out}", "--seed-time=0", "--enable-dht=false", "--file-allocation=none",
                          "--bt-enable-lpd=false", "--listen-port=46990", "--summary-interval=0", torrent]
    if subprocess.run(["/usr/bin/python3", "-c", "import libtorrent"], capture_output=True).returncode == 0:
        found["libtorrent"] = ["/usr/bin/python3", "-c", LEECH, "46991", torrent, "{out}"]
    if shutil.which("rqbit"):
        found["rqbit"] = [*RQBIT, "download", "--disable-http-api", "-e", "-o", "{out}", torrent]
    return found


def cpu_seconds(pid):
    """The processor time that a process has had so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch_memory(pid, peaks):
    """Notes the most memory that a process was in, until it ends: what is counted for it at its end includes what this
    program was in when it started it."""
    try:
        while True:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            peaks.extend(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))
            time.sleep(0.02)
    except (FileNotFoundError, ProcessLookupError):
        pass


def run(command, out, seeder):
    """Wall seconds, CPU seconds of client and seeder, and peak resident bytes of one download."""
    out.mkdir()
    command = [part.replace("{out}", str(out)) for part in command]
    seeded = cpu_seconds(seeder.pid)
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peaks = [0]
    threading.Thread(target=watch_memory, args=[process.pid, peaks]).start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[0]} ended with {process.returncode}")
    return wall, usage.ru_utime + usage.ru_stime, cpu_seconds(seeder.pid) - seeded, max(peaks)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=2)
    parser.add_argument("--piece-kib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeder", choices=["light", "libtorrent"], default="light")
    parser.add_argument("clients", nargs="*")
    options = parser.parse_args()
    size = int(options.gib * 1024) << 20
    work = pathlib.Path(tempfile.mkdtemp(prefix="bittrace-bench-", dir="/dev/shm"))
    seeder = None
    try:
        tracker = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tracker)
        threading.Thread(target=tracker.serve_forever, daemon=True).start()
        (work / "seed").mkdir()
        light = options.seeder == "light"
        content = work / "seed/content.bin"
        pieces = make_content(content, size, options.piece_kib << 10, light)
        torrent = work / "content.torrent"
        torrent.write_bytes(bencode({
            b"announce": b"http://127.0.0.1:%d/announce" % tracker.server_port,
            b"info": {b"length": size, b"name": b"content.bin", b"piece length": options.piece_kib << 10,
                      b"pieces": pieces},
        }))
        if light:
            command = [str(RELEASE / "examples/seed"), str(torrent), str(content), str(SEEDER_PORT)]
        else:
            command = ["/usr/bin/python3", "-c", SEED, str(SEEDER_PORT), str(torrent), str(work / "seed")]
        seeder = subprocess.Popen(command, stdin=subprocess.PIPE)
        time.sleep(2)
        found = clients(work, str(torrent), light)
        chosen = options.clients or list(found)
        figures = {name: [] for name in chosen}
        for number in range(options.rounds):
            for name in chosen:
                out = work / "out"
                figures[name].append(run(found[name], out, seeder))
                whole = (out / "content.bin").stat().st_size == size
                if not whole:
                    sys.exit(f"{name}: the download is not whole")
                shutil.rmtree(out)
                (work / "live.pcapng").unlink(missing_ok=True)
        print(f"{options.gib:g} GiB, pieces of {options.piece_kib} KiB, {options.rounds} rounds, medians, "
              f"{options.seeder} seeder")
        print(f"{'client':<20}{'MiB/s':>8}{'CPU s/GiB':>11}{'seeder':>8}{'peak MiB':>10}")
        for name, runs in figures.items():
            wall, cpu, seeding, memory = (statistics.median(column) for column in zip(*runs))
            print(f"{name:<20}{size / wall / (1 << 20):>8.0f}{cpu / options.gib:>11.2f}"
                  f"{seeding / options.gib:>8.2f}{memory / (1 << 20):>10.0f}")
    finally:
        if seeder:
            seeder.kill()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
