"""What the peer connections of a capture did when, for the truth of captures/diagnosis.

A witness for the tests, independent of the code they test: framing alone, packets by tshark. For each
connection: who began it and how it ended; for each direction in which blocks went, how its seconds divide by what
the messages say (a message counts from when its last byte was captured), and what TCP did.

usage: timeline.py CAPTURE...                      a page for each
       timeline.py --truth CAUSE CAPTURE          lines of CAPTURE, SENDER, RECEIVER, CAUSE, SECONDS: CAUSE is what
                                                  held back the blocks that were asked for; or ADDRESS=CAUSE,...
                                                  or CAUSE@TIME,CAUSE: the first until that time of day, in seconds
"""
import collections
import os
import struct
import subprocess
import sys

import libtorrent

from count_messages import HANDSHAKE, TYPES, utp
from streams import payload

FIELDS = ("frame.time_epoch tcp.stream ip.src ip.dst tcp.srcport tcp.dstport udp.srcport udp.dstport tcp.seq_raw "
          "tcp.flags.syn tcp.flags.fin tcp.flags.reset tcp.payload udp.payload tcp.window_size "
          "tcp.analysis.retransmission tcp.analysis.ack_rtt tcp.analysis.zero_window tcp.analysis.bytes_in_flight "
          "tcp.analysis.out_of_order tcp.analysis.lost_segment").split()


def packets(capture):
    command = ["tshark", "-r", capture, "-Y", "tcp or udp", "-T", "fields", "-E", "occurrence=f"]
    for field in FIELDS:
        command += ["-e", field]
    lines = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    for line in lines.stdout.splitlines():
        yield dict(zip(FIELDS, line.split("\t")))


class Way:
    """What one end sent."""

    def __init__(self):
        self.parts, self.first = [], None
        self.windows, self.round_trips = [], []
        self.retransmitted = self.segments = self.zero_windows = self.in_flight = self.out_of_order = self.unseen = 0
        self.messages, self.largest = [], 0

    def stream(self):
        """The bytes up to the first gap, and when each was there: (end, time) in order."""
        if not self.parts:
            return b"", []
        start = min(at for at, _, _ in self.parts) if self.first is None else self.first
        placed = sorted(((at - start) & 0xFFFFFFFF, time, part) for at, time, part in self.parts)
        whole, times, latest = bytearray(), [], 0
        for offset, time, part in placed:
            if offset > len(whole):
                break
            end = offset + len(part)
            if end > len(whole):
                whole[offset:] = part
                latest = max(latest, time)
                times.append((end, latest))
        return bytes(whole), times

    def read(self):
        """(time, name, body) of each message, the handshake first."""
        stream, times = self.stream()
        at, found, place = stream.find(HANDSHAKE, 0, 2000), [], 0

        def when(end):
            nonlocal place
            while times[place][0] < end:
                place += 1
            return times[place][1]

        if at < 0 or len(stream) < at + 68:
            return []
        found.append((when(at + 68), "handshake", b""))
        at += 68
        while at + 4 <= len(stream):
            length = struct.unpack_from(">I", stream, at)[0]
            if at + 4 + length > len(stream):
                break
            body = stream[at + 4 : at + 4 + length]
            name = TYPES.get(body[0], "unknown") if body else "keep-alive"
            found.append((when(at + 4 + length), name, body[1:]))
            at += 4 + length
        return found


class Connection:
    def __init__(self, begun):
        self.begun = self.last = begun
        self.ways, self.opener, self.endings = collections.defaultdict(Way), None, []


