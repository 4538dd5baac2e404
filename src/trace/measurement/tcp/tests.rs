mod going_on;

use std::net::SocketAddr;

use bittrace_protocol::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::measurement::TcpMeasurements;
use crate::packet::link::Segment;
use crate::{
    CapturePlace, ConnectionAttempt, ConnectionMeasurement, Direction, DirectionMeasurement, EndedBy, Moment,
    Reassembler, StreamEvent, StreamId, StreamInterest, TransportState,
};

fn end(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 1000 + u16::from(number)))
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_nanos(100_000_000_000 + millis * 1_000_000)
}

/// A connection segment by segment, at given milliseconds.
struct Path {
    reassembler: Reassembler,
    measurements: TcpMeasurements,
    frame: u64,
    measured: Vec<Measured>,
}

/// A measurement, and when its connection opened and closed.
struct Measured {
    measurement: Option<ConnectionMeasurement>,
    opened: Timestamp,
    closed: Timestamp,
}

/// What a segment says beside its flags: numbers, window, options, payload.
#[derive(Clone, Copy)]
struct Says<'a> {
    seq: u32,
    ack: u32,
    bytes: usize,
    window: u16,
    options: &'a [u8],
}

const SAYS: Says<'_> = Says { seq: 0, ack: 0, bytes: 0, window: 10_000, options: &[] };

/// What a SYN has mostly: a maximum segment size of 1,000 and a window scale of 2.
const SYN_OPTIONS: [u8; 8] = [2, 4, 3, 0xe8, 1, 3, 3, 2];

impl Path {
    fn new() -> Self {
        Self {
            reassembler: Reassembler::noting(),
            measurements: TcpMeasurements::default(),
            frame: 0,
            measured: Vec::new(),
        }
    }

    fn segment(&mut self, at: Timestamp, from: Direction, flags: &str, says: Says<'_>) {
        let bytes = [7; 1_500];
        let (src, dst) = if from == A { (end(1), end(2)) } else { (end(2), end(1)) };
        let segment = Segment {
            src,
            dst,
            seq: says.seq,
            ack: flags.contains('A').then_some(says.ack),
            syn: flags.contains('S'),
            fin: flags.contains('F'),
            rst: flags.contains('R'),
            window: says.window,
            options: says.options,
            identification: None,
            payload: &bytes[..says.bytes],
            lost_tail: 0,
            outgoing: None,
        };
        self.frame += 1;
        let measured = &mut self.measured;
        let moment = Moment { at, frame: self.frame };
        self.reassembler.segment(moment, &segment, &mut |at, event| note(measured, at, event));
        self.measure();
    }

    /// Measures what was noted down.
    fn measure(&mut self) {
        let Some(notes) = self.reassembler.notes() else { return };
        self.measurements.take(notes);
        for (number, known) in (0..).zip(&mut self.measured) {
            if let Some(measurement) = self.measurements.of_closed(StreamId(number)) {
                assert_eq!(known.measurement.replace(*measurement), None);
            }
        }
    }

    /// The initiator says something.
    fn a(&mut self, millis: i64, flags: &str, says: Says<'_>) -> &mut Self {
        self.segment(at(millis), A, flags, says);
        self
    }

    /// The responder says something.
    fn b(&mut self, millis: i64, flags: &str, says: Says<'_>) -> &mut Self {
        self.segment(at(millis), B, flags, says);
        self
    }

    /// A connection that opened at 0 ms, captured at the initiator: 100 ms to the responder and back, `base` before the first
    /// bytes' numbers of both.
    fn open(base: u32) -> Self {
        let mut path = Self::new();
        path.a(0, "S", Says { seq: base.wrapping_sub(1), options: &SYN_OPTIONS, ..SAYS });
        let answer = Says { seq: base.wrapping_sub(1), ack: base, options: &SYN_OPTIONS, ..SAYS };
        path.b(100, "SA", answer);
        path.a(100, "A", Says { seq: base, ack: base, ..SAYS });
        path
    }

    /// The initiator sends bytes.
    fn sends(&mut self, millis: i64, seq: u32, bytes: usize) -> &mut Self {
        self.a(millis, "A", Says { seq, ack: 0, bytes, ..SAYS })
    }

    /// The responder acknowledges.
    fn acks(&mut self, millis: i64, ack: u32) -> &mut Self {
        self.b(millis, "A", Says { seq: 0, ack, ..SAYS })
    }

