//! One peer: the state of the connection, what the session decides about the peer, and what waits to be sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use crate::peer::{ConnectionState, ObservedMessage, PeerFault, PeerSide, RequestCapacity, SideState};
use crate::wire::{Extension, Handshake, Message, PieceSet};
use crate::{Block, Geometry, PeerId, PieceIndex, Timestamp};

use super::assigned::AssignedBlocks;
use super::encryption::Way;
use super::exchange::AddressSet;
use super::holepunch::HolepunchCount;
use super::message_reader::{BitfieldLength, MessageReader};
use super::metadata::MetadataSource;
use super::negotiate::PeerEncryption;
use super::rate::Rate;
use super::{EncryptionPolicy, MessageCounts, SessionStreamId};

/// A connection to a peer, from the moment that one side opens it.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) stream: SessionStreamId,
    pub(super) address: SocketAddr,
    /// Whether the peer opened the connection.
    pub(super) incoming: bool,
    /// The way in which we dialled the peer, where it did not open the connection.
    pub(super) dialled: Option<Way>,
    pub(super) encryption: PeerEncryption,
    /// The address at which others can connect to the peer, when that is known.
    pub(super) listen_address: Option<SocketAddr>,
    pub(super) phase: Phase,
    /// When the phase began.
    pub(super) phase_since: Timestamp,
    /// What both sides have sent, and what follows from that. Whatever is sent or received passes through here.
    state: ConnectionState,
    /// How many messages were observed.
    observed: u64,
    /// The peer id that we send to this peer.
    pub(super) own_id: PeerId,
    /// The client's name in the peer's extended handshake.
    pub(super) client: Option<String>,
    pub(super) reader: MessageReader,
    /// Messages that wait for the end of the step, to leave together.
    pub(super) send_buffer: Vec<u8>,
    /// How many messages were sent, and which of them the schedule chose.
    pub(super) messages: MessageCounts,
    /// Bytes handed to the driver that have not left yet.
    pub(super) unsent: usize,
    /// Whether the peer told in one message that it has all pieces.
    pub(super) told_all: bool,
    /// Since when the peer, which was interested, is not.
    pub(super) lost_interest_at: Option<Timestamp>,
    /// How many of the peer's pieces are missing here.
    pub(super) wanted_pieces: u32,
    /// How many of the new pieces are in the bitfield that was sent after the handshake.
    pub(super) known_pending_haves: usize,
    /// Whether the peer sent anything after its handshake: a bitfield must come first.
    pub(super) has_sent_message: bool,
    /// What the peer has cost without giving anything: see [`Noise`](super::noise::Noise).
    pub(super) noise: u32,
    pub(super) last_received: Timestamp,
    pub(super) last_sent: Timestamp,
    /// When the peer last took bytes, or bytes began to wait for it.
    pub(super) last_read: Timestamp,
    pub(super) starvation: Starvation,
    pub(super) fast_pieces: FastPieces,
    pub(super) download: PeerDownload,
    pub(super) upload: PeerUpload,
    pub(super) pex: PexState,
    /// Whether the connection is over uTP.
    pub(super) over_utp: bool,
    /// Messages of holepunch from the peer, and rendezvous that we asked of it.
    pub(super) holepunch: HolepunchCount,
    pub(super) asked_to_relay: HolepunchCount,
    pub(super) metadata: MetadataSource,
    /// Whether the handshakes came to version 2 (BEP 52), so that hashes can be asked for.
    pub(super) is_v2: bool,
    /// Whether the peer answered by an info hash of which it is not known whether it is the torrent's of version 2.
    pub(super) is_unproven: bool,
    /// No hashes are asked of the peer before this time: it rejected a request.
    pub(super) hashes_rest_until: Option<Timestamp>,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// We are opening it.
    Connecting,
    /// The peer's handshake has not come.
    Handshake,
    /// Handshakes are exchanged.
    Open,
}

