//! Measures one uTP connection (BEP 29), packet by packet. Numbers of 16 bits count packets and are unwrapped around the
//! highest that was sent.

use bittrace_protocol::Timestamp;
use bittrace_protocol::utp::{Header, Kind};

use super::budget::{MeasurementBudget, MeasurementLimits};
use super::clock::{ClockWaits, SlidingMinimum};
use super::connection::{FIRST_PLACE, MeasuredConnection};
use super::direction::{
    AcknowledgingSegment, MeasuredDirection, NumberedSegment, SegmentWindow, WindowScale, elapsed,
};
use crate::{ConnectionMeasurement, Direction, Moment, StreamClosing};

/// A uTP connection that is being measured.
#[derive(Debug)]
pub(crate) struct UtpMeasuring {
    connection: MeasuredConnection<UtpEnd>,
    /// When the only SYN was captured, until it is answered.
    syn: Option<Timestamp>,
}

/// Where the numbers of one end's packets stand, and how long these wait on their way.
#[derive(Debug)]
struct UtpEnd {
    /// Its number that stands at `place`.
    number: u16,
    place: u64,
    reported: ReportedDelay,
}

/// A packet of uTP, as far as it is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MeasuredPacket<'a> {
    pub(crate) header: &'a Header,
    /// How many bytes of the stream it carries.
    pub(crate) bytes: usize,
    /// How many later packets its selective acknowledgement has (BEP 29).
    pub(crate) selective: u32,
    /// The reason for closing that it gives.
    pub(crate) close_reason: Option<u16>,
}

impl UtpEnd {
    /// The place of a number; `None` where it is too far from the others.
    fn place_of(&self, number: u16) -> Option<u64> {
        let ahead = number.wrapping_sub(self.number).cast_signed();
        (ahead.unsigned_abs() <= MAX_AHEAD).then(|| self.place.saturating_add_signed(ahead.into()))
    }

    /// Numbers are unwrapped around this one from now on.
    const fn stand_at(&mut self, place: u64) {
        self.number = self.number.wrapping_add(place.wrapping_sub(self.place) as u16);
        self.place = place;
    }
}

impl MeasuredDirection<UtpEnd> {
    /// The direction begins with this number.
    const fn begin_with(&mut self, number: u16) {
        self.end.number = number;
        self.begin(self.end.place);
    }
}

impl UtpMeasuring {
    /// A connection whose first packet comes now.
    pub(crate) fn begun_at(moment: Moment) -> Self {
        let end = || UtpEnd { number: 0, place: FIRST_PLACE, reported: ReportedDelay::default() };
        let waits = || ClockWaits::ticking(MICROSECOND, true);
        let direction = || MeasuredDirection::begun_at(moment.at, waits(), 0, end());
        Self { connection: MeasuredConnection::begun_at(moment.at, [direction(), direction()]), syn: None }
    }

    /// Takes in a packet.
    pub(crate) fn packet(
        &mut self,
        moment: Moment,
        direction: Direction,
        packet: MeasuredPacket<'_>,
        budget: &mut MeasurementBudget,
    ) {
        let limits = budget.limits();
        let at = self.connection.heard(moment, direction);
        if let Some(reason) = packet.close_reason {
            self.connection.course.close_reasons[direction as usize] = Some(reason);
        }
        let header = packet.header;
        match header.kind {
            Kind::Reset => {
                self.connection.course.reset = Some((moment, direction));
                return;
            }
            Kind::Syn => {
                self.connection.course.syns += 1;
                self.syn = (self.connection.course.syns == 1).then_some(at);
                let said = &mut self.connection.directions[direction as usize];
                if !said.begun() {
                    // The SYN takes a number of its own.
                    said.begin_with(header.sequence.wrapping_add(1));
                }
                return;
            }
            Kind::Data | Kind::Fin | Kind::State => {}
        }
        if direction == Direction::FromResponder
            && let Some(asked) = self.syn.take()
        {
            self.connection.place.round_trip(Direction::FromResponder, elapsed(asked, at));
        }
        self.acknowledge(at, direction, packet, limits);
        self.carry(direction, packet, limits);
        self.connection.count(budget);
    }

