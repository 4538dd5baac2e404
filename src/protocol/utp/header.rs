//! Packets: a header of 20 bytes, extensions, and the next bytes of a stream (BEP 29).

use std::ops::Range;

use crate::field::{Field, Value};
use crate::{DecodeError, Reader};

/// The bytes of a header without extensions (BEP 29, "header format").
pub const HEADER_LENGTH: usize = 20;

/// What a packet is (BEP 29, "type").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Bytes of the stream.
    Data,
    /// The last of its direction.
    Fin,
    /// An acknowledgement alone.
    State,
    /// The end of the connection at once.
    Reset,
    /// The first of a connection.
    Syn,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Data, Self::Fin, Self::State, Self::Reset, Self::Syn];

    /// The document's word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Fin => "fin",
            Self::State => "state",
            Self::Reset => "reset",
            Self::Syn => "syn",
        }
    }
}

/// What stands before the bytes of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the packet is.
    pub kind: Kind,
    /// The connection, by the id that the receiver goes by; in a SYN, that of the sender.
    pub connection: u16,
    /// When it was sent, in microseconds of the sender's clock.
    pub timestamp: u32,
    /// How long the last packet of the other end was under way, in microseconds, give or take the clocks.
    pub delay: u32,
    /// How many bytes the sender would take.
    pub window: u32,
    /// The packet's number in its direction, of 16 bits.
    pub sequence: u16,
    /// The last number up to which the sender has everything of the other direction.
    pub acknowledged: u16,
    /// How many bytes stand before those of the stream: the header's and its extensions'.
    pub length: usize,
}

impl Header {
    /// Reads the header of the packet that `bytes` are.
    ///
    /// # Errors
    /// Where they are of another version or type, or end within the header or an extension.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let first = reader.u8("a type and version")?;
        let kind = kind(first).ok_or(DecodeError::new(0, "a type from 0 to 4, and version 1"))?;
        let mut extension = reader.u8("an extension")?;
        let mut header = Self {
            kind,
            connection: reader.u16("a connection id")?,
            timestamp: reader.u32("a time")?,
            delay: reader.u32("a difference of times")?,
            window: reader.u32("a window")?,
            sequence: reader.u16("a sequence number")?,
            acknowledged: reader.u16("an acknowledged number")?,
            length: HEADER_LENGTH,
        };
        while extension != 0 {
            extension = reader.u8("the next extension")?;
            let length = reader.u8("an extension's length")?;
            reader.take(length.into(), "an extension")?;
        }
        header.length = reader.offset();
        Ok(header)
    }
}

impl Header {
    /// The bytes of the header and its extensions, which stand before the bytes of the stream. What was decoded is encoded
    /// to the same bytes, with the [`extensions`] of its packet; [`length`](Self::length) follows from them.
    pub fn encode<'a>(&self, extensions: impl IntoIterator<Item = HeaderExtension<'a>>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.length);
        self.encode_to(extensions, &mut bytes);
        bytes
    }

    /// Adds the bytes that [`encode`](Self::encode) makes.
    pub(super) fn encode_to<'a>(
        &self,
        extensions: impl IntoIterator<Item = HeaderExtension<'a>>,
        bytes: &mut Vec<u8>,
    ) {
        let begin = bytes.len();
        bytes.extend_from_slice(&[(self.kind as u8) << 4 | VERSION, 0]);
        bytes.extend_from_slice(&self.connection.to_be_bytes());
        for number in [self.timestamp, self.delay, self.window] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        for number in [self.sequence, self.acknowledged] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        // Each extension is named in front of the one before it, the first in the header.
        let mut named_at = begin + 1;
        for extension in extensions {
            bytes[named_at] = extension.kind;
            named_at = bytes.len();
            bytes.extend_from_slice(&[0, extension.content.len() as u8]);
            bytes.extend_from_slice(extension.content);
        }
    }
}

/// An extension of a header (BEP 29, "extension").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderExtension<'a> {
    kind: u8,
    content: &'a [u8],
}

impl<'a> HeaderExtension<'a> {
    /// An extension of a kind from 1 to 255, with up to 255 bytes; `None` of other kinds and lengths, which no header can
    /// have.
    pub const fn new(kind: u8, content: &'a [u8]) -> Option<Self> {
        if kind == 0 || content.len() > u8::MAX as usize { None } else { Some(Self { kind, content }) }
    }

    /// What it is: 1 is a selective acknowledgement (BEP 29).
    pub const fn kind(&self) -> u8 {
        self.kind
    }

