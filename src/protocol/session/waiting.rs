//! The addresses that wait to be dialled: those whose turn it is, in order, and after them those that rest until a time.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

use crate::Timestamp;

/// A queue of addresses, each of which is in it once. To find whose turn it is costs the same however many rest.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    ready: VecDeque<SocketAddr>,
    resting: BTreeSet<(Timestamp, SocketAddr)>,
}

impl Waiting {
    pub(super) const fn new() -> Self {
        Self { ready: VecDeque::new(), resting: BTreeSet::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.resting.len()
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &SocketAddr> {
        self.ready.iter().chain(self.resting.iter().map(|(_, address)| address))
    }

    /// An address waits, after all others; until `not_before` it rests.
    pub(super) fn push(&mut self, address: SocketAddr, not_before: Option<Timestamp>) {
        match not_before {
            Some(at) => {
                self.resting.insert((at, address));
            }
            None => self.ready.push_back(address),
        }
    }

    /// It is the turn of an address before all others.
    pub(super) fn push_first(&mut self, address: SocketAddr) {
        self.ready.push_front(address);
    }

    /// An address does not wait any longer. Where it rests, it is found by the time at which its rest ends.
    pub(super) fn remove(&mut self, address: SocketAddr, not_before: Option<Timestamp>) {
        if not_before.is_some_and(|at| self.resting.remove(&(at, address))) {
            return;
        }
        self.retain(|other| *other != address);
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&SocketAddr) -> bool) {
        self.ready.retain(&keep);
        self.resting.retain(|(_, address)| keep(address));
    }

    /// Whose turn it is: one that does not rest, or that whose rest ended first.
    pub(super) fn first(&self, now: Timestamp) -> Option<SocketAddr> {
        self.first_unrested().or_else(|| {
            let rested = self.resting.first().filter(|(at, _)| *at <= now);
            rested.map(|(_, address)| *address)
        })
    }

    /// Whose turn it is of those that do not rest and did not.
    pub(super) fn first_unrested(&self) -> Option<SocketAddr> {
        self.ready.front().copied()
    }

    /// The address whose turn it is waits no longer.
    pub(super) fn pop_first(&mut self) {
        if self.ready.pop_front().is_none() {
            self.resting.pop_first();
        }
    }

    /// When it is somebody's turn, at `now` or later; `None` where nobody waits.
    pub(super) fn ready_at(&self, now: Timestamp) -> Option<Timestamp> {
        match self.ready.is_empty() {
            true => self.resting.first().map(|(at, _)| *at),
            false => Some(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn those_that_rest_come_after_those_whose_turn_it_is() {
        let at = |seconds| Timestamp::EPOCH + Duration::from_secs(seconds);
        let address = |number: u8| SocketAddr::from(([11, 0, 0, number], 6881));
        let mut waiting = Waiting::new();
        waiting.push(address(1), Some(at(5)));
        assert_eq!((waiting.first(at(4)), waiting.ready_at(at(4))), (None, Some(at(5))));
        waiting.push(address(2), None);
        waiting.push_first(address(3));
        assert_eq!(waiting.ready_at(at(4)), Some(at(4)));
        let mut order = Vec::new();
        while let Some(first) = waiting.first(at(5)) {
            order.push(first);
            waiting.pop_first();
        }
        assert_eq!(order, [3, 2, 1].map(address));
        assert_eq!((waiting.len(), waiting.ready_at(at(5))), (0, None));
    }
}
