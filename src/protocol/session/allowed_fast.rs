//! What a peer may have while we choke it, so that one that has nothing yet gets something to trade with (BEP 6, "allowed
//! fast set generation").

use std::net::IpAddr;

use sha1::{Digest, Sha1};

use crate::wire::Message;
use crate::{Block, InfoHash, PieceIndex};

use super::core::Core;
use super::peer::Peer;

impl Core {
    /// Allows a choked peer that has hardly anything the pieces of its set that we have and it lacks, once.
    pub(super) fn allow_fast(&mut self, peer: &mut Peer) {
        let most = self.config.profile.allowed_fast;
        let IpAddr::V4(host) = peer.address.ip().to_canonical() else { return };
        let starts = peer.pieces().count() <= most;
        if !peer.is_fast() || !peer.am_choking() || !starts || !peer.fast_pieces.granted.is_empty() {
            return;
        }
        let Some(geometry) = self.torrent.geometry() else { return };
        for piece in allowed_fast(most, geometry.piece_count(), self.torrent.info_hash(), host.octets()) {
            if self.picker.is_done(piece) && !peer.pieces().contains(piece) {
                peer.fast_pieces.granted.insert(piece, geometry.piece_size(piece).unwrap_or(0));
                peer.send(self.now, &Message::AllowedFast(piece));
            }
        }
    }
}

impl Core {
    /// Allows a peer the whole set of so many pieces, whatever we have and it lacks, as some clients do when they have shaken
    /// hands.
    pub(super) fn allow_set(&self, peer: &mut Peer, count: u32) {
        let IpAddr::V4(host) = peer.address.ip().to_canonical() else { return };
        let Some(geometry) = self.torrent.geometry().filter(|_| peer.is_fast()) else { return };
        let count = count.min(MOST);
        for piece in allowed_fast(count, geometry.piece_count(), self.torrent.info_hash(), host.octets()) {
            peer.fast_pieces.granted.insert(piece, geometry.piece_size(piece).unwrap_or(0));
            peer.send(self.now, &Message::AllowedFast(piece));
        }
    }
}

/// Whether a choked peer may have this block, which is then taken from what it may have: each piece once.
pub(super) fn spend_grant(peer: &mut Peer, block: Block, most: u32) -> bool {
    let starts = peer.pieces().count() <= most;
    let Some(left) =
        peer.fast_pieces.granted.get_mut(&block.index).filter(|left| starts && **left >= block.length)
    else {
        return false;
    };
    *left -= block.length;
    true
}

/// The first `count` pieces of the set of a host; all where there are no more.
fn allowed_fast(count: u32, pieces: u32, info_hash: InfoHash, host: [u8; 4]) -> Vec<PieceIndex> {
    let [a, b, c, _] = host;
    let mut state: [u8; 20] = Sha1::digest([&[a, b, c, 0][..], &info_hash.0].concat()).into();
    let mut set = Vec::new();
    while set.len() < count.min(pieces) as usize {
        for number in state.as_chunks::<4>().0 {
            let piece = PieceIndex(u32::from_be_bytes(*number) % pieces);
            if set.len() < count as usize && !set.contains(&piece) {
                set.push(piece);
            }
        }
        state = Sha1::digest(state).into();
    }
    set
}

/// No client allows as many, and the search for the last ones of a small torrent grows long.
const MOST: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn set(count: u32, pieces: u32) -> Vec<u32> {
        let set = allowed_fast(count, pieces, InfoHash([0xaa; 20]), [80, 4, 4, 200]);
        set.into_iter().map(|piece| piece.0).collect()
    }

    /// The examples of BEP 6.
    #[test]
    fn sets_are_those_of_everybody() {
        assert_eq!(set(7, 1313), [1059, 431, 808, 1217, 287, 376, 1188]);
        assert_eq!(set(9, 1313), [1059, 431, 808, 1217, 287, 376, 1188, 353, 508]);
    }

    #[test]
    fn hosts_of_one_network_share_a_set() {
        let of = |host| allowed_fast(10, 1313, InfoHash([0xaa; 20]), host);
        assert_eq!(of([80, 4, 4, 200]), of([80, 4, 4, 1]));
        assert_ne!(of([80, 4, 4, 200]), of([80, 4, 5, 200]));
    }

    #[test]
    fn a_torrent_of_few_pieces_has_no_more_in_its_set() {
        let mut all = set(10, 3);
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2]);
        assert_eq!(set(10, 0), []);
    }
}