    /// What was measured; the capture ends.
    fn finish(mut self) -> ConnectionMeasurement {
        let measured = &mut self.measured;
        self.reassembler.finish(&mut |at, event| note(measured, at, event));
        self.measure();
        assert_eq!(self.measured.len(), 1);
        self.measured.remove(0).measurement.unwrap()
    }
}

fn note(measured: &mut Vec<Measured>, moment: Moment, event: StreamEvent<'_>) -> StreamInterest {
    match event {
        StreamEvent::Opened { stream, .. } => {
            assert_eq!(stream.0 as usize, measured.len());
            measured.push(Measured { measurement: None, opened: moment.at, closed: moment.at });
        }
        StreamEvent::Closed { stream, .. } => measured[stream.0 as usize].closed = moment.at,
        _ => {}
    }
    StreamInterest::Wanted
}

const A: Direction = Direction::FromInitiator;
const B: Direction = Direction::FromResponder;

/// The spans in milliseconds: `0-100 Idle, 100-200 Sending 50`, with bytes where there are any.
fn spans(direction: &DirectionMeasurement) -> String {
    let millis = |moment: Timestamp| (moment.as_nanos() - at(0).as_nanos()) / 1_000_000;
    let tell = |span: &crate::TransportSpan| {
        let bytes = if span.bytes > 0 { format!(" {}", span.bytes) } else { String::new() };
        format!("{}-{} {:?}{bytes}", millis(span.from), millis(span.to), span.state)
    };
    direction.spans.iter().map(tell).collect::<Vec<_>>().join(", ")
}

fn clock(own: u32, echo: u32) -> [u8; 12] {
    let mut options = [1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0];
    options[4..8].copy_from_slice(&own.to_be_bytes());
    options[8..].copy_from_slice(&echo.to_be_bytes());
    options
}

#[test]
fn the_handshake_tells_the_round_trip_and_where_the_capture_was_taken() {
    let mut path = Path::open(0);
    path.sends(300, 0, 50).acks(450, 50);
    let measured = path.finish();
    assert_eq!((measured.round_trip, measured.handshake_round_trip), (Some(0.1), Some(0.1)));
    assert_eq!(measured.half_round_trips, [Some(0.0), Some(0.1)]);
    assert_eq!(measured.taken_at, CapturePlace::Initiator);
    let times = measured.directions[0].acknowledged_after.unwrap();
    assert_eq!((times.samples, times.smallest, times.median, times.delayed), (1, 0.15, 0.15, 0));
    assert_eq!(spans(&measured.directions[0]), "0-300 Idle, 300-450 Sending 50");
}

#[test]
fn a_syn_that_was_sent_again_tells_no_round_trip() {
    let mut path = Path::new();
    path.a(0, "S", Says { seq: 9, ..SAYS }).a(1000, "S", Says { seq: 9, ..SAYS });
    path.b(1100, "SA", Says { seq: 9, ack: 10, ..SAYS }).a(1100, "A", Says { seq: 10, ack: 10, ..SAYS });
    let measured = path.finish();
    assert_eq!(measured.half_round_trips, [Some(0.0), None]);
    assert_eq!((measured.handshake_round_trip, measured.taken_at), (None, CapturePlace::Unknown));
    assert_eq!((measured.ending.syns, measured.ending.attempt), (2, ConnectionAttempt::Answered));
}

#[test]
fn windows_are_scaled_where_both_syns_say_so() {
    let window = |syn: &[u8], answer: &[u8]| {
        let mut path = Path::new();
        path.a(0, "S", Says { seq: 9, options: syn, ..SAYS });
        path.b(1, "SA", Says { seq: 9, ack: 10, options: answer, window: 60_000, ..SAYS });
        path.sends(2, 10, 1).b(3, "A", Says { seq: 10, ack: 11, window: 20, ..SAYS });
        path.b(4, "A", Says { seq: 10, ack: 11, window: 30, ..SAYS });
        path.finish().directions[0].window.map(|window| (window.smallest, window.last, window.scale))
    };
    assert_eq!(window(&SYN_OPTIONS, &SYN_OPTIONS), Some((80, 120, Some(2))));
    assert_eq!(window(&SYN_OPTIONS, &[]), Some((20, 30, Some(0))));
    assert_eq!(window(&[], &[]), Some((20, 30, Some(0))));
}

