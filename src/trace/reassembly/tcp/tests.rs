use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn end(number: u32, port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + number), port))
}

/// A connection as two ends see it, and what the reassembler makes of it, one line an event.
struct Talk {
    reassembler: Reassembler,
    at: Timestamp,
    frame: u64,
    log: String,
    unwanted: bool,
}

/// A segment's flags, as in `SA`, and its numbers.
#[derive(Clone, Copy)]
struct Said<'a>(&'a str, u32, u32, &'a [u8]);

impl Talk {
    fn new() -> Self {
        Self {
            reassembler: Reassembler::new(),
            at: Timestamp::from_secs_nanos(100, 0),
            frame: 0,
            log: String::new(),
            unwanted: false,
        }
    }

    fn send(&mut self, src: SocketAddr, dst: SocketAddr, said: Said<'_>, lost_tail: u32) {
        let Said(flags, seq, ack, payload) = said;
        let segment = Segment {
            src,
            dst,
            seq,
            ack: flags.contains('A').then_some(ack),
            syn: flags.contains('S'),
            fin: flags.contains('F'),
            rst: flags.contains('R'),
            window: 1000,
            options: &[],
            identification: None,
            payload,
            lost_tail,
            outgoing: None,
        };
        self.frame += 1;
        let (log, unwanted) = (&mut self.log, self.unwanted);
        let moment = Moment { at: self.at, frame: self.frame };
        self.reassembler.segment(moment, &segment, &mut |moment, event| {
            note(log, moment, &event);
            if unwanted { StreamInterest::Unwanted } else { StreamInterest::Wanted }
        });
    }

    /// The end that mostly calls says something.
    fn a(&mut self, flags: &str, seq: u32, ack: u32, payload: &str) -> &mut Self {
        self.send(end(1, 1000), end(2, 2000), Said(flags, seq, ack, payload.as_bytes()), 0);
        self
    }

    /// The end that is mostly called says something.
    fn b(&mut self, flags: &str, seq: u32, ack: u32, payload: &str) -> &mut Self {
        self.send(end(2, 2000), end(1, 1000), Said(flags, seq, ack, payload.as_bytes()), 0);
        self
    }

    /// `a`, but the last `lost` bytes were not captured.
    fn a_cut(&mut self, seq: u32, payload: &str, lost: u32) -> &mut Self {
        self.send(end(1, 1000), end(2, 2000), Said("A", seq, 500, payload.as_bytes()), lost);
        self
    }

    /// The three segments that open a connection: 100 and 500 are the first bytes' numbers.
    fn open() -> Self {
        let mut talk = Self::new();
        talk.a("S", 99, 0, "").b("SA", 499, 100, "").a("A", 100, 500, "");
        talk.expect("1 open 0 1000>2000 syn | 2 up 0");
        talk
    }

    fn later(&mut self, seconds: u64) -> &mut Self {
        self.at = self.at + Duration::from_secs(seconds);
        self
    }

    fn finish(&mut self) -> &mut Self {
        let log = &mut self.log;
        self.reassembler.finish(&mut |moment, event| {
            note(log, moment, &event);
            StreamInterest::Wanted
        });
        self
    }

    /// What happened since the last time.
    #[track_caller]
    fn expect(&mut self, expected: &str) -> &mut Self {
        assert_eq!(self.log.trim_start_matches(" | "), expected);
        self.log.clear();
        self
    }
}

fn note(log: &mut String, moment: Moment, event: &StreamEvent<'_>) {
    // What is awaited has tests of its own: it stands between all the others.
    if let StreamEvent::Awaited { .. } = event {
        return;
    }
    write!(log, " | {} ", moment.frame).unwrap();
    let arrow = |direction: &Direction| if *direction == Direction::FromInitiator { '>' } else { '<' };
    match event {
        StreamEvent::Opened { stream, flow, opening } => {
            let how = if *opening == crate::StreamOpening::Syn { "syn" } else { "mid" };
            write!(log, "open {} {}>{} {how}", stream.0, flow.initiator.port(), flow.responder.port())
        }
        StreamEvent::Established { stream } => write!(log, "up {}", stream.0),
        StreamEvent::Burst { stream, direction, bytes } => {
            write!(log, "{}{} {}", stream.0, arrow(direction), String::from_utf8_lossy(bytes))
        }
        StreamEvent::Gap { stream, direction, length } => {
            write!(log, "{}{} gap {length}", stream.0, arrow(direction))
        }
        StreamEvent::Measured { .. } => panic!("nobody asked for it"),
        StreamEvent::Lost { .. } | StreamEvent::Awaited { .. } => panic!("TCP counts bytes"),
        StreamEvent::Closed { stream, closing } => write!(log, "close {} {closing:?}", stream.0),
    }
    .unwrap();
}

