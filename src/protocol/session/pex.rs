//! Peer exchange (BEP 11): whom a peer is told of and when, and what is believed of whom a peer names.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use smallvec::SmallVec;

use crate::Timestamp;
use crate::peer::limits::{MAX_PEX_PEERS, PEX_INTERVAL};
use crate::wire::{Extension, Pex, PexPeer};

use super::core::Core;
use super::encryption::Way;
use super::peer::{Peer, Phase};
use super::{EncryptionPolicy, PeerSource, Session, SessionStreamId};

/// The peers that others may be told of.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// The place of each address that a peer was told of, or may be: what a peer was told of is a bit for each.
    places: BTreeMap<SocketAddr, usize>,
    /// The peers that are connected, in ascending order, each address once, with its place and the stream of its last connection.
    there: Vec<(SocketAddr, usize, SessionStreamId)>,
    /// Those that are gone, and of which some peer was told.
    gone: Vec<(SocketAddr, usize)>,
    /// After how many changes among the peers that was so; `None` before the first look.
    changes: Option<u64>,
}

/// Some addresses, by their places.
#[derive(Debug, Default)]
pub(super) struct AddressSet(SmallVec<[u64; 2]>);

impl AddressSet {
    fn has(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|bits| bits & (1 << (place % 64)) != 0)
    }

    fn insert(&mut self, place: usize) {
        if self.0.len() <= place / 64 {
            self.0.resize(place / 64 + 1, 0);
        }
        self.0[place / 64] |= 1 << (place % 64);
    }

    fn remove(&mut self, place: usize) {
        if let Some(bits) = self.0.get_mut(place / 64) {
            *bits &= !(1 << (place % 64));
        }
    }

    fn extend(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(bits, more)| *bits |= more);
    }
}

impl Session {
    /// Finds who is connected now where others can connect to, unless nothing has changed.
    fn refresh_exchange(&mut self) {
        let changes = Some(self.core.changes_of_peers);
        let exchange = &mut self.core.exchange;
        if exchange.changes == changes {
            return;
        }
        let mut told = AddressSet::default();
        self.peers.iter().for_each(|peer| told.extend(&peer.pex.told));
        let there = self.peers.iter().filter_map(|peer| Some((peer.dialable()?, 0, peer.stream)));
        let mut there: Vec<_> = there.collect();
        there.reverse();
        there.sort_by_key(|(address, ..)| *address);
        there.dedup_by_key(|(address, ..)| *address);
        let is_there =
            |address: &SocketAddr| there.binary_search_by_key(address, |(other, ..)| *other).is_ok();
        let places = &mut exchange.places;
        places.retain(|address, place| told.has(*place) || is_there(address));
        let gone = places.iter().filter(|(address, _)| !is_there(address));
        exchange.gone = gone.map(|(address, place)| (*address, *place)).collect();
        let mut taken = AddressSet::default();
        places.values().for_each(|&place| taken.insert(place));
        let mut free = (0..).filter(|&place| !taken.has(place));
        for (address, place, _) in &mut there {
            *place = *places.entry(*address).or_insert_with(|| free.next().unwrap_or_default());
        }
        exchange.there = there;
        exchange.changes = changes;
    }

    /// Tells a peer of others, at most once a minute: the peers that came and those that left since the last message. Nothing is
    /// sent where nothing changed.
    pub(super) fn tell_of_others(&mut self, now: Timestamp, stream: SessionStreamId) {
        let changes = self.core.changes_of_peers;
        let waits = |peer: &&Peer| self.core.waits_for_others(now, peer, changes);
        let receiver = self.peers.get(stream).filter(waits);
        let Some(id) = receiver.and_then(|peer| peer.extension_id(&Extension::Pex)) else { return };
        self.refresh_exchange();
        let Some(receiver) = self.peers.get(stream) else { return };
        let Exchange { there, gone, .. } = &self.core.exchange;
        let is_new = |(address, place, _): &&(SocketAddr, usize, _)| {
            Some(*address) != receiver.listen_address && !receiver.pex.told.has(*place)
        };
        let news: Vec<_> = there.iter().filter(is_new).take(MAX_PEX_PEERS).copied().collect();
        let is_dropped = |(_, place): &&(SocketAddr, usize)| receiver.pex.told.has(*place);
        let left: Vec<_> = gone.iter().filter(is_dropped).take(MAX_PEX_PEERS).copied().collect();
        let flags = |stream| self.peers.get(stream).map_or(0, Peer::pex_flags);
        let added = news.iter().map(|&(address, _, stream)| PexPeer { address, flags: flags(stream) });
        let dropped = left.iter().map(|&(address, _)| address);
        let pex = Pex { added: added.collect(), dropped: dropped.collect(), ..Pex::default() };
        let Some(receiver) = self.peers.get_mut(stream) else { return };
        if news.is_empty() && left.is_empty() {
            receiver.pex.knows_all_of = Some(changes);
            return;
        }
        receiver.pex.next_at = Some(now + PEX_INTERVAL);
        news.iter().for_each(|&(_, place, _)| receiver.pex.told.insert(place));
        left.iter().for_each(|&(_, place)| receiver.pex.told.remove(place));
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
