//! What came of each piece: from whom, when it was whole, whether it was right, which bytes nobody sent.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::wire::Message;
use bittrace_protocol::{InfoHash, PieceIndex, Timestamp};
use foldhash::fast::RandomState;

use super::{BlockRepeat, BlocksReceived};
use crate::Dissected;
use crate::expert::rules;
use crate::record::{Body, PeerWireBody, Reason, Record, Unreadable, WebSeedBody};

/// The pieces of a capture, by torrent and number.
#[derive(Debug, Default)]
pub struct PiecesSeen {
    /// By each hash that they go by: blocks are looked up here one by one.
    torrents: HashMap<InfoHash, Arc<Metainfo>, RandomState>,
    rows: BTreeMap<(InfoHash, PieceIndex), PieceSeen>,
    received: BlocksReceived,
    more: u64,
}

/// What was seen of a piece.
#[derive(Debug, Clone, Default)]
pub struct PieceSeen {
    /// Its bytes; `None` where its torrent is not known.
    pub size: Option<u32>,
    /// Those of them that need be sent: what follows is padding.
    content: Option<u32>,
    /// Who sent bytes of it: the first of them.
    pub from: Vec<Sender>,
    /// The bytes that came, in order, apart from each other.
    pub came: Vec<Range<u32>>,
    /// When its last missing byte came, and the number of the message that brought it.
    pub complete: Option<(Timestamp, u64)>,
    /// When a peer first had it whole and right, and the number of the message that made it so.
    pub verified: Option<(Timestamp, u64)>,
    /// How often a peer had it whole and right.
    pub right: u64,
    /// How often a peer had it whole and wrong.
    pub wrong: u64,
    /// How many blocks these wrong ones were made of.
    pub wrong_blocks: u64,
    /// Bytes of blocks that came again after the piece had been whole and wrong.
    pub again_after_wrong_hash: u64,
    /// Bytes of blocks that came again though nothing was wrong with the first.
    pub again_for_nothing: u64,
    /// Whether bytes of it came before peers had told what it should be.
    pub early: bool,
    /// The last message that brought bytes of it.
    last: Option<(Timestamp, u64)>,
}

/// Who sent bytes of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether it is a web seed.
    pub is_web_seed: bool,
    /// How many blocks it sent of which the capture has all.
    pub blocks: u64,
    /// How many parts of others; of a web seed, parts as its answers came.
    pub parts: u64,
}

/// Whether a piece is what the torrent says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It came with its hash.
    Right,
    /// Whenever it was whole, it had not its hash.
    Wrong,
    /// It came before peers had told what it should be.
    NotChecked,
    /// No peer had it whole, or its hash is not known.
    Unknown,
}

impl Verdict {
    /// Its name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::NotChecked => "not checked",
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
            (0, 0) if self.early => Verdict::NotChecked,
            (0, 0) => Verdict::Unknown,
        }
    }

    /// The bytes that nobody sent, padding left out; `None` where the piece's length is not known.
    pub fn missing(&self) -> Option<Vec<Range<u32>>> {
        let content = self.content?;
        let mut missing = Vec::new();
        let mut at = 0;
        for range in &self.came {
            if range.start > at {
                missing.push(at..range.start.min(content));
            }
            at = range.end;
            if at >= content {
                return Some(missing);
            }
        }
        missing.push(at..content);
        Some(missing)
    }

    fn is_whole(&self) -> bool {
        self.content.is_some_and(|content| {
            self.came.first().is_some_and(|first| first.start == 0 && first.end >= content)
        })
    }

    /// Takes in what was seen of the same piece under another hash of its torrent.
    fn merge(&mut self, other: Self) {
        for range in other.came {
            self.add(range);
        }
        for sender in other.from {
            let known =
                |own: &&mut Sender| (own.address, own.is_web_seed) == (sender.address, sender.is_web_seed);
            if let Some(own) = self.from.iter_mut().find(known) {
                own.blocks += sender.blocks;
                own.parts += sender.parts;
            } else if self.from.len() < SENDERS {
                self.from.push(sender);
            }
        }
        self.right += other.right;
        self.wrong += other.wrong;
        self.wrong_blocks += other.wrong_blocks;
        self.again_after_wrong_hash += other.again_after_wrong_hash;
        self.again_for_nothing += other.again_for_nothing;
        self.complete = self.complete.or(other.complete);
        self.verified = self.verified.or(other.verified);
        self.last = self.last.max(other.last);
    }

    /// Takes in what the torrent says of it.
    fn describe(&mut self, torrent: &Metainfo, index: PieceIndex) {
        self.size = torrent.placement().and_then(|geometry| geometry.piece_size(index));
        self.content = torrent.piece_content(index);
        self.note_whole();
    }

    fn note_whole(&mut self) {
        if self.complete.is_none() && self.is_whole() {
            self.complete = self.last;
        }
    }

    fn sent_by(&mut self, record: &Record, came: BlockOrigin) {
        let is_web_seed = came == BlockOrigin::FromWebSeed;
        let known = |sender: &Sender| sender.address == record.source && sender.is_web_seed == is_web_seed;
        let at = self.from.iter().position(known).unwrap_or(self.from.len());
        if at == self.from.len() {
            if at >= SENDERS {
                return;
            }
            self.from.push(Sender { address: record.source, is_web_seed, blocks: 0, parts: 0 });
        }
        match came {
            BlockOrigin::Whole => self.from[at].blocks += 1,
            BlockOrigin::InPart | BlockOrigin::FromWebSeed => self.from[at].parts += 1,
        }
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

/// How bytes came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlockOrigin {
    /// As a block.
    Whole,
    /// As what the capture has of one.
    InPart,
    FromWebSeed,
}

