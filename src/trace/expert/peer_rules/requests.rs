//! What one end of a connection asked for, and what became of it.

use std::collections::{HashMap, VecDeque};

use bittrace_protocol::wire::HashRange;
use bittrace_protocol::{Block, Timestamp};
use foldhash::fast::RandomState;

/// Requests that wait, and the last ones that are settled.
///
/// The keys are the far end's, so the hash is one that nobody can choose them to collide in.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: HashMap<Block, Waiting, RandomState>,
    /// Those that are settled, in that order.
    settled: VecDeque<(Block, Settled)>,
    /// The number of the first of those, all that ever were counted from 0.
    first: u64,
    /// The number of the last one of each block. Only made when somebody asks, which is rare.
    index: HashMap<Block, u64, RandomState>,
    /// The number of the first one that is not in the index.
    unindexed: u64,
    /// Those that were cancelled and are still to be answered, with when that was.
    cancelled: VecDeque<(Timestamp, Block)>,
    /// Whether more waited than are remembered.
    overflowed: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Waiting {
    times: u32,
    cancelled: bool,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    Sent,
    Rejected,
    Cancelled,
    /// The receiver choked, which ends requests where the fast extension does not say otherwise.
    Dropped,
}

/// How many requests are remembered of each kind. A gigabyte has 65,536 blocks.
const KEPT: usize = 65_536;

impl Requests {
    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none was forgotten.
    pub(super) const fn is_all(&self) -> bool {
        !self.overflowed && self.first == 0
    }

    /// What became of the last request for a block that is settled.
    pub(super) fn settled(&mut self, block: &Block) -> Option<Settled> {
        self.unindexed = self.unindexed.max(self.first);
        for (block, _) in self.settled.range((self.unindexed - self.first) as usize..) {
            self.index.insert(*block, self.unindexed);
            self.unindexed += 1;
        }
        if self.index.len() > 2 * KEPT {
            let first = self.first;
            self.index.retain(|_, number| *number >= first);
        }
        let place = self.index.get(block)?.checked_sub(self.first)?;
        self.settled.get(place as usize).map(|(_, became)| *became)
    }

    pub(super) fn ask(&mut self, block: Block) {
        if self.waiting.len() >= KEPT {
            self.overflowed = true;
            return;
        }
        let waiting = self.waiting.entry(block).or_default();
        waiting.times += 1;
        waiting.cancelled = false;
    }

    /// Settles a request that waits; whether it was cancelled. `None` where none waits.
    pub(super) fn answer(&mut self, block: Block, by: Settled) -> Option<bool> {
        let waiting = self.waiting.get_mut(&block)?;
        let cancelled = waiting.cancelled;
        waiting.times -= 1;
        if waiting.times == 0 {
            self.waiting.remove(&block);
        }
        self.settle(block, by);
        Some(cancelled)
    }

    /// Cancels a request; whether one waits. With the fast extension it is still to be answered (BEP 6).
    pub(super) fn cancel(&mut self, block: Block, at: Timestamp, fast: bool) -> bool {
        let Some(waiting) = self.waiting.get_mut(&block) else { return false };
        waiting.cancelled = true;
        if fast {
            if self.cancelled.len() < KEPT {
                self.cancelled.push_back((at, block));
            }
        } else {
            self.waiting.remove(&block);
            self.settle(block, Settled::Cancelled);
        }
        true
    }

    /// A cancelled request that was not answered for so many seconds; each is given once.
    pub(super) fn overdue(&mut self, at: Timestamp, patience: f64) -> Option<Block> {
        while let Some(&(since, block)) = self.cancelled.front() {
            let waits = self.waiting.get(&block).is_some_and(|waiting| waiting.cancelled);
            if waits && at.seconds_since(since) <= patience {
                return None;
            }
            self.cancelled.pop_front();
            if waits {
                return Some(block);
            }
        }
        None
    }

    pub(super) fn drop_all(&mut self) {
        let all: Vec<Block> = self.waiting.drain().map(|(block, _)| block).collect();
        for block in all {
            self.settle(block, Settled::Dropped);
        }
    }

    fn settle(&mut self, block: Block, by: Settled) {
        self.settled.push_back((block, by));
        if self.settled.len() > KEPT {
            self.settled.pop_front();
            self.first += 1;
        }
    }
}

/// Requests for hashes that wait (BEP 52, "peer messages").
#[derive(Debug, Default)]
pub(super) struct HashRequests {
    waiting: HashMap<HashRange, u32, RandomState>,
    /// Whether some had to be forgotten.
    forgot: bool,
}

impl HashRequests {
    pub(super) fn ask(&mut self, range: HashRange) {
        if self.waiting.len() >= KEPT {
            self.forgot = true;
            return;
        }
        *self.waiting.entry(range).or_default() += 1;
    }

    /// Settles a request; whether one waits, as far as is known.
    pub(super) fn answer(&mut self, range: &HashRange) -> bool {
        let Some(times) = self.waiting.get_mut(range) else { return self.forgot };
        *times -= 1;
        if *times == 0 {
            self.waiting.remove(range);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn block(number: u32) -> Block {
        Block { index: bittrace_protocol::PieceIndex(number), begin: 0, length: 16 }
    }

    #[test]
    fn the_last_settlement_of_a_block_counts_whenever_it_is_asked_for() {
        let mut requests = Requests::default();
        for (by, then) in [(Settled::Rejected, Some(Settled::Rejected)), (Settled::Sent, Some(Settled::Sent))]
        {
            requests.ask(block(1));
            assert_eq!(requests.answer(block(1), by), Some(false));
            assert_eq!((requests.settled(&block(1)), requests.settled(&block(2))), (then, None));
        }
    }

    #[test]
    fn what_is_too_long_ago_is_forgotten_and_said_to_be() {
        let mut requests = Requests::default();
        let rounds = 3 * KEPT as u32;
        for number in 0..rounds {
            requests.ask(block(number));
            requests.answer(block(number), Settled::Sent);
            if number.is_multiple_of(1000) {
                assert_eq!(requests.settled(&block(number)), Some(Settled::Sent));
            }
        }
        assert!(!requests.is_all());
        let oldest = rounds - KEPT as u32;
        assert_eq!(requests.settled(&block(oldest)), Some(Settled::Sent));
        assert_eq!(requests.settled(&block(oldest - 1)), None);
        assert!(requests.index.len() <= 2 * KEPT && requests.settled.len() == KEPT);
    }
}
