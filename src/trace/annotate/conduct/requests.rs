//! What one end of a connection asked for, and what became of it.

use std::collections::VecDeque;

use bittrace_protocol::{Block, Timestamp};
use rustc_hash::FxHashMap;

/// Requests that wait, and the last ones that are settled.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: FxHashMap<Block, Waiting>,
    settled: FxHashMap<Block, Settled>,
    order: VecDeque<Block>,
    /// Those that were cancelled and are still to be answered, with when that was.
    cancelled: VecDeque<(Timestamp, Block)>,
    /// Whether some had to be forgotten.
    forgot: bool,
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
        !self.forgot
    }

    pub(super) fn settled(&self, block: &Block) -> Option<Settled> {
        self.settled.get(block).copied()
    }

    pub(super) fn ask(&mut self, block: Block) {
        if self.waiting.len() >= KEPT {
            self.forgot = true;
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
        if self.settled.insert(block, by).is_none() {
            self.order.push_back(block);
        }
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.settled.remove(&oldest);
            self.forgot = true;
        }
    }
}
