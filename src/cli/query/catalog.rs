//! Every message and every field of a message's own that bittrace decodes: name, type, unit, meaning, and the document
//! that defines it. Filters take the types from here, and `bittrace fields`, `bittrace explain` and the JSON Schema show
//! the rest.

mod entries;
mod keys;

pub(crate) use entries::MESSAGE_CATALOG;
pub(crate) use keys::{KEY_CATALOG, KeyEntry};

/// A message that bittrace names.
#[derive(Debug)]
pub(crate) struct MessageEntry {
    /// The protocol it belongs to.
    pub(crate) protocol: &'static str,
    /// Its name.
    pub(crate) name: &'static str,
    /// The extension, for a message that is `extended`; empty for others.
    pub(crate) extension: &'static str,
    /// The document that defines it, such as `BEP 3`.
    pub(crate) document: &'static str,
    /// The section there; empty where the document has no sections.
    pub(crate) section: &'static str,
    /// What the message does, without a full stop.
    pub(crate) text: &'static str,
    /// The fields that the document names. Messages of dictionaries, parameters or headers may have more.
    pub(crate) fields: &'static [FieldEntry],
}

/// A field of a message's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldEntry {
    /// Its name in `fields` of the JSON.
    pub(crate) name: &'static str,
    /// Its type.
    pub(crate) kind: FieldKind,
    /// What it means, without a full stop.
    pub(crate) text: &'static str,
}

/// The type of a field, with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldKind {
    /// A number without a unit.
    Number,
    /// A number of bytes.
    Bytes,
    /// A number of seconds.
    Seconds,
    /// Text.
    Text,
    /// Bytes in hexadecimal digits.
    Hex,
    /// 20 or 32 bytes in 40 or 64 hexadecimal digits: an info hash, a peer id, the root of a hash tree.
    Hash,
    /// The names of the bits that are set.
    Flags,
    /// An IP address without a port.
    Address,
    /// An IP address with a port.
    Endpoint,
    /// Addresses with ports.
    Endpoints,
    /// Entries with names of their own.
    Object,
    /// A list of objects or values.
    List,
}

impl FieldKind {
    /// The type as people call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Number | Self::Bytes | Self::Seconds => "integer",
            Self::Text => "text",
            Self::Hex => "bytes (hex)",
            Self::Hash => "hash (hex)",
            Self::Flags => "flags",
            Self::Address => "address",
            Self::Endpoint => "address:port",
            Self::Endpoints => "addresses",
            Self::Object => "object",
            Self::List => "list",
        }
    }

    /// The unit of its numbers; empty where there is none.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Seconds => "s",
            _ => "",
        }
    }

    /// Whether its values are numbers.
    pub(crate) const fn is_number(self) -> bool {
        matches!(self, Self::Number | Self::Bytes | Self::Seconds)
    }
}

/// Whether a name of the JSON and a name in a filter are the same: case does not matter, and a blank may be written as `_`.
pub(crate) fn is_same_name(name: &str, written: &str) -> bool {
    name.len() == written.len()
        && name
            .bytes()
            .zip(written.bytes())
            .all(|(a, b)| a.eq_ignore_ascii_case(&b) || a == b' ' && b == b'_')
}

/// The types that a field of this name has, over all messages; empty for a name that the catalog does not have.
pub(crate) fn kinds_of(name: &str) -> Vec<FieldKind> {
    let mut kinds = Vec::new();
    for field in MESSAGE_CATALOG.iter().flat_map(|message| message.fields) {
        if is_same_name(field.name, name) && !kinds.contains(&field.kind) {
            kinds.push(field.kind);
        }
    }
    kinds
}

/// The names of all fields, one or several times each.
pub(crate) fn field_names() -> impl Iterator<Item = &'static str> {
    MESSAGE_CATALOG.iter().flat_map(|message| message.fields).map(|field| field.name)
}

/// The names of all messages, one or several times each.
pub(crate) fn message_names() -> impl Iterator<Item = &'static str> + Clone {
    MESSAGE_CATALOG.iter().map(|message| message.name)
}
