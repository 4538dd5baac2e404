//! Which block is asked of whom. A piece is in exactly one state: it is not wanted, waits, is started, is being hashed, or is done.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::metainfo::Padding;
use crate::{Block, Geometry, PieceIndex};

use super::SessionStreamId;
use super::partial::{Partial, Reserved};
use super::profile::PieceOrder;
use super::rarity::Rarity;
use super::rng::Rng;
use crate::wire::PieceSet;

/// What is missing, what is under way, and from whom.
#[derive(Debug)]
pub(super) struct Picker {
    geometry: Geometry,
    block_length: u32,
    /// Whether last blocks are asked for with the zeros after them.
    pads: bool,
    /// What of the row is padding, where nobody is asked for blocks that are padding alone.
    padding: Padding,
    states: Vec<PieceState>,
    /// The pieces that wait.
    pub(super) rarity: Rarity,
    /// The pieces that are started or being hashed.
    partials: BTreeMap<PieceIndex, Partial>,
    /// The started pieces with blocks that nobody was asked for.
    open: BTreeSet<PieceIndex>,
    done: PieceSet,
    left: u64,
    wanted: Wanted,
    /// The place in a listed order before which no piece waits.
    listed: usize,
    /// Grows whenever a block may be had that could not be had before.
    version: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PieceState {
    /// It lies in no file that is wanted.
    Unwanted,
    Waiting,
    Started,
    Hashing,
    Done,
}

/// The pieces of the wanted files, those that are done among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) pieces: u32,
    /// How many of them are not done.
    pub(super) missing: u32,
    pub(super) bytes: u64,
    /// The bytes of those that are not done.
    pub(super) left: u64,
}

/// Who looks for a block, and what it may have.
pub(super) struct Seeker<'a> {
    pub(super) stream: SessionStreamId,
    pub(super) pieces: &'a PieceSet,
    /// Only these pieces, while it chokes us (BEP 6, "allowed fast").
    pub(super) only: Option<&'a BTreeSet<PieceIndex>>,
    /// The piece it gave a block of last, which it shall go on with.
    pub(super) current: Option<PieceIndex>,
    /// Pieces it suggests (BEP 6).
    pub(super) suggested: &'a [PieceIndex],
}

impl<'a> Seeker<'a> {
    /// One that may have whatever block is wanted most of these pieces.
    pub(super) const fn of_any(stream: SessionStreamId, pieces: &'a PieceSet) -> Self {
        Self { stream, pieces, only: None, current: None, suggested: &[] }
    }
}

/// How the next piece is chosen.
pub(super) struct PieceChoice<'a> {
    /// The first of these that is missing; after them, by the order.
    pub(super) listed: &'a [PieceIndex],
    pub(super) order: PieceOrder,
    /// How many pieces are chosen at random before rarity counts.
    pub(super) random_pieces: u32,
}

impl Seeker<'_> {
    fn may(&self, piece: PieceIndex) -> bool {
        self.pieces.contains(piece) && self.only.is_none_or(|only| only.contains(&piece))
    }
}

/// What some bytes of a block were good for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BlockArrival {
    /// How many of the bytes, from the first, are there already.
    pub(super) known: usize,
    /// Whether they made the block whole.
    pub(super) block_done: bool,
    /// Whether they made the piece whole.
    pub(super) piece_done: bool,
}

impl Picker {
    pub(super) fn new(
        geometry: Geometry,
        block_length: u32,
        have: impl IntoIterator<Item = PieceIndex>,
        rng: &mut Rng,
    ) -> Self {
        let total = geometry.piece_count();
        let mut picker = Self {
            block_length: block_length.max(1),
            pads: false,
            padding: Padding::default(),
            states: vec![PieceState::Waiting; total as usize],
            rarity: Rarity::new(total, rng),
            partials: BTreeMap::new(),
            open: BTreeSet::new(),
            done: PieceSet::none(total),
            left: geometry.content(),
            wanted: Wanted {
                pieces: total,
                missing: total,
                bytes: geometry.content(),
                left: geometry.content(),
            },
            listed: 0,
            version: 0,
            geometry,
        };
        for piece in have {
            if picker.states.get(piece.0 as usize) == Some(&PieceState::Waiting) {
                picker.rarity.take(piece);
                picker.note_done(piece);
            }
        }
        picker
    }