    fn acknowledge(
        &mut self,
        at: Timestamp,
        direction: Direction,
        packet: MeasuredPacket<'_>,
        limits: &MeasurementLimits,
    ) {
        let header = packet.header;
        let there = direction.reverse();
        let heard = &mut self.connection.directions[there as usize];
        // The acknowledged number is that of the last packet that arrived.
        let number = header.acknowledged.wrapping_add(1);
        if !heard.begun() {
            heard.begin_with(number);
        }
        let Some(number) = heard.end.place_of(number) else { return };
        if let Some(micros) = heard.end.reported.waited(at, header.delay) {
            heard.count_wait(u64::from(micros) * MICROSECOND, limits);
        }
        let bare = header.kind == Kind::State;
        if bare && packet.selective >= SELECTIVE_LOSS && number >= heard.acknowledged() {
            heard.lose(at, limits);
        }
        let sample = heard.acknowledge(
            AcknowledgingSegment {
                at,
                number,
                bare,
                window: Some(SegmentWindow { raw: header.window, scale: WindowScale::of(Some(0)) }),
                selective: packet.selective > 0,
                delayed: heard.end.reported.at_target,
                to_sender: self.connection.place.half(there).unwrap_or(0).saturating_add(heard.waited()),
                single_is_fin: false,
            },
            limits,
        );
        heard.end.stand_at(heard.next());
        if let Some(nanos) = sample {
            self.connection.place.round_trip(direction, nanos);
        }
    }

    fn carry(&mut self, direction: Direction, packet: MeasuredPacket<'_>, limits: &MeasurementLimits) {
        let header = packet.header;
        if header.kind == Kind::State {
            return;
        }
        let said = &mut self.connection.directions[direction as usize];
        if !said.begun() {
            said.begin_with(header.sequence);
        }
        let Some(start) = said.end.place_of(header.sequence) else { return };
        // Below the first place is what was sent before the capture began.
        if start < FIRST_PLACE {
            return;
        }
        let bytes = packet.bytes as u64;
        said.sender.carries(bytes, u32::MAX);
        if header.kind == Kind::Fin {
            self.connection.course.end(direction);
        }
        let numbered = NumberedSegment {
            at: self.connection.now,
            start,
            end: start + 1,
            bytes,
            clock: Some(header.timestamp),
            // The receiver reports the wait on the whole way.
            counts_wait: false,
            place: &self.connection.place,
        };
        said.send(numbered, limits);
        said.end.stand_at(said.next());
    }

    /// Gives the memory back.
    pub(crate) fn forget(self: Box<Self>, budget: &mut MeasurementBudget) {
        self.connection.forget(budget);
    }

    /// What was measured. The connection is over.
    pub(crate) fn finish(
        self: Box<Self>,
        moment: Moment,
        closing: StreamClosing,
        budget: &mut MeasurementBudget,
    ) -> Box<ConnectionMeasurement> {
        Box::new(self.connection.finish(moment, closing, budget))
    }
}

/// What the receiver of a direction reports of the delay on the way. The two clocks are not set alike, so that only
/// differences between reports say anything.
#[derive(Debug, Default)]
struct ReportedDelay {
    /// The first report: others count from it.
    first: Option<u32>,
    smallest: SlidingMinimum,
    at_target: bool,
}

impl ReportedDelay {
    /// The receiver reports that the last packet took so many microseconds, give or take the clocks. The answer is how many
    /// microseconds it waited. 0 says that there was no packet.
    fn waited(&mut self, at: Timestamp, micros: u32) -> Option<u32> {
        if micros == 0 {
            return None;
        }
        let relative = micros.wrapping_sub(*self.first.get_or_insert(micros)).cast_signed().into();
        let waited = u32::try_from(relative - self.smallest.with(at, relative)).unwrap_or(0);
        self.at_target = waited >= if self.at_target { LEFT_BELOW } else { REACHED_AT };
        Some(waited)
    }
}

/// How far ahead a packet may be: half the numbers must remain to tell what is old.
const MAX_AHEAD: u16 = 16_384;
/// The clock in the header counts microseconds (BEP 29, `timestamp_microseconds`); here in nanoseconds.
const MICROSECOND: u64 = 1_000;
/// So many packets behind a missing one mean that it is lost (BEP 29, "Packet loss").
const SELECTIVE_LOSS: u32 = 3;
/// The target is 100 ms (BEP 29, `CCONTROL_TARGET`). The delay swings around it, so that from these microseconds on the
/// sender holds back, until the delay is well below.
const REACHED_AT: u32 = 90_000;
const LEFT_BELOW: u32 = 60_000;

#[cfg(test)]
mod tests;
