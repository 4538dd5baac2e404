//! Most segments go on where the one before ended, and are taken in by a shorter way: what is measured does not depend on the way.

use bittrace_protocol::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::TcpMeasuring;
use super::super::notes::{MeasuredSegment, PlainSegment};
use super::{A, B, SYN_OPTIONS, at, clock, end};
use crate::measurement::MeasurementBudget;
use crate::packet::link::Segment;
use crate::{Direction, Moment, StreamClosing};

/// Two measurements of one connection: one takes the short way where that is open, the other never does.
struct Ways {
    short: TcpMeasuring,
    long: TcpMeasuring,
    budgets: [MeasurementBudget; 2],
    frame: u64,
    /// How many segments took the short way.
    went_on: u32,
}

/// What a segment is beside the numbers that the conversation gives it.
#[derive(Debug, Clone, Copy)]
struct Step {
    from_a: bool,
    deed: Deed,
    bytes: usize,
    /// How many numbers are left out, repeated, or acknowledged too early or late.
    numbers: u32,
    /// Milliseconds since the step before.
    passed: i64,
    stamps: Stamps,
}

#[derive(Debug, Clone, Copy)]
enum Deed {
    Send,
    Acknowledge,
    AcknowledgePart,
    AcknowledgeUncaptured,
    Skip,
    Repeat,
    Fin,
    Syn,
    Reset,
    Window(u16),
    Selective,
    LoseTail,
    KeepAlive,
    SendOneByte,
    WithoutAcknowledgement,
    Outgoing(bool),
}

#[derive(Debug, Clone, Copy)]
enum Stamps {
    Usual,
    /// In another order than the usual one.
    Unusual,
    Missing,
}

fn deeds() -> impl Strategy<Value = Deed> {
    prop_oneof![
        24 => Just(Deed::Send),
        8 => Just(Deed::Acknowledge),
        2 => Just(Deed::AcknowledgePart),
        1 => Just(Deed::AcknowledgeUncaptured),
        2 => Just(Deed::Skip),
        3 => Just(Deed::Repeat),
        1 => Just(Deed::Fin),
        1 => Just(Deed::Syn),
        1 => Just(Deed::Reset),
        2 => prop_oneof![Just(0), Just(1_000), any::<u16>()].prop_map(Deed::Window),
        2 => Just(Deed::Selective),
        1 => Just(Deed::LoseTail),
        1 => Just(Deed::KeepAlive),
        1 => Just(Deed::SendOneByte),
        1 => Just(Deed::WithoutAcknowledgement),
        1 => any::<bool>().prop_map(Deed::Outgoing),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let stamps =
        prop_oneof![8 => Just(Stamps::Usual), 1 => Just(Stamps::Unusual), 2 => Just(Stamps::Missing)];
    let numbers = prop_oneof![20 => 0u32..4_000, 1 => any::<u32>()];
    let step = (any::<bool>(), deeds(), 0usize..1_500, numbers, -3i64..40, stamps);
    vec(step, 1..200).prop_map(|steps| {
        let step = |(from_a, deed, bytes, numbers, passed, stamps)| Step {
            from_a,
            deed,
            bytes,
            numbers,
            passed,
            stamps,
        };
        steps.into_iter().map(step).collect()
    })
}

impl Ways {
    fn begun(is_little_left: bool) -> Self {
        let begun = || TcpMeasuring::begun_at(Moment { at: at(0), frame: 1 });
        let mut budgets: [MeasurementBudget; 2] = Default::default();
        if is_little_left {
            budgets.iter_mut().for_each(|budget| budget.change(0, usize::MAX));
        }
        Self { short: begun(), long: begun(), budgets, frame: 0, went_on: 0 }
    }

    fn segment(&mut self, at: Timestamp, direction: Direction, segment: &Segment<'_>) {
        self.frame += 1;
        let moment = Moment { at, frame: self.frame };
        let [short, long] = &mut self.budgets;
        let whole = MeasuredSegment::of(moment, direction, segment);
        let plain = PlainSegment::of(moment, direction, segment);
        let went_on = plain.is_some_and(|plain| self.short.go_on(&plain, direction, short.limits()));
        self.went_on += u32::from(went_on);
        if went_on {
            self.short.connection.count(short);
        } else {
            self.short.any_segment(&whole, short);
        }
        self.long.any_segment(&whole, long);
    }

    /// A conversation that opens with a handshake or not, and goes on step by step.
    fn talk(&mut self, base: u32, opens: bool, steps: &[Step]) {
        let mut next = [base; 2];
        let mut now = 0;
        if opens {
            let syn = Segment { syn: true, seq: base.wrapping_sub(1), options: &SYN_OPTIONS, ..bare(A) };
            self.segment(at(0), A, &syn);
            self.segment(
                at(20),
                B,
                &Segment { ack: Some(base), ..Segment { src: end(2), dst: end(1), ..syn } },
            );
            self.segment(at(20), A, &Segment { seq: base, ack: Some(base), ..bare(A) });
            now = 20;
        }
        for step in steps {
            now += step.passed;
            let from = if step.from_a { A } else { B };
            let said = &mut next[from as usize];
            let Step { numbers, bytes, .. } = *step;
            let payload = &[7; 1_500][..bytes];
            let stamps = clock(now as u32, (now - 20) as u32);
            let mut unusual = stamps;
            unusual.rotate_left(2);
            let mut selective = vec![1, 1, 5, 10];
            let options = match step.stamps {
                Stamps::Usual => &stamps[..],
                Stamps::Unusual => &unusual,
                Stamps::Missing => &[],
            };
            let heard = if step.from_a { B } else { A };
            let plain = Segment { seq: *said, options, ..bare(from) };
            let mut segment = match step.deed {
                Deed::Acknowledge | Deed::AcknowledgePart | Deed::AcknowledgeUncaptured => plain,
                Deed::Skip => Segment { seq: said.wrapping_add(numbers), payload, ..plain },
                Deed::Repeat => Segment { seq: said.wrapping_sub(numbers), payload, ..plain },
                Deed::Fin => Segment { fin: true, payload, ..plain },
                Deed::Syn => Segment { syn: true, options: &SYN_OPTIONS, ..plain },
                Deed::Reset => Segment { rst: true, ..plain },
                Deed::Window(window) => Segment { window, ..plain },
                Deed::Selective => {
                    selective.extend(numbers.to_be_bytes());
                    selective.extend(numbers.wrapping_add(99).to_be_bytes());
                    Segment { options: &selective, ..plain }
                }
                Deed::LoseTail => Segment { payload, lost_tail: numbers % 1_000, ..plain },
                Deed::KeepAlive => Segment { seq: said.wrapping_sub(1), payload: &[0], ..plain },
                Deed::SendOneByte => Segment { payload: &[7], ..plain },
                Deed::Outgoing(outgoing) => Segment { payload, outgoing: Some(outgoing), ..plain },
                Deed::Send | Deed::WithoutAcknowledgement => Segment { payload, ..plain },
            };
            let length = segment.payload.len() as u32 + segment.lost_tail;
            let behind = segment.seq.wrapping_add(length + u32::from(segment.fin) + u32::from(segment.syn));
            if behind.wrapping_sub(*said).cast_signed() > 0 {
                *said = behind;
            }
            let all = next[heard as usize];
            segment.ack = match step.deed {
                Deed::WithoutAcknowledgement => None,
                Deed::AcknowledgePart => Some(all.wrapping_sub(numbers)),
                Deed::AcknowledgeUncaptured => Some(all.wrapping_add(numbers)),
                _ => Some(all),
            };
            self.segment(at(now), from, &segment);
        }
    }
}

/// A segment without flags, bytes, and options.
fn bare(from: Direction) -> Segment<'static> {
    let (src, dst) = if from == A { (end(1), end(2)) } else { (end(2), end(1)) };
    Segment {
        src,
        dst,
        seq: 0,
        ack: None,
        syn: false,
        fin: false,
        rst: false,
        window: 10_000,
        options: &[],
        identification: None,
        payload: &[],
        lost_tail: 0,
        outgoing: None,
    }
}

