//! A tree of which every node is kept, to answer those that ask for hashes (BEP 52, "peer messages").

use super::{Hash, pair, zeros};
use crate::wire::HashRange;

/// A tree from one layer up to its root. It takes 64 bytes for each node of its lowest layer.
#[derive(Debug, Clone)]
pub struct Nodes {
    /// The layer of the lowest nodes, counted from the leaves.
    base: u32,
    /// How many layers the root lies above them.
    height: u32,
    /// The nodes of each layer, without those at its end of which all leaves lie beyond the file's end.
    layers: Vec<Vec<Hash>>,
}

impl Nodes {
    /// The tree over these nodes of layer `base`, whose root lies `height` layers above them. `None` where there are no nodes, or
    /// more than such a tree has.
    pub fn new(base: u32, height: u32, nodes: Vec<Hash>) -> Option<Self> {
        if nodes.is_empty() || nodes.len().checked_next_power_of_two()?.trailing_zeros() > height {
            return None;
        }
        let mut layers = vec![nodes];
        let mut empty = zeros(base);
        for _ in 0..height {
            let below = layers.last()?;
            let above = below.chunks(2).map(|two| pair(two[0], two.get(1).copied().unwrap_or(empty)));
            layers.push(above.collect());
            empty = pair(empty, empty);
        }
        Some(Self { base, height, layers })
    }

    /// The root.
    pub fn root(&self) -> Hash {
        self.layers.last().and_then(|top| top.first()).copied().unwrap_or_default()
    }

    /// The answer to a request for hashes of this tree: the hashes, and after them as many uncles as were asked for and there
    /// are. `None` where the request is wrong, or is for nodes that the tree does not have.
    pub fn answer(&self, range: &HashRange) -> Option<Vec<u8>> {
        let start = range.base_layer.checked_sub(self.base).filter(|start| *start <= self.height)?;
        let own = range.length.checked_ilog2()?;
        let end = range.index.checked_add(range.length)?;
        if range.fault().is_some() || u64::from(end) > 1 << (self.height - start) {
            return None;
        }
        let mut hashes = Vec::with_capacity((range.length + range.uncles().min(self.height)) as usize * 32);
        let empty = zeros(range.base_layer);
        for index in range.index..end {
            hashes.extend_from_slice(&self.node(start, index).unwrap_or(empty));
        }
        hashes.extend(self.uncles(start + own, range.index / range.length, range.uncles()));
        Some(hashes)
    }

    /// The uncles of a node, the lowest first: so many, or up to the root. `layer` is counted from the lowest of the tree.
    pub fn uncles(&self, layer: u32, index: u32, count: u32) -> Vec<u8> {
        let (mut index, mut uncles) = (index, Vec::new());
        for layer in (layer..self.height).take(count as usize) {
            let uncle = self.node(layer, index ^ 1).unwrap_or_else(|| zeros(self.base + layer));
            uncles.extend_from_slice(&uncle);
            index /= 2;
        }
        uncles
    }

    fn node(&self, layer: u32, index: u32) -> Option<Hash> {
        self.layers.get(layer as usize)?.get(index as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::merkle::{Top, climb, root_of_layer};

    fn range(base_layer: u32, index: u32, length: u32, proof_layers: u32) -> HashRange {
        HashRange { pieces_root: [0; 32], base_layer, index, length, proof_layers }
    }

    fn nodes(count: u8) -> Vec<Hash> {
        (0..count).map(|byte| [byte + 1; 32]).collect()
    }

    #[test]
    fn what_the_tree_does_not_have_is_not_answered() {
        let tree = Nodes::new(2, 3, nodes(5)).unwrap();
        for (base_layer, index, length, proof_layers) in [
            (1, 0, 2, 0), // below the lowest layer
            (2, 8, 2, 0), // beyond the last node
            (2, 0, 16, 0),
            (4, 0, 4, 0),
            (6, 0, 2, 0), // above the root
            (2, 0, 1, 0), // wrong whatever the tree
            (2, 1, 2, 0),
            (2, 0, 3, 0),
            (2, 0, 1024, 0),
            (2, 0, 2, 51),
        ] {
            assert_eq!(tree.answer(&range(base_layer, index, length, proof_layers)), None);
        }
        assert!(Nodes::new(2, 2, nodes(5)).is_none() && Nodes::new(0, 4, Vec::new()).is_none());
    }

    proptest! {
        #[test]
        fn every_answer_leads_to_the_root(
            count in 1..40_u8,
            base in 0..4_u32,
            up in 0..3_u32,
            own in 1..4_u32,
            index in 0..64_u32,
            more in 0..4_u32,
        ) {
            let height = u32::from(count).next_power_of_two().trailing_zeros();
            let tree = Nodes::new(base, height, nodes(count)).unwrap();
            prop_assert_eq!(Some(tree.root()), root_of_layer(base, nodes(count)));
            let width = height.checked_sub(up).filter(|width| *width >= own);
            prop_assume!(width.is_some());
            let length = 1 << own;
            let index = (index * length) % (1 << width.unwrap());
            // All uncles, or more than there are.
            let asked = range(base + up, index, length, height - up - 1 + more);
            let answer = tree.answer(&asked).unwrap();
            prop_assert_eq!(climb(&asked, &answer), Ok(Top { hash: tree.root(), layer: base + height, index: 0 }));
        }
    }
}