    /// Asks for the last block of a piece as if zeros followed up to the next piece, and counts all zeros up to there as left: see
    /// [`Profile::pads_blocks`](super::Profile::pads_blocks).
    pub(super) fn pad_blocks(&mut self) {
        if !self.geometry.is_aligned() {
            return;
        }
        self.pads = true;
        self.count_left();
    }

    /// Asks for the last block of a piece up to its end from now on.
    pub(super) fn stop_padding(&mut self) {
        if self.pads {
            self.pads = false;
            self.count_left();
        }
    }

    /// Asks nobody for blocks that are padding alone; they are [made](Self::made_blocks).
    pub(super) fn make_padding(&mut self, padding: Padding) {
        self.padding = padding;
    }

    /// The blocks of a piece that nobody is asked for, because they are padding alone. A piece without any other block is asked
    /// for as if it had no padding, so that it comes to an end as all pieces do.
    pub(super) fn made_blocks(&self, piece: PieceIndex) -> Vec<Block> {
        if self.padding.is_empty() {
            return Vec::new();
        }
        let count = self.geometry.piece_size(piece).unwrap_or(0).div_ceil(self.block_length);
        let blocks = (0..count).map(|number| self.block(piece, number));
        let made: Vec<Block> =
            blocks.filter(|block| self.padding.covers_block(&self.geometry, *block)).collect();
        if made.len() < count as usize { made } else { Vec::new() }
    }

    fn count_left(&mut self) {
        let missing =
            (0..).map(PieceIndex).zip(&self.states).filter(|(_, state)| **state != PieceState::Done);
        self.left = missing.map(|(piece, _)| u64::from(self.counted_size(piece))).sum();
    }

    /// The bytes of a piece that count as left.
    fn counted_size(&self, piece: PieceIndex) -> u32 {
        match self.pads {
            true => self.geometry.piece_length(),
            false => self.geometry.piece_size(piece).unwrap_or(0),
        }
    }

    /// The bytes of a piece that peers are asked for.
    fn asked_size(&self, piece: PieceIndex) -> u32 {
        let size = self.geometry.piece_size(piece).unwrap_or(0);
        match self.pads {
            true => size.next_multiple_of(self.block_length).min(self.geometry.piece_length()),
            false => size,
        }
    }

    /// How many bytes of a block stand after the end of its piece.
    pub(super) fn padding(&self, block: Block) -> u32 {
        let size = self.geometry.piece_size(block.index).unwrap_or(0);
        block.begin.saturating_add(block.length).saturating_sub(size.max(block.begin))
    }

    /// Leaves out all pieces but these: nobody is asked for the others, whatever is missing of them.
    pub(super) fn want_only(&mut self, pieces: &PieceSet) {
        if pieces.is_all() {
            return;
        }
        self.wanted = Wanted { pieces: 0, missing: 0, bytes: 0, left: 0 };
        for piece in (0..).map(PieceIndex).take(self.states.len()) {
            let size = u64::from(self.geometry.piece_size(piece).unwrap_or(0));
            let state = &mut self.states[piece.0 as usize];
            if pieces.contains(piece) {
                self.wanted.pieces += 1;
                self.wanted.bytes += size;
                if *state != PieceState::Done {
                    self.wanted.missing += 1;
                    self.wanted.left += size;
                }
            } else if *state == PieceState::Waiting {
                *state = PieceState::Unwanted;
                self.rarity.take(piece);
            }
        }
    }

    /// The pieces of the wanted files.
    pub(super) const fn wanted(&self) -> Wanted {
        self.wanted
    }

    pub(super) const fn done(&self) -> u32 {
        self.done.count()
    }

    /// The bytes of the pieces that are not done, wanted or not.
    pub(super) const fn left(&self) -> u64 {
        self.left
    }

    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// Whether a piece has come whole, and is not verified yet.
    pub(super) fn any_hashing(&self) -> bool {
        self.partials.values().any(|partial| partial.missing() == 0)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.done.is_all()
    }

    pub(super) fn is_done(&self, piece: PieceIndex) -> bool {
        self.states.get(piece.0 as usize) == Some(&PieceState::Done)
    }

