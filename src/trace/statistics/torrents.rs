//! The torrents of a capture: which there were, and what was seen of each.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::wire::Message;
use bittrace_protocol::{InfoHash, PieceIndex, dht};
use foldhash::fast::RandomState;

use super::KEPT;
use crate::expert::rules;
use crate::record::{Body, Record};

/// The torrents of a capture, those given beforehand first.
#[derive(Debug, Default)]
pub struct TorrentsSeen {
    rows: Vec<TorrentSeen>,
    by_hash: HashMap<InfoHash, usize, RandomState>,
    /// The last one that was asked for: mostly it is the next one too.
    last: Option<(InfoHash, usize)>,
    more: u64,
    /// Those that nodes of the DHT speak of.
    sought: Vec<TorrentSought>,
    sought_by_hash: HashMap<InfoHash, usize, RandomState>,
    more_sought: u64,
}

/// A torrent as nodes of the DHT speak of it (BEP 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TorrentSought {
    /// Its info hash, or an id that was asked for as if it were one.
    pub info_hash: InfoHash,
    /// How often its peers were asked for.
    pub asked: u64,
    /// How many peers the answers named, each time counted.
    pub peers: u64,
    /// How often a peer announced itself.
    pub announced: u64,
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
    /// How many blocks came beside those, of which the capture has the head and not all the rest.
    pub cut_blocks: u64,
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
        self.cut_blocks += other.cut_blocks;
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
        if let Body::Dht(message, _) = &record.body {
            self.seek(info_hash, message);
            if !self.by_hash.contains_key(&info_hash) {
                return;
            }
        }
        if let Some(metainfo) = &record.describes {
            self.describe(metainfo);
        }
        let Some(row) = self.row(info_hash) else { return };
        row.records += 1;
        if let Some(Message::Piece { index, block, .. }) = record.peer_message() {
            row.blocks += 1;
            row.payload += block.len() as u64;
            if row.pieces.len() < PIECES {
                row.pieces.insert(*index);
            }
        }
        row.cut_blocks += u64::from(record.cut_block().is_some());
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

    /// The torrents that nodes of the DHT speak of and nothing else does, as they appeared.
    pub fn sought(&self) -> impl Iterator<Item = &TorrentSought> {
        self.sought.iter().filter(|torrent| !self.by_hash.contains_key(&torrent.info_hash))
    }

    /// How many messages of nodes were about torrents that are not kept.
    pub const fn more_sought(&self) -> u64 {
        self.more_sought
    }

    fn seek(&mut self, info_hash: InfoHash, message: &dht::Message) {
        let (asked, peers, announced) = match &message.kind {
            dht::Kind::Query(query) => match query.method {
                dht::Method::GetPeers => (1, 0, 0),
                dht::Method::AnnouncePeer => (0, 0, 1),
                _ => return,
            },
            dht::Kind::Response(response) => {
                (0, response.peers.as_ref().map_or(0, |peers| peers.len() as u64), 0)
            }
            dht::Kind::Error(..) => return,
        };
        let at = match self.sought_by_hash.get(&info_hash) {
            Some(&at) => at,
            // An answer without its question tells nothing of what it is about.
            None if asked + announced == 0 => return,
            None if self.sought.len() >= KEPT => {
                self.more_sought += 1;
                return;
            }
            None => {
                self.sought_by_hash.insert(info_hash, self.sought.len());
                self.sought.push(TorrentSought { info_hash, asked: 0, peers: 0, announced: 0 });
                self.sought.len() - 1
            }
        };
        let torrent = &mut self.sought[at];
        torrent.asked += asked;
        torrent.peers += peers;
        torrent.announced += announced;
    }

    #[inline]
    fn row(&mut self, info_hash: InfoHash) -> Option<&mut TorrentSeen> {
        let at = match &self.last {
            Some((last, at)) if *last == info_hash => *at,
            _ => self.place(info_hash)?,
        };
        self.rows.get_mut(at)
    }

    fn place(&mut self, info_hash: InfoHash) -> Option<usize> {
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
        Some(at)
    }
}
