"""Carries frames between two interfaces as a long or bad path does: late, with losses, at a rate.

Each direction has its own queue. Frames keep their order. ARP passes at once and is never lost.
Prints each loss with its time, and on SIGTERM what each direction carried.

usage: path.py [OPTION...] NEAR FAR     NEAR is the interface towards the host, FAR towards everyone else
"""
import argparse
import heapq
import os
import random
import select
import signal
import socket
import time

ALL_PROTOCOLS = 3
ARP = b"\x08\x06"


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("near")
    parser.add_argument("far")
    parser.add_argument("--delay", type=float, default=0, metavar="MS", help="each way")
    parser.add_argument("--loss", type=float, default=0, metavar="PERCENT",
                        help="of the frames towards the host that carry data")
    parser.add_argument("--seed", type=int, default=1, help="of the losses")
    return parser.parse_args()


def opened(interface):
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    link.bind((interface, 0))
    return link


def main():
    options = arguments()
    dice = random.Random(options.seed)
    near, far = opened(options.near), opened(options.far)
    names = {near: "from the host", far: "to the host"}
    other = {near: far, far: near}
    carried, lost = {near: 0, far: 0}, {near: 0, far: 0}
    waiting, order, ending = [], 0, []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
    try:
        # A path that comes late because others compile would be another path.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except OSError:
        pass
    print("forwarding", flush=True)
    while not ending:
        timeout = max(0, waiting[0][0] - time.monotonic()) if waiting else 0.2
        for link in select.select([near, far], [], [], timeout)[0]:
            frame, origin = link.recvfrom(65535)
            # What this program sends comes back to its own sockets as well.
            if origin[2] == socket.PACKET_OUTGOING:
                continue
            due = time.monotonic()
            if frame[12:14] != ARP:
                due += options.delay / 1000
                # Only frames with data are lost: the loss of an acknowledgement shows nothing.
                if link is far and len(frame) > 120 and dice.random() < options.loss / 100:
                    lost[link] += 1
                    print(f"{time.time():.6f} lost {len(frame)} bytes {names[link]}", flush=True)
                    continue
            carried[link] += 1
            order += 1
            heapq.heappush(waiting, (due, order, other[link], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, link, frame = heapq.heappop(waiting)
            link.send(frame)
    for link, name in names.items():
        print(f"{name}: {carried[link]} frames carried, {lost[link]} lost", flush=True)


main()
