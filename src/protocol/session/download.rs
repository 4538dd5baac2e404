//! Blocks on their way in: asked for, taken, stored, hashed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use crate::metainfo::{PieceDigest, PieceVerdict};
use crate::wire::Message;
use crate::{Block, PieceIndex, Timestamp};

use super::core::Core;
use super::noise::Noise;
use super::peer::{Peer, Phase, ReceivingBlock};
use super::picker::{PieceChoice, Seeker};
use super::profile::{Haves, LastMessage, RedundantHaves};
use super::schedule::RequestStep;
use super::smart_ban::givers_of;
use super::{Event, Output, Session, SessionStreamId, Violation};

impl Core {
    /// Tells a peer of pieces that are due to be told.
    pub(super) fn send_due_haves(&self, peer: &mut Peer, haves: &[PieceIndex]) {
        let before = peer.messages.sent;
        self.send_haves(peer, haves);
        if !self.config.schedule.haves.is_empty() {
            peer.messages.scheduled_haves += peer.messages.sent - before;
        }
    }

    /// Tells a peer of pieces that are new.
    pub(super) fn send_haves(&self, peer: &mut Peer, news: &[PieceIndex]) {
        if news.is_empty() {
            return;
        }
        let profile = &self.config.profile;
        let given = &mut peer.download.given;
        let gave: BTreeSet<PieceIndex> = news.iter().copied().filter(|piece| given.remove(piece)).collect();
        let wanted = |piece: &PieceIndex| {
            profile.redundant_haves == RedundantHaves::ToAll
                || gave.contains(piece)
                || !peer.pieces().contains(*piece)
        };
        let news = news.iter().copied().filter(|piece| !self.lost.contains(piece));
        let news: Vec<PieceIndex> = news.filter(wanted).collect();
        let bitfield = self.piece_count().div_ceil(8) as usize;
        if profile.haves == Haves::Single || news.len() * HAVE <= bitfield + HEADER {
            news.into_iter().for_each(|piece| peer.send(self.now, &Message::Have(piece)));
        } else if self.says_have_all(peer) {
            peer.send(self.now, &Message::HaveAll);
        } else {
            peer.send(self.now, &Message::Bitfield(self.bitfield().into()));
        }
    }

    /// Tells a peer whether it has anything we lack, when that changed.
    pub(super) fn update_interest(&mut self, now: Timestamp, peer: &mut Peer) {
        if self.torrent.is_wanted() {
            return;
        }
        let want = peer.wanted_pieces > 0 && self.is_running();
        if want == peer.am_interested() || (!want && !peer.has_sent_message) {
            return;
        }
        peer.download.last_block_at = now;
        peer.send(now, if want { &Message::Interested } else { &Message::NotInterested });
    }

    /// Asks a peer for as many blocks as it can send without a pause.
    pub(super) fn request_blocks(&mut self, now: Timestamp, peer: &mut Peer) {
        if peer.download.requests_shared || peer.download.refused_until.is_some_and(|until| now < until) {
            return;
        }
        if !peer.is_askable()
            || !self.is_running()
            || peer.download.nothing_to_pick_at == Some(self.picker.version())
        {
            return;
        }
        // BEP 6 has allowed-fast pieces for peers that start. Whoever has something to trade takes none: such pieces are drawn by
        // address, and a seed that serves them sends what others have in place of what it alone has.
        let starts =
            self.picker.done() <= STARTS || self.config.single_peer || !self.config.schedule.is_empty();
        if peer.peer_choking() && !starts {
            // What is begun with it is left to others.
            if !peer.download.is_busy() && peer.download.current_piece.take().is_some() {
                self.picker.unreserve(peer.stream);
                self.deferred.blocks_freed = true;
            }
            return;
        }
        let step = self.scheduled_step(peer);
        let (paced, depth) = (step.is_some(), self.depth(peer, step));
        // Requests leave several at a time.
        let expected = peer.download.assigned.expected();
        if expected >= depth || (expected * 4 > depth * 3 && !paced) {
            return;
        }
        // Requests that the peer passed over may stand in its queue still.
        let most = depth.max(peer.reqq().min(self.config.profile.max_pipeline as usize));
        let only: Option<BTreeSet<PieceIndex>> =
            peer.peer_choking().then(|| peer.usable_fast_pieces().collect());
        if !peer.download.is_busy() {
            peer.download.last_block_at = now;
        }
        while peer.download.assigned.expected() < depth
            && peer.download.assigned.len() < most
            && (paced || peer.has_room_for_request())
            && self.unstored < self.config.max_unstored
        {
            let seeker = Seeker {
                stream: peer.stream,
                pieces: peer.pieces(),
                only: only.as_ref(),
                current: peer.download.current_piece,
                suggested: peer.theirs().suggested(),
            };
            let choice = PieceChoice {
                listed: &self.config.schedule.pieces,
                order: self.config.profile.piece_order,
                random_pieces: self.config.profile.random_pieces,
            };
            let mut picked = self.picker.pick(&seeker, &choice, &mut self.rng);
            if picked.is_none() && self.picker.is_end_game() {
                if !paced && peer.download.assigned.expected() >= self.end_game_depth(now, peer) {
                    // It is asked again when a block has come.
                    return;
                }
                picked = self.picker.pick_double(&seeker);
            }
            let Some(block) = picked else {
                peer.download.nothing_to_pick_at = Some(self.picker.version());
                return;
            };
            peer.download.current_piece = Some(block.index);
            peer.download.requests_sent = peer.download.requests_sent.saturating_add(1);
            peer.download.assigned.push(block, peer.download.requests_sent);
            peer.send(now, &Message::Request(block));
            let scheduled = paced || self.scheduled_pieces.contains(&block.index);
            peer.messages.scheduled_requests += u64::from(scheduled);
        }
    }

