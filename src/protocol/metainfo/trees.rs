//! The hash trees of a torrent's files (BEP 52): where each piece stands in one, and the piece layers beside the info value.
//!
//! A piece layer is believed only when it leads to the root that the info value names.

use std::collections::HashMap;

use sha1::Sha1;
use sha2::Digest;

use super::files::Joined;
use super::{File, Metainfo, TorrentFault, files, note};
use crate::PieceIndex;
use crate::bencode::View;
use crate::geometry::Geometry;
use crate::merkle::{self, Hash, LEAF};
use crate::wire::HashRange;

/// A piece in the hash tree of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreePiece {
    /// The file, by its number in the torrent.
    pub file: usize,
    /// The file's root.
    pub root: Hash,
    /// The layer whose nodes stand for pieces.
    pub layer: u32,
    /// The piece's place in that layer.
    pub number: u32,
    /// Whether it is the file's only one, for which the root itself stands, of a tree no larger than needed.
    pub only: bool,
}

/// What a piece is checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceHash {
    /// The SHA-1 of its bytes (BEP 3).
    Sha1([u8; 20]),
    /// The node of that layer in the hash tree of its file (BEP 52).
    Node(Hash, u32),
    /// The root of its file, of which it is the only piece (BEP 52).
    Root(Hash),
}

/// Hashes the bytes of a piece, given in order.
#[derive(Debug, Clone)]
pub enum PieceHasher {
    /// For [`PieceHash::Sha1`].
    Sha1(Sha1),
    /// For the hashes of trees.
    Tree(merkle::Hasher),
}

impl PieceHasher {
    /// Takes in bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Tree(hasher) => hasher.update(bytes),
        }
    }

    /// Whether the bytes have this hash; not where it is one of another kind.
    pub fn is(self, hash: PieceHash) -> bool {
        match (self, hash) {
            (Self::Sha1(hasher), PieceHash::Sha1(hash)) => <[u8; 20]>::from(hasher.finalize()) == hash,
            (Self::Tree(hasher), PieceHash::Node(node, layer)) => hasher.node(layer) == Some(node),
            (Self::Tree(hasher), PieceHash::Root(root)) => hasher.root() == Some(root),
            (Self::Sha1(_), PieceHash::Node(..) | PieceHash::Root(_))
            | (Self::Tree(_), PieceHash::Sha1(_)) => false,
        }
    }
}

impl TreePiece {
    /// What it is checked against, given the node in the place that it has in its layer, which its file's root needs not.
    pub fn hash(&self, node: impl FnOnce() -> Option<Hash>) -> Option<PieceHash> {
        if self.only {
            return Some(PieceHash::Root(self.root));
        }
        node().map(|node| PieceHash::Node(node, self.layer))
    }
}

impl Metainfo {
    /// Where a piece stands in the hash tree of its file; `None` where there is no such piece, or no tree.
    pub fn tree_piece(&self, index: PieceIndex) -> Option<TreePiece> {
        if !self.has_trees {
            return None;
        }
        let ranges = self.placement()?.piece_files(index);
        let range = ranges.iter().find(|range| !self.files[range.file].is_padding())?;
        let file = &self.files[range.file];
        let number = range.bytes.start / u64::from(self.piece_length);
        Some(TreePiece {
            file: range.file,
            root: file.pieces_root?,
            layer: layer(self.piece_length)?,
            number: u32::try_from(number).ok()?,
            only: file.length <= u64::from(self.piece_length),
        })
    }

    /// What a piece is checked against: its SHA-1 where there is one, else the node of its file's tree, as far as that is
    /// known from the torrent alone.
    pub fn check_of(&self, index: PieceIndex) -> Option<PieceHash> {
        if let Some(hash) = self.piece_hash(index) {
            return Some(PieceHash::Sha1(hash));
        }
        self.tree_hash(index)
    }

    /// A hasher for one of its pieces.
    pub fn piece_hasher(&self) -> PieceHasher {
        match self.geometry {
            Some(_) => PieceHasher::Sha1(Sha1::new()),
            None => PieceHasher::Tree(merkle::Hasher::default()),
        }
    }

    /// The hash in that place of the piece layer of a file, where the torrent has it.
    pub fn layer_hash(&self, root: Hash, number: u32) -> Option<Hash> {
        let (hashes, _) = self.layers.get(&root)?.as_chunks();
        hashes.get(usize::try_from(number).ok()?).copied()
    }

    /// The tree of a file from its pieces up, where the torrent has its piece layer.
    pub fn tree_of_pieces(&self, root: Hash) -> Option<merkle::Nodes> {
        let (hashes, _) = self.layers.get(&root)?.as_chunks();
        let height = hashes.len().checked_next_power_of_two()?.trailing_zeros();
        merkle::Nodes::new(self.piece_layer()?, height, hashes.to_vec())
    }

    /// The piece whose leaves a range has: leaves of one piece alone. `None` where these are leaves of several, or of none.
    pub fn piece_of_leaves(&self, range: &HashRange) -> Option<PieceIndex> {
        let layer = self.piece_layer().filter(|layer| range.base_layer == 0 && *layer > 0)?;
        if range.fault().is_some() || range.length > 1 << layer {
            return None;
        }
        let file = self.files.iter().position(|file| file.pieces_root == Some(range.pieces_root))?;
        let pieces = self.placement()?.pieces_of(file);
        let index = pieces.start.checked_add(range.index >> layer).filter(|index| pieces.contains(index))?;
        Some(PieceIndex(index))
    }

