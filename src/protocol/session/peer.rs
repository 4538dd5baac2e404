//! What is known of one peer, and what waits to be said to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;

use crate::wire::Message;
use crate::{Block, PeerId, PieceIndex, Timestamp};

use super::SessionStreamId;
use super::holding::PieceSet;
use super::message_reader::MessageReader;
use super::rate::Rate;

/// A connection to a peer, from the moment it is dialled or calls.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) stream: SessionStreamId,
    pub(super) address: SocketAddr,
    /// Whether it called us.
    pub(super) incoming: bool,
    /// Where it can be dialled, when that is known.
    pub(super) listen_address: Option<SocketAddr>,
    pub(super) phase: Phase,
    /// When the phase began.
    pub(super) phase_since: Timestamp,
    pub(super) peer_id: Option<PeerId>,
    /// What we call ourselves to it.
    pub(super) own_id: PeerId,
    /// What it calls itself in its extended handshake.
    pub(super) client: Option<String>,
    pub(super) fast: bool,
    pub(super) extended: bool,
    /// The ids under which it receives extensions.
    pub(super) extension_ids: ExtensionIds,
    pub(super) reader: MessageReader,
    /// Messages that wait for the end of the step, to leave together.
    pub(super) send_buffer: Vec<u8>,
    /// Bytes handed out to be sent that have not left.
    pub(super) unsent: usize,
    pub(super) pieces: PieceSet,
    /// Whether it has said anything after its handshake: a bitfield must come first.
    pub(super) has_sent_message: bool,
    /// How many of its pieces we lack.
    pub(super) wanted_pieces: u32,
    pub(super) am_choking: bool,
    pub(super) am_interested: bool,
    pub(super) peer_choking: bool,
    pub(super) peer_interested: bool,
    /// When it last choked us.
    pub(super) choked_since: Timestamp,
    /// Since when all it did was choke us, now and then with a pause in which nothing came.
    pub(super) choked_idle_since: Timestamp,
    /// What it had given when it last choked us.
    pub(super) downloaded_at_choke: u64,
    /// What it may be asked for while it chokes us (BEP 6).
    pub(super) allowed_fast: BTreeSet<PieceIndex>,
    /// What it may have while we choke it, and how many bytes of each piece it has not had (BEP 6).
    pub(super) granted_fast: BTreeMap<PieceIndex, u32>,
    /// What it suggests (BEP 6).
    pub(super) suggested: Vec<PieceIndex>,

    pub(super) outstanding: VecDeque<OutstandingRequest>,
    /// How many blocks it was asked for, and how many of them it gave.
    pub(super) requests_sent: u32,
    pub(super) blocks_received: u32,
    /// The request whose block is coming.
    pub(super) receiving: Option<OutstandingRequest>,
    /// The piece of which it was last asked for a block.
    pub(super) current_piece: Option<PieceIndex>,
    /// How many requests may wait at it.
    pub(super) pipeline_depth: usize,
    /// The most it takes.
    pub(super) reqq: usize,
    /// The shortest time from a request to its block.
    pub(super) latency: Option<std::time::Duration>,
    /// When its first block came.
    pub(super) first_block_at: Option<Timestamp>,
    /// When it last sent of a block, or was first asked since it had nothing to do.
    pub(super) last_block_at: Timestamp,
    pub(super) snubbed: bool,
    /// Whether what it was asked for may be asked of others too.
    pub(super) requests_shared: bool,
    /// It is not asked for anything before this: it refused.
    pub(super) refused_until: Option<Timestamp>,
    /// The picker's version when it last had nothing for this peer.
    pub(super) nothing_to_pick_at: Option<u64>,
    /// What it asked for and has not got.
    pub(super) upload_queue: VecDeque<Block>,
    /// Blocks that are being read for it.
    pub(super) loading: VecDeque<Block>,
    pub(super) downloaded: u64,
    pub(super) uploaded: u64,
    pub(super) download_rate: Rate,
    pub(super) upload_rate: Rate,
    pub(super) last_received: Timestamp,
    pub(super) last_sent: Timestamp,
    /// Bytes of blocks that may come though nobody waits for them: cancelled, or given up.
    pub(super) tolerated_bytes: u64,
    /// Messages that said nothing new.
    pub(super) noise: u32,
    /// How many of the pieces that are new it heard of in its opening.
    pub(super) known_pending_haves: usize,
    pub(super) pex_sent: BTreeSet<SocketAddr>,
    pub(super) next_pex_at: Timestamp,
    pub(super) pex_received_at: Option<Timestamp>,
    /// Whether it is among those to be looked after at the end of the step.
    pub(super) dirty: bool,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It was dialled.
    Connecting,
    /// Its handshake has not come.
    Handshake,
    /// Handshakes are exchanged.
    Open,
}

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutstandingRequest {
    pub(super) block: Block,
    pub(super) at: Timestamp,
}

