//! How much is answered. Addresses of datagrams can be forged: what we send to strangers who ask must be no weapon, and no
//! burden for ourselves.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::Timestamp;

/// Counts queries by sender, and bytes of answers.
#[derive(Debug)]
pub(super) struct Gate {
    senders: BTreeMap<(IpAddr, u16), Sender>,
    /// Bytes that may be sent now.
    allowance: f64,
    counted_at: Timestamp,
}

#[derive(Debug, Clone, Copy)]
struct Sender {
    since: Timestamp,
    queries: u32,
    blocked_until: Option<Timestamp>,
}

impl Gate {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self { senders: BTreeMap::new(), allowance: BYTES_A_SECOND, counted_at: now }
    }

    /// Whether a query of this sender is read.
    pub(super) fn admits(&mut self, now: Timestamp, from: SocketAddr) -> bool {
        // On loopback all nodes share one address.
        let key = (from.ip(), if from.ip().is_loopback() { from.port() } else { 0 });
        if !self.senders.contains_key(&key) && self.senders.len() >= MAX_SENDERS {
            self.senders.retain(|_, sender| sender.counts(now));
            // Of forged addresses there is no end: those that are counted stay, others are not answered.
            if self.senders.len() >= MAX_SENDERS {
                return false;
            }
        }
        let fresh = Sender { since: now, queries: 0, blocked_until: None };
        let sender = self.senders.entry(key).or_insert(fresh);
        if !sender.counts(now) {
            *sender = fresh;
        }
        sender.queries = sender.queries.saturating_add(1);
        if sender.queries > WINDOW.as_secs() as u32 * QUERIES_A_SECOND {
            sender.blocked_until.get_or_insert(now + BLOCKED);
        }
        sender.blocked_until.is_none()
    }

    /// Whether an answer of so many bytes may leave.
    pub(super) fn lets_out(&mut self, now: Timestamp, bytes: usize) -> bool {
        let earned = (now - self.counted_at).as_secs_f64() * BYTES_A_SECOND;
        self.counted_at = now;
        self.allowance = (self.allowance + earned).min(BYTES_A_SECOND);
        if self.allowance < bytes as f64 {
            return false;
        }
        self.allowance -= bytes as f64;
        true
    }
}

impl Sender {
    /// Whether its time is not over.
    fn counts(&self, now: Timestamp) -> bool {
        match self.blocked_until {
            Some(until) => now < until,
            None => now - self.since < WINDOW,
        }
    }
}

/// How many queries a second one address may send, over a [window](WINDOW): libtorrent's `dht_block_ratelimit` is 5 too.
const QUERIES_A_SECOND: u32 = 5;
/// Lookups come in bursts: over so long the rate is counted.
const WINDOW: Duration = Duration::from_secs(10);
/// How long an address that sent more is not answered: libtorrent's `dht_block_timeout`.
const BLOCKED: Duration = Duration::from_secs(5 * 60);
/// The most bytes of answers a second, over all: libtorrent's `dht_upload_rate_limit`.
const BYTES_A_SECOND: f64 = 8_000.0;
/// How many senders are counted at once.
const MAX_SENDERS: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_asks_too_often_is_not_answered_for_five_minutes() {
        let mut gate = Gate::new(Timestamp::EPOCH);
        let from = SocketAddr::from(([11, 0, 0, 1], 6881));
        let at = |seconds: f64| Timestamp::EPOCH + Duration::from_secs_f64(seconds);
        let admitted =
            (0..10_000).filter(|&number| gate.admits(at(f64::from(number) / 10_000.0), from)).count();
        assert_eq!(admitted, 50);
        assert!(!gate.admits(at(299.0), SocketAddr::from(([11, 0, 0, 1], 7))));
        assert!(gate.admits(at(5.0), SocketAddr::from(([11, 0, 0, 2], 6881))));
        assert!(gate.admits(at(302.0), from));
        // Five a second are no offence.
        let mut gate = Gate::new(Timestamp::EPOCH);
        assert!((0..3_000).all(|number| gate.admits(at(f64::from(number) / 5.0), from)));
    }

    #[test]
    fn answers_to_forged_addresses_stay_below_eight_thousand_bytes_a_second() {
        let mut gate = Gate::new(Timestamp::EPOCH);
        let mut sent = 0;
        for number in 0..100_000_u32 {
            let now = Timestamp::EPOCH + Duration::from_micros(u64::from(number) * 100);
            let from = SocketAddr::from((std::net::Ipv4Addr::from(0x0b00_0000 + number), 6881));
            if gate.admits(now, from) && gate.lets_out(now, 1_280) {
                sent += 1_280;
            }
            assert!(gate.senders.len() <= MAX_SENDERS);
        }
        // Ten seconds, and what had been saved up before.
        assert!(sent <= 11 * 8_000, "{sent}");
    }
}
