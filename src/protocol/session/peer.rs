//! What is known of one peer, and what waits to be sent to the peer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::wire::{Message, PieceSet};
use crate::{Block, PeerId, PieceIndex, Timestamp};

use super::message_reader::MessageReader;
use super::rate::Rate;
use super::{MessageCounts, SessionStreamId};

/// A connection to a peer, from the moment that one side opens it.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) stream: SessionStreamId,
    pub(super) address: SocketAddr,
    /// Whether the peer opened the connection.
    pub(super) incoming: bool,
    /// The address at which others can connect to the peer, when that is known.
    pub(super) listen_address: Option<SocketAddr>,
    pub(super) phase: Phase,
    /// When the phase began.
    pub(super) phase_since: Timestamp,
    pub(super) peer_id: Option<PeerId>,
    /// The peer id that we send to this peer.
    pub(super) own_id: PeerId,
    /// The client's name in the peer's extended handshake.
    pub(super) client: Option<String>,
    /// Whether both sides speak the fast extension (BEP 6).
    pub(super) fast: bool,
    /// Whether both sides speak the extension protocol (BEP 10).
    pub(super) extended: bool,
    /// The ids under which the peer receives extensions.
    pub(super) extension_ids: ExtensionIds,
    pub(super) reader: MessageReader,
    /// Messages that wait for the end of the step, to leave together.
    pub(super) send_buffer: Vec<u8>,
    /// How many messages were sent, and which of them the schedule chose.
    pub(super) messages: MessageCounts,
    /// Bytes handed to the driver that have not left yet.
    pub(super) unsent: usize,
    /// The pieces that the peer has.
    pub(super) pieces: PieceSet,
    /// How many of the peer's pieces are missing here.
    pub(super) wanted_pieces: u32,
    /// The pieces that the peer suggests (BEP 6).
    pub(super) suggested: Vec<PieceIndex>,
    /// How many of the new pieces are in the bitfield that was sent after the handshake.
    pub(super) known_pending_haves: usize,
    /// Whether the peer sent anything after its handshake: a bitfield must come first.
    pub(super) has_sent_message: bool,
    /// How many messages of the peer said nothing new.
    pub(super) noise: u32,
    pub(super) last_received: Timestamp,
    pub(super) last_sent: Timestamp,
    pub(super) choke: ChokeState,
    pub(super) download: PeerDownload,
    pub(super) upload: PeerUpload,
    pub(super) pex: PexState,
    /// Whether the peer is in the list of peers to be serviced.
    pub(super) dirty: bool,
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

/// Who chokes whom, and who is interested (BEP 3).
#[derive(Debug)]
pub(super) struct ChokeState {
    pub(super) am_choking: bool,
    pub(super) am_interested: bool,
    pub(super) peer_choking: bool,
    pub(super) peer_interested: bool,
    /// When the peer last choked us.
    pub(super) choked_since: Timestamp,
    /// When the peer last sent data, if it has choked us since: brief unchokes without data do not count.
    pub(super) choked_idle_since: Timestamp,
    /// How many bytes the peer had sent when it last choked us.
    pub(super) downloaded_at_choke: u64,
    /// The pieces that may be requested while the peer chokes us (BEP 6).
    pub(super) allowed_fast: BTreeSet<PieceIndex>,
    /// The pieces that the peer may request while we choke it, and how many bytes of each are left to it (BEP 6).
    pub(super) granted_fast: BTreeMap<PieceIndex, u32>,
}

/// Blocks from the peer.
#[derive(Debug)]
pub(super) struct PeerDownload {
    pub(super) outstanding: VecDeque<OutstandingRequest>,
    /// How many requests were sent.
    pub(super) requests_sent: u32,
    /// How many whole blocks came for them.
    pub(super) blocks_received: u32,
    /// The request whose block is being received.
    pub(super) receiving: Option<OutstandingRequest>,
    /// The piece of the last request.
    pub(super) current_piece: Option<PieceIndex>,
    /// How many requests may be outstanding.
    pub(super) pipeline_depth: usize,
    /// How many requests the peer queues (BEP 10).
    pub(super) reqq: usize,
    /// The shortest time from a request to the end of its block.
    pub(super) latency: Option<Duration>,
    pub(super) first_block_at: Option<Timestamp>,
    /// When bytes of a block last came, or when the first request was sent to an idle peer.
    pub(super) last_block_at: Timestamp,
    /// Whether no block came for so long that the requests were taken back.
    pub(super) snubbed: bool,
    /// Whether other peers may be asked for what this peer was asked for.
    pub(super) requests_shared: bool,
    /// No request is sent before this time: the peer rejected one.
    pub(super) refused_until: Option<Timestamp>,
    /// The picker's version when it last had no block for this peer.
    pub(super) nothing_to_pick_at: Option<u64>,
    /// Bytes of blocks that came, each counted once.
    pub(super) bytes: u64,
    pub(super) rate: Rate,
    /// Bytes of blocks that may come without a request: it was cancelled or given up.
    pub(super) tolerated_bytes: u64,
}

/// Blocks to the peer.
#[derive(Debug)]
pub(super) struct PeerUpload {
    /// Requests that wait.
    pub(super) queue: VecDeque<Block>,
    /// Requests whose blocks are being read from disk.
    pub(super) loading: VecDeque<Block>,
    /// Bytes of blocks that were sent.
    pub(super) bytes: u64,
    pub(super) rate: Rate,
}

