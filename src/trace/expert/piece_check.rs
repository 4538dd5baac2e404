//! Whether the pieces that a peer received are what the torrent says, from peers and from web seeds.
//!
//! Blocks are hashed as they come; only those that come ahead of their turn are kept, within a bound. A hybrid torrent's
//! pieces are checked by their SHA-1: it is in the info dictionary itself, while piece layers may be missing.

use std::collections::btree_map::Entry;
use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

use bittrace_protocol::geometry::Geometry;
use bittrace_protocol::metainfo::{File, Metainfo, PieceHash, PieceHasher};
use bittrace_protocol::wire::Message;
use bittrace_protocol::{InfoHash, PeerId, PieceIndex};
use bytes::Bytes;

use super::hash_proofs::Trees;
use crate::expert::rules;
use crate::record::units::size;
use crate::record::{Body, Note, Record, WebSeedBody};

/// The pieces that are on their way.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    open: HashMap<Key, OpenPiece>,
    /// The memory that blocks take which came ahead of their turn.
    held_bytes: usize,
}

/// Who receives which piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    receiver: Receiver,
    torrent: InfoHash,
    index: PieceIndex,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Receiver {
    /// A client by its address and the beginning of its peer id, which names its program: some draw a new id for every
    /// connection.
    Program(IpAddr, [u8; 8]),
    /// On the loopback interface several clients may have one address.
    Peer(PeerId),
    /// A host, where no handshake tells more.
    Address(IpAddr),
}

impl Receiver {
    pub(super) fn new(address: IpAddr, peer_id: Option<PeerId>) -> Self {
        let Some(peer_id) = peer_id else { return Self::Address(address) };
        match peer_id.0.first_chunk() {
            Some(program) if !address.is_loopback() => Self::Program(address, *program),
            _ => Self::Peer(peer_id),
        }
    }
}

/// A piece of which not all has come.
#[derive(Debug)]
struct OpenPiece {
    hash: PieceHasher,
    /// How many bytes of the piece are hashed.
    hashed: u32,
    /// How many bytes are sent of it: what follows is padding.
    content: u32,
    ahead: BTreeMap<u32, Bytes>,
    /// The memory that those ahead take.
    held_bytes: usize,
    /// Who sent which bytes: the first, in the order in which they came.
    sent: Vec<(SocketAddr, u32, u32)>,
}

/// How many stretches of a piece are remembered with who sent them.
const SENT: usize = 64;
/// How many are named.
const NAMED: usize = 4;

/// How much memory may be taken by blocks ahead of their turn.
const KEPT: usize = 64 << 20;

/// How many pieces may be on their way.
const OPEN: usize = 20_000;

impl Pieces {
    /// Takes in a block, and says of the one that makes its piece whole whether the piece is right.
    pub(super) fn annotate(
        &mut self,
        record: &mut Record,
        receiver: Option<PeerId>,
        torrent: &Metainfo,
        trees: &Trees,
    ) {
        let Some(Message::Piece { index, begin, block }) = record.peer_message() else { return };
        let (index, begin, block) = (*index, *begin, block.clone());
        let receiver = Receiver::new(record.destination.ip(), receiver);
        let key = Key { receiver, torrent: torrent.info_hash, index };
        self.take(record, key, begin, block, torrent, trees);
    }

    /// Takes in bytes of pieces from a web seed.
    pub(super) fn take_web_seed(&mut self, record: &mut Record, torrent: &Metainfo, trees: &Trees) {
        let receiver = Receiver::new(record.destination.ip(), None);
        for (index, begin, bytes) in record.web_seed_parts(Some(torrent)) {
            let key = Key { receiver, torrent: torrent.info_hash, index };
            self.take(record, key, begin, bytes, torrent, trees);
        }
    }

    fn take(
        &mut self,
        record: &mut Record,
        key: Key,
        begin: u32,
        mut block: Bytes,
        torrent: &Metainfo,
        trees: &Trees,
    ) {
        let Some(geometry) = torrent.placement() else { return };
        let Some(size) = geometry.piece_size(key.index) else { return };
        // libtorrent fills the last block of a file up with zeros, which are no part of a tree.
        if geometry.is_aligned() {
            block.truncate(size.saturating_sub(begin) as usize);
        }
        let length = block.len() as u32;
        if block.is_empty() || begin.checked_add(length).is_none_or(|end| end > size) {
            return;
        }
        if self.held_bytes + block.len() > KEPT || self.open.len() >= OPEN {
            self.open.clear();
            self.held_bytes = 0;
        }
        let open = match self.open.entry(key) {
            Slot::Occupied(open) => open.into_mut(),
            Slot::Vacant(place) => {
                let open = OpenPiece::new(torrent, key.index, size);
                // Padding that somebody sends all the same is taken for the zeros that it is.
                if begin >= open.content {
                    return;
                }
                place.insert(open)
            }
        };
        let held_bytes = open.held_bytes;
        open.add(begin, block);
        open.note_sender(record.source, begin, length);
        self.held_bytes = self.held_bytes + open.held_bytes - held_bytes;
        if open.hashed < open.content {
            return;
        }
        let Some(open) = self.open.remove(&key) else { return };
        self.held_bytes -= open.held_bytes;
        let Some(expected) = trees.check_of(torrent, key.index) else { return };
        let pieces = geometry.piece_count();
        let name = format!("piece {} of {pieces} ({})", key.index, file_names(torrent, geometry, key.index));
        let note = open.judge(record, &name, expected, size);
        record.notes.push(note.about(key.index));
    }
}