    /// The layer of hash trees whose nodes stand for pieces; `None` where files have no trees.
    pub fn piece_layer(&self) -> Option<u32> {
        self.has_trees.then(|| layer(self.piece_length)).flatten()
    }

    /// The files larger than a piece whose piece layer the torrent does not have, each root once: the root, and the length.
    pub fn missing_layers(&self) -> impl Iterator<Item = (Hash, u64)> + '_ {
        let mut seen = std::collections::HashSet::new();
        let larger = self.files.iter().filter(|file| file.length > u64::from(self.piece_length));
        let rooted = larger.filter_map(|file| Some((file.pieces_root?, file.length)));
        rooted
            .filter(move |(root, _)| self.has_trees && !self.layers.contains_key(root) && seen.insert(*root))
    }

    /// Keeps the piece layers that have their root; the others, and those that are missing, are faults.
    pub(super) fn read_layers(&mut self, root: View<'_>) {
        let Some(layer) = self.piece_layer() else { return };
        let piece_length = u64::from(self.piece_length);
        let larger = self.files.iter().filter(|file| file.length > piece_length);
        let lengths: HashMap<Hash, u64> =
            larger.filter_map(|file| Some((file.pieces_root?, file.length))).collect();
        let value = root.get(b"piece layers");
        let at = value.map_or(root.span().start, |value| value.span().start);
        for entry in value.and_then(View::entries).into_iter().flatten() {
            let at = entry.value.span().start;
            let length =
                <Hash>::try_from(entry.key).ok().and_then(|root| lengths.get(&root).map(|of| (root, of)));
            let Some((root, length)) = length else {
                note(&mut self.faults, at, "a piece layer of no file of this torrent: ignored");
                continue;
            };
            let hashes = entry.value.bytes().unwrap_or_default();
            let (nodes, rest) = hashes.as_chunks();
            if nodes.len() as u64 != length.div_ceil(piece_length) || !rest.is_empty() {
                let what = "a piece layer without 32 bytes for each piece of its file: ignored";
                note(&mut self.faults, at, what);
            } else if merkle::root_of_layer(layer, nodes.iter().copied()) != Some(root) {
                let what = "a piece layer that does not lead to the root of its file: ignored";
                note(&mut self.faults, at, what);
            } else {
                self.layers.insert(root, hashes.to_vec());
            }
        }
        if lengths.keys().any(|root| !self.layers.contains_key(root)) {
            note(&mut self.faults, at, "no piece layer, or none that fits, for a file larger than a piece");
        }
    }
}

/// How the files of a torrent of version 2 alone lie, and whether their trees fit its pieces.
pub(super) fn aligned(
    info: View<'_>,
    piece_length: u32,
    files: &[File],
    faults: &mut Vec<TorrentFault>,
) -> (Option<Geometry>, bool) {
    let geometry = Geometry::aligned(piece_length, files.iter().map(|file| file.length));
    if geometry.is_none() {
        let what = "files of 2^32 pieces or more together: the pieces cannot be placed";
        note(faults, info.span().start, what);
    }
    (geometry, fits(info, piece_length, faults))
}

/// Gives the files of a hybrid torrent their roots, and says whether they have trees that fit its pieces.
pub(super) fn joined(
    info: View<'_>,
    piece_length: u32,
    files: &mut [File],
    faults: &mut Vec<TorrentFault>,
) -> bool {
    let single = files::list(info).is_none();
    let at = info.get(b"file tree").map_or(info.span().start, |tree| tree.span().start);
    let tree = match files::v2(info, faults) {
        Ok(tree) => tree,
        Err(error) => {
            note(faults, error.offset, "an unreadable file tree: the files of version 1 are used");
            return false;
        }
    };
    match files::join(files, &tree, single) {
        Joined::Same => {}
        Joined::Renamed => {
            note(faults, at, "another name in the file tree than in name: that in name is used")
        }
        Joined::OtherNames => {
            let what =
                "other names in the file tree than in files: those in files are used, hash trees are not";
            note(faults, at, what);
            return false;
        }
        Joined::Other => {
            let what = "other files in the file tree than in version 1: those of version 1 are used, hash trees are not";
            note(faults, at, what);
            return false;
        }
    }
    let lengths = || files.iter().map(|file| file.length);
    let Some(geometry) = Geometry::new(piece_length, lengths()) else { return false };
    let length = u64::from(piece_length);
    let begins_piece = |(number, file): (usize, &File)| {
        file.is_padding()
            || file.length == 0
            || geometry.file_start(number).is_some_and(|at| at % length == 0)
    };
    if !files.iter().enumerate().all(begins_piece) {
        let what =
            "files that do not each begin at a piece, as a hybrid torrent needs: hash trees are not used";
        note(faults, at, what);
        return false;
    }
    fits(info, piece_length, faults)
}

/// Whether nodes of hash trees can stand for pieces.
fn fits(info: View<'_>, piece_length: u32, faults: &mut Vec<TorrentFault>) -> bool {
    let fits = layer(piece_length).is_some();
    if !fits {
        let at = info.get(b"piece length").map_or(info.span().start, |value| value.span().start);
        let what = "a piece length that is not a power of two from 16 KiB: hash trees are not used";
        note(faults, at, what);
    }
    fits
}

/// The layer of hash trees whose nodes stand for that many bytes (BEP 52, "piece length").
fn layer(piece_length: u32) -> Option<u32> {
    let leaf = LEAF as u32;
    (piece_length >= leaf && piece_length.is_power_of_two()).then(|| (piece_length / leaf).trailing_zeros())
}

#[cfg(test)]
mod tests;
