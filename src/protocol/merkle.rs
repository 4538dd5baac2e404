//! The hash trees of files (BEP 52, "pieces root" and "peer messages"): SHA-256 over blocks of 16 KiB, two by two up to
//! one root.
//!
//! Layers are counted from the leaves. What lies beyond a file's end is zero among the leaves, and in each layer above
//! it the root of a tree of zero leaves.

use sha2::{Digest, Sha256};

use crate::wire::HashRange;

mod nodes;

pub use nodes::Nodes;

/// A node of a tree.
pub type Hash = [u8; 32];

/// The bytes of a leaf's block; the last one may have fewer.
pub const LEAF: usize = 16 * 1024;

/// How many hashes may be asked for at once: more "SHOULD NOT" be (BEP 52, "peer messages").
pub const MOST_HASHES: u32 = 512;

/// The hash of two nodes.
pub fn pair(left: Hash, right: Hash) -> Hash {
    Sha256::new().chain_update(left).chain_update(right).finalize().into()
}

/// A node of that layer of which all leaves lie beyond the file's end.
pub fn zeros(layer: u32) -> Hash {
    (0..layer).fold([0; 32], |zeros, _| pair(zeros, zeros))
}

/// The node of layer `to` that has a root of layer `from` as its leftmost part, and nothing else of the file below it.
pub fn raise(root: Hash, from: u32, to: u32) -> Hash {
    let (mut root, mut empty) = (root, zeros(from));
    for _ in from..to {
        root = pair(root, empty);
        empty = pair(empty, empty);
    }
    root
}

/// The root over a file's piece layer: the hashes of its pieces, the lowest nodes being of that layer. `None` where there
/// are none.
pub fn root_of_layer(layer: u32, hashes: impl IntoIterator<Item = Hash>) -> Option<Hash> {
    let mut tree = Tree::default();
    for hash in hashes {
        tree.push(hash);
    }
    tree.root(layer)
}

/// The root over nodes of one layer, given in order.
#[derive(Debug, Clone, Default)]
struct Tree {
    /// The roots of the full subtrees so far, each larger than the next, and how many layers each has above its nodes.
    roots: Vec<(u32, Hash)>,
}

impl Tree {
    fn push(&mut self, hash: Hash) {
        self.roots.push((0, hash));
        while let [.., (left_height, left), (right_height, right)] = self.roots[..]
            && left_height == right_height
        {
            self.roots.truncate(self.roots.len() - 2);
            self.roots.push((left_height + 1, pair(left, right)));
        }
    }

    /// The root; `base` is the layer of the nodes that were given.
    fn root(&mut self, base: u32) -> Option<Hash> {
        let (mut height, mut root) = self.roots.pop()?;
        let mut empty = zeros(base + height);
        while let Some((left_height, left)) = self.roots.pop() {
            while height < left_height {
                root = pair(root, empty);
                empty = pair(empty, empty);
                height += 1;
            }
            root = pair(left, root);
            empty = pair(empty, empty);
            height += 1;
        }
        self.roots.push((height, root));
        Some(root)
    }
}

/// The root over a file's bytes, or over those of one of its pieces, given in order and in parts of any length.
#[derive(Debug, Clone, Default)]
pub struct Hasher {
    tree: Tree,
    leaf: Sha256,
    /// The bytes of the leaf that is not full.
    filled: usize,
}

impl Hasher {
    /// Takes in bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (part, rest) = bytes.split_at(bytes.len().min(LEAF - self.filled));
            self.leaf.update(part);
            self.filled += part.len();
            bytes = rest;
            if self.filled == LEAF {
                self.end_leaf();
            }
        }
    }

    /// The root of the smallest tree over all bytes: that of a file. `None` where there were none.
    pub fn root(mut self) -> Option<Hash> {
        if self.filled > 0 {
            self.end_leaf();
        }
        self.tree.root(0)
    }

    /// The node of that layer over all bytes: that of a piece, which the file's end may have cut short. `None` where there
    /// were none, or more than the node has below it.
    pub fn node(mut self, layer: u32) -> Option<Hash> {
        if self.filled > 0 {
            self.end_leaf();
        }
        let root = self.tree.root(0)?;
        let height = self.tree.roots.first().map_or(0, |(height, _)| *height);
        (height <= layer).then(|| raise(root, height, layer))
    }

    fn end_leaf(&mut self) {
        self.tree.push(self.leaf.finalize_reset().into());
        self.filled = 0;
    }
}

/// How many layers lie between the leaves of a file of so many bytes and its root.
pub const fn height(length: u64) -> u32 {
    length.div_ceil(LEAF as u64).next_power_of_two().trailing_zeros()
}

