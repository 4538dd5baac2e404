//! Conversations in raw packets, and the bytes that must come of them.

use std::collections::BTreeMap;

use bittrace_protocol::Timestamp;
use proptest::prelude::*;

use super::*;
use Direction::{FromInitiator as A, FromResponder as B};

/// The id in the SYN of A.
const ID: u16 = 0xffff;

fn end(direction: Direction) -> SocketAddr {
    match direction {
        A => "10.0.0.3:6886".parse().unwrap(),
        B => "10.0.0.2:6885".parse().unwrap(),
    }
}

/// How many bytes each end takes: 64 KiB.
const WINDOW: [u8; 4] = [0, 1, 0, 0];

/// A packet: type and version, no extension, the receiver's id, times of no account, a window, numbers, bytes.
fn packet(kind: u8, id: u16, sequence: u16, acknowledged: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind << 4 | 1, 0];
    bytes.extend(id.to_be_bytes());
    bytes.extend([&[0; 8][..], &WINDOW].concat());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(acknowledged.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn data(direction: Direction, sequence: u16, acknowledged: u16, payload: &[u8]) -> (Direction, Vec<u8>) {
    (direction, packet(0, id(direction), sequence, acknowledged, payload))
}

fn state(direction: Direction, sequence: u16, acknowledged: u16) -> (Direction, Vec<u8>) {
    (direction, packet(2, id(direction), sequence, acknowledged, &[]))
}

fn fin(direction: Direction, sequence: u16, acknowledged: u16) -> (Direction, Vec<u8>) {
    (direction, packet(1, id(direction), sequence, acknowledged, &[]))
}

fn syn(sequence: u16) -> (Direction, Vec<u8>) {
    (A, packet(4, ID, sequence, 0, &[]))
}

/// The called end answers under the id of the SYN, the caller goes on under the next.
fn id(direction: Direction) -> u16 {
    match direction {
        A => ID.wrapping_add(1),
        B => ID,
    }
}

/// What happened, in words: `A hello`, `B lost 2`, `closed Finished`.
fn play(packets: &[(Direction, Vec<u8>)]) -> Vec<String> {
    let mut reassembler = UtpReassembler::new();
    let mut said = Vec::new();
    let mut sink = |_: Moment, event: StreamEvent<'_>| {
        let way = |direction| if direction == A { "A" } else { "B" };
        said.push(match event {
            StreamEvent::Opened { opening, .. } => format!("opened {opening:?}"),
            StreamEvent::Established { .. } => "established".to_owned(),
            StreamEvent::Burst { direction, bytes, .. } => {
                format!("{} {}", way(direction), String::from_utf8_lossy(bytes))
            }
            StreamEvent::Lost { direction, packets, .. } => format!("{} lost {packets}", way(direction)),
            StreamEvent::Gap { .. } | StreamEvent::Awaited { .. } => panic!("bytes cannot be counted"),
            StreamEvent::Measured { .. } => panic!("nobody asked for it"),
            StreamEvent::Closed { closing, .. } => format!("closed {closing:?}"),
        });
        StreamInterest::Wanted
    };
    for (frame, (direction, bytes)) in (1..).zip(packets) {
        let moment = Moment { at: Timestamp::from_nanos(frame as i64 * 1_000_000), frame };
        reassembler.datagram(moment, end(*direction), end(direction.reverse()), bytes, &mut sink);
    }
    reassembler.finish(&mut sink);
    assert_eq!(reassembler.held_cost, 0);
    said
}

/// A connection from its SYN, number 9, to its answer; the called end's bytes begin with number 100.
fn opened() -> Vec<(Direction, Vec<u8>)> {
    vec![syn(9), state(B, 100, 9)]
}

fn after_opening(packets: impl IntoIterator<Item = (Direction, Vec<u8>)>) -> Vec<String> {
    let packets: Vec<_> = opened().into_iter().chain(packets).collect();
    let said = play(&packets);
    assert_eq!(said[..2], ["opened Syn", "established"]);
    said[2..].to_vec()
}

#[test]
fn both_directions_are_read_to_their_fins() {
    let said = after_opening([
        data(A, 10, 99, b"one"),
        data(B, 100, 10, b"eins"),
        data(A, 11, 100, b"two"),
        fin(B, 101, 11),
        fin(A, 12, 101),
        data(A, 13, 101, b"never"),
    ]);
    assert_eq!(said, ["A one", "B eins", "A two", "closed Finished"]);
}

#[test]
fn an_end_may_count_its_acknowledgement() {
    // As BEP 29 has it: the answer took number 100, and A acknowledges that.
    let said = after_opening([data(B, 101, 9, b"eins"), data(A, 10, 100, b"one"), data(B, 102, 10, b"zwei")]);
    assert_eq!(said, ["B eins", "A one", "B zwei", "closed CaptureEnded"]);
}

