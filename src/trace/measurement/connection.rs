//! What is measured of a whole connection: how it began and ended, and how far the ends are from the capture point.

use bittrace_protocol::Timestamp;

use super::budget::MeasurementBudget;
use super::direction::MeasuredDirection;
use super::{
    CapturePlace, ConnectionAttempt, ConnectionEnding, ConnectionMeasurement, DirectionMeasurement, EndedBy,
    TransportSpan, TransportState,
};
use crate::{Direction, Moment, StreamClosing};

/// How a connection began, and what may be its end.
// What each packet touches stands together: see `MeasuredDirection`.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct OpeningAndEnding {
    last: [Option<Moment>; 2],
    pub(super) syns: u32,
    fins: [Option<Moment>; 2],
    /// The last RESET, and its sender.
    pub(super) reset: Option<(Moment, Direction)>,
    pub(super) close_reasons: [Option<u16>; 2],
    /// Whether the responder's SYN was captured.
    pub(super) answered: bool,
}

impl OpeningAndEnding {
    pub(super) const fn heard(&mut self, moment: Moment, direction: Direction) {
        self.last[direction as usize] = Some(moment);
    }

    /// The last packet of a direction has a FIN.
    pub(super) fn end(&mut self, direction: Direction) {
        let fin = &mut self.fins[direction as usize];
        *fin = fin.or(self.last[direction as usize]);
    }
}

/// How far the ends are from the capture point.
#[derive(Debug)]
pub(super) struct CapturedAt {
    /// Nanoseconds to the initiator and back, and to the responder and back; [`UNKNOWN`] where nothing told yet.
    halves: [u64; 2],
    /// Packets of each end that the capturing machine sent, and that it received.
    packets: [[u64; 2]; 2],
}

/// More than any time that is measured.
const UNKNOWN: u64 = u64::MAX;

impl Default for CapturedAt {
    fn default() -> Self {
        Self { halves: [UNKNOWN; 2], packets: [[0; 2]; 2] }
    }
}

impl CapturedAt {
    /// A packet was captured; `outgoing` says whether the capturing machine sent it.
    pub(super) fn sent(&mut self, direction: Direction, outgoing: Option<bool>) {
        if let Some(outgoing) = outgoing {
            self.packets[direction as usize][usize::from(!outgoing)] += 1;
        }
    }

    /// An end answered after so many nanoseconds, which are the time to it and back at the least.
    #[inline]
    pub(super) fn round_trip(&mut self, end: Direction, nanos: u64) {
        let half = &mut self.halves[end as usize];
        *half = nanos.min(*half);
    }

    /// Nanoseconds to an end and back.
    #[inline]
    pub(super) const fn half(&self, end: Direction) -> Option<u64> {
        match self.halves[end as usize] {
            UNKNOWN => None,
            nanos => Some(nanos),
        }
    }

    /// Nanoseconds of one round trip of the whole path.
    #[inline]
    pub(super) const fn whole(&self) -> Option<u64> {
        match (self.half(Direction::FromInitiator), self.half(Direction::FromResponder)) {
            (Some(initiator), Some(responder)) => Some(initiator.saturating_add(responder)),
            _ => None,
        }
    }

    /// Where the capture was taken. `medians` are the usual times to each end and back, where these are not those of
    /// acknowledgements that were delayed on purpose: on a short path with a queue the smallest times tell nothing.
    fn place(&self, medians: [Option<f64>; 2]) -> CapturePlace {
        match self.packets {
            [[sent, 0], [0, received]] if sent > 0 && received > 0 => return CapturePlace::Initiator,
            [[0, received], [sent, 0]] if sent > 0 && received > 0 => return CapturePlace::Responder,
            _ => {}
        }
        let ([initiator, responder], Some(whole)) = (self.halves, self.whole()) else {
            return CapturePlace::Unknown;
        };
        if initiator <= whole / NEAR {
            CapturePlace::Initiator
        } else if responder <= whole / NEAR {
            CapturePlace::Responder
        } else if whole >= SHORT {
            CapturePlace::Between
        } else if let [Some(initiator), Some(responder)] = medians
            && initiator.max(responder) >= LONG
        {
            if initiator * NEAR as f64 <= responder {
                CapturePlace::Initiator
            } else if responder * NEAR as f64 <= initiator {
                CapturePlace::Responder
            } else {
                CapturePlace::Unknown
            }
        } else {
            CapturePlace::Unknown
        }
    }
}

/// What is measured of a connection, whatever carries it.
// What each packet touches stands together: see `MeasuredDirection`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct MeasuredConnection<E> {
    pub(super) place: CapturedAt,
    /// The time of the latest packet.
    pub(super) now: Timestamp,
    /// Packets since the budget was told of the memory.
    uncounted: u8,
    pub(super) offloaded: bool,
    pub(super) course: OpeningAndEnding,
    /// The bytes of memory that the budget was told of.
    cost: usize,
    /// Nanoseconds from the first SYN to the third segment of the handshake.
    pub(super) handshake: Option<u64>,
    pub(super) directions: [MeasuredDirection<E>; 2],
}

impl<E> MeasuredConnection<E> {
    /// A connection whose first packet comes at `at`.
    pub(super) fn begun_at(at: Timestamp, directions: [MeasuredDirection<E>; 2]) -> Self {
        Self {
            course: OpeningAndEnding::default(),
            place: CapturedAt::default(),
            handshake: None,
            offloaded: false,
            directions,
            now: at,
            cost: 0,
            uncounted: 0,
        }
    }

