//! Conversations in raw bytes whose cause is known, and what the diagnosis must say of them.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::Direction::{FromInitiator as A, FromResponder as B};
use crate::expert::Annotator;
use crate::measurement::{
    ConnectionAttempt, ConnectionEnding, DirectionMeasurement, EndedBy, OfferedWindow, QueueingDelay,
    RoundTrips, TransportSpan, TransportState,
};
use crate::{Dissector, Flow, Moment, StreamEvent, TraceOptions};

const STREAM: StreamId = StreamId(0);
const BLOCK: u32 = 16_384;

/// A download by the initiator 10.0.0.3 from the responder 10.0.0.2, told message by message.
struct Told {
    dissector: Dissector,
    annotator: Annotator,
    diagnosis: Diagnosis,
    frame: u64,
    measured: Option<ConnectionMeasurement>,
    /// The next blocks that are requested and sent, counted from 0.
    requested: u32,
    sent: u32,
}

fn at(seconds: f64) -> Timestamp {
    Timestamp::EPOCH + Duration::from_secs_f64(seconds)
}

fn message(id: u8, payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32 + 1).to_be_bytes()[..], &[id], payload].concat()
}

fn numbers(id: u8, numbers: &[u32]) -> Vec<u8> {
    message(id, &numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>())
}

const CHOKE: u8 = 0;
const UNCHOKE: u8 = 1;
const INTERESTED: u8 = 2;
const NOT_INTERESTED: u8 = 3;
const HAVE: u8 = 4;
const BITFIELD: u8 = 5;

impl Told {
    fn new() -> Self {
        let mut told = Self {
            dissector: Dissector::new(),
            annotator: Annotator::new(TraceOptions::default()),
            diagnosis: Diagnosis::new(&[]),
            frame: 0,
            measured: None,
            requested: 0,
            sent: 0,
        };
        let flow = Flow {
            initiator: "10.0.0.3:40000".parse().unwrap(),
            responder: "10.0.0.2:6881".parse().unwrap(),
        };
        let opening = StreamOpening::Syn;
        told.event(0.0, StreamEvent::Opened { stream: STREAM, flow, opening });
        told
    }

    /// A connection that is unchoked and interested at 1 s, and whose transport was measured: a round trip of 100 ms, the capture
    /// taken at the downloader.
    fn ready() -> Self {
        let mut told = Self::new();
        told.shake_hands();
        told.says(0.2, B, &message(BITFIELD, &[0xff, 0xff]));
        told.says(0.3, A, &message(INTERESTED, &[]));
        told.says(1.0, B, &message(UNCHOKE, &[]));
        told.measured = Some(measurement());
        told
    }

    fn shake_hands(&mut self) {
        for (direction, peer) in [(A, 3), (B, 2)] {
            let mut bytes = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".to_vec();
            bytes.extend([7; 20]);
            bytes.extend([peer; 20]);
            self.says(0.1, direction, &bytes);
        }
    }

    fn event(&mut self, seconds: f64, event: StreamEvent<'_>) {
        self.frame += 1;
        let moment = Moment { at: at(seconds), frame: self.frame };
        let Self { annotator, diagnosis, measured, .. } = self;
        self.dissector.handle(moment, event, &mut |dissected| {
            let mut dissected = dissected;
            annotator.annotate(&mut dissected);
            if let Dissected::Connection(end) = &mut dissected {
                end.measured = measured.take().map(Box::new);
            }
            diagnosis.add(&dissected);
        });
    }

    fn says(&mut self, seconds: f64, direction: Direction, bytes: &[u8]) {
        self.event(seconds, StreamEvent::Burst { stream: STREAM, direction, bytes });
    }

    fn request(&mut self, seconds: f64) {
        self.says(seconds, A, &numbers(6, &[self.requested, 0, BLOCK]));
        self.requested += 1;
    }

    fn block(&mut self, seconds: f64) {
        let mut payload = [self.sent, 0].iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>();
        payload.resize(8 + BLOCK as usize, 0);
        self.says(seconds, B, &message(7, &payload));
        self.sent += 1;
    }

    /// The responder closes.
    fn closes(mut self, seconds: f64) -> RunDiagnosis {
        let closing = StreamClosing::Finished;
        if let Some(measured) = &mut self.measured {
            for direction in &mut measured.directions {
                if direction.spans.is_empty() {
                    direction.spans.push(span(0.0, seconds, TransportState::Sending));
                }
            }
            measured.ending.fins[1] = Some(Moment { at: at(seconds), frame: self.frame + 1 });
        }
        self.event(seconds, StreamEvent::Closed { stream: STREAM, closing });
        self.diagnosis.finish()
    }

