//! A way to run downloads that end soon.
#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses some of it")]

use std::net::Ipv4Addr;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use bittrace_client::{Download, DownloadOptions, DownloadReport, Error, Notice};
use bittrace_protocol::PeerId;
use bittrace_protocol::session::{Config, EncryptionPolicy, EncryptionProfile, Identity, Profile};
use bittrace_testing::peer::{HostilePeer, Misconduct};
use bittrace_testing::torrent::SeededTorrent;
use bittrace_testing::tracker::ScriptedTracker;
use bittrace_trace::record::{Body, MseBody, Record, Severity, Side};
use bittrace_trace::{Dissected, Trace, TraceOptions};

/// Settings under which nothing takes long.
pub fn config() -> Config {
    Config {
        rounds: Some(1),
        connect_timeout: Duration::from_secs(2),
        handshake_timeout: Duration::from_millis(500),
        request_timeout: Duration::from_millis(500),
        choke_timeout: Duration::from_millis(500),
        silence_timeout: Duration::from_secs(2),
        tracker_timeout: Duration::from_millis(700),
        goodbye_timeout: Duration::from_millis(700),
        ..Config::new(Profile::own("bittrace test"))
    }
}

pub fn options(output: &Path, config: Config) -> DownloadOptions {
    let identity = Identity::new(PeerId(*b"-bt0000-abcdefghijkl"), 7, 11);
    DownloadOptions {
        listen: vec![Ipv4Addr::LOCALHOST.into()],
        ..DownloadOptions::new(output, config, identity)
    }
}

/// Runs a download to its end, which must come soon.
pub fn run(seed: &SeededTorrent, options: DownloadOptions) -> (Result<DownloadReport, Error>, Vec<String>) {
    run_within(Duration::from_secs(60), seed, options)
}

/// Runs a download to its end, which must come in this time.
pub fn run_within(
    time: Duration,
    seed: &SeededTorrent,
    options: DownloadOptions,
) -> (Result<DownloadReport, Error>, Vec<String>) {
    finish_within(time, Download::new(seed.metainfo.clone(), options).unwrap())
}

/// The same of a download that is made already.
pub fn finish_within(time: Duration, download: Download) -> (Result<DownloadReport, Error>, Vec<String>) {
    let mut notices = Vec::new();
    let stop = download.stop();
    let (ended, watched) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if watched.recv_timeout(time) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            stop.stop();
            stop.stop();
            return false;
        }
        true
    });
    let result = download.run_blocking(|notice| {
        if !matches!(notice, Notice::Progress { .. }) {
            let text = format!("{notice:?}");
            notices.push(text.chars().take(1_000).collect());
        }
    });
    drop(ended);
    assert!(watchdog.join().unwrap(), "it hangs: {notices:#?}");
    (result, notices)
}

/// Begins a run on a thread of its own, which ends with what the run has come to; and the port on which it listens.
pub fn start(download: Download) -> (JoinHandle<Result<DownloadReport, Error>>, u16) {
    let (listening, port) = std::sync::mpsc::channel();
    let run = std::thread::spawn(move || {
        download.run_blocking(|notice| {
            if let Notice::Listening { port } = notice {
                listening.send(port).unwrap();
            }
        })
    });
    (run, port.recv().unwrap())
}

/// Shows each record of a recording. Every byte has a meaning, and nothing that we sent breaks a rule; but a block may be cut where the
/// run ends.
pub fn read_all(recording: &Path, mut see: impl FnMut(&Record)) {
    let mut trace = Trace::open(recording, TraceOptions::default()).unwrap();
    while let Some(dissected) = trace.next().unwrap() {
        let Dissected::Record(record) = dissected else { continue };
        let is_cut = record.notes.iter().any(|note| note.rule.id == "capture.fragment");
        let is_opaque = matches!(record.body, Body::Unreadable(..) | Body::Mse(MseBody::Encrypted));
        assert!(is_cut || !is_opaque, "{record:?}");
        let is_wrong = record.side == Side::Local && record.severity() >= Some(Severity::Warn);
        assert!(is_cut || !is_wrong, "{record:?}");
        see(&record);
    }
}

/// A torrent, a tracker, and one peer that has all of it.
pub struct Swarm {
    pub seed: SeededTorrent,
    pub peer: HostilePeer,
    _tracker: ScriptedTracker,
}

impl Swarm {
    /// One whose torrent is made for the tracker's announce URL.
    pub fn new(make: impl FnOnce(&str) -> SeededTorrent) -> Self {
        let (tracker, noted) = ScriptedTracker::naming_later();
        let seed = make(&tracker.url());
        let peer = HostilePeer::start(&seed, Misconduct::None);
        noted.lock().unwrap().push(peer.address);
        Self { seed, peer, _tracker: tracker }
    }
}

/// Settings for downloads from real clients, which take their time, and of which aria2 calls encrypted first.
pub fn patient() -> Config {
    let mut profile = Profile::own("bittrace test");
    profile.encryption = EncryptionProfile::own(EncryptionPolicy::Allow);
    Config { goodbye_timeout: Duration::from_secs(1), ..Config::new(profile) }
}
