#!/usr/bin/python3
"""The Windows program under Wine, beside the Linux program.

    /usr/bin/python3 .ci/windows.py bittrace.exe bittrace

Every capture gives the same bytes of output. A client that runs under replay ends with it. 50 MB come over loopback from a
seeder of ours, from a run that is killed and another that carries on; the recording is read while it is written, and both
recordings are read by tshark.

Debian's Wine lacks a library that Rust programs load. Before the first run, with WINEPREFIX set to a folder of its own:

    wineboot --init
    x86_64-w64-mingw32-gcc -O2 -shared .ci/bcryptprimitives.c -ladvapi32 \\
        -o "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll"
"""
import concurrent.futures
import hashlib
import http.server
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PIECE = 256 << 10
LENGTH = 50_000_000
# The speed of the seeder, KiB/s, so that there is a middle of the run to kill it in.
SPEED = 6_000


def fail(text):
    sys.exit(f"windows.py: {text}")


def compare(windows, linux):
    """Runs both programs over every capture."""

    def output(program, separator, arguments, paths):
        names = [str(path.relative_to(ROOT)).replace("/", separator) for path in paths]
        known = ["--torrent", names[1]] if len(names) > 1 else []
        ran = subprocess.run([*program, *arguments, names[0], *known], cwd=ROOT, capture_output=True)
        # JSON doubles the separator.
        return ran.returncode, *(text.replace(b"captures\\\\", b"captures/").replace(b"captures\\", b"captures/")
                                 for text in (ran.stdout, ran.stderr))

    def both(capture, format):
        torrent = capture.with_name(capture.name.split(".")[0] + ".torrent")
        paths = [capture, torrent] if torrent.exists() else [capture]
        arguments = ["analyze", "--color", "never", "--format", format]
        if output(["wine", windows], "\\", arguments, paths) != output([linux], "/", arguments, paths):
            fail(f"{capture.name}, {format}: the output differs from that on Linux")

    runs = [(capture, format) for capture in sorted((ROOT / "captures").glob("*.pcap*")) for format in ["table", "json"]]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        for done in [threads.submit(both, *run) for run in runs]:
            done.result()
    print(f"{len(runs)} outputs over the captures are the same as on Linux")


class Tracker(http.server.BaseHTTPRequestHandler):
    """Hands out the seeder, whatever is asked."""

    port = 0

    def do_GET(self):
        peer = bytes([127, 0, 0, 1]) + self.port.to_bytes(2, "big")
        body = b"d8:intervali1800e5:peers6:" + peer + b"e"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def read_recording(path):
    """How many messages and how many bytes of blocks tshark finds; none may be malformed."""
    fields = ["-T", "fields", "-e", "bittorrent.msg.type", "-e", "_ws.malformed"]
    ran = subprocess.run(["tshark", "-r", path, "-Y", "bittorrent || _ws.malformed", *fields], capture_output=True, text=True)
    rows = [row.partition("\t") for row in ran.stdout.splitlines()]
    if any(malformed for _, _, malformed in rows):
        fail(f"{path}: tshark finds malformed messages")
    types = ",".join(row[0] for row in rows).split(",")
    return sum(kind in ("7", "0x07") for kind in types)


