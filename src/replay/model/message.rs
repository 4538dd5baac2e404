//! A record as a transcript keeps it: its exact bytes, and no more beside them than is needed to read them again.
//! Captures of millions of small messages fit into memory this way.

use bittrace_protocol::wire::{Extension, Message, MessageId};
use bittrace_protocol::{Hex, PieceIndex};
use bittrace_trace::record::{Body, Frames, PeerWireBody, Reason, Unreadable};
use bittrace_trace::units::size;
use bittrace_trace::{Protocol, Record, describe};
use bytes::{Bytes, BytesMut};
use sha1::{Digest, Sha1};

/// A message of a conversation.
#[derive(Debug, Clone)]
pub struct StoredMessage {
    /// Its number in its capture, from 1.
    pub number: u64,
    /// The packets that carried it, as Wireshark counts them.
    pub frames: Frames,
    /// Its exact bytes; of a piece beyond the budget only the header, and empty for a gap.
    pub bytes: Bytes,
    meaning: Meaning,
}

/// What the bytes mean. What they say by themselves is not kept beside them.
#[derive(Debug, Clone)]
enum Meaning {
    Message,
    Extended(Box<Extension>),
    /// A piece of which only the header is kept, and the SHA-1 of its block.
    Shortened(Box<[u8; 20]>),
    Other(Box<Body>),
}

impl StoredMessage {
    /// The message's name, as [`Body::message`] has it.
    pub fn message(&self) -> &'static str {
        match &self.meaning {
            Meaning::Other(body) => body.message(),
            _ => self.bytes.get(4).map_or("keep-alive", |&id| MessageId(id).name()),
        }
    }

    /// The protocol it belongs to.
    pub fn protocol(&self) -> Protocol {
        match &self.meaning {
            Meaning::Other(body) => body.protocol(),
            _ => Protocol::PeerWire,
        }
    }

    /// What it means, read again from its bytes. Of a shortened piece the block is empty.
    pub fn body(&self) -> Body {
        let opaque = || Body::Unreadable(Protocol::PeerWire, Unreadable::Opaque(Reason::Damaged));
        match &self.meaning {
            Meaning::Message => Message::decode(&self.bytes)
                .map_or_else(|_| opaque(), |message| Body::PeerWire(PeerWireBody::Message(message))),
            Meaning::Extended(extension) => Message::decode(&self.bytes).map_or_else(
                |_| opaque(),
                |message| Body::PeerWire(PeerWireBody::Extended(message, (**extension).clone())),
            ),
            Meaning::Shortened(_) => {
                let (index, begin, _) = self.block().unwrap_or_default();
                Body::PeerWire(PeerWireBody::Message(Message::Piece {
                    index: PieceIndex(index),
                    begin,
                    block: Bytes::new(),
                }))
            }
            Meaning::Other(body) => (**body).clone(),
        }
    }

    /// How many bytes of the stream it stands for, those that were lost or not kept included.
    pub fn length(&self) -> u64 {
        match &self.meaning {
            Meaning::Shortened(_) => {
                let prefix = self.bytes.first_chunk::<4>().copied().unwrap_or_default();
                4 + u64::from(u32::from_be_bytes(prefix))
            }
            Meaning::Other(body) => match **body {
                Body::Unreadable(_, Unreadable::Gap(length)) => length,
                _ => self.bytes.len() as u64,
            },
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
                    | Unreadable::Opaque(Reason::Fragment(_) | Reason::BeforeBoundary)
            )
        )
    }

    /// The SHA-1 of the block, where the block itself is not kept.
    pub fn digest(&self) -> Option<&[u8; 20]> {
        match &self.meaning {
            Meaning::Shortened(digest) => Some(digest),
            _ => None,
        }
    }

    /// Whether two messages have the same bytes. A block that is not kept is judged by its digest.
    pub fn same_bytes(&self, other: &Self) -> bool {
        match (self.digest(), other.digest()) {
            (None, None) => self.bytes == other.bytes && self.length() == other.length(),
            (Some(one), Some(two)) => self.bytes == other.bytes && one == two,
            (Some(_), None) => other.shortened().is_some_and(|other| self.same_bytes(&other)),
            (None, Some(_)) => other.same_bytes(self),
        }
    }

    /// The same message as it would be kept beyond the budget; `None` of what is no piece.
    pub(crate) fn shortened(&self) -> Option<Self> {
        let block = self.bytes.get(PIECE_HEADER..)?;
        (self.message() == "piece").then(|| Self {
            meaning: Meaning::Shortened(Box::new(Sha1::digest(block).into())),
            bytes: self.bytes.slice(..PIECE_HEADER),
            ..self.clone()
        })
    }

    /// Piece, offset and length of the block that it carries; `None` where it is no piece.
    pub(crate) fn block(&self) -> Option<(u32, u32, u32)> {
        let number = |at| self.bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        Some((number(5)?, number(9)?, number(0)?.saturating_sub(9)))
    }

    /// As a record, to be shown. What a record knows of its stream is the conversation's to fill in.
    pub(crate) fn fill(&self, mut record: Record) -> Record {
        record.number = self.number;
        record.frames = self.frames.clone();
        record.bytes = self.bytes.clone();
        record.body = self.body();
        record
    }

    /// What it says, on one line.
    pub(crate) fn summary(&self, record: &Record) -> String {
        match (self.digest(), self.block()) {
            (Some(digest), Some((index, begin, length))) => {
                format!("piece {index}, {} at {begin}, SHA-1 {}", size(length.into()), Hex(digest))
            }
            _ => describe(record),
        }
    }
}

/// The bytes of a piece before its block (BEP 3): length, id, index, begin.
const PIECE_HEADER: usize = 13;

/// Copies what is to be kept into memory of its own, since a slice of a record's bytes holds the whole buffer they
/// were read into.
#[derive(Debug)]
pub(crate) struct MessageStore {
    chunk: BytesMut,
    left: usize,
    /// How many pieces were shortened.
    pub(crate) shortened: u64,
}

/// How much is asked of the allocator at once.
const CHUNK: usize = 256 * 1024;

impl MessageStore {
    /// A keeper that keeps blocks whole while all bytes together are within `budget`.
    pub(crate) fn new(budget: usize) -> Self {
        Self { chunk: BytesMut::new(), left: budget, shortened: 0 }
    }

    pub(crate) fn keep(&mut self, record: Record) -> StoredMessage {
        let Record { number, mut frames, bytes, body, .. } = record;
        frames.shrink_to_fit();
        let is_piece = matches!(body, Body::PeerWire(PeerWireBody::Message(Message::Piece { .. })));
        if is_piece && bytes.len() > self.left {
            self.shortened += 1;
            let digest = Sha1::digest(&bytes[PIECE_HEADER..]);
            let bytes = self.copy(&bytes[..PIECE_HEADER]);
            return StoredMessage {
                number,
                frames,
                bytes,
                meaning: Meaning::Shortened(Box::new(digest.into())),
            };
        }
        self.left = self.left.saturating_sub(bytes.len());
        let bytes = self.copy(&bytes);
        let meaning = match body {
            Body::PeerWire(PeerWireBody::Message(_)) => Meaning::Message,
            Body::PeerWire(PeerWireBody::Extended(_, extension)) => Meaning::Extended(Box::new(extension)),
            body => Meaning::Other(Box::new(body)),
        };
        StoredMessage { number, frames, bytes, meaning }
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
