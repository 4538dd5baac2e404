//! The nodes of one family that answered us: many that are near our id, few that are far (BEP 5, "routing table"). Nodes come in
//! only by answering, and one that is good gives way to nobody.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Node, NodeId};
use crate::Timestamp;

/// A routing table.
#[derive(Debug)]
pub(super) struct Table {
    own: NodeId,
    /// The bucket of number n has nodes that share n bits with our id; the last one, n or more.
    buckets: Vec<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    nodes: Vec<KnownNode>,
    /// Those that take the place of nodes that turn bad, the latest last.
    replacements: Vec<KnownNode>,
    /// When a node of it last answered, or a node of it was looked for.
    changed_at: Timestamp,
}

#[derive(Debug, Clone, Copy)]
struct KnownNode {
    node: Node,
    answered_at: Timestamp,
    unanswered: u8,
}

impl KnownNode {
    fn is_good(&self, now: Timestamp) -> bool {
        self.unanswered == 0 && now - self.answered_at < QUESTIONABLE
    }

    const fn is_bad(&self) -> bool {
        self.unanswered >= BAD
    }
}

impl Table {
    pub(super) fn new(own: NodeId, now: Timestamp) -> Self {
        Self { own, buckets: vec![Bucket::new(now)] }
    }

    pub(super) const fn own(&self) -> NodeId {
        self.own
    }

    /// The same nodes around another id.
    pub(super) fn around(self, own: NodeId, now: Timestamp) -> Self {
        let mut table = Self::new(own, now);
        let nodes =
            self.buckets.into_iter().flat_map(|bucket| bucket.nodes.into_iter().chain(bucket.replacements));
        for known in nodes {
            table.put(now, known);
        }
        table
    }

