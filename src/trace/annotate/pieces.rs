//! Whether the pieces that a peer received are what the torrent says.
//!
//! Blocks are hashed as they come; only those that come ahead of their turn are kept, within a bound.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

use bittrace_protocol::geometry::Geometry;
use bittrace_protocol::metainfo::{File, Metainfo};
use bittrace_protocol::wire::Message;
use bittrace_protocol::{InfoHash, PeerId, PieceIndex};
use bytes::Bytes;
use sha1::{Digest, Sha1};

use crate::record::{Body, Note, Record, Severity};
use crate::words::size;

/// The pieces that are on their way.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    open: HashMap<Key, Open>,
    /// The memory that blocks take which came ahead of their turn.
    kept: usize,
}

/// Who receives which piece. A peer is known by its id, which is the same on all its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    receiver: Receiver,
    torrent: InfoHash,
    index: PieceIndex,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Receiver {
    Peer(PeerId),
    Address(IpAddr),
}

#[derive(Debug, Default)]
struct Open {
    hash: Sha1,
    /// How many bytes of the piece are hashed.
    hashed: u32,
    ahead: BTreeMap<u32, Bytes>,
    /// The memory that those ahead take.
    kept: usize,
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
    pub(super) fn annotate(&mut self, record: &mut Record, receiver: Option<PeerId>, torrent: &Metainfo) {
        let Body::Message(Message::Piece { index, begin, block }) = &record.body else { return };
        let Some(geometry) = &torrent.geometry else { return };
        let (Some(expected), Some(size)) = (torrent.piece_hash(*index), geometry.piece_size(*index)) else {
            return;
        };
        let in_piece = begin.checked_add(block.len() as u32).is_some_and(|end| end <= size);
        if !in_piece || block.is_empty() {
            return;
        }
        let receiver = receiver.map_or(Receiver::Address(record.destination.ip()), Receiver::Peer);
        let key = Key { receiver, torrent: torrent.info_hash, index: *index };
        if self.kept + block.len() > KEPT || self.open.len() >= OPEN {
            self.open.clear();
            self.kept = 0;
        }
        let open = self.open.entry(key).or_default();
        let kept = open.kept;
        open.add(*begin, block.clone());
        open.note_sender(record.source, *begin, block.len() as u32);
        self.kept = self.kept + open.kept - kept;
        if open.hashed < size {
            return;
        }
        let Some(open) = self.open.remove(&key) else { return };
        self.kept -= open.kept;
        let senders = open.senders();
        let actual: [u8; 20] = open.hash.finalize().into();
        let name = format!(
            "piece {index} of {} ({})",
            geometry.piece_count(),
            file_names(torrent, geometry, *index)
        );
        record.notes.push(if actual == expected {
            Note::new(
                Severity::Chat,
                "bep3.piece-verified",
                format!("{name} is whole and its SHA-1 is right"),
            )
        } else {
            let text = format!("{name} is whole, but its SHA-1 is wrong; {senders}");
            Note::new(Severity::Error, "bep3.piece-corrupt", text)
        });
    }
}

impl Open {
    fn add(&mut self, begin: u32, block: Bytes) {
        if begin > self.hashed {
            if let Entry::Vacant(place) = self.ahead.entry(begin) {
                self.kept += cost(&block);
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
            self.kept -= cost(&block);
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
    fn senders(&self) -> String {
        let first = self.sent.iter().take(NAMED);
        let named: Vec<_> = first
            .map(|(peer, begin, length)| format!("{} at {begin} from {peer}", size(u64::from(*length))))
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
    use super::*;

    #[test]
    fn very_many_blocks_ahead_of_their_turn_are_hashed_in_order() {
        let mut open = Open::default();
        let bytes = Bytes::from_iter((0..100_000u32).map(|number| number as u8));
        for begin in (0..bytes.len()).rev() {
            assert_eq!(open.kept, (bytes.len() - 1 - begin) * 65);
            open.add(begin as u32, bytes.slice(begin..=begin));
        }
        assert_eq!((open.hashed, open.kept), (100_000, 0));
        assert_eq!(open.hash.finalize(), Sha1::digest(&bytes));
    }
}
