//! The end of a connection to a peer, and what it means for the peer's address.

use crate::Timestamp;

use super::core::Core;
use super::encryption::Way;
use super::peer::{Peer, Phase};
use super::{CloseReason, DisconnectReason, Event, Output, Violation};

impl Core {
    /// Ends a connection from our side.
    pub(super) fn disconnect(&mut self, now: Timestamp, peer: &mut Peer, reason: DisconnectReason) {
        self.flush(now, peer);
        let violation = match &reason {
            DisconnectReason::Violated(violation) => Some(violation.clone()),
            DisconnectReason::Closed(_) | DisconnectReason::Finished | DisconnectReason::Upgraded => None,
        };
        self.outputs.push_back(Output::Close(peer.stream, violation));
        self.forget(now, peer, reason);
    }

    /// A connection is over.
    pub(super) fn forget(&mut self, now: Timestamp, peer: &mut Peer, reason: DisconnectReason) {
        self.changes_of_peers += 1;
        if let Some(address) = peer.dialable() {
            self.exchange.left(address, peer.stream);
        }
        self.exchange.forget_told(&peer.pex.told);
        self.forget_outstanding(peer);
        self.picker.unreserve(peer.stream);
        for piece in peer.pieces().iter() {
            self.picker.rarity.fewer(piece, &mut self.rng);
        }
        self.choker.forget(peer);
        if let Some((_, fetch)) = self.torrent.fetch() {
            fetch.forget(peer.stream);
        }
        if let Some(fetch) = self.torrent.layer_fetch() {
            fetch.forget(peer.stream);
        }
        self.totals.messages.add(peer.messages);
        match &reason {
            DisconnectReason::Violated(Violation::SelfConnection) => self.swarm.note_ourselves(peer.address),
            DisconnectReason::Violated(violation) if self.is_banned_for(violation, peer) => {
                self.swarm.ban(peer.known_address());
            }
            _ => {}
        }
        let other_way = self.other_way(peer, &reason);
        let refuses_tcp = self.refuses_tcp(peer, &reason);
        if let Some(address) = peer.listen_address {
            // A peer that exchanged no block left no trace worth keeping.
            let gave_metadata = peer.metadata.gave_at.is_some();
            let useful = gave_metadata || peer.download.bytes > 0 || peer.upload.bytes > 0;
            let again = reason == DisconnectReason::Upgraded && self.swarm.dial_anew(address)
                || other_way.is_some_and(|way| self.swarm.try_other_way(address, way))
                || (refuses_tcp && self.swarm.try_utp(address));
            if !again {
                if let DisconnectReason::Closed(_) = reason {
                    self.note_unreached(peer);
                }
                if is_full(peer, &reason) {
                    self.swarm.note_full(address, now);
                }
                self.swarm.note_gone(address, useful, now);
            }
        }
        self.outputs.push_back(Output::Event(Event::Disconnected {
            stream: peer.stream,
            peer: peer.address,
            reason,
            downloaded: peer.download.bytes,
        }));
        self.deferred.blocks_freed = true;
    }

    /// The way in which a peer is dialled at once, now that the connection ended so.
    fn other_way(&self, peer: &Peer, reason: &DisconnectReason) -> Option<Way> {
        let way = peer.dialled.filter(|_| peer.phase == Phase::Handshake && self.is_running())?;
        self.config.profile.encryption.policy.tries_other_way(way, reason).then(|| way.other())
    }

    /// Whether a peer that we dialled took a connection over TCP and ended it before its handshake, so that the transport may be
    /// what it does not take: libtorrent listens on TCP also where it takes uTP alone.
    fn refuses_tcp(&self, peer: &Peer, reason: &DisconnectReason) -> bool {
        self.has_utp && is_full(peer, reason) && !peer.over_utp && self.is_running()
    }

    /// Whether a peer is never connected to again. One that has not sent its handshake may have tried to encrypt, and connects
    /// again without; in single-peer mode the tracker may name the peer again.
    fn is_banned_for(&self, violation: &Violation, peer: &Peer) -> bool {
        match violation {
            Violation::CorruptPiece(_) | Violation::CorruptMetadata | Violation::CorruptHashes => true,
            Violation::Malformed(_) | Violation::OutOfRange | Violation::Flood(_) => {
                !self.config.single_peer && peer.phase == Phase::Open
            }
            _ => false,
        }
    }
}

/// Whether a peer that we dialled took the connection and ended it before its handshake, as a peer does that has no place.
fn is_full(peer: &Peer, reason: &DisconnectReason) -> bool {
    let ended = matches!(reason, DisconnectReason::Closed(CloseReason::ByRemote | CloseReason::Reset));
    ended && peer.dialled.is_some() && peer.phase == Phase::Handshake
}
