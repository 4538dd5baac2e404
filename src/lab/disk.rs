//! The disk of a host, which stores nothing that is right: contents are a function of the place. Blocks are made when they are
//! loaded, compared when they are stored, and a digest is told without hashing. Only what is wrong is kept.

use std::collections::BTreeMap;

use bittrace_protocol::PieceIndex;
use bittrace_protocol::metainfo::PieceDigest;
use bittrace_protocol::session::{Input, Output};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use smallvec::{SmallVec, smallvec};

use crate::content::Content;

/// What a host has stored of the pieces that are under way.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// Whether each block that is loaded is wrong in one byte.
    lies: bool,
    pieces: BTreeMap<PieceIndex, StoredPiece>,
}

#[derive(Debug, Default)]
struct StoredPiece {
    /// How many bytes were stored; each comes once.
    stored: u32,
    /// What is not as it should be, by its offset: some pieces of a few hosts.
    wrong: BTreeMap<u32, Bytes>,
}

impl Disk {
    /// One whose blocks are all wrong.
    pub(crate) fn lying() -> Self {
        Self { lies: true, ..Self::default() }
    }

    /// Does what an output wants of the disk; what the session is to be told, in this order. `None` where the output is about
    /// something else.
    pub(crate) fn handle(&mut self, content: &Content, output: &Output) -> Option<SmallVec<[Input; 2]>> {
        Some(match output {
            Output::Store(piece, offset, bytes) => self.store(content, *piece, *offset, bytes),
            Output::HashBlocks(piece, block_length) => {
                smallvec![Input::BlockHashes(
                    *piece,
                    self.block_hashes(content, *piece, (*block_length).max(1))
                )]
            }
            Output::Discard(piece) | Output::Commit(piece) => {
                self.pieces.remove(piece);
                smallvec![]
            }
            Output::Load(stream, block) => {
                let bytes = content.bytes(block.index.0, block.begin, block.length);
                let bytes = if self.lies { corrupted(&bytes) } else { bytes };
                smallvec![Input::Loaded(*stream, *block, Some(bytes))]
            }
            _ => return None,
        })
    }

    fn store(
        &mut self,
        content: &Content,
        piece: PieceIndex,
        offset: u32,
        bytes: &Bytes,
    ) -> SmallVec<[Input; 2]> {
        let count = bytes.len() as u32;
        let stored = self.pieces.entry(piece).or_default();
        stored.stored += count;
        if !content.matches(piece.0, offset, bytes) {
            stored.wrong.insert(offset, bytes.clone());
        }
        let mut inputs: SmallVec<[Input; 2]> = smallvec![Input::Stored(piece, count)];
        let size = content.piece_size(piece.0);
        if size > 0 && stored.stored >= size {
            // Any other digest says as much of a piece that is wrong.
            let digest = if stored.wrong.is_empty() { content.digest(piece) } else { PieceDigest::default() };
            inputs.push(Input::Hashed(piece, digest));
        }
        inputs
    }

    fn block_hashes(&self, content: &Content, piece: PieceIndex, block_length: u32) -> Vec<[u8; 32]> {
        let mut bytes = content.bytes(piece.0, 0, content.piece_size(piece.0)).to_vec();
        for (offset, wrong) in self.pieces.get(&piece).into_iter().flat_map(|stored| &stored.wrong) {
            let start = *offset as usize;
            bytes[start..start + wrong.len()].copy_from_slice(wrong);
        }
        bytes.chunks(block_length as usize).map(|block| Sha256::digest(block).into()).collect()
    }
}

/// The bytes with their last one changed.
fn corrupted(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= 0xff;
    }
    bytes.into()
}

#[cfg(test)]
mod tests {
    use bittrace_protocol::metainfo::PieceVerdict;

    use super::*;
    use crate::scenario::{ByteCount, TorrentKind, TorrentPlan};

    #[test]
    fn a_piece_is_right_only_with_all_of_its_bytes() {
        for kind in [TorrentKind::V1, TorrentKind::V2, TorrentKind::Hybrid] {
            let plan = TorrentPlan { size: ByteCount(65_536), piece: ByteCount(32_768), kind };
            check_a_piece(&Content::new(&plan, None).expect("a torrent"));
        }
    }

    fn check_a_piece(content: &Content) {
        let piece = PieceIndex(1);
        let digest = |second: Bytes| {
            let mut disk = Disk::default();
            let store = |disk: &mut Disk, offset, bytes: Bytes| {
                disk.handle(content, &Output::Store(piece, offset, bytes)).expect("an answer")
            };
            assert_eq!(store(&mut disk, 0, content.bytes(1, 0, 16_384)).len(), 1);
            let inputs = store(&mut disk, 16_384, second);
            let hashes = disk.handle(content, &Output::HashBlocks(piece, 16_384)).expect("an answer");
            match (&inputs[1], &hashes[0]) {
                (Input::Hashed(_, digest), Input::BlockHashes(_, blocks)) => (*digest, blocks.clone()),
                other => panic!("{other:?}"),
            }
        };
        let right = content.bytes(1, 16_384, 16_384);
        let mut bytes = right.to_vec();
        bytes[7] ^= 1;
        let (good, good_blocks) = digest(right);
        let (bad, bad_blocks) = digest(bytes.into());
        assert_eq!(content.metainfo.judge(piece, &good), PieceVerdict::Right);
        assert_ne!(content.metainfo.judge(piece, &bad), PieceVerdict::Right);
        assert_eq!(good_blocks[0], bad_blocks[0]);
        assert_ne!(good_blocks[1], bad_blocks[1]);
    }
}