/// For how long the peer has given nothing because it chokes us.
#[derive(Debug)]
pub(super) struct Starvation {
    /// When the peer last sent data, if it has choked us since: brief unchokes without data do not count.
    pub(super) since: Timestamp,
    /// How many bytes the peer had sent when it last choked us.
    pub(super) downloaded_at_choke: u64,
}

/// What the session makes of pieces that are allowed fast (BEP 6).
#[derive(Debug, Default)]
pub(super) struct FastPieces {
    /// The pieces that the peer allows, and yet rejected a request for.
    pub(super) refused: BTreeSet<PieceIndex>,
    /// The pieces that we allow the peer, and how many bytes of each are left to it.
    pub(super) granted: BTreeMap<PieceIndex, u32>,
}

/// Blocks from the peer.
#[derive(Debug)]
pub(super) struct PeerDownload {
    pub(super) assigned: AssignedBlocks,
    /// How many requests were sent.
    pub(super) requests_sent: u32,
    /// How many whole blocks came for them.
    pub(super) blocks_received: u32,
    /// The block that is being received, where it was assigned to the peer.
    pub(super) receiving: Option<ReceivingBlock>,
    /// The piece of the last request.
    pub(super) current_piece: Option<PieceIndex>,
    /// How many requests may be outstanding.
    pub(super) pipeline_depth: usize,
    /// The shortest time from a request to the end of its block.
    pub(super) latency: Option<Duration>,
    pub(super) first_block_at: Option<Timestamp>,
    /// When bytes of a block last came, or when the first request was sent to an idle peer.
    pub(super) last_block_at: Timestamp,
    /// Whether no block came for so long that the requests were taken back.
    pub(super) snubbed: bool,
    /// Whether other peers may be asked for what this peer was asked for.
    pub(super) requests_shared: bool,
    /// How many times the peer was asked again since its last block, because nothing came.
    pub(super) reminders: u32,
    /// No request is sent before this time: the peer rejected one.
    pub(super) refused_until: Option<Timestamp>,
    /// The picker's version when it last had no block for this peer.
    pub(super) nothing_to_pick_at: Option<u64>,
    /// The verified pieces with blocks from the peer that the peer is still to be told of.
    pub(super) given: BTreeSet<PieceIndex>,
    /// Bytes of blocks that came, each counted once.
    pub(super) bytes: u64,
    pub(super) rate: Rate,
    /// Bytes of blocks that may come without a request: it was cancelled or given up.
    pub(super) tolerated_bytes: u64,
}

/// Blocks to the peer.
#[derive(Debug)]
pub(super) struct PeerUpload {
    /// The requests that will be answered, in the order in which they are.
    pub(super) queue: VecDeque<Block>,
    /// When the peer last requested a block that it may have, or was unchoked.
    pub(super) last_request_at: Timestamp,
    /// Requests whose blocks are being read from disk.
    pub(super) loading: VecDeque<Block>,
    /// Bytes of blocks that were sent.
    pub(super) bytes: u64,
    pub(super) rate: Rate,
    /// How fast bytes left that were handed to the driver.
    pub(super) leaving: Rate,
}

/// Peer exchange (BEP 11).
#[derive(Debug, Default)]
pub(super) struct PexState {
    /// The addresses that the peer was told of.
    pub(super) told: AddressSet,
    /// No message is sent before this time.
    pub(super) next_at: Option<Timestamp>,
    /// After how many changes among the peers there was nothing to tell the peer.
    pub(super) knows_all_of: Option<u64>,
    pub(super) received_at: Option<Timestamp>,
    /// What is said of the peer to others, once others may be told of it.
    pub(super) flags: Option<u8>,
}

/// A block of which the first bytes have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReceivingBlock {
    pub(super) block: Block,
    pub(super) begun_at: Timestamp,
    /// The time from the request to the first bytes; `None` where the request had ended before.
    pub(super) waited: Option<Duration>,
}

