//! What a peer's messages do: the conduct of one connection (BEP 3, 5, 6, 9, 10, 11, 21, 54).

use std::net::SocketAddr;

use bytes::Bytes;

use crate::peer::limits::{MAX_FIRST_PEX_PEERS, MAX_PEX_PEERS, PEX_TOO_SOON};
use crate::wire::{
    Content, ExtendedHandshake, Extension, METADATA_PIECE, Message, Metadata, MetadataKind, Pex, PieceSet,
};
use crate::{Block, PieceIndex, Timestamp};

use super::core::Core;
use super::message_reader::StreamPart;
use super::peer::{Peer, Phase};
use super::swarm::PeerSource;
use super::{DisconnectReason, Output, Session, SessionStreamId, Violation};

impl Session {
    pub(super) fn opened(&mut self, now: Timestamp, stream: SessionStreamId, address: SocketAddr) {
        let Some(peer) = self.peers.get_mut(stream) else { return };
        if peer.phase == Phase::Connecting {
            peer.address = address;
            peer.phase = Phase::Handshake;
            peer.phase_since = now;
            peer.last_received = now;
            self.core.choose_id(peer);
            self.core.send_handshake(peer);
        }
        self.peers.mark_dirty(stream);
    }

    pub(super) fn accepted(&mut self, now: Timestamp, stream: SessionStreamId, address: SocketAddr) {
        let core = &mut self.core;
        let ours = stream.0.is_multiple_of(2) || self.peers.contains(stream);
        let full = core.config.single_peer || self.peers.len() >= core.config.max_peers;
        if ours {
            return;
        }
        if !core.is_running() || full || core.swarm.is_banned(address) {
            let fault = (core.is_running() && full).then_some(Violation::TooManyConnections);
            core.outputs.push_back(Output::Close(stream, fault));
            return;
        }
        self.add_peer(now, stream, address, true);
    }

    /// Takes bytes from a peer.
    pub(super) fn received(&mut self, now: Timestamp, stream: SessionStreamId, mut bytes: Bytes) {
        match self.take_bytes(now, stream, &mut bytes) {
            Ok(()) => {
                self.step_others(Some(stream));
                self.peers.mark_dirty(stream);
            }
            Err(violation) => self.disconnect(now, stream, DisconnectReason::Violated(violation)),
        }
    }

    fn take_bytes(
        &mut self,
        now: Timestamp,
        stream: SessionStreamId,
        bytes: &mut Bytes,
    ) -> Result<(), Violation> {
        let Some(mut peer) = self.peers.get_mut(stream) else { return Ok(()) };
        peer.last_received = now;
        while let Some(part) = peer.reader.next(bytes).map_err(Violation::Malformed)? {
            match part {
                StreamPart::Handshake(handshake) => {
                    self.on_handshake(now, stream, &handshake)?;
                    let Some(again) = self.peers.get_mut(stream) else { return Ok(()) };
                    peer = again;
                }
                StreamPart::Message(message) => self.core.on_message(now, peer, message)?,
                StreamPart::BlockBegins(block) => {
                    peer.has_sent_message = true;
                    self.core.begin_block(peer, block)?;
                }
                StreamPart::BlockBytes { position, bytes, ends } => {
                    self.core.take_block_bytes(now, peer, position, bytes, ends);
                }
            }
        }
        Ok(())
    }
}

