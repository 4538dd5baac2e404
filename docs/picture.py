#!/usr/bin/env python3
"""Draws the output of bittrace as pictures, those of README.md.

    docs/picture.py analyze target/release/bittrace docs/analyze.svg
    docs/picture.py browse target/release/bittrace docs/browse.svg
    docs/picture.py page target/release/bittrace docs/page.png

`analyze` runs the command below in captures/ with colours, and its lines become text of an SVG; only Python is needed.
`browse` runs the terminal browser in tmux and draws its screen. `page` takes a picture of the HTML page in Chromium, and
needs Pillow to make it small. Run these again when the tables, the browser or the page change.
"""

import html
import os
import re
import subprocess
import sys
import tempfile
import time

COMMAND = [
    "analyze",
    "http-tracker-single-peer.pcap",
    "--view",
    "conversations,messages",
    "--limit",
    "30",
]
COLUMNS = 92
BROWSE = ["browse", "corrupt-peer.pcap.gz", "--torrent", "corrupt-peer.torrent"]
BROWSE_SIZE = (100, 30)
# To the first finding, its fields, and the one that names the piece.
BROWSE_KEYS = ["g", "n", "n", "Tab", "Down", "Down"]
PAGE = ["analyze", "corrupt-peer.pcap.gz", "--torrent", "corrupt-peer.torrent"]
PAGE_SIZE = (1280, 1010)
FONT_SIZE = 14
ADVANCE = 8.43  # of a monospaced font of that size
LINE = 19
MARGIN = 16

# Colours of a terminal by the number of SGR (ECMA-48, "select graphic rendition").
COLOURS = {"31": "#f47067", "32": "#6bc46d", "33": "#daaa3f", "34": "#6cb6ff", "35": "#dcbdfb", "36": "#56d4dd"}
BACKGROUND, TEXT, DIM = "#1c2128", "#d1d7e0", "#8b949e"
# What turns a code off again.
ENDS = {"22": ("1", "2"), "24": ("4",), "27": ("7",), "39": tuple(COLOURS)}

CAPTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "captures")


def output(program):
    environment = dict(os.environ, COLUMNS=str(COLUMNS), LC_ALL="C.UTF-8")
    command = [program, *COMMAND, "--color", "always"]
    run = subprocess.run(command, cwd=CAPTURES, env=environment, check=True, capture_output=True, text=True)
    return run.stdout.strip("\n").split("\n")


def screen(program):
    """The screen of the browser, after some keys."""
    columns, rows = BROWSE_SIZE
    tmux = ["tmux", "-L", "bittrace-picture", "-f", "/dev/null"]
    browse = " ".join([program, *BROWSE])
    start = [*tmux, "new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", CAPTURES, browse]
    subprocess.run(start, env=dict(os.environ, LC_ALL="C.UTF-8"), check=True)
    try:
        for key in ["", *BROWSE_KEYS]:
            time.sleep(0.5)
            if key:
                subprocess.run([*tmux, "send-keys", key], check=True)
        time.sleep(0.5)
        capture = [*tmux, "capture-pane", "-e", "-p"]
        return subprocess.run(capture, check=True, capture_output=True, text=True).stdout.rstrip("\n").split("\n")
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)


def styled(codes):
    """The attributes of a text by the codes that are on, and the colour behind it where it has one."""
    colour = next((COLOURS[code] for code in codes if code in COLOURS), DIM if "2" in codes else TEXT)
    weight = ' font-weight="bold"' if "1" in codes else ""
    if "7" in codes:
        return f'fill="{BACKGROUND}"{weight}', colour
    return f'fill="{colour}"{weight}', None


def spans(line, on):
    """The parts of a line with their attributes; `on` has the codes that are on, and goes from line to line."""
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if part.startswith("\x1b["):
            for code in part[2:-1].split(";"):
                if code in ("", "0"):
                    on.clear()
                elif code in ENDS:
                    on[:] = [other for other in on if other not in ENDS[code]]
                else:
                    on.append(code)
        elif part:
            yield *styled(on), part


def draw(lines, columns):
    width = columns * ADVANCE + 2 * MARGIN
    height = len(lines) * LINE + 2 * MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}" font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" '
        f'font-size="{FONT_SIZE}">'
    )
    yield f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>'
    on = []
    for row, line in enumerate(lines):
        y = MARGIN + (row + 0.75) * LINE
        column = 0
        for attributes, behind, text in spans(line, on):
            if behind:
                yield (
                    f'<rect x="{MARGIN + column * ADVANCE:.1f}" y="{y - 0.75 * LINE:.1f}" '
                    f'width="{len(text) * ADVANCE:.1f}" height="{LINE}" fill="{behind}"/>'
                )
            bare = text.strip(" ")
            if bare:
                x = MARGIN + (column + len(text) - len(text.lstrip(" "))) * ADVANCE
                length = len(bare) * ADVANCE
                # The length holds columns in line whatever font there is.
                yield (
                    f'<text x="{x:.1f}" y="{y:.1f}" textLength="{length:.1f}" xml:space="preserve" {attributes}>'
                    f"{html.escape(bare)}</text>"
                )
            column += len(text)
    yield "</svg>\n"


def page(program, picture):
    """A picture of the HTML page, with the first wrong block selected."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        written, shot = os.path.join(folder, "page.html"), os.path.join(folder, "page.png")
        subprocess.run([program, *PAGE, "--quiet", "--html", written], cwd=CAPTURES, check=True)
        chromium = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        chromium += ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
        chromium += [f"--user-data-dir={folder}/profile", f"--window-size={PAGE_SIZE[0]},{PAGE_SIZE[1]}"]
        subprocess.run([*chromium, f"--screenshot={shot}", f"file://{written}#n=36"], check=True, capture_output=True)
        image = Image.open(shot).convert("RGB")
        image.quantize(128, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(picture, optimize=True)


def main():
    kind, program, picture = sys.argv[1:]
    program = os.path.abspath(program)
    if kind == "page":
        return page(program, picture)
    if kind == "browse":
        lines, columns = screen(program), BROWSE_SIZE[0]
    else:
        lines, columns = [f"\x1b[1m$ bittrace {' '.join(COMMAND)}\x1b[0m", *output(program)], COLUMNS
    with open(picture, "w", encoding="utf-8") as file:
        file.write("\n".join(draw(lines, columns)))


if __name__ == "__main__":
    main()
