#!/usr/bin/python3
"""How fast bittrace carries a torrent from itself to itself over loopback: over uTP, and over TCP beside it.

    cargo build --release
    /usr/bin/python3 benches/utp.py [--mib 240] [--rounds 3] [--record] [--binary target/release/bittrace]

One run seeds, another one downloads, both with one transport alone; content and downloads are in memory-backed storage
(/dev/shm). Prints, for each transport, the median of the rounds: MiB/s of the download, its start included, and the CPU
seconds a GiB of both runs together. With --record the download records all that it sends and receives.
"""
import argparse
import hashlib
import http.server
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import tempfile
import threading
import time

from download import SEEDER_PORT, Tracker, bencode

ROOT = pathlib.Path(__file__).resolve().parent.parent
PIECE = 1 << 20


def make_torrent(path, content, announce):
    pieces = b"".join(hashlib.sha1(content[at : at + PIECE]).digest() for at in range(0, len(content), PIECE))
    info = {b"length": len(content), b"name": b"content", b"piece length": PIECE, b"pieces": pieces}
    path.write_bytes(bencode({b"announce": announce, b"info": info}))


def cpu_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def transfer(binary, folder, torrent, utp, record):
    """The seconds of a download, and the CPU seconds of both ends."""
    common = ["--listen", "127.0.0.1", "--encryption", "off", "--utp", utp, "--quiet"]
    before = cpu_of_children()
    seed = [binary, "download", torrent, "-o", folder / "seed", "--seed", "--port", str(SEEDER_PORT), *common]
    seeder = subprocess.Popen(seed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        # It hashes its content first.
        time.sleep(3)
        output = folder / "out"
        download = [binary, "download", torrent, "-o", output, "--port", "0", *common]
        if record:
            download += ["--record", folder / "run.pcapng"]
        began = time.monotonic()
        subprocess.run(download, check=True, stdout=subprocess.DEVNULL, timeout=600)
        took = time.monotonic() - began
        assert (output / "content").read_bytes() == (folder / "seed" / "content").read_bytes()
        shutil.rmtree(output)
    finally:
        seeder.terminate()
        seeder.wait()
    return took, cpu_of_children() - before


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--mib", type=int, default=240)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--record", action="store_true")
    options.add_argument("--binary", default=ROOT / "target/release/bittrace")
    options = options.parse_args()
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
        print(f"{'transport':9} {'MiB/s':>8} {'CPU s/GiB':>10}")
        for transport, utp in [("uTP", "require"), ("TCP", "off")]:
            rounds = [transfer(options.binary, folder, torrent, utp, options.record) for _ in range(options.rounds)]
            rate = statistics.median(options.mib / took for took, _ in rounds)
            cpu = statistics.median(cpu * 1024 / options.mib for _, cpu in rounds)
            print(f"{transport:9} {rate:8.1f} {cpu:10.2f}", flush=True)


if __name__ == "__main__":
    main()
