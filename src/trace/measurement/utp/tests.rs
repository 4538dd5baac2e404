use std::net::SocketAddr;

use bittrace_protocol::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{
    ConnectionMeasurement, Direction, DirectionMeasurement, EndedBy, Moment, StreamEvent, StreamInterest,
    TransportSpan, TransportState, UtpReassembler,
};

const A: Direction = Direction::FromInitiator;
const B: Direction = Direction::FromResponder;
const DATA: u8 = 0x01;
const FIN: u8 = 0x11;
const STATE: u8 = 0x21;
const RESET: u8 = 0x31;
const SYN: u8 = 0x41;

fn end(direction: Direction) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1 + direction as u8], 6881))
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_nanos(100_000_000_000 + millis * 1_000_000)
}

/// What a packet says beside its kind.
#[derive(Clone, Copy)]
struct Says<'a> {
    number: u16,
    acknowledged: u16,
    /// The sender's clock, in milliseconds.
    clock: u32,
    /// The delay that it reports, in milliseconds.
    delay: u32,
    window: u32,
    /// The extension's kind and content.
    extension: Option<(u8, &'a [u8])>,
    bytes: usize,
}

const SAYS: Says<'_> =
    Says { number: 0, acknowledged: 0, clock: 0, delay: 0, window: 100_000, extension: None, bytes: 0 };

/// A connection packet by packet, at given milliseconds. The initiator's SYN has the number 99, the responder's first packet
/// with bytes 500.
struct Path {
    reassembler: UtpReassembler,
    frame: u64,
    measured: Vec<(ConnectionMeasurement, Timestamp)>,
}

impl Path {
    fn open() -> Self {
        let mut path = Self { reassembler: UtpReassembler::measuring(), frame: 0, measured: Vec::new() };
        path.send(0, A, SYN, Says { number: 99, ..SAYS });
        path.send(40, B, STATE, Says { number: 500, acknowledged: 99, ..SAYS });
        path
    }

    fn send(&mut self, millis: i64, from: Direction, kind: u8, says: Says<'_>) -> &mut Self {
        let id: u16 = if (from, kind) == (A, SYN) || from == B { 7 } else { 8 };
        let mut bytes = vec![kind, says.extension.map_or(0, |(extension, _)| extension)];
        bytes.extend(id.to_be_bytes());
        bytes.extend((says.clock.wrapping_mul(1000)).to_be_bytes());
        bytes.extend((says.delay.wrapping_mul(1000)).to_be_bytes());
        bytes.extend(says.window.to_be_bytes());
        bytes.extend(says.number.to_be_bytes());
        bytes.extend(says.acknowledged.to_be_bytes());
        if let Some((_, content)) = says.extension {
            bytes.extend([0, content.len() as u8]);
            bytes.extend(content);
        }
        bytes.resize(bytes.len() + says.bytes, 7);
        self.frame += 1;
        let (moment, measured) = (Moment { at: at(millis), frame: self.frame }, &mut self.measured);
        let sink = &mut |at: Moment, event: StreamEvent<'_>| note(measured, at, event);
        self.reassembler.datagram(moment, end(from), end(from.reverse()), &bytes, sink);
        self
    }

    /// The initiator sends bytes.
    fn sends(&mut self, millis: i64, number: u16, bytes: usize) -> &mut Self {
        let says = Says { number, acknowledged: 499, clock: millis as u32, bytes, ..SAYS };
        self.send(millis, A, DATA, says)
    }

    /// The responder acknowledges.
    fn acks(&mut self, millis: i64, acknowledged: u16, delay: u32) -> &mut Self {
        self.send(millis, B, STATE, Says { number: 500, acknowledged, delay, ..SAYS })
    }

    fn finish(mut self) -> ConnectionMeasurement {
        let measured = &mut self.measured;
        self.reassembler.finish(&mut |at, event| note(measured, at, event));
        assert_eq!(self.measured.len(), 1);
        self.measured.remove(0).0
    }
}

fn note(
    measured: &mut Vec<(ConnectionMeasurement, Timestamp)>,
    moment: Moment,
    event: StreamEvent<'_>,
) -> StreamInterest {
    if let StreamEvent::Measured { measurement, .. } = event {
        measured.push((*measurement, moment.at));
    }
    StreamInterest::Wanted
}

