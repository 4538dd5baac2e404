#!/usr/bin/python3
"""How fast bittrace reads many small captures: in one process, in several with --jobs, with xargs, and beside tshark;
and how fast DuckDB then asks for the commonest findings.

    cargo build --release --features columnar
    /usr/bin/python3 benches/many.py [--captures 365] [--spoilt 5] [--jobs 2] [--rounds 3] [--program PROGRAM]

Makes a folder of links to the captures of captures/, with every tenth one cut somewhere and some spoilt, then reads it
in every way, in turn, all in one run. Prints the medians of the rounds: seconds, CPU seconds, milliseconds a capture,
the peak of resident memory of all processes together, and the size of the closing object. What the ways of bittrace
write as JSON must be the same bytes, with a row for every capture, or the run fails; DuckDB must find the same rows in
JSON and in Parquet. tshark, which is slow, runs once; it and DuckDB are left out where they are not on PATH, and
Parquet where the program has no columns.
"""
import argparse
import collections
import hashlib
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASE = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "bittrace"


def make(folder, captures, spoilt):
    """Fills a folder with captures, the same ones each time."""
    chosen = random.Random(5)
    known = sorted(path for path in (ROOT / "captures").iterdir() if ".pcap" in path.name)
    broken = set(chosen.sample(range(captures), spoilt))
    for number in range(captures):
        source = known[number % len(known)]
        path = folder / f"{number:06}-{source.name}"
        if number in broken:
            path.write_bytes(chosen.choice([b"", b"no capture at all", source.read_bytes()[:3]]))
        elif number % 10 == 3:
            whole = source.read_bytes()
            path.write_bytes(whole[: chosen.randrange(200, len(whole))])
        else:
            path.symlink_to(source)


def xargs(folder, jobs, each, command):
    """A command line that runs a command on `each` captures at a time, `jobs` at once."""
    script = "find \"$0\" -name '*.pcap*' -print0 | sort -z | xargs -0 -P \"$1\" -n \"$2\" \"${@:3}\" 2>&1; true"
    return ["bash", "-c", script, str(folder), str(jobs), str(each), *command]


def ways(program, folder, jobs):
    """What is measured, by name: a command line. All of these write JSON."""
    analyze = [program, "analyze", "--quiet", "--format", "json"]
    return {
        "one process": [*analyze, str(folder)],
        "--jobs 1": [*analyze, str(folder), "--jobs", "1"],
        f"--jobs {jobs}": [*analyze, str(folder), "--jobs", str(jobs)],
        f"xargs -P {jobs} -n 1": xargs(folder, jobs, 1, analyze),
        f"xargs -P {jobs} -n 16": xargs(folder, jobs, 16, analyze),
    }


def parquet(program, folder, jobs, tables):
    """A command line that writes tables of all captures."""
    analyze = [program, "analyze", "--quiet", "--format", "parquet", "--overwrite"]
    return [*analyze, "-o", str(tables), "--jobs", str(jobs), str(folder)]


def run(command, output, folder=None):
    """Seconds, CPU seconds and KiB of memory that a command and all that it starts take, in a folder."""
    peaks = [0]
    start = time.monotonic()
    with open(output, "wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, cwd=folder)
        watcher = threading.Thread(target=watch, args=(child.pid, peaks))
        watcher.start()
        _, _, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - start
    watcher.join()
    return seconds, usage.ru_utime + usage.ru_stime, max(peaks)


def watch(process, peaks):
    """Notes the resident memory of a process and all below it until it is gone."""
    while pathlib.Path(f"/proc/{process}").exists():
        peaks.append(sum(map(resident, [process, *below(process)])))
        time.sleep(0.01)


def below(process):
    try:
        children = pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []
    return [other for child in children for other in (int(child), *below(int(child)))]


def resident(process):
    try:
        status = pathlib.Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


def check(output, captures, spoilt):
    """Holds the output to the captures; its digest, and the size of the closing object."""
    lines = output.read_bytes().splitlines()
    rows = [json.loads(line)["capture"] for line in lines if line.startswith(b'{"capture":')]
    summary = json.loads(lines[-1])["summary"]
    failed = sum(not row["ok"] for row in rows)
    if (len(rows), summary["capture_count"], failed, summary["failed"]) != (captures, captures, spoilt, spoilt):
        sys.exit(f"{len(rows)} rows, {failed} of captures that failed, and the closing object is {summary}")
    return hashlib.sha256(output.read_bytes()).hexdigest(), len(lines[-1])


def measure_others(arguments, scratch, folder, figures):
    """Tables of columns, DuckDB and tshark, as far as they are there. messages.ndjson is in the scratch folder."""
    jobs, output, tables = arguments.jobs, scratch / "output", scratch / "out"
    written = [run(parquet(arguments.program, folder, jobs, tables), output) for _ in range(arguments.rounds)]
    recipes = {"DuckDB, of JSON": "findings_ndjson.sql"}
    if (tables / "_manifest.json").exists():
        figures[f"Parquet, --jobs {jobs}"] = written
        recipes["DuckDB, of Parquet"] = "findings.sql"
    if shutil.which("duckdb"):
        answers = set()
        for name, recipe in recipes.items():
            command = ["duckdb", "-csv", "-f", str(ROOT / "docs" / "recipes" / recipe)]
            figures[name] = [run(command, output, scratch) for _ in range(arguments.rounds)]
            answers.add(output.read_text())
        # A header and five findings, then a header and the captures that could not be read.
        if len(answers) != 1 or len(answers.pop().splitlines()) != 7 + arguments.spoilt:
            sys.exit("what DuckDB finds is not the same in JSON and in Parquet, or not as much as there is")
    if shutil.which("tshark"):
        tshark = ["tshark", "-n", "-Y", "bittorrent", "-T", "fields", "-e", "frame.number", "-r"]
        figures[f"tshark, xargs -P {jobs}"] = [run(xargs(folder, jobs, 1, tshark), output)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captures", type=int, default=365)
    parser.add_argument("--spoilt", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--program", default=str(RELEASE))
    arguments = parser.parse_args()
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="bittrace-bench-"))
    try:
        folder = scratch / "captures"
        folder.mkdir()
        make(folder, arguments.captures, arguments.spoilt)
        figures, digests, closing = collections.defaultdict(list), set(), 0
        for _ in range(arguments.rounds):
            for name, command in ways(arguments.program, folder, arguments.jobs).items():
                output = scratch / "output"
                figures[name].append(run(command, output))
                if name == f"--jobs {arguments.jobs}":
                    output.replace(scratch / "messages.ndjson")
                    output = scratch / "messages.ndjson"
                if "xargs" not in name:
                    digest, closing = check(output, arguments.captures, arguments.spoilt)
                    digests.add(digest)
        if len(digests) != 1:
            sys.exit("the number of jobs shows in the output")
        measure_others(arguments, scratch, folder, figures)
        print(f"{arguments.captures:,} captures, {arguments.spoilt} spoilt; closing object {closing:,} bytes")
        print(f"  {'way':22}{'s':>8}{'CPU s':>8}{'ms each':>9}{'MiB':>6}")
        for name, runs in figures.items():
            seconds, cpu, memory = [statistics.median(column) for column in zip(*runs)]
            each = 1000 * seconds / arguments.captures
            print(f"  {name:22}{seconds:8.2f}{cpu:8.2f}{each:9.2f}{memory / 1024:6.0f}")
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