#[test]
fn follows_a_conversation_to_its_end() {
    let mut talk = Talk::open();
    talk.a("A", 100, 500, "hello").b("A", 500, 105, "world").expect("4 0> hello | 5 0< world");
    talk.a("FA", 105, 505, "").b("FA", 505, 106, "bye").expect("7 0< bye | 7 close 0 Finished");
    talk.a("A", 106, 509, "").b("FA", 505, 106, "bye").a("R", 106, 0, "").finish().expect("");
}

#[test]
fn what_is_held_in_small_pieces_is_not_gone_through_each_time() {
    let mut talk = Talk::open();
    talk.b("A", 500, 100, "").log.clear();
    for seq in 0..15_000 {
        talk.a("A", 200 + 2 * seq, 500, "x");
    }
    for _ in 0..5_000 {
        talk.a_cut(200, "", 30_000);
    }
    talk.expect("").a("A", 100, 500, &"y".repeat(100)).later(9).finish();
    assert_eq!((talk.log.matches("> x").count(), talk.log.matches("gap 1").count()), (15_000, 15_000));
}

#[test]
fn time_that_runs_fast_does_not_sweep_all_holes_with_each_packet() {
    let mut talk = Talk::new();
    for number in 10..20_010 {
        for seq in [100, 200] {
            talk.send(end(number, 1000), end(2, 2000), Said("A", seq, 1, b"a"), 0);
        }
        // Not acknowledged, so the hole may yet be filled.
        talk.send(end(2, 2000), end(number, 1000), Said("A", 1, 101, b""), 0);
        talk.log.clear();
    }
    for seq in 0..20_000 {
        talk.later(2).a("A", 100 + seq, 500, "b");
    }
    assert_eq!(talk.log.matches("> b").count(), 20_000);
}

#[test]
fn puts_segments_in_order_each_with_its_own_moment() {
    let mut talk = Talk::open();
    talk.a("A", 106, 500, "ghi").a("A", 103, 500, "def").expect("");
    talk.a("A", 100, 500, "abc").expect("6 0> abc | 5 0> def | 4 0> ghi");
}

#[test]
fn the_first_copy_of_a_byte_wins() {
    let mut talk = Talk::open();
    talk.a("A", 100, 500, "abc")
        .a("A", 100, 500, "abc")
        .a("A", 98, 500, "XXXXXd")
        .expect("4 0> abc | 6 0> d");
    talk.a("A", 106, 500, "gh").a("A", 110, 500, "kl").a("A", 105, 500, "FGHIJKLM").expect("");
    talk.a("A", 104, 500, "EFGH").expect("10 0> E | 9 0> F | 7 0> gh | 9 0> IJ | 8 0> kl | 9 0> M");
}

#[test]
fn probes_say_nothing() {
    let mut talk = Talk::open();
    talk.a("A", 100, 500, "abc").expect("4 0> abc");
    talk.a("A", 102, 500, "\0").a("A", 102, 500, "").b("A", 499, 103, "\0").b("A", 499, 103, "").expect("");
    talk.a("A", 103, 500, "def").b("A", 500, 106, "uvw").expect("9 0> def | 10 0< uvw");
}

#[test]
fn a_probe_does_not_begin_a_direction() {
    let mut talk = Talk::new();
    talk.a("A", 99, 500, "").b("A", 500, 100, "").expect("1 open 0 1000>2000 mid");
    talk.a("A", 100, 500, "abc").finish().expect("3 0> abc | 3 close 0 CaptureEnded");
}

