//! Azureus messaging: the messages of Vuze and BiglyBT, which both ends speak after handshakes that offer it (reserved bit
//! 0x80 of the first byte). There is no BEP; the layout is the one that these clients read and write.
//!
//! A message is: length (4 bytes), length of the id (4), the id in ASCII, version and flags (1), padding where the flags say so,
//! and a payload. The messages of BEP 3 come under ids such as `BT_REQUEST`, with their usual payload.

use bytes::Bytes;

use super::framing::Frame;
use super::id::MessageId;
use super::message::Message;
use crate::field::{Field, Value, text_or_bytes};
use crate::{DecodeError, Reader, bencode};

/// The longest message that Vuze and BiglyBT read, without the length itself.
pub const MAX_AZUREUS_MESSAGE: usize = 128 * 1024;

/// The longest id that they read.
const MAX_ID: usize = 1024;

/// The shortest message that begins a stream of them: the length of the id, `BT_` or `AZ_` with a letter, the version.
const SHORTEST: u32 = 4 + 4 + 1;

/// From this version on the upper four bits of the version are flags.
const PADDING_VERSION: u8 = 2;

/// The flag of a message with padding: two bytes of its length, and so many bytes.
const PADDED: u8 = 0x10;

/// A message of Azureus messaging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureusMessage {
    /// Its id, such as `AZ_HANDSHAKE` or `BT_CHOKE`.
    pub id: Bytes,
    /// Version in the lower four bits, flags in the upper ones.
    pub version: u8,
    /// The padding, without its length; `None` where the flags say that there is none.
    pub padding: Option<Bytes>,
    /// What the message says.
    pub payload: Bytes,
}

/// Whether `bytes`, which stand where a message should begin, begin Azureus messaging: `None` while more are needed to
/// tell. The first messages of a stream have ids that begin with `BT_` or `AZ_`; no message of BEP 3 looks so.
pub fn begins_azureus(bytes: &[u8]) -> Option<bool> {
    // The message choke, which alone has a 0 here, is shorter.
    match bytes.get(..5) {
        None => return None,
        Some([0, high, low @ .., 0]) => {
            let length = u32::from_be_bytes([0, *high, low[0], low[1]]);
            if length < SHORTEST || length as usize > MAX_AZUREUS_MESSAGE {
                return Some(false);
            }
        }
        Some(_) => return Some(false),
    }
    let id = bytes.get(8..11)?;
    Some(bytes[5..7] == [0, 0] && bytes[7] > 3 && matches!(id, b"BT_" | b"AZ_"))
}

/// Where the message ends that `bytes` begin with, in a stream of Azureus messages.
pub fn azureus_frame(bytes: &[u8]) -> Frame {
    let number = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
    let Some(length) = number(0) else { return Frame::Incomplete };
    if !(6..=MAX_AZUREUS_MESSAGE).contains(&length) {
        return Frame::Impossible(DecodeError::new(0, "a message of 6 bytes to 128 KiB"));
    }
    let Some(id) = number(4) else { return Frame::Incomplete };
    if id == 0 || id > MAX_ID || id + 5 > length {
        return Frame::Impossible(DecodeError::new(4, "an id of 1 to 1,024 bytes within the message"));
    }
    Frame::Message(4 + length)
}

