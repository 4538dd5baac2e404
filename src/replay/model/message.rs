//! A message as a transcript stores it: its exact bytes, and what the bytes alone do not tell.
//! The meaning is read again from the bytes when it is wanted, so that captures of millions of small messages fit into
//! memory.

use std::sync::Arc;

use bittrace_protocol::field::Field;
use bittrace_protocol::tracker::{http, udp};
use bittrace_protocol::wire::{AzureusMessage, Extension, Handshake, Message, MessageId, PIECE_HEADER};
use bittrace_protocol::{Block, Hex, PieceIndex, Timestamp, dht, lsd};
use bittrace_trace::record::{Body, Frames, HttpTrackerBody, PeerWireBody, Reason, Unreadable};
use bittrace_trace::units::size;
use bittrace_trace::{Protocol, Record};
use bytes::{Bytes, BytesMut};
use sha1::{Digest, Sha1};

/// A message of a conversation.
#[derive(Debug, Clone)]
pub struct StoredMessage {
    /// Its number in its capture, from 1.
    pub number: u64,
    /// When the last packet that carried it was captured.
    pub at: Timestamp,
    /// The packets that carried it, as Wireshark counts them.
    pub frames: Frames,
    /// Its exact bytes; of a shortened piece only the header, and empty for a gap.
    pub bytes: Bytes,
    meaning: Meaning,
}

/// What the bytes alone do not tell.
#[derive(Debug, Clone)]
enum Meaning {
    /// A peer-wire message: nothing.
    Message,
    /// An extended message: which extension its id stands for.
    Extended(Box<Extension>),
    /// A piece of which only the header is stored, and the SHA-1 of its block.
    Shortened(Box<[u8; 20]>),
    /// The message's name, and how it is read again.
    Named(&'static str, MeaningReader),
    /// What is not read again from the bytes alone.
    Other(Box<Body>),
}

/// How a message is read again from its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MeaningReader {
    /// A DHT message. The name says which method a response answers.
    Dht,
    Handshake,
    Azureus,
    Lsd,
    UdpRequest,
    UdpResponseIpv4,
    UdpResponseIpv6,
    HttpRequest,
    HttpResponse,
    Utp,
}

/// A message with its meaning, apart from its conversation.
#[derive(Debug, Clone)]
pub(crate) struct ReadMessage {
    /// Its number in its capture, from 1.
    pub(crate) number: u64,
    /// Its exact bytes.
    pub(crate) bytes: Bytes,
    /// What they mean.
    pub(crate) body: Body,
}

impl ReadMessage {
    /// The fields that tile the message's bytes.
    pub(crate) fn fields(&self) -> Vec<Field> {
        self.body.fields(&self.bytes)
    }
}