proptest! {
    #[test]
    fn both_ways_measure_the_same(
        steps in steps(), base in prop_oneof![any::<u32>(), Just(u32::MAX - 5_000)], opens in any::<bool>(),
        is_little_left in any::<bool>(),
    ) {
        let mut ways = Ways::begun(is_little_left);
        ways.talk(base, opens, &steps);
        prop_assert_eq!(format!("{:#?}", ways.short), format!("{:#?}", ways.long));
        let moment = Moment { at: at(100_000), frame: ways.frame };
        let [short, long] = &mut ways.budgets;
        let short = Box::new(ways.short).finish(moment, StreamClosing::CaptureEnded, short);
        let long = Box::new(ways.long).finish(moment, StreamClosing::CaptureEnded, long);
        prop_assert_eq!(short, long);
    }
}

/// So many steps of a deed, of both ends in turn.
fn in_turn(deed: Deed, count: usize) -> Vec<Step> {
    let step = Step { from_a: true, deed, bytes: 100, numbers: 50, passed: 1, stamps: Stamps::Usual };
    (0..count).map(|number| Step { from_a: number % 2 == 0, ..step }).collect()
}

#[test]
fn most_segments_take_the_short_way() {
    let mut ways = Ways::begun(false);
    ways.talk(u32::MAX - 500, true, &in_turn(Deed::Send, 100));
    // The window of each end is taken in first.
    assert!(ways.went_on >= 98, "{}", ways.went_on);
}

#[test]
fn what_tells_more_takes_the_long_way() {
    for deed in [
        Deed::Fin,
        Deed::Syn,
        Deed::Reset,
        Deed::Skip,
        Deed::Repeat,
        Deed::Window(7),
        Deed::Selective,
        Deed::LoseTail,
        Deed::KeepAlive,
        Deed::SendOneByte,
        Deed::WithoutAcknowledgement,
        Deed::AcknowledgeUncaptured,
        Deed::Acknowledge,
    ] {
        let mut steps = in_turn(Deed::Send, 12);
        // Everything is acknowledged before.
        (steps[10].deed, steps[11].deed, steps[11].from_a) = (Deed::Acknowledge, deed, true);
        let went_on = |count: usize| {
            let mut ways = Ways::begun(false);
            ways.talk(7, true, &steps[..count]);
            ways.went_on
        };
        assert_eq!(went_on(11), went_on(10) + 1, "{deed:?}");
        assert_eq!(went_on(12), went_on(11), "{deed:?}");
    }
}