impl Core {
    /// Takes a message, not a block. What says nothing new is counted: see [`count_noise`].
    pub(super) fn on_message(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        message: Message,
    ) -> Result<(), Violation> {
        let first = !std::mem::replace(&mut peer.has_sent_message, true);
        let about_pieces = matches!(message, Message::Bitfield(_) | Message::HaveAll | Message::HaveNone);
        if about_pieces && !first && peer.pieces.count() > 0 {
            return self.on_late_pieces(peer, &message);
        }
        let news = match message {
            Message::Choke => self.on_choke(now, peer),
            Message::Unchoke => on_unchoke(now, peer),
            Message::Interested => self.on_interested(peer),
            Message::NotInterested => self.on_not_interested(peer),
            Message::Have(piece) => self.on_have(peer, piece)?,
            Message::Bitfield(_) | Message::HaveAll | Message::HaveNone => {
                self.on_pieces(peer, &message)?;
                true
            }
            Message::Request(block) => {
                self.on_request(peer, block)?;
                true
            }
            Message::Cancel(block) => {
                self.check_block(block)?;
                self.on_cancel(peer, block);
                true
            }
            Message::RejectRequest(block) => self.on_reject(now, peer, block)?,
            Message::SuggestPiece(piece) => self.on_suggest(peer, piece)?,
            Message::AllowedFast(piece) => self.on_allowed_fast(peer, piece)?,
            Message::Extended { id, payload } => self.on_extended(now, peer, id, &payload)?,
            Message::KeepAlive | Message::Port(_) | Message::Unknown { .. } => false,
            // The reader passes over these, and blocks come in parts.
            Message::HashRequest(_)
            | Message::Hashes(..)
            | Message::HashReject(_)
            | Message::Piece { .. } => true,
            Message::Malformed { wanted, .. } => return Err(Violation::Malformed(wanted)),
        };
        count_noise(peer, news)
    }

    fn on_choke(&mut self, now: Timestamp, peer: &mut Peer) -> bool {
        if std::mem::replace(&mut peer.choke.peer_choking, true) {
            return false;
        }
        peer.choke.choked_since = now;
        if std::mem::replace(&mut peer.choke.downloaded_at_choke, peer.download.bytes) != peer.download.bytes
        {
            peer.choke.choked_idle_since = now;
        }
        // BEP 6: with the fast extension each request is answered or rejected, else all are forgotten.
        if !peer.fast {
            self.forget_outstanding(peer);
        }
        self.picker.unreserve(peer.stream);
        true
    }

    fn on_interested(&mut self, peer: &mut Peer) -> bool {
        let news = !std::mem::replace(&mut peer.choke.peer_interested, true);
        if news {
            self.choker.unchoke_if_free(peer);
            self.allow_fast(peer);
        }
        news
    }

    fn on_not_interested(&mut self, peer: &mut Peer) -> bool {
        let news = std::mem::replace(&mut peer.choke.peer_interested, false);
        if news && !peer.choke.am_choking {
            self.choker.choke(peer);
        }
        news
    }

    fn on_have(&mut self, peer: &mut Peer, piece: PieceIndex) -> Result<bool, Violation> {
        self.check_piece(piece)?;
        let news = peer.pieces.insert(piece);
        if news {
            self.picker.rarity.more(piece, &mut self.rng);
            if !self.picker.is_done(piece) {
                peer.wanted_pieces += 1;
                peer.download.nothing_to_pick_at = None;
            }
        }
        Ok(news)
    }

    /// A message that tells all pieces of a peer.
    fn on_pieces(&mut self, peer: &mut Peer, message: &Message) -> Result<(), Violation> {
        if !peer.fast && !matches!(message, Message::Bitfield(_)) {
            return Err(Violation::Malformed("messages of the fast extension only where both offer it"));
        }
        if let Some(pieces) = self.told_pieces(message)? {
            self.set_pieces(peer, pieces);
        }
        if self.config.profile.acknowledges_pieces {
            peer.send(&Message::KeepAlive);
        }
        Ok(())
    }

    /// The pieces of a bitfield or have-all; `None` where no piece is told.
    fn told_pieces(&self, message: &Message) -> Result<Option<PieceSet>, Violation> {
        let total = self.piece_count();
        match message {
            Message::Bitfield(bits) => match PieceSet::from_bitfield(bits, total) {
                Some(pieces) => Ok(Some(pieces)),
                None => Err(Violation::Malformed("a bitfield without bits beyond the last piece")),
            },
            Message::HaveAll => Ok(Some(PieceSet::all(total))),
            _ => Ok(None),
        }
    }

