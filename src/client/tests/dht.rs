//! Real clients on loopback that are found without a tracker: by the DHT alone.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bittrace_client::{DhtOptions, Download, DownloadOptions, Notice, Outcome};
use bittrace_protocol::HostPort;
use bittrace_protocol::dht::{Kind, Message, Method};
use bittrace_protocol::magnet::{InfoHashes, Magnet};
use bittrace_protocol::session::{Config, SeedGoal};
use bittrace_testing::clients::{RunningClient, libtorrent_in_the_dht, start};
use bittrace_testing::programs::*;
use bittrace_testing::torrent::SeededTorrent;
use bittrace_trace::record::Body;
use bittrace_trace::{Dissected, Severity, Trace, TraceOptions};
use support::{config, options, patient, run};

/// A torrent without a tracker.
fn seed() -> SeededTorrent {
    SeededTorrent::folder("", &[("a.bin", 3_000_000), ("sub/b.bin", 700_001)], 64 * 1024)
}

fn here(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Options with the DHT, which begins with this node.
fn with_dht(output: &Path, config: Config, node: SocketAddr, record: &Path) -> DownloadOptions {
    let nodes = vec![HostPort { host: node.ip().to_string(), port: node.port() }];
    let state = Some(record.with_extension("dht"));
    let dht = DhtOptions { version: *b"bt\x01\x00", nodes, routers: Vec::new(), state };
    let mut options = options(output, config);
    options.identity.secret = [7; 32];
    DownloadOptions { dht: Some(dht), record: Some(record.to_owned()), ..options }
}

/// A node of libtorrent that has no torrent, and where it listens.
fn libtorrent_node(work: &Path) -> (RunningClient, SocketAddr) {
    libtorrent(work, None)
}

/// libtorrent with a node of the DHT; with a torrent, its content and another node, where it has these.
fn libtorrent(work: &Path, torrent: Option<(&Path, &Path, SocketAddr)>) -> (RunningClient, SocketAddr) {
    std::fs::create_dir_all(work).unwrap();
    let address = here(free_port());
    let client = libtorrent_in_the_dht(work, address, torrent);
    wait_until("listening", &work.join("log"), || TcpStream::connect(address).is_ok());
    (client, address)
}

fn aria2(work: &Path, torrent: Option<(&Path, &Path, SocketAddr)>) -> (RunningClient, SocketAddr) {
    std::fs::create_dir_all(work).unwrap();
    let address = here(free_port());
    let (torrent, content, node) = torrent.expect("aria2 has a torrent");
    let mut command = Command::new("aria2c");
    command
        .args(["--no-conf", "--enable-dht=true", "--enable-dht6=false", "--bt-enable-lpd=false"])
        .args(["--enable-peer-exchange=false", "--check-integrity=true", "--disable-ipv6=true"])
        .args(["--seed-ratio=0.0", "--seed-time=600", "--file-allocation=none"])
        .arg(format!("--dht-entry-point={node}"))
        .arg(format!("--dht-listen-port={}", address.port()))
        .arg(format!("--dht-file-path={}", work.join("dht").display()))
        .arg(format!("--interface={}", address.ip()))
        .arg(format!("--listen-port={}", address.port()))
        .arg(format!("--dir={}", content.display()))
        .arg(torrent);
    let client = start(&mut command, work);
    wait_until("listening", &work.join("log"), || TcpStream::connect(address).is_ok());
    (client, address)
}

type Client = fn(&Path, Option<(&Path, &Path, SocketAddr)>) -> (RunningClient, SocketAddr);

/// A folder with a torrent and its content.
struct Place {
    _folder: tempfile::TempDir,
    seed: SeededTorrent,
    torrent: PathBuf,
    content: PathBuf,
    output: PathBuf,
    recording: PathBuf,
    work: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let seed = seed();
        seed.write_files(&at("content"));
        std::fs::create_dir(at("out")).unwrap();
        std::fs::write(at("it.torrent"), &*seed.torrent).unwrap();
        Self {
            torrent: at("it.torrent"),
            content: at("content"),
            output: at("out"),
            recording: at("run.pcapng"),
            work: at("work"),
            seed,
            _folder: folder,
        }
    }
}

fn gives(program: &str, client: Client) {
    if !is_there("libtorrent") || !is_there(program) {
        return;
    }
    let place = Place::new();
    let (_node, node) = libtorrent_node(&place.work.join("node"));
    let (_client, _) = client(&place.work.join("client"), Some((&place.torrent, &place.content, node)));
    let config = Config { rounds: None, ..patient() };
    let (result, notices) = run(&place.seed, with_dht(&place.output, config, node, &place.recording));
    assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
    place.seed.assert_whole(&place.output);
    let port = notices.iter().find_map(|notice| notice.strip_prefix("Listening { port: "));
    let port = port.and_then(|port| port.trim_end_matches(" }").parse().ok());
    assert_reads_well(&place.recording, port.expect("a port"));
    // The next run begins with the nodes of this one.
    let kept = std::fs::read(place.recording.with_extension("dht")).unwrap();
    assert!(kept.windows(2).any(|bytes| bytes == node.port().to_be_bytes()));
}

