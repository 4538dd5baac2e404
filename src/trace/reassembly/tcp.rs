//! TCP reassembly: segments in whatever order a capture holds them become connections with one run of bytes a
//! direction. Bytes are delivered once and in order, each packet's in its own burst; those that the capture
//! lost become gaps. Memory is bounded whatever the capture holds, and no segment can make it panic.

use std::collections::VecDeque;
use std::time::Duration;

use bittrace_protocol::Timestamp;

use crate::burst::{Direction, Moment, StreamClosing, StreamEvent, StreamId, StreamInterest, StreamSink};
use crate::measurement::SegmentNotes;
use crate::packet::four_tuple::{FourTuple, PacketEnds};
use crate::packet::link::Segment;

mod connection;
mod half;
mod table;
#[cfg(test)]
mod tests;

use connection::TcpConnection;
use table::{Table, TableSlot};

/// Follows all TCP connections of a capture.
///
/// Events of one direction come in the order of its bytes. Bytes that had to wait for others keep the moment
/// of their own packet, so moments may run back.
#[derive(Default)]
pub struct Reassembler {
    table: Table,
    next_stream: u32,
    held_cost: usize,
    /// The connections with holes, the oldest holes first; some may be filled since.
    holes: VecDeque<(TableSlot, StreamId)>,
    next_sweep: Option<Timestamp>,
    /// Segments since the last sweep that found holes.
    unswept: usize,
    last: Option<Moment>,
    /// What is to be measured, where that is asked for.
    notes: Option<SegmentNotes>,
}

impl Reassembler {
    /// A reassembler that knows of no connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// A reassembler that also notes down what is to be measured of each connection whose bytes are wanted.
    pub(crate) fn noting() -> Self {
        Self { notes: Some(SegmentNotes::default()), ..Self::default() }
    }

    /// What was noted down and not taken yet. Whoever asked for it takes it now and then: it has no bound.
    pub(crate) const fn notes(&mut self) -> Option<&mut SegmentNotes> {
        self.notes.as_mut()
    }

