//! A recorded UDP tracker that is asked again, in the order of the recording and in others.

use std::io::Cursor;
use std::net::{Ipv4Addr, SocketAddr};

use bittrace_trace::{Recorder, Trace, TraceOptions};

use super::*;
use crate::model::transcript::Transcript;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).expect("two digits are a byte"))
        .collect()
}

fn connect(transaction: u8) -> Vec<u8> {
    hex(&format!("00 00 04 17 27 10 19 80  00 00 00 00  00 00 00 {transaction:02x}"))
}

/// connect, transaction id, connection id
fn connected(transaction: u8, connection: u8) -> Vec<u8> {
    hex(&format!("00 00 00 00  00 00 00 {transaction:02x}  00 00 00 00 00 00 00 {connection:02x}"))
}

fn announce(connection: u8, transaction: u8, event: u8) -> Vec<u8> {
    // connection id, announce, transaction id
    hex(&format!("00 00 00 00 00 00 00 {connection:02x}  00 00 00 01  00 00 00 {transaction:02x}"))
        .into_iter()
        .chain([0xaa; 20]) // info hash
        .chain(*b"-TR3000-abcdefghijkl") // peer id
        .chain([0; 24]) // downloaded, left, uploaded
        .chain([0, 0, 0, event])
        .chain(hex("00 00 00 00  de ad be ef  ff ff ff ff  1a e1")) // no address, key, num_want, port
        .collect()
}

/// announce, transaction id, interval, no leecher, no seeder
fn announced(transaction: u8, interval: u8) -> Vec<u8> {
    hex(&format!(
        "00 00 00 01  00 00 00 {transaction:02x}  00 00 00 {interval:02x}  00 00 00 00  00 00 00 00"
    ))
}

/// The tracker of a recording: datagrams, each a second after the one before. What the client sends is of even place.
fn recorded(datagrams: &[(bool, Vec<u8>)]) -> ReplayUdpTracker {
    let [client, far] =
        [(1, 6881), (2, 6969)].map(|(host, port)| SocketAddr::from((Ipv4Addr::new(10, 0, 0, host), port)));
    let mut recorder = Recorder::new(Vec::new(), "").expect("a recording begins");
    for (second, (asks, bytes)) in (1..).zip(datagrams) {
        let (src, dst) = if *asks { (client, far) } else { (far, client) };
        recorder.datagram(Timestamp::from_secs_nanos(second, 0), src, dst, bytes).expect("it is recorded");
    }
    let options = TraceOptions { local: Some(client.ip()).into(), ..TraceOptions::default() };
    let capture = Cursor::new(recorder.finish().expect("a recording ends"));
    let trace = Trace::from_reader("a recording".to_owned(), capture, options).expect("it can be read");
    let reference = Transcript::read(trace).expect("it is read to its end");
    ReplayUdpTracker::of(reference.trackers())
}

fn usual() -> ReplayUdpTracker {
    recorded(&[
        (true, connect(1)),
        (false, connected(1, 0xcc)),
        (true, announce(0xcc, 2, 2)),
        (false, announced(2, 10)),
        (true, announce(0xcc, 3, 0)),
        (false, announced(3, 20)),
        (true, announce(0xcc, 4, 0)),
        (false, announced(4, 30)),
    ])
}

/// What is answered to a datagram.
fn answer(tracker: &mut ReplayUdpTracker, datagram: &[u8]) -> Option<Vec<u8>> {
    match tracker.answer(datagram) {
        UdpAnswer::Packet(packet, _) => Some(packet.encode()),
        _ => None,
    }
}

