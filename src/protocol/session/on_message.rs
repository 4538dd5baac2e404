//! What a peer's messages do: the conduct of one connection (BEP 3, 5, 6, 9, 10, 11, 21, 54).

use std::net::SocketAddr;

use bytes::Bytes;

use crate::bencode;
use crate::geometry::BlockFault;
use crate::peer::limits::{MAX_FIRST_PEX_PEERS, MAX_PEX_PEERS, PEX_TOO_SOON};
use crate::wire::{
    Content, ExtendedHandshake, Extension, METADATA_PIECE, Message, Metadata, MetadataKind, Pex,
};
use crate::{Block, PieceIndex, Timestamp};

use super::holding::PieceSet;
use super::message_reader::StreamPart;
use super::peer::{Peer, Phase};
use super::swarm::PeerSource;
use super::{DisconnectReason, Event, Output, Session, SessionState, SessionStreamId, Violation};

impl Session {
    pub(super) fn opened(&mut self, now: Timestamp, stream: SessionStreamId, address: SocketAddr) {
        let Some(mut peer) = self.peers.remove(&stream) else { return };
        if peer.phase == Phase::Connecting {
            peer.address = address;
            peer.phase = Phase::Handshake;
            peer.phase_since = now;
            peer.last_received = now;
            self.choose_id(&mut peer);
            self.send_handshake(&mut peer);
        }
        self.peers.insert(stream, peer);
        self.mark_dirty(stream);
    }

    pub(super) fn accepted(&mut self, now: Timestamp, stream: SessionStreamId, address: SocketAddr) {
        let ours = stream.0.is_multiple_of(2) || self.peers.contains_key(&stream);
        let full = self.config.single_peer || self.peers.len() >= self.config.max_peers;
        if ours {
            return;
        }
        if self.state != SessionState::Running || full || self.swarm.is_banned(address) {
            let fault =
                (self.state == SessionState::Running && full).then_some(Violation::TooManyConnections);
            self.outputs.push_back(Output::Close(stream, fault));
            return;
        }
        self.add_peer(now, stream, address, true);
    }

    /// Takes bytes from a peer.
    pub(super) fn received(&mut self, now: Timestamp, stream: SessionStreamId, mut bytes: Bytes) {
        let Some(mut peer) = self.peers.remove(&stream) else { return };
        peer.last_received = now;
        let fault = loop {
            match peer.reader.next(&mut bytes) {
                Ok(None) => break None,
                Ok(Some(part)) => {
                    if let Err(violation) = self.on_part(now, &mut peer, part) {
                        break Some(violation);
                    }
                }
                Err(wanted) => break Some(Violation::Malformed(wanted)),
            }
        };
        if let Some(violation) = fault {
            self.disconnect(now, peer, DisconnectReason::Violated(violation));
            return;
        }
        self.peers.insert(stream, peer);
        self.mark_dirty(stream);
    }

    fn on_part(&mut self, now: Timestamp, peer: &mut Peer, part: StreamPart) -> Result<(), Violation> {
        match part {
            StreamPart::Handshake(handshake) => self.on_handshake(now, peer, &handshake),
            StreamPart::Message(message) => self.on_message(now, peer, message),
            StreamPart::BlockBegins(block) => {
                peer.has_sent_message = true;
                self.begin_block(peer, block)
            }
            StreamPart::BlockBytes { position, bytes, ends } => {
                self.take_block_bytes(now, peer, position, bytes, ends);
                Ok(())
            }
        }
    }

