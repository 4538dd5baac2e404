//! What a peer's messages do: the conduct of one connection (BEP 3, 5, 6, 9, 10, 11, 21, 54).

use std::net::SocketAddr;

use bytes::Bytes;

use crate::peer::{ObservedMessage, PeerFault};
use crate::wire::{Content, ExtendedHandshake, Extension, Message, PieceSet};
use crate::{Block, Timestamp};

use super::core::Core;
use super::encryption::Way;
use super::message_reader::StreamPart;
use super::noise::Noise;
use super::peer::{Peer, Phase};
use super::tolerance::tolerate;
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
            let info_hash = self.core.called_by();
            self.core.send_handshake(peer, info_hash);
            if peer.dialled == Some(Way::Encrypted) {
                self.core.initiate(now, peer);
            }
        }
        self.peers.note_opened(stream);
        self.peers.mark_dirty(stream);
    }

    pub(super) fn accepted(&mut self, now: Timestamp, stream: SessionStreamId, address: SocketAddr) {
        let ours = stream.0.is_multiple_of(2) || self.peers.contains(stream);
        if ours {
            return;
        }
        if !self.core.is_running() || self.core.swarm.is_banned(address) {
            self.core.outputs.push_back(Output::Close(stream, None));
        } else if self.admits(now, address) {
            self.add_peer(now, stream, address, None);
        } else {
            self.core.outputs.push_back(Output::Close(stream, Some(Violation::TooManyConnections)));
        }
    }

    /// Takes bytes from a peer.
    pub(super) fn received(&mut self, now: Timestamp, stream: SessionStreamId, bytes: Bytes) {
        let clear = self.uncover(now, stream, bytes);
        match clear.and_then(|mut bytes| self.take_bytes(now, stream, &mut bytes)) {
            Ok(()) => {
                if let Some(peer) = self.peers.get_mut(stream) {
                    self.core.note_exchanged(peer);
                }
                self.step_others(Some(stream));
                self.answer_or_rest(now, stream);
            }
            Err(violation) => self.disconnect(now, stream, DisconnectReason::Violated(violation)),
        }
    }

    /// Has a peer from which something came serviced, unless nothing is to be said to it, as after most haves.
    fn answer_or_rest(&mut self, now: Timestamp, stream: SessionStreamId) {
        let rest = self.peers.get(stream).and_then(|peer| self.core.rest_after_service(now, peer));
        match rest {
            Some(rest) => self.peers.let_rest(stream, rest),
            None => self.peers.mark_dirty(stream),
        }
    }

    fn take_bytes(
        &mut self,
        now: Timestamp,
        stream: SessionStreamId,
        bytes: &mut Bytes,
    ) -> Result<(), Violation> {
        // A connection that is not open yet brings nothing.
        let open = self.peers.get_mut(stream).filter(|peer| peer.phase != Phase::Connecting);
        let Some(mut peer) = open else { return Ok(()) };
        peer.last_received = now;
        while let Some(part) = peer.reader.next(bytes).map_err(Violation::Malformed)? {
            match part {
                StreamPart::Handshake(handshake) => {
                    self.on_handshake(now, stream, &handshake)?;
                    let Some(again) = self.peers.get_mut(stream) else { return Ok(()) };
                    peer = again;
                }
                StreamPart::Message(message) => self.core.on_message(now, peer, &message)?,
                StreamPart::Passed(count) => peer.note_noise(Noise::NothingNew(count / PASSED_UNIT))?,
                StreamPart::BlockBegins(block) => {
                    peer.has_sent_message = true;
                    self.core.begin_block(now, peer, block)?;
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
    /// Takes a message, not a block. What brings nothing is counted: see [`Noise`].
    pub(super) fn on_message(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        message: &Message,
    ) -> Result<(), Violation> {
        peer.has_sent_message = true;
        self.check_range(message)?;
        let observed = self.observe(now, peer, message);
        observed.faults.iter().try_for_each(tolerate)?;
        let changed = !observed.repeated;
        let nothing_new = (!changed).then_some(Noise::NothingNew(0));
        let noise = match message {
            Message::Choke if changed => {
                let outstanding = peer.download.assigned.len();
                self.on_choke(now, peer);
                Some(Noise::Choke(outstanding))
            }
            Message::Unchoke if changed => {
                peer.download.last_block_at = now;
                peer.download.nothing_to_pick_at = None;
                None
            }
            Message::Interested if changed => {
                peer.lost_interest_at = None;
                self.choker.unchoke_if_free(now, peer);
                self.allow_fast(peer);
                None
            }
            Message::NotInterested if changed => {
                peer.lost_interest_at = Some(now);
                if !peer.am_choking() {
                    self.choker.choke(now, peer);
                }
                Some(Noise::InterestLost)
            }
            Message::Choke | Message::Unchoke | Message::Interested | Message::NotInterested => nothing_new,
            // Before the metadata has come, any number of pieces may be named.
            Message::Have(_) if self.torrent.is_wanted() => Some(Noise::NothingNew(0)),
            Message::Have(_) => nothing_new,
            Message::Bitfield(_) | Message::HaveAll | Message::HaveNone => {
                self.on_pieces(now, peer, &observed.faults)?
            }
            Message::Request(block) => Some(self.on_request(peer, *block, observed.repeated)),
            Message::Cancel(block) => {
                self.on_cancel(peer, *block);
                Some(Noise::Cancel)
            }
            Message::RejectRequest(block) => {
                (!self.on_reject(now, peer, *block)).then_some(Noise::NothingNew(0))
            }
            Message::SuggestPiece(piece) => {
                (!changed || self.picker.is_done(*piece)).then_some(Noise::NothingNew(0))
            }
            Message::AllowedFast(piece) => {
                let again = peer.fast_pieces.refused.remove(piece);
                if changed || again {
                    peer.download.nothing_to_pick_at = None;
                }
                if again { Some(Noise::AllowedAgain) } else { nothing_new }
            }
            Message::Extended { payload, .. } => {
                let answers = observed.answers.is_some();
                let content = observed.extended.and_then(|extended| extended.content);
                let noise = match content {
                    Some(Content::DontHave(_)) => Noise::DontHave,
                    _ => Noise::NothingNew(payload.len()),
                };
                if let Some(content) = content {
                    self.on_extended(now, peer, content, answers)?;
                }
                Some(noise)
            }
            Message::Port(port) => {
                // BEP 27: a private torrent's peers are nobody else's business.
                if self.config.dht_port.is_some() && !self.torrent.is_private() {
                    let node = SocketAddr::new(peer.address.ip(), *port);
                    self.outputs.push_back(Output::DhtContact(node));
                }
                Some(Noise::NothingNew(0))
            }
            Message::KeepAlive | Message::Unknown { .. } => Some(Noise::NothingNew(0)),
            Message::HashRequest(range) => Some(self.on_hash_request(peer, *range)),
            Message::Hashes(range, hashes) => self.on_hashes(peer, range, hashes)?,
            Message::HashReject(range) => Some(self.on_hash_reject(peer, range)),
            // Blocks come in parts, and the reader refuses what is malformed.
            Message::Piece { .. } | Message::Malformed { .. } => None,
        };
        noise.map_or(Ok(()), |noise| peer.note_noise(noise))
    }

    /// Takes a message into the state of the connection, and counts the pieces that the peer has after it.
    fn observe(&mut self, now: Timestamp, peer: &mut Peer, message: &Message) -> ObservedMessage {
        if self.torrent.is_wanted() {
            // What the peer has is counted once the pieces are known.
            return peer.observe(now, message);
        }
        let before = match message {
            Message::Bitfield(_) | Message::HaveAll | Message::HaveNone => Some(peer.pieces().clone()),
            _ => None,
        };
        let observed = peer.observe(now, message);
        match (message, before) {
            (_, Some(before)) => self.count_pieces(peer, &before),
            (Message::Have(piece), _) if !observed.repeated => {
                self.picker.rarity.more(*piece, &mut self.rng);
                if self.picker.is_missing(*piece) {
                    peer.wanted_pieces += 1;
                    peer.download.nothing_to_pick_at = None;
                }
            }
            _ => {
                let extended = observed.extended.as_deref();
                if let Some(Content::DontHave(piece)) =
                    extended.and_then(|extended| extended.content.as_ref())
                    && !observed.repeated
                {
                    self.picker.rarity.fewer(*piece, &mut self.rng);
                    peer.wanted_pieces -= u32::from(self.picker.is_missing(*piece));
                    // Others may have what was begun with it.
                    self.picker.unreserve(peer.stream);
                    self.deferred.blocks_freed = true;
                }
            }
        }
        observed
    }

    /// Counts the pieces of a peer that had these pieces before.
    pub(super) fn count_pieces(&mut self, peer: &mut Peer, before: &PieceSet) {
        for piece in peer.pieces().iter() {
            if !before.contains(piece) {
                self.picker.rarity.more(piece, &mut self.rng);
            }
        }
        for piece in before.iter() {
            if !peer.pieces().contains(piece) {
                self.picker.rarity.fewer(piece, &mut self.rng);
            }
        }
        peer.wanted_pieces = self.picker.wanted_of(peer.pieces());
        peer.download.nothing_to_pick_at = None;
    }

    /// The peer begins to choke us.
    fn on_choke(&mut self, now: Timestamp, peer: &mut Peer) {
        let downloaded = peer.download.bytes;
        if std::mem::replace(&mut peer.starvation.downloaded_at_choke, downloaded) != downloaded {
            peer.starvation.since = now;
        }
        // BEP 6: with the fast extension each request is answered or rejected, else all are forgotten.
        if !peer.is_fast() {
            self.forget_outstanding(peer);
        }
        self.picker.unreserve(peer.stream);
    }

    /// A message that tells all pieces of a peer; what it costs.
    fn on_pieces(
        &self,
        now: Timestamp,
        peer: &mut Peer,
        faults: &[PeerFault],
    ) -> Result<Option<Noise>, Violation> {
        if faults.contains(&PeerFault::FastNotOffered) {
            return Err(Violation::Malformed("messages of the fast extension only where both offer it"));
        }
        let is_late =
            |fault: &PeerFault| matches!(fault, PeerFault::BitfieldLate | PeerFault::HaveAllOrNoneLate);
        peer.told_all = peer.pieces().is_all();
        if faults.iter().any(is_late) {
            return Ok(Some(Noise::AllPiecesAgain(self.piece_count())));
        }
        if self.config.profile.acknowledges_pieces {
            peer.send(now, &Message::KeepAlive);
        }
        Ok(None)
    }

    fn on_reject(&mut self, now: Timestamp, peer: &mut Peer, block: Block) -> bool {
        if peer.download.assigned.take(block).is_none() {
            return false;
        }
        self.picker.release(block, peer.stream);
        if self.picker.padding(block) > 0 && !peer.peer_choking() {
            // Some clients refuse requests for bytes after the end of a file.
            self.picker.stop_padding();
        }
        if peer.theirs().allows_fast(block.index) {
            peer.fast_pieces.refused.insert(block.index);
        }
        if !peer.peer_choking() {
            // It has too much to do: it would refuse again at once.
            peer.download.refused_until = Some(now + AFTER_REFUSAL);
            peer.download.pipeline_depth = (peer.download.pipeline_depth / 2).max(1);
        }
        self.picker.unreserve(peer.stream);
        self.deferred.blocks_freed = true;
        true
    }

    /// Does what a message of the extension protocol asks for (BEP 10). What cannot be read is passed over: extensions are
    /// nobody's duty.
    fn on_extended(
        &mut self,
        now: Timestamp,
        peer: &mut Peer,
        content: Content,
        answers: bool,
    ) -> Result<(), Violation> {
        match content {
            Content::Handshake(handshake) => self.on_extended_handshake(peer, handshake),
            Content::Metadata(metadata) => self.on_metadata(now, peer, metadata, answers)?,
            // What the peer has was changed when the message was observed.
            Content::DontHave(piece) => self.check_range(&Message::Have(piece))?,
            Content::Pex(pex) => self.on_pex(now, peer, &pex),
            Content::Holepunch(message) => self.on_holepunch(now, peer, message),
            Content::UploadOnly(_) | Content::Other => {}
        }
        Ok(())
    }

    fn on_extended_handshake(&mut self, peer: &mut Peer, handshake: ExtendedHandshake) {
        if let Some((_, fetch)) = self.torrent.fetch() {
            fetch.note_change();
        }
        if let Some(client) = handshake.client {
            peer.client = Some(client.chars().take(MAX_CLIENT).collect());
        }
        if peer.pex.next_at.is_none() && peer.extension_id(&Extension::Pex).is_some() {
            self.deferred.greeted.push(peer.stream);
        }
        // The first port stands: each further port would take room among the addresses that are known.
        let first = peer.incoming && peer.listen_address.is_none();
        if let Some(port) = handshake.port.filter(|&port| port != 0 && first) {
            let listens = SocketAddr::new(peer.address.ip(), port);
            peer.listen_address = Some(listens);
            self.changes_of_peers += 1;
            self.swarm.note_connected(listens);
        }
    }
}

/// How long a peer that refused a request is asked for nothing.
const AFTER_REFUSAL: std::time::Duration = std::time::Duration::from_secs(2);

/// So many bytes of a message that is passed over cost as much as one byte of a message that is read.
const PASSED_UNIT: usize = 16;

/// How many characters of a client's name are kept.
const MAX_CLIENT: usize = 64;
