//! What time does: patience that ends, keep-alives, paces, peers passed on.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::bencode;
use crate::compact::put_endpoint;
use crate::peer::limits::{MAX_PEX_PEERS, PEX_INTERVAL};
use crate::wire::Message;
use crate::{Block, Timestamp};

use super::peer::{Peer, Phase};
use super::{CloseReason, DisconnectReason, Session, SessionState, Violation};

impl Session {
    /// Looks after every peer, once a [`PERIOD`].
    pub(super) fn tick(&mut self, now: Timestamp) {
        self.upkeep_at = now + PERIOD;
        if self.state != SessionState::Running {
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
                self.disconnect(now, peer, gone);
                continue;
            }
            self.update_pipeline_depth(now, &mut peer);
            if peer.phase == Phase::Open {
                self.send_pex(now, &mut peer, &dialable);
                if now - peer.last_sent >= KEEP_ALIVE && peer.send_buffer.is_empty() {
                    peer.send(&Message::KeepAlive);
                }
            }
            self.peers.insert(stream, peer);
            self.mark_dirty(stream);
        }
        self.rechoke(now);
    }

    /// Why a peer is waited for no longer.
    fn end_of_patience(&mut self, now: Timestamp, peer: &mut Peer) -> Option<DisconnectReason> {
        let config = &self.config;
        let silent = now - peer.last_received;
        match peer.phase {
            Phase::Connecting if now - peer.phase_since >= config.connect_timeout => {
                return Some(DisconnectReason::Closed(CloseReason::TimedOut));
            }
            Phase::Handshake if now - peer.phase_since >= config.handshake_timeout => {
                return Some(DisconnectReason::Violated(Violation::Silent(now - peer.phase_since)));
            }
            Phase::Connecting | Phase::Handshake => return None,
            Phase::Open => {}
        }
        if silent >= config.silence_timeout {
            return Some(DisconnectReason::Violated(Violation::Silent(silent)));
        }
        if peer.wanted_pieces == 0
            && !self.is_complete()
            && config.single_peer
            && now - peer.phase_since >= config.request_timeout
        {
            return Some(DisconnectReason::Violated(Violation::Useless));
        }
        // One that we have no room for cannot be waited for as long as one that nobody would replace.
        let others_wait = self.swarm.waiting() > 0 && self.peers.len() + 1 >= config.max_peers;
        let choked = now - peer.choked_since;
        let useful = peer.peer_interested && !peer.am_choking;
        if self.is_complete() && peer.pieces.is_all() {
            return Some(DisconnectReason::Finished);
        }
        if peer.wanted_pieces == 0
            && !peer.peer_interested
            && others_wait
            && now - peer.phase_since >= config.request_timeout
        {
            return Some(DisconnectReason::Violated(Violation::Useless));
        }
        if peer.unsent > MAX_UNREAD + 2 * self.piece_count() as usize / 8 {
            return Some(DisconnectReason::Violated(Violation::Flood(
                "messages whose answers it does not read",
            )));
        }
        let starved = now - peer.choked_idle_since;
        if peer.peer_choking
            && peer.am_interested
            && starved >= config.choke_timeout
            && (config.single_peer || (others_wait && !useful))
        {
            return Some(DisconnectReason::Violated(Violation::ChokedTooLong(starved)));
        }
        // With the fast extension it should have rejected them long since.
        if peer.peer_choking
            && choked >= LEND
            && peer.outstanding.iter().any(|asked| !peer.allowed_fast.contains(&asked.block.index))
        {
            self.forget_outstanding(peer);
            self.picker.unreserve(peer.stream);
        }
        let config = &self.config;
        let idle = now - peer.last_block_at;
        if !peer.peer_choking
            && peer.am_interested
            && (!peer.outstanding.is_empty() || peer.receiving.is_some())
        {
            if idle >= config.request_timeout && config.single_peer {
                return Some(DisconnectReason::Violated(Violation::Silent(idle)));
            }
            if idle >= config.request_timeout && !peer.snubbed {
                peer.snubbed = true;
                peer.requests_shared = false;
                self.cancel_outstanding(peer);
            } else if idle >= config.request_timeout.min(LEND) && !peer.requests_shared && !config.single_peer
            {
                // Others may be asked for the same; what comes from it first is taken still.
                peer.requests_shared = true;
                let lent: Vec<Block> =
                    peer.outstanding.iter().chain(&peer.receiving).map(|asked| asked.block).collect();
                lent.into_iter().for_each(|block| self.picker.release(block, peer.stream));
                self.picker.unreserve(peer.stream);
                self.mark_idle_dirty();
            }
        }
        None
    }

    /// Cancels all that a peer was asked for.
    fn cancel_outstanding(&mut self, peer: &mut Peer) {
        let blocks: Vec<Block> = peer.outstanding.iter().map(|asked| asked.block).collect();
        for block in blocks {
            peer.send(&Message::Cancel(block));
        }
        let coming = peer.receiving;
        self.forget_outstanding(peer);
        peer.receiving = coming;
        self.picker.unreserve(peer.stream);
    }

    /// Sets how many requests wait at a peer by what it gave lately: enough for a round trip and a second more.
    fn update_pipeline_depth(&self, now: Timestamp, peer: &mut Peer) {
        let Some(first) = peer.first_block_at else { return };
        if now - first < Duration::from_secs(2) {
            return;
        }
        let latency = peer.latency.unwrap_or_default().as_secs_f64().min(MOST_LATENCY);
        let bytes = peer.download_rate.per_second(now) * (latency * 2.0 + 1.0);
        let blocks = bytes / f64::from(self.config.profile.block_length.max(1));
        let most = self.config.profile.max_pipeline.max(LEAST_REQUESTS);
        peer.pipeline_depth = blocks.clamp(f64::from(LEAST_REQUESTS), f64::from(most)) as usize;
    }

    /// Tells a peer of others, at most once a minute (BEP 11).
    fn send_pex(&self, now: Timestamp, peer: &mut Peer, dialable: &BTreeSet<SocketAddr>) {
        let id = peer.extension_ids.pex;
        let offered = self.config.profile.extensions.iter().any(|(name, _)| name == "ut_pex");
        if id == 0 || !offered || self.torrent.private || now < peer.next_pex_at {
            return;
        }
        let others =
            dialable.difference(&peer.pex_sent).copied().filter(|&one| Some(one) != peer.listen_address);
        let added: Vec<_> = others.take(MAX_PEX_PEERS).collect();
        let dropped: Vec<_> = peer.pex_sent.difference(dialable).copied().take(MAX_PEX_PEERS).collect();
        if added.is_empty() && dropped.is_empty() {
            return;
        }
        peer.next_pex_at = now + PEX_INTERVAL;
        added.iter().for_each(|&address| {
            peer.pex_sent.insert(address);
        });
        dropped.iter().for_each(|address| {
            peer.pex_sent.remove(address);
        });
        peer.send(&Message::Extended { id, payload: pex(&added, &dropped).into() });
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
    peer.listen_address.filter(|_| peer.phase == Phase::Open)
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
