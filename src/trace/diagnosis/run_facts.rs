//! What is counted of a whole run while it is read: trackers, dials, blocks as they come, bytes for nothing.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::tracker::{Event, http, udp};
use bittrace_protocol::wire::Message;
use bittrace_protocol::{InfoHash, PieceIndex, Timestamp};
use foldhash::fast::RandomState;
use rustc_hash::FxHashMap;

use super::dial_failed;
use super::history::ByteHistory;
use super::observed::{Mark, is_waste};
use crate::expert::{announced, peers_handed_out, rules};
use crate::record::{Body, HttpTrackerBody, Protocol, Record, Side, WebSeedBody};
use crate::statistics::{BlockRepeat, BlocksReceived};
use crate::{ConnectionEnd, StreamClosing};

/// What is counted of a run.
#[derive(Debug)]
pub(super) struct RunFacts {
    torrents: HashMap<InfoHash, Arc<Metainfo>, RandomState>,
    span: Option<(Timestamp, Timestamp)>,
    pub(super) local: Option<IpAddr>,
    came: BlocksReceived,
    /// The blocks that the local host received, and those that it sent.
    pub(super) received: BlockProgress,
    pub(super) sent: BlockProgress,
    pub(super) waste: WastedBytes,
    pub(super) trackers: TrackerFacts,
    pub(super) dials: DialFacts,
    /// Announces that wait for their answer, by their number.
    announced: FxHashMap<u64, Timestamp>,
    /// The peers that trackers named.
    named: HashSet<SocketAddr, RandomState>,
    /// What the local client said is left to download in its first announce, bytes.
    pub(super) left: Option<u64>,
    /// When the local client told a tracker that it has everything.
    pub(super) completed: Option<Timestamp>,
    /// Bytes that web seeds sent.
    pub(super) web_seed_bytes: u64,
    /// When the local client told a tracker that it stops, first, and last without a start after it.
    pub(super) first_stopped: Option<Mark>,
    pub(super) stopped: Option<Mark>,
    /// The torrent of the last block that the local host received.
    last_torrent: Option<InfoHash>,
}

/// Blocks on their way to or from the local host, all peers together.
#[derive(Debug, Default)]
pub(super) struct BlockProgress {
    pub(super) first: Option<Mark>,
    pub(super) last: Option<Mark>,
    /// Bytes that the receiver did not have before.
    pub(super) new_bytes: u64,
    pub(super) history: ByteHistory,
    /// Times of [`STALL`] and more in which no block came, from the block before to the block after.
    pub(super) pauses: Vec<(Mark, Mark)>,
}

/// Bytes and requests that were for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WastedBytes {
    /// Bytes of blocks that the receiver had already.
    pub duplicate: u64,
    /// Bytes of blocks that nobody had requested any more, or that were sent against a rule: not requested, cancelled, rejected,
    /// or sent while choking.
    pub unrequested: u64,
    /// Bytes of pieces whose hash was wrong.
    pub wrong_hash: u64,
}

impl WastedBytes {
    /// All of them.
    pub const fn all(&self) -> u64 {
        self.duplicate + self.unrequested + self.wrong_hash
    }
}

/// What trackers did for the local client.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrackerFacts {
    /// How many announces were sent.
    pub announces: u64,
    /// How many of these got no answer.
    pub unanswered: u64,
    /// The first announce, and the tracker that it went to.
    pub first: Option<(Mark, SocketAddr)>,
    /// The first answer, whatever it says.
    pub first_answer: Option<Mark>,
    /// The longest time from an announce to its answer, in seconds.
    pub slowest: Option<f64>,
    /// How many announces were refused.
    pub refused: u64,
    /// How many different peers trackers named, the local client not counted.
    pub named: u64,
}

/// What became of connections that the local client tried, and that carried no message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DialFacts {
    /// How many were refused by a RESET.
    pub refused: u64,
    /// How many were never answered.
    pub unanswered: u64,
    /// How many stood, and neither end said anything that can be read.
    pub silent: u64,
    /// How many of the failed dials were to peers that a tracker had named.
    pub named: u64,
    /// The first ones.
    pub failed: Vec<FailedDial>,
    /// How many connections carried messages.
    pub connected: u64,
}

/// A connection that was tried in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedDial {
    /// Who tried.
    pub initiator: SocketAddr,
    /// Who was called.
    pub responder: SocketAddr,
    /// When its first packet was captured.
    pub opened: Timestamp,
    /// When its last packet was captured.
    pub closed: Timestamp,
    /// What became of it.
    pub closing: StreamClosing,
}

