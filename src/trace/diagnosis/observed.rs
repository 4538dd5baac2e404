//! One connection between peers while it is read: the phases of both directions, and the facts that sentences name.
//!
//! What each end said is read off [`PeerEffect`](crate::PeerEffect); nothing of the connection's state is kept twice.

use std::net::SocketAddr;
use std::sync::Arc;

use bittrace_protocol::peer::PeerFault;
use bittrace_protocol::wire::{Content, Extension, Message, MetadataKind};
use bittrace_protocol::{Block, InfoHash, Timestamp};

use super::history::ByteHistory;
use super::timeline::{ArrivedBlock, PhaseTimeline, WaitPhase, nanos_between};
use crate::expert::rules;
use crate::record::{Body, MseBody, PeerWireBody, Record, Severity, Side, Transport, Unreadable};
use crate::{Direction, Flow, StreamId};

/// A connection between peers that is being read.
#[derive(Debug)]
pub(super) struct ObservedConnection {
    pub(super) stream: StreamId,
    /// The number that Wireshark gives the conversation.
    pub(super) wireshark_stream: Option<u32>,
    pub(super) transport: Transport,
    /// The initiator and the responder.
    pub(super) ends: [SocketAddr; 2],
    /// What each end's client calls itself.
    pub(super) clients: [Option<Arc<str>>; 2],
    /// Which end is the host that the capture is about.
    pub(super) local: Option<Direction>,
    /// Whether no host is local in this capture.
    pub(super) has_roles: bool,
    pub(super) torrent: Option<InfoHash>,
    /// When its first message was captured.
    pub(super) first_message: Timestamp,
    /// When both handshakes had been captured.
    pub(super) handshaken: Option<Timestamp>,
    handshakes: [bool; 2],
    /// How many requests of each end were outstanding after the last message.
    outstanding: [u32; 2],
    /// Whether the first message does not open a connection: the capture begins in the middle of it.
    pub(super) begins_in_middle: bool,
    /// Whether a part of it is encrypted and cannot be read.
    pub(super) encrypted: bool,
    pub(super) directions: [ObservedDirection; 2],
    /// What each end said last.
    pub(super) last_said: [LastSaid; 2],
    /// The last rule that each end broke.
    pub(super) broken: [Option<BrokenRule>; 2],
}

/// The blocks that one end sends to the other, the downloader.
#[derive(Debug)]
pub(super) struct ObservedDirection {
    pub(super) timeline: PhaseTimeline,
    phase: WaitPhase,
    /// Since when the downloader has requests outstanding.
    waits_since: Timestamp,
    /// When the sender choked the downloader, where it does.
    choked: Option<Timestamp>,
    /// Whether the sender has told of its pieces, or said anything that may only follow that.
    has_spoken: bool,
    /// Outstanding requests that no peer may answer, as they break a rule.
    void: u32,
    burst: Burst,
    pub(super) facts: DirectionFacts,
}

/// Blocks that came right after one another.
#[derive(Debug, Clone, Copy, Default)]
struct Burst {
    /// How many.
    blocks: u32,
    /// How many requests were sent since the first of them.
    requests: u32,
    /// Whether the last of them left no request that was there before the first.
    all_sent: bool,
}

/// The longest time between two blocks of a burst, nanoseconds.
const BURST: i64 = 20_000_000;

