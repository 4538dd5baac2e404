"""What bittrace browse costs on a large capture: the time to the first screen, the time of a key press, the time to read
all and to filter all, and memory.

    /usr/bin/python3 benches/captures.py chatty /tmp/chatty.pcapng 110
    /usr/bin/python3 benches/browse.py target/release/bittrace /tmp/chatty.pcapng

The program runs in a pseudo terminal. The time of a key is from the key to the last byte of the screen that it draws; each
key is pressed while nothing else happens, and once more while the capture is read.
"""
import os
import pty
import re
import select
import statistics
import struct
import sys
import termios
import time
from fcntl import ioctl

ROWS, COLUMNS = 45, 140


class Browser:
    """The program in a pseudo terminal."""

    def __init__(self, program, *arguments):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", LANG="C.UTF-8")
            os.execv(program, [program, "browse", *arguments])
        ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def drawn(self, quiet, longest=10.0):
        """What is written until nothing comes for so many seconds, and the seconds until the last of it came."""
        begun = last = time.perf_counter()
        data = b""
        while time.perf_counter() - begun < longest:
            if not select.select([self.terminal], [], [], quiet)[0]:
                break
            try:
                data += os.read(self.terminal, 1 << 16)
            except OSError:
                break
            last = time.perf_counter()
        return data, last - begun

    def until(self, pattern, longest):
        """The seconds until a pattern is drawn."""
        begun, data = time.perf_counter(), b""
        while time.perf_counter() - begun < longest:
            if select.select([self.terminal], [], [], 0.01)[0]:
                data += os.read(self.terminal, 1 << 16)
                if re.search(pattern, data):
                    return time.perf_counter() - begun
        sys.exit("browse.py: %r is not drawn within %d s; the end: %r" % (pattern, longest, data[-2000:]))

    def wait_while(self, pattern, quiet):
        """Waits until a screen that is drawn anew, after the page of keys, does not have the pattern."""
        while True:
            self.drawn(quiet, 600)
            self.press(b"?")
            self.drawn(0.2)
            self.press(b"?")
            if not re.search(pattern, self.drawn(0.2)[0]):
                return

    def press(self, keys):
        os.write(self.terminal, keys)

    def key(self, key, quiet=0.02):
        """The milliseconds of a key press."""
        self.press(key)
        return self.drawn(quiet)[1] * 1000

    def memory(self):
        """Memory now and at most, in MB: what is the program's own, without pages of files."""
        with open("/proc/%d/status" % self.pid) as status:
            found = dict(re.findall(r"(RssAnon|VmHWM):\s+(\d+) kB", status.read()))
        return int(found["RssAnon"]) / 1000, int(found["VmHWM"]) / 1000

    def quit(self):
        self.press(b"\x03")
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


def row(what, times):
    ordered = sorted(times)
    print("%-34s median %6.1f ms   worst %6.1f ms   (%d)" % (what, statistics.median(ordered), ordered[-1], len(ordered)))


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    program, arguments = sys.argv[1], sys.argv[2:]
    begun = time.perf_counter()
    browser = Browser(program, *arguments)
    browser.until(rb"elapsed", 10)
    browser.until(rb"0\.\d{6}", 10)
    print("%-34s %6.0f ms" % ("first screen with messages", (time.perf_counter() - begun) * 1000))
    while_reading = []
    for _ in range(20):
        before = time.perf_counter()
        browser.press(b"j")
        # The mark of the cursor moves: what else is drawn meanwhile does not have it.
        browser.until(rb">", 5)
        while_reading.append((time.perf_counter() - before) * 1000)
    row("j, while the capture is read", while_reading)
    # The name of the screen's end is there when all is read: no "so far" any more.
    browser.press(b"G")
    browser.wait_while(rb"so far", 0.5)
    print("%-34s %6.1f s" % ("all read", time.perf_counter() - begun))
    print("%-34s %6.0f MB, at most %.0f MB" % (("memory",) + browser.memory()))
    for what, key, times in [
        ("j", b"j", 40), ("page down", b"\x1b[6~", 40), ("k at the end (G k)", b"Gk", 10), ("g", b"g", 5), ("G", b"G", 5),
        ("Tab", b"\t", 9), ("n, next finding", b"n", 5), ("a, answer", b"a", 10), ("z, run", b"z", 10),
    ]:
        if what == "j":
            browser.key(b"g")
        row(what, [browser.key(key) for _ in range(times)])
    browser.key(b"g")
    browser.press(b"/message == bitfield || stream == 3 && latency > 1\r")
    begun = time.perf_counter()
    row("j, while a filter runs", [browser.key(b"j", 0.005) for _ in range(10)])
    browser.wait_while(rb"\(\d+ %\)", 0.3)
    print("%-34s %6.1f s" % ("all filtered", time.perf_counter() - begun))
    print("%-34s %6.0f MB, at most %.0f MB" % (("memory",) + browser.memory()))
    browser.quit()


main()