fn takes(program: &str, client: Client) {
    if !is_there("libtorrent") || !is_there(program) {
        return;
    }
    let place = Place::new();
    let (_node, node) = libtorrent_node(&place.work.join("node"));
    let config = Config { seeding: Some(SeedGoal::default()), rounds: None, ..patient() };
    let options = with_dht(&place.content, config, node, &place.recording);
    let download = Download::new(place.seed.metainfo.clone(), options).unwrap();
    let stop = download.stop();
    let (telling, announced) = std::sync::mpsc::channel();
    let (listening, port) = std::sync::mpsc::channel();
    let seeder = std::thread::spawn(move || {
        download.run_blocking(|notice| {
            if let Notice::Listening { port } = notice {
                listening.send(port).unwrap();
            }
            if let Notice::DhtSearched(result) = notice
                && result.told > 0
            {
                let _ = telling.send(());
            }
        })
    });
    announced.recv_timeout(Duration::from_secs(60)).expect("an announce");
    let work = place.work.join("client");
    let (_client, _) = client(&work, Some((&place.torrent, &place.output, node)));
    wait_until("downloading", &work.join("log"), || place.seed.is_whole(&place.output));
    stop.stop();
    let report = seeder.join().unwrap().unwrap();
    assert!(report.status.unwrap().uploaded >= place.seed.bytes.len() as u64);
    assert_reads_well(&place.recording, port.recv().unwrap());
}

/// Every byte of a recording has a meaning, it has datagrams of the DHT, and none of those from our port breaks a rule.
fn assert_reads_well(recording: &Path, port: u16) {
    let mut trace = Trace::open(recording, TraceOptions::default()).unwrap();
    let mut messages = 0;
    while let Some(dissected) = trace.next().unwrap() {
        let Dissected::Record(record) = dissected else { continue };
        // A block may be on its way twice, over a connection that each side opened, when the run ends.
        let is_cut = record.notes.iter().any(|note| note.rule.id == "capture.fragment");
        assert!(is_cut || !matches!(record.body, Body::Unreadable(..)), "{record:?}");
        messages += usize::from(matches!(record.body, Body::Dht(..)));
        let is_ours = matches!(record.body, Body::Dht(..)) && record.source.port() == port;
        assert!(!is_ours || record.severity() < Some(Severity::Warn), "{record:?}");
    }
    assert!(messages >= 4, "{messages} messages of the DHT");
}

#[test]
fn libtorrent_gives_by_the_dht_alone() {
    gives("libtorrent", libtorrent);
}

#[test]
fn libtorrent_takes_by_the_dht_alone() {
    takes("libtorrent", libtorrent);
}

#[test]
fn aria2_gives_by_the_dht_alone() {
    gives("aria2c", aria2);
}

#[test]
fn aria2_takes_by_the_dht_alone() {
    takes("aria2c", aria2);
}

/// A link that has the info hash and a node of the DHT, and nothing else: the torrent comes from a peer that nodes name.
#[test]
fn a_magnet_link_is_followed_by_the_dht_alone() {
    if !is_there("libtorrent") {
        return;
    }
    let place = Place::new();
    let (_node, node) = libtorrent_node(&place.work.join("node"));
    let (_client, _) = libtorrent(&place.work.join("client"), Some((&place.torrent, &place.content, node)));
    let mut options = with_dht(&place.output, Config { rounds: None, ..patient() }, node, &place.recording);
    if let Some(dht) = &mut options.dht {
        dht.nodes.clear();
    }
    let named = HostPort { host: node.ip().to_string(), port: node.port() };
    let hashes = InfoHashes::V1(place.seed.metainfo.info_hash);
    let magnet = Magnet { nodes: vec![named], ..Magnet::new(hashes) };
    let mut port = 0;
    let report = Download::of_magnet(magnet, options).run_blocking(|notice| {
        if let Notice::Listening { port: listening } = notice {
            port = listening;
        }
    });
    assert_eq!(report.unwrap().outcome, Outcome::Complete);
    place.seed.assert_whole(&place.output);
    assert_reads_well(&place.recording, port);
}

/// A node that is asked, on raw bytes: what came to it within the time that a run takes.
fn asked_of(private: bool) -> (Vec<Message>, Vec<String>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut seed = seed();
    if private {
        let mut metainfo = (*seed.metainfo).clone();
        metainfo.private = true;
        seed.metainfo = metainfo.into();
    }
    let config = Config { single_peer: true, ..config() };
    let recording = folder.path().join("run.pcapng");
    let options = with_dht(folder.path(), config, socket.local_addr().unwrap(), &recording);
    let download = Download::new(seed.metainfo.clone(), options).unwrap();
    let stop = download.stop();
    let (ended, running) = std::sync::mpsc::channel::<()>();
    let listening = std::thread::spawn(move || {
        let mut messages = Vec::new();
        let mut buffer = [0; 2_000];
        while running.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
            if let Ok(length) = socket.recv(&mut buffer) {
                messages.push(Message::decode(&buffer[..length]).unwrap());
            } else if !messages.is_empty() {
                // It has said all that it says before an answer.
                stop.stop();
            }
        }
        messages
    });
    let mut notices = Vec::new();
    let report = download.run_blocking(|notice| notices.push(format!("{notice:?}"))).unwrap();
    drop(ended);
    let messages = listening.join().unwrap();
    assert_ne!(report.outcome, Outcome::Complete);
    (messages, notices)
}

#[test]
fn a_private_torrent_is_not_looked_for_and_that_is_told() {
    let (messages, notices) = asked_of(true);
    assert!(messages.is_empty(), "{messages:?}");
    assert!(notices.iter().any(|notice| notice == "PrivateTorrent"), "{notices:#?}");
    let (messages, notices) = asked_of(false);
    let asks_for_peers =
        |message: &Message| matches!(&message.kind, Kind::Query(query) if query.method == Method::GetPeers);
    assert!(messages.iter().any(asks_for_peers), "{messages:?}");
    assert!(!notices.iter().any(|notice| notice == "PrivateTorrent"));
}
