//! Who spoke, of which torrents, and with which trackers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::tracker::{http, udp};
use bittrace_protocol::wire::{Content, Extension, Message};
use bittrace_protocol::{InfoHash, PeerId, PieceIndex};
use foldhash::fast::RandomState;
use rustc_hash::FxHashMap;

use super::{KEPT, is_tracker};
use crate::expert::rules;
use crate::record::{Body, Protocol, Record, Speaker};
use crate::{Direction, StreamId};

/// The clients of a capture. One is known by its address and the beginning of its peer id, which names its
/// program: many draw a new id for each torrent.
#[derive(Debug, Default)]
pub struct Clients {
    rows: Vec<Client>,
    by_name: HashMap<(IpAddr, [u8; 8]), usize, RandomState>,
    by_way: FxHashMap<(StreamId, Direction), usize>,
    more: u64,
}

/// A program that spoke BitTorrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Where it ran.
    pub address: IpAddr,
    /// Whether that is the host the capture is about.
    pub local: bool,
    /// The first peer id it showed.
    pub peer_id: PeerId,
    /// What that id says of the program; `None` when it says nothing.
    pub name: Option<Arc<str>>,
    /// What it calls itself in extended handshakes (BEP 10).
    pub says: Option<String>,
    /// The port on which it says it listens.
    pub port: Option<u16>,
    /// On how many connections it shook hands.
    pub handshakes: u64,
}

impl Clients {
    /// The clients in the order in which they first spoke.
    pub fn rows(&self) -> &[Client] {
        &self.rows
    }

    /// How many sightings there were of clients that are not kept.
    pub const fn more(&self) -> u64 {
        self.more
    }

    pub(super) fn add(&mut self, record: &Record) {
        match &record.body {
            Body::Handshake(handshake) => {
                let Some(at) = self.place(record, handshake.peer_id) else { return };
                self.rows[at].handshakes += 1;
                if self.by_way.len() >= 2 * KEPT {
                    self.by_way.clear();
                }
                self.by_way.insert((record.stream, record.direction), at);
            }
            Body::Extended(Message::Extended { payload, .. }, extension @ Extension::Handshake) => {
                let Some(&at) = self.by_way.get(&(record.stream, record.direction)) else { return };
                if let Ok(Content::Handshake(handshake)) = extension.decode(payload) {
                    let client = &mut self.rows[at];
                    client.says = handshake.client.or(client.says.take());
                    client.port = handshake.port.or(client.port);
                }
            }
            Body::HttpRequest(_, kind) => {
                if let http::RequestKind::Announce(announce) = &**kind
                    && let Some(peer_id) = announce.peer_id
                    && let Some(at) = self.place(record, peer_id)
                {
                    self.rows[at].port = announce.port.or(self.rows[at].port);
                }
            }
            Body::UdpTracker(packet) => {
                if let udp::Packet::AnnounceRequest(announce) = &**packet
                    && let Some(at) = self.place(record, announce.peer_id)
                {
                    self.rows[at].port = Some(announce.port);
                }
            }
            _ => {}
        }
    }

    fn place(&mut self, record: &Record, peer_id: PeerId) -> Option<usize> {
        let address = record.source.ip();
        let mut program = [0; 8];
        program.copy_from_slice(&peer_id.0[..8]);
        let at = match self.by_name.get(&(address, program)) {
            Some(at) => *at,
            None if self.rows.len() >= KEPT => {
                self.more += 1;
                return None;
            }
            None => {
                self.by_name.insert((address, program), self.rows.len());
                self.rows.push(Client {
                    address,
                    local: false,
                    peer_id,
                    name: None,
                    says: None,
                    port: None,
                    handshakes: 0,
                });
                self.rows.len() - 1
            }
        };
        let client = &mut self.rows[at];
        client.local |= record.speaker == Speaker::Local;
        if client.name.is_none() {
            client.name.clone_from(&record.client);
        }
        Some(at)
    }
}

/// The torrents of a capture, those given beforehand first.
#[derive(Debug, Default)]
pub struct TorrentsSeen {
    rows: Vec<TorrentSeen>,
    by_hash: HashMap<InfoHash, usize, RandomState>,
    /// The last one that was asked for: mostly it is the next one too.
    last: Option<(InfoHash, usize)>,
    more: u64,
}