impl StoredMessage {
    /// The message's name, as [`Body::message`] has it.
    pub fn message(&self) -> &'static str {
        match &self.meaning {
            Meaning::Named(name, _) => name,
            Meaning::Other(body) => body.message(),
            Meaning::Message | Meaning::Extended(_) | Meaning::Shortened(_) => {
                self.bytes.get(4).map_or("keep-alive", |&id| MessageId(id).name())
            }
        }
    }

    /// The protocol it belongs to.
    pub fn protocol(&self) -> Protocol {
        match &self.meaning {
            Meaning::Named(_, reader) => reader.protocol(),
            Meaning::Other(body) => body.protocol(),
            Meaning::Message | Meaning::Extended(_) | Meaning::Shortened(_) => Protocol::PeerWire,
        }
    }

    /// What it means, read again from its bytes. Of a shortened piece the block is empty.
    pub fn body(&self) -> Body {
        let read = match &self.meaning {
            Meaning::Message | Meaning::Shortened(_) => {
                self.peer_message().map(|message| Body::PeerWire(PeerWireBody::Message(message)))
            }
            Meaning::Extended(extension) => self
                .peer_message()
                .map(|message| Body::PeerWire(PeerWireBody::Extended(message, (**extension).clone()))),
            Meaning::Named(name, reader) => reader.read(name, &self.bytes),
            Meaning::Other(body) => Some((**body).clone()),
        };
        // What was read once is read again: the bytes are the same.
        read.unwrap_or(Body::Unreadable(self.protocol(), Unreadable::Opaque(Reason::Damaged)))
    }

    /// The peer-wire message that it is, read again from its bytes; `None` for a handshake, and for messages of other
    /// protocols. Of a shortened piece the block is empty.
    pub fn peer_message(&self) -> Option<Message> {
        match &self.meaning {
            Meaning::Message | Meaning::Extended(_) => Message::decode(&self.bytes).ok(),
            Meaning::Shortened(_) => {
                let Block { index, begin, .. } = self.block()?;
                Some(Message::Piece { index, begin, block: Bytes::new() })
            }
            Meaning::Named(..) | Meaning::Other(_) => None,
        }
    }

    /// How many bytes of the stream it stands for, those that were lost or not stored included.
    pub fn length(&self) -> u64 {
        match &self.meaning {
            Meaning::Shortened(_) => {
                let prefix = self.bytes.first_chunk::<4>().copied().unwrap_or_default();
                4 + u64::from(u32::from_be_bytes(prefix))
            }
            Meaning::Other(body) => body.length(&self.bytes),
            _ => self.bytes.len() as u64,
        }
    }

    /// Whether it stands for bytes that the capture lost.
    pub fn is_gap(&self) -> bool {
        matches!(&self.meaning, Meaning::Other(body) if matches!(**body, Body::Unreadable(_, Unreadable::Gap(_) | Unreadable::LostPackets(_))))
    }

    /// Whether it is what a loss can leave of messages: itself, or a part of one.
    pub fn is_remnant(&self) -> bool {
        let Meaning::Other(body) = &self.meaning else { return false };
        matches!(
            **body,
            Body::Unreadable(
                _,
                Unreadable::Gap(_)
                    | Unreadable::LostPackets(_)
                    | Unreadable::Opaque(Reason::Fragment(_) | Reason::Cut(_) | Reason::BeforeBoundary)
            )
        )
    }

    /// The SHA-1 of the block, where the block itself is not stored.
    pub fn digest(&self) -> Option<&[u8; 20]> {
        match &self.meaning {
            Meaning::Shortened(digest) => Some(digest),
            _ => None,
        }
    }

    /// Whether two messages have the same bytes. A block that is not stored is judged by its digest.
    pub fn same_bytes(&self, other: &Self) -> bool {
        match (self.digest(), other.digest()) {
            (None, None) => self.bytes == other.bytes && self.length() == other.length(),
            (Some(one), Some(two)) => self.bytes == other.bytes && one == two,
            (Some(_), None) => other.shortened().is_some_and(|other| self.same_bytes(&other)),
            (None, Some(_)) => other.same_bytes(self),
        }
    }

    /// The message with its meaning.
    pub(crate) fn read(&self) -> ReadMessage {
        ReadMessage { number: self.number, bytes: self.bytes.clone(), body: self.body() }
    }

    /// The same message as it would be stored beyond half of the limit on memory; `None` of what is not a piece.
    pub(crate) fn shortened(&self) -> Option<Self> {
        let block = self.bytes.get(PIECE_HEADER..)?;
        (self.message() == "piece").then(|| Self {
            meaning: Meaning::Shortened(Box::new(Sha1::digest(block).into())),
            bytes: self.bytes.slice(..PIECE_HEADER),
            ..self.clone()
        })
    }

    /// The block that a piece carries, by what its header says; `None` where the message is too short to be a piece.
    pub(crate) fn block(&self) -> Option<Block> {
        let number = |at| self.bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        let header = PIECE_HEADER as u32 - 4;
        Some(Block {
            index: PieceIndex(number(5)?),
            begin: number(9)?,
            length: number(0)?.saturating_sub(header),
        })
    }

    /// The message on one line. `client` is the name of its sender's client.
    pub fn describe(&self, client: Option<&str>) -> String {
        match (self.digest(), self.block()) {
            (Some(digest), Some(Block { index, begin, length })) => {
                format!("piece {index}, {} at {begin}, SHA-1 {}", size(length.into()), Hex(digest))
            }
            _ => self.body().describe(&self.bytes, client, None),
        }
    }
}

