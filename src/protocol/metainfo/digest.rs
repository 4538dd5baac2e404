//! What the bytes of a piece come to, and whether that is what its torrent has: one hash, or both of a hybrid torrent.

use sha1::Sha1;
use sha2::Digest;

use super::{File, Metainfo, PieceHash};
use crate::PieceIndex;
use crate::merkle::{self, Hash};

/// The hashes of the bytes of a piece, as far as its torrent has such hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PieceDigest {
    /// Of all bytes (BEP 3).
    sha1: Option<[u8; 20]>,
    /// The root of the smallest tree over the bytes that are not padding (BEP 52).
    root: Option<Hash>,
}

impl From<[u8; 20]> for PieceDigest {
    /// The digest of a piece of a torrent of version 1: its SHA-1.
    fn from(sha1: [u8; 20]) -> Self {
        Self { sha1: Some(sha1), root: None }
    }
}

/// Takes the [digest](PieceDigest) of a piece, whose bytes are given in order.
#[derive(Debug, Clone)]
pub struct PieceDigester {
    sha1: Option<Sha1>,
    tree: Option<merkle::Hasher>,
    /// How many bytes more the tree has below it: the rest of the piece is padding.
    content: u32,
}

impl PieceDigester {
    /// Takes in bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let Some(tree) = &mut self.tree else {
            if let Some(sha1) = &mut self.sha1 {
                sha1.update(bytes);
            }
            return;
        };
        let (content, padding) = bytes.split_at(bytes.len().min(self.content as usize));
        tree.update(content);
        self.content -= content.len() as u32;
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(content);
            // Padding is zeros, whatever came in its place: else a peer could have the two hashes disagree.
            padding.chunks(ZEROS.len()).for_each(|part| sha1.update(&ZEROS[..part.len()]));
        }
    }

    /// The digest of all bytes.
    pub fn finish(self) -> PieceDigest {
        let sha1 = self.sha1.map(|sha1| sha1.finalize().into());
        PieceDigest { sha1, root: self.tree.and_then(merkle::Hasher::root) }
    }
}

/// What a piece is, by its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceVerdict {
    /// It has every hash that the torrent has for it.
    Right,
    /// It has none.
    Wrong,
    /// It has one of the two hashes of a hybrid torrent: no bytes have both (BEP 52, "Upgrade Path").
    Disagree,
}

impl Metainfo {
    /// What takes the digest of one of its pieces.
    pub fn digester(&self, index: PieceIndex) -> PieceDigester {
        let is_v1 = self.geometry.is_some();
        let has_tree = !is_v1 || self.tree_hash(index).is_some();
        PieceDigester {
            sha1: is_v1.then(Sha1::default),
            tree: has_tree.then(merkle::Hasher::default),
            content: self.piece_content(index).unwrap_or(0),
        }
    }

    /// Whether a piece with this digest is the torrent's. A piece of which the torrent has no hash never is.
    pub fn judge(&self, index: PieceIndex, digest: &PieceDigest) -> PieceVerdict {
        let sha1 = self.piece_hash(index).map(|wanted| digest.sha1 == Some(wanted));
        let tree = self.tree_hash(index).map(|wanted| {
            let length = self.piece_content(index).unwrap_or(0);
            digest.root.is_some_and(|root| wanted.is_of_root(root, length))
        });
        match (sha1, tree) {
            (Some(true) | None, Some(true)) | (Some(true), None) => PieceVerdict::Right,
            (Some(true), Some(false)) | (Some(false), Some(true)) => PieceVerdict::Disagree,
            (Some(false) | None, Some(false) | None) => PieceVerdict::Wrong,
        }
    }

    /// What a piece is checked against in the tree of its file, as far as that is known from the torrent.
    pub(super) fn tree_hash(&self, index: PieceIndex) -> Option<PieceHash> {
        let piece = self.tree_piece(index)?;
        piece.hash(|| self.layer_hash(piece.root, piece.number))
    }

    /// Whether every piece has a hash: not where a file has no root, or its piece layer is missing or that of a file of another
    /// length (BEP 52, "file tree" and "piece layers").
    pub fn has_all_hashes(&self) -> bool {
        let piece_length = u64::from(self.piece_length);
        let has_hashes = |file: &File| {
            let Some(root) = file.pieces_root else { return file.length == 0 };
            let pieces = file.length.div_ceil(piece_length.max(1));
            let is_whole = |layer: &Vec<u8>| (layer.len() / size_of::<Hash>()) as u64 == pieces;
            file.length <= piece_length || self.layers.get(&root).is_some_and(is_whole)
        };
        self.geometry.is_some() || self.piece_layer().is_some() && self.files.iter().all(has_hashes)
    }
}

impl PieceHash {
    /// Whether the smallest tree over a piece of `length` bytes, which has this root, leads to it.
    fn is_of_root(self, root: Hash, length: u32) -> bool {
        match self {
            Self::Sha1(_) => false,
            Self::Root(wanted) => wanted == root,
            Self::Node(wanted, layer) => {
                let height = merkle::height(length.into());
                height <= layer && merkle::raise(root, height, layer) == wanted
            }
        }
    }
}

const ZEROS: [u8; 1024] = [0; 1024];

#[cfg(test)]
mod tests;