    /// Whether nothing that is wanted is missing.
    pub(super) const fn has_all_wanted(&self) -> bool {
        self.wanted.missing == 0
    }

    /// Whether a piece is wanted and not done.
    pub(super) fn is_missing(&self, piece: PieceIndex) -> bool {
        let state = self.states.get(piece.0 as usize);
        matches!(state, Some(PieceState::Waiting | PieceState::Started | PieceState::Hashing))
    }

    /// The pieces that are done, in ascending order.
    pub(super) fn pieces_done(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.done.iter()
    }

    /// The pieces that are done, as a bitfield message has them.
    pub(super) fn bitfield(&self) -> Vec<u8> {
        self.done.to_bitfield()
    }

    /// How many pieces of these are wanted and not done.
    pub(super) fn wanted_of(&self, pieces: &PieceSet) -> u32 {
        if pieces.is_all() {
            return self.wanted.missing;
        }
        pieces.iter().filter(|&piece| self.is_missing(piece)).count() as u32
    }

    /// The next block to ask of a peer that nobody is asked for, noted as asked of it.
    pub(super) fn pick(
        &mut self,
        seeker: &Seeker<'_>,
        choice: &PieceChoice<'_>,
        rng: &mut Rng,
    ) -> Option<Block> {
        let current = seeker.current.filter(|&piece| self.goes_on(seeker, piece, choice));
        if let Some(block) = current.and_then(|piece| self.pick_open(seeker, piece)) {
            return Some(block);
        }
        let started = self.next_started(seeker, choice);
        if let Some(block) = started.and_then(|piece| self.pick_open(seeker, piece)) {
            return Some(block);
        }
        if let Some(piece) = self.next_piece(seeker, choice, rng) {
            self.start(piece);
            return self.pick_open(seeker, piece);
        }
        None
    }

    /// Whether somebody is asked for every block that is missing.
    pub(super) fn is_end_game(&self) -> bool {
        self.rarity.waiting() == 0 && self.open.is_empty()
    }

    /// Whether a peer goes on with its piece. It does, so that pieces become whole, unless others have the piece by now and
    /// pieces wait that the peer alone has: peers that ask a seed do not know of each other which piece they began, and the seed
    /// would send one piece to several of them. What is left of the piece is asked of others, so a piece that is to come from one
    /// peer is not left.
    fn goes_on(&self, seeker: &Seeker<'_>, piece: PieceIndex, choice: &PieceChoice<'_>) -> bool {
        let is_left = self.rarity_counts(choice)
            && self.rarity.holders(piece) > 1
            && self.partials.get(&piece).is_some_and(|partial| !partial.is_reserved())
            && self.open.len() < MOST_OPEN
            && self.rarity.held_by_one().take(LOOKED_AT).any(|piece| seeker.may(piece));
        !is_left
    }

    fn rarity_counts(&self, choice: &PieceChoice<'_>) -> bool {
        choice.order == PieceOrder::RarestFirst
            && choice.listed.is_empty()
            && self.done.count() >= choice.random_pieces
    }

    /// The started piece to go on with, unless a piece is to be begun. Started pieces come before others that are as rare, and
    /// where rarity does not count, before all others (BEP 3, "strict priority"). They do not come before rarer ones: what a seed
    /// alone has would have to wait until it has sent all that others stopped sending halfway.
    fn next_started(&self, seeker: &Seeker<'_>, choice: &PieceChoice<'_>) -> Option<PieceIndex> {
        let mut open = self.open.iter().copied().filter(|&piece| self.is_open_to(seeker, piece));
        if !self.rarity_counts(choice) {
            return open.next();
        }
        let started = open.min_by_key(|&piece| self.rarity.holders(piece))?;
        let waiting = self.rarity.rarest().find(|&piece| seeker.may(piece));
        let is_rarer = waiting.is_some_and(|piece| self.rarity.holders(piece) < self.rarity.holders(started));
        (!is_rarer).then_some(started)
    }

