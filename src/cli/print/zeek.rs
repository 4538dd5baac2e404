//! Messages, connections and findings as logs of Zeek: `bittorrent.log`, `bt_conn.log` and `notice.log`, which join with the
//! logs of Zeek itself, and of Suricata, by `community_id`.

mod log;
mod uid;

use std::io::{self, Write};

use bittrace_trace::record::{Severity, Transport};
use bittrace_trace::statistics::Connection;
use bittrace_trace::{CommunityId, Direction, Flow, Summary};
use serde_json::Value;

use crate::print::overview::outcome;
use crate::query::row::{CaptureContext, Row};
use log::{LogField, ZeekLog};
use uid::{connection_uid, stream_uid};

/// The names of the logs, in the order in which [`ZeekLogs::new`] takes their places.
pub(crate) const LOGS: [&str; 3] = ["bittorrent", "bt_conn", "notice"];

/// Writes the logs of captures.
#[derive(Debug)]
pub(crate) struct ZeekLogs<W: Write> {
    messages: ZeekLog<W>,
    connections: ZeekLog<W>,
    notices: ZeekLog<W>,
}

/// What each row begins with: when, and in which conversation.
const CONVERSATION: &[LogField] = &[
    ("ts", "time"),
    ("uid", "string"),
    ("id.orig_h", "addr"),
    ("id.orig_p", "port"),
    ("id.resp_h", "addr"),
    ("id.resp_p", "port"),
    ("proto", "enum"),
    ("community_id", "string"),
    ("capture", "string"),
];

/// The rest of a message, under the names of JSON.
const MESSAGE: &[LogField] = &[
    ("n", "count"),
    ("frame", "count"),
    ("stream", "count"),
    ("is_orig", "bool"),
    ("speaker", "string"),
    ("transport", "string"),
    ("protocol", "string"),
    ("message", "string"),
    ("summary", "string"),
    ("index", "count"),
    ("begin", "count"),
    ("block_length", "count"),
    ("torrent", "string"),
    ("client", "string"),
    ("decrypted", "bool"),
    ("answers", "count"),
    ("latency", "interval"),
    ("severity", "string"),
    ("rules", "set[string]"),
    ("offset", "count"),
    ("length", "count"),
];

/// The rest of a connection.
const CONNECTION: &[LogField] = &[
    ("stream", "count"),
    ("ws_stream", "count"),
    ("transport", "string"),
    ("protocol", "string"),
    ("torrent", "string"),
    ("local_orig", "bool"),
    ("outcome", "string"),
    ("encrypted", "bool"),
    ("decrypted", "bool"),
    ("behind_proxy", "string"),
    ("orig_client", "string"),
    ("resp_client", "string"),
    ("duration", "interval"),
    ("orig_bytes", "count"),
    ("resp_bytes", "count"),
    ("orig_payload", "count"),
    ("resp_payload", "count"),
    ("orig_blocks", "count"),
    ("resp_blocks", "count"),
];

/// The rest of a finding, under the names of Zeek's own `notice.log` where it has them.
const NOTICE: &[LogField] = &[
    ("note", "enum"),
    ("msg", "string"),
    ("sub", "string"),
    ("src", "addr"),
    ("dst", "addr"),
    ("p", "port"),
    ("severity", "string"),
    ("rule", "string"),
    ("frame", "count"),
    ("n", "count"),
];

impl<W: Write> ZeekLogs<W> {
    /// Writes the headers of the logs that [`LOGS`] names.
    pub(crate) fn new([messages, connections, notices]: [W; 3]) -> io::Result<Self> {
        let [message, connection, notice] = LOGS;
        Ok(Self {
            messages: ZeekLog::new(message, &[CONVERSATION, MESSAGE], messages)?,
            connections: ZeekLog::new(connection, &[CONVERSATION, CONNECTION], connections)?,
            notices: ZeekLog::new(notice, &[CONVERSATION, NOTICE], notices)?,
        })
    }