impl AzureusMessage {
    /// Reads the message that `bytes` are, its length included.
    ///
    /// # Errors
    /// Where the lengths of the message, its id or its padding do not fit `bytes`.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let length = reader.u32("a length")? as usize;
        if length != reader.remaining() {
            return Err(DecodeError::new(0, "the length of the message"));
        }
        let id = reader.u32("the length of the id")? as usize;
        if id == 0 || id > MAX_ID {
            return Err(DecodeError::new(4, "an id of 1 to 1,024 bytes"));
        }
        let id = bytes.slice_ref(reader.take(id, "the id")?);
        let version = reader.u8("a version")?;
        let padding = if has_padding(version) {
            let padding = reader.u16("the length of the padding")?;
            Some(bytes.slice_ref(reader.take(padding.into(), "the padding")?))
        } else {
            None
        };
        Ok(Self { id, version, padding, payload: bytes.slice_ref(reader.rest()) })
    }

    /// Appends the message. What was decoded is encoded to the same bytes. Padding beyond 65,535 bytes is cut.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; 4]);
        out.extend((self.id.len() as u32).to_be_bytes());
        out.extend(&self.id);
        out.push(self.version);
        if has_padding(self.version) {
            let padding = self.padding.as_deref().unwrap_or_default();
            let count = u16::try_from(padding.len()).unwrap_or(u16::MAX);
            out.extend(count.to_be_bytes());
            out.extend(&padding[..count.into()]);
        }
        out.extend(&self.payload);
        let length = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// Its name in tables and JSON: that of the message it wraps, or its id in small letters, or `azureus` for an id that is
    /// not known.
    pub fn name(&self) -> &'static str {
        if let Some(id) = self.wraps() {
            return id.map_or("keep-alive", MessageId::name);
        }
        match &*self.id {
            b"AZ_HANDSHAKE" => "az-handshake",
            b"AZ_PEER_EXCHANGE" => "az-peer-exchange",
            b"AZ_HAVE" => "az-have",
            b"AZ_BAD_PIECE" => "az-bad-piece",
            b"AZ_REQUEST_HINT" => "az-request-hint",
            b"AZ_METADATA" => "az-metadata",
            b"AZ_STAT_REQ" => "az-stat-request",
            b"AZ_STAT_REP" => "az-stat-reply",
            _ => "azureus",
        }
    }

    /// The message of BEP 3, 5 or 6 that it wraps, where there is one and its payload is right.
    pub fn message(&self) -> Option<Message> {
        let Some(id) = self.wraps()? else { return self.payload.is_empty().then_some(Message::KeepAlive) };
        let (mut bytes, cut) = match id {
            // The block is not copied.
            MessageId::PIECE if self.payload.len() >= 8 => (Vec::with_capacity(13), 8),
            _ => (Vec::with_capacity(5 + self.payload.len()), self.payload.len()),
        };
        bytes.extend((1 + cut as u32).to_be_bytes());
        bytes.push(id.0);
        bytes.extend(&self.payload[..cut]);
        match Message::decode(&bytes.into()).ok()? {
            Message::Malformed { .. } | Message::Unknown { .. } => None,
            Message::Piece { index, begin, .. } => {
                Some(Message::Piece { index, begin, block: self.payload.slice(cut..) })
            }
            message => Some(message),
        }
    }

    /// The id of the message that it wraps; the inner `None` is a keep-alive.
    fn wraps(&self) -> Option<Option<MessageId>> {
        Some(Some(match &*self.id {
            b"BT_KEEP_ALIVE" => return Some(None),
            b"BT_CHOKE" => MessageId::CHOKE,
            b"BT_UNCHOKE" => MessageId::UNCHOKE,
            b"BT_INTERESTED" => MessageId::INTERESTED,
            b"BT_UNINTERESTED" => MessageId::NOT_INTERESTED,
            b"BT_HAVE" => MessageId::HAVE,
            b"BT_BITFIELD" => MessageId::BITFIELD,
            b"BT_REQUEST" => MessageId::REQUEST,
            b"BT_PIECE" => MessageId::PIECE,
            b"BT_CANCEL" => MessageId::CANCEL,
            b"BT_DHT_PORT" => MessageId::PORT,
            b"BT_SUGGEST_PIECE" => MessageId::SUGGEST_PIECE,
            b"BT_HAVE_ALL" => MessageId::HAVE_ALL,
            b"BT_HAVE_NONE" => MessageId::HAVE_NONE,
            b"BT_REJECT_REQUEST" => MessageId::REJECT_REQUEST,
            b"BT_ALLOWED_FAST" => MessageId::ALLOWED_FAST,
            _ => return None,
        }))
    }

    /// The fields that tile the message's bytes.
    pub fn fields(&self) -> Vec<Field> {
        let mut at = 8 + self.id.len();
        let length =
            at - 3 + self.padding.as_ref().map_or(0, |padding| 2 + padding.len()) + self.payload.len();
        let mut fields = vec![
            Field::framing("length", 0..4, Value::Unsigned(length as u64)),
            Field::framing("id_length", 4..8, Value::Unsigned(self.id.len() as u64)),
            Field::content("id", 8..at, text_or_bytes(&self.id)),
            Field::content("version", at..at + 1, Value::Unsigned(self.version.into())),
        ];
        at += 1;
        if let Some(padding) = &self.padding {
            let end = at + 2 + padding.len();
            fields.push(Field::framing("padding_length", at..at + 2, Value::Unsigned(padding.len() as u64)));
            if !padding.is_empty() {
                fields.push(Field::framing("padding", at + 2..end, Value::Payload(at + 2..end)));
            }
            at = end;
        }
        if self.payload.is_empty() {
            return fields;
        }
        fields.extend(self.payload_fields().into_iter().map(|field| field.shifted(at)));
        fields
    }

    /// Those of the payload, which begins at 0.
    fn payload_fields(&self) -> Vec<Field> {
        if let Some(message) = self.message() {
            // Behind the length and the id, a wrapped message is what it is elsewhere.
            const HEAD: usize = 5;
            let inner = message.fields().into_iter().filter(|field| field.span.start >= HEAD);
            return inner.map(|field| unshifted(field, HEAD)).collect();
        }
        match bencode::scan(&self.payload) {
            Ok(document) => document.root().fields(&|_, _| None),
            Err(_) => {
                vec![Field::content("payload", 0..self.payload.len(), Value::Payload(0..self.payload.len()))]
            }
        }
    }
}

