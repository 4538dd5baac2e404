//! The object that closes NDJSON, gathered over all captures of the run, and the lists of what is in one capture.

use std::collections::BTreeMap;

use bittrace_protocol::Hex;
use bittrace_trace::statistics::{Client, Connection, DirectionTotals, TorrentSeen, TorrentSought, Tracker};
use bittrace_trace::{Direction, Summary, Trace};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::print::json::object;
use crate::print::overview::outcome;
use crate::print::units::rfc3339;

/// The totals of a run. They do not grow with the number of captures.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct RunSummary {
    captures: u64,
    /// Captures that could not be read, or not to their end.
    failed: u64,
    packets: u64,
    bytes: u64,
    streams: u64,
    messages: BTreeMap<String, u64>,
    findings: BTreeMap<String, u64>,
    unread: BTreeMap<String, u64>,
    truncated: bool,
    /// What is in the capture, where the run has only one.
    lists: Option<CaptureLists>,
}

/// What is in a capture: clients, torrents, trackers, connections. Each has at most as many rows as a summary keeps.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct CaptureLists {
    torrents: Vec<Value>,
    torrents_sought: Vec<Value>,
    clients: Vec<Value>,
    trackers: Vec<Value>,
    connections: Vec<Value>,
}

impl RunSummary {
    /// Takes in a capture that was read. `whole` says that its end was reached; `lists` are those of a run of one
    /// capture.
    pub(crate) fn add(&mut self, trace: &Trace, summary: &Summary, whole: bool, lists: Option<CaptureLists>) {
        let capture = trace.capture();
        self.captures += 1;
        self.failed += u64::from(!whole);
        self.packets += capture.packets();
        self.bytes += capture.bytes();
        self.streams += summary.streams;
        self.truncated |= !whole || trace.cut().is_some();
        for ((protocol, message), number) in summary.messages.by_name() {
            *self.messages.entry(format!("{protocol}.{message}")).or_default() += number;
        }
        for (severity, number) in summary.severities() {
            *self.findings.entry(severity.name().to_owned()).or_default() += number;
        }
        let unread = summary.unread;
        for (what, number) in [
            ("encrypted", unread.encrypted),
            ("utp_datagrams", unread.utp_datagrams),
            ("utp", unread.utp),
            ("opaque", unread.opaque),
            ("lost", unread.lost),
            ("lost_packets", unread.lost_packets),
        ] {
            *self.unread.entry(what.to_owned()).or_default() += number;
        }
        self.lists = lists;
    }

    /// Takes in a capture that could not be opened.
    pub(crate) fn add_unread(&mut self) {
        self.captures += 1;
        self.failed += 1;
    }

    /// Takes in what another process has gathered.
    pub(crate) fn merge(&mut self, other: Self) {
        self.captures += other.captures;
        self.failed += other.failed;
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.streams += other.streams;
        self.truncated |= other.truncated;
        for (sums, others) in [
            (&mut self.messages, other.messages),
            (&mut self.findings, other.findings),
            (&mut self.unread, other.unread),
        ] {
            for (name, number) in others {
                *sums.entry(name).or_default() += number;
            }
        }
        self.lists = self.lists.take().or(other.lists);
    }

    /// The object that closes the stream.
    pub(crate) fn object(self) -> Map<String, Value> {
        let unread = |what: &str| self.unread.get(what).copied().unwrap_or_default();
        let mut summary = object([
            ("capture_count", json!(self.captures)),
            ("failed", json!(self.failed)),
            ("packets", json!(self.packets)),
            ("bytes", json!(self.bytes)),
            ("streams", json!(self.streams)),
            ("messages", json!(self.messages)),
            ("truncated", json!(self.truncated)),
            ("findings", json!(self.findings)),
            (
                "unread",
                json!({
                    "encrypted": unread("encrypted"),
                    "utp_datagrams": unread("utp_datagrams"),
                    "utp": unread("utp"),
                    "opaque": unread("opaque"),
                    "lost": unread("lost"),
                    "lost_packets": unread("lost_packets"),
                }),
            ),
        ]);
        summary.extend(self.lists.into_iter().flat_map(CaptureLists::entries));
        object([("summary", Value::Object(summary))])
    }
}

impl CaptureLists {
    /// The lists of one capture.
    pub(crate) fn new(summary: &Summary) -> Self {
        Self {
            torrents: summary.torrents.rows().iter().filter_map(torrent).collect(),
            torrents_sought: summary.torrents.sought().map(torrent_sought).collect(),
            clients: summary.clients.rows().iter().map(client).collect(),
            trackers: summary.trackers.rows().iter().map(tracker).collect(),
            connections: summary.connections.rows().iter().map(connection).collect(),
        }
    }

    /// Each list under its name.
    pub(crate) fn entries(self) -> Map<String, Value> {
        object([
            ("torrents", self.torrents.into()),
            ("torrents_sought", self.torrents_sought.into()),
            ("clients", self.clients.into()),
            ("trackers", self.trackers.into()),
            ("connections", self.connections.into()),
        ])
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
        "cut_blocks": torrent.cut_blocks,
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
