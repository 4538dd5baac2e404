//! All that people read: one protocol message with its exact bytes, its meaning, and what is to be said of it.

mod body;
mod brief;
mod content;
mod dht;
mod disguise;
mod effect;
mod field_text;
mod http_tracker;
mod lsd;
mod meaning;
mod mse;
mod near_miss;
mod note;
pub(crate) mod packed;
mod peer_wire;
mod udp_tracker;
pub mod units;
mod unreadable;
mod web_seed;

use std::net::SocketAddr;
use std::sync::Arc;

use bittrace_protocol::field::Field;
use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::wire::Message;
use bittrace_protocol::{InfoHash, PieceIndex, Timestamp};
use bytes::Bytes;
use smallvec::SmallVec;

use crate::{Direction, Flow, StreamId};
pub use body::{Body, Protocol};
pub use brief::{brief, brief_block};
pub use disguise::disguises;
pub use effect::{KnownStates, PeerEffect};
pub use field_text::{field_meaning, value_text};
pub use http_tracker::HttpTrackerBody;
pub use meaning::{Meaning, MeaningReader};
pub use mse::MseBody;
pub(crate) use near_miss::byte_name;
pub use note::{Note, Rule, Severity};
pub use packed::RecordPacker;
pub use peer_wire::PeerWireBody;
pub use unreadable::{Fragment, Reason, Unreadable};
pub use web_seed::{FilePart, WebSeedBody};

/// A message, or bytes that are not one.
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
    /// Whether the host the capture is about sent it, or the remote.
    pub side: Side,
    /// The address that sent it.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
    /// What carried it.
    pub transport: Transport,
    /// The packets that carried it, as Wireshark counts them.
    pub frames: Frames,
    /// The number that Wireshark gives the conversation: `tcp.stream`, or `udp.stream` for datagrams and uTP. `None` where
    /// the capture has more conversations than are told apart, and for records that are not of a capture.
    pub wireshark_stream: Option<u32>,
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
    /// What it did to the state of its connection between peers.
    pub effect: PeerEffect,
    /// The sender's client, once it has said so.
    pub client: Option<Arc<str>>,
    /// The torrent it is about.
    pub torrent: Option<InfoHash>,
    /// The torrent, where this message is what made its description whole (BEP 9) and nothing else had told it.
    pub describes: Option<Arc<Metainfo>>,
}

/// Which side of a capture sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The host the capture is about.
    Local,
    /// The peer, tracker or node that it exchanges messages with.
    Remote,
    /// The end that opened the connection, or spoke first, where no host is local
    /// ([`LocalChoice::Nobody`](crate::LocalChoice::Nobody)).
    Initiator,
    /// The other end of such a connection.
    Responder,
}

impl Side {
    /// The opposite side.
    pub const fn other(self) -> Self {
        match self {
            Self::Local => Self::Remote,
            Self::Remote => Self::Local,
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }

    /// Whether rows and pictures are seen from this side: from the local host, or from the initiator where no host is
    /// local.
    pub const fn is_near(self) -> bool {
        matches!(self, Self::Local | Self::Initiator)
    }

    /// Whether no host is local, so that the side only says who opened the connection.
    pub const fn is_role(self) -> bool {
        matches!(self, Self::Initiator | Self::Responder)
    }

    /// Its name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "far",
            Self::Initiator => "initiator",
            Self::Responder => "responder",
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
    /// The field under which Wireshark numbers its conversations. uTP runs over UDP, and Wireshark numbers its datagrams.
    pub const fn wireshark_field(self) -> &'static str {
        match self {
            Self::Tcp => "tcp.stream",
            Self::Udp | Self::Utp => "udp.stream",
        }
    }

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

impl Record {
    /// The fields that tile the record's bytes: from 0, without gap or overlap, to the end.
    pub fn fields(&self) -> Vec<Field> {
        self.body.fields(&self.bytes)
    }

    /// The content of the message: its fields, with a body as it is meant (joined from chunks, unpacked), and with what
    /// follows from them (the readable form of a peer id, the pieces that a web seed sent). Spans do not tile the bytes.
    pub fn content(&self) -> Vec<Field> {
        let mut fields = self.fields();
        self.body.add_meaning(&self.bytes, &mut fields);
        fields
    }

    /// The peer-wire message that the record is; `None` for a handshake, and for records of other protocols.
    pub const fn peer_message(&self) -> Option<&Message> {
        self.body.peer_message()
    }

    /// The block of a piece message of which the capture has the head and not all the rest, as where packets are cut: which
    /// piece, where the block begins in it, and its length.
    pub fn cut_block(&self) -> Option<(PieceIndex, u32, u32)> {
        match &self.body {
            Body::Unreadable(_, Unreadable::Opaque(Reason::Fragment(fragment))) => fragment.cut_block(),
            _ => None,
        }
    }

    /// How many bytes of the stream the record stands for: its own, or those that a gap lost, as far as that is known.
    pub fn length(&self) -> u64 {
        self.body.length(&self.bytes)
    }

    /// The parts of pieces that a web seed sent in this record: which piece, where in the piece the part begins, and its
    /// bytes. Empty for other records. The data of BEP 19 have parts only where the torrent is known.
    pub fn web_seed_parts(&self, torrent: Option<&Metainfo>) -> Vec<(PieceIndex, u32, Bytes)> {
        match &self.body {
            Body::WebSeed(body) => body.parts(&self.bytes, torrent),
            _ => Vec::new(),
        }
    }

    /// The two ends of its connection, or flow of datagrams.
    pub const fn flow(&self) -> Flow {
        match self.direction {
            Direction::FromInitiator => Flow { initiator: self.source, responder: self.destination },
            Direction::FromResponder => Flow { initiator: self.destination, responder: self.source },
        }
    }

    /// The highest severity of its notes.
    pub fn severity(&self) -> Option<Severity> {
        self.notes.iter().map(|note| note.rule.severity).max()
    }
}

/// The meaning of a record on one line, without a full stop. The line begins with the message, gives numbers as the
/// protocol counts them, and can be read in one way only.
pub fn describe(record: &Record) -> String {
    describe_in(record, None)
}

/// As [`describe`], where the torrent is known to have so many pieces.
pub fn describe_in(record: &Record, pieces: Option<u64>) -> String {
    record.body.describe(&record.bytes, record.client.as_deref(), pieces)
}

/// Adds [`describe_in`] to a text.
pub fn describe_into(record: &Record, pieces: Option<u64>, text: &mut String) {
    record.body.describe_into(&record.bytes, record.client.as_deref(), pieces, text);
}