    /// Writes one message, and its findings that are worth a notice.
    pub(crate) fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        self.message(row)?;
        let record = row.record;
        for note in record.notes.iter().filter(|note| note.rule.severity >= Severity::Note) {
            let log = &mut self.notices;
            write_conversation(log, row);
            // Names of notices are words.
            let name = note.rule.id.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            log.cell(Some(format_args!("BitTorrent::{name}")));
            log.text(Some(&note.text));
            log.text(Some(row.summary()));
            log.cell(Some(record.source.ip()));
            log.cell(Some(record.destination.ip()));
            log.cell(Some(record.destination.port()));
            log.text(Some(note.rule.severity.name()));
            log.text(Some(note.rule.id));
            log.cell(row.frame());
            log.cell(Some(row.number()));
            log.end_row()?;
        }
        Ok(())
    }

    fn message(&mut self, row: &Row<'_>) -> io::Result<()> {
        let record = row.record;
        let log = &mut self.messages;
        write_conversation(log, row);
        log.cell(Some(row.number()));
        log.cell(row.frame());
        log.cell(Some(record.stream.0));
        log.flag(record.direction == Direction::FromInitiator);
        log.text(Some(record.side.name()));
        log.text(Some(record.transport.name()));
        log.text(Some(record.body.protocol().name()));
        log.text(Some(record.body.message()));
        log.text(Some(row.summary()));
        let number = |name| row.field(name).and_then(Value::as_u64);
        let begin = number("begin");
        log.cell(number("index"));
        log.cell(begin);
        log.cell(begin.and_then(|_| number("length")));
        log.cell(record.torrent);
        log.text(record.client.as_deref());
        log.flag(record.decrypted);
        log.cell(row.answers());
        log.interval(record.answers.map(|answer| answer.latency));
        log.text(record.severity().map(Severity::name));
        let mut rules: Vec<&str> = record.notes.iter().map(|note| note.rule.id).collect();
        rules.sort_unstable();
        rules.dedup();
        log.set(rules.into_iter());
        log.cell(Some(record.offset));
        log.cell(Some(record.length()));
        log.end_row()
    }

    /// Writes the connections of a capture that was read to its end.
    pub(crate) fn connections(&mut self, summary: &Summary, place: &CaptureContext) -> io::Result<()> {
        for connection in summary.connections.rows() {
            self.connection(connection, place)?;
        }
        Ok(())
    }

    fn connection(&mut self, connection: &Connection, place: &CaptureContext) -> io::Result<()> {
        let log = &mut self.connections;
        let Connection { initiator, responder, transport, .. } = *connection;
        let totals = [Direction::FromInitiator, Direction::FromResponder].map(|way| connection.totals(way));
        log.time(connection.opened);
        log.cell(Some(connection_uid(&place.capture, connection)));
        write_ends(log, Flow { initiator, responder }, transport);
        log.cell(Some(CommunityId::of(initiator, responder, transport)));
        log.text(Some(&place.capture));
        log.cell(connection.stream.map(|stream| stream.0));
        log.cell(connection.wireshark_stream);
        log.text(Some(transport.name()));
        log.text(connection.protocol.map(|protocol| protocol.name()));
        log.cell(connection.torrent);
        log.cell(connection.local.map(|local| if local == Direction::FromInitiator { 'T' } else { 'F' }));
        log.text(Some(outcome(connection)));
        log.flag(connection.encrypted);
        log.flag(connection.decrypted);
        log.text(connection.behind_proxy.as_deref());
        totals.iter().for_each(|end| log.text(end.client.as_deref()));
        log.interval(Some(connection.duration()));
        totals.iter().for_each(|end| log.cell(Some(end.bytes)));
        totals.iter().for_each(|end| log.cell(Some(end.payload)));
        totals.iter().for_each(|end| log.cell(Some(end.blocks)));
        log.end_row()
    }

    /// The places of the logs, and how many rows each has, in the order of [`LOGS`].
    pub(crate) fn finish(self) -> [(W, u64); 3] {
        [self.messages.finish(), self.connections.finish(), self.notices.finish()]
    }
}

/// Writes [`CONVERSATION`] of a message.
fn write_conversation(log: &mut ZeekLog<impl Write>, row: &Row<'_>) {
    let record = row.record;
    log.time(record.at);
    log.cell(Some(stream_uid(&row.place.capture, record.stream)));
    write_ends(log, record.flow(), record.transport);
    log.cell(Some(row.community_id()));
    log.text(Some(&row.place.capture));
}

/// Writes the ends of a conversation, and what IP carries it in.
fn write_ends(log: &mut ZeekLog<impl Write>, flow: Flow, transport: Transport) {
    for end in [flow.initiator, flow.responder] {
        log.cell(Some(end.ip()));
        log.cell(Some(end.port()));
    }
    log.cell(Some(match transport {
        Transport::Tcp => "tcp",
        Transport::Udp | Transport::Utp => "udp",
    }));
}
