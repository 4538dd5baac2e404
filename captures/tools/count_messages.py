"""Counts the packets and messages in a capture, as lines of CAPTURE, MESSAGE, COUNT.

A witness for the tests, independent of the code they test: it knows nothing
but framing, and leaves packets and their reassembly from fragments to tshark.
Only whole messages count; what RC4 hides does where a .keys file beside the
capture has the secret of the connection.

usage: count_messages.py CAPTURE...
"""
import collections
import gzip
import os
import struct
import subprocess
import sys

import libtorrent

import mse
from streams import joined_from, packets, payload

HANDSHAKE = b"\x13BitTorrent protocol"
# Where a handshake may still begin: behind the longest MSE exchange.
FARTHEST_HANDSHAKE = 2000
TYPES = dict(enumerate("choke unchoke interested not-interested have bitfield request piece cancel port".split()))
TYPES |= dict(enumerate("suggest-piece have-all have-none reject-request allowed-fast".split(), 13))
TYPES |= {20: "extended", 21: "hash-request", 22: "hashes", 23: "hash-reject"}
LENGTHS = {0: 1, 1: 1, 2: 1, 3: 1, 4: 5, 6: 13, 8: 13, 9: 3, 13: 5, 14: 1, 15: 1, 16: 13, 17: 5}
LONGEST = 9 + 16384


def deciphered(streams, capture):
    """Puts what an encrypted connection says in the place of its bytes, where its key is known; counts its opening."""
    found = collections.Counter()
    path = capture.split(".pcap")[0] + ".keys"
    keys = mse.read_keys(path) if os.path.exists(path) else []
    for one in list(streams) if keys else []:
        for other in streams:
            if other[0] == one[0] and other != one and (clear := mse.decipher(streams[one], streams[other], keys)):
                streams[one], streams[other], opening = clear
                found.update(opening)
    return found


def peer_wire(stream, at):
    """The messages from there to the end, and whether all of them are possible."""
    found = collections.Counter()
    while at + 4 <= len(stream):
        length = struct.unpack_from(">I", stream, at)[0]
        kind = stream[at + 4] if length and at + 4 < len(stream) else None
        if kind is not None and LENGTHS.get(kind, length) != length:
            return found, False
        if at + 4 + length > len(stream):
            return found, kind in (None, *TYPES) and length <= LONGEST
        name = "keep-alive" if kind is None else TYPES.get(kind, "unknown")
        found["peer-wire." + name] += 1
        at += 4 + length
    return found, True


def without_a_beginning(stream):
    """The first place from where everything is a message, in a stream that was joined late."""
    for at in range(min(len(stream), LONGEST + 4)):
        found, possible = peer_wire(stream, at)
        if possible and sum(found.values()) >= 5 and not found["peer-wire.unknown"]:
            if found["peer-wire.keep-alive"] <= 2 and len(found) > 1 or found["peer-wire.piece"] >= 5:
                return found
    return collections.Counter()


def http_tracker(request, answer):
    """One request, if a tracker is what it is to, and the answer."""
    path = request.split(b" ", 2)[1]
    if b"info_hash=" not in path or b"&piece=" in path:
        return {}
    kind = path.split(b"?")[0].rsplit(b"/", 1)[-1].decode()
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"chunked" in head.lower():
        body, rest = b"", body
        while rest and (size := int(rest.split(b"\r\n", 1)[0], 16)):
            rest = rest.split(b"\r\n", 1)[1]
            body, rest = body + rest[:size], rest[size + 2 :]
    if b"content-encoding: gzip" in head.lower():
        body = gzip.decompress(body)
    found = collections.Counter({f"http-tracker.{kind}-request": 1})
    if b"14:failure reason" in body:
        found["http-tracker.error"] += 1
    elif body.startswith(b"d"):
        found[f"http-tracker.{kind}-response"] += 1
    return found


def seeds(capture):
    """The URLs of the web seeds in the torrent beside the capture."""
    path = capture.split(".pcap")[0] + ".torrent"
    if not os.path.exists(path):
        return []
    with open(path, "rb") as file:
        torrent = libtorrent.bdecode(file.read())
    urls = torrent.get(b"url-list", [])
    return ([urls] if isinstance(urls, bytes) else urls) + torrent.get(b"httpseeds", [])