    fn transport(&mut self) -> &mut DirectionMeasurement {
        &mut self.measured.as_mut().unwrap().directions[1]
    }
}

fn span(from: f64, to: f64, state: TransportState) -> TransportSpan {
    TransportSpan { from: at(from), to: at(to), state, bytes: 0, retransmitted: 0 }
}

/// A round trip of 100 ms, all of it between the capture and the responder.
fn measurement() -> ConnectionMeasurement {
    ConnectionMeasurement {
        round_trip: Some(0.1),
        half_round_trips: [Some(0.0), Some(0.1)],
        handshake_round_trip: Some(0.1),
        taken_at: CapturePlace::Initiator,
        offloaded: false,
        directions: [DirectionMeasurement::default(), DirectionMeasurement::default()],
        ending: ConnectionEnding {
            attempt: ConnectionAttempt::Answered,
            syns: 1,
            by: Some(B),
            how: EndedBy::Fin,
            fins: [None, None],
            reset: None,
            last: [None, None],
            unacknowledged: [0, 0],
            close_reasons: [None, None],
        },
    }
}

fn trips(smallest: f64, median: f64) -> Option<RoundTrips> {
    Some(RoundTrips { samples: 100, smallest, median, p95: median, largest: median, delayed: 0 })
}

fn seconds(run: &RunDiagnosis, cause: DelayCause) -> f64 {
    run.connections[0].from(B).totals.seconds(cause)
}

/// Whether a cause has about so many seconds.
fn has(run: &RunDiagnosis, cause: DelayCause, wanted: f64) {
    let found = seconds(run, cause);
    assert!((found - wanted).abs() < 0.11, "{} {found}, wanted {wanted}", cause.name());
}

fn first(run: &RunDiagnosis) -> String {
    first_sentences(run).remove(0).text
}

#[test]
fn the_start_ends_with_the_handshakes_and_what_follows_is_choked() {
    let mut told = Told::ready();
    told.request(1.0);
    told.block(1.2);
    let run = told.closes(1.3);
    has(&run, DelayCause::Connecting, 0.1);
    has(&run, DelayCause::NothingWanted, 0.2);
    has(&run, DelayCause::Choked, 0.7);
    let first = run.first_byte.unwrap();
    let parts = first.tracker
        + first.dialling
        + first.connecting
        + first.handshake
        + first.unchoke
        + first.request
        + first.transfer;
    assert!((parts - first.total).abs() < 1e-9 && (first.total - 1.2).abs() < 1e-9, "{first:?}");
    assert!((first.unchoke - 0.9).abs() < 1e-9, "{first:?}");
}

#[test]
fn a_choke_in_the_middle_counts_until_the_next_unchoke() {
    let mut told = Told::ready();
    told.request(1.0);
    told.block(1.2);
    told.request(1.2);
    told.says(2.0, B, &message(CHOKE, &[]));
    told.says(9.0, B, &message(UNCHOKE, &[]));
    told.sent += 1;
    told.request(9.0);
    told.block(9.2);
    let run = told.closes(9.2);
    has(&run, DelayCause::Choked, 7.7);
    assert_eq!(run.connections[0].from(B).facts.requests_lost, 1);
    assert_eq!((run.stalls.len(), run.stalls[0].cause), (1, DelayCause::Choked));
    assert!(first(&run).contains("interested and choked"), "{}", first(&run));
}

#[test]
fn a_downloader_that_is_not_interested_has_nothing_to_ask_for() {
    let mut told = Told::new();
    told.shake_hands();
    told.says(0.2, B, &message(BITFIELD, &[0xf0, 0]));
    told.says(0.2, A, &message(BITFIELD, &[0xf0, 0]));
    told.says(0.3, A, &message(NOT_INTERESTED, &[]));
    let run = told.closes(12.0);
    has(&run, DelayCause::NothingWanted, 11.9);
    assert!(
        first(&run).contains("told of 4 pieces, and the downloader was never interested"),
        "{}",
        first(&run)
    );
}

#[test]
fn a_seed_that_names_pieces_one_by_one_super_seeds() {
    let mut told = Told::new();
    told.shake_hands();
    told.says(0.2, B, &message(BITFIELD, &[0, 0]));
    for piece in 0..3_u32 {
        let begins = 10.0 * f64::from(piece + 1);
        told.says(begins, B, &numbers(HAVE, &[piece]));
        told.says(begins, A, &message(INTERESTED, &[]));
        told.says(begins, B, &message(UNCHOKE, &[]));
        told.request(begins);
        told.block(begins + 0.1);
        told.says(begins + 0.1, A, &message(NOT_INTERESTED, &[]));
    }
    let run = told.closes(30.2);
    has(&run, DelayCause::NothingWanted, 29.8);
    assert!(first(&run).contains("super-seeds (BEP 16)"), "{}", first(&run));
}