impl Meaning {
    fn of(body: Body, from_ipv6: bool) -> Self {
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

    fn read(self, name: &str, bytes: &[u8]) -> Option<Body> {
        let packet = |packet| Body::UdpTracker(Arc::new(packet));
        match self {
            Self::Dht => dht::Message::decode_incomplete(bytes).ok().map(|message| {
                let method = method_of(name, &message.kind);
                Body::Dht(Arc::new(message), method)
            }),
            Self::Handshake => Handshake::decode(bytes)
                .ok()
                .map(|handshake| Body::PeerWire(PeerWireBody::Handshake(handshake))),
            Self::Azureus => AzureusMessage::decode(&Bytes::copy_from_slice(bytes)).ok().map(|message| {
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

/// Stores messages within a limit on memory. What is stored is copied into memory of its own, since a slice of a record's
/// bytes holds the whole buffer that they were read into.
#[derive(Debug)]
pub(crate) struct MessageStore {
    chunk: BytesMut,
    /// The memory that all messages may take, in bytes.
    pub(crate) limit: usize,
    /// The memory that the messages take so far, in bytes.
    used: usize,
    /// How many pieces were shortened.
    pub(crate) shortened: u64,
}

/// How much is asked of the allocator at once.
const CHUNK: usize = 256 * 1024;

impl MessageStore {
    /// A store for `limit` bytes. Blocks are stored whole while all messages together take no more than half of them, so
    /// that there is room for the messages themselves.
    pub(crate) fn new(limit: usize) -> Self {
        Self { chunk: BytesMut::new(), limit, used: 0, shortened: 0 }
    }

    /// Whether the messages take more memory than they may.
    pub(crate) const fn is_full(&self) -> bool {
        self.used > self.limit
    }

    pub(crate) fn store(&mut self, record: Record) -> StoredMessage {
        let Record { number, at, source, mut frames, bytes, body, .. } = record;
        frames.shrink_to_fit();
        let is_piece = matches!(body, Body::PeerWire(PeerWireBody::Message(Message::Piece { .. })));
        let (stored, meaning) = if is_piece && self.used + bytes.len() > self.limit / 2 {
            self.shortened += 1;
            let digest = Sha1::digest(&bytes[PIECE_HEADER..]);
            (self.copy(&bytes[..PIECE_HEADER]), Meaning::Shortened(Box::new(digest.into())))
        } else {
            (self.copy(&bytes), Meaning::of(body, source.is_ipv6()))
        };
        let message = StoredMessage { number, at, frames, bytes: stored, meaning };
        self.used += message.memory();
        message
    }

    fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.is_empty() {
            return Bytes::new();
        }
        if self.chunk.capacity() < bytes.len() {
            self.chunk = BytesMut::with_capacity(CHUNK.max(bytes.len()));
        }
        self.chunk.extend_from_slice(bytes);
        self.chunk.split().freeze()
    }
}

impl StoredMessage {
    /// The memory that it takes, in bytes, about.
    fn memory(&self) -> usize {
        let beside = match &self.meaning {
            Meaning::Message | Meaning::Named(..) => 0,
            Meaning::Extended(_) | Meaning::Shortened(_) => 32,
            // A request to a web seed is stored with its parts, which have its bytes once more.
            Meaning::Other(body) if matches!(**body, Body::WebSeed(_)) => {
                size_of::<Body>() + 2 * self.bytes.len()
            }
            Meaning::Other(_) => size_of::<Body>(),
        };
        let frames = if self.frames.spilled() { self.frames.len() * size_of::<u64>() } else { 0 };
        size_of::<Self>() + self.bytes.len() + frames + beside
    }
}
