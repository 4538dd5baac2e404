//! Blocks on their way in: asked for, taken, stored, hashed.

use bytes::Bytes;

use crate::wire::Message;
use crate::{Block, PieceIndex, Timestamp};

use super::peer::{Asked, Peer, Phase};
use super::picker::Seeker;
use super::profile::{Haves, Parting, Refill};
use super::{Event, Output, Session, State, Violation};

impl Session {
    /// Tells a peer of pieces that are new.
    pub(super) fn tell_news(&self, peer: &mut Peer, news: &[PieceIndex]) {
        let profile = &self.config.profile;
        let wanted = |piece: &&PieceIndex| profile.redundant_haves || !peer.holding.has(**piece);
        let news: Vec<PieceIndex> = news.iter().filter(wanted).copied().collect();
        let bitfield = self.piece_count().div_ceil(8) as usize;
        if profile.haves == Haves::Single || news.len() * HAVE <= bitfield + HEADER {
            news.into_iter().for_each(|piece| peer.say(&Message::Have(piece)));
        } else if self.is_complete() && peer.fast && profile.have_all {
            peer.say(&Message::HaveAll);
        } else {
            peer.say(&Message::Bitfield(self.picker.bitfield().into()));
        }
    }

    /// Says goodbye to the peers of a download that has its last piece.
    pub(super) fn say_farewell(&mut self) {
        let (due, news) = (self.listed_news(), self.last_news());
        for stream in self.peers.keys().copied().collect::<Vec<_>>() {
            let Some(mut peer) = self.peers.remove(&stream) else { continue };
            if peer.phase == Phase::Open {
                self.tell_news(&mut peer, &due);
                for parting in self.config.profile.parting.clone() {
                    match parting {
                        Parting::NotInterested if peer.we_want => {
                            peer.we_want = false;
                            peer.say(&Message::NotInterested);
                        }
                        Parting::NotInterested => {}
                        Parting::Haves => self.tell_news(&mut peer, &news),
                    }
                }
            }
            self.peers.insert(stream, peer);
        }
    }

    /// Tells a peer whether it has anything we lack, when that changed.
    pub(super) fn declare_interest(&mut self, now: Timestamp, peer: &mut Peer) {
        let want = peer.wanted > 0 && self.state == State::Running;
        if want == peer.we_want || (!want && !peer.has_spoken) {
            return;
        }
        peer.we_want = want;
        peer.last_block = now;
        peer.say(if want { &Message::Interested } else { &Message::NotInterested });
    }

    /// Asks a peer for as many blocks as it can send without a pause.
    pub(super) fn ask(&mut self, now: Timestamp, peer: &mut Peer) {
        if peer.lent || peer.refused_until.is_some_and(|until| now < until) {
            return;
        }
        if !peer.is_askable()
            || self.state != State::Running
            || peer.nothing_at == Some(self.picker.version())
        {
            return;
        }
        let depth = self.depth(peer);
        // Requests leave several at a time.
        if peer.asked.len() >= depth || (peer.asked.len() * 4 > depth * 3 && self.goal(peer).is_none()) {
            return;
        }
        let only = peer.it_chokes.then(|| peer.allowed.clone());
        if peer.asked.is_empty() && peer.coming.is_none() {
            peer.last_block = now;
        }
        while peer.asked.len() < depth && self.unstored < self.config.max_unstored {
            let seeker = Seeker {
                stream: peer.stream,
                holding: &peer.holding,
                only: only.as_ref(),
                current: peer.current,
                suggested: &peer.suggested,
            };
            let profile = &self.config.profile;
            let picked =
                self.picker.pick(&seeker, &profile.piece_order, profile.random_pieces, &mut self.chance);
            let Some(block) = picked else {
                peer.nothing_at = Some(self.picker.version());
                return;
            };
            peer.current = Some(block.index);
            peer.asked.push_back(Asked { block, at: now });
            peer.asked_in_all = peer.asked_in_all.saturating_add(1);
            peer.say(&Message::Request(block));
        }
    }

