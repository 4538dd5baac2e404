//! Blocks on their way in: asked for, taken, stored, hashed.

use bytes::Bytes;

use crate::wire::Message;
use crate::{Block, PieceIndex, Timestamp};

use super::peer::{OutstandingRequest, Peer, Phase};
use super::picker::Seeker;
use super::profile::{Haves, LastMessage, RequestStep};
use super::{Event, Output, Session, SessionState, Violation};

impl Session {
    /// Tells a peer of pieces that are new.
    pub(super) fn send_haves(&self, peer: &mut Peer, news: &[PieceIndex]) {
        let profile = &self.config.profile;
        let wanted = |piece: &&PieceIndex| profile.redundant_haves || !peer.pieces.has(**piece);
        let news: Vec<PieceIndex> = news.iter().filter(wanted).copied().collect();
        let bitfield = self.piece_count().div_ceil(8) as usize;
        if profile.haves == Haves::Single || news.len() * HAVE <= bitfield + HEADER {
            news.into_iter().for_each(|piece| peer.send(&Message::Have(piece)));
        } else if self.is_complete() && peer.fast && profile.have_all {
            peer.send(&Message::HaveAll);
        } else {
            peer.send(&Message::Bitfield(self.picker.bitfield().into()));
        }
    }

    /// Says goodbye to the peers of a download that has its last piece.
    pub(super) fn send_last_messages(&mut self) {
        let (due, news) = (self.scheduled_haves(), self.last_haves());
        for stream in self.peers.keys().copied().collect::<Vec<_>>() {
            let Some(mut peer) = self.peers.remove(&stream) else { continue };
            if peer.phase == Phase::Open {
                self.send_haves(&mut peer, &due);
                for parting in self.config.profile.last_messages.clone() {
                    match parting {
                        LastMessage::NotInterested if peer.am_interested => {
                            peer.am_interested = false;
                            peer.send(&Message::NotInterested);
                        }
                        LastMessage::NotInterested => {}
                        LastMessage::Haves => self.send_haves(&mut peer, &news),
                    }
                }
            }
            self.peers.insert(stream, peer);
        }
    }

    /// Tells a peer whether it has anything we lack, when that changed.
    pub(super) fn update_interest(&mut self, now: Timestamp, peer: &mut Peer) {
        let want = peer.wanted_pieces > 0 && self.state == SessionState::Running;
        if want == peer.am_interested || (!want && !peer.has_sent_message) {
            return;
        }
        peer.am_interested = want;
        peer.last_block_at = now;
        peer.send(if want { &Message::Interested } else { &Message::NotInterested });
    }

    /// Asks a peer for as many blocks as it can send without a pause.
    pub(super) fn request_blocks(&mut self, now: Timestamp, peer: &mut Peer) {
        if peer.requests_shared || peer.refused_until.is_some_and(|until| now < until) {
            return;
        }
        if !peer.is_askable()
            || self.state != SessionState::Running
            || peer.nothing_to_pick_at == Some(self.picker.version())
        {
            return;
        }
        let depth = self.depth(peer);
        // Requests leave several at a time.
        if peer.outstanding.len() >= depth
            || (peer.outstanding.len() * 4 > depth * 3 && self.scheduled_step(peer).is_none())
        {
            return;
        }
        let only = peer.peer_choking.then(|| peer.allowed_fast.clone());
        if peer.outstanding.is_empty() && peer.receiving.is_none() {
            peer.last_block_at = now;
        }
        while peer.outstanding.len() < depth && self.unstored < self.config.max_unstored {
            let seeker = Seeker {
                stream: peer.stream,
                pieces: &peer.pieces,
                only: only.as_ref(),
                current: peer.current_piece,
                suggested: &peer.suggested,
            };
            let profile = &self.config.profile;
            let picked =
                self.picker.pick(&seeker, &profile.piece_order, profile.random_pieces, &mut self.rng);
            let Some(block) = picked else {
                peer.nothing_to_pick_at = Some(self.picker.version());
                return;
            };
            peer.current_piece = Some(block.index);
            peer.outstanding.push_back(OutstandingRequest { block, at: now });
            peer.requests_sent = peer.requests_sent.saturating_add(1);
            peer.send(&Message::Request(block));
        }
    }

    /// How many requests may wait at a peer now.
    fn depth(&self, peer: &Peer) -> usize {
        match self.scheduled_step(peer) {
            Some(refill) => {
                peer.outstanding.len() + refill.requests_sent.saturating_sub(peer.requests_sent) as usize
            }
            None if peer.snubbed => 1,
            None => peer.pipeline_depth.min(peer.reqq),
        }
    }

    /// How far the profile has requests to a peer go ahead now; `None` where its list is used up, or does not fit what
    /// happens, such as requests that were refused.
    fn scheduled_step(&self, peer: &Peer) -> Option<RequestStep> {
        let refills = &self.config.profile.request_steps;
        if !refills.is_empty() && self.config.profile.haves_first && self.owes_haves() {
            return Some(RequestStep {
                blocks_received: peer.blocks_received,
                requests_sent: peer.requests_sent,
            });
        }
        let behind = refills.partition_point(|refill| refill.blocks_received <= peer.blocks_received);
        let now = *refills.get(behind.checked_sub(1)?)?;
        let used_up = behind == refills.len() || (peer.outstanding.is_empty() && peer.receiving.is_none());
        (!used_up || now.requests_sent > peer.requests_sent).then_some(now)
    }

