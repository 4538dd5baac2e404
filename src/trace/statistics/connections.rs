//! The connections of a capture: who with whom, how much, and how it ended.

use std::net::SocketAddr;
use std::sync::Arc;

use bittrace_protocol::wire::Message;
use bittrace_protocol::{InfoHash, Timestamp};
use rustc_hash::FxHashMap;

use super::KEPT;
use crate::record::{Body, MseBody, Protocol, Record, Side, Transport};
use crate::{ConnectionEnd, Direction, Flow, StreamClosing, StreamId, StreamOpening};

/// Connections in the order in which they were recognised.
#[derive(Debug, Default)]
pub struct Connections {
    rows: Vec<Connection>,
    by_stream: FxHashMap<StreamId, usize>,
    dropped: u64,
    last_dropped: Option<StreamId>,
}

/// One connection, or flow of datagrams.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Its stream; `None` when nothing was said on it and it was only tried.
    pub stream: Option<StreamId>,
    /// Wireshark's `tcp.stream` of it, or `udp.stream` of a flow of datagrams and of uTP; `None` where it is not known.
    pub wireshark_stream: Option<u32>,
    /// What carried it.
    pub transport: Transport,
    /// What was said on it; `None` when it was only tried.
    pub protocol: Option<Protocol>,
    /// The end that opened it.
    pub initiator: SocketAddr,
    /// The end that was called.
    pub responder: SocketAddr,
    /// Which of them is the host the capture is about; `None` when neither is known to be.
    pub local: Option<Direction>,
    /// What each of them said: first the initiator, then the responder.
    pub directions: [DirectionTotals; 2],
    /// The torrent it was about.
    pub torrent: Option<InfoHash>,
    /// When it began.
    pub opened: Timestamp,
    /// When its last packet was captured.
    pub closed: Timestamp,
    /// Whether the capture holds its beginning; not known before it ends.
    pub opening: Option<StreamOpening>,
    /// How it ended; `None` for datagrams, which have no end.
    pub closing: Option<StreamClosing>,
    /// The direction of which the capture has no packet, where it has none of one end; not known before it ends.
    pub unseen: Option<Direction>,
    /// Whether a part of it is encrypted and cannot be read.
    pub encrypted: bool,
    /// Whether a part of it was encrypted and, its key being known, could be read.
    pub decrypted: bool,
    /// Where a proxy connected to for it, `ADDRESS:PORT` or `NAME:PORT`; the responder is then the proxy.
    pub behind_proxy: Option<String>,
}

/// The messages and blocks that one end of a connection sent.
#[derive(Debug, Clone, Default)]
pub struct DirectionTotals {
    /// Its client.
    pub client: Option<Arc<str>>,
    /// The bytes of its stream, those that the capture lost included.
    pub bytes: u64,
    /// The bytes of the blocks among them.
    pub payload: u64,
    /// How many blocks.
    pub blocks: u64,
    /// When the first block and the last were whole.
    pub transfer: Option<(Timestamp, Timestamp)>,
}

impl Connection {
    /// What the end that speaks in `direction` said.
    pub const fn totals(&self, direction: Direction) -> &DirectionTotals {
        &self.directions[direction as usize]
    }

    /// What both ends said together.
    pub fn both(&self) -> DirectionTotals {
        let [there, back] = &self.directions;
        let transfer = match (there.transfer, back.transfer) {
            (Some(there), Some(back)) => Some((there.0.min(back.0), there.1.max(back.1))),
            (one, other) => one.or(other),
        };
        DirectionTotals {
            client: None,
            bytes: there.bytes + back.bytes,
            payload: there.payload + back.payload,
            blocks: there.blocks + back.blocks,
            transfer,
        }
    }

    /// Whether nothing of what was said on it can be read, since it is encrypted.
    pub fn is_sealed(&self) -> bool {
        self.encrypted && !self.decrypted && self.torrent.is_none()
    }

    /// The seconds from its beginning to its last packet.
    pub fn duration(&self) -> f64 {
        self.closed.seconds_since(self.opened)
    }
}

/// Seconds that blocks have to span before their rate is told. Fewer tell how fast a queue was emptied: four blocks within
/// a millisecond are no 60 MiB a second.
pub const SHORTEST_RATED: f64 = 0.1;

