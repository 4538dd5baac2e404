"""Asks a server for the address of a name, or (answer) is that server.

usage: dns.py ask ADDRESS NAME | dns.py answer ADDRESS NAME FOUND
"""
import socket
import struct
import sys


def question(name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return labels + b"\0" + struct.pack(">HH", 1, 1)


def ask(address, name):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.settimeout(5)
    for identifier in (0x1D5A, 0x1D5B):
        udp.sendto(struct.pack(">6H", identifier, 0x0100, 1, 0, 0, 0) + question(name), (address, 53))
        udp.recv(512)


def answer(address, name, found):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((address, 53))
    while True:
        query, sender = udp.recvfrom(512)
        record = struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(found)
        udp.sendto(query[:2] + struct.pack(">5H", 0x8180, 1, 1, 0, 0) + question(name) + record, sender)


{"ask": ask, "answer": answer}[sys.argv[1]](*sys.argv[2:])
