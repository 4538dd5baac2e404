//! Downloads that begin with a magnet link, from our own seeds and from real clients; and real clients that have the metadata
//! from us.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use bittrace_client::{Download, DownloadOptions, DownloadReport, Error, Notice, Outcome, Stop};
use bittrace_protocol::magnet::{InfoHashes, Magnet};
use bittrace_protocol::session::{Config, EncryptionPolicy, EncryptionProfile, Identity, SeedGoal};
use bittrace_protocol::{HostPort, PeerId};
use bittrace_testing::clients::*;
use bittrace_testing::programs::*;
use bittrace_testing::torrent::SeededTorrent;
use bittrace_testing::tracker::ScriptedTracker;
use bittrace_trace::record::{Body, MseBody, Severity, Side};
use bittrace_trace::{Dissected, Trace, TraceOptions};
use support::{finish_within, options, patient};

const PIECE: usize = 16 * 1024;

/// Where everybody is.
fn host() -> IpAddr {
    if is_in_a_namespace() { IN_NAMESPACE } else { Ipv4Addr::LOCALHOST.into() }
}

/// Metadata of one piece: most torrents have no more.
fn small(announce: &str) -> SeededTorrent {
    SeededTorrent::folder(announce, &[("a.bin", 3_000_000), ("sub/b.bin", 700_001)], PIECE)
}

/// Metadata of three pieces, and 8 MB of content.
fn large(announce: &str) -> SeededTorrent {
    let name = "n".repeat(200);
    let files: Vec<_> = (0..150).map(|number| format!("{number}-{name}.bin")).collect();
    let files: Vec<_> = files.iter().map(|name| (name.as_str(), 56_000)).collect();
    SeededTorrent::folder(announce, &files, PIECE)
}

type MakeSeed = fn(&str) -> SeededTorrent;
type MakeLink = fn(&SeededTorrent) -> Magnet;

fn link_by_sha1(seed: &SeededTorrent) -> Magnet {
    Magnet::new(InfoHashes::V1(seed.metainfo.info_hash))
}

fn link_to(seed: &SeededTorrent) -> Magnet {
    let (hash, v2) = (seed.metainfo.info_hash, seed.metainfo.info_hash_v2);
    Magnet::new(match (v2, seed.metainfo.geometry.is_some()) {
        (Some(v2), true) => InfoHashes::Both(hash, v2),
        (Some(v2), false) => InfoHashes::V2(v2),
        (None, _) => InfoHashes::V1(hash),
    })
}

/// Files with piece layers of which one needs several requests for hashes, and others.
const TREES: [(&str, usize); 4] =
    [("a.bin", 600 * PIECE), ("b.bin", PIECE), ("c.bin", 3), ("sub/d.bin", 40_000)];

fn v2(announce: &str) -> SeededTorrent {
    SeededTorrent::v2(announce, &TREES, PIECE)
}

fn hybrid(announce: &str) -> SeededTorrent {
    SeededTorrent::hybrid(announce, &TREES, PIECE)
}

/// Where the peers of a link are to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    ByTracker,
    InLink,
}

fn config(policy: EncryptionPolicy) -> Config {
    let mut config = patient();
    config.profile.encryption = EncryptionProfile::own(policy);
    config
}

/// Runs a download to its end.
fn finish(download: Download) -> (Result<DownloadReport, Error>, Vec<String>) {
    finish_within(Duration::from_secs(90), download)
}

/// Every byte of a recording has a meaning, and we broke no rule.
#[track_caller]
fn assert_readable(recording: &Path) {
    let mut trace = Trace::open(recording, TraceOptions::default()).unwrap();
    let mut described = false;
    while let Some(dissected) = trace.next().unwrap() {
        let Dissected::Record(record) = dissected else { continue };
        let is_opaque = matches!(record.body, Body::Unreadable(..) | Body::Mse(MseBody::Encrypted));
        assert!(!is_opaque, "{record:?}");
        let ours = record.notes.iter().filter(|_| record.side == Side::Local);
        let broken: Vec<_> = ours.filter(|note| note.rule.severity >= Severity::Warn).collect();
        assert!(broken.is_empty(), "{broken:?} in {:?}", record.body);
        described |= record.describes.is_some();
    }
    assert!(described, "the recording has the metadata");
}

