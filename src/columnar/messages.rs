//! The table of messages: from rows to batches, fast. Texts that many rows have are looked up by their stream.

use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_schema::ArrowError;
use bittrace_protocol::{InfoHash, Timestamp};
use bittrace_trace::record::Note;
use bittrace_trace::{CommunityId, Record};
use rustc_hash::FxHashMap;

use crate::names::{Key, NameColumn, WordColumn};
use crate::nested::{ListEnds, structs};
use crate::table::{UTC, fields};
use crate::tables::NOTE;

/// One message.
#[derive(Debug, Clone)]
pub struct MessageRow<'a> {
    /// The message.
    pub record: &'a Record,
    /// The capture's name.
    pub capture: &'a str,
    /// When the capture's first packet was captured.
    pub start: Timestamp,
    /// What the message says, on one line.
    pub summary: &'a str,
    /// What its own fields say, as far as they have columns.
    pub content: MessageContent<'a>,
}

/// What a message's own fields say, as far as they have columns.
#[derive(Debug, Clone, Default)]
pub struct MessageContent<'a> {
    /// The piece that a message between peers names, from 0.
    pub index: Option<i64>,
    /// Where in the piece its block begins, in bytes.
    pub begin: Option<i64>,
    /// How long its block is, in bytes.
    pub block_length: Option<i64>,
    /// The extension of an extended message.
    pub extension: Option<&'a str>,
    /// The event of an announce.
    pub event: Option<&'a str>,
    /// `left` of an announce, in bytes.
    pub left: Option<i64>,
    /// `uploaded` of an announce, in bytes.
    pub uploaded: Option<i64>,
    /// `downloaded` of an announce, in bytes.
    pub downloaded: Option<i64>,
    /// The seconds until the next announce, as the tracker wants them.
    pub interval: Option<i64>,
    /// How many peers have everything, as the tracker says.
    pub seeders: Option<i64>,
    /// How many peers do not.
    pub leechers: Option<i64>,
    /// The peers that a tracker, a peer or a DHT node names, as `address:port`.
    pub peers: Option<Vec<&'a str>>,
    /// All its fields as a JSON object, unless those above say everything.
    pub fields: Option<&'a str>,
}

/// Which of the columns that take much room there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageOptions {
    /// The column `summary`.
    pub summary: bool,
    /// The column `bytes`.
    pub bytes: bool,
}

impl MessageOptions {
    /// The names of the columns that there are not.
    pub fn left_out(self) -> Vec<&'static str> {
        let columns = [("summary", self.summary), ("bytes", self.bytes)];
        columns.into_iter().filter(|(_, wanted)| !wanted).map(|(name, _)| name).collect()
    }
}

/// The rows of a batch.
#[derive(Debug)]
pub(crate) struct MessageColumns {
    options: MessageOptions,
    rows: usize,
    /// Bytes of text, and of messages, in this batch.
    bytes: usize,
    streams: FxHashMap<(u32, usize), StreamKeys>,
    capture: NameColumn,
    n: Int64Builder,
    time: TimestampMicrosecondBuilder,
    time_ns: Int64Builder,
    elapsed_ns: Int64Builder,
    frame: Int64Builder,
    frames: (ListEnds, Int64Builder),
    stream: Int32Builder,
    ws_stream: Int32Builder,
    community_id: NameColumn,
    ips: [NameColumn; 2],
    ports: [Int32Builder; 2],
    speaker: WordColumn,
    transport: WordColumn,
    protocol: WordColumn,
    message: WordColumn,
    offset: Int64Builder,
    length: Int64Builder,
    summary: StringBuilder,
    /// index, begin, block_length.
    block: [Int64Builder; 3],
    extension: NameColumn,
    event: NameColumn,
    /// left, uploaded, downloaded, interval, seeders, leechers.
    tracker: [Int64Builder; 6],
    peers: (ListEnds, StringBuilder),
    fields: StringBuilder,
    client: NameColumn,
    torrent: NameColumn,
    decrypted: BooleanBuilder,
    answers: Int64Builder,
    latency_ns: Int64Builder,
    severity: WordColumn,
    notes: NotesColumn,
    raw: BinaryBuilder,
}

/// What messages of one direction of a stream have in common, as keys in the dictionaries of this batch.
#[derive(Debug)]
struct StreamKeys {
    ends: [(SocketAddr, Key); 2],
    community_id: Key,
    client: Option<(Arc<str>, Key)>,
    torrent: Option<(InfoHash, Key)>,
}