#[test]
fn in_a_capture_from_the_middle_the_scale_of_windows_is_unknown() {
    let mut path = Path::new();
    path.sends(0, 100, 1000).b(10, "A", Says { seq: 7, ack: 1100, window: 20, ..SAYS });
    path.sends(20, 1100, 1000).b(30, "A", Says { seq: 7, ack: 2100, window: 20, ..SAYS });
    let measured = path.finish();
    let direction = &measured.directions[0];
    assert_eq!(direction.window.unwrap().scale, None);
    assert_eq!(spans(direction), "0-10 Sending 1000, 10-20 Idle, 20-30 Sending 1000");
    assert_eq!(measured.ending.attempt, ConnectionAttempt::Unseen);
}

#[test]
fn a_loss_that_the_timer_finds_is_repaired_from_the_last_progress_on() {
    let mut path = Path::open(0);
    path.sends(200, 0, 1000).sends(200, 1000, 1000).acks(300, 1000);
    path.sends(700, 1000, 1000).acks(800, 2000).sends(900, 2000, 10).acks(1000, 2010);
    let measured = path.finish();
    let direction = &measured.directions[0];
    let expected = "0-200 Idle, 200-300 Sending 2000, 300-800 Recovering, 800-900 Idle, 900-1000 Sending 10";
    assert_eq!(spans(direction), expected);
    assert_eq!((direction.segments, direction.bytes), (4, 2010));
    assert_eq!((direction.retransmitted_segments, direction.retransmitted_bytes), (1, 1000));
    // Karn's rule: only the first and the last acknowledgement tell a time.
    assert_eq!(direction.acknowledged_after.unwrap().samples, 2);
    assert_eq!(direction.acknowledged_after.unwrap().largest, 0.1);
    assert_eq!(
        (direction.seconds_in(TransportState::Recovering), direction.spans[2].retransmitted),
        (0.5, 1)
    );
}

#[test]
fn three_duplicate_acknowledgements_tell_of_a_loss() {
    let mut path = Path::open(0);
    for number in 0..5 {
        path.sends(200, number * 1000, 1000);
    }
    path.acks(300, 1000).acks(301, 1000).acks(302, 1000).acks(303, 1000);
    path.sends(303, 1000, 1000).acks(403, 5000);
    let measured = path.finish();
    let direction = &measured.directions[0];
    assert_eq!(spans(direction), "0-200 Idle, 200-303 Sending 5000, 303-403 Recovering");
    assert_eq!((direction.duplicate_acknowledgements, direction.retransmitted_segments), (3, 1));
    assert_eq!(direction.acknowledged_after.unwrap().samples, 1, "what waited for the loss tells no time");
}

#[test]
fn a_new_window_is_no_duplicate_acknowledgement_unless_it_is_selective() {
    let duplicates = |options: &[u8]| {
        let mut path = Path::open(0);
        path.sends(200, 0, 1000).sends(200, 1000, 1000).acks(300, 1000);
        for window in [11_000, 12_000] {
            path.b(310, "A", Says { seq: 0, ack: 1000, window, options, ..SAYS });
        }
        path.finish().directions[0].duplicate_acknowledgements
    };
    assert_eq!(duplicates(&[]), 0);
    assert_eq!(duplicates(&[1, 1, 5, 10, 0, 0, 7, 208, 0, 0, 11, 184]), 2);
    // A block of what had come before: RFC 2883.
    assert_eq!(duplicates(&[1, 1, 5, 10, 0, 0, 0, 0, 0, 0, 3, 232]), 0);
}

#[test]
fn what_the_receiver_had_is_retransmitted_for_nothing() {
    let mut path = Path::open(0);
    path.sends(200, 0, 1000).acks(300, 1000).sends(400, 0, 1000);
    let measured = path.finish();
    let direction = &measured.directions[0];
    assert_eq!((direction.retransmitted_segments, direction.spurious_retransmissions), (1, 1));
    assert_eq!(
        (direction.bytes, spans(direction).as_str()),
        (1000, "0-200 Idle, 200-300 Sending 1000, 300-400 Idle")
    );
}