    fn on_message(&mut self, now: Timestamp, peer: &mut Peer, message: Message) -> Result<(), Violation> {
        let first = !std::mem::replace(&mut peer.has_sent_message, true);
        let about_pieces = matches!(message, Message::Bitfield(_) | Message::HaveAll | Message::HaveNone);
        if about_pieces && !first && peer.pieces.count() > 0 {
            return self.take_late_holding(peer, &message);
        }
        match message {
            Message::KeepAlive => return count_noise(peer, false),
            Message::Choke => {
                let news = !std::mem::replace(&mut peer.peer_choking, true);
                if news {
                    peer.choked_since = now;
                    if std::mem::replace(&mut peer.downloaded_at_choke, peer.downloaded) != peer.downloaded {
                        peer.choked_idle_since = now;
                    }
                    // BEP 6: with the fast extension each request is answered or rejected, else all are forgotten.
                    if !peer.fast {
                        self.forget_outstanding(peer);
                    }
                    self.picker.unreserve(peer.stream);
                }
                return count_noise(peer, news);
            }
            Message::Unchoke => {
                let news = std::mem::replace(&mut peer.peer_choking, false);
                if news {
                    peer.last_block_at = now;
                    peer.nothing_to_pick_at = None;
                }
                return count_noise(peer, news);
            }
            Message::Interested => {
                let news = !std::mem::replace(&mut peer.peer_interested, true);
                if news {
                    self.unchoke_if_free(now, peer);
                    self.allow_fast(peer);
                }
                return count_noise(peer, news);
            }
            Message::NotInterested => {
                let news = std::mem::replace(&mut peer.peer_interested, false);
                if news && !peer.am_choking {
                    self.choke(peer);
                }
                return count_noise(peer, news);
            }
            Message::Have(piece) => {
                self.check_piece(piece)?;
                let news = peer.pieces.insert(piece);
                if news {
                    self.picker.rarity.more(piece, &mut self.rng);
                    if !self.picker.is_done(piece) {
                        peer.wanted_pieces += 1;
                        peer.nothing_to_pick_at = None;
                    }
                }
                return count_noise(peer, news);
            }
            Message::Bitfield(bits) => {
                let total = self.piece_count();
                let holding = PieceSet::from_bitfield(&bits, total)
                    .ok_or(Violation::Malformed("a bitfield without bits beyond the last piece"))?;
                self.set_pieces(peer, holding);
            }
            Message::HaveAll | Message::HaveNone if !peer.fast => {
                return Err(Violation::Malformed("messages of the fast extension only where both offer it"));
            }
            Message::HaveAll => {
                let mut holding = PieceSet::none(self.piece_count());
                holding.fill();
                self.set_pieces(peer, holding);
            }
            Message::HaveNone => {}
            Message::Request(block) => return self.on_request(peer, block),
            Message::Cancel(block) => {
                self.check_block(block)?;
                self.on_cancel(peer, block);
            }
            Message::RejectRequest(block) => {
                self.check_block(block)?;
                let known = peer.take_outstanding(block).is_some();
                if known {
                    self.picker.release(block, peer.stream);
                    peer.allowed_fast.remove(&block.index);
                    if !peer.peer_choking {
                        // It has too much to do: it would refuse again at once.
                        peer.refused_until = Some(now + AFTER_REFUSAL);
                        peer.pipeline_depth = (peer.pipeline_depth / 2).max(1);
                        self.picker.unreserve(peer.stream);
                    }
                    self.mark_idle_dirty();
                }
                return count_noise(peer, known);
            }
            Message::SuggestPiece(piece) => {
                self.check_piece(piece)?;
                let news = !self.picker.is_done(piece) && !peer.suggested.contains(&piece);
                if news && peer.suggested.len() < MAX_SUGGESTED {
                    peer.suggested.push(piece);
                }
                return count_noise(peer, news);
            }
            Message::AllowedFast(piece) => {
                self.check_piece(piece)?;
                let news = peer.allowed_fast.len() < MAX_SUGGESTED && peer.allowed_fast.insert(piece);
                peer.nothing_to_pick_at = None;
                return count_noise(peer, news);
            }
            Message::Extended { id, payload } => self.take_extended(now, peer, id, &payload)?,
            Message::Port(_) | Message::Unknown { .. } => return count_noise(peer, false),
            // These are passed over before they get here, and blocks come in parts.
            Message::HashRequest(_)
            | Message::Hashes(..)
            | Message::HashReject(_)
            | Message::Piece { .. } => {}
            Message::Malformed { wanted, .. } => return Err(Violation::Malformed(wanted)),
        }
        if about_pieces && self.config.profile.acknowledges_pieces {
            peer.send(&Message::KeepAlive);
        }
        Ok(())
    }

