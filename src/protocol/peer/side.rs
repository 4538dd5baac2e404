//! What one side of a connection has said so far.

use std::collections::BTreeSet;

use crate::wire::{ExtendedHandshake, Extension, Handshake, HashRange, Message, PieceSet};
use crate::{Block, Geometry, PieceIndex, Timestamp};

use super::PeerFault;
use super::early_pieces::EarlyPieces;
use super::requests::{BlockRequests, OtherRequests, RequestCapacity, SentMessage};

/// One side of a connection: what it said, and what it waits for.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own that one message sets")]
pub struct SideState {
    pub(super) handshake: Option<Handshake>,
    pub(super) handshake_sent: Option<SentMessage>,
    /// Whether bytes of this side will never be observed, and whether bytes are still to come.
    pub(super) lost: bool,
    pub(super) unseen: bool,
    /// Whether it sent a message that may only come after the message about its pieces.
    pub(super) has_spoken: bool,
    /// Whether it sent a message about all its pieces.
    pub(super) has_told_pieces: bool,
    pub(super) choking: bool,
    /// When it last began to choke the other side.
    pub(super) choked_at: Option<Timestamp>,
    pub(super) interested: bool,
    /// The pieces it has, where it is known how many the torrent has.
    pub(super) pieces: Option<PieceSet>,
    /// What it says of its pieces, while it is not known how many the torrent has but will be; `pieces` is empty until then.
    early_pieces: Option<Box<EarlyPieces>>,
    pub(super) allowed_fast: BTreeSet<PieceIndex>,
    pub(super) suggested: Vec<PieceIndex>,
    pub(super) requests: BlockRequests,
    pub(super) metadata_requests: OtherRequests<u32>,
    pub(super) hash_requests: OtherRequests<HashRange>,
    /// The extensions that it wants to receive, by the ids it gave them.
    extensions: Vec<(u8, Extension)>,
    /// Of these, the ids that each message of peer exchange asks for of many peers.
    pex_id: Option<u8>,
    holepunch_id: Option<u8>,
    pub(super) reqq: Option<u32>,
    pub(super) metadata_size: Option<u64>,
    pub(super) upload_only: bool,
    pub(super) pex_at: Option<Timestamp>,
    pub(super) last_at: Option<Timestamp>,
    /// Since when it waits for blocks without being choked.
    pub(super) waits_since: Option<Timestamp>,
    /// Which faults were reported that are reported once per side.
    pub(super) noted_uninterested: bool,
    pub(super) noted_reqq: bool,
    pub(super) noted_snubbed: bool,
}

/// How many pieces allowed fast, and how many suggestions, are remembered of a side. Clients allow ten (BEP 6, "Allowed Fast
/// Set Generation") and suggest as many.
const MAX_ALLOWED_FAST: usize = 4_096;
const MAX_SUGGESTED: usize = 64;

/// The longest name of an extension that is remembered, bytes. An id is one byte, so that there are at most 255 names.
const MAX_EXTENSION_NAME: usize = 1_024;

impl SideState {
    pub(super) fn new(capacity: RequestCapacity) -> Self {
        Self {
            handshake: None,
            handshake_sent: None,
            lost: false,
            unseen: false,
            has_spoken: false,
            has_told_pieces: false,
            // Connections begin choked and not interested (BEP 3, "peer protocol").
            choking: true,
            choked_at: None,
            interested: false,
            pieces: None,
            early_pieces: None,
            allowed_fast: BTreeSet::new(),
            suggested: Vec::new(),
            requests: BlockRequests::new(capacity),
            metadata_requests: OtherRequests::new(),
            hash_requests: OtherRequests::new(),
            extensions: Vec::new(),
            pex_id: None,
            holepunch_id: None,
            reqq: None,
            metadata_size: None,
            upload_only: false,
            pex_at: None,
            last_at: None,
            waits_since: None,
            noted_uninterested: false,
            noted_reqq: false,
            noted_snubbed: false,
        }
    }

