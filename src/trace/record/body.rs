//! What a record is, by protocol. Each protocol has its own file beside this one: the names of its messages, their
//! fields, and the line that tells people of each.

use std::sync::Arc;

use bittrace_protocol::field::Field;
use bittrace_protocol::proxy::ProxyPart;
use bittrace_protocol::tracker::udp;
use bittrace_protocol::wire::Message;
use bittrace_protocol::{dht, lsd, utp};
use bytes::Bytes;

use super::http_tracker::HttpTrackerBody;
use super::mse::MseBody;
use super::peer_wire::PeerWireBody;
use super::unreadable::{Reason, Unreadable};
use super::web_seed::WebSeedBody;
use super::{content, udp_tracker};

/// What a record is.
#[derive(Debug, Clone)]
pub enum Body {
    /// What peers send each other.
    PeerWire(PeerWireBody),
    /// A request to an HTTP tracker, or the response.
    HttpTracker(HttpTrackerBody),
    /// A message to or from a UDP tracker.
    UdpTracker(Arc<udp::Packet>),
    /// A message of the DHT. A response has the method of the query that it answers, where the capture has that query.
    Dht(Arc<dht::Message>, Option<dht::Method>),
    /// An announce to the local network.
    Lsd(Arc<lsd::Announce>),
    /// A request to a web seed, or a part of the response.
    WebSeed(WebSeedBody),
    /// A part of an encrypted connection.
    Mse(MseBody),
    /// What a client and a proxy say before BitTorrent goes through the proxy.
    Proxy(ProxyPart),
    /// Bytes of this protocol that are not a message, or bytes that the capture lost.
    Unreadable(Protocol, Unreadable),
}

/// The protocols of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// A tracker over HTTP (BEP 3).
    HttpTracker,
    /// A tracker over UDP (BEP 15).
    UdpTracker,
    /// Peers (BEP 3).
    PeerWire,
    /// The distributed hash table (BEP 5).
    Dht,
    /// Local service discovery (BEP 14).
    Lsd,
    /// The transport over UDP (BEP 29).
    Utp,
    /// Web seeds over HTTP (BEPs 17 and 19).
    WebSeed,
    /// Message stream encryption.
    Mse,
    /// SOCKS4, SOCKS5 and HTTP CONNECT, before the BitTorrent after them.
    Proxy,
}

impl Protocol {
    /// Its name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HttpTracker => "http-tracker",
            Self::UdpTracker => "udp-tracker",
            Self::PeerWire => "peer-wire",
            Self::Dht => "dht",
            Self::Lsd => "lsd",
            Self::Utp => "utp",
            Self::WebSeed => "web-seed",
            Self::Mse => "mse",
            Self::Proxy => "proxy",
        }
    }
}

impl Body {
    /// The peer-wire message that it is; `None` for a handshake, and for messages of other protocols.
    pub const fn peer_message(&self) -> Option<&Message> {
        match self {
            Self::PeerWire(
                PeerWireBody::Message(message)
                | PeerWireBody::Extended(message, _)
                | PeerWireBody::Azureus(_, Some(message)),
            ) => Some(message),
            _ => None,
        }
    }

    /// Whether it is a message between peers that is no handshake, is of no extension and can be read: nearly all are.
    #[inline]
    pub(crate) const fn is_plain_message(&self) -> bool {
        self.plain_message().is_some()
    }

    /// The message between peers where it is [plain](Self::is_plain_message).
    #[inline]
    pub(crate) const fn plain_message(&self) -> Option<&Message> {
        match self {
            Self::PeerWire(PeerWireBody::Message(message)) => Some(message),
            _ => None,
        }
    }

    /// The protocol that the record belongs to.
    pub const fn protocol(&self) -> Protocol {
        match self {
            Self::PeerWire(_) => Protocol::PeerWire,
            Self::HttpTracker(_) => Protocol::HttpTracker,
            Self::UdpTracker(_) => Protocol::UdpTracker,
            Self::Dht(..) => Protocol::Dht,
            Self::Lsd(_) => Protocol::Lsd,
            Self::WebSeed(_) => Protocol::WebSeed,
            Self::Mse(_) => Protocol::Mse,
            Self::Proxy(_) => Protocol::Proxy,
            Self::Unreadable(protocol, _) => *protocol,
        }
    }

