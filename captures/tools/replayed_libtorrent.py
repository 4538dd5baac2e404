#!/usr/bin/python3
"""A libtorrent client without DHT and encryption: TORRENT FOLDER PORT. It ends once it has everything and said so."""
import sys
import time

import libtorrent as lt

torrent, folder, port = sys.argv[1:]
session = lt.session({
    "listen_interfaces": "127.0.0.1:%s" % port, "enable_dht": False, "enable_lsd": False, "enable_upnp": False,
    "enable_natpmp": False, "in_enc_policy": 2, "out_enc_policy": 2, "enable_outgoing_utp": False,
    "enable_incoming_utp": False, "allow_multiple_connections_per_ip": True, "alert_mask": 0,
})
handle = session.add_torrent({"ti": lt.torrent_info(torrent), "save_path": folder})
while not handle.status().is_seeding:
    time.sleep(0.05)
time.sleep(1)
session.remove_torrent(handle)
time.sleep(1)
