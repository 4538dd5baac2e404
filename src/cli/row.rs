//! A record as the outside knows it: under the names of the interface, numbered over all captures of one run.

use std::cell::OnceCell;
use std::sync::Arc;

use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::{Hex, Timestamp};
use bittrace_trace::describe_in;
use bittrace_trace::record::{Note, Record};
use serde_json::{Map, Value, json};

use crate::fields::fields_of;
use crate::names::{KEYS, Key, Name};
use crate::time::rfc3339;

/// What the records of one capture have in common.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The capture's name.
    pub(crate) capture: String,
    /// When its first packet was captured.
    pub(crate) start: Timestamp,
    /// How many messages earlier captures had.
    pub(crate) before: u64,
    /// The torrents that were given.
    pub(crate) torrents: Vec<Arc<Metainfo>>,
}

/// One record under the names of the interface. Its fields are computed once, when something asks for them.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) record: &'a Record,
    pub(crate) place: &'a Place,
    fields: OnceCell<Map<String, Value>>,
}

impl<'a> Row<'a> {
    pub(crate) const fn new(record: &'a Record, place: &'a Place) -> Self {
        Self { record, place, fields: OnceCell::new() }
    }

    /// The message's number over all captures.
    pub(crate) const fn number(&self) -> u64 {
        self.place.before + self.record.number
    }

    /// Seconds since the capture's first packet.
    pub(crate) fn elapsed(&self) -> f64 {
        self.record.at.seconds_since(self.place.start)
    }

    /// The number of the message this one answers.
    pub(crate) fn answers(&self) -> Option<u64> {
        Some(self.place.before + self.record.answers?.number)
    }

    /// What it says, on one line.
    pub(crate) fn summary(&self) -> String {
        let torrent = self
            .record
            .torrent
            .and_then(|hash| self.place.torrents.iter().find(|torrent| torrent.info_hash == hash));
        let pieces = torrent.and_then(|torrent| torrent.geometry.as_ref());
        describe_in(self.record, pieces.map(|geometry| u64::from(geometry.piece_count())))
    }

    /// What the message itself says.
    pub(crate) fn fields(&self) -> &Map<String, Value> {
        self.fields.get_or_init(|| fields_of(self.record))
    }

    /// What the message has under `path` in its fields. A blank in a name may be written as `_`.
    pub(crate) fn field(&self, path: &str) -> Option<&Value> {
        find(self.fields(), path)
    }

    /// What stands under `name`; `None` when the message has nothing there.
    pub(crate) fn value(&self, name: &Name) -> Option<Value> {
        match name {
            Name::Key(key) => self.key(*key),
            Name::Field(path) => self.field(path).cloned(),
        }
    }

    /// The whole message as an object.
    pub(crate) fn object(&self, with_bytes: bool) -> Map<String, Value> {
        let mut object = Map::new();
        for (name, key) in KEYS {
            match key {
                Key::Severity | Key::Rule => continue,
                Key::Bytes if !with_bytes => continue,
                _ => {}
            }
            if let Some(value) = self.key(*key) {
                object.insert((*name).to_owned(), value);
            }
        }
        object
    }

    fn key(&self, key: Key) -> Option<Value> {
        let record = self.record;
        Some(match key {
            Key::N => json!(self.number()),
            Key::Time => json!(rfc3339(record.at)),
            Key::Elapsed => json!(self.elapsed()),
            Key::Capture => json!(self.place.capture),
            Key::Frames => json!(record.frames.as_slice()),
            Key::Stream => json!(record.stream.0),
            Key::Src => json!(record.source.to_string()),
            Key::Dst => json!(record.destination.to_string()),
            Key::Speaker => json!(record.speaker.name()),
            Key::Transport => json!(record.transport.name()),
            Key::Protocol => json!(record.body.protocol().name()),
            Key::Message => json!(record.body.message()),
            Key::Offset => json!(record.offset),
            Key::Length => json!(record.length()),
            Key::Summary => json!(self.summary()),
            Key::Fields => Value::Object(self.fields().clone()),
            Key::Client => json!(record.client.as_deref()?),
            Key::Torrent => json!(record.torrent?.to_string()),
            Key::Answers => json!(self.answers()?),
            Key::Latency => json!(record.answers?.latency),
            Key::Notes => record.notes.iter().map(note).collect(),
            Key::Severity => json!(record.severity()?.name()),
            Key::Rule => {
                if record.notes.is_empty() {
                    return None;
                }
                record.notes.iter().map(|note| json!(note.rule)).collect()
            }
            Key::Bytes => json!(Hex(&record.bytes).to_string()),
        })
    }
}

fn note(note: &Note) -> Value {
    json!({ "severity": note.severity.name(), "rule": note.rule, "text": note.text })
}

fn find<'v>(map: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    let same = |name: &str, wanted: &str| {
        name.len() == wanted.len()
            && name
                .bytes()
                .zip(wanted.bytes())
                .all(|(a, b)| a.eq_ignore_ascii_case(&b) || a == b' ' && b == b'_')
    };
    if let Some(value) = map.get(path) {
        return Some(value);
    }
    if let Some((_, value)) = map.iter().find(|(name, _)| same(name, path)) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    find(map.get(first)?.as_object()?, rest)
}

/// A value as one cell of a table.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(item).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

fn item(value: &Value) -> String {
    match value.as_object() {
        // A note among notes.
        Some(note) if note.contains_key("rule") => {
            let part = |name| note.get(name).and_then(Value::as_str).unwrap_or_default();
            format!("{} {}: {}.", part("severity"), part("rule"), part("text"))
        }
        _ => cell(value),
    }
}