    fn on_reject(&mut self, now: Timestamp, peer: &mut Peer, block: Block) -> Result<bool, Violation> {
        self.check_block(block)?;
        if peer.download.take_outstanding(block).is_none() {
            return Ok(false);
        }
        self.picker.release(block, peer.stream);
        peer.choke.allowed_fast.remove(&block.index);
        if !peer.choke.peer_choking {
            // It has too much to do: it would refuse again at once.
            peer.download.refused_until = Some(now + AFTER_REFUSAL);
            peer.download.pipeline_depth = (peer.download.pipeline_depth / 2).max(1);
            self.picker.unreserve(peer.stream);
        }
        self.deferred.blocks_freed = true;
        Ok(true)
    }

    fn on_suggest(&self, peer: &mut Peer, piece: PieceIndex) -> Result<bool, Violation> {
        self.check_piece(piece)?;
        let news = !self.picker.is_done(piece) && !peer.suggested.contains(&piece);
        if news && peer.suggested.len() < MAX_SUGGESTED {
            peer.suggested.push(piece);
        }
        Ok(news)
    }

    fn on_allowed_fast(&self, peer: &mut Peer, piece: PieceIndex) -> Result<bool, Violation> {
        self.check_piece(piece)?;
        let allowed = &mut peer.choke.allowed_fast;
        peer.download.nothing_to_pick_at = None;
        Ok(allowed.len() < MAX_SUGGESTED && allowed.insert(piece))
    }

    /// A message that tells all pieces of a peer, but comes late, as some clients send it (BEP 3 wants it first).
    fn on_late_pieces(&mut self, peer: &mut Peer, message: &Message) -> Result<(), Violation> {
        if let Some(pieces) = self.told_pieces(message)? {
            peer.noise += LATE_BITFIELD;
            self.set_pieces(peer, pieces);
        }
        Ok(())
    }

    /// A peer has exactly these pieces.
    pub(super) fn set_pieces(&mut self, peer: &mut Peer, pieces: PieceSet) {
        let before = std::mem::replace(&mut peer.pieces, pieces);
        for piece in peer.pieces.iter() {
            if !before.contains(piece) {
                self.picker.rarity.more(piece, &mut self.rng);
            }
        }
        for piece in before.iter() {
            if !peer.pieces.contains(piece) {
                self.picker.rarity.fewer(piece, &mut self.rng);
            }
        }
        peer.wanted_pieces = self.picker.wanted_of(&peer.pieces);
        peer.download.nothing_to_pick_at = None;
    }

    /// Takes a message of the extension protocol (BEP 10): whether it counts as news. What cannot be read is passed over:
    /// extensions are nobody's duty.
    fn on_extended(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        id: u8,
        payload: &[u8],
    ) -> Result<bool, Violation> {
        let extension = match id {
            0 => Extension::Handshake,
            id => match self.config.profile.extension(id) {
                Some(name) => Extension::from_name(name.as_bytes()),
                None => return Ok(false),
            },
        };
        match extension.decode(payload) {
            Ok(Content::Handshake(handshake)) => self.on_extended_handshake(peer, handshake),
            Ok(Content::Metadata(metadata)) => self.on_metadata(peer, &metadata),
            Ok(Content::DontHave(piece)) => self.on_dont_have(peer, piece)?,
            Ok(Content::Pex(pex)) => self.on_pex(now, peer, &pex),
            Ok(Content::UploadOnly(_) | Content::Holepunch(_) | Content::Other) | Err(_) => {}
        }
        Ok(false)
    }

    fn on_dont_have(&mut self, peer: &mut Peer, piece: PieceIndex) -> Result<(), Violation> {
        self.check_piece(piece)?;
        if peer.pieces.remove(piece) {
            self.picker.rarity.fewer(piece, &mut self.rng);
            peer.wanted_pieces -= u32::from(!self.picker.is_done(piece));
        }
        Ok(())
    }

