//! The parts of a message: a name, the bytes it stands in, and what they say.
//!
//! The fields of a message tile its bytes: from 0, without gap or overlap, to the end. Where a field
//! has children, they tile it in turn.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// One part of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The protocol's word for it, or the key it stands under.
    pub name: Cow<'static, str>,
    /// The bytes it stands in, from the start of the message. For an entry of a bencoded dictionary, its
    /// key and its value; for a parameter of a URL, name, `=` and value.
    pub span: Range<usize>,
    /// Whether it says something or only holds the message together.
    pub role: Role,
    /// What it says.
    pub value: Value,
    /// Its own parts, where it has some.
    pub children: Vec<Field>,
}

/// What a field is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Length prefixes, message ids, delimiters: known once the message is named.
    Framing,
    /// What the message says.
    Content,
}

/// What a field says.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Delimiters.
    None,
    /// A number.
    Unsigned(u64),
    /// A number that may be negative.
    Signed(i64),
    /// A number too large for 64 bits, as written.
    Number(String),
    /// Readable text.
    Text(String),
    /// Bytes that are no text.
    Bytes(Vec<u8>),
    /// A payload, by its place in the message; shown by its length.
    Payload(Range<usize>),
    /// An address without a port.
    Address(IpAddr),
    /// The addresses of peers.
    Endpoints(Vec<SocketAddr>),
    /// Bits, and the names of those that are set.
    Flags(u64, Vec<&'static str>),
    /// Its children are the items.
    List,
    /// Its children are the entries.
    Map,
}

impl Field {
    /// A field that says something.
    pub fn content(name: impl Into<Cow<'static, str>>, span: Range<usize>, value: Value) -> Self {
        Self { name: name.into(), span, role: Role::Content, value, children: Vec::new() }
    }

    /// A field that holds the message together.
    pub fn framing(name: impl Into<Cow<'static, str>>, span: Range<usize>, value: Value) -> Self {
        Self { name: name.into(), span, role: Role::Framing, value, children: Vec::new() }
    }

    /// This field with parts of its own, which tile it.
    #[must_use]
    pub fn with_children(mut self, children: Vec<Self>) -> Self {
        self.children = children;
        self
    }

    /// This field in a message that begins `by` bytes earlier.
    #[must_use]
    pub fn shifted(mut self, by: usize) -> Self {
        self.span = self.span.start + by..self.span.end + by;
        if let Value::Payload(place) = &mut self.value {
            *place = place.start + by..place.end + by;
        }
        self.children = self.children.into_iter().map(|child| child.shifted(by)).collect();
        self
    }
}

/// Where `fields` first fail to tile `span`, and how; `None` when they do.
pub fn untiled(fields: &[Field], span: Range<usize>) -> Option<String> {
    let mut at = span.start;
    for field in fields {
        if field.span.start != at || field.span.end < at {
            return Some(format!(
                "{} spans {:?}, but the field before it ended at {at}",
                field.name, field.span
            ));
        }
        at = field.span.end;
        if !field.children.is_empty()
            && let Some(fault) = untiled(&field.children, field.span.clone())
        {
            return Some(format!("in {}: {fault}", field.name));
        }
    }
    (at != span.end).then(|| format!("the fields end at {at}, the message at {}", span.end))
}

/// `bytes` as text when all of them are printable UTF-8, else as bytes.
pub fn text_or_bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => Value::Text(text.to_owned()),
        _ => Value::Bytes(bytes.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_between_fields_is_found() {
        let fields = [
            Field::framing("length", 0..4, Value::Unsigned(5)),
            Field::content("index", 5..9, Value::Unsigned(1)),
        ];
        assert!(untiled(&fields, 0..9).is_some());
    }

    #[test]
    fn a_child_outside_its_parent_is_found() {
        let child = Field::content("index", 0..3, Value::Unsigned(1));
        let fields = [Field::content("m", 0..4, Value::Map).with_children(vec![child])];
        assert_eq!(untiled(&fields, 0..4).as_deref(), Some("in m: the fields end at 3, the message at 4"));
    }

    #[test]
    fn control_characters_make_bytes() {
        assert_eq!(text_or_bytes("µTorrent".as_bytes()), Value::Text("µTorrent".into()));
        assert_eq!(text_or_bytes(&[0x7f, 0, 0, 1]), Value::Bytes(vec![0x7f, 0, 0, 1]));
    }
}
