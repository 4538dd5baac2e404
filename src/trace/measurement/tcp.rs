//! Measures one TCP connection, segment by segment. Numbers of 32 bits are unwrapped around the highest that was sent.

mod connections;
mod notes;

use bittrace_protocol::Timestamp;

use self::notes::{MeasuredSegment, PlainSegment};
use super::budget::{MeasurementBudget, MeasurementLimits};
use super::clock::ClockWaits;
use super::connection::{CapturedAt, FIRST_PLACE, MeasuredConnection};
use super::direction::{
    AcknowledgingSegment, MeasuredDirection, NumberedSegment, SegmentWindow, WindowScale, elapsed,
};
use super::options::TcpOptions;
use crate::{ConnectionMeasurement, Direction, Moment, StreamClosing};

pub(crate) use connections::TcpMeasurements;
pub(crate) use notes::SegmentNotes;

/// A TCP connection that is being measured.
// What each segment touches stands together: see `MeasuredDirection`.
#[derive(Debug)]
#[repr(C)]
struct TcpMeasuring {
    /// When each end's only SYN was captured; `None` where there was none, or several.
    syns: [Option<Timestamp>; 2],
    /// How many SYNs with an acknowledgement the responder sent.
    answers: u32,
    /// Whether the initiator's next segment answers the only SYN/ACK.
    awaits_third: bool,
    connection: MeasuredConnection<TcpEnd>,
}

/// What one end said of itself, and where the numbers of what it sends stand.
#[derive(Debug)]
#[repr(C)]
struct TcpEnd {
    /// The most bytes that a segment to it may carry.
    takes: u16,
    /// By how many bits its windows are shifted.
    scale: WindowScale,
    /// Its number at place 0, and so at each multiple of 2^32.
    zero: u32,
    /// The latest of its clock.
    clock: Option<u32>,
    /// A clock that was captured for the first time then, and that the other end has not echoed.
    timed: Option<(u32, Timestamp)>,
    /// The number behind its last byte, where it ended its direction.
    fin: Option<u64>,
    /// The options of its SYN.
    syn: Option<TcpOptions>,
}

impl Default for TcpEnd {
    fn default() -> Self {
        let takes = LARGEST_OF_ANY_LINK;
        Self { syn: None, takes, scale: WindowScale::UNKNOWN, zero: 0, fin: None, clock: None, timed: None }
    }
}

impl MeasuredDirection<TcpEnd> {
    /// The place of a number; `None` where it is too far from the next to be one of this connection.
    #[inline(always)]
    fn place_of(&self, number: u32) -> Option<u64> {
        let ahead = number.wrapping_sub(self.number_at(self.next())).cast_signed();
        (ahead.unsigned_abs() <= WINDOW).then(|| self.next().wrapping_add_signed(ahead.into()))
    }

    /// The number of a place.
    #[inline(always)]
    const fn number_at(&self, place: u64) -> u32 {
        self.end.zero.wrapping_add(place as u32)
    }

    /// The direction begins with this number.
    #[cold]
    const fn begin_with(&mut self, number: u32) {
        self.end.zero = number.wrapping_sub(FIRST_PLACE as u32);
        self.begin(FIRST_PLACE);
    }
}

/// What an end says, and what it hears.
const fn sides<T>(pair: &mut [T; 2], end: Direction) -> (&mut T, &mut T) {
    let [initiator, responder] = pair;
    match end {
        Direction::FromInitiator => (initiator, responder),
        Direction::FromResponder => (responder, initiator),
    }
}

impl TcpMeasuring {
    /// A connection whose first packet comes now.
    fn begun_at(moment: Moment) -> Self {
        let waits = || ClockWaits::ticking(MILLISECOND, false);
        let direction = || MeasuredDirection::begun_at(moment.at, waits(), 1, TcpEnd::default());
        Self {
            connection: MeasuredConnection::begun_at(moment.at, [direction(), direction()]),
            syns: [None; 2],
            answers: 0,
            awaits_third: false,
        }
    }

    /// Takes in a segment as most are.
    #[inline]
    fn plain_segment(&mut self, segment: PlainSegment, budget: &mut MeasurementBudget) {
        let limits = budget.limits();
        // Where the direction is known, so is the place of all that is read and written.
        let goes_on = match segment.direction {
            Direction::FromInitiator => self.go_on(&segment, Direction::FromInitiator, limits),
            Direction::FromResponder => self.go_on(&segment, Direction::FromResponder, limits),
        };
        if goes_on {
            self.connection.count(budget);
        } else {
            self.any_segment(&segment.into(), budget);
        }
    }

