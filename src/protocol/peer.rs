//! One connection between two peers, seen from outside: what each side said, and what follows from that.
//!
//! [`ConnectionState`] observes the messages of both sides and does no I/O. Of each message it says what the message answers,
//! what it changed and which rules it broke. It decides nothing: what to do about a [`PeerFault`], and what a capture lost, is
//! up to the caller.

mod early_pieces;
mod faults;
pub mod limits;
mod observe;
mod requests;
mod side;

use std::time::Duration;

use crate::wire::{Content, Extension, Handshake, PieceSet};
use crate::{Block, Geometry, PieceIndex, Timestamp};

pub use faults::PeerFault;
pub use requests::{RequestCapacity, SentMessage};
pub use side::SideState;

/// A side of a connection between peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerSide {
    /// The peer that opened the connection.
    Initiator,
    /// The peer that accepted the connection.
    Responder,
}

impl PeerSide {
    /// Both sides, the initiator first.
    pub const BOTH: [Self; 2] = [Self::Initiator, Self::Responder];

    /// The other side.
    pub const fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// What is known of both sides of a connection. Memory is bounded, whatever is sent: by [`RequestCapacity`] for requests,
/// by constants for the rest.
///
/// ```
/// use bittrace_protocol::peer::{ConnectionState, PeerSide};
/// use bittrace_protocol::wire::Message;
/// use bittrace_protocol::{Block, PieceIndex, Timestamp};
///
/// let mut state = ConnectionState::new();
/// let block = Block { index: PieceIndex(0), begin: 0, length: 4 };
/// let at = |millis: i64| Timestamp::from_nanos(millis * 1_000_000);
/// state.observe(PeerSide::Initiator, at(0), 1, &Message::Request(block));
/// let piece = Message::Piece { index: block.index, begin: 0, block: (&b"data"[..]).into() };
/// let observed = state.observe(PeerSide::Responder, at(50), 2, &piece);
/// let answered = observed.answers.unwrap();
/// assert_eq!((answered.number, answered.after.as_millis()), (1, 50));
/// ```
#[derive(Debug)]
pub struct ConnectionState {
    sides: [SideState; 2],
}

/// What a message did.
#[derive(Debug, Default)]
pub struct ObservedMessage {
    /// The message that this message answers.
    pub answers: Option<AnsweredMessage>,
    /// What the message says of choking or interest.
    pub change: Option<PeerChange>,
    /// Whether the message says what is already known: a choke of a peer that is choked, a second request for a block.
    pub repeated: bool,
    /// Of an extended message: its extension, and what it says.
    pub extended: Option<Box<ExtendedContent>>,
    /// The rules that were broken.
    pub faults: Vec<PeerFault>,
}

/// A message that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnsweredMessage {
    /// The number that the caller gave the message.
    pub number: u64,
    /// The time from that message to its answer.
    pub after: Duration,
}

/// A message about choking or interest, with what the other side said of the same matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerChange {
    /// The sender chokes the receiver.
    Choke,
    /// The sender does not choke the receiver any more.
    Unchoke {
        /// Whether the receiver is interested.
        interested: bool,
    },
    /// The sender is interested.
    Interested {
        /// Whether the receiver chokes the sender.
        choked: bool,
    },
    /// The sender is not interested any more.
    NotInterested,
}

/// What an extended message says (BEP 10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedContent {
    /// The extension, named by the receiver's handshake.
    pub extension: Extension,
    /// What the message says; `None` where it cannot be decoded.
    pub content: Option<Content>,
}

impl ConnectionState {
    /// A connection of which nothing was seen, with room for as many requests as an analyzer wants to remember.
    pub fn new() -> Self {
        Self::with_capacity(RequestCapacity::ANALYSIS)
    }

    /// A connection of which nothing was seen.
    pub fn with_capacity(capacity: RequestCapacity) -> Self {
        Self { sides: PeerSide::BOTH.map(|_| SideState::new(capacity)) }
    }

    /// Says how many pieces the torrent has. From then on the pieces of both sides are known; a caller says so before the
    /// first message.
    pub fn set_piece_count(&mut self, count: u32) {
        for side in &mut self.sides {
            side.pieces = Some(PieceSet::none(count));
        }
    }

