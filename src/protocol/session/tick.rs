//! What time does: patience that ends, keep-alives, paces, peers passed on.

use std::time::Duration;

use crate::wire::Message;
use crate::{Block, Timestamp};

use super::assigned::AssignedBlock;
use super::core::Core;
use super::peer::{Peer, Phase};
use super::peers::Rest;
use super::places::{IDLE, Yielding};
use super::{CloseReason, DisconnectReason, Session, Violation};

impl Session {
    /// Looks after the peers, once a [`PERIOD`], but for those that rest.
    pub(super) fn tick(&mut self, now: Timestamp) {
        self.core.tick_at = now + PERIOD;
        if self.core.has_seeded_enough(now) {
            self.end(now);
            return;
        }
        self.choose_metadata(now);
        let changes = self.core.changes_of_peers;
        let is_full = |session: &Self| session.peers.len() >= session.core.config.max_peers;
        let any_waits = is_full(self)
            && !self.core.has_all_wanted()
            && self.core.swarm.any_ready(now, self.dial_choice(now));
        let mut yielding = self.core.yielding(now);
        let mut last = None;
        while let Some((stream, rest)) = self.peers.first_after(last) {
            last = Some(stream);
            // A peer that there is no room for is not waited for as long as one that nobody would replace.
            let yielding_now = if any_waits && is_full(self) { yielding } else { Yielding::Nobody };
            if rest.is_some_and(|rest| rest.lasts(now, yielding_now, changes)) {
                continue;
            }
            let Some(peer) = self.peers.get_mut(stream) else { continue };
            if let Some(reason) = self.core.end_of_patience(now, peer, yielding_now) {
                if yielding_now > Yielding::Nobody {
                    self.core.turnover.note(now);
                    yielding = self.core.yielding(now);
                }
                self.disconnect(now, stream, reason);
                continue;
            }
            self.core.look_after(now, peer);
            self.tell_of_others(now, stream);
            let Some(peer) = self.peers.get_mut(stream) else { continue };
            keep_alive(now, peer);
            let rest = self.core.rest(now, peer);
            self.step_others(Some(stream));
            match rest {
                Some(rest) => self.peers.let_rest(stream, rest),
                None => self.peers.mark_dirty(stream),
            }
        }
        self.rechoke(now);
    }
}

impl Core {
    /// Why a peer is waited for no longer. The order of the reasons decides what a user reads and whether the address is banned:
    /// a peer that is silent, or of no use, is not banned for answers that it does not read.
    fn end_of_patience(&self, now: Timestamp, peer: &Peer, yielding: Yielding) -> Option<DisconnectReason> {
        if peer.phase != Phase::Open {
            return self.opened_too_slowly(now, peer);
        }
        let violation =
            self.silent(now, peer).or_else(|| self.useless_alone(now, peer)).map(DisconnectReason::Violated);
        let finished = || self.both_complete(now, peer).then_some(DisconnectReason::Finished);
        violation.or_else(finished).or_else(|| {
            let violation = self
                .useless(now, peer, yielding)
                .or_else(|| self.does_not_read(now, peer))
                .or_else(|| self.choked_too_long(now, peer, yielding))
                .or_else(|| self.sends_no_block(now, peer));
            violation.map(DisconnectReason::Violated)
        })
    }

    /// A connection that is not open in time, or a handshake that does not come.
    fn opened_too_slowly(&self, now: Timestamp, peer: &Peer) -> Option<DisconnectReason> {
        let waited = now - peer.phase_since;
        match peer.phase {
            Phase::Connecting if waited >= self.config.connect_timeout => {
                Some(DisconnectReason::Closed(CloseReason::TimedOut))
            }
            Phase::Handshake if waited >= self.config.handshake_timeout => {
                Some(DisconnectReason::Violated(Violation::Silent(waited)))
            }
            _ => None,
        }
    }

    fn silent(&self, now: Timestamp, peer: &Peer) -> Option<Violation> {
        let silent = now - peer.last_received;
        (silent >= self.config.silence_timeout).then_some(Violation::Silent(silent))
    }

    /// The only peer has nothing that is missing.
    fn useless_alone(&self, now: Timestamp, peer: &Peer) -> Option<Violation> {
        let gave_at = peer.metadata.gave_at.unwrap_or(peer.phase_since);
        let useless = self.config.single_peer
            && peer.wanted_pieces == 0
            && !self.has_all_wanted()
            && now - gave_at >= self.config.request_timeout;
        useless.then_some(Violation::Useless)
    }

