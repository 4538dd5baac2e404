#!/usr/bin/python3
"""How many instructions bittrace takes for each message (chatty) or MiB (large) of a capture, counted by callgrind.

    cargo build --profile profiling
    /usr/bin/python3 benches/instructions.py [--program PROGRAM] [--before PROGRAM] [--kind large|chatty]

Counts hardly differ from run to run and do not depend on what else the machine does, so that a change of one in a hundred
shows. They say nothing of waiting, of memory, and of work that another thread takes over: benches/analyze.py measures those.
`--before` counts the same with another program, and gives the ratio. Exits with 1 when a count is over its limit.
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import captures

# What is read of each capture: the name, the command, and the most instructions for each message of the chatty capture.
READERS = [
    ("summary", ["analyze"], None),
    ("diagnosis", ["diagnose"], None),
    ("messages as JSON", ["analyze", "--view", "messages", "--format", "json"], 7_500),
    ("messages as CSV", ["analyze", "--view", "messages", "--format", "csv"], None),
]
SIZES = {"large": 32, "chatty": 6}


def instructions(program, arguments, path, folder):
    """The instructions of one run."""
    counts = folder / "callgrind.out"
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={counts}", program, *arguments, path]
    run = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode or not found:
        sys.exit(f"{' '.join(map(str, command))} ended with status {run.returncode}\n{run.stderr}")
    return int(found.group(1))


def measure(kind, arguments, folder):
    """Counts all readers of one capture: whether all are within their limits."""
    path = folder / f"{kind}.pcapng"
    captures.make(kind, path, SIZES[kind])
    messages = sum(json.loads(path.with_suffix(".json").read_text()).values())
    each, unit = (messages, "message") if kind == "chatty" else (SIZES[kind], "MiB")
    print(f"\n{kind}: {messages:,} messages in {path.stat().st_size / 1e6:,.1f} MB; instructions for each {unit}")
    within = True
    for name, command, most in READERS:
        count = instructions(arguments.program, command, path, folder) / each
        line = f"  {name:20}{count:12,.0f}"
        if arguments.before:
            before = instructions(arguments.before, command, path, folder) / each
            line += f"{before:12,.0f} before{count / before:8.3f}"
        if kind == "chatty" and most and count > most:
            line += f"   over {most:,}"
            within = False
        print(line, flush=True)
    return within


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=pathlib.Path("target/profiling/bittrace"))
    parser.add_argument("--before", type=pathlib.Path)
    parser.add_argument("--kind", choices=SIZES)
    arguments = parser.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed")
    with tempfile.TemporaryDirectory() as folder:
        kinds = [arguments.kind] if arguments.kind else list(SIZES)
        within = [measure(kind, arguments, pathlib.Path(folder)) for kind in kinds]
    sys.exit(0 if all(within) else 1)


if __name__ == "__main__":
    main()