    /// How many requests may wait at a peer now.
    fn depth(&self, peer: &Peer, step: Option<RequestStep>) -> usize {
        match step {
            Some(step) => {
                peer.download.assigned.expected()
                    + step.requests_sent.saturating_sub(peer.download.requests_sent) as usize
            }
            None if peer.download.snubbed => 1,
            None => peer.pipeline_depth(),
        }
    }

    /// How many requests may wait at a peer that is asked for blocks which others were asked for: enough for a round trip, and
    /// one at least. What the others send first comes in vain, and so does most of what is asked for beyond that.
    fn end_game_depth(&self, now: Timestamp, peer: &Peer) -> usize {
        let latency = peer.download.latency.unwrap_or_default().as_secs_f64();
        let blocks =
            peer.download.rate.per_second(now) * latency / f64::from(self.config.profile.block_length.max(1));
        (blocks as usize).max(1)
    }

    /// How far the schedule has requests to a peer go ahead now; `None` where its list has ended, or does not fit what
    /// happens, such as requests that were rejected.
    fn scheduled_step(&self, peer: &Peer) -> Option<RequestStep> {
        let steps = &self.config.schedule.requests;
        if !steps.is_empty() && self.config.profile.haves_first && self.have_schedule.is_due() {
            return Some(RequestStep {
                blocks_received: peer.download.blocks_received,
                requests_sent: peer.download.requests_sent,
            });
        }
        let reached = steps.partition_point(|step| step.blocks_received <= peer.download.blocks_received);
        let now = *steps.get(reached.checked_sub(1)?)?;
        let ended = reached == steps.len() || !peer.download.is_busy();
        (!ended || now.requests_sent > peer.download.requests_sent).then_some(now)
    }

    /// A block begins to come.
    pub(super) fn begin_block(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        block: Block,
    ) -> Result<(), Violation> {
        self.check_block(block)?;
        let waited = peer.observe_block(now, block).answers.map(|answered| answered.after);
        let assigned = peer.download.assigned.answer(block);
        peer.download.receiving = assigned.then(|| ReceivingBlock {
            block,
            begun_at: now,
            waited: Some(waited.unwrap_or_default()),
        });
        if peer.download.receiving.is_some() {
            return Ok(());
        }
        // Cancelled, or given up; or nobody ever asked for it.
        match peer.download.tolerated_bytes.checked_sub(block.length.max(LEAST_TOLERATED).into()) {
            Some(left) => {
                peer.download.tolerated_bytes = left;
                // A block that the peer was not waited for any longer, and that is missing still, is as good as any.
                let is_missing = self.picker.ask_again(block, peer.stream);
                peer.download.receiving =
                    is_missing.then_some(ReceivingBlock { block, begun_at: now, waited });
                Ok(())
            }
            None => peer.note_noise(Noise::UnaskedBlock(block.length)),
        }
    }

