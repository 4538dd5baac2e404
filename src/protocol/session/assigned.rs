//! The requests that a peer has not answered, in the order in which they were sent, and which of them it has passed over:
//! blocks of later requests came, and theirs did not.

use std::collections::VecDeque;
use std::time::Duration;

use crate::{Block, Timestamp};

/// The blocks that the picker assigned to a peer, that were requested and have not begun to come. A request that was
/// cancelled or given up may be outstanding for the peer, but its block is assigned no longer.
#[derive(Debug, Default)]
pub(super) struct AssignedBlocks {
    /// Ordered by number.
    requests: VecDeque<AssignedBlock>,
    /// The greatest number of a request whose block came.
    newest_answered: u32,
    /// How many of the requests, from the first on, were found to be passed over.
    passed_over: usize,
}

/// A block that is assigned to a peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct AssignedBlock {
    pub(super) block: Block,
    /// How many requests were sent to the peer, with the last request for this block.
    number: u32,
    /// Since when blocks of later requests are there.
    passed_over_at: Option<Timestamp>,
    /// How many times the block was requested again.
    pub(super) repeats: u32,
}

impl AssignedBlocks {
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// How many requests the peer is likely to answer still: those that it passed over are left out.
    pub(super) fn expected(&self) -> usize {
        self.requests.len() - self.passed_over
    }

    /// The blocks, in the order in which they were last requested.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Block> + '_ {
        self.requests.iter().map(|request| request.block)
    }

    /// Adds a block for which the peer was sent its `number`th request.
    pub(super) fn push(&mut self, block: Block, number: u32) {
        self.requests.push_back(AssignedBlock { block, number, passed_over_at: None, repeats: 0 });
    }

    /// Adds a block again, for which the peer was sent one more request.
    pub(super) fn push_again(&mut self, request: AssignedBlock, number: u32) {
        let repeats = request.repeats + 1;
        self.requests.push_back(AssignedBlock {
            block: request.block,
            number,
            passed_over_at: None,
            repeats,
        });
    }

    /// Takes out a block that begins to come; whether it was assigned.
    pub(super) fn answer(&mut self, block: Block) -> bool {
        let Some(request) = self.take(block) else { return false };
        self.newest_answered = self.newest_answered.max(request.number);
        true
    }

    /// Takes out a block that will not come.
    pub(super) fn take(&mut self, block: Block) -> Option<AssignedBlock> {
        // Most blocks come in the order in which they were requested.
        let first = self.requests.front().is_some_and(|request| request.block == block);
        let at = if first { 0 } else { self.requests.iter().position(|request| request.block == block)? };
        self.take_at(at)
    }

    /// Takes out the first block of which this holds.
    pub(super) fn take_first(&mut self, holds: impl FnMut(Block) -> bool) -> Option<AssignedBlock> {
        let at = self.blocks().position(holds)?;
        self.take_at(at)
    }

    fn take_at(&mut self, at: usize) -> Option<AssignedBlock> {
        let request = self.requests.remove(at)?;
        self.passed_over -= usize::from(request.passed_over_at.is_some());
        if self.requests.is_empty() && self.requests.capacity() > KEPT {
            self.requests = VecDeque::new();
        }
        Some(request)
    }

    /// Takes out all blocks but those that are kept.
    pub(super) fn take_unless(&mut self, mut keep: impl FnMut(Block) -> bool) -> Vec<Block> {
        let mut taken = Vec::new();
        self.requests.retain(|request| {
            let kept = keep(request.block);
            if !kept {
                taken.push(request.block);
            }
            kept
        });
        self.passed_over = self.requests.iter().filter(|request| request.passed_over_at.is_some()).count();
        taken
    }

    /// Takes out all blocks.
    pub(super) fn take_all(&mut self) -> VecDeque<AssignedBlock> {
        self.passed_over = 0;
        std::mem::take(&mut self.requests)
    }

    /// Notes which requests are passed over by now, and takes out those for which this has lasted too long, at most `most`.
    pub(super) fn take_overdue(&mut self, now: Timestamp, most: usize) -> Vec<AssignedBlock> {
        let newest = self.newest_answered;
        let fresh = self.requests.iter_mut().skip(self.passed_over);
        for request in fresh.take_while(|request| request.number < newest) {
            request.passed_over_at = Some(now);
            self.passed_over += 1;
        }
        let mut overdue = Vec::new();
        for at in (0..self.passed_over).rev() {
            let request = self.requests[at];
            let wait = (PATIENCE * (1 << request.repeats.min(6))).min(MOST_PATIENCE);
            let waited = request.passed_over_at.is_some_and(|since| now - since >= wait);
            if waited && overdue.len() < most {
                overdue.extend(self.take_at(at));
            }
        }
        overdue.reverse();
        overdue
    }
}