impl MessageColumns {
    pub(crate) fn new(options: MessageOptions) -> Self {
        Self {
            options,
            rows: 0,
            bytes: 0,
            streams: FxHashMap::default(),
            capture: NameColumn::default(),
            n: Int64Builder::new(),
            time: TimestampMicrosecondBuilder::new().with_timezone(UTC),
            time_ns: Int64Builder::new(),
            elapsed_ns: Int64Builder::new(),
            frame: Int64Builder::new(),
            frames: (ListEnds::new(), Int64Builder::new()),
            stream: Int32Builder::new(),
            ws_stream: Int32Builder::new(),
            community_id: NameColumn::default(),
            ips: Default::default(),
            ports: Default::default(),
            speaker: WordColumn::default(),
            transport: WordColumn::default(),
            protocol: WordColumn::default(),
            message: WordColumn::default(),
            offset: Int64Builder::new(),
            length: Int64Builder::new(),
            summary: StringBuilder::new(),
            block: Default::default(),
            extension: NameColumn::default(),
            event: NameColumn::default(),
            tracker: Default::default(),
            peers: (ListEnds::new(), StringBuilder::new()),
            fields: StringBuilder::new(),
            client: NameColumn::default(),
            torrent: NameColumn::default(),
            decrypted: BooleanBuilder::new(),
            answers: Int64Builder::new(),
            latency_ns: Int64Builder::new(),
            severity: WordColumn::default(),
            notes: NotesColumn::new(),
            raw: BinaryBuilder::new(),
        }
    }

    /// The rows so far.
    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// The bytes of their texts, and of their messages where these are wanted.
    pub(crate) fn bytes(&self) -> usize {
        let names = [
            &self.capture,
            &self.community_id,
            &self.ips[0],
            &self.ips[1],
            &self.extension,
            &self.event,
            &self.client,
            &self.torrent,
        ];
        self.bytes + names.into_iter().map(NameColumn::bytes).sum::<usize>()
    }

    pub(crate) fn push(&mut self, row: &MessageRow<'_>) {
        let MessageRow { record, capture, start, summary, content } = row;
        self.rows += 1;
        self.capture.push(Some(capture));
        self.n.append_value(signed(record.number));
        let nanos = record.at.as_nanos();
        self.time.append_value(nanos.div_euclid(1000));
        self.time_ns.append_value(nanos);
        self.elapsed_ns.append_value(nanos.saturating_sub(start.as_nanos()));
        self.frame.append_option(record.frames.last().map(|frame| signed(*frame)));
        record.frames.iter().for_each(|frame| self.frames.1.append_value(signed(*frame)));
        self.frames.0.push(Some(record.frames.len()));
        self.bytes += 8 * record.frames.len();
        self.stream.append_value(small(record.stream.0));
        self.ws_stream.append_option(record.wireshark_stream.map(small));
        self.push_of_stream(record);
        for (column, end) in self.ports.iter_mut().zip([record.source, record.destination]) {
            column.append_value(end.port().into());
        }
        self.speaker.push(Some(record.side.name()));
        self.transport.push(Some(record.transport.name()));
        self.protocol.push(Some(record.body.protocol().name()));
        self.message.push(Some(record.body.message()));
        self.offset.append_value(signed(record.offset));
        self.length.append_value(signed(record.length()));
        if self.options.summary {
            self.summary.append_value(summary);
            self.bytes += summary.len();
        }
        self.push_content(content);
        self.decrypted.append_value(record.decrypted);
        self.answers.append_option(record.answers.map(|answer| signed(answer.number)));
        self.latency_ns.append_option(record.answers.map(|answer| nanoseconds(answer.latency)));
        self.severity.push(record.severity().map(|severity| severity.name()));
        self.bytes += self.notes.push(&record.notes);
        if self.options.bytes {
            self.raw.append_value(&record.bytes);
            self.bytes += record.bytes.len();
        }
    }

    /// Addresses, Community ID, client and torrent: by the stream's keys, unless something has changed.
    fn push_of_stream(&mut self, record: &Record) {
        let ends = [record.source, record.destination];
        let Self { ips, community_id, client, torrent, streams, .. } = self;
        let keys = streams.entry((record.stream.0, record.direction as usize));
        let keys = match keys {
            Entry::Occupied(entry) if entry.get().ends.map(|(end, _)| end) == ends => entry.into_mut(),
            entry => {
                let id = CommunityId::of(record.source, record.destination, record.transport);
                entry
                    .insert_entry(StreamKeys {
                        ends: [0, 1]
                            .map(|place| (ends[place], ips[place].key(&ends[place].ip().to_string()))),
                        community_id: community_id.key(id.as_str()),
                        client: None,
                        torrent: None,
                    })
                    .into_mut()
            }
        };
        for (column, (_, key)) in ips.iter_mut().zip(keys.ends) {
            column.push_key(Some(key));
        }
        community_id.push_key(Some(keys.community_id));
        let key = record.client.as_ref().map(|name| match &keys.client {
            Some((known, key)) if Arc::ptr_eq(known, name) => *key,
            _ => keys.client.insert((Arc::clone(name), client.key(name))).1,
        });
        client.push_key(key);
        let key = record.torrent.map(|hash| match &keys.torrent {
            Some((known, key)) if *known == hash => *key,
            _ => keys.torrent.insert((hash, torrent.key(&hash.to_string()))).1,
        });
        torrent.push_key(key);
    }