    /// Takes in a segment of an open connection that carries the next bytes, or acknowledges some more, or both, and changes nothing
    /// else, as most do. Whether it is such a segment; of any other nothing is taken in. Whatever this does
    /// [`any_segment`](Self::any_segment) would do as well, in more steps.
    #[inline(always)]
    fn go_on(&mut self, segment: &PlainSegment, direction: Direction, limits: &MeasurementLimits) -> bool {
        let PlainSegment { moment, ack, time_stamps, .. } = *segment;
        let bytes = u64::from(segment.bytes);
        let (from, to) = (direction as usize, direction.reverse() as usize);
        let (said, heard) = (&self.connection.directions[from], &self.connection.directions[to]);
        if self.awaits_third || !said.begun() || segment.seq != said.number_at(said.next()) {
            return false;
        }
        let (acknowledged, outstanding) = (heard.acknowledged(), heard.next() - heard.acknowledged());
        let further = u64::from(ack.wrapping_sub(heard.number_at(acknowledged)));
        if further > outstanding || outstanding > WINDOW.into() {
            return false;
        }
        // One byte may be a probe of a closed window; nothing at all, and nothing new, tells of a loss or of a window.
        let tells_more = bytes == 1 || bytes + further == 0;
        let window = SegmentWindow { raw: segment.window.into(), scale: said.end.scale };
        if tells_more || !heard.goes_on(window) {
            return false;
        }

        let at = self.connection.heard(moment, direction);
        self.connection.place.sent(direction, segment.outgoing);
        if let Some((clock, echo)) = time_stamps {
            self.time_stamps(at, direction, clock, Some(echo));
        }
        let MeasuredConnection { place, directions, offloaded, .. } = &mut self.connection;
        let heard = &mut directions[to];
        if further > 0 || heard.has_news() {
            let to_sender = to_sender(place, direction, heard);
            if let Some(nanos) = heard.advance(at, further, bytes == 0, to_sender, limits) {
                place.round_trip(direction, nanos);
            }
        }
        if bytes > 0 {
            let takes = directions[to].end.takes;
            let said = &mut directions[from];
            if said.sender.carries(bytes, takes.into()) {
                *offloaded = true;
            }
            said.send_next(at, bytes, time_stamps.map(|(clock, _)| clock), limits);
        }
        true
    }

    /// Takes in a segment, whatever it is.
    #[inline(never)]
    fn any_segment(&mut self, segment: &MeasuredSegment, budget: &mut MeasurementBudget) {
        let limits = budget.limits();
        let MeasuredSegment { moment, direction, time_stamps, .. } = *segment;
        let at = self.connection.heard(moment, direction);
        self.connection.place.sent(direction, segment.outgoing);
        if segment.rst {
            self.connection.course.reset = Some((moment, direction));
            return;
        }
        if segment.syn {
            self.synchronize(at, direction, segment);
        } else if self.awaits_third {
            self.shake(at, direction, segment);
        }
        if let Some((clock, echo)) = time_stamps {
            self.time_stamps(at, direction, clock, segment.ack.map(|_| echo));
        }
        if let Some(ack) = segment.ack {
            self.acknowledge(at, direction, ack, segment, limits);
        }
        self.carry(direction, segment, time_stamps.map(|(clock, _)| clock), limits);
        self.connection.count(budget);
    }

