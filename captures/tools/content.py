"""Writes BYTES bytes that do not compress and depend on SEED alone."""
import hashlib
import sys


def main(seed, size):
    written = 0
    counter = 0
    while written < size:
        # SHA-256 of a counter, and not a random generator: no version of Python can change it.
        chunk = hashlib.sha256(f"{seed}:{counter}".encode()).digest()[: size - written]
        sys.stdout.buffer.write(chunk)
        written += len(chunk)
        counter += 1


main(sys.argv[1], int(sys.argv[2]))
