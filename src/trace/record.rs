//! All that people read: one protocol message with its exact bytes, its meaning, and what is to be said of it.

mod summary_line;
pub mod units;
mod web_seed;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use bittrace_protocol::field::{Field, Value};
use bittrace_protocol::geometry::FileRange;
use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::tracker::{http, udp};
use bittrace_protocol::web_seed::{Wanted, WantedPiece};
use bittrace_protocol::wire::{Extension, Handshake, Message, MessageId};
use bittrace_protocol::{InfoHash, PieceIndex, Timestamp, dht, lsd, mse, utp};
use bytes::Bytes;
use smallvec::SmallVec;

use crate::{Direction, StreamId};
pub use summary_line::{describe, describe_in};

/// One message, or bytes that are none.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its number in the trace, from 1.
    pub number: u64,
    /// When the last packet that carried it was captured.
    pub at: Timestamp,
    /// The BitTorrent stream it stands in, numbered from 0 in the order in which streams are recognised.
    pub stream: StreamId,
    /// Which way it went.
    pub direction: Direction,
    /// Whether the host the capture is about said it.
    pub speaker: Speaker,
    /// Who said it.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
    /// What carried it.
    pub transport: Transport,
    /// The packets that carried it, as Wireshark counts them.
    pub frames: Frames,
    /// Where it begins in its direction of the stream, in bytes; for a datagram, bytes of this direction before it.
    pub offset: u64,
    /// Whether the other end said bytes before that the capture had not shown by then, or never does.
    pub in_doubt: bool,
    /// Its exact bytes; empty for a gap. Of an encrypted connection whose key is known, as they were before they were
    /// encrypted.
    pub bytes: Bytes,
    /// Whether its bytes stood encrypted on the wire.
    pub decrypted: bool,
    /// What it means.
    pub body: Body,
    /// What is to be said of it.
    pub notes: Vec<Note>,
    /// The message it answers.
    pub answers: Option<Answer>,
    /// The speaker's client, once it has said so.
    pub client: Option<Arc<str>>,
    /// The torrent it is about.
    pub torrent: Option<InfoHash>,
    /// The torrent, where this message is what made its description whole (BEP 9) and nothing else had told it.
    pub describes: Option<Arc<Metainfo>>,
}

/// Which side of a capture speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Speaker {
    /// The host the capture is about.
    Local,
    /// The other end.
    Far,
}

impl Speaker {
    /// Its name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Far => "far",
        }
    }
}

/// Packet numbers.
pub type Frames = SmallVec<[u64; 2]>;

/// What carries messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// uTP over UDP (BEP 29).
    Utp,
}

impl Transport {
    /// Its name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Utp => "utp",
        }
    }
}

/// The message that a record answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// That message's number.
    pub number: u64,
    /// The seconds from that message to this one.
    pub latency: f64,
}

/// Something to be said of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// How much it matters.
    pub severity: Severity,
    /// The rule that says it, as `<document>.<claim>`.
    pub rule: &'static str,
    /// What is to be said.
    pub text: Cow<'static, str>,
    /// The piece of the record's torrent that it is about, where it says of a piece whether it is right.
    pub piece: Option<PieceIndex>,
}

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// How things stand.
    Chat,
    /// Worth knowing.
    Note,
    /// Against a rule, or bytes that cannot be read.
    Warn,
    /// A message that is broken, or data that is wrong.
    Error,
}

impl Severity {
    /// Its name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl Note {
    /// A note.
    pub fn new(severity: Severity, rule: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self { severity, rule, text: text.into(), piece: None }
    }
}

