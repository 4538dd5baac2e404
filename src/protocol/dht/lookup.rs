//! A search for the nodes nearest to a target: each answer names nodes that are nearer (BEP 5, "overview").

use std::net::SocketAddr;
use std::time::Duration;

use super::table::{K, is_same_host};
use super::{Node, NodeId};
use crate::{InfoHash, Timestamp};

/// A search under way, in one family.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) target: [u8; 20],
    pub(super) goal: LookupGoal,
    pub(super) ipv6: bool,
    /// The nearest first; those whose id is not known, at the end.
    candidates: Vec<Candidate>,
    queries: usize,
    begun_at: Timestamp,
}

/// What for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LookupGoal {
    /// Nodes near the target.
    Nodes,
    /// Peers of this torrent.
    Peers(InfoHash),
}

#[derive(Debug)]
struct Candidate {
    id: Option<NodeId>,
    address: SocketAddr,
    state: State,
    token: Option<Vec<u8>>,
    /// Whether its id is known and suits its address (BEP 42).
    suits: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Asked,
    /// Asked, and silent for so long that another one is asked in its place.
    Slow,
    Answered,
    Failed,
}

impl Lookup {
    pub(super) const fn new(target: [u8; 20], goal: LookupGoal, ipv6: bool, now: Timestamp) -> Self {
        Self { target, goal, ipv6, candidates: Vec::new(), queries: 0, begun_at: now }
    }

    /// A node that may be asked, by its id where that is known.
    pub(super) fn add(&mut self, id: Option<NodeId>, address: SocketAddr) {
        let is_own_family = address.is_ipv6() == self.ipv6 && address.port() != 0;
        let host = address.ip();
        if !is_own_family || host.is_unspecified() || host.is_multicast() {
            return;
        }
        // One host gets one query, whatever names it is given.
        let known = self
            .candidates
            .iter()
            .any(|known| is_same_host(known.address, address) || (id.is_some() && known.id == id));
        if known {
            return;
        }
        let suits = id.is_some_and(|id| id.suits(host));
        let distance = |id: Option<NodeId>| id.map_or([u8::MAX; 20], |id| id.distance(self.target));
        let at = self.candidates.partition_point(|known| distance(known.id) <= distance(id));
        self.candidates.insert(at, Candidate { id, address, state: State::New, token: None, suits });
        if self.candidates.len() > MAX_CANDIDATES {
            let farthest = self.candidates.iter().rposition(|known| known.state == State::New);
            farthest.map(|at| self.candidates.remove(at));
        }
    }

    /// The next node to be asked, noted as asked.
    pub(super) fn next(&mut self) -> Option<SocketAddr> {
        if self.queries >= MAX_QUERIES || self.has_found() {
            return None;
        }
        let asked = self.candidates.iter().filter(|known| known.state == State::Asked);
        let (asked, unsuited) = asked.fold((0, 0), |(asked, unsuited), known| {
            (asked + 1, unsuited + usize::from(known.id.is_some() && !known.suits))
        });
        if asked >= ALPHA {
            return None;
        }
        // Those whose ids do not suit their addresses have one branch of the search, so that they cannot hold it up.
        let may_ask = |known: &&mut Candidate| {
            known.state == State::New && (known.id.is_none() || known.suits || unsuited == 0)
        };
        let next = self.candidates.iter_mut().find(may_ask)?;
        next.state = State::Asked;
        self.queries += 1;
        Some(next.address)
    }

    /// A node answered, and named others.
    pub(super) fn answered(&mut self, node: Node, token: Option<Vec<u8>>, others: &[Node]) {
        let Some(at) = self.candidates.iter().position(|known| known.address == node.address) else { return };
        let mut known = self.candidates.remove(at);
        known.id = Some(node.id);
        known.suits = node.id.suits(node.address.ip());
        known.state = State::Answered;
        known.token = token.filter(|token| token.len() <= MAX_TOKEN);
        let distance = node.id.distance(self.target);
        let at = self
            .candidates
            .partition_point(|other| other.id.is_some_and(|id| id.distance(self.target) <= distance));
        self.candidates.insert(at, known);
        for other in others.iter().take(MAX_NAMED) {
            self.add(Some(other.id), other.address);
        }
    }