impl DirectionTotals {
    /// Bytes of blocks a second, from the first block to the last. The first block's own bytes took time before it
    /// was whole, so they do not count. `None` with one block, and where the blocks span less than [`SHORTEST_RATED`].
    pub fn rate(&self) -> Option<f64> {
        let (first, last) = self.transfer?;
        let seconds = last.seconds_since(first);
        if self.blocks < 2 || seconds < SHORTEST_RATED {
            return None;
        }
        let first_block = self.payload as f64 / self.blocks as f64;
        Some((self.payload as f64 - first_block) / seconds)
    }
}

impl Connections {
    /// The connections that are kept, in the order in which they were recognised.
    pub fn rows(&self) -> &[Connection] {
        &self.rows
    }

    /// How many connections there were beyond those that are kept.
    pub const fn more(&self) -> u64 {
        self.dropped
    }

    pub(super) fn add(&mut self, record: &Record) {
        let Some(at) = self.place(record) else { return };
        let row = &mut self.rows[at];
        row.closed = row.closed.max(record.at);
        row.opened = row.opened.min(record.at);
        if row.torrent.is_none() {
            row.torrent = record.torrent;
        }
        let protocol = record.body.protocol();
        match row.protocol {
            // After a key exchange peers speak as elsewhere, in plaintext or decrypted.
            Some(Protocol::Mse) if protocol == Protocol::PeerWire => row.protocol = Some(protocol),
            // Behind a proxy, the connection is what goes through the proxy.
            Some(Protocol::Proxy) => row.protocol = Some(protocol),
            _ => {}
        }
        match &record.body {
            Body::Proxy(part) => {
                if let Some(target) = part.target(&record.bytes) {
                    row.behind_proxy = Some(target.to_string());
                }
            }
            Body::Mse(MseBody::Encrypted) => row.encrypted = true,
            _ => {}
        }
        row.decrypted |= record.decrypted;
        if record.side == Side::Local {
            row.local = Some(record.direction);
        }
        let totals = &mut row.directions[record.direction as usize];
        totals.bytes += record.length();
        if let Some(client) = &record.client
            && totals.client.as_ref().is_none_or(|known| !Arc::ptr_eq(known, client))
        {
            totals.client = Some(client.clone());
        }
        let block = match record.peer_message() {
            Some(Message::Piece { block, .. }) => Some(block.len() as u64),
            // Its bytes were sent, whatever the capture has of them.
            _ => record.cut_block().map(|(.., length)| length.into()),
        };
        if let Some(length) = block {
            totals.payload += length;
            totals.blocks += 1;
            let (first, _) = totals.transfer.unwrap_or((record.at, record.at));
            totals.transfer = Some((first, record.at));
        }
    }

    fn place(&mut self, record: &Record) -> Option<usize> {
        if let Some(at) = self.by_stream.get(&record.stream) {
            return Some(*at);
        }
        if self.rows.len() >= KEPT {
            if self.last_dropped < Some(record.stream) {
                self.last_dropped = Some(record.stream);
                self.dropped += 1;
            }
            return None;
        }
        let Flow { initiator, responder } = record.flow();
        self.by_stream.insert(record.stream, self.rows.len());
        self.rows.push(Connection {
            stream: Some(record.stream),
            wireshark_stream: record.wireshark_stream,
            transport: record.transport,
            protocol: Some(record.body.protocol()),
            initiator,
            responder,
            local: None,
            directions: Default::default(),
            torrent: None,
            opened: record.at,
            closed: record.at,
            opening: None,
            closing: None,
            unseen: None,
            encrypted: false,
            decrypted: false,
            behind_proxy: None,
        });
        Some(self.rows.len() - 1)
    }

    /// Takes in that a stream is over.
    pub(super) fn end(&mut self, stream: StreamId, end: &ConnectionEnd) {
        let Some(at) = self.by_stream.remove(&stream) else { return };
        let row = &mut self.rows[at];
        row.opened = end.opened.at;
        row.closed = end.closed.at;
        row.opening = Some(end.opening);
        row.closing = Some(end.closing);
        row.unseen = end.unseen;
    }

    /// Takes in that a connection was tried and nothing was said on it.
    pub(super) fn tried(&mut self, end: &ConnectionEnd) {
        if self.rows.len() >= KEPT {
            self.dropped += 1;
            return;
        }
        self.rows.push(Connection {
            stream: None,
            wireshark_stream: None,
            transport: end.transport,
            protocol: None,
            initiator: end.flow.initiator,
            responder: end.flow.responder,
            local: None,
            directions: Default::default(),
            torrent: None,
            opened: end.opened.at,
            closed: end.closed.at,
            opening: Some(end.opening),
            closing: Some(end.closing),
            unseen: end.unseen,
            encrypted: false,
            decrypted: false,
            behind_proxy: None,
        });
    }
}
