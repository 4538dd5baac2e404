//! Which peers are unchoked: the peers that send fastest, or that receive fastest once the download is complete, and one
//! more by chance (BEP 3, "choking and optimistic unchoking").

use std::time::Duration;

use crate::Timestamp;
use crate::wire::Message;

use super::peer::Peer;
use super::{Session, SessionStreamId};

/// Which peers are unchoked until when, and how many bytes the upload limit still allows.
#[derive(Debug)]
pub(super) struct Choker {
    regular_at: Timestamp,
    optimistic_at: Timestamp,
    /// The peer of the optimistic unchoke.
    optimistic: Option<SessionStreamId>,
    /// How many peers may be unchoked at once.
    slots: usize,
    /// How many peers are unchoked.
    pub(super) unchoked: usize,
    bucket: Option<TokenBucket>,
}

/// A token bucket: what may be sent now, filled at the rate of the limit.
#[derive(Debug)]
struct TokenBucket {
    limit: f64,
    tokens: f64,
    filled_at: Timestamp,
    /// The peers whose blocks wait for it to fill.
    waiting: Vec<SessionStreamId>,
}

impl Choker {
    pub(super) fn new(now: Timestamp, slots: usize, limit: Option<u64>) -> Self {
        let bucket = limit.map(|limit| TokenBucket {
            limit: limit.max(1) as f64,
            tokens: limit.max(1) as f64,
            filled_at: now,
            waiting: Vec::new(),
        });
        Self { regular_at: now, optimistic_at: now, optimistic: None, slots, unchoked: 0, bucket }
    }

    /// Takes the bytes of a block from the bucket. False if the bucket is empty; the peer then waits. The last block may
    /// take more than there is.
    pub(super) fn spend(&mut self, length: u32, stream: SessionStreamId) -> bool {
        let Some(bucket) = &mut self.bucket else { return true };
        if bucket.tokens <= 0.0 {
            if !bucket.waiting.contains(&stream) {
                bucket.waiting.push(stream);
            }
            return false;
        }
        bucket.tokens -= f64::from(length);
        true
    }

    /// Fills the bucket for the time since it was last filled.
    pub(super) fn refill(&mut self, now: Timestamp) {
        let Some(bucket) = &mut self.bucket else { return };
        let seconds = now.seconds_since(bucket.filled_at).max(0.0);
        bucket.tokens = (bucket.tokens + seconds * bucket.limit).min(bucket.limit);
        bucket.filled_at = now;
    }

    /// The peers that waited and can be served again.
    fn take_waiting(&mut self) -> Vec<SessionStreamId> {
        let filled = self.bucket.as_mut().filter(|bucket| bucket.tokens > 0.0);
        filled.map(|bucket| std::mem::take(&mut bucket.waiting)).unwrap_or_default()
    }

    /// When the first waiting peer can be served; `None` if no peer waits.
    pub(super) fn ready_at(&self) -> Option<Timestamp> {
        let bucket = self.bucket.as_ref().filter(|bucket| !bucket.waiting.is_empty())?;
        let seconds = (-bucket.tokens / bucket.limit).clamp(0.0, 3600.0);
        Some(bucket.filled_at + Duration::from_secs_f64(seconds) + LEAST_PAUSE)
    }

    /// Unchokes a peer that has just become interested, if a slot is free.
    pub(super) fn unchoke_if_free(&mut self, now: Timestamp, peer: &mut Peer) {
        let free = self.unchoked < self.slots;
        if free && peer.is_eager() && peer.am_choking() {
            self.unchoke(now, peer);
        }
    }

    fn unchoke(&mut self, now: Timestamp, peer: &mut Peer) {
        self.unchoked += 1;
        peer.upload.last_request_at = now;
        peer.send(now, &Message::Unchoke);
    }

