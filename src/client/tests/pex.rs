//! Peer exchange (BEP 11) with real clients, in a network namespace: half of the content comes from a peer that no tracker names
//! to the side that wants it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bittrace_client::{Download, DownloadOptions, Outcome};
use bittrace_protocol::session::{Config, SeedGoal};
use bittrace_protocol::wire::{Content, Message};
use bittrace_testing::clients::*;
use bittrace_testing::hosts::{add_hosts, host};
use bittrace_testing::peer::{HostilePeer, Misconduct};
use bittrace_testing::programs::*;
use bittrace_testing::torrent::SeededTorrent;
use bittrace_testing::tracker::{NotedPeers, ScriptedTracker};
use bittrace_trace::record::{Body, PeerWireBody, Side};
use support::{options, patient, read_all, run_within, start};

const PIECE: usize = 64 * 1024;
/// The client or we have the first file, and the peer that is told of has both.
const FILES: [(&str, usize); 2] = [("a.bin", 64 * PIECE), ("b.bin", 64 * PIECE)];

/// A torrent for us and the same torrent for the client, each with a tracker of its own; and a third peer.
struct Scene {
    ours: SeededTorrent,
    our_peers: NotedPeers,
    theirs: ScriptedTracker,
    their_peers: NotedPeers,
    third: HostilePeer,
    _our_tracker: ScriptedTracker,
    _folder: tempfile::TempDir,
    torrent: PathBuf,
    content: PathBuf,
    output: PathBuf,
    work: PathBuf,
}

impl Scene {
    /// The third peer serves all but this host.
    fn new(choked: std::net::IpAddr) -> Self {
        add_hosts([host(5)].into_iter());
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (our_tracker, our_peers) = ScriptedTracker::naming_later_at(IN_NAMESPACE);
        let (theirs, their_peers) = ScriptedTracker::naming_later_at(IN_NAMESPACE);
        let ours = SeededTorrent::folder(&our_tracker.url(), &FILES, PIECE);
        let torrent = at("it.torrent");
        std::fs::write(&torrent, &*SeededTorrent::folder(&theirs.url(), &FILES, PIECE).torrent).unwrap();
        let (path, bytes) = &ours.files[0];
        let first = at("content").join(path);
        for folder in [first.parent().unwrap(), &at("out"), &at("work")] {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::write(&first, bytes).unwrap();
        let third = HostilePeer::start_at(&ours, Misconduct::ChokesHost(choked), &format!("{}:0", host(5)));
        Self {
            torrent,
            content: at("content"),
            output: at("out"),
            work: at("work"),
            ours,
            our_peers,
            theirs,
            their_peers,
            third,
            _our_tracker: our_tracker,
            _folder: folder,
        }
    }

    fn recording(&self) -> PathBuf {
        self.work.join("run.pcapng")
    }

    fn start(&self, client: StartClient, content: &Path) -> (RunningClient, SocketAddr) {
        let address = SocketAddr::new(ELSEWHERE, 6891);
        let job = ClientJob::new(&self.torrent, content, &self.work, address);
        (client(&ClientJob { pex: true, ..job }), address)
    }

    fn options(&self, output: &Path, config: Config) -> DownloadOptions {
        DownloadOptions {
            listen: vec![IN_NAMESPACE],
            record: Some(self.recording()),
            ..options(output, Config { rounds: None, ..config })
        }
    }

    /// The recording can be read, we broke no rule, and one side told the other of the third peer.
    fn assert_told_by(&self, side: Side) {
        let mut told = false;
        read_all(&self.recording(), |record| {
            let Body::PeerWire(PeerWireBody::Extended(Message::Extended { payload, .. }, extension)) =
                &record.body
            else {
                return;
            };
            if let Ok(Content::Pex(pex)) = extension.decode(payload) {
                let names_third = pex.added.iter().any(|peer| peer.address == self.third.address);
                told |= names_third && record.side == side;
            }
        });
        assert!(told, "{} was told of", self.third.address);
    }
}

/// The client has one file, and is choked by the peer that has the other one, which the client alone knows.
fn tells(client: StartClient) {
    let scene = Scene::new(ELSEWHERE);
    scene.their_peers.lock().unwrap().push(scene.third.address);
    let (_client, address) = scene.start(client, &scene.content);
    wait_until("announcing", &scene.work.join("log"), || !scene.theirs.requests().is_empty());
    scene.our_peers.lock().unwrap().push(address);
    let output = scene.work.join("ours");
    let (result, notices) = run_within(PATIENCE, &scene.ours, scene.options(&output, patient()));
    assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
    scene.ours.assert_whole(&output);
    scene.assert_told_by(Side::Remote);
}

/// We have one file, and are choked by the peer that has the other one, which we alone know.
fn is_told(client: StartClient) {
    let scene = Scene::new(IN_NAMESPACE);
    scene.our_peers.lock().unwrap().push(scene.third.address);
    let config = Config { seeding: Some(SeedGoal::default()), ..patient() };
    let options = scene.options(&scene.content, config);
    let download = Download::new(scene.ours.metainfo.clone(), options).unwrap();
    let stop = download.stop();
    let (running, port) = start(download);
    scene.their_peers.lock().unwrap().push(SocketAddr::new(IN_NAMESPACE, port));
    let _client = scene.start(client, &scene.output);
    let log = scene.work.join("log");
    wait_until("downloading", &log, || scene.ours.is_whole(&scene.output));
    stop.stop();
    running.join().unwrap().unwrap();
    scene.assert_told_by(Side::Local);
}

/// Runs a test in a namespace, where it finds itself in one.
fn pex(test: &str, way: fn(StartClient), (program, client): (&str, StartClient)) {
    if is_in_a_namespace() {
        way(client);
    } else if is_there(program) && can_make_namespaces() {
        in_a_namespace(test);
    }
}

macro_rules! pex {
    ($($test:ident: $way:ident $program:literal $client:ident;)*) => {$(
        #[test]
        fn $test() {
            pex(stringify!($test), $way, ($program, $client));
        }
    )*};
}

pex! {
    aria2_tells_us_of_a_peer: tells "aria2c" aria2;
    aria2_is_told_of_a_peer: is_told "aria2c" aria2;
    libtorrent_tells_us_of_a_peer: tells "libtorrent" libtorrent;
    libtorrent_is_told_of_a_peer: is_told "libtorrent" libtorrent;
    qbittorrent_tells_us_of_a_peer: tells "qbittorrent-nox" qbittorrent;
    qbittorrent_is_told_of_a_peer: is_told "qbittorrent-nox" qbittorrent;
    rtorrent_tells_us_of_a_peer: tells "rtorrent" rtorrent;
    rtorrent_is_told_of_a_peer: is_told "rtorrent" rtorrent;
    transmission_tells_us_of_a_peer: tells "transmission-daemon" transmission;
    transmission_is_told_of_a_peer: is_told "transmission-daemon" transmission;
}

/// Transmission tells of its peers a minute and a half after it connected.
const PATIENCE: Duration = Duration::from_secs(200);