    /// Its handshake.
    pub const fn handshake(&self) -> Option<&Handshake> {
        self.handshake.as_ref()
    }

    /// Whether it chokes the other side. Connections begin choked (BEP 3).
    pub const fn is_choking(&self) -> bool {
        self.choking
    }

    /// When it last began to choke the other side; `None` where it has sent no choke.
    pub const fn choked_at(&self) -> Option<Timestamp> {
        self.choked_at
    }

    /// Whether it is interested in pieces of the other side. Connections begin not interested (BEP 3).
    pub const fn is_interested(&self) -> bool {
        self.interested
    }

    /// The pieces it has said it has; `None` where the number of pieces of the torrent is not known. See
    /// [`set_piece_count`](super::ConnectionState::set_piece_count).
    pub const fn pieces(&self) -> Option<&PieceSet> {
        self.pieces.as_ref()
    }

    /// Whether it sent a message about all its pieces.
    pub const fn has_told_pieces(&self) -> bool {
        self.has_told_pieces
    }

    /// Whether it allows the other side to request this piece while choked (BEP 6).
    pub fn allows_fast(&self, piece: PieceIndex) -> bool {
        self.allowed_fast.contains(&piece)
    }

    /// The pieces that it allows the other side to request while choked (BEP 6).
    pub const fn allowed_fast(&self) -> &BTreeSet<PieceIndex> {
        &self.allowed_fast
    }

    /// The pieces it suggests (BEP 6), each once, in the order in which they came. The first 64 are remembered.
    pub fn suggested(&self) -> &[PieceIndex] {
        &self.suggested
    }

    /// How many blocks it requested that were neither sent, rejected nor cancelled, those requested again counted again.
    pub const fn outstanding(&self) -> usize {
        self.requests.outstanding()
    }

    /// Its oldest outstanding request for a block.
    pub fn request(&self, block: Block) -> Option<SentMessage> {
        self.requests.get(block)
    }

