//! The peer wire: one handshake, then length-prefixed messages without end (BEP 3, "peer protocol").

mod extended;
mod framing;
mod handshake;
mod message;

pub use extended::{
    Content, ExtendedHandshake, Extension, Holepunch, HolepunchKind, METADATA_PIECE, Metadata, MetadataKind,
    Pex, PexPeer,
};
pub use framing::{Frame, MAX_MESSAGE, Oddity, frame, oddity};
pub use handshake::{HANDSHAKE_LENGTH, Handshake, PROTOCOL, Prefix, ReservedBit, handshake_prefix};
pub use message::{HashRange, Message, MessageId};