/// What was counted of a direction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DirectionFacts {
    /// How many blocks came.
    pub blocks: u64,
    /// The bytes of these blocks.
    pub bytes: u64,
    /// How many requests the downloader sent.
    pub requests: u64,
    /// How many requests were outstanding at most.
    pub deepest: u32,
    /// How many of these block arrivals each number of outstanding requests had, from 0 to 511 and more.
    depths: Vec<u32>,
    /// How often the sender choked the downloader.
    pub chokes: u64,
    /// How many requests a choke, or a reject after it, ended without a block.
    pub requests_lost: u64,
    /// How many pieces the sender said it has at first; `None` before it said so.
    pub first_pieces: Option<u64>,
    /// When the sender said so.
    pub told_pieces: Option<Mark>,
    /// How many requests the sender keeps, as its extended handshake has it (BEP 10, `reqq`).
    pub reqq: Option<u32>,
    /// For how many pieces the sender sent HAVE.
    pub haves: u64,
    /// Whether the sender was ever interested itself.
    pub sender_interested: bool,
    /// When, and by which message: the downloader was interested first.
    pub interested: Option<Mark>,
    /// The sender unchoked the downloader first.
    pub unchoked: Option<Mark>,
    /// The first request.
    pub requested: Option<Mark>,
    /// The first block.
    pub first_block: Option<Mark>,
    /// The last block.
    pub last_block: Option<Mark>,
    /// The last choke.
    pub last_choke: Option<Mark>,
    /// How often bytes of the sender were lost, or cannot be read.
    pub unreadable: u64,
    /// When the bytes of blocks came.
    pub history: ByteHistory,
}

/// A message by its number, and when it was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Its number in the trace.
    pub number: u64,
    /// When it was captured.
    pub at: Timestamp,
    /// The last packet that carried it, as Wireshark counts.
    pub frame: Option<u64>,
}

impl Mark {
    pub(super) fn of(record: &Record) -> Self {
        Self { number: record.number, at: record.at, frame: record.frames.last().copied() }
    }
}

/// A message, named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaidMessage {
    /// Which one, and when.
    pub mark: Mark,
    /// The name of the message.
    pub message: &'static str,
    /// The block that it requests, sends, cancels or rejects.
    pub block: Option<Block>,
}

/// What an end said last.
#[derive(Debug, Default)]
pub(super) struct LastSaid {
    /// The latest stands before `next`, the one before it before that, and so on round.
    messages: [Option<SaidMessage>; LAST_SAID],
    next: usize,
}

impl LastSaid {
    #[inline(always)]
    fn push(&mut self, message: SaidMessage) {
        self.messages[self.next] = Some(message);
        self.next = (self.next + 1) % LAST_SAID;
    }

    const fn latest(&self) -> Option<SaidMessage> {
        self.messages[(self.next + LAST_SAID - 1) % LAST_SAID]
    }

    /// The last message that the end had sent by a moment.
    pub(super) fn before(&self, at: Timestamp) -> Option<SaidMessage> {
        let (later, earlier) = self.messages.split_at(self.next);
        let latest_first = later.iter().rev().chain(earlier.iter().rev());
        latest_first.flatten().find(|message| message.mark.at <= at).copied()
    }
}

/// How many messages of an end are remembered. What follows a FIN is not what led to it.
const LAST_SAID: usize = 4;

/// A rule that an end of a connection broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenRule {
    /// The message that shows it.
    pub said: SaidMessage,
    /// The rule, as `bittrace explain` knows it.
    pub rule: &'static str,
    /// What the note says.
    pub text: String,
}

/// From this time on a downloader that is not interested in pieces that it lacks is idle, seconds. Clients look at the pieces of a
/// new peer once a second at the latest.
const LATE_INTEREST: f64 = 1.5;

/// How many numbers of outstanding requests are told apart.
const DEPTHS: usize = 512;

impl DirectionFacts {
    /// The median number of requests that were outstanding when a block came, that block's own request included.
    pub fn median_depth(&self) -> Option<u32> {
        let all: u64 = self.depths.iter().map(|count| u64::from(*count)).sum();
        let mut seen = 0;
        let depth = self.depths.iter().position(|count| {
            seen += u64::from(*count);
            seen * 2 >= all
        });
        depth.filter(|_| all > 0).map(|depth| depth as u32)
    }

    /// The mean size of the blocks, bytes.
    pub const fn block_size(&self) -> Option<u64> {
        self.bytes.checked_div(self.blocks)
    }