/// The retransmitted and the late segments, where a segment comes `millis` after the one that should follow it, both with
/// the sender's clocks.
fn late(millis: i64, clocks: Option<(u32, u32)>) -> (u64, u64) {
    let mut path = Path::open(0);
    let options = |own: Option<u32>| own.map(|own| clock(own, 0)).map_or(Vec::new(), Vec::from);
    let (first, second) = clocks.unzip();
    path.a(200, "A", Says { seq: 1000, bytes: 1000, options: &options(first), ..SAYS });
    path.a(200 + millis, "A", Says { seq: 0, bytes: 1000, options: &options(second), ..SAYS });
    path.acks(400, 2000);
    let measured = path.finish();
    assert_eq!((measured.directions[0].bytes, measured.directions[0].lost_to_capture), (2000, 0));
    (measured.directions[0].retransmitted_segments, measured.directions[0].out_of_order_segments)
}

#[test]
fn a_late_segment_is_out_of_order_and_one_after_a_round_trip_was_sent_again() {
    assert_eq!(late(1, None), (0, 1));
    assert_eq!(late(79, None), (0, 1));
    assert_eq!(late(100, None), (1, 0));
}

#[test]
fn the_clock_of_the_sender_tells_late_segments_from_retransmitted_ones() {
    assert_eq!(late(150, Some((500, 499))), (0, 1));
    assert_eq!(late(1, Some((500, 501))), (1, 0));
    assert_eq!(late(1, Some((500, 500))), (0, 1));
    assert_eq!(late(1, Some((u32::MAX, 0))), (1, 0));
}

#[test]
fn what_is_acknowledged_and_not_captured_is_lost_to_the_capture() {
    let mut path = Path::open(0);
    path.sends(200, 0, 1000).sends(210, 2000, 1000).acks(300, 3000);
    path.sends(400, 3000, 1000).acks(500, 5000);
    let measured = path.finish();
    let direction = &measured.directions[0];
    assert_eq!((direction.bytes, direction.lost_to_capture), (3000, 2000));
    assert_eq!(direction.retransmitted_segments, 0);
    let expected = "0-200 Idle, 200-210 Unseen, 210-300 Sending 2000, 300-400 Idle, 400-500 Unseen 1000";
    assert_eq!(spans(direction), expected);
}

#[test]
fn an_empty_segment_shows_that_bytes_were_sent_before_it() {
    // At the receiver, the last segment is lost on its way; the sender's timer finds it. Each acknowledgement takes 100 to the
    // sender.
    let mut path = Path::open(0);
    path.b(200, "A", Says { seq: 0, bytes: 1000, ..SAYS }).a(200, "A", Says { ack: 1000, ..SAYS });
    path.b(210, "A", Says { seq: 2000, ..SAYS }).b(700, "A", Says { seq: 1000, bytes: 1000, ..SAYS });
    path.a(700, "A", Says { ack: 2000, ..SAYS }).b(900, "A", Says { seq: 2000, ..SAYS });
    let measured = path.finish();
    let direction = &measured.directions[1];
    assert_eq!((direction.retransmitted_segments, direction.bytes, direction.lost_to_capture), (1, 2000, 0));
    assert_eq!(spans(direction), "0-200 Idle, 200-300 Sending 1000, 300-800 Recovering 1000, 800-900 Idle");
}

#[test]
fn what_comes_after_its_acknowledgement_is_only_late_in_the_capture() {
    let mut path = Path::open(0);
    path.sends(200, 0, 1000).acks(300, 2000).sends(300, 1000, 1000).sends(301, 2000, 10).acks(400, 2010);
    let measured = path.finish();
    let direction = &measured.directions[0];
    assert_eq!((direction.bytes, direction.lost_to_capture), (2010, 0));
    assert_eq!((direction.out_of_order_segments, direction.retransmitted_segments), (1, 0));
    assert_eq!(measured.ending.unacknowledged, [0, 0]);
}

#[test]
fn a_window_is_full_when_two_segments_fill_it() {
    let mut path = Path::open(0);
    // 1,250 units of 4 bytes: 5,000 bytes.
    path.b(150, "A", Says { ack: 0, window: 1_250, ..SAYS });
    path.sends(200, 0, 1000).sends(210, 1000, 1000).sends(220, 2000, 1000).sends(230, 3000, 1000);
    path.b(300, "A", Says { ack: 4000, window: 1_250, ..SAYS });
    let measured = path.finish();
    let direction = &measured.directions[0];
    assert_eq!(spans(direction), "0-200 Idle, 200-230 Sending 3000, 230-300 WindowFull 1000");
    assert_eq!((direction.largest_in_flight, direction.largest_segment), (4000, 1000));
}

