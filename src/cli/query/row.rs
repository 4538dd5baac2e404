//! A record as the outside knows it: under the names of the interface, numbered over all captures of one run.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::sync::Arc;

use bittrace_protocol::Timestamp;
use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::wire::Message;
use bittrace_trace::record::Record;
use bittrace_trace::{Body, CommunityId, CommunityIds, PeerWireBody, brief, describe_in, describe_into};
use serde_json::{Map, Value};

use crate::print::run_numbers::RunNumbers;
use crate::query::catalog::is_same_name;
use crate::query::cell_value::CellValue;
use crate::query::fields::{fields_of, spans_of};
use crate::query::names::{FieldName, RowKey};

/// What the records of one capture have in common.
#[derive(Debug, Clone)]
pub(crate) struct CaptureContext {
    /// The capture's name.
    pub(crate) capture: String,
    /// When its first packet was captured.
    pub(crate) start: Timestamp,
    /// How many messages earlier captures had.
    pub(crate) before: u64,
    /// Whether that is known.
    pub(crate) numbers: RunNumbers,
    /// The torrents that were given.
    pub(crate) torrents: Vec<Arc<Metainfo>>,
    /// What rows were asked for so far.
    community_ids: RefCell<CommunityIds>,
}

impl CaptureContext {
    /// Of a capture by its name, after so many messages of earlier captures. Its start is not known yet.
    pub(crate) fn new(capture: String, before: u64, torrents: Vec<Arc<Metainfo>>) -> Self {
        Self {
            capture,
            start: Timestamp::EPOCH,
            before,
            numbers: RunNumbers::Known,
            torrents,
            community_ids: RefCell::default(),
        }
    }
}

/// One record under the names of the interface. Its fields are computed once, when something asks for them.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) record: &'a Record,
    pub(crate) place: &'a CaptureContext,
    fields: OnceCell<Map<String, Value>>,
}

impl<'a> Row<'a> {
    pub(crate) const fn new(record: &'a Record, place: &'a CaptureContext) -> Self {
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

    /// The number of a message as a value.
    const fn numbered(&self, number: u64) -> CellValue<'_> {
        match self.place.numbers {
            RunNumbers::Known => CellValue::Number(number),
            RunNumbers::Marked => CellValue::MarkedNumber(number),
        }
    }

    /// What it says, on one line.
    pub(crate) fn summary(&self) -> String {
        describe_in(self.record, self.pieces())
    }

    /// Adds the same to a text.
    pub(crate) fn summary_into(&self, text: &mut String) {
        describe_into(self.record, self.pieces(), text);
    }

    /// The same in a few words, the name of the message first. `names_client` says whether a handshake names its client.
    pub(crate) fn brief(&self, names_client: bool) -> String {
        brief(self.record, self.pieces(), names_client)
    }