/// What a record is.
#[derive(Debug, Clone)]
pub enum Body {
    /// A peer-wire handshake.
    Handshake(Handshake),
    /// A peer-wire message.
    Message(Message),
    /// A peer-wire message of an extension, named by the receiver's handshake.
    Extended(Message, Extension),
    /// A request to an HTTP tracker.
    HttpRequest(Arc<http::Request>, Arc<http::RequestKind>),
    /// An HTTP tracker's answer.
    HttpResponse(Arc<http::Response>, Arc<http::Reply>),
    /// A message to or from a UDP tracker.
    UdpTracker(Arc<udp::Packet>),
    /// A message of the DHT. A response is named by the query it answers, as far as that is known.
    Dht(Arc<dht::Message>, Option<dht::Method>),
    /// An announce to the local network.
    Lsd(Arc<lsd::Announce>),
    /// A request to a web seed.
    WebSeedRequest(Arc<http::Request>, Arc<FilePart>),
    /// The head of a web seed's answer, and what was asked.
    WebSeedResponse(Arc<http::Response>, Arc<FilePart>),
    /// Bytes of a torrent's file, from a web seed.
    WebSeedData(Arc<FilePart>),
    /// A request for a piece to a web seed of BEP 17.
    HttpSeedRequest(Arc<http::Request>, Arc<WantedPiece>),
    /// The head of its answer, and what was asked.
    HttpSeedResponse(Arc<http::Response>, Arc<WantedPiece>),
    /// Bytes of a piece from it, and which of them.
    HttpSeedData(Arc<WantedPiece>),
    /// The public key that opens an encrypted connection.
    KeyExchange,
    /// A part of the negotiation of an encrypted connection whose key is known.
    Negotiation(mse::Part),
    /// Bytes of an encrypted connection that cannot be read.
    Encrypted,
    /// A datagram of a uTP connection whose stream is none that can be read.
    Utp,
    /// Bytes that no rule explains.
    Opaque(Protocol, Reason),
    /// Bytes that the capture lost: how many.
    Gap(Protocol, u64),
    /// Packets that the capture lost, of a size that nothing tells: how many. Only of uTP.
    LostPackets(Protocol, u64),
}

/// A part of a torrent's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePart {
    /// The torrent.
    pub torrent: InfoHash,
    /// The file, by its number in the torrent.
    pub file: usize,
    /// Its path in the torrent, readable.
    pub path: Arc<str>,
    /// The bytes within the file.
    pub bytes: Range<u64>,
    /// The pieces in which they lie.
    pub pieces: Range<u32>,
}

impl FilePart {
    /// What a web seed is asked for.
    pub(crate) fn new(torrent: &Metainfo, wanted: Wanted) -> Self {
        let Wanted { part, pieces } = wanted;
        let path = torrent.files.get(part.file).map(bittrace_protocol::metainfo::File::path_text);
        let path = path.filter(|path| !path.is_empty()).unwrap_or_else(|| torrent.name.to_string());
        Self { torrent: torrent.info_hash, file: part.file, path: path.into(), bytes: part.bytes, pieces }
    }

    /// Other bytes of the same file.
    pub(crate) fn within(&self, bytes: Range<u64>, torrent: &Metainfo) -> Self {
        let part = FileRange { file: self.file, bytes: bytes.clone() };
        let pieces = torrent.placement().map_or(0..0, |geometry| geometry.pieces_in(&part));
        Self { bytes, pieces, ..self.clone() }
    }
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
        }
    }
}

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// They belong to a message of which a part is lost or was never captured.
    Fragment(Fragment),
    /// They stand before the first message whose beginning can be proved: the capture begins in the middle
    /// of the stream, or lost bytes before them.
    BeforeBoundary,
    /// They stand where a message should begin, but are none.
    Damaged,
    /// An HTTP message on a tracker's connection that is no tracker message.
    OrdinaryHttp,
    /// The end of a stream whose last message never came whole.
    Unfinished,
}

/// Part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// The message's id; `None` for a handshake.
    pub id: Option<MessageId>,
    /// For a piece: the piece, and the block's offset within it.
    pub block: Option<(PieceIndex, u32)>,
    /// Where the part begins in the message.
    pub from: u64,
    /// The bytes of the whole message.
    pub total: u64,
}

/// The bytes of a piece message in front of its block: length prefix, id, index, begin (BEP 3, "piece").
pub(crate) const PIECE_HEADER: u64 = 13;

