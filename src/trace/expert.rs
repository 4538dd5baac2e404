//! What can only be said of a record by remembering others: who speaks, which request a tracker or a node answers, which
//! rules a peer broke, and whether a piece is what the torrent says.

mod announces;
mod bencoding;
mod dht;
mod hash_proofs;
mod left_check;
mod local_host;
mod metadata;
mod peers;
mod piece_check;
pub mod rules;
mod trackers;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::wire::{Extension, Message};
use bittrace_protocol::{InfoHash, Timestamp};
use foldhash::fast::RandomState;
use rustc_hash::FxHashMap;

use crate::record::units::{counted, wanted_at};
use crate::record::{Body, PeerWireBody, Protocol, Reason, Record, Side, Transport, Unreadable};
use crate::{Dissected, LocalChoice, StreamId, TraceOptions};
pub(crate) use announces::Announced;
use announces::Announces;
use dht::DhtQueries;
use hash_proofs::Trees;
use left_check::Left;
use metadata::{Gathered, metadata_message};
use peers::{MetOn, Pair, PeerPair};
use piece_check::Pieces;
use trackers::TrackerRequests;

/// Annotates the records of one trace, in their order.
#[derive(Debug)]
pub(crate) struct Annotator {
    local: Option<IpAddr>,
    /// Whether no host is local.
    has_no_local: bool,
    /// Whether the capture may say that no host is local.
    may_have_no_local: bool,
    torrents: HashMap<InfoHash, Arc<Metainfo>, RandomState>,
    // Boxed: a table has room for twice as many as it holds.
    peers: FxHashMap<StreamId, Box<PeerPair>>,
    /// The open connections of two peers about a torrent.
    pairs: HashMap<Pair, MetOn>,
    trackers: FxHashMap<StreamId, TrackerRequests>,
    nodes: FxHashMap<StreamId, DhtQueries>,
    /// The ends of the first message of the DHT, when nothing else has said whose capture it is.
    suspects: Option<[IpAddr; 2]>,
    announces: Announces,
    /// The tracker that handed out each peer last, by who asked.
    handed_out: HashMap<(IpAddr, SocketAddr), SocketAddr>,
    pieces: Pieces,
    left: Left,
    trees: Trees,
    gathered: Gathered,
    /// The bytes of the torrent descriptions that peers sent, and a share for each description.
    described_bytes: usize,
}

/// What a record says of its client, where it is an announce with a peer id.
pub(crate) fn announced(record: &Record) -> Option<Announced> {
    Announced::of(record)
}

/// The peers that a tracker's answer hands out.
pub(crate) fn peers_handed_out(record: &Record) -> Vec<SocketAddr> {
    trackers::handed_out(record)
}

/// How many bytes of descriptions are learnt from peers, and what each counts beside its own, and each of its files.
const MAX_DESCRIBED: usize = 128 << 20;
const TORRENT: usize = 64 << 10;
const FILE: usize = 512;

/// How many peers are remembered by the answer that handed them out.
const HANDED_OUT: usize = 200_000;

/// How many such pairs are remembered.
const PAIRS: usize = 10_000;

/// How many flows to UDP trackers, and between nodes, are remembered; they have no end.
const UDP_FLOWS: usize = 100_000;

impl Annotator {
    pub(crate) fn new(options: TraceOptions) -> Self {
        let mut annotator = Self {
            local: options.local.host(),
            has_no_local: options.local == LocalChoice::Nobody,
            may_have_no_local: options.local == LocalChoice::AsCaptured,
            torrents: HashMap::default(),
            peers: FxHashMap::default(),
            pairs: HashMap::default(),
            announces: Announces::new(options.from_start),
            trackers: FxHashMap::default(),
            nodes: FxHashMap::default(),
            suspects: None,
            handed_out: HashMap::default(),
            pieces: Pieces::default(),
            left: Left::default(),
            trees: Trees::default(),
            gathered: Gathered::default(),
            described_bytes: 0,
        };
        for torrent in options.torrents {
            annotator.know(torrent);
        }
        annotator
    }

