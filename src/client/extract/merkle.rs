//! The hash tree of a file (BEP 52, "pieces root").

use sha2::{Digest, Sha256};

/// Computes the root of the tree over a file's blocks of 16 KiB, given in order.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// The roots of the full subtrees so far, each larger than the next, and how many layers each has.
    roots: Vec<(u32, [u8; 32])>,
}

/// The bytes of a leaf's block; the last one may have fewer.
pub(super) const LEAF: usize = 16 * 1024;

impl Tree {
    /// Adds a block.
    pub(super) fn push(&mut self, block: &[u8]) {
        self.roots.push((0, Sha256::digest(block).into()));
        while let [.., (left_height, left), (right_height, right)] = self.roots[..]
            && left_height == right_height
        {
            self.roots.truncate(self.roots.len() - 2);
            self.roots.push((left_height + 1, pair(left, right)));
        }
    }

    /// The root: leaves beyond the file's end are zero.
    pub(super) fn root(mut self) -> Option<[u8; 32]> {
        let (mut height, mut root) = self.roots.pop()?;
        let mut zeros = [0; 32];
        for _ in 0..height {
            zeros = pair(zeros, zeros);
        }
        while let Some((left_height, left)) = self.roots.pop() {
            while height < left_height {
                root = pair(root, zeros);
                zeros = pair(zeros, zeros);
                height += 1;
            }
            root = pair(left, root);
            zeros = pair(zeros, zeros);
            height += 1;
        }
        Some(root)
    }
}

fn pair(left: [u8; 32], right: [u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(byte: u8) -> [u8; 32] {
        Sha256::digest([byte; 20]).into()
    }

    fn root(blocks: u8) -> Option<[u8; 32]> {
        let mut tree = Tree::default();
        for byte in 0..blocks {
            tree.push(&[byte; 20]);
        }
        tree.root()
    }

    #[test]
    fn missing_leaves_are_zero() {
        assert_eq!(root(0), None);
        assert_eq!(root(1), Some(leaf(0)));
        let (zero, first) = ([0; 32], pair(leaf(0), leaf(1)));
        assert_eq!(root(3), Some(pair(first, pair(leaf(2), zero))));
        let four = pair(first, pair(leaf(2), leaf(3)));
        assert_eq!(root(5), Some(pair(four, pair(pair(leaf(4), zero), pair(zero, zero)))));
        let six = pair(pair(leaf(4), leaf(5)), pair(zero, zero));
        assert_eq!(root(6), Some(pair(four, six)));
    }
}
