"""Torrents that mktorrent cannot make.

usage: metainfo.py hybrid|v2 PATH PIECE_LENGTH ANNOUNCE OUTPUT
       metainfo.py pad TORRENT BYTES OUTPUT      unknown key of that size in the info dictionary
       metainfo.py hashes TORRENT                the info hashes, v1 and then v2
"""
import os
import sys

import libtorrent


def create(version, path, piece_length, announce, output):
    files = libtorrent.file_storage()
    libtorrent.add_files(files, path)
    flags = libtorrent.create_torrent_flags_t.v2_only if version == "v2" else 0
    torrent = libtorrent.create_torrent(files, int(piece_length), flags)
    torrent.add_tracker(announce)
    torrent.set_creator("bittrace captures")
    libtorrent.set_piece_hashes(torrent, os.path.dirname(path))
    metainfo = torrent.generate()
    # It would make the file differ on every run.
    metainfo.pop(b"creation date", None)
    with open(output, "wb") as file:
        file.write(libtorrent.bencode(metainfo))


def pad(source, size, output):
    with open(source, "rb") as file:
        torrent = libtorrent.bdecode(file.read())
    torrent[b"info"][b"x_padding"] = (b"metadata of several pieces. " * (int(size) // 28 + 1))[: int(size)]
    with open(output, "wb") as file:
        file.write(libtorrent.bencode(torrent))


def hashes(source):
    info = libtorrent.torrent_info(source)
    both = info.info_hashes()
    for known, value in ((both.has_v1(), both.v1), (both.has_v2(), both.v2)):
        if known:
            print(value)


def main(action, *rest):
    if action == "pad":
        pad(*rest)
    elif action == "hashes":
        hashes(*rest)
    else:
        create(action, *rest)


main(*sys.argv[1:])
