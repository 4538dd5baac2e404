"""Carries frames between two interfaces, and badly: some are lost, some come
twice, some are overtaken by those behind them.

usage: lossy_link.py INTERFACE INTERFACE SEED
"""
import heapq
import random
import select
import socket
import sys
import time

LOST = 0.03
TWICE = 0.03
LATE = 0.05
DELAY = 0.002
LATE_BY = 0.012
ALL_PROTOCOLS = 3
ARP = b"\x08\x06"


def opened(interface):
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    link.bind((interface, 0))
    return link


def main(first, second, seed):
    dice = random.Random(int(seed))
    one, other = opened(first), opened(second)
    far_side = {one: other, other: one}
    waiting = []
    order = 0
    print("forwarding", flush=True)
    while True:
        timeout = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        for link in select.select([one, other], [], [], timeout)[0]:
            frame, origin = link.recvfrom(65535)
            # What we send comes back to us as well.
            if origin[2] == socket.PACKET_OUTGOING:
                continue
            due = time.monotonic() + DELAY
            copies = 1
            # A lost ARP would cost a second and show nothing.
            if frame[12:14] != ARP:
                luck = dice.random()
                if luck < LOST:
                    copies = 0
                elif luck < LOST + TWICE:
                    copies = 2
                elif luck < LOST + TWICE + LATE:
                    due += LATE_BY
            for _ in range(copies):
                order += 1
                heapq.heappush(waiting, (due, order, far_side[link], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, link, frame = heapq.heappop(waiting)
            link.send(frame)


main(*sys.argv[1:])
