#![no_main]
//! Conversations with losses: the records of a direction are its bytes, end to end; however bursts are cut they
//! are the same; their fields tile them.
//!
//! An input is twelve bytes that say how the rest is to be taken, then what both ends say.

use bittrace_fuzz::{Said, Sequence, Ways, record};
use bittrace_protocol::Timestamp;
use bittrace_trace::{
    Closing, Direction, Dissected, Dissector, Flow, Moment, Opening, StreamEvent, StreamId,
};
use libfuzzer_sys::fuzz_target;

const STREAM: StreamId = StreamId(0);

enum Step {
    Says(Direction, Vec<u8>),
    Loses(Direction, u64),
}

fuzz_target!(|input: &[u8]| {
    let Some((&[opening, losses, burst, seed, s0, s1, s2, s3], rest)) = input.split_first_chunk::<8>() else {
        return;
    };
    let Some((&share, rest)) = rest.split_first_chunk::<4>() else { return };
    let mut sequence = Sequence(u64::from(u32::from_be_bytes([s0, s1, s2, s3])));
    let (ours, theirs) = rest.split_at(u32::from_be_bytes(share) as usize % (rest.len() + 1));
    let steps = conversation(ours, theirs, losses, burst, &mut sequence);
    let opening = if opening & 1 == 0 { Opening::Syn } else { Opening::MidStream };
    let called_a_peer = seed & 1 == 0;

    let whole = dissect(&steps, opening, called_a_peer, |length| length);
    covers(&steps, &whole);
    assert_eq!(whole, dissect(&steps, opening, called_a_peer, |_| 1), "cut into single bytes");
    let cut = dissect(&steps, opening, called_a_peer, |length| 1 + sequence.below(length));
    assert_eq!(whole, cut, "cut at random");
});

/// What the two ends say in turn, in bursts of up to `burst` times 16 bytes.
fn conversation(ours: &[u8], theirs: &[u8], losses: u8, burst: u8, sequence: &mut Sequence) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut left = [ours, theirs];
    while left.iter().any(|left| !left.is_empty()) {
        let direction =
            if sequence.below(2) == 0 { Direction::FromInitiator } else { Direction::FromResponder };
        let left = &mut left[direction as usize];
        if left.is_empty() {
            continue;
        }
        let (part, more) = left.split_at((1 + sequence.below(1 + usize::from(burst) * 16)).min(left.len()));
        *left = more;
        let lost = sequence.below(256) < usize::from(losses / 4);
        steps.push(match lost {
            // Now and then more is lost than was there.
            true => Step::Loses(direction, part.len() as u64 + (sequence.number() % 8 / 7) * 100_000),
            false => Step::Says(direction, part.to_vec()),
        });
    }
    steps
}

fn flow() -> Flow {
    let end = |last, port| (std::net::Ipv4Addr::new(10, 0, 0, last), port).into();
    Flow { initiator: end(1, 40_000), responder: end(2, 6881) }
}

fn dissect(
    steps: &[Step],
    opening: Opening,
    called_a_peer: bool,
    mut cut: impl FnMut(usize) -> usize,
) -> Ways {
    let mut ways = Ways::default();
    let mut ends = 0;
    let mut dissector = Dissector::new();
    let mut take = |dissected| match dissected {
        Dissected::Record(one) => {
            record(&one);
            ways.push(&one);
        }
        Dissected::Connection(_) => ends += 1,
    };
    let mut moment = Moment { at: Timestamp::EPOCH, frame: 1 };
    if called_a_peer {
        announce(&mut dissector, moment);
    }
    dissector.handle(moment, StreamEvent::Opened { stream: STREAM, flow: flow(), opening }, &mut take);
    for step in steps {
        moment.frame += 1;
        match step {
            Step::Loses(direction, length) => {
                let gap = StreamEvent::Gap { stream: STREAM, direction: *direction, length: *length };
                dissector.handle(moment, gap, &mut take);
            }
            Step::Says(direction, bytes) => {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let (part, more) = rest.split_at(cut(rest.len()));
                    let burst = StreamEvent::Burst { stream: STREAM, direction: *direction, bytes: part };
                    dissector.handle(moment, burst, &mut take);
                    rest = more;
                }
            }
        }
    }
    let closed = StreamEvent::Closed { stream: STREAM, closing: Closing::Finished };
    dissector.handle(moment, closed, &mut take);
    assert!(ends <= 1);
    ways
}

/// Makes the called end known as a peer: it announces itself to a UDP tracker.
fn announce(dissector: &mut Dissector, moment: Moment) {
    let mut packet = vec![1; 8];
    packet.extend([0, 0, 0, 1, 0, 0, 0, 9]);
    packet.extend([b'x'; 40]);
    packet.extend([0; 24]);
    packet.extend([0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff]);
    packet.extend(6881u16.to_be_bytes());
    let source = (flow().responder.ip(), 6881).into();
    let tracker = (std::net::Ipv4Addr::new(10, 0, 0, 3), 80).into();
    let mut records = 0;
    dissector.datagram(moment, source, tracker, &packet, &mut |_| records += 1);
    assert_eq!(records, 1, "the announce is recognised");
}

/// The records of a direction are all it said, or all behind a loss before the stream was recognised.
fn covers(steps: &[Step], ways: &Ways) {
    if ways.0.is_empty() {
        return;
    }
    for direction in [Direction::FromInitiator, Direction::FromResponder] {
        let (source, destination) = flow().ends(direction);
        let said = Said::default();
        let found = ways.0.iter().find(|((_, from, to), _)| (*from, *to) == (source, destination));
        let said = found.map_or(&said, |(_, said)| said);
        let (mut at, mut starts, mut bytes) = (0, vec![(0, 0)], Vec::new());
        for step in steps {
            match step {
                Step::Says(by, part) if *by == direction => {
                    at += part.len() as u64;
                    bytes.extend_from_slice(part);
                }
                Step::Loses(by, length) if *by == direction => {
                    at += length;
                    starts.push((at, bytes.len()));
                }
                _ => {}
            }
        }
        let start = said.records.first().map_or(at, |first| first.1);
        let end = said.records.last().map_or(at, |last| last.1 + last.2);
        let from = starts.iter().find(|(offset, _)| *offset == start);
        let Some((_, from)) = from else { panic!("{direction:?} begins at {start}, not behind a loss") };
        assert_eq!(end, at, "{direction:?} has another length");
        assert!(said.bytes == bytes[*from..], "{direction:?} shows other bytes than it said");
    }
}