    /// The torrent of this info hash, where it is known.
    pub(crate) fn torrent(&self, info_hash: InfoHash) -> Option<&Metainfo> {
        self.torrents.get(&info_hash).map(Arc::as_ref)
    }

    /// Takes in a torrent. A hybrid one goes by both its hashes (BEP 52, "Upgrade Path").
    fn know(&mut self, torrent: Arc<Metainfo>) {
        self.trees.add(&torrent);
        if let Some(truncated) = torrent.truncated_v2() {
            self.torrents.insert(truncated, Arc::clone(&torrent));
        }
        self.torrents.insert(torrent.info_hash, torrent);
    }

    /// Takes in metadata, and knows the torrent once it is whole.
    fn learn(&mut self, record: &mut Record) {
        let Some((extension, payload)) = metadata_message(record) else { return };
        let Some(info_hash) = record.torrent.filter(|hash| !self.torrents.contains_key(hash)) else { return };
        if self.described_bytes + payload.len() > MAX_DESCRIBED {
            return;
        }
        let Some(torrent) = self.gathered.add(info_hash, extension, payload) else { return };
        let cost = torrent.info_bytes().len() + TORRENT + torrent.files.len() * FILE;
        let torrent = Arc::new(torrent);
        record.describes = Some(Arc::clone(&torrent));
        if self.described_bytes + cost <= MAX_DESCRIBED {
            self.described_bytes += cost;
            self.know(torrent);
        }
    }

    /// The address of the host the capture is about, as far as is known.
    pub(crate) const fn local(&self) -> Option<IpAddr> {
        self.local
    }

    /// The capture says that it was taken between all its hosts: that counts where nobody chose, and no host is local yet.
    pub(crate) const fn learn_that_no_host_is_local(&mut self) {
        self.has_no_local |= self.may_have_no_local && self.local.is_none();
    }

    /// Whether no host is local, and speakers are initiator and responder.
    pub(crate) const fn has_no_local(&self) -> bool {
        self.has_no_local
    }

    pub(crate) fn annotate(&mut self, dissected: &mut Dissected) {
        match dissected {
            Dissected::Record(record) => self.record(record),
            Dissected::Connection(end) => {
                if let Some(stream) = end.stream {
                    let peers = self.peers.remove(&stream);
                    if let Some(pair) = peers.and_then(|peers| peers.pair())
                        && self.pairs.get(&pair).is_some_and(|met| met.stream == stream)
                    {
                        self.pairs.remove(&pair);
                    }
                    self.trackers.remove(&stream);
                }
            }
        }
    }

