//! What a message is known by when two conversations are aligned: its type, and for some types what it names.

use std::collections::HashMap;

use bittrace_protocol::dht;
use bittrace_protocol::tracker::http::RequestKind;
use bittrace_protocol::tracker::{Event, udp};
use bittrace_protocol::wire::{Content, Extension, Message, MetadataKind};
use bittrace_trace::Side;
use bittrace_trace::record::{Body, HttpTrackerBody, MseBody, PeerWireBody, Reason, Unreadable, WebSeedBody};

use crate::model::message::StoredMessage;
use crate::model::transcript::Conversation;

/// Messages with equal keys may be each other's counterpart; messages of one kind may be so at second best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AlignmentKey {
    pub(crate) kind: AlignmentKind,
    /// Piece, offset and length, or whatever else tells messages of the kind apart.
    pub(crate) names: [u32; 3],
}

/// The type of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AlignmentKind(u32);

impl AlignmentKind {
    /// Bytes that the capture lost, or that belong to a message of which it lost a part: nobody's conduct, so these
    /// only match their equals.
    pub(crate) const LOSS: Self = Self(0);
    const FIRST_EXTENSION: u32 = 1 << 16;

    /// A kind for tests, which need not know the numbers of others.
    #[cfg(test)]
    pub(crate) const fn of_test(number: u32) -> Self {
        Self(number)
    }

    /// Whether messages of this kind that name different things can be counterparts.
    pub(crate) fn is_message(self) -> bool {
        self != Self::LOSS
    }
}

/// Gives keys to the messages of both captures alike.
#[derive(Debug, Default)]
pub(crate) struct AlignmentKeys {
    extensions: HashMap<String, u32>,
}

impl AlignmentKeys {
    /// The keys of what one end said.
    pub(crate) fn of_way(&mut self, conversation: &Conversation, side: Side) -> Vec<AlignmentKey> {
        let lossy = conversation.is_lossy(side);
        let messages = conversation.way(side).messages.iter();
        messages.map(|kept| if lossy && kept.is_remnant() { loss(kept) } else { self.of(kept) }).collect()
    }

    fn of(&mut self, kept: &StoredMessage) -> AlignmentKey {
        if kept.digest().is_some() {
            return AlignmentKey { kind: message_kind(7), names: named(kept) };
        }
        match kept.body() {
            Body::PeerWire(PeerWireBody::Message(message)) => self.message(kept, &message),
            Body::PeerWire(PeerWireBody::Extended(message, extension)) => self.extended(&message, &extension),
            Body::PeerWire(PeerWireBody::Handshake(_)) => plain(1),
            Body::HttpTracker(HttpTrackerBody::Request(_, kind)) => match &*kind {
                RequestKind::Announce(announce) => {
                    AlignmentKey { kind: AlignmentKind(2), names: [announce.event.map_or(0, event), 0, 0] }
                }
                RequestKind::Scrape(_) => plain(3),
                RequestKind::Other => plain(4),
            },
            Body::HttpTracker(HttpTrackerBody::Response(..)) => plain(5),
            Body::UdpTracker(packet) => match &*packet {
                udp::Packet::ConnectRequest { .. } => plain(6),
                udp::Packet::ConnectResponse { .. } => plain(7),
                udp::Packet::AnnounceRequest(request) => {
                    AlignmentKey { kind: AlignmentKind(8), names: [request.event, 0, 0] }
                }
                udp::Packet::AnnounceResponse(_) => plain(9),
                udp::Packet::ScrapeRequest { .. } => plain(10),
                udp::Packet::ScrapeResponse { .. } => plain(11),
                udp::Packet::Error { .. } => plain(12),
            },
            Body::Mse(MseBody::KeyExchange) => plain(13),
            Body::Mse(MseBody::Negotiation(part)) => plain(23 + part as u32),
            Body::Mse(MseBody::Encrypted) => plain(14),
            Body::Unreadable(_, Unreadable::Datagram) => plain(15),
            Body::Unreadable(_, Unreadable::Opaque(Reason::OrdinaryHttp)) => plain(16),
            Body::Dht(message, method) => self.node(&message.kind, method.as_ref()),
            Body::Lsd(_) => plain(19),
            Body::WebSeed(WebSeedBody::FileRequest(..) | WebSeedBody::PieceRequest(..)) => plain(20),
            Body::WebSeed(WebSeedBody::FileResponse(..) | WebSeedBody::PieceResponse(..)) => plain(21),
            Body::WebSeed(WebSeedBody::FileData(_) | WebSeedBody::PieceData(_)) => plain(22),
            Body::Unreadable(_, Unreadable::Opaque(_) | Unreadable::Gap(_) | Unreadable::LostPackets(_)) => {
                plain(17)
            }
        }
    }