    /// The message's name, one of those that users filter by.
    pub fn message(&self) -> &'static str {
        match self {
            Self::PeerWire(body) => body.name(),
            Self::HttpTracker(body) => body.name(),
            Self::UdpTracker(packet) => udp_tracker::name(packet),
            Self::Dht(message, method) => super::dht::name(&message.kind, method.as_ref()),
            Self::Lsd(_) => "announce",
            Self::WebSeed(body) => body.name(),
            Self::Mse(body) => body.name(),
            Self::Proxy(part) => part.name(),
            Self::Unreadable(_, body) => body.name(),
        }
    }

    /// The fields that tile the message's `bytes`: from 0, without gap or overlap, to the end.
    pub fn fields(&self, bytes: &Bytes) -> Vec<Field> {
        match self {
            Self::PeerWire(body) => body.fields(bytes),
            Self::HttpTracker(body) => body.fields(),
            Self::UdpTracker(packet) => packet.fields(),
            Self::Dht(..) => dht::fields(bytes),
            Self::Lsd(_) => lsd::fields(bytes),
            Self::WebSeed(body) => body.fields(bytes),
            Self::Mse(body) => body.fields(bytes),
            Self::Proxy(part) => part.fields(bytes),
            Self::Unreadable(_, Unreadable::Datagram) => utp::fields(bytes),
            Self::Unreadable(_, Unreadable::Opaque(Reason::NearMiss(near_miss))) => near_miss.fields(bytes),
            Self::Unreadable(_, Unreadable::Opaque(_)) => content::payload(bytes),
            Self::Unreadable(_, Unreadable::Gap(_) | Unreadable::LostPackets(_)) => Vec::new(),
        }
    }

    /// What `fields` mean: content that stands in them only in another form is added, or takes their place.
    pub(super) fn add_meaning(&self, bytes: &[u8], fields: &mut Vec<Field>) {
        match self {
            Self::PeerWire(PeerWireBody::Handshake(_)) | Self::UdpTracker(_) => {
                content::add_readable_peer_id(fields)
            }
            Self::HttpTracker(body) => body.add_meaning(fields),
            Self::WebSeed(body) => body.add_meaning(fields),
            Self::Unreadable(_, body) => body.add_meaning(bytes, fields),
            Self::PeerWire(_) | Self::Dht(..) | Self::Lsd(_) | Self::Mse(_) | Self::Proxy(_) => {}
        }
    }

    /// How many bytes of the stream the message stands for: its own `bytes`, or those that a gap lost, as far as that is
    /// known.
    pub fn length(&self, bytes: &[u8]) -> u64 {
        match self {
            Self::Unreadable(_, Unreadable::Gap(length)) => *length,
            _ => bytes.len() as u64,
        }
    }

    /// The meaning of a message of these `bytes` on one line, without a full stop. `client` is what the sender calls
    /// itself, and `pieces` the number of pieces of the torrent, where they are known.
    pub fn describe(&self, bytes: &Bytes, client: Option<&str>, pieces: Option<u64>) -> String {
        let mut text = String::new();
        self.describe_into(bytes, client, pieces, &mut text);
        text
    }

    /// Adds [`describe`](Self::describe) to a text.
    pub fn describe_into(&self, bytes: &Bytes, client: Option<&str>, pieces: Option<u64>, text: &mut String) {
        let described = match self {
            Self::PeerWire(body) => return body.describe_into(client, pieces, text),
            Self::HttpTracker(body) => body.describe(),
            Self::UdpTracker(packet) => udp_tracker::describe(packet),
            Self::Dht(message, method) => super::dht::describe(self.message(), message, method.as_ref()),
            Self::Lsd(announce) => super::lsd::describe(announce),
            Self::WebSeed(body) => body.describe(),
            Self::Mse(body) => body.describe(bytes),
            Self::Proxy(part) => part.describe(bytes),
            Self::Unreadable(_, body) => body.describe(bytes, self.length(bytes)),
        };
        text.push_str(&described);
    }
}