    /// The message's torrent, if it is among those that were given.
    pub(crate) fn torrent(&self) -> Option<&'a Metainfo> {
        let hash = self.record.torrent?;
        self.place.torrents.iter().find(|torrent| torrent.goes_by(hash)).map(|torrent| &**torrent)
    }

    /// How many pieces the message's torrent has, where that is known.
    fn pieces(&self) -> Option<u64> {
        let geometry = self.torrent()?.placement()?;
        Some(u64::from(geometry.piece_count()))
    }

    /// What the message itself says.
    pub(crate) fn fields(&self) -> &Map<String, Value> {
        self.fields.get_or_init(|| fields_of(self.record))
    }

    /// Calls `number` with each of the message's fields where all of them are numbers, as those of nearly all messages
    /// between peers are; whether they are. These are the [`fields`](Self::fields), and cost less.
    #[inline]
    pub(crate) fn each_number(&self, mut number: impl FnMut(&'static str, u64)) -> bool {
        let Body::PeerWire(PeerWireBody::Message(message)) = &self.record.body else { return false };
        let numbers_alone = message.each_number(|name, value| number(name, value.into()));
        if let Message::Piece { block, .. } = message {
            number("length", block.len() as u64);
        }
        numbers_alone
    }

    /// What the message has under `path` in its fields. A blank in a name may be written as `_`.
    pub(crate) fn field(&self, path: &str) -> Option<&Value> {
        find(self.fields(), path)
    }

    /// What stands under `name`; `None` when the message has nothing there.
    pub(crate) fn said(&self, name: &FieldName) -> Option<CellValue<'_>> {
        match name {
            FieldName::Key(key) => self.key(*key),
            FieldName::Field(path) => match self.number_under(path) {
                Some(number) => number.map(CellValue::Number),
                None => self.field(path).map(CellValue::Field),
            },
            FieldName::Scoped(scope, name) => {
                if !scope.contains(self.record) {
                    return None;
                }
                self.said(name)
            }
        }
    }

    /// The number that stands under `path` where the message's fields are numbers alone. `None` where they are not.
    fn number_under(&self, path: &str) -> Option<Option<u64>> {
        let (mut exact, mut alike) = (None, None);
        let numbers_alone = self.each_number(|name, number| {
            if name == path {
                exact = Some(number);
            } else if alike.is_none() && is_same_name(name, path) {
                alike = Some(number);
            }
        });
        numbers_alone.then_some(exact.or(alike))
    }

    /// The last packet of the message, where Wireshark shows the whole message.
    pub(crate) fn frame(&self) -> Option<u64> {
        self.record.frames.last().copied()
    }

    /// The Community ID of the conversation.
    pub(crate) fn community_id(&self) -> CommunityId {
        self.place.community_ids.borrow_mut().of(self.record)
    }

    /// The id of a message between peers that has one.
    pub(crate) fn message_id(&self) -> Option<u8> {
        Some(self.record.peer_message()?.id()?.0)
    }

    /// The same as a value of its own.
    pub(crate) fn value(&self, name: &FieldName) -> Option<Value> {
        self.said(name).map(|said| said.to_value())
    }

    /// What stands under `key`; `None` when the message has nothing there.
    pub(crate) fn key(&self, key: RowKey) -> Option<CellValue<'_>> {
        let record = self.record;
        let text = |text: &'a str| CellValue::Text(Cow::Borrowed(text));
        Some(match key {
            RowKey::N => self.numbered(self.number()),
            RowKey::NumberInCapture => CellValue::Number(self.record.number),
            RowKey::Time => CellValue::Time(record.at),
            RowKey::Elapsed => CellValue::Seconds(self.elapsed()),
            RowKey::Capture => text(&self.place.capture),
            RowKey::Frames => CellValue::Frames(&record.frames),
            RowKey::Frame => CellValue::Number(self.frame()?),
            RowKey::Wireshark => {
                CellValue::Wireshark { stream: record.wireshark_stream, frame: self.frame() }
            }
            RowKey::WiresharkStream => CellValue::Number(record.wireshark_stream?.into()),
            RowKey::CommunityId => CellValue::CommunityId(self.community_id()),
            RowKey::Stream => CellValue::Number(record.stream.0.into()),
            RowKey::Src => CellValue::End(record.source),
            RowKey::SrcAddr => CellValue::Address(record.source.ip()),
            RowKey::SrcPort => CellValue::Number(record.source.port().into()),
            RowKey::Dst => CellValue::End(record.destination),
            RowKey::DstAddr => CellValue::Address(record.destination.ip()),
            RowKey::DstPort => CellValue::Number(record.destination.port().into()),
            RowKey::Addr => CellValue::Addresses([record.source.ip(), record.destination.ip()]),
            RowKey::Port => CellValue::Ports([record.source.port(), record.destination.port()]),
            RowKey::Side => CellValue::Word(record.side.name()),
            RowKey::Transport => CellValue::Word(record.transport.name()),
            RowKey::Protocol => CellValue::Word(record.body.protocol().name()),
            RowKey::Message => CellValue::Word(record.body.message()),
            RowKey::MessageId => CellValue::Number(self.message_id()?.into()),
            RowKey::Offset => CellValue::Number(record.offset),
            RowKey::Length => CellValue::Number(record.length()),
            RowKey::Summary => CellValue::Text(Cow::Owned(self.summary())),
            RowKey::Fields => CellValue::Fields(self.fields()),
            RowKey::Client => text(record.client.as_deref()?),
            RowKey::Torrent => CellValue::Hash(record.torrent?),
            RowKey::Decrypted if !record.decrypted => return None,
            RowKey::Decrypted => CellValue::True,
            RowKey::Answers => self.numbered(self.answers()?),
            RowKey::Latency => CellValue::Seconds(record.answers?.latency),
            RowKey::Notes => CellValue::Notes(&record.notes),
            RowKey::Severity => CellValue::Word(record.severity()?.name()),
            RowKey::Rule if record.notes.is_empty() => return None,
            RowKey::Rule => CellValue::Rules(&record.notes),
            RowKey::Bytes => CellValue::Bytes(&record.bytes),
            RowKey::Spans => CellValue::Spans(spans_of(record, self.fields())),
        })
    }
}

fn find<'v>(map: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    if let Some(value) = map.get(path) {
        return Some(value);
    }
    if let Some((_, value)) = map.iter().find(|(name, _)| is_same_name(name, path)) {
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
