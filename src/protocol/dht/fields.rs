//! The parts of a message of the DHT. Arguments and return values stand beside the rest, not within it: a torrent's
//! hash is `info_hash` wherever it is named.

use std::net::SocketAddr;

use crate::bencode::{self, EntryView, View};
use crate::compact;
use crate::dht::{Method, node_stride, read_node};
use crate::field::{Field, Value, text_or_bytes};

/// The fields that tile `bytes`, a message that [`Message::decode`](super::Message::decode) reads.
pub fn fields(bytes: &[u8]) -> Vec<Field> {
    let Ok((document, end)) = bencode::scan_prefix(bytes) else {
        return vec![Field::content("payload", 0..bytes.len(), Value::Payload(0..bytes.len()))];
    };
    let Some(entries) = document.root().entries() else {
        let mut fields = document.root().fields(&|_, _| None);
        fields.extend(behind(bytes, end));
        return fields;
    };
    let mut fields = vec![Field::framing("open", 0..1, Value::None)];
    for entry in entries {
        match entry.key {
            b"a" | b"r" if entry.value.is_dictionary() => unfold(entry, &mut fields),
            b"e" if entry.value.items().is_some() => error(entry, &mut fields),
            _ => fields.push(outer(entry)),
        }
    }
    fields.push(Field::framing("close", end - 1..end, Value::None));
    fields.extend(behind(bytes, end));
    fields
}

/// What stands after the message, where something does.
fn behind(bytes: &[u8], end: usize) -> Option<Field> {
    let rest = end..bytes.len();
    (!rest.is_empty()).then(|| Field::content("payload", rest.clone(), Value::Payload(rest)))
}

/// An entry of the outermost dictionary.
fn outer(entry: EntryView<'_>) -> Field {
    let text = |bytes: &[u8]| Some(Value::Text(String::from_utf8_lossy(bytes).into_owned()));
    let bytes = entry.value.bytes();
    match (entry.key, bytes) {
        (b"t", Some(bytes)) => entry.field("transaction_id", Some(Value::Bytes(bytes.to_vec()))),
        (b"v", Some(bytes)) => entry.field("version", Some(Value::Bytes(bytes.to_vec()))),
        (b"y", Some(b"q")) => framing(entry, "message_type", "query"),
        (b"y", Some(b"r")) => framing(entry, "message_type", "response"),
        (b"y", Some(b"e")) => framing(entry, "message_type", "error"),
        (b"q", Some(bytes)) => match Method::from_name(bytes) {
            Method::Other(_) => entry.field("method", text(bytes)),
            known => framing(entry, "method", known.name()),
        },
        (b"ip", Some(bytes)) => match (compact::endpoint(bytes), compact::address(bytes)) {
            (Some(endpoint), _) => entry.field("ip", Some(Value::Text(endpoint.to_string()))),
            (None, address) => entry.field("ip", address.map(Value::Address)),
        },
        (b"ro", _) => entry.field("read_only", None),
        _ => entry.field(entry.name(), None),
    }
}

/// What is known once the message is named.
fn framing(entry: EntryView<'_>, name: &'static str, says: &str) -> Field {
    Field::framing(name, entry.span(), Value::Text(says.to_owned()))
}

/// The entries of a dictionary within the message, one after the other.
fn unfold(entry: EntryView<'_>, fields: &mut Vec<Field>) {
    let name = if entry.key == b"a" { "arguments" } else { "return_values" };
    let inner = entry.value.span();
    fields.push(Field::framing(name, entry.span().start..inner.start + 1, Value::None));
    fields.extend(entry.value.entries().into_iter().flatten().map(argument));
    fields.push(Field::framing("close", inner.end - 1..inner.end, Value::None));
}

/// The list of an error: a number and a text (BEP 5, "errors").
fn error(entry: EntryView<'_>, fields: &mut Vec<Field>) {
    let list = entry.value.span();
    fields.push(Field::framing("error", entry.span().start..list.start + 1, Value::None));
    let names = ["code", "message"].into_iter().map(str::to_owned).chain((2..).map(|at: u32| at.to_string()));
    let items = entry.value.items().into_iter().flatten();
    fields.extend(items.zip(names).map(|(item, name)| item.field(name)));
    fields.push(Field::framing("close", list.end - 1..list.end, Value::None));
}

fn argument(entry: EntryView<'_>) -> Field {
    let bytes = entry.value.bytes();
    match (entry.key, bytes) {
        (
            b"id" | b"target" | b"info_hash" | b"token" | b"k" | b"salt" | b"sig" | b"BFsd" | b"BFpe",
            Some(bytes),
        ) => entry.field(entry.name(), Some(Value::Bytes(bytes.to_vec()))),
        (b"nodes", Some(bytes)) => listed(entry, bytes, node_stride(false), node_fields),
        (b"nodes6", Some(bytes)) => listed(entry, bytes, node_stride(true), node_fields),
        (b"samples", Some(bytes)) => listed(entry, bytes, 20, |hash, at| {
            Field::content("info_hash", at..at + 20, Value::Bytes(hash.to_vec()))
        }),
        (b"values", None) => entry.field("values", peers(entry.value).map(Value::Endpoints)).without_parts(),
        _ => entry.field(entry.name(), None),
    }
}

/// A string that is a list of things of one length; itself when it is no whole number of them.
fn listed(entry: EntryView<'_>, bytes: &[u8], stride: usize, thing: impl Fn(&[u8], usize) -> Field) -> Field {
    let Some(content) = entry.value.content_span().filter(|_| bytes.len().is_multiple_of(stride)) else {
        return entry.field(entry.name(), None);
    };
    let span = entry.span();
    let mut things = vec![Field::framing("length", span.start..content.start, Value::None)];
    let places = (content.start..).step_by(stride);
    things.extend(bytes.chunks_exact(stride).zip(places).map(|(one, at)| thing(one, at)));
    Field::content(entry.name(), span, Value::List).with_children(things)
}

fn node_fields(bytes: &[u8], at: usize) -> Field {
    let address = read_node(bytes).map_or_else(|| text_or_bytes(&bytes[20..]), |node| text(node.address));
    Field::content("node", at..at + bytes.len(), Value::Map).with_children(vec![
        Field::content("id", at..at + 20, Value::Bytes(bytes[..20].to_vec())),
        Field::content("address", at + 20..at + bytes.len(), address),
    ])
}

fn text(address: SocketAddr) -> Value {
    Value::Text(address.to_string())
}

/// The peers of a list, when all its items are peers.
fn peers(values: View<'_>) -> Option<Vec<SocketAddr>> {
    values.items()?.map(|peer| peer.bytes().and_then(compact::endpoint)).collect()
}

impl Field {
    /// A list of addresses says all that its items do.
    fn without_parts(mut self) -> Self {
        if matches!(self.value, Value::Endpoints(_)) {
            self.children.clear();
        }
        self
    }
}
