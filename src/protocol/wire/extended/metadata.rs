//! Torrent metadata from peers: messages of ut_metadata (BEP 9).

use crate::DecodeError;
use crate::bencode::{self, DictionaryWriter, OtherEntries, View};

/// The bytes of each piece of metadata but the last (BEP 9, "extension message").
pub const METADATA_PIECE: u64 = 16 * 1024;

/// A message of ut_metadata (BEP 9): a dictionary, and for data the piece's bytes after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Request, data or reject.
    pub kind: MetadataKind,
    /// The 16 KiB piece of the metadata it is about.
    pub piece: u32,
    /// With data: the bytes of the whole metadata.
    pub total_size: Option<u64>,
    /// All else that the dictionary has.
    pub others: OtherEntries,
    /// The bytes after the dictionary: with data the piece, [`METADATA_PIECE`] bytes of it or, of the last, fewer.
    pub data: Vec<u8>,
}

/// The `msg_type` of a ut_metadata message (BEP 9, "extension message").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataKind {
    /// 0
    Request,
    /// 1
    Data,
    /// 2
    Reject,
    /// Anything else: to be ignored.
    Unknown(u64),
}

impl MetadataKind {
    const fn from_number(number: u64) -> Self {
        match number {
            0 => Self::Request,
            1 => Self::Data,
            2 => Self::Reject,
            other => Self::Unknown(other),
        }
    }

    const fn number(self) -> u64 {
        match self {
            Self::Request => 0,
            Self::Data => 1,
            Self::Reject => 2,
            Self::Unknown(number) => number,
        }
    }

    /// The document's word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Data => "data",
            Self::Reject => "reject",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl Metadata {
    /// Asks for a piece.
    pub fn request(piece: u32) -> Self {
        Self::new(MetadataKind::Request, piece)
    }

    /// Answers with a piece; the whole metadata has `total_size` bytes.
    pub fn data(piece: u32, total_size: u64, data: Vec<u8>) -> Self {
        Self { total_size: Some(total_size), data, ..Self::new(MetadataKind::Data, piece) }
    }

    /// Says that a piece will not be sent.
    pub fn reject(piece: u32) -> Self {
        Self::new(MetadataKind::Reject, piece)
    }

    fn new(kind: MetadataKind, piece: u32) -> Self {
        Self { kind, piece, total_size: None, others: OtherEntries::default(), data: Vec::new() }
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let (document, end) = bencode::scan_prefix(payload)?;
        let number = |key: &[u8]| document.root().get(key).and_then(View::unsigned);
        let kind = number(b"msg_type").ok_or(DecodeError::new(0, "a dictionary with a msg_type"))?;
        let piece = number(b"piece").and_then(|piece| u32::try_from(piece).ok());
        let mut metadata = Self {
            kind: MetadataKind::from_number(kind),
            piece: piece.ok_or(DecodeError::new(0, "a dictionary with a piece of 32 bits"))?,
            total_size: number(b"total_size"),
            others: OtherEntries::default(),
            data: payload[end..].to_vec(),
        };
        metadata.others = OtherEntries::between(document.root(), |out| metadata.write(out));
        Ok(metadata)
    }

    /// The payload that says this: the dictionary, its keys in order, and the data after it.
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = self.others.dictionary(|out| self.write(out));
        payload.extend_from_slice(&self.data);
        payload
    }

    fn write(&self, out: &mut DictionaryWriter<'_>) {
        out.integer("msg_type", self.kind.number());
        out.integer("piece", self.piece);
        if let Some(size) = self.total_size {
            out.integer("total_size", size);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn writes_each_kind() {
        for (metadata, payload) in [
            (Metadata::request(0), &b"d8:msg_typei0e5:piecei0ee"[..]),
            (
                Metadata::data(2, 34_256, b"xxxx".to_vec()),
                b"d8:msg_typei1e5:piecei2e10:total_sizei34256eexxxx",
            ),
            (Metadata::reject(u32::MAX), b"d8:msg_typei2e5:piecei4294967295ee"),
        ] {
            assert_eq!(metadata.encode().escape_ascii().to_string(), payload.escape_ascii().to_string());
            assert_eq!(Metadata::decode(payload), Ok(metadata));
        }
    }

    #[test]
    fn keeps_unknown_kinds_and_keys() {
        for payload in [
            &b"d8:msg_typei7e5:piecei1e5:tokeni3e10:total_size1:xerest"[..],
            b"d1:ai0e8:msg_typei18446744073709551615e5:piecei0ee",
        ] {
            assert_eq!(Metadata::decode(payload).unwrap().encode(), payload);
        }
    }

    #[test]
    fn rejects_what_has_no_type_or_no_piece() {
        for payload in [
            &b""[..],
            b"le",
            b"de",
            b"d8:msg_typei0ee",
            b"d8:msg_typei-1e5:piecei0ee",
            b"d8:msg_typei0e5:piecei4294967296ee",
        ] {
            assert!(Metadata::decode(payload).is_err());
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            kind: u64, piece: u32, total_size: Option<u64>, data in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let kind = MetadataKind::from_number(kind % 5);
            let metadata = Metadata { kind, piece, total_size, data, others: OtherEntries::default() };
            prop_assert_eq!(Metadata::decode(&metadata.encode()).unwrap(), metadata);
        }
    }
}
