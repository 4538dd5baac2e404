//! What a record means, kept small: the bytes are read again when the meaning is wanted, so only what the bytes alone do not
//! tell is kept beside them.

use std::sync::Arc;

use bittrace_protocol::tracker::{http, udp};
use bittrace_protocol::wire::{AzureusMessage, Extension, Handshake, Message, MessageId};
use bittrace_protocol::{dht, lsd};
use bytes::Bytes;

use super::{Body, HttpTrackerBody, PeerWireBody, Protocol, Reason, Unreadable};

/// What the bytes of a record do not tell of its meaning.
#[derive(Debug, Clone)]
pub enum Meaning {
    /// A peer-wire message: nothing.
    Message,
    /// An extended message: which extension its id stands for.
    Extended(Box<Extension>),
    /// The message's name, and how it is read again.
    Named(&'static str, MeaningReader),
    /// What is not read again from the bytes alone.
    Other(Box<Body>),
}

/// How a message is read again from its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeaningReader {
    /// A DHT message. The name says which method a response answers.
    Dht,
    /// A handshake of peers.
    Handshake,
    /// A message of Azureus messaging.
    Azureus,
    /// A local announce.
    Lsd,
    /// A request to a UDP tracker.
    UdpRequest,
    /// The response of a UDP tracker, with addresses of IPv4.
    UdpResponseIpv4,
    /// The same with addresses of IPv6.
    UdpResponseIpv6,
    /// A request to an HTTP tracker.
    HttpRequest,
    /// The response of an HTTP tracker.
    HttpResponse,
    /// A uTP datagram that is not read.
    Utp,
}

impl Meaning {
    /// What `body` says beyond its bytes. `from_ipv6` says whether its sender has an IPv6 address, on which the form of a
    /// UDP tracker's response depends (BEP 15, "IPv6").
    pub fn of(body: Body, from_ipv6: bool) -> Self {
        let body = match body {
            Body::PeerWire(PeerWireBody::Message(_)) => return Self::Message,
            Body::PeerWire(PeerWireBody::Extended(_, extension)) => {
                return Self::Extended(Box::new(extension));
            }
            body => body,
        };
        let reader = match &body {
            Body::PeerWire(PeerWireBody::Handshake(_)) => MeaningReader::Handshake,
            Body::PeerWire(PeerWireBody::Azureus(..)) => MeaningReader::Azureus,
            Body::Dht(..) => MeaningReader::Dht,
            Body::Lsd(_) => MeaningReader::Lsd,
            Body::UdpTracker(packet) => match **packet {
                udp::Packet::ConnectRequest { .. }
                | udp::Packet::AnnounceRequest(_)
                | udp::Packet::ScrapeRequest { .. } => MeaningReader::UdpRequest,
                _ if from_ipv6 => MeaningReader::UdpResponseIpv6,
                _ => MeaningReader::UdpResponseIpv4,
            },
            Body::HttpTracker(HttpTrackerBody::Request(..)) => MeaningReader::HttpRequest,
            Body::HttpTracker(HttpTrackerBody::Response(..)) => MeaningReader::HttpResponse,
            Body::Unreadable(Protocol::Utp, Unreadable::Datagram) => MeaningReader::Utp,
            _ => return Self::Other(Box::new(body)),
        };
        let name = body.message();
        // The method that a response or an error answers stands in another message.
        match &body {
            Body::Dht(message, method) if method_of(name, &message.kind) != *method => {
                Self::Other(Box::new(body))
            }
            _ => Self::Named(name, reader),
        }
    }

