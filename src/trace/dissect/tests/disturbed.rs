//! One conversation, disturbed in every way that captures are: what is found of it must have been said, and what was
//! said and captured must be found.

use super::datagrams::{opened, packet};
use super::*;
use crate::{Reassembler, Segment};

/// A message: who says it, what it must be called, its bytes.
type Said = (Direction, &'static str, Vec<u8>);

/// Where a message stands in its direction, by its first byte and its length, and what it is called.
type Place = (Direction, u64, u64, &'static str);

fn message(id: u8, payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32 + 1).to_be_bytes()[..], &[id], payload].concat()
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// A block of 32 KiB, all zeros.
fn block(index: u32, begin: u32) -> Vec<u8> {
    message(7, &[numbers(&[index, begin]), vec![0; 0x8000]].concat())
}

/// Metadata, messages of BEP 52, blocks of zeros both ways, and all kinds of short messages between.
fn conversation() -> Vec<Said> {
    let extended = |payload: &[u8]| message(20, payload);
    let ask = |index, begin| message(6, &numbers(&[index, begin, 0x8000]));
    let tree = |id, more: usize| {
        message(id, &[&[0xbb; 32][..], &numbers(&[0, 0, 8, 2]), &vec![0x5c; more]].concat())
    };
    let piece_of_metadata = |number: u32, length: usize| {
        let head = format!("\x02d8:msg_typei1e5:piecei{number}e10:total_sizei16500ee");
        extended(&[head.as_bytes(), &vec![b'0'; length]].concat())
    };
    vec![
        (A, "handshake", handshake(b"-TR3000-aaaaaaaaaaaa")),
        (B, "handshake", handshake(b"-lt0D80-bbbbbbbbbbbb")),
        (A, "extended", extended(b"\0d1:md11:ut_metadatai2ee4:reqqi250ee")),
        (A, "have-none", message(15, &[])),
        (B, "extended", extended(b"\0d1:md11:ut_metadatai3ee13:metadata_sizei16500ee")),
        (B, "bitfield", message(5, &[0xff, 0xf0])),
        (A, "extended", extended(b"\x03d8:msg_typei0e5:piecei0ee")),
        (A, "extended", extended(b"\x03d8:msg_typei0e5:piecei1ee")),
        (B, "extended", piece_of_metadata(0, 0x4000)),
        (B, "extended", piece_of_metadata(1, 116)),
        (A, "port", message(9, &[0x1a, 0xe1])),
        (A, "interested", message(2, &[])),
        (B, "allowed-fast", message(17, &numbers(&[3]))),
        (B, "unchoke", message(1, &[])),
        (A, "hash-request", tree(21, 0)),
        (B, "hashes", tree(22, 8 * 32)),
        (A, "request", ask(0, 0)),
        (A, "request", ask(0, 0x8000)),
        (A, "request", ask(3, 0)),
        (A, "hash-request", tree(21, 0)),
        (B, "piece", block(0, 0)),
        (B, "hash-reject", tree(23, 0)),
        (B, "piece", block(0, 0x8000)),
        (A, "have", message(4, &numbers(&[0]))),
        (A, "cancel", message(8, &numbers(&[3, 0, 0x8000]))),
        (B, "reject-request", message(16, &numbers(&[3, 0, 0x8000]))),
        (A, "keep-alive", vec![0; 4]),
        (B, "have", message(4, &numbers(&[12]))),
        (B, "suggest-piece", message(13, &numbers(&[0]))),
        (A, "unchoke", message(1, &[])),
        (B, "interested", message(2, &[])),
        (B, "request", ask(0, 0)),
        (A, "piece", block(0, 0)),
        (B, "choke", message(0, &[])),
        (B, "have", message(4, &numbers(&[13]))),
        (B, "have", message(4, &numbers(&[14]))),
        (A, "not-interested", message(3, &[])),
        (A, "have", message(4, &numbers(&[1]))),
        (A, "have", message(4, &numbers(&[2]))),
    ]
}

fn places(said: &[Said]) -> Vec<Place> {
    let mut ends = [0; 2];
    let mut place = |(direction, name, bytes): &Said| {
        let begin = ends[*direction as usize];
        ends[*direction as usize] += bytes.len() as u64;
        (*direction, begin, bytes.len() as u64, *name)
    };
    said.iter().map(&mut place).collect()
}

/// A part of what one end says, by its first byte.
#[derive(Clone)]
struct Part {
    direction: Direction,
    begin: u64,
    bytes: Vec<u8>,
}

/// The conversation in segments of at most `size` bytes that begin where messages do or the one before ends.
fn parts(said: &[Said], size: usize) -> Vec<Part> {
    let places = places(said);
    let cut = |((direction, _, bytes), (_, begin, ..)): (&Said, &Place)| -> Vec<Part> {
        let starts = (*begin..).step_by(size);
        let chunks = bytes.chunks(size).zip(starts);
        chunks.map(|(bytes, begin)| Part { direction: *direction, begin, bytes: bytes.to_vec() }).collect()
    };
    said.iter().zip(&places).flat_map(cut).collect()
}

/// What is found in a capture of these segments, by the places of the first bytes that it holds. Everything between
/// the first and the last byte must be accounted for.
fn found(parts: &[Part], opening: StreamOpening) -> Vec<Place> {
    const FIRST: u32 = 0xffff_f000;
    let mut reassembler = Reassembler::new();
    let mut dissector = Dissector::new();
    let mut records = Vec::new();
    let mut out = |dissected| {
        if let Dissected::Record(record) = dissected {
            records.push(record);
        }
    };
    let mut sink = |at, event: StreamEvent<'_>| dissector.handle(at, event, &mut out);
    let held = |direction| parts.iter().filter(move |part| part.direction == direction);
    let base = [A, B].map(|direction| match opening {
        StreamOpening::Syn => 0,
        StreamOpening::MidStream => held(direction).map(|part| part.begin).min().unwrap_or(0),
    });
    let mut frame = 0;
    let mut send = |direction: Direction, syn: bool, seq: u64, payload: &[u8]| {
        frame += 1;
        let (src, dst) = flow().ends(direction);
        let segment = Segment {
            src,
            dst,
            seq: FIRST.wrapping_add(seq as u32),
            ack: (!syn || direction == B)
                .then_some(FIRST.wrapping_add(base[direction.reverse() as usize] as u32)),
            syn,
            fin: false,
            rst: false,
            window: 0xffff,
            options: &[],
            identification: None,
            payload,
            lost_tail: 0,
            outgoing: None,
        };
        reassembler.segment(moment(frame), &segment, &mut sink);
    };
    if opening == StreamOpening::Syn {
        send(A, true, u64::MAX, &[]);
        send(B, true, u64::MAX, &[]);
    }
    for Part { direction, begin, bytes } in parts {
        send(*direction, false, *begin, bytes);
    }
    reassembler.finish(&mut sink);
    // Who called cannot be known of a connection joined in the middle.
    let said_by = |record: &Record| if record.source == flow().initiator { A } else { B };
    for direction in [A, B] {
        let first = base[direction as usize];
        let end = held(direction).map(|part| part.begin + part.bytes.len() as u64).max().unwrap_or(first);
        let of = || records.iter().filter(move |record| said_by(record) == direction);
        let ends = of().scan(0, |end, record| {
            *end += record.length();
            Some(*end)
        });
        assert!(of().skip(1).map(|record| record.offset).eq(ends.take(of().count().max(1) - 1)));
        let shown: u64 = of().map(Record::length).sum();
        assert!(records.is_empty() || shown == end - first, "{shown} bytes of {first} to {end}");
    }
    let messages = records.iter().filter(|record| !matches!(record.body.message(), "opaque" | "gap"));
    messages
        .map(|record| {
            let begin = base[said_by(record) as usize] + record.offset;
            (said_by(record), begin, record.length(), record.body.message())
        })
        .collect()
}

fn sorted(mut places: Vec<Place>) -> Vec<Place> {
    places.sort_by_key(|&(direction, begin, ..)| (direction as u8, begin));
    places
}

/// Pseudo-random numbers below `below`.
fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    }
}