    /// An end sent a packet. Times that run backwards stand still: the time that it is now.
    #[inline(always)]
    pub(super) fn heard(&mut self, moment: Moment, direction: Direction) -> Timestamp {
        self.now = self.now.max(moment.at);
        self.course.heard(moment, direction);
        self.now
    }

    /// A packet was measured: now and then the memory is counted.
    #[inline(always)]
    pub(super) fn count(&mut self, budget: &mut MeasurementBudget) {
        self.uncounted += 1;
        if self.uncounted >= COUNTED_EVERY {
            self.count_now(budget);
        }
    }

    #[cold]
    #[inline(never)]
    fn count_now(&mut self, budget: &mut MeasurementBudget) {
        self.uncounted = 0;
        let cost = self.directions.iter().map(MeasuredDirection::cost).sum();
        budget.change(std::mem::replace(&mut self.cost, cost), cost);
    }

    /// Gives the memory back.
    pub(super) const fn forget(&self, budget: &mut MeasurementBudget) {
        budget.change(self.cost, 0);
    }

    /// What was measured. The connection is over.
    pub(super) fn finish(
        self,
        moment: Moment,
        closing: StreamClosing,
        budget: &mut MeasurementBudget,
    ) -> ConnectionMeasurement {
        let limits = budget.limits();
        self.forget(budget);
        let Self { course, place, handshake, offloaded, directions, now, .. } = self;
        let at = now.max(moment.at);
        let unacknowledged = [&directions[0], &directions[1]].map(MeasuredDirection::unacknowledged);
        let mut directions = directions.map(|direction| direction.finish(at, limits));
        let one_sided = course.last.iter().any(Option::is_none)
            && directions.iter().any(|direction| direction.bytes + direction.lost_to_capture > 0);
        if one_sided {
            directions.iter_mut().for_each(hide);
        }
        // The initiator acknowledges what the responder sends.
        let medians = [&directions[1], &directions[0]].map(|direction| {
            let usual = direction.acknowledged_after.filter(|times| times.delayed * 2 < times.samples);
            usual.map(|times| times.median)
        });
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        ConnectionMeasurement {
            round_trip: place.whole().map(seconds),
            half_round_trips: [Direction::FromInitiator, Direction::FromResponder]
                .map(|end| place.half(end).map(seconds)),
            handshake_round_trip: handshake.map(seconds),
            taken_at: place.place(medians),
            offloaded,
            directions,
            ending: course.ending(closing, unacknowledged),
        }
    }
}

/// Of a connection of which the capture has one direction, nothing can be said of what held it back.
fn hide(direction: &mut DirectionMeasurement) {
    let (Some(first), Some(last)) = (direction.spans.first(), direction.spans.last()) else { return };
    let span = TransportSpan {
        from: first.from,
        to: last.to,
        state: TransportState::Unseen,
        bytes: direction.spans.iter().map(|span| span.bytes).sum(),
        retransmitted: direction.spans.iter().map(|span| span.retransmitted).sum(),
    };
    direction.spans = vec![span];
    let whole = direction.seconds.iter().sum();
    direction.seconds = [0.0; TransportState::ALL.len()];
    direction.seconds[TransportState::Unseen as usize] = whole;
}

impl OpeningAndEnding {
    fn ending(&self, closing: StreamClosing, unacknowledged: [u64; 2]) -> ConnectionEnding {
        let reset = self.reset.filter(|_| matches!(closing, StreamClosing::Reset | StreamClosing::Refused));
        let first_fin = match self.fins {
            [Some(initiator), Some(responder)] if responder.frame < initiator.frame => {
                Some(Direction::FromResponder)
            }
            [Some(_), _] => Some(Direction::FromInitiator),
            [None, Some(_)] => Some(Direction::FromResponder),
            [None, None] => None,
        };
        let attempt = match closing {
            StreamClosing::Refused => ConnectionAttempt::Refused,
            StreamClosing::Unanswered => ConnectionAttempt::Unanswered,
            _ if self.syns > 0 || self.answered => ConnectionAttempt::Answered,
            _ => ConnectionAttempt::Unseen,
        };
        let (by, how) = match (reset, first_fin) {
            (Some((_, by)), _) => (Some(by), EndedBy::Reset),
            (None, Some(by)) => (Some(by), EndedBy::Fin),
            (None, None) => (None, EndedBy::Silence),
        };
        ConnectionEnding {
            attempt,
            syns: self.syns,
            by,
            how,
            fins: self.fins,
            reset: reset.map(|(moment, _)| moment),
            last: self.last,
            unacknowledged,
            close_reasons: self.close_reasons,
        }
    }
}

/// An end is near when its part of the round trip is a tenth of the whole, or less.
const NEAR: u64 = 10;
/// Below so many nanoseconds of round trip the time that the ends take to answer decides which of them seems near.
const SHORT: u64 = 1_000_000;
/// From so many seconds on a usual time is that of a queue, and not that of a machine that is busy.
const LONG: f64 = 0.005;
/// After so many packets of a connection its memory is counted again.
const COUNTED_EVERY: u8 = 32;
/// The place of the first number of each direction: so far from 0 that what was sent before has a place.
pub(super) const FIRST_PLACE: u64 = 1 << 32;