#[test]
fn a_syn_may_carry_data() {
    let mut talk = Talk::new();
    talk.a("S", 99, 0, "abc").b("SA", 499, 103, "uvw").a("A", 103, 503, "def");
    talk.expect("1 open 0 1000>2000 syn | 1 0> abc | 2 up 0 | 2 0< uvw | 3 0> def");
}

#[test]
fn numbers_wrap_around() {
    let mut talk = Talk::new();
    talk.a("S", 0xffff_fffc, 0, "")
        .b("SA", u32::MAX, 0xffff_fffd, "")
        .expect("1 open 0 1000>2000 syn | 2 up 0");
    talk.a("A", 0, 0, "defg").a("A", 0xffff_fffd, 0, "abc").b("A", 0, 4, "x");
    talk.expect("4 0> abc | 3 0> defg | 5 0< x");
}

#[test]
fn offsets_do_not_wrap_with_the_numbers() {
    let chunk = "x".repeat(1 << 20);
    let (mut reassembler, mut bytes) = (Reassembler::new(), 0u64);
    for round in 0..5 * 1024u32 {
        let segment = Segment {
            src: end(1, 1),
            dst: end(2, 2),
            seq: round.wrapping_mul(1 << 20),
            ack: None,
            syn: false,
            fin: false,
            rst: false,
            window: 0,
            options: &[],
            identification: None,
            payload: chunk.as_bytes(),
            lost_tail: 0,
            outgoing: None,
        };
        reassembler.segment(Moment { at: Timestamp::EPOCH, frame: 1 }, &segment, &mut |_, event| {
            if let StreamEvent::Burst { bytes: burst, .. } = event {
                bytes += burst.len() as u64;
            }
            StreamInterest::Wanted
        });
    }
    assert_eq!(bytes, 5 << 30);
}

#[test]
fn the_same_ends_may_meet_again() {
    let mut talk = Talk::open();
    talk.a("A", 100, 500, "one").a("S", 99, 0, "").expect("4 0> one");
    talk.a("S", 7000, 0, "").expect("6 close 0 Replaced | 6 open 1 1000>2000 syn");
    talk.b("SA", 9000, 7001, "").a("A", 7001, 9001, "two").expect("7 up 1 | 8 1> two");
    talk.a("FA", 7004, 9001, "").a("S", 50, 0, "").expect("10 close 1 Finished | 10 open 2 1000>2000 syn");
    talk.a("S", 60, 0, "").expect("11 close 2 Unanswered | 11 open 3 1000>2000 syn");
    talk.b("SA", 70, 61, "").b("R", 71, 0, "").expect("12 up 3 | 13 close 3 Reset");
    talk.b("S", 80, 0, "").finish().expect("14 open 4 2000>1000 syn | 14 close 4 Unanswered");
}

#[test]
fn both_ends_may_call_at_once() {
    let mut talk = Talk::new();
    talk.a("S", 99, 0, "")
        .b("S", 499, 0, "")
        .b("SA", 499, 100, "")
        .a("SA", 99, 500, "")
        .a("A", 100, 500, "x");
    talk.expect("1 open 0 1000>2000 syn | 3 up 0 | 5 0> x");
}

#[test]
fn an_answered_syn_was_sent_though_the_capture_missed_it() {
    let mut talk = Talk::new();
    talk.b("SA", 499, 100, "").a("A", 103, 500, "def").a("A", 100, 500, "abc");
    talk.expect("1 open 0 1000>2000 syn | 1 up 0 | 3 0> abc | 2 0> def");
}

#[test]
fn the_answer_to_a_syn_may_be_missed() {
    let mut talk = Talk::new();
    talk.a("S", 99, 0, "").a("A", 100, 500, "").b("A", 503, 100, "uvw").b("A", 500, 100, "rst");
    talk.expect("1 open 0 1000>2000 syn | 2 up 0 | 4 0< rst | 3 0< uvw");
}

#[test]
fn a_stream_may_begin_in_its_middle() {
    let mut talk = Talk::new();
    talk.b("A", 500, 100, "uvw").a("A", 100, 503, "abc").b("A", 497, 103, "rst").b("A", 503, 103, "xyz");
    talk.expect("1 open 0 2000>1000 mid | 1 0> uvw | 2 0< abc | 4 0> xyz");
    talk.a("S", 0, 0, "").expect("5 close 0 Replaced | 5 open 1 1000>2000 syn");
}

