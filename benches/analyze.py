#!/usr/bin/python3
"""How fast bittrace reads captures, beside tshark and beside reading the file at all.

    cargo build --release
    /usr/bin/python3 benches/analyze.py [--mib 600] [--rounds 3] [--kind large|chatty] [--without-tshark]

Makes the captures of benches/captures.py in memory-backed storage (/dev/shm; --dir for elsewhere), then reads each of
them with every reader, in turn, all in one run. Prints the medians of the rounds: megabytes a second, how many times
tshark's rate that is, CPU seconds, and peak resident memory. bittrace's counts of messages must be those that the
generator knows, or the run fails; tshark is told of what it missed. tshark is run once, being slow.
"""
import argparse
import collections
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading
import time

import captures

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASE = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
# tshark's numbers of the messages (BEP 3 and BEP 6), by our names.
IDS = {"have": 4, "bitfield": 5, "request": 6, "piece": 7, "cancel": 8, "reject-request": 16}


def readers(path, with_tshark):
    """What is measured, by name: a command line and how often it is run."""
    program = [str(RELEASE / "bittrace"), "analyze", "--quiet", str(path)]
    torrent = ["--torrent", str(path.with_suffix(".torrent"))]
    every = {
        "cat": ["cat", str(path)],
        "bittrace summary": program + ["--view", "summary", "--format", "json"],
        "bittrace summary, hashing": program + ["--view", "summary", "--format", "json"] + torrent,
        "bittrace five fields": program + ["--view", "messages", "--format", "csv", "--fields", "n,frames,src,dst,message"],
        "bittrace every message": program + ["--view", "messages", "--format", "json"],
    }
    if with_tshark:
        fields = ["-e", "frame.number", "-e", "ip.src", "-e", "ip.dst", "-e", "bittorrent.msg.type"]
        every["tshark"] = ["tshark", "-r", str(path), "-Y", "bittorrent", "-T", "fields", *fields]
    return every


def run(command, output):
    """Seconds, CPU seconds, and KiB of memory that a command takes, writing its output to a file."""
    peaks = []
    start = time.monotonic()
    with open(output, "wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        watcher = threading.Thread(target=watch, args=(child.pid, peaks))
        watcher.start()
        _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - start
    watcher.join()
    if status:
        sys.exit(f"{' '.join(command)} ended with status {status}")
    return seconds, usage.ru_utime + usage.ru_stime, max(peaks, default=0)


def watch(process, peaks):
    """Notes the peak of a process's resident memory until it is gone. What the system tells at its end counts this
    program's own memory, from before the other one began."""
    try:
        while True:
            status = pathlib.Path(f"/proc/{process}/status").read_text()
            peaks += [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")]
            time.sleep(0.01)
    except OSError:
        pass


def check_ours(output, expected):
    """Holds the closing object's counts to those that the generator knows."""
    summary = json.loads(output.read_text().splitlines()[-1])["summary"]
    names = {name.removeprefix("peer-wire."): count for name, count in summary["messages"].items()}
    if names != expected:
        sys.exit(f"bittrace counts {names}, but there are {expected}")


def check_tshark(output, expected):
    """Says what tshark found of the messages that it has numbers for."""
    found = collections.Counter()
    with open(output) as lines:
        for line in lines:
            found.update(line.rstrip("\n").split("\t")[-1].split(","))
    missed = {name: f"{found[str(number)]:,} of {expected[name]:,}" for name, number in IDS.items()
              if name in expected and found[str(number)] != expected[name]}
    return f"; tshark found {', '.join(f'{name} {what}' for name, what in missed.items())}" if missed else ""


def measure(kind, arguments, folder):
    path = folder / f"{kind}.pcapng"
    captures.make(kind, path, arguments.mib)
    size = path.stat().st_size
    expected = json.loads(path.with_suffix(".json").read_text())
    output = pathlib.Path("/dev/null")
    figures = collections.defaultdict(list)
    told = ""
    for round_ in range(arguments.rounds):
        for name, command in readers(path, not arguments.without_tshark and round_ == 0).items():
            keeps = name in ("bittrace summary", "bittrace summary, hashing", "tshark")
            into = folder / "output" if keeps else output
            figures[name].append(run(command, into))
            if name == "tshark":
                told = check_tshark(into, expected)
            elif keeps:
                check_ours(into, expected)
    print(f"\n{kind}: {size / 1e6:,.0f} MB, {sum(expected.values()):,} messages{told}")
    print(f"  {'reader':28}{'MB/s':>8}{'x tshark':>10}{'CPU s':>8}{'MiB':>6}")
    medians = {name: [statistics.median(column) for column in zip(*runs)] for name, runs in figures.items()}
    slowest = medians.get("tshark", [None])[0]
    for name, (seconds, cpu, memory) in medians.items():
        times = f"{slowest / seconds:.1f}" if slowest else ""
        print(f"  {name:28}{size / 1e6 / seconds:8,.0f}{times:>10}{cpu:8.2f}{memory / 1024:6.0f}", flush=True)
    for suffix in (".pcapng", ".torrent", ".json"):
        path.with_suffix(suffix).unlink()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kind", choices=captures.KINDS)
    parser.add_argument("--without-tshark", action="store_true")
    parser.add_argument("--dir", type=pathlib.Path, default=pathlib.Path("/dev/shm"))
    arguments = parser.parse_args()
    if shutil.which("tshark") is None and not arguments.without_tshark:
        sys.exit("tshark is not installed; --without-tshark measures the rest")
    folder = arguments.dir / f"bittrace-bench-{os.getpid()}"
    folder.mkdir()
    try:
        for kind in [arguments.kind] if arguments.kind else captures.KINDS:
            measure(kind, arguments, folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