#[test]
fn interest_that_comes_late_is_the_downloaders_own_idleness() {
    let mut told = Told::new();
    told.shake_hands();
    told.says(0.2, B, &message(BITFIELD, &[0xff, 0xff]));
    told.says(0.2, B, &message(UNCHOKE, &[]));
    told.says(10.2, A, &message(INTERESTED, &[]));
    told.request(10.2);
    told.block(10.3);
    let run = told.closes(10.3);
    has(&run, DelayCause::NotAsked, 10.0);
    assert!(first(&run).contains("said interested 10.00 s after"), "{}", first(&run));
}

#[test]
fn nothing_asked_is_not_the_same_as_asked_too_little() {
    let mut told = Told::ready();
    for round in 0..5 {
        told.request(1.0 + f64::from(round) * 5.0);
        told.block(1.1 + f64::from(round) * 5.0);
    }
    let run = told.closes(21.1);
    has(&run, DelayCause::NotAsked, 19.6);
    has(&run, DelayCause::AskedTooLittle, 0.5);
    assert!(first(&run).contains("no request outstanding"), "{}", first(&run));
}

#[test]
fn one_request_at_a_time_over_a_round_trip_is_too_little() {
    let mut told = Told::ready();
    for round in 0..50 {
        told.request(1.0 + f64::from(round) * 0.11);
        told.block(1.0 + f64::from(round) * 0.11 + 0.105);
    }
    let run = told.closes(6.5);
    // A block takes 5 ms more than the round trip; that is as fast as the path lets it.
    has(&run, DelayCause::AskedTooLittle, 5.5);
    has(&run, DelayCause::FarPace, 0.0);
    let budget = run.connections[0].from(B);
    assert_eq!((budget.facts.median_depth(), budget.facts.deepest), (Some(1), 1));
    // The peer never had enough requests to show how fast it can be.
    assert_eq!(budget.depth_needed(), None);
    assert!(first(&run).contains("never more than 1 request with"), "{}", first(&run));
}

#[test]
fn the_same_capture_at_the_peer_shows_the_same() {
    let mut told = Told::ready();
    let measured = told.measured.as_mut().unwrap();
    (measured.half_round_trips, measured.taken_at) = ([Some(0.1), Some(0.0)], CapturePlace::Responder);
    for round in 0..50 {
        told.request(1.0 + f64::from(round) * 0.11);
        told.block(1.0 + f64::from(round) * 0.11 + 0.005);
    }
    let run = told.closes(6.5);
    has(&run, DelayCause::AskedTooLittle, 5.4);
}

#[test]
fn a_peer_that_sends_all_that_was_asked_twice_a_second_was_asked_too_little() {
    let mut told = Told::ready();
    let measured = told.measured.as_mut().unwrap();
    (measured.round_trip, measured.half_round_trips) = (Some(0.0001), [Some(0.0), Some(0.0001)]);
    for _ in 0..4 {
        told.request(1.0);
    }
    for round in 1..=10 {
        for _ in 0..4 {
            told.block(1.0 + f64::from(round) * 0.5);
            told.request(1.0 + f64::from(round) * 0.5);
        }
    }
    let run = told.closes(6.1);
    has(&run, DelayCause::AskedTooLittle, 4.5);
    assert!(first(&run).contains("answered all of them together"), "{}", first(&run));
}

#[test]
fn a_request_that_no_peer_may_answer_is_not_waited_for() {
    let mut told = Told::ready();
    let info =
        b"d6:lengthi32768e4:name1:x12:piece lengthi16384e6:pieces40:".iter().chain(&[0; 40]).chain(b"e");
    let info: Vec<u8> = info.copied().collect();
    let mut torrent = Metainfo::decode_info(&info).unwrap();
    torrent.info_hash = InfoHash([7; 20]);
    let options = TraceOptions { torrents: vec![Arc::new(torrent)], ..TraceOptions::default() };
    told.annotator = Annotator::new(options);
    told.request(1.0);
    told.block(1.2);
    // Piece 9 of two.
    told.requested = 9;
    told.request(1.2);
    let run = told.closes(9.0);
    has(&run, DelayCause::NotAsked, 7.8);
    has(&run, DelayCause::FarPace, 0.0);
}

