//! Whom we serve: those who give most, or take fastest once we have all, and one more for a try (BEP 3, "choking and
//! optimistic unchoking").

use std::time::Duration;

use crate::Timestamp;
use crate::wire::Message;

use super::peer::{Peer, Phase};
use super::{Session, SessionStreamId};

/// When places are given anew, and how much may be sent.
#[derive(Debug)]
pub(super) struct Choker {
    regular_at: Timestamp,
    optimistic_at: Timestamp,
    /// The one that is served for a try.
    optimistic: Option<SessionStreamId>,
    bucket: Option<Bucket>,
}

/// A token bucket: what may be sent now, filled at the rate of the limit.
#[derive(Debug)]
struct Bucket {
    limit: f64,
    tokens: f64,
    filled_at: Timestamp,
    /// Whether somebody waits for it to fill.
    waiting: Vec<SessionStreamId>,
}

impl Choker {
    pub(super) fn new(now: Timestamp, limit: Option<u64>) -> Self {
        let bucket = limit.map(|limit| Bucket {
            limit: limit.max(1) as f64,
            tokens: limit.max(1) as f64,
            filled_at: now,
            waiting: Vec::new(),
        });
        Self { regular_at: now, optimistic_at: now, optimistic: None, bucket }
    }

    /// Takes the bytes of a block from what may be sent; whether there was any left. One block may go into debt.
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

    /// Lets time fill the bucket.
    pub(super) fn refill(&mut self, now: Timestamp) {
        let Some(bucket) = &mut self.bucket else { return };
        let seconds = now.seconds_since(bucket.filled_at).max(0.0);
        bucket.tokens = (bucket.tokens + seconds * bucket.limit).min(bucket.limit);
        bucket.filled_at = now;
    }

    /// Who can be served again.
    fn take_waiting(&mut self) -> Vec<SessionStreamId> {
        let filled = self.bucket.as_mut().filter(|bucket| bucket.tokens > 0.0);
        filled.map(|bucket| std::mem::take(&mut bucket.waiting)).unwrap_or_default()
    }

    /// When somebody who waits can be served.
    pub(super) fn ready_at(&self) -> Option<Timestamp> {
        let bucket = self.bucket.as_ref().filter(|bucket| !bucket.waiting.is_empty())?;
        let seconds = (-bucket.tokens / bucket.limit).clamp(0.0, 3600.0);
        Some(bucket.filled_at + Duration::from_secs_f64(seconds) + LEAST_PAUSE)
    }

    pub(super) fn forget(&mut self, stream: SessionStreamId) {
        if self.optimistic == Some(stream) {
            self.optimistic = None;
        }
        if let Some(bucket) = &mut self.bucket {
            bucket.waiting.retain(|&other| other != stream);
        }
    }
}

impl Session {
    /// Serves on those for whom there was nothing left to send.
    pub(super) fn refill(&mut self, now: Timestamp) {
        self.choker.refill(now);
        for stream in self.choker.take_waiting() {
            self.mark_dirty(stream);
        }
    }

    /// Gives the places anew, when it is time.
    pub(super) fn rechoke(&mut self, now: Timestamp) {
        if now < self.choker.regular_at {
            return;
        }
        self.choker.regular_at = now + REGULAR;
        let serves_only = self.is_complete();
        let mut eager: Vec<_> = self.peers.values().filter(|peer| is_eager(peer)).collect();
        let rate = |peer: &Peer| match serves_only {
            true => peer.upload_rate.per_second(now),
            // One that gives nothing though it does not choke earns no regular place.
            false if peer.snubbed => -1.0,
            false => peer.download_rate.per_second(now),
        };
        eager.sort_by(|one, other| rate(other).total_cmp(&rate(one)));
        let mut eager: Vec<_> = eager.iter().map(|peer| peer.stream).collect();
        let regular = eager.len().min(self.config.unchoke_slots.saturating_sub(1).max(1));
        let rest = eager.split_off(regular);
        let mut served = eager;
        if self.config.unchoke_slots > 1 && !rest.is_empty() {
            let tried = self.choker.optimistic.filter(|stream| rest.contains(stream));
            let tried = match tried.filter(|_| now < self.choker.optimistic_at) {
                Some(stream) => stream,
                None => {
                    self.choker.optimistic_at = now + OPTIMISTIC;
                    rest[self.rng.below(rest.len())]
                }
            };
            self.choker.optimistic = Some(tried);
            served.push(tried);
        }
        for stream in self.peers.keys().copied().collect::<Vec<_>>() {
            let Some(mut peer) = self.peers.remove(&stream) else { continue };
            let serve = served.contains(&stream);
            if serve && peer.am_choking {
                unchoke(&mut peer);
            } else if !serve && !peer.am_choking {
                self.choke(&mut peer);
            }
            let changed = !peer.send_buffer.is_empty();
            self.peers.insert(stream, peer);
            if changed {
                self.mark_dirty(stream);
            }
        }
    }

    /// Serves a peer that has become interested at once, where a place is free.
    pub(super) fn unchoke_if_free(&mut self, _now: Timestamp, peer: &mut Peer) {
        let served = self.peers.values().filter(|other| !other.am_choking).count();
        if served < self.config.unchoke_slots && is_eager(peer) && peer.am_choking {
            unchoke(peer);
        }
    }

    pub(super) fn choke(&mut self, peer: &mut Peer) {
        peer.am_choking = true;
        peer.send(&Message::Choke);
        let refused: Vec<_> = peer.upload_queue.drain(..).chain(peer.loading.drain(..)).collect();
        // BEP 6: what will not be answered is rejected.
        if peer.fast {
            for block in refused {
                peer.send(&Message::RejectRequest(block));
            }
        }
    }
}

fn unchoke(peer: &mut Peer) {
    peer.am_choking = false;
    peer.send(&Message::Unchoke);
}

fn is_eager(peer: &Peer) -> bool {
    peer.phase == Phase::Open && peer.peer_interested && !peer.pieces.is_all()
}

/// How often places are given anew (BEP 3).
const REGULAR: Duration = Duration::from_secs(10);

/// How long one is served for a try (BEP 3).
const OPTIMISTIC: Duration = Duration::from_secs(30);

/// The bucket is looked into at most so often.
const LEAST_PAUSE: Duration = Duration::from_millis(20);
