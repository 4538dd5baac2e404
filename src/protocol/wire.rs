//! The peer wire: one handshake, then length-prefixed messages without end (BEP 3, "peer protocol").

mod azureus;
mod extended;
mod framing;
mod handshake;
mod id;
mod message;
mod near_miss;
mod piece_set;

pub use azureus::{AzureusMessage, MAX_AZUREUS_MESSAGE, azureus_frame, begins_azureus};
pub use extended::{
    Content, ExtendedHandshake, Extension, Holepunch, HolepunchError, HolepunchKind, METADATA_PIECE,
    Metadata, MetadataKind, Pex, PexPeer,
};
pub use framing::{Frame, LengthFault, MAX_MESSAGE, frame, length_fault};
pub use handshake::{HANDSHAKE_LENGTH, Handshake, PROTOCOL, Prefix, ReservedBit, handshake_prefix};
pub use id::MessageId;
pub use message::{HashRange, Message, PIECE_HEADER};
pub use near_miss::{
    HandshakeLayout, HandshakeVerdict, LengthVerdict, NearMiss, judge_handshake, judge_length,
};
pub use piece_set::PieceSet;
