//! The requests of one side of a connection: which are outstanding, and how the latest ones ended.
//!
//! The keys come from the network, so the hash function is seeded: no sender can choose keys that collide.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::{Block, Timestamp};

/// When a message was sent, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentMessage {
    /// The number that the caller gave the message.
    pub number: u64,
    /// When the message was observed.
    pub at: Timestamp,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestEnd {
    /// The block came.
    Answered,
    /// The receiver rejected the request (BEP 6).
    Rejected,
    /// The sender cancelled the request, and the fast extension does not ask for an answer.
    Cancelled,
    /// The receiver choked, which ends requests unless both sides speak the fast extension.
    Choked,
}

/// Requests for blocks.
#[derive(Debug)]
pub(super) struct BlockRequests {
    open: HashMap<Block, OpenRequest, RandomState>,
    /// How many requests are outstanding, repeated ones included.
    outstanding: usize,
    /// How many chokes may have ended requests. Requests sent before the last of them are doubtful.
    chokes: u32,
    /// The latest requests that ended, in that order.
    ended: VecDeque<(Block, RequestEnd)>,
    /// How many requests ended before the first in `ended`.
    forgotten: u64,
    /// What is only needed where requests are repeated or cancelled, or answered though none is outstanding.
    rare: Option<Box<RareRequests>>,
    /// Whether there were more outstanding requests than can be remembered.
    overflowed: bool,
    capacity: RequestCapacity,
}

/// What few connections need of their requests.
#[derive(Debug, Default)]
struct RareRequests {
    /// The requests for blocks that are open already, in the order in which they were sent.
    repeated: HashMap<Block, VecDeque<SentMessage>, RandomState>,
    /// The number of the last request that ended and is remembered for each block, all that ever ended counted from 0.
    index: HashMap<Block, u64, RandomState>,
    /// The number of the first request that is not in the index.
    unindexed: u64,
    /// The requests that were cancelled and are still to be answered, with the time of the cancel.
    cancelled: VecDeque<(Timestamp, Block)>,
}

/// How many requests one side of a connection may have in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestCapacity {
    /// How many outstanding requests.
    pub outstanding: usize,
    /// How many requests that ended. With more, faults that need the whole history are no longer reported.
    pub ended: usize,
}

#[derive(Debug)]
struct OpenRequest {
    sent: SentMessage,
    /// The count of chokes when the request was sent.
    chokes: u32,
    cancelled: bool,
    repeated: bool,
}

/// An outstanding request that a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EndedRequest {
    pub(super) sent: SentMessage,
    pub(super) cancelled: bool,
}

impl BlockRequests {
    pub(super) fn new(capacity: RequestCapacity) -> Self {
        Self {
            open: HashMap::default(),
            outstanding: 0,
            chokes: 0,
            ended: VecDeque::new(),
            forgotten: 0,
            rare: None,
            overflowed: false,
            capacity,
        }
    }

    /// How many requests are outstanding, those for the same block counted each.
    pub(super) const fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// For how many different blocks requests are outstanding.
    pub(super) fn blocks(&self) -> usize {
        self.open.len()
    }

    /// The oldest outstanding request for a block.
    pub(super) fn get(&self, block: Block) -> Option<SentMessage> {
        self.open.get(&block).filter(|request| request.chokes == self.chokes).map(|request| request.sent)
    }