impl PiecesSeen {
    /// Pieces of these torrents, and of others.
    pub fn new(torrents: &[Arc<Metainfo>]) -> Self {
        let mut pieces = Self::default();
        for torrent in torrents {
            pieces.know(torrent);
        }
        pieces
    }

    /// Takes in a torrent under each of its hashes. The first that goes by a hash keeps it.
    fn know(&mut self, torrent: &Arc<Metainfo>) {
        for hash in torrent.info_hashes() {
            self.torrents.entry(hash).or_insert_with(|| Arc::clone(torrent));
        }
    }

    /// The pieces that blocks came of.
    pub fn rows(&self) -> impl Iterator<Item = (InfoHash, PieceIndex, &PieceSeen)> {
        self.rows.iter().map(|((info_hash, piece), seen)| (*info_hash, *piece, seen))
    }

    /// How many of a torrent's pieces no block came of; `None` where the torrent is not known.
    pub fn unseen(&self, info_hash: InfoHash) -> Option<u64> {
        let pieces = self.piece_count(info_hash)?;
        let seen = self.rows.range((info_hash, PieceIndex(0))..=(info_hash, PieceIndex(u32::MAX))).count();
        Some(u64::from(pieces).saturating_sub(seen as u64))
    }

    /// The torrent of that info hash, where it was given or peers told it.
    pub fn torrent(&self, info_hash: InfoHash) -> Option<&Arc<Metainfo>> {
        self.torrents.get(&info_hash)
    }

    /// How many pieces that torrent has, where it is known and so are its rules.
    pub fn piece_count(&self, info_hash: InfoHash) -> Option<u32> {
        Some(self.torrent(info_hash)?.placement()?.piece_count())
    }

    /// How many blocks there were of pieces beyond those that are kept.
    pub const fn more(&self) -> u64 {
        self.more
    }

    /// Takes in a record. Of a block it says whether the receiver had the block already.
    pub fn add(&mut self, dissected: &Dissected) -> Option<BlockRepeat> {
        let Dissected::Record(record) = dissected else { return None };
        let mut repeat = None;
        match &record.body {
            Body::PeerWire(
                PeerWireBody::Message(Message::Piece { index, begin, block })
                | PeerWireBody::Azureus(_, Some(Message::Piece { index, begin, block })),
            ) => {
                let length = block.len() as u32;
                self.bytes(record, *index, *begin, length, BlockOrigin::Whole);
                repeat = Some(self.repeat(record, *index, *begin, length));
            }
            Body::Unreadable(_, Unreadable::Opaque(Reason::Fragment(fragment))) => {
                if let Some((index, begin, block)) = fragment.part_of_block(&record.bytes) {
                    self.bytes(record, index, begin, block.len() as u32, BlockOrigin::InPart);
                }
                // The receiver got the block whole, whatever the capture has of it.
                if let Some((index, begin, length)) = fragment.cut_block() {
                    repeat = Some(self.repeat(record, index, begin, length));
                }
            }
            Body::WebSeed(WebSeedBody::FileData(_) | WebSeedBody::PieceData(_)) => self.take_web_seed(record),
            _ => {}
        }
        self.verdicts(record);
        if let Some(torrent) = &record.describes {
            self.describe(torrent);
        }
        repeat
    }

