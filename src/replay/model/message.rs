//! A message as a transcript stores it: its exact bytes, and what the bytes alone do not tell.
//! The meaning is read again from the bytes when it is wanted, so that captures of millions of small messages fit into
//! memory.

use bittrace_protocol::field::Field;
use bittrace_protocol::wire::{Message, MessageId, PIECE_HEADER};
use bittrace_protocol::{Block, Hex, PieceIndex, Timestamp};
use bittrace_trace::record::{Body, Frames, Meaning, PeerWireBody, Reason, Unreadable};
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
    stored: Stored,
}

/// What is stored beside the bytes.
#[derive(Debug, Clone)]
enum Stored {
    /// The bytes are whole: what they do not tell.
    Whole(Meaning),
    /// A piece of which only the header is stored, and the SHA-1 of its block.
    Shortened(Box<[u8; 20]>),
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
        match &self.stored {
            Stored::Whole(meaning) => meaning.message(&self.bytes),
            Stored::Shortened(_) => MessageId::PIECE.name(),
        }
    }

    /// The protocol it belongs to.
    pub fn protocol(&self) -> Protocol {
        match &self.stored {
            Stored::Whole(meaning) => meaning.protocol(),
            Stored::Shortened(_) => Protocol::PeerWire,
        }
    }

    /// What it means, read again from its bytes. Of a shortened piece the block is empty.
    pub fn body(&self) -> Body {
        match &self.stored {
            Stored::Whole(meaning) => meaning.body(&self.bytes),
            Stored::Shortened(_) => match self.peer_message() {
                Some(message) => Body::PeerWire(PeerWireBody::Message(message)),
                None => Body::Unreadable(Protocol::PeerWire, Unreadable::Opaque(Reason::Damaged)),
            },
        }
    }

    /// The peer-wire message that it is, read again from its bytes; `None` for a handshake, and for messages of other
    /// protocols. Of a shortened piece the block is empty.
    pub fn peer_message(&self) -> Option<Message> {
        match &self.stored {
            Stored::Whole(meaning) => meaning.peer_message(&self.bytes),
            Stored::Shortened(_) => {
                let Block { index, begin, .. } = self.block()?;
                Some(Message::Piece { index, begin, block: Bytes::new() })
            }
        }
    }

    /// How many bytes of the stream it stands for, those that were lost or not stored included.
    pub fn length(&self) -> u64 {
        match &self.stored {
            Stored::Shortened(_) => {
                let prefix = self.bytes.first_chunk::<4>().copied().unwrap_or_default();
                4 + u64::from(u32::from_be_bytes(prefix))
            }
            Stored::Whole(Meaning::Other(body)) => body.length(&self.bytes),
            Stored::Whole(_) => self.bytes.len() as u64,
        }
    }

    /// Whether it stands for bytes that the capture lost.
    pub fn is_gap(&self) -> bool {
        matches!(&self.stored, Stored::Whole(Meaning::Other(body)) if matches!(**body, Body::Unreadable(_, Unreadable::Gap(_) | Unreadable::LostPackets(_))))
    }

    /// Whether it is what a loss can leave of messages: itself, or a part of one.
    pub fn is_remnant(&self) -> bool {
        let Stored::Whole(Meaning::Other(body)) = &self.stored else { return false };
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
        match &self.stored {
            Stored::Shortened(digest) => Some(digest),
            Stored::Whole(_) => None,
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
            stored: Stored::Shortened(Box::new(Sha1::digest(block).into())),
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
        let (bytes, stored) = if is_piece && self.used + bytes.len() > self.limit / 2 {
            self.shortened += 1;
            let digest = Sha1::digest(&bytes[PIECE_HEADER..]);
            (self.copy(&bytes[..PIECE_HEADER]), Stored::Shortened(Box::new(digest.into())))
        } else {
            (self.copy(&bytes), Stored::Whole(Meaning::of(body, source.is_ipv6())))
        };
        let message = StoredMessage { number, at, frames, bytes, stored };
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
        let beside = match &self.stored {
            Stored::Whole(Meaning::Message | Meaning::Named(..)) => 0,
            Stored::Whole(Meaning::Extended(_)) | Stored::Shortened(_) => 32,
            // A request to a web seed is stored with its parts, which have its bytes once more.
            Stored::Whole(Meaning::Other(body)) if matches!(**body, Body::WebSeed(_)) => {
                size_of::<Body>() + 2 * self.bytes.len()
            }
            Stored::Whole(Meaning::Other(_)) => size_of::<Body>(),
        };
        let frames = if self.frames.spilled() { self.frames.len() * size_of::<u64>() } else { 0 };
        size_of::<Self>() + self.bytes.len() + frames + beside
    }
}