#[test]
fn order_copies_and_wrapping_numbers_make_no_difference() {
    let packets = vec![
        syn(0xfffd),
        syn(0xfffd),
        state(B, 0, 0xfffd),
        data(A, 0, 0, b"three"),
        data(A, 0xfffe, 0, b"one"),
        data(A, 0xfffe, 0, b"ONE"),
        data(A, 1, 0, b"four"),
        data(A, 0xffff, 0, b"two"),
        data(A, 0xffff, 0, b"two"),
    ];
    let expected =
        ["opened Syn", "established", "A one", "A two", "A three", "A four", "closed CaptureEnded"];
    assert_eq!(play(&packets), expected);
}

#[test]
fn a_packet_is_lost_when_its_receiver_has_it_or_nothing_more_comes() {
    // Not acknowledged: it may come yet, and does.
    let late = [data(A, 11, 99, b"two"), state(B, 100, 9), data(A, 10, 99, b"one")];
    assert_eq!(after_opening(late), ["A one", "A two", "closed CaptureEnded"]);
    // Acknowledged: the capture has lost it, once there was time for packets to overtake each other.
    let mut lost = vec![data(A, 11, 99, b"two")];
    lost.extend((0..70).map(|_| state(B, 100, 11)));
    lost.push(data(A, 10, 99, b"one"));
    assert_eq!(after_opening(lost), ["A lost 1", "A two", "closed CaptureEnded"]);
    // At the end nothing more comes; and packets that were acknowledged and never heard are lost as well.
    let cut = [data(A, 10, 99, b"one"), data(A, 13, 99, b"four"), state(B, 100, 17)];
    assert_eq!(after_opening(cut), ["A one", "A lost 2", "A four", "A lost 4", "closed CaptureEnded"]);
}

#[test]
fn a_stream_joined_in_the_middle_is_followed_both_ways() {
    let packets = [
        state(B, 100, 60),
        data(A, 61, 99, b"six"),
        data(B, 100, 61, b"sieben"),
        data(A, 62, 100, b"eight"),
        fin(A, 63, 100),
    ];
    assert_eq!(play(&packets), ["opened MidStream", "A six", "B sieben", "A eight", "closed Finished"]);
    let other = [data(B, 7, 1, b"sieben"), data(A, 2, 7, b"eight")];
    assert_eq!(
        play(&other),
        ["opened MidStream", "A sieben", "B eight", "closed CaptureEnded"].map(|said| said.to_owned()),
        "the end that was heard first is taken for the caller"
    );
}

#[test]
fn a_reset_ends_or_refuses() {
    let reset = (B, packet(3, ID, 77, 10, &[]));
    assert_eq!(play(&[syn(9), reset.clone()]), ["opened Syn", "closed Refused"]);
    assert_eq!(after_opening([data(A, 10, 99, b"one"), reset]), ["A one", "closed Reset"]);
    // One end knows of no connection, and sends back the id that it was sent.
    let unknown = (B, packet(3, ID.wrapping_add(1), 77, 10, &[]));
    assert_eq!(after_opening([data(A, 10, 99, b"one"), unknown]), ["A one", "closed Reset"]);
    assert_eq!(play(&[syn(9), syn(9)]), ["opened Syn", "closed Unanswered"]);
}

#[test]
fn an_answer_that_was_not_captured_does_not_stop_the_stream() {
    let packets = [syn(9), data(A, 10, 99, b"one"), data(B, 100, 10, b"eins")];
    assert_eq!(play(&packets), ["opened Syn", "A one", "established", "B eins", "closed CaptureEnded"]);
}

#[test]
fn an_id_used_again_is_another_connection() {
    let mut packets = opened();
    packets.push(data(A, 10, 99, b"one"));
    packets.extend([syn(500), state(B, 800, 500), data(A, 501, 799, b"new")]);
    let said = play(&packets);
    assert_eq!(
        said[2..],
        ["A one", "closed Replaced", "opened Syn", "established", "A new", "closed CaptureEnded"]
    );
}

#[test]
fn more_lost_than_numbers_can_tell_does_not_stop_the_stream() {
    let mut packets = vec![data(A, 10, 99, b"one")];
    packets.extend((0..9).map(|number| data(A, 40_000 + number, 99, b"x")));
    let said = after_opening(packets);
    assert_eq!(said[..3], ["A one", "A lost 39996", "A x"]);
}

#[test]
fn what_is_no_packet_of_a_connection_says_nothing() {
    assert_eq!(play(&[state(A, 1, 1), fin(A, 2, 1), (A, b"\x41\0".to_vec()), (B, Vec::new())]), [""; 0]);
    // A hole at a number far ahead is none.
    assert_eq!(after_opening([data(A, 30_000, 99, b"far")]), ["closed CaptureEnded"]);
}

