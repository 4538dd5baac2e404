//! A magnet link and nothing else, against five real clients: two take encryption alone, one uTP alone, and one is known to the
//! DHT alone. Each has a part of the content that no other one has.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use bittrace_protocol::wire;
use bittrace_testing::clients::*;
use bittrace_testing::command::{bittrace, run, scratch_folder};
use bittrace_testing::hosts::{add_hosts, host, names_peers};
use bittrace_testing::programs::*;
use bittrace_testing::torrent::SeededTorrent;
use bittrace_testing::tracker::ScriptedTracker;
use bittrace_trace::record::{Body, MseBody, Severity, Side, Transport};
use bittrace_trace::{Dissected, Trace, TraceOptions};
use serde_json::Value;

const PIECE: usize = 64 * 1024;
const PROGRAMS: [&str; 7] =
    ["aria2c", "rtorrent", "qbittorrent-nox", "transmission-daemon", "libtorrent", "unshare", "ip"];

#[test]
fn a_magnet_link_leads_through_a_swarm_of_five_real_clients() {
    if PROGRAMS.into_iter().all(is_there) && can_make_namespaces() {
        in_a_namespace("swarm::a_magnet_link_leads_through_them_elsewhere");
    }
}

/// A client of the swarm.
struct Member {
    address: SocketAddr,
    transport: Transport,
    encrypted: bool,
}

/// The folders of a client: a file of the torrent, and room for its settings.
fn folders(folder: &Path, last: u8, (path, bytes): &(String, Vec<u8>)) -> (PathBuf, PathBuf) {
    let [content, work] = ["content", "work"].map(|name| folder.join(format!("{last}")).join(name));
    let file = content.join(path);
    for folder in [file.parent().expect("a file is in a folder"), &work] {
        std::fs::create_dir_all(folder).expect("a folder can be made");
    }
    std::fs::write(file, bytes).expect("a file can be written");
    (content, work)
}

#[test]
#[ignore = "another test runs it, in a network namespace"]
fn a_magnet_link_leads_through_them_elsewhere() {
    add_hosts((12..=17).map(host));
    let folder = scratch_folder();
    // The clients know of nobody: their tracker has no peers, and the link has another one.
    let theirs = ScriptedTracker::naming_later_at(host(1)).0;
    let (tracker, named) = ScriptedTracker::naming_later_at(host(1));
    let files: Vec<(String, usize)> = (12..=16).map(|last| (format!("{last}.bin"), 8 * PIECE)).collect();
    let files: Vec<(&str, usize)> = files.iter().map(|(name, length)| (name.as_str(), *length)).collect();
    let seed = SeededTorrent::folder(&theirs.url(), &files, PIECE);
    let torrent = folder.path().join("it.torrent");
    std::fs::write(&torrent, &*seed.torrent).expect("a file can be written");

    let (off, rc4) = (ClientEncryption::Off, ClientEncryption::Rc4);
    let (tcp, utp) = (ClientTransport::Tcp, ClientTransport::Utp);
    let clients: [(u8, StartClient, ClientEncryption, ClientTransport); 4] = [
        (12, aria2, rc4, tcp),
        (13, rtorrent, rc4, tcp),
        (14, qbittorrent, off, utp),
        (15, transmission, off, tcp),
    ];
    let (mut running, mut members) = (Vec::new(), Vec::new());
    for (place, (last, start, encryption, transport)) in clients.into_iter().enumerate() {
        let (content, work) = folders(folder.path(), last, &seed.files[place]);
        let address = SocketAddr::new(host(last), free_port());
        let job = ClientJob::new(&torrent, &content, &work, address);
        running.push(start(&ClientJob { encryption, transport, ..job }));
        members.push(Member {
            address,
            transport: if transport == utp { Transport::Utp } else { Transport::Tcp },
            encrypted: encryption == rc4,
        });
        wait_until("announcing", &work.join("log"), || {
            let port = format!("port={}", address.port());
            theirs.requests().iter().any(|request| request.contains(&port))
        });
    }
    let (_, node_work) = folders(folder.path(), 17, &seed.files[4]);
    let node = SocketAddr::new(host(17), free_port());
    running.push(dht_nodes(&node_work, &[node]));
    // A client asks the node that it is told of once, when it starts: one that does not listen yet is never heard of again.
    wait_until("listening", &node_work.join("log"), || TcpStream::connect(node).is_ok());
    let (content, work) = folders(folder.path(), 16, &seed.files[4]);
    let hidden = SocketAddr::new(host(16), free_port());
    let job = ClientJob::new(&torrent, &content, &work, hidden);
    running.push(libtorrent(&ClientJob { nodes: &[node], ..job }));
    members.push(Member { address: hidden, transport: Transport::Tcp, encrypted: false });
    wait_until("announcing", &work.join("log"), || names_peers(node, seed.metainfo.info_hash));

    // Transmission stands in the link, the others but the last one are named by the tracker: rTorrent does not always answer a
    // negotiation, and whom a tracker names is dialled again after half a minute, one of a link after ten.
    let named_by_tracker = [0, 1, 2].map(|place| members[place].address);
    named.lock().expect("no thread panicked").extend(named_by_tracker);
    let link = format!(
        "magnet:?xt=urn:btih:{}&tr={}&x.pe={}&dht={node}",
        seed.metainfo.info_hash,
        tracker.url(),
        members[3].address
    );
    let output = folder.path().join("out");
    std::fs::create_dir(&output).expect("a folder can be made");
    let run_here = |arguments: &[&str]| {
        // A client that is missed would be waited for without end: then the code is 124.
        let bounded = [&["--kill-after=20", "240", env!("CARGO_BIN_EXE_bittrace")], arguments].concat();
        let mut command = bittrace("timeout", &output, &bounded);
        // The nodes of earlier runs are none of this one.
        run(command.env("HOME", folder.path()).env("XDG_STATE_HOME", folder.path()))
    };
    let (code, said, errors) = run_here(&["download", &link, "--record", "../run.pcapng"]);
    assert_eq!(code, 0, "{said}{errors}");
    seed.assert_whole(&output);
    drop(running);

    let recording = folder.path().join("run.pcapng");
    assert_shows(&recording, &members);
    let (code, read, errors) = run_here(&["analyze", "../run.pcapng", "--view", "messages"]);
    assert_eq!((code, errors.as_str()), (0, ""), "{read}");
    assert!(read.contains("ut_metadata data"), "{read}");
    let (code, report, errors) =
        run_here(&["diff", "../run.pcapng", "../run.pcapng", "--side", "local", "--format", "json"]);
    assert_eq!((code, &summary_of(&report)["same"]), (0, &true.into()), "{report}{errors}");
    let (code, report, errors) =
        run_here(&["replay", "../run.pcapng", "--record", "../again.pcapng", "--format", "json"]);
    assert_replayed(code, &report, &errors);
    let (code, report, errors) =
        run_here(&["diff", "../run.pcapng", "../again.pcapng", "--side", "local", "--format", "json"]);
    assert_replayed(code, &report, &errors);
}

