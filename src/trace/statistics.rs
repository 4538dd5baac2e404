//! What a capture holds, in one page: gathered from its records as they pass, in bounded memory.
//!
//! Lists keep their first entries and count the rest; sums are of everything.

mod clients;
mod connections;
mod findings;
mod pieces;
mod torrents;
mod trackers;
mod transfers;

use std::collections::BTreeMap;
use std::ptr;
use std::sync::Arc;

use bittrace_protocol::Timestamp;
use bittrace_protocol::metainfo::Metainfo;

use crate::record::{Body, MseBody, Protocol, Reason, Record, Severity, Unreadable};
use crate::{ConnectionEnd, Dissected, StreamId};

pub use clients::{Client, Clients};
pub use connections::{Connection, Connections, DirectionTotals};
pub use findings::{FIRST_FRAMES, Finding, Findings};
pub use pieces::{PieceSeen, PiecesSeen, Sender, Verdict};
pub use torrents::{TorrentSeen, TorrentSought, TorrentsSeen};
pub use trackers::{Tracker, Trackers};
pub use transfers::{Exchange, Exchanges, Given};

/// What a capture holds.
#[derive(Debug, Default)]
pub struct Summary {
    /// How many records of other captures are shown before its own, and number these.
    pub before: u64,
    /// How many records there were.
    pub records: u64,
    /// How many streams carried them.
    pub streams: u64,
    /// A bit for each of those streams, 64 to a word.
    streams_seen: Vec<u64>,
    /// When the first record and the last were captured.
    pub span: Option<(Timestamp, Timestamp)>,
    /// How many records of each protocol and message.
    pub messages: RecordCounts,
    /// Who spoke, by address and client.
    pub clients: Clients,
    /// The torrents it was about.
    pub torrents: TorrentsSeen,
    /// The trackers that were asked.
    pub trackers: Trackers,
    /// The connections and flows that carried something, and those that were only tried.
    pub connections: Connections,
    /// The notes, by severity and rule.
    pub findings: Findings,
    /// What was not read.
    pub unread: Unread,
}

/// How many records there were of each protocol and message.
///
/// Their names are few and stand in few places, so the place of a name mostly tells which it is.
#[derive(Debug, Clone, Default)]
pub struct RecordCounts(Vec<(&'static str, &'static str, u64)>);

impl RecordCounts {
    /// The counts by protocol and message, in the order of their names.
    pub fn by_name(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        let mut counts = BTreeMap::new();
        for (protocol, message, count) in &self.0 {
            *counts.entry((*protocol, *message)).or_default() += count;
        }
        counts
    }

    fn add(&mut self, protocol: &'static str, message: &'static str) {
        let is_it = |row: &&mut (&'static str, &'static str, u64)| {
            ptr::eq(row.1, message) && ptr::eq(row.0, protocol)
        };
        match self.0.iter_mut().find(is_it) {
            Some((_, _, count)) => *count += 1,
            None => self.0.push((protocol, message, 1)),
        }
    }
}

/// Bytes that are no readable message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unread {
    /// Bytes in encrypted connections, without their public keys.
    pub encrypted: u64,
    /// Datagrams of uTP connections whose stream cannot be read.
    pub utp_datagrams: u64,
    /// The bytes of those.
    pub utp: u64,
    /// Bytes that no rule explains.
    pub opaque: u64,
    /// Bytes that the capture lost, as far as it is known how many.
    pub lost: u64,
    /// Packets of uTP that the capture lost.
    pub lost_packets: u64,
}

impl Unread {
    /// Whether everything was read.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// How many entries the lists keep.
pub const KEPT: usize = 10_000;

impl Summary {
    /// A summary of nothing yet, of a capture about these torrents and perhaps others.
    pub fn new(torrents: &[Arc<Metainfo>]) -> Self {
        Self { torrents: TorrentsSeen::new(torrents), ..Self::default() }
    }

    /// Takes in a record, or the end of a connection.
    pub fn add(&mut self, dissected: &Dissected) {
        match dissected {
            Dissected::Record(record) => self.record(record),
            Dissected::Connection(end) => self.connections.ended(end),
        }
    }

    /// How many notes of each severity there are.
    pub fn severities(&self) -> BTreeMap<Severity, u64> {
        let mut counts = BTreeMap::new();
        for ((severity, _), finding) in self.findings.iter() {
            *counts.entry(*severity).or_default() += finding.count;
        }
        counts
    }

    fn record(&mut self, record: &Record) {
        self.records += 1;
        self.stream(record.stream);
        let (first, last) = self.span.unwrap_or((record.at, record.at));
        self.span = Some((first.min(record.at), last.max(record.at)));
        self.messages.add(record.body.protocol().name(), record.body.message());
        self.torrents.add(record);
        self.connections.add(record);
        record.notes.iter().for_each(|note| self.findings.add(record, note));
        // Nearly all messages of most captures: the rest is of others.
        if record.body.is_plain_message() {
            return;
        }
        self.clients.add(record);
        self.trackers.add(record);
        let length = record.length();
        match record.body {
            Body::Mse(MseBody::Encrypted) => self.unread.encrypted += length,
            Body::Unreadable(_, Unreadable::Datagram) => {
                self.unread.utp_datagrams += 1;
                self.unread.utp += length;
            }
            // What was meant is told.
            Body::Unreadable(_, Unreadable::Opaque(Reason::NearMiss(_))) => {}
            Body::Unreadable(_, Unreadable::Opaque(_)) => self.unread.opaque += length,
            Body::Unreadable(_, Unreadable::Gap(_)) => self.unread.lost += length,
            Body::Unreadable(_, Unreadable::LostPackets(packets)) => self.unread.lost_packets += packets,
            _ => {}
        }
    }

    fn stream(&mut self, stream: StreamId) {
        let (word, bit) = (stream.0 as usize / 64, 1 << (stream.0 % 64));
        if word >= self.streams_seen.len() {
            self.streams_seen.resize(word + 1, 0);
        }
        self.streams += u64::from(self.streams_seen[word] & bit == 0);
        self.streams_seen[word] |= bit;
    }
}

/// Whether a connection speaks to peers, as far as a tracker's protocol does not say otherwise.
pub(crate) const fn is_tracker(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::HttpTracker | Protocol::UdpTracker)
}

/// Kept out of [`Summary::add`]'s way: the ends of connections that never carried a record.
impl Connections {
    fn ended(&mut self, end: &ConnectionEnd) {
        match end.stream {
            Some(stream) => self.end(stream, end),
            None => self.tried(end),
        }
    }
}