    /// Takes in whether a block comes again.
    fn repeat(&mut self, record: &Record, index: PieceIndex, begin: u32, length: u32) -> BlockRepeat {
        let repeat = self.received.block(record, index, begin, length);
        if let Some(info_hash) = record.torrent
            && let Some(seen) = self.rows.get_mut(&(self.known_as(info_hash), index))
        {
            match repeat {
                BlockRepeat::New => {}
                BlockRepeat::AfterWrongHash => seen.again_after_wrong_hash += u64::from(length),
                BlockRepeat::ForNothing => seen.again_for_nothing += u64::from(length),
            }
        }
        repeat
    }

    /// Takes in what a torrent is, of which blocks may have come already, under either of its info hashes.
    fn describe(&mut self, torrent: &Arc<Metainfo>) {
        self.know(torrent);
        for hash in torrent.info_hashes() {
            let all = (hash, PieceIndex(0))..=(hash, PieceIndex(u32::MAX));
            let pieces: Vec<PieceIndex> = self.rows.range(all).map(|((_, piece), _)| *piece).collect();
            for piece in pieces {
                let Some(mut seen) = self.rows.remove(&(hash, piece)) else { continue };
                let key = (torrent.info_hash, piece);
                if let Some(other) = self.rows.remove(&key) {
                    seen.merge(other);
                }
                seen.early = true;
                seen.describe(torrent, piece);
                self.rows.insert(key, seen);
            }
        }
    }

    fn take_web_seed(&mut self, record: &Record) {
        let torrent = record.torrent.and_then(|hash| self.torrent(hash)).map(Arc::clone);
        for (index, begin, bytes) in record.web_seed_parts(torrent.as_deref()) {
            self.bytes(record, index, begin, bytes.len() as u32, BlockOrigin::FromWebSeed);
        }
    }

    fn bytes(&mut self, record: &Record, index: PieceIndex, begin: u32, length: u32, came: BlockOrigin) {
        let Some(info_hash) = record.torrent else { return };
        let torrent = self.torrents.get(&info_hash);
        let key = (torrent.map_or(info_hash, |torrent| torrent.info_hash), index);
        if self.rows.len() >= PIECES && !self.rows.contains_key(&key) {
            self.more += 1;
            return;
        }
        let seen = self.rows.entry(key).or_insert_with(|| {
            let mut seen = PieceSeen::default();
            if let Some(torrent) = torrent {
                seen.describe(torrent, index);
            }
            seen
        });
        seen.sent_by(record, came);
        let end = begin.saturating_add(length).min(seen.size.unwrap_or(u32::MAX));
        if begin < end {
            seen.add(begin..end);
        }
        seen.last = Some((record.at, record.number));
        seen.note_whole();
    }

    /// Takes in what a message that made pieces whole is said to have made of them.
    fn verdicts(&mut self, record: &Record) {
        let Some(info_hash) = record.torrent else { return };
        for (piece, is_right) in record.notes.iter().filter_map(rules::verdict_on_piece) {
            let key = (self.known_as(info_hash), piece);
            let wrong_blocks = if is_right { 0 } else { self.received.wrong_hash(record, piece).len() };
            let Some(seen) = self.rows.get_mut(&key) else { continue };
            if is_right {
                seen.right += 1;
                seen.verified = seen.verified.or(Some((record.at, record.number)));
            } else {
                seen.wrong += 1;
                seen.wrong_blocks += wrong_blocks as u64;
            }
        }
    }

    /// The hash by which a torrent's rows go.
    fn known_as(&self, info_hash: InfoHash) -> InfoHash {
        self.torrent(info_hash).map_or(info_hash, |torrent| torrent.info_hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_meet_become_one_range_and_gaps_are_missing() {
        let mut seen = PieceSeen { content: Some(40), ..PieceSeen::default() };
        for range in [20..25, 5..10, 10..12, 24..30, 5..6] {
            seen.add(range);
        }
        assert_eq!(seen.came, [5..12, 20..30]);
        assert_eq!(seen.missing(), Some(vec![0..5, 12..20, 30..40]));
        // What lies after them is padding.
        seen.content = Some(25);
        assert_eq!(seen.missing(), Some(vec![0..5, 12..20]));
        seen.content = Some(16);
        assert_eq!(seen.missing(), Some(vec![0..5, 12..16]));
        seen.add(0..40);
        assert_eq!((seen.came.len(), seen.missing(), seen.is_whole()), (1, Some(Vec::new()), true));
    }
}
