//! Hashes of trees, to peers that ask for them (BEP 52, "peer messages"). From the piece layers up they are at hand; leaves are the
//! hashes of blocks, for which a piece is read.

use std::collections::BTreeMap;

use crate::PieceIndex;
use crate::merkle::{Hash, LEAF, Nodes};
use crate::wire::{HashRange, Message};

use super::core::Core;
use super::noise::Noise;
use super::peer::Peer;
use super::{Output, Session, SessionStreamId};

/// The trees of files of which hashes were asked for, from their pieces up, by their roots. Together they take twice the bytes of
/// the torrent's piece layers at the most.
#[derive(Debug, Default)]
pub(super) struct HashServing {
    trees: BTreeMap<Hash, Nodes>,
    /// The requests for leaves whose pieces are being read.
    reading: Vec<LeafRequest>,
}

/// A peer asks for leaves of a piece.
#[derive(Debug)]
struct LeafRequest {
    stream: SessionStreamId,
    range: HashRange,
    piece: PieceIndex,
}

impl Core {
    /// Answers a request for hashes; what it costs.
    pub(super) fn on_hash_request(&mut self, peer: &mut Peer, range: HashRange) -> Noise {
        let Some(torrent) = self.torrent.known().filter(|torrent| torrent.piece_layer().is_some()) else {
            // It need not wait for what cannot come.
            if peer.is_v2 {
                peer.send(self.now, &Message::HashReject(range));
            }
            return Noise::RefusedRequest;
        };
        // A peer that asks faster than it reads, or without end, is refused: it may ask again.
        if peer.unsent + peer.send_buffer.len() > MAX_UNSENT || peer.noise > MOST_NOISE {
            peer.send(self.now, &Message::HashReject(range));
            return Noise::RefusedRequest;
        }
        let serving = &mut self.hash_serving;
        if !serving.trees.contains_key(&range.pieces_root) {
            let tree = torrent.tree_of_pieces(range.pieces_root);
            serving.trees.extend(tree.map(|tree| (range.pieces_root, tree)));
        }
        if let Some(length) = self.reads_leaves(peer, range) {
            return Noise::LeavesRead(length);
        }
        let tree = self.hash_serving.trees.get(&range.pieces_root);
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

    /// Has the piece read of which a peer asks for leaves, if that can be; how many bytes are read.
    fn reads_leaves(&mut self, peer: &Peer, range: HashRange) -> Option<u32> {
        let is_reading = self.hash_serving.reading.iter().any(|request| request.stream == peer.stream);
        let torrent = self.torrent.known()?;
        let piece = torrent.piece_of_leaves(&range)?;
        // What is padded in its last block has another hash than its leaf.
        let length = torrent.piece_content(piece)?;
        let is_whole = torrent.placement().and_then(|placed| placed.piece_size(piece)) == Some(length);
        if is_reading
            || self.hash_serving.reading.len() >= MAX_READING
            || !is_whole
            || !self.has(piece)
            || self.suspects.is_suspect(piece)
        {
            return None;
        }
        self.hash_serving.reading.push(LeafRequest { stream: peer.stream, range, piece });
        self.outputs.push_back(Output::HashBlocks(piece, LEAF as u32));
        Some(length)
    }
}

impl Session {
    /// A piece was read: the peers that asked for leaves of it are answered.
    pub(super) fn serve_leaves(&mut self, piece: PieceIndex, leaves: &[Hash]) {
        let reading = &mut self.core.hash_serving.reading;
        let ready: Vec<_> = reading.extract_if(.., |request| request.piece == piece).collect();
        for request in ready {
            let Some(peer) = self.peers.get_mut(request.stream) else { continue };
            let answer = self.core.leaves_for(&request, leaves);
            peer.send(
                self.core.now,
                &match answer {
                    Some(hashes) => Message::Hashes(request.range, hashes.into()),
                    None => Message::HashReject(request.range),
                },
            );
            self.peers.mark_dirty(request.stream);
        }
    }
}

impl Core {
    fn leaves_for(&self, request: &LeafRequest, leaves: &[Hash]) -> Option<Vec<u8>> {
        let torrent = self.torrent.known()?;
        let piece = torrent.tree_piece(request.piece)?;
        let height = match piece.only {
            true => leaves.len().checked_next_power_of_two()?.trailing_zeros(),
            false => piece.layer,
        };
        let tree = Nodes::new(0, height, leaves.to_vec())?;
        let index = request.range.index - (piece.number << height);
        let mut hashes = tree.answer(&HashRange { index, ..request.range })?;
        // The uncles beyond the piece are those of its node.
        let within = hashes.len() / size_of::<Hash>() - request.range.length as usize;
        let beyond = request.range.uncles().saturating_sub(u32::try_from(within).ok()?);
        if let Some(above) = self.hash_serving.trees.get(&piece.root).filter(|_| !piece.only) {
            hashes.extend(above.uncles(0, piece.number, beyond));
        }
        Some(hashes)
    }
}

/// How many pieces are read at once for their leaves, one a peer.
const MAX_READING: usize = 8;

/// How many bytes may wait to be sent to one peer before it is refused.
const MAX_UNSENT: usize = 256 * 1024;

/// How much a peer may have cost when it is given hashes: half of what ends the connection.
const MOST_NOISE: u32 = 5_000;

/// So many bytes of hashes cost as much as one byte of a message that is passed over: 500 hashes a second more than a thousand
/// times a minute.
const CHEAPER: usize = 4;