#[test]
fn a_request_is_answered_by_its_action_and_event_under_its_own_transaction_id() {
    let mut tracker = usual();
    assert_eq!(answer(&mut tracker, &connect(0x51)), Some(connected(0x51, 0xcc)));
    assert_eq!(answer(&mut tracker, &announce(0xcc, 0x52, 0)), Some(announced(0x52, 20)));
    assert_eq!(answer(&mut tracker, &announce(0xcc, 0x53, 2)), Some(announced(0x53, 10)));
    assert_eq!(answer(&mut tracker, &announce(0xcc, 0x54, 0)), Some(announced(0x54, 30)));
    // There is no further one, and none for a completion.
    assert_eq!(answer(&mut tracker, &announce(0xcc, 0x55, 0)), Some(announced(0x55, 30)));
    assert_eq!(answer(&mut tracker, &announce(0xcc, 0x56, 1)), Some(announced(0x56, 30)));
    assert_eq!(tracker.unused().count(), 0);
}

#[test]
fn a_repeated_request_has_the_same_answer() {
    let mut tracker = usual();
    for transaction in [0x51, 0x51, 0x51] {
        assert_eq!(answer(&mut tracker, &announce(0xcc, transaction, 0)), Some(announced(transaction, 20)));
    }
    assert_eq!(answer(&mut tracker, &announce(0xcc, 0x52, 0)), Some(announced(0x52, 30)));
}

#[test]
fn an_answer_that_was_lost_is_given_to_the_next_such_request() {
    let mut tracker = usual();
    let UdpAnswer::Packet(lost, at) = tracker.answer(&announce(0xcc, 0x51, 0)) else { panic!("no answer") };
    assert_eq!(at, Some(Timestamp::from_secs_nanos(6, 0)));
    tracker.lose(&lost);
    assert_eq!(answer(&mut tracker, &announce(0xcc, 0x52, 0)), Some(announced(0x52, 20)));
}

#[test]
fn a_connection_id_that_was_not_given_is_refused() {
    let mut tracker = usual();
    let UdpAnswer::Refused(packet, why) = tracker.answer(&announce(0xcd, 0x51, 2)) else {
        panic!("it is not refused");
    };
    // error, transaction id, message
    assert_eq!(packet.encode(), [&hex("00 00 00 03  00 00 00 51")[..], b"connection id mismatch"].concat());
    assert_eq!(why, "its connection id 00000000000000cd is not one that the tracker gave");
    assert!(matches!(tracker.answer(&announce(0xcc, 0x51, 2)), UdpAnswer::Packet(..)));
}

#[test]
fn a_reference_that_begins_after_the_connection_id_was_given_gives_it_again() {
    let mut tracker = recorded(&[(true, announce(0xcc, 2, 2)), (false, announced(2, 10))]);
    assert_eq!(answer(&mut tracker, &connect(0x51)), Some(connected(0x51, 0xcc)));
    assert_eq!(answer(&mut tracker, &announce(0xcc, 0x52, 2)), Some(announced(0x52, 10)));
}

#[test]
fn a_tracker_that_was_silent_is_silent_and_one_that_was_not_refuses_what_it_does_not_know() {
    let mut silent = recorded(&[(true, connect(1)), (true, connect(2))]);
    assert!(matches!(silent.answer(&connect(0x51)), UdpAnswer::Silent));
    let mut tracker = usual();
    assert!(matches!(tracker.answer(b"d1:ad2:id20:"), UdpAnswer::NotARequest(_)));
    assert!(matches!(tracker.answer(&[]), UdpAnswer::NotARequest(_)));
    // A scrape, which the reference does not have.
    let scrape = [hex("00 00 00 00 00 00 00 cc  00 00 00 02  00 00 00 51"), vec![0xaa; 20]].concat();
    let UdpAnswer::Refused(packet, why) = tracker.answer(&scrape) else { panic!("it is not refused") };
    assert_eq!(
        packet.encode(),
        [&hex("00 00 00 03  00 00 00 51")[..], b"the capture has no answer to this"].concat()
    );
    assert_eq!(why, "the reference has no response to such a request");
}

#[test]
fn no_more_transaction_ids_are_remembered_than_there_may_be() {
    let mut tracker = usual();
    for transaction in 0..=u8::MAX {
        assert!(answer(&mut tracker, &announce(0xcc, transaction, 2)).is_some());
    }
    assert_eq!(tracker.answered.len(), MOST_ANSWERED);
}