/// Peer exchange (BEP 11).
#[derive(Debug, Default)]
pub(super) struct PexState {
    /// The addresses that the peer was told of.
    pub(super) sent: BTreeSet<SocketAddr>,
    /// No message is sent before this time.
    pub(super) next_at: Option<Timestamp>,
    pub(super) received_at: Option<Timestamp>,
}

/// A request that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutstandingRequest {
    pub(super) block: Block,
    pub(super) at: Timestamp,
}

/// The ids under which a peer receives the extensions that we speak; 0 where it does not (BEP 10).
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct ExtensionIds {
    pub(super) metadata: u8,
    pub(super) pex: u8,
}

/// What is known of a connection when it begins.
#[derive(Debug)]
pub(super) struct NewPeer {
    pub(super) stream: SessionStreamId,
    pub(super) address: SocketAddr,
    pub(super) incoming: bool,
    pub(super) own_id: PeerId,
    /// How many pieces the torrent has.
    pub(super) piece_count: u32,
    /// How many bytes a bitfield of the torrent has.
    pub(super) bitfield_length: usize,
    pub(super) pipeline_depth: usize,
}

impl Peer {
    pub(super) fn new(new: &NewPeer, now: Timestamp) -> Self {
        Self {
            stream: new.stream,
            address: new.address,
            incoming: new.incoming,
            listen_address: (!new.incoming).then_some(new.address),
            phase: if new.incoming { Phase::Handshake } else { Phase::Connecting },
            phase_since: now,
            peer_id: None,
            own_id: new.own_id,
            client: None,
            fast: false,
            extended: false,
            extension_ids: ExtensionIds::default(),
            reader: MessageReader::new(new.bitfield_length),
            send_buffer: Vec::new(),
            messages: MessageCounts::default(),
            unsent: 0,
            pieces: PieceSet::none(new.piece_count),
            wanted_pieces: 0,
            suggested: Vec::new(),
            known_pending_haves: 0,
            has_sent_message: false,
            noise: 0,
            last_received: now,
            last_sent: now,
            choke: ChokeState::default(),
            download: PeerDownload::new(new.pipeline_depth, now),
            upload: PeerUpload::new(now),
            pex: PexState::default(),
            dirty: false,
        }
    }

    /// The peer's handshake has come.
    pub(super) const fn begin(&mut self, peer_id: PeerId, now: Timestamp) {
        self.phase = Phase::Open;
        self.phase_since = now;
        self.peer_id = Some(peer_id);
        self.choke.choked_since = now;
        self.choke.choked_idle_since = now;
        self.download.last_block_at = now;
    }

    /// Adds a message to those that wait to be sent.
    pub(super) fn send(&mut self, message: &Message) {
        message.encode(&mut self.send_buffer);
        self.messages.sent += 1;
    }

    /// The messages that wait, noted as sent.
    pub(super) fn take_send_buffer(&mut self, now: Timestamp) -> Option<Bytes> {
        if self.send_buffer.is_empty() {
            return None;
        }
        self.last_sent = now;
        self.unsent += self.send_buffer.len();
        Some(Bytes::from(std::mem::take(&mut self.send_buffer)))
    }

    /// Whether requests can be sent now.
    pub(super) fn is_askable(&self) -> bool {
        self.phase == Phase::Open
            && self.choke.am_interested
            && (!self.choke.peer_choking || !self.choke.allowed_fast.is_empty())
    }

    /// Whether the peer wants blocks, and can have some: one that has all pieces wants none.
    pub(super) fn is_eager(&self) -> bool {
        self.phase == Phase::Open && self.choke.peer_interested && !self.pieces.is_all()
    }

    /// Whether more requests could be sent.
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Open
            && self.download.outstanding.len() < self.download.pipeline_depth
            && self.wanted_pieces > 0
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

impl Default for ChokeState {
    /// Connections begin choked and not interested (BEP 3).
    fn default() -> Self {
        Self {
            am_choking: true,
            am_interested: false,
            peer_choking: true,
            peer_interested: false,
            choked_since: Timestamp::EPOCH,
            choked_idle_since: Timestamp::EPOCH,
            downloaded_at_choke: 0,
            allowed_fast: BTreeSet::new(),
            granted_fast: BTreeMap::new(),
        }
    }
}

impl PeerDownload {
    const fn new(pipeline_depth: usize, now: Timestamp) -> Self {
        Self {
            outstanding: VecDeque::new(),
            requests_sent: 0,
            blocks_received: 0,
            receiving: None,
            current_piece: None,
            pipeline_depth,
            reqq: DEFAULT_REQQ,
            latency: None,
            first_block_at: None,
            last_block_at: now,
            snubbed: false,
            requests_shared: false,
            refused_until: None,
            nothing_to_pick_at: None,
            bytes: 0,
            rate: Rate::new(now),
            tolerated_bytes: 0,
        }
    }

    /// Whether a block is waited for.
    pub(super) fn is_busy(&self) -> bool {
        !self.outstanding.is_empty() || self.receiving.is_some()
    }

    /// Takes the request for this block out of those that wait.
    pub(super) fn take_outstanding(&mut self, block: Block) -> Option<OutstandingRequest> {
        let at = self.outstanding.iter().position(|outstanding| outstanding.block == block)?;
        self.outstanding.remove(at)
    }
}

impl PeerUpload {
    const fn new(now: Timestamp) -> Self {
        Self { queue: VecDeque::new(), loading: VecDeque::new(), bytes: 0, rate: Rate::new(now) }
    }

    /// How many requests of the peer are not answered.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len() + self.loading.len()
    }
}

/// How many requests a peer queues that does not say (BEP 10, "reqq").
const DEFAULT_REQQ: usize = 250;