    /// The blocks that a source of whole runs is asked for next, noted as asked of it: of the longest run of pieces that nobody
    /// has begun, its first `most` pieces; else what is left of a piece that is begun; else the last blocks, which others were
    /// asked for.
    pub(super) fn pick_run(&mut self, seeker: &Seeker<'_>, most: u32) -> Vec<Block> {
        let mut blocks = Vec::new();
        if let Some(run) = self.longest_gap(seeker) {
            for piece in run.take(most.max(1) as usize).map(PieceIndex) {
                self.start(piece);
                blocks.extend(std::iter::from_fn(|| self.pick_open(seeker, piece)));
            }
        } else if let Some(piece) = self.open.iter().copied().find(|&piece| self.is_open_to(seeker, piece)) {
            blocks.extend(std::iter::from_fn(|| self.pick_open(seeker, piece)));
        } else if self.is_end_game() {
            blocks.extend((0..MAX_DOUBLES).map_while(|_| self.pick_double(seeker)));
            blocks.sort_unstable_by_key(|block| (block.index, block.begin));
        }
        blocks
    }

    /// The longest run of pieces that wait and that the source may be asked for.
    fn longest_gap(&self, seeker: &Seeker<'_>) -> Option<Range<u32>> {
        let mut longest = 0..0;
        let mut run = 0..0;
        for piece in (0..).map(PieceIndex).take(self.states.len()) {
            if self.states[piece.0 as usize] != PieceState::Waiting || !seeker.may(piece) {
                run = piece.0 + 1..piece.0 + 1;
                continue;
            }
            run.end = piece.0 + 1;
            if run.len() > longest.len() {
                longest = run.clone();
            }
        }
        (!longest.is_empty()).then_some(longest)
    }

    /// Whether a block of a piece, of which nobody is asked, has its first missing byte within this stretch of the row of all
    /// pieces.
    pub(super) fn is_unasked_within(&self, piece: PieceIndex, span: &Range<u64>) -> bool {
        let start = u64::from(piece.0) * u64::from(self.geometry.piece_length());
        let is_within = |offset: u32| span.contains(&(start + u64::from(offset)));
        match self.states.get(piece.0 as usize) {
            Some(PieceState::Waiting) => {
                let size = self.geometry.piece_size(piece).unwrap_or(0);
                (0..size).step_by(self.block_length as usize).any(is_within)
            }
            Some(PieceState::Started) => {
                self.partials.get(&piece).is_some_and(|partial| partial.unasked_from().any(is_within))
            }
            Some(PieceState::Unwanted | PieceState::Hashing | PieceState::Done) | None => false,
        }
    }

    /// A source sends a block that it was not asked for alone; whether the block is of use. It is noted as asked of the source.
    pub(super) fn take_offered(&mut self, block: Block, seeker: &Seeker<'_>) -> bool {
        if !seeker.may(block.index) {
            return false;
        }
        if self.states.get(block.index.0 as usize) == Some(&PieceState::Waiting) {
            self.start(block.index);
        }
        self.ask_again(block, seeker.stream)
    }

    /// The block in which a byte of the row of all pieces stands, and where in the block. It is the piece's number and offset
    /// by BEP 3, where pieces stand end to end.
    pub(super) fn block_at(&self, at: u64) -> (Block, u32) {
        let length = u64::from(self.geometry.piece_length());
        let piece = PieceIndex(u32::try_from(at / length).unwrap_or(u32::MAX));
        let within = (at % length) as u32;
        (self.block(piece, within / self.block_length), within % self.block_length)
    }

    fn is_open_to(&self, seeker: &Seeker<'_>, piece: PieceIndex) -> bool {
        seeker.may(piece) && self.partials.get(&piece).is_some_and(|partial| partial.is_for(seeker.stream))
    }

    fn pick_open(&mut self, seeker: &Seeker<'_>, piece: PieceIndex) -> Option<Block> {
        // Where the piece is not open, no block of it is left that nobody was asked for.
        let partial = self.partials.get_mut(&piece)?;
        debug_assert_eq!(self.open.contains(&piece), partial.unasked() > 0, "{piece:?}");
        if partial.unasked() == 0 || !seeker.may(piece) || !partial.is_for(seeker.stream) {
            return None;
        }
        let number = partial.ask_next(seeker.stream)?;
        if partial.unasked() == 0 {
            self.open.remove(&piece);
            if self.is_end_game() {
                // The end game begins.
                self.version += 1;
            }
        }
        Some(self.block(piece, number))
    }

