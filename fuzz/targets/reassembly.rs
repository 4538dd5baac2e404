#![no_main]
//! Segments in any order: each byte is delivered once, in its place, or counted as lost; each connection is
//! opened once and closed once.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use arbitrary::Arbitrary;
use bittrace_protocol::Timestamp;
use bittrace_trace::{Direction, Moment, Reassembler, Segment, StreamEvent, StreamId, StreamInterest};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    /// Where the two ends of every connection begin to count.
    first: [u32; 2],
    packets: Vec<Packet>,
}

/// A packet between one of two pairs of ends. Its bytes follow from their numbers.
#[derive(Debug, Arbitrary)]
struct Packet {
    flags: u8,
    kind: u8,
    seq: Number,
    ack: Number,
    length: u8,
    lost_tail: u16,
    pause: u16,
}

#[derive(Debug, Arbitrary)]
enum Number {
    /// Where this end is, by its own count.
    Next,
    Near(i8),
    Far(i32),
}

/// What a connection has delivered.
#[derive(Default)]
struct Seen {
    closed: bool,
    established: bool,
    /// The number that the next byte of each direction must have, modulo 256, once one was seen.
    next: [Option<u8>; 2],
    delivered: u64,
}

fuzz_target!(|input: Input| {
    let mut reassembler = Reassembler::new();
    let mut seen: BTreeMap<StreamId, Seen> = BTreeMap::new();
    let mut counts = [input.first; 2];
    let (mut at, mut frame, mut said) = (Timestamp::EPOCH, 0, 0u64);
    let bytes: Vec<u8> = (0..=255).cycle().take(1024).collect();
    let tires = input.first[0] % 8 == 7;
    for packet in &input.packets {
        let bit = |bit: u8| packet.flags & 1 << bit != 0;
        let (pair, end) = (usize::from(bit(0)), usize::from(bit(1)));
        let number = |number: &Number, count: u32| match number {
            Number::Next => count,
            Number::Near(by) => count.wrapping_add_signed(i32::from(*by)),
            Number::Far(by) => count.wrapping_add_signed(*by),
        };
        let count = counts[pair][end];
        let (syn, fin, rst) = (bit(3) && bit(4), bit(5) && bit(6), packet.kind == 255);
        let seq = number(&packet.seq, count);
        let length = usize::from(packet.length);
        // The byte of number n is n modulo 256; a SYN takes a number of its own.
        let first = seq.wrapping_add(u32::from(syn)) as u8;
        let segment = Segment {
            src: address(pair, end),
            dst: address(pair, 1 - end),
            seq,
            ack: bit(2).then(|| number(&packet.ack, counts[pair][1 - end])),
            syn,
            fin,
            rst,
            window: 1000,
            options: &[],
            identification: None,
            payload: &bytes[usize::from(first)..][..length],
            lost_tail: if packet.kind & 7 == 0 { packet.lost_tail.into() } else { 0 },
            outgoing: None,
        };
        if matches!(packet.seq, Number::Next) {
            let sent = length as u32 + segment.lost_tail + u32::from(syn) + u32::from(fin);
            counts[pair][end] = count.wrapping_add(sent);
        }
        said += length as u64;
        at = at + std::time::Duration::from_millis(packet.pause.into());
        frame += 1;
        reassembler.segment(Moment { at, frame }, &segment, &mut |_, event| take(&mut seen, event, tires));
    }
    reassembler.finish(&mut |_, event| take(&mut seen, event, tires));
    assert!(tires || seen.values().all(|seen| seen.closed), "a connection was not closed");
    assert!(seen.values().map(|seen| seen.delivered).sum::<u64>() <= said);
});

fn take(seen: &mut BTreeMap<StreamId, Seen>, event: StreamEvent<'_>, tires: bool) -> StreamInterest {
    let stream = event.stream();
    if let StreamEvent::Opened { .. } = event {
        assert!(seen.insert(stream, Seen::default()).is_none(), "{stream:?} was opened twice");
        return StreamInterest::Wanted;
    }
    let seen = seen.get_mut(&stream).expect("a connection is opened first");
    assert!(!seen.closed, "{event:?} after the end");
    match event {
        StreamEvent::Burst { direction, bytes, .. } => {
            assert!(!bytes.is_empty());
            seen.delivered += bytes.len() as u64;
            let next = next(seen, direction);
            for &byte in bytes {
                assert!(next.is_none_or(|next| next == byte), "byte {byte} where {next:?} belongs");
                *next = Some(byte.wrapping_add(1));
            }
        }
        StreamEvent::Gap { direction, length, .. } => {
            assert!(length > 0);
            let next = next(seen, direction);
            *next = next.map(|next| next.wrapping_add(length as u8));
        }
        StreamEvent::Established { .. } => {
            assert!(!std::mem::replace(&mut seen.established, true), "established twice");
        }
        StreamEvent::Closed { .. } => seen.closed = true,
        StreamEvent::Lost { .. } => panic!("TCP counts bytes"),
        StreamEvent::Opened { .. } | StreamEvent::Awaited { .. } | StreamEvent::Measured { .. } => {}
    }
    if tires && seen.delivered > 100 {
        // Nothing may come of it from now on.
        seen.closed = true;
        return StreamInterest::Unwanted;
    }
    StreamInterest::Wanted
}

fn next(seen: &mut Seen, direction: Direction) -> &mut Option<u8> {
    &mut seen.next[direction as usize]
}

fn address(pair: usize, end: usize) -> SocketAddr {
    (Ipv4Addr::new(10, 0, pair as u8, end as u8), 6881).into()
}