def connections(capture):
    found, start = {}, None
    for packet in packets(capture):
        time = float(packet["frame.time_epoch"])
        start = time if start is None else start
        time -= start
        tcp = packet["tcp.stream"] != ""
        source = f"{packet['ip.src']}:{packet['tcp.srcport'] or packet['udp.srcport']}"
        target = f"{packet['ip.dst']}:{packet['tcp.dstport'] or packet['udp.dstport']}"
        key = packet["tcp.stream"] if tcp else " ".join(sorted((source, target)))
        connection = found.setdefault(key, Connection(time))
        connection.last = time
        connection.opener = connection.opener or (source, target)
        way = connection.ways[source, target]
        way.segments += 1
        if not tcp:
            data = payload(packet["udp.payload"])
            if len(data) >= 20 and data[0] in (0x01, 0x11, 0x21, 0x31, 0x41):
                sequence, part = utp(data)
                if part and all(sequence != number for number, _, _ in way.messages):
                    way.messages.append((sequence, time, part))
            continue
        yes = ("1", "True")
        if packet["tcp.flags.syn"] in yes:
            way.first = int(packet["tcp.seq_raw"]) + 1
        else:
            way.windows.append(int(packet["tcp.window_size"] or 0))
        for flag, name in (("tcp.flags.fin", "FIN"), ("tcp.flags.reset", "RST")):
            if packet[flag] in yes:
                connection.endings.append((time, name, source))
        if packet["tcp.payload"]:
            data = payload(packet["tcp.payload"])
            way.largest = max(way.largest, len(data))
            way.parts.append((int(packet["tcp.seq_raw"]), time, data))
        way.retransmitted += packet["tcp.analysis.retransmission"] != ""
        way.out_of_order += packet["tcp.analysis.out_of_order"] != ""
        way.unseen += packet["tcp.analysis.lost_segment"] != ""
        way.zero_windows += packet["tcp.analysis.zero_window"] != ""
        way.in_flight = max(way.in_flight, int(packet["tcp.analysis.bytes_in_flight"] or 0))
        if packet["tcp.analysis.ack_rtt"]:
            # It stands at the acknowledgement, and tells of what the other end sent.
            connection.ways[target, source].round_trips.append(float(packet["tcp.analysis.ack_rtt"]))
    for connection in found.values():
        for way in connection.ways.values():
            if way.messages:
                way.messages.sort()
                offset = 0
                for _, time, part in way.messages:
                    way.parts.append((offset, time, part))
                    offset += len(part)
                way.first, way.messages = 0, []
            way.messages = way.read()
    return found, start


def size_of_content(capture):
    path = capture.split(".pcap")[0] + ".torrent"
    return libtorrent.torrent_info(path).total_size() if os.path.exists(path) else None


def whole_at(found, capture):
    """When each address had got everything, by the blocks of all its connections."""
    size, got, when = size_of_content(capture), collections.defaultdict(dict), {}
    arrived = sorted((time, receiver.rsplit(":", 1)[0], body[:8], len(body) - 8) for connection in found.values()
                     for (_, receiver), way in connection.ways.items()
                     for time, name, body in way.messages if name == "piece")
    for time, receiver, block, length in arrived:
        got[receiver][block] = length
        if receiver not in when and sum(got[receiver].values()) == size:
            when[receiver] = time
    return when


def budget(connection, sender, receiver, whole=float("inf"), change=float("inf")):
    """How the seconds of the direction divide by what the messages say, and its numbers.

    What held back blocks from the time `change` on is counted as asked later.
    """
    give, take = connection.ways[sender, receiver].messages, connection.ways[receiver, sender].messages
    steps = sorted([(time, "give", name, body) for time, name, body in give]
                   + [(time, "take", name, body) for time, name, body in take], key=lambda step: step[0])
    seconds, choked, interested, asked, hands = collections.Counter(), True, False, {}, set()
    now, numbers, blocks, depth_time, ask = connection.begun, collections.Counter(), [], 0.0, []
    fast = told = False
    between = [(time, "", "", b"") for time in (whole, change) if time < connection.last]
    steps = sorted(steps + between, key=lambda step: step[0])
    for time, side, name, body in steps + [(connection.last, "", "", b"")]:
        if len(hands) < 2 or not told:
            state = "start"
        elif now >= whole:
            state = "complete"
        elif asked:
            state = "asked later" if now >= change else "asked, choked" if choked else "asked"
        elif choked and interested:
            state = "choked"
        elif not interested:
            state = "nothing wanted"
        else:
            state = "nothing asked"
        seconds[state] += time - now
        depth_time += len(asked) * (time - now)
        now = time
        # Without a bitfield, any message says that there is nothing to tell.
        told = told or side == "give" and name not in ("", "handshake", "extended")
        if name == "handshake":
            hands.add(side)
        elif side == "give" and name in ("choke", "unchoke"):
            choked = name == "choke"
            numbers[name + "s"] += 1
            if choked and not fast:
                asked.clear()
        elif name in ("have-all", "have-none"):
            fast = True
        elif side == "take" and name in ("interested", "not-interested"):
            interested = name == "interested"
        elif side == "take" and name == "request":
            asked[body[:8]] = time
            numbers["requests"] += 1
            numbers["deepest"] = max(numbers["deepest"], len(asked))
        elif side == "take" and name == "cancel":
            asked.pop(body[:8], None)
            numbers["cancels"] += 1
        elif side == "give" and name == "reject-request":
            asked.pop(body[:8], None)
            numbers["rejects"] += 1
        elif side == "give" and name == "piece":
            since = asked.pop(body[:8], None)
            if since is not None:
                ask.append(time - since)
            blocks.append((time, len(body) - 8))
    waiting = seconds["asked"] + seconds["asked, choked"] + seconds["asked later"]
    return seconds, numbers, blocks, depth_time / waiting if waiting else 0, sorted(ask)


