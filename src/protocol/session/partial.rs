//! The blocks of a piece under way: what is there of each, who was asked, and who gave.

use smallvec::SmallVec;

use super::SessionStreamId;

/// A piece under way.
#[derive(Debug)]
pub(super) struct Partial {
    size: u32,
    block_length: u32,
    blocks: Vec<BlockState>,
    /// How many blocks nobody is asked for, and are not whole.
    unasked: u32,
    /// No block before this one is such.
    first_unasked: u32,
    /// How many blocks are not whole.
    missing: u32,
    reserved: Reserved,
    /// Bytes handed out to be stored.
    unstored: u64,
}

/// Whom a piece may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reserved {
    /// Anybody.
    No,
    /// The next who asks, and then only that one.
    ForNext,
    /// Only this one.
    For(SessionStreamId),
}

#[derive(Debug, Default, Clone)]
struct BlockState {
    /// How many of its bytes are there, from the first on.
    there: u32,
    asked: SmallVec<[SessionStreamId; 2]>,
    from: SmallVec<[SessionStreamId; 2]>,
}

/// What is done about a block that is missing: how many are asked for it, and how many of its bytes are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Demand {
    pub(super) asked: usize,
    there: u32,
}

impl Partial {
    pub(super) fn new(size: u32, block_length: u32, reserved: Reserved) -> Self {
        let count = size.div_ceil(block_length);
        Self {
            size,
            block_length,
            blocks: vec![BlockState::default(); count as usize],
            unasked: count,
            first_unasked: 0,
            missing: count,
            reserved,
            unstored: 0,
        }
    }

    /// A block is there without a peer that gave it; its bytes are still to be stored.
    pub(super) fn make(&mut self, number: u32) {
        let length = self.length(number);
        let Some(block) = self.blocks.get_mut(number as usize) else { return };
        block.there = length;
        self.missing -= 1;
        self.unasked -= 1;
        self.unstored += u64::from(length);
    }

    pub(super) const fn unasked(&self) -> u32 {
        self.unasked
    }

    pub(super) const fn missing(&self) -> u32 {
        self.missing
    }

    pub(super) const fn unstored(&self) -> u64 {
        self.unstored
    }

    pub(super) fn is_for(&self, stream: SessionStreamId) -> bool {
        match self.reserved {
            Reserved::No | Reserved::ForNext => true,
            Reserved::For(owner) => owner == stream,
        }
    }

    /// Whether all of it is to come from one peer.
    pub(super) const fn is_reserved(&self) -> bool {
        !matches!(self.reserved, Reserved::No)
    }

    /// Whether a block is taken of which `stream` was not asked, or not any longer: a piece that was corrupt comes from one peer
    /// alone.
    pub(super) fn takes_unasked_of(&self, stream: SessionStreamId) -> bool {
        self.reserved != Reserved::ForNext && self.is_for(stream)
    }

    /// Lets others have a piece reserved for `stream`; whether it was.
    pub(super) fn unreserve(&mut self, stream: SessionStreamId) -> bool {
        let was = self.reserved == Reserved::For(stream);
        if was {
            self.reserved = Reserved::ForNext;
        }
        was
    }

    pub(super) fn asked(&self, number: u32) -> &[SessionStreamId] {
        self.blocks.get(number as usize).map_or(&[], |block| &block.asked)
    }

    /// Who gave bytes of a block.
    pub(super) fn givers(&self) -> impl Iterator<Item = &[SessionStreamId]> {
        self.blocks.iter().map(|block| block.from.as_slice())
    }

    /// Where in the piece the missing bytes begin of each block that nobody is asked for.
    pub(super) fn unasked_from(&self) -> impl Iterator<Item = u32> + '_ {
        let unasked = (0..)
            .zip(&self.blocks)
            .filter(|(number, block)| block.asked.is_empty() && block.there < self.length(*number));
        unasked.map(|(number, block)| number * self.block_length + block.there)
    }

    /// Notes that `stream` is asked for the first block that nobody is asked for.
    pub(super) fn ask_next(&mut self, stream: SessionStreamId) -> Option<u32> {
        while let Some(block) = self.blocks.get(self.first_unasked as usize) {
            let number = self.first_unasked;
            self.first_unasked += 1;
            if block.asked.is_empty() && block.there < self.length(number) {
                self.unasked -= 1;
                self.ask(number, stream);
                return Some(number);
            }
        }
        None
    }

    pub(super) fn ask(&mut self, number: u32, stream: SessionStreamId) {
        self.blocks[number as usize].asked.push(stream);
        if self.reserved == Reserved::ForNext {
            self.reserved = Reserved::For(stream);
        }
    }

    /// `stream` is asked for a block after all, having been released from it; whether it is of use still.
    pub(super) fn ask_again(&mut self, number: u32, stream: SessionStreamId) -> bool {
        let length = self.length(number);
        let Some(block) = self.blocks.get_mut(number as usize) else { return false };
        if block.there == length {
            return false;
        }
        if block.asked.is_empty() {
            self.unasked -= 1;
        }
        if !block.asked.contains(&stream) {
            block.asked.push(stream);
        }
        true
    }

    /// The block that the fewest are asked for, `stream` not among them; of those, the one of which the fewest bytes are there.
    pub(super) fn least_asked(&self, stream: SessionStreamId) -> Option<(u32, Demand)> {
        let blocks = (0..).zip(&self.blocks);
        let open = blocks
            .filter(|(number, block)| block.there < self.length(*number) && !block.asked.contains(&stream));
        let demands =
            open.map(|(number, block)| (number, Demand { asked: block.asked.len(), there: block.there }));
        demands.min_by_key(|(_, demand)| *demand)
    }

    /// `stream` is not asked for a block any longer; whether nobody is now, and it is not whole.
    pub(super) fn release(&mut self, number: u32, stream: SessionStreamId) -> bool {
        let length = self.length(number);
        let Some(block) = self.blocks.get_mut(number as usize) else { return false };
        let Some(at) = block.asked.iter().position(|&asked| asked == stream) else { return false };
        block.asked.swap_remove(at);
        if !block.asked.is_empty() || block.there == length {
            return false;
        }
        self.unasked += 1;
        self.first_unasked = self.first_unasked.min(number);
        true
    }

    /// `count` bytes of a block come from `position` on: how many of them are there already. `None` when bytes before
    /// them are missing, so that they are of no use.
    pub(super) fn arrive(
        &mut self,
        number: u32,
        position: u32,
        count: usize,
        from: SessionStreamId,
    ) -> Option<usize> {
        let length = self.length(number);
        let block = self.blocks.get_mut(number as usize)?;
        let known = block.there.checked_sub(position)? as usize;
        if known >= count {
            return Some(count);
        }
        let fresh = (count - known).min((length - block.there) as usize);
        block.there += fresh as u32;
        self.unstored += fresh as u64;
        if !block.from.contains(&from) {
            block.from.push(from);
        }
        if block.there == length {
            self.missing -= 1;
            if block.asked.is_empty() {
                self.unasked -= 1;
            }
        }
        Some(known)
    }

    pub(super) fn is_whole(&self, number: u32) -> bool {
        self.blocks.get(number as usize).is_some_and(|block| block.there == self.length(number))
    }

    pub(super) fn stored(&mut self, count: u64) -> u64 {
        let counted = count.min(self.unstored);
        self.unstored -= counted;
        counted
    }

    fn length(&self, number: u32) -> u32 {
        self.block_length.min(self.size.saturating_sub(number * self.block_length))
    }
}
