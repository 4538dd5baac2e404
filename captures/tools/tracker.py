"""A tracker that answers in ways no packaged tracker does.

usage: tracker.py ADDRESS:PORT PEER_ADDRESS:PEER_PORT

Every announce is answered with that one peer; the path of the announce URL
chooses the form of the answer:

  /gzip/announce      compact, gzip, in chunks
  /chunked/announce   compact, in several small chunks
  /dictionaries/...   peers as a list of dictionaries, with a tracker id, a
                      minimum interval and a warning
  anything else       a failure, with HTTP status 404
"""
import gzip
import ipaddress
import struct
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"


class Announce(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "bittrace-tracker"
    sys_version = ""
    peer = None

    def do_GET(self):
        address, port = self.peer
        compact = ipaddress.ip_address(address).packed + struct.pack(">H", port)
        answer = {"complete": 1, "incomplete": 1, "interval": 1800, "peers": compact}
        form = self.path.split("/")[1]
        if form == "gzip":
            # No date or name in the gzip header, so that it is the same each time.
            self.answer(200, gzip.compress(bencode(answer), mtime=0), 1000, "gzip")
        elif form == "chunked":
            self.answer(200, bencode(answer), 20)
        elif form == "dictionaries":
            answer["peers"] = [{"ip": address, "peer id": b"-XX0000-abcdefghijkl", "port": port}]
            answer["min interval"] = 60
            answer["tracker id"] = "bittrace"
            answer["warning message"] = "this tracker is for captures only"
            self.answer(200, bencode(answer), None)
        else:
            self.answer(404, bencode({"failure reason": "no such announce"}), None)

    def answer(self, status, body, chunk, encoding=None):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        if encoding:
            self.send_header("Content-Encoding", encoding)
        if chunk is None:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        if chunk is None:
            self.wfile.write(body)
        else:
            for at in range(0, len(body), chunk):
                part = body[at : at + chunk]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True


def main(listen, peer):
    address, port = listen.rsplit(":", 1)
    peer_address, peer_port = peer.rsplit(":", 1)
    Announce.peer = (peer_address, int(peer_port))
    HTTPServer((address, int(port)), Announce).serve_forever()


main(*sys.argv[1:])