    /// Whether clients send extensions of this kind: selective acknowledgements (BEP 29), libutp's and libtorrent's extension
    /// bits and close reasons, and our padding.
    pub const fn is_known(&self) -> bool {
        matches!(self.kind, SELECTIVE_ACK | EXTENSION_BITS | CLOSE_REASON | PADDING)
    }

    /// How many packets a selective acknowledgement says to have arrived (BEP 29, "Selective ACK": a bit each); 0 of other
    /// extensions.
    pub fn selectively_acknowledged(&self) -> u32 {
        if self.kind == SELECTIVE_ACK { self.content.iter().map(|byte| byte.count_ones()).sum() } else { 0 }
    }

    /// Why the sender closes the connection, by libtorrent's extension; `None` of other extensions, and of 0, which says
    /// nothing.
    pub const fn close_reason(&self) -> Option<u16> {
        match (self.kind, self.content) {
            (CLOSE_REASON, &[_, _, high, low]) if high | low != 0 => Some(u16::from_be_bytes([high, low])),
            _ => None,
        }
    }

    /// Its bytes, after its length.
    pub const fn content(&self) -> &'a [u8] {
        self.content
    }
}

/// The extensions of the packet that `bytes` are, in order. Of bytes that [`Header::decode`] does not read, those before
/// the fault.
pub fn extensions(bytes: &[u8]) -> impl Iterator<Item = HeaderExtension<'_>> {
    let mut kind = bytes.get(1).copied().unwrap_or(0);
    let mut rest = bytes.get(HEADER_LENGTH..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (&[next, length], behind) = rest.split_first_chunk()?;
        let (content, behind) = behind.split_at_checked(length.into())?;
        rest = behind;
        HeaderExtension::new(std::mem::replace(&mut kind, next), content)
    })
    .fuse()
}

/// The version of the protocol, in the low nibble of the first byte.
const VERSION: u8 = 1;

/// The kind of the packet that begins with this byte; `None` when it is none of version 1.
#[inline]
pub fn kind(first: u8) -> Option<Kind> {
    if first & 0x0f != VERSION { None } else { Kind::ALL.get(usize::from(first >> 4)).copied() }
}

/// The fields that tile `bytes`, a packet that [`Header::decode`] reads.
pub fn fields(bytes: &[u8]) -> Vec<Field> {
    let payload =
        |from: usize| Field::content("payload", from..bytes.len(), Value::Payload(from..bytes.len()));
    let Ok(header) = Header::decode(bytes) else { return vec![payload(0)] };
    let number = |name: &'static str, span: Range<usize>, value: u32| {
        Field::content(name, span, Value::Unsigned(value.into()))
    };
    let mut fields = vec![
        Field::content("type", 0..1, Value::Text(header.kind.name().to_owned())),
        Field::framing("extension", 1..2, Value::Unsigned(bytes[1].into())),
        number("connection_id", 2..4, header.connection.into()),
        number("timestamp_microseconds", 4..8, header.timestamp),
        number("timestamp_difference_microseconds", 8..12, header.delay),
        number("wnd_size", 12..16, header.window),
        number("seq_nr", 16..18, header.sequence.into()),
        number("ack_nr", 18..20, header.acknowledged.into()),
    ];
    let mut at = HEADER_LENGTH;
    for HeaderExtension { kind, content } in extensions(bytes) {
        let end = at + 2 + content.len();
        let as_bytes = |name| Field::content(name, at..end, Value::Bytes(content.to_vec()));
        fields.push(match (kind, content) {
            (SELECTIVE_ACK, _) => as_bytes("selective_ack"),
            (EXTENSION_BITS, _) => as_bytes("extension_bits"),
            (PADDING, _) => as_bytes("padding"),
            (CLOSE_REASON, [_, _, high, low]) => {
                number("close_reason", at..end, u16::from_be_bytes([*high, *low]).into())
            }
            _ => as_bytes("unknown_extension"),
        });
        at = end;
    }
    if header.length < bytes.len() {
        fields.push(payload(header.length));
    }
    fields
}

