//! What a torrent of the lab holds: a function of the place, so that no host has to store it.
//!
//! The content is a row of numbers of 64 bits, big-endian. Block `b` of 16 KiB begins with the number `b`, and each number is one
//! more than the number before. So every block differs from all others, and is a part of one short row that all hosts share.

use std::sync::Arc;

use bittrace_protocol::geometry::Geometry;
use bittrace_protocol::metainfo::PieceDigest;
use bittrace_protocol::{DecodeError, Metainfo, PieceIndex, bencode, merkle};
use bytes::Bytes;
use sha1::{Digest, Sha1};

use crate::scenario::{TorrentKind, TorrentPlan};

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
    /// What each piece comes to, where it is checked by more than its SHA-1.
    digests: Vec<PieceDigest>,
}

impl Content {
    /// The torrent of this plan, with the tracker at `announce`, if any.
    ///
    /// # Errors
    /// None for plans that a scenario admits.
    pub fn new(plan: &TorrentPlan, announce: Option<&str>) -> Result<Self, DecodeError> {
        let numbers = plan.size.0.div_ceil(BLOCK) + BLOCK / NUMBER;
        let row: Bytes = (0..numbers).flat_map(u64::to_be_bytes).collect::<Vec<u8>>().into();
        let hashes = Hashes::of(plan, &row);
        let info = hashes.info(plan);
        let file = |announce: Option<&str>| {
            Bytes::from(bencode::dictionary(|torrent| {
                if let Some(url) = announce {
                    torrent.bytes("announce", url);
                }
                torrent.raw("info", &info);
                if let Some(root) = hashes.root {
                    torrent.dictionary("piece layers", |layers| {
                        if plan.size.0 > plan.piece.0 {
                            layers.bytes(root, hashes.layer.concat());
                        }
                    });
                }
            }))
        };
        let torrent = file(announce);
        let metainfo = Arc::new(Metainfo::decode(&torrent)?);
        let untracked = match announce {
            Some(_) => Arc::new(Metainfo::decode(&file(None))?),
            None => metainfo.clone(),
        };
        let piece_length = plan.piece.0;
        let mut content = Self { metainfo, untracked, torrent, row, piece_length, digests: Vec::new() };
        if plan.kind != TorrentKind::V1 {
            content.digests = (0..content.piece_count()).map(|piece| content.digest_of(piece)).collect();
        }
        Ok(content)
    }

    /// How many pieces there are.
    pub fn piece_count(&self) -> u32 {
        self.metainfo.placement().map_or(0, Geometry::piece_count)
    }

    /// How many bytes a piece has: none where there is no such piece.
    pub fn piece_size(&self, piece: u32) -> u32 {
        self.metainfo.placement().and_then(|all| all.piece_size(PieceIndex(piece))).unwrap_or(0)
    }

    /// What a piece comes to.
    pub(crate) fn digest(&self, piece: PieceIndex) -> PieceDigest {
        match self.metainfo.piece_hash(piece) {
            Some(hash) if self.digests.is_empty() => hash.into(),
            _ => self.digests.get(piece.0 as usize).copied().unwrap_or_default(),
        }
    }