    fn record(&mut self, record: &mut Record) {
        record.side = self.side(record);
        // A plain message can be read, and has no bencoding.
        if !record.body.is_plain_message() {
            note_what_is_unread(record);
            bencoding::judge(record);
        }
        match record.body.protocol() {
            Protocol::HttpTracker | Protocol::UdpTracker => {
                if record.transport == Transport::Udp && self.trackers.len() >= UDP_FLOWS {
                    self.trackers.clear();
                }
                let trackers = self.trackers.entry(record.stream).or_default();
                trackers.annotate(record);
                self.announces.judge(record);
                if let Some(announced) = Announced::of(record) {
                    self.left.told(record, &announced);
                    if let Some(torrent) = self.torrents.get(&announced.info_hash) {
                        self.left.judge(record, &announced, torrent);
                    }
                }
                for peer in trackers::handed_out(record) {
                    if self.handed_out.len() < HANDED_OUT {
                        self.handed_out.insert((record.destination.ip(), peer), record.source);
                    }
                }
            }
            Protocol::PeerWire => {
                let mut pair = None;
                if let Body::PeerWire(PeerWireBody::Handshake(_)) = record.body {
                    let peers = self.peers.entry(record.stream).or_default();
                    peers.meet(record);
                    pair = peers.pair();
                    self.note_announce(record);
                    if let Some(pair) = pair {
                        self.note_pair(record, pair);
                    }
                }
                peers::note_change(record);
                self.learn(record);
                let torrent = record.torrent.and_then(|hash| self.torrents.get(&hash));
                // An answer may name another torrent than the one that was asked for.
                let about = torrent.or_else(|| pair.and_then(|(asked, ..)| self.torrents.get(&asked)));
                peers::note_faults(record, about.map(Arc::as_ref));
                if let Body::PeerWire(PeerWireBody::Extended(_, Extension::Metadata)) = record.body {
                    let peers = self.peers.entry(record.stream).or_default();
                    peers.check_metadata(record);
                    if let (Some(receiver), Some(info_hash)) = (peers.receiver(record), record.torrent) {
                        self.left.described(receiver, info_hash);
                    }
                }
                if let Some(Message::Request(_)) = record.peer_message()
                    && let Some(info_hash) = record.torrent
                    && let Some(sender) =
                        self.peers.get(&record.stream).and_then(|peers| peers.sender(record))
                {
                    self.left.requested(record, sender, info_hash);
                }
                self.trees.judge(record, torrent);
                if let Some(torrent) = torrent {
                    let receiver = self.peers.get(&record.stream).and_then(|peers| peers.receiver(record));
                    self.pieces.annotate(record, receiver, torrent, &self.trees);
                    if let Some((index, true)) = record.notes.last().and_then(rules::verdict_on_piece) {
                        self.left.verified(record, receiver, torrent, index);
                    }
                }
            }
            Protocol::Mse => self.note_announce(record),
            Protocol::Dht => {
                if self.nodes.len() >= UDP_FLOWS {
                    self.nodes.clear();
                }
                self.nodes.entry(record.stream).or_default().annotate(record);
            }
            Protocol::Lsd => {
                if let Body::Lsd(announce) = &record.body {
                    record.torrent = announce.info_hashes.first().copied();
                }
            }
            Protocol::WebSeed => {
                self.trackers.entry(record.stream).or_default().annotate(record);
                if let Some(torrent) = record.torrent.and_then(|hash| self.torrents.get(&hash)) {
                    self.pieces.take_web_seed(record, torrent, &self.trees);
                }
            }
            Protocol::Utp | Protocol::Proxy => {}
        }
    }

    /// The capture is about whoever asks a tracker first; where nobody asks, about whoever calls first, or seems to.
    /// Nodes of the DHT speak to anyone: where they are all there is, about the one that stays when others change.
    /// Announces to the local network tell nothing.
    fn side(&mut self, record: &Record) -> Side {
        use crate::Direction::FromInitiator;
        if self.has_no_local {
            return if record.direction == FromInitiator { Side::Initiator } else { Side::Responder };
        }
        let initiator = match record.direction {
            FromInitiator => record.source,
            crate::Direction::FromResponder => record.destination,
        };
        let ends = [record.source.ip(), record.destination.ip()];
        let protocol = record.body.protocol();
        if self.local.is_none() && protocol == Protocol::Dht {
            let [one, other] = *self.suspects.get_or_insert(ends);
            self.local = match (ends.contains(&one), ends.contains(&other)) {
                (true, false) => Some(one),
                (false, true) => Some(other),
                (true, true) | (false, false) => None,
            };
        }
        if self.local.is_none() && matches!(protocol, Protocol::Dht | Protocol::Lsd) {
            return if record.direction == FromInitiator { Side::Local } else { Side::Remote };
        }
        let local = *self.local.get_or_insert_with(|| local_host::likely_local(record, initiator));
        let speaks = match ends.map(|end| end == local) {
            [true, false] => true,
            [false, true] => false,
            // Both ends on one host, or neither on the one the capture is about.
            [true, true] | [false, false] => record.direction == FromInitiator,
        };
        if speaks { Side::Local } else { Side::Remote }
    }