/// A seed of our own, and the address it listens on.
struct OwnSeed {
    address: SocketAddr,
    stop: Stop,
    thread: JoinHandle<Result<DownloadReport, Error>>,
}

impl OwnSeed {
    fn start(
        seed: &SeededTorrent,
        content: &Path,
        policy: EncryptionPolicy,
        record: Option<PathBuf>,
    ) -> Self {
        let config = Config { seeding: Some(SeedGoal::default()), ..config(policy) };
        let identity = Identity::new(PeerId(*b"-bt0000-seedseedseed"), 8, 12);
        let options = DownloadOptions { record, identity, listen: vec![host()], ..options(content, config) };
        let download = Download::new(seed.metainfo.clone(), options).unwrap();
        let stop = download.stop();
        let (listening, port) = channel();
        let thread = std::thread::spawn(move || {
            download.run_blocking(|notice| {
                if let Notice::Listening { port } = notice {
                    listening.send(port).unwrap();
                }
            })
        });
        Self { address: SocketAddr::new(host(), port.recv().unwrap()), stop, thread }
    }

    fn end(self) -> DownloadReport {
        self.stop.stop();
        self.thread.join().unwrap().unwrap()
    }
}

/// The folders of a test.
struct Folders {
    _all: tempfile::TempDir,
    content: PathBuf,
    work: PathBuf,
    output: PathBuf,
}

impl Folders {
    fn new(seed: &SeededTorrent) -> Self {
        let all = tempfile::tempdir().unwrap();
        let [content, work, output] = ["content", "work", "out"].map(|name| all.path().join(name));
        seed.write_files(&content);
        std::fs::create_dir(&work).unwrap();
        Self { _all: all, content, work, output }
    }
}

#[test]
fn a_link_becomes_files_and_the_next_run_carries_on() {
    for make in [small, large, v2, hybrid] {
        let (tracker, named) = ScriptedTracker::naming_later();
        let seed = make(&tracker.url());
        let folders = Folders::new(&seed);
        let own = OwnSeed::start(&seed, &folders.content, EncryptionPolicy::Off, None);
        named.lock().unwrap().push(own.address);
        let magnet = Magnet { trackers: vec![tracker.url()], ..link_to(&seed) };
        for run in 0..2 {
            let recording = folders.work.join(format!("{run}.pcapng"));
            let options =
                DownloadOptions { record: Some(recording.clone()), ..options(&folders.output, patient()) };
            let (report, notices) = finish(Download::of_magnet(magnet.clone(), options));
            let report = report.unwrap();
            assert_eq!(report.outcome, Outcome::Complete, "{notices:#?}");
            let all = seed.piece_count() as u32;
            assert_eq!(report.pieces_before, if run == 0 { 0 } else { all }, "{notices:#?}");
            assert_eq!(report.metadata.as_ref(), Some(seed.metainfo.info_bytes()));
            assert_eq!(report.torrent.unwrap().trackers(), [[tracker.url()]]);
            seed.assert_whole(&folders.output);
            assert_readable(&recording);
            // The first run announces as one who does not know how much is left.
            let request =
                tracker.requests().into_iter().find(|request| request.contains("left=16384")).unwrap();
            assert!(request.contains("event=started"), "{request}");
        }
        let report = own.end();
        assert_eq!(report.status.unwrap().uploaded, seed.metainfo.placement().unwrap().content());
    }
}