    /// Whether the sender seems to super-seed (BEP 16): it said it has nothing, wants nothing, and names pieces one by one.
    pub fn reveals_piece_by_piece(&self) -> bool {
        self.first_pieces.unwrap_or(0) == 0 && self.haves >= 2 && !self.sender_interested
    }
}

impl ObservedConnection {
    pub(super) fn new(record: &Record) -> Self {
        let Flow { initiator, responder } = record.flow();
        let opens = matches!(
            record.body,
            Body::PeerWire(PeerWireBody::Handshake(_)) | Body::Mse(_) | Body::Proxy(_) | Body::Unreadable(..)
        );
        let phase = if opens { WaitPhase::Handshake } else { WaitPhase::Unseen };
        let direction = || ObservedDirection {
            timeline: PhaseTimeline::new(record.at),
            phase,
            waits_since: record.at,
            choked: None,
            has_spoken: false,
            void: 0,
            burst: Burst::default(),
            facts: DirectionFacts::default(),
        };
        Self {
            stream: record.stream,
            wireshark_stream: record.wireshark_stream,
            transport: record.transport,
            ends: [initiator, responder],
            clients: [None, None],
            local: None,
            has_roles: record.side.is_role(),
            torrent: None,
            first_message: record.at,
            handshaken: None,
            handshakes: [false; 2],
            outstanding: [0; 2],
            begins_in_middle: !opens,
            encrypted: false,
            directions: [direction(), direction()],
            last_said: Default::default(),
            broken: [None, None],
        }
    }

    /// Whether it is encrypted and nothing of it could be read.
    pub(super) const fn is_sealed(&self) -> bool {
        self.encrypted && self.handshaken.is_none()
    }

    /// How many spans both timelines have.
    pub(super) fn spans(&self) -> usize {
        self.directions.iter().map(|direction| direction.timeline.spans().len()).sum()
    }

    /// Takes in a record of the connection. A timeline keeps at most `limit` spans.
    pub(super) fn add(&mut self, record: &Record, limit: usize) {
        let sender = record.direction as usize;
        let mark = Mark::of(record);
        if record.side == Side::Local && self.local.is_none() {
            self.local = Some(record.direction);
        }
        if self.torrent.is_none() {
            self.torrent = record.torrent;
        }
        if let Some(client) = &record.client
            && self.clients[sender].as_ref().is_none_or(|known| !Arc::ptr_eq(known, client))
        {
            self.clients[sender] = Some(client.clone());
        }
        let plain = record.body.plain_message();
        let (message, name) = match plain {
            Some(message) => (plain, message.name()),
            None => (record.peer_message(), record.body.message()),
        };
        self.last_said[sender].push(SaidMessage { mark, message: name, block: message.and_then(block_of) });
        if !record.notes.is_empty() {
            self.note_broken_rule(record);
        }
        if plain.is_some() || self.add_other(record, limit) {
            self.take(record, message, mark, limit);
        }
    }

    /// Takes in whether the message that an end said just now breaks a rule.
    #[cold]
    fn note_broken_rule(&mut self, record: &Record) {
        let sender = record.direction as usize;
        let broken = record.notes.iter().find(|note| note.rule.severity >= Severity::Warn);
        if let (Some(note), Some(said)) = (broken, self.last_said[sender].latest()) {
            let text = note.text.clone().into_owned();
            self.broken[sender] = Some(BrokenRule { said, rule: note.rule.id, text });
        }
    }

    /// Takes in what a record is beside a message. Whether it counts as something that a peer said.
    fn add_other(&mut self, record: &Record, limit: usize) -> bool {
        let sender = record.direction as usize;
        match &record.body {
            Body::PeerWire(PeerWireBody::Handshake(_)) => {
                self.handshakes[sender] = true;
                if self.handshakes == [true; 2] && self.handshaken.is_none() {
                    self.handshaken = Some(record.at);
                }
            }
            Body::Mse(MseBody::Encrypted) => {
                self.encrypted = true;
                self.enter(WaitPhase::Unseen, record.at, limit);
                return false;
            }
            Body::Mse(_) | Body::Proxy(_) => return false,
            Body::Unreadable(_, Unreadable::Gap(_) | Unreadable::LostPackets(_)) => {
                let direction = &mut self.directions[sender];
                direction.facts.unreadable += 1;
                direction.timeline.pass(record.at, WaitPhase::Unseen, limit);
            }
            Body::Unreadable(..) => self.directions[sender].facts.unreadable += 1,
            _ => {}
        }
        true
    }