#[test]
fn segments_of_any_size_in_any_order_hold_every_message() {
    let said = conversation();
    let all = sorted(places(&said));
    for size in [1, 5, 536, 1448, 65_000] {
        assert_eq!(sorted(found(&parts(&said, size), StreamOpening::Syn)), all, "{size} bytes a segment");
    }
    for seed in 1..40 {
        let mut random = random(seed);
        let mut parts = parts(&said, [67, 1000, 1448][seed as usize % 3]);
        for at in 0..parts.len() {
            let last = parts.len() - 1;
            match random(6) {
                0 => parts.swap(at, (at + 1 + random(4)).min(last)),
                1 => parts.insert(at, parts[at - at.min(random(9))].clone()),
                _ => {}
            }
        }
        assert_eq!(sorted(found(&parts, StreamOpening::Syn)), all, "disorder {seed}");
    }
}

#[test]
fn a_handshake_may_be_split_anywhere() {
    let said = conversation();
    let all = sorted(places(&said));
    for at in 1..68 {
        let mut parts = parts(&said, 68);
        for direction in [A, B] {
            let first = parts.iter().position(|part| part.direction == direction).unwrap();
            let bytes = parts[first].bytes.split_off(at);
            parts.insert(first + 1, Part { direction, begin: at as u64, bytes });
        }
        assert_eq!(sorted(found(&parts, StreamOpening::Syn)), all, "split at {at}");
        parts.swap(0, 1);
        assert_eq!(sorted(found(&parts, StreamOpening::Syn)), all, "split at {at}, the second part first");
    }
}

/// How many messages a direction may need to prove where they begin.
const PROOF: usize = 4;