/// What is wrong with a request for hashes (BEP 52, "peer messages").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeFault {
    /// The length is less than two, or no power of two.
    Length,
    /// The length is more than [`MOST_HASHES`].
    TooMany,
    /// The index is no multiple of the length.
    Index,
    /// There are more layers than a file of 2^64 bytes has.
    Layers,
}

/// The layers of the largest file there can be, 2^64 bytes in leaves of 2^14.
const LAYERS: u32 = 50;

impl HashRange {
    /// What is wrong with it, whatever the file.
    pub const fn fault(&self) -> Option<RangeFault> {
        if self.length < 2 || !self.length.is_power_of_two() {
            Some(RangeFault::Length)
        } else if !self.index.is_multiple_of(self.length) {
            Some(RangeFault::Index)
        } else if self.base_layer > LAYERS || self.proof_layers > LAYERS {
            Some(RangeFault::Layers)
        } else if self.length > MOST_HASHES {
            Some(RangeFault::TooMany)
        } else {
            None
        }
    }

    /// How many uncles prove the hashes. The hashes themselves make the first layers above them, and the proof of those
    /// is left out: of log2(length) - 1 layers (BEP 52, "peer messages").
    pub const fn uncles(&self) -> u32 {
        let own = match self.length {
            0 | 1 => 0,
            length => length.ilog2() - 1,
        };
        self.proof_layers.saturating_sub(own)
    }
}

/// The node to which hashes lead, if they are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Top {
    /// The node.
    pub hash: Hash,
    /// Its layer.
    pub layer: u32,
    /// Its place in that layer.
    pub index: u32,
}

