//! Swarms of two, us and a real client, that find each other through opentracker, over HTTP and UDP: 50 MB in several
//! files, both ways. We and the client have a network namespace each, which takes the rights of root; without them, or without the
//! programs, a test is skipped as those of `interop.rs` are.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use bittrace_client::{Download, DownloadOptions, Notice, Outcome};
use bittrace_protocol::session::{Config, Event, SeedGoal};
use bittrace_testing::clients::*;
use bittrace_testing::programs::*;
use bittrace_testing::torrent::SeededTorrent;
use support::{options, patient, run};

const FILES: [(&str, usize); 3] =
    [("a.bin", 30_000_000), ("sub/b.bin", 19_000_000), ("sub/c.bin", 1_000_001)];
const PIECE: usize = 256 * 1024;

/// A client's name in messages, the program, and how it is started.
type Program = (&'static str, StartClient);

/// A torrent on disk, its tracker at work.
struct Scene {
    seed: SeededTorrent,
    torrent: PathBuf,
    tracker: SocketAddr,
    over_udp: bool,
    folder: tempfile::TempDir,
    _opentracker: RunningClient,
}

impl Scene {
    fn new(scheme: &str) -> Self {
        let tracker = SocketAddr::new(IN_NAMESPACE, 6969);
        let seed = SeededTorrent::folder(&format!("{scheme}://{tracker}/announce"), &FILES, PIECE);
        let folder = tempfile::tempdir().unwrap();
        for name in ["tracker", "work", "content"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let torrent = folder.path().join("it.torrent");
        std::fs::write(&torrent, &*seed.torrent).unwrap();
        let opentracker = opentracker(&folder.path().join("tracker"), tracker, &seed);
        Self { seed, torrent, tracker, over_udp: scheme == "udp", folder, _opentracker: opentracker }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, (_, client): Program, content: &Path) -> RunningClient {
        let (work, address) = (self.path("work"), SocketAddr::new(ELSEWHERE, 6891));
        let job = ClientJob::new(&self.torrent, content, &work, address);
        client(&ClientJob { over_udp: self.over_udp, ..job })
    }

    fn options(&self, output: &Path, config: Config) -> DownloadOptions {
        DownloadOptions { listen: vec![IN_NAMESPACE], ..options(output, config) }
    }

    /// Whether the tracker knows somebody who has everything (BEP 48).
    fn has_a_seeder(&self) -> bool {
        let mut hash = String::new();
        self.seed.metainfo.info_hash.0.iter().for_each(|byte| write!(hash, "%{byte:02x}").unwrap());
        let mut socket = TcpStream::connect(self.tracker).unwrap();
        write!(socket, "GET /scrape?info_hash={hash} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        answer.windows(13).any(|window| window == b"8:completei1e")
    }
}

/// Debian's opentracker answers for the torrents of a list alone, which lies in the folder that it makes its root.
fn opentracker(folder: &Path, address: SocketAddr, seed: &SeededTorrent) -> RunningClient {
    std::fs::write(folder.join("list"), format!("{}\n", seed.metainfo.info_hash)).unwrap();
    // It reads it as another user.
    for path in [folder.parent().unwrap(), folder] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let port = address.port().to_string();
    let mut command = Command::new("opentracker");
    command.args(["-i", &address.ip().to_string(), "-p", &port, "-P", &port, "-w", "/list", "-d"]);
    let client = start(command.arg(folder), folder);
    wait_until("opentracker", &folder.join("log"), || TcpStream::connect(address).is_ok());
    client
}

fn gives(scheme: &str, program: Program) {
    let scene = Scene::new(scheme);
    scene.seed.write_files(&scene.path("content"));
    let _client = scene.start(program, &scene.path("content"));
    wait_until("announcing", &scene.path("work/log"), || scene.has_a_seeder());
    let output = scene.path("out");
    let (result, notices) = run(&scene.seed, scene.options(&output, patient()));
    assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
    scene.seed.assert_whole(&output);
}

fn takes(scheme: &str, program: Program) {
    let scene = Scene::new(scheme);
    let output = scene.path("out");
    std::fs::create_dir(&output).unwrap();
    scene.seed.write_files(&scene.path("content"));
    let config = Config { seeding: Some(SeedGoal::default()), ..patient() };
    let options = scene.options(&scene.path("content"), config);
    let download = Download::new(scene.seed.metainfo.clone(), options).unwrap();
    let stop = download.stop();
    let (announced, announcing) = mpsc::channel();
    let uploaded = Arc::new(AtomicU64::new(0));
    let counted = uploaded.clone();
    let seeder = std::thread::spawn(move || {
        download.run_blocking(|notice| match notice {
            Notice::Session(Event::Announced { .. }) => announced.send(()).unwrap_or(()),
            Notice::Progress { status, .. } => counted.store(status.uploaded, Ordering::Relaxed),
            _ => {}
        })
    });
    announcing.recv().unwrap();
    assert!(scene.has_a_seeder());
    let _client = scene.start(program, &output);
    let log = scene.path("work/log");
    let total = scene.seed.bytes.len() as u64;
    wait_until("downloading", &log, || uploaded.load(Ordering::Relaxed) >= total);
    wait_until("writing", &log, || scene.seed.is_whole(&output));
    stop.stop();
    assert_eq!(seeder.join().unwrap().unwrap().outcome, Outcome::Complete);
}

/// Runs a test in a namespace, where it finds itself in one.
fn swarm(test: &str, way: fn(&str, Program), scheme: &str, program: Program) {
    if is_in_a_namespace() {
        way(scheme, program);
    } else if is_there(program.0) && is_there("opentracker") && can_make_namespaces() {
        in_a_namespace(test);
    }
}

/// The first address of the tracker's name takes datagrams and answers none.
#[test]
fn a_udp_tracker_of_two_addresses_is_asked_at_the_second_after_a_second() {
    let test = "a_udp_tracker_of_two_addresses_is_asked_at_the_second_after_a_second";
    if !is_in_a_namespace() {
        if is_there("opentracker") && can_make_namespaces() {
            in_a_namespace_with_names(test, "10.77.0.5 two.test\n10.77.0.1 two.test\n");
        }
        return;
    }
    let silent = std::net::UdpSocket::bind("10.77.0.5:6969").unwrap();
    let tracker = SocketAddr::new(IN_NAMESPACE, 6969);
    let seed = SeededTorrent::single("udp://two.test:6969/announce", 100_000, 32 * 1024);
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tracker")).unwrap();
    let _tracker = opentracker(&folder.path().join("tracker"), tracker, &seed);
    let begun = std::time::Instant::now();
    let mut answered_after = None;
    let download =
        Download::new(seed.metainfo.clone(), options(folder.path(), Config { rounds: Some(1), ..patient() }))
            .unwrap();
    let stop = download.stop();
    let report = download.run_blocking(|notice| {
        if matches!(notice, Notice::Session(Event::Announced { .. })) {
            answered_after.get_or_insert(begun.elapsed());
            // The tracker names ourselves alone, whom a run would dial again and again.
            stop.stop();
        }
    });
    assert_eq!(report.unwrap().outcome, Outcome::Stopped);
    let answered_after = answered_after.expect("the tracker answered");
    assert!(answered_after.as_secs_f64() > 0.9 && answered_after.as_secs_f64() < 3.0, "{answered_after:?}");
    // The connect request came here first.
    assert_eq!(silent.recv(&mut [0; 64]).unwrap(), 16);
}

macro_rules! swarms {
    ($($test:ident: $way:ident, $scheme:literal, $program:expr;)*) => {$(
        #[test]
        fn $test() {
            swarm(stringify!($test), $way, $scheme, $program);
        }
    )*};
}

const ARIA2: Program = ("aria2c", aria2);
const LIBTORRENT: Program = ("libtorrent", libtorrent);
const QBITTORRENT: Program = ("qbittorrent-nox", qbittorrent);
const RTORRENT: Program = ("rtorrent", rtorrent);
const TRANSMISSION: Program = ("transmission-daemon", transmission);

swarms! {
    aria2_gives_over_http: gives, "http", ARIA2;
    aria2_gives_over_udp: gives, "udp", ARIA2;
    aria2_takes_over_http: takes, "http", ARIA2;
    aria2_takes_over_udp: takes, "udp", ARIA2;
    libtorrent_gives_over_http: gives, "http", LIBTORRENT;
    libtorrent_gives_over_udp: gives, "udp", LIBTORRENT;
    libtorrent_takes_over_http: takes, "http", LIBTORRENT;
    libtorrent_takes_over_udp: takes, "udp", LIBTORRENT;
    qbittorrent_gives_over_http: gives, "http", QBITTORRENT;
    qbittorrent_gives_over_udp: gives, "udp", QBITTORRENT;
    qbittorrent_takes_over_http: takes, "http", QBITTORRENT;
    qbittorrent_takes_over_udp: takes, "udp", QBITTORRENT;
    rtorrent_gives_over_http: gives, "http", RTORRENT;
    rtorrent_gives_over_udp: gives, "udp", RTORRENT;
    rtorrent_takes_over_http: takes, "http", RTORRENT;
    rtorrent_takes_over_udp: takes, "udp", RTORRENT;
    transmission_gives_over_http: gives, "http", TRANSMISSION;
    transmission_gives_over_udp: gives, "udp", TRANSMISSION;
    transmission_takes_over_http: takes, "http", TRANSMISSION;
    transmission_takes_over_udp: takes, "udp", TRANSMISSION;
}
