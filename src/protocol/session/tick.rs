//! What time does: patience that ends, keep-alives, paces, peers passed on.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::bencode;
use crate::compact::put_endpoint;
use crate::wire::Message;
use crate::{Block, Timestamp};

use super::peer::{Peer, Phase};
use super::{Closing, Gone, Session, State, Violation};

impl Session {
    /// Looks after every peer, once a [`PERIOD`].
    pub(super) fn upkeep(&mut self, now: Timestamp) {
        self.upkeep_at = now + PERIOD;
        if self.state != State::Running {
            return;
        }
        if self.has_seeded_enough(now) {
            self.end(now);
            return;
        }
        let dialable: BTreeSet<SocketAddr> = self.peers.values().filter_map(|peer| dialable(peer)).collect();
        for stream in self.peers.keys().copied().collect::<Vec<_>>() {
            let Some(mut peer) = self.peers.remove(&stream) else { continue };
            if let Some(gone) = self.end_of_patience(now, &mut peer) {
                self.part(now, peer, gone);
                continue;
            }
            self.set_pace(now, &mut peer);
            if peer.phase == Phase::Open {
                self.pass_on(now, &mut peer, &dialable);
                if now - peer.last_sent >= KEEP_ALIVE && peer.saying.is_empty() {
                    peer.say(&Message::KeepAlive);
                }
            }
            self.peers.insert(stream, peer);
            self.stir(stream);
        }
        self.rechoke(now);
    }

    /// Why a peer is waited for no longer.
    fn end_of_patience(&mut self, now: Timestamp, peer: &mut Peer) -> Option<Gone> {
        let config = &self.config;
        let silent = now - peer.last_received;
        match peer.phase {
            Phase::Opening if now - peer.since >= config.connect_timeout => {
                return Some(Gone::Closed(Closing::TimedOut));
            }
            Phase::Handshake if now - peer.since >= config.handshake_timeout => {
                return Some(Gone::Violated(Violation::Silent(now - peer.since)));
            }
            Phase::Opening | Phase::Handshake => return None,
            Phase::Open => {}
        }
        if silent >= config.silence_timeout {
            return Some(Gone::Violated(Violation::Silent(silent)));
        }
        if peer.wanted == 0
            && !self.is_complete()
            && config.single_peer
            && now - peer.since >= config.request_timeout
        {
            return Some(Gone::Violated(Violation::Useless));
        }
        // One that we have no room for cannot be waited for as long as one that nobody would replace.
        let others_wait = self.swarm.waiting() > 0 && self.peers.len() + 1 >= config.max_peers;
        let choked = now - peer.choked_since;
        let useful = peer.it_wants && !peer.we_choke;
        if self.is_complete() && peer.holding.is_all() {
            return Some(Gone::Finished);
        }
        if peer.wanted == 0 && !peer.it_wants && others_wait && now - peer.since >= config.request_timeout {
            return Some(Gone::Violated(Violation::Useless));
        }
        if peer.unsent > MAX_UNREAD + 2 * self.piece_count() as usize / 8 {
            return Some(Gone::Violated(Violation::Flood("messages whose answers it does not read")));
        }
        let starved = now - peer.starves_since;
        if peer.it_chokes
            && peer.we_want
            && starved >= config.choke_timeout
            && (config.single_peer || (others_wait && !useful))
        {
            return Some(Gone::Violated(Violation::ChokedForEver(starved)));
        }
        // With the fast extension it should have rejected them long since.
        if peer.it_chokes
            && choked >= LEND
            && peer.asked.iter().any(|asked| !peer.allowed.contains(&asked.block.index))
        {
            self.give_up_requests(peer);
            self.picker.unreserve(peer.stream);
        }
        let config = &self.config;
        let idle = now - peer.last_block;
        if !peer.it_chokes && peer.we_want && (!peer.asked.is_empty() || peer.coming.is_some()) {
            if idle >= config.request_timeout && config.single_peer {
                return Some(Gone::Violated(Violation::Silent(idle)));
            }
            if idle >= config.request_timeout && !peer.snubs {
                peer.snubs = true;
                peer.lent = false;
                self.take_back(peer);
            } else if idle >= config.request_timeout.min(LEND) && !peer.lent && !config.single_peer {
                // Others may be asked for the same; what comes from it first is taken still.
                peer.lent = true;
                let lent: Vec<Block> =
                    peer.asked.iter().chain(&peer.coming).map(|asked| asked.block).collect();
                lent.into_iter().for_each(|block| self.picker.release(block, peer.stream));
                self.picker.unreserve(peer.stream);
                self.stir_idle();
            }
        }
        None
    }

