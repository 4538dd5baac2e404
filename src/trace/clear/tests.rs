use std::io::Cursor;

use bittrace_protocol::Timestamp;

use super::*;
use crate::Viewpoint;
use crate::{
    Capture, Direction, Dissector, Flow, HostName, Moment, Record, StreamClosing, StreamEvent, Trace,
    TraceOptions, describe,
};

use Direction::{FromInitiator, FromResponder};

/// A handshake, then an interested: 73 bytes.
fn hello(peer: u8) -> Vec<u8> {
    let mut bytes = vec![19];
    bytes.extend_from_slice(b"BitTorrent protocol\0\0\0\0\0\0\0\0");
    bytes.extend_from_slice(&[7; 20]);
    bytes.extend_from_slice(&[peer; 20]);
    bytes.extend_from_slice(b"\0\0\0\x01\x02");
    bytes
}

fn flow() -> Flow {
    let end = |text: &str| text.parse().unwrap();
    Flow { initiator: end("10.0.0.1:6881"), responder: end("10.0.0.2:51413") }
}

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_nanos(1_700_000_000_000_000_000 + milliseconds * 1_000_000)
}

/// What a dissector makes of events at these milliseconds; the packets are numbered as they come.
fn dissected(events: &[(i64, StreamEvent<'_>)]) -> Vec<Dissected> {
    let mut dissector = Dissector::new();
    let mut all = Vec::new();
    for (frame, (milliseconds, event)) in (1..).zip(events) {
        let moment = Moment { at: at(*milliseconds), frame };
        dissector.handle(moment, event.clone(), &mut |dissected| all.push(dissected));
    }
    all
}

fn cleared(dissected: &[Dissected], hosts: &[HostName]) -> (Vec<u8>, ClearTally) {
    let mut clear = ClearCapture::new(Cursor::new(Vec::new()));
    dissected.iter().for_each(|dissected| clear.add(dissected).unwrap());
    let mut out = Vec::new();
    let tally = clear
        .finish()
        .unwrap()
        .write(&mut out, "a test", (Viewpoint::AnyHost, hosts), &mut || Ok(()))
        .unwrap();
    (out, tally)
}

/// The messages and the ends of connections in a capture file.
fn read(file: &[u8]) -> (Vec<Record>, Vec<ConnectionEnd>) {
    let reader = Cursor::new(file.to_vec());
    let mut trace = Trace::from_reader("clear".to_owned(), reader, TraceOptions::default()).unwrap();
    let (mut records, mut ends) = (Vec::new(), Vec::new());
    while let Some(dissected) = trace.next().unwrap() {
        match dissected {
            Dissected::Record(record) => records.push(record),
            Dissected::Connection(end) => ends.push(end),
        }
    }
    (records, ends)
}

fn opened(stream: u32, opening: StreamOpening) -> StreamEvent<'static> {
    StreamEvent::Opened { stream: StreamId(stream), flow: flow(), opening }
}

fn burst(stream: u32, direction: Direction, bytes: &[u8]) -> StreamEvent<'_> {
    StreamEvent::Burst { stream: StreamId(stream), direction, bytes }
}

fn closed(stream: u32, closing: StreamClosing) -> StreamEvent<'static> {
    StreamEvent::Closed { stream: StreamId(stream), closing }
}

fn comments(file: &[u8]) -> String {
    String::from_utf8_lossy(file).into_owned()
}

#[test]
fn a_connection_has_its_times_from_syn_to_fin() {
    let (one, other) = (hello(1), hello(2));
    let events = [
        (0, opened(0, StreamOpening::Syn)),
        (20, burst(0, FromInitiator, &one)),
        (30, burst(0, FromResponder, &other)),
        (90, closed(0, StreamClosing::Finished)),
    ];
    let (file, tally) = cleared(&dissected(&events), &[]);
    let (records, ends) = read(&file);
    let rows: Vec<_> =
        records.iter().map(|record| (record.at, record.body.message(), record.direction)).collect();
    let expected = [
        (at(20), "handshake", FromInitiator),
        (at(20), "interested", FromInitiator),
        (at(30), "handshake", FromResponder),
        (at(30), "interested", FromResponder),
    ];
    assert_eq!(rows, expected);
    let [end] = &ends[..] else { panic!("{ends:?}") };
    assert_eq!((end.opened.at, end.closed.at, end.flow), (at(0), at(90), flow()));
    assert_eq!(end.closing, StreamClosing::Finished);
    // Three of the handshake of TCP, a packet for each message, and the end.
    let expected = ClearTally { packets: 3 + 4 + 3, connections: 1, ..ClearTally::default() };
    assert_eq!(tally, expected);
    let comments = comments(&file);
    assert!(comments.contains("begins in packet 1 of the original"), "{comments}");
    assert!(comments.contains("#2: packet 2 of the original"), "{comments}");
}