    /// A block begins to come.
    pub(super) fn begin_block(&mut self, peer: &mut Peer, block: Block) -> Result<(), Violation> {
        self.check_block(block)?;
        peer.receiving = peer.take_outstanding(block);
        if peer.receiving.is_some() {
            return Ok(());
        }
        // Cancelled, or given up; or nobody ever asked for it.
        match peer.tolerated_bytes.checked_sub(block.length.into()) {
            Some(left) => peer.tolerated_bytes = left,
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
        let Some(coming) = peer.receiving else {
            self.totals.wasted += count as u64;
            return;
        };
        peer.last_block_at = now;
        let arrival = self.picker.arrive(coming.block, position, count, peer.stream);
        let fresh = (count - arrival.known) as u64;
        self.totals.wasted += arrival.known as u64;
        if fresh > 0 {
            let bytes = bytes.split_off(arrival.known);
            let offset = coming.block.begin + position + arrival.known as u32;
            self.unstored += fresh;
            self.totals.downloaded += fresh;
            self.totals.download_rate.add(now, fresh);
            peer.downloaded += fresh;
            peer.download_rate.add(now, fresh);
            self.outputs.push_back(Output::Store(coming.block.index, offset, bytes));
        }
        if arrival.piece_done {
            self.note_arrived(coming.block.index);
        }
        if arrival.block_done {
            self.suspects.note_giver(peer.stream, peer.listen_address.unwrap_or(peer.address));
            self.cancel_others(coming.block, peer);
        }
        if ends {
            peer.receiving = None;
            self.picker.release(coming.block, peer.stream);
            self.note_pace(now, peer, coming);
        }
    }

    /// Learns from a whole block how many requests keep a peer busy.
    fn note_pace(&mut self, now: Timestamp, peer: &mut Peer, asked: OutstandingRequest) {
        peer.snubbed = false;
        peer.blocks_received = peer.blocks_received.saturating_add(1);
        self.have_schedule.note_given();
        if std::mem::take(&mut peer.requests_shared) {
            self.ask_again(peer);
        }
        peer.noise = peer.noise.saturating_sub(NOISE_A_BLOCK);
        let latency = now - asked.at;
        peer.latency = Some(peer.latency.map_or(latency, |least| least.min(latency)));
        let first = *peer.first_block_at.get_or_insert(now);
        if now - first < SLOW_START {
            // One more a block doubles them each round trip.
            peer.pipeline_depth = (peer.pipeline_depth + 1).min(self.config.profile.max_pipeline as usize);
        }
    }

    /// A peer that had paused gives again: what others gave meanwhile need not come.
    fn ask_again(&mut self, peer: &mut Peer) {
        for asked in std::mem::take(&mut peer.outstanding) {
            if self.picker.ask_again(asked.block, peer.stream) {
                peer.outstanding.push_back(asked);
            } else {
                peer.tolerated_bytes += u64::from(asked.block.length);
                peer.send(&Message::Cancel(asked.block));
            }
        }
    }

    /// A block is whole: others who were asked for it need not send it.
    fn cancel_others(&mut self, block: Block, but: &Peer) {
        for stream in self.picker.others_asked(block, but.stream) {
            let Some(other) = self.peers.get_mut(&stream) else { continue };
            if other.take_outstanding(block).is_some() {
                other.tolerated_bytes += u64::from(block.length);
                other.send(&Message::Cancel(block));
                self.picker.release(block, stream);
                self.mark_dirty(stream);
            }
        }
    }

    /// What a peer was asked for is asked of it no longer.
    pub(super) fn forget_outstanding(&mut self, peer: &mut Peer) {
        let coming = peer.receiving.take();
        for asked in peer.outstanding.drain(..).chain(coming) {
            peer.tolerated_bytes += u64::from(asked.block.length);
            self.picker.release(asked.block, peer.stream);
        }
        peer.current_piece = None;
        self.mark_idle_dirty();
    }

    /// Has those looked after who could be asked for more.
    pub(super) fn mark_idle_dirty(&mut self) {
        for (&stream, peer) in &mut self.peers {
            let idle = peer.phase == Phase::Open
                && peer.outstanding.len() < peer.pipeline_depth
                && peer.wanted_pieces > 0;
            if idle && !std::mem::replace(&mut peer.dirty, true) {
                self.dirty.push(stream);
            }
        }
    }

    pub(super) fn stored(&mut self, piece: PieceIndex, count: u32) {
        let full = self.unstored >= self.config.max_unstored;
        self.unstored -= self.picker.stored(piece, count).min(self.unstored);
        if full && self.unstored < self.config.max_unstored {
            self.mark_idle_dirty();
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
        self.mark_idle_dirty();
    }

    fn keep(&mut self, now: Timestamp, piece: PieceIndex) {
        let Some(partial) = self.picker.pass(piece) else { return };
        self.unstored -= partial.unstored().min(self.unstored);
        if self.suspects.is_suspect(piece) {
            self.outputs.push_back(Output::HashBlocks(piece, self.config.profile.block_length));
        }
        self.outputs.push_back(Output::Commit(piece));
        let from = self.suspects.addresses(&partial);
        self.outputs.push_back(Output::Event(Event::PieceDone { index: piece, from }));
        self.pending_haves.push(piece);
        for (&stream, peer) in &mut self.peers {
            if peer.pieces.has(piece) {
                peer.wanted_pieces -= 1;
            }
            if peer.phase == Phase::Open && !std::mem::replace(&mut peer.dirty, true) {
                self.dirty.push(stream);
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