    pub(super) fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.nodes.len()).sum()
    }

    /// A node answered. Where there is no room for it, the node that is to show whether it is still there, so that it may be
    /// replaced.
    pub(super) fn answered(&mut self, now: Timestamp, node: Node) -> Option<Node> {
        self.put(now, KnownNode { node, answered_at: now, unanswered: 0 })
    }

    fn put(&mut self, now: Timestamp, new: KnownNode) -> Option<Node> {
        let node = new.node;
        if node.id == self.own || node.id == NodeId([0; 20]) {
            return None;
        }
        // An id or an address that is known is that of one node only; a second one with it waits until that is bad.
        let same = |known: &KnownNode| known.node.address == node.address && known.node.id == node.id;
        let collides =
            |known: &KnownNode| known.node.id == node.id || is_same_host(known.node.address, node.address);
        for bucket in &mut self.buckets {
            if let Some(known) = bucket.nodes.iter_mut().find(|known| same(known)) {
                *known = new;
                bucket.changed_at = now;
                return None;
            }
            bucket.replacements.retain(|known| !collides(known));
            bucket.nodes.retain(|known| !(collides(known) && known.is_bad()));
            if bucket.nodes.iter().any(collides) {
                return None;
            }
        }
        loop {
            let number = self.number(node.id);
            let may_split = number + 1 == self.buckets.len() && self.buckets.len() < MAX_BUCKETS;
            let bucket = &mut self.buckets[number];
            let net = net(node.address.ip());
            let neighbours = bucket.nodes.iter().filter(|known| net_of(known) == net);
            if neighbours.count() >= MAX_OF_A_NET && net.is_some() {
                return None;
            }
            if bucket.nodes.len() < K {
                bucket.nodes.push(new);
                bucket.changed_at = now;
                return None;
            }
            if let Some(bad) = bucket.nodes.iter_mut().find(|known| known.is_bad()) {
                *bad = new;
                bucket.changed_at = now;
                return None;
            }
            if may_split {
                self.split_last(now);
                continue;
            }
            if bucket.replacements.len() >= K {
                bucket.replacements.remove(0);
            }
            bucket.replacements.push(new);
            let questionable = bucket.nodes.iter().filter(|known| !known.is_good(now));
            return questionable.min_by_key(|known| known.answered_at).map(|known| known.node);
        }
    }

    /// Parts the nodes of the last bucket from those that share one bit more with our id.
    fn split_last(&mut self, now: Timestamp) {
        let own = self.own;
        let bits = self.buckets.len();
        let Some(last) = self.buckets.last_mut() else { return };
        let mut next = Bucket::new(now);
        let nearer = |known: &KnownNode| known.node.id.common_bits(own.0) >= bits;
        next.nodes = last.nodes.extract_if(.., |known| nearer(known)).collect();
        next.replacements = last.replacements.extract_if(.., |known| nearer(known)).collect();
        self.buckets.push(next);
    }

    /// A node did not answer. One that is bad gives way to a replacement.
    pub(super) fn failed(&mut self, address: SocketAddr) {
        for bucket in &mut self.buckets {
            bucket.replacements.retain(|known| known.node.address != address);
            let Some(at) = bucket.nodes.iter().position(|known| known.node.address == address) else {
                continue;
            };
            let known = &mut bucket.nodes[at];
            known.unanswered = known.unanswered.saturating_add(1);
            if known.is_bad()
                && let Some(replacement) = bucket.replacements.pop()
            {
                *known = replacement;
            }
        }
    }

    /// Whether there is room for a node that has not shown itself yet.
    pub(super) fn has_room(&self, node: Node) -> bool {
        let number = self.number(node.id);
        let bucket = &self.buckets[number];
        let may_split = number + 1 == self.buckets.len() && self.buckets.len() < MAX_BUCKETS;
        let known = self.buckets.iter().flat_map(|bucket| &bucket.nodes);
        let collides =
            |known: &KnownNode| known.node.id == node.id || is_same_host(known.node.address, node.address);
        !known.into_iter().any(collides)
            && (may_split || bucket.nodes.len() < K || bucket.nodes.iter().any(KnownNode::is_bad))
    }

    /// The nodes nearest to a target, those that are bad left out.
    pub(super) fn nearest(&self, target: [u8; 20], count: usize) -> Vec<Node> {
        let nodes = self.buckets.iter().flat_map(|bucket| &bucket.nodes).filter(|known| !known.is_bad());
        let mut nodes: Vec<_> = nodes.map(|known| known.node).collect();
        nodes.sort_by_cached_key(|node| node.id.distance(target));
        nodes.truncate(count);
        nodes
    }

    /// The good nodes, those that answered last first.
    pub(super) fn good(&self, now: Timestamp) -> Vec<Node> {
        let nodes = self.buckets.iter().flat_map(|bucket| &bucket.nodes);
        let mut good: Vec<_> = nodes.filter(|known| known.is_good(now)).collect();
        good.sort_by_key(|known| std::cmp::Reverse(known.answered_at));
        good.into_iter().map(|known| known.node).collect()
    }

    /// When a bucket is to be refreshed next.
    pub(super) fn refresh_at(&self) -> Timestamp {
        let changed = self.buckets.iter().map(|bucket| bucket.changed_at).min();
        changed.unwrap_or_default() + REFRESHED_EVERY
    }

    /// A bucket that nothing was heard of for long, as an id in it: drawn from `random`, which is to be looked for.
    pub(super) fn stale(&mut self, now: Timestamp, random: [u8; 20]) -> Option<[u8; 20]> {
        let number = self.buckets.iter().position(|bucket| now - bucket.changed_at >= REFRESHED_EVERY)?;
        self.buckets[number].changed_at = now;
        let is_last = number + 1 == self.buckets.len();
        let mut target = random;
        for bit in 0..number.min(160) {
            set_bit(&mut target, bit, bit_of(self.own.0, bit));
        }
        if !is_last {
            set_bit(&mut target, number, !bit_of(self.own.0, number));
        }
        Some(target)
    }

    /// The number of the bucket that an id belongs to.
    fn number(&self, id: NodeId) -> usize {
        id.common_bits(self.own.0).min(self.buckets.len() - 1)
    }
}

