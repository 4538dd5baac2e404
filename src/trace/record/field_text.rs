//! A field of a record in words: its value, and what the value means beyond itself.

use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::wire::Message;
use bittrace_protocol::{Block, Field, Hex, Value};

use super::units::{count, counted};
use super::{Body, PeerWireBody, Record};

/// How many bytes without readable text are written as hex; of more, only the length is said.
const HEX_BYTES: usize = 64;

/// The value of a field in words: numbers in decimal, text in quotes, bytes in hex up to 64 of them, a payload by its
/// length. Empty for delimiters, and for lists and dictionaries, whose parts have values.
pub fn value_text(field: &Field) -> String {
    match &field.value {
        Value::None | Value::List | Value::Map => String::new(),
        Value::Unsigned(number) => number.to_string(),
        Value::Signed(number) => number.to_string(),
        Value::Number(digits) => digits.clone(),
        Value::Text(text) => format!("\"{text}\""),
        Value::Bytes(bytes) if bytes.len() > HEX_BYTES => format!("{} bytes", count(bytes.len() as u64)),
        Value::Bytes(bytes) => Hex(bytes).to_string(),
        Value::Payload(place) => counted(place.len() as u64, "byte"),
        Value::Address(address) => address.to_string(),
        Value::Endpoints(endpoints) => {
            endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        Value::Flags(_, names) if names.is_empty() => "none set".to_owned(),
        Value::Flags(_, names) => names.join(", "),
    }
}

/// What the field `name` at the top of a record means beyond its value: `piece` of the id 7, the set bits of the reserved
/// bytes, the place in the torrent of a block. `torrent` is what the record is about, where that is known.
pub fn field_meaning(record: &Record, torrent: Option<&Metainfo>, name: &str) -> Option<String> {
    match (&record.body, name) {
        (Body::PeerWire(PeerWireBody::Handshake(handshake)), "reserved") => {
            let bits = handshake.reserved_bits();
            let bits: Vec<_> = bits
                .iter()
                .map(|bit| format!("byte {} & {:02x}: {}", bit.byte, bit.mask, bit.name))
                .collect();
            (!bits.is_empty()).then(|| bits.join(", "))
        }
        (Body::PeerWire(PeerWireBody::Message(_) | PeerWireBody::Extended(..)), "id") => {
            Some(record.body.message().to_owned())
        }
        (Body::PeerWire(PeerWireBody::Message(message)), "begin") => {
            let block = match message {
                Message::Request(block) | Message::Cancel(block) | Message::RejectRequest(block) => *block,
                Message::Piece { index, begin, .. } => Block { index: *index, begin: *begin, length: 0 },
                _ => return None,
            };
            // Version 2 begins each file with a piece of its own: only there a byte of the torrent is none of a file.
            let torrent = torrent.filter(|torrent| torrent.geometry.is_some())?;
            let at = u64::from(block.index.0) * u64::from(torrent.piece_length) + u64::from(block.begin);
            Some(format!("byte {at} of {}", torrent.name))
        }
        (Body::UdpTracker(_), "action") => {
            let message = record.body.message();
            Some(message.split('-').next().unwrap_or(message).to_owned())
        }
        _ => None,
    }
}