    /// Says that the number of pieces will be known later. What both sides say of their pieces until then is kept.
    pub fn keep_early_pieces(&mut self) {
        for side in &mut self.sides {
            side.keep_early_pieces();
        }
    }

    /// Says how the pieces lie, after [`keep_early_pieces`](Self::keep_early_pieces): what both sides said before is applied.
    /// The rules that a message of theirs broke, as only shows now.
    pub fn apply_early_pieces(&mut self, geometry: &Geometry) -> Vec<(PeerSide, PeerFault)> {
        let mut faults = Vec::new();
        for (side, state) in PeerSide::BOTH.into_iter().zip(&mut self.sides) {
            faults.extend(state.apply_early_pieces(geometry).err().map(|fault| (side, fault)));
        }
        faults
    }

    /// One side.
    pub const fn side(&self, side: PeerSide) -> &SideState {
        &self.sides[side as usize]
    }

    /// Whether both sides speak the fast extension (BEP 6); `None` where no handshake rules it out, but one was not seen.
    pub fn is_fast(&self) -> Option<bool> {
        let offers = self.sides.each_ref().map(|side| side.handshake.as_ref().map(Handshake::offers_fast));
        match offers {
            [Some(false), _] | [_, Some(false)] => Some(false),
            [Some(true), Some(true)] => Some(true),
            _ => None,
        }
    }

    /// Whether both sides speak the extension protocol (BEP 10).
    pub fn is_extended(&self) -> bool {
        self.sides.iter().all(|side| side.handshake.is_some_and(|handshake| handshake.offers_extended()))
    }

    /// Whether `side` may request blocks of a piece now: the other side does not choke it, or allows that piece fast (BEP 3,
    /// BEP 6).
    pub fn may_request(&self, side: PeerSide, piece: PieceIndex) -> bool {
        let other = self.side(side.other());
        !other.is_choking() || self.is_fast() == Some(true) && other.allows_fast(piece)
    }

    /// Says that bytes of `side` will never be observed. From then on no fault is reported that could be wrong because of
    /// them.
    pub const fn lose(&mut self, side: PeerSide) {
        self.sides[side as usize].lost = true;
    }

    /// Says whether bytes that `side` has sent are still to be observed: a capture may show them later than what answers them.
    /// Meanwhile no fault of the other side is reported that could be wrong because of them.
    pub const fn set_unseen(&mut self, side: PeerSide, unseen: bool) {
        self.sides[side as usize].unseen = unseen;
    }

    /// Says that the other side will not answer the requests of `side` for a block, which no message has said. They no longer
    /// count as outstanding; a block that comes nevertheless answers them.
    pub fn abandon_requests(&mut self, side: PeerSide, block: Block) {
        let side = &mut self.sides[side as usize];
        side.requests.doubt(block);
        side.end_wait();
    }

    /// Whether all that both sides said before a message of `sender` was observed.
    fn is_whole(&self, sender: PeerSide) -> bool {
        let seen = self.sides.iter().all(|side| side.handshake.is_some() && !side.lost);
        seen && !self.side(sender.other()).unseen
    }

    /// The sender and the receiver of a message.
    const fn ends(&mut self, sender: PeerSide) -> (&mut SideState, &mut SideState) {
        let [initiator, responder] = &mut self.sides;
        match sender {
            PeerSide::Initiator => (initiator, responder),
            PeerSide::Responder => (responder, initiator),
        }
    }
}

impl Default for ConnectionState {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestCapacity {
    /// For an analyzer: a gigabyte has 65,536 blocks of 16 KiB.
    pub const ANALYSIS: Self = Self { outstanding: 65_536, ended: 65_536 };

    /// For a client with many connections: clients have at most some 2,000 requests outstanding, and who sends more is not
    /// answered. It bears the faults that only requests which ended long ago show.
    pub const CLIENT: Self = Self { outstanding: 4_096, ended: 8 };
}

impl SentMessage {
    fn answered(self, at: Timestamp) -> AnsweredMessage {
        AnsweredMessage { number: self.number, after: at - self.at }
    }
}

#[cfg(test)]
mod tests;
