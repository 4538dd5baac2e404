//! What a peer did against the rules: the facts, without sentences and severities.

use std::time::Duration;

use crate::geometry::{BlockFault, Geometry};
use crate::wire::{Extension, Message, MessageId};
use crate::{Block, DecodeError, InfoHash, PieceIndex};

use super::PeerSide;

/// A rule that a message broke, or that the time before it shows to be broken. "The sender" and "the receiver" are those of
/// the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerFault {
    /// The message has a wrong length for its id.
    Malformed {
        /// The id.
        id: MessageId,
        /// What the message should have been.
        wanted: &'static str,
    },
    /// No specification allocates the message's id (BEP 4).
    UnknownMessage(MessageId),
    /// An extended message is not what its extension asks for (BEP 10).
    MalformedExtended {
        /// The extension.
        extension: Extension,
        /// Where in the payload, and what was wanted there.
        error: DecodeError,
    },
    /// No handshake of the receiver announced the id of an extended message (BEP 10).
    UnannouncedExtension {
        /// The id.
        id: u8,
    },
    /// The sender had sent nothing for longer than [`SILENCE`](super::limits::SILENCE).
    Silent {
        /// For how long.
        silent: Duration,
    },
    /// A cancelled request was answered neither by a block nor by a reject (BEP 6).
    CancelUnanswered {
        /// Which side sent the request and the cancel.
        requester: PeerSide,
        /// The block.
        block: Block,
    },
    /// No block came for longer than [`SNUBBED`](super::limits::SNUBBED), though requests are outstanding and the requester is
    /// not choked. Reported once per side.
    Snubbed {
        /// Which side waits.
        requester: PeerSide,
        /// For how long.
        waited: Duration,
    },
    /// Both handshakes have the same peer id.
    SamePeerId,
    /// The two handshakes have different info hashes.
    InfoHashDiffers {
        /// The info hash of the first handshake.
        first: InfoHash,
        /// The info hash of the second handshake.
        second: InfoHash,
        /// Whether the first handshake offers version 2, so that the second may have the other info hash of a hybrid torrent
        /// (BEP 52, "Upgrade Path"). That is no fault where the torrent has both.
        upgradable: bool,
    },
    /// The message belongs to the fast extension, which one of the handshakes does not offer (BEP 6).
    FastNotOffered,
    /// A bitfield that is not the first message, or not the only one (BEP 3).
    BitfieldLate,
    /// A have-all or have-none that is not the first message, or not the only one (BEP 6).
    HaveAllOrNoneLate,
    /// A port message to a peer whose handshake does not offer DHT (BEP 5).
    PortNotOffered,
    /// A request while the receiver chokes the sender, for a piece that is not allowed fast (BEP 3, BEP 6).
    RequestWhileChoked {
        /// For how long the sender was choked; `None` where the receiver never unchoked.
        choked: Option<Duration>,
    },
    /// A request though the sender has not said that it is interested (BEP 3). Reported once per side.
    RequestWithoutInterest,
    /// A request asks for more than [`MAX_REQUEST`](super::limits::MAX_REQUEST) (BEP 3).
    RequestTooLong {
        /// How many bytes it asks for.
        length: u32,
    },
    /// More requests are outstanding than the receiver keeps (BEP 10, "reqq"). Reported once per side.
    ReqqExceeded {
        /// How many, this one included.
        outstanding: u64,
        /// How many the receiver keeps.
        reqq: u32,
    },
    /// A block that was cancelled: block and cancel crossed on the way.
    BlockAfterCancel,
    /// A block that came already, and was not requested again.
    BlockAgain,
    /// A block whose request was rejected (BEP 6).
    BlockAfterReject,
    /// A block that was not requested.
    BlockUnsolicited,
    /// A block to a peer that is choked, without the fast extension.
    BlockWhileChoking,
    /// A cancel of a block that was not requested.
    CancelUnrequested,
    /// A reject of a request that was answered already (BEP 6).
    RejectAfterAnswer,
    /// A reject of a block that was not requested (BEP 6).
    RejectUnrequested,
    /// Hashes that were not requested (BEP 52).
    HashesUnsolicited,
    /// A reject of hashes that were not requested (BEP 52).
    HashRejectUnrequested,
    /// A peer exchange message too soon after the previous one (BEP 11).
    PexTooSoon {
        /// The time since the previous message.
        after: Duration,
    },
    /// A peer exchange message, not the first, with more than
    /// [`MAX_PEX_PEERS`](super::limits::MAX_PEX_PEERS) (BEP 11).
    PexTooMany {
        /// How many peers it adds.
        added: usize,
        /// How many peers it drops.
        dropped: usize,
    },
    /// A piece of metadata has another total size than the handshake announced (BEP 9).
    MetadataTotalDiffers {
        /// The bytes that the message has as total.
        total: u64,
        /// The bytes that the handshake announced.
        announced: u64,
    },
    /// A piece of metadata has a wrong length (BEP 9).
    MetadataPieceLength {
        /// Its bytes.
        length: u64,
        /// The bytes it should have.
        wanted: u64,
    },
    /// A message names a piece or bytes that the torrent does not have (BEP 3). See [`PeerFault::of_range`].
    OutOfRange {
        /// Why there is no such block.
        fault: BlockFault,
        /// The piece that is named.
        piece: PieceIndex,
        /// The bytes of that piece; `None` where there is no such piece.
        piece_size: Option<u32>,
        /// How many pieces the torrent has.
        piece_count: u32,
    },
    /// A bitfield does not have one bit per piece in whole bytes (BEP 3).
    BitfieldLength {
        /// Its bytes.
        length: usize,
        /// How many pieces the torrent has.
        piece_count: u32,
    },
    /// A bitfield has bits set after that of the last piece (BEP 3).
    BitfieldSpareBits,
}

impl PeerFault {
    /// What a message names that a torrent of this geometry does not have.
    pub fn of_range(message: &Message, geometry: &Geometry) -> Option<Self> {
        let block = match message {
            Message::Request(block) | Message::Cancel(block) | Message::RejectRequest(block) => *block,
            Message::Piece { index, begin, block } => {
                Block { index: *index, begin: *begin, length: block.len() as u32 }
            }
            Message::Have(index) | Message::SuggestPiece(index) | Message::AllowedFast(index) => {
                Block { index: *index, begin: 0, length: 1 }
            }
            Message::Bitfield(bits) => return Self::of_bitfield(bits, geometry),
            _ => return None,
        };
        Self::of_block(block, geometry)
    }

    /// Why a torrent of this geometry does not have a block that a message names.
    pub fn of_block(block: Block, geometry: &Geometry) -> Option<Self> {
        let fault = geometry.block_span(block).err()?;
        // Where every file begins a piece, libtorrent requests the zeros between files too, and sends them.
        geometry.padded_span(block).is_none().then(|| Self::OutOfRange {
            fault,
            piece: block.index,
            piece_size: geometry.piece_size(block.index),
            piece_count: geometry.piece_count(),
        })
    }

    fn of_bitfield(bits: &[u8], geometry: &Geometry) -> Option<Self> {
        let wanted = geometry.bitfield_length();
        if bits.len() != wanted {
            return Some(Self::BitfieldLength { length: bits.len(), piece_count: geometry.piece_count() });
        }
        let spare = wanted * 8 - geometry.piece_count() as usize;
        let set = bits.last().is_some_and(|last| u32::from(*last) & ((1_u32 << spare) - 1) != 0);
        set.then_some(Self::BitfieldSpareBits)
    }
}