/// What is known of a connection when it begins.
#[derive(Debug)]
pub(super) struct NewPeer {
    pub(super) stream: SessionStreamId,
    pub(super) address: SocketAddr,
    /// The way in which the peer is dialled; `None` where it called.
    pub(super) dialled: Option<Way>,
    pub(super) policy: EncryptionPolicy,
    pub(super) own_id: PeerId,
    /// How many pieces the torrent has; `None` while its metadata has not come.
    pub(super) piece_count: Option<u32>,
    pub(super) pipeline_depth: usize,
}

impl Peer {
    pub(super) fn new(new: &NewPeer, now: Timestamp) -> Self {
        let mut state = ConnectionState::with_capacity(RequestCapacity::CLIENT);
        match new.piece_count {
            Some(count) => state.set_piece_count(count),
            None => state.keep_early_pieces(),
        }
        let incoming = new.dialled.is_none();
        Self {
            stream: new.stream,
            address: new.address,
            incoming,
            dialled: new.dialled,
            encryption: if incoming { PeerEncryption::of_caller(new.policy) } else { PeerEncryption::Clear },
            listen_address: (!incoming).then_some(new.address),
            phase: if incoming { Phase::Handshake } else { Phase::Connecting },
            phase_since: now,
            state,
            observed: 0,
            own_id: new.own_id,
            client: None,
            reader: MessageReader::new(new.piece_count.map_or(BitfieldLength::Unknown, BitfieldLength::of)),
            send_buffer: Vec::new(),
            messages: MessageCounts::default(),
            unsent: 0,
            told_all: false,
            lost_interest_at: None,
            wanted_pieces: 0,
            known_pending_haves: 0,
            has_sent_message: false,
            noise: 0,
            last_received: now,
            last_sent: now,
            last_read: now,
            starvation: Starvation { since: now, downloaded_at_choke: 0 },
            fast_pieces: FastPieces::default(),
            download: PeerDownload::new(new.pipeline_depth, now),
            upload: PeerUpload::new(now),
            pex: PexState::default(),
            over_utp: false,
            holepunch: HolepunchCount::default(),
            asked_to_relay: HolepunchCount::default(),
            metadata: MetadataSource::default(),
            is_v2: false,
            is_unproven: false,
            hashes_rest_until: None,
        }
    }

    /// The metadata has come: what the peer said of its pieces is applied.
    pub(super) fn learn_geometry(&mut self, geometry: &Geometry) -> Result<(), PeerFault> {
        self.reader.set_bitfield_length(BitfieldLength::of(geometry.piece_count()));
        let theirs = self.side().other();
        let faults = self.state.apply_early_pieces(geometry);
        faults.into_iter().find(|(side, _)| *side == theirs).map_or(Ok(()), |(_, fault)| Err(fault))
    }

    /// Handshakes are exchanged.
    pub(super) const fn begin(&mut self, now: Timestamp) {
        self.phase = Phase::Open;
        self.phase_since = now;
        self.starvation.since = now;
        self.download.last_block_at = now;
    }

    /// Takes in the peer's handshake.
    pub(super) fn observe_handshake(&mut self, now: Timestamp, handshake: &Handshake) {
        self.observed += 1;
        self.state.observe_handshake(self.side().other(), now, self.observed, handshake);
    }

    /// Takes in a message of the peer.
    pub(super) fn observe(&mut self, now: Timestamp, message: &Message) -> ObservedMessage {
        self.observed += 1;
        self.state.observe(self.side().other(), now, self.observed, message)
    }

    /// Takes in that a message of the peer brings a block, whose bytes may be still to come.
    pub(super) fn observe_block(&mut self, now: Timestamp, block: Block) -> ObservedMessage {
        self.observed += 1;
        self.state.observe_block(self.side().other(), now, self.observed, block)
    }

    pub(super) fn send_handshake(&mut self, now: Timestamp, handshake: &Handshake) {
        self.send_buffer.extend_from_slice(&handshake.encode());
        self.observed += 1;
        self.state.observe_handshake(self.side(), now, self.observed, handshake);
    }