    /// Chokes a peer. Its requests that are not answered yet are dropped.
    pub(super) fn choke(&mut self, now: Timestamp, peer: &mut Peer) {
        self.unchoked -= 1;
        peer.send(now, &Message::Choke);
        let refused: Vec<_> = peer.upload.queue.drain(..).chain(peer.upload.loading.drain(..)).collect();
        // BEP 6: what will not be answered is rejected.
        if peer.is_fast() {
            for block in refused {
                peer.send(now, &Message::RejectRequest(block));
            }
        }
    }

    /// A peer was disconnected.
    pub(super) fn forget(&mut self, peer: &Peer) {
        let stream = peer.stream;
        self.unchoked -= usize::from(!peer.am_choking());
        if self.optimistic == Some(stream) {
            self.optimistic = None;
        }
        if let Some(bucket) = &mut self.bucket {
            bucket.waiting.retain(|&other| other != stream);
        }
    }
}

impl Session {
    /// Services the peers that waited for the upload limit.
    pub(super) fn refill_upload(&mut self, now: Timestamp) {
        self.core.choker.refill(now);
        for stream in self.core.choker.take_waiting() {
            self.peers.mark_dirty(stream);
        }
    }

    /// Chooses the unchoked peers again, when it is time.
    pub(super) fn rechoke(&mut self, now: Timestamp) {
        if now < self.core.choker.regular_at {
            return;
        }
        self.core.choker.regular_at = now + REGULAR;
        let unchoked = self.unchoked(now);
        for stream in self.peers.streams() {
            let unchoke = unchoked.contains(&stream);
            let Some(peer) = self.peers.get(stream) else { continue };
            if unchoke != peer.am_choking() && peer.send_buffer.is_empty() {
                continue;
            }
            let Some(peer) = self.peers.get_mut(stream) else { continue };
            if unchoke && peer.am_choking() {
                self.core.choker.unchoke(now, peer);
            } else if !unchoke && !peer.am_choking() {
                self.core.choker.choke(now, peer);
            }
            if !peer.send_buffer.is_empty() {
                self.peers.mark_dirty(stream);
            }
        }
    }

    /// The peers to unchoke now: the fastest, and the optimistic one.
    fn unchoked(&mut self, now: Timestamp) -> Vec<SessionStreamId> {
        let core = &mut self.core;
        let serves_only = core.has_all_wanted();
        let rate = |peer: &Peer| match serves_only {
            true => peer.upload.rate.per_second(now),
            // A snubbed peer unchokes us and sends nothing: it earns no regular slot.
            false if peer.download.snubbed => -1.0,
            false => peer.download.rate.per_second(now),
        };
        let mut eager: Vec<_> = self.peers.iter().filter(|peer| peer.is_eager()).collect();
        eager.sort_by(|one, other| rate(other).total_cmp(&rate(one)));
        let mut unchoked: Vec<_> = eager.iter().map(|peer| peer.stream).collect();
        let slots = core.choker.slots;
        // A session without slots serves nobody; with one slot, the slot is regular.
        let regular = slots.saturating_sub(1).max(slots.min(1));
        let rest = unchoked.split_off(unchoked.len().min(regular));
        if slots > 1 && !rest.is_empty() {
            let tried = core.choker.optimistic.filter(|stream| rest.contains(stream));
            let tried = match tried.filter(|_| now < core.choker.optimistic_at) {
                Some(stream) => stream,
                None => {
                    core.choker.optimistic_at = now + OPTIMISTIC;
                    rest[core.rng.below(rest.len())]
                }
            };
            core.choker.optimistic = Some(tried);
            unchoked.push(tried);
        }
        unchoked
    }
}

/// How often the unchoked peers are chosen again (BEP 3).
const REGULAR: Duration = Duration::from_secs(10);

/// How long an optimistic unchoke lasts (BEP 3).
const OPTIMISTIC: Duration = Duration::from_secs(30);

/// The bucket is looked into at most this often.
const LEAST_PAUSE: Duration = Duration::from_millis(20);
