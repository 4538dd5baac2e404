//! One uTP connection: which way its packets go, when it stands, and when it is over.

use bittrace_protocol::utp::{Header, Kind, extensions};
use smallvec::SmallVec;

use super::UtpDirectionId;
use super::events::Events;
use super::half::UtpHalf;
use crate::burst::{
    Direction, Moment, StreamClosing, StreamEvent, StreamId, StreamInterest, StreamOpening, StreamSink,
};
use crate::measurement::{MeasuredPacket, MeasurementBudget, UtpMeasuring};

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
    /// How its transport behaves, where that is asked for.
    measuring: Option<Box<UtpMeasuring>>,
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
            measuring: None,
        }
    }

    /// Measures the connection from now on.
    pub(super) fn measure(&mut self, moment: Moment) {
        self.measuring = Some(Box::new(UtpMeasuring::begun_at(moment)));
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
        bytes: &[u8],
        budget: &mut Option<MeasurementBudget>,
        sink: &mut impl StreamSink,
    ) {
        self.last = moment;
        if self.closed || !self.wanted {
            return;
        }
        let payload = &bytes[header.length..];
        if let (Some(measuring), Some(budget)) = (&mut self.measuring, budget.as_mut()) {
            let mut packet =
                MeasuredPacket { header, bytes: payload.len(), selective: 0, close_reason: None };
            for extension in extensions(bytes) {
                packet.selective += extension.selectively_acknowledged();
                packet.close_reason = packet.close_reason.or(extension.close_reason());
            }
            measuring.packet(moment, direction, packet, budget);
        }
        if header.kind == Kind::Syn {
            return;
        }
        let stream = self.stream;
        if header.kind == Kind::Reset {
            let refused = !self.established && direction == Direction::FromResponder;
            let closing = if refused { StreamClosing::Refused } else { StreamClosing::Reset };
            self.close(moment, closing, budget, sink);
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
        self.settle(wanted, budget);
        if finished {
            self.close(moment, StreamClosing::Finished, budget, sink);
        }
    }

    /// Gives up all that is missing.
    pub(super) fn give_up(
        &mut self,
        moment: Moment,
        budget: &mut Option<MeasurementBudget>,
        sink: &mut impl StreamSink,
    ) {
        let mut events = Events { moment, stream: self.stream, wanted: self.wanted, sink };
        for direction in BOTH {
            self.halves[direction as usize].give_up_all(direction, &mut events);
        }
        let wanted = events.wanted;
        self.settle(wanted, budget);
    }

    /// Delivers what is held and says goodbye, once. `closing` holds where nothing tells more.
    pub(super) fn close(
        &mut self,
        moment: Moment,
        closing: StreamClosing,
        budget: &mut Option<MeasurementBudget>,
        sink: &mut impl StreamSink,
    ) {
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
        if let (Some(measuring), Some(budget)) = (self.measuring.take(), budget) {
            if self.wanted {
                let measurement = measuring.finish(moment, closing, budget);
                sink(moment, StreamEvent::Measured { stream: self.stream, measurement });
            } else {
                measuring.forget(budget);
            }
        }
        // Whoever wants no bytes still wants to know of the end.
        sink(moment, StreamEvent::Closed { stream: self.stream, closing });
    }

    fn settle(&mut self, wanted: bool, budget: &mut Option<MeasurementBudget>) {
        if self.wanted && !wanted {
            self.wanted = false;
            if let (Some(measuring), Some(budget)) = (self.measuring.take(), budget) {
                measuring.forget(budget);
            }
            self.halves.iter_mut().for_each(UtpHalf::forget_held);
        }
    }
}

/// How many packets the ends may have exchanged before the first one that the capture holds after the SYN.
const FIRST_FLIGHT: u16 = 64;