/// Joins the hashes of a `hashes` message, and then its uncles, the lowest first. The work is a hash for each of them. There
/// may be fewer uncles than were asked for: a tree has none beyond its root.
///
/// # Errors
/// How many hashes there may be, and [`None`] where the range itself is wrong, but for asking for too many.
pub fn climb(range: &HashRange, hashes: &[u8]) -> Result<Top, Option<u64>> {
    if !matches!(range.fault(), None | Some(RangeFault::TooMany)) {
        return Err(None);
    }
    let wanted = u64::from(range.length) + u64::from(range.uncles());
    let (hashes, rest) = hashes.as_chunks::<32>();
    if hashes.len() as u64 > wanted || hashes.len() < range.length as usize || !rest.is_empty() {
        return Err(Some(wanted));
    }
    let (own, uncles) = hashes.split_at(range.length as usize);
    let mut layer = range.base_layer + range.length.ilog2();
    let mut index = range.index / range.length;
    let mut hash = root_of_layer(range.base_layer, own.iter().copied()).unwrap_or_default();
    for uncle in uncles {
        hash = if index.is_multiple_of(2) { pair(hash, *uncle) } else { pair(*uncle, hash) };
        layer += 1;
        index /= 2;
    }
    Ok(Top { hash, layer, index })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaf(byte: u8) -> Hash {
        Sha256::digest([byte; LEAF]).into()
    }

    fn hasher(blocks: u8) -> Hasher {
        let mut hasher = Hasher::default();
        for byte in 0..blocks {
            hasher.update(&[byte; LEAF]);
        }
        hasher
    }

    #[test]
    fn missing_leaves_are_zero() {
        assert_eq!(hasher(0).root(), None);
        assert_eq!(hasher(1).root(), Some(leaf(0)));
        let (zero, first) = ([0; 32], pair(leaf(0), leaf(1)));
        assert_eq!(hasher(3).root(), Some(pair(first, pair(leaf(2), zero))));
        let four = pair(first, pair(leaf(2), leaf(3)));
        assert_eq!(hasher(5).root(), Some(pair(four, pair(pair(leaf(4), zero), pair(zero, zero)))));
        let six = pair(pair(leaf(4), leaf(5)), pair(zero, zero));
        assert_eq!(hasher(6).root(), Some(pair(four, six)));
    }

    #[test]
    fn the_last_piece_of_a_file_is_filled_up_with_zero_leaves() {
        assert_eq!(hasher(1).node(0), Some(leaf(0)));
        assert_eq!(hasher(1).node(1), Some(pair(leaf(0), [0; 32])));
        assert_eq!(hasher(1).node(2), Some(pair(pair(leaf(0), [0; 32]), zeros(1))));
        assert_eq!(hasher(3).node(1), None);
        assert_eq!(hasher(3).node(2), hasher(3).root());
    }

    #[test]
    fn a_file_has_as_many_layers_as_its_leaves_need() {
        let leaves = [(0, 0), (1, 0), (16_384, 0), (16_385, 1), (32_769, 2), (65_536, 2), (65_537, 3)];
        for (length, layers) in leaves {
            assert_eq!(height(length), layers, "{length}");
        }
        assert_eq!(height(u64::MAX), LAYERS);
    }

    /// A range of the tree over leaves 0 to 7.
    fn range(base_layer: u32, index: u32, length: u32, proof_layers: u32) -> HashRange {
        HashRange { pieces_root: [0; 32], base_layer, index, length, proof_layers }
    }

    #[test]
    fn hashes_lead_to_the_root_by_their_uncles() {
        let leaves: Vec<Hash> = (0..8).map(leaf).collect();
        let pairs: Vec<Hash> = leaves.chunks(2).map(|two| pair(two[0], two[1])).collect();
        let halves = [pair(pairs[0], pairs[1]), pair(pairs[2], pairs[3])];
        let root = pair(halves[0], halves[1]);
        let top = |range, hashes: &[Hash]| climb(&range, hashes.concat().as_slice());
        let whole = Ok(Top { hash: root, layer: 3, index: 0 });
        assert_eq!(top(range(0, 0, 8, 2), &leaves), whole);
        assert_eq!(top(range(1, 0, 4, 1), &pairs), whole);
        assert_eq!(top(range(0, 4, 4, 2), &[&leaves[4..], &halves[..1]].concat()), whole);
        assert_eq!(top(range(0, 2, 2, 2), &[leaves[2], leaves[3], pairs[0], halves[1]]), whole);
        // No proof, or part of one.
        let half = Top { hash: halves[1], layer: 2, index: 1 };
        assert_eq!(top(range(1, 2, 2, 0), &pairs[2..]), Ok(half));
        assert_eq!(top(range(0, 4, 2, 1), &[leaves[4], leaves[5], pairs[3]]), Ok(half));
        let swapped = top(range(0, 2, 2, 2), &[leaves[3], leaves[2], pairs[0], halves[1]]).unwrap();
        assert_ne!(swapped.hash, root);
    }

    #[test]
    fn says_how_many_hashes_there_should_be() {
        assert_eq!(climb(&range(0, 0, 4, 3), &[0; 32 * 7]), Err(Some(6)));
        assert_eq!(climb(&range(0, 0, 4, 3), &[0; 32 * 3]), Err(Some(6)));
        assert_eq!(climb(&range(0, 0, 4, 0), &[0; 32 * 4 + 1]), Err(Some(4)));
        assert_eq!(climb(&range(0, 1, 2, 0), &[0; 64]), Err(None));
    }

    #[test]
    fn says_what_is_wrong_with_a_request() {
        for (base_layer, index, length, proof_layers, fault) in [
            (0, 0, 2, 0, None),
            (3, 1024, 512, 20, None),
            (0, 0, 0, 0, Some(RangeFault::Length)),
            (0, 0, 1, 0, Some(RangeFault::Length)),
            (0, 0, 6, 0, Some(RangeFault::Length)),
            (0, 2, 4, 0, Some(RangeFault::Index)),
            (51, 0, 4, 0, Some(RangeFault::Layers)),
            (0, 0, 4, u32::MAX, Some(RangeFault::Layers)),
            (0, 0, 1024, 0, Some(RangeFault::TooMany)),
        ] {
            assert_eq!(range(base_layer, index, length, proof_layers).fault(), fault);
        }
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(lengths in prop::collection::vec(0..40_000_usize, 0..6)) {
            let bytes: Vec<u8> = (0..lengths.iter().sum()).map(|at: usize| (at / 1000) as u8).collect();
            let (mut whole, mut parts) = (Hasher::default(), Hasher::default());
            whole.update(&bytes);
            let mut rest = bytes.as_slice();
            for length in lengths {
                let (part, behind) = rest.split_at(length);
                parts.update(part);
                rest = behind;
            }
            prop_assert_eq!(whole.root(), parts.root());
        }

        #[test]
        fn piece_layers_have_the_root_of_their_leaves(pieces in 1..6_u8, last in 1..4_u8) {
            let leaves: Vec<u8> = (0..(pieces - 1) * 4 + last).collect();
            let mut file = Hasher::default();
            let layer = leaves.chunks(4).map(|piece| {
                let mut hasher = Hasher::default();
                for byte in piece {
                    hasher.update(&[*byte; LEAF]);
                    file.update(&[*byte; LEAF]);
                }
                hasher.node(2).unwrap()
            });
            let root = root_of_layer(2, layer).unwrap();
            // A file of one piece has the root of its own leaves alone.
            prop_assert!(pieces == 1 || file.root() == Some(root));
        }
    }
}
