#![no_main]
//! Conversations with losses: the records of a direction are its bytes, end to end; however bursts are cut they
//! are the same; their fields tile them.
//!
//! An input is twelve bytes that say how the rest is to be taken, then what both ends say.

use bittrace_fuzz::{Said, Sequence, Step, Ways, conversation, flow, play, record};
use bittrace_protocol::Timestamp;
use bittrace_trace::{Direction, Dissected, Dissector, Moment, StreamOpening};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&[opening, losses, burst, seed, s0, s1, s2, s3], rest)) = input.split_first_chunk::<8>() else {
        return;
    };
    let Some((&share, rest)) = rest.split_first_chunk::<4>() else { return };
    let mut sequence = Sequence(u64::from(u32::from_be_bytes([s0, s1, s2, s3])));
    let (ours, theirs) = rest.split_at(u32::from_be_bytes(share) as usize % (rest.len() + 1));
    let steps = conversation([ours, theirs], losses, burst, true, &mut sequence);
    let opening = if opening & 1 == 0 { StreamOpening::Syn } else { StreamOpening::MidStream };
    let called_a_peer = seed & 1 == 0;

    let whole = dissect(&steps, opening, called_a_peer, |length| length);
    covers(&steps, &whole);
    assert_eq!(whole, dissect(&steps, opening, called_a_peer, |_| 1), "cut into single bytes");
    let cut = dissect(&steps, opening, called_a_peer, |length| 1 + sequence.below(length));
    assert_eq!(whole, cut, "cut at random");
});

fn dissect(
    steps: &[Step],
    opening: StreamOpening,
    called_a_peer: bool,
    cut: impl FnMut(usize) -> usize,
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
    if called_a_peer {
        announce(&mut dissector);
    }
    play(&mut dissector, opening, steps, cut, &mut take);
    assert!(ends <= 1);
    ways
}

/// Makes the called end known as a peer: it announces itself to a UDP tracker.
fn announce(dissector: &mut Dissector) {
    let moment = Moment { at: Timestamp::EPOCH, frame: 1 };
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

/// The records of a direction are all it said, or all after a loss before the stream was recognised.
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
        let Some((_, from)) = from else { panic!("{direction:?} begins at {start}, not after a loss") };
        assert_eq!(end, at, "{direction:?} has another length");
        assert!(said.bytes == bytes[*from..], "{direction:?} shows other bytes than it said");
    }
}
