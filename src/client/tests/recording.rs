//! What a recording says is what was said.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

use bittrace_client::{Download, Notice, Outcome, RecordingWatcher};
use bittrace_testing::peer::{HostilePeer, Misconduct, nobody};
use bittrace_testing::torrent::SeededTorrent;
use bittrace_testing::tracker::ScriptedTracker;
use bittrace_trace::{Dissected, Trace};
use support::{config, options, run};

/// The messages of a recording, as text.
fn messages(path: &std::path::Path) -> Vec<String> {
    let mut trace = Trace::open(path, bittrace_trace::TraceOptions::default()).unwrap();
    let mut messages = Vec::new();
    while let Some(dissected) = trace.next().unwrap() {
        messages.push(format!("{dissected:?}"));
        let _: &Dissected = &dissected;
    }
    assert!(trace.cut().is_none());
    messages
}

#[test]
fn every_byte_is_recorded() {
    let (tracker, named) = ScriptedTracker::naming_later();
    *named.lock().unwrap() = vec![nobody()];
    let seed = SeededTorrent::single(&tracker.url(), 500_000, 64 * 1024);
    let peer = HostilePeer::start(&seed, Misconduct::None);
    named.lock().unwrap().push(peer.address);
    let output = tempfile::tempdir().unwrap();
    let path = output.path().join("live.pcapng");
    let mut config = config();
    config.single_peer = true;
    let mut options = options(&output.path().join("out"), config);
    options.record = Some(path.clone());
    options.record_comment = "a test".to_owned();
    let (result, _) = run(&seed, options);
    assert_eq!(result.unwrap().outcome, Outcome::Complete);

    let mut capture = bittrace_trace::Capture::open(&path).unwrap();
    let mut reassembler = bittrace_trace::Reassembler::new();
    let (mut blocks, mut from_peer, mut to_tracker, mut refused) = (0, Vec::new(), Vec::new(), 0);
    let mut flows = std::collections::HashMap::new();
    let mut sink = |_, event: bittrace_trace::StreamEvent<'_>| {
        use bittrace_trace::{Direction, StreamClosing, StreamEvent};
        match event {
            StreamEvent::Opened { stream, flow, .. } => {
                flows.insert(stream, flow);
            }
            StreamEvent::Burst { stream, direction, bytes } => {
                if flows[&stream].responder == peer.address && direction == Direction::FromResponder {
                    from_peer.extend_from_slice(bytes);
                }
                if flows[&stream].responder == tracker.address && direction == Direction::FromInitiator {
                    to_tracker.extend_from_slice(bytes);
                }
            }
            StreamEvent::Closed { closing: StreamClosing::Refused, .. } => refused += 1,
            StreamEvent::Gap { .. } => panic!("a gap"),
            _ => {}
        }
        bittrace_trace::StreamInterest::Wanted
    };
    while let Some(packet) = capture.next_packet().unwrap() {
        match bittrace_trace::parse(packet.link, packet.data) {
            bittrace_trace::Parsed::Tcp(segment) => reassembler.segment(packet.moment, &segment, &mut sink),
            other => panic!("{other:?}"),
        }
    }
    reassembler.finish(&mut sink);
    assert_eq!(refused, 1);
    assert_eq!(String::from_utf8(to_tracker).unwrap(), tracker.requests().concat());
    // Handshake, bitfield of one byte, unchoke; then blocks.
    let mut rest = &from_peer[68 + 6 + 5..];
    while let Some((head, after)) = rest.split_at_checked(13) {
        let number = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().unwrap()) as usize;
        let (length, start) = (number(0) - 9, number(5) * seed.piece_length + number(9));
        assert_eq!(after[..length], seed.bytes[start..start + length]);
        rest = &after[length..];
        blocks += 1;
    }
    assert_eq!((blocks, rest.len()), (31, 0));
    assert!(!messages(&path).is_empty());
}

#[test]
fn datagrams_are_recorded_with_the_addresses_that_they_had() {
    let (tracker, named) = ScriptedTracker::naming_later();
    let seed = SeededTorrent::single(&tracker.url(), 100_000, 64 * 1024);
    named.lock().unwrap().push(HostilePeer::start(&seed, Misconduct::None).address);
    let output = tempfile::tempdir().unwrap();
    let path = output.path().join("live.pcapng");
    let mut options = options(&output.path().join("out"), config());
    options.record = Some(path.clone());
    options.udp = true;
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut sent_to = None;
    let report = Download::new(seed.metainfo.clone(), options).unwrap().run_blocking(|notice| {
        if let Notice::Listening { port } = notice {
            let here = SocketAddr::from(([127, 0, 0, 1], port));
            stranger.send_to(b"nobody's", here).unwrap();
            sent_to = Some(here);
        }
    });
    assert_eq!(report.unwrap().outcome, Outcome::Complete);

    let mut capture = bittrace_trace::Capture::open(&path).unwrap();
    let mut datagrams = Vec::new();
    while let Some(packet) = capture.next_packet().unwrap() {
        if let bittrace_trace::Parsed::Udp(datagram) = bittrace_trace::parse(packet.link, packet.data) {
            datagrams.push((datagram.src, datagram.dst, datagram.payload.to_vec()));
        }
    }
    assert_eq!(datagrams, [(stranger.local_addr().unwrap(), sent_to.unwrap(), b"nobody's".to_vec())]);
}