    /// Adds a message to those that wait to be sent.
    pub(super) fn send(&mut self, now: Timestamp, message: &Message) {
        message.encode(&mut self.send_buffer);
        self.messages.sent += 1;
        self.observed += 1;
        self.state.observe(self.side(), now, self.observed, message);
    }

    /// Adds a message of peer exchange (BEP 11), under the peer's id for it. It changes nothing on the connection, and is not
    /// decoded again for that.
    pub(super) fn send_pex(&mut self, id: u8, payload: Vec<u8>) {
        Message::Extended { id, payload: payload.into() }.encode(&mut self.send_buffer);
        self.messages.sent += 1;
        self.observed += 1;
    }

    /// Adds the beginning of a piece message; its block is sent next.
    pub(super) fn send_piece_header(&mut self, now: Timestamp, block: Block) {
        self.send_buffer.extend_from_slice(&Message::piece_header(block));
        self.messages.sent += 1;
        self.observed += 1;
        self.state.observe_block(self.side(), now, self.observed, block);
    }

    /// Our side of the connection.
    pub(super) const fn side(&self) -> PeerSide {
        if self.incoming { PeerSide::Responder } else { PeerSide::Initiator }
    }

    /// What we have sent to the peer.
    pub(super) const fn ours(&self) -> &SideState {
        self.state.side(self.side())
    }

    /// What the peer has sent.
    pub(super) const fn theirs(&self) -> &SideState {
        self.state.side(self.side().other())
    }

    pub(super) const fn am_choking(&self) -> bool {
        self.ours().is_choking()
    }

    pub(super) const fn am_interested(&self) -> bool {
        self.ours().is_interested()
    }

    pub(super) const fn peer_choking(&self) -> bool {
        self.theirs().is_choking()
    }

    pub(super) const fn peer_interested(&self) -> bool {
        self.theirs().is_interested()
    }

    /// Since when the peer chokes us, where it does.
    pub(super) fn choked_since(&self) -> Timestamp {
        self.theirs().choked_at().unwrap_or(self.phase_since)
    }

    /// The peer id that the peer sent.
    pub(super) fn peer_id(&self) -> Option<PeerId> {
        self.theirs().handshake().map(|handshake| handshake.peer_id)
    }

    /// Whether both sides speak the fast extension (BEP 6).
    pub(super) fn is_fast(&self) -> bool {
        self.state.is_fast() == Some(true)
    }

    /// Whether both sides speak the extension protocol (BEP 10).
    pub(super) fn is_extended(&self) -> bool {
        self.state.is_extended()
    }

    /// The id under which the peer receives messages of an extension (BEP 10).
    pub(super) fn extension_id(&self, extension: &Extension) -> Option<u8> {
        self.theirs().extension_id(extension)
    }

    /// The pieces that the peer has.
    pub(super) const fn pieces(&self) -> &PieceSet {
        self.theirs().pieces().expect("a new peer is told how many pieces there are")
    }

    /// How many requests the peer queues (BEP 10).
    pub(super) fn reqq(&self) -> usize {
        self.theirs().reqq().filter(|&reqq| reqq > 0).map_or(DEFAULT_REQQ, |reqq| reqq as usize)
    }

    /// Whether the peer queues one more request: the one whose block is being received counts until the block has come whole.
    pub(super) fn has_room_for_request(&self) -> bool {
        self.download.assigned.len() + usize::from(self.download.receiving.is_some()) < self.reqq()
    }

    /// How many requests may be outstanding.
    pub(super) fn pipeline_depth(&self) -> usize {
        self.download.pipeline_depth.min(self.reqq())
    }

    /// The pieces that may be requested though the peer chokes us (BEP 6).
    pub(super) fn usable_fast_pieces(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        let allowed = self.theirs().allowed_fast().iter().copied();
        allowed.filter(|&piece| self.is_usable_fast(piece))
    }

