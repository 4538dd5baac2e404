//! What is to be written, one step after another, and how a step waits in a temporary file.

use std::net::SocketAddr;

use bittrace_protocol::Timestamp;
use bytes::Bytes;

use crate::record::packed::bytes::{Pack, Unpack};
use crate::record::packed::{pack_end, unpack_end};
use crate::{Direction, Flow, StreamClosing, StreamId, StreamOpening};

/// What happens on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A connection is opened.
    Opened { flow: Flow, opening: StreamOpening, comment: String },
    /// The called end accepted.
    Established,
    /// One end says these bytes.
    Message { direction: Direction, comment: String, bytes: Bytes },
    /// So many bytes of one end are missing.
    Gap { direction: Direction, length: u64, comment: String },
    /// One end says nothing more.
    Finished { direction: Direction },
    /// One end resets the connection.
    Reset { direction: Direction },
    /// A connection is over.
    Closed { closing: StreamClosing },
    /// A datagram of `length` bytes, or the first bytes of one.
    Datagram { ends: (SocketAddr, SocketAddr), length: u64, comment: String, bytes: Bytes },
}

/// A step, when it happens and on which stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimedStep {
    pub(super) at: Timestamp,
    pub(super) stream: StreamId,
    pub(super) step: Step,
}

impl Step {
    /// Appends the step.
    pub(super) fn pack(&self, at: Timestamp, stream: StreamId, out: &mut Vec<u8>) {
        out.signed(at.as_nanos());
        out.number(stream.0.into());
        match self {
            Self::Opened { flow, opening, comment } => {
                out.push(OPENED);
                pack_end(flow.initiator, out);
                pack_end(flow.responder, out);
                out.push(u8::from(*opening == StreamOpening::MidStream));
                out.text(comment);
            }
            Self::Established => out.push(ESTABLISHED),
            Self::Message { direction, comment, bytes } => {
                out.push(MESSAGE);
                out.push(*direction as u8);
                out.text(comment);
                out.extend_from_slice(bytes);
            }
            Self::Gap { direction, length, comment } => {
                out.push(GAP);
                out.push(*direction as u8);
                out.number(*length);
                out.text(comment);
            }
            Self::Finished { direction } => out.extend([FINISHED, *direction as u8]),
            Self::Reset { direction } => out.extend([RESET, *direction as u8]),
            Self::Closed { closing } => {
                out.push(CLOSED);
                out.push(CLOSINGS.iter().position(|known| known == closing).unwrap_or_default() as u8);
            }
            Self::Datagram { ends: (source, destination), length, comment, bytes } => {
                out.push(DATAGRAM);
                pack_end(*source, out);
                pack_end(*destination, out);
                out.number(*length);
                out.text(comment);
                out.extend_from_slice(bytes);
            }
        }
    }

    /// The step that [`pack`](Self::pack) made these bytes of; `None` where they are not whole.
    pub(super) fn unpack(packed: &Bytes) -> Option<TimedStep> {
        let mut from = Unpack::new(packed);
        let at = Timestamp::from_nanos(from.signed()?);
        let stream = StreamId(u32::try_from(from.number()?).ok()?);
        let step = match from.byte()? {
            OPENED => {
                let flow = Flow { initiator: unpack_end(&mut from)?, responder: unpack_end(&mut from)? };
                let opening = match from.byte()? {
                    0 => StreamOpening::Syn,
                    _ => StreamOpening::MidStream,
                };
                Self::Opened { flow, opening, comment: from.text()? }
            }
            ESTABLISHED => Self::Established,
            MESSAGE => {
                let direction = unpack_direction(&mut from)?;
                Self::Message { direction, comment: from.text()?, bytes: from.rest() }
            }
            GAP => {
                let direction = unpack_direction(&mut from)?;
                Self::Gap { direction, length: from.number()?, comment: from.text()? }
            }
            FINISHED => Self::Finished { direction: unpack_direction(&mut from)? },
            RESET => Self::Reset { direction: unpack_direction(&mut from)? },
            CLOSED => Self::Closed { closing: *CLOSINGS.get(usize::from(from.byte()?))? },
            DATAGRAM => {
                let ends = (unpack_end(&mut from)?, unpack_end(&mut from)?);
                let length = from.number()?;
                Self::Datagram { ends, length, comment: from.text()?, bytes: from.rest() }
            }
            _ => return None,
        };
        Some(TimedStep { at, stream, step })
    }
}

fn unpack_direction(from: &mut Unpack<'_>) -> Option<Direction> {
    match from.byte()? {
        0 => Some(Direction::FromInitiator),
        1 => Some(Direction::FromResponder),
        _ => None,
    }
}

const OPENED: u8 = 0;
const ESTABLISHED: u8 = 1;
const MESSAGE: u8 = 2;
const GAP: u8 = 3;
const CLOSED: u8 = 4;
const DATAGRAM: u8 = 5;
const FINISHED: u8 = 6;
const RESET: u8 = 7;

const CLOSINGS: [StreamClosing; 6] = [
    StreamClosing::Finished,
    StreamClosing::Reset,
    StreamClosing::Refused,
    StreamClosing::Unanswered,
    StreamClosing::CaptureEnded,
    StreamClosing::Replaced,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_unpacked_as_it_was_and_no_cut_of_it_is_another() {
        let end = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (comment, bytes) = ("packet 7".to_owned(), Bytes::from_static(b"\0\0\0\x01\x02"));
        let flow = Flow { initiator: end("10.0.0.1:6881"), responder: end("[fd00::2]:51413") };
        let mut steps = vec![
            Step::Opened { flow, opening: StreamOpening::Syn, comment: comment.clone() },
            Step::Opened { flow, opening: StreamOpening::MidStream, comment: String::new() },
            Step::Established,
            Step::Finished { direction: Direction::FromResponder },
            Step::Reset { direction: Direction::FromInitiator },
            Step::Gap { direction: Direction::FromInitiator, length: 1 << 40, comment: comment.clone() },
            Step::Datagram {
                ends: (flow.responder, flow.initiator),
                length: 1_500,
                comment: comment.clone(),
                bytes: bytes.clone(),
            },
            Step::Message { direction: Direction::FromResponder, comment, bytes },
        ];
        steps.extend(CLOSINGS.map(|closing| Step::Closed { closing }));
        for step in steps {
            let mut packed = Vec::new();
            step.pack(Timestamp::from_nanos(-3), StreamId(u32::MAX), &mut packed);
            let packed = Bytes::from(packed);
            let unpacked = Step::unpack(&packed).unwrap();
            assert_eq!((unpacked.at, unpacked.stream), (Timestamp::from_nanos(-3), StreamId(u32::MAX)));
            assert_eq!(unpacked.step, step);
            for length in 0..packed.len() {
                let cut = Step::unpack(&packed.slice(..length));
                assert!(cut.is_none_or(|cut| cut.step != step), "{step:?} cut to {length} bytes");
            }
        }
    }
}
