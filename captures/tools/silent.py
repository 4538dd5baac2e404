"""Accepts connections and never says a word.

usage: silent.py ADDRESS:PORT
"""
import socket
import sys


def main(endpoint):
    address, port = endpoint.rsplit(":", 1)
    kept = []
    with socket.create_server((address, int(port))) as server:
        while True:
            kept.append(server.accept())


main(*sys.argv[1:])
