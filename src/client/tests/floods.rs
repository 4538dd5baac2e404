//! A run that seeds and records, while strangers open connections, negotiations and streams, and ask its node of the DHT, as fast as
//! they can: a peer that means it is served, and the recording can be read to its end.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::collections::{BTreeSet, VecDeque};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bittrace_client::{DhtOptions, Download, DownloadOptions, Outcome};
use bittrace_protocol::PeerId;
use bittrace_protocol::node::UtpPolicy;
use bittrace_protocol::session::{Config, EncryptionPolicy, EncryptionProfile, Identity, SeedGoal};
use bittrace_protocol::wire::Message;
use bittrace_testing::torrent::{SeededTorrent, content};
use bittrace_testing::tracker::ScriptedTracker;
use bittrace_trace::record::{Body, Severity, Side};
use bittrace_trace::{Dissected, Trace, TraceOptions};
use support::{options, patient, run, start};

/// An address of its own for each stranger.
fn stranger(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, (number / 250 % 250) as u8, (number % 250 + 1) as u8)
}

/// Connections of which half begin with a public key; all say nothing more. A hundred stay open.
fn open_connections(to: SocketAddr, over: &AtomicBool, made: &AtomicUsize) {
    let (mut open, mut count) = (VecDeque::new(), 0);
    while !over.load(Ordering::Relaxed) && count < MOST {
        let Ok(mut socket) = TcpStream::connect_timeout(&to, Duration::from_secs(1)) else { continue };
        if count % 2 == 0 {
            let _ = socket.write_all(&content(count as u64, 96));
        }
        open.push_back(socket);
        if open.len() > 100 {
            open.pop_front();
        }
        count += 1;
        made.store(count, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Datagrams: SYN of uTP (BEP 29), get_peers of the DHT (BEP 5) and what is neither.
fn send_datagrams(to: SocketAddr, over: &AtomicBool, made: &AtomicUsize) {
    const GET_PEERS: &[u8] =
        b"d1:ad2:id20:333333333333333333339:info_hash20:55555555555555555555e1:q9:get_peers1:t2:ab1:y1:qe";
    let mut count = 0;
    while !over.load(Ordering::Relaxed) && count < MOST {
        let Ok(socket) = UdpSocket::bind((stranger(count), 0)) else { continue };
        let [high, low] = (count as u16).to_be_bytes();
        let mut syn = [0; 20];
        (syn[0], syn[2], syn[3], syn[13]) = (0x41, high, low, 0x10);
        (syn[16], syn[17]) = (low, high);
        for bytes in [&syn[..], GET_PEERS, &content(count as u64, 100)] {
            let _ = socket.send_to(bytes, to);
        }
        count += 1;
        made.store(count, Ordering::Relaxed);
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// Ends the flood, also where the test fails.
struct Flood<'a>(&'a AtomicBool);

impl Drop for Flood<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_recording_made_while_strangers_flood_a_run_is_read_to_its_end() {
    let (tracker, named) = ScriptedTracker::naming_later();
    let seed = SeededTorrent::single(&tracker.url(), 2_000_000, 64 * 1024);
    let folder = tempfile::tempdir().unwrap();
    let [have, output, recording] = ["have", "out", "run.pcapng"].map(|name| folder.path().join(name));
    seed.write_files(&have);
    let mut config = Config { seeding: Some(SeedGoal::default()), rounds: None, ..patient() };
    config.profile.encryption = EncryptionProfile::own(EncryptionPolicy::Allow);
    let identity = Identity::new(PeerId(*b"-bt0000-the-seeder.."), 8, 12);
    let dht = DhtOptions { version: *b"bt\x01\x00", ..DhtOptions::default() };
    let options_of_seed = DownloadOptions {
        record: Some(recording.clone()),
        utp: UtpPolicy::Allow,
        dht: Some(dht),
        identity,
        ..options(&have, config)
    };
    let download = Download::new(seed.metainfo.clone(), options_of_seed).unwrap();
    let stop = download.stop();
    let (seeder, port) = start(download);
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    named.lock().unwrap().push(to);

    let over = AtomicBool::new(false);
    let (connections, datagrams) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let _flood = Flood(&over);
        scope.spawn(|| open_connections(to, &over, &connections));
        scope.spawn(|| send_datagrams(to, &over, &datagrams));
        let begun = Instant::now();
        let (result, notices) = run(&seed, options(&output, patient()));
        assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
        let enough = || [&connections, &datagrams].iter().all(|made| made.load(Ordering::Relaxed) > 200);
        while begun.elapsed() < FLOOD || (!enough() && begun.elapsed() < Duration::from_secs(60)) {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    stop.stop();
    seeder.join().unwrap().unwrap();
    seed.assert_whole(&output);
    let (connections, datagrams) = (connections.into_inner(), datagrams.into_inner());
    assert!(connections > 200 && datagrams > 200, "{connections} connections, {datagrams} datagrams");

    let mut trace = Trace::open(&recording, TraceOptions::default()).unwrap();
    let (mut blocks, mut strangers) = (BTreeSet::new(), BTreeSet::new());
    while let Some(dissected) = trace.next().unwrap() {
        let Dissected::Record(record) = dissected else { continue };
        if record.side == Side::Local {
            assert!(record.severity() < Some(Severity::Warn), "{record:?}");
        }
        if let Some(Message::Piece { index, begin, .. }) = record.body.peer_message() {
            blocks.insert((*index, *begin));
        }
        if matches!(record.body, Body::Dht(..)) {
            strangers.insert(record.source);
        }
    }
    assert!(trace.cut().is_none(), "the recording ends where it is cut");
    assert_eq!(blocks.len(), seed.bytes.len().div_ceil(16 * 1024));
    assert!(strangers.len() > 100, "{} strangers", strangers.len());
}

/// How long the flood goes on at least, and how many connections and rounds of datagrams there are at the most.
const FLOOD: Duration = Duration::from_secs(2);
const MOST: usize = 20_000;