    pub(super) fn take_block_bytes(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        position: u32,
        bytes: Bytes,
        ends: bool,
    ) {
        let count = bytes.len();
        let Some(coming) = peer.download.receiving else {
            self.totals.wasted += count as u64;
            return;
        };
        peer.download.last_block_at = now;
        let fresh =
            self.take_bytes(now, coming.block, position, bytes, (peer.stream, Some(peer.known_address())));
        if fresh > 0 {
            peer.download.bytes += fresh;
            peer.download.rate.add(now, fresh);
        }
        if ends {
            peer.download.receiving = None;
            self.picker.release(coming.block, peer.stream);
            self.note_pace(now, peer, coming);
        }
    }

    /// Takes bytes of a block, from `position` within it on; how many of them were missing. `from` is who gave them, and where
    /// it is.
    pub(super) fn take_bytes(
        &mut self,
        now: Timestamp,
        block: Block,
        position: u32,
        mut bytes: Bytes,
        (from, address): (SessionStreamId, Option<SocketAddr>),
    ) -> u64 {
        let padding = self.picker.padding(block);
        if padding > 0 {
            // The zeros after the end of a file are stored nowhere.
            let end = (block.length - padding).saturating_sub(position) as usize;
            let zeros = bytes.split_off(end.min(bytes.len()));
            self.totals.downloaded += zeros.len() as u64;
            if bytes.is_empty() {
                return 0;
            }
        }
        let count = bytes.len();
        let arrival = self.picker.arrive(block, position, count, from);
        let fresh = (count - arrival.known) as u64;
        self.totals.wasted += arrival.known as u64;
        if fresh > 0 {
            let offset = block.begin + position + arrival.known as u32;
            self.unstored += fresh;
            self.totals.downloaded += fresh;
            self.totals.download_rate.add(now, fresh);
            self.taken_at = Some(now);
            self.outputs.push_back(Output::Store(block.index, offset, bytes.split_off(arrival.known)));
        }
        if arrival.piece_done {
            self.store_padding(block.index);
            self.have_schedule.note_arrived(block.index);
        }
        if arrival.block_done {
            if let Some(address) = address {
                self.suspects.note_giver(from, address);
            }
            let others = self.picker.others_asked(block, from);
            self.deferred.answered_elsewhere.extend(others.map(|other| (other, block)));
        }
        fresh
    }

    /// Has the blocks of a piece stored that nobody was asked for, because they are padding alone.
    fn store_padding(&mut self, piece: PieceIndex) {
        for block in self.picker.made_blocks(piece) {
            self.unstored += u64::from(block.length);
            let begin = u64::from(block.begin);
            for (at, zeros) in zeros(begin..begin + u64::from(block.length)) {
                self.outputs.push_back(Output::Store(piece, at as u32, zeros));
            }
        }
    }

    /// Learns from a whole block how many requests keep a peer busy.
    fn note_pace(&mut self, now: Timestamp, peer: &mut Peer, received: ReceivingBlock) {
        peer.download.snubbed = false;
        peer.download.reminders = 0;
        peer.download.blocks_received = peer.download.blocks_received.saturating_add(1);
        self.have_schedule.note_block();
        if std::mem::take(&mut peer.download.requests_shared) {
            self.ask_again(peer);
        }
        peer.note_block_received();
        if let Some(waited) = received.waited {
            let latency = waited + (now - received.begun_at);
            peer.download.latency = Some(peer.download.latency.map_or(latency, |least| least.min(latency)));
        }
        let first = *peer.download.first_block_at.get_or_insert(now);
        if now - first < SLOW_START {
            // One more a block doubles them each round trip.
            peer.download.pipeline_depth =
                (peer.download.pipeline_depth + 1).min(self.config.profile.max_pipeline as usize);
        }
    }

    /// A peer that had paused gives again: what others gave meanwhile need not come.
    fn ask_again(&mut self, peer: &mut Peer) {
        let (picker, stream) = (&mut self.picker, peer.stream);
        for block in peer.download.assigned.take_unless(|block| picker.ask_again(block, stream)) {
            peer.download.tolerated_bytes += u64::from(block.length);
            peer.send(self.now, &Message::Cancel(block));
        }
    }

    /// A block that a peer was asked for came from another peer; whether it was still assigned to the peer.
    pub(super) fn cancel_answered(&mut self, peer: &mut Peer, block: Block) -> bool {
        let assigned = peer.download.assigned.take(block).is_some();
        if assigned {
            peer.download.tolerated_bytes += u64::from(block.length);
            peer.send(self.now, &Message::Cancel(block));
            self.picker.release(block, peer.stream);
        }
        assigned
    }

