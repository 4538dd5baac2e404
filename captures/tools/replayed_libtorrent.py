#!/usr/bin/python3
"""A libtorrent client without encryption: TORRENT_OR_LINK FOLDER PORT [seed] [encrypt] [utp] [node=HOST:PORT].

It has a DHT where a node is named, with which it begins. It ends once it has everything and said so; one that seeds ends when it is
told to (SIGTERM).
"""
import signal
import sys
import time

import libtorrent as lt

torrent, folder, port = sys.argv[1:4]
# 0 takes encrypted connections alone, and with level 2 RC4 alone; 2 takes none.
policy = 0 if "encrypt" in sys.argv[4:] else 2
# Over uTP alone, or over TCP alone.
utp = "utp" in sys.argv[4:]
nodes = [word[len("node="):] for word in sys.argv[4:] if word.startswith("node=")]
ending = []
signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
session = lt.session({
    "listen_interfaces": "127.0.0.1:%s" % port, "enable_dht": bool(nodes), "enable_lsd": False, "enable_upnp": False,
    "enable_natpmp": False, "in_enc_policy": policy, "out_enc_policy": policy,
    "allowed_enc_level": 2 if policy == 0 else 3, "enable_outgoing_utp": utp, "enable_incoming_utp": utp,
    "enable_outgoing_tcp": not utp, "enable_incoming_tcp": not utp,
    "allow_multiple_connections_per_ip": True, "alert_mask": 0, "dht_bootstrap_nodes": "",
    # Nodes of one machine have ids that do not follow from their addresses.
    "dht_restrict_routing_ips": False, "dht_restrict_search_ips": False, "dht_enforce_node_id": False,
    "dht_prefer_verified_node_ids": False,
})
for node in nodes:
    host, _, node_port = node.rpartition(":")
    session.add_dht_node((host, int(node_port)))
if torrent.startswith("magnet:"):
    parameters = lt.parse_magnet_uri(torrent)
    parameters.save_path = folder
    handle = session.add_torrent(parameters)
else:
    handle = session.add_torrent({"ti": lt.torrent_info(torrent), "save_path": folder})
while not handle.status().is_seeding:
    time.sleep(0.05)
while "seed" in sys.argv[4:] and not ending:
    time.sleep(0.05)
time.sleep(1)
session.remove_torrent(handle)
time.sleep(1)