def download(windows, linux):
    """Downloads, is killed, and carries on."""
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        content = b"".join(hashlib.shake_256(number.to_bytes(4, "big")).digest(PIECE) for number in range(LENGTH // PIECE + 1))
        content = content[:LENGTH]
        (work / "seed").mkdir()
        (work / "seed/content.bin").write_bytes(content)
        hashes = b"".join(hashlib.sha1(content[at : at + PIECE]).digest() for at in range(0, LENGTH, PIECE))
        tracker = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tracker)
        Tracker.port = free_port()
        threading.Thread(target=tracker.serve_forever, daemon=True).start()
        url = b"http://127.0.0.1:%d/announce" % tracker.server_port
        torrent = work / "content.torrent"
        torrent.write_bytes(
            b"d8:announce%d:%s4:infod6:lengthi%de4:name11:content.bin12:piece lengthi%de6:pieces%d:%see"
            % (len(url), url, LENGTH, PIECE, len(hashes), hashes))
        common = ["download", torrent, "--listen", "127.0.0.1", "--port"]
        seeder = subprocess.Popen([linux, *common, str(Tracker.port), "-q", "-o", work / "seed", "--seed=",
                                   "--upload-limit", str(SPEED)])
        try:
            recordings = [work / "killed.pcapng", work / "rest.pcapng"]
            runs = [["wine", windows, *common, "0", "-o", work / "out", "--record", recording] for recording in recordings]
            killed = subprocess.Popen(runs[0], stdout=subprocess.DEVNULL)
            part = work / "out/content.bin.part"
            limit = time.monotonic() + 60
            while not part.exists() or part.stat().st_blocks * 512 < LENGTH // 4:
                if killed.poll() is not None or time.monotonic() > limit:
                    fail(f"the first run did not come to its middle: {killed.poll()}")
                time.sleep(0.02)
            ran = subprocess.run(["wine", windows, "analyze", "-q", "--view", "summary", "--format", "json", recordings[0]],
                                 capture_output=True, text=True, timeout=60)
            if ran.returncode != 0 or '"peer-wire.piece"' not in ran.stdout:
                fail(f"a recording that is being written is not read: {ran.returncode} {ran.stdout} {ran.stderr}")
            killed.send_signal(signal.SIGKILL)
            killed.wait()
            ran = subprocess.run(runs[1], capture_output=True, text=True, timeout=120)
            before = re.search(r"already present +(\d+) pieces", ran.stdout)
            if ran.returncode != 0 or not before:
                fail(f"the second run did not carry on: {ran.returncode}\n{ran.stdout}\n{ran.stderr}")
            if (work / "out/content.bin").read_bytes() != content or len(os.listdir(work / "out")) != 1:
                fail(f"the content is not whole and alone: {os.listdir(work / 'out')}")
            blocks = [read_recording(recording) for recording in recordings]
            wanted = -(-LENGTH // (16 << 10)) - int(before[1]) * (PIECE >> 14)
            if blocks[0] < int(before[1]) * (PIECE >> 14) * 9 // 10 or blocks[1] < wanted:
                fail(f"tshark finds {blocks} blocks in the recordings, {wanted} were fetched by the second run")
            print(f"{LENGTH} bytes downloaded; the second run found {before[1]} pieces; tshark finds {blocks} blocks")
        finally:
            seeder.kill()
            tracker.shutdown()


def devices(windows):
    """Names of devices are refused, not opened."""
    for arguments in [["analyze", "CON"], ["analyze", "nul"], ["analyze", r"captures\aux.pcap"],
                      ["analyze", r"captures\download-aria2.pcap:x"], ["torrent", "show", "COM1"]]:
        ran = subprocess.run(["wine", windows, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)
        if ran.returncode != 2 or "on Windows" not in ran.stderr:
            fail(f"{arguments}: {ran.returncode} {ran.stderr}")
    print("devices and streams are refused")


def arguments(process):
    """The arguments of a process; none where it has ended meanwhile."""
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def processes(marker):
    """How many processes have this among their arguments."""
    return sum(marker in arguments(process) for process in pathlib.Path("/proc").glob("[0-9]*"))


def replay(windows):
    """A client under replay: what it says is compared, and it ends with a replay that is killed."""
    capture = r"captures\download-aria2.pcap"
    client = [windows, "download", "{torrent}", "-o", "{dir}", "--port", "{port}", "--listen", "127.0.0.1"]
    ran = subprocess.run(["wine", windows, "replay", capture, "--", *client], cwd=ROOT, capture_output=True, text=True,
                         timeout=120)
    if ran.returncode not in (0, 1) or not re.search(r"coverage\s+[0-9.]+ %", ran.stdout):
        fail(f"replay of a client: {ran.returncode}\n{ran.stdout}\n{ran.stderr}")
    # A child of the client's own, told from others by how long it waits.
    seconds = 40_000 + os.getpid() % 10_000
    marker = b"-n\0%d\0" % seconds
    running = subprocess.Popen(["wine", windows, "replay", capture, "--", "cmd", "/c", f"ping -n {seconds} 127.0.0.1"],
                               cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 60
    while processes(marker) == 0:
        if running.poll() is not None or time.monotonic() > limit:
            fail(f"the client under replay did not start: {running.poll()}")
        time.sleep(0.1)
    running.kill()
    running.wait()
    while processes(marker):
        if time.monotonic() > limit:
            fail("a child of the client outlives the replay that was killed")
        time.sleep(0.1)
    print("a client under replay is compared, and ends with the replay")


def main():
    windows, linux = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    compare(windows, linux)
    devices(windows)
    replay(windows)
    download(windows, linux)


main()
