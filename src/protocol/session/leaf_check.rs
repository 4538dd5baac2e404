//! Who sent a bad block of a piece with a hash tree, found out at once: peers are asked for the leaves of the piece, which are the
//! hashes of its blocks (BEP 52). Their proof leads to the hash of the piece, so that the answer of any peer will do.

use bytes::Bytes;

use crate::merkle::{self, Hash, LEAF, MOST_HASHES, Top};
use crate::wire::{HashRange, Message};
use crate::{Metainfo, PieceIndex};

use super::core::Core;
use super::noise::Noise;
use super::peer::{Peer, Phase};
use super::smart_ban::{SuspectPiece, givers_of_blocks};
use super::{Session, SessionStreamId, Violation};

/// The leaves that a piece was asked for.
#[derive(Debug)]
pub(super) struct AskedLeaves {
    range: HashRange,
    /// The node to which they lead.
    top: Top,
    /// How many of them are hashes of whole blocks of the piece: padding is in no tree.
    blocks: usize,
    asked: Vec<SessionStreamId>,
    came: Option<Vec<Hash>>,
}

impl AskedLeaves {
    /// The leaves of a piece that are to be asked for; `None` where it has only one, has no tree, or has more than may be asked
    /// for at once.
    fn of(torrent: &Metainfo, index: PieceIndex) -> Option<Self> {
        let piece = torrent.tree_piece(index)?;
        let (content, size) = (torrent.piece_content(index)?, torrent.placement()?.piece_size(index)?);
        let (height, first, hash) = match piece.only {
            true => (merkle::height(content.into()), 0, piece.root),
            false => (piece.layer, piece.number, torrent.layer_hash(piece.root, piece.number)?),
        };
        let length = 1_u32.checked_shl(height).filter(|length| (2..=MOST_HASHES).contains(length))?;
        let range = HashRange {
            pieces_root: piece.root,
            base_layer: 0,
            index: first.checked_mul(length)?,
            length,
            proof_layers: 0,
        };
        let blocks = if content == size { content.div_ceil(LEAF as u32) } else { content / LEAF as u32 };
        let top = Top { hash, layer: height, index: first };
        Some(Self { range, top, blocks: blocks as usize, asked: Vec::new(), came: None })
    }
}

impl SuspectPiece {
    /// Who sent a block whose hash is not that of its leaf, each once; nobody while the leaves or the hashes are not there.
    fn senders_of_bad_blocks(&self) -> Vec<SessionStreamId> {
        let leaves = self.leaves.as_ref().and_then(|leaves| leaves.came.as_deref());
        let (Some(leaves), Some(corrupt)) = (leaves, self.corrupt.as_deref()) else { return Vec::new() };
        givers_of_blocks(corrupt, leaves, &self.givers)
    }
}

impl Session {
    /// Asks a few peers for the leaves of a suspect piece, those first that gave nothing of it.
    pub(super) fn ask_for_leaves(&mut self, piece: PieceIndex, givers: &[SessionStreamId]) {
        let core = &mut self.core;
        let is_comparable = core.config.profile.block_length as usize == LEAF;
        let leaves = core
            .torrent
            .known()
            .filter(|_| is_comparable)
            .and_then(|torrent| AskedLeaves::of(torrent, piece));
        let (Some(mut leaves), Some(suspect)) = (leaves, core.suspects.piece(piece)) else { return };
        let may_know =
            |peer: &&mut Peer| peer.phase == Phase::Open && peer.is_v2 && peer.pieces().contains(piece);
        let mut able: Vec<_> = self.peers.iter_mut().filter(may_know).collect();
        able.sort_by_key(|peer| givers.contains(&peer.stream));
        for peer in able.into_iter().take(MAX_ASKED) {
            leaves.asked.push(peer.stream);
            peer.send(core.now, &Message::HashRequest(leaves.range));
        }
        let asked = leaves.asked.clone();
        suspect.leaves = Some(leaves);
        asked.into_iter().for_each(|stream| self.peers.mark_dirty(stream));
    }

    /// Leaves whoever sent a bad block of a suspect piece, if that is known now.
    pub(super) fn leave_senders_of_bad_blocks(&mut self, piece: PieceIndex) {
        let Some(suspect) = self.core.suspects.piece(piece) else { return };
        let guilty = suspect.senders_of_bad_blocks();
        if !guilty.is_empty() {
            self.core.suspects.forget(piece);
            let now = self.core.now;
            guilty.into_iter().for_each(|stream| self.ban(now, stream, piece));
        }
    }
}

impl Core {
    /// Takes hashes that may be leaves of a suspect piece; what they cost.
    pub(super) fn on_leaves(
        &mut self,
        peer: &Peer,
        range: &HashRange,
        hashes: &Bytes,
    ) -> Result<Option<Noise>, Violation> {
        let asked = self.suspects.leaves_mut().find_map(|(piece, leaves)| {
            let at = leaves.asked.iter().position(|&stream| stream == peer.stream)?;
            (leaves.range == *range).then(|| leaves.asked.swap_remove(at)).map(|_| (piece, leaves))
        });
        let Some((piece, leaves)) = asked else { return Ok(Some(Noise::NothingNew(hashes.len()))) };
        if merkle::climb(range, hashes) != Ok(leaves.top) {
            return Err(Violation::CorruptHashes);
        }
        let (hashes, _) = hashes.as_chunks();
        leaves.came = Some(hashes[..leaves.blocks.min(hashes.len())].to_vec());
        self.deferred.leaves_came.push(piece);
        Ok(None)
    }
}

/// How many peers are asked for the leaves of one piece: the first answer is enough, and some have none.
const MAX_ASKED: usize = 3;