    /// Takes in one segment, and hands to `sink` what follows from it: mostly nothing or one burst.
    ///
    /// Each event comes with the moment of the packet that carried its bytes or that caused it. What the sink
    /// answers holds for the event's connection, for good.
    #[inline]
    pub fn segment(
        &mut self,
        moment: Moment,
        segment: &Segment<'_>,
        sink: &mut impl FnMut(Moment, StreamEvent<'_>) -> StreamInterest,
    ) {
        self.segment_between(moment, PacketEnds::new(segment.src, segment.dst).between, segment, sink);
    }

    /// The same, where it is known already between which ends the segment went.
    #[inline]
    pub(crate) fn segment_between(
        &mut self,
        moment: Moment,
        key: FourTuple,
        segment: &Segment<'_>,
        sink: &mut impl FnMut(Moment, StreamEvent<'_>) -> StreamInterest,
    ) {
        self.last = Some(moment);
        let mut found = self.table.find(&key);
        if let Some(place) = found
            && self.table.at(place).is_replaced_by(segment)
        {
            self.replace(place, moment, sink);
            found = None;
        }
        let place = match found {
            Some(place) => place,
            // A reset of what was never heard says nothing.
            None if segment.rst => return,
            None => self.open(key, moment, segment, sink),
        };
        let connection = self.table.at(place);
        if connection.is_closed() {
            return;
        }
        let direction = connection.direction(segment);
        if connection.noted
            && let Some(notes) = &mut self.notes
        {
            notes.segment(connection.stream, moment, direction, segment);
        }
        self.table.touch(place);
        self.visit(place, sink, |connection, outlet| connection.segment(moment, direction, segment, outlet));
        if !self.holes.is_empty() {
            self.tend_holes(moment, sink);
        }
    }

    /// The capture has ended: gives up all holes and closes every connection.
    pub fn finish(&mut self, sink: &mut impl FnMut(Moment, StreamEvent<'_>) -> StreamInterest) {
        let Some(last) = self.last else { return };
        let mut open = self.table.all_open();
        open.sort_unstable_by_key(|&place| self.table.at(place).stream);
        for place in open {
            let closing = self.table.at(place).fallen_silent(StreamClosing::CaptureEnded);
            self.visit(place, sink, |connection, outlet| connection.close(last, closing, outlet));
        }
    }

    fn open(
        &mut self,
        key: FourTuple,
        moment: Moment,
        segment: &Segment<'_>,
        sink: &mut impl StreamSink,
    ) -> TableSlot {
        if self.table.open() >= MAX_OPEN
            && let Some(idle) = self.table.longest_idle()
        {
            self.replace(idle, moment, sink);
        }
        let stream = StreamId(self.next_stream);
        self.next_stream += 1;
        let mut connection = TcpConnection::begun_by(segment, stream);
        connection.noted = self.notes.is_some();
        let (flow, opening) = (connection.flow, connection.opening);
        let place = self.table.insert(key, connection);
        self.visit(place, sink, |_, outlet| {
            outlet.emit(moment, StreamEvent::Opened { stream, flow, opening });
        });
        place
    }

    /// Closes a connection, if it is not yet, and forgets it.
    fn replace(&mut self, place: TableSlot, moment: Moment, sink: &mut impl StreamSink) {
        let closing = self.table.at(place).fallen_silent(StreamClosing::Replaced);
        self.visit(place, sink, |connection, outlet| connection.close(moment, closing, outlet));
        self.table.remove(place);
    }

    /// Lets something happen to a connection, and keeps the books.
    #[inline]
    fn visit<S: StreamSink>(
        &mut self,
        place: TableSlot,
        sink: &mut S,
        happen: impl FnOnce(&mut TcpConnection, &mut Outlet<'_, S>),
    ) {
        let connection = self.table.at(place);
        let was_closed = connection.is_closed();
        let before = connection.held_cost();
        let (stream, wanted) = (connection.stream, connection.wanted);
        let mut outlet = Outlet { sink, stream, wanted, notes: self.notes.as_mut() };
        happen(connection, &mut outlet);
        if connection.wanted && !outlet.wanted {
            connection.wanted = false;
            connection.forget_held();
            if std::mem::take(&mut connection.noted)
                && let Some(notes) = outlet.notes
            {
                notes.unwanted(stream);
            }
        }
        let after = connection.held_cost();
        self.held_cost = self.held_cost + after - before;
        let closes = !was_closed && connection.is_closed();
        if !connection.listed && !closes && connection.has_hole() {
            connection.listed = true;
            let stream = connection.stream;
            self.holes.push_back((place, stream));
        }
        if closes {
            self.retire(place);
        }
    }

    #[cold]
    fn retire(&mut self, place: TableSlot) {
        self.table.retire(place);
        if self.table.closed() > MAX_CLOSED
            && let Some(oldest) = self.table.longest_closed()
        {
            self.table.remove(oldest);
        }
    }

    /// Gives up the oldest holes when too much is held, and now and then those of silent connections.
    #[cold]
    fn tend_holes(&mut self, moment: Moment, sink: &mut impl StreamSink) {
        while self.held_cost > MAX_HELD {
            let Some((place, stream)) = self.holes.pop_front() else { break };
            if self.unlist(place, stream) {
                self.visit(place, sink, |connection, outlet| connection.give_up(moment, outlet));
            }
        }
        self.unswept += 1;
        // However fast the capture's time runs, a sweep must not cost more than the segments before it.
        let due =
            self.next_sweep.is_none_or(|next| moment.at >= next) && self.unswept >= self.holes.len() / 8;
        if !due && self.holes.len() <= 2 * MAX_OPEN {
            return;
        }
        self.unswept = 0;
        self.next_sweep = Some(moment.at + SWEEP_TIME);
        for _ in 0..self.holes.len() {
            let Some((place, stream)) = self.holes.pop_front() else { break };
            if self.unlist(place, stream) {
                self.visit(place, sink, |connection, outlet| connection.expire(moment, outlet));
            }
        }
    }

    /// Marks a connection as no longer in the list of holes: whether it has one. Its place may be another's by
    /// now.
    fn unlist(&mut self, place: TableSlot, stream: StreamId) -> bool {
        let connection = self.table.at(place);
        if connection.stream != stream {
            return false;
        }
        connection.listed = false;
        !connection.is_closed() && connection.has_hole()
    }
}

/// Where the events of one connection go, as long as they are wanted.
struct Outlet<'s, S> {
    sink: &'s mut S,
    stream: StreamId,
    wanted: bool,
    notes: Option<&'s mut SegmentNotes>,
}

impl<S: StreamSink> Outlet<'_, S> {
    fn wanted(&self) -> bool {
        self.wanted
    }

    #[inline]
    fn emit(&mut self, moment: Moment, event: StreamEvent<'_>) {
        if self.wanted && (self.sink)(moment, event) == StreamInterest::Unwanted {
            self.wanted = false;
        }
    }

    #[inline]
    fn burst(&mut self, moment: Moment, direction: Direction, bytes: &[u8]) {
        self.emit(moment, StreamEvent::Burst { stream: self.stream, direction, bytes });
    }

    fn gap(&mut self, moment: Moment, direction: Direction, length: u64) {
        self.emit(moment, StreamEvent::Gap { stream: self.stream, direction, length });
    }
}

/// Connections that may be open at once; then the longest idle has to go.
const MAX_OPEN: usize = 65_536;
/// Closed connections that are remembered, so that their stragglers do not look like new ones.
const MAX_CLOSED: usize = 16_384;
/// Bytes that all connections may hold together.
const MAX_HELD: usize = 32 << 20;
/// How often silent connections are looked at, in capture time.
const SWEEP_TIME: Duration = Duration::from_secs(1);