impl Bucket {
    const fn new(now: Timestamp) -> Self {
        Self { nodes: Vec::new(), replacements: Vec::new(), changed_at: now }
    }
}

/// Whether two addresses are of one host. On loopback every node has the same address.
pub(super) fn is_same_host(one: SocketAddr, other: SocketAddr) -> bool {
    one == other || (one.ip() == other.ip() && !one.ip().is_loopback())
}

fn net_of(known: &KnownNode) -> Option<[u8; 8]> {
    net(known.node.address.ip())
}

/// The /24, or over IPv6 the /64, that an address is in; `None` on loopback.
fn net(host: IpAddr) -> Option<[u8; 8]> {
    let mut net = [0; 8];
    match host {
        host if host.is_loopback() => return None,
        IpAddr::V4(host) => net[..3].copy_from_slice(&host.octets()[..3]),
        IpAddr::V6(host) => net.copy_from_slice(&host.octets()[..8]),
    }
    Some(net)
}

const fn bit_of(id: [u8; 20], bit: usize) -> bool {
    id[bit / 8] & (0x80 >> (bit % 8)) != 0
}

const fn set_bit(id: &mut [u8; 20], bit: usize, value: bool) {
    let mask = 0x80 >> (bit % 8);
    if value {
        id[bit / 8] |= mask;
    } else {
        id[bit / 8] &= !mask;
    }
}

