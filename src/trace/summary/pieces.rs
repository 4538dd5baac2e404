//! What came of each piece: from whom, when it was whole, whether it was right, which bytes nobody sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::wire::Message;
use bittrace_protocol::{InfoHash, PieceIndex, Timestamp};

use crate::Dissected;
use crate::record::{Body, Record};
use crate::rules::{BEP3_PIECE_CORRUPT, BEP3_PIECE_VERIFIED};

/// The pieces of a capture, by torrent and number.
#[derive(Debug, Default)]
pub struct PiecesSeen {
    torrents: Vec<Arc<Metainfo>>,
    rows: BTreeMap<(InfoHash, PieceIndex), PieceSeen>,
    more: u64,
}

/// What was seen of a piece.
#[derive(Debug, Clone, Default)]
pub struct PieceSeen {
    /// Its bytes; `None` where its torrent is not known.
    pub size: Option<u32>,
    /// Who sent blocks of it: the first of them, with how many.
    pub from: Vec<(SocketAddr, u64)>,
    /// The bytes that came, in order, apart from each other.
    pub came: Vec<Range<u32>>,
    /// When its last missing byte came, and the number of the message that brought it.
    pub complete: Option<(Timestamp, u64)>,
    /// How often a peer had it whole and right.
    pub right: u64,
    /// How often a peer had it whole and wrong.
    pub wrong: u64,
}

/// Whether a piece is what the torrent says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It came with its hash.
    Right,
    /// Whenever it was whole, it had not its hash.
    Wrong,
    /// No peer had it whole, or its torrent is not known.
    Unknown,
}

impl Verdict {
    /// Its name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Unknown => "unknown",
        }
    }
}

/// How many pieces are kept, how many senders of each, and how many ranges.
const PIECES: usize = 200_000;
const SENDERS: usize = 16;
const RANGES: usize = 256;

impl PieceSeen {
    /// Whether it is what the torrent says.
    pub const fn verdict(&self) -> Verdict {
        match (self.right, self.wrong) {
            (1.., _) => Verdict::Right,
            (0, 1..) => Verdict::Wrong,
            (0, 0) => Verdict::Unknown,
        }
    }

    /// The bytes that nobody sent in whole blocks; `None` where the piece's length is not known.
    pub fn missing(&self) -> Option<Vec<Range<u32>>> {
        let size = self.size?;
        let mut missing = Vec::new();
        let mut at = 0;
        for range in &self.came {
            if range.start > at {
                missing.push(at..range.start);
            }
            at = range.end;
        }
        if at < size {
            missing.push(at..size);
        }
        Some(missing)
    }

    fn add(&mut self, range: Range<u32>) {
        let first = self.came.partition_point(|known| known.end < range.start);
        let behind = self.came.partition_point(|known| known.start <= range.end);
        let mut joined = range;
        for known in &self.came[first..behind] {
            joined = joined.start.min(known.start)..joined.end.max(known.end);
        }
        if first == behind && self.came.len() >= RANGES {
            return;
        }
        self.came.splice(first..behind, [joined]);
    }
}

impl PiecesSeen {
    /// Pieces of these torrents, and of others.
    pub fn new(torrents: &[Arc<Metainfo>]) -> Self {
        Self { torrents: torrents.to_vec(), ..Self::default() }
    }

    /// The pieces that blocks came of.
    pub fn rows(&self) -> impl Iterator<Item = (InfoHash, PieceIndex, &PieceSeen)> {
        self.rows.iter().map(|((info_hash, piece), seen)| (*info_hash, *piece, seen))
    }

    /// How many of a torrent's pieces no block came of; `None` where the torrent is not known.
    pub fn unseen(&self, info_hash: InfoHash) -> Option<u64> {
        let torrent = self.torrent(info_hash)?;
        let seen = self.rows.range((info_hash, PieceIndex(0))..=(info_hash, PieceIndex(u32::MAX))).count();
        Some((torrent.piece_count() as u64).saturating_sub(seen as u64))
    }

    /// The torrent of that info hash, where it was given.
    pub fn torrent(&self, info_hash: InfoHash) -> Option<&Arc<Metainfo>> {
        self.torrents.iter().find(|torrent| {
            // A hybrid torrent goes by both its hashes (BEP 52, "upgrade path").
            let truncated = torrent.info_hash_v2.as_ref().and_then(|hash| hash.first_chunk());
            torrent.info_hash == info_hash || truncated == Some(&info_hash.0)
        })
    }

    /// How many blocks there were of pieces beyond those that are kept.
    pub const fn more(&self) -> u64 {
        self.more
    }

    /// Takes in a record.
    pub fn add(&mut self, dissected: &Dissected) {
        if let Dissected::Record(record) = dissected
            && let Body::Message(Message::Piece { index, begin, block }) = &record.body
            && let Some(info_hash) = record.torrent
        {
            self.block(record, info_hash, *index, *begin, block.len() as u32);
        }
    }

    fn block(&mut self, record: &Record, info_hash: InfoHash, index: PieceIndex, begin: u32, length: u32) {
        let torrent = self.torrent(info_hash).map(Arc::clone);
        let info_hash = torrent.as_ref().map_or(info_hash, |torrent| torrent.info_hash);
        let size = torrent.as_ref().and_then(|torrent| torrent.geometry.as_ref()?.piece_size(index));
        let key = (info_hash, index);
        if self.rows.len() >= PIECES && !self.rows.contains_key(&key) {
            self.more += 1;
            return;
        }
        let seen = self.rows.entry(key).or_default();
        seen.size = size;
        match seen.from.iter().position(|(peer, _)| *peer == record.source) {
            Some(at) => seen.from[at].1 += 1,
            None if seen.from.len() < SENDERS => seen.from.push((record.source, 1)),
            None => {}
        }
        let end = begin.saturating_add(length).min(size.unwrap_or(u32::MAX));
        if begin < end {
            seen.add(begin..end);
        }
        let whole = size.is_some_and(|size| matches!(seen.came.as_slice(), [all] if *all == (0..size)));
        if whole && seen.complete.is_none() {
            seen.complete = Some((record.at, record.number));
        }
        for note in &record.notes {
            seen.right += u64::from(note.rule == BEP3_PIECE_VERIFIED.id);
            seen.wrong += u64::from(note.rule == BEP3_PIECE_CORRUPT.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_meet_become_one_range_and_gaps_are_missing() {
        let mut seen = PieceSeen { size: Some(40), ..PieceSeen::default() };
        for range in [20..25, 5..10, 10..12, 24..30, 5..6] {
            seen.add(range);
        }
        assert_eq!(seen.came, [5..12, 20..30]);
        assert_eq!(seen.missing(), Some(vec![0..5, 12..20, 30..40]));
        seen.add(0..40);
        assert_eq!((seen.came.len(), seen.missing()), (1, Some(Vec::new())));
    }
}