#[test]
fn at_the_receiver_an_acknowledgement_counts_when_it_has_reached_the_sender() {
    // The responder sends, 100 ms away. Each window of 2,000 bytes takes a round trip, though the initiator acknowledges at
    // once.
    let mut path = Path::open(0);
    for round in 0..3u32 {
        let millis = 200 + 100 * i64::from(round);
        for part in 0..2 {
            let seq = round * 2000 + part * 1000;
            path.b(millis, "A", Says { seq, bytes: 1000, ..SAYS });
            path.a(millis, "A", Says { ack: seq + 1000, window: 500, ..SAYS });
        }
    }
    path.b(900, "A", Says { seq: 6000, ..SAYS });
    let measured = path.finish();
    let direction = &measured.directions[1];
    let expected = "0-200 Idle, 200-300 Sending 3000, 300-500 WindowFull 3000, 500-900 Idle";
    assert_eq!(spans(direction), expected);
    assert_eq!(direction.largest_in_flight, 2000);
}

#[test]
fn a_closed_window_is_counted_and_probes_are_no_retransmissions() {
    let mut path = Path::open(0);
    path.sends(200, 0, 1000).b(300, "A", Says { ack: 1000, window: 0, ..SAYS });
    // A probe of a byte, one of none, and a keep-alive once the window is open again.
    path.sends(500, 1000, 1).b(600, "A", Says { ack: 1000, window: 0, ..SAYS });
    path.a(700, "A", Says { seq: 999, ..SAYS }).acks(1300, 1000);
    path.sends(1400, 1000, 1000).acks(1500, 2000).sends(1600, 1999, 1).acks(1700, 2000);
    let measured = path.finish();
    let direction = &measured.directions[0];
    assert_eq!((direction.zero_window_seconds, direction.probes), (1.0, 3));
    assert_eq!((direction.bytes, direction.retransmitted_segments), (2000, 0));
    let expected = "0-200 Idle, 200-300 Sending 1000, 300-1300 WindowFull, 1300-1400 Idle, 1400-1500 Sending 1000, \
                    1500-1700 Idle";
    assert_eq!(spans(direction), expected);
}

#[test]
fn an_acknowledgement_that_was_delayed_is_not_the_path() {
    let mut path = Path::open(0);
    path.sends(200, 0, 50).acks(340, 50);
    let measured = path.finish();
    let times = measured.directions[0].acknowledged_after.unwrap();
    assert_eq!((times.samples, times.smallest, times.delayed), (1, 0.14, 0), "nothing to compare with");
    assert_eq!(measured.round_trip, Some(0.1));

    let mut path = Path::open(0);
    path.sends(200, 0, 50).acks(300, 50).sends(400, 50, 50).acks(540, 100);
    let times = path.finish().directions[0].acknowledged_after.unwrap();
    assert_eq!((times.samples, times.smallest, times.delayed), (2, 0.1, 1));
}

#[test]
fn time_stamps_tell_the_way_to_an_end_that_acknowledges_nothing() {
    // A capture from the middle, taken at the receiver: only the responder sends.
    let mut path = Path::new();
    path.b(0, "A", Says { seq: 0, bytes: 1000, options: &clock(500, 70), ..SAYS });
    path.a(0, "A", Says { ack: 1000, options: &clock(80, 500), ..SAYS });
    path.b(60, "A", Says { seq: 1000, bytes: 1000, options: &clock(560, 80), ..SAYS });
    path.a(60, "A", Says { ack: 2000, options: &clock(140, 560), ..SAYS });
    // Not the first packet of this clock: it may be older.
    path.a(61, "A", Says { ack: 2000, options: &clock(140, 560), ..SAYS });
    path.b(121, "A", Says { seq: 2000, bytes: 1000, options: &clock(621, 140), ..SAYS });
    let measured = path.finish();
    // The first end that was heard counts as the initiator.
    assert_eq!(measured.half_round_trips, [Some(0.06), Some(0.0)]);
    assert_eq!(measured.taken_at, CapturePlace::Responder);
}