/// An address that leaves a caller without an answer, as a host that is not there does: the queue of a listener that
/// takes nobody out of it is full.
fn silence() -> (socket2::Socket, TcpStream) {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    // Linux lets one more in than it is told.
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    (listener, TcpStream::connect(address).unwrap())
}

#[test]
fn an_attempt_without_answer_is_a_lone_syn_and_a_refused_one_has_its_reset() {
    let (_listener, queued) = silence();
    let (silent, dead) = (queued.peer_addr().unwrap(), nobody());
    let tracker = ScriptedTracker::naming(vec![silent, dead]);
    let seed = SeededTorrent::single(&tracker.url(), 100_000, 64 * 1024);
    let output = tempfile::tempdir().unwrap();
    let path = output.path().join("live.pcapng");
    let mut config = config();
    config.single_peer = true;
    config.connect_timeout = std::time::Duration::from_secs(1);
    // Here it answers.
    config.tracker_timeout = std::time::Duration::from_secs(10);
    let mut options = options(&output.path().join("out"), config);
    options.record = Some(path.clone());
    let (result, notices) = run(&seed, options);
    assert_eq!(result.unwrap().outcome, Outcome::Incomplete);
    assert!(notices.iter().any(|notice| notice.contains("TimedOut")), "{notices:#?}");

    let mut capture = bittrace_trace::Capture::open(&path).unwrap();
    let (mut with_silent, mut with_dead) = (Vec::new(), Vec::new());
    while let Some(packet) = capture.next_packet().unwrap() {
        let bittrace_trace::Parsed::Tcp(segment) = bittrace_trace::parse(packet.link, packet.data) else {
            panic!("only TCP is spoken");
        };
        for (address, heard) in [(silent, &mut with_silent), (dead, &mut with_dead)] {
            if [segment.src, segment.dst].contains(&address) {
                heard.push((segment.dst == address, segment.syn, segment.ack.is_some(), segment.rst));
            }
        }
    }
    assert_eq!(with_silent, [(true, true, false, false)]);
    assert_eq!(with_dead, [(true, true, false, false), (false, false, true, true)]);
}

#[test]
fn a_recording_that_fails_is_told_and_the_download_goes_on() {
    if !bittrace_testing::programs::has_path("/dev/full") {
        return;
    }
    let (tracker, named) = ScriptedTracker::naming_later();
    let seed = SeededTorrent::single(&tracker.url(), 2_000_000, 64 * 1024);
    named.lock().unwrap().push(HostilePeer::start(&seed, Misconduct::None).address);
    let output = tempfile::tempdir().unwrap();
    let mut options = options(output.path(), config());
    options.record = Some("/dev/full".into());
    let (result, notices) = run(&seed, options);
    let report = result.unwrap();
    assert_eq!(report.outcome, Outcome::Complete);
    seed.assert_whole(output.path());
    assert!(matches!(report.recording, Some(bittrace_client::Error::Record { .. })), "{report:?}");
    assert_eq!(notices.iter().filter(|notice| notice.starts_with("RecordingFailed")).count(), 1);
}

/// Memory that a watcher fills.
#[derive(Clone, Default)]
struct Watched(Arc<Mutex<Vec<u8>>>);

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer that fails from its third write on.
struct Leaves(u32);

impl Write for Leaves {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += 1;
        if self.0 > 2 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_outlet_that_fails_takes_no_other_with_it() {
    let (tracker, named) = ScriptedTracker::naming_later();
    let seed = SeededTorrent::single(&tracker.url(), 2_000_000, 64 * 1024);
    named.lock().unwrap().push(HostilePeer::start(&seed, Misconduct::None).address);
    let output = tempfile::tempdir().unwrap();
    let path = output.path().join("live.pcapng");
    let mut options = options(&output.path().join("out"), config());
    let watched = Watched::default();
    options.record = Some(path.clone());
    options.watchers = vec![
        RecordingWatcher::named("a pipe", Leaves(0)),
        RecordingWatcher::new(Leaves(0)),
        RecordingWatcher::new(watched.clone()),
    ];
    let (result, notices) = run(&seed, options);
    let report = result.unwrap();
    assert_eq!(report.outcome, Outcome::Complete);
    // The one that was asked for by name is told, once.
    let failed: Vec<_> = notices.iter().filter(|notice| notice.starts_with("RecordingFailed")).collect();
    assert!(matches!(failed[..], [only] if only.contains("a pipe")), "{failed:?}");
    let file = std::fs::read(&path).unwrap();
    assert!(file.len() > seed.bytes.len());
    assert!(*watched.0.lock().unwrap() == file, "the watcher did not get what the file has");
    assert!(!messages(&path).is_empty());
}
