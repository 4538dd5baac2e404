//! Whether queries of strangers reach us. Where none does, other nodes are told, so that they do not name us to others (BEP 43).

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::Timestamp;
use crate::dht::node_id::is_local;

/// What tells whether we can be reached in a family. A NAT or a firewall may let in those alone whom we asked lately: a query of a
/// node that we did not ask shows that everybody is let in. Nodes of the local network show nothing.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// The hosts that we asked last, the oldest first, and the same in order: some NATs let in each port of a host that was asked
    /// (RFC 4787, section 5).
    asked: VecDeque<IpAddr>,
    known: BTreeSet<IpAddr>,
    /// How many answers came, and when the first did.
    answers: u32,
    answered_since: Option<Timestamp>,
    strangers_ask: bool,
}

impl Reach {
    /// We send a query.
    pub(super) fn asks(&mut self, node: SocketAddr) {
        if self.strangers_ask || !self.known.insert(node.ip()) {
            return;
        }
        // Long ago: a NAT does not let such a node in either.
        if self.asked.len() >= MAX_ASKED
            && let Some(oldest) = self.asked.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.asked.push_back(node.ip());
    }

    /// A query of ours was answered.
    pub(super) fn is_answered(&mut self, now: Timestamp, by: SocketAddr) {
        if !is_local(by.ip()) {
            // From time to time it is tried anew: a port may have been opened.
            if self.answered_since.is_some_and(|since| now - since >= TRIED_AGAIN_AFTER) {
                (self.answers, self.answered_since) = (0, None);
            }
            self.answers = self.answers.saturating_add(1);
            self.answered_since.get_or_insert(now);
        }
    }

    /// A query came.
    pub(super) fn is_asked(&mut self, by: SocketAddr) {
        if !self.strangers_ask && !is_local(by.ip()) && !self.known.contains(&by.ip()) {
            *self = Self { strangers_ask: true, ..Self::default() };
        }
    }

    /// Whether nobody reaches us, who have been a node long enough that somebody would have asked us.
    pub(super) fn is_unreached(&self, now: Timestamp) -> bool {
        let long = self.answered_since.is_some_and(|since| now - since >= UNREACHED_AFTER);
        long && self.answers >= LEAST_ANSWERS && !self.strangers_ask
    }
}

/// How many nodes are remembered that we asked.
const MAX_ASKED: usize = 2_048;
/// Each node looks for others in each of its buckets within 15 minutes (BEP 5, "routing table"): some of them are told of us.
const UNREACHED_AFTER: Duration = Duration::from_secs(15 * 60);
/// How long it counts that nobody reached us. Then strangers may hear of us again, who would not otherwise.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(60 * 60);
/// Few nodes may all be known to us, so that there are no strangers.
const LEAST_ANSWERS: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000_000_000);
    const LATER: Timestamp = Timestamp::from_nanos(NOW.as_nanos() + 15 * 60 * 1_000_000_000);

    fn node(number: u32) -> SocketAddr {
        let [_, a, b, c] = number.to_be_bytes();
        ([11, a, b, c], 6881).into()
    }

    /// One that asked so many nodes, all of which answered.
    fn after(answers: u32) -> Reach {
        let mut reach = Reach::default();
        for number in 0..answers {
            reach.asks(node(number));
            reach.is_answered(NOW, node(number));
        }
        reach
    }

    #[test]
    fn who_is_asked_by_no_stranger_for_long_is_unreached() {
        let mut reach = after(LEAST_ANSWERS);
        // Whom we asked, a NAT lets in.
        reach.is_asked(node(3));
        assert!(!reach.is_unreached(NOW));
        assert!(reach.is_unreached(LATER));
        // A node of the local network passes no NAT.
        reach.is_asked(([10, 0, 0, 9], 6881).into());
        assert!(reach.is_unreached(LATER));
        reach.is_asked(node(LEAST_ANSWERS));
        assert!(!reach.is_unreached(LATER));
    }

    #[test]
    fn now_and_then_it_is_tried_anew() {
        let mut reach = after(LEAST_ANSWERS);
        let much_later = NOW + TRIED_AGAIN_AFTER;
        assert!(reach.is_unreached(much_later));
        reach.is_answered(much_later, node(1));
        assert!(!reach.is_unreached(much_later + UNREACHED_AFTER));
    }

    #[test]
    fn another_port_of_a_host_that_was_asked_is_no_stranger() {
        let mut reach = after(LEAST_ANSWERS);
        reach.is_asked(SocketAddr::new(node(3).ip(), 7000));
        assert!(reach.is_unreached(LATER));
    }

    #[test]
    fn among_few_nodes_there_are_no_strangers() {
        assert!(!after(LEAST_ANSWERS - 1).is_unreached(LATER));
        assert!(!Reach::default().is_unreached(LATER));
        let mut local = Reach::default();
        for number in 0..LEAST_ANSWERS {
            local.is_answered(NOW, ([10, 0, 0, number as u8], 6881).into());
        }
        assert!(!local.is_unreached(LATER));
    }

    #[test]
    fn what_is_remembered_of_nodes_that_were_asked_has_a_bound() {
        let reach = after(3 * MAX_ASKED as u32);
        assert_eq!((reach.asked.len(), reach.known.len()), (MAX_ASKED, MAX_ASKED));
        assert!(
            reach.known.contains(&node(3 * MAX_ASKED as u32 - 1).ip())
                && !reach.known.contains(&node(0).ip())
        );
    }
}