/// Five requests outstanding all the time, and a block each 100 ms: 160 KiB/s.
fn limited(told: &mut Told, until: f64) {
    for _ in 0..5 {
        told.request(1.0);
    }
    let mut now = 1.1;
    while now < until {
        told.block(now);
        told.request(now);
        now += 0.1;
    }
}

#[test]
fn a_constant_rate_with_an_idle_transport_is_the_peers_limit() {
    let mut told = Told::ready();
    limited(&mut told, 11.0);
    let transport = told.transport();
    transport.seconds[TransportState::Idle as usize] = 9.0;
    transport.seconds[TransportState::Sending as usize] = 1.0;
    transport.spans = vec![span(0.0, 11.0, TransportState::Idle)];
    let run = told.closes(11.0);
    has(&run, DelayCause::FarPace, 9.9);
    let steady = run.connections[0].from(B).steady.unwrap();
    assert!((steady.rate / 1024.0 - 160.0).abs() < 10.0, "{steady:?}");
    assert!(first(&run).contains("steady"), "{}", first(&run));
}

#[test]
fn a_queue_in_the_path_is_a_full_link() {
    let mut told = Told::ready();
    limited(&mut told, 11.0);
    told.transport().acknowledged_after = trips(0.001, 0.09);
    let run = told.closes(11.0);
    has(&run, DelayCause::Network, 9.9);
    assert!(first(&run).contains("a full link of about 1.3 Mbit/s"), "{}", first(&run));
}

#[test]
fn losses_are_the_networks() {
    let mut told = Told::ready();
    limited(&mut told, 11.0);
    let transport = told.transport();
    (transport.segments, transport.retransmitted_segments) = (1_000, 20);
    transport.spans =
        vec![span(0.0, 5.0, TransportState::Recovering), span(5.0, 11.0, TransportState::Sending)];
    let run = told.closes(11.0);
    has(&run, DelayCause::Network, 9.9);
    assert!(first(&run).contains("20 of 1,000 segments (2 %) were retransmitted"), "{}", first(&run));
}

#[test]
fn the_delay_target_of_utp_is_the_networks() {
    let mut told = Told::ready();
    limited(&mut told, 11.0);
    let transport = told.transport();
    transport.spans = vec![span(0.0, 11.0, TransportState::DelayTarget)];
    transport.seconds[TransportState::DelayTarget as usize] = 11.0;
    transport.queueing = Some(QueueingDelay { samples: 100, median: 0.103, p95: 0.2, largest: 0.2 });
    let run = told.closes(11.0);
    has(&run, DelayCause::Network, 9.9);
    assert!(first(&run).contains("uTP gives way at 100 ms (BEP 29)"), "{}", first(&run));
}

#[test]
fn a_full_window_is_the_receivers() {
    let mut told = Told::ready();
    limited(&mut told, 11.0);
    let transport = told.transport();
    transport.spans = vec![span(0.0, 11.0, TransportState::WindowFull)];
    transport.window = Some(OfferedWindow { smallest: 1_536, largest: 8_832, last: 8_832, scale: Some(0) });
    let run = told.closes(11.0);
    has(&run, DelayCause::Receiver, 9.9);
    let text = first(&run);
    assert!(text.contains("window of 8,832 bytes at most on a round trip of 100 ms"), "{text}");
}

#[test]
fn what_the_capture_lost_is_said_as_such() {
    let mut told = Told::ready();
    limited(&mut told, 4.0);
    told.transport().spans =
        vec![span(0.0, 2.0, TransportState::Idle), span(2.0, 4.0, TransportState::Unseen)];
    told.transport().lost_to_capture = 40_000;
    let run = told.closes(4.0);
    has(&run, DelayCause::Unknown, 2.0);
    let sentences = first_sentences(&run);
    assert!(
        sentences.iter().any(|sentence| sentence.text.contains("the capture lost 39 KiB of it")),
        "{sentences:?}"
    );
}

#[test]
fn a_peer_that_falls_silent_with_requests_at_hand_sent_no_block() {
    let mut told = Told::ready();
    limited(&mut told, 3.0);
    told.transport().spans = vec![span(0.0, 20.0, TransportState::Idle)];
    told.transport().seconds[TransportState::Idle as usize] = 20.0;
    for _ in 0..4 {
        told.block(15.0);
    }
    let run = told.closes(15.0);
    has(&run, DelayCause::FarPace, 13.9);
    assert_eq!(run.stalls.len(), 1);
    assert!(first(&run).contains("it sent no block at all"), "{}", first(&run));
}

