//! What a client chose in one run of one torrent. A schedule has no meaning for another torrent.

use crate::PieceIndex;
use crate::mse::MseLengths;

/// The choices of one run, to be made again: which pieces, and when. Each list may be empty; where a list has ended, or does
/// not fit what happens, the [`Profile`](super::Profile) decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// The pieces in the order in which they are begun.
    pub pieces: Vec<PieceIndex>,
    /// How many requests have been sent to one peer, at which moments; in ascending order of both numbers.
    pub requests: Vec<RequestStep>,
    /// How many new pieces peers have been told of, at which moments; in ascending order of both numbers. After the last of them
    /// nothing is told but what [`last_messages`](super::Profile::last_messages) has.
    pub haves: Vec<HaveStep>,
    /// The lengths of the paddings of negotiations of encryption, in the order in which these begin.
    pub paddings: Vec<MseLengths>,
}

impl Schedule {
    /// Whether no earlier run is to be followed.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
            && self.requests.is_empty()
            && self.haves.is_empty()
            && self.paddings.is_empty()
    }
}

/// How far requests go ahead at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestStep {
    /// Once the peer has sent so many blocks,
    pub blocks_received: u32,
    /// so many requests have been sent to it in all.
    pub requests_sent: u32,
}

/// How many pieces peers have been told of at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HaveStep {
    /// Once all peers together have sent so many blocks,
    pub blocks_received: u32,
    /// so many pieces have been told in all, in the order in which their last blocks came.
    pub haves_sent: u32,
}
