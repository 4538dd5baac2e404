//! One uTP connection: which way its packets go, when it stands, and when it is over.

use bittrace_protocol::utp::{Header, Kind};
use smallvec::SmallVec;

use super::UtpDirectionId;
use super::events::Events;
use super::half::UtpHalf;
use crate::burst::{
    Direction, Moment, StreamClosing, StreamEvent, StreamId, StreamInterest, StreamOpening, StreamSink,
};

/// A connection and its two directions.
#[derive(Debug)]
pub(super) struct UtpStream {
    stream: StreamId,
    /// The names of its directions; of one joined in the middle, as far as they were heard.
    lines: SmallVec<[UtpDirectionId; 2]>,
    opening: StreamOpening,
    /// The number of its SYN.
    syn: u16,
    /// How many bytes its SYN says that the caller takes. libtorrent says none there.
    window: u32,
    /// Whether either end was heard after the SYN.
    established: bool,
    /// Whether the called end was heard.
    answered: bool,
    closed: bool,
    wanted: bool,
    last: Moment,
    halves: [UtpHalf; 2],
}

const BOTH: [Direction; 2] = [Direction::FromInitiator, Direction::FromResponder];

impl UtpStream {
    pub(super) fn new(
        stream: StreamId,
        lines: SmallVec<[UtpDirectionId; 2]>,
        opening: StreamOpening,
        moment: Moment,
        first: &Header,
    ) -> Self {
        let mut halves = <[UtpHalf; 2]>::default();
        if opening == StreamOpening::Syn {
            // The SYN takes a number of its own.
            halves[0].begin(first.sequence.wrapping_add(1));
        }
        Self {
            stream,
            lines,
            opening,
            syn: first.sequence,
            window: first.window,
            established: opening == StreamOpening::MidStream,
            answered: opening == StreamOpening::MidStream,
            closed: false,
            wanted: true,
            last: moment,
            halves,
        }
    }

    /// Whether a SYN of this number is the one that opened it, sent again.
    pub(super) fn was_opened_by(&self, sequence: u16) -> bool {
        self.opening == StreamOpening::Syn && self.syn == sequence
    }

    /// Takes a name for the direction that has none yet, if there is one.
    pub(super) fn adopt(&mut self, line: UtpDirectionId) -> bool {
        let free = self.lines.len() < 2;
        if free {
            self.lines.push(line);
        }
        free
    }

    pub(super) fn lines(&self) -> &[UtpDirectionId] {
        &self.lines
    }

    /// How much it is worth to be remembered: more than another that sorts before it.
    pub(super) fn worth(&self) -> (bool, u64) {
        (self.wanted && !self.closed, self.last.frame)
    }

    pub(super) fn held_cost(&self) -> usize {
        self.halves.iter().map(UtpHalf::held_cost).sum()
    }

    pub(super) fn emit(&mut self, moment: Moment, event: StreamEvent<'_>, sink: &mut impl StreamSink) {
        if self.wanted && sink(moment, event) == StreamInterest::Unwanted {
            self.wanted = false;
            self.halves.iter_mut().for_each(UtpHalf::forget_held);
        }
    }

    /// Takes in a packet of this connection.
    pub(super) fn packet(
        &mut self,
        moment: Moment,
        direction: Direction,
        header: &Header,
        payload: &[u8],
        sink: &mut impl StreamSink,
    ) {
        self.last = moment;
        if self.closed || !self.wanted || header.kind == Kind::Syn {
            return;
        }
        let stream = self.stream;
        if header.kind == Kind::Reset {
            let refused = !self.established && direction == Direction::FromResponder;
            self.close(moment, if refused { StreamClosing::Refused } else { StreamClosing::Reset }, sink);
            return;
        }
        if !self.answered && direction == Direction::FromResponder && self.window == 0 && header.window == 0 {
            // Of two ends of which neither takes a byte, it is no connection.
            return;
        }
        if !self.established {
            // The caller goes on when it was answered, and numbers its packets from its SYN on.
            let number = match direction {
                Direction::FromInitiator => header.sequence,
                Direction::FromResponder => header.acknowledged,
            };
            if number.wrapping_sub(self.syn) > FIRST_FLIGHT {
                return;
            }
            self.established = true;
        }
        if !self.answered && direction == Direction::FromResponder {
            self.answered = true;
            if header.kind == Kind::State {
                // In a mere acknowledgement stands the number that the first packet with bytes will have.
                self.halves[direction as usize].begin_about(header.sequence);
            }
            self.emit(moment, StreamEvent::Established { stream }, sink);
        }
        let mut events = Events { moment, stream, wanted: self.wanted, sink };
        let [said, heard] = &mut self.halves;
        let (said, heard) = match direction {
            Direction::FromInitiator => (said, heard),
            Direction::FromResponder => (heard, said),
        };
        heard.acknowledge(direction.reverse(), header.acknowledged, &mut events);
        match header.kind {
            Kind::Data => said.push(direction, header.sequence, payload, &mut events),
            Kind::Fin => {
                if !payload.is_empty() {
                    said.push(direction, header.sequence, payload, &mut events);
                }
                said.end(direction, header.sequence, payload.is_empty(), &mut events);
            }
            Kind::State | Kind::Syn | Kind::Reset => {}
        }
        said.wait(direction, &mut events);
        heard.wait(direction.reverse(), &mut events);
        let finished = said.finished() && heard.finished();
        let wanted = events.wanted;
        self.settle(wanted);
        if finished {
            self.close(moment, StreamClosing::Finished, sink);
        }
    }

    /// Gives up all that is missing.
    pub(super) fn give_up(&mut self, moment: Moment, sink: &mut impl StreamSink) {
        let mut events = Events { moment, stream: self.stream, wanted: self.wanted, sink };
        for direction in BOTH {
            self.halves[direction as usize].give_up_all(direction, &mut events);
        }
        let wanted = events.wanted;
        self.settle(wanted);
    }

    /// Delivers what is held and says goodbye, once. `closing` holds where nothing tells more.
    pub(super) fn close(&mut self, moment: Moment, closing: StreamClosing, sink: &mut impl StreamSink) {
        if self.closed {
            return;
        }
        self.closed = true;
        let mut events = Events { moment, stream: self.stream, wanted: self.wanted, sink };
        for direction in BOTH {
            self.halves[direction as usize].flush(direction, &mut events);
        }
        let closing = match closing {
            StreamClosing::CaptureEnded | StreamClosing::Replaced if !self.established => {
                StreamClosing::Unanswered
            }
            StreamClosing::CaptureEnded | StreamClosing::Replaced
                if self.halves.iter().any(UtpHalf::ends) =>
            {
                StreamClosing::Finished
            }
            other => other,
        };
        // Whoever wants no bytes still wants to know of the end.
        sink(moment, StreamEvent::Closed { stream: self.stream, closing });
    }

    fn settle(&mut self, wanted: bool) {
        if self.wanted && !wanted {
            self.wanted = false;
            self.halves.iter_mut().for_each(UtpHalf::forget_held);
        }
    }
}

/// How many packets the ends may have exchanged before the first one that the capture holds after the SYN.
const FIRST_FLIGHT: u16 = 64;