/// The spans in milliseconds: `0-100 Idle, 100-200 Sending 50`, with bytes where there are any.
fn spans(direction: &DirectionMeasurement) -> String {
    let millis = |moment: Timestamp| (moment.as_nanos() - at(0).as_nanos()) / 1_000_000;
    let tell = |span: &TransportSpan| {
        let bytes = if span.bytes > 0 { format!(" {}", span.bytes) } else { String::new() };
        format!("{}-{} {:?}{bytes}", millis(span.from), millis(span.to), span.state)
    };
    direction.spans.iter().map(tell).collect::<Vec<_>>().join(", ")
}

#[test]
fn packets_are_timed_by_their_numbers() {
    let mut path = Path::open();
    path.sends(100, 100, 700).sends(101, 101, 300).acks(141, 101, 5).sends(200, 102, 50).acks(250, 102, 5);
    let measured = path.finish();
    let direction = &measured.directions[0];
    assert_eq!(measured.half_round_trips, [None, Some(0.04)]);
    assert_eq!((direction.segments, direction.bytes, direction.largest_segment), (3, 1050, 700));
    let times = direction.acknowledged_after.unwrap();
    assert_eq!((times.samples, times.smallest, times.largest), (2, 0.04, 0.05));
    let expected = "0-100 Idle, 100-141 Sending 1000, 141-200 Idle, 200-250 Sending 50";
    assert_eq!(spans(direction), expected);
    assert_eq!((direction.largest_in_flight, direction.window.unwrap().last), (1000, 100_000));
}

#[test]
fn a_sender_holds_back_when_the_delay_reaches_the_target() {
    let mut path = Path::open();
    path.sends(100, 100, 10).sends(100, 101, 10).sends(100, 102, 10).sends(100, 103, 10).sends(100, 104, 10);
    // The clocks differ by an hour: 50 ms are the smallest delay.
    path.acks(200, 100, 3_600_050)
        .acks(300, 101, 3_600_155)
        .acks(400, 102, 3_600_120)
        .acks(500, 103, 3_600_100);
    let measured = path.finish();
    let direction = &measured.directions[0];
    assert_eq!(spans(direction), "0-100 Idle, 100-300 Sending 50, 300-500 DelayTarget");
    let queueing = direction.queueing.unwrap();
    assert_eq!((queueing.samples, queueing.largest), (4, 0.105));
}

#[test]
fn a_packet_with_a_number_that_was_sent_is_a_retransmission() {
    let mut path = Path::open();
    path.sends(100, 100, 10).sends(100, 101, 20).acks(140, 100, 1).sends(600, 101, 20).acks(640, 101, 1);
    path.sends(700, 101, 20);
    let measured = path.finish();
    let direction = &measured.directions[0];
    assert_eq!((direction.retransmitted_segments, direction.retransmitted_bytes), (2, 40));
    assert_eq!((direction.spurious_retransmissions, direction.bytes), (1, 30));
    assert_eq!(spans(direction), "0-100 Idle, 100-140 Sending 30, 140-640 Recovering, 640-700 Idle");
}

#[test]
fn three_packets_behind_a_missing_one_tell_of_a_loss() {
    let mut path = Path::open();
    for number in 100..105 {
        path.sends(100, number, 10);
    }
    // Three packets from the second behind 100 on have arrived.
    let selective = Says { number: 500, acknowledged: 100, extension: Some((1, &[0b111, 0, 0, 0])), ..SAYS };
    path.send(140, B, STATE, selective).sends(150, 101, 10).acks(190, 104, 1);
    let measured = path.finish();
    assert_eq!(spans(&measured.directions[0]), "0-100 Idle, 100-140 Sending 50, 140-190 Recovering");
}

#[test]
fn the_clock_of_the_sender_tells_late_packets_from_retransmitted_ones() {
    let late = |clock: u32| {
        let mut path = Path::open();
        path.sends(100, 100, 10).sends(101, 102, 10);
        path.send(102, A, DATA, Says { number: 101, acknowledged: 499, clock, bytes: 10, ..SAYS });
        let direction = path.finish().directions[0].clone();
        (direction.retransmitted_segments, direction.out_of_order_segments, direction.bytes)
    };
    assert_eq!(late(100), (0, 1, 30));
    assert_eq!(late(102), (1, 0, 30));
}

