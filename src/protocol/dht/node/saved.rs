//! What a node keeps for its next run: its ids, and nodes that were good. A bencoded dictionary.

use crate::bencode;
use crate::dht::{Node, NodeId, encode::node_bytes, node_stride, read_node};
use crate::{DecodeError, bencode::View};

/// The ids and nodes of an earlier run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedNodes {
    ids: [Option<NodeId>; 2],
    nodes: [Vec<Node>; 2],
}

impl SavedNodes {
    /// How many nodes of a family are kept.
    pub const MOST: usize = 300;

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.iter().all(Vec::is_empty)
    }

    pub(super) const fn id(&self, ipv6: bool) -> Option<NodeId> {
        self.ids[ipv6 as usize]
    }

    /// The nodes, IPv4 then IPv6.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node> + use<> {
        let [ipv4, ipv6] = self.nodes.clone();
        ipv4.into_iter().chain(ipv6)
    }

    pub(super) fn keep(&mut self, ipv6: bool, own: NodeId, good: &[Node]) {
        self.ids[usize::from(ipv6)] = Some(own);
        self.nodes[usize::from(ipv6)] = good.iter().take(Self::MOST).copied().collect();
    }

    /// The bytes of a file.
    pub fn encode(&self) -> Vec<u8> {
        bencode::dictionary(|out| {
            for (key, id) in ["id", "id6"].into_iter().zip(self.ids) {
                if let Some(id) = id {
                    out.bytes(key, id.0);
                }
            }
            for (key, nodes) in ["nodes", "nodes6"].into_iter().zip(&self.nodes) {
                out.bytes(key, node_bytes(nodes));
            }
        })
    }

    /// Reads the bytes of a file. What is beyond the bounds is left out.
    ///
    /// # Errors
    /// Where they are no bencoded dictionary.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let document = bencode::scan(bytes)?;
        let root = document.root();
        if !root.is_dictionary() {
            return Err(DecodeError::new(0, "a bencoded dictionary"));
        }
        let id = |key: &[u8]| root.get(key).and_then(View::bytes)?.try_into().ok().map(NodeId);
        let nodes = |key: &[u8], ipv6: bool| {
            let bytes = root.get(key).and_then(View::bytes).unwrap_or_default();
            bytes.chunks_exact(node_stride(ipv6)).filter_map(read_node).take(Self::MOST).collect()
        };
        Ok(Self { ids: [id(b"id"), id(b"id6")], nodes: [nodes(b"nodes", false), nodes(b"nodes6", true)] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again() {
        let node = |last: u16| Node {
            id: NodeId([last as u8; 20]),
            address: ([11, 0, (last >> 8) as u8, last as u8], 6881).into(),
        };
        let far = Node { id: NodeId([9; 20]), address: "[2001:db8::1]:7000".parse().expect("an address") };
        let mut saved = SavedNodes::default();
        saved.keep(false, NodeId([1; 20]), &(0..400).map(node).collect::<Vec<_>>());
        saved.keep(true, NodeId([2; 20]), &[far]);
        let bytes = saved.encode();
        assert!(bytes.starts_with(b"d2:id20:") && bytes.len() < 16 * 1024);
        let read = SavedNodes::decode(&bytes).expect("what was written");
        assert_eq!(read, saved);
        assert_eq!((read.nodes().count(), read.id(true)), (301, Some(NodeId([2; 20]))));
    }

    #[test]
    fn a_file_that_is_something_else_is_refused_or_empty() {
        assert!(SavedNodes::decode(b"").is_err() && SavedNodes::decode(b"i1e").is_err());
        let read = SavedNodes::decode(b"d2:idi5e5:nodes3:abce").expect("a dictionary");
        assert!(read.is_empty() && read.id(false).is_none());
        let mut many = b"d5:nodes26000:".to_vec();
        many.extend([7; 26_000]);
        many.push(b'e');
        assert_eq!(SavedNodes::decode(&many).expect("a dictionary").nodes().count(), SavedNodes::MOST);
    }
}