    /// The outstanding blocks, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Block, SentMessage)> + '_ {
        let current = self.open.iter().filter(|(_, request)| request.chokes == self.chokes);
        current.map(|(block, request)| (*block, request.sent))
    }

    /// Whether every request that was ever sent is remembered.
    pub(super) const fn is_whole(&self) -> bool {
        !self.overflowed && self.forgotten == 0
    }

    /// Takes a request. `false` where a request for that block is outstanding already, or there are too many.
    pub(super) fn send(&mut self, block: Block, sent: SentMessage) -> bool {
        if self.outstanding >= self.capacity.outstanding {
            self.overflowed = true;
            return false;
        }
        if self.open.len() >= self.capacity.outstanding {
            let (open, rare, chokes) = (&mut self.open, &mut self.rare, self.chokes);
            open.retain(|block, request| {
                let keep = request.chokes == chokes;
                if request.repeated
                    && !keep
                    && let Some(rare) = rare
                {
                    rare.repeated.remove(block);
                }
                keep
            });
        }
        self.outstanding += 1;
        let request = OpenRequest { sent, chokes: self.chokes, cancelled: false, repeated: false };
        match self.open.entry(block) {
            Entry::Vacant(place) => {
                place.insert(request);
                true
            }
            // The first request ended, as far as is known.
            Entry::Occupied(mut place) if place.get().chokes != self.chokes => {
                if place.insert(request).repeated
                    && let Some(rare) = &mut self.rare
                {
                    rare.repeated.remove(&block);
                }
                true
            }
            Entry::Occupied(mut place) => {
                let first = place.get_mut();
                first.cancelled = false;
                first.repeated = true;
                let rare = self.rare.get_or_insert_default();
                rare.repeated.entry(block).or_default().push_back(sent);
                false
            }
        }
    }

    /// Ends the oldest outstanding request for a block; `None` where there is none.
    pub(super) fn end(&mut self, block: Block, by: RequestEnd) -> Option<EndedRequest> {
        let Entry::Occupied(mut place) = self.open.entry(block) else { return None };
        let request = place.get_mut();
        let ended = EndedRequest { sent: request.sent, cancelled: request.cancelled };
        if request.chokes == self.chokes {
            self.outstanding -= 1;
        }
        let mut next = None;
        if request.repeated
            && let Some(rare) = &mut self.rare
            && let Some(repeats) = rare.repeated.get_mut(&block)
        {
            next = repeats.pop_front();
            if repeats.is_empty() {
                rare.repeated.remove(&block);
                request.repeated = false;
            }
        }
        match next {
            Some(next) => request.sent = next,
            None => {
                place.remove();
            }
        }
        self.note_end(block, by);
        self.release_memory();
        Some(ended)
    }

    /// Cancels the requests for a block; whether one is open. `answered` says whether a cancelled request is answered all the
    /// same, as the fast extension has it (BEP 6); `None` where that is not known.
    pub(super) fn cancel(&mut self, block: Block, at: Timestamp, answered: Option<bool>) -> bool {
        let Some(request) = self.open.get_mut(&block) else { return false };
        request.cancelled = true;
        if answered == Some(true) {
            let cancelled = &mut self.rare.get_or_insert_default().cancelled;
            if cancelled.len() < self.capacity.outstanding {
                cancelled.push_back((at, block));
            }
            return true;
        }
        self.doubt(block);
        if answered == Some(false) {
            self.open.remove(&block);
            if let Some(rare) = &mut self.rare {
                rare.repeated.remove(&block);
            }
            self.note_end(block, RequestEnd::Cancelled);
        }
        true
    }

    /// Takes in that the requests for a block may have ended. They do not count as outstanding; a block or a reject that comes
    /// nevertheless answers them, and the next request for the block counts anew.
    pub(super) fn doubt(&mut self, block: Block) {
        let current = self.open.get_mut(&block).filter(|request| request.chokes == self.chokes);
        let Some(request) = current else { return };
        let rare = self.rare.as_ref().filter(|_| request.repeated);
        let repeats = rare.and_then(|rare| rare.repeated.get(&block)).map_or(0, VecDeque::len);
        self.outstanding -= 1 + repeats;
        request.chokes = self.chokes.wrapping_sub(1);
    }

    /// Whether there are cancelled requests that may still be answered.
    #[inline]
    pub(super) fn has_cancelled(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| !rare.cancelled.is_empty())
    }

    /// The block of a cancelled request that was not answered within `patience`. Each is given once.
    pub(super) fn unanswered_cancel(&mut self, at: Timestamp, patience: Duration) -> Option<Block> {
        let cancelled = &mut self.rare.as_mut()?.cancelled;
        while let Some(&(since, block)) = cancelled.front() {
            let waits = self.open.get(&block).is_some_and(|request| request.cancelled);
            if waits && at - since <= patience {
                return None;
            }
            cancelled.pop_front();
            if waits {
                return Some(block);
            }
        }
        None
    }

    /// Ends all requests: the receiver choked.
    pub(super) fn end_all(&mut self) {
        let all: Vec<Block> = self.open.drain().map(|(block, _)| block).collect();
        for block in all {
            self.note_end(block, RequestEnd::Choked);
        }
        if let Some(rare) = &mut self.rare {
            rare.repeated.clear();
        }
        self.outstanding = 0;
        self.release_memory();
    }

    /// Gives back the memory of requests once none is outstanding: most connections of a client carry blocks for a while only.
    fn release_memory(&mut self) {
        if self.open.is_empty() {
            self.open.shrink_to_fit();
        }
    }

    /// Takes in that all requests may have ended: the receiver choked, and whether both sides speak the fast extension is not
    /// known. None counts as outstanding; a block or a reject that comes nevertheless answers its request.
    pub(super) fn doubt_all(&mut self) {
        self.chokes = self.chokes.wrapping_add(1);
        self.outstanding = 0;
    }

    /// How the last request for a block ended that is not outstanding any more.
    pub(super) fn last_end(&mut self, block: Block) -> Option<RequestEnd> {
        let rare = self.rare.get_or_insert_default();
        rare.unindexed = rare.unindexed.max(self.forgotten);
        for (block, _) in self.ended.range((rare.unindexed - self.forgotten) as usize..) {
            rare.index.insert(*block, rare.unindexed);
            rare.unindexed += 1;
        }
        if rare.index.len() > 2 * self.capacity.ended {
            let first = self.forgotten;
            rare.index.retain(|_, number| *number >= first);
        }
        let place = rare.index.get(&block)?.checked_sub(self.forgotten)?;
        self.ended.get(place as usize).map(|(_, by)| *by)
    }

    fn note_end(&mut self, block: Block, by: RequestEnd) {
        if self.ended.len() >= self.capacity.ended && self.ended.pop_front().is_some() {
            self.forgotten += 1;
        }
        self.ended.push_back((block, by));
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let rare = self.rare.as_ref().map_or(0, |rare| {
            rare.repeated.values().map(VecDeque::len).sum::<usize>() + rare.index.len() + rare.cancelled.len()
        });
        self.open.len() + rare + self.ended.len()
    }
}

