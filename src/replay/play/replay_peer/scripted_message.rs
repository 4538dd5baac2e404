//! A message that a recorded peer sends, and what it waits for.

use std::time::Duration;

use bittrace_protocol::wire::{Content, Extension, Handshake, HashRange, Message, MetadataKind};
use bittrace_protocol::{Block, Timestamp};
use bittrace_trace::{Body, PeerWireBody};
use bytes::Bytes;

use crate::model::message::StoredMessage;
use crate::play::precondition::PreconditionCounts;

/// A message that the far end sends in the reference.
#[derive(Debug)]
pub(super) struct ScriptedMessage {
    pub(super) at: Timestamp,
    pub(super) number: u64,
    pub(super) bytes: Bytes,
    pub(super) says: ScriptedKind,
    /// What the client had sent before it.
    pub(super) wants: PreconditionCounts,
    /// How long after the message before it, of either side, it was sent.
    pub(super) pause: Duration,
    pub(super) said: bool,
}

#[derive(Debug)]
pub(super) enum ScriptedKind {
    Handshake(Handshake),
    Block(Block),
    /// The answer to a request for a piece of the metadata (BEP 9): the piece, or that it is not there.
    Metadata(u32),
    /// The answer to a request for hashes of a tree (BEP 52): the hashes, or that they are not there.
    Hashes(HashRange),
    /// A message of an extension, whose id is the receiver's number.
    Extension(Extension),
    Message(Message),
    /// What is not of the peer wire protocol.
    Other,
}

impl ScriptedMessage {
    pub(super) fn of(message: &StoredMessage, body: Body, wants: PreconditionCounts) -> Self {
        let block = message.block().filter(|_| message.message() == "piece");
        let says = match (body, block) {
            (_, Some(block)) => ScriptedKind::Block(block),
            (Body::PeerWire(PeerWireBody::Handshake(handshake)), _) => ScriptedKind::Handshake(handshake),
            (Body::PeerWire(PeerWireBody::Extended(Message::Extended { id, payload }, extension)), _)
                if id != 0 =>
            {
                match extension.decode(&payload) {
                    Ok(Content::Metadata(metadata))
                        if matches!(metadata.kind, MetadataKind::Data | MetadataKind::Reject) =>
                    {
                        ScriptedKind::Metadata(metadata.piece)
                    }
                    _ => ScriptedKind::Extension(extension),
                }
            }
            (
                Body::PeerWire(PeerWireBody::Message(Message::Hashes(range, _) | Message::HashReject(range))),
                _,
            ) => ScriptedKind::Hashes(range),
            (Body::PeerWire(PeerWireBody::Message(message) | PeerWireBody::Extended(message, _)), _) => {
                ScriptedKind::Message(message)
            }
            _ => ScriptedKind::Other,
        };
        // A block that is not stored is taken from the content (`say`).
        let bytes = if message.digest().is_some() { Bytes::new() } else { message.bytes.clone() };
        let pause = Duration::ZERO;
        Self { at: message.at, number: message.number, bytes, says, wants, pause, said: false }
    }
}