    /// Its outstanding requests, one for each block, in no order.
    pub fn requests(&self) -> impl Iterator<Item = (Block, SentMessage)> + '_ {
        self.requests.iter()
    }

    /// The pieces of the metadata that it requested and that were neither sent nor rejected (BEP 9), in no order.
    pub fn metadata_requests(&self) -> impl Iterator<Item = u32> + '_ {
        self.metadata_requests.keys().copied()
    }

    /// The hashes that it requested and that were neither sent nor rejected (BEP 52), in no order.
    pub fn hash_requests(&self) -> impl Iterator<Item = HashRange> + '_ {
        self.hash_requests.keys().copied()
    }

    /// The id under which it receives messages of an extension (BEP 10); `None` where it does not.
    pub fn extension_id(&self, extension: &Extension) -> Option<u8> {
        match extension {
            Extension::Pex => self.pex_id,
            Extension::Holepunch => self.holepunch_id,
            other => self.id_of(other),
        }
    }

    fn id_of(&self, extension: &Extension) -> Option<u8> {
        self.extensions.iter().find(|(_, known)| known == extension).map(|(id, _)| *id)
    }

    /// The extension whose messages it receives under an id (BEP 10).
    pub fn extension(&self, id: u8) -> Option<&Extension> {
        self.extensions.iter().find(|(known, _)| *known == id).map(|(_, extension)| extension)
    }

    /// How many requests it keeps without dropping any (BEP 10, "reqq"); `None` where it has not said.
    pub const fn reqq(&self) -> Option<u32> {
        self.reqq
    }

    /// The bytes of the torrent's metadata, as its handshake has them (BEP 9).
    pub const fn metadata_size(&self) -> Option<u64> {
        self.metadata_size
    }

    /// Whether it only uploads (BEP 21).
    pub const fn is_upload_only(&self) -> bool {
        self.upload_only
    }

    /// Takes an extended handshake, which may come again to change what the first one said (BEP 10).
    pub(super) fn extend(&mut self, handshake: &ExtendedHandshake) {
        self.reqq = handshake.reqq.or(self.reqq);
        self.metadata_size = handshake.metadata_size.or(self.metadata_size);
        self.upload_only = handshake.upload_only.unwrap_or(self.upload_only);
        for (name, id) in &handshake.extensions {
            if name.len() > MAX_EXTENSION_NAME {
                continue;
            }
            let extension = Extension::from_name(name.as_bytes());
            self.extensions.retain(|(_, known)| *known != extension);
            // The first name of an id stands, so that there are never more names than ids.
            if *id != 0 && self.extensions.iter().all(|(known, _)| known != id) {
                self.extensions.push((*id, extension));
            }
        }
        self.pex_id = self.id_of(&Extension::Pex);
        self.holepunch_id = self.id_of(&Extension::Holepunch);
    }

    /// Takes a message about the pieces it has; whether the message adds or removes any. A bitfield of a wrong length, and a
    /// piece that the torrent does not have, change nothing.
    pub(super) fn take_pieces(&mut self, message: &Message) -> bool {
        if let Some(early) = &mut self.early_pieces {
            return early.take(message);
        }
        let Some(pieces) = &mut self.pieces else { return true };
        let said = match message {
            Message::Have(piece) => return pieces.insert(*piece),
            Message::Bitfield(bits) => PieceSet::from_bitfield(bits, pieces.total()),
            Message::HaveAll => Some(PieceSet::all(pieces.total())),
            Message::HaveNone => Some(PieceSet::none(pieces.total())),
            _ => None,
        };
        let Some(said) = said.filter(|said| said != pieces) else { return false };
        *pieces = said;
        true
    }

    /// Takes a piece that it no longer has (BEP 54); whether it had the piece.
    pub(super) fn drop_piece(&mut self, piece: PieceIndex) -> bool {
        if let Some(early) = &mut self.early_pieces {
            return early.drop_piece(piece);
        }
        self.pieces.as_mut().is_none_or(|pieces| pieces.remove(piece))
    }

    pub(super) fn keep_early_pieces(&mut self) {
        self.pieces = Some(PieceSet::none(0));
        self.early_pieces = Some(Box::new(EarlyPieces::new()));
    }

    /// Applies what it said of its pieces before their number was known.
    pub(super) fn apply_early_pieces(&mut self, geometry: &Geometry) -> Result<(), PeerFault> {
        let Some(early) = self.early_pieces.take() else { return Ok(()) };
        self.pieces = Some(PieceSet::none(geometry.piece_count()));
        self.pieces = Some(early.pieces(geometry)?);
        Ok(())
    }

    /// Takes a piece that it allows; whether that is new.
    pub(super) fn allow_fast(&mut self, piece: PieceIndex) -> bool {
        self.allowed_fast.len() < MAX_ALLOWED_FAST && self.allowed_fast.insert(piece)
    }

    /// Takes a piece that it suggests; whether that is new.
    pub(super) fn suggest(&mut self, piece: PieceIndex) -> bool {
        let new = self.suggested.len() < MAX_SUGGESTED && !self.suggested.contains(&piece);
        if new {
            self.suggested.push(piece);
        }
        new
    }

    /// Whether it waits for a block, or for the answer to a cancel: where not, the time that passes shows nothing of its
    /// requests.
    #[inline]
    pub(super) fn waits_for_answers(&self) -> bool {
        self.waits_since.is_some() || self.requests.has_cancelled()
    }

    /// Begins to wait for blocks, where requests are outstanding and it is not choked.
    pub(super) fn wait(&mut self, at: Timestamp, choked: bool) {
        self.waits_since = (!choked && self.requests.outstanding() > 0).then_some(at);
    }

    /// Ends the wait for blocks, where no request is outstanding.
    pub(super) const fn end_wait(&mut self) {
        if self.requests.outstanding() == 0 {
            self.waits_since = None;
        }
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.requests.memory()
            + self.metadata_requests.memory()
            + self.hash_requests.memory()
            + self.allowed_fast.len()
            + self.suggested.len()
            + self.extensions.len()
            + self.early_pieces.as_deref().map_or(0, EarlyPieces::memory)
    }
}
