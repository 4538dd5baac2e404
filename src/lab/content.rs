//! What a torrent of the lab holds: a function of the place, so that no host has to store it.
//!
//! The content is a row of numbers of 64 bits, big-endian. Block `b` of 16 KiB begins with the number `b`, and each number is one
//! more than the number before. So every block differs from all others, and is a part of one short row that all hosts share.

use std::sync::Arc;

use bittrace_protocol::{DecodeError, Metainfo, bencode};
use bytes::Bytes;
use sha1::{Digest, Sha1};

use crate::scenario::TorrentPlan;

/// The content of a torrent, and the torrent.
#[derive(Debug, Clone)]
pub struct Content {
    /// The torrent.
    pub metainfo: Arc<Metainfo>,
    /// The same for hosts that ask no tracker.
    pub(crate) untracked: Arc<Metainfo>,
    /// The torrent file.
    pub torrent: Bytes,
    /// The numbers of all blocks.
    row: Bytes,
    piece_length: u64,
}

impl Content {
    /// The torrent of this plan, with the tracker at `announce`, if any.
    ///
    /// # Errors
    /// None for plans that a scenario admits.
    pub fn new(plan: &TorrentPlan, announce: Option<&str>) -> Result<Self, DecodeError> {
        let (total, piece_length) = (plan.size.0, plan.piece.0);
        let numbers = total.div_ceil(BLOCK) + BLOCK / NUMBER;
        let row: Bytes = (0..numbers).flat_map(u64::to_be_bytes).collect::<Vec<u8>>().into();
        let mut hashes = Vec::with_capacity((total.div_ceil(piece_length) * 20) as usize);
        for start in (0..total).step_by(piece_length as usize) {
            let mut hash = Sha1::new();
            let end = (start + piece_length).min(total);
            for place in (start..end).step_by(BLOCK as usize) {
                hash.update(part(&row, place, (end - place).min(BLOCK)));
            }
            hashes.extend_from_slice(&hash.finalize());
        }
        let info = bencode::dictionary(|info| {
            info.integer("length", total);
            info.bytes("name", NAME);
            info.integer("piece length", piece_length);
            info.bytes("pieces", &hashes);
        });
        let torrent = Bytes::from(bencode::dictionary(|torrent| {
            if let Some(url) = announce {
                torrent.bytes("announce", url);
            }
            torrent.raw("info", &info);
        }));
        let metainfo = Arc::new(Metainfo::decode(&torrent)?);
        let untracked = match announce {
            Some(_) => Arc::new(Metainfo::decode_info(&info)?),
            None => metainfo.clone(),
        };
        Ok(Self { metainfo, untracked, torrent, row, piece_length })
    }

    /// The bytes of a part of a piece, shared where the part lies in one block.
    pub fn bytes(&self, piece: u32, offset: u32, length: u32) -> Bytes {
        let place = u64::from(piece) * self.piece_length + u64::from(offset);
        if place % BLOCK + u64::from(length) <= BLOCK {
            let start = row_place(place);
            return self.row.slice(start..start + length as usize);
        }
        self.parts(place, u64::from(length)).collect::<Vec<_>>().concat().into()
    }

    /// Whether these bytes stand at this place of a piece.
    pub fn matches(&self, piece: u32, offset: u32, bytes: &[u8]) -> bool {
        let mut place = u64::from(piece) * self.piece_length + u64::from(offset);
        let mut rest = bytes;
        while !rest.is_empty() {
            let within = (BLOCK - place % BLOCK).min(rest.len() as u64);
            let (head, tail) = rest.split_at(within as usize);
            let wanted = part(&self.row, place, within);
            // What came from the shared row need not be read.
            if !std::ptr::eq(wanted.as_ptr(), head.as_ptr()) && wanted != head {
                return false;
            }
            (place, rest) = (place + within, tail);
        }
        true
    }

    fn parts(&self, mut place: u64, length: u64) -> impl Iterator<Item = &[u8]> {
        let end = place + length;
        std::iter::from_fn(move || {
            let within = (BLOCK - place % BLOCK).min(end - place);
            (within > 0).then(|| {
                place += within;
                part(&self.row, place - within, within)
            })
        })
    }
}

/// A part of the content that lies in one block.
fn part(row: &[u8], place: u64, length: u64) -> &[u8] {
    let start = row_place(place);
    &row[start..start + length as usize]
}

/// Where in the row the byte at this place of the content stands.
const fn row_place(place: u64) -> usize {
    (place / BLOCK * NUMBER + place % BLOCK) as usize
}

/// The name of the file.
const NAME: &str = "lab.bin";

/// The bytes of a block, and of a number.
const BLOCK: u64 = 16 * 1024;
const NUMBER: u64 = 8;

#[cfg(test)]
mod tests {
    use bittrace_protocol::PieceIndex;

    use super::*;
    use crate::scenario::ByteCount;

    fn content(size: u64, piece: u64) -> Content {
        let plan = TorrentPlan { size: ByteCount(size), piece: ByteCount(piece) };
        Content::new(&plan, Some("http://10.255.0.1:6969/announce")).expect("a torrent")
    }

    #[test]
    fn hashes_are_of_the_bytes_that_are_served() {
        let content = content(200_000, 65_536);
        assert_eq!(content.metainfo.piece_count(), 4);
        for (piece, length) in [(0, 65_536), (1, 65_536), (2, 65_536), (3, 3_392)] {
            let bytes = content.bytes(piece, 0, length);
            let hash: [u8; 20] = Sha1::digest(&bytes).into();
            assert_eq!(content.metainfo.piece_hash(PieceIndex(piece)), Some(hash));
            assert!(content.matches(piece, 0, &bytes));
        }
    }

    #[test]
    fn each_block_differs_from_all_others_and_one_byte_shows() {
        let content = content(1 << 20, 65_536);
        let blocks: std::collections::BTreeSet<Bytes> = (0..16)
            .flat_map(|piece| (0..4).map(move |block| (piece, block * 16_384)))
            .map(|(piece, offset)| content.bytes(piece, offset, 16_384))
            .collect();
        assert_eq!(blocks.len(), 64);
        let mut wrong = content.bytes(3, 100, 40_000).to_vec();
        assert!(content.matches(3, 100, &wrong));
        wrong[39_999] ^= 1;
        assert!(!content.matches(3, 100, &wrong));
    }
}
