"""A downloader of a few lines, whose every step is set from outside, for causes that no client's setting makes.

It dials one peer, asks for the blocks in order, keeps exactly so many requests outstanding, and writes the file.
Prints what it did, with the time of day.

usage: leecher.py TORRENT FILE ADDRESS:PORT [OPTION...]
"""
import argparse
import hashlib
import socket
import struct
import time

import libtorrent

BLOCK = 16384
CHOKE, UNCHOKE, INTERESTED, HAVE, REQUEST, PIECE = 0, 1, 2, 4, 6, 7


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("torrent")
    parser.add_argument("file")
    parser.add_argument("peer")
    parser.add_argument("--outstanding", type=int, default=64, help="requests on their way")
    parser.add_argument("--ask-after", type=float, default=0, metavar="SECONDS", help="after the first unchoke")
    parser.add_argument("--beyond", type=int, metavar="BLOCKS",
                        help="after so many, ask for a block past the end of its piece")
    parser.add_argument("--stay", type=float, default=1, metavar="SECONDS", help="at the end, at most")
    return parser.parse_args()


def say(text):
    print(f"{time.time():.6f} {text}", flush=True)


class Peer:
    def __init__(self, options, info):
        self.socket = socket.socket()
        address, port = options.peer.rsplit(":", 1)
        self.socket.connect((address, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        say("connected")
        peer_id = b"leecher.py--" + hashlib.sha1(options.torrent.encode()).digest()[:8]
        self.socket.sendall(b"\x13BitTorrent protocol" + bytes(8) + info.info_hash().to_bytes() + peer_id)
        self.read = b""
        self.take(68)

    def take(self, size):
        while len(self.read) < size:
            part = self.socket.recv(65536)
            if not part:
                raise ConnectionError("the peer has closed the connection")
            self.read += part
        taken, self.read = self.read[:size], self.read[size:]
        return taken

    def message(self):
        length = struct.unpack(">I", self.take(4))[0]
        body = self.take(length)
        return (body[0], body[1:]) if body else (None, b"")

    def say(self, kind, *numbers):
        self.socket.sendall(struct.pack(f">IB{len(numbers)}I", 1 + 4 * len(numbers), kind, *numbers))


def blocks(info):
    for piece in range(info.num_pieces()):
        for begin in range(0, info.piece_size(piece), BLOCK):
            yield piece, begin, min(BLOCK, info.piece_size(piece) - begin)


def download(options, info, file):
    peer = Peer(options, info)
    wanted, outstanding, got = list(blocks(info))[::-1], 0, 0
    peer.say(INTERESTED)
    choked, waited = True, False
    missing = {piece: info.piece_size(piece) for piece in range(info.num_pieces())}
    while wanted or outstanding:
        if not choked:
            while wanted and outstanding < options.outstanding:
                peer.say(REQUEST, *wanted.pop())
                outstanding += 1
        kind, body = peer.message()
        if kind == UNCHOKE and choked:
            choked = False
            say("unchoked")
            if not waited:
                waited = True
                time.sleep(options.ask_after)
                say("asks")
        elif kind == CHOKE:
            choked = True
            say("choked")
        elif kind == PIECE:
            index, offset = struct.unpack_from(">II", body)
            file.seek(index * info.piece_length() + offset)
            file.write(body[8:])
            outstanding -= 1
            got += 1
            missing[index] -= len(body) - 8
            if missing[index] == 0:
                peer.say(HAVE, index)
            if got == options.beyond:
                say("asks for bytes past the end of the piece")
                peer.say(REQUEST, index, info.piece_length() - BLOCK // 2, BLOCK)
    say("complete")
    peer.socket.settimeout(options.stay)
    try:
        while True:
            peer.message()
    except TimeoutError:
        pass


def main():
    options = arguments()
    info = libtorrent.torrent_info(options.torrent)
    with open(options.file, "wb") as file:
        try:
            download(options, info, file)
        except ConnectionError as error:
            say(str(error))


main()
