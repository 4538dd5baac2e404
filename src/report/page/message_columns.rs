//! The messages of a page as columns: a list for each thing that is said of a message, all of one length.

use std::sync::Arc;

use bittrace_protocol::{InfoHash, Timestamp};
use bittrace_trace::Severity;
use rustc_hash::FxHashMap;
use serde::ser::{Serialize, SerializeSeq, SerializeStruct, Serializer};

use super::left_out::Kinds;
use super::markup::short;
use super::message_choice::ChosenMessages;
use super::message_row::{MessageRow, RowField, RowNote};
use crate::course::Course;

/// The messages that a page shows in full.
#[derive(Debug, Clone, Copy)]
pub(super) struct MessageColumns<'a> {
    pub(super) messages: &'a ChosenMessages,
    pub(super) course: &'a Course,
    pub(super) words: &'a Words,
    /// When the first packet was captured.
    pub(super) start: Timestamp,
}

impl Serialize for MessageColumns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (course, words) = (self.course, self.words);
        let place = |place: Option<usize>| place.map_or(-1, |place| place as i64);
        let mut columns = serializer.serialize_struct("messages", 30)?;
        macro_rules! columns {
            ($($name:literal: $value:expr;)*) => {
                $(columns.serialize_field($name, &column(self.messages, $value))?;)*
            };
        }
        columns! {
            "n": |row, _| row.number;
            "t": |row, _| (row.at - self.start).as_micros() as u64;
            "lane": |row, _| place(course.lane_of(row.stream));
            "stream": |row, _| row.stream.0;
            "from": |row, _| place(course.host(row.hosts[0]));
            "to": |row, _| place(course.host(row.hosts[1]));
            "sport": |row, _| row.ports[0];
            "dport": |row, _| row.ports[1];
            "local": |row, _| u8::from(row.side.is_near());
            "transport": |row, _| TRANSPORTS.iter().position(|name| *name == row.transport.name());
            "protocol": |row, _| words.protocols.iter().position(|name| *name == row.protocol.name());
            "client": |row, _| place(words.client(row));
            "torrent": |row, _| place(words.torrent(row));
            "decrypted": |row, _| u8::from(row.is_decrypted);
            "id": |row, _| row.id.map_or(-1, i64::from);
            "name": |_, name| name;
            "summary": |row, _| row.summary.as_str();
            "answers": |row, _| row.answer.map_or(0, |answer| answer.number);
            "answered_by": |row, _| row.answered_by;
            "latency_us": |row, _| row.answer.map_or(-1, |answer| (answer.latency * 1e6).round() as i64);
            "severity": |row, _| severity_number(row.severity);
            "notes": |row, _| OrZero(&row.notes);
            "frames": |row, _| row.frames.as_slice();
            "ws_stream": |row, _| row.wireshark_stream.map_or(-1, i64::from);
            "offset": |row, _| row.offset;
            "length": |row, _| row.length;
            "bytes": |row, _| row.hex.as_str();
            "fields": |row, _| row.fields.as_slice();
            "values": |row, _| &row.values;
            "piece": |row, _| row.piece.map_or(-1, i64::from);
        }
        columns.end()
    }
}

/// The transports, by the places that a page gives them.
pub(super) const TRANSPORTS: [&str; 3] = ["tcp", "udp", "utp"];

/// What many messages name: each word once.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) protocols: Vec<&'static str>,
    pub(super) clients: Vec<String>,
    pub(super) torrents: Vec<String>,
    client_places: FxHashMap<Arc<str>, usize>,
    torrent_places: FxHashMap<InfoHash, usize>,
}

impl Words {
    /// The words of some messages, in the order in which they come.
    pub(super) fn of(messages: &ChosenMessages) -> Self {
        let mut words = Self::default();
        for (row, _) in messages.rows() {
            if !words.protocols.contains(&row.protocol.name()) {
                words.protocols.push(row.protocol.name());
            }
            if let Some(client) = &row.client
                && !words.client_places.contains_key(client)
            {
                words.client_places.insert(Arc::clone(client), words.clients.len());
                words.clients.push(short(client).into_owned());
            }
            if let Some(torrent) = row.torrent
                && !words.torrent_places.contains_key(&torrent)
            {
                words.torrent_places.insert(torrent, words.torrents.len());
                words.torrents.push(torrent.to_string());
            }
        }
        words
    }

    fn client(&self, row: &MessageRow) -> Option<usize> {
        self.client_places.get(row.client.as_ref()?).copied()
    }

    fn torrent(&self, row: &MessageRow) -> Option<usize> {
        self.torrent_places.get(&row.torrent?).copied()
    }
}

/// One thing of every message. The rows live as long as the column does.
struct Column<'a, F> {
    messages: &'a ChosenMessages,
    value: F,
}

fn column<'a, T, F: Fn(&'a MessageRow, u16) -> T>(messages: &'a ChosenMessages, value: F) -> Column<'a, F> {
    Column { messages, value }
}

impl<'a, T: Serialize, F: Fn(&'a MessageRow, u16) -> T> Serialize for Column<'a, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.messages.rows().map(|(row, name)| (self.value)(row, name)))
    }
}

/// A list, or 0 where it is empty, as mostly.
struct OrZero<'a, T>(&'a [T]);

impl<T: Serialize> Serialize for OrZero<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [] => serializer.serialize_u8(0),
            list => list.serialize(serializer),
        }
    }
}

impl Serialize for RowNote {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (severity_number(self.severity), self.rule, &self.text).serialize(serializer)
    }
}

impl Serialize for RowField {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.path, &self.value, self.first, self.end, &self.meaning).serialize(serializer)
    }
}

/// How grave a note is: 0 for what only tells how things stand, up to 3 for errors.
const fn severity_number(severity: Severity) -> u8 {
    match severity {
        Severity::Chat => 0,
        Severity::Note => 1,
        Severity::Warn => 2,
        Severity::Error => 3,
    }
}

/// What lies between the messages that a page shows in full.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holes<'a>(pub(super) &'a ChosenMessages);

/// One hole.
#[derive(serde::Serialize)]
struct Hole<'a> {
    after: i64,
    count: u64,
    from: u64,
    to: u64,
    filter: String,
    kinds: Kinds<'a>,
}

impl Serialize for Holes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for (after, left_out) in self.0.left_out() {
            list.serialize_element(&Hole {
                after: after.map_or(-1, |place| place as i64),
                count: left_out.count,
                from: left_out.first,
                to: left_out.last,
                filter: left_out.filter(),
                kinds: left_out.kinds(self.0.names()),
            })?;
        }
        list.end()
    }
}