/// Requests of another kind: for pieces of metadata (BEP 9), or hashes (BEP 52). Most connections have none.
#[derive(Debug)]
pub(super) struct OtherRequests<K>(Option<Box<KeptRequests<K>>>);

#[derive(Debug)]
struct KeptRequests<K> {
    open: HashMap<K, RepeatedRequest, RandomState>,
    /// Whether there were more than can be remembered.
    overflowed: bool,
}

#[derive(Debug, Clone, Copy)]
struct RepeatedRequest {
    first: SentMessage,
    last: SentMessage,
    times: u32,
}

/// The most requests of another kind that one side may have outstanding in memory. Metadata of 8,192 pieces has 128 MiB, more
/// than any torrent; and a client asks for the hashes of a few pieces at a time.
const MAX_OTHER_REQUESTS: usize = 8_192;

impl<K: Eq + Hash> OtherRequests<K> {
    pub(super) fn new() -> Self {
        Self(None)
    }

    pub(super) fn send(&mut self, key: K, sent: SentMessage) {
        let new = || Box::new(KeptRequests { open: HashMap::default(), overflowed: false });
        let kept = self.0.get_or_insert_with(new);
        let full = kept.open.len() >= MAX_OTHER_REQUESTS;
        match kept.open.entry(key) {
            Entry::Occupied(mut request) => {
                let request = request.get_mut();
                request.last = sent;
                request.times = request.times.saturating_add(1);
            }
            Entry::Vacant(_) if full => kept.overflowed = true,
            Entry::Vacant(place) => {
                place.insert(RepeatedRequest { first: sent, last: sent, times: 1 });
            }
        }
    }

    /// Ends the oldest request for a key; `None` where there is none.
    pub(super) fn end(&mut self, key: K) -> Option<SentMessage> {
        let Entry::Occupied(mut place) = self.0.as_mut()?.open.entry(key) else { return None };
        let request = place.get_mut();
        let sent = request.first;
        request.first = request.last;
        request.times -= 1;
        if request.times == 0 {
            place.remove();
        }
        Some(sent)
    }

    /// What is requested and not answered, in no order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().flat_map(|kept| kept.open.keys())
    }

    /// Whether every outstanding request is remembered.
    pub(super) fn is_whole(&self) -> bool {
        self.0.as_ref().is_none_or(|kept| !kept.overflowed)
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.0.as_ref().map_or(0, |kept| kept.open.len())
    }
}

#[cfg(test)]
mod tests;
