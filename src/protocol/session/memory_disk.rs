//! The driver's side of a disk, in memory: for sessions without a machine around them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use smallvec::{SmallVec, smallvec};

use crate::{Block, Metainfo, PieceIndex};

use super::{Input, Output};

/// Keeps in memory what a session has stored, and answers as a driver with files does. It grows to the size of the torrent at
/// the most.
#[derive(Debug)]
pub struct MemoryDisk {
    torrent: Arc<Metainfo>,
    pieces: BTreeMap<PieceIndex, StoredPiece>,
}

#[derive(Debug)]
struct StoredPiece {
    bytes: Vec<u8>,
    /// How many bytes were stored; each comes once.
    stored: usize,
}

impl MemoryDisk {
    /// A disk without any piece of this torrent.
    pub const fn new(torrent: Arc<Metainfo>) -> Self {
        Self { torrent, pieces: BTreeMap::new() }
    }

    /// Does what an output wants of the disk; what the session is to be told, in this order. `None` where the output is about
    /// something else.
    pub fn handle(&mut self, output: &Output) -> Option<SmallVec<[Input; 2]>> {
        Some(match output {
            Output::Store(piece, offset, bytes) => self.store(*piece, *offset as usize, bytes),
            Output::HashBlocks(piece, block_length) => {
                let blocks = self.piece(*piece).chunks((*block_length).max(1) as usize);
                let digests = blocks.map(|block| Sha256::digest(block).into()).collect();
                smallvec![Input::BlockHashes(*piece, digests)]
            }
            Output::Discard(piece) => {
                self.pieces.remove(piece);
                smallvec![]
            }
            Output::Commit(_) => smallvec![],
            Output::Load(stream, block) => {
                smallvec![Input::Loaded(*stream, *block, self.load(*block))]
            }
            _ => return None,
        })
    }

    /// A block, with zeros where it goes on after its file.
    fn load(&self, block: Block) -> Option<Bytes> {
        let (span, _) = self.torrent.placement()?.padded_span(block)?;
        let count = usize::try_from(span.end - span.start).ok()?;
        let stored = self.piece(block.index);
        let start = stored.len().min(block.begin as usize);
        let mut bytes = stored.get(start..start + count)?.to_vec();
        bytes.resize(block.length as usize, 0);
        Some(bytes.into())
    }

    /// The bytes of a piece, zeros where nothing was stored; empty where nothing of the piece was.
    pub fn piece(&self, piece: PieceIndex) -> &[u8] {
        self.pieces.get(&piece).map_or(&[], |piece| &piece.bytes)
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    fn store(&mut self, piece: PieceIndex, start: usize, bytes: &Bytes) -> SmallVec<[Input; 2]> {
        let size =
            self.torrent.placement().and_then(|geometry| geometry.piece_size(piece)).unwrap_or(0) as usize;
        let stored =
            self.pieces.entry(piece).or_insert_with(|| StoredPiece { bytes: vec![0; size], stored: 0 });
        if let Some(place) = stored.bytes.get_mut(start..start + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        // Padding is not stored: it is zeros, whatever came in its place.
        let content = self.torrent.piece_content(piece).unwrap_or(0) as usize;
        stored.bytes.iter_mut().skip(content).for_each(|byte| *byte = 0);
        stored.stored += bytes.len();
        let mut inputs: SmallVec<[Input; 2]> = smallvec![Input::Stored(piece, bytes.len() as u32)];
        if stored.stored >= size {
            let mut digester = self.torrent.digester(piece);
            digester.update(&stored.bytes);
            inputs.push(Input::Hashed(piece, digester.finish()));
        }
        inputs
    }
}