#[test]
fn tells_how_connections_end() {
    let mut talk = Talk::new();
    talk.a("S", 99, 0, "").b("RA", 0, 100, "").expect("1 open 0 1000>2000 syn | 2 close 0 Refused");
    talk.a("S", 99, 0, "").finish().expect("3 open 1 1000>2000 syn | 3 close 1 Unanswered");
    let mut talk = Talk::open();
    talk.b("RA", 500, 100, "").a("A", 100, 500, "late").finish().expect("4 close 0 Reset");
    let mut talk = Talk::open();
    talk.b("FA", 500, 100, "").finish().expect("4 close 0 Finished");
    Talk::open().finish().expect("3 close 0 CaptureEnded");
    // What was never heard cannot be reset.
    Talk::new().a("R", 1, 0, "").finish().expect("");
}

#[test]
fn a_hole_waits_for_the_receiver_to_have_its_bytes() {
    let mut talk = Talk::open();
    talk.a("A", 103, 500, "def").later(100);
    for _ in 0..100 {
        talk.b("A", 500, 100, "");
    }
    talk.expect("").a("A", 100, 500, "abc").expect("105 0> abc | 4 0> def");
}

/// Which directions miss bytes while each burst is told: `A` the called end's, for what the caller says.
#[test]
fn what_may_answer_bytes_that_are_missing_is_known() {
    let told = |segments: &[(bool, u32, u32, &str)]| {
        let mut reassembler = Reassembler::new();
        let (mut missing, mut log) = ([false; 2], Vec::new());
        let opening = [(true, 99, 0, "S"), (false, 499, 100, "SA"), (true, 100, 500, "A")];
        let all = opening.iter().map(|said| (true, said)).chain(segments.iter().map(|said| (false, said)));
        for (frame, (opens, (calls, seq, ack, text))) in all.enumerate() {
            let (src, dst) = if *calls { (end(1, 1000), end(2, 2000)) } else { (end(2, 2000), end(1, 1000)) };
            let flags = if opens { text } else { "A" };
            let segment = Segment {
                src,
                dst,
                seq: *seq,
                ack: flags.contains('A').then_some(*ack),
                syn: flags.contains('S'),
                fin: false,
                rst: false,
                window: 100,
                options: &[],
                identification: None,
                payload: if opens { b"" } else { text.as_bytes() },
                lost_tail: 0,
                outgoing: None,
            };
            let moment = Moment { at: Timestamp::from_nanos(frame as i64), frame: frame as u64 };
            reassembler.segment(moment, &segment, &mut |_, event| {
                match event {
                    StreamEvent::Awaited { direction, missing: now, .. } => missing[direction as usize] = now,
                    StreamEvent::Burst { direction, bytes, .. } => {
                        let doubt = if missing[direction.reverse() as usize] { "?" } else { "" };
                        log.push(format!("{}{doubt}", String::from_utf8_lossy(bytes)));
                    }
                    _ => {}
                }
                StreamInterest::Wanted
            });
        }
        log.join(" ")
    };
    assert_eq!(
        told(&[(false, 500, 100, "hi"), (true, 100, 502, "yes"), (false, 502, 103, "ok")]),
        "hi yes ok"
    );
    // The caller has what the called end said, and the capture has not; or it has what came after that.
    assert_eq!(told(&[(true, 100, 502, "yes"), (true, 103, 502, "and")]), "yes? and?");
    assert_eq!(told(&[(false, 502, 100, "ho"), (true, 100, 500, "yes")]), "yes?");
    // It was only late.
    let late = [(true, 100, 502, "yes"), (false, 500, 103, "hi"), (true, 103, 502, "and")];
    assert_eq!(told(&late), "yes? hi and");
}

#[test]
fn a_hole_is_lost_64_segments_after_its_receiver_went_on() {
    let mut talk = Talk::open();
    talk.a("A", 103, 500, "def");
    for _ in 0..63 {
        talk.b("A", 500, 106, "");
    }
    talk.expect("").b("A", 500, 106, "").expect("4 0> gap 3 | 4 0> def");
    talk.a("A", 100, 500, "abc").a("A", 106, 500, "ghi").expect("70 0> ghi");
}