def quantiles(values):
    values = sorted(values)
    if not values:
        return "none"
    half, most = (values[int(share * len(values))] for share in (0.5, 0.95))
    return f"n={len(values)} min={values[0]:.6f} p50={half:.6f} p95={most:.6f} max={values[-1]:.6f}"


def transport(way):
    windows = f"{min(way.windows)} to {max(way.windows)}" if way.windows else "none"
    return (f"{way.segments} packets, largest segment {way.largest}, retransmitted {way.retransmitted}, "
            f"out of order {way.out_of_order}, unseen {way.unseen}, in flight at most {way.in_flight}; "
            f"acknowledged after (s) {quantiles(way.round_trips)}; "
            f"window it offers {windows}, zero {way.zero_windows} times")


def page(capture):
    found, _ = connections(capture)
    whole = whole_at(found, capture)
    print(f"=== {os.path.basename(capture)}")
    for connection in found.values():
        source, target = connection.opener
        print(f"-- {source} to {target}, {connection.begun:.3f} to {connection.last:.3f}"
              + "".join(f"; {name} of {who} at {time:.3f}" for time, name, who in connection.endings[:4]))
        for sender, receiver in (connection.opener, connection.opener[::-1]):
            way = connection.ways[sender, receiver]
            print(f"   sent by {sender}: {transport(way)}")
        for sender, receiver in (connection.opener, connection.opener[::-1]):
            if not connection.ways[sender, receiver].messages:
                continue
            seconds, numbers, blocks, depth, ask = budget(
                connection, sender, receiver, whole.get(receiver.rsplit(":", 1)[0], float("inf")))
            print(f"   blocks {sender} -> {receiver}: {len(blocks)}, {sum(size for _, size in blocks)} bytes, "
                  + ", ".join(f"{name} {value:.3f} s" for name, value in seconds.items() if value > 0.0005))
            print(f"     {dict(numbers)}, mean depth while asked {depth:.1f}, block after request (s) {quantiles(ask)}")
            talk = [(time, who, name) for who, way in (("give", (sender, receiver)), ("take", (receiver, sender)))
                    for time, name, _ in connection.ways[way].messages
                    if name in ("handshake", "choke", "unchoke") and who == "give"
                    or name in ("handshake", "interested", "not-interested") and who == "take"]
            print("     " + ", ".join(f"{time:.3f} {who} {name}" for time, who, name in sorted(talk)[:40]))
            if blocks:
                each = collections.Counter()
                for time, size in blocks:
                    each[int(time)] += size
                print("     KiB a second: " + " ".join(f"{second}:{each[second] / 1024:.0f}"
                                                      for second in range(int(blocks[0][0]), int(blocks[-1][0]) + 1)))


def truth(causes, capture):
    found, start = connections(capture)
    whole = whole_at(found, capture)
    by_address = dict(pair.split("=") for pair in causes.split(",")) if "=" in causes else {}
    first, change, later = causes, float("inf"), causes
    if "@" in causes:
        first, rest = causes.split("@")
        change, later = rest.split(",")
        change = float(change) - start
    for connection in found.values():
        for sender, receiver in (connection.opener, connection.opener[::-1]):
            if connection.ways[sender, receiver].messages and connection.ways[receiver, sender].messages:
                cause = by_address.get(sender.rsplit(":", 1)[0], first)
                seconds = collections.Counter()
                until = whole.get(receiver.rsplit(":", 1)[0], float("inf"))
                for state, value in budget(connection, sender, receiver, until, change)[0].items():
                    state = later if state == "asked later" else cause if state.startswith("asked") else state
                    seconds[state] += value
                for what, value in sorted(seconds.items()):
                    if value > 0.0005:
                        print(os.path.basename(capture), sender, receiver, what, f"{value:.3f}", sep="\t")


def main(*arguments):
    if arguments[:1] == ("--truth",):
        truth(*arguments[1:])
    else:
        for capture in arguments:
            page(capture)


if __name__ == "__main__":
    main(*sys.argv[1:])
