//! The messages after the handshake (BEP 3, 5, 6, 10, 52), decoded from and encoded to their exact bytes.

use bytes::Bytes;

use super::framing::{LengthFault, length_fault};
use super::id::MessageId;
use crate::field::{Field, Value};
use crate::{Block, DecodeError, PieceIndex, Reader};

/// The bytes of a piece message before its block (BEP 3): 4 of its length, 1 of its id, 4 each of piece and offset.
pub const PIECE_HEADER: usize = 13;

/// One message. Blocks, bitfields and payloads are slices of the bytes it was decoded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Four zero bytes: still here.
    KeepAlive,
    /// Nothing will be sent until `Unchoke`.
    Choke,
    /// Requests will be answered.
    Unchoke,
    /// The sender wants pieces the receiver has.
    Interested,
    /// The sender wants no piece the receiver has.
    NotInterested,
    /// The sender has this piece, verified.
    Have(PieceIndex),
    /// A bit a piece the sender has, the high bit of the first byte for piece 0.
    Bitfield(Bytes),
    /// Wants a block.
    Request(Block),
    /// A block.
    Piece {
        /// The piece it lies in.
        index: PieceIndex,
        /// Its first byte's offset within the piece.
        begin: u32,
        /// Its bytes.
        block: Bytes,
    },
    /// No longer wants a block.
    Cancel(Block),
    /// The UDP port of the sender's DHT node (BEP 5).
    Port(u16),
    /// The sender would like this piece to be asked for (BEP 6).
    SuggestPiece(PieceIndex),
    /// The sender has every piece (BEP 6).
    HaveAll,
    /// The sender has no piece (BEP 6).
    HaveNone,
    /// A request will not be answered (BEP 6).
    RejectRequest(Block),
    /// This piece may be asked for while choked (BEP 6).
    AllowedFast(PieceIndex),
    /// A message of an extension; 0 is the extended handshake (BEP 10).
    Extended {
        /// The number the receiver gave the extension in its handshake.
        id: u8,
        /// The extension's message.
        payload: Bytes,
    },
    /// Wants hashes of a merkle tree (BEP 52).
    HashRequest(HashRange),
    /// Hashes of a merkle tree, 32 bytes each (BEP 52).
    Hashes(HashRange, Bytes),
    /// A hash request will not be answered (BEP 52).
    HashReject(HashRange),
    /// An id nobody has allocated, kept as it came.
    Unknown {
        /// The id.
        id: MessageId,
        /// The bytes after it.
        payload: Bytes,
    },
    /// An allocated id over a message that has a wrong length, kept as it came.
    Malformed {
        /// The id.
        id: MessageId,
        /// The bytes after it.
        payload: Bytes,
        /// What the message should have been.
        wanted: &'static str,
    },
}

/// A range of hashes in the merkle tree of one file (BEP 52, "peer messages").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashRange {
    /// The root of the file's tree.
    pub pieces_root: [u8; 32],
    /// The layer asked for, counted from the leaves.
    pub base_layer: u32,
    /// The first hash's place in its layer.
    pub index: u32,
    /// How many hashes.
    pub length: u32,
    /// How many layers of uncle hashes.
    pub proof_layers: u32,
}

