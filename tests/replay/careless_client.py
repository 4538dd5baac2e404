"""A client with three mistakes that people make: its first announce says that nothing is left, and not that it starts, and
it requests 16 KiB of the end of the last piece, which is shorter.

    careless_client.py TORRENT PORT
"""
import hashlib, os, re, socket, struct, sys, urllib.parse, urllib.request

def bdecode(data, at=0):
    """A value and where it ends."""
    kind = data[at:at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1:end]), end + 1
    if kind in b"ld":
        items, at = [], at + 1
        while data[at:at + 1] != b"e":
            item, at = bdecode(data, at)
            items.append(item)
        return (items if kind == b"l" else dict(zip(items[::2], items[1::2]))), at + 1
    length, _, _ = data[at:at + 12].partition(b":")
    start = at + len(length) + 1
    return data[start:start + int(length)], start + int(length)

def read(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            sys.exit(0)
        data += part
    return data

raw = open(sys.argv[1], "rb").read()
torrent, _ = bdecode(raw)
start = raw.index(b"4:info") + 6
info_hash = hashlib.sha1(raw[start:bdecode(raw, start)[1]]).digest()
info = torrent[b"info"]
query = {"info_hash": info_hash, "peer_id": b"-CA0001-abcdefghijkl", "port": sys.argv[2], "uploaded": 0,
         "downloaded": 0, "left": 0, "compact": 1}
url = torrent[b"announce"].decode() + "?" + urllib.parse.urlencode(query)
peers = bdecode(urllib.request.urlopen(url).read())[0][b"peers"]
pieces = len(info[b"pieces"]) // 20
for at in range(0, len(peers), 6):
    host, port = ".".join(map(str, peers[at:at + 4])), struct.unpack(">H", peers[at + 4:at + 6])[0]
    try:
        connection = socket.create_connection((host, port), 5)
    except OSError:
        continue
    connection.settimeout(5)
    connection.sendall(b"\x13BitTorrent protocol" + bytes(8) + info_hash + query["peer_id"])
    read(connection, 68)
    connection.sendall(struct.pack(">IB", 1, 2))
    while True:
        length, = struct.unpack(">I", read(connection, 4))
        if length and read(connection, length)[0] == 1:
            break
    # Every block has 16 KiB, also the last one.
    for piece in range(pieces):
        for begin in range(0, info[b"piece length"], 16384):
            if piece * info[b"piece length"] + begin < info[b"length"]:
                connection.sendall(struct.pack(">IBIII", 13, 6, piece, begin, 16384))
    try:
        while True:
            length, = struct.unpack(">I", read(connection, 4))
            read(connection, length)
    except OSError:
        pass
    break