    /// Neither side has any use for the other.
    fn both_complete(&self, now: Timestamp, peer: &Peer) -> bool {
        self.has_all_wanted()
            && (peer.pieces().is_all() || self.wants_nothing_at(peer).is_some_and(|at| at <= now))
    }

    /// When it is sure that a peer wants nothing of all that there is, though it was not heard to have all pieces: some clients do
    /// not tell of pieces that the other side has. It was interested, and is not; what it may still have to hear of is on its way.
    fn wants_nothing_at(&self, peer: &Peer) -> Option<Timestamp> {
        let lost_interest = peer.lost_interest_at.filter(|_| self.is_complete())?;
        Some(lost_interest.max(self.completed_at?) + IDLE)
    }

    /// Neither side wants anything of the other, and others wait for the place.
    fn useless(&self, now: Timestamp, peer: &Peer, yielding: Yielding) -> Option<Violation> {
        (yielding >= Yielding::Useless && self.is_useless(now, peer)).then_some(Violation::Useless)
    }

    fn does_not_read(&self, now: Timestamp, peer: &Peer) -> Option<Violation> {
        let unread = peer.unsent > MAX_UNREAD + 2 * self.piece_count() as usize / 8
            || (peer.unsent > MAX_STUCK && now - peer.last_read >= self.config.request_timeout);
        unread.then_some(Violation::Flood("messages whose answers it does not read"))
    }

    fn choked_too_long(&self, now: Timestamp, peer: &Peer, yielding: Yielding) -> Option<Violation> {
        let starved = now - peer.starvation.since;
        let uploads = peer.peer_interested() && !peer.am_choking();
        let replaceable = self.config.single_peer || (yielding == Yielding::Choking && !uploads);
        let choked = peer.peer_choking() && peer.am_interested() && starved >= self.config.choke_timeout;
        (choked && replaceable).then_some(Violation::ChokedTooLong(starved))
    }

    /// The only peer does not answer requests.
    fn sends_no_block(&self, now: Timestamp, peer: &Peer) -> Option<Violation> {
        let idle = now - peer.download.last_block_at;
        let stalled = self.config.single_peer && is_downloading(peer) && idle >= self.config.request_timeout;
        stalled.then_some(Violation::Silent(idle))
    }

    /// What time does to a peer that stays.
    fn look_after(&mut self, now: Timestamp, peer: &mut Peer) {
        if peer.phase != Phase::Open {
            return;
        }
        peer.forgive_noise();
        self.reclaim_requests(now, peer);
        self.update_pipeline_depth(now, peer);
    }

    /// The same as [`rest`](Self::rest) for a peer that was serviced: it need not be looked after before it rests, where there is
    /// nothing that a look would find.
    pub(super) fn rest_after_service(&self, now: Timestamp, peer: &Peer) -> Option<Rest> {
        let is_found =
            self.both_complete(now, peer) || self.waits_for_others(now, peer, self.changes_of_peers);
        self.rest(now, peer).filter(|_| !is_found)
    }

    /// How long nothing will be to be done for a peer, after it was looked after; `None` where something may be at any moment.
    fn rest(&self, now: Timestamp, peer: &Peer) -> Option<Rest> {
        let config = &self.config;
        let wants = peer.wanted_pieces > 0 && self.is_running();
        let rests = peer.phase == Phase::Open
            && !config.single_peer
            && !self.torrent.is_wanted()
            && peer.noise == 0
            && peer.send_buffer.is_empty()
            && peer.upload.queue.is_empty()
            && !peer.download.is_busy()
            && !peer.is_askable()
            && wants == peer.am_interested()
            && has_least_depth(now, peer);
        if !rests {
            return None;
        }
        let choked_long = peer.starvation.since + config.choke_timeout;
        let deadlines = [
            Some(peer.last_received + config.silence_timeout),
            Some(peer.last_sent + KEEP_ALIVE),
            (peer.unsent > MAX_STUCK).then(|| peer.last_read + config.request_timeout),
            // Each of these may make the peer one that gives way.
            Some(peer.phase_since + IDLE).filter(|&at| at > now),
            self.wants_nothing_at(peer).filter(|&at| at > now),
            Some(peer.upload.last_request_at + config.request_timeout).filter(|&at| at > now),
            Some(choked_long).filter(|&at| at > now),
            peer.pex.next_at.filter(|&at| at > now),
        ];
        let gives_way = match self.is_useless(now, peer) {
            true => Some(Yielding::Useless),
            false => self.choked_too_long(now, peer, Yielding::Choking).map(|_| Yielding::Choking),
        };
        let until = deadlines.into_iter().flatten().min()?;
        // Until it may be told of others, it does not matter whom it knows.
        let may_be_told = peer.pex.next_at.is_none_or(|at| at <= now);
        let knows_all_of = peer.pex.knows_all_of.filter(|_| may_be_told);
        Some(Rest { until, is_idle: peer.is_idle(), gives_way, knows_all_of })
    }

