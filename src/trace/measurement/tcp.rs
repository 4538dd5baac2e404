//! Measures one TCP connection, segment by segment. Numbers of 32 bits are unwrapped around the highest that was sent.

use bittrace_protocol::Timestamp;

use super::budget::{MeasurementBudget, MeasurementLimits};
use super::clock::ClockWaits;
use super::connection::{FIRST_PLACE, MeasuredConnection};
use super::direction::{AcknowledgingSegment, MeasuredDirection, NumberedSegment, SegmentWindow, elapsed};
use super::options::TcpOptions;
use crate::packet::link::Segment;
use crate::{ConnectionMeasurement, Direction, Moment, StreamClosing};

/// A TCP connection that is being measured.
#[derive(Debug)]
pub(crate) struct TcpMeasuring {
    connection: MeasuredConnection,
    /// When each end's only SYN was captured; `None` where there was none, or several.
    syns: [Option<Timestamp>; 2],
    /// How many SYNs with an acknowledgement the responder sent.
    answers: u32,
    /// Whether the initiator's next segment answers the only SYN/ACK.
    awaits_third: bool,
    ends: [TcpEnd; 2],
}

/// What one end said of itself, and where the numbers of what it sends stand.
#[derive(Debug, Default)]
struct TcpEnd {
    /// The options of its SYN.
    syn: Option<TcpOptions>,
    /// By how many bits its windows are shifted.
    scale: Option<u8>,
    /// Its number that stands at `place`.
    number: u32,
    place: u64,
    /// The number behind its last byte, where it ended its direction.
    fin: Option<u64>,
    /// The latest of its clock.
    clock: Option<u32>,
    /// A clock that was captured for the first time then, and that the other end has not echoed.
    timed: Option<(u32, Timestamp)>,
}

impl TcpEnd {
    /// The place of a number; `None` where it is too far from the others to be one of this connection.
    fn place_of(&self, number: u32) -> Option<u64> {
        let ahead = number.wrapping_sub(self.number).cast_signed();
        (ahead.unsigned_abs() <= WINDOW).then(|| self.place.saturating_add_signed(ahead.into()))
    }

    /// Numbers are unwrapped around this one from now on.
    fn stand_at(&mut self, place: u64) {
        self.number = self.number.wrapping_add(place.wrapping_sub(self.place) as u32);
        self.place = place;
    }
}

impl TcpMeasuring {
    /// A connection whose first packet comes now.
    pub(crate) fn begun_at(moment: Moment) -> Self {
        let direction = || MeasuredDirection::begun_at(moment.at, ClockWaits::ticking(MILLISECOND, false), 1);
        let end = || TcpEnd { place: FIRST_PLACE, ..TcpEnd::default() };
        Self {
            connection: MeasuredConnection::begun_at(moment.at, [direction(), direction()]),
            syns: [None; 2],
            answers: 0,
            awaits_third: false,
            ends: [end(), end()],
        }
    }

    /// Takes in a segment.
    pub(crate) fn segment(
        &mut self,
        moment: Moment,
        direction: Direction,
        segment: &Segment<'_>,
        budget: &mut MeasurementBudget,
    ) {
        let limits = budget.limits();
        let options = TcpOptions::read(segment.options);
        let at = self.connection.heard(moment, direction);
        self.connection.place.sent(direction, segment.outgoing);
        if segment.rst {
            self.connection.course.reset = Some((moment, direction));
            return;
        }
        if segment.syn {
            self.synchronize(at, direction, segment, options);
        } else {
            self.shake(at, direction, segment);
        }
        if let Some((clock, echo)) = options.time_stamps {
            self.time_stamps(at, direction, clock, segment.ack.is_some().then_some(echo));
        }
        if let Some(ack) = segment.ack {
            self.acknowledge(at, direction, ack, segment, &options, limits);
        }
        self.carry(moment, direction, segment, &options, limits);
        self.connection.count(budget);
    }