    /// How many requests may wait at a peer now.
    fn depth(&self, peer: &Peer) -> usize {
        match self.goal(peer) {
            Some(refill) => peer.asked.len() + refill.asked.saturating_sub(peer.asked_in_all) as usize,
            None if peer.snubs => 1,
            None => peer.depth.min(peer.reqq),
        }
    }

    /// How far the profile has requests to a peer go ahead now; `None` where its list is used up, or does not fit what
    /// happens, such as requests that were refused.
    fn goal(&self, peer: &Peer) -> Option<Refill> {
        let refills = &self.config.profile.refills;
        if !refills.is_empty() && self.config.profile.haves_first && self.owes_news() {
            return Some(Refill { given: peer.given_in_all, asked: peer.asked_in_all });
        }
        let behind = refills.partition_point(|refill| refill.given <= peer.given_in_all);
        let now = *refills.get(behind.checked_sub(1)?)?;
        let used_up = behind == refills.len() || (peer.asked.is_empty() && peer.coming.is_none());
        (!used_up || now.asked > peer.asked_in_all).then_some(now)
    }

    /// A block begins to come.
    pub(super) fn begin_block(&mut self, peer: &mut Peer, block: Block) -> Result<(), Violation> {
        self.check_block(block)?;
        peer.coming = peer.take_asked(block);
        if peer.coming.is_some() {
            return Ok(());
        }
        // Cancelled, or given up; or nobody ever asked for it.
        match peer.tolerated.checked_sub(block.length.into()) {
            Some(left) => peer.tolerated = left,
            None => {
                peer.noise += 1 + block.length / UNASKED_UNIT;
                if peer.noise > MAX_UNASKED {
                    return Err(Violation::Flood("blocks that nobody asked for"));
                }
            }
        }
        Ok(())
    }

    pub(super) fn take_block_bytes(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        position: u32,
        mut bytes: Bytes,
        ends: bool,
    ) {
        let count = bytes.len();
        let Some(coming) = peer.coming else {
            self.totals.wasted += count as u64;
            return;
        };
        peer.last_block = now;
        let arrival = self.picker.arrive(coming.block, position, count, peer.stream);
        let fresh = (count - arrival.known) as u64;
        self.totals.wasted += arrival.known as u64;
        if fresh > 0 {
            let bytes = bytes.split_off(arrival.known);
            let offset = coming.block.begin + position + arrival.known as u32;
            self.unstored += fresh;
            self.totals.downloaded += fresh;
            self.totals.giving.add(now, fresh);
            peer.given += fresh;
            peer.giving.add(now, fresh);
            self.outputs.push_back(Output::Store(coming.block.index, offset, bytes));
        }
        if arrival.piece_done {
            self.note_arrived(coming.block.index);
        }
        if arrival.block_done {
            self.doubts.note_giver(peer.stream, peer.listens.unwrap_or(peer.address));
            self.cancel_others(coming.block, peer);
        }
        if ends {
            peer.coming = None;
            self.picker.release(coming.block, peer.stream);
            self.note_pace(now, peer, coming);
        }
    }

    /// Learns from a whole block how many requests keep a peer busy.
    fn note_pace(&mut self, now: Timestamp, peer: &mut Peer, asked: Asked) {
        peer.snubs = false;
        peer.given_in_all = peer.given_in_all.saturating_add(1);
        self.telling.note_given();
        if std::mem::take(&mut peer.lent) {
            self.ask_again(peer);
        }
        peer.noise = peer.noise.saturating_sub(NOISE_A_BLOCK);
        let latency = now - asked.at;
        peer.latency = Some(peer.latency.map_or(latency, |least| least.min(latency)));
        let first = *peer.first_block.get_or_insert(now);
        if now - first < SLOW_START {
            // One more a block doubles them each round trip.
            peer.depth = (peer.depth + 1).min(self.config.profile.most_requests as usize);
        }
    }