#[test]
fn a_link_becomes_a_torrent_and_no_file() {
    let seed = large("http://t.test/announce");
    let folders = Folders::new(&seed);
    let own = OwnSeed::start(&seed, &folders.content, EncryptionPolicy::Off, None);
    let peers = vec![HostPort { host: "localhost".to_owned(), port: own.address.port() }];
    let magnet = Magnet { peers, web_seeds: vec!["http://w.test/".to_owned()], ..link_to(&seed) };
    let recording = folders.work.join("run.pcapng");
    let options = DownloadOptions { record: Some(recording.clone()), ..options(&folders.output, patient()) };
    let (report, notices) = finish(Download::of_metadata(magnet, options));
    let report = report.unwrap();
    assert_eq!(report.outcome, Outcome::Complete, "{notices:#?}");
    assert_eq!(report.metadata.as_ref(), Some(seed.metainfo.info_bytes()));
    assert_eq!(report.torrent.unwrap().url_list, ["http://w.test/"]);
    assert!(!folders.output.exists());
    assert_readable(&recording);
    own.end();
}

#[test]
fn without_peers_a_link_comes_to_nothing_and_touches_nothing() {
    let (tracker, _named) = ScriptedTracker::naming_later();
    let seed = small(&tracker.url());
    let folders = Folders::new(&seed);
    let magnet = Magnet { trackers: vec![tracker.url()], ..link_to(&seed) };
    let config = Config { rounds: Some(1), ..patient() };
    let (report, _) = finish(Download::of_magnet(magnet, options(&folders.output, config)));
    let report = report.unwrap();
    assert_eq!(report.outcome, Outcome::Incomplete);
    assert!(report.torrent.is_none() && report.place.is_none() && !folders.output.exists());
}

#[test]
fn a_file_in_the_way_ends_the_run_when_the_metadata_has_come() {
    let seed = small("http://t.test/announce");
    let folders = Folders::new(&seed);
    let own = OwnSeed::start(&seed, &folders.content, EncryptionPolicy::Off, None);
    let peers = vec![HostPort { host: host().to_string(), port: own.address.port() }];
    let magnet = Magnet { peers, ..link_to(&seed) };
    std::fs::create_dir_all(folders.output.join("folder")).unwrap();
    let foreign = folders.output.join("folder/a.bin");
    std::fs::write(&foreign, b"something else").unwrap();
    let (report, _) = finish(Download::of_magnet(magnet.clone(), options(&folders.output, patient())));
    assert!(matches!(report, Err(Error::OtherLength { found: 14, .. })), "{report:?}");
    assert_eq!(std::fs::read(&foreign).unwrap(), b"something else");
    // Nor is a recording made where a file of the torrent goes.
    std::fs::remove_file(&foreign).unwrap();
    let options = DownloadOptions { record: Some(foreign), ..options(&folders.output, patient()) };
    let (report, _) = finish(Download::of_magnet(magnet, options));
    assert!(matches!(report, Err(Error::RecordingInTheWay { .. })), "{report:?}");
    own.end();
}

/// A client that seeds, and we who have a link.
fn gives(program: &str, client: StartClient, found: Found, manner: ClientEncryption) {
    gives_of((large, link_to), program, client, found, manner);
}

fn gives_of(
    torrent: (MakeSeed, MakeLink),
    program: &str,
    client: StartClient,
    found: Found,
    manner: ClientEncryption,
) {
    gives_again(1, torrent, program, client, found, manner);
}