/// Room for so many requests is kept when none is assigned.
const KEPT: usize = 8;

/// For how long a request may be passed over before its block is requested again; twice as long after each repeat. Clients
/// that read several blocks from disk at once send them in another order, but not by seconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest time between two requests for a block that was passed over.
const MOST_PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PieceIndex;

    fn block(number: u32) -> Block {
        Block { index: PieceIndex(number), begin: 0, length: 1 }
    }

    fn after(seconds: u64) -> Timestamp {
        Timestamp::EPOCH + Duration::from_secs(seconds)
    }

    fn overdue(assigned: &mut AssignedBlocks, seconds: u64) -> Vec<u32> {
        assigned.take_overdue(after(seconds), 10).iter().map(|request| request.block.index.0).collect()
    }

    #[test]
    fn requests_are_overdue_once_later_ones_have_been_answered_for_a_while() {
        let mut assigned = AssignedBlocks::default();
        (1..=6).for_each(|number| assigned.push(block(number), number));
        assert!(assigned.answer(block(1)));
        assert_eq!(overdue(&mut assigned, 0), []);
        assert_eq!(assigned.expected(), 5);
        assert!(assigned.answer(block(4)) && !assigned.answer(block(4)));
        assert_eq!(overdue(&mut assigned, 1), []);
        // Blocks 2 and 3 are passed over, 5 and 6 are not.
        assert_eq!((assigned.len(), assigned.expected()), (4, 2));
        assert_eq!(overdue(&mut assigned, 2), []);
        assert_eq!(overdue(&mut assigned, 3), [2, 3]);
        assert_eq!((assigned.len(), assigned.expected()), (2, 2));
    }

    #[test]
    fn each_repeat_waits_twice_as_long_and_never_over_a_minute() {
        let mut assigned = AssignedBlocks::default();
        let (mut now, mut number) = (0, 2);
        assigned.push(block(1), 1);
        let mut waits = Vec::new();
        for _ in 0..8 {
            // A later request is answered.
            assigned.push(block(2), number);
            assert!(assigned.answer(block(2)));
            assert_eq!(overdue(&mut assigned, now), []);
            let begun = now;
            let request = loop {
                now += 1;
                if let Some(request) = assigned.take_overdue(after(now), 10).pop() {
                    break request;
                }
            };
            waits.push(now - begun);
            assigned.push_again(request, number + 1);
            number += 2;
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn what_is_taken_out_is_no_longer_passed_over() {
        let mut assigned = AssignedBlocks::default();
        (1..=4).for_each(|number| assigned.push(block(number), number));
        assigned.answer(block(4));
        overdue(&mut assigned, 0);
        assert_eq!((assigned.len(), assigned.expected()), (3, 0));
        assert!(assigned.take(block(2)).is_some());
        assert_eq!(assigned.take_unless(|kept| kept == block(3)), [block(1)]);
        assert_eq!((assigned.len(), assigned.expected()), (1, 0));
        assert_eq!(assigned.take_all().len(), 1);
        assert!(assigned.is_empty() && assigned.expected() == 0);
    }
}
