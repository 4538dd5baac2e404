"""The packets of a capture, read by tshark, and the TCP streams that they carry."""
import collections
import subprocess

FIELDS = "tcp.stream ip.src ipv6.src tcp.srcport tcp.dstport udp.srcport udp.dstport ip.dst tcp.seq_raw tcp.flags.syn tcp.payload udp.payload"


def packets(capture):
    fields = FIELDS.split()
    command = ["tshark", "-r", capture, "-Y", "tcp or udp", "-T", "fields", "-E", "occurrence=f"]
    for field in fields:
        command += ["-e", field]
    lines = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    for line in lines.stdout.splitlines():
        yield dict(zip(fields, line.split("\t")))


def payload(text):
    return bytes.fromhex(text.replace(":", ""))


def joined(parts):
    """The bytes of a stream, from (offset, bytes) in any order; up to the first gap."""
    whole = bytearray()
    for offset, part in sorted(parts):
        if offset > len(whole):
            break
        if offset + len(part) > len(whole):
            whole[offset:] = part
    return bytes(whole)


def joined_from(first, parts):
    """The bytes of a TCP stream, from (sequence number, bytes) in any order; up to the first gap."""
    start = min(sequence for sequence, _ in parts) if first is None else first
    return joined(((sequence - start) & 0xFFFFFFFF, part) for sequence, part in parts)


def tcp_ways(capture):
    """What each end of a TCP connection sent, by (its address, the other's)."""
    parts, first = collections.defaultdict(list), {}
    for packet in packets(capture):
        if packet["tcp.stream"]:
            way = f"{packet['ip.src']}:{packet['tcp.srcport']}", f"{packet['ip.dst']}:{packet['tcp.dstport']}"
            if packet["tcp.flags.syn"] in ("1", "True"):
                first[way] = int(packet["tcp.seq_raw"]) + 1
            parts[way].append((int(packet["tcp.seq_raw"]), payload(packet["tcp.payload"])))
    return {way: joined_from(first.get(way), those) for way, those in parts.items()}
