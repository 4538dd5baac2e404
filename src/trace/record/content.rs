//! What the messages of several protocols have in common when their content is told: in words, and as fields.

use bittrace_protocol::field::{Field, Role, Value};
use bittrace_protocol::{InfoHash, PeerId};
use bytes::Bytes;

use super::units::{count, short_hex};

/// How many peers of a list are named.
pub(super) const NAMED: usize = 2;

pub(super) fn transferred(
    parts: &mut Vec<String>,
    left: Option<u64>,
    downloaded: Option<u64>,
    uploaded: Option<u64>,
) {
    parts.extend(left.map(|left| match left {
        u64::MAX => "left unknown".to_owned(),
        left => format!("left {}", count(left)),
    }));
    for (word, bytes) in [("downloaded", downloaded), ("uploaded", uploaded)] {
        parts.extend(bytes.filter(|&bytes| bytes > 0).map(|bytes| format!("{word} {}", count(bytes))));
    }
}

pub(super) fn scrape_of(info_hashes: &[InfoHash]) -> String {
    let some = info_hashes.iter().take(NAMED).map(short_hash).collect();
    format!("scrape {}", listed(some, info_hashes.len(), "everything"))
}

/// The first of `total` things; `none` when there are none.
pub(super) fn listed(first: Vec<String>, total: usize, none: &str) -> String {
    match total {
        0 => none.to_owned(),
        total if total > first.len() => {
            format!("{} and {} more", first.join("; "), count((total - first.len()) as u64))
        }
        _ => first.join("; "),
    }
}

pub(super) fn short_hash(info_hash: &InfoHash) -> String {
    short_hex(&info_hash.to_string()).into_owned()
}

/// Text off the wire without what would move a terminal's cursor.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A field that no bytes of its own stand for.
pub(super) fn derived(name: &'static str, value: Value) -> Field {
    Field::content(name, 0..0, value)
}

/// All of `bytes` as one field without a meaning.
pub(super) fn payload(bytes: &Bytes) -> Vec<Field> {
    let all = 0..bytes.len();
    vec![Field::content("payload", all.clone(), Value::Payload(all))]
}

/// A list of texts under a name.
pub(super) fn texts(name: &'static str, texts: impl Iterator<Item = String>) -> Field {
    let items = texts.map(|text| derived("item", Value::Text(text))).collect();
    derived(name, Value::List).with_children(items)
}

/// Puts `field` in the place of the first field of its name, and removes the others; adds it where there is none.
pub(super) fn set(fields: &mut Vec<Field>, field: Field) {
    let is_named = |other: &Field| other.role == Role::Content && other.name == field.name;
    let at = fields.iter().position(is_named).unwrap_or(fields.len());
    fields.retain(|other| !is_named(other));
    fields.insert(at, field);
}

/// Adds the readable form of a peer id after its bytes.
pub(super) fn add_readable_peer_id(fields: &mut Vec<Field>) {
    let mut ids = fields.iter().filter(|field| field.role == Role::Content && field.name == "peer_id");
    let (Some(id), None) = (ids.next(), ids.next()) else { return };
    let Value::Bytes(bytes) = &id.value else { return };
    if let Ok(id) = <[u8; 20]>::try_from(bytes.as_slice()) {
        fields.push(derived("peer_id_text", Value::Text(PeerId(id).readable())));
    }
}