#[test]
fn who_closed_after_which_broken_rule_is_named() {
    let mut told = Told::ready();
    told.request(1.0);
    told.block(1.2);
    told.says(1.3, B, &message(CHOKE, &[]));
    // The second request comes long after the choke.
    told.request(8.0);
    let run = told.closes(8.002);
    let ending = &run.connections[0].ending;
    assert_eq!((ending.by, ending.how), (Some(B), EndedHow::Fin));
    let offence = ending.offence.as_ref().unwrap();
    assert_eq!((offence.rule, offence.said.message), ("bep3.request-while-choked", "request"));
    let text = end_text(&run.connections[0]);
    assert!(text.contains("with FIN, 2.0 ms after a request from the other end that breaks"), "{text}");
}

#[test]
fn a_connection_from_the_middle_is_unseen_until_its_messages_show_how_things_stand() {
    let mut told = Told {
        dissector: Dissector::new(),
        annotator: Annotator::new(TraceOptions::default()),
        diagnosis: Diagnosis::new(&[]),
        frame: 0,
        measured: None,
        requested: 0,
        sent: 0,
    };
    let flow =
        Flow { initiator: "10.0.0.3:40000".parse().unwrap(), responder: "10.0.0.2:6881".parse().unwrap() };
    told.event(0.0, StreamEvent::Opened { stream: STREAM, flow, opening: StreamOpening::MidStream });
    for _ in 0..20 {
        told.request(5.0);
    }
    for round in 0..20 {
        told.block(5.1 + f64::from(round) * 0.1);
    }
    let run = told.closes(7.2);
    has(&run, DelayCause::Unknown, 5.0);
    has(&run, DelayCause::FarPace, 1.9);
    let sentences = first_sentences(&run);
    assert!(sentences.iter().any(|sentence| sentence.text.contains("begins in its middle")), "{sentences:?}");
}

#[test]
fn nothing_is_said_of_nothing() {
    let run = Diagnosis::new(&[]).finish();
    assert!(first(&run).contains("nothing to diagnose"), "{}", first(&run));
}

proptest! {
    /// Every moment belongs to exactly one cause, and so does every byte, whatever is said and however the transport behaves.
    #[test]
    fn seconds_and_bytes_add_up_to_the_life_of_the_connection(
        steps in prop::collection::vec((0..9_u8, any::<bool>(), 0.0..3.0_f64), 0..80),
        states in prop::collection::vec((0..6_usize, 0.0..20.0_f64), 0..12),
        halves in prop::array::uniform2(prop::option::of(0.0..0.5_f64)),
    ) {
        let mut told = Told::new();
        told.shake_hands();
        let mut now = 0.1;
        let mut bytes = 0;
        for (kind, from_responder, later) in steps {
            now += later;
            let direction = if from_responder { B } else { A };
            match kind {
                0 => told.says(now, direction, &message(CHOKE, &[])),
                1 => told.says(now, direction, &message(UNCHOKE, &[])),
                2 => told.says(now, direction, &message(INTERESTED, &[])),
                3 => told.says(now, direction, &message(NOT_INTERESTED, &[])),
                4 => told.says(now, direction, &numbers(HAVE, &[3])),
                5 | 6 => told.request(now),
                7 => {
                    told.block(now);
                    bytes += u64::from(BLOCK);
                }
                _ => told.event(now, StreamEvent::Gap { stream: STREAM, direction, length: 100 }),
            }
        }
        let mut measured = measurement();
        measured.half_round_trips = halves;
        let mut from = 0.0;
        for (state, length) in states {
            let to = from + length;
            measured.directions[1].spans.push(span(from, to, TransportState::ALL[state]));
            from = to;
        }
        told.measured = Some(measured);
        let run = told.closes(now + 1.0);
        let connection = &run.connections[0];
        for direction in [A, B] {
            let budget = connection.from(direction);
            prop_assert!((budget.totals.all_seconds() - connection.duration()).abs() < 1e-6);
            let mut at = connection.opened;
            for span in &budget.spans {
                prop_assert_eq!(span.from, at);
                at = span.to;
            }
            prop_assert_eq!(at, connection.closed);
            prop_assert_eq!(budget.totals.all_bytes(), budget.facts.bytes);
        }
        // After a gap some blocks cannot be told from what is lost.
        prop_assert!(connection.from(B).facts.bytes <= bytes);
        prop_assert!((run.totals.all_seconds() - run.duration()).abs() < 1e-6);
        prop_assert!(first_sentences(&run).len() <= 3);
    }
}