#[test]
fn packets_that_were_acknowledged_and_not_captured_are_lost_to_the_capture() {
    let mut path = Path::open();
    path.sends(100, 100, 10).sends(110, 102, 10).acks(150, 102, 1).acks(200, 104, 1);
    let measured = path.finish();
    let direction = &measured.directions[0];
    assert_eq!((direction.lost_to_capture, direction.bytes), (3, 20));
    assert_eq!(measured.ending.unacknowledged, [0, 0]);
}

#[test]
fn numbers_wrap_and_windows_fill() {
    let mut path = Path { reassembler: UtpReassembler::measuring(), frame: 0, measured: Vec::new() };
    path.send(0, A, SYN, Says { number: 65_533, ..SAYS });
    path.send(40, B, STATE, Says { number: 500, acknowledged: 65_533, window: 4_000, ..SAYS });
    for (millis, number) in [(100, 65_534), (110, 65_535), (120, 0), (130, 1)] {
        path.sends(millis, number, 1000);
    }
    path.send(200, B, STATE, Says { number: 500, acknowledged: 1, window: 4_000, ..SAYS });
    let direction = &path.finish().directions[0];
    assert_eq!((direction.bytes, direction.lost_to_capture), (4000, 0));
    assert_eq!(spans(direction), "0-100 Idle, 100-120 Sending 2000, 120-200 WindowFull 2000");
}

#[test]
fn the_ending_says_who_closed_and_why() {
    let mut path = Path::open();
    path.sends(100, 100, 10).acks(140, 100, 1);
    let reason = Some((3, &[0, 0, 0, 6][..]));
    path.send(200, A, FIN, Says { number: 101, acknowledged: 499, extension: reason, ..SAYS });
    let ending = path.finish().ending;
    assert_eq!((ending.by, ending.how, ending.close_reasons), (Some(A), EndedBy::Fin, [Some(6), None]));
    assert_eq!((ending.syns, ending.fins[0].unwrap().frame), (1, 5));

    let mut path = Path::open();
    path.send(200, B, RESET, Says { number: 500, acknowledged: 99, ..SAYS });
    let ending = path.finish().ending;
    assert_eq!((ending.by, ending.how), (Some(B), EndedBy::Reset));
}

proptest! {
    #[test]
    fn any_packets_are_measured(
        packets in vec(
            (
                any::<bool>(), 0usize..4, prop_oneof![4 => 90u16..130, 1 => any::<u16>()],
                prop_oneof![4 => 95u16..130, 1 => any::<u16>()], any::<(u32, u32)>(), 0u32..5000, 0usize..1400,
                -5i64..200,
            ),
            0..150,
        ),
    ) {
        let mut path = Path::open();
        let (mut now, mut latest) = (40, 40);
        for (from_a, kind, number, acknowledged, (clock, delay), window, bytes, passed) in packets {
            now += passed;
            latest = now.max(latest);
            let kind = [DATA, DATA, STATE, STATE][kind];
            let bytes = if kind == DATA { bytes } else { 0 };
            let extension = (number % 7 == 0).then_some((1, &[0b101, 1, 0, 0][..]));
            let says = Says { number, acknowledged, clock, delay, window, extension, bytes };
            path.send(now, if from_a { A } else { B }, kind, says);
        }
        let measured = path.finish();
        for direction in &measured.directions {
            let spans = &direction.spans;
            prop_assert_eq!((spans[0].from, spans[spans.len() - 1].to), (at(0), at(latest)));
            prop_assert!(spans.windows(2).all(|pair| pair[0].to == pair[1].from && pair[0].from < pair[0].to));
            prop_assert_eq!(spans.iter().map(|span| span.bytes).sum::<u64>(), direction.bytes);
            let retransmitted: u64 = spans.iter().map(|span| span.retransmitted).sum();
            prop_assert_eq!(retransmitted, direction.retransmitted_segments);
            let life = latest as f64 / 1e3;
            let seconds = TransportState::ALL.map(|state| direction.seconds_in(state));
            prop_assert!((seconds.iter().sum::<f64>() - life).abs() < 1e-9 * life.max(1.0));
        }
    }
}