#[test]
fn a_hole_is_lost_3_seconds_after_its_receiver_went_on() {
    let mut talk = Talk::open();
    talk.a("A", 103, 500, "def").b("A", 500, 106, "").later(2).b("A", 500, 106, "").expect("");
    talk.later(1).b("A", 500, 106, "").expect("4 0> gap 3 | 4 0> def");
}

#[test]
fn a_hole_of_a_silent_connection_is_lost_too() {
    let mut talk = Talk::open();
    talk.a("A", 103, 500, "def").b("A", 500, 106, "").expect("");
    talk.later(5).send(end(8, 8), end(9, 9), Said("A", 1, 0, b"x"), 0);
    talk.expect("6 open 1 8>9 mid | 6 1> x | 4 0> gap 3 | 4 0> def");
}

#[test]
fn bytes_missing_before_the_end_are_a_gap() {
    let mut talk = Talk::open();
    talk.a("A", 100, 500, "abc").a("FA", 110, 500, "").b("FA", 500, 111, "").expect("4 0> abc");
    talk.finish().expect("6 0> gap 7 | 6 close 0 Finished");
    let mut talk = Talk::open();
    talk.a("A", 100, 500, "abc").b("A", 500, 120, "").b("R", 500, 0, "");
    talk.expect("4 0> abc | 6 0> gap 17 | 6 close 0 Reset");
}

#[test]
fn what_the_capture_cut_off_is_a_gap_at_once() {
    let mut talk = Talk::open();
    talk.a_cut(100, "abc", 7).a("A", 110, 500, "klm").expect("4 0> abc | 4 0> gap 7 | 5 0> klm");
    talk.a_cut(113, "", 2)
        .a_cut(118, "s", 1)
        .a_cut(115, "p", 2)
        .expect("6 0> gap 2 | 8 0> p | 8 0> gap 2 | 7 0> s | 7 0> gap 1");
    talk.a_cut(100, "abc", 7).a_cut(119, "?", 3).expect("10 0> gap 3");
    // A repetition whose captured part is all known, and whose lost part is not.
    talk.a_cut(119, "?", 5).expect("11 0> gap 2");
}

#[test]
fn absurd_jumps_are_ignored() {
    let mut talk = Talk::open();
    talk.a("A", 100 + (1 << 30), 500, "far").a("A", 100u32.wrapping_sub(1 << 30), 500, "far");
    talk.a("FA", 0x9000_0000, 500, "").a("R", 0x9000_0000, 0, "").b("A", 500, 0x9000_0000, "");
    talk.a("A", 100, 500, "abc").finish().expect("9 0> abc | 9 close 0 CaptureEnded");
}

#[test]
fn one_direction_holds_a_bounded_number_of_bytes() {
    let mut talk = Talk::open();
    let chunk = "x".repeat(60_000);
    for n in 0..69 {
        talk.a("A", 101 + n * 60_000, 500, &chunk);
    }
    talk.expect("").a("A", 101 + 69 * 60_000, 500, &chunk);
    assert!(talk.log.starts_with(" | 4 0> gap 1 | 4 0> xxx"));
    assert_eq!(talk.log.matches('>').count(), 71);
}

#[test]
fn all_connections_hold_a_bounded_number_of_bytes() {
    let chunk = vec![0; 60_000];
    let mut talk = Talk::new();
    for n in 0..20 {
        talk.send(end(n, 1), end(99, 2), Said("A", 0, 0, b"a"), 0);
        for piece in 0..30 {
            talk.send(end(n, 1), end(99, 2), Said("A", 2 + piece * 60_000, 0, &chunk), 0);
        }
        assert!(talk.reassembler.held_cost <= MAX_HELD);
    }
    // 1.8 MB each: the oldest holes were given up first.
    let given_up: Vec<bool> = (0..20).map(|n| talk.log.contains(&format!(" {n}> gap 1 "))).collect();
    assert_eq!(given_up.iter().filter(|&&up| up).count(), 2);
    assert!(given_up[0] && given_up[1]);
}