/// A field of a message without its first `by` bytes.
fn unshifted(mut field: Field, by: usize) -> Field {
    field.span = field.span.start - by..field.span.end - by;
    if let Value::Payload(place) = &mut field.value {
        *place = place.start - by..place.end - by;
    }
    field.children = field.children.into_iter().map(|child| unshifted(child, by)).collect();
    field
}

const fn has_padding(version: u8) -> bool {
    version & 0x0f >= PADDING_VERSION && version & PADDED != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::untiled;

    fn wrapped(id: &[u8], version: u8, rest: &[u8]) -> Bytes {
        let mut bytes = ((5 + id.len() + rest.len()) as u32).to_be_bytes().to_vec();
        bytes.extend((id.len() as u32).to_be_bytes());
        bytes.extend(id);
        bytes.push(version);
        bytes.extend(rest);
        bytes.into()
    }

    fn messages() -> Vec<(Bytes, &'static str)> {
        vec![
            (wrapped(b"AZ_HANDSHAKE", 1, b"d6:client7:Azureuse"), "az-handshake"),
            // padding of 3 bytes
            (wrapped(b"AZ_HAVE", 0x12, b"\0\x03\0\0\0d6:piecesli3eee"), "az-have"),
            (wrapped(b"BT_CHOKE", 1, b""), "choke"),
            (wrapped(b"BT_KEEP_ALIVE", 1, b""), "keep-alive"),
            (wrapped(b"BT_BITFIELD", 2, b"\xe0"), "bitfield"),
            // piece 1, at 0, 16 KiB
            (wrapped(b"BT_REQUEST", 1, b"\0\0\0\x01\0\0\0\0\0\0\x40\0"), "request"),
            // piece 1, at 0, padded by 1 byte
            (wrapped(b"BT_PIECE", 0x12, b"\0\x01\0\0\0\0\x01\0\0\0\0block"), "piece"),
            // a request of 3 bytes
            (wrapped(b"BT_REQUEST", 1, b"abc"), "request"),
            (wrapped(b"AZ_GENERIC_MAP", 1, b"\xff"), "azureus"),
        ]
    }

    #[test]
    fn messages_are_read_to_fields_that_tile_and_are_written_again() {
        for (bytes, name) in messages() {
            assert_eq!(begins_azureus(&bytes), Some(true), "{name}");
            assert_eq!(azureus_frame(&bytes), Frame::Message(bytes.len()), "{name}");
            let message = AzureusMessage::decode(&bytes).expect(name);
            assert_eq!(message.name(), name);
            assert_eq!(untiled(&message.fields(), 0..bytes.len()), None, "{name}");
            let mut again = Vec::new();
            message.encode(&mut again);
            assert_eq!(again, bytes, "{name}");
        }
    }

    #[test]
    fn what_is_wrapped_is_the_message_itself() {
        let wrapped: Vec<_> =
            messages().iter().map(|(bytes, _)| AzureusMessage::decode(bytes).ok()?.message()).collect();
        assert_eq!(wrapped[0..2], [None, None]);
        assert_eq!(wrapped[2..4], [Some(Message::Choke), Some(Message::KeepAlive)]);
        assert!(matches!(&wrapped[5], Some(Message::Request(block)) if block.length == 0x4000));
        assert!(matches!(&wrapped[6], Some(Message::Piece { block, .. }) if block == "block"));
        assert_eq!(wrapped[7], None, "a request of 3 bytes");
    }

    #[test]
    fn cut_and_untrue_messages_are_told() {
        for (bytes, name) in messages() {
            for end in 0..bytes.len() {
                assert_ne!(begins_azureus(&bytes[..end]), Some(false), "{name} to {end}");
                assert!(AzureusMessage::decode(&bytes.slice(..end)).is_err(), "{name} to {end}");
                assert!(!matches!(azureus_frame(&bytes[..end]), Frame::Impossible(_)), "{name} to {end}");
            }
        }
        // an id longer than its message, padding longer than its message
        assert!(matches!(azureus_frame(b"\0\0\0\x09\0\0\0\x05BT_AB"), Frame::Impossible(_)));
        assert!(AzureusMessage::decode(&wrapped(b"AZ_HAVE", 0x12, b"\xff\xff")).is_err());
        // choke, a choke that is too long, a request, 1 MiB
        for other in [&b"\0\0\0\x01\0"[..], b"\0\0\0\x0a\0abcdefghi", b"\0\0\0\x0d\x06", b"\0\x10\0\0\0"] {
            assert_eq!(begins_azureus(other), Some(false), "{}", other.escape_ascii());
        }
    }
}