/// What was seen of a torrent.
#[derive(Debug, Clone, Default)]
pub struct TorrentSeen {
    /// Its info hash; `None` where this turned out to be the same torrent as another, which has all that was seen of it.
    pub info_hash: Option<InfoHash>,
    /// What its file says, where one was given.
    pub metainfo: Option<Arc<Metainfo>>,
    /// How many records were about it.
    pub records: u64,
    /// The pieces of which a block was seen.
    pub pieces: HashSet<PieceIndex, RandomState>,
    /// How many blocks were seen, those sent twice counted twice.
    pub blocks: u64,
    /// Their bytes.
    pub payload: u64,
    /// The pieces that came whole and were right.
    pub verified: HashSet<PieceIndex, RandomState>,
    /// How often one did, those that came more than once counted each time.
    pub right: u64,
    /// How often one came whole and was wrong.
    pub corrupt: u64,
}

/// How many pieces are told apart in a torrent.
const PIECES: usize = 1_000_000;

impl TorrentSeen {
    /// How many pieces its file divides it into; `None` without a file, or with one whose rules are not known.
    pub fn piece_count(&self) -> Option<u64> {
        Some(self.metainfo.as_deref()?.placement()?.piece_count().into())
    }

    /// Whether pieces can be checked against hashes.
    pub fn is_checked(&self) -> bool {
        self.piece_count().is_some()
    }

    /// Its other info hash, that of version 2 cut to 20 bytes, where it is a hybrid torrent (BEP 52, "Upgrade Path").
    pub fn other_hash(&self) -> Option<InfoHash> {
        self.metainfo.as_deref()?.truncated_v2().filter(|hash| Some(*hash) != self.info_hash)
    }

    /// Takes over what was seen of the same torrent under its other info hash.
    fn join(&mut self, other: Self) {
        self.records += other.records;
        self.blocks += other.blocks;
        self.payload += other.payload;
        self.right += other.right;
        self.corrupt += other.corrupt;
        self.pieces.extend(other.pieces);
        self.verified.extend(other.verified);
    }
}

impl TorrentsSeen {
    pub(super) fn new(torrents: &[Arc<Metainfo>]) -> Self {
        let mut seen = Self::default();
        for metainfo in torrents {
            seen.describe(metainfo);
        }
        seen
    }

    /// Takes in what a torrent is. A hybrid one goes by both its hashes (BEP 52, "Upgrade Path"): what was seen of either
    /// is one row then.
    fn describe(&mut self, metainfo: &Arc<Metainfo>) {
        let other = metainfo.truncated_v2().filter(|hash| *hash != metainfo.info_hash);
        let known = other.and_then(|hash| self.by_hash.get(&hash).copied());
        let known = known.filter(|_| !self.by_hash.contains_key(&metainfo.info_hash));
        if let Some(at) = known {
            self.by_hash.insert(metainfo.info_hash, at);
        }
        if self.row(metainfo.info_hash).is_none() {
            return;
        }
        let Some(&at) = self.by_hash.get(&metainfo.info_hash) else { return };
        if let Some(other) = other
            && let Some(from) = self.by_hash.insert(other, at)
            && from != at
        {
            // Its place stays, as others count on theirs.
            let seen = std::mem::take(&mut self.rows[from]);
            self.rows[at].join(seen);
        }
        let row = &mut self.rows[at];
        row.info_hash = Some(metainfo.info_hash);
        row.metainfo = Some(Arc::clone(metainfo));
    }

    /// The torrents: those given beforehand, then the others as they appeared.
    pub fn rows(&self) -> &[TorrentSeen] {
        &self.rows
    }

    /// How many records were about torrents that are not kept.
    pub const fn more(&self) -> u64 {
        self.more
    }

    pub(super) fn add(&mut self, record: &Record) {
        let Some(info_hash) = record.torrent else { return };
        // Nodes are asked for any torrent there is, and for random ids.
        if matches!(record.body, Body::Dht(..)) && !self.by_hash.contains_key(&info_hash) {
            return;
        }
        if let Some(metainfo) = &record.describes {
            self.describe(metainfo);
        }
        let Some(row) = self.row(info_hash) else { return };
        row.records += 1;
        if let Body::Message(Message::Piece { index, block, .. }) = &record.body {
            row.blocks += 1;
            row.payload += block.len() as u64;
            if row.pieces.len() < PIECES {
                row.pieces.insert(*index);
            }
        }
        for (piece, is_right) in record.notes.iter().filter_map(rules::verdict_on_piece) {
            if !is_right {
                row.corrupt += 1;
                continue;
            }
            row.right += 1;
            if row.verified.len() < PIECES {
                row.verified.insert(piece);
            }
        }
    }

