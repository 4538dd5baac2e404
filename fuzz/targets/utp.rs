#![no_main]
//! Datagrams between two ends of what may be uTP: bytes are delivered in the order of their packets, once, and what is
//! missing is told of; each connection is opened once and closed once.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use arbitrary::Arbitrary;
use bittrace_fuzz::tile;
use bittrace_protocol::Timestamp;
use bittrace_protocol::utp::{Header, extensions, fields};
use bittrace_trace::{Direction, Moment, StreamEvent, StreamId, StreamInterest, UtpReassembler};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    /// The numbers with which the ends begin to count.
    first: [u16; 2],
    packets: Vec<Packet>,
}

#[derive(Debug, Arbitrary)]
enum Packet {
    /// Any bytes.
    Raw(bool, Vec<u8>),
    /// A packet of a connection. The bytes of one follow from its number.
    Of { flags: u8, kind: u8, number: Number, acknowledged: Number, id: u8, pause: u16 },
}

#[derive(Debug, Arbitrary)]
enum Number {
    /// Where this end is, by its own count.
    Next,
    Near(i8),
    Far(i16),
}

/// What a connection has delivered.
#[derive(Default)]
struct Seen {
    closed: bool,
    /// The number that the next packet of each direction must have, modulo 256, once one was seen.
    next: [Option<u8>; 2],
    raw: bool,
}

fuzz_target!(|input: Input| {
    let mut reassembler = UtpReassembler::new();
    let mut seen: BTreeMap<StreamId, Seen> = BTreeMap::new();
    let mut counts = input.first;
    let (mut at, mut frame) = (Timestamp::EPOCH, 0);
    // Bytes that are not made here say nothing of their numbers.
    let raw = input.packets.iter().any(|packet| matches!(packet, Packet::Raw(..)));
    for packet in &input.packets {
        let (from_first, bytes) = match packet {
            Packet::Raw(from_first, bytes) => (*from_first, bytes.clone()),
            Packet::Of { flags, kind, number, acknowledged, id, pause } => {
                at = at + std::time::Duration::from_millis((*pause).into());
                let end = usize::from(flags & 1);
                let count = |number: &Number, count: u16| match number {
                    Number::Next => count,
                    Number::Near(by) => count.wrapping_add_signed((*by).into()),
                    Number::Far(by) => count.wrapping_add_signed(*by),
                };
                let number_of = count(number, counts[end]);
                let acknowledged = count(acknowledged, counts[1 - end].wrapping_sub(1));
                let kind = kind % 6;
                if matches!(number, Number::Next) && kind != 2 {
                    counts[end] = counts[end].wrapping_add(1);
                }
                let syn = kind == 4;
                let id = u16::from(id % 2) * 50 + u16::from(end == 0 && !syn);
                let mut bytes = vec![kind << 4 | 1, 0];
                bytes.extend(id.to_be_bytes());
                bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
                bytes.extend(number_of.to_be_bytes());
                bytes.extend(if syn { [0; 2] } else { acknowledged.to_be_bytes() });
                if kind == 0 {
                    bytes.push(number_of as u8);
                }
                (end == 0, bytes)
            }
        };
        tile(&fields(&bytes), bytes.len());
        let source = usize::from(!from_first);
        frame += 1;
        let moment = Moment { at, frame };
        let belongs = reassembler.datagram(moment, end(source), end(1 - source), &bytes, &mut |_, event| {
            take(&mut seen, &event, raw)
        });
        let header = Header::decode(&bytes);
        assert!(belongs.is_none() || header.is_ok());
        if let Ok(header) = header {
            assert_eq!(header.encode(extensions(&bytes)), bytes[..header.length]);
        }
    }
    reassembler.finish(&mut |_, event| take(&mut seen, &event, raw));
    assert!(seen.values().all(|seen| seen.closed), "a connection was not closed");
});

fn take(seen: &mut BTreeMap<StreamId, Seen>, event: &StreamEvent<'_>, raw: bool) -> StreamInterest {
    let stream = event.stream();
    if let StreamEvent::Opened { .. } = event {
        assert!(
            seen.insert(stream, Seen { raw, ..Seen::default() }).is_none(),
            "{stream:?} was opened twice"
        );
        return StreamInterest::Wanted;
    }
    let seen = seen.get_mut(&stream).expect("a connection is opened first");
    assert!(!seen.closed, "{event:?} after the end");
    match event {
        StreamEvent::Burst { direction, bytes, .. } => {
            assert!(!bytes.is_empty());
            if seen.raw {
                return StreamInterest::Wanted;
            }
            let next = next(seen, *direction);
            assert!(next.is_none_or(|next| next == bytes[0]), "packet {} where {next:?} belongs", bytes[0]);
            *next = Some(bytes[0].wrapping_add(1));
        }
        StreamEvent::Lost { direction, packets, .. } => {
            assert!(*packets > 0);
            let next = next(seen, *direction);
            *next = next.map(|next| next.wrapping_add(*packets as u8));
        }
        StreamEvent::Gap { .. } | StreamEvent::Awaited { .. } => panic!("bytes cannot be counted"),
        StreamEvent::Closed { .. } => seen.closed = true,
        StreamEvent::Established { .. } | StreamEvent::Opened { .. } | StreamEvent::Measured { .. } => {}
    }
    StreamInterest::Wanted
}

fn next(seen: &mut Seen, direction: Direction) -> &mut Option<u8> {
    &mut seen.next[direction as usize]
}

fn end(end: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, end as u8], 6881))
}