    /// Cancels all that a peer was asked for.
    fn take_back(&mut self, peer: &mut Peer) {
        let blocks: Vec<Block> = peer.asked.iter().map(|asked| asked.block).collect();
        for block in blocks {
            peer.say(&Message::Cancel(block));
        }
        let coming = peer.coming;
        self.give_up_requests(peer);
        peer.coming = coming;
        self.picker.unreserve(peer.stream);
    }

    /// Sets how many requests wait at a peer by what it gave lately: enough for a round trip and a second more.
    fn set_pace(&self, now: Timestamp, peer: &mut Peer) {
        let Some(first) = peer.first_block else { return };
        if now - first < Duration::from_secs(2) {
            return;
        }
        let latency = peer.latency.unwrap_or_default().as_secs_f64().min(MOST_LATENCY);
        let bytes = peer.giving.per_second(now) * (latency * 2.0 + 1.0);
        let blocks = bytes / f64::from(self.config.profile.block_length.max(1));
        let most = self.config.profile.most_requests.max(LEAST_REQUESTS);
        peer.depth = blocks.clamp(f64::from(LEAST_REQUESTS), f64::from(most)) as usize;
    }

    /// Tells a peer of others, at most once a minute (BEP 11).
    fn pass_on(&self, now: Timestamp, peer: &mut Peer, dialable: &BTreeSet<SocketAddr>) {
        let id = peer.extensions.pex;
        let offered = self.config.profile.extensions.iter().any(|(name, _)| name == "ut_pex");
        if id == 0 || !offered || self.torrent.private || now < peer.pex_at {
            return;
        }
        let others = dialable.difference(&peer.pex_told).copied().filter(|&one| Some(one) != peer.listens);
        let added: Vec<_> = others.take(MAX_PEX).collect();
        let dropped: Vec<_> = peer.pex_told.difference(dialable).copied().take(MAX_PEX).collect();
        if added.is_empty() && dropped.is_empty() {
            return;
        }
        peer.pex_at = now + PEX_INTERVAL;
        added.iter().for_each(|&address| {
            peer.pex_told.insert(address);
        });
        dropped.iter().for_each(|address| {
            peer.pex_told.remove(address);
        });
        peer.say(&Message::Extended { id, payload: pex(&added, &dropped).into() });
    }

    fn has_seeded_enough(&self, now: Timestamp) -> bool {
        let (Some(since), Some(goal)) = (self.completed_at, self.config.seeding) else { return false };
        let total = self.torrent.total().max(1) as f64;
        goal.time.is_some_and(|time| now - since >= time)
            || goal.ratio.is_some_and(|ratio| self.totals.uploaded as f64 / total >= ratio)
    }
}

/// Where others can reach a peer.
fn dialable(peer: &Peer) -> Option<SocketAddr> {
    peer.listens.filter(|_| peer.phase == Phase::Open)
}

/// The dictionary of BEP 11, its keys in order.
fn pex(added: &[SocketAddr], dropped: &[SocketAddr]) -> Vec<u8> {
    let compact = |addresses: &[SocketAddr], ipv6: bool| {
        let mut out = Vec::new();
        for &address in addresses.iter().filter(|address| address.is_ipv6() == ipv6) {
            put_endpoint(&mut out, address);
        }
        out
    };
    let flags = |ipv6| vec![0; added.iter().filter(|address| address.is_ipv6() == ipv6).count()];
    let mut out = vec![b'd'];
    for (key, value) in [
        (&b"added"[..], compact(added, false)),
        (b"added.f", flags(false)),
        (b"added6", compact(added, true)),
        (b"added6.f", flags(true)),
        (b"dropped", compact(dropped, false)),
        (b"dropped6", compact(dropped, true)),
    ] {
        bencode::put_string(&mut out, key);
        bencode::put_string(&mut out, &value);
    }
    out.push(b'e');
    out
}

/// How often peers are looked after.
pub(super) const PERIOD: Duration = Duration::from_secs(1);

/// How long nothing is said before a keep-alive: BEP 3 has two minutes, and some clients count strictly.
const KEEP_ALIVE: Duration = Duration::from_secs(100);

/// How long a peer may pause before others are asked for the same blocks.
const LEND: Duration = Duration::from_secs(10);

/// How many bytes may wait to be sent to one that does not read, bitfields not counted.
const MAX_UNREAD: usize = 4 * 1024 * 1024;

/// The fewest requests that wait at a peer that gives at all.
const LEAST_REQUESTS: u32 = 4;

/// A block that took longer, in seconds, stood in a queue.
const MOST_LATENCY: f64 = 2.0;

/// How often peers are passed on, and how many (BEP 11).
const PEX_INTERVAL: Duration = Duration::from_secs(60);
const MAX_PEX: usize = 50;