    /// A bitfield or its like where some clients send it though it is late (BEP 3 wants it first): only what is new in
    /// it counts.
    fn take_late_holding(&mut self, peer: &mut Peer, message: &Message) -> Result<(), Violation> {
        let total = self.piece_count();
        match message {
            Message::Bitfield(bits) => {
                let holding = PieceSet::from_bitfield(bits, total)
                    .ok_or(Violation::Malformed("a bitfield without bits beyond the last piece"))?;
                peer.noise += LATE_BITFIELD;
                self.set_pieces(peer, holding);
            }
            Message::HaveAll => {
                let mut holding = PieceSet::none(total);
                holding.fill();
                peer.noise += LATE_BITFIELD;
                self.set_pieces(peer, holding);
            }
            _ => {}
        }
        count_noise(peer, true)
    }

    /// A peer has exactly these pieces.
    pub(super) fn set_pieces(&mut self, peer: &mut Peer, holding: PieceSet) {
        let before = std::mem::replace(&mut peer.pieces, holding);
        for piece in peer.pieces.iter() {
            if !before.has(piece) {
                self.picker.rarity.more(piece, &mut self.rng);
            }
        }
        for piece in before.iter() {
            if !peer.pieces.has(piece) {
                self.picker.rarity.fewer(piece, &mut self.rng);
            }
        }
        peer.wanted_pieces = self.picker.wanted_of(&peer.pieces);
        peer.nothing_to_pick_at = None;
    }

    fn take_extended(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        id: u8,
        payload: &[u8],
    ) -> Result<(), Violation> {
        let extension = match id {
            0 => Extension::Handshake,
            id => match self.config.profile.extension(id) {
                Some(name) => Extension::from_name(name.as_bytes()),
                None => return count_noise(peer, false),
            },
        };
        // What cannot be read is passed over: extensions are nobody's duty.
        let Ok(content) = extension.decode(payload) else { return count_noise(peer, false) };
        match content {
            Content::Handshake(handshake) => {
                self.take_extended_handshake(peer, handshake);
                count_noise(peer, false)
            }
            Content::Metadata(metadata) => self.take_metadata(peer, &metadata),
            Content::DontHave(piece) => {
                self.check_piece(piece)?;
                if peer.pieces.remove(piece) {
                    self.picker.rarity.fewer(piece, &mut self.rng);
                    peer.wanted_pieces -= u32::from(!self.picker.is_done(piece));
                }
                count_noise(peer, false)
            }
            Content::Pex(pex) => {
                self.take_pex(now, peer, &pex);
                count_noise(peer, false)
            }
            Content::UploadOnly(_) | Content::Holepunch(_) | Content::Other => count_noise(peer, false),
        }
    }

    /// Learns of the peers that a peer tells of. Messages that come more often than BEP 11 has them are passed over, and so
    /// is what is beyond the number it allows: most clients of those that send more mean no harm.
    fn take_pex(&mut self, now: Timestamp, peer: &mut Peer, pex: &Pex) {
        // BEP 27: peers of a private torrent come from its trackers only.
        if self.torrent.private || self.config.single_peer || pex.added.is_empty() {
            return;
        }
        let most = match peer.pex_received_at {
            None => MAX_FIRST_PEX_PEERS,
            Some(heard) if now - heard < PEX_TOO_SOON => return,
            Some(_) => MAX_PEX_PEERS,
        };
        peer.pex_received_at = Some(now);
        let added = pex.added.iter().take(most).map(|peer| peer.address);
        self.swarm.learn(PeerSource::Peer(peer.address.ip()), added);
    }