    /// Whether a piece may be requested though the peer chokes us (BEP 6).
    pub(super) fn is_usable_fast(&self, piece: PieceIndex) -> bool {
        self.is_fast() && self.theirs().allows_fast(piece) && !self.fast_pieces.refused.contains(&piece)
    }

    /// The messages that wait, noted as sent, in clear; none while a negotiation goes on.
    pub(super) fn take_send_buffer(&mut self, now: Timestamp) -> Option<Bytes> {
        if self.send_buffer.is_empty() || self.encryption.holds_back() {
            return None;
        }
        self.last_sent = now;
        self.note_unsent(now, self.send_buffer.len());
        Some(Bytes::from(std::mem::take(&mut self.send_buffer)))
    }

    /// So many bytes are handed to the driver.
    pub(super) const fn note_unsent(&mut self, now: Timestamp, count: usize) {
        if self.unsent == 0 {
            self.last_read = now;
        }
        self.unsent += count;
    }

    /// Whether requests can be sent now.
    pub(super) fn is_askable(&self) -> bool {
        self.phase == Phase::Open
            && self.am_interested()
            && (!self.peer_choking() || self.usable_fast_pieces().next().is_some())
    }

    /// Whether the peer wants blocks, and can have some: one that has all pieces wants none.
    pub(super) fn is_eager(&self) -> bool {
        self.phase == Phase::Open && self.peer_interested() && !self.pieces().is_all()
    }

    /// Whether more requests could be sent.
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Open
            && self.download.assigned.expected() < self.download.pipeline_depth
            && self.wanted_pieces > 0
    }

    /// The peer's host.
    pub(super) fn host(&self) -> IpAddr {
        self.address.ip().to_canonical()
    }

    /// The address by which others know the peer.
    pub(super) fn known_address(&self) -> SocketAddr {
        self.listen_address.unwrap_or(self.address)
    }

    /// Where others can connect to the peer, once handshakes are exchanged.
    pub(super) fn dialable(&self) -> Option<SocketAddr> {
        self.listen_address.filter(|_| self.phase == Phase::Open)
    }
}

impl PeerDownload {
    fn new(pipeline_depth: usize, now: Timestamp) -> Self {
        Self {
            assigned: AssignedBlocks::default(),
            requests_sent: 0,
            blocks_received: 0,
            receiving: None,
            current_piece: None,
            pipeline_depth,
            latency: None,
            first_block_at: None,
            last_block_at: now,
            snubbed: false,
            requests_shared: false,
            reminders: 0,
            refused_until: None,
            nothing_to_pick_at: None,
            given: BTreeSet::new(),
            bytes: 0,
            rate: Rate::new(now),
            tolerated_bytes: 0,
        }
    }

    /// Whether a block is waited for.
    pub(super) fn is_busy(&self) -> bool {
        !self.assigned.is_empty() || self.receiving.is_some()
    }
}

impl PeerUpload {
    const fn new(now: Timestamp) -> Self {
        Self {
            queue: VecDeque::new(),
            last_request_at: now,
            loading: VecDeque::new(),
            bytes: 0,
            rate: Rate::new(now),
            leaving: Rate::new(now),
        }
    }

    /// Whether the block will be sent.
    pub(super) fn contains(&self, block: Block) -> bool {
        self.queue.contains(&block) || self.loading.contains(&block)
    }

    /// How many requests of the peer are not answered.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len() + self.loading.len()
    }
}

/// How many requests a peer queues that does not say (BEP 10, "reqq").
const DEFAULT_REQQ: usize = 250;

#[cfg(test)]
mod tests {
    use super::*;

    /// A client keeps fifty of them, and a simulated swarm fifty for each of its hosts.
    #[test]
    fn a_peer_takes_less_than_two_kilobytes() {
        let size = size_of::<Peer>();
        assert!(size <= 1_816, "{size}");
    }
}
