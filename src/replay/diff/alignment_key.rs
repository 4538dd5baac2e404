//! What a message is known by when two conversations are aligned: its type, and for some types what it names.

use std::collections::HashMap;

use bittrace_protocol::dht;
use bittrace_protocol::tracker::http::RequestKind;
use bittrace_protocol::tracker::udp;
use bittrace_protocol::wire::{Content, Extension, Message, MessageId, MetadataKind};
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

impl AlignmentKey {
    /// The piece and offset that a message with a length names; `None` where it has no length.
    pub(crate) fn place(&self) -> Option<[u32; 2]> {
        let [piece, offset, length] = self.names;
        (length > 0 && self.kind != AlignmentKind::Loss).then_some([piece, offset])
    }
}

/// The type of a message. The order of the kinds says nothing; it only has to be the same for both captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum AlignmentKind {
    /// Bytes that the capture lost, or that belong to a message of which the capture lost a part. They say nothing about
    /// how a client behaves, so they are paired with their equals only.
    Loss,
    Handshake,
    HttpAnnounce,
    HttpScrape,
    HttpOther,
    HttpResponse,
    UdpConnectRequest,
    UdpConnectResponse,
    UdpAnnounceRequest,
    UdpAnnounceResponse,
    UdpScrapeRequest,
    UdpScrapeResponse,
    UdpError,
    KeyExchange,
    Encrypted,
    UtpDatagram,
    OrdinaryHttp,
    Unreadable,
    KeepAlive,
    LocalAnnounce,
    WebSeedRequest,
    WebSeedResponse,
    WebSeedData,
    /// A part of an MSE negotiation.
    Negotiation(u8),
    /// A message of the peer wire, by its id.
    Message(u8),
    /// Messages that go by a name: those of an extension, and those of a DHT method. The number is given by
    /// [`AlignmentKeys`].
    Named(u32),
}

impl AlignmentKind {
    /// A kind for tests, which need not know the others. 0 is a loss.
    #[cfg(test)]
    pub(crate) const fn of_test(number: u32) -> Self {
        match number {
            0 => Self::Loss,
            number => Self::Named(number),
        }
    }

    /// Whether messages of this kind that name different things can be counterparts.
    pub(crate) fn is_message(self) -> bool {
        self != Self::Loss
    }
}

/// Gives keys to the messages of both captures alike.
#[derive(Debug, Default)]
pub(crate) struct AlignmentKeys {
    /// The names that have been seen, numbered in that order.
    names: HashMap<String, u32>,
}

impl AlignmentKeys {
    /// The keys of one end's messages.
    pub(crate) fn of_side(&mut self, conversation: &Conversation, side: Side) -> Vec<AlignmentKey> {
        let lossy = conversation.is_lossy(side);
        let messages = conversation.direction(side).messages.iter();
        messages
            .map(|stored| if lossy && stored.is_remnant() { loss(stored) } else { self.of(stored) })
            .collect()
    }