    fn synchronize(&mut self, at: Timestamp, direction: Direction, segment: &MeasuredSegment) {
        let options = TcpOptions::read(&segment.options);
        let end = &mut self.connection.directions[direction as usize].end;
        end.takes = options.largest_segment.unwrap_or(LARGEST_OF_ANY_LINK);
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
        let [initiator, responder] =
            self.connection.directions.each_mut().map(|direction| &mut direction.end);
        let scales = match (&initiator.syn, &responder.syn) {
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
        (initiator.scale, responder.scale) = (WindowScale::of(scales.0), WindowScale::of(scales.1));
    }

    /// The third segment of the handshake, where this is the one.
    #[cold]
    fn shake(&mut self, at: Timestamp, direction: Direction, segment: &MeasuredSegment) {
        if direction == Direction::FromResponder {
            return;
        }
        self.awaits_third = false;
        let Some(answered) = self.syns[1].filter(|_| segment.ack.is_some()) else { return };
        self.connection.place.round_trip(Direction::FromInitiator, elapsed(answered, at));
        self.connection.handshake = self.syns[0].map(|asked| elapsed(asked, at));
    }

    /// Times how long a clock's value takes to come back (RFC 7323, section 4). One value at a time is followed: the
    /// smallest time is all that is wanted.
    #[inline(always)]
    fn time_stamps(&mut self, at: Timestamp, direction: Direction, clock: u32, echo: Option<u32>) {
        let MeasuredConnection { place, directions, .. } = &mut self.connection;
        let there = &mut directions[direction.reverse() as usize].end;
        if let Some(echo) = echo
            && let Some((timed, since)) = there.timed
            && echo.wrapping_sub(timed).cast_signed() >= 0
        {
            if echo == timed {
                place.round_trip(direction, elapsed(since, at));
            }
            there.timed = None;
        }
        // A value that came before may be on its way back already.
        let here = &mut directions[direction as usize].end;
        if here.clock.is_none_or(|last| clock.wrapping_sub(last).cast_signed() > 0) {
            here.clock = Some(clock);
            here.timed.get_or_insert((clock, at));
        }
    }

    #[inline(always)]
    fn acknowledge(
        &mut self,
        at: Timestamp,
        direction: Direction,
        ack: u32,
        segment: &MeasuredSegment,
        limits: &MeasurementLimits,
    ) {
        let MeasuredConnection { place, directions, .. } = &mut self.connection;
        let (said, heard) = sides(directions, direction);
        if !heard.begun() {
            heard.begin_with(ack);
        }
        let Some(number) = heard.place_of(ack) else { return };
        let window = SegmentWindow { raw: segment.window.into(), scale: said.end.scale };
        let bare = segment.captured == 0 && !segment.syn && !segment.fin && segment.lost_tail == 0;
        let sample = heard.acknowledge(
            AcknowledgingSegment {
                at,
                number,
                bare,
                window: if segment.syn { None } else { Some(window) },
                // A block before the acknowledged number tells of bytes that came twice (RFC 2883).
                selective: bare && selects_later(segment, number, heard),
                delayed: false,
                to_sender: to_sender(place, direction, heard),
                single_is_fin: true,
            },
            limits,
        );
        if let Some(nanos) = sample {
            place.round_trip(direction, nanos);
        }
    }

    #[inline(always)]
    fn carry(
        &mut self,
        direction: Direction,
        segment: &MeasuredSegment,
        clock: Option<u32>,
        limits: &MeasurementLimits,
    ) {
        let MeasuredConnection { place, directions, course, offloaded, now, .. } = &mut self.connection;
        let (said, heard) = sides(directions, direction);
        let bytes = segment.captured + u64::from(segment.lost_tail);
        // The SYN itself takes the number before the first byte.
        let number = segment.seq.wrapping_add(segment.syn.into());
        if !said.begun() && (segment.syn || bytes > 0 || segment.fin) {
            said.begin_with(number);
        }
        if bytes == 0 && !segment.fin {
            if said.begun() && !segment.syn {
                carry_nothing(*now, said.place_of(number), clock, said, limits);
            }
            return;
        }
        let Some(start) = said.place_of(number) else { return };
        // Below the first place is what was sent before the capture began.
        if start < FIRST_PLACE {
            return;
        }
        if bytes == 1 && !segment.fin && is_probe(start, said) {
            said.counts.probes += 1;
            return;
        }
        *offloaded |= said.sender.carries(bytes, heard.end.takes.into());
        if segment.fin && said.end.fin.is_none() {
            said.end.fin = Some(start + bytes);
            course.end(direction);
        }
        let numbered = NumberedSegment {
            at: *now,
            start,
            end: start + bytes + u64::from(segment.fin),
            bytes,
            clock,
            counts_wait: bytes > 0,
            place,
        };
        said.send(numbered, limits);
    }

    /// Gives the memory back.
    fn forget(self: Box<Self>, budget: &mut MeasurementBudget) {
        self.connection.forget(budget);
    }

    /// What was measured. The connection is over.
    fn finish(
        self: Box<Self>,
        moment: Moment,
        closing: StreamClosing,
        budget: &mut MeasurementBudget,
    ) -> Box<ConnectionMeasurement> {
        Box::new(self.connection.finish(moment, closing, budget))
    }
}

/// Nanoseconds from here to the sender of a direction and back, whose segments the segments in `direction` acknowledge.
#[inline(always)]
fn to_sender(place: &CapturedAt, direction: Direction, heard: &MeasuredDirection<TcpEnd>) -> u64 {
    place.half(direction.reverse()).unwrap_or(0).saturating_add(heard.waited())
}

/// Whether a segment says that bytes after the acknowledged ones have arrived.
fn selects_later(segment: &MeasuredSegment, acknowledged: u64, heard: &MeasuredDirection<TcpEnd>) -> bool {
    let selective = TcpOptions::selective_of(&segment.options);
    let first = selective.and_then(|(first, _)| heard.place_of(first));
    first.is_some_and(|first| first >= acknowledged)
}

/// Takes in a segment without bytes that stands at a place: of most of them that is where the next byte comes.
#[inline(always)]
fn carry_nothing(
    now: Timestamp,
    place: Option<u64>,
    clock: Option<u32>,
    said: &mut MeasuredDirection<TcpEnd>,
    limits: &MeasurementLimits,
) {
    let Some(place) = place.filter(|place| *place != said.next() && said.end.fin.is_none()) else { return };
    if place + 1 == said.next() {
        said.counts.probes += 1;
    } else if place > said.next() && place - said.next() <= FURTHEST_SHOWN {
        // What was sent before was not captured: it may be lost on its way, with nothing of its direction after it.
        said.leave_hole(now, place, clock, limits);
    }
}

/// Whether a segment of one byte is none of the stream: one byte before the next is a keep-alive (RFC 9293, section 3.8.4), one
/// byte into a closed window a probe (section 3.8.6.1).
#[cold]
const fn is_probe(start: u64, said: &MeasuredDirection<TcpEnd>) -> bool {
    let before_next = start + 1 == said.next() && said.acknowledged() == said.next();
    before_next || said.is_closed()
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