impl Fragment {
    /// The bytes of a block in a part of its message, `bytes`, and where they begin in the piece; `None` where it is part
    /// of another message, or the capture lacks which block it is.
    pub fn part_of_block(&self, bytes: &Bytes) -> Option<(PieceIndex, u32, Bytes)> {
        let (index, begin) = self.block.filter(|_| self.id == Some(MessageId::PIECE))?;
        let header = PIECE_HEADER.saturating_sub(self.from).min(bytes.len() as u64);
        let block = bytes.slice(header as usize..);
        let before = u32::try_from(self.from.saturating_sub(PIECE_HEADER)).ok()?;
        Some((index, begin.checked_add(before)?, block))
    }

    /// The message's name.
    pub fn name(&self) -> &'static str {
        self.id.map_or("handshake", MessageId::name)
    }
}

impl Body {
    /// The protocol it belongs to.
    pub const fn protocol(&self) -> Protocol {
        match self {
            Self::Handshake(_) | Self::Message(_) | Self::Extended(..) => Protocol::PeerWire,
            Self::HttpRequest(..) | Self::HttpResponse(..) => Protocol::HttpTracker,
            Self::UdpTracker(_) => Protocol::UdpTracker,
            Self::Dht(..) => Protocol::Dht,
            Self::Lsd(_) => Protocol::Lsd,
            Self::WebSeedRequest(..)
            | Self::WebSeedResponse(..)
            | Self::WebSeedData(_)
            | Self::HttpSeedRequest(..)
            | Self::HttpSeedResponse(..)
            | Self::HttpSeedData(_) => Protocol::WebSeed,
            Self::KeyExchange | Self::Negotiation(_) | Self::Encrypted => Protocol::Mse,
            Self::Utp => Protocol::Utp,
            Self::Opaque(protocol, _) | Self::Gap(protocol, _) | Self::LostPackets(protocol, _) => *protocol,
        }
    }

    /// The message's name, one of those that users filter by.
    pub fn message(&self) -> &'static str {
        match self {
            Self::Handshake(_) => "handshake",
            Self::Message(message) | Self::Extended(message, _) => message.name(),
            Self::HttpRequest(_, kind) => match **kind {
                http::RequestKind::Announce(_) => "announce-request",
                http::RequestKind::Scrape(_) => "scrape-request",
                http::RequestKind::Other => "opaque",
            },
            Self::HttpResponse(_, reply) => match **reply {
                http::Reply::Announce(_) => "announce-response",
                http::Reply::Scrape(_) => "scrape-response",
                http::Reply::Failure { .. } | http::Reply::NotBencoded(_) => "error",
            },
            Self::UdpTracker(packet) => match **packet {
                udp::Packet::ConnectRequest { .. } => "connect-request",
                udp::Packet::ConnectResponse { .. } => "connect-response",
                udp::Packet::AnnounceRequest(_) => "announce-request",
                udp::Packet::AnnounceResponse(_) => "announce-response",
                udp::Packet::ScrapeRequest { .. } => "scrape-request",
                udp::Packet::ScrapeResponse { .. } => "scrape-response",
                udp::Packet::Error { .. } => "error",
            },
            Self::Dht(message, method) => dht_message(&message.kind, method.as_ref()),
            Self::Lsd(_) => "announce",
            Self::WebSeedRequest(..) | Self::HttpSeedRequest(..) => "request",
            Self::WebSeedResponse(..) | Self::HttpSeedResponse(..) => "response",
            Self::WebSeedData(_) | Self::HttpSeedData(_) => "data",
            Self::KeyExchange => "key-exchange",
            Self::Negotiation(part) => part.name(),
            Self::Encrypted => "encrypted",
            Self::Utp | Self::Opaque(..) => "opaque",
            Self::Gap(..) | Self::LostPackets(..) => "gap",
        }
    }
}