/// Of bytes that come before the SYN by the clock of the capture, the order is kept and the time as well.
#[test]
fn a_clock_that_runs_back_changes_no_order() {
    let (one, other) = (hello(1), hello(2));
    let events = [
        (50, opened(0, StreamOpening::Syn)),
        (20, burst(0, FromInitiator, &one[..68])),
        (10, burst(0, FromInitiator, &one[68..])),
        (15, burst(0, FromResponder, &other)),
        (0, closed(0, StreamClosing::Finished)),
    ];
    let (file, _) = cleared(&dissected(&events), &[]);
    let (records, ends) = read(&file);
    let said = |direction| {
        let records = records.iter().filter(move |record| record.direction == direction);
        records.map(|record| (record.at, record.body.message())).collect::<Vec<_>>()
    };
    assert_eq!(said(FromInitiator), [(at(20), "handshake"), (at(10), "interested")]);
    assert_eq!(said(FromResponder), [(at(15), "handshake"), (at(15), "interested")]);
    assert_eq!(ends.len(), 1);
    assert_eq!((ends[0].opening, ends[0].closing), (StreamOpening::Syn, StreamClosing::Finished));
}

/// uTP may have two connections at once between the same ports.
#[test]
fn two_connections_at_once_between_the_same_ends_stay_two() {
    let (one, other) = (hello(1), hello(2));
    let events = [
        (0, opened(0, StreamOpening::Syn)),
        (1, opened(1, StreamOpening::Syn)),
        (2, burst(0, FromInitiator, &one)),
        (3, burst(1, FromInitiator, &other)),
        (4, burst(0, FromResponder, &other)),
        (5, closed(0, StreamClosing::Finished)),
        (6, closed(1, StreamClosing::Reset)),
    ];
    let (file, tally) = cleared(&dissected(&events), &[]);
    let (_, ends) = read(&file);
    let seen: Vec<_> = ends.iter().map(|end| (end.flow.initiator.port(), end.closing)).collect();
    assert_eq!(seen, [(6881, StreamClosing::Finished), (65_535, StreamClosing::Reset)]);
    assert_eq!((tally.connections, tally.moved), (2, 1));
    let comments = comments(&file);
    assert!(comments.contains("port 65535 stands for 10.0.0.1:6881"), "{comments}");
}

/// How many bytes a lost packet of uTP had is not known: the rest of a message that had begun is not taken from what follows,
/// and neither is that of a handshake.
#[test]
fn a_message_after_lost_packets_is_found_as_in_the_original() {
    let piece = |index: u8| [&[0, 0, 0x40, 9, 7, 0, 0, 0, index, 0, 0, 0, 0][..], &[index; 16_384]].concat();
    for (begun, other) in [(0, hello(2)), (5, hello(2)), (13, hello(2)), (9_000, hello(2)), (0, Vec::new())] {
        let one = hello(1);
        let first = piece(1);
        let rest = [piece(2), piece(3), piece(4), piece(5)].concat();
        let events = [
            (0, opened(0, StreamOpening::Syn)),
            (1, burst(0, FromInitiator, &one)),
            (2, burst(0, FromResponder, &other)),
            (3, burst(0, FromResponder, &first[..begun])),
            (4, StreamEvent::Lost { stream: StreamId(0), direction: FromResponder, packets: 3 }),
            (5, burst(0, FromResponder, &rest)),
            (6, closed(0, StreamClosing::CaptureEnded)),
        ];
        let events: Vec<_> = events
            .into_iter()
            .filter(|(_, event)| !matches!(event, StreamEvent::Burst { bytes: [], .. }))
            .collect();
        let original = dissected(&events);
        let (file, _) = cleared(&original, &[]);
        let said = |record: &Record| match record.body {
            Body::Unreadable(_, Unreadable::Gap(_) | Unreadable::LostPackets(_)) => "a loss".to_owned(),
            _ => describe(record),
        };
        let expected: Vec<_> = original
            .iter()
            .filter_map(|dissected| match dissected {
                Dissected::Record(record) => Some(said(record)),
                Dissected::Connection(_) => None,
            })
            .collect();
        let found: Vec<_> = read(&file).0.iter().map(said).collect();
        assert_eq!(found, expected, "{begun} bytes of a message, {} before", other.len());
        assert!(expected.iter().filter(|said| said.starts_with("piece")).count() >= 3, "{expected:?}");
        assert!(comments(&file).contains("the capture lost 3 packets of uTP"));
    }
}