impl OpenPiece {
    fn new(torrent: &Metainfo, index: PieceIndex, size: u32) -> Self {
        Self {
            hash: torrent.piece_hasher(),
            hashed: 0,
            // A piece that is padding alone counts when it comes.
            content: torrent.piece_content(index).filter(|content| *content > 0).unwrap_or(size),
            ahead: BTreeMap::new(),
            held_bytes: 0,
            sent: Vec::new(),
        }
    }

    /// Says whether the piece is right, now that it is whole.
    fn judge(mut self, record: &Record, name: &str, expected: PieceHash, size: u32) -> Note {
        let is_seed =
            matches!(record.body, Body::WebSeed(WebSeedBody::FileData(_) | WebSeedBody::PieceData(_)));
        let senders = self.senders(if is_seed { "from web seed" } else { "from" });
        let (hash, right, wrong) = match expected {
            PieceHash::Sha1(_) => ("SHA-1", rules::BEP3_PIECE_VERIFIED, rules::BEP3_PIECE_CORRUPT),
            PieceHash::Node(..) | PieceHash::Root(_) => {
                ("SHA-256", rules::BEP52_PIECE_VERIFIED, rules::BEP52_PIECE_CORRUPT)
            }
        };
        // Padding that nobody sent is zero (BEP 47).
        let zeros = [0; 4096];
        while self.hashed < size {
            let part = &zeros[..zeros.len().min((size - self.hashed) as usize)];
            self.hash.update(part);
            self.hashed += part.len() as u32;
        }
        if self.hash.is(expected) {
            let by = if is_seed { format!(", from web seed {}", record.source) } else { String::new() };
            right.note(format!("{name} is complete, and its {hash} is right{by}"))
        } else {
            wrong.note(format!("{name} is complete, but its {hash} is wrong; {senders}"))
        }
    }

    fn add(&mut self, begin: u32, block: Bytes) {
        if begin > self.hashed {
            if let Entry::Vacant(place) = self.ahead.entry(begin) {
                self.held_bytes += cost(&block);
                place.insert(block);
            }
            return;
        }
        self.hash_from(begin, &block);
        while let Some(entry) = self.ahead.first_entry() {
            let begin = *entry.key();
            if begin > self.hashed {
                break;
            }
            let block = entry.remove();
            self.held_bytes -= cost(&block);
            self.hash_from(begin, &block);
        }
    }

    fn note_sender(&mut self, peer: SocketAddr, begin: u32, length: u32) {
        if let Some((last, start, bytes)) = self.sent.last_mut()
            && *last == peer
            && start.checked_add(*bytes) == Some(begin)
        {
            *bytes += length;
        } else if self.sent.len() < SENT {
            self.sent.push((peer, begin, length));
        }
    }

    /// Who sent which bytes, in words.
    fn senders(&self, from: &str) -> String {
        let first = self.sent.iter().take(NAMED);
        let named: Vec<_> = first
            .map(|(peer, begin, length)| format!("{} at {begin} {from} {peer}", size(u64::from(*length))))
            .collect();
        match self.sent.len() {
            all if all > NAMED => format!("{} and more", named.join(", ")),
            _ => named.join(", "),
        }
    }

    /// Hashes what of a block that begins at or before the turn is new.
    fn hash_from(&mut self, begin: u32, block: &Bytes) {
        let known = (self.hashed - begin) as usize;
        if let Some(new) = block.get(known..) {
            self.hash.update(new);
            self.hashed += new.len() as u32;
        }
    }
}

/// A block's bytes, and what it takes to keep them.
fn cost(block: &Bytes) -> usize {
    block.len() + 64
}

/// The files that a piece's bytes lie in, at most three by name.
fn file_names(torrent: &Metainfo, geometry: &Geometry, index: PieceIndex) -> String {
    let ranges = geometry.piece_files(index);
    let files = ranges.iter().filter_map(|range| torrent.files.get(range.file));
    let names: Vec<String> = files.filter(|file| !file.is_padding()).map(File::path_text).collect();
    let mut text = names.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > 3 {
        text.push_str(&format!(" and {} more files", names.len() - 3));
    }
    text
}

#[cfg(test)]
mod tests {
    use sha1::{Digest, Sha1};

    use super::*;

    #[test]
    fn very_many_blocks_ahead_of_their_turn_are_hashed_in_order() {
        let mut open = OpenPiece {
            hash: PieceHasher::Sha1(Sha1::new()),
            hashed: 0,
            content: 100_000,
            ahead: BTreeMap::new(),
            held_bytes: 0,
            sent: Vec::new(),
        };
        let bytes = Bytes::from_iter((0..100_000u32).map(|number| number as u8));
        for begin in (0..bytes.len()).rev() {
            assert_eq!(open.held_bytes, (bytes.len() - 1 - begin) * 65);
            open.add(begin as u32, bytes.slice(begin..=begin));
        }
        assert_eq!((open.hashed, open.held_bytes), (100_000, 0));
        assert!(open.hash.is(PieceHash::Sha1(Sha1::digest(&bytes).into())));
    }
}
