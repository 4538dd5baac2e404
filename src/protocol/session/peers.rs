//! The peers of a session, and which of them are to be serviced.

use std::collections::BTreeMap;

use super::SessionStreamId;
use super::peer::{Peer, Phase};

/// Every connection to a peer, those being opened among them. A peer stays here from its first moment to its last.
#[derive(Debug, Default)]
pub(super) struct Peers {
    peers: BTreeMap<SessionStreamId, Box<Peer>>,
    /// The peers to be serviced, in the order in which they became dirty.
    dirty: Vec<SessionStreamId>,
    /// The memory of the previous such list, to be used again.
    spare: Vec<SessionStreamId>,
}

impl Peers {
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    pub(super) fn contains(&self, stream: SessionStreamId) -> bool {
        self.peers.contains_key(&stream)
    }

    pub(super) fn get(&self, stream: SessionStreamId) -> Option<&Peer> {
        self.peers.get(&stream).map(|peer| &**peer)
    }

    pub(super) fn get_mut(&mut self, stream: SessionStreamId) -> Option<&mut Peer> {
        self.peers.get_mut(&stream).map(|peer| &mut **peer)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values().map(|peer| &**peer)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.peers.values_mut().map(|peer| &mut **peer)
    }

    /// The streams of all peers, so that peers may leave while they are visited.
    pub(super) fn streams(&self) -> Vec<SessionStreamId> {
        self.peers.keys().copied().collect()
    }

    pub(super) fn insert(&mut self, peer: Peer) {
        self.peers.insert(peer.stream, Box::new(peer));
    }

    pub(super) fn remove(&mut self, stream: SessionStreamId) -> Option<Box<Peer>> {
        self.peers.remove(&stream)
    }

    pub(super) fn pop_first(&mut self) -> Option<Box<Peer>> {
        self.peers.pop_first().map(|(_, peer)| peer)
    }

    /// Whether a peer is to be serviced.
    pub(super) fn any_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Has a peer serviced at the end of the step.
    pub(super) fn mark_dirty(&mut self, stream: SessionStreamId) {
        if let Some(peer) = self.peers.get_mut(&stream) {
            mark(&mut self.dirty, peer);
        }
    }

    /// Has every peer serviced.
    pub(super) fn mark_all_dirty(&mut self) {
        self.peers.values_mut().for_each(|peer| mark(&mut self.dirty, peer));
    }

    /// Has every peer serviced with which handshakes are exchanged.
    pub(super) fn mark_open_dirty(&mut self) {
        let open = self.peers.values_mut().filter(|peer| peer.phase == Phase::Open);
        open.for_each(|peer| mark(&mut self.dirty, peer));
    }

    /// Has the peers serviced that could be sent more requests, but not `except`.
    pub(super) fn mark_idle_dirty(&mut self, except: Option<SessionStreamId>) {
        let idle = self.peers.values_mut().filter(|peer| peer.is_idle() && Some(peer.stream) != except);
        idle.for_each(|peer| mark(&mut self.dirty, peer));
    }

    /// The peers to be serviced, in the order in which they became dirty.
    pub(super) fn take_dirty(&mut self) -> Vec<SessionStreamId> {
        let spare = std::mem::take(&mut self.spare);
        std::mem::replace(&mut self.dirty, spare)
    }

    /// Takes back the memory of a list that [`take_dirty`](Self::take_dirty) gave.
    pub(super) fn reuse(&mut self, mut list: Vec<SessionStreamId>) {
        list.clear();
        self.spare = list;
    }
}

fn mark(dirty: &mut Vec<SessionStreamId>, peer: &mut Peer) {
    if !std::mem::replace(&mut peer.dirty, true) {
        dirty.push(peer.stream);
    }
}