    /// Queries and responses of one method are of one kind each.
    fn node(&mut self, kind: &dht::Kind, method: Option<&dht::Method>) -> AlignmentKey {
        let side = match kind {
            dht::Kind::Query(_) => "query",
            dht::Kind::Response(_) => "response",
            dht::Kind::Error(..) => "error",
        };
        let name = format!("dht {} {side}", method.map_or("", dht::Method::name));
        AlignmentKey { kind: self.named_kind(&name), names: [0; 3] }
    }

    /// The kind of messages that go by a name and not by a number.
    fn named_kind(&mut self, name: &str) -> AlignmentKind {
        let next = AlignmentKind::FIRST_EXTENSION + self.extensions.len() as u32;
        AlignmentKind(match self.extensions.get(name) {
            Some(&known) => known,
            None => *self.extensions.entry(name.to_owned()).or_insert(next),
        })
    }

    fn message(&mut self, kept: &StoredMessage, message: &Message) -> AlignmentKey {
        let kind = message.id().map_or(AlignmentKind(18), |id| message_kind(id.0));
        let names = match message {
            Message::Request(block) | Message::Cancel(block) | Message::RejectRequest(block) => {
                [block.index.0, block.begin, block.length]
            }
            Message::Piece { .. } => named(kept),
            Message::Have(index) | Message::AllowedFast(index) | Message::SuggestPiece(index) => {
                [index.0, 0, 0]
            }
            _ => [0; 3],
        };
        AlignmentKey { kind, names }
    }

    fn extended(&mut self, message: &Message, extension: &Extension) -> AlignmentKey {
        let kind = self.named_kind(extension.name());
        let names = match (message, extension) {
            (Message::Extended { payload, .. }, Extension::Metadata) => match extension.decode(payload) {
                Ok(Content::Metadata(metadata)) => {
                    let kind = match metadata.kind {
                        MetadataKind::Request => 0,
                        MetadataKind::Data => 1,
                        MetadataKind::Reject => 2,
                        MetadataKind::Unknown(_) => 3,
                    };
                    [kind, metadata.piece, 0]
                }
                _ => [0; 3],
            },
            (Message::Extended { payload, .. }, Extension::DontHave) => match extension.decode(payload) {
                Ok(Content::DontHave(index)) => [index.0, 0, 0],
                _ => [0; 3],
            },
            _ => [0; 3],
        };
        AlignmentKey { kind, names }
    }
}

fn loss(kept: &StoredMessage) -> AlignmentKey {
    let length = kept.length();
    AlignmentKey { kind: AlignmentKind::LOSS, names: [(length >> 32) as u32, length as u32, 0] }
}

fn plain(number: u32) -> AlignmentKey {
    AlignmentKey { kind: AlignmentKind(number), names: [0; 3] }
}

fn message_kind(id: u8) -> AlignmentKind {
    AlignmentKind(256 + u32::from(id))
}

fn named(kept: &StoredMessage) -> [u32; 3] {
    kept.block().map_or([0; 3], |block| [block.index.0, block.begin, block.length])
}

fn event(event: Event) -> u32 {
    match event {
        Event::Started => 1,
        Event::Completed => 2,
        Event::Stopped => 3,
        Event::Paused => 4,
    }
}