/// Which packets after a missing one have arrived (BEP 29, "Selective ACK").
pub(super) const SELECTIVE_ACK: u8 = 1;
/// Eight bytes that µTorrent sends in its SYN; no document describes them.
const EXTENSION_BITS: u8 = 2;
/// Why a connection is closed: two bytes of zero and a number (libtorrent's extension; no document describes it).
const CLOSE_REASON: u8 = 3;
/// Zeros that make a packet as large as the way may take. The number is our own: who does not know an extension passes over
/// it (BEP 29, "extension").
pub(super) const PADDING: u8 = 0x50;
/// The bytes before the content of an extension.
pub(super) const EXTENSION_HEAD: usize = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::field::untiled;

    /// A SYN as libtorrent sends it: sequence number 0x9e5a.
    const SYN: [u8; 20] =
        [0x41, 0, 0x55, 0xe3, 0x97, 0x8d, 0xa7, 0x29, 0, 0, 0, 0, 0, 0, 0, 0, 0x9e, 0x5a, 0, 0];

    fn with(kind: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SYN.to_vec();
        bytes[1] = kind;
        bytes.extend_from_slice(rest);
        bytes
    }

    fn decode(bytes: &[u8]) -> Header {
        assert_eq!(untiled(&fields(bytes), 0..bytes.len()), None);
        let header = Header::decode(bytes).unwrap();
        assert_eq!(header.encode(extensions(bytes)), bytes[..header.length]);
        header
    }

    #[test]
    fn an_extension_has_a_kind_and_up_to_255_bytes() {
        assert_eq!(HeaderExtension::new(0, b""), None);
        assert_eq!(HeaderExtension::new(1, &[0; 256]), None);
        let longest = HeaderExtension::new(1, &[7; 255]).unwrap();
        let header = decode(&SYN);
        let bytes = header.encode([longest, HeaderExtension::new(9, b"").unwrap()]);
        assert_eq!((bytes.len(), Header::decode(&bytes).unwrap().length), (279, 279));
        assert_eq!(
            extensions(&bytes).map(|one| (one.kind(), one.content().len())).collect::<Vec<_>>(),
            [(1, 255), (9, 0)]
        );
    }

    #[test]
    fn reads_a_header() {
        let header = decode(&SYN);
        assert_eq!((header.kind, header.connection, header.sequence), (Kind::Syn, 0x55e3, 0x9e5a));
        assert_eq!((header.timestamp, header.acknowledged, header.length), (0x978d_a729, 0, 20));
    }

    #[test]
    fn passes_over_extensions_of_any_length() {
        // selective ack of 4 bytes, then of 255, then the stream
        let mut bytes = with(1, &[1, 4, 1, 0, 0, 0, 0, 255]);
        bytes.extend([7; 255]);
        assert_eq!(decode(&bytes).length, 20 + 6 + 257);
        bytes.extend(b"stream");
        assert_eq!(fields(&bytes).last().unwrap().value, Value::Payload(283..289));
        // one of no bytes, and one that nobody knows
        assert_eq!(decode(&with(1, &[0x77, 0, 0, 3, 1, 2, 3])).length, 27);
        assert_eq!(fields(&with(3, &[0, 4, 0, 0, 1, 2]))[8].value, Value::Unsigned(0x102));
    }

    #[test]
    fn rejects_other_versions_and_types() {
        for first in [0x40, 0x42, 0x51, 0x00, 0x64, 0xff] {
            let mut bytes = SYN;
            bytes[0] = first;
            assert_eq!(Header::decode(&bytes).unwrap_err().offset, 0, "{first:#x}");
        }
    }

    #[test]
    fn rejects_every_cut_of_the_header_and_its_extensions() {
        let bytes = with(2, &[1, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 1, 1, 1]);
        assert_eq!(decode(&bytes).length, bytes.len());
        for end in 0..bytes.len() {
            assert!(Header::decode(&bytes[..end]).is_err(), "{end} bytes");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            kind in 0u8..5, ids: (u16, u16, u16), numbers: (u32, u32, u32),
            payload in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut bytes = vec![kind << 4 | 1, 0];
            bytes.extend(ids.0.to_be_bytes());
            for number in [numbers.0, numbers.1, numbers.2] {
                bytes.extend(number.to_be_bytes());
            }
            bytes.extend(ids.1.to_be_bytes());
            bytes.extend(ids.2.to_be_bytes());
            bytes.extend(&payload);
            let header = decode(&bytes);
            prop_assert_eq!((header.connection, header.sequence, header.acknowledged), ids);
            prop_assert_eq!((header.timestamp, header.delay, header.window), numbers);
            prop_assert_eq!(&bytes[header.length..], payload);
        }

        #[test]
        fn fields_tile_any_packet(extension in 0u8..5, rest in prop::collection::vec(0u8..9, 0..60)) {
            let bytes = with(extension, &rest);
            prop_assert_eq!(untiled(&fields(&bytes), 0..bytes.len()), None);
        }
    }
}