/// How many peers that trackers named, announces that wait, pauses and dials are remembered.
const NAMED: usize = 100_000;
const WAITING: usize = 10_000;
const PAUSES: usize = 1_000;
const DIALS: usize = 1_000;

/// From this time without a block on a run stalls, seconds.
pub(super) const STALL: f64 = 5.0;

impl RunFacts {
    pub(super) fn new(torrents: &[Arc<Metainfo>]) -> Self {
        let known = torrents.iter().map(|torrent| (torrent.info_hash, Arc::clone(torrent)));
        Self {
            torrents: known.collect(),
            span: None,
            local: None,
            came: BlocksReceived::default(),
            received: BlockProgress::default(),
            sent: BlockProgress::default(),
            waste: WastedBytes::default(),
            trackers: TrackerFacts::default(),
            dials: DialFacts::default(),
            announced: FxHashMap::default(),
            named: HashSet::default(),
            left: None,
            completed: None,
            web_seed_bytes: 0,
            first_stopped: None,
            stopped: None,
            last_torrent: None,
        }
    }

    /// When the last record was captured.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.span.map(|(_, last)| last)
    }

    /// When the first packet of BitTorrent was captured, and the last record.
    pub(super) const fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.span
    }

    /// Takes in that something happened from one moment to another.
    pub(super) fn see(&mut self, from: Timestamp, to: Timestamp) {
        let (first, last) = self.span.unwrap_or((from, to));
        self.span = Some((first.min(from), last.max(to)));
    }

    #[inline]
    pub(super) fn add(&mut self, record: &Record) {
        // Of most messages all that counts is when they came.
        let says_little = record.body.is_plain_message()
            && !matches!(record.peer_message(), Some(Message::Piece { .. }))
            && record.notes.is_empty()
            && record.describes.is_none();
        if says_little && self.local.is_some() {
            self.see(record.at, record.at);
        } else {
            self.add_any(record);
        }
    }

    fn add_any(&mut self, record: &Record) {
        let is_plain = record.body.is_plain_message();
        if !is_plain && matches!(record.body.protocol(), Protocol::Lsd | Protocol::Dht) {
            return;
        }
        self.see(record.at, record.at);
        if self.local.is_none() {
            let local = if record.side == Side::Local { record.source } else { record.destination };
            self.local = Some(local.ip());
        }
        if let Some(torrent) = &record.describes {
            self.torrents.insert(torrent.info_hash, Arc::clone(torrent));
        }
        match &record.body {
            Body::PeerWire(_) => {
                if let Some(Message::Piece { index, begin, block }) = record.peer_message() {
                    self.block(record, *index, *begin, block.len() as u64);
                }
                if !record.notes.is_empty() {
                    self.verdict(record);
                }
            }
            Body::WebSeed(WebSeedBody::FileData(_) | WebSeedBody::PieceData(_)) => {
                self.web_seed_bytes += record.length();
                self.received.came(Mark::of(record), record.length(), true);
                self.verdict(record);
            }
            Body::HttpTracker(_) | Body::UdpTracker(_) => self.tracker(record),
            _ => {}
        }
    }

    fn block(&mut self, record: &Record, index: PieceIndex, begin: u32, length: u64) {
        // A block of a piece that had the wrong hash is needed again.
        let is_new = self.came.block(record, index, begin, length as u32) != BlockRepeat::ForNothing;
        let mark = Mark::of(record);
        match record.side {
            Side::Remote => {
                self.last_torrent = record.torrent;
                self.received.came(mark, length, is_new);
            }
            Side::Local => self.sent.came(mark, length, is_new),
        }
        if record.effect.faults.iter().any(is_waste) {
            self.waste.unrequested += length;
        } else if !is_new {
            self.waste.duplicate += length;
        }
    }

    /// Takes in whether a piece is right. Blocks of a wrong piece come again, and are then no duplicates.
    fn verdict(&mut self, record: &Record) {
        let Some((index, false)) = record.notes.last().and_then(rules::verdict_on_piece) else { return };
        let Some(hash) = record.torrent else { return };
        let Some(geometry) = self.torrents.get(&hash).and_then(|torrent| torrent.placement()) else { return };
        self.waste.wrong_hash += u64::from(geometry.piece_size(index).unwrap_or(0));
        self.came.wrong_hash(record, index);
    }

    fn tracker(&mut self, record: &Record) {
        let mark = Mark::of(record);
        if let Some(announce) = announced(record) {
            if announce.event == Some(Event::Stopped) {
                if record.side == Side::Local {
                    self.first_stopped.get_or_insert(mark);
                    self.stopped = Some(mark);
                }
                return;
            }
            if record.side == Side::Local && announce.event == Some(Event::Started) {
                self.stopped = None;
            }
            self.trackers.announces += 1;
            self.trackers.first.get_or_insert((mark, record.destination));
            if self.announced.len() < WAITING {
                self.announced.insert(record.number, record.at);
            }
            if record.side == Side::Local {
                self.left = self.left.or(announce.left);
                if announce.event == Some(Event::Completed) || announce.left == Some(0) && self.left > Some(0)
                {
                    self.completed.get_or_insert(record.at);
                }
            }
            return;
        }
        if is_connect_request(&record.body) {
            // An announce over UDP begins with a request for a connection id (BEP 15).
            self.trackers.first.get_or_insert((mark, record.destination));
            return;
        }
        let Some(answer) = record.answers.filter(|answer| self.announced.remove(&answer.number).is_some())
        else {
            return;
        };
        self.trackers.first_answer.get_or_insert(mark);
        self.trackers.slowest = Some(self.trackers.slowest.unwrap_or(0.0).max(answer.latency));
        self.trackers.refused += u64::from(is_refusal(&record.body));
        for peer in peers_handed_out(record) {
            let is_self = peer.ip() == record.destination.ip();
            if !is_self && self.named.len() < NAMED && self.named.insert(peer) {
                self.trackers.named += 1;
            }
        }
    }

    /// Takes in that a connection carried messages between peers.
    pub(super) const fn connected(&mut self) {
        self.dials.connected += 1;
    }

    /// Takes in a connection that carried no message.
    pub(super) fn tried(&mut self, end: &ConnectionEnd) {
        self.see(end.opened.at, end.opened.at);
        let dials = &mut self.dials;
        match end.closing {
            StreamClosing::Refused => dials.refused += 1,
            StreamClosing::Unanswered => dials.unanswered += 1,
            _ => dials.silent += 1,
        }
        dials.named += u64::from(dial_failed(end.closing) && self.named.contains(&end.flow.responder));
        if dials.failed.len() < DIALS {
            dials.failed.push(FailedDial {
                initiator: end.flow.initiator,
                responder: end.flow.responder,
                opened: end.opened.at,
                closed: end.closed.at,
                closing: end.closing,
            });
        }
    }

    /// Whether the local client has everything, as far as its announces and the torrent tell; `None` where they do not.
    pub(super) fn is_complete(&self) -> Option<bool> {
        if self.completed.is_some() {
            return Some(true);
        }
        let length = self.torrent().map(|torrent| torrent.total());
        let whole = length.filter(|length| self.received.new_bytes >= *length).map(|_| true);
        whole.or_else(|| self.left.map(|left| self.received.new_bytes >= left))
    }

    /// The torrent of the last block, where it is known.
    pub(super) fn torrent(&self) -> Option<&Arc<Metainfo>> {
        self.last_torrent.and_then(|hash| self.torrents.get(&hash))
    }

    /// Ends the count.
    pub(super) fn close(&mut self) {
        self.trackers.unanswered = self.announced.len() as u64;
    }
}

impl BlockProgress {
    fn came(&mut self, mark: Mark, bytes: u64, is_new: bool) {
        if let Some(last) = self.last
            && mark.at.seconds_since(last.at) >= STALL
            && self.pauses.len() < PAUSES
        {
            self.pauses.push((last, mark));
        }
        self.first.get_or_insert(mark);
        self.last = Some(mark);
        self.new_bytes += if is_new { bytes } else { 0 };
        self.history.add(mark.at, bytes);
    }
}

fn is_connect_request(body: &Body) -> bool {
    matches!(body, Body::UdpTracker(packet) if matches!(**packet, udp::Packet::ConnectRequest { .. }))
}

fn is_refusal(body: &Body) -> bool {
    match body {
        Body::HttpTracker(HttpTrackerBody::Response(_, reply)) => {
            !matches!(**reply, http::Reply::Announce(_))
        }
        Body::UdpTracker(packet) => matches!(**packet, udp::Packet::Error { .. }),
        _ => false,
    }
}
