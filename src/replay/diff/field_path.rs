//! The fields of a message that have no parts of their own, under the names by which they are compared and masked.

use std::collections::HashMap;
use std::ops::Range;

use bittrace_protocol::field::{Field, Role, Value};
use bittrace_protocol::{Hex, PeerId};
use bittrace_trace::units::size;

use crate::diff::mask::Mask;
use crate::model::message::ReadMessage;

/// A field without parts of its own.
#[derive(Debug, Clone)]
pub(crate) struct FlatField {
    /// Its name after the names of the fields that it stands in, joined by dots.
    pub(crate) path: String,
    /// Which one it is of those with this path, from 0.
    pub(crate) nth: usize,
    /// The bytes it stands in.
    pub(crate) span: Range<usize>,
    /// Whether it has content, or only frames other fields.
    pub(crate) role: Role,
    /// Its value.
    pub(crate) value: Value,
}

/// The leaves of a message, in order; together they tile it.
pub(crate) fn flat_fields(message: &ReadMessage) -> Vec<FlatField> {
    let mut leaves = Vec::new();
    for field in message.fields() {
        collect(field, "", &mut leaves);
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    for leaf in &mut leaves {
        let nth = seen.entry(leaf.path.clone()).or_default();
        leaf.nth = *nth;
        *nth += 1;
    }
    leaves
}

fn collect(field: Field, above: &str, leaves: &mut Vec<FlatField>) {
    let path = if above.is_empty() { field.name.into_owned() } else { format!("{above}.{}", field.name) };
    if field.children.is_empty() {
        leaves.push(FlatField { path, nth: 0, span: field.span, role: field.role, value: field.value });
        return;
    }
    for child in field.children {
        collect(child, &path, leaves);
    }
}

/// The peer id that a leaf is.
pub(crate) fn peer_id(leaf: &FlatField) -> Option<PeerId> {
    match &leaf.value {
        Value::Bytes(bytes) if leaf.path == "peer_id" => Some(PeerId(bytes.as_slice().try_into().ok()?)),
        _ => None,
    }
}

/// A value in the one form in which it is bound, however it was written.
pub(crate) fn canonical(leaf: &FlatField, message: &ReadMessage) -> Vec<u8> {
    match &leaf.value {
        Value::Unsigned(number) => number.to_string().into_bytes(),
        Value::Signed(number) => number.to_string().into_bytes(),
        Value::Text(text) => text.clone().into_bytes(),
        Value::Bytes(bytes) => bytes.clone(),
        Value::Address(address) => address.to_string().into_bytes(),
        _ => message.bytes.get(leaf.span.clone()).unwrap_or_default().to_vec(),
    }
}

/// The value of a leaf, readable.
pub(crate) fn text(leaf: &FlatField, message: &ReadMessage) -> String {
    if let Some(id) = peer_id(leaf) {
        return id.readable();
    }
    match &leaf.value {
        Value::None | Value::List | Value::Map => {
            readable(message.bytes.get(leaf.span.clone()).unwrap_or_default())
        }
        Value::Unsigned(number) => number.to_string(),
        Value::Signed(number) => number.to_string(),
        Value::Number(digits) => digits.clone(),
        Value::Text(text) => text.clone(),
        Value::Bytes(bytes) => Hex(bytes).to_string(),
        Value::Payload(place) => size(place.len() as u64),
        Value::Address(address) => address.to_string(),
        Value::Endpoints(endpoints) => {
            endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        Value::Flags(bits, names) => {
            let digits = 2 * leaf.span.len();
            let bits = format!("{bits:0digits$x}");
            if names.is_empty() { bits } else { format!("{bits} ({})", names.join(", ")) }
        }
    }
}

/// Bytes as text where they are, else in hex.
pub(crate) fn readable(bytes: &[u8]) -> String {
    match bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t')) {
        true => format!("\"{}\"", bytes.escape_ascii()),
        false => Hex(bytes).to_string(),
    }
}

/// A bound value.
pub(crate) fn shown(bytes: &[u8]) -> String {
    match (<[u8; 20]>::try_from(bytes), std::str::from_utf8(bytes)) {
        (Ok(id), _) => PeerId(id).readable(),
        (_, Ok(text)) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => Hex(bytes).to_string(),
    }
}

/// Whether a message has a field that `mask` is about.
pub(crate) fn has(message: &ReadMessage, mask: &Mask) -> bool {
    let (name, protocol) = (message.body.message(), message.body.protocol());
    flat_fields(message).iter().any(|leaf| mask.covers(name, protocol, &leaf.path))
}
