//! Blocks on their way out: requests taken, read from disk, sent.

use std::time::Duration;

use bytes::Bytes;

use crate::wire::{Content, Extension, Message};
use crate::{Block, PieceIndex, Timestamp};

use super::allowed_fast::spend_grant;
use super::core::Core;
use super::noise::Noise;
use super::peer::{Peer, Phase};
use super::{Event, Output, Session, SessionStreamId};

impl Core {
    /// Takes a request; what it costs. `repeated` says whether a request for the block is outstanding, as far as is known.
    pub(super) fn on_request(&mut self, peer: &mut Peer, block: Block, repeated: bool) -> Noise {
        let refused = !self.has(block.index)
            || block.length > MAX_SERVED
            || peer.upload.waiting() >= self.config.profile.reqq as usize
            || (peer.am_choking() && !spend_grant(peer, block, self.config.profile.allowed_fast));
        if !refused {
            peer.upload.last_request_at = self.now;
            // A request that was refused without a reject is outstanding for the peer, but will not be answered.
            if !repeated || !peer.upload.contains(block) {
                peer.upload.queue.push_back(block);
            }
            return Noise::Request;
        }
        // One that reads nothing need not be answered either.
        if peer.is_fast() && peer.unsent + peer.send_buffer.len() < MAX_UNSENT {
            peer.send(self.now, &Message::RejectRequest(block));
        }
        Noise::RefusedRequest
    }

    pub(super) fn on_cancel(&mut self, peer: &mut Peer, block: Block) {
        let waiting = peer.upload.waiting();
        peer.upload.queue.retain(|&other| other != block);
        peer.upload.loading.retain(|&other| other != block);
        // BEP 6: each request is answered or rejected, cancelled ones too.
        if peer.is_fast() && peer.upload.waiting() < waiting {
            peer.send(self.now, &Message::RejectRequest(block));
        }
    }

    /// Has blocks read for a peer, as many as leave within [`AHEAD`] at the rate at which bytes left lately; at first, before there
    /// is a rate, as many bytes as have left. A block that is handed to the driver leaves, whether or not the peer is choked or
    /// cancels its request meanwhile.
    pub(super) fn load_blocks(&mut self, now: Timestamp, peer: &mut Peer) {
        if peer.upload.queue.is_empty() || peer.unsent >= MAX_UNSENT {
            return;
        }
        let ahead = (peer.upload.leaving.per_second(now) * AHEAD.as_secs_f64()) as usize;
        let most = ahead.max(peer.upload.leaving.not_averaged(now) as usize).clamp(LEAST_AHEAD, MAX_UNSENT);
        let mut loading: usize = peer.upload.loading.iter().map(|block| block.length as usize).sum();
        while let Some(&block) = peer.upload.queue.front() {
            if peer.unsent + loading >= most || !self.is_running() {
                return;
            }
            if !self.choker.spend(block.length, peer.stream) {
                return;
            }
            peer.upload.queue.pop_front();
            peer.upload.loading.push_back(block);
            loading += block.length as usize;
            self.outputs.push_back(Output::Load(peer.stream, block));
        }
    }

    fn send_block(&mut self, now: Timestamp, peer: &mut Peer, block: Block, bytes: Bytes) {
        // The block follows as it was read, not copied unless it is enciphered.
        peer.send_piece_header(now, block);
        self.flush(now, peer);
        let count = u64::from(block.length);
        peer.note_unsent(now, bytes.len());
        peer.upload.bytes += count;
        peer.upload.rate.add(now, count);
        peer.note_block_sent(block.length);
        self.totals.uploaded += count;
        self.totals.upload_rate.add(now, count);
        self.say(peer, bytes);
    }
}

impl Session {
    /// A block was read.
    pub(super) fn loaded(
        &mut self,
        now: Timestamp,
        stream: SessionStreamId,
        block: Block,
        bytes: Option<Bytes>,
    ) {
        let Some(peer) = self.peers.get_mut(stream) else { return };
        // The request may have been cancelled, or the peer choked, meanwhile.
        if let Some(at) = peer.upload.loading.iter().position(|&other| other == block) {
            peer.upload.loading.remove(at);
            match bytes.filter(|bytes| bytes.len() == block.length as usize) {
                Some(bytes) => self.core.send_block(now, peer, block, bytes),
                None => {
                    if peer.is_fast() {
                        peer.send(now, &Message::RejectRequest(block));
                    }
                    self.lose(now, block.index);
                }
            }
        }
        self.peers.mark_dirty(stream);
    }

    /// A piece cannot be read any longer: peers that read of it are told (BEP 54), and it is served to nobody. A later run finds
    /// it missing and downloads it.
    fn lose(&mut self, now: Timestamp, piece: PieceIndex) {
        if !self.core.is_running() || !self.core.has(piece) {
            return;
        }
        self.core.lost.insert(piece);
        self.core.outputs.push_back(Output::Event(Event::PieceLost { index: piece }));
        let payload = Bytes::from(Content::DontHave(piece).encode().unwrap_or_default());
        let mut told = Vec::new();
        for peer in self.peers.iter_mut().filter(|peer| peer.phase == Phase::Open) {
            // The id is the one that the receiver gave to the extension (BEP 10).
            if let Some(id) = peer.extension_id(&Extension::DontHave) {
                peer.send(now, &Message::Extended { id, payload: payload.clone() });
                told.push(peer.stream);
            }
        }
        told.into_iter().for_each(|stream| self.peers.mark_dirty(stream));
    }

    /// Bytes have left.
    pub(super) fn sent(&mut self, now: Timestamp, stream: SessionStreamId, count: usize) {
        // A peer with requests that wait does not rest, and fewer bytes on their way are no reason to look at it sooner.
        let Some(peer) = self.peers.get_at_rest(stream) else { return };
        peer.last_read = now;
        peer.upload.leaving.add(now, count.min(peer.unsent) as u64);
        peer.unsent = peer.unsent.saturating_sub(count);
        if !peer.upload.queue.is_empty() {
            self.peers.mark_dirty(stream);
        }
    }
}

/// The longest block served. Clients ask for 16 KiB; some have asked for more, and BEP 3 names 2^17 bytes as where others
/// close the connection.
const MAX_SERVED: u32 = 128 * 1024;

/// How many bytes wait to be sent to one peer at most before no more blocks are read for it, however fast it takes them.
const MAX_UNSENT: usize = 1024 * 1024;

/// For how long blocks that wait to be sent to a peer keep it busy. It is longer than most round trips.
const AHEAD: Duration = Duration::from_secs(1);

/// With fewer bytes to be sent to a peer one more block is read for it, however slow it is.
const LEAST_AHEAD: usize = 16 * 1024;
