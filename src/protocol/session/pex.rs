//! Peer exchange (BEP 11): whom a peer is told of and when, and what is believed of whom a peer names.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Timestamp;
use crate::peer::limits::{MAX_PEX_PEERS, PEX_INTERVAL};
use crate::wire::{Extension, Pex, PexPeer};

use super::core::Core;
use super::encryption::Way;
use super::peer::{Peer, Phase};
use super::{EncryptionPolicy, PeerSource, Session};

/// The peers that others may be told of, with their flags.
#[derive(Debug)]
pub(super) struct ExchangedPeers {
    /// In ascending order, each address once, with the flags of its last connection.
    peers: Vec<(SocketAddr, u8)>,
    /// After how many changes among the peers.
    changes: u64,
}

impl ExchangedPeers {
    fn has(&self, address: &SocketAddr) -> bool {
        self.peers.binary_search_by_key(address, |(other, _)| *other).is_ok()
    }
}

impl Session {
    /// The peers that are connected now, and where others can connect to.
    pub(super) fn exchanged_peers(&self) -> ExchangedPeers {
        let peers = self.peers.iter().filter_map(|peer| Some((peer.dialable()?, peer.pex_flags())));
        let mut peers: Vec<_> = peers.collect();
        peers.reverse();
        peers.sort_by_key(|(address, _)| *address);
        peers.dedup_by_key(|(address, _)| *address);
        ExchangedPeers { peers, changes: self.core.changes_of_peers }
    }

    /// Tells peers of others that have just named their id for peer exchange.
    pub(super) fn greet(&mut self, now: Timestamp) {
        let greeted = std::mem::take(&mut self.core.deferred.greeted);
        if greeted.is_empty() {
            return;
        }
        let others = self.exchanged_peers();
        for stream in greeted {
            if let Some(peer) = self.peers.get_mut(stream).filter(|peer| peer.phase == Phase::Open) {
                self.core.send_pex(now, peer, &others);
                self.peers.mark_dirty(stream);
            }
        }
    }
}

impl Peer {
    /// What is said of the peer to others (BEP 11, `added.f`).
    fn pex_flags(&self) -> u8 {
        let flags = [
            (self.encryption.method().is_some(), PexPeer::PREFERS_ENCRYPTION),
            // A peer becomes a seed by its haves as well.
            (self.pieces().is_all() || self.theirs().is_upload_only(), PexPeer::SEED),
            (self.over_utp, PexPeer::UTP),
            (self.extension_id(&Extension::Holepunch).is_some(), PexPeer::HOLEPUNCH),
            (self.dialled.is_some(), PexPeer::REACHABLE),
        ];
        flags.into_iter().filter(|(holds, _)| *holds).fold(0, |all, (_, flag)| all | flag)
    }
}

impl Core {
    /// Tells a peer of others, at most once a minute: the peers that came and those that left since the last message. Nothing is
    /// sent where nothing changed.
    pub(super) fn send_pex(&self, now: Timestamp, peer: &mut Peer, others: &ExchangedPeers) {
        if !self.waits_for_others(now, peer, others.changes) {
            return;
        }
        let Some(id) = peer.extension_id(&Extension::Pex) else { return };
        let is_new = |address: &SocketAddr| {
            Some(*address) != peer.listen_address && peer.pex.sent.binary_search(address).is_err()
        };
        let added = others.peers.iter().filter(|(address, _)| is_new(address)).take(MAX_PEX_PEERS);
        let added: Vec<_> = added.map(|&(address, flags)| PexPeer { address, flags }).collect();
        let gone = peer.pex.sent.iter().filter(|address| !others.has(address));
        let dropped: Vec<_> = gone.copied().take(MAX_PEX_PEERS).collect();
        if added.is_empty() && dropped.is_empty() {
            peer.pex.knows_all_of = Some(others.changes);
            return;
        }
        peer.pex.next_at = Some(now + PEX_INTERVAL);
        peer.pex.sent.retain(|address| dropped.binary_search(address).is_err());
        peer.pex.sent.extend(added.iter().map(|peer| peer.address));
        peer.pex.sent.sort_unstable();
        let pex = Pex { added, dropped, ..Pex::default() };
        peer.send_pex(id, pex.encode());
    }

    /// Whether a peer may have to be told of others now, after so many changes among them.
    pub(super) fn waits_for_others(&self, now: Timestamp, peer: &Peer, changes: u64) -> bool {
        peer.phase == Phase::Open
            && peer.pex.knows_all_of != Some(changes)
            && peer.pex.next_at.is_none_or(|at| now >= at)
            && peer.extension_id(&Extension::Pex).is_some()
            && !self.torrent.is_private()
            && self.config.profile.extensions.iter().any(|(name, _)| name == "ut_pex")
    }

    /// Learns of the peers that a peer tells of. Messages that come too soon are passed over, and so is what is beyond the number
    /// that BEP 11 allows: most clients of those that send more mean no harm.
    pub(super) fn on_pex(&mut self, now: Timestamp, peer: &mut Peer, pex: &Pex) {
        // BEP 27: peers of a private torrent come from its trackers only.
        if self.torrent.is_private() || self.config.single_peer || pex.added.is_empty() {
            return;
        }
        if peer.pex.received_at.is_some_and(|heard| now - heard < LEAST_PAUSE) {
            return;
        }
        peer.pex.received_at = Some(now);
        let takes_nothing = self.has_all_wanted();
        let is_of_use = |peer: &&PexPeer| !(takes_nothing && peer.flags & PexPeer::SEED != 0);
        let added: Vec<PexPeer> = pex.added.iter().take(MAX_PEX_PEERS).filter(is_of_use).copied().collect();
        self.swarm.forget_dials(now);
        let teller = peer.address.ip();
        self.swarm.learn(PeerSource::Peer(teller), added.iter().map(|peer| peer.address));
        for peer in &added {
            let has = |flag| peer.flags & flag != 0;
            self.swarm.note_told(teller, peer.address, has(PexPeer::UTP), has(PexPeer::HOLEPUNCH));
        }
        if self.config.profile.encryption.policy == EncryptionPolicy::Off {
            return;
        }
        for peer in added.iter().filter(|peer| peer.flags & PexPeer::PREFERS_ENCRYPTION != 0) {
            self.swarm.prefer(peer.address, Way::Encrypted);
        }
    }
}

/// A message that comes sooner after the previous one is passed over. BEP 11 has a minute between them; half of it is borne, as
/// clients and networks are late and early.
const LEAST_PAUSE: Duration = Duration::from_secs(30);