    fn push_content(&mut self, content: &MessageContent<'_>) {
        for (column, value) in self.block.iter_mut().zip([content.index, content.begin, content.block_length])
        {
            column.append_option(value);
        }
        self.extension.push(content.extension);
        self.event.push(content.event);
        let MessageContent { left, uploaded, downloaded, interval, seeders, leechers, .. } = *content;
        for (column, value) in
            self.tracker.iter_mut().zip([left, uploaded, downloaded, interval, seeders, leechers])
        {
            column.append_option(value);
        }
        let peers = content.peers.as_deref();
        for peer in peers.unwrap_or_default() {
            self.peers.1.append_value(peer);
            self.bytes += peer.len();
        }
        self.peers.0.push(peers.map(<[_]>::len));
        self.fields.append_option(content.fields);
        self.bytes += content.fields.map_or(0, str::len);
    }

    /// The rows as arrays, in the order of the table; the next row begins another batch.
    pub(crate) fn finish(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.rows = 0;
        self.bytes = 0;
        self.streams.clear();
        let [src_ip, dst_ip] = &mut self.ips;
        let [src_port, dst_port] = &mut self.ports;
        let mut arrays: Vec<ArrayRef> = vec![
            self.capture.finish()?,
            Arc::new(self.n.finish()),
            Arc::new(self.time.finish()),
            Arc::new(self.time_ns.finish()),
            Arc::new(self.elapsed_ns.finish()),
            Arc::new(self.frame.finish()),
            self.frames.0.finish(Arc::new(self.frames.1.finish()))?,
            Arc::new(self.stream.finish()),
            Arc::new(self.ws_stream.finish()),
            self.community_id.finish()?,
            src_ip.finish()?,
            Arc::new(src_port.finish()),
            dst_ip.finish()?,
            Arc::new(dst_port.finish()),
            self.speaker.finish()?,
            self.transport.finish()?,
            self.protocol.finish()?,
            self.message.finish()?,
            Arc::new(self.offset.finish()),
            Arc::new(self.length.finish()),
        ];
        if self.options.summary {
            arrays.push(Arc::new(self.summary.finish()));
        }
        arrays.extend(self.block.iter_mut().map(|column| -> ArrayRef { Arc::new(column.finish()) }));
        arrays.extend([self.extension.finish()?, self.event.finish()?]);
        arrays.extend(self.tracker.iter_mut().map(|column| -> ArrayRef { Arc::new(column.finish()) }));
        arrays.extend([
            self.peers.0.finish(Arc::new(self.peers.1.finish()))?,
            Arc::new(self.fields.finish()),
            self.client.finish()?,
            self.torrent.finish()?,
            Arc::new(self.decrypted.finish()),
            Arc::new(self.answers.finish()),
            Arc::new(self.latency_ns.finish()),
            self.severity.finish()?,
            self.notes.finish()?,
        ]);
        if self.options.bytes {
            arrays.push(Arc::new(self.raw.finish()));
        }
        Ok(arrays)
    }
}

/// The notes of each row.
#[derive(Debug)]
struct NotesColumn {
    ends: ListEnds,
    severities: StringBuilder,
    rules: StringBuilder,
    texts: StringBuilder,
}

impl NotesColumn {
    fn new() -> Self {
        Self {
            ends: ListEnds::new(),
            severities: StringBuilder::new(),
            rules: StringBuilder::new(),
            texts: StringBuilder::new(),
        }
    }

    /// Appends the notes of a message; the bytes of their texts.
    fn push(&mut self, notes: &[Note]) -> usize {
        for note in notes {
            self.severities.append_value(note.rule.severity.name());
            self.rules.append_value(note.rule.id);
            self.texts.append_value(&note.text);
        }
        self.ends.push(Some(notes.len()));
        notes.iter().map(|note| note.rule.severity.name().len() + note.rule.id.len() + note.text.len()).sum()
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let parts: Vec<ArrayRef> = vec![
            Arc::new(self.severities.finish()),
            Arc::new(self.rules.finish()),
            Arc::new(self.texts.finish()),
        ];
        self.ends.finish(structs(fields(NOTE), parts)?)
    }
}

/// Numbers of packets, messages and bytes of a capture, which are far below 2⁶³.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Numbers of streams, of which a capture has fewer than 2³¹.
fn small(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Seconds as nanoseconds.
pub(crate) fn nanoseconds(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64
}
