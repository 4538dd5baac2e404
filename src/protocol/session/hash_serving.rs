//! Hashes of trees, to peers that ask for them (BEP 52, "peer messages"): from the piece layers up. What lies below a piece is not
//! kept, and is rejected.

use std::collections::BTreeMap;

use crate::merkle::{Hash, Nodes};
use crate::wire::{HashRange, Message};

use super::core::Core;
use super::noise::Noise;
use super::peer::Peer;

/// The trees of files of which hashes were asked for, from their pieces up, by their roots. Together they take twice the bytes of
/// the torrent's piece layers at the most.
#[derive(Debug, Default)]
pub(super) struct HashServing(BTreeMap<Hash, Nodes>);

impl Core {
    /// Answers a request for hashes; what it costs.
    pub(super) fn on_hash_request(&mut self, peer: &mut Peer, range: HashRange) -> Noise {
        let Some(torrent) = self.torrent.known().filter(|torrent| torrent.piece_layer().is_some()) else {
            return Noise::NothingNew(0);
        };
        // A peer that asks faster than it reads, or without end, is refused: it may ask again.
        let is_swamped = peer.unsent + peer.send_buffer.len() > MAX_UNSENT || peer.noise > MOST_NOISE;
        if !is_swamped && !self.hash_serving.0.contains_key(&range.pieces_root) {
            let tree = torrent.tree_of_pieces(range.pieces_root);
            self.hash_serving.0.extend(tree.map(|tree| (range.pieces_root, tree)));
        }
        let tree = self.hash_serving.0.get(&range.pieces_root).filter(|_| !is_swamped);
        match tree.and_then(|tree| tree.answer(&range)) {
            Some(hashes) => {
                let count = hashes.len();
                peer.send(self.now, &Message::Hashes(range, hashes.into()));
                Noise::NothingNew(count / CHEAPER)
            }
            None => {
                peer.send(self.now, &Message::HashReject(range));
                Noise::RefusedRequest
            }
        }
    }
}

/// How many bytes may wait to be sent to one peer before it is refused.
const MAX_UNSENT: usize = 256 * 1024;

/// How much a peer may have cost when it is given hashes: half of what ends the connection.
const MOST_NOISE: u32 = 5_000;

/// So many bytes of hashes cost as much as one byte of a message that is passed over: 500 hashes a second more than a thousand
/// times a minute.
const CHEAPER: usize = 4;
