//! One connection: how it opens, what each end says, how it closes.

use super::Outlet;
use super::half::{Piece, TcpHalf};
use crate::burst::{
    Direction, Flow, Moment, StreamClosing, StreamEvent, StreamId, StreamOpening, StreamSink,
};
use crate::packet::link::Segment;

/// A connection that is being followed, or was until it closed.
pub(super) struct TcpConnection {
    pub(super) stream: StreamId,
    pub(super) flow: Flow,
    pub(super) opening: StreamOpening,
    pub(super) wanted: bool,
    /// Whether it stands in the list of those with holes.
    pub(super) listed: bool,
    established: bool,
    closed: Option<StreamClosing>,
    from_initiator: TcpHalf,
    from_responder: TcpHalf,
    /// Whether a packet of a direction was captured.
    seen: [bool; 2],
    /// Whether bytes of a direction were said to be missing.
    missing: [bool; 2],
    /// Whether its segments are noted down, to be measured.
    pub(super) noted: bool,
}

impl TcpConnection {
    /// The connection that a segment on unknown ends belongs to.
    pub(super) fn begun_by(segment: &Segment<'_>, stream: StreamId) -> Self {
        let (src, dst) = (segment.src, segment.dst);
        let answers_syn = segment.syn && segment.ack.is_some();
        let (initiator, responder) = if answers_syn { (dst, src) } else { (src, dst) };
        Self {
            stream,
            flow: Flow { initiator, responder },
            // A SYN that is answered was sent: nothing of the bytes is missing.
            opening: if segment.syn { StreamOpening::Syn } else { StreamOpening::MidStream },
            wanted: true,
            listed: false,
            established: false,
            closed: None,
            from_initiator: TcpHalf::default(),
            from_responder: TcpHalf::default(),
            seen: [false; 2],
            missing: [false; 2],
            noted: false,
        }
    }