    fn digest_of(&self, piece: u32) -> PieceDigest {
        let mut digester = self.metainfo.digester(PieceIndex(piece));
        let place = u64::from(piece) * self.piece_length;
        self.parts(place, self.piece_size(piece).into()).for_each(|part| digester.update(part));
        digester.finish()
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

/// The hashes of a torrent.
struct Hashes {
    /// Of the pieces, where version 1 has it.
    sha1: Option<Vec<u8>>,
    /// The root of the hash tree of the file, where version 2 has it, and the nodes in it that stand for pieces.
    root: Option<merkle::Hash>,
    layer: Vec<merkle::Hash>,
}

impl Hashes {
    fn of(plan: &TorrentPlan, row: &[u8]) -> Self {
        let (total, piece_length) = (plan.size.0, plan.piece.0);
        let (has_v1, has_v2) = (plan.kind != TorrentKind::V2, plan.kind != TorrentKind::V1);
        let height = merkle::height(piece_length);
        let (mut sha1, mut layer, mut file) = (Vec::new(), Vec::new(), merkle::Hasher::default());
        for start in (0..total).step_by(piece_length as usize) {
            let (mut hash, mut tree) = (Sha1::new(), merkle::Hasher::default());
            let end = (start + piece_length).min(total);
            for place in (start..end).step_by(BLOCK as usize) {
                let block = part(row, place, (end - place).min(BLOCK));
                if has_v1 {
                    hash.update(block);
                }
                if has_v2 {
                    tree.update(block);
                    file.update(block);
                }
            }
            if has_v1 {
                sha1.extend_from_slice(&hash.finalize());
            }
            layer.extend(tree.node(height));
        }
        Self { sha1: has_v1.then_some(sha1), root: file.root(), layer }
    }

    /// The info value (BEP 3, and BEP 52 "info dictionary").
    fn info(&self, plan: &TorrentPlan) -> Vec<u8> {
        let total = plan.size.0;
        bencode::dictionary(|info| {
            if let Some(root) = self.root {
                info.dictionary("file tree", |tree| {
                    tree.dictionary(NAME, |node| {
                        node.dictionary("", |file| {
                            file.integer("length", total);
                            file.bytes("pieces root", root);
                        });
                    });
                });
            }
            if self.sha1.is_some() {
                info.integer("length", total);
            }
            if self.root.is_some() {
                info.integer("meta version", 2_u8);
            }
            info.bytes("name", NAME);
            info.integer("piece length", plan.piece.0);
            if let Some(sha1) = &self.sha1 {
                info.bytes("pieces", sha1);
            }
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
    use bittrace_protocol::metainfo::PieceVerdict;

    use super::*;
    use crate::scenario::ByteCount;

    fn content(size: u64, piece: u64) -> Content {
        content_of(TorrentKind::V1, size, piece)
    }

    fn content_of(kind: TorrentKind, size: u64, piece: u64) -> Content {
        let plan = TorrentPlan { size: ByteCount(size), piece: ByteCount(piece), kind };
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

    /// Both forms have a layer of pieces, or a file of one piece, whose root stands for it.
    #[test]
    fn torrents_of_version_2_have_the_tree_of_the_bytes_that_are_served() {
        for (kind, size) in [TorrentKind::V2, TorrentKind::Hybrid]
            .into_iter()
            .flat_map(|kind| [(kind, 200_000), (kind, 40_000)])
        {
            let content = content_of(kind, size, 65_536);
            let torrent = &content.metainfo;
            assert!(torrent.faults.is_empty() && torrent.has_all_hashes(), "{:?}", torrent.faults);
            assert_eq!(content.untracked.info_hash, torrent.info_hash);
            assert!(content.untracked.has_all_hashes());
            assert_eq!(u64::from(content.piece_count()), size.div_ceil(65_536));
            let is_hybrid = kind == TorrentKind::Hybrid;
            assert_eq!(torrent.info_hashes().count(), if is_hybrid { 2 } else { 1 });
            for piece in 0..content.piece_count() {
                let bytes = content.bytes(piece, 0, content.piece_size(piece));
                let mut digester = torrent.digester(PieceIndex(piece));
                digester.update(&bytes);
                let digest = digester.finish();
                assert_eq!(
                    (digest, torrent.judge(PieceIndex(piece), &digest)),
                    (content.digest(PieceIndex(piece)), PieceVerdict::Right)
                );
                let mut tree = merkle::Hasher::default();
                tree.update(&bytes);
                assert!(
                    size < 65_536
                        || torrent.layer_hash(torrent.files[0].pieces_root.expect("a root"), piece)
                            == tree.node(2)
                );
            }
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