def web_seed(requests, answers, urls):
    """The requests of one connection, if a web seed is what they are to; the answers, and their bodies in 16 KiB."""
    heads = [head.split(b"\r\n") for head in requests.split(b"\r\n\r\n") if head]
    hosts = [next((line[6:] for line in head if line.lower().startswith(b"host: ")), b"") for head in heads]
    # libtorrent leaves the port out of the Host header.
    first = hosts[0].split(b":")[0], heads[0][0].split()[1].split(b"?")[0]
    if first not in [(url.split(b"/")[2].split(b":")[0], b"/" + url.split(b"/", 3)[3]) for url in urls]:
        return {}
    found, at = collections.Counter({"web-seed.request": len(heads)}), 0
    while (end := answers.find(b"\r\n\r\n", at) + 4) > 3:
        length = int(answers[at:end].lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        found["web-seed.response"] += 1
        if answers[at:end].split()[1].startswith(b"2"):
            found["web-seed.data"] += -(-min(length, len(answers) - end) // 16384)
        at = end + length
    return found


def udp_tracker(packet, data):
    names = ["connect", "announce", "scrape"]
    if packet["udp.dstport"] == "6969":
        return f"udp-tracker.{names[struct.unpack_from('>I', data, 8)[0]]}-request"
    action = struct.unpack_from(">I", data)[0]
    return "udp-tracker.error" if action == 3 else f"udp-tracker.{names[action]}-response"


def dht(packet, data, asked):
    message = libtorrent.bdecode(data)
    if message[b"y"] == b"q":
        asked[packet["ip.src"], message[b"t"]] = message[b"q"].decode()
        return f"dht.{message[b'q'].decode()}-query"
    if message[b"y"] == b"r":
        return f"dht.{asked[packet['ip.dst'], message[b't']]}-response"
    return "dht.error"


def utp(data):
    """The sequence number and the bytes of a uTP packet that has any (BEP 29)."""
    at, extension = 20, data[1]
    while extension:
        extension, at = data[at], at + 2 + data[at + 1]
    return struct.unpack_from(">H", data, 16)[0], data[at:]


def frames(capture):
    lines = subprocess.run(["tshark", "-r", capture, "-T", "fields", "-e", "frame.number"],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return len(lines.stdout.splitlines())


def count(capture):
    found = collections.Counter(packets=frames(capture))
    tcp, first, utps, asked = collections.defaultdict(list), {}, collections.defaultdict(dict), {}
    for packet in packets(capture):
        if packet["tcp.stream"]:
            key = int(packet["tcp.stream"]), packet["ip.src"] + packet["ipv6.src"], packet["tcp.srcport"]
            sequence = int(packet["tcp.seq_raw"])
            if packet["tcp.flags.syn"] in ("1", "True"):
                first[key] = sequence + 1
            if packet["tcp.payload"]:
                tcp[key].append((sequence, payload(packet["tcp.payload"])))
        elif packet["udp.payload"]:
            data = payload(packet["udp.payload"])
            if "6969" in (packet["udp.srcport"], packet["udp.dstport"]):
                found[udp_tracker(packet, data)] += 1
            elif data.startswith(b"BT-SEARCH"):
                found["lsd.announce"] += 1
            elif data.startswith(b"d1:") or data.startswith(b"d2:ip"):
                found[dht(packet, data, asked)] += 1
            elif len(data) >= 20 and data[0] in (0x01, 0x11, 0x21, 0x31, 0x41) and data[1] <= 2:
                sequence, part = utp(data)
                if part:
                    utps[packet["ip.src"], packet["udp.srcport"]][sequence] = part

    streams = {key: joined_from(first.get(key), parts) for key, parts in tcp.items()}
    found.update(deciphered(streams, capture))
    for (index, *_), stream in streams.items():
        if stream.startswith(b"GET "):
            answers = [other for (its, *_), other in streams.items() if its == index and other is not stream]
            found.update(http_tracker(stream, answers[0] if answers else b""))
            found.update(web_seed(stream, answers[0] if answers else b"", seeds(capture)))
    for number, stream in enumerate(utps.values()):
        streams[-1 - number, "", ""] = b"".join(stream[sequence] for sequence in sorted(stream))
        first[-1 - number, "", ""] = 0
    for key, stream in streams.items():
        at = stream.find(HANDSHAKE, 0, FARTHEST_HANDSHAKE)
        if at >= 0 and not stream.startswith(b"GET ") and not stream.startswith(b"HTTP"):
            found["peer-wire.handshake"] += 1
            found.update(peer_wire(stream, at + 68)[0])
        elif key not in first:
            found.update(without_a_beginning(stream))
    return found


def main(captures):
    for capture in captures:
        for message, number in sorted(count(capture).items()):
            print(os.path.basename(capture), message, number, sep="\t")


if __name__ == "__main__":
    main(sys.argv[1:])