    /// Which way a segment goes.
    #[inline]
    pub(super) fn direction(&self, segment: &Segment<'_>) -> Direction {
        if segment.src == self.flow.initiator { Direction::FromInitiator } else { Direction::FromResponder }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    pub(super) fn has_hole(&self) -> bool {
        self.from_initiator.has_hole() || self.from_responder.has_hole()
    }

    pub(super) fn held_cost(&self) -> usize {
        self.from_initiator.held_cost() + self.from_responder.held_cost()
    }

    /// Whether a segment between the same ends is of another, later connection.
    #[inline]
    pub(super) fn is_replaced_by(&self, segment: &Segment<'_>) -> bool {
        if !segment.syn && self.closed.is_none() || segment.rst {
            return false;
        }
        self.begins_anew(segment)
    }

    #[cold]
    fn begins_anew(&self, segment: &Segment<'_>) -> bool {
        let direction = self.direction(segment);
        let (said, heard) = match direction {
            Direction::FromInitiator => (&self.from_initiator, &self.from_responder),
            Direction::FromResponder => (&self.from_responder, &self.from_initiator),
        };
        if !segment.syn {
            // Stragglers of a closed connection are near what it said; anything else begins mid-stream.
            return said.begun() && !segment.payload.is_empty() && said.ahead(segment.seq).abs() > STRAGGLE;
        }
        if said.begun() && said.base() == segment.seq.wrapping_add(1) {
            // The same SYN once more, unless it was turned away and this is another try.
            return segment.ack.is_none() && self.closed == Some(StreamClosing::Refused);
        }
        let Some(ack) = segment.ack else {
            let both_at_once = direction == Direction::FromResponder
                && self.opening == StreamOpening::Syn
                && !self.established
                && !said.begun();
            return self.closed.is_some() || !both_at_once;
        };
        // It answers the SYN that opened this connection, or else one that the capture missed.
        !heard.begun()
            || heard.base() != ack
                && (said.begun() || self.opening == StreamOpening::MidStream || self.is_closed())
    }

    /// Takes in a segment of this connection.
    #[inline]
    pub(super) fn segment<S: StreamSink>(
        &mut self,
        moment: Moment,
        direction: Direction,
        segment: &Segment<'_>,
        outlet: &mut Outlet<'_, S>,
    ) {
        self.seen[direction as usize] = true;
        if segment.rst {
            self.reset(moment, direction, segment, outlet);
            return;
        }
        if segment.syn {
            self.synchronize(moment, direction, segment, outlet);
        } else if !self.established && self.opening == StreamOpening::Syn {
            self.established = true;
            outlet.emit(moment, StreamEvent::Established { stream: self.stream });
        }
        // The SYN itself takes the number before the first byte.
        let seq = segment.seq.wrapping_add(u32::from(segment.syn));
        let carries = !segment.payload.is_empty() || segment.lost_tail > 0;
        let opening = self.opening;
        let (said, heard) = self.halves(direction);
        if let Some(ack) = segment.ack {
            if heard.begun() {
                heard.acknowledge(ack);
            } else if opening == StreamOpening::Syn && direction == Direction::FromInitiator && !segment.syn {
                // The capture missed the answer to the SYN; this acknowledges it.
                heard.begin(ack);
            }
        }
        // A bare acknowledgement does not begin a direction: as a keep-alive probe its number is one too low.
        if !said.begun() && (carries || segment.fin) {
            said.begin(seq);
        }
        if carries {
            self.tell_of_missing(moment, direction.reverse(), outlet);
            let piece = Piece { seq, payload: segment.payload, lost_tail: segment.lost_tail };
            self.halves(direction).0.push(moment, direction, piece, outlet);
        }
        let (said, heard) = self.halves(direction);
        if segment.fin {
            let end = seq.wrapping_add(segment.payload.len() as u32).wrapping_add(segment.lost_tail);
            said.end(moment, direction, end, outlet);
        }
        said.wait(moment, direction, outlet);
        heard.wait(moment, direction.reverse(), outlet);
        if said.finished() && heard.finished() {
            self.close(moment, StreamClosing::Finished, outlet);
        }
    }

    fn synchronize<S: StreamSink>(
        &mut self,
        moment: Moment,
        direction: Direction,
        segment: &Segment<'_>,
        outlet: &mut Outlet<'_, S>,
    ) {
        let (said, heard) = self.halves(direction);
        if !said.begun() {
            said.begin(segment.seq.wrapping_add(1));
        }
        let Some(ack) = segment.ack else { return };
        if !heard.begun() {
            heard.begin(ack);
        }
        if !self.established && self.opening == StreamOpening::Syn {
            self.established = true;
            outlet.emit(moment, StreamEvent::Established { stream: self.stream });
        }
    }

    fn reset<S: StreamSink>(
        &mut self,
        moment: Moment,
        direction: Direction,
        segment: &Segment<'_>,
        outlet: &mut Outlet<'_, S>,
    ) {
        let unanswered = self.unanswered();
        let (said, heard) = self.halves(direction);
        if unanswered && direction == Direction::FromResponder {
            // A reset that acknowledges something else turns away another SYN than this one.
            if segment.ack.is_none_or(|ack| ack.wrapping_sub(heard.base()).cast_signed() >= 0) {
                self.close(moment, StreamClosing::Refused, outlet);
            }
        } else if !said.begun() || said.ahead(segment.seq).abs() <= STRAGGLE {
            self.close(moment, StreamClosing::Reset, outlet);
        }
    }

    /// Whether a SYN was sent and nothing was heard of the other end.
    fn unanswered(&self) -> bool {
        self.opening == StreamOpening::Syn && !self.established && !self.from_responder.begun()
    }

    /// How a connection ended of which nothing more is heard: as `otherwise` when nothing tells.
    pub(super) fn fallen_silent(&self, otherwise: StreamClosing) -> StreamClosing {
        if self.unanswered() {
            StreamClosing::Unanswered
        } else if self.from_initiator.ends() || self.from_responder.ends() {
            StreamClosing::Finished
        } else {
            otherwise
        }
    }

    /// Delivers what is held and says goodbye, once.
    pub(super) fn close<S: StreamSink>(
        &mut self,
        moment: Moment,
        closing: StreamClosing,
        outlet: &mut Outlet<'_, S>,
    ) {
        if self.closed.replace(closing).is_some() {
            return;
        }
        for direction in BOTH {
            self.tell_of_missing(moment, direction.reverse(), outlet);
            // Of an end that was never captured no byte is lost: all of them are not there.
            if self.seen[direction as usize] {
                self.halves(direction).0.flush(moment, direction, outlet);
            }
        }
        if std::mem::take(&mut self.noted)
            && let Some(notes) = &mut outlet.notes
        {
            notes.closed(self.stream, moment, closing);
        }
        outlet.emit(moment, StreamEvent::Closed { stream: self.stream, closing });
    }

    /// Says whether bytes of a direction are missing, when that has changed.
    #[inline]
    fn tell_of_missing<S: StreamSink>(
        &mut self,
        moment: Moment,
        direction: Direction,
        outlet: &mut Outlet<'_, S>,
    ) {
        let missing = !self.seen[direction as usize] || self.halves(direction).0.misses();
        if self.missing[direction as usize] != missing {
            self.missing[direction as usize] = missing;
            outlet.emit(moment, StreamEvent::Awaited { stream: self.stream, direction, missing });
        }
    }

    /// Gives up every hole.
    pub(super) fn give_up<S: StreamSink>(&mut self, moment: Moment, outlet: &mut Outlet<'_, S>) {
        for direction in BOTH {
            self.tell_of_missing(moment, direction.reverse(), outlet);
            let (half, _) = self.halves(direction);
            while half.has_hole() {
                half.give_up(moment, direction, outlet);
            }
        }
        self.close_when_finished(moment, outlet);
    }

    /// Gives up holes whose time is over.
    pub(super) fn expire<S: StreamSink>(&mut self, moment: Moment, outlet: &mut Outlet<'_, S>) {
        for direction in BOTH {
            self.tell_of_missing(moment, direction.reverse(), outlet);
            self.halves(direction).0.expire(moment, direction, outlet);
        }
        self.close_when_finished(moment, outlet);
    }

    fn close_when_finished<S: StreamSink>(&mut self, moment: Moment, outlet: &mut Outlet<'_, S>) {
        if self.from_initiator.finished() && self.from_responder.finished() {
            self.close(moment, StreamClosing::Finished, outlet);
        }
    }

    /// Lets go of all held bytes, as nobody wants them.
    pub(super) fn forget_held(&mut self) {
        self.from_initiator.forget_held();
        self.from_responder.forget_held();
    }

    /// The direction that speaks, and the one that hears.
    #[inline]
    fn halves(&mut self, direction: Direction) -> (&mut TcpHalf, &mut TcpHalf) {
        match direction {
            Direction::FromInitiator => (&mut self.from_initiator, &mut self.from_responder),
            Direction::FromResponder => (&mut self.from_responder, &mut self.from_initiator),
        }
    }
}

const BOTH: [Direction; 2] = [Direction::FromInitiator, Direction::FromResponder];

/// How far from what was said last a straggling segment can be. More is in flight on no path.
const STRAGGLE: i64 = 64 << 20;