    /// Takes in what a message between peers does to the waiting of both directions.
    fn take(&mut self, record: &Record, message: Option<&Message>, mark: Mark, limit: usize) {
        let sender = record.direction as usize;
        let receiver = 1 - sender;
        let effect = &record.effect;
        match message {
            Some(Message::Piece { block, .. }) => {
                let asked = record.answers.map(|answer| before(record.at, answer.latency));
                let direction = &mut self.directions[sender];
                if direction.phase != WaitPhase::Requested {
                    direction.end_phase(asked.unwrap_or(record.at), limit);
                }
                let open = effect.outstanding[receiver].saturating_sub(direction.void);
                let after_all_sent = direction.join_burst(record.at, open);
                let arrived = ArrivedBlock { bytes: block.len() as u64, after_all_sent };
                direction.timeline.block(record.at, asked, arrived, limit);
                direction.facts.came(mark, block.len() as u64, effect.outstanding[receiver] + 1);
            }
            Some(Message::Request(_)) => {
                let is_void = record.notes.iter().any(|note| note.rule.id == rules::BEP3_OUT_OF_RANGE.id);
                let direction = &mut self.directions[receiver];
                direction.void += u32::from(is_void);
                direction.burst.requests = direction.burst.requests.saturating_add(1);
                let facts = &mut direction.facts;
                facts.requests += 1;
                facts.deepest = facts.deepest.max(effect.outstanding[sender]);
                facts.requested.get_or_insert(mark);
                if effect.outstanding[sender] == 1 {
                    self.directions[receiver].waits_since = record.at;
                }
            }
            Some(Message::Choke) => {
                self.directions[sender].void = 0;
                let facts = &mut self.directions[sender].facts;
                facts.chokes += 1;
                facts.last_choke = Some(mark);
                let lost = self.outstanding[receiver].saturating_sub(effect.outstanding[receiver]);
                facts.requests_lost += u64::from(lost);
            }
            Some(Message::Unchoke) => {
                self.directions[sender].facts.unchoked.get_or_insert(mark);
            }
            Some(Message::RejectRequest(_)) => self.directions[sender].facts.requests_lost += 1,
            Some(Message::Interested) => {
                self.note_late_interest(receiver, record.at, limit);
                self.directions[receiver].facts.interested.get_or_insert(mark);
                self.directions[sender].facts.sender_interested = true;
            }
            Some(Message::Bitfield(bits)) => {
                let count = bits.iter().map(|byte| u64::from(byte.count_ones())).sum();
                self.directions[sender].facts.tell_pieces(count, mark);
            }
            Some(Message::HaveAll) => self.directions[sender].facts.tell_pieces(u64::MAX, mark),
            Some(Message::HaveNone) => self.directions[sender].facts.tell_pieces(0, mark),
            Some(Message::Have(_)) => self.directions[sender].facts.haves += 1,
            Some(Message::Extended { payload, .. }) => {
                if let Some(reqq) = told_reqq(record, payload) {
                    self.directions[sender].facts.reqq = Some(reqq);
                }
            }
            _ => {}
        }
        self.outstanding = effect.outstanding;
        if !matches!(message, None | Some(Message::Extended { .. } | Message::KeepAlive)) {
            self.directions[sender].has_spoken = true;
        }
        let fetches_metadata = match message {
            Some(Message::Extended { .. }) => metadata_requester(record),
            _ => None,
        };
        let is_open = self.handshaken.is_some() && !self.begins_in_middle;
        for from in 0..2 {
            let to = 1 - from;
            let ObservedDirection { void, phase: now, has_spoken, .. } = self.directions[from];
            // Once both have said who they are, the effect says it all: this is what `phase` would say.
            let phase = if effect.outstanding[to] > void {
                WaitPhase::Requested
            } else if is_open && effect.interested[to] {
                if effect.choking[from] { WaitPhase::Choked } else { WaitPhase::NotAsked }
            } else if is_open && has_spoken && now != WaitPhase::Metadata && fetches_metadata.is_none() {
                WaitPhase::NothingWanted
            } else {
                self.phase(from, record, fetches_metadata == Some(to))
            };
            let direction = &mut self.directions[from];
            if phase != direction.phase {
                direction.end_phase(record.at, limit);
                direction.phase = phase;
            }
            if !effect.choking[from] {
                direction.choked = None;
            } else if direction.choked.is_none() {
                direction.choked = direction.facts.last_choke.map(|choke| choke.at);
            }
        }
    }