#[test]
fn open_connections_are_bounded() {
    let mut talk = Talk::new();
    for n in 0..MAX_OPEN as u32 {
        talk.send(end(n, 1), end(n + 1, 2), Said("S", 0, 0, b""), 0);
    }
    talk.log.clear();
    // The first was heard again, so that the second is now the longest idle.
    talk.send(end(0, 1), end(1, 2), Said("A", 1, 1, b""), 0);
    talk.send(end(7, 3), end(8, 4), Said("S", 0, 0, b""), 0);
    talk.expect("65537 up 0 | 65538 close 1 Unanswered | 65538 open 65536 3>4 syn");
}

#[test]
fn closed_connections_are_forgotten_in_the_end() {
    let mut talk = Talk::new();
    for n in 0..2 * MAX_CLOSED as u32 {
        talk.send(end(n, 1), end(n, 2), Said("S", 0, 0, b""), 0);
        talk.send(end(n, 2), end(n, 1), Said("RA", 0, 1, b""), 0);
    }
    assert_eq!((talk.reassembler.table.open(), talk.reassembler.table.closed()), (0, MAX_CLOSED));
}

#[test]
fn what_nobody_wants_is_not_delivered_but_followed() {
    let mut talk = Talk::open();
    talk.a("A", 103, 500, "def").expect("");
    talk.unwanted = true;
    talk.a("A", 100, 500, "abc").expect("5 0> abc");
    talk.unwanted = false;
    talk.a("A", 106, 500, "ghi").a("A", 200, 500, "jkl").b("A", 500, 109, "uvw").expect("");
    assert_eq!(talk.reassembler.held_cost, 0);
    talk.a("S", 7000, 0, "").expect("9 open 1 1000>2000 syn");
    talk.b("SA", 80, 7001, "").a("A", 7001, 81, "again").expect("10 up 1 | 11 1> again");
}

#[test]
fn an_unwanted_connection_closes_unseen() {
    let mut talk = Talk::open();
    talk.unwanted = true;
    talk.a("A", 100, 500, "abc").expect("4 0> abc");
    talk.a("FA", 900, 500, "").b("FA", 500, 901, "");
    assert_eq!(talk.reassembler.table.open(), 0);
    talk.finish().expect("");
}

/// What one direction of the only stream came to: bytes, and `None` for each that is lost.
fn come_to(segments: &[(u32, &[u8])], isn: u32) -> Vec<Option<u8>> {
    let mut heard = Vec::new();
    let mut sink = |_: Moment, event: StreamEvent<'_>| {
        match event {
            StreamEvent::Burst { bytes, direction: Direction::FromInitiator, .. } => {
                assert!(!bytes.is_empty());
                heard.extend(bytes.iter().copied().map(Some));
            }
            StreamEvent::Gap { length, direction: Direction::FromInitiator, .. } => {
                assert!(length > 0);
                heard.extend(std::iter::repeat_n(None, length as usize));
            }
            _ => {}
        }
        StreamInterest::Wanted
    };
    let mut reassembler = Reassembler::new();
    let opening = [(isn, &b""[..])];
    for (frame, (seq, payload)) in opening.iter().chain(segments).enumerate() {
        let segment = Segment {
            src: end(1, 1000),
            dst: end(2, 2000),
            seq: *seq,
            ack: None,
            syn: frame == 0,
            fin: false,
            rst: false,
            window: 0,
            options: &[],
            identification: None,
            payload,
            lost_tail: 0,
            outgoing: None,
        };
        reassembler.segment(Moment { at: Timestamp::EPOCH, frame: frame as u64 + 1 }, &segment, &mut sink);
    }
    reassembler.finish(&mut sink);
    heard
}

fn isn() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(u32::MAX), Just(u32::MAX - 100), Just(0x7fff_ff00), any::<u32>()]
}

/// Pieces that together cover a stream at least once, in any order.
fn pieces() -> impl Strategy<Value = (Vec<u8>, Vec<std::ops::Range<usize>>)> {
    vec(any::<u8>(), 1..400).prop_flat_map(|stream| {
        let length = stream.len();
        let cuts = vec(0..=length, 0..20).prop_map(move |mut cuts| {
            cuts.extend([0, length]);
            cuts.sort_unstable();
            cuts.windows(2).map(|pair| pair[0]..pair[1]).collect::<Vec<_>>()
        });
        let extra = vec((0..=length, 0..=length).prop_map(|(a, b)| a.min(b)..a.max(b)), 0..20);
        (Just(stream), (cuts, extra).prop_map(|(cuts, extra)| [cuts, extra].concat()).prop_shuffle())
    })
}