    pub(super) fn slow(&mut self, address: SocketAddr) {
        if let Some(known) = self.candidate(address).filter(|known| known.state == State::Asked) {
            known.state = State::Slow;
        }
    }

    pub(super) fn failed(&mut self, address: SocketAddr) {
        if let Some(known) = self.candidate(address) {
            known.state = State::Failed;
        }
    }

    /// Whether the nearest have answered. Nodes whose ids do not suit their addresses do not count (BEP 42).
    fn has_found(&self) -> bool {
        let nearest = self.candidates.iter().filter(|known| known.state != State::Failed && known.suits);
        let mut nearest = nearest.take(K);
        let mut count = 0;
        nearest.all(|known| {
            count += 1;
            known.state == State::Answered
        }) && count == K
    }

    /// Whether the search is over.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let is_waiting = |known: &Candidate| matches!(known.state, State::Asked | State::Slow);
        let none_left = || {
            let may_ask = self.queries < MAX_QUERIES;
            !self.candidates.iter().any(|known| is_waiting(known) || (may_ask && known.state == State::New))
        };
        now - self.begun_at >= MAX_DURATION || self.has_found() || none_left()
    }

    /// When the search ends at the latest.
    pub(super) fn ends_at(&self) -> Timestamp {
        self.begun_at + MAX_DURATION
    }

    /// How many nodes were asked.
    pub(super) const fn queries(&self) -> usize {
        self.queries
    }

    /// How many nodes answered.
    pub(super) fn answers(&self) -> usize {
        self.candidates.iter().filter(|known| known.state == State::Answered).count()
    }

    /// The nearest nodes that gave a token, and may be told (BEP 42: not those whose ids do not suit their addresses).
    pub(super) fn to_be_told(&self) -> Vec<(SocketAddr, Vec<u8>)> {
        let told = self.candidates.iter().filter(|known| known.suits);
        told.filter_map(|known| Some((known.address, known.token.clone()?))).take(K).collect()
    }

    fn candidate(&mut self, address: SocketAddr) -> Option<&mut Candidate> {
        self.candidates.iter_mut().find(|known| known.address == address)
    }
}