    /// The downloader of a direction is interested for the first time. Where the sender had told of pieces that the downloader
    /// lacked, and of none since, the downloader could have been interested long before.
    fn note_late_interest(&mut self, from: usize, at: Timestamp, limit: usize) {
        let own_pieces = self.directions[1 - from].facts.first_pieces.unwrap_or(0);
        let direction = &mut self.directions[from];
        let facts = &direction.facts;
        let Some(told) = facts.told_pieces.filter(|_| facts.interested.is_none() && facts.haves == 0) else {
            return;
        };
        let had_more = facts.first_pieces > Some(own_pieces);
        if had_more
            && direction.phase == WaitPhase::NothingWanted
            && at.seconds_since(told.at) >= LATE_INTEREST
        {
            direction.end_phase(told.at, limit);
            direction.phase = WaitPhase::NotAsked;
        }
    }

    /// What the direction from an end waits for after a record, where no request is outstanding.
    fn phase(&self, from: usize, record: &Record, is_metadata: bool) -> WaitPhase {
        let to = 1 - from;
        let effect = &record.effect;
        let now = self.directions[from].phase;
        if self.begins_in_middle && now == WaitPhase::Unseen {
            // Before the capture began, both may have been choked or not, interested or not.
            let shows = effect.change.is_some() && !effect.repeated || self.directions[from].facts.blocks > 0;
            if !shows {
                return WaitPhase::Unseen;
            }
        } else if self.handshaken.is_none() && !self.begins_in_middle {
            return if now == WaitPhase::Unseen { now } else { WaitPhase::Handshake };
        }
        let came_unseen = self.begins_in_middle && self.directions[from].facts.blocks > 0;
        let interested =
            effect.interested[to] || came_unseen && self.directions[from].facts.interested.is_none();
        let choking =
            effect.choking[from] && !(came_unseen && self.directions[from].facts.last_choke.is_none());
        match (interested, choking) {
            (true, true) => WaitPhase::Choked,
            (true, false) => WaitPhase::NotAsked,
            (false, _) if is_metadata || now == WaitPhase::Metadata => WaitPhase::Metadata,
            (false, _) if !self.directions[from].has_spoken && !self.begins_in_middle => WaitPhase::Handshake,
            (false, _) => WaitPhase::NothingWanted,
        }
    }

    /// Ends the phases of both directions, and begins another.
    fn enter(&mut self, phase: WaitPhase, at: Timestamp, limit: usize) {
        for direction in &mut self.directions {
            if direction.phase != phase {
                direction.end_phase(at, limit);
                direction.phase = phase;
            }
        }
    }

    /// Ends the timelines: the connection lasted from `opened` to `closed`.
    pub(super) fn close(&mut self, opened: Timestamp, closed: Timestamp, limit: usize) {
        let before = if self.begins_in_middle { WaitPhase::Unseen } else { WaitPhase::Connecting };
        for direction in &mut self.directions {
            direction.end_phase(closed, limit);
            direction.timeline.begin_at(opened, before);
        }
    }
}