#[test]
fn a_queue_before_the_capture_shows_in_time_stamps() {
    let mut path = Path::open(0);
    for (millis, own) in [(200, 1000), (210, 1010), (270, 1020), (320, 1070), (1330, 2130)] {
        let seq = (own - 1000) * 10;
        path.b(millis, "A", Says { seq, bytes: 10, options: &clock(own, 0), ..SAYS });
    }
    let queueing = path.finish().directions[1].queueing.unwrap();
    assert_eq!((queueing.samples, queueing.largest), (5, 0.049));
}

#[test]
fn segments_larger_than_the_syn_allows_were_put_together() {
    let offloaded = |bytes| {
        let mut path = Path::open(0);
        path.sends(200, 0, bytes);
        path.finish().offloaded
    };
    assert!(!offloaded(1000));
    assert!(offloaded(1001));
}

#[test]
fn the_ending_says_who_closed_and_how() {
    let mut path = Path::open(0);
    path.b(200, "FA", SAYS).a(250, "FA", Says { seq: 0, ack: 1, ..SAYS }).b(
        300,
        "A",
        Says { seq: 1, ack: 1, ..SAYS },
    );
    let ending = path.finish().ending;
    assert_eq!((ending.by, ending.how), (Some(B), EndedBy::Fin));
    assert_eq!(
        ending.fins.map(|fin| fin.map(|fin| (fin.frame, fin.at))),
        [Some((5, at(250))), Some((4, at(200)))]
    );

    let mut path = Path::open(0);
    path.sends(150, 0, 100).b(200, "FA", SAYS).a(250, "R", Says { seq: 100, ..SAYS });
    let ending = path.finish().ending;
    assert_eq!((ending.by, ending.how), (Some(A), EndedBy::Reset));
    assert_eq!((ending.reset.unwrap().frame, ending.unacknowledged), (6, [100, 0]));

    let mut path = Path::open(0);
    path.sends(150, 0, 100);
    let ending = path.finish().ending;
    assert_eq!((ending.by, ending.how), (None, EndedBy::Silence));
    assert_eq!(ending.last.map(|last| last.map(|last| last.frame)), [Some(4), Some(2)]);
}

#[test]
fn the_ending_says_what_became_of_the_attempt() {
    let mut path = Path::new();
    path.a(0, "S", SAYS).a(1000, "S", SAYS).a(3000, "S", SAYS);
    let measured = path.finish();
    assert_eq!((measured.ending.attempt, measured.ending.syns), (ConnectionAttempt::Unanswered, 3));
    assert_eq!(spans(&measured.directions[0]), "0-3000 Idle");

    let mut path = Path::new();
    path.a(0, "S", SAYS).b(1, "RA", Says { ack: 1, ..SAYS });
    let ending = path.finish().ending;
    assert_eq!(
        (ending.attempt, ending.by, ending.how),
        (ConnectionAttempt::Refused, Some(B), EndedBy::Reset)
    );
}

#[test]
fn of_one_direction_alone_nothing_can_be_said() {
    let mut path = Path::new();
    path.sends(0, 0, 1000).sends(10, 1000, 1000).sends(500, 2000, 1000);
    let measured = path.finish();
    assert_eq!(spans(&measured.directions[0]), "0-500 Unseen 3000");
    assert_eq!(spans(&measured.directions[1]), "0-500 Unseen");
    assert_eq!(measured.directions[0].seconds_in(TransportState::Unseen), 0.5);
}

#[test]
fn numbers_wrap() {
    let base = u32::MAX - 1500;
    let mut path = Path::open(base);
    for number in 0..4u32 {
        path.sends(200, base.wrapping_add(number * 1000), 1000);
    }
    path.b(300, "A", Says { seq: base, ack: base.wrapping_add(4000), ..SAYS });
    path.sends(400, base.wrapping_add(3000), 1000);
    let measured = path.finish();
    let direction = &measured.directions[0];
    assert_eq!(
        (direction.bytes, direction.lost_to_capture, direction.spurious_retransmissions),
        (4000, 0, 1)
    );
    assert_eq!(spans(direction), "0-200 Idle, 200-300 Sending 4000, 300-400 Idle");
}

