use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::block::BETWEEN_HOSTS;
use super::*;
use crate::burst::{StreamEvent, StreamInterest};
use crate::{Capture, Parsed, Reassembler, parse};

/// One step of what is recorded; the number is that of the stream.
#[derive(Debug, Clone)]
enum Step {
    Established(u32),
    Burst(u32, Direction, Vec<u8>),
    Gap(u32, Direction, u64),
}

/// A stream as one remembers it: bytes one by one, `None` for each that is lost.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    flow: Option<Flow>,
    opening: Option<StreamOpening>,
    closing: Option<StreamClosing>,
    from_initiator: Vec<Option<u8>>,
    from_responder: Vec<Option<u8>>,
}

impl Heard {
    fn bytes(&mut self, direction: Direction) -> &mut Vec<Option<u8>> {
        match direction {
            Direction::FromInitiator => &mut self.from_initiator,
            Direction::FromResponder => &mut self.from_responder,
        }
    }
}

type Datagrams = Vec<(SocketAddr, SocketAddr, Vec<u8>)>;

fn read_back(file: Vec<u8>) -> (BTreeMap<u32, Heard>, Datagrams) {
    let mut capture = Capture::from_reader("recorded".to_owned(), io::Cursor::new(file)).unwrap();
    let mut streams: BTreeMap<u32, Heard> = BTreeMap::new();
    let mut datagrams = Vec::new();
    let mut reassembler = Reassembler::new();
    let mut sink = |_, event: StreamEvent<'_>| {
        let heard = streams.entry(event.stream().0).or_default();
        match event {
            StreamEvent::Opened { flow, opening, .. } => {
                (heard.flow, heard.opening) = (Some(flow), Some(opening));
            }
            StreamEvent::Burst { direction, bytes, .. } => {
                heard.bytes(direction).extend(bytes.iter().copied().map(Some));
            }
            StreamEvent::Gap { direction, length, .. } => {
                heard.bytes(direction).extend(std::iter::repeat_n(None, length as usize));
            }
            StreamEvent::Lost { .. } => panic!("TCP counts bytes"),
            StreamEvent::Established { .. } | StreamEvent::Awaited { .. } => {}
            StreamEvent::Measured { .. } => panic!("nobody asked for it"),
            StreamEvent::Closed { closing, .. } => heard.closing = Some(closing),
        }
        StreamInterest::Wanted
    };
    while let Some(packet) = capture.next_packet().unwrap() {
        match parse(packet.link, packet.data) {
            Parsed::Tcp(segment) => reassembler.segment(packet.moment, &segment, &mut sink),
            Parsed::Udp(datagram) => {
                datagrams.push((datagram.src, datagram.dst, datagram.payload.to_vec()));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(capture.cut(), None);
    reassembler.finish(&mut sink);
    (streams, datagrams)
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs_nanos(seconds, 123_456_789)
}

fn recorder() -> Recorder<Vec<u8>> {
    Recorder::new(Vec::new(), "a test").unwrap()
}

#[test]
fn says_what_is_made_up() {
    let file = recorder().finish().unwrap();
    let mut capture = Capture::from_reader("recorded".to_owned(), io::Cursor::new(file)).unwrap();
    assert!(capture.next_packet().unwrap().is_none());
    assert_eq!(capture.comments(), [format!("a test\n{SYNTHESISED}")]);
}

#[test]
fn keeps_nanoseconds() {
    let mut recorder = recorder();
    recorder.datagram(at(1_700_000_000), address("10.0.0.1:1"), address("10.0.0.2:2"), b"x").unwrap();
    recorder.datagram(Timestamp::from_nanos(-5), address("10.0.0.1:1"), address("10.0.0.2:2"), b"x").unwrap();
    assert_eq!(recorder.frames(), 2);
    let file = recorder.finish().unwrap();
    let mut capture = Capture::from_reader("recorded".to_owned(), io::Cursor::new(file)).unwrap();
    assert_eq!(capture.next_packet().unwrap().unwrap().moment.at, at(1_700_000_000));
    assert_eq!(capture.next_packet().unwrap().unwrap().moment.at, Timestamp::EPOCH, "pcapng begins in 1970");
}

#[test]
fn ends_of_either_family_meet() {
    let (v4, other_v4) = (address("10.0.0.1:1"), address("10.0.0.2:2"));
    let (v6, mapped) = (address("[fd00::1]:3"), address("[::ffff:10.0.0.9]:4"));
    let mut recorder = recorder();
    for (src, dst) in [(v4, other_v4), (v6, v6), (v4, v6), (v6, v4), (mapped, v4), (mapped, v6)] {
        recorder.datagram(at(1), src, dst, b"x").unwrap();
    }
    let (_, datagrams) = read_back(recorder.finish().unwrap());
    let seen: Vec<_> = datagrams.iter().map(|(src, dst, _)| format!("{src} {dst}")).collect();
    assert_eq!(
        seen,
        [
            "10.0.0.1:1 10.0.0.2:2",
            "[fd00::1]:3 [fd00::1]:3",
            "[::ffff:10.0.0.1]:1 [fd00::1]:3",
            "[fd00::1]:3 [::ffff:10.0.0.1]:1",
            "10.0.0.9:4 10.0.0.1:1",
            "[::ffff:10.0.0.9]:4 [fd00::1]:3",
        ]
    );
}

#[test]
fn every_closing_is_read_back() {
    let flow = Flow { initiator: address("10.0.0.1:1"), responder: address("10.0.0.2:2") };
    let mut recorder = recorder();
    // One after the other on the same ends: each is its own stream.
    let cases = [
        (true, StreamClosing::Finished, StreamClosing::Finished),
        (true, StreamClosing::Reset, StreamClosing::Reset),
        (false, StreamClosing::Reset, StreamClosing::Reset),
        (false, StreamClosing::Refused, StreamClosing::Refused),
        (false, StreamClosing::Unanswered, StreamClosing::Unanswered),
        (true, StreamClosing::Replaced, StreamClosing::Replaced),
        (true, StreamClosing::CaptureEnded, StreamClosing::CaptureEnded),
    ];
    for (n, (established, closing, _)) in cases.into_iter().enumerate() {
        let stream = StreamId(n as u32);
        recorder.opened(at(1), stream, flow, StreamOpening::Syn).unwrap();
        if established {
            recorder.established(at(1), stream).unwrap();
        }
        recorder.closed(at(2), stream, closing).unwrap();
    }
    let (streams, _) = read_back(recorder.finish().unwrap());
    let closings: Vec<_> = streams.values().filter_map(|heard| heard.closing).collect();
    assert_eq!(closings, cases.map(|(_, _, expected)| expected));
}

#[test]
fn bytes_of_no_stream_are_refused() {
    let mut recorder = recorder();
    let flow = Flow { initiator: address("10.0.0.1:1"), responder: address("10.0.0.2:2") };
    let stream = StreamId(4);
    assert!(recorder.burst(at(1), stream, Direction::FromInitiator, b"x").is_err());
    recorder.opened(at(1), stream, flow, StreamOpening::Syn).unwrap();
    assert!(recorder.opened(at(1), stream, flow, StreamOpening::Syn).is_err());
    assert!(recorder.gap(at(1), stream, Direction::FromInitiator, 2 << 30).is_err());
    assert!(recorder.datagram(at(1), flow.initiator, flow.responder, &[0; 65_508]).is_err());
    recorder.closed(at(1), stream, StreamClosing::Reset).unwrap();
    assert!(recorder.closed(at(1), stream, StreamClosing::Reset).is_err());
    read_back(recorder.finish().unwrap());
}

#[test]
fn long_bursts_are_cut_into_packets() {
    let bytes: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
    for (initiator, responder) in [("10.0.0.1:1", "10.0.0.2:2"), ("[fd00::1]:1", "[fd00::2]:2")] {
        let flow = Flow { initiator: address(initiator), responder: address(responder) };
        let mut recorder = recorder();
        recorder.opened(at(1), StreamId(0), flow, StreamOpening::Syn).unwrap();
        recorder.burst(at(1), StreamId(0), Direction::FromResponder, &bytes).unwrap();
        let (streams, _) = read_back(recorder.finish().unwrap());
        let heard: Vec<u8> = streams[&0].from_responder.iter().copied().flatten().collect();
        assert_eq!(heard, bytes);
    }
}

#[test]
fn a_cut_datagram_has_its_length() {
    let (src, dst) = (address("10.0.0.1:1"), address("10.0.0.2:2"));
    let mut recorder = recorder();
    recorder.comment("the first part");
    recorder.cut_datagram(at(1), (src, dst), b"part", 1_000).unwrap();
    recorder.datagram(at(1), src, dst, b"whole").unwrap();
    assert!(recorder.cut_datagram(at(1), (src, dst), b"part", 3).is_err());
    assert!(recorder.cut_datagram(at(1), (src, dst), b"part", 65_508).is_err());
    let file = recorder.finish().unwrap();
    assert_eq!(String::from_utf8_lossy(&file).matches("the first part").count(), 1);
    let mut capture = Capture::from_reader("recorded".to_owned(), io::Cursor::new(file)).unwrap();
    let packet = capture.next_packet().unwrap().unwrap();
    assert_eq!((packet.data.len(), packet.original_length), (20 + 8 + 4, 20 + 8 + 1_000));
    let Parsed::Udp(datagram) = parse(packet.link, packet.data) else { panic!("no datagram") };
    assert_eq!((datagram.payload, datagram.lost_tail), (&b"part"[..], 996));
    let packet = capture.next_packet().unwrap().unwrap();
    assert_eq!(packet.data.len() as u32, packet.original_length);
}

/// The last packet of a message has the comment, and none is longer than a network carries.
#[test]
fn a_cut_burst_keeps_its_first_bytes_and_its_length() {
    let mut recorder = recorder();
    let flow = Flow { initiator: address("10.0.0.1:1"), responder: address("10.0.0.2:2") };
    recorder.opened(at(1), StreamId(0), flow, StreamOpening::Syn).unwrap();
    recorder.cut_burst(at(1), StreamId(0), Direction::FromInitiator, b"head and body", 5).unwrap();
    recorder.burst(at(2), StreamId(0), Direction::FromInitiator, b"more").unwrap();
    let (streams, _) = read_back(recorder.finish().unwrap());
    let mut wanted: Vec<Option<u8>> = b"head ".iter().copied().map(Some).collect();
    wanted.extend([None; 8]);
    wanted.extend(b"more".iter().copied().map(Some));
    assert_eq!(streams[&0].from_initiator, wanted);
}

#[test]
fn a_message_is_cut_into_packets_that_a_network_carries() {
    for (length, packets) in [(1, 1), (1_400, 1), (1_401, 2), (16_397, 12)] {
        let flow = Flow { initiator: address("10.0.0.1:1"), responder: address("10.0.0.2:2") };
        let mut recorder = recorder();
        recorder.opened(at(1), StreamId(0), flow, StreamOpening::MidStream).unwrap();
        recorder.comment("the message");
        recorder.message(at(1), StreamId(0), Direction::FromInitiator, &vec![7; length]).unwrap();
        assert_eq!(recorder.frames(), 1 + packets);
        let file = recorder.finish().unwrap();
        let mut capture = Capture::from_reader("recorded".to_owned(), io::Cursor::new(file.clone())).unwrap();
        let mut carried = 0;
        while let Some(packet) = capture.next_packet().unwrap() {
            let Parsed::Tcp(segment) = parse(packet.link, packet.data) else { panic!("no segment") };
            assert!(segment.payload.len() <= 1_400);
            carried += segment.payload.len();
        }
        assert_eq!(carried, length);
        let text = String::from_utf8_lossy(&file).into_owned();
        let (before, after) = text.split_once("the message").unwrap();
        assert!(!after.contains("the message") && before.matches('\u{7}').count() >= length);
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let direction = || proptest::sample::select(vec![Direction::FromInitiator, Direction::FromResponder]);
    let bytes = proptest::collection::vec(any::<u8>(), 1..50);
    let step = prop_oneof![
        1 => (0u32..3).prop_map(Step::Established),
        6 => (0u32..3, direction(), bytes).prop_map(|(stream, way, bytes)| Step::Burst(stream, way, bytes)),
        // One byte alone at the very end would look like a FIN.
        2 => (0u32..3, direction(), 2u64..5000).prop_map(|(stream, way, length)| Step::Gap(stream, way, length)),
    ];
    proptest::collection::vec(step, 0..40)
}

proptest! {
    #[test]
    fn what_is_recorded_is_read_back(
        steps in steps(),
        openings in proptest::collection::vec(
            (
                proptest::sample::select(vec![StreamOpening::Syn, StreamOpening::MidStream]),
                proptest::sample::select(vec![StreamClosing::Finished, StreamClosing::Reset, StreamClosing::CaptureEnded]),
                any::<bool>(),
            ),
            3,
        ),
    ) {
        let mut recorder = recorder();
        let mut expected: BTreeMap<u32, Heard> = BTreeMap::new();
        let mut now = at(1);
        for (n, (opening, closing, six)) in openings.iter().enumerate() {
            let ends = if *six { ["[fd00::1]", "[fd00::2]"] } else { ["10.0.0.1", "10.0.0.2"] };
            let flow = Flow {
                initiator: address(&format!("{}:{}", ends[0], 1000 + n)),
                responder: address(&format!("{}:2000", ends[1])),
            };
            recorder.opened(now, StreamId(n as u32), flow, *opening).unwrap();
            if *opening == StreamOpening::Syn {
                recorder.established(now, StreamId(n as u32)).unwrap();
            }
            expected.insert(n as u32, Heard {
                flow: Some(flow), opening: Some(*opening), closing: Some(*closing), ..Heard::default()
            });
        }
        for step in &steps {
            now = now + Duration::from_millis(300);
            match step {
                Step::Established(stream) => recorder.established(now, StreamId(*stream)).unwrap(),
                Step::Burst(stream, direction, bytes) => {
                    recorder.burst(now, StreamId(*stream), *direction, bytes).unwrap();
                    let heard = expected.get_mut(stream).unwrap().bytes(*direction);
                    heard.extend(bytes.iter().copied().map(Some));
                }
                Step::Gap(stream, direction, length) => {
                    recorder.gap(now, StreamId(*stream), *direction, *length).unwrap();
                    let heard = expected.get_mut(stream).unwrap();
                    let midstream = heard.opening == Some(StreamOpening::MidStream);
                    let bytes = heard.bytes(*direction);
                    // Where a direction begins mid-stream nobody knows what came before.
                    if !midstream || !bytes.is_empty() {
                        bytes.extend(std::iter::repeat_n(None, *length as usize));
                    }
                }
            }
        }
        for (n, (_, closing, _)) in openings.iter().enumerate() {
            recorder.closed(now, StreamId(n as u32), *closing).unwrap();
        }
        let (streams, _) = read_back(recorder.finish().unwrap());
        prop_assert_eq!(streams, expected);
    }
}

/// Both ends negotiate plaintext or RC4, and send a handshake and a keep-alive each. The names of what is read of the
/// recording, and whether it was encrypted.
fn names_of_encrypted(method: u32) -> Vec<(&'static str, bool)> {
    use bittrace_protocol::InfoHash;
    use bittrace_protocol::mse::{Initiator, Methods, MseAcceptance, MseDraw, MseOffer, Responder};

    let info_hash = InfoHash([0x42; 20]);
    let handshake = [&b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0"[..], &info_hash.0, &[b'a'; 20]].concat();
    let methods = Methods(method);
    let offer = MseOffer { info_hash, methods, max_padding: 0, ahead: handshake.clone() };
    let accepts = MseAcceptance { info_hashes: vec![info_hash], methods: vec![methods], max_padding: 9 };
    let (mut initiator, hello) = Initiator::new(offer, &mut MseDraw::new([1; 32], 1));
    let mut responder = Responder::new(accepts, &mut MseDraw::new([2; 32], 1));
    let answer = responder.push(&hello).unwrap();
    let offered = initiator.push(&answer.send).unwrap();
    let selected = responder.push(&offered.send).unwrap();
    let agreed = [initiator.push(&selected.send).unwrap().agreed, selected.agreed].map(Option::unwrap);

    let flow = Flow { initiator: address("10.0.0.1:5000"), responder: address("10.0.0.2:6881") };
    let mut recorder = Recorder::new(Vec::new(), "").unwrap();
    let (at, stream) = (Timestamp::from_secs_nanos(1_000, 0), StreamId(0));
    recorder.opened(at, stream, flow, StreamOpening::Syn).unwrap();
    recorder.burst(at, stream, Direction::FromInitiator, &hello).unwrap();
    for key in &answer.keys {
        recorder.mse_key(key, flow.initiator, flow.responder).unwrap();
    }
    recorder.burst(at, stream, Direction::FromResponder, &answer.send).unwrap();
    recorder.burst(at, stream, Direction::FromInitiator, &offered.send).unwrap();
    recorder.burst(at, stream, Direction::FromResponder, &selected.send).unwrap();
    for (direction, agreed) in [Direction::FromInitiator, Direction::FromResponder].into_iter().zip(agreed) {
        // The handshake of the initiator was sent ahead.
        let mut said = match direction {
            Direction::FromInitiator => Vec::new(),
            Direction::FromResponder => handshake.clone(),
        };
        said.extend([0; 4]);
        if let Some(mut cipher) = agreed.ours {
            cipher.apply(&mut said);
        }
        recorder.burst(at, stream, direction, &said).unwrap();
    }
    recorder.closed(at, stream, StreamClosing::Finished).unwrap();
    let file = io::Cursor::new(recorder.finish().unwrap());
    let mut trace =
        crate::Trace::from_reader("recorded".to_owned(), file, crate::TraceOptions::default()).unwrap();
    let mut names = Vec::new();
    while let Some(dissected) = trace.next().unwrap() {
        if let crate::Dissected::Record(record) = dissected {
            names.push((record.body.message(), record.decrypted));
        }
    }
    names
}

#[test]
fn an_encrypted_connection_is_read_with_the_key_in_the_recording() {
    for (method, decrypted) in [(1, false), (2, true)] {
        let names = names_of_encrypted(method);
        let count = |name| names.iter().filter(|(other, _)| *other == name).count();
        assert_eq!((count("key-exchange"), count("encrypted"), count("handshake")), (2, 0, 2), "{names:?}");
        let keep_alives: Vec<_> = names.iter().filter(|(name, _)| *name == "keep-alive").collect();
        assert_eq!(keep_alives, [&("keep-alive", decrypted), &("keep-alive", decrypted)], "{names:?}");
    }
}

/// A recording of a keep-alive from 10.0.0.1 to 10.0.0.2, and the side of its speaker under a choice of the local host.
#[test]
fn a_recording_between_hosts_says_that_none_is_local_and_a_choice_goes_before_that() {
    use crate::LocalChoice::{AsCaptured, Detected, Host};
    let recording = |begun: io::Result<Recorder<Vec<u8>>>| {
        let mut recorder = begun.unwrap();
        let (at, from, to) = (Timestamp::from_nanos(1_000), ([10, 0, 0, 1], 1), ([10, 0, 0, 2], 6881));
        let flow = Flow { initiator: from.into(), responder: to.into() };
        recorder.opened(at, StreamId(0), flow, StreamOpening::Syn).unwrap();
        let handshake = [&b"\x13BitTorrent protocol"[..], &[0; 48], &[0; 4]].concat();
        recorder.burst(at, StreamId(0), Direction::FromInitiator, &handshake).unwrap();
        recorder.finish().unwrap()
    };
    let side = |file: &[u8], local| {
        let options = crate::TraceOptions { local, ..crate::TraceOptions::default() };
        let file = io::Cursor::new(file.to_vec());
        let mut trace = crate::Trace::from_reader("recorded".to_owned(), file, options).unwrap();
        let Some(crate::Dissected::Record(record)) = trace.next().unwrap() else { panic!("a handshake") };
        assert_eq!(trace.has_no_local(), record.side == crate::Side::Initiator);
        record.side
    };
    let network = recording(Recorder::seen_from(Viewpoint::BetweenHosts, Vec::new(), ""));
    let host = recording(Recorder::new(Vec::new(), ""));
    let second = Host([10, 0, 0, 2].into());
    let sides = [AsCaptured, Detected, second].map(|local| side(&network, local));
    assert_eq!(sides, [crate::Side::Initiator, crate::Side::Local, crate::Side::Remote]);
    assert_eq!([AsCaptured, Detected].map(|local| side(&host, local)), [crate::Side::Local; 2]);
    // Copied packets say the same.
    for (file, expected) in [(&network, crate::Side::Initiator), (&host, crate::Side::Local)] {
        let mut capture = Capture::from_reader("recorded".to_owned(), io::Cursor::new(file.clone())).unwrap();
        let mut copier = PacketCopier::new(Vec::new(), "").unwrap();
        while let Some(packet) = capture.next_packet().unwrap() {
            copier.packet(&packet).unwrap();
        }
        assert_eq!(side(&copier.finish().unwrap(), AsCaptured), expected);
    }
    // An interface may have any name.
    let mut named = network;
    let at = memchr::memmem::find(&named, BETWEEN_HOSTS.as_bytes()).unwrap();
    named[at] = b'A';
    assert_eq!(side(&named, AsCaptured), crate::Side::Local);
}
