//! A message as a page has it: made when its record passes, small whatever the message is.

use std::borrow::Cow;
use std::sync::Arc;

use bittrace_protocol::field::{Field, Role, Value as FieldValue};
use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::peer_id::client_name;
use bittrace_protocol::wire::Message;
use bittrace_protocol::{Hex, InfoHash, PeerId, Timestamp};
use bittrace_trace::record::{Frames, field_meaning, value_text};
use bittrace_trace::units::count;
use bittrace_trace::{Answer, Protocol, Record, Severity, Side, StreamId, Transport, describe_in};
use serde_json::{Map, Value};

use super::inert_json::{inert_json_length, inert_length};
use crate::course::HostKey;

/// A message that a page shows in full.
#[derive(Debug)]
pub(super) struct MessageRow {
    pub(super) number: u64,
    pub(super) at: Timestamp,
    pub(super) stream: StreamId,
    /// The sender and the receiver, as hosts of the course.
    pub(super) hosts: [HostKey; 2],
    /// Their ports.
    pub(super) ports: [u16; 2],
    pub(super) side: Side,
    pub(super) protocol: Protocol,
    pub(super) client: Option<Arc<str>>,
    pub(super) torrent: Option<InfoHash>,
    pub(super) is_decrypted: bool,
    /// The id of a message between peers.
    pub(super) id: Option<u8>,
    pub(super) summary: String,
    pub(super) answer: Option<Answer>,
    /// The number of the first message that answers it; 0 while there is none.
    pub(super) answered_by: u64,
    pub(super) severity: Severity,
    pub(super) notes: Vec<RowNote>,
    pub(super) frames: Frames,
    pub(super) wireshark_stream: Option<u32>,
    pub(super) transport: Transport,
    pub(super) offset: u64,
    pub(super) length: u64,
    /// The first bytes, in hex.
    pub(super) hex: String,
    pub(super) fields: Vec<RowField>,
    /// The fields as values of JSON, as filters see them; empty where they would take too much room.
    pub(super) values: Map<String, Value>,
    pub(super) piece: Option<u32>,
}

/// A note of a message.
#[derive(Debug)]
pub(super) struct RowNote {
    pub(super) severity: Severity,
    pub(super) rule: &'static str,
    pub(super) text: String,
}

/// A field of a message: its path, its value, the bytes it stands in, and what the value means beyond itself. A field
/// that no bytes of the message stand for has an empty range.
#[derive(Debug)]
pub(super) struct RowField {
    pub(super) path: String,
    pub(super) value: String,
    pub(super) first: usize,
    pub(super) end: usize,
    pub(super) meaning: Option<String>,
}

/// How many bytes of a message a page has; of a block, whose bytes say nothing, fewer.
pub const MESSAGE_BYTES: usize = 640;
/// See [`MESSAGE_BYTES`].
pub const BLOCK_BYTES: usize = 96;

/// Fields of a message that a page has: more than any message of a client, fewer than a hostile one can have (millions).
const FIELDS: usize = 96;

/// Characters of a text that a page has: a sentence, not a document.
const TEXT: usize = 400;

/// Notes of a message, and packets of it. A long message may have come in thousands of packets; the last one, which
/// Wireshark shows the message at, is always among them.
const NOTES: usize = 12;
const FRAMES: usize = 12;

/// How deep fields nest in a page.
const DEPTH: usize = 8;

impl MessageRow {
    /// The row of a record. `torrent` is what the record is about, where that was given; `values_of` gives the fields of a
    /// record as filters see them.
    pub(super) fn of(
        record: &Record,
        torrent: Option<&Metainfo>,
        values_of: fn(&Record) -> Map<String, Value>,
    ) -> Self {
        let pieces =
            torrent.and_then(Metainfo::placement).map(|placement| u64::from(placement.piece_count()));
        let is_block = matches!(record.peer_message(), Some(Message::Piece { .. }));
        let shown = record.bytes.len().min(if is_block { BLOCK_BYTES } else { MESSAGE_BYTES });
        let notes = record.notes.iter().take(NOTES).map(|note| RowNote {
            severity: note.rule.severity,
            rule: note.rule.id,
            text: short(&note.text).into_owned(),
        });
        Self {
            number: record.number,
            at: record.at,
            stream: record.stream,
            hosts: HostKey::ends(record),
            ports: [record.source.port(), record.destination.port()],
            side: record.side,
            protocol: record.body.protocol(),
            client: record.client.clone(),
            torrent: record.torrent,
            is_decrypted: record.decrypted,
            id: record.peer_message().and_then(Message::id).map(|id| id.0),
            summary: short(&describe_in(record, pieces)).into_owned(),
            answer: record.answers,
            answered_by: 0,
            severity: record.severity().unwrap_or(Severity::Chat),
            notes: notes.collect(),
            frames: first_and_last(&record.frames),
            wireshark_stream: record.wireshark_stream,
            transport: record.transport,
            offset: record.offset,
            length: record.length(),
            hex: Hex(&record.bytes[..shown]).to_string(),
            fields: fields(record, torrent),
            values: Some(values_of(record))
                .filter(|values| inert_json_length(values) <= VALUES)
                .unwrap_or_default(),
            piece: piece(record),
        }
    }

