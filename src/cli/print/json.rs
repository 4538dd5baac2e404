//! Results as NDJSON: objects on lines of their own, and the one at the end that sums up all captures of the run.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use bittrace_protocol::Hex;
use bittrace_trace::statistics::{Client, Connection, DirectionTotals, TorrentSeen, TorrentSought, Tracker};
use bittrace_trace::{Direction, Summary, Trace};
use serde::ser::Serialize;
use serde_json::ser::Formatter;
use serde_json::{Map, Value, json};

use crate::print::overview::outcome;
use crate::print::printable::escaped;
use crate::print::units::rfc3339;

/// Writes one object on a line.
pub(crate) fn write_line(object: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let mut line = escaped(serde_json::to_string(object)?.into()).into_owned();
    line.push('\n');
    out.write_all(line.as_bytes())
}

/// The same for an object that may be long: its text is never in memory as a whole.
pub(crate) fn write_long_line(object: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 * 1024, out);
    object.serialize(&mut serde_json::Serializer::with_formatter(&mut out, EscapingFormatter))?;
    out.write_all(b"\n")?;
    out.flush()
}

/// JSON on one line, with the escapes of [`escaped`].
struct EscapingFormatter;

impl Formatter for EscapingFormatter {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        writer.write_all(escaped(fragment.into()).as_bytes())
    }
}

/// The closing object, gathered over the captures of a run.
#[derive(Debug, Default)]
pub(crate) struct JsonSummary {
    packets: u64,
    bytes: u64,
    streams: u64,
    messages: BTreeMap<String, u64>,
    findings: BTreeMap<&'static str, u64>,
    unread: [u64; 6],
    truncated: bool,
    captures: Vec<Value>,
    clients: Vec<Value>,
    torrents: Vec<Value>,
    torrents_sought: Vec<Value>,
    trackers: Vec<Value>,
    connections: Vec<Value>,
}

impl JsonSummary {
    /// Takes in a capture that was read. `whole` says that its end was reached.
    pub(crate) fn add(&mut self, name: &str, trace: &Trace, summary: &Summary, whole: bool) {
        let capture = trace.capture();
        let truncated = !whole || trace.cut().is_some();
        self.packets += capture.packets();
        self.bytes += capture.bytes();
        self.streams += summary.streams;
        self.truncated |= truncated;
        for ((protocol, message), number) in summary.messages.by_name() {
            *self.messages.entry(format!("{protocol}.{message}")).or_default() += number;
        }
        for (severity, number) in summary.severities() {
            *self.findings.entry(severity.name()).or_default() += number;
        }
        let unread = summary.unread;
        let unread = [
            unread.encrypted,
            unread.utp_datagrams,
            unread.utp,
            unread.opaque,
            unread.lost,
            unread.lost_packets,
        ];
        for (sum, number) in self.unread.iter_mut().zip(unread) {
            *sum += number;
        }
        let span = trace.span();
        self.captures.push(json!({
            "capture": name,
            "format": capture.format(),
            "packets": capture.packets(),
            "bytes": capture.bytes(),
            "copies": trace.counts().copies,
            "from": span.map(|(first, _)| rfc3339(first)),
            "to": span.map(|(_, last)| rfc3339(last)),
            "local": trace.local().map(|local| local.to_string()),
            "truncated": truncated,
        }));
        self.clients.extend(summary.clients.rows().iter().map(client));
        self.torrents.extend(summary.torrents.rows().iter().filter_map(torrent));
        self.torrents_sought.extend(summary.torrents.sought().map(torrent_sought));
        self.trackers.extend(summary.trackers.rows().iter().map(tracker));
        self.connections.extend(summary.connections.rows().iter().map(connection));
    }