    /// A block that others were asked for already, so that the last ones do not hang on the slowest peer, noted as asked of this
    /// peer too. Blocks come first that the fewest are asked for, and of these what has not begun to come.
    pub(super) fn pick_double(&mut self, seeker: &Seeker<'_>) -> Option<Block> {
        let mut best = None;
        for (&piece, partial) in &self.partials {
            if !seeker.may(piece) || !partial.is_for(seeker.stream) {
                continue;
            }
            let Some((number, demand)) = partial.least_asked(seeker.stream) else { continue };
            if demand.asked < MAX_ASKED && best.is_none_or(|(_, _, least)| demand < least) {
                best = Some((piece, number, demand));
            }
        }
        let (piece, number, _) = best?;
        self.partials.get_mut(&piece)?.ask(number, seeker.stream);
        Some(self.block(piece, number))
    }

    fn next_piece(
        &mut self,
        seeker: &Seeker<'_>,
        choice: &PieceChoice<'_>,
        rng: &mut Rng,
    ) -> Option<PieceIndex> {
        if let Some(piece) = self.next_listed(seeker, choice.listed) {
            return Some(piece);
        }
        let waits = |piece: &PieceIndex| self.states.get(piece.0 as usize) == Some(&PieceState::Waiting);
        if let Some(only) = seeker.only {
            return only.iter().copied().filter(waits).find(|&piece| seeker.pieces.contains(piece));
        }
        if let Some(piece) = seeker.suggested.iter().copied().filter(waits).find(|&piece| seeker.may(piece)) {
            return Some(piece);
        }
        if choice.order == PieceOrder::InOrder {
            return self.rarity.in_order().find(|&piece| seeker.pieces.contains(piece));
        }
        if self.done.count() < choice.random_pieces {
            let tries = (0..RANDOM_TRIES).filter_map(|_| self.rarity.any(rng));
            if let Some(piece) = tries.into_iter().find(|&piece| seeker.pieces.contains(piece)) {
                return Some(piece);
            }
        }
        self.rarity.rarest().find(|&piece| seeker.pieces.contains(piece))
    }

    fn next_listed(&mut self, seeker: &Seeker<'_>, list: &[PieceIndex]) -> Option<PieceIndex> {
        let waits = |piece: &PieceIndex| self.states.get(piece.0 as usize) == Some(&PieceState::Waiting);
        let gone = list.get(self.listed..)?.iter().take_while(|piece| !waits(piece)).count();
        self.listed += gone;
        list[self.listed..].iter().copied().filter(waits).find(|&piece| seeker.may(piece))
    }

    fn start(&mut self, piece: PieceIndex) {
        self.rarity.take(piece);
        self.begin(piece, Reserved::No);
    }

    fn begin(&mut self, piece: PieceIndex, reserved: Reserved) {
        let size = self.geometry.piece_size(piece).unwrap_or(0);
        self.states[piece.0 as usize] = PieceState::Started;
        let mut partial = Partial::new(size, self.block_length, reserved);
        for block in self.made_blocks(piece) {
            partial.make(block.begin / self.block_length);
        }
        self.partials.insert(piece, partial);
        self.open.insert(piece);
    }

    fn block(&self, piece: PieceIndex, number: u32) -> Block {
        let begin = number * self.block_length;
        let size = self.asked_size(piece);
        Block { index: piece, begin, length: self.block_length.min(size.saturating_sub(begin)) }
    }

    /// A peer was asked for a block and will not be waited for any longer.
    pub(super) fn release(&mut self, block: Block, stream: SessionStreamId) {
        let Some(partial) = self.partials.get_mut(&block.index) else { return };
        if partial.release(block.begin / self.block_length, stream)
            && self.states[block.index.0 as usize] == PieceState::Started
        {
            self.open.insert(block.index);
            self.version += 1;
        }
    }

    /// A peer that was released from a block gives again; whether the block is of use still.
    pub(super) fn ask_again(&mut self, block: Block, stream: SessionStreamId) -> bool {
        let started = self.states.get(block.index.0 as usize) == Some(&PieceState::Started);
        // What begins elsewhere, or has another length, is none of the blocks that peers are asked for.
        let is_ours = self.block(block.index, block.begin / self.block_length) == block;
        let partial = self.partials.get_mut(&block.index).filter(|_| started && is_ours);
        let Some(partial) = partial else { return false };
        let useful =
            partial.takes_unasked_of(stream) && partial.ask_again(block.begin / self.block_length, stream);
        if partial.unasked() == 0 {
            self.open.remove(&block.index);
        }
        useful
    }

