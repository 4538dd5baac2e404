"""Takes from a pcapng file what it says of the machine that recorded it.

dumpcap writes the processor and the kernel into the section header and the
interface description. Everything else stays as dumpcap wrote it.
"""
import struct
import sys

SECTION_HEADER = 0x0A0D0D0A
INTERFACE = 1
# Block type: (bytes before its options, options to drop: shb_hardware and shb_os, if_os).
DROPPED = {SECTION_HEADER: (16, {2, 3}), INTERFACE: (8, {12})}


def without(options, dropped):
    kept = b""
    at = 0
    while at < len(options):
        code, length = struct.unpack_from("<HH", options, at)
        end = at + 4 + (length + 3) // 4 * 4
        if code not in dropped:
            kept += options[at:end]
        at = end
    return kept


def main(source, target):
    with open(source, "rb") as file:
        data = file.read()
    out = b""
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        body = data[at + 8 : at + length - 4]
        if kind in DROPPED:
            fixed, dropped = DROPPED[kind]
            body = body[:fixed] + without(body[fixed:], dropped)
        total = struct.pack("<I", len(body) + 12)
        out += struct.pack("<I", kind) + total + body + total
        at += length
    with open(target, "wb") as file:
        file.write(out)


main(sys.argv[1], sys.argv[2])