    /// The object that closes the stream.
    pub(crate) fn object(self) -> Map<String, Value> {
        let [encrypted, utp_datagrams, utp, opaque, lost, lost_packets] = self.unread;
        let summary = json!({
            "packets": self.packets,
            "bytes": self.bytes,
            "streams": self.streams,
            "messages": self.messages,
            "torrents": self.torrents,
            "torrents_sought": self.torrents_sought,
            "truncated": self.truncated,
            "findings": self.findings,
            "unread": {
                "encrypted": encrypted, "utp_datagrams": utp_datagrams, "utp": utp, "opaque": opaque, "lost": lost,
                "lost_packets": lost_packets,
            },
            "captures": self.captures,
            "clients": self.clients,
            "trackers": self.trackers,
            "connections": self.connections,
        });
        Map::from_iter([("summary".to_owned(), summary)])
    }
}

fn client(client: &Client) -> Value {
    json!({
        "address": client.address.to_string(),
        "local": client.local,
        "client": client.name.as_deref(),
        "peer_id": client.peer_id.to_string(),
        "v": client.says,
        "port": client.port,
        "handshakes": client.handshakes,
    })
}

fn torrent_sought(torrent: &TorrentSought) -> Value {
    json!({
        "info_hash": torrent.info_hash.to_string(),
        "asked": torrent.asked,
        "peers": torrent.peers,
        "announced": torrent.announced,
    })
}

fn torrent(torrent: &TorrentSeen) -> Option<Value> {
    let metainfo = torrent.metainfo.as_deref();
    Some(json!({
        "info_hash": torrent.info_hash?.to_string(),
        "info_hash_v2": metainfo.and_then(|metainfo| metainfo.info_hash_v2).map(|hash| Hex(&hash).to_string()),
        "name": metainfo.map(|metainfo| metainfo.name.to_string()),
        "size": metainfo.map(|metainfo| metainfo.total()),
        "pieces": torrent.piece_count(),
        "messages": torrent.records,
        "pieces_seen": torrent.pieces.len(),
        "blocks": torrent.blocks,
        "payload": torrent.payload,
        "verified": torrent.is_checked().then_some(torrent.verified.len()),
        "corrupt": torrent.is_checked().then_some(torrent.corrupt),
    }))
}

fn tracker(tracker: &Tracker) -> Value {
    json!({
        "url": tracker.url,
        "announces": tracker.announces,
        "scrapes": tracker.scrapes,
        "announce_answers": tracker.announce_answers,
        "scrape_answers": tracker.scrape_answers,
        "peers": tracker.peers,
        "interval": tracker.interval,
        "complete": tracker.complete,
        "incomplete": tracker.incomplete,
        "failures": tracker.failures,
        "last_failure": tracker.last_failure,
    })
}

/// What one end of a connection carried.
pub(crate) fn totals_object(totals: &DirectionTotals) -> Value {
    json!({
        "client": totals.client.as_deref(),
        "bytes": totals.bytes,
        "payload": totals.payload,
        "blocks": totals.blocks,
        "rate": totals.rate(),
    })
}

fn connection(connection: &Connection) -> Value {
    let totals = |direction: Direction| totals_object(connection.totals(direction));
    json!({
        "stream": connection.stream.map(|stream| stream.0),
        "ws_stream": connection.wireshark_stream,
        "transport": connection.transport.name(),
        "protocol": connection.protocol.map(|protocol| protocol.name()),
        "initiator": connection.initiator.to_string(),
        "responder": connection.responder.to_string(),
        "torrent": connection.torrent.map(|hash| hash.to_string()),
        "opened": rfc3339(connection.opened),
        "duration": connection.duration(),
        "outcome": outcome(connection),
        "from_initiator": totals(Direction::FromInitiator),
        "from_responder": totals(Direction::FromResponder),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_turns_the_order_of_what_is_shown_and_it_reads_as_it_was() {
        let name = "harmless\u{202e}txt.exe \u{2066}\u{7f}\u{85}\n\u{e9}";
        let object = Map::from_iter([("name".to_owned(), json!(name))]);
        let mut line = Vec::new();
        write_line(&object, &mut line).unwrap();
        let mut long = Vec::new();
        write_long_line(&object, &mut long).unwrap();
        assert_eq!(line, long);
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line, "{\"name\":\"harmless\\u202etxt.exe \\u2066\\u007f\\u0085\\n\u{e9}\"}\n");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["name"], name);
    }
}
