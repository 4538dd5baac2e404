"""An HTTP server that gives pieces of one file, for a web seed of BEP 17.

usage: http_seed.py ADDRESS:PORT FILE PIECE_LENGTH

Every fourth request is told to come again in a second, as the BEP provides.
"""
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit


class Pieces(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "bittrace-http-seed"
    sys_version = ""
    content = b""
    piece_length = 0
    requests = 0

    def do_GET(self):
        asked = parse_qs(urlsplit(self.path).query, encoding="latin-1")
        if "info_hash" not in asked or "piece" not in asked:
            self.send_error(404)
            return
        Pieces.requests += 1
        if Pieces.requests % 4 == 0:
            self.answer(503, b"1")
            return
        begin = int(asked["piece"][0]) * self.piece_length
        piece = self.content[begin : begin + self.piece_length]
        parts = [part.split("-") for part in asked.get("ranges", [""])[0].split(",") if part]
        wanted = b"".join(piece[int(first) : int(last) + 1] for first, last in parts)
        self.answer(200, wanted if parts else piece)

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(listen, file, piece_length):
    address, port = listen.rsplit(":", 1)
    with open(file, "rb") as content:
        Pieces.content = content.read()
    Pieces.piece_length = int(piece_length)
    HTTPServer((address, int(port)), Pieces).serve_forever()


main(*sys.argv[1:])
