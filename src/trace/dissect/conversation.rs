//! The state of a connection between peers: what each record did to it, in the order in which records are given out.
//!
//! [`ConnectionState`] knows the rules of the protocol; what the capture lacks is told to it here.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bittrace_protocol::Block;
use bittrace_protocol::peer::{ConnectionState, ExtendedContent, ObservedMessage, PeerSide};
use bittrace_protocol::peer_id::client_name;
use bittrace_protocol::wire::{Content, Extension, Handshake, NearMiss, PIECE_HEADER};

use crate::Direction;
use crate::record::{Answer, Body, Fragment, MseBody, PeerEffect, PeerWireBody, Reason, Record, Unreadable};

/// A connection between peers.
#[derive(Debug, Default)]
pub(super) struct PeerConversation {
    state: ConnectionState,
    /// What the client of each side calls itself.
    clients: [Option<Arc<str>>; 2],
}

impl PeerConversation {
    /// Takes in a record of the connection, and enters what it did: what it answers, which extension it is of, which rules it
    /// broke, who sent it. What an extended message says is handed back, as it is decoded already; its extension is then the
    /// record's.
    pub(super) fn observe(&mut self, record: &mut Record) -> Option<Box<ExtendedContent>> {
        let sender = PeerSide::from(record.direction);
        let (at, number) = (record.at, record.number);
        self.state.set_unseen(sender.other(), record.in_doubt);
        let observed = match &record.body {
            Body::PeerWire(PeerWireBody::Handshake(handshake)) => {
                self.observe_handshake(sender, record, handshake)
            }
            Body::PeerWire(PeerWireBody::Message(message) | PeerWireBody::Azureus(_, Some(message))) => {
                self.state.observe(sender, at, number, message)
            }
            Body::Unreadable(_, Unreadable::Opaque(Reason::NearMiss(NearMiss::Handshake(layout)))) => {
                match layout.handshake(&record.bytes) {
                    // What was meant counts for what follows.
                    Some(handshake) => self.observe_handshake(sender, record, &handshake),
                    None => self.state.observe_unreadable(sender, at),
                }
            }
            Body::Unreadable(_, Unreadable::Opaque(Reason::Fragment(fragment))) => {
                self.observe_fragment(record, fragment)
            }
            Body::Unreadable(_, Unreadable::Opaque(_) | Unreadable::Gap(_) | Unreadable::LostPackets(_)) => {
                self.state.observe_unreadable(sender, at)
            }
            _ => ObservedMessage::default(),
        };
        let ObservedMessage { answers, change, repeated, mut extended, faults } = observed;
        record.answers =
            answers.map(|answered| Answer { number: answered.number, latency: seconds(answered.after) });
        if let Some(extended) = &mut extended {
            let nothing = Body::Mse(MseBody::Encrypted);
            if let Body::PeerWire(PeerWireBody::Message(message)) = mem::replace(&mut record.body, nothing) {
                let extension = mem::replace(&mut extended.extension, Extension::Unannounced);
                record.body = Body::PeerWire(PeerWireBody::Extended(message, extension));
            }
        }
        if let Some(extended) = &extended
            && let Some(Content::Handshake(handshake)) = &extended.content
            && let Some(client) =
                handshake.client.as_deref().map(str::trim).filter(|client| !client.is_empty())
        {
            // What a client calls itself here is more exact than its peer id (BEP 10).
            self.clients[sender as usize] = Some(client.into());
        }
        let outstanding = PeerSide::BOTH.map(|side| self.state.side(side).outstanding() as u32);
        let choking = PeerSide::BOTH.map(|side| self.state.side(side).is_choking());
        let interested = PeerSide::BOTH.map(|side| self.state.side(side).is_interested());
        record.effect = PeerEffect { change, repeated, faults, outstanding, choking, interested };
        record.client.clone_from(&self.clients[sender as usize]);
        let handshake = |side| self.state.side(side).handshake();
        record.torrent = handshake(sender).or(handshake(sender.other())).map(|handshake| handshake.info_hash);
        extended
    }

    fn observe_handshake(
        &mut self,
        sender: PeerSide,
        record: &Record,
        handshake: &Handshake,
    ) -> ObservedMessage {
        self.clients[sender as usize] = client_name(&handshake.peer_id).map(|name| name.to_string().into());
        self.state.observe_handshake(sender, record.at, record.number, handshake)
    }

    /// Takes in a part of a message. Of a block whose first part was captured it is still known which request it answers.
    fn observe_fragment(&mut self, record: &Record, fragment: &Fragment) -> ObservedMessage {
        let sender = PeerSide::from(record.direction);
        let mut observed = self.state.observe_unreadable(sender, record.at);
        if let Fragment { block: Some((index, begin)), from: 0, total, .. } = *fragment {
            let length = total.saturating_sub(PIECE_HEADER as u64) as u32;
            let block = Block { index, begin, length };
            observed.answers = self.state.observe_block(sender, record.at, record.number, block).answers;
        }
        observed
    }
}

impl From<Direction> for PeerSide {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::FromInitiator => Self::Initiator,
            Direction::FromResponder => Self::Responder,
        }
    }
}

/// A time in seconds. A time between two moments has fewer than 2^63 nanoseconds.
fn seconds(time: Duration) -> f64 {
    let nanos = time.as_secs().saturating_mul(1_000_000_000).saturating_add(time.subsec_nanos().into());
    nanos as f64 / 1e9
}