/// How many nodes are asked at once (Kademlia's alpha).
const ALPHA: usize = 3;
/// How many nodes one search asks.
const MAX_QUERIES: usize = 200;
/// How long one search lasts.
const MAX_DURATION: Duration = Duration::from_secs(60);
/// How many nodes a search remembers.
const MAX_CANDIDATES: usize = 300;
/// How many nodes of one answer are taken: BEP 5 has 8.
const MAX_NAMED: usize = 2 * K;
/// The longest token that is given back.
const MAX_TOKEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;

    /// A node of a local network, whose id is at this distance from the target of all zeros.
    fn near(distance: u8) -> Node {
        let mut id = [0; 20];
        id[1] = distance;
        Node { id: NodeId(id), address: ([10, 0, 0, distance], 6881).into() }
    }

    fn lookup() -> Lookup {
        Lookup::new([0; 20], LookupGoal::Nodes, false, NOW)
    }

    #[test]
    fn three_are_asked_at_once_and_a_slow_one_opens_another_branch() {
        let mut lookup = lookup();
        (1..=20).rev().for_each(|distance| lookup.add(Some(near(distance).id), near(distance).address));
        let asked: Vec<_> = std::iter::from_fn(|| lookup.next()).collect();
        assert_eq!(asked, [1, 2, 3].map(|distance| near(distance).address));
        lookup.slow(near(2).address);
        assert_eq!((lookup.next(), lookup.next()), (Some(near(4).address), None));
        lookup.answered(near(1), None, &[]);
        assert_eq!((lookup.next(), lookup.next()), (Some(near(5).address), None));
        // The slow one may answer all the same.
        lookup.answered(near(2), None, &[near(0)]);
        assert_eq!(lookup.next(), None);
        lookup.failed(near(3).address);
        assert_eq!(lookup.next(), Some(near(0).address));
    }

    #[test]
    fn a_search_ends_when_the_eight_nearest_have_answered() {
        let mut lookup = lookup();
        (1..=20).for_each(|distance| lookup.add(Some(near(distance).id), near(distance).address));
        let mut count = 0;
        while let Some(address) = lookup.next() {
            count += 1;
            assert!(!lookup.is_over(NOW));
            let distance = (1..=20).find(|&distance| near(distance).address == address).expect("one of them");
            lookup.answered(near(distance), Some(vec![distance]), &[]);
        }
        assert!(lookup.is_over(NOW));
        assert_eq!((count, lookup.answers()), (8, 8));
        let told: Vec<_> = lookup.to_be_told().into_iter().map(|(_, token)| token[0]).collect();
        assert_eq!(told, (1..=8).collect::<Vec<_>>());
    }

    #[test]
    fn a_search_ends_after_two_hundred_queries_or_a_minute() {
        let mut lookup = lookup();
        lookup.add(None, ([10, 9, 9, 9], 6881).into());
        let mut asked = 0_usize;
        while let Some(address) = lookup.next() {
            // Each node names nearer ones, which are there as little as the next ones.
            asked += 1;
            let nearer: Vec<_> = (0..8_u8)
                .map(|number| {
                    let mut id = [0xff; 20];
                    id[0] = (255 - asked) as u8;
                    id[1] = number;
                    Node { id: NodeId(id), address: ([10, asked as u8, number, 1], 6881).into() }
                })
                .collect();
            let id = NodeId([0xff; 20]);
            lookup.answered(Node { id, address }, None, &nearer);
            assert!(lookup.candidates.len() <= MAX_CANDIDATES);
        }
        assert_eq!(asked, 200);
        assert!(lookup.is_over(NOW));
        let mut lookup = self::lookup();
        lookup.add(None, near(1).address);
        lookup.next();
        assert!(!lookup.is_over(NOW + Duration::from_secs(59)) && lookup.is_over(lookup.ends_at()));
    }

    #[test]
    fn nodes_with_wrong_ids_are_not_told_and_do_not_end_a_search() {
        let mut lookup = lookup();
        let wrong = |number: u8| Node { id: NodeId([0; 20]), address: ([11, 0, number, 1], 6881).into() };
        let wrong = |number: u8| {
            let mut node = wrong(number);
            node.id.0[19] = number;
            node
        };
        (1..=30).for_each(|number| lookup.add(Some(wrong(number).id), wrong(number).address));
        (1..=20).for_each(|distance| lookup.add(Some(near(distance).id), near(distance).address));
        // Though the wrong ones are nearer, they have one branch of three.
        let asked: Vec<_> = std::iter::from_fn(|| lookup.next()).collect();
        assert_eq!(asked, [wrong(1).address, near(1).address, near(2).address]);
        let answer = |lookup: &mut Lookup, node| lookup.answered(node, Some(vec![1]), &[]);
        answer(&mut lookup, wrong(1));
        answer(&mut lookup, near(1));
        answer(&mut lookup, near(2));
        while let Some(address) = lookup.next() {
            assert!(!lookup.is_over(NOW));
            let all = (1..=30).map(wrong).chain((1..=20).map(near));
            let node = all.into_iter().find(|node| node.address == address).expect("one of them");
            answer(&mut lookup, node);
        }
        assert!(lookup.is_over(NOW));
        let told = lookup.to_be_told();
        assert!(
            told.len() == 8 && told.iter().all(|(address, _)| address.ip().to_string().starts_with("10."))
        );
    }

    #[test]
    fn one_host_is_asked_once_and_no_group_of_hosts_at_all() {
        let mut lookup = lookup();
        for port in 1..100 {
            lookup.add(Some(NodeId([port as u8; 20])), ([10, 0, 0, 1], port).into());
        }
        for address in ["224.0.0.1:6881", "0.0.0.0:6881", "10.0.0.2:0", "[2001:db8::1]:6881"] {
            lookup.add(Some(NodeId([200; 20])), address.parse().expect("an address"));
        }
        assert_eq!((lookup.next(), lookup.next()), (Some(([10, 0, 0, 1], 1).into()), None));
    }
}