/// The nodes of a bucket, and of an answer (BEP 5, "routing table": K is 8).
pub(super) const K: usize = 8;
/// An id has so many bits.
const MAX_BUCKETS: usize = 160;
/// How many nodes of one /24 or /64 a bucket has.
const MAX_OF_A_NET: usize = 2;
/// After so long without an answer a node is questionable (BEP 5, "routing table").
const QUESTIONABLE: Duration = Duration::from_secs(15 * 60);
/// A bucket that did not change for so long is refreshed (BEP 5, "routing table").
const REFRESHED_EVERY: Duration = Duration::from_secs(15 * 60);
/// A node that left so many queries in a row unanswered is bad.
const BAD: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: NodeId = NodeId([0; 20]);
    const NOW: Timestamp = Timestamp::EPOCH;

    fn later(minutes: u64) -> Timestamp {
        NOW + Duration::from_secs(minutes * 60)
    }

    /// A node whose id begins with these bytes, in a net of its own.
    fn node(first: u8, second: u8, net: u16) -> Node {
        let mut id = [0x11; 20];
        id[..2].copy_from_slice(&[first, second]);
        let [high, low] = net.to_be_bytes();
        Node { id: NodeId(id), address: ([11, high, low, 1], 6881).into() }
    }

    #[test]
    fn good_nodes_are_never_displaced() {
        let mut table = Table::new(OWN, NOW);
        // Ids that begin with one: all of them belong to the first bucket.
        let first: Vec<_> = (0..8).map(|number| node(0x80 + number, 0, u16::from(number))).collect();
        first.iter().for_each(|node| assert_eq!(table.answered(NOW, *node), None));
        for number in 8..100 {
            table.answered(NOW, node(0x80 + number, 0, u16::from(number)));
        }
        assert_eq!(table.len(), 8);
        assert!(first.iter().all(|node| table.nearest(node.id.0, 1) == [*node]));
        // Once they are questionable, they are to show themselves, and only the bad ones go.
        let asked = table.answered(later(15), node(0xf0, 0, 300));
        assert_eq!(asked, Some(first[0]));
        table.failed(first[0].address);
        assert_eq!(table.nearest(first[0].id.0, 1), [first[0]]);
        table.failed(first[0].address);
        assert_eq!(table.nearest(node(0xf0, 0, 300).id.0, 1), [node(0xf0, 0, 300)]);
        assert_eq!(table.len(), 8);
    }

    #[test]
    fn a_table_is_not_filled_from_one_net_one_host_or_with_one_id() {
        let mut table = Table::new(OWN, NOW);
        for host in 0..=255 {
            let id = NodeId([host; 20]);
            table.answered(NOW, Node { id, address: ([11, 0, 0, host], 6881).into() });
        }
        // Two a bucket: few buckets come to be, because none is ever full.
        assert!(table.len() <= MAX_OF_A_NET * table.buckets.len() && table.buckets.len() == 1);
        let mut table = Table::new(OWN, NOW);
        for port in 1000..2000 {
            let id = NodeId([port as u8 | 1; 20]);
            table.answered(NOW, Node { id, address: ([11, 0, 0, 1], port).into() });
        }
        assert_eq!(table.len(), 1);
        let mut table = Table::new(OWN, NOW);
        for net in 0..1000_u16 {
            let [high, low] = net.to_be_bytes();
            table.answered(NOW, Node { id: NodeId([9; 20]), address: ([11, high, low, 1], 6881).into() });
        }
        assert_eq!(table.len(), 1);
        // Over IPv6 a host has a /64.
        let mut table = Table::new(OWN, NOW);
        for host in 1..200_u16 {
            let address = SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, host], 6881));
            table.answered(NOW, Node { id: NodeId([host as u8; 20]), address });
        }
        assert_eq!(table.len(), MAX_OF_A_NET);
    }

    #[test]
    fn a_table_has_eight_nodes_for_each_bit_at_the_most() {
        let mut table = Table::new(OWN, NOW);
        for bit in 0..160_usize {
            for number in 0..20_u8 {
                let mut id = [0; 20];
                id[bit / 8] = 0x80 >> (bit % 8);
                id[19] |= number;
                let net = (bit * 20 + usize::from(number)) as u16;
                let [high, low] = net.to_be_bytes();
                table.answered(NOW, Node { id: NodeId(id), address: ([11, high, low, 1], 6881).into() });
            }
        }
        assert!(table.len() <= 1_280 && table.len() > 1_000, "{}", table.len());
        assert!(table.buckets.iter().all(|bucket| bucket.nodes.len() <= K && bucket.replacements.len() <= K));
        assert!(table.buckets.len() <= MAX_BUCKETS);
    }

    #[test]
    fn the_nearest_come_first_and_bad_ones_not_at_all() {
        let mut table = Table::new(OWN, NOW);
        for number in 1..=20 {
            table.answered(NOW, node(number, 0, u16::from(number)));
        }
        let near = table.nearest(node(5, 0, 0).id.0, 3);
        assert_eq!(near, [node(5, 0, 5), node(4, 0, 4), node(7, 0, 7)]);
        (0..2).for_each(|_| table.failed(near[0].address));
        assert_eq!(table.nearest(node(5, 0, 0).id.0, 1), [node(4, 0, 4)]);
        // Only an answer makes a node good again.
        assert!(!table.good(NOW).contains(&near[0]));
    }

    #[test]
    fn a_bucket_is_refreshed_after_fifteen_minutes_with_an_id_of_its_own() {
        let mut table = Table::new(OWN, NOW);
        for number in 1..=100 {
            table.answered(NOW, node(number, 0, u16::from(number)));
        }
        assert_eq!(table.stale(later(14), [0xff; 20]), None);
        assert_eq!(table.refresh_at(), later(15));
        let targets: Vec<_> = std::iter::from_fn(|| table.stale(later(15), [0xff; 20])).collect();
        let numbers: Vec<_> = targets.into_iter().map(|id| table.number(NodeId(id))).collect();
        assert_eq!(numbers, (0..table.buckets.len()).collect::<Vec<_>>());
    }

    #[test]
    fn another_id_keeps_the_nodes() {
        let mut table = Table::new(OWN, NOW);
        for number in 1..=6 {
            table.answered(NOW, node(number * 32, 0, u16::from(number)));
        }
        let table = table.around(NodeId([0xff; 20]), NOW);
        assert_eq!((table.len(), table.own()), (6, NodeId([0xff; 20])));
    }
}
