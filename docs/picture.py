#!/usr/bin/env python3
"""Draws the output of bittrace as a picture.

    docs/picture.py target/release/bittrace docs/analyze.svg

The picture of README.md: the command below is run in captures/ with colours, and its lines become text of an SVG. Only
Python is needed. Run this again when the tables change.
"""

import html
import os
import re
import subprocess
import sys

COMMAND = [
    "analyze",
    "http-tracker-single-peer.pcap",
    "--view",
    "conversations,messages",
    "--limit",
    "30",
]
COLUMNS = 92
FONT_SIZE = 14
ADVANCE = 8.43  # of a monospaced font of that size
LINE = 19
MARGIN = 16

# Colours of a terminal by the number of SGR (ECMA-48, "select graphic rendition").
COLOURS = {"31": "#f47067", "32": "#6bc46d", "33": "#daaa3f", "34": "#6cb6ff", "35": "#dcbdfb", "36": "#56d4dd"}
BACKGROUND, TEXT, DIM = "#1c2128", "#d1d7e0", "#8b949e"


def output(program):
    environment = dict(os.environ, COLUMNS=str(COLUMNS), LC_ALL="C.UTF-8")
    captures = os.path.join(os.path.dirname(__file__), "..", "captures")
    command = [os.path.abspath(program), *COMMAND, "--color", "always"]
    run = subprocess.run(command, cwd=captures, env=environment, check=True, capture_output=True, text=True)
    return run.stdout.strip("\n").split("\n")


def styled(codes):
    """The attributes of a text by the codes that are on."""
    colour = next((COLOURS[code] for code in codes if code in COLOURS), DIM if "2" in codes else TEXT)
    weight = ' font-weight="bold"' if "1" in codes else ""
    return f'fill="{colour}"{weight}'


def spans(line, on):
    """The parts of a line with their attributes; `on` has the codes that are on, and goes from line to line."""
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if part.startswith("\x1b["):
            for code in part[2:-1].split(";"):
                if code in ("", "0"):
                    on.clear()
                else:
                    on.append(code)
        elif part:
            yield styled(on), part


def draw(lines):
    width = COLUMNS * ADVANCE + 2 * MARGIN
    height = (len(lines) + 1) * LINE + 2 * MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}" font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" '
        f'font-size="{FONT_SIZE}">'
    )
    yield f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>'
    prompt = [f"\x1b[1m$ bittrace {' '.join(COMMAND)}\x1b[0m"]
    on = []
    for row, line in enumerate(prompt + lines):
        y = MARGIN + (row + 0.75) * LINE
        column = 0
        for attributes, text in spans(line, on):
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


def main():
    program, picture = sys.argv[1:]
    with open(picture, "w", encoding="utf-8") as file:
        file.write("\n".join(draw(output(program))))


if __name__ == "__main__":
    main()