/// So many runs, one after another, of the same client.
fn gives_again(
    runs: usize,
    (make, link): (MakeSeed, MakeLink),
    program: &str,
    client: StartClient,
    found: Found,
    manner: ClientEncryption,
) {
    if !is_there(program) {
        return;
    }
    let (tracker, named) = ScriptedTracker::naming_later();
    let seed = make(&tracker.url());
    let folders = Folders::new(&seed);
    let torrent = folders.work.join("it.torrent");
    std::fs::write(&torrent, &*seed.torrent).unwrap();
    let address = SocketAddr::new(host(), free_port());
    let work = folders.work.join("client");
    std::fs::create_dir(&work).unwrap();
    let job = ClientJob::new(&torrent, &folders.content, &work, address);
    let _client = client(&ClientJob { encryption: manner, ..job });
    wait_until("listening", &work.join("log"), || TcpStream::connect(address).is_ok());
    // It announces itself once its content is verified.
    wait_until("announcing", &work.join("log"), || !tracker.requests().is_empty());
    let mut magnet = link(&seed);
    match found {
        Found::ByTracker => {
            named.lock().unwrap().push(address);
            magnet.trackers.push(tracker.url());
        }
        Found::InLink => magnet.peers.push(HostPort { host: host().to_string(), port: address.port() }),
    }
    for run in 0..runs {
        let recording = folders.work.join(format!("{run}.pcapng"));
        let output = folders.output.join(run.to_string());
        let config = config(policy_of(manner));
        let options = DownloadOptions { record: Some(recording.clone()), ..options(&output, config) };
        let (report, notices) = finish(Download::of_magnet(magnet.clone(), options));
        let report = report.unwrap();
        assert_eq!(report.outcome, Outcome::Complete, "{notices:#?}");
        // Of files with trees the hashes of their pieces came too.
        let length = u64::from(seed.metainfo.piece_length);
        let files = seed.metainfo.files.iter();
        let rooted = files.filter(|file| file.length > length && file.pieces_root.is_some());
        assert_eq!(report.piece_layers.len(), rooted.count(), "{notices:#?}");
        seed.assert_whole(&output);
        assert_readable(&recording);
    }
}

/// We seed, and a client has a link.
fn takes(program: &str, client: StartClient, manner: ClientEncryption) {
    takes_of(large, program, client, manner);
}

fn takes_of(make: MakeSeed, program: &str, client: StartClient, manner: ClientEncryption) {
    if !is_there(program) {
        return;
    }
    let (tracker, named) = ScriptedTracker::naming_later_at(host());
    let seed = make(&tracker.url());
    let folders = Folders::new(&seed);
    std::fs::create_dir(&folders.output).unwrap();
    let recording = folders.work.join("run.pcapng");
    let own = OwnSeed::start(&seed, &folders.content, policy_of(manner), Some(recording.clone()));
    named.lock().unwrap().push(own.address);
    let magnet = Magnet { trackers: vec![tracker.url()], ..link_to(&seed) };
    let link = PathBuf::from(magnet.to_string());
    let work = folders.work.join("client");
    std::fs::create_dir(&work).unwrap();
    let address = SocketAddr::new(host(), free_port());
    let job = ClientJob::new(&link, &folders.output, &work, address);
    let _client = client(&ClientJob { encryption: manner, ..job });
    wait_until("downloading", &work.join("log"), || seed.is_whole(&folders.output));
    assert!(own.end().status.unwrap().uploaded >= seed.content_length());
    assert_readable(&recording);
}

/// We take RC4 alone where the client does; else what the client chooses, since aria2 tries to encrypt first.
const fn policy_of(manner: ClientEncryption) -> EncryptionPolicy {
    match manner {
        ClientEncryption::Off | ClientEncryption::Plaintext => EncryptionPolicy::Allow,
        ClientEncryption::Rc4 => EncryptionPolicy::Require,
    }
}

use ClientEncryption::{Off, Rc4};
use Found::{ByTracker, InLink};

macro_rules! interop {
    ($($program:literal $client:ident: $gives:ident $by_tracker:ident $in_link:ident $encrypted:ident;)*) => {$(
        mod $gives {
            use super::*;

            #[test]
            fn $by_tracker() {
                gives($program, $client, ByTracker, Off);
            }

            #[test]
            fn $in_link() {
                gives($program, $client, InLink, Off);
            }

            #[test]
            fn $encrypted() {
                gives($program, $client, InLink, Rc4);
            }
        }
    )*};
}

interop! {
    "aria2c" aria2: aria2_gives by_tracker in_link with_rc4;
    "qbittorrent-nox" qbittorrent: qbittorrent_gives by_tracker in_link with_rc4;
    "rtorrent" rtorrent: rtorrent_gives by_tracker in_link with_rc4;
    "libtorrent" libtorrent: libtorrent_gives by_tracker in_link with_rc4;
    "transmission-daemon" transmission: transmission_gives by_tracker in_link with_rc4;
}