    fn row(&mut self, info_hash: InfoHash) -> Option<&mut TorrentSeen> {
        if let Some((last, at)) = self.last
            && last == info_hash
        {
            return self.rows.get_mut(at);
        }
        let next = self.rows.len();
        if next >= KEPT && !self.by_hash.contains_key(&info_hash) {
            self.more += 1;
            return None;
        }
        let at = *self.by_hash.entry(info_hash).or_insert(next);
        if at == next {
            self.rows.push(TorrentSeen { info_hash: Some(info_hash), ..TorrentSeen::default() });
        }
        self.last = Some((info_hash, at));
        self.rows.get_mut(at)
    }
}

/// The trackers of a capture. One is known by its URL; an answer belongs to the one whose request it answers.
#[derive(Debug, Default)]
pub struct Trackers {
    rows: Vec<Tracker>,
    by_url: HashMap<String, usize, RandomState>,
    /// Which tracker a request that waits for its answer went to, by the request's number.
    waiting: FxHashMap<u64, usize>,
    /// Which tracker the last request of a stream went to.
    by_stream: FxHashMap<StreamId, usize>,
    more: u64,
}

/// What a tracker was asked, and what it answered.
#[derive(Debug, Clone, Default)]
pub struct Tracker {
    /// Its URL without a query, as far as the capture tells.
    pub url: String,
    /// Announces by their event: `started`, ..., `regular`.
    pub announces: BTreeMap<&'static str, u64>,
    /// Scrapes.
    pub scrapes: u64,
    /// Answers to announces.
    pub announce_answers: u64,
    /// Answers to scrapes.
    pub scrape_answers: u64,
    /// Different peers among those answers, counted up to 10,000.
    pub peers: BTreeSet<String>,
    /// Seconds between announces, as last told.
    pub interval: Option<u64>,
    /// Peers that have everything, as last told.
    pub complete: Option<u64>,
    /// Peers that do not, as last told.
    pub incomplete: Option<u64>,
    /// How often it refused or answered what cannot be read.
    pub failures: u64,
    /// Its words when it last refused.
    pub last_failure: Option<String>,
}

impl Tracker {
    fn announced(&mut self, event: &'static str) {
        *self.announces.entry(event).or_default() += 1;
    }

    fn gave(&mut self, peers: impl Iterator<Item = String>) {
        self.announce_answers += 1;
        for peer in peers {
            if self.peers.len() < KEPT {
                self.peers.insert(peer);
            }
        }
    }

    fn refused(&mut self, words: String) {
        self.failures += 1;
        self.last_failure = Some(words);
    }
}

impl Trackers {
    /// The trackers in the order in which they were asked.
    pub fn rows(&self) -> &[Tracker] {
        &self.rows
    }

    /// How many messages there were to and from trackers that are not kept.
    pub const fn more(&self) -> u64 {
        self.more
    }