/// The last line of a report.
fn summary_of(report: &str) -> Value {
    let last: Value = serde_json::from_str(report.lines().last().expect("a summary")).expect("an object");
    last["summary"].clone()
}

/// A replay is a download from the recorded peers. Not all that they said can come again: each waits for what made it speak, and
/// we may ask others. What was asked is asked in the same bytes.
fn assert_replayed(code: i32, report: &str, errors: &str) {
    assert!(code < 2, "{report}{errors}");
    let summary = summary_of(report);
    let requests = &summary["sides"]["local"]["request"];
    assert_eq!(requests["fidelity"], 1.0, "{summary}");
    assert!(requests["coverage"].as_f64() > Some(0.5), "{summary}");
}

/// Every byte of the recording has a meaning, we break no rule, and blocks came from each client in its way. A connection that a
/// client closes without a word, since it takes no TCP or does not encrypt, leaves our half of a negotiation, which nobody can
/// read.
fn assert_shows(recording: &Path, members: &[Member]) {
    let mut trace = Trace::open(recording, TraceOptions::default()).expect("the recording can be read");
    let mut blocks: BTreeMap<SocketAddr, BTreeSet<(bool, bool)>> = BTreeMap::new();
    let (mut opaque, mut answered) = (BTreeSet::new(), BTreeSet::new());
    while let Some(dissected) = trace.next().expect("the recording can be read") {
        let Dissected::Record(record) = dissected else { continue };
        if record.side == Side::Remote {
            answered.insert(record.stream);
        }
        match &record.body {
            Body::Mse(MseBody::Encrypted) if record.side == Side::Local => {
                opaque.insert(record.stream);
            }
            body => {
                assert!(!matches!(body, Body::Unreadable(..) | Body::Mse(MseBody::Encrypted)), "{record:?}")
            }
        }
        if record.side == Side::Local {
            let broken: Vec<_> =
                record.notes.iter().filter(|note| note.rule.severity >= Severity::Warn).collect();
            assert!(broken.is_empty(), "{broken:?} in {:?}", record.body);
        }
        if let (Side::Remote, Some(wire::Message::Piece { .. })) = (record.side, record.body.peer_message()) {
            let way = (record.transport == Transport::Utp, record.decrypted);
            blocks.entry(record.source).or_default().insert(way);
        }
    }
    assert!(opaque.is_disjoint(&answered), "{opaque:?}");
    for member in members {
        let ways =
            blocks.iter().filter(|(from, _)| from.ip() == member.address.ip()).flat_map(|(_, ways)| ways);
        let wanted = BTreeSet::from([(member.transport == Transport::Utp, member.encrypted)]);
        assert_eq!(ways.copied().collect::<BTreeSet<_>>(), wanted, "{}", member.address);
    }
}
