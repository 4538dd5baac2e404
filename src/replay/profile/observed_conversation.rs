//! A conversation of a reference, with the state of the connection after each of its messages.

use bittrace_protocol::PieceIndex;
use bittrace_protocol::peer::ConnectionState;
use bittrace_protocol::wire::Message;
use bittrace_trace::{Body, PeerWireBody, Side};

use crate::model::message::StoredMessage;
use crate::model::transcript::Conversation;

/// The messages of a conversation, and the state of the connection after each.
pub(super) struct ObservedConversation<'t> {
    conversation: &'t Conversation,
    messages: Box<dyn Iterator<Item = (Side, &'t StoredMessage)> + 't>,
    state: ConnectionState,
}

impl<'t> ObservedConversation<'t> {
    pub(super) fn new(conversation: &'t Conversation) -> Self {
        Self { conversation, messages: Box::new(conversation.messages()), state: ConnectionState::new() }
    }

    /// One whose state also knows the pieces that both ends have, for which the conversation is read once more.
    pub(super) fn with_pieces(conversation: &'t Conversation) -> Self {
        let mut observed = Self::new(conversation);
        observed.state.set_piece_count(piece_bound(conversation));
        observed
    }

    /// The next message, which the state has observed.
    pub(super) fn next(&mut self) -> Option<(Side, &'t StoredMessage, Body)> {
        let (side, stored) = self.messages.next()?;
        let body = stored.body();
        let (sender, at, number) = (self.conversation.peer_side(side), stored.at, stored.number);
        match (&body, body.peer_message()) {
            (Body::PeerWire(PeerWireBody::Handshake(handshake)), _) => {
                self.state.observe_handshake(sender, at, number, handshake);
            }
            (_, Some(message)) => {
                self.state.observe(sender, at, number, message);
            }
            _ => {}
        }
        Some((side, stored, body))
    }

    /// How many requests of `side` are outstanding.
    pub(super) fn outstanding(&self, side: Side) -> u32 {
        let outstanding = self.state.side(self.conversation.peer_side(side)).outstanding();
        u32::try_from(outstanding).unwrap_or(u32::MAX)
    }

    /// Whether `side` has told that it has a piece.
    pub(super) fn has(&self, side: Side, piece: PieceIndex) -> bool {
        let side = self.state.side(self.conversation.peer_side(side));
        side.pieces().is_some_and(|pieces| pieces.contains(piece))
    }
}

/// The piece that a message names.
pub(super) const fn named_piece(message: &Message) -> Option<PieceIndex> {
    match message {
        Message::Have(piece) | Message::AllowedFast(piece) => Some(*piece),
        Message::Request(block) => Some(block.index),
        Message::Piece { index, .. } => Some(*index),
        _ => None,
    }
}

/// No fewer pieces than the torrent has: as many as a bitfield has bits, else as many as messages of the connection name.
fn piece_bound(conversation: &Conversation) -> u32 {
    let mut named = 0;
    for message in conversation.messages().filter_map(|(_, stored)| stored.peer_message()) {
        if let Message::Bitfield(bits) = &message {
            return u32::try_from(bits.len() * 8).unwrap_or(MAX_PIECES).min(MAX_PIECES);
        }
        named = named.max(named_piece(&message).map_or(0, |piece| piece.0.saturating_add(1)));
    }
    named.min(MAX_PIECES)
}

/// More pieces than any torrent has: their hashes alone would be 320 MiB. A message may name any number.
const MAX_PIECES: u32 = 1 << 24;
