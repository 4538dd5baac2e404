"""Captures for benches/analyze.py: pcapng files of any size, with Ethernet frames at MTU 1500, and the count of the
messages in them, known from making them.

    /usr/bin/python3 benches/captures.py large OUT.pcapng [MIB]
    /usr/bin/python3 benches/captures.py chatty OUT.pcapng [MIB]

`large` is a download from eight peers at once: 16 KiB blocks in segments of 1,448 bytes, acknowledged every second
segment; of a thousand segments one comes late and one comes twice. `chatty` is small messages alone, mostly one a
segment: haves, and requests that are cancelled and rejected, as peers with the fast extension do at the end of a
download. Everybody keeps to the rules, so there is nothing to complain of. Beside the capture stand OUT.torrent, and
OUT.json with the messages by name.
"""
import collections
import hashlib
import json
import pathlib
import random
import socket
import struct
import sys

BLOCK = 16 << 10
PIECE = 1 << 20
SEGMENT = 1448
PEERS = 8
# BEP 3 gives the ids to 8, BEP 6 those from 13.
CHOKE, UNCHOKE, INTERESTED, HAVE, BITFIELD, REQUEST, PIECE_ID, CANCEL, REJECT = 0, 1, 2, 4, 5, 6, 7, 8, 16
FAST = bytes([0, 0, 0, 0, 0, 0, 0, 4])
SYN, ACK, PUSH = 2, 16, 8


def message(number, *values, rest=b""):
    """A peer-wire message of these 32-bit numbers, and what follows them."""
    return struct.pack(">IB%dI" % len(values), 1 + 4 * len(values) + len(rest), number, *values) + rest


class Capture:
    """A pcapng file that grows by a packet at a time."""

    def __init__(self, path):
        self.file = open(path, "wb", buffering=1 << 20)
        self.micros = 1_700_000_000_000_000
        self.written = 0
        self.write(struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28))
        self.write(struct.pack("<IIHHII", 1, 20, 1, 0, 0, 20))

    def write(self, data):
        self.written += self.file.write(data)

    def packet(self, head, payload):
        """An enhanced packet block, ten microseconds after the one before it."""
        self.micros += 10
        length = len(head) + len(payload)
        padding = -length % 4
        total = 32 + length + padding
        block = struct.pack("<7I", 6, total, 0, self.micros >> 32, self.micros & 0xFFFFFFFF, length, length)
        self.write(b"".join((block, head, payload, bytes(padding), struct.pack("<I", total))))


class Side:
    """One end of a connection: what stands in the headers of its packets."""

    def __init__(self, mac, address, port, sequence):
        self.mac, self.address, self.port, self.sequence = mac, address, port, sequence


class Connection:
    """Two ends, and the packets between them."""

    def __init__(self, capture, number):
        self.capture = capture
        self.local = Side(bytes([2, 0, 0, 0, 0, 1]), socket.inet_aton("10.0.0.1"), 40000 + number, 1000)
        peer = socket.inet_aton("10.0.1.%d" % (number + 1))
        self.far = Side(bytes([2, 0, 0, 0, 1, number]), peer, 6881, 5000)
        self.unacknowledged = 0
        self.heads = {True: self.head(self.local, self.far), False: self.head(self.far, self.local)}
        for out, flags in [(True, SYN), (False, SYN | ACK), (True, ACK)]:
            self.send(out, b"", flags)

    @staticmethod
    def head(source, destination):
        ethernet = destination.mac + source.mac + b"\x08\x00"
        ports = struct.pack(">HH", source.port, destination.port)
        return ethernet, source.address + destination.address + ports

    def made(self, out, payload, flags=ACK | PUSH):
        """The headers of the next segment, after which the next one follows on."""
        source, destination = (self.local, self.far) if out else (self.far, self.local)
        ethernet, ends = self.heads[out]
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 52 + len(payload), 0, 0x4000, 64, 6, 0)
        tcp = struct.pack(">IIBBHHH", source.sequence, destination.sequence if flags & ACK else 0, 0x80, flags, 65535, 0, 0)
        source.sequence = source.sequence + len(payload) + (flags & SYN != 0) & 0xFFFFFFFF
        # Two paddings and a timestamp (RFC 7323), as everybody sends.
        return b"".join((ethernet, ip, ends, tcp, b"\x01\x01\x08\x0a\0\0\0\1\0\0\0\1"))

    def send(self, out, payload, flags=ACK | PUSH):
        self.capture.packet(self.made(out, payload, flags), payload)

    def stream(self, out, data, chance):
        """Sends `data` in full segments; some of them come late, some twice, and each second is acknowledged."""
        late = None
        for start in range(0, len(data), SEGMENT):
            payload = data[start:start + SEGMENT]
            packet = self.made(out, payload), payload
            draw = chance.random()
            if draw < 0.001 and late is None:
                late = packet
                continue
            self.capture.packet(*packet)
            if late is not None:
                self.capture.packet(*late)
                late = None
            if draw > 0.999:
                self.capture.packet(*packet)
            self.unacknowledged += 1
            if self.unacknowledged == 2:
                self.unacknowledged = 0
                self.send(not out, b"", ACK)
        if late is not None:
            self.capture.packet(*late)


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"


