//! What is known of one peer, and what waits to be said to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;

use crate::wire::Message;
use crate::{Block, PeerId, PieceIndex, Timestamp};

use super::StreamId;
use super::holding::Holding;
use super::message_reader::Receiver;
use super::rate::Rate;

/// A connection to a peer, from the moment it is dialled or calls.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) stream: StreamId,
    pub(super) address: SocketAddr,
    /// Whether it called us.
    pub(super) called: bool,
    /// Where it can be dialled, when that is known.
    pub(super) listens: Option<SocketAddr>,
    pub(super) phase: Phase,
    /// When the phase began.
    pub(super) since: Timestamp,
    pub(super) peer_id: Option<PeerId>,
    /// What we call ourselves to it.
    pub(super) own_id: PeerId,
    /// What it calls itself in its extended handshake.
    pub(super) client: Option<String>,
    pub(super) fast: bool,
    pub(super) extended: bool,
    /// The ids under which it receives extensions.
    pub(super) extensions: Extensions,
    pub(super) receiver: Receiver,
    /// Messages that wait for the end of the step, to leave together.
    pub(super) saying: Vec<u8>,
    /// Bytes handed out to be sent that have not left.
    pub(super) unsent: usize,
    pub(super) holding: Holding,
    /// Whether it has said anything after its handshake: a bitfield must come first.
    pub(super) has_spoken: bool,
    /// How many of its pieces we lack.
    pub(super) wanted: u32,
    pub(super) we_choke: bool,
    pub(super) we_want: bool,
    pub(super) it_chokes: bool,
    pub(super) it_wants: bool,
    /// When it last choked us.
    pub(super) choked_since: Timestamp,
    /// Since when all it did was choke us, now and then with a pause in which nothing came.
    pub(super) starves_since: Timestamp,
    /// What it had given when it last choked us.
    pub(super) given_at_choke: u64,
    /// What it may be asked for while it chokes us (BEP 6).
    pub(super) allowed: BTreeSet<PieceIndex>,
    /// What it may have while we choke it, and how many bytes of each piece it has not had (BEP 6).
    pub(super) granted: BTreeMap<PieceIndex, u32>,
    /// What it suggests (BEP 6).
    pub(super) suggested: Vec<PieceIndex>,

    pub(super) asked: VecDeque<Asked>,
    /// How many blocks it was asked for, and how many of them it gave.
    pub(super) asked_in_all: u32,
    pub(super) given_in_all: u32,
    /// The request whose block is coming.
    pub(super) coming: Option<Asked>,
    /// The piece of which it was last asked for a block.
    pub(super) current: Option<PieceIndex>,
    /// How many requests may wait at it.
    pub(super) depth: usize,
    /// The most it takes.
    pub(super) reqq: usize,
    /// The shortest time from a request to its block.
    pub(super) latency: Option<std::time::Duration>,
    /// When its first block came.
    pub(super) first_block: Option<Timestamp>,
    /// When it last sent of a block, or was first asked since it had nothing to do.
    pub(super) last_block: Timestamp,
    pub(super) snubs: bool,
    /// Whether what it was asked for may be asked of others too.
    pub(super) lent: bool,
    /// It is not asked for anything before this: it refused.
    pub(super) refused_until: Option<Timestamp>,
    /// The picker's version when it last had nothing for this peer.
    pub(super) nothing_at: Option<u64>,
    /// What it asked for and has not got.
    pub(super) serving: VecDeque<Block>,
    /// Blocks that are being read for it.
    pub(super) loading: VecDeque<Block>,
    pub(super) given: u64,
    pub(super) taken: u64,
    pub(super) giving: Rate,
    pub(super) taking: Rate,
    pub(super) last_received: Timestamp,
    pub(super) last_sent: Timestamp,
    /// Bytes of blocks that may come though nobody waits for them: cancelled, or given up.
    pub(super) tolerated: u64,
    /// Messages that said nothing new.
    pub(super) noise: u32,
    /// How many of the pieces that are new it heard of in its opening.
    pub(super) knows_news: usize,
    pub(super) pex_told: BTreeSet<SocketAddr>,
    pub(super) pex_at: Timestamp,
    pub(super) pex_heard: Option<Timestamp>,
    /// Whether it is among those to be looked after at the end of the step.
    pub(super) stirred: bool,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It was dialled.
    Opening,
    /// Its handshake has not come.
    Handshake,
    /// Handshakes are exchanged.
    Open,
}

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) block: Block,
    pub(super) at: Timestamp,
}

/// The ids under which a peer receives the extensions we speak; 0 where it does not.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Extensions {
    pub(super) metadata: u8,
    pub(super) pex: u8,
}

impl Peer {
    pub(super) fn new(
        stream: StreamId,
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
            called,
            listens: (!called).then_some(address),
            phase: if called { Phase::Handshake } else { Phase::Opening },
            since: now,
            peer_id: None,
            own_id,
            client: None,
            fast: false,
            extended: false,
            extensions: Extensions::default(),
            receiver: Receiver::new(bitfield_length),
            saying: Vec::new(),
            unsent: 0,
            holding: Holding::none(pieces),
            has_spoken: false,
            wanted: 0,
            we_choke: true,
            we_want: false,
            it_chokes: true,
            it_wants: false,
            choked_since: now,
            starves_since: now,
            given_at_choke: 0,
            allowed: BTreeSet::new(),
            granted: BTreeMap::new(),
            suggested: Vec::new(),

            asked: VecDeque::new(),
            asked_in_all: 0,
            given_in_all: 0,
            coming: None,
            current: None,
            depth: 0,
            reqq: DEFAULT_REQQ,
            latency: None,
            first_block: None,
            last_block: now,
            snubs: false,
            lent: false,
            refused_until: None,
            nothing_at: None,
            serving: VecDeque::new(),
            knows_news: 0,
            loading: VecDeque::new(),
            given: 0,
            taken: 0,
            giving: Rate::new(now),
            taking: Rate::new(now),
            last_received: now,
            last_sent: now,
            tolerated: 0,
            noise: 0,
            pex_told: BTreeSet::new(),
            pex_at: now,
            pex_heard: None,
            stirred: false,
        }
    }

    /// Puts a message behind what waits to be said.
    pub(super) fn say(&mut self, message: &Message) {
        message.encode(&mut self.saying);
    }

    /// What waits to be said, noted as sent.
    pub(super) fn said(&mut self, now: Timestamp) -> Option<Bytes> {
        if self.saying.is_empty() {
            return None;
        }
        self.last_sent = now;
        self.unsent += self.saying.len();
        Some(Bytes::from(std::mem::take(&mut self.saying)))
    }

    /// Takes the request for this block out of those that wait.
    pub(super) fn take_asked(&mut self, block: Block) -> Option<Asked> {
        let at = self.asked.iter().position(|asked| asked.block == block)?;
        self.asked.remove(at)
    }

    /// Whether it can be asked for anything now.
    pub(super) fn is_askable(&self) -> bool {
        self.phase == Phase::Open && self.we_want && (!self.it_chokes || !self.allowed.is_empty())
    }
}

/// What a peer takes that does not say (BEP 10, "reqq").
const DEFAULT_REQQ: usize = 250;
