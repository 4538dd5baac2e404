"""Traffic that is no protocol at all: random bytes over TCP and UDP.

usage: not_bittorrent.py answer ADDRESS PORT | ask ADDRESS PORT

The sequence is seeded, so both ends know what to send and how much to expect.
"""
import random
import socket
import sys

ROUNDS = 20


def serve(address, port):
    tcp = socket.create_server((address, port))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((address, port))
    dice = random.Random("answer")
    talk = tcp.accept()[0]
    while talk.recv(65535):
        talk.sendall(dice.randbytes(dice.randrange(1, 3000)))
    for _ in range(ROUNDS):
        _, sender = udp.recvfrom(65535)
        udp.sendto(dice.randbytes(dice.randrange(1, 1200)), sender)


def ask(address, port):
    dice = random.Random("ask")
    with socket.create_connection((address, port)) as talk:
        for _ in range(ROUNDS):
            talk.sendall(dice.randbytes(dice.randrange(1, 1400)))
            talk.recv(65535)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.settimeout(5)
    for _ in range(ROUNDS):
        udp.sendto(dice.randbytes(dice.randrange(1, 1200)), (address, port))
        udp.recv(65535)


{"answer": serve, "ask": ask}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
