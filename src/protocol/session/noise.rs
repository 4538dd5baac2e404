//! What a peer may cost without giving anything. Each message that brings nothing has a cost; a peer whose messages cost
//! more than blocks and time make good is left. So no message, and no change of state, can be repeated without end.

use super::Violation;
use super::peer::Peer;

/// Something that costs work and brings nothing. The unit of the costs is a short message that is read and passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noise {
    /// A message that says nothing new, or that is passed over, with so many bytes.
    NothingNew(usize),
    /// A message about all pieces that is not the first, in a torrent of so many pieces.
    AllPiecesAgain(u32),
    /// A piece that the peer does not have any longer (BEP 54).
    DontHave,
    /// A choke after an unchoke, while so many requests were outstanding.
    Choke(usize),
    /// The peer is not interested any longer.
    InterestLost,
    /// A request that will be answered. Its block makes the cost good, unless the block is tiny.
    Request,
    /// A request that is not answered.
    RefusedRequest,
    /// A request for leaves of a hash tree, for which a piece is read and hashed.
    LeavesRead(u32),
    /// A cancel.
    Cancel,
    /// A piece that is allowed fast again, after a request for it was rejected.
    AllowedAgain,
    /// A block of so many bytes that nobody asked for.
    UnaskedBlock(u32),
}

impl Noise {
    const fn cost(self) -> u32 {
        match self {
            Self::NothingNew(bytes) => 1 + (bytes / 256) as u32,
            // Some clients send a bitfield again, but each piece of it is counted.
            Self::AllPiecesAgain(pieces) => 100 + pieces / 32,
            Self::DontHave | Self::Request | Self::Cancel => 1,
            Self::InterestLost => 2,
            // All that was asked of the peer is asked of others, and asked of the peer again later.
            Self::Choke(outstanding) => 20 + (outstanding / 4) as u32,
            Self::RefusedRequest => 3,
            // The whole piece is read: 10 MiB at once, and then 2 MiB a second.
            Self::LeavesRead(bytes) => 50 + bytes / 2048,
            Self::AllowedAgain => 10,
            // 64 blocks of 16 KiB.
            Self::UnaskedBlock(bytes) => 10 + bytes / 110,
        }
    }

    /// What a user reads of a flood of it.
    const fn name(self) -> &'static str {
        match self {
            Self::NothingNew(_) => "messages that change nothing",
            Self::AllPiecesAgain(_) | Self::DontHave => "changes of the pieces it has",
            Self::Choke(_) => "chokes and unchokes",
            Self::InterestLost => "changes of its interest",
            Self::Request | Self::Cancel => "requests and cancels",
            Self::RefusedRequest => "requests that cannot be answered",
            Self::LeavesRead(_) => "requests for hashes",
            Self::AllowedAgain => "rejects of pieces that it allows fast",
            Self::UnaskedBlock(_) => "blocks that were not requested",
        }
    }
}

impl Peer {
    /// Counts something that brings nothing.
    pub(super) fn note_noise(&mut self, noise: Noise) -> Result<(), Violation> {
        self.noise = self.noise.saturating_add(noise.cost());
        if self.noise > MAX_NOISE {
            return Err(Violation::Flood(noise.name()));
        }
        Ok(())
    }

    /// A block that was asked for came whole.
    pub(super) const fn note_block_received(&mut self) {
        self.noise = self.noise.saturating_sub(NOISE_A_BLOCK);
    }

    /// A block of so many bytes was sent.
    pub(super) const fn note_block_sent(&mut self, bytes: u32) {
        self.noise = self.noise.saturating_sub(bytes / BYTES_A_NOISE);
    }

    /// One second has passed.
    pub(super) const fn forgive_noise(&mut self) {
        self.noise = self.noise.saturating_sub(NOISE_A_SECOND);
    }
}

/// How much a peer may cost at once.
const MAX_NOISE: u32 = 10_000;

/// How much a peer may cost a second for ever: what one processor does in about a millisecond. Peers that follow a fast
/// download piece by piece change their interest some hundred times a second.
const NOISE_A_SECOND: u32 = 1_000;

/// How much a received block makes good.
const NOISE_A_BLOCK: u32 = 100;

/// So many bytes of a block that is sent make good what one message costs: as much a block as for received ones.
const BYTES_A_NOISE: u32 = 164;