/// Asserts that all that is found was said, and that of the messages in `held` only those are missing that prove
/// where the others begin.
fn assert_held(found: &[Place], held: &[Place], what: &str) {
    for direction in [A, B] {
        let way = |places: &[Place]| -> Vec<Place> {
            sorted(places.iter().copied().filter(|place| place.0 == direction).collect())
        };
        let (found, held) = (way(found), way(held));
        let missing = held.len().saturating_sub(found.len());
        assert!(found.iter().all(|place| held.contains(place)), "{what}: invented in {found:?}");
        assert!(held.ends_with(&found), "{what}: missing between {found:?} and {held:?}");
        assert!(missing <= PROOF, "{what}: {missing} are missing");
    }
}

#[test]
fn a_capture_that_begins_anywhere_holds_the_messages_from_there_on() {
    let said = conversation();
    let parts = parts(&said, 1448);
    let mut recognised = 0;
    for from in 1..parts.len() {
        for skip in [0, 1, 2, 3, 4, 5, 9, 13, 700].into_iter().filter(|&skip| skip < parts[from].bytes.len())
        {
            let mut rest = parts[from..].to_vec();
            rest[0].bytes.drain(..skip);
            rest[0].begin += skip as u64;
            let begins = |direction| rest.iter().filter(move |part| part.direction == direction);
            let first = |direction| begins(direction).map(|part| part.begin).min();
            let held: Vec<Place> = places(&said)
                .into_iter()
                .filter(|&(direction, begin, ..)| first(direction).is_some_and(|first| first <= begin))
                .collect();
            let found = found(&rest, StreamOpening::MidStream);
            recognised += usize::from(!found.is_empty());
            assert_held(&found, &held, &format!("from segment {from}, byte {skip}"));
        }
    }
    assert!(recognised > 700, "{recognised}");
}

#[test]
fn a_lost_segment_costs_what_it_held_and_what_proves_the_rest() {
    let said = conversation();
    let all = places(&said);
    for size in [60, 536, 1448] {
        let parts = parts(&said, size);
        let step = if size == 60 { 7 } else { 1 };
        for lost in (0..parts.len()).step_by(step) {
            let mut rest = parts.clone();
            let Part { direction, begin, bytes } = rest.remove(lost);
            let end = begin + bytes.len() as u64;
            let found = found(&rest, StreamOpening::Syn);
            assert!(found.iter().all(|place| all.contains(place)), "{size}, {lost}: invented in {found:?}");
            let whole = |place: &&Place| place.0 != direction || place.1 + place.2 <= begin || end <= place.1;
            let missing = all.iter().filter(whole).filter(|place| !found.contains(place)).count();
            // The head of a message tells where it ends.
            let known = all.iter().any(|&(way, first, length, _)| {
                way == direction && first + 5 <= begin && end <= first + length
            });
            let allowed = if known { 0 } else { PROOF };
            assert!(missing <= allowed, "{size}, {lost} ({begin} to {end}): {missing} are missing");
        }
    }
}

/// uTP counts packets, so where a message stands after a loss cannot be told; which they are, and in which order, can.
#[test]
fn a_lost_packet_of_utp_costs_what_it_held_and_what_proves_the_rest() {
    let said = conversation();
    let all = places(&said);
    let parts = parts(&said, 1380);
    let packets = |lost: usize| -> Vec<(Direction, Vec<u8>)> {
        let mut next = [2u16, 100];
        let mut packets = opened();
        for (number, Part { direction, bytes, .. }) in parts.iter().enumerate() {
            let heard = next[direction.reverse() as usize] - 1;
            if number != lost {
                packets.push(packet(*direction, 0, next[*direction as usize], heard, bytes));
            }
            next[*direction as usize] += 1;
        }
        packets
    };
    for (lost, part) in parts.iter().enumerate() {
        let found: Vec<_> = super::datagrams::said(&packets(lost))
            .into_iter()
            .filter(|(_, name, _)| !matches!(*name, "opaque" | "gap"))
            .collect();
        let (begin, end, direction) = (part.begin, part.begin + part.bytes.len() as u64, part.direction);
        for way in [A, B] {
            let mut found = found.iter().filter(|(direction, ..)| *direction == way).peekable();
            let of_way = || all.iter().filter(move |place| place.0 == way);
            let held = |place: &&Place| way != direction || place.1 + place.2 <= begin || end <= place.1;
            let mut missing = 0;
            for place in of_way().filter(held) {
                let is_next =
                    |(_, name, length): &&(Direction, &str, u64)| (*name, *length) == (place.3, place.2);
                if found.next_if(is_next).is_none() {
                    missing += 1;
                }
            }
            let allowed = if way == direction { PROOF } else { 0 };
            assert_eq!(found.next(), None, "packet {lost}: invented, or out of order");
            assert!(missing <= allowed, "packet {lost}: {missing} are missing");
        }
    }
}