/// The name of a DHT message; plain `query` and `response` where the method is none that is known.
const fn dht_message(kind: &dht::Kind, method: Option<&dht::Method>) -> &'static str {
    use dht::Method::{AnnouncePeer, FindNode, Get, GetPeers, Other, Ping, Put, SampleInfohashes};
    match (kind, method) {
        (dht::Kind::Error(..), _) => "error",
        (dht::Kind::Query(_), Some(Ping)) => "ping-query",
        (dht::Kind::Query(_), Some(FindNode)) => "find_node-query",
        (dht::Kind::Query(_), Some(GetPeers)) => "get_peers-query",
        (dht::Kind::Query(_), Some(AnnouncePeer)) => "announce_peer-query",
        (dht::Kind::Query(_), Some(Get)) => "get-query",
        (dht::Kind::Query(_), Some(Put)) => "put-query",
        (dht::Kind::Query(_), Some(SampleInfohashes)) => "sample_infohashes-query",
        (dht::Kind::Query(_), Some(Other(_)) | None) => "query",
        (dht::Kind::Response(_), Some(Ping)) => "ping-response",
        (dht::Kind::Response(_), Some(FindNode)) => "find_node-response",
        (dht::Kind::Response(_), Some(GetPeers)) => "get_peers-response",
        (dht::Kind::Response(_), Some(AnnouncePeer)) => "announce_peer-response",
        (dht::Kind::Response(_), Some(Get)) => "get-response",
        (dht::Kind::Response(_), Some(Put)) => "put-response",
        (dht::Kind::Response(_), Some(SampleInfohashes)) => "sample_infohashes-response",
        (dht::Kind::Response(_), Some(Other(_)) | None) => "response",
    }
}

impl Record {
    /// The fields that tile the record's bytes: from 0, without gap or overlap, to the end.
    pub fn fields(&self) -> Vec<Field> {
        match &self.body {
            Body::Handshake(handshake) => handshake.fields(),
            Body::Message(message) => message.fields(),
            Body::Extended(message, extension) => {
                let mut fields = message.fields();
                let name = Value::Text(extension.name().to_owned());
                if let Some(id) = fields.iter_mut().find(|field| field.name == "extended_id") {
                    // The id is only the receiver's number; what it stands for is the content.
                    let Value::Unsigned(number) = id.value else { return fields };
                    id.name = "extension".into();
                    id.value = name;
                    id.children =
                        vec![Field::framing("extended_id", id.span.clone(), Value::Unsigned(number))];
                }
                if let Message::Extended { payload, .. } = message {
                    let header = self.bytes.len() - payload.len();
                    fields.retain(|field| field.name != "payload");
                    fields.extend(extension.fields(payload).into_iter().map(|field| field.shifted(header)));
                }
                fields
            }
            Body::HttpRequest(request, _)
            | Body::WebSeedRequest(request, _)
            | Body::HttpSeedRequest(request, _) => request.fields(),
            Body::HttpResponse(response, _)
            | Body::WebSeedResponse(response, _)
            | Body::HttpSeedResponse(response, _) => response.fields(),
            Body::UdpTracker(packet) => packet.fields(),
            Body::KeyExchange => {
                vec![Field::content("public_key", 0..self.bytes.len(), Value::Bytes(self.bytes.to_vec()))]
            }
            Body::Negotiation(part) => part.fields(&self.bytes),
            Body::Dht(..) => dht::fields(&self.bytes),
            Body::Lsd(_) => lsd::fields(&self.bytes),
            Body::Utp => utp::fields(&self.bytes),
            Body::Encrypted | Body::WebSeedData(_) | Body::HttpSeedData(_) | Body::Opaque(..) => {
                let all = 0..self.bytes.len();
                vec![Field::content("payload", all.clone(), Value::Payload(all))]
            }
            Body::Gap(..) | Body::LostPackets(..) => Vec::new(),
        }
    }

    /// How many bytes of the stream it stands for: its own, or those a gap lost, as far as that is known.
    pub fn length(&self) -> u64 {
        match self.body {
            Body::Gap(_, length) => length,
            _ => self.bytes.len() as u64,
        }
    }

    /// The gravest of its notes.
    pub fn severity(&self) -> Option<Severity> {
        self.notes.iter().map(|note| note.severity).max()
    }
}
