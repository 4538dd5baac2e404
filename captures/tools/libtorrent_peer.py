"""One libtorrent session with one torrent, to seed or to download.

Prints what happens, one line each, and runs until it is told to end (SIGTERM),
or with --leave until SECONDS after its download is complete.
"""
import argparse
import signal
import time

import libtorrent


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("source", help="a .torrent, or a magnet link")
    parser.add_argument("folder")
    parser.add_argument("--listen", default="0.0.0.0:6885")
    parser.add_argument("--transport", choices=["tcp", "utp"], default="tcp")
    parser.add_argument("--pex", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of libtorrent's")
    parser.add_argument("--unwanted", action="append", default=[], help="a file not to download, by its name")
    parser.add_argument("--peer", action="append", default=[], help="dial ADDRESS:PORT")
    parser.add_argument("--node", action="append", default=[], help="DHT node at ADDRESS:PORT")
    parser.add_argument("--limited", action="store_true", help="limits hold for neighbours too")
    parser.add_argument("--scrape", action="store_true", help="ask the tracker after a second")
    parser.add_argument("--super-seed", action="store_true", help="show each peer few pieces at a time (BEP 16)")
    parser.add_argument("--at", action="append", default=[], nargs=2, metavar=("SECONDS", "CHANGE"),
                        help="NAME=VALUE, pause or resume, so long after the start")
    parser.add_argument("--clock", action="store_true", help="print the time of day, not the time since the start")
    parser.add_argument("--leave", type=float, metavar="SECONDS")
    return parser.parse_args()


def settings(options):
    tcp = options.transport == "tcp"
    return {
        "listen_interfaces": options.listen,
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_outgoing_tcp": tcp,
        "enable_incoming_tcp": tcp,
        "enable_outgoing_utp": not tcp,
        "enable_incoming_utp": not tcp,
        # 2: no MSE handshakes.
        "in_enc_policy": 2,
        "out_enc_policy": 2,
        "alert_mask": libtorrent.alert.category_t.all_categories
        & ~libtorrent.alert.category_t.stats_notification,
        **dict(map(setting, options.set)),
    }


def setting(text):
    name, value = text.split("=", 1)
    kind = type(libtorrent.default_settings()[name])
    return name, value if kind is str else kind(int(value))


def add(session, options):
    if options.source.startswith("magnet:"):
        torrent = libtorrent.parse_magnet_uri(options.source)
    else:
        torrent = libtorrent.add_torrent_params()
        torrent.ti = libtorrent.torrent_info(options.source)
    if options.unwanted:
        names = [torrent.ti.files().file_name(index) for index in range(torrent.ti.num_files())]
        torrent.file_priorities = [0 if name in options.unwanted else 4 for name in names]
    torrent.save_path = options.folder
    torrent.flags &= ~libtorrent.torrent_flags.auto_managed
    torrent.flags &= ~libtorrent.torrent_flags.paused
    if options.super_seed:
        torrent.flags |= libtorrent.torrent_flags.super_seeding
    if not options.pex:
        torrent.flags |= libtorrent.torrent_flags.disable_pex
    return session.add_torrent(torrent)


def split(endpoint):
    address, port = endpoint.rsplit(":", 1)
    return address, int(port)


def change(session, torrent, what):
    if what in ("pause", "resume"):
        getattr(torrent, what)()
    else:
        session.apply_settings(dict([setting(what)]))


def main():
    options = arguments()
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))

    extensions = ["ut_metadata"] + (["ut_pex"] if options.pex else [])
    session = libtorrent.session(settings(options), 0)
    for extension in extensions:
        session.add_extension(extension)
    if options.limited:
        # Neighbours are in a class of their own otherwise, which knows no limits.
        everyone = libtorrent.ip_filter()
        everyone.add_rule("0.0.0.0", "255.255.255.255", 1 << libtorrent.session.global_peer_class_id)
        session.set_peer_class_filter(everyone)
    for node in options.node:
        session.add_dht_node(split(node))
    torrent = add(session, options)
    for peer in options.peer:
        torrent.connect_peer(split(peer))

    started = time.monotonic()
    completed = None
    asked = False
    changes = sorted((float(after), what) for after, what in options.at)

    def say(text):
        at = time.time() if options.clock else time.monotonic() - started
        print(f"{at:.3f} {text}")

    while not ending:
        session.wait_for_alert(20 if changes else 200)
        for alert in session.pop_alerts():
            say(f"{alert.what()}: {alert.message()}")
        while changes and time.monotonic() - started >= changes[0][0]:
            _, what = changes.pop(0)
            change(session, torrent, what)
            say(f"changed: {what}")
        status = torrent.status()
        if status.is_seeding and completed is None:
            completed = time.monotonic()
            print("complete")
        if not asked and time.monotonic() - started > 1:
            asked = True
            if options.scrape:
                torrent.scrape_tracker()
            if options.node:
                # Left alone it would do so when a quarter of an hour has passed.
                torrent.force_dht_announce()
        if completed and options.leave is not None and time.monotonic() - completed > options.leave:
            break

    # Removing it says `stopped`; the session must live until that was sent.
    session.remove_torrent(torrent)
    time.sleep(2)


main()