impl Message {
    /// Reads one whole message, its length prefix included.
    ///
    /// # Errors
    /// Only when `bytes` are not as long as their prefix says. A message of a wrong length for its id is
    /// [`Message::Malformed`], an unallocated id [`Message::Unknown`].
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        Self::decode_first(bytes, bytes.len())
    }

    /// Reads the message that `bytes` begin with, which has `count` bytes, its length prefix included. Of a message without a
    /// payload no slice is made, which costs more than the rest.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub(crate) fn decode_first(bytes: &Bytes, count: usize) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(&bytes[..count]);
        let length = reader.u32("a length prefix of 4 bytes")?;
        if reader.remaining() != length as usize {
            return Err(DecodeError::new(0, "as many bytes as the length prefix says"));
        }
        if length == 0 {
            return Ok(Self::KeepAlive);
        }
        let id = MessageId(reader.u8("a message id")?);
        if let Some(LengthFault::Malformed(wanted) | LengthFault::Impossible(wanted)) =
            length_fault(id, length)
        {
            return Ok(Self::Malformed { id, payload: bytes.slice(5..count), wanted });
        }
        Ok(match id {
            MessageId::CHOKE => Self::Choke,
            MessageId::UNCHOKE => Self::Unchoke,
            MessageId::INTERESTED => Self::Interested,
            MessageId::NOT_INTERESTED => Self::NotInterested,
            MessageId::HAVE => Self::Have(piece_index(&mut reader)?),
            MessageId::BITFIELD => Self::Bitfield(bytes.slice(5..count)),
            MessageId::REQUEST => Self::Request(block(&mut reader)?),
            MessageId::PIECE => Self::Piece {
                index: piece_index(&mut reader)?,
                begin: reader.u32("an offset within the piece")?,
                block: bytes.slice(13..count),
            },
            MessageId::CANCEL => Self::Cancel(block(&mut reader)?),
            MessageId::PORT => Self::Port(reader.u16("a port")?),
            MessageId::SUGGEST_PIECE => Self::SuggestPiece(piece_index(&mut reader)?),
            MessageId::HAVE_ALL => Self::HaveAll,
            MessageId::HAVE_NONE => Self::HaveNone,
            MessageId::REJECT_REQUEST => Self::RejectRequest(block(&mut reader)?),
            MessageId::ALLOWED_FAST => Self::AllowedFast(piece_index(&mut reader)?),
            MessageId::EXTENDED => {
                Self::Extended { id: reader.u8("an extension's id")?, payload: bytes.slice(6..count) }
            }
            MessageId::HASH_REQUEST => Self::HashRequest(hash_range(&mut reader)?),
            MessageId::HASHES => Self::Hashes(hash_range(&mut reader)?, bytes.slice(53..count)),
            MessageId::HASH_REJECT => Self::HashReject(hash_range(&mut reader)?),
            _ => Self::Unknown { id, payload: bytes.slice(5..count) },
        })
    }

    /// Writes the message after `out`, its length prefix first.
    ///
    /// # Panics
    /// Never for a decoded message; for one made by hand, when its payload exceeds 4 GiB.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.reserve(self.encoded_length());
        out.extend_from_slice(&[0; 4]);
        if let Some(id) = self.id() {
            out.push(id.0);
        }
        match self {
            Self::KeepAlive
            | Self::Choke
            | Self::Unchoke
            | Self::Interested
            | Self::NotInterested
            | Self::HaveAll
            | Self::HaveNone => {}
            Self::Have(index) | Self::SuggestPiece(index) | Self::AllowedFast(index) => {
                out.extend_from_slice(&index.0.to_be_bytes());
            }
            Self::Bitfield(bits) => out.extend_from_slice(bits),
            Self::Request(block) | Self::Cancel(block) | Self::RejectRequest(block) => {
                for number in [block.index.0, block.begin, block.length] {
                    out.extend_from_slice(&number.to_be_bytes());
                }
            }
            Self::Piece { index, begin, block } => {
                out.extend_from_slice(&index.0.to_be_bytes());
                out.extend_from_slice(&begin.to_be_bytes());
                out.extend_from_slice(block);
            }
            Self::Port(port) => out.extend_from_slice(&port.to_be_bytes()),
            Self::Extended { id, payload } => {
                out.push(*id);
                out.extend_from_slice(payload);
            }
            Self::HashRequest(range) | Self::HashReject(range) => range.encode(out),
            Self::Hashes(range, hashes) => {
                range.encode(out);
                out.extend_from_slice(hashes);
            }
            Self::Unknown { payload, .. } | Self::Malformed { payload, .. } => out.extend_from_slice(payload),
        }
        let length = u32::try_from(out.len() - start - 4).expect("a message is shorter than 4 GiB");
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// The [`PIECE_HEADER`] bytes of a piece message before its block, for a block that is sent without being copied:
    /// length, id, piece, offset (BEP 3).
    ///
    /// # Panics
    /// When the block exceeds 4 GiB less 9 bytes.
    pub fn piece_header(block: Block) -> [u8; PIECE_HEADER] {
        let mut header = [0; PIECE_HEADER];
        let length = block.length.checked_add(9).expect("a message is shorter than 4 GiB");
        header[..4].copy_from_slice(&length.to_be_bytes());
        header[4] = MessageId::PIECE.0;
        header[5..9].copy_from_slice(&block.index.0.to_be_bytes());
        header[9..].copy_from_slice(&block.begin.to_be_bytes());
        header
    }

    /// The byte that names the message; a keep-alive has none.
    pub const fn id(&self) -> Option<MessageId> {
        Some(match self {
            Self::KeepAlive => return None,
            Self::Choke => MessageId::CHOKE,
            Self::Unchoke => MessageId::UNCHOKE,
            Self::Interested => MessageId::INTERESTED,
            Self::NotInterested => MessageId::NOT_INTERESTED,
            Self::Have(_) => MessageId::HAVE,
            Self::Bitfield(_) => MessageId::BITFIELD,
            Self::Request(_) => MessageId::REQUEST,
            Self::Piece { .. } => MessageId::PIECE,
            Self::Cancel(_) => MessageId::CANCEL,
            Self::Port(_) => MessageId::PORT,
            Self::SuggestPiece(_) => MessageId::SUGGEST_PIECE,
            Self::HaveAll => MessageId::HAVE_ALL,
            Self::HaveNone => MessageId::HAVE_NONE,
            Self::RejectRequest(_) => MessageId::REJECT_REQUEST,
            Self::AllowedFast(_) => MessageId::ALLOWED_FAST,
            Self::Extended { .. } => MessageId::EXTENDED,
            Self::HashRequest(_) => MessageId::HASH_REQUEST,
            Self::Hashes(..) => MessageId::HASHES,
            Self::HashReject(_) => MessageId::HASH_REJECT,
            Self::Unknown { id, .. } | Self::Malformed { id, .. } => *id,
        })
    }

    /// The message's name: `keep-alive`, `choke`, ..., `unknown`. A malformed message has that of its id.
    pub fn name(&self) -> &'static str {
        self.id().map_or("keep-alive", MessageId::name)
    }

    /// Calls `number` with each number that the message consists of, by the name that [`fields`](Self::fields) gives it, in
    /// their order; of a block, with those before its bytes. Whether the message has no other content (but the bytes of a
    /// block): `number` is not called for messages that have.
    #[inline]
    pub fn each_number(&self, mut number: impl FnMut(&'static str, u32)) -> bool {
        match self {
            Self::Have(index) | Self::SuggestPiece(index) | Self::AllowedFast(index) => {
                number("index", index.0)
            }
            Self::Request(block) | Self::Cancel(block) | Self::RejectRequest(block) => {
                number("index", block.index.0);
                number("begin", block.begin);
                number("length", block.length);
            }
            Self::Piece { index, begin, .. } => {
                number("index", index.0);
                number("begin", *begin);
            }
            Self::KeepAlive
            | Self::Choke
            | Self::Unchoke
            | Self::Interested
            | Self::NotInterested
            | Self::HaveAll
            | Self::HaveNone => {}
            Self::Bitfield(_)
            | Self::Port(_)
            | Self::Extended { .. }
            | Self::HashRequest(_)
            | Self::Hashes(..)
            | Self::HashReject(_)
            | Self::Unknown { .. }
            | Self::Malformed { .. } => return false,
        }
        true
    }

    /// The fields that tile the message's bytes. Those of an extended message show its payload whole; what
    /// it says depends on the receiver's handshake: see [`Extension::fields`](super::Extension::fields).
    pub fn fields(&self) -> Vec<Field> {
        let Some(id) = self.id() else {
            return vec![Field::framing("length_prefix", 0..4, Value::Unsigned(0))];
        };
        let end = self.encoded_length();
        let mut fields = vec![
            Field::framing("length_prefix", 0..4, Value::Unsigned(end as u64 - 4)),
            Field::framing("id", 4..5, Value::Unsigned(u64::from(id.0))),
        ];
        let mut number = |name: &'static str, number: u64, width: usize| {
            let start = fields.last().map_or(0, |field| field.span.end);
            fields.push(Field::content(name, start..start + width, Value::Unsigned(number)));
        };
        self.each_number(|name, value| number(name, u64::from(value), 4));
        match self {
            Self::Piece { .. } => {
                fields.push(Field::content("block", 13..end, Value::Payload(13..end)));
            }
            Self::Port(port) => number("port", u64::from(*port), 2),
            Self::Bitfield(bits) => {
                fields.push(Field::content("bitfield", 5..end, Value::Bytes(bits.to_vec())));
            }
            Self::Extended { id, .. } => {
                number("extended_id", u64::from(*id), 1);
                fields.push(Field::content("payload", 6..end, Value::Payload(6..end)));
            }
            Self::HashRequest(range) | Self::HashReject(range) | Self::Hashes(range, _) => {
                fields.push(Field::content("pieces_root", 5..37, Value::Bytes(range.pieces_root.to_vec())));
                let mut at = 37;
                for (name, number) in [
                    ("base_layer", range.base_layer),
                    ("index", range.index),
                    ("length", range.length),
                    ("proof_layers", range.proof_layers),
                ] {
                    fields.push(Field::content(name, at..at + 4, Value::Unsigned(u64::from(number))));
                    at += 4;
                }
                if matches!(self, Self::Hashes(..)) {
                    fields.push(Field::content("hashes", 53..end, Value::Payload(53..end)));
                }
            }
            Self::Unknown { payload, .. } | Self::Malformed { payload, .. } if !payload.is_empty() => {
                fields.push(Field::content("payload", 5..end, Value::Payload(5..end)));
            }
            _ => {}
        }
        fields
    }

    /// How many bytes [`Message::encode`] writes.
    pub fn encoded_length(&self) -> usize {
        match self {
            Self::KeepAlive => 4,
            Self::Choke
            | Self::Unchoke
            | Self::Interested
            | Self::NotInterested
            | Self::HaveAll
            | Self::HaveNone => 5,
            Self::Have(_) | Self::SuggestPiece(_) | Self::AllowedFast(_) => 9,
            Self::Request(_) | Self::Cancel(_) | Self::RejectRequest(_) => 17,
            Self::Piece { block, .. } => 13 + block.len(),
            Self::Port(_) => 7,
            Self::Bitfield(bits) => 5 + bits.len(),
            Self::Extended { payload, .. } => 6 + payload.len(),
            Self::HashRequest(_) | Self::HashReject(_) => 53,
            Self::Hashes(_, hashes) => 53 + hashes.len(),
            Self::Unknown { payload, .. } | Self::Malformed { payload, .. } => 5 + payload.len(),
        }
    }
}