impl ObservedDirection {
    /// Takes a block into the burst that it belongs to. Whether the burst before it had left no request unanswered, and had several
    /// blocks. `outstanding` is how many requests are outstanding after the block.
    fn join_burst(&mut self, at: Timestamp, outstanding: u32) -> bool {
        let before = self.burst;
        let is_new = nanos_between(self.timeline.end(), at) > BURST;
        if is_new {
            self.burst = Burst::default();
        }
        self.burst.blocks = self.burst.blocks.saturating_add(1);
        self.burst.all_sent = outstanding <= self.burst.requests;
        is_new && before.all_sent && before.blocks > 1
    }

    /// The phase so far ends at `at`.
    fn end_phase(&mut self, at: Timestamp, limit: usize) {
        if self.phase == WaitPhase::Requested
            && let Some(choke) = self.choked
        {
            // With the fast extension requests outlive a choke until they are rejected (BEP 6). No block came since.
            self.timeline.wait(choke.max(self.timeline.end()).min(at), self.waits_since, limit);
            self.timeline.pass(at, WaitPhase::Choked, limit);
            return;
        }
        match self.phase {
            WaitPhase::Requested => self.timeline.wait(at, self.waits_since, limit),
            phase => self.timeline.pass(at, phase, limit),
        }
    }
}

impl DirectionFacts {
    fn tell_pieces(&mut self, count: u64, mark: Mark) {
        if self.first_pieces.is_none() {
            self.first_pieces = Some(count);
            self.told_pieces = Some(mark);
        }
    }

    fn came(&mut self, mark: Mark, bytes: u64, depth: u32) {
        self.blocks += 1;
        self.bytes += bytes;
        self.first_block.get_or_insert(mark);
        self.last_block = Some(mark);
        self.history.add(mark.at, bytes);
        if self.depths.is_empty() {
            self.depths.resize(DEPTHS, 0);
        }
        let count = &mut self.depths[(depth as usize).min(DEPTHS - 1)];
        *count = count.saturating_add(1);
    }
}

/// The `reqq` of an extended handshake (BEP 10).
fn told_reqq(record: &Record, payload: &[u8]) -> Option<u32> {
    let Body::PeerWire(PeerWireBody::Extended(_, Extension::Handshake)) = &record.body else { return None };
    match Extension::Handshake.decode(payload) {
        Ok(Content::Handshake(handshake)) => handshake.reqq,
        _ => None,
    }
}

/// The end that requests metadata by a record (BEP 9).
fn metadata_requester(record: &Record) -> Option<usize> {
    let Body::PeerWire(PeerWireBody::Extended(Message::Extended { payload, .. }, extension)) = &record.body
    else {
        return None;
    };
    if *extension != Extension::Metadata {
        return None;
    }
    match extension.decode(payload) {
        Ok(Content::Metadata(metadata)) if metadata.kind == MetadataKind::Request => {
            Some(record.direction as usize)
        }
        _ => None,
    }
}

/// The block that a message is about.
fn block_of(message: &Message) -> Option<Block> {
    match message {
        Message::Request(block) | Message::Cancel(block) | Message::RejectRequest(block) => Some(*block),
        Message::Piece { index, begin, block } => {
            Some(Block { index: *index, begin: *begin, length: block.len() as u32 })
        }
        _ => None,
    }
}

/// The moment that was so many seconds before another.
fn before(at: Timestamp, seconds: f64) -> Timestamp {
    Timestamp::from_nanos(at.as_nanos().saturating_sub((seconds * 1e9) as i64))
}

/// Whether a fault is bytes that were sent for nothing.
pub(super) const fn is_waste(fault: &PeerFault) -> bool {
    matches!(
        fault,
        PeerFault::BlockUnsolicited
            | PeerFault::BlockAgain
            | PeerFault::BlockAfterCancel
            | PeerFault::BlockAfterReject
            | PeerFault::BlockWhileChoking
    )
}