    fn take_extended_handshake(&mut self, peer: &mut Peer, handshake: ExtendedHandshake) {
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
            peer.reqq = reqq as usize;
        }
        if let Some(port) = handshake.port.filter(|&port| port != 0 && peer.incoming) {
            let listens = SocketAddr::new(peer.address.ip(), port);
            peer.listen_address = Some(listens);
            self.swarm.note_connected(listens);
        }
    }

    /// BEP 9: pieces of the metadata, of 16 KiB each.
    fn take_metadata(&mut self, peer: &mut Peer, metadata: &Metadata) -> Result<(), Violation> {
        let id = peer.extension_ids.metadata;
        if metadata.kind != MetadataKind::Request || id == 0 {
            return count_noise(peer, false);
        }
        let info = self.torrent.info_bytes();
        let start = (metadata.piece as usize).saturating_mul(METADATA_PIECE as usize);
        let mut payload = b"d8:msg_type".to_vec();
        // One who asks faster than it reads is refused.
        if start >= info.len() || peer.unsent + peer.send_buffer.len() > MAX_UNSENT_METADATA {
            bencode::put_integer(&mut payload, 2);
            payload.extend_from_slice(b"5:piece");
            bencode::put_integer(&mut payload, metadata.piece.into());
            payload.push(b'e');
        } else {
            let end = info.len().min(start + METADATA_PIECE as usize);
            bencode::put_integer(&mut payload, 1);
            payload.extend_from_slice(b"5:piece");
            bencode::put_integer(&mut payload, metadata.piece.into());
            payload.extend_from_slice(b"10:total_size");
            bencode::put_integer(&mut payload, i64::try_from(info.len()).unwrap_or(i64::MAX));
            payload.push(b'e');
            payload.extend_from_slice(&info[start..end]);
        }
        peer.send(&Message::Extended { id, payload: payload.into() });
        count_noise(peer, false)
    }

    pub(super) fn piece_count(&self) -> u32 {
        self.torrent.geometry.as_ref().map_or(0, |geometry| geometry.piece_count())
    }

    fn check_piece(&self, piece: PieceIndex) -> Result<(), Violation> {
        if piece.0 < self.piece_count() { Ok(()) } else { Err(Violation::OutOfRange) }
    }

    pub(super) fn check_block(&self, block: Block) -> Result<(), Violation> {
        let geometry = self.torrent.geometry.as_ref();
        let span = geometry.map_or(Err(BlockFault::NoSuchPiece), |geometry| geometry.block_span(block));
        span.map(|_| ()).map_err(|_| Violation::OutOfRange)
    }

    /// Ends a connection from our side.
    pub(super) fn disconnect(&mut self, now: Timestamp, mut peer: Box<Peer>, gone: DisconnectReason) {
        self.flush(now, &mut peer);
        let violation = match &gone {
            DisconnectReason::Violated(violation) => Some(violation.clone()),
            DisconnectReason::Closed(_) | DisconnectReason::Finished => None,
        };
        self.outputs.push_back(Output::Close(peer.stream, violation));
        self.forget(now, *peer, gone);
    }

    /// A connection is over.
    pub(super) fn forget(&mut self, now: Timestamp, mut peer: Peer, gone: DisconnectReason) {
        self.forget_outstanding(&mut peer);
        self.picker.unreserve(peer.stream);
        let none = PieceSet::none(self.piece_count());
        self.set_pieces(&mut peer, none);
        self.choker.forget(peer.stream);
        // A stranger who called and never shook hands left no trace worth keeping.
        let useful = peer.downloaded > 0 || peer.uploaded > 0;
        match &gone {
            DisconnectReason::Violated(Violation::SelfConnection) => self.swarm.note_ourselves(peer.address),
            DisconnectReason::Violated(
                Violation::CorruptPiece(_)
                | Violation::Malformed(_)
                | Violation::OutOfRange
                | Violation::Flood(_),
                // One that has not shaken hands may have tried to encrypt, and calls again without; in single-peer mode the tracker
                // may name it again.
            ) if !self.config.single_peer && peer.phase == Phase::Open => {
                let dialled = peer.listen_address.unwrap_or(peer.address);
                self.swarm.ban(dialled);
            }
            DisconnectReason::Violated(Violation::CorruptPiece(_)) => {
                self.swarm.ban(peer.listen_address.unwrap_or(peer.address));
            }
            _ => {}
        }
        if let Some(address) = peer.listen_address {
            self.swarm.note_gone(address, useful, now);
        }
        let (stream, address, given, closing) = (peer.stream, peer.address, peer.downloaded, gone);
        self.outputs.push_back(Output::Event(Event::Disconnected {
            stream,
            peer: address,
            reason: closing,
            downloaded: given,
        }));
        self.mark_idle_dirty();
    }
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