def torrent(pieces):
    info = {b"length": len(pieces) * PIECE, b"name": b"content", b"piece length": PIECE}
    info[b"pieces"] = b"".join(hashlib.sha1(piece).digest() for piece in pieces)
    return bencode({b"announce": b"http://10.0.0.9/announce", b"info": info}), hashlib.sha1(bencode(info)).digest()


def greet(connection, number, info_hash, pieces, counts):
    """Both ends say who they are; the far end has everything and unchokes us."""
    head = bytes([19]) + b"BitTorrent protocol" + FAST + info_hash
    field = bytearray(-(-pieces // 8))
    for index in range(pieces):
        field[index // 8] |= 0x80 >> index % 8
    connection.send(True, head + b"-LT2080-abcdefghijkl")
    connection.send(False, head + b"-TR3000-%012d" % number)
    connection.send(True, message(15))
    connection.send(False, message(BITFIELD, rest=bytes(field)))
    connection.send(True, message(INTERESTED))
    connection.send(False, message(UNCHOKE))
    counts.update({"handshake": 2, "have-none": 1, "bitfield": 1, "interested": 1, "unchoke": 1})


def large(capture, size, chance):
    """Pieces from all peers in turn, a block of each at a time."""
    # A few different pieces, over and over: what costs is their number, and making them would cost more.
    different = [chance.randbytes(PIECE) for _ in range(4)]
    pieces = [different[index % 4] for index in range(max(PEERS, size // PIECE // PEERS * PEERS))]
    metainfo, info_hash = torrent(pieces)
    counts = collections.Counter()
    connections = [Connection(capture, number) for number in range(PEERS)]
    for number, connection in enumerate(connections):
        greet(connection, number, info_hash, len(pieces), counts)
    ahead = 8
    for first in range(0, len(pieces), PEERS):
        for begin in range(0, PIECE, BLOCK):
            for number, connection in enumerate(connections):
                index = first + number
                if begin % (ahead * BLOCK) == 0:
                    asked = [message(REQUEST, index, begin + BLOCK * more, BLOCK) for more in range(ahead)]
                    connection.send(True, b"".join(asked))
                    counts["request"] += ahead
                block = pieces[index][begin:begin + BLOCK]
                connection.stream(False, message(PIECE_ID, index, begin, rest=block), chance)
                counts["piece"] += 1
        for index in range(first, first + PEERS):
            for connection in connections:
                connection.send(True, message(HAVE, index))
                counts["have"] += 1
    return metainfo, counts


def chatty(capture, size, chance):
    """Haves, and requests that come to nothing."""
    pieces = 4096
    metainfo, info_hash = torrent([bytes(PIECE)] * pieces)
    counts = collections.Counter()
    connections = [Connection(capture, number) for number in range(PEERS)]
    for number, connection in enumerate(connections):
        greet(connection, number, info_hash, pieces, counts)
    had = 0
    while capture.written < size:
        for connection in connections:
            index = chance.randrange(pieces)
            block = index, chance.randrange(PIECE // BLOCK) * BLOCK, BLOCK
            connection.send(True, message(REQUEST, *block))
            connection.send(True, message(CANCEL, *block))
            connection.send(False, message(REJECT, *block))
            counts.update({"request": 1, "cancel": 1, "reject-request": 1})
            if had < pieces * 3:
                connection.send(True, message(HAVE, had // 3))
                counts["have"] += 1
            elif chance.random() < 0.2:
                # Now and then several messages share a segment.
                connection.send(True, message(REQUEST, *block) + message(CANCEL, *block))
                connection.send(False, message(REJECT, *block))
                counts.update({"request": 1, "cancel": 1, "reject-request": 1})
        had += 1
    return metainfo, counts


KINDS = {"large": large, "chatty": chatty}


def make(kind, path, mib):
    """Writes the capture and what stands beside it; the same every time."""
    path = pathlib.Path(path)
    capture = Capture(path)
    metainfo, counts = KINDS[kind](capture, mib << 20, random.Random(kind))
    capture.file.close()
    path.with_suffix(".torrent").write_bytes(metainfo)
    path.with_suffix(".json").write_text(json.dumps(counts, indent=1))


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in KINDS:
        sys.exit(__doc__)
    make(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) == 4 else 600)
