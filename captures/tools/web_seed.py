"""An HTTP server that knows Range, for a web seed (BEP 19).

usage: web_seed.py ADDRESS:PORT FOLDER
"""
import os
import re
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class File(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "bittrace-web-seed"
    sys_version = ""
    folder = None

    def do_GET(self):
        path = os.path.join(self.folder, os.path.basename(self.path))
        if not os.path.isfile(path):
            self.send_error(404)
            return
        with open(path, "rb") as file:
            content = file.read()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted:
            first, last = int(wanted[1]), min(int(wanted[2]), len(content) - 1)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            content = content[first : last + 1]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main(listen, folder):
    address, port = listen.rsplit(":", 1)
    File.folder = folder
    HTTPServer((address, int(port)), File).serve_forever()


main(*sys.argv[1:])