    fn synchronize(
        &mut self,
        at: Timestamp,
        direction: Direction,
        segment: &Segment<'_>,
        options: TcpOptions,
    ) {
        let end = &mut self.ends[direction as usize];
        let repeated = end.syn.replace(options).is_some();
        self.syns[direction as usize] = if repeated { None } else { Some(at) };
        match direction {
            Direction::FromInitiator => self.connection.course.syns += 1,
            Direction::FromResponder => {
                self.connection.course.answered = true;
                self.answers += u32::from(segment.ack.is_some());
                if let Some(asked) = self.syns[0].filter(|_| self.answers == 1) {
                    self.connection.place.round_trip(Direction::FromResponder, elapsed(asked, at));
                }
                self.awaits_third = self.answers == 1 && !repeated;
            }
        }
        let [initiator, responder] = &mut self.ends;
        (initiator.scale, responder.scale) = match (&initiator.syn, &responder.syn) {
            (Some(asked), Some(answered)) => match (asked.window_scale, answered.window_scale) {
                (Some(asked), Some(answered)) => (Some(asked), Some(answered)),
                _ => (Some(0), Some(0)),
            },
            // The answer has the option only where the SYN has it (RFC 7323, section 2.2).
            (None, Some(answered)) if answered.window_scale.is_some() => (None, answered.window_scale),
            (Some(TcpOptions { window_scale: None, .. }), None)
            | (None, Some(TcpOptions { window_scale: None, .. })) => (Some(0), Some(0)),
            _ => (None, None),
        };
    }

    /// The third segment of the handshake, where this is the one.
    fn shake(&mut self, at: Timestamp, direction: Direction, segment: &Segment<'_>) {
        if !self.awaits_third || direction == Direction::FromResponder {
            return;
        }
        self.awaits_third = false;
        let Some(answered) = self.syns[1].filter(|_| segment.ack.is_some()) else { return };
        self.connection.place.round_trip(Direction::FromInitiator, elapsed(answered, at));
        self.connection.handshake = self.syns[0].map(|asked| elapsed(asked, at));
    }

    /// Times how long a clock's value takes to come back (RFC 7323, section 4). One value at a time is followed: the
    /// smallest time is all that is wanted.
    fn time_stamps(&mut self, at: Timestamp, direction: Direction, clock: u32, echo: Option<u32>) {
        let (here, there) = (direction as usize, direction.reverse() as usize);
        if let Some(echo) = echo
            && let Some((timed, since)) = self.ends[there].timed
            && echo.wrapping_sub(timed).cast_signed() >= 0
        {
            if echo == timed {
                self.connection.place.round_trip(direction, elapsed(since, at));
            }
            self.ends[there].timed = None;
        }
        let end = &mut self.ends[here];
        // A value that came before may be on its way back already.
        let is_new = end.clock.is_none_or(|last| clock.wrapping_sub(last).cast_signed() > 0);
        if is_new {
            end.clock = Some(clock);
            end.timed.get_or_insert((clock, at));
        }
    }

    fn acknowledge(
        &mut self,
        at: Timestamp,
        direction: Direction,
        ack: u32,
        segment: &Segment<'_>,
        options: &TcpOptions,
        limits: &MeasurementLimits,
    ) {
        let there = direction.reverse();
        let scale = self.ends[direction as usize].scale;
        let sender = &mut self.ends[there as usize];
        let heard = &mut self.connection.directions[there as usize];
        if !heard.begun() {
            sender.number = ack;
            heard.begin(sender.place);
        }
        let Some(number) = sender.place_of(ack) else { return };
        let bare = segment.payload.is_empty() && segment.lost_tail == 0 && !segment.syn && !segment.fin;
        // A block before the acknowledged number tells of bytes that came twice (RFC 2883).
        let selective = options.selective.and_then(|(start, _)| sender.place_of(start));
        let sample = heard.acknowledge(
            AcknowledgingSegment {
                at,
                number,
                bare,
                window: (!segment.syn).then_some(SegmentWindow { raw: segment.window.into(), scale }),
                selective: selective.is_some_and(|start| start >= number),
                delayed: false,
                to_sender: self.connection.place.half(there).unwrap_or(0).saturating_add(heard.waited()),
                single_is_fin: true,
            },
            limits,
        );
        sender.stand_at(heard.next());
        if let Some(nanos) = sample {
            self.connection.place.round_trip(direction, nanos);
        }
    }