    fn of(&mut self, stored: &StoredMessage) -> AlignmentKey {
        if stored.digest().is_some() {
            return AlignmentKey { kind: AlignmentKind::Message(MessageId::PIECE.0), names: named(stored) };
        }
        match stored.body() {
            Body::PeerWire(PeerWireBody::Message(message)) => self.message(stored, &message),
            Body::PeerWire(PeerWireBody::Extended(message, extension)) => self.extended(&message, &extension),
            Body::PeerWire(PeerWireBody::Handshake(_)) => plain(AlignmentKind::Handshake),
            Body::PeerWire(PeerWireBody::Azureus(_, Some(message))) => self.message(stored, &message),
            Body::PeerWire(PeerWireBody::Azureus(message, None)) => {
                plain(self.named_kind(&message.id.escape_ascii().to_string()))
            }
            Body::Proxy(part) => plain(self.named_kind(part.name())),
            Body::HttpTracker(HttpTrackerBody::Request(_, kind)) => match &*kind {
                RequestKind::Announce(announce) => {
                    let event = announce.event.map_or(0, |event| 1 + event as u32);
                    AlignmentKey { kind: AlignmentKind::HttpAnnounce, names: [event, 0, 0] }
                }
                RequestKind::Scrape(_) => plain(AlignmentKind::HttpScrape),
                RequestKind::NoTorrent(_) | RequestKind::Other => plain(AlignmentKind::HttpOther),
            },
            Body::HttpTracker(HttpTrackerBody::Response(..)) => plain(AlignmentKind::HttpResponse),
            Body::UdpTracker(packet) => match &*packet {
                udp::Packet::ConnectRequest { .. } => plain(AlignmentKind::UdpConnectRequest),
                udp::Packet::ConnectResponse { .. } => plain(AlignmentKind::UdpConnectResponse),
                udp::Packet::AnnounceRequest(request) => {
                    AlignmentKey { kind: AlignmentKind::UdpAnnounceRequest, names: [request.event, 0, 0] }
                }
                udp::Packet::AnnounceResponse(_) => plain(AlignmentKind::UdpAnnounceResponse),
                udp::Packet::ScrapeRequest { .. } => plain(AlignmentKind::UdpScrapeRequest),
                udp::Packet::ScrapeResponse { .. } => plain(AlignmentKind::UdpScrapeResponse),
                udp::Packet::Error { .. } => plain(AlignmentKind::UdpError),
            },
            Body::Mse(MseBody::KeyExchange) => plain(AlignmentKind::KeyExchange),
            Body::Mse(MseBody::Negotiation(part)) => plain(AlignmentKind::Negotiation(part as u8)),
            Body::Mse(MseBody::Encrypted) => plain(AlignmentKind::Encrypted),
            Body::Unreadable(_, Unreadable::Datagram) => plain(AlignmentKind::UtpDatagram),
            Body::Unreadable(_, Unreadable::Opaque(Reason::OrdinaryHttp)) => {
                plain(AlignmentKind::OrdinaryHttp)
            }
            Body::Dht(message, method) => self.node(&message.kind, method.as_ref()),
            Body::Lsd(_) => plain(AlignmentKind::LocalAnnounce),
            Body::WebSeed(WebSeedBody::FileRequest(..) | WebSeedBody::PieceRequest(..)) => {
                plain(AlignmentKind::WebSeedRequest)
            }
            Body::WebSeed(WebSeedBody::FileResponse(..) | WebSeedBody::PieceResponse(..)) => {
                plain(AlignmentKind::WebSeedResponse)
            }
            Body::WebSeed(WebSeedBody::FileData(_) | WebSeedBody::PieceData(_)) => {
                plain(AlignmentKind::WebSeedData)
            }
            Body::Unreadable(_, Unreadable::Opaque(_) | Unreadable::Gap(_) | Unreadable::LostPackets(_)) => {
                plain(AlignmentKind::Unreadable)
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
        plain(self.named_kind(&name))
    }

    /// The kind of messages that go by a name and not by a number.
    fn named_kind(&mut self, name: &str) -> AlignmentKind {
        let next = self.names.len() as u32;
        AlignmentKind::Named(match self.names.get(name) {
            Some(&known) => known,
            None => *self.names.entry(name.to_owned()).or_insert(next),
        })
    }

    fn message(&mut self, stored: &StoredMessage, message: &Message) -> AlignmentKey {
        let kind = message.id().map_or(AlignmentKind::KeepAlive, |id| AlignmentKind::Message(id.0));
        let names = match message {
            Message::Request(block) | Message::Cancel(block) | Message::RejectRequest(block) => {
                [block.index.0, block.begin, block.length]
            }
            Message::Piece { .. } => named(stored),
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

fn loss(stored: &StoredMessage) -> AlignmentKey {
    let length = stored.length();
    AlignmentKey { kind: AlignmentKind::Loss, names: [(length >> 32) as u32, length as u32, 0] }
}

/// The key of a message whose kind is all that tells it apart.
fn plain(kind: AlignmentKind) -> AlignmentKey {
    AlignmentKey { kind, names: [0; 3] }
}

fn named(stored: &StoredMessage) -> [u32; 3] {
    stored.block().map_or([0; 3], |block| [block.index.0, block.begin, block.length])
}