    /// The message's name, as [`Body::message`] has it. `bytes` are those of the record.
    pub fn message(&self, bytes: &[u8]) -> &'static str {
        match self {
            Self::Named(name, _) => name,
            Self::Other(body) => body.message(),
            Self::Message | Self::Extended(_) => {
                bytes.get(4).map_or("keep-alive", |&id| MessageId(id).name())
            }
        }
    }

    /// The protocol of the record.
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Named(_, reader) => reader.protocol(),
            Self::Other(body) => body.protocol(),
            Self::Message | Self::Extended(_) => Protocol::PeerWire,
        }
    }

    /// The body of a record of these `bytes`, which are those that it was read from at first.
    pub fn body(&self, bytes: &Bytes) -> Body {
        let read = match self {
            Self::Message => {
                self.peer_message(bytes).map(|message| Body::PeerWire(PeerWireBody::Message(message)))
            }
            Self::Extended(extension) => self
                .peer_message(bytes)
                .map(|message| Body::PeerWire(PeerWireBody::Extended(message, (**extension).clone()))),
            Self::Named(name, reader) => reader.read(name, bytes),
            Self::Other(body) => Some((**body).clone()),
        };
        // What was read once is read again: the bytes are the same.
        read.unwrap_or(Body::Unreadable(self.protocol(), Unreadable::Opaque(Reason::Damaged)))
    }

    /// The peer-wire message, read again from its bytes; `None` for a handshake, and for messages of other protocols.
    pub fn peer_message(&self, bytes: &Bytes) -> Option<Message> {
        match self {
            Self::Message | Self::Extended(_) => Message::decode(bytes).ok(),
            Self::Named(..) | Self::Other(_) => None,
        }
    }
}

impl MeaningReader {
    const fn protocol(self) -> Protocol {
        match self {
            Self::Handshake | Self::Azureus => Protocol::PeerWire,
            Self::Dht => Protocol::Dht,
            Self::Lsd => Protocol::Lsd,
            Self::UdpRequest | Self::UdpResponseIpv4 | Self::UdpResponseIpv6 => Protocol::UdpTracker,
            Self::HttpRequest | Self::HttpResponse => Protocol::HttpTracker,
            Self::Utp => Protocol::Utp,
        }
    }

    /// The body of a message of this `name` and these `bytes`; `None` where the bytes are no such message.
    pub(super) fn read(self, name: &str, bytes: &Bytes) -> Option<Body> {
        let packet = |packet| Body::UdpTracker(Arc::new(packet));
        match self {
            Self::Dht => dht::Message::decode_incomplete(bytes).ok().map(|message| {
                let method = method_of(name, &message.kind);
                Body::Dht(Arc::new(message), method)
            }),
            Self::Handshake => Handshake::decode(bytes)
                .ok()
                .map(|handshake| Body::PeerWire(PeerWireBody::Handshake(handshake))),
            Self::Azureus => AzureusMessage::decode(bytes).ok().map(|message| {
                let wrapped = message.message();
                Body::PeerWire(PeerWireBody::Azureus(Box::new(message), wrapped))
            }),
            Self::Lsd => lsd::Announce::decode(bytes).ok().map(|announce| Body::Lsd(Arc::new(announce))),
            Self::UdpRequest => udp::decode_request(bytes).ok().map(packet),
            Self::UdpResponseIpv4 => udp::decode_response(bytes, false).ok().map(packet),
            Self::UdpResponseIpv6 => udp::decode_response(bytes, true).ok().map(packet),
            Self::HttpRequest => http::Request::decode(bytes).ok().map(|request| {
                let kind = request.kind();
                Body::HttpTracker(HttpTrackerBody::Request(Arc::new(request), Arc::new(kind)))
            }),
            Self::HttpResponse => http::Response::decode(bytes).ok().map(|response| {
                let reply = response.reply();
                Body::HttpTracker(HttpTrackerBody::Response(Arc::new(response), Arc::new(reply)))
            }),
            Self::Utp => Some(Body::Unreadable(Protocol::Utp, Unreadable::Datagram)),
        }
    }
}

/// The method of a DHT message of this `name`: of a query its own, of a response that of the query that it answers, as
/// the name has it.
fn method_of(name: &str, kind: &dht::Kind) -> Option<dht::Method> {
    match kind {
        dht::Kind::Query(query) => Some(query.method.clone()),
        dht::Kind::Response(_) => {
            name.strip_suffix("-response").map(|name| dht::Method::from_name(name.as_bytes()))
        }
        dht::Kind::Error(..) => None,
    }
}