    /// Lets others have the blocks for which a peer takes too long.
    fn reclaim_requests(&mut self, now: Timestamp, peer: &mut Peer) {
        // With the fast extension the peer should have rejected them when it choked (BEP 6).
        let rejected = |block: Block| !peer.is_usable_fast(block.index);
        if peer.peer_choking()
            && now - peer.choked_since() >= SHARE
            && peer.download.assigned.blocks().any(rejected)
        {
            self.forget_outstanding(peer);
            self.picker.unreserve(peer.stream);
        }
        let idle = now - peer.download.last_block_at;
        // Pieces that it allows while it chokes, and does not send, are for others.
        if peer.peer_choking() && peer.download.is_busy() && idle >= self.config.request_timeout {
            let asked: Vec<_> = peer.download.assigned.blocks().map(|block| block.index).collect();
            peer.fast_pieces.refused.extend(asked);
            self.forget_outstanding(peer);
            self.picker.unreserve(peer.stream);
            return;
        }
        let timeout = self.config.request_timeout;
        if !is_downloading(peer) {
            return;
        }
        // A run that is to go as an earlier run asks for nothing that the earlier run did not ask for.
        let repeats = self.config.schedule.requests.is_empty();
        if repeats {
            self.repeat_passed_over(now, peer);
        }
        if idle >= timeout {
            peer.download.snubbed = true;
            peer.download.requests_shared = false;
            peer.download.reminders = 0;
            // One request is sent instead, which has as much time again.
            peer.download.last_block_at = now;
            self.cancel_outstanding(peer);
            return;
        }
        if idle >= timeout.min(SHARE) && !peer.download.requests_shared && !self.config.single_peer {
            self.share_requests(peer);
        }
        let usual = peer.download.latency.unwrap_or(SHARE) * LATENCIES;
        if repeats && idle >= usual.clamp(LEAST_PAUSE, SHARE) * (1 << peer.download.reminders.min(6)) {
            peer.download.reminders += 1;
            self.remind(now, peer);
        }
    }

    /// Asks again for blocks that a peer passed over; some peers drop requests without a word. What other peers can give is
    /// asked again a few times only.
    fn repeat_passed_over(&mut self, now: Timestamp, peer: &mut Peer) {
        let mut gave_up = false;
        for request in peer.download.assigned.take_overdue(now, peer.pipeline_depth()) {
            let block = request.block;
            let elsewhere = self.picker.others_asked(block, peer.stream).next().is_some()
                || (request.repeats >= MAX_REPEATS && self.picker.rarity.holders(block.index) > 1);
            if elsewhere {
                peer.download.tolerated_bytes += u64::from(block.length);
                peer.send(now, &Message::Cancel(block));
                self.picker.release(block, peer.stream);
                gave_up = true;
            } else {
                self.repeat_request(now, peer, request);
            }
        }
        if gave_up {
            self.picker.unreserve(peer.stream);
            self.deferred.blocks_freed = true;
        }
    }

    /// Asks a peer from which nothing comes for one of its blocks again, unless other peers are asked for them by now.
    fn remind(&self, now: Timestamp, peer: &mut Peer) {
        let stream = peer.stream;
        let request = peer
            .download
            .assigned
            .take_first(|block| self.picker.others_asked(block, stream).next().is_none());
        if let Some(request) = request {
            self.repeat_request(now, peer, request);
        }
    }

    /// Requests a block once more. It may come twice, where the peer was only slow.
    fn repeat_request(&self, now: Timestamp, peer: &mut Peer, request: AssignedBlock) {
        peer.download.tolerated_bytes += u64::from(request.block.length);
        peer.download.requests_sent = peer.download.requests_sent.saturating_add(1);
        peer.download.assigned.push_again(request, peer.download.requests_sent);
        peer.send(now, &Message::Request(request.block));
    }