    /// About how many bytes the row takes in the page.
    pub(super) fn cost(&self) -> u64 {
        let notes = self.notes.iter().map(|note| note.rule.len() + inert_length(&note.text) + 8);
        let fields = self.fields.iter().map(|field| {
            let meaning = field.meaning.as_deref().map_or(4, |meaning| inert_length(meaning) + 2);
            inert_length(&field.path) + inert_length(&field.value) + meaning + 16
        });
        let texts = inert_length(&self.summary) + self.hex.len() + 7 * self.frames.len();
        (NUMBERS + inert_json_length(&self.values) + texts + notes.sum::<usize>() + fields.sum::<usize>())
            as u64
    }
}

/// About how many bytes the numbers of a row take.
const NUMBERS: usize = 120;

/// Bytes of the values of a message.
const VALUES: usize = 2000;

/// The beginning of a text, with how much is left out.
fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(TEXT) {
        None => Cow::Borrowed(text),
        Some((at, _)) => {
            let left = text[at..].chars().count() as u64;
            Cow::Owned(format!("{}… ({} more characters)", &text[..at], count(left)))
        }
    }
}

fn first_and_last(frames: &Frames) -> Frames {
    match frames.len() {
        0..=FRAMES => frames.clone(),
        _ => frames.iter().take(FRAMES - 1).chain(frames.last()).copied().collect(),
    }
}

/// The piece of its torrent that a message between peers names.
fn piece(record: &Record) -> Option<u32> {
    Some(match record.peer_message()? {
        Message::Have(piece) | Message::SuggestPiece(piece) | Message::AllowedFast(piece) => piece.0,
        Message::Request(block) | Message::Cancel(block) | Message::RejectRequest(block) => block.index.0,
        Message::Piece { index, .. } => index.0,
        _ => return None,
    })
}

/// The fields of a record: those that its bytes hold, then those that follow from them.
fn fields(record: &Record, torrent: Option<&Metainfo>) -> Vec<RowField> {
    let mut list = FieldList { rows: Vec::new(), left: 0, is_derived: false };
    for field in &record.fields() {
        list.add(field, "", 0);
    }
    for row in &mut list.rows {
        if let Some(meaning) = field_meaning(record, torrent, &row.path) {
            row.meaning = Some(short(&meaning).into_owned());
        }
    }
    let of_bytes = list.rows.len();
    list.is_derived = true;
    for field in record.content().iter().filter(|field| field.role == Role::Content) {
        if !list.rows[..of_bytes].iter().any(|row| row.path.split('.').next() == Some(&field.name)) {
            list.add(field, "", 0);
        }
    }
    if list.left > 0 {
        let value = format!("{} more fields are in the capture, not in this file", count(list.left));
        list.rows.push(RowField { path: "…".to_owned(), value, first: 0, end: 0, meaning: None });
    }
    list.rows
}

struct FieldList {
    rows: Vec<RowField>,
    /// How many fields more there are than a page has.
    left: u64,
    /// Whether the fields stand in other bytes than those of the message.
    is_derived: bool,
}

impl FieldList {
    /// Adds a field that has a value, and the parts of one that has none. Parts of a list go by the name of the list.
    fn add(&mut self, field: &Field, parent: &str, depth: usize) {
        let is_list = matches!(field.value, FieldValue::List);
        let has_parts = is_list || matches!(field.value, FieldValue::Map);
        if field.role == Role::Framing && matches!(field.value, FieldValue::None) && field.children.is_empty()
        {
            return;
        }
        if self.rows.len() >= FIELDS || depth > DEPTH {
            self.left += 1;
            return;
        }
        let path = match (parent, &*field.name) {
            ("", name) => short(name).into_owned(),
            (parent, "item") => parent.to_owned(),
            (parent, name) => format!("{parent}.{}", short(name)),
        };
        if !has_parts {
            let span = if self.is_derived { 0..0 } else { field.span.clone() };
            let value = short(&value_text(field)).into_owned();
            let (first, end) = (span.start, span.end);
            self.rows.push(RowField { path: path.clone(), value, first, end, meaning: client_of(field) });
        }
        for part in &field.children {
            self.add(part, &path, depth + 1);
        }
    }
}

/// The client that a peer id names.
fn client_of(field: &Field) -> Option<String> {
    let FieldValue::Bytes(bytes) = &field.value else { return None };
    let id = <[u8; 20]>::try_from(bytes.as_slice()).ok().filter(|_| field.name == "peer_id")?;
    client_name(&PeerId(id)).map(|client| client.to_string())
}
