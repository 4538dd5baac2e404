//! Why connections ended: which end closed, by what, and what the other end had done just before.

use bittrace_protocol::Timestamp;

use super::observed::{BrokenRule, ObservedConnection, SaidMessage};
use crate::measurement::EndedBy;
use crate::{ConnectionEnd, Direction, StreamClosing};

/// How a connection ended, and what preceded that.
#[derive(Debug, Clone)]
pub struct EndReason {
    /// The end that closed; `None` where the capture does not tell.
    pub by: Option<Direction>,
    /// What closed the connection.
    pub how: EndedHow,
    /// When: at the FIN or RESET where there is one, else at the last packet.
    pub at: Timestamp,
    /// What the initiator and the responder said last.
    pub last_said: [Option<SaidMessage>; 2],
    /// The rule that the other end broke just before. `None` where it broke none, or nobody is known to have closed.
    pub offence: Option<BrokenRule>,
    /// How many other connections the same client closed after the same broken rule.
    pub same_client_again: u64,
}

/// What ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedHow {
    /// A FIN, of TCP or uTP.
    Fin,
    /// A RESET, of TCP or uTP.
    Reset,
    /// Nobody answered any more; the capture shows no FIN and no RESET.
    Silence,
    /// The connection was open when the capture ended.
    CaptureEnded,
}

impl EndedHow {
    /// Its name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Reset => "reset",
            Self::Silence => "silence",
            Self::CaptureEnded => "capture-ended",
        }
    }
}

/// How long before a close a broken rule still counts as what it follows from, seconds. Clients close at once; what is longer ago
/// did not matter to them.
const JUST_BEFORE: f64 = 2.0;

impl EndReason {
    pub(super) fn of(connection: &ObservedConnection, end: &ConnectionEnd) -> Self {
        let ending = end.measured.as_ref().map(|measured| measured.ending);
        let how = match (ending.map(|ending| ending.how), end.closing) {
            (_, StreamClosing::CaptureEnded) => EndedHow::CaptureEnded,
            (Some(EndedBy::Fin), _) => EndedHow::Fin,
            (Some(EndedBy::Reset), _) => EndedHow::Reset,
            (Some(EndedBy::Silence), _) => EndedHow::Silence,
            (None, StreamClosing::Reset | StreamClosing::Refused) => EndedHow::Reset,
            (None, StreamClosing::Finished) => EndedHow::Fin,
            (None, StreamClosing::Unanswered | StreamClosing::Replaced) => EndedHow::Silence,
        };
        let by = ending.and_then(|ending| ending.by).filter(|_| how != EndedHow::CaptureEnded);
        let fin = ending.zip(by).and_then(|(ending, by)| ending.fins[by as usize]);
        let reset = ending.and_then(|ending| ending.reset).filter(|_| how == EndedHow::Reset);
        let (how, moment) = match (fin, reset) {
            // After its FIN an end answers with RESET whatever still comes.
            (Some(fin), Some(reset)) if fin.at <= reset.at => (EndedHow::Fin, Some(fin)),
            (_, Some(reset)) => (EndedHow::Reset, Some(reset)),
            (Some(fin), None) if how == EndedHow::Fin => (how, Some(fin)),
            _ => (how, None),
        };
        let at = moment.map_or(end.closed.at, |moment| moment.at);
        let offence = by.and_then(|by| {
            let broken = connection.broken[by.reverse() as usize].as_ref()?;
            let before = at.seconds_since(broken.mark.at);
            (-0.001..=JUST_BEFORE).contains(&before).then(|| broken.clone())
        });
        let last_said = connection.last_said.each_ref().map(|said| said.before(at));
        Self { by, how, at, last_said, offence, same_client_again: 0 }
    }

    /// A connection of which no end was seen.
    pub(super) fn open(connection: &ObservedConnection, at: Timestamp) -> Self {
        Self {
            by: None,
            how: EndedHow::CaptureEnded,
            at,
            last_said: connection.last_said.each_ref().map(|said| said.before(at)),
            offence: None,
            same_client_again: 0,
        }
    }

    /// What the end that closed had heard last from the other end.
    pub fn heard_last(&self) -> Option<SaidMessage> {
        self.last_said[self.by?.reverse() as usize]
    }
}
