//! Who sent a corrupt piece. One who sent all of it is guilty. Where several did, the hashes of its blocks are taken,
//! the piece is fetched anew from a single peer, and the blocks compared: who sent one that differs is guilty. Where the piece
//! has a hash tree, a peer that knows its leaves [tells at once](super::leaf_check).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use smallvec::SmallVec;

use crate::{PieceIndex, Timestamp};

use super::leaf_check::AskedLeaves;
use super::partial::Partial;
use super::{DisconnectReason, Event, Output, Session, SessionStreamId, Violation};

/// The pieces that were corrupt, and what is known of who sent them.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    pieces: BTreeMap<PieceIndex, SuspectPiece>,
    /// Where each peer was that gave a block.
    givers: BTreeMap<SessionStreamId, SocketAddr>,
}

/// A piece that was corrupt and came from several.
#[derive(Debug)]
pub(super) struct SuspectPiece {
    pub(super) givers: Vec<SmallVec<[SessionStreamId; 2]>>,
    pub(super) corrupt: Option<Vec<[u8; 32]>>,
    /// The leaves of its tree, where peers were asked for these.
    pub(super) leaves: Option<AskedLeaves>,
}

impl Suspects {
    pub(super) fn note_giver(&mut self, stream: SessionStreamId, address: SocketAddr) {
        if self.givers.len() >= MAX_GIVERS && !self.givers.contains_key(&stream) {
            self.givers.pop_first();
        }
        self.givers.insert(stream, address);
    }

    pub(super) fn is_suspect(&self, piece: PieceIndex) -> bool {
        self.pieces.contains_key(&piece)
    }

    pub(super) fn piece(&mut self, piece: PieceIndex) -> Option<&mut SuspectPiece> {
        self.pieces.get_mut(&piece)
    }

    pub(super) fn forget(&mut self, piece: PieceIndex) {
        self.pieces.remove(&piece);
    }

    /// The leaves that peers were asked for, by piece.
    pub(super) fn leaves_mut(&mut self) -> impl Iterator<Item = (PieceIndex, &mut AskedLeaves)> {
        self.pieces.iter_mut().filter_map(|(piece, suspect)| Some((*piece, suspect.leaves.as_mut()?)))
    }

    /// Where the peers are that gave blocks of a piece.
    pub(super) fn addresses(&self, partial: &Partial) -> Vec<SocketAddr> {
        let mut addresses = Vec::new();
        for stream in givers_of(partial) {
            addresses.extend(self.givers.get(&stream));
        }
        addresses
    }
}

/// Who gave blocks of a piece, each once.
pub(super) fn givers_of(partial: &Partial) -> SmallVec<[SessionStreamId; 4]> {
    let mut streams = SmallVec::new();
    for &stream in partial.givers().flatten() {
        if !streams.contains(&stream) {
            streams.push(stream);
        }
    }
    streams
}

/// Who alone gave a block whose hash is not the right one, each once. A block of several peers proves nothing against either.
pub(super) fn givers_of_blocks(
    hashes: &[[u8; 32]],
    right: &[[u8; 32]],
    givers: &[SmallVec<[SessionStreamId; 2]>],
) -> Vec<SessionStreamId> {
    let mut guilty = Vec::new();
    for ((hash, right), givers) in hashes.iter().zip(right).zip(givers) {
        if let [giver] = givers[..]
            && hash != right
            && !guilty.contains(&giver)
        {
            guilty.push(giver);
        }
    }
    guilty
}

impl Session {
    /// A piece failed its hash.
    pub(super) fn discard(&mut self, now: Timestamp, piece: PieceIndex) {
        let Some(partial) = self.core.picker.fail(piece) else { return };
        self.core.unstored -= partial.unstored().min(self.core.unstored);
        let size = self.core.torrent.geometry().and_then(|geometry| geometry.piece_size(piece));
        self.core.totals.hash_failures += 1;
        self.core.totals.corrupt += u64::from(size.unwrap_or(0));
        self.core.totals.wasted += u64::from(size.unwrap_or(0));
        let givers = givers_of(&partial);
        let several = givers.len() > 1;
        if several && !self.core.suspects.is_suspect(piece) && self.core.suspects.pieces.len() < MAX_SUSPECTS
        {
            let blocks = partial.givers().map(SmallVec::from_slice).collect();
            self.core
                .suspects
                .pieces
                .insert(piece, SuspectPiece { givers: blocks, corrupt: None, leaves: None });
            self.core.outputs.push_back(Output::HashBlocks(piece, self.core.config.profile.block_length));
            self.ask_for_leaves(piece, &givers);
        }
        let from = self.core.suspects.addresses(&partial);
        self.core.outputs.push_back(Output::Event(Event::PieceCorrupt { index: piece, from }));
        self.core.have_schedule.note_corrupt(piece);
        self.core.outputs.push_back(Output::Discard(piece));
        if let [guilty] = givers[..] {
            self.ban(now, guilty, piece);
        }
    }

    /// The hashes of the blocks of a suspect piece: first as it was corrupt, then as it is right. Or those of a piece of which a
    /// peer asks for leaves.
    pub(super) fn block_hashes(&mut self, now: Timestamp, piece: PieceIndex, digests: Vec<[u8; 32]>) {
        let Some(mut suspect) = self.core.suspects.pieces.remove(&piece) else {
            self.serve_leaves(piece, &digests);
            return;
        };
        let Some(corrupt) = &suspect.corrupt else {
            if !self.core.picker.is_done(piece) {
                suspect.corrupt = Some(digests);
                self.core.suspects.pieces.insert(piece, suspect);
                self.leave_senders_of_bad_blocks(piece);
            }
            return;
        };
        let guilty = givers_of_blocks(corrupt, &digests, &suspect.givers);
        guilty.into_iter().for_each(|stream| self.ban(now, stream, piece));
    }

    pub(super) fn ban(&mut self, now: Timestamp, stream: SessionStreamId, piece: PieceIndex) {
        if self.core.blame_web_seed(stream, piece) {
            return;
        }
        if let Some(&address) = self.core.suspects.givers.get(&stream) {
            self.core.swarm.ban(address);
        }
        self.disconnect(now, stream, DisconnectReason::Violated(Violation::CorruptPiece(piece)));
    }
}

/// How many suspect pieces are remembered at once.
const MAX_SUSPECTS: usize = 64;

/// How many peers that gave something are remembered.
const MAX_GIVERS: usize = 4096;
