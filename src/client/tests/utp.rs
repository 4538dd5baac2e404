//! Two runs of this client with each other, over uTP alone.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use bittrace_client::{Download, DownloadOptions, Notice, Outcome, Stop};
use bittrace_protocol::PeerId;
use bittrace_protocol::node::UtpPolicy;
use bittrace_protocol::session::{
    Config, EncryptionPolicy, EncryptionProfile, Event, Identity, SeedGoal, Transport,
};
use bittrace_protocol::wire::Message;
use bittrace_testing::programs::{in_a_namespace, is_in_a_namespace, is_there, wait_until};
use bittrace_testing::torrent::SeededTorrent;
use bittrace_testing::tracker::ScriptedTracker;
use bittrace_trace::record::{self, Body};
use bittrace_trace::{Capture, Dissected, Trace, TraceOptions};
use support::{options, patient, run};

const PIECE: usize = 64 * 1024;

/// A seeder that takes uTP alone; it ends with [`Stop`].
struct Seeder {
    address: SocketAddr,
    stop: Stop,
    thread: std::thread::JoinHandle<()>,
}

impl Seeder {
    fn start(seed: &SeededTorrent, content: &Path, config: Config, utp: UtpPolicy) -> Self {
        let config = Config { seeding: Some(SeedGoal::default()), ..config };
        // One with our own peer id would be ourselves.
        let identity = Identity::new(PeerId(*b"-bt0000-the-seeder.."), 8, 12);
        let options = DownloadOptions { utp, identity, ..options(content, config) };
        let download = Download::new(seed.metainfo.clone(), options).unwrap();
        let stop = download.stop();
        let (listening, port) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let report = download.run_blocking(|notice| {
                if let Notice::Listening { port } = notice {
                    listening.send(port).unwrap();
                }
            });
            report.unwrap();
        });
        Self { address: (Ipv4Addr::LOCALHOST, port.recv().unwrap()).into(), stop, thread }
    }

    fn end(self) {
        self.stop.stop();
        self.thread.join().unwrap();
    }
}

/// The bytes of a torrent, from the blocks that a recording shows; each came over uTP.
fn content_of(recording: &Path, length: usize) -> Vec<u8> {
    let mut trace = Trace::open(recording, TraceOptions::default()).unwrap();
    let mut blocks = BTreeMap::new();
    while let Some(dissected) = trace.next().unwrap() {
        let Dissected::Record(record) = dissected else { continue };
        assert!(!matches!(record.body, Body::Unreadable(..)), "{record:?}");
        if let Some(Message::Piece { index, begin, block }) = record.body.peer_message() {
            assert_eq!(record.transport, record::Transport::Utp);
            blocks.insert(index.0 as usize * PIECE + *begin as usize, block.clone());
        }
    }
    assert!(trace.cut().is_none());
    let mut content = vec![0; length];
    for (at, block) in blocks {
        content[at..at + block.len()].copy_from_slice(&block);
    }
    content
}

/// A download that is whole, and whose recording shows every block.
fn downloads(policies: [UtpPolicy; 2], encryption: EncryptionPolicy) -> SeededTorrent {
    let (tracker, named) = ScriptedTracker::naming_later();
    let seed = SeededTorrent::single(&tracker.url(), 6_000_000, PIECE);
    let folder = tempfile::tempdir().unwrap();
    let content = folder.path().join("content");
    seed.write_files(&content);
    let mut config = patient();
    config.profile.encryption = EncryptionProfile::own(encryption);
    let seeder = Seeder::start(&seed, &content, config.clone(), policies[0]);
    named.lock().unwrap().push(seeder.address);
    let output = folder.path().join("out");
    let recording = folder.path().join("run.pcapng");
    let options =
        DownloadOptions { utp: policies[1], record: Some(recording.clone()), ..options(&output, config) };
    let (result, notices) = run(&seed, options);
    assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
    assert!(notices.iter().any(|notice| notice.contains("transport: Utp")), "{notices:#?}");
    seed.assert_whole(&output);
    assert!(content_of(&recording, seed.bytes.len()) == *seed.bytes);
    seeder.end();
    seed
}

#[test]
fn a_download_over_utp_alone_is_whole_and_its_recording_is_read() {
    downloads([UtpPolicy::Require, UtpPolicy::Require], EncryptionPolicy::Off);
}

#[test]
fn who_prefers_utp_uses_it() {
    downloads([UtpPolicy::Allow, UtpPolicy::Prefer], EncryptionPolicy::Off);
}

#[test]
fn what_is_encrypted_over_utp_is_read_with_the_keys_of_the_recording() {
    downloads([UtpPolicy::Require, UtpPolicy::Require], EncryptionPolicy::Require);
}

/// Up to 64 packets leave together, and on loopback nothing takes these apart.
#[test]
fn a_capture_of_loopback_shows_every_block() {
    if !is_in_a_namespace() {
        if ["tcpdump", "unshare", "ip"].into_iter().all(is_there) {
            in_a_namespace("a_capture_of_loopback_shows_every_block");
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (capture, log) = (folder.path().join("lo.pcap"), folder.path().join("log"));
    let mut command = Command::new("tcpdump");
    // Its own user cannot write here.
    command
        .args(["-i", "lo", "-n", "-U", "--immediate-mode", "-B", "65536", "-Z", "root", "-w"])
        .arg(&capture);
    let mut tcpdump = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    wait_until("capturing", &log, || std::fs::read_to_string(&log).unwrap().contains("listening on"));
    let seed = downloads([UtpPolicy::Require, UtpPolicy::Require], EncryptionPolicy::Off);
    let mut before = 0;
    wait_until("done", &log, || {
        let size = std::fs::metadata(&capture).unwrap().len();
        size > seed.bytes.len() as u64 && std::mem::replace(&mut before, size) == size
    });
    assert!(Command::new("kill").arg(tcpdump.id().to_string()).status().unwrap().success());
    tcpdump.wait().unwrap();
    let mut packets = Capture::open(&capture).unwrap();
    let mut largest = 0;
    while let Some(packet) = packets.next_packet().unwrap() {
        largest = largest.max(packet.data.len());
    }
    assert!(largest > 10_000, "no packets left together: {largest}");
    assert!(content_of(&capture, seed.bytes.len()) == *seed.bytes);
}

#[test]
fn who_prefers_utp_finds_a_peer_without_it() {
    let (tracker, named) = ScriptedTracker::naming_later();
    let seed = SeededTorrent::single(&tracker.url(), 500_000, PIECE);
    let folder = tempfile::tempdir().unwrap();
    let content = folder.path().join("content");
    seed.write_files(&content);
    let seeder = Seeder::start(&seed, &content, patient(), UtpPolicy::Off);
    named.lock().unwrap().push(seeder.address);
    let output = folder.path().join("out");
    let mut over = None;
    let options = DownloadOptions { utp: UtpPolicy::Prefer, ..options(&output, patient()) };
    let report = Download::new(seed.metainfo.clone(), options).unwrap().run_blocking(|notice| {
        if let Notice::Session(Event::Connected { transport, .. }) = notice {
            over = Some(transport);
        }
    });
    assert_eq!((report.unwrap().outcome, over), (Outcome::Complete, Some(Transport::Tcp)));
    seed.assert_whole(&output);
    seeder.end();
}