/// A SYN with this window, these extensions after the header and these bytes after them.
fn opening(window: u32, extensions: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = packet(4, ID, 1, 0, &[]);
    bytes[12..16].copy_from_slice(&window.to_be_bytes());
    if let Some((&first, rest)) = extensions.split_first() {
        bytes[1] = first;
        bytes.extend(rest);
    }
    bytes.extend(payload);
    bytes
}

#[test]
fn what_no_client_opens_a_connection_with_opens_none() {
    let opens = |bytes: &[u8]| {
        let mut sink = |_: Moment, _: StreamEvent<'_>| StreamInterest::Wanted;
        let moment = Moment { at: Timestamp::EPOCH, frame: 1 };
        UtpReassembler::new().datagram(moment, end(A), end(B), bytes, &mut sink).is_some()
    };
    assert!(opens(&opening(1000, &[], &[])));
    // libutp's extension bits; a chain of three that clients send; one that nobody knows.
    assert!(opens(&opening(1000, b"\x02\0\x08bitsbits", &[])));
    assert!(opens(&opening(1000, b"\x01\x02\x04acks\x03\x08bitsbits\0\x04\0\0\0\0", &[])));
    assert!(opens(&opening(1000, b"\x09\0\x02xx", &[])));
    assert!(!opens(&opening(1000, &[], b"x")), "a SYN carries nothing");
    assert!(!opens(&opening(1000, b"\x09\x08\x02xx\0\x01x", &[])), "two extensions that nobody knows");
}

#[test]
fn two_ends_that_take_nothing_have_no_connection() {
    let opened = |ours: u32, theirs: u32| {
        let mut answer = packet(2, ID, 100, 1, &[]);
        answer[12..16].copy_from_slice(&theirs.to_be_bytes());
        play(&[(A, opening(ours, &[], &[])), (B, answer)])
    };
    // libtorrent says in its SYN that it takes nothing, and is answered.
    assert_eq!(opened(0, 1000), opened(1000, 1000));
    assert_ne!(opened(0, 0), opened(0, 1000));
    assert!(opened(0, 0).iter().any(|event| event.contains("Unanswered")), "{:?}", opened(0, 0));
}

#[test]
fn no_more_connections_are_kept_than_there_is_room_for() {
    let mut reassembler = UtpReassembler::new();
    let mut balance: BTreeMap<StreamId, i32> = BTreeMap::new();
    let mut sink = |_: Moment, event: StreamEvent<'_>| {
        *balance.entry(event.stream()).or_default() += match event {
            StreamEvent::Opened { .. } => 1,
            StreamEvent::Closed { .. } => -1,
            _ => 0,
        };
        StreamInterest::Wanted
    };
    for number in 0..MAX_CONNECTIONS as u64 * 2 {
        let from = SocketAddr::from(([10, 0, (number >> 8) as u8, number as u8], (number >> 16) as u16 + 1));
        let moment = Moment { at: Timestamp::EPOCH, frame: number };
        reassembler.datagram(moment, from, end(B), &packet(0, 7, 1, 1, &[0; 1000]), &mut sink);
    }
    assert!(reassembler.connections.len() <= MAX_CONNECTIONS);
    assert!(reassembler.lines.len() <= 2 * MAX_CONNECTIONS);
    reassembler.finish(&mut sink);
    assert!(balance.values().all(|balance| *balance == 0), "each is closed once");
}

proptest! {
    /// Packets of one byte each, their number: late by up to 20 places, some twice, some never.
    #[test]
    fn packets_come_in_order_and_once(
        first: u16,
        fates in prop::collection::vec((0u64..20, 0u8..10), 1..120),
    ) {
        let mut sent = Vec::new();
        for (place, (delay, fate)) in fates.iter().enumerate() {
            let number = first.wrapping_add(1).wrapping_add(place as u16);
            let one = data(A, number, 99, &[b'a' + (place % 26) as u8]);
            let copies = match fate { 0 => 0, 1 => 2, _ => 1 };
            sent.extend((0..copies).map(|copy| (place as u64 + delay + copy * 7, one.clone())));
        }
        sent.sort_by_key(|(at, _)| *at);
        let mut packets = vec![syn(first), state(B, 100, first)];
        packets.extend(sent.into_iter().map(|(_, packet)| packet));
        let said = play(&packets);
        let mut place = 0usize;
        for one in &said[2..said.len() - 1] {
            match one.strip_prefix("A lost ") {
                Some(lost) => {
                    let lost: usize = lost.parse().unwrap();
                    prop_assert!(fates[place..place + lost].iter().all(|(_, fate)| *fate == 0));
                    place += lost;
                }
                None => {
                    prop_assert_eq!(one.as_bytes()[2], b'a' + (place % 26) as u8);
                    prop_assert!(fates[place].1 != 0);
                    place += 1;
                }
            }
        }
        prop_assert!(fates[place..].iter().all(|(_, fate)| *fate == 0));
    }
}
