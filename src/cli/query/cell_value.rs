//! What a message has under one name, lent from its record: written as JSON or as a cell without being copied first.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};

use bittrace_protocol::{Hex, InfoHash, Timestamp};
use bittrace_trace::CommunityId;
use bittrace_trace::record::Note;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use crate::print::printable::escaped;
use crate::print::units::Rfc3339;

/// A value of a message.
#[derive(Debug, Clone)]
pub(crate) enum CellValue<'a> {
    True,
    Number(u64),
    /// The number of a message within its capture, to be marked: see `print/run_numbers.rs`.
    MarkedNumber(u64),
    Seconds(f64),
    /// A name of this program's own, without anything to escape.
    Word(&'static str),
    Text(Cow<'a, str>),
    Time(Timestamp),
    End(SocketAddr),
    Address(IpAddr),
    /// The addresses of both ends.
    Addresses([IpAddr; 2]),
    /// The ports of both ends.
    Ports([u16; 2]),
    /// Where Wireshark shows the message: its number of the conversation, and the packet.
    Wireshark {
        stream: Option<u32>,
        frame: Option<u64>,
    },
    Hash(InfoHash),
    CommunityId(CommunityId),
    Bytes(&'a [u8]),
    Frames(&'a [u64]),
    Notes(&'a [Note]),
    Rules(&'a [Note]),
    Fields(&'a Map<String, Value>),
    /// Where in the message its fields are.
    Spans(Map<String, Value>),
    Field(&'a Value),
}

impl CellValue<'_> {
    /// The same as a value of its own.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Fields(map) => Value::Object((*map).clone()),
            Self::Spans(map) => Value::Object(map.clone()),
            Self::Field(value) => (*value).clone(),
            // Nothing here fails to be JSON.
            said => serde_json::to_value(said).unwrap_or_default(),
        }
    }

    /// What there is to display, where it is one thing and no JSON of its own.
    pub(crate) fn plain(&self) -> Option<&dyn Display> {
        match self {
            Self::Number(number) | Self::MarkedNumber(number) => Some(number),
            Self::Word(word) => Some(word),
            Self::Text(text) => Some(text),
            Self::End(end) => Some(end),
            Self::Address(address) => Some(address),
            Self::Hash(hash) => Some(hash),
            Self::CommunityId(id) => Some(id),
            Self::Field(Value::String(text)) => Some(text),
            _ => None,
        }
    }
}

impl Serialize for CellValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::True => serializer.serialize_bool(true),
            Self::Number(number) | Self::MarkedNumber(number) => serializer.serialize_u64(*number),
            Self::Seconds(seconds) => serializer.serialize_f64(*seconds),
            Self::Word(word) => serializer.serialize_str(word),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Time(at) => serializer.collect_str(&Rfc3339(*at)),
            Self::End(end) => serializer.collect_str(end),
            Self::Address(address) => serializer.collect_str(address),
            Self::Addresses(addresses) => addresses.serialize(serializer),
            Self::Ports(ports) => ports.serialize(serializer),
            Self::Wireshark { stream, frame } => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("stream", stream)?;
                map.serialize_entry("frame", frame)?;
                map.end()
            }
            Self::Hash(hash) => serializer.collect_str(hash),
            Self::CommunityId(id) => serializer.serialize_str(id.as_str()),
            Self::Bytes(bytes) => serializer.collect_str(&Hex(bytes)),
            Self::Frames(frames) => frames.serialize(serializer),
            Self::Notes(notes) => serializer.collect_seq(notes.iter().map(AsJson)),
            Self::Rules(notes) => serializer.collect_seq(notes.iter().map(|note| note.rule.id)),
            Self::Fields(map) => map.serialize(serializer),
            Self::Spans(map) => map.serialize(serializer),
            Self::Field(value) => value.serialize(serializer),
        }
    }
}

/// A note as an object.
struct AsJson<'a>(&'a Note);

impl Serialize for AsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("severity", self.0.rule.severity.name())?;
        map.serialize_entry("rule", self.0.rule.id)?;
        map.serialize_entry("text", &self.0.text)?;
        map.end()
    }
}

impl Display for CellValue<'_> {
    /// As one cell of CSV: the items of a list have blanks between them, notes semicolons; a message's own fields and what
    /// nests in them are JSON; an empty list and null are nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(plain) = self.plain() {
            return plain.fmt(f);
        }
        match self {
            Self::Time(at) => Rfc3339(*at).fmt(f),
            Self::Bytes(bytes) => Hex(bytes).fmt(f),
            Self::Field(Value::Null) => Ok(()),
            Self::Frames(frames) => with_blanks(frames, f),
            Self::Addresses(addresses) => with_blanks(addresses, f),
            Self::Ports(ports) => with_blanks(ports, f),
            Self::Notes(notes) => {
                for (at, note) in notes.iter().enumerate() {
                    write!(f, "{}{}", if at > 0 { "; " } else { "" }, note.text)?;
                }
                Ok(())
            }
            Self::Rules(notes) => {
                for (at, note) in notes.iter().enumerate() {
                    write!(f, "{}{}", if at > 0 { " " } else { "" }, note.rule.id)?;
                }
                Ok(())
            }
            Self::Field(Value::Array(items)) if items.is_empty() => Ok(()),
            said => f.write_str(&escaped(serde_json::to_string(said).map_err(|_| fmt::Error)?.into())),
        }
    }
}

/// The items, with blanks between them.
fn with_blanks(items: &[impl Display], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(" ")?;
        }
        item.fmt(f)?;
    }
    Ok(())
}