#[test]
fn times_that_run_backwards_stand_still() {
    let mut path = Path::open(0);
    path.sends(200, 0, 1000).acks(50, 1000).sends(10, 1000, 1000).acks(300, 2000);
    let measured = path.finish();
    assert_eq!(spans(&measured.directions[0]), "0-200 Idle 1000, 200-300 Sending 1000");
    assert_eq!(measured.directions[0].acknowledged_after.unwrap().smallest, 0.0);
}

#[test]
fn absurd_times_and_numbers_are_taken_calmly() {
    let mut path = Path::open(0);
    for (nanos, seq) in [(i64::MAX, 0), (i64::MIN, 5_000), (0, u32::MAX), (i64::MAX, 1 << 31), (i64::MIN, 0)]
    {
        let says = Says { seq, ack: seq, bytes: 1_000, ..SAYS };
        path.segment(Timestamp::from_nanos(nanos), A, "A", says);
        path.segment(Timestamp::from_nanos(nanos), B, "A", says);
    }
    assert_eq!(path.finish().directions[0].spans.last().unwrap().to, Timestamp::from_nanos(i64::MAX));
}

#[test]
fn who_does_not_ask_gets_no_measurement() {
    let mut path = Path::new();
    path.reassembler = Reassembler::new();
    path.sends(0, 0, 1000).acks(1, 1000);
    path.reassembler.finish(&mut |_, _| StreamInterest::Wanted);
    path.measure();
    assert!(path.reassembler.notes().is_none());
    assert_eq!(path.measured[0].measurement, None);
}

/// What holds of any measurement: spans tile the connection's life, and nothing is counted twice.
fn check(measured: &Measured, latest: Timestamp) {
    let measurement = measured.measurement.as_ref().expect("each connection is measured");
    for direction in &measurement.directions {
        let spans = &direction.spans;
        let (first, last) = (spans[0].from, spans[spans.len() - 1].to);
        assert!(first == measured.opened && last >= measured.closed && last <= latest, "{first:?} {last:?}");
        assert!(spans.windows(2).all(|pair| pair[0].to == pair[1].from && pair[0].from < pair[0].to));
        assert_eq!(spans.iter().map(|span| span.bytes).sum::<u64>(), direction.bytes);
        let retransmitted: u64 = spans.iter().map(|span| span.retransmitted).sum();
        assert_eq!(retransmitted, direction.retransmitted_segments);
        let life = last.seconds_since(first);
        assert!((direction.seconds.iter().sum::<f64>() - life).abs() < 1e-6 * life.max(1.0));
        if let Some(times) = direction.acknowledged_after {
            assert!(
                times.smallest <= times.median && times.median <= times.p95 && times.p95 <= times.largest
            );
        }
    }
}

proptest! {
    #[test]
    fn any_segments_are_measured(
        segments in vec(
            (
                any::<bool>(), prop_oneof![3 => 0u32..4000, 1 => any::<u32>()],
                prop_oneof![3 => 0u32..4000, 1 => any::<u32>()], 0u8..64, 0usize..1500, any::<u16>(),
                prop_oneof![9 => -5i64..50, 1 => any::<i32>().prop_map(i64::from)], 0u32..40,
            ),
            1..150,
        ),
        base in any::<u32>(), opens in any::<bool>(),
    ) {
        let mut path = if opens { Path::open(base) } else { Path::new() };
        let (mut now, mut latest) = (at(200), at(200));
        for (index, (from_a, seq, ack, flags, bytes, window, passed, own)) in segments.into_iter().enumerate() {
            if index > 0 {
                now = Timestamp::from_nanos(now.as_nanos().saturating_add(passed.saturating_mul(1_000_000)));
            }
            latest = latest.max(now);
            let text = match flags {
                63 => "FA",
                62 => "RA",
                61 => "SA",
                _ if flags & 7 == 0 => "",
                _ => "A",
            };
            let options = clock(own, ack);
            let options = if flags & 8 != 0 { &options[..] } else { &[] };
            let window = if flags & 16 != 0 { window } else { 0 };
            let bytes = if flags & 32 != 0 { bytes } else { 0 };
            let (seq, ack) = (base.wrapping_add(seq), base.wrapping_add(ack));
            path.segment(now, if from_a { A } else { B }, text, Says { seq, ack, bytes, window, options });
        }
        let measured = &mut path.measured;
        path.reassembler.finish(&mut |at, event| note(measured, at, event));
        path.measure();
        for measured in &path.measured {
            check(measured, latest);
        }
    }
}