    pub(super) fn add(&mut self, record: &Record) {
        if !is_tracker(record.body.protocol()) {
            return;
        }
        let Some(at) = self.place(record) else {
            self.more += 1;
            return;
        };
        let tracker = &mut self.rows[at];
        match &record.body {
            Body::HttpRequest(request, kind) => match &**kind {
                http::RequestKind::Announce(announce) => {
                    // Its name until now may be that of its scrapes.
                    if tracker.announces.is_empty() {
                        tracker.url = http_url(request, record.destination);
                    }
                    let event = announce.event.map_or("regular", bittrace_protocol::tracker::Event::name);
                    tracker.announced(event);
                }
                http::RequestKind::Scrape(_) => tracker.scrapes += 1,
                http::RequestKind::Other => {}
            },
            Body::HttpResponse(response, reply) => match &**reply {
                http::Reply::Announce(reply) => {
                    tracker.gave(reply.peers.iter().map(ToString::to_string));
                    tracker.interval = reply.interval.or(tracker.interval);
                    tracker.complete = reply.complete.or(tracker.complete);
                    tracker.incomplete = reply.incomplete.or(tracker.incomplete);
                }
                http::Reply::Scrape(_) => tracker.scrape_answers += 1,
                http::Reply::Failure { reason, .. } => tracker.refused(reason.clone()),
                // An interim answer says nothing yet (RFC 9110, 15.2).
                http::Reply::NotBencoded(_) if response.status < 200 => {}
                http::Reply::NotBencoded(_) => {
                    tracker.refused(format!("HTTP status {}, no bencoded answer", response.status));
                }
            },
            Body::UdpTracker(packet) => match &**packet {
                udp::Packet::AnnounceRequest(announce) => {
                    tracker.announced(
                        announce.event().map_or("regular", bittrace_protocol::tracker::Event::name),
                    );
                }
                udp::Packet::AnnounceResponse(reply) => {
                    tracker.gave(reply.peers.iter().map(ToString::to_string));
                    tracker.interval = Some(u64::from(reply.interval));
                    tracker.complete = Some(u64::from(reply.seeders));
                    tracker.incomplete = Some(u64::from(reply.leechers));
                }
                udp::Packet::ScrapeRequest { .. } => tracker.scrapes += 1,
                udp::Packet::ScrapeResponse { .. } => tracker.scrape_answers += 1,
                udp::Packet::Error { message, .. } => {
                    tracker.refused(String::from_utf8_lossy(message).into_owned());
                }
                udp::Packet::ConnectRequest { .. } | udp::Packet::ConnectResponse { .. } => {}
            },
            _ => {}
        }
    }
    /// The row of the tracker that a record went to or came from.
    fn place(&mut self, record: &Record) -> Option<usize> {
        match &record.body {
            Body::HttpRequest(request, kind) => {
                let url = http_url(request, record.destination);
                let key = match &**kind {
                    http::RequestKind::Scrape(_) => announce_url(&url),
                    _ => url.clone(),
                };
                let at = self.row(key, url);
                self.ask(record, at);
                at
            }
            Body::HttpResponse(..) => {
                let asked = record.answers.and_then(|answer| self.waiting.remove(&answer.number));
                if let Some(at) = asked.or_else(|| self.by_stream.get(&record.stream).copied()) {
                    return Some(at);
                }
                let url = format!("http://{}", far_end(record));
                self.row(url.clone(), url)
            }
            _ => {
                let scheme = if record.body.protocol() == Protocol::UdpTracker { "udp" } else { "http" };
                let url = format!("{scheme}://{}", far_end(record));
                self.row(url.clone(), url)
            }
        }
    }

    fn ask(&mut self, record: &Record, at: Option<usize>) {
        if self.waiting.len() >= 2 * KEPT {
            self.waiting.clear();
        }
        if self.by_stream.len() >= 2 * KEPT {
            self.by_stream.clear();
        }
        match at {
            Some(at) => {
                self.waiting.insert(record.number, at);
                self.by_stream.insert(record.stream, at);
            }
            None => {
                self.by_stream.remove(&record.stream);
            }
        }
    }

    fn row(&mut self, key: String, url: String) -> Option<usize> {
        if let Some(at) = self.by_url.get(&key) {
            return Some(*at);
        }
        let at = self.rows.len();
        if at >= KEPT {
            return None;
        }
        self.by_url.insert(key, at);
        self.rows.push(Tracker { url, ..Tracker::default() });
        Some(at)
    }
}

/// Where the tracker of a record is.
const fn far_end(record: &Record) -> SocketAddr {
    match record.direction {
        Direction::FromInitiator => record.destination,
        Direction::FromResponder => record.source,
    }
}

/// The URL that a request was made for, without its query.
fn http_url(request: &http::Request, address: SocketAddr) -> String {
    let path = String::from_utf8_lossy(request.path());
    // As a proxy is asked (RFC 9112, 3.2.2).
    if path.starts_with("http://") {
        return path.into_owned();
    }
    match request.header("host") {
        Some(host) => format!("http://{}{path}", String::from_utf8_lossy(host)),
        None => format!("http://{address}{path}"),
    }
}

/// The URL for announces to the tracker that is scraped at `url` (BEP 48, "tracker HTTP scrape protocol").
fn announce_url(url: &str) -> String {
    match url.rsplit_once('/') {
        Some((folder, name)) if name.starts_with("scrape") => {
            format!("{folder}/announce{}", &name["scrape".len()..])
        }
        _ => url.to_owned(),
    }
}
