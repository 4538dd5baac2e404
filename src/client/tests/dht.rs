//! Real clients that are found without a tracker: by the DHT alone. Those that ask well-known nodes, or take none of the loopback
//! network, are in a network namespace.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bittrace_client::{DhtOptions, Download, DownloadOptions, Notice, Outcome};
use bittrace_protocol::HostPort;
use bittrace_protocol::dht::{Kind, Message, Method};
use bittrace_protocol::magnet::{InfoHashes, Magnet};
use bittrace_protocol::metainfo::PieceLayers;
use bittrace_protocol::session::{Config, SeedGoal};
use bittrace_testing::clients::*;
use bittrace_testing::hosts::{add_hosts, host, host_of, names_peers};
use bittrace_testing::programs::*;
use bittrace_testing::torrent::SeededTorrent;
use bittrace_trace::record::{Body, Side};
use bittrace_trace::{Dissected, Severity, Trace, TraceOptions};
use support::{config, finish_within, options, patient};

/// A torrent of 8 MiB without a tracker.
fn seed() -> SeededTorrent {
    SeededTorrent::folder("", &[("a.bin", 5_000_000), ("sub/b.bin", 3_388_608)], 64 * 1024)
}

/// Options with the DHT, which begins with this node.
fn with_dht(output: &Path, config: Config, node: SocketAddr, record: &Path) -> DownloadOptions {
    let state = Some(record.with_extension("dht"));
    let dht = DhtOptions { version: *b"bt\x01\x00", nodes: vec![named(node)], routers: Vec::new(), state };
    let mut options = options(output, config);
    options.identity.secret = [7; 32];
    DownloadOptions { dht: Some(dht), record: Some(record.to_owned()), ..options }
}

fn named(node: SocketAddr) -> HostPort {
    HostPort { host: node.ip().to_string(), port: node.port() }
}

/// Where we, a client, and the nodes of a network are.
struct Network {
    ours: IpAddr,
    client: SocketAddr,
    nodes: Vec<SocketAddr>,
}

impl Network {
    /// One node on loopback.
    fn here() -> Self {
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let at = || SocketAddr::new(host, free_port());
        Self { ours: host, client: at(), nodes: vec![at()] }
    }

    /// So many nodes, each at its own address.
    fn in_a_namespace(count: u8) -> Self {
        Self::of_hosts((13..13 + count).map(host))
    }

    /// So many nodes, each in a /24 of its own.
    fn in_networks(count: u8) -> Self {
        Self::of_hosts((13..13 + count).map(host_of))
    }

    fn of_hosts(nodes: impl Iterator<Item = IpAddr> + Clone) -> Self {
        add_hosts(std::iter::once(host(12)).chain(nodes.clone()));
        let at = |host| SocketAddr::new(host, free_port());
        Self { ours: host(1), client: at(host(12)), nodes: nodes.map(at).collect() }
    }
}

/// What a client, or we, begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Has {
    Torrent,
    /// A link with the info hash, and the first node where it can have one.
    Link,
}

/// A folder with a torrent and its content.
struct Place {
    _folder: tempfile::TempDir,
    seed: SeededTorrent,
    network: Network,
    _nodes: RunningClient,
    torrent: PathBuf,
    content: PathBuf,
    output: PathBuf,
    recording: PathBuf,
    work: PathBuf,
}

impl Place {
    fn new(network: Network) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let seed = seed();
        seed.write_files(&at("content"));
        for name in ["out", "work", "nodes"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        // The torrent names the first node: qBittorrent hears of none in another way.
        let magnet = Magnet { nodes: vec![named(network.nodes[0])], ..link(&seed) };
        let file = magnet.torrent_file(seed.metainfo.info_bytes(), &PieceLayers::new());
        std::fs::write(at("it.torrent"), file).unwrap();
        let nodes = dht_nodes(&at("nodes"), &network.nodes);
        for node in &network.nodes {
            wait_until("listening", &at("nodes/log"), || TcpStream::connect(node).is_ok());
        }
        Self {
            torrent: at("it.torrent"),
            content: at("content"),
            output: at("out"),
            recording: at("run.pcapng"),
            work: at("work"),
            seed,
            network,
            _nodes: nodes,
            _folder: folder,
        }
    }

    fn node(&self) -> SocketAddr {
        self.network.nodes[0]
    }

    fn link(&self) -> Magnet {
        Magnet { nodes: vec![named(self.node())], ..link(&self.seed) }
    }

    fn start(&self, client: StartClient, torrent: &Path, content: &Path) -> RunningClient {
        let job = ClientJob::new(torrent, content, &self.work, self.network.client);
        let client = client(&ClientJob { nodes: &self.network.nodes, ..job });
        let log = self.work.join("log");
        wait_until("listening", &log, || TcpStream::connect(self.network.client).is_ok());
        client
    }

    fn options(&self, output: &Path, config: Config) -> DownloadOptions {
        let options = with_dht(output, Config { rounds: None, ..config }, self.node(), &self.recording);
        DownloadOptions { listen: vec![self.network.ours], ..options }
    }
}

fn link(seed: &SeededTorrent) -> Magnet {
    Magnet::new(InfoHashes::V1(seed.metainfo.info_hash))
}