    /// A peer is asked for nothing of the pieces reserved for it any longer.
    pub(super) fn unreserve(&mut self, stream: SessionStreamId) {
        for partial in self.partials.values_mut() {
            if partial.unreserve(stream) {
                self.version += 1;
            }
        }
    }

    /// `count` bytes of a block came, from `position` within it on.
    pub(super) fn arrive(
        &mut self,
        block: Block,
        position: u32,
        count: usize,
        from: SessionStreamId,
    ) -> BlockArrival {
        let nothing = BlockArrival { known: count, block_done: false, piece_done: false };
        if self.states.get(block.index.0 as usize) != Some(&PieceState::Started) {
            return nothing;
        }
        let Some(partial) = self.partials.get_mut(&block.index) else { return nothing };
        let number = block.begin / self.block_length;
        let asked_before = partial.unasked();
        let Some(known) = partial.arrive(number, position, count, from) else { return nothing };
        let block_done = known < count && partial.is_whole(number);
        if asked_before > 0 && partial.unasked() == 0 {
            self.open.remove(&block.index);
        }
        let piece_done = block_done && partial.missing() == 0;
        if piece_done {
            self.states[block.index.0 as usize] = PieceState::Hashing;
            self.open.remove(&block.index);
        }
        BlockArrival { known, block_done, piece_done }
    }

    /// Bytes of a piece were stored; how many of them were waited for.
    pub(super) fn stored(&mut self, piece: PieceIndex, count: u32) -> u64 {
        self.partials.get_mut(&piece).map_or(0, |partial| partial.stored(count.into()))
    }

    /// Who else was asked for a block that is whole now.
    pub(super) fn others_asked(
        &self,
        block: Block,
        but: SessionStreamId,
    ) -> impl Iterator<Item = SessionStreamId> + '_ {
        let number = block.begin / self.block_length;
        let asked = self.partials.get(&block.index).map(|partial| partial.asked(number));
        asked.into_iter().flatten().copied().filter(move |&stream| stream != but)
    }

    /// Whether the piece waits for its hash.
    pub(super) fn is_hashing(&self, piece: PieceIndex) -> bool {
        self.states.get(piece.0 as usize) == Some(&PieceState::Hashing)
    }

    /// A hashed piece is right: what it was made of.
    pub(super) fn pass(&mut self, piece: PieceIndex) -> Option<Partial> {
        let partial = self.partials.remove(&piece)?;
        self.note_done(piece);
        Some(partial)
    }

    /// A hashed piece is wrong: what it was made of. It is begun anew, all of it from one peer.
    pub(super) fn fail(&mut self, piece: PieceIndex) -> Option<Partial> {
        let partial = self.partials.remove(&piece)?;
        self.begin(piece, Reserved::ForNext);
        self.version += 1;
        Some(partial)
    }

    fn note_done(&mut self, piece: PieceIndex) {
        self.states[piece.0 as usize] = PieceState::Done;
        self.done.insert(piece);
        let size = u64::from(self.geometry.piece_size(piece).unwrap_or(0));
        self.left -= u64::from(self.counted_size(piece));
        // Nobody is asked for what is not wanted.
        self.wanted.missing -= 1;
        self.wanted.left -= size;
        if self.is_end_game() {
            self.version += 1;
        }
    }
}

/// In the end game, how many peers may be asked for one block.
const MAX_ASKED: usize = 3;

/// In the end game, how many blocks a source of whole runs is asked for at once.
const MAX_DOUBLES: usize = 16;

/// With so many started pieces that have blocks to ask for, no peer leaves its piece for another: each takes memory until it is
/// whole, some 20 KB for a piece of 4 MiB.
const MOST_OPEN: usize = 64;

/// How many of the pieces that one peer has are looked at to learn whether the peer is the one. They are in no order, and in a
/// young swarm they are nearly all pieces and the peer is the seed.
const LOOKED_AT: usize = 32;

/// How often a random piece is tried before the rarest is taken.
const RANDOM_TRIES: usize = 16;

#[cfg(test)]
mod tests;