    fn carry(
        &mut self,
        moment: Moment,
        direction: Direction,
        segment: &Segment<'_>,
        options: &TcpOptions,
        limits: &MeasurementLimits,
    ) {
        let bytes = segment.payload.len() as u64 + u64::from(segment.lost_tail);
        let taken_by_other =
            self.ends[direction.reverse() as usize].syn.as_ref().and_then(|syn| syn.largest_segment);
        let end = &mut self.ends[direction as usize];
        let said = &mut self.connection.directions[direction as usize];
        // The SYN itself takes the number before the first byte.
        let number = segment.seq.wrapping_add(segment.syn.into());
        if segment.syn && !said.begun() {
            end.number = number;
            said.begin(end.place);
        }
        if bytes == 0 && !segment.fin {
            let place = end.place_of(number).filter(|_| said.begun() && !segment.syn && end.fin.is_none());
            match place {
                Some(place) if place + 1 == said.next() => said.counts.probes += 1,
                // What was sent before was not captured: it may be lost on its way, with nothing of its direction after it.
                Some(place) if place > said.next() && place - said.next() <= FURTHEST_SHOWN => {
                    let clock = options.time_stamps.map(|(clock, _)| clock);
                    said.leave_hole(self.connection.now, place, clock, limits);
                    end.stand_at(place);
                }
                _ => {}
            }
            return;
        }
        if !said.begun() {
            end.number = number;
            said.begin(end.place);
        }
        let Some(start) = end.place_of(number) else { return };
        // Below the first place is what was sent before the capture began.
        if start < FIRST_PLACE {
            return;
        }
        // One byte before the next is a keep-alive (RFC 9293, section 3.8.4), one byte into a closed window a probe
        // (section 3.8.6.1).
        let before_next = start + 1 == said.next() && said.acknowledged() == said.next();
        if bytes == 1 && !segment.fin && (before_next || said.is_closed()) {
            said.counts.probes += 1;
            return;
        }
        let largest = u64::from(taken_by_other.unwrap_or(LARGEST_OF_ANY_LINK));
        self.connection.offloaded |= bytes > largest;
        said.sender.segment = said.sender.segment.max(bytes.min(largest) as u32);
        if segment.fin && end.fin.is_none() {
            end.fin = Some(start + bytes);
            self.connection.course.fins[direction as usize].get_or_insert(moment);
        }
        let numbered = NumberedSegment {
            at: self.connection.now,
            start,
            end: start + bytes + u64::from(segment.fin),
            bytes,
            clock: options.time_stamps.map(|(clock, _)| clock),
            counts_wait: bytes > 0,
            round_trip: self.connection.place.whole(),
        };
        said.send(numbered, limits);
        end.stand_at(said.next());
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

/// The largest window that TCP can offer (RFC 7323, section 2.2): what lies farther ahead is not a part of the connection.
const WINDOW: u32 = 1 << 30;
/// The bytes of TCP in a jumbo frame of 9,000 bytes: no link carries more.
const LARGEST_OF_ANY_LINK: u16 = 8_960;
/// How many bytes a segment without any may show to have been sent before it: no more is in flight on any path.
const FURTHEST_SHOWN: u64 = 16 << 20;
/// What the clock in time stamps mostly counts, in nanoseconds.
const MILLISECOND: u64 = 1_000_000;

#[cfg(test)]
mod tests;