/// The end that ended a connection is the one that did, at its time.
#[test]
fn each_end_says_that_it_is_over_as_in_the_capture() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../captures");
    let mut compared = 0;
    for name in ["corrupt-peer.pcap.gz", "fast-extension.pcap", "utp-download.pcap", "download-aria2.pcap"] {
        let options = || TraceOptions { measure: true, ..TraceOptions::default() };
        let mut trace = Trace::open(&folder.join(name), options()).unwrap();
        let mut clear = ClearCapture::new(Cursor::new(Vec::new()));
        let endings = |end: ConnectionEnd| {
            let ending = end.measured.unwrap().ending;
            let fins = ending.fins.map(|fin| fin.map(|fin| fin.at));
            let has_reset = end.closing == StreamClosing::Reset;
            let reset = ending.reset.filter(|_| has_reset).map(|reset| (reset.at, ending.by));
            (end.flow, end.opened.at, fins, reset)
        };
        let mut expected = Vec::new();
        while let Some(dissected) = trace.next().unwrap() {
            clear.add(&dissected).unwrap();
            if let Dissected::Connection(end) = dissected {
                expected.push(endings(end));
            }
        }
        let mut out = Vec::new();
        clear.finish().unwrap().write(&mut out, "", (Viewpoint::AnyHost, &[]), &mut || Ok(())).unwrap();
        let mut trace = Trace::from_reader(name.to_owned(), Cursor::new(out), options()).unwrap();
        let mut found = Vec::new();
        while let Some(dissected) = trace.next().unwrap() {
            if let Dissected::Connection(end) = dissected {
                found.push(endings(end));
            }
        }
        expected.sort_by_key(|(flow, opened, ..)| (*opened, flow.initiator));
        found.sort_by_key(|(flow, opened, ..)| (*opened, flow.initiator));
        assert_eq!(found, expected, "{name}");
        compared += found.len();
    }
    assert!(compared > 10);
}

#[test]
fn a_connection_that_was_only_tried_is_shown_where_its_end_is_a_peer() {
    let (one, other) = (hello(1), hello(2));
    let events = [
        (0, opened(0, StreamOpening::Syn)),
        (1, burst(0, FromInitiator, &one)),
        (2, burst(0, FromResponder, &other)),
        (3, closed(0, StreamClosing::Finished)),
        (4, opened(1, StreamOpening::Syn)),
        (5, closed(1, StreamClosing::Refused)),
        (6, opened(2, StreamOpening::Syn)),
        (7, closed(2, StreamClosing::Unanswered)),
    ];
    let (file, tally) = cleared(&dissected(&events), &[]);
    let closings: Vec<_> = read(&file).1.iter().map(|end| end.closing).collect();
    assert_eq!(closings, [StreamClosing::Finished, StreamClosing::Refused, StreamClosing::Unanswered]);
    assert_eq!(tally.connections, 3);
}

/// A sink that is full; it says so once.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_and_an_interrupt_end_the_writing() {
    let one = hello(1);
    let events = [
        (0, opened(0, StreamOpening::Syn)),
        (1, burst(0, FromInitiator, &one)),
        (2, closed(0, StreamClosing::Reset)),
    ];
    let gathered = || {
        let mut clear = ClearCapture::new(Cursor::new(Vec::new()));
        dissected(&events).iter().for_each(|dissected| clear.add(dissected).unwrap());
        clear.finish().unwrap()
    };
    let full = gathered().write(Full, "", (Viewpoint::AnyHost, &[]), &mut || Ok(())).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    let mut out = Vec::new();
    let stopped = gathered()
        .write(&mut out, "", (Viewpoint::AnyHost, &[]), &mut || Err(io::ErrorKind::Interrupted.into()));
    assert_eq!(stopped.unwrap_err().kind(), io::ErrorKind::Interrupted);
}

#[test]
fn names_of_addresses_are_read_back() {
    let hosts = [
        HostName { address: "10.0.0.1".parse().unwrap(), names: vec!["leech".to_owned(), "one".to_owned()] },
        HostName { address: "fd00::2".parse().unwrap(), names: vec!["seed.example".to_owned()] },
    ];
    let (file, _) = cleared(&[], &hosts);
    let mut capture = Capture::from_reader("clear".to_owned(), Cursor::new(file)).unwrap();
    assert!(capture.next_packet().unwrap().is_none());
    assert_eq!(capture.hosts(), hosts);
}