proptest! {
    #[test]
    fn any_order_and_overlap_gives_the_stream((stream, pieces) in pieces(), isn in isn()) {
        let first = isn.wrapping_add(1);
        let segments: Vec<_> =
            pieces.iter().map(|at| (first.wrapping_add(at.start as u32), &stream[at.clone()])).collect();
        let expected: Vec<_> = stream.iter().copied().map(Some).collect();
        prop_assert_eq!(come_to(&segments, isn), expected);
    }

    #[test]
    fn what_is_lost_is_a_gap_of_its_length(
        (stream, pieces) in pieces(), isn in isn(), lost in vec(any::<bool>(), 50),
    ) {
        let first = isn.wrapping_add(1);
        let kept: Vec<_> = pieces.iter().zip(lost).filter(|(_, lost)| !lost).map(|(piece, _)| piece).collect();
        let segments: Vec<_> =
            kept.iter().map(|at| (first.wrapping_add(at.start as u32), &stream[(*at).clone()])).collect();
        let mut expected = vec![None; kept.iter().filter(|at| !at.is_empty()).map(|at| at.end).max().unwrap_or(0)];
        for at in kept.iter().flat_map(|at| (*at).clone()) {
            expected[at] = Some(stream[at]);
        }
        prop_assert_eq!(come_to(&segments, isn), expected);
    }

    #[test]
    fn garbage_is_taken_calmly(
        segments in vec(
            (
                0u32..3, 0u32..3, prop_oneof![0u32..600, any::<u32>()], prop_oneof![0u32..600, any::<u32>()],
                0u8..16, 0usize..200, 0u32..100, any::<u8>(), 0i64..5,
            ),
            0..200,
        ),
    ) {
        let mut reassembler = Reassembler::new();
        let mut states: Vec<u8> = Vec::new();
        let bytes = [7; 200];
        let mut check = |event: &StreamEvent<'_>, unwanted: bool| {
            let stream = event.stream().0 as usize;
            match event {
                StreamEvent::Opened { .. } => {
                    assert_eq!(stream, states.len(), "numbered in order");
                    states.push(1);
                }
                StreamEvent::Closed { .. } => assert_eq!(std::mem::replace(&mut states[stream], 0), 1),
                StreamEvent::Burst { bytes, .. } => assert!(states[stream] == 1 && !bytes.is_empty()),
                StreamEvent::Gap { length, .. } => assert!(states[stream] == 1 && *length > 0),
                StreamEvent::Lost { .. } => panic!("TCP counts bytes"),
                StreamEvent::Established { .. } | StreamEvent::Awaited { .. } | StreamEvent::Measured { .. } => {
                    assert_eq!(states[stream], 1);
                }
            }
            if unwanted {
                states[stream] = 2;
            }
            if unwanted { StreamInterest::Unwanted } else { StreamInterest::Wanted }
        };
        let mut frame = 0;
        for (src, dst, seq, ack, flags, length, lost_tail, chance, seconds) in segments {
            frame += 1;
            let unwanted = chance < 3;
            let segment = Segment {
                src: end(src, 5),
                dst: end(dst, 5),
                seq,
                ack: (flags & 1 != 0).then_some(ack),
                syn: flags & 2 != 0 && chance & 1 != 0,
                fin: flags & 4 != 0 && chance & 2 != 0,
                rst: flags & 8 != 0 && chance & 12 == 0,
                window: 0,
                options: &[],
                identification: None,
                payload: &bytes[..length],
                lost_tail: if chance & 16 != 0 { lost_tail } else { 0 },
                outgoing: None,
            };
            let moment = Moment { at: Timestamp::from_secs_nanos(frame * seconds, 0), frame: frame as u64 };
            reassembler.segment(moment, &segment, &mut |_, event| check(&event, unwanted));
        }
        reassembler.finish(&mut |_, event| check(&event, false));
        prop_assert!(!states.contains(&1), "every expected connection was closed");
        prop_assert_eq!(reassembler.held_cost, 0);
        prop_assert_eq!(reassembler.table.open(), 0);
    }
}