/// The ids under which a peer receives the extensions we speak; 0 where it does not.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct ExtensionIds {
    pub(super) metadata: u8,
    pub(super) pex: u8,
}

impl Peer {
    pub(super) fn new(
        stream: SessionStreamId,
        address: SocketAddr,
        called: bool,
        own_id: PeerId,
        pieces: u32,
        bitfield_length: usize,
        now: Timestamp,
    ) -> Self {
        Self {
            stream,
            address,
            incoming: called,
            listen_address: (!called).then_some(address),
            phase: if called { Phase::Handshake } else { Phase::Connecting },
            phase_since: now,
            peer_id: None,
            own_id,
            client: None,
            fast: false,
            extended: false,
            extension_ids: ExtensionIds::default(),
            reader: MessageReader::new(bitfield_length),
            send_buffer: Vec::new(),
            unsent: 0,
            pieces: PieceSet::none(pieces),
            has_sent_message: false,
            wanted_pieces: 0,
            am_choking: true,
            am_interested: false,
            peer_choking: true,
            peer_interested: false,
            choked_since: now,
            choked_idle_since: now,
            downloaded_at_choke: 0,
            allowed_fast: BTreeSet::new(),
            granted_fast: BTreeMap::new(),
            suggested: Vec::new(),

            outstanding: VecDeque::new(),
            requests_sent: 0,
            blocks_received: 0,
            receiving: None,
            current_piece: None,
            pipeline_depth: 0,
            reqq: DEFAULT_REQQ,
            latency: None,
            first_block_at: None,
            last_block_at: now,
            snubbed: false,
            requests_shared: false,
            refused_until: None,
            nothing_to_pick_at: None,
            upload_queue: VecDeque::new(),
            known_pending_haves: 0,
            loading: VecDeque::new(),
            downloaded: 0,
            uploaded: 0,
            download_rate: Rate::new(now),
            upload_rate: Rate::new(now),
            last_received: now,
            last_sent: now,
            tolerated_bytes: 0,
            noise: 0,
            pex_sent: BTreeSet::new(),
            next_pex_at: now,
            pex_received_at: None,
            dirty: false,
        }
    }

    /// Puts a message behind what waits to be said.
    pub(super) fn send(&mut self, message: &Message) {
        message.encode(&mut self.send_buffer);
    }

    /// What waits to be said, noted as sent.
    pub(super) fn take_send_buffer(&mut self, now: Timestamp) -> Option<Bytes> {
        if self.send_buffer.is_empty() {
            return None;
        }
        self.last_sent = now;
        self.unsent += self.send_buffer.len();
        Some(Bytes::from(std::mem::take(&mut self.send_buffer)))
    }

    /// Takes the request for this block out of those that wait.
    pub(super) fn take_outstanding(&mut self, block: Block) -> Option<OutstandingRequest> {
        let at = self.outstanding.iter().position(|asked| asked.block == block)?;
        self.outstanding.remove(at)
    }

    /// Whether it can be asked for anything now.
    pub(super) fn is_askable(&self) -> bool {
        self.phase == Phase::Open
            && self.am_interested
            && (!self.peer_choking || !self.allowed_fast.is_empty())
    }
}

/// What a peer takes that does not say (BEP 10, "reqq").
const DEFAULT_REQQ: usize = 250;