impl HashRange {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.pieces_root);
        for number in [self.base_layer, self.index, self.length, self.proof_layers] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

fn piece_index(reader: &mut Reader<'_>) -> Result<PieceIndex, DecodeError> {
    reader.u32("a piece index").map(PieceIndex)
}

fn block(reader: &mut Reader<'_>) -> Result<Block, DecodeError> {
    Ok(Block {
        index: piece_index(reader)?,
        begin: reader.u32("an offset within the piece")?,
        length: reader.u32("a length")?,
    })
}

fn hash_range(reader: &mut Reader<'_>) -> Result<HashRange, DecodeError> {
    Ok(HashRange {
        pieces_root: reader.array("a root of 32 bytes")?,
        base_layer: reader.u32("a base layer")?,
        index: reader.u32("an index")?,
        length: reader.u32("a length")?,
        proof_layers: reader.u32("a count of proof layers")?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::field::untiled;

    fn decode(bytes: &[u8]) -> Message {
        Message::decode(&Bytes::copy_from_slice(bytes)).unwrap()
    }

    fn assert_round_trip(bytes: &[u8]) -> Message {
        let message = decode(bytes);
        let mut out = Vec::new();
        message.encode(&mut out);
        assert_eq!(out, bytes);
        assert_eq!(message.encoded_length(), bytes.len());
        assert_eq!(untiled(&message.fields(), 0..bytes.len()), None);
        message
    }

    #[test]
    fn a_piece_header_is_the_beginning_of_the_piece_message() {
        // length 9 + 3, id 7, piece 3, offset 0x4000
        let header = [0, 0, 0, 12, 7, 0, 0, 0, 3, 0, 0, 0x40, 0];
        assert_eq!(Message::piece_header(Block { index: PieceIndex(3), begin: 0x4000, length: 3 }), header);
        let mut message = Vec::new();
        let block = Bytes::from_static(&[1, 2, 3]);
        Message::Piece { index: PieceIndex(3), begin: 0x4000, block }.encode(&mut message);
        assert_eq!(message[..PIECE_HEADER], header);
    }

    #[test]
    fn reads_each_message_and_writes_the_same_bytes() {
        let block = Block { index: PieceIndex(3), begin: 0x4000, length: 0x4000 };
        for (bytes, message) in [
            (&[0, 0, 0, 0][..], Message::KeepAlive),
            (&[0, 0, 0, 1, 0], Message::Choke),
            (&[0, 0, 0, 1, 1], Message::Unchoke),
            (&[0, 0, 0, 1, 2], Message::Interested),
            (&[0, 0, 0, 1, 3], Message::NotInterested),
            (&[0, 0, 0, 5, 4, 0, 0, 1, 2], Message::Have(PieceIndex(0x102))),
            (&[0, 0, 0, 3, 5, 0xff, 0xe0], Message::Bitfield(Bytes::from_static(&[0xff, 0xe0]))),
            (&[0, 0, 0, 13, 6, 0, 0, 0, 3, 0, 0, 0x40, 0, 0, 0, 0x40, 0], Message::Request(block)),
            (
                &[0, 0, 0, 12, 7, 0, 0, 0, 3, 0, 0, 0x40, 0, 1, 2, 3],
                Message::Piece { index: PieceIndex(3), begin: 0x4000, block: Bytes::from_static(&[1, 2, 3]) },
            ),
            (&[0, 0, 0, 13, 8, 0, 0, 0, 3, 0, 0, 0x40, 0, 0, 0, 0x40, 0], Message::Cancel(block)),
            (&[0, 0, 0, 3, 9, 0x1a, 0xe1], Message::Port(6881)),
            (&[0, 0, 0, 5, 13, 0, 0, 0, 9], Message::SuggestPiece(PieceIndex(9))),
            (&[0, 0, 0, 1, 14], Message::HaveAll),
            (&[0, 0, 0, 1, 15], Message::HaveNone),
            (&[0, 0, 0, 13, 16, 0, 0, 0, 3, 0, 0, 0x40, 0, 0, 0, 0x40, 0], Message::RejectRequest(block)),
            (&[0, 0, 0, 5, 17, 0, 0, 0, 9], Message::AllowedFast(PieceIndex(9))),
            (
                &[0, 0, 0, 4, 20, 0, b'd', b'e'],
                Message::Extended { id: 0, payload: Bytes::from_static(b"de") },
            ),
            (&[0, 0, 0, 2, 99, 1], Message::Unknown { id: MessageId(99), payload: Bytes::from_static(&[1]) }),
        ] {
            assert_eq!(assert_round_trip(bytes), message);
        }
    }

    #[test]
    fn reads_hash_messages() {
        let mut bytes = vec![0, 0, 0, 113, 22];
        bytes.extend([7; 32]);
        // base layer 2, index 8, length 2, proof layers 1, then two hashes
        bytes.extend([0, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0, 0, 1]);
        bytes.extend([9; 64]);
        let Message::Hashes(range, hashes) = assert_round_trip(&bytes) else { panic!("must be hashes") };
        assert_eq!((range.base_layer, range.index, range.length, range.proof_layers), (2, 8, 2, 1));
        assert_eq!(hashes.len(), 64);
    }

    #[test]
    fn keeps_a_message_of_a_wrong_length() {
        let message = assert_round_trip(&[0, 0, 0, 7, 4, 0, 0, 0, 1, 0, 0]);
        assert_eq!(message.name(), "have");
        assert!(matches!(message, Message::Malformed { wanted: "a message of 5 bytes", .. }));
    }

    #[test]
    fn rejects_bytes_that_contradict_the_prefix() {
        for bytes in [&[0, 0, 0][..], &[0, 0, 0, 1], &[0, 0, 0, 1, 0, 0]] {
            assert!(Message::decode(&Bytes::copy_from_slice(bytes)).is_err());
        }
    }

    proptest! {
        #[test]
        fn every_framed_message_round_trips(id: u8, payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = (payload.len() as u32 + 1).to_be_bytes().to_vec();
            bytes.push(id);
            bytes.extend(payload);
            assert_round_trip(&bytes);
        }
    }
}