    /// Learns of the peers that a peer tells of. Messages that come more often than BEP 11 has them are passed over, and so
    /// is what is beyond the number it allows: most clients of those that send more mean no harm.
    fn on_pex(&mut self, now: Timestamp, peer: &mut Peer, pex: &Pex) {
        // BEP 27: peers of a private torrent come from its trackers only.
        if self.torrent.private || self.config.single_peer || pex.added.is_empty() {
            return;
        }
        let most = match peer.pex.received_at {
            None => MAX_FIRST_PEX_PEERS,
            Some(heard) if now - heard < PEX_TOO_SOON => return,
            Some(_) => MAX_PEX_PEERS,
        };
        peer.pex.received_at = Some(now);
        let added = pex.added.iter().take(most).map(|peer| peer.address);
        self.swarm.learn(PeerSource::Peer(peer.address.ip()), added);
    }

    fn on_extended_handshake(&mut self, peer: &mut Peer, handshake: ExtendedHandshake) {
        for (name, id) in &handshake.extensions {
            match name.as_str() {
                "ut_metadata" => peer.extension_ids.metadata = *id,
                "ut_pex" => peer.extension_ids.pex = *id,
                _ => {}
            }
        }
        if let Some(client) = handshake.client {
            peer.client = Some(client.chars().take(MAX_CLIENT).collect());
        }
        if let Some(reqq) = handshake.reqq.filter(|&reqq| reqq > 0) {
            peer.download.reqq = reqq as usize;
        }
        if let Some(port) = handshake.port.filter(|&port| port != 0 && peer.incoming) {
            let listens = SocketAddr::new(peer.address.ip(), port);
            peer.listen_address = Some(listens);
            self.swarm.note_connected(listens);
        }
    }

    /// BEP 9: pieces of the metadata, of 16 KiB each.
    fn on_metadata(&self, peer: &mut Peer, metadata: &Metadata) {
        let id = peer.extension_ids.metadata;
        if metadata.kind != MetadataKind::Request || id == 0 {
            return;
        }
        let info = self.torrent.info_bytes();
        let start = (metadata.piece as usize).saturating_mul(METADATA_PIECE as usize);
        // A peer that asks faster than it reads is refused.
        let answer = if start >= info.len() || peer.unsent + peer.send_buffer.len() > MAX_UNSENT_METADATA {
            Metadata::reject(metadata.piece)
        } else {
            let end = info.len().min(start + METADATA_PIECE as usize);
            Metadata::data(metadata.piece, info.len() as u64, info[start..end].to_vec())
        };
        peer.send(&Message::Extended { id, payload: answer.encode().into() });
    }
}

fn on_unchoke(now: Timestamp, peer: &mut Peer) -> bool {
    let news = std::mem::replace(&mut peer.choke.peer_choking, false);
    if news {
        peer.download.last_block_at = now;
        peer.download.nothing_to_pick_at = None;
    }
    news
}

/// Counts a message that says nothing new: who says nothing else, and that often, is not listened to.
fn count_noise(peer: &mut Peer, news: bool) -> Result<(), Violation> {
    if news {
        return Ok(());
    }
    peer.noise += 1;
    if peer.noise > MAX_NOISE {
        return Err(Violation::Flood("messages that say nothing new"));
    }
    Ok(())
}

/// How long a peer that refused a request is asked for nothing.
const AFTER_REFUSAL: std::time::Duration = std::time::Duration::from_secs(2);

/// How many messages may say nothing new between two blocks.
const MAX_NOISE: u32 = 10_000;

/// A bitfield that comes late costs as much as so many other messages.
const LATE_BITFIELD: u32 = 100;

/// How many pieces a peer may suggest, or allow while it chokes us: BEP 6 has it send about ten.
const MAX_SUGGESTED: usize = 64;

/// How many bytes may wait to be sent before metadata is refused.
const MAX_UNSENT_METADATA: usize = 1024 * 1024;

/// How many characters of a client's name are kept.
const MAX_CLIENT: usize = 64;