    /// A peer that had paused gives again: what others gave meanwhile need not come.
    fn ask_again(&mut self, peer: &mut Peer) {
        for asked in std::mem::take(&mut peer.asked) {
            if self.picker.ask_again(asked.block, peer.stream) {
                peer.asked.push_back(asked);
            } else {
                peer.tolerated += u64::from(asked.block.length);
                peer.say(&Message::Cancel(asked.block));
            }
        }
    }

    /// A block is whole: others who were asked for it need not send it.
    fn cancel_others(&mut self, block: Block, but: &Peer) {
        for stream in self.picker.others_asked(block, but.stream) {
            let Some(other) = self.peers.get_mut(&stream) else { continue };
            if other.take_asked(block).is_some() {
                other.tolerated += u64::from(block.length);
                other.say(&Message::Cancel(block));
                self.picker.release(block, stream);
                self.stir(stream);
            }
        }
    }

    /// What a peer was asked for is asked of it no longer.
    pub(super) fn give_up_requests(&mut self, peer: &mut Peer) {
        let coming = peer.coming.take();
        for asked in peer.asked.drain(..).chain(coming) {
            peer.tolerated += u64::from(asked.block.length);
            self.picker.release(asked.block, peer.stream);
        }
        peer.current = None;
        self.stir_idle();
    }

    /// Has those looked after who could be asked for more.
    pub(super) fn stir_idle(&mut self) {
        for (&stream, peer) in &mut self.peers {
            let idle = peer.phase == Phase::Open && peer.asked.len() < peer.depth && peer.wanted > 0;
            if idle && !std::mem::replace(&mut peer.stirred, true) {
                self.stirred.push(stream);
            }
        }
    }

    pub(super) fn stored(&mut self, piece: PieceIndex, count: u32) {
        let full = self.unstored >= self.config.max_unstored;
        self.unstored -= self.picker.stored(piece, count).min(self.unstored);
        if full && self.unstored < self.config.max_unstored {
            self.stir_idle();
        }
    }

    pub(super) fn hashed(&mut self, now: Timestamp, piece: PieceIndex, digest: [u8; 20]) {
        if !self.picker.is_hashing(piece) {
            return;
        }
        if self.torrent.piece_hash(piece) == Some(digest) {
            self.keep(now, piece);
        } else {
            self.discard(now, piece);
        }
        self.stir_idle();
    }

    fn keep(&mut self, now: Timestamp, piece: PieceIndex) {
        let Some(partial) = self.picker.pass(piece) else { return };
        self.unstored -= partial.unstored().min(self.unstored);
        if self.doubts.is_doubted(piece) {
            self.outputs.push_back(Output::Examine(piece, self.config.profile.block_length));
        }
        self.outputs.push_back(Output::Keep(piece));
        let from = self.doubts.addresses(&partial);
        self.outputs.push_back(Output::Event(Event::PieceDone { index: piece, from }));
        self.news.push(piece);
        for (&stream, peer) in &mut self.peers {
            if peer.holding.has(piece) {
                peer.wanted -= 1;
            }
            if peer.phase == Phase::Open && !std::mem::replace(&mut peer.stirred, true) {
                self.stirred.push(stream);
            }
        }
        if self.picker.is_complete() {
            self.completed(now);
        }
    }
}

/// The bytes of a have message, and of the head of a bitfield (BEP 3, "peer messages").
const HAVE: usize = 9;
const HEADER: usize = 5;

/// For how long after its first block a peer is asked for ever more.
const SLOW_START: std::time::Duration = std::time::Duration::from_secs(2);

/// How much noise a whole block makes good.
const NOISE_A_BLOCK: u32 = 100;

/// So many bytes of a block that nobody asked for weigh as much as a message that says nothing.
const UNASKED_UNIT: u32 = 256;

/// How much noise blocks that nobody asked for may make: 64 of 16 KiB.
const MAX_UNASKED: u32 = 64 * 65;