/// A client has the content, and we look for it.
fn gives(network: Network, client: StartClient, we_have: Has) {
    let place = Place::new(network);
    let _client = place.start(client, &place.torrent, &place.content);
    let nodes = &place.network.nodes;
    wait_until("announcing", &place.work.join("log"), || {
        nodes.iter().any(|&node| names_peers(node, place.seed.metainfo.info_hash))
    });
    let mut options = place.options(&place.output, patient());
    let download = match we_have {
        Has::Torrent => Download::new(place.seed.metainfo.clone(), options).unwrap(),
        Has::Link => {
            options.dht.as_mut().unwrap().nodes.clear();
            Download::of_magnet(place.link(), options)
        }
    };
    let (result, notices) = finish_within(Duration::from_secs(60), download);
    assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
    place.seed.assert_whole(&place.output);
    let port = notices.iter().find_map(|notice| notice.strip_prefix("Listening { port: "));
    let port = port.and_then(|port| port.trim_end_matches(" }").parse().ok());
    assert_reads_well(&place.recording, port.expect("a port"));
    // The next run begins with the nodes of this one.
    let kept = std::fs::read(place.recording.with_extension("dht")).unwrap();
    assert!(kept.windows(2).any(|bytes| bytes == place.node().port().to_be_bytes()));
}

/// We have the content, and a client looks for it.
fn takes(network: Network, client: StartClient, it_has: Has) {
    let place = Place::new(network);
    let config = Config { seeding: Some(SeedGoal::default()), ..patient() };
    let options = place.options(&place.content, config);
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
    let torrent = match it_has {
        Has::Torrent => place.torrent.clone(),
        Has::Link => PathBuf::from(place.link().to_string()),
    };
    let _client = place.start(client, &torrent, &place.output);
    wait_until("downloading", &place.work.join("log"), || place.seed.is_whole(&place.output));
    stop.stop();
    let report = seeder.join().unwrap().unwrap();
    assert!(report.status.unwrap().uploaded >= place.seed.bytes.len() as u64);
    assert_reads_well(&place.recording, port.recv().unwrap());
}

/// Every byte of a recording has a meaning, it has datagrams of the DHT, and nothing that we sent breaks a rule.
fn assert_reads_well(recording: &Path, port: u16) {
    let mut trace = Trace::open(recording, TraceOptions::default()).unwrap();
    let mut messages = 0;
    while let Some(dissected) = trace.next().unwrap() {
        let Dissected::Record(record) = dissected else { continue };
        // A block may be on its way twice, over a connection that each side opened, when the run ends.
        let is_cut = record.notes.iter().any(|note| note.rule.id == "capture.fragment");
        assert!(is_cut || !matches!(record.body, Body::Unreadable(..)), "{record:?}");
        messages += usize::from(matches!(record.body, Body::Dht(..)));
        let is_ours = match record.body {
            // On loopback all hosts are one.
            Body::Dht(..) => record.source.port() == port,
            _ => record.side == Side::Local,
        };
        assert!(is_cut || !is_ours || record.severity() < Some(Severity::Warn), "{record:?}");
    }
    assert!(messages >= 4, "{messages} messages of the DHT");
}

macro_rules! here {
    ($($test:ident: $way:ident $program:literal $client:ident $has:ident;)*) => {$(
        #[test]
        fn $test() {
            if is_there("libtorrent") && is_there($program) {
                $way(Network::here(), $client, Has::$has);
            }
        }
    )*};
}

here! {
    libtorrent_gives_by_the_dht_alone: gives "libtorrent" libtorrent Torrent;
    libtorrent_gives_by_a_link_and_the_dht_alone: gives "libtorrent" libtorrent Link;
    libtorrent_takes_by_the_dht_alone: takes "libtorrent" libtorrent Torrent;
    libtorrent_takes_by_a_link_and_the_dht_alone: takes "libtorrent" libtorrent Link;
    aria2_gives_by_a_link_and_the_dht_alone: gives "aria2c" aria2 Link;
    aria2_takes_by_the_dht_alone: takes "aria2c" aria2 Torrent;
    aria2_takes_by_a_link_and_the_dht_alone: takes "aria2c" aria2 Link;
}

macro_rules! elsewhere {
    ($($test:ident: $way:ident $program:literal $client:ident $has:ident $place:ident $count:expr;)*) => {$(
        #[test]
        fn $test() {
            if is_in_a_namespace() {
                $way(Network::$place($count), $client, Has::$has);
            } else if ["libtorrent", $program, "unshare", "ip"].into_iter().all(is_there) {
                in_a_namespace(stringify!($test));
            }
        }
    )*};
}

/// Transmission takes no part in the DHT where it knows fewer nodes. rTorrent 0.9.8 finds nobody: it reads the text before an address
/// as a part of it, and dials 54.58.10.77 ("6:" and 10.77) where the peer is 10.77.0.1.
const ENOUGH: u8 = 12;

/// A search of qBittorrent asks one node of a /24. Where that is ours, which has the content and names nobody that has it, the
/// search ends without a peer, and the next one is due after a quarter of an hour.
const NETWORKS: u8 = 3;

elsewhere! {
    qbittorrent_gives_by_a_link_and_the_dht_alone: gives "qbittorrent-nox" qbittorrent Link in_a_namespace 1;
    qbittorrent_takes_by_the_dht_alone: takes "qbittorrent-nox" qbittorrent Torrent in_networks NETWORKS;
    qbittorrent_takes_by_a_link_and_the_dht_alone: takes "qbittorrent-nox" qbittorrent Link in_networks NETWORKS;
    rtorrent_gives_by_a_link_and_the_dht_alone: gives "rtorrent" rtorrent Link in_a_namespace 1;
    transmission_gives_by_a_link_and_the_dht_alone: gives "transmission-daemon" transmission Link in_a_namespace ENOUGH;
    transmission_takes_by_a_link_and_the_dht_alone: takes "transmission-daemon" transmission Link in_a_namespace ENOUGH;
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