    /// What a peer was asked for is asked of it no longer. A block that has begun to come is taken still, but others may be asked
    /// for it.
    pub(super) fn forget_outstanding(&mut self, peer: &mut Peer) {
        if let Some(coming) = peer.download.receiving {
            self.picker.release(coming.block, peer.stream);
        }
        for block in peer.download.assigned.take_all().into_iter().map(|request| request.block) {
            peer.download.tolerated_bytes += u64::from(block.length);
            self.picker.release(block, peer.stream);
        }
        peer.download.current_piece = None;
        self.deferred.blocks_freed = true;
    }

    pub(super) fn stored(&mut self, piece: PieceIndex, count: u32) {
        let full = self.unstored >= self.config.max_unstored;
        self.unstored -= self.picker.stored(piece, count).min(self.unstored);
        if full && self.unstored < self.config.max_unstored {
            self.deferred.blocks_freed = true;
        }
    }
}

impl Session {
    pub(super) fn hashed(&mut self, now: Timestamp, piece: PieceIndex, digest: PieceDigest) {
        if !self.core.picker.is_hashing(piece) {
            return;
        }
        let verdict = self.core.torrent.known().map(|torrent| torrent.judge(piece, &digest));
        match verdict.unwrap_or(PieceVerdict::Wrong) {
            PieceVerdict::Right => self.commit(now, piece),
            PieceVerdict::Wrong => self.discard(now, piece),
            PieceVerdict::Disagree => {
                self.core.outputs.push_back(Output::Event(Event::HashesDisagree { index: piece }));
                self.end(now);
            }
        }
        self.core.deferred.blocks_freed = true;
    }

    fn commit(&mut self, now: Timestamp, piece: PieceIndex) {
        let core = &mut self.core;
        let Some(partial) = core.picker.pass(piece) else { return };
        core.unstored -= partial.unstored().min(core.unstored);
        if core.suspects.is_suspect(piece) {
            core.outputs.push_back(Output::HashBlocks(piece, core.config.profile.block_length));
        }
        core.outputs.push_back(Output::Commit(piece));
        let from = core.suspects.addresses(&partial);
        core.outputs.push_back(Output::Event(Event::PieceDone { index: piece, from }));
        core.have_schedule.note_verified(piece);
        if core.config.profile.redundant_haves == RedundantHaves::ToGivers {
            for stream in givers_of(&partial) {
                if let Some(peer) = self.peers.get_mut(stream).filter(|peer| !peer.told_all) {
                    peer.download.given.insert(piece);
                }
            }
        }
        for peer in self.peers.iter_mut().filter(|peer| peer.pieces().contains(piece)) {
            peer.wanted_pieces -= 1;
        }
        self.peers.mark_open_dirty();
        if self.core.picker.has_all_wanted() {
            self.completed(now);
        }
    }

    /// Sends the last messages of a download that has its last piece.
    pub(super) fn send_last_messages(&mut self) {
        let core = &mut self.core;
        let (due, rest) = (core.have_schedule.take_scheduled(), core.have_schedule.take_rest());
        for peer in self.peers.iter_mut().filter(|peer| peer.phase == Phase::Open) {
            core.send_due_haves(peer, &due);
            for message in &core.config.profile.last_messages {
                match message {
                    LastMessage::NotInterested if peer.am_interested() => {
                        peer.send(core.now, &Message::NotInterested);
                    }
                    LastMessage::NotInterested => {}
                    LastMessage::Haves => core.send_haves(peer, &rest),
                }
            }
        }
    }
}

/// The zeros of a stretch of padding, in parts that take no memory: where each begins, and its bytes.
pub(super) fn zeros(span: Range<u64>) -> impl Iterator<Item = (u64, Bytes)> {
    static ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];
    span.clone().step_by(ZEROS.len()).map(move |at| {
        let count = (span.end - at).min(ZEROS.len() as u64);
        (at, Bytes::from_static(&ZEROS[..count as usize]))
    })
}

/// The bytes of a have message, and of the head of a bitfield (BEP 3, "peer messages").
const HAVE: usize = 9;
const HEADER: usize = 5;

/// With more pieces a peer is not a starting peer (BEP 6, "allowed fast": k is 10).
const STARTS: u32 = 10;

/// For how long after its first block a peer is asked for ever more.
const SLOW_START: Duration = Duration::from_secs(2);

/// As how many bytes a shorter block counts that may come without a request.
const LEAST_TOLERATED: u32 = 1024;