    /// Lets others be asked for the same blocks; what comes from the peer first is taken still.
    fn share_requests(&mut self, peer: &mut Peer) {
        peer.download.requests_shared = true;
        let receiving = peer.download.receiving.iter().map(|receiving| receiving.block);
        for block in peer.download.assigned.blocks().chain(receiving) {
            self.picker.release(block, peer.stream);
        }
        self.picker.unreserve(peer.stream);
        self.deferred.blocks_freed = true;
    }

    /// Cancels all that a peer was asked for.
    fn cancel_outstanding(&mut self, peer: &mut Peer) {
        for block in peer.download.assigned.blocks().collect::<Vec<_>>() {
            peer.send(self.now, &Message::Cancel(block));
        }
        self.forget_outstanding(peer);
        self.picker.unreserve(peer.stream);
    }

    /// Sets how many requests wait at a peer by what it gave lately: enough for a round trip and a second more.
    fn update_pipeline_depth(&self, now: Timestamp, peer: &mut Peer) {
        let Some(first) = peer.download.first_block_at else { return };
        if now - first < PACE_KNOWN {
            return;
        }
        let latency = peer.download.latency.unwrap_or_default().as_secs_f64().min(MOST_LATENCY);
        let bytes = peer.download.rate.per_second(now) * (latency * 2.0 + 1.0);
        let blocks = bytes / f64::from(self.config.profile.block_length.max(1));
        let most = self.config.profile.max_pipeline.max(LEAST_REQUESTS);
        peer.download.pipeline_depth = blocks.clamp(f64::from(LEAST_REQUESTS), f64::from(most)) as usize;
    }

    fn has_seeded_enough(&self, now: Timestamp) -> bool {
        let (Some(since), Some(goal)) = (self.completed_at, self.config.seeding) else { return false };
        let total = self.picker.wanted().bytes.max(1) as f64;
        goal.time.is_some_and(|time| now - since >= time)
            || goal.ratio.is_some_and(|ratio| self.totals.uploaded as f64 / total >= ratio)
    }
}

/// Says that we are there, where nothing was said for long.
fn keep_alive(now: Timestamp, peer: &mut Peer) {
    if peer.phase == Phase::Open && now - peer.last_sent >= KEEP_ALIVE && peer.send_buffer.is_empty() {
        peer.send(now, &Message::KeepAlive);
    }
}

/// Whether as few requests wait at a peer as ever do, and will until it sends more.
fn has_least_depth(now: Timestamp, peer: &Peer) -> bool {
    peer.download.first_block_at.is_none_or(|first| {
        now - first >= PACE_KNOWN
            && peer.download.pipeline_depth == LEAST_REQUESTS as usize
            && peer.download.rate.only_falls(now)
    })
}

/// Whether the peer should send a block.
fn is_downloading(peer: &Peer) -> bool {
    !peer.peer_choking() && peer.am_interested() && peer.download.is_busy()
}

/// How often peers are looked after.
pub(super) const PERIOD: Duration = Duration::from_secs(1);

/// How long nothing is said before a keep-alive: BEP 3 has two minutes, and some clients count strictly.
const KEEP_ALIVE: Duration = Duration::from_secs(100);

/// How long a peer may pause before others are asked for the same blocks.
const SHARE: Duration = Duration::from_secs(10);

/// A peer that sends nothing for so many times its latency may have dropped a request, and is asked again: not sooner than
/// after [`LEAST_PAUSE`], and not later than after [`SHARE`].
const LATENCIES: u32 = 16;
const LEAST_PAUSE: Duration = Duration::from_secs(4);

/// How many times a block that a peer passed over is requested again of a peer where another peer has it.
const MAX_REPEATS: u32 = 3;

/// How many bytes may wait to be sent to one that does not read, bitfields not counted.
const MAX_UNREAD: usize = 4 * 1024 * 1024;

/// How many bytes may wait to be sent to a peer that reads nothing for as long as a request may wait: less than a block.
const MAX_STUCK: usize = 8 * 1024;

/// How long after its first block the pace of a peer is known.
const PACE_KNOWN: Duration = Duration::from_secs(2);

/// The fewest requests that wait at a peer that gives at all.
const LEAST_REQUESTS: u32 = 4;

/// A block that took longer, in seconds, stood in a queue.
const MOST_LATENCY: f64 = 2.0;