    /// Says that two peers have a connection about this torrent already, or that this is the same one.
    fn note_pair(&mut self, record: &mut Record, pair: Pair) {
        // A client that called itself is noted as such.
        if pair.1 == pair.2 {
            return;
        }
        let met = MetOn::of(record);
        if let Some(first) = self.pairs.get(&pair) {
            let stream = first.stream.0;
            record.notes.push(if met.is_other_side_of(first) {
                let text = format!("stream {stream} is the same connection on the other side of a NAT");
                rules::CAPTURE_OTHER_SIDE.note(text)
            } else {
                let text = format!("stream {stream} connects the same peers for the same torrent");
                rules::BEP3_DUPLICATE_CONNECTION.note(text)
            });
        } else if self.pairs.len() < PAIRS {
            self.pairs.insert(pair, met);
        }
    }

    /// Says which answer of a tracker handed out the peer that was called.
    fn note_announce(&mut self, record: &mut Record) {
        if record.offset > 0 || record.direction != crate::Direction::FromInitiator {
            return;
        }
        let called = (record.source.ip(), record.destination);
        if let Some(tracker) = self.handed_out.get(&called) {
            let text = format!("the tracker at {tracker} had returned {}", record.destination);
            record.notes.push(rules::BEP3_PEER_FROM_TRACKER.note(text));
        }
    }
}

/// The time between two moments, in seconds; never negative.
fn latency(from: Timestamp, to: Timestamp) -> f64 {
    to.seconds_since(from).max(0.0)
}

/// Notes on bytes that are lost, damaged or of no known message.
fn note_what_is_unread(record: &mut Record) {
    if record.notes.iter().any(|note| note.rule.id == rules::CAPTURE_MEMORY.id) {
        // Nothing is missing: the message was shown before it was whole.
        return;
    }
    let gap = |lost| rules::CAPTURE_GAP.note(format!("the capture lost {lost} of the stream here"));
    let note = match &record.body {
        Body::Unreadable(_, Unreadable::Gap(length)) => gap(counted(*length, "byte")),
        Body::Unreadable(_, Unreadable::LostPackets(packets)) => gap(counted(*packets, "packet")),
        Body::Unreadable(_, Unreadable::Opaque(Reason::Damaged)) => {
            rules::CAPTURE_DAMAGED.note("a message is expected here, but these bytes are not a message")
        }
        Body::Unreadable(protocol, Unreadable::Opaque(Reason::Malformed(fault))) => {
            let rule = match protocol {
                Protocol::Dht => rules::BEP5_MALFORMED,
                Protocol::Lsd => rules::BEP14_MALFORMED,
                Protocol::UdpTracker => rules::BEP15_MALFORMED,
                _ => rules::CAPTURE_DAMAGED,
            };
            rule.note(wanted_at(fault.offset, fault.wanted))
        }
        Body::Unreadable(_, Unreadable::Opaque(Reason::Cut(total))) => {
            let part = record.bytes.len();
            rules::CAPTURE_CUT.note(match total {
                Some(total) => format!("only the first {part} of {} were captured", counted(*total, "byte")),
                None => format!("only the first {} were captured", counted(part as u64, "byte")),
            })
        }
        Body::Unreadable(_, Unreadable::Opaque(Reason::BeforeBoundary)) => rules::CAPTURE_RESYNCHRONISED
            .note("the bytes before these are missing; messages are recognised from the next one on"),
        Body::Unreadable(_, Unreadable::Opaque(Reason::Fragment(fragment))) => rules::CAPTURE_FRAGMENT.note(
            format!("part of a {} message of {} bytes; the rest is missing", fragment.name(), fragment.total),
        ),
        Body::Unreadable(_, Unreadable::Opaque(Reason::NearMiss(near_miss))) => {
            rules::note_near_miss(*near_miss, &record.bytes)
        }
        Body::Unreadable(_, Unreadable::Opaque(Reason::Unfinished)) => {
            rules::CAPTURE_UNFINISHED.note("the stream ends before this message does")
        }
        _ => return,
    };
    record.notes.push(note);
}

#[cfg(test)]
mod tests;
