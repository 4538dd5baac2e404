"""Writes BYTES bytes that depend on SEED alone, and that do not compress.

usage: content.py SEED BYTES            no two parts are alike
       content.py SEED BYTES numbered   each KiB is its number and then what every KiB has: it compresses well
"""
import hashlib
import sys

KIB = 1024


def digest(seed, counter):
    # SHA-256 of a counter, and not a random generator: no version of Python can change it.
    return hashlib.sha256(f"{seed}:{counter}".encode()).digest()


def main(seed, size, kind=""):
    written = 0
    counter = 0
    same = b"".join(digest(seed, f"same-{part}") for part in range(KIB // 32))
    while written < size:
        chunk = digest(seed, counter)
        if kind == "numbered":
            chunk = b"%08d" % counter + same[8:]
        chunk = chunk[: size - written]
        sys.stdout.buffer.write(chunk)
        written += len(chunk)
        counter += 1


main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
