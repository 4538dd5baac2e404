//! Peer exchange (BEP 11): whom a peer is told of and when, and what is believed of whom a peer names.

use std::time::Duration;

use crate::Timestamp;
use crate::peer::limits::{MAX_PEX_PEERS, PEX_INTERVAL};
use crate::wire::{Extension, Pex, PexPeer};

use super::core::Core;
use super::encryption::Way;
use super::peer::{Peer, Phase};
use super::{EncryptionPolicy, PeerSource, Session, SessionStreamId};

impl Session {
    /// Tells a peer of others, at most once a minute: the peers that came and those that left since the last message. Nothing is
    /// sent where nothing changed.
    pub(super) fn tell_of_others(&mut self, now: Timestamp, stream: SessionStreamId) {
        let changes = self.core.changes_of_peers;
        let waits = |peer: &&Peer| self.core.waits_for_others(now, peer, changes);
        let receiver = self.peers.get(stream).filter(waits);
        let Some(id) = receiver.and_then(|peer| peer.extension_id(&Extension::Pex)) else { return };
        let Some(receiver) = self.peers.get(stream) else { return };
        let (exchange, told, own) = (&self.core.exchange, &receiver.pex.told, receiver.listen_address);
        let news = exchange.news(told).filter(|(address, _)| Some(*address) != own).take(MAX_PEX_PEERS);
        let added = news.map(|(address, flags)| PexPeer { address, flags });
        let dropped = exchange.dropped(told).take(MAX_PEX_PEERS);
        let pex = Pex { added: added.collect(), dropped: dropped.collect(), ..Pex::default() };
        let Some(receiver) = self.peers.get_mut(stream) else { return };
        if pex.added.is_empty() && pex.dropped.is_empty() {
            receiver.pex.knows_all_of = Some(changes);
            return;
        }
        receiver.pex.next_at = Some(now + PEX_INTERVAL);
        let (exchange, told) = (&mut self.core.exchange, &mut receiver.pex.told);
        pex.added.iter().for_each(|peer| exchange.tell(peer.address, told));
        pex.dropped.iter().for_each(|address| exchange.take_back(*address, told));
        receiver.send_pex(id, pex.encode());
    }

    /// Tells peers of others that have just named their id for peer exchange.
    pub(super) fn greet(&mut self, now: Timestamp) {
        let greeted = std::mem::take(&mut self.core.deferred.greeted);
        if greeted.is_empty() {
            return;
        }
        for stream in greeted {
            if self.peers.get_mut(stream).is_some_and(|peer| peer.phase == Phase::Open) {
                self.tell_of_others(now, stream);
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
    /// What others are told of a peer may be another after what happened to it.
    pub(super) fn note_exchanged(&mut self, peer: &mut Peer) {
        let Some(address) = peer.dialable() else { return };
        let flags = peer.pex_flags();
        if peer.pex.flags.replace(flags) != Some(flags) {
            self.exchange.note(address, peer.stream, flags);
        }
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
