//! Holepunch (BEP 55) with libtorrent: as the relay, and as a peer that lets nobody in and dials others.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use bittrace_client::{DownloadOptions, Outcome};
use bittrace_protocol::node::UtpPolicy;
use bittrace_protocol::session::Config;
use bittrace_protocol::wire::{Content, Holepunch, HolepunchKind, Message};
use bittrace_testing::clients::{RunningClient, start};
use bittrace_testing::programs::*;
use bittrace_testing::torrent::SeededTorrent;
use bittrace_testing::tracker::ScriptedTracker;
use bittrace_trace::record::{Body, PeerWireBody, Severity, Side, Transport};
use bittrace_trace::{Dissected, Trace, TraceOptions};
use support::{options, patient, run};

const RELAY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const HIDDEN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// libtorrent that speaks uTP alone. With a relay it dials the relay, lets nobody in, and hears of nobody by peer exchange.
fn libtorrent(work: &Path, address: SocketAddr, job: [&Path; 2], relay: Option<SocketAddr>) -> RunningClient {
    let script = "import libtorrent as lt, sys, time\n\
        address, torrent, folder, relay = sys.argv[1:5]\n\
        s = lt.session({'listen_interfaces': address, 'enable_dht': False, 'enable_lsd': False,\n\
        \x20 'enable_upnp': False, 'enable_natpmp': False, 'enable_outgoing_tcp': False,\n\
        \x20 'enable_incoming_tcp': False, 'enable_incoming_utp': not relay, 'close_redundant_connections': False,\n\
        \x20 'allow_multiple_connections_per_ip': True})\n\
        p = lt.add_torrent_params()\n\
        p.ti, p.save_path = lt.torrent_info(torrent), folder\n\
        p.flags |= lt.torrent_flags.disable_pex if relay else lt.torrent_flags.upload_mode\n\
        t = s.add_torrent(p)\n\
        t.replace_trackers([])\n\
        while relay and not t.status().num_peers:\n\
        \x20 t.connect_peer((relay.split(':')[0], int(relay.split(':')[1])))\n\
        \x20 time.sleep(1)\n\
        print('connected', flush=True)\n\
        time.sleep(600)\n";
    std::fs::create_dir_all(work).unwrap();
    let relay = relay.map_or(String::new(), |relay| relay.to_string());
    let mut command = Command::new(PYTHON);
    command.args(["-c", script, &address.to_string()]).args(job).arg(relay);
    start(&mut command, work)
}

#[test]
fn libtorrent_brings_us_together_with_a_client_that_lets_nobody_in() {
    if !is_there("libtorrent") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (tracker, named) = ScriptedTracker::naming_later();
    let seed = SeededTorrent::single(&tracker.url(), 1_000_000, 64 * 1024);
    seed.write_files(&at("content"));
    std::fs::write(at("it.torrent"), &*seed.torrent).unwrap();
    let relay = SocketAddr::from((RELAY, free_port()));
    let hidden = SocketAddr::from((HIDDEN, free_port()));
    // The relay has nothing, and asks for nothing.
    let _relay = libtorrent(&at("relay"), relay, [&at("it.torrent"), &at("empty")], None);
    wait_until("listening", &at("relay/log"), || TcpStream::connect(relay).is_ok());
    let _hidden = libtorrent(&at("hidden"), hidden, [&at("it.torrent"), &at("content")], Some(relay));
    let log = at("hidden/log");
    wait_until("connecting", &log, || std::fs::read_to_string(&log).unwrap().contains("connected"));
    named.lock().unwrap().push(relay);

    let mut config = Config { rounds: None, ..patient() };
    config.profile = config.profile.with_holepunch();
    let recording = at("run.pcapng");
    let options = DownloadOptions {
        utp: UtpPolicy::Prefer,
        record: Some(recording.clone()),
        ..options(&at("out"), config)
    };
    let (result, notices) = run(&seed, options);
    assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
    seed.assert_whole(&at("out"));

    let told = |kind, side| (kind, side, hidden);
    let mut said = Vec::new();
    let mut blocks = 0;
    let mut trace = Trace::open(&recording, TraceOptions::default()).unwrap();
    while let Some(dissected) = trace.next().unwrap() {
        let Dissected::Record(record) = dissected else { continue };
        assert!(record.side != Side::Local || record.severity() < Some(Severity::Warn), "{record:?}");
        match &record.body {
            Body::PeerWire(PeerWireBody::Extended(Message::Extended { payload, .. }, extension)) => {
                if let Ok(Content::Holepunch(Holepunch { kind, endpoint, error })) = extension.decode(payload)
                {
                    // libtorrent leaves the code out where it is not an error.
                    assert!(error.is_none_or(|code| code == 0), "{record:?}");
                    said.push((kind, record.side, endpoint));
                }
            }
            Body::PeerWire(PeerWireBody::Message(Message::Piece { .. })) => {
                assert_eq!((record.source, record.transport), (hidden, Transport::Utp));
                blocks += 1;
            }
            _ => {}
        }
    }
    let wanted = [told(HolepunchKind::Rendezvous, Side::Local), told(HolepunchKind::Connect, Side::Remote)];
    assert_eq!(said, wanted);
    assert!(blocks >= seed.bytes.len() / (16 * 1024), "{blocks} blocks");
}