macro_rules! interop_takes {
    ($($program:literal $client:ident $manner:ident: $name:ident;)*) => {$(
        #[test]
        fn $name() {
            takes($program, $client, $manner);
        }
    )*};
}

interop_takes! {
    "aria2c" aria2 Off: aria2_takes;
    "aria2c" aria2 Rc4: aria2_takes_with_rc4;
    "qbittorrent-nox" qbittorrent Off: qbittorrent_takes;
    "qbittorrent-nox" qbittorrent Rc4: qbittorrent_takes_with_rc4;
    "rtorrent" rtorrent Off: rtorrent_takes;
    "rtorrent" rtorrent Rc4: rtorrent_takes_with_rc4;
    "libtorrent" libtorrent Off: libtorrent_takes;
    "libtorrent" libtorrent Rc4: libtorrent_takes_with_rc4;
}

/// Transmission takes none of the loopback network from a tracker.
#[test]
fn transmission_takes() {
    if is_in_a_namespace() {
        takes("transmission-daemon", transmission, Off);
    } else if ["transmission-daemon", "unshare", "ip"].into_iter().all(is_there) {
        in_a_namespace("transmission_takes");
    }
}

#[test]
fn libtorrent_gives_the_piece_layers_of_version_2() {
    gives_of((v2, link_to), "libtorrent", libtorrent, ByTracker, Off);
    gives_of((v2, link_to), "libtorrent", libtorrent, InLink, Rc4);
}

#[test]
fn libtorrent_takes_the_piece_layers_of_version_2() {
    takes_of(v2, "libtorrent", libtorrent, Off);
}

#[test]
fn libtorrent_gives_and_takes_a_hybrid_torrent_by_its_link() {
    gives_of((hybrid, link_to), "libtorrent", libtorrent, InLink, Off);
    takes_of(hybrid, "libtorrent", libtorrent, Off);
}

/// Peers that offer version 2 are connected to anew, once the metadata says that there are piece layers. Over an encrypted connection
/// libtorrent 2.0.8 offers version 2 and does not answer by it.
#[test]
fn libtorrent_gives_the_piece_layers_of_a_hybrid_torrent_by_its_sha1() {
    // libtorrent remembers that we took version 2, and answers the next run by its hash, which the link does not have.
    gives_again(3, (hybrid, link_by_sha1), "libtorrent", libtorrent, ByTracker, Off);
    gives_of((hybrid, link_by_sha1), "libtorrent", libtorrent, InLink, Off);
}

#[test]
fn a_link_of_version_2_becomes_a_torrent_with_its_piece_layers() {
    becomes_a_torrent_with_its_piece_layers(v2, link_to);
    becomes_a_torrent_with_its_piece_layers(hybrid, link_to);
    becomes_a_torrent_with_its_piece_layers(hybrid, link_by_sha1);
}

fn becomes_a_torrent_with_its_piece_layers(make: MakeSeed, link: MakeLink) {
    let seed = make("http://t.test/announce");
    let folders = Folders::new(&seed);
    let own = OwnSeed::start(&seed, &folders.content, EncryptionPolicy::Off, None);
    let peers = vec![HostPort { host: host().to_string(), port: own.address.port() }];
    let magnet = Magnet { peers, ..link(&seed) };
    let recording = folders.work.join("run.pcapng");
    let options = DownloadOptions { record: Some(recording.clone()), ..options(&folders.output, patient()) };
    let (report, notices) = finish(Download::of_metadata(magnet.clone(), options));
    let report = report.unwrap();
    assert_eq!(report.outcome, Outcome::Complete, "{notices:#?}");
    let torrent = report.torrent.unwrap();
    assert!(torrent.has_all_hashes() && torrent.faults.is_empty(), "{:?}", torrent.faults);
    let file = magnet.torrent_file(&report.metadata.unwrap(), &report.piece_layers);
    // All but the tracker, which the link does not name.
    let wanted = seed.torrent.strip_prefix(b"d8:announce22:http://t.test/announce").unwrap();
    assert_eq!(file, [b"d", wanted].concat());
    assert_readable(&recording);
    own.end();
}
