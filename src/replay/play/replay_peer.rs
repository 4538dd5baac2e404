//! A recorded peer that replays its messages: each waits until the client has sent what preceded it in the reference, and a block
//! until it is requested. It does no I/O.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use bittrace_protocol::peer::{ConnectionState, PeerSide, RequestCapacity};
use bittrace_protocol::wire::{Extension, Handshake, Message};
use bittrace_protocol::{Block, InfoHash, Timestamp};
use bittrace_trace::{Body, MseBody, Side, Unreadable};
use bytes::{Bytes, BytesMut};

use crate::model::torrent_hashes::TorrentHashes;
use crate::model::transcript::Conversation;
use crate::play::client_role::ClientRole;
use crate::play::missed::Missed;
use crate::play::pieces::RecordedPieces;
use crate::play::precondition::{Precondition, PreconditionCounts};
use crate::play::refusal::{MOST_REFUSALS, Refusal, RefusalAct, ReplayedEnd};

mod answering;
mod hearing;
mod scripted_message;

use scripted_message::{ScriptedKind, ScriptedMessage};

/// A recorded peer.
#[derive(Debug)]
pub struct ReplayPeer {
    lines: Vec<ScriptedMessage>,
    torrent: TorrentHashes,
    /// The role of the client.
    role: ClientRole,
    /// The client's blocks that were not compared with the content yet.
    unchecked: Vec<(Block, Bytes)>,
    /// The requests that the client rejected, to be sent again when it does not choke; and how many there were.
    rejected: Vec<Block>,
    rejections: u32,
    /// The first line that was not sent.
    next: usize,
    heard: PreconditionCounts,
    /// Whether only the essential is waited for, a cue having been missed.
    lenient: bool,
    received: BytesMut,
    /// The state that the messages of both sides have led to.
    state: ConnectionState,
    /// The side of the recorded peer.
    side: PeerSide,
    /// How many messages were observed.
    observed: u64,
    missed: Vec<Missed>,
    /// The recorded peer.
    far: SocketAddr,
    /// How many messages the client sent, its handshake included.
    heard_messages: u32,
    /// How many requests the client sent, and which one of them asked for a block last.
    heard_requests: u32,
    requests: HashMap<Block, u32>,
    refusals: Vec<Refusal>,
    /// Why the client's bytes are not, or no longer, messages.
    pub garbled: Option<String>,
}

impl ReplayPeer {
    /// The far end of a conversation about `torrent` with a client in this role.
    pub fn of(torrent: impl Into<TorrentHashes>, conversation: &Conversation, role: ClientRole) -> Self {
        let mut lines = Vec::new();
        let mut wants = PreconditionCounts::default();
        let mut before = None;
        for (side, message) in conversation.messages() {
            let body = message.body();
            let pause = before.map_or(0.0, |before| message.at.seconds_since(before)).clamp(0.0, MOST_PAUSE);
            before = Some(message.at);
            match side {
                Side::Local | Side::Initiator => {
                    Precondition::of_body(&body).into_iter().for_each(|cue| wants.add(cue))
                }
                // Parts of messages, and bytes that are not messages, would break the stream.
                Side::Remote | Side::Responder
                    if matches!(
                        body,
                        Body::Unreadable(_, Unreadable::Opaque(_) | Unreadable::Gap(_))
                            | Body::Mse(MseBody::Encrypted | MseBody::KeyExchange | MseBody::Negotiation(_))
                    ) => {}
                Side::Remote | Side::Responder => lines.push(ScriptedMessage {
                    pause: Duration::from_secs_f64(pause),
                    ..ScriptedMessage::of(message, body, wants)
                }),
            }
        }
        Self {
            lines,
            torrent: torrent.into(),
            role,
            unchecked: Vec::new(),
            rejected: Vec::new(),
            rejections: 0,
            next: 0,
            heard: PreconditionCounts::default(),
            lenient: false,
            received: BytesMut::new(),
            state: ConnectionState::with_capacity(RequestCapacity::CLIENT),
            side: conversation.peer_side(Side::Remote),
            observed: 0,
            missed: Vec::new(),
            far: conversation.far(),
            heard_messages: 0,
            heard_requests: 0,
            requests: HashMap::new(),
            refusals: Vec::new(),
            garbled: None,
        }
    }

    /// Has it open the connection: its handshake comes first.
    pub fn call(&mut self) {
        self.side = PeerSide::Initiator;
        if let Some(line) =
            self.lines.first_mut().filter(|line| matches!(line.says, ScriptedKind::Handshake(_)))
        {
            line.wants = PreconditionCounts::default();
        }
    }

    /// Has it tell the port at which its node of the DHT is now (BEP 5, "PORT message"), where `place` knows that of the recorded port.
    pub(crate) fn move_node(&mut self, place: impl Fn(u16) -> Option<u16>) {
        for line in &mut self.lines {
            let ScriptedKind::Message(Message::Port(port)) = &mut line.says else { continue };
            let Some(here) = place(*port) else { continue };
            *port = here;
            let mut bytes = Vec::new();
            Message::Port(here).encode(&mut bytes);
            line.bytes = bytes.into();
        }
    }

    fn refuse(&mut self, message: &'static str, nth: u32, did: RefusalAct, why: String) {
        if self.refusals.len() < MOST_REFUSALS {
            let by = ReplayedEnd::Peer(self.far);
            self.refusals.push(Refusal { by, connection: None, message, nth, did, why });
        }
    }

    /// Which of the client's requests asked for a block.
    fn nth_request(&self, block: Block) -> u32 {
        self.requests.get(&block).copied().unwrap_or(self.heard_requests)
    }

    const fn client(&self) -> PeerSide {
        self.side.other()
    }

    fn observe_handshake(&mut self, sender: PeerSide, handshake: &Handshake) {
        self.observed += 1;
        self.state.observe_handshake(sender, UNTIMED, self.observed, handshake);
    }

    fn observe(&mut self, sender: PeerSide, message: &Message) {
        self.observed += 1;
        self.state.observe(sender, UNTIMED, self.observed, message);
    }

    /// Sends a message that is none of its lines.
    fn send(&mut self, message: &Message, out: &mut Vec<Bytes>) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.observe(self.side, message);
        out.push(bytes.into());
    }

    /// The place of the first line that is still to be sent and says this.
    fn unsaid(&self, is: impl Fn(&ScriptedKind) -> bool) -> Option<usize> {
        self.lines.iter().position(|line| !line.said && is(&line.says))
    }

    /// Whether the client requested a block that is still to be sent.
    fn is_requested(&self, block: Block) -> bool {
        self.state.side(self.client()).request(block).is_some()
    }

    /// The blocks that the client requested and that are still to be sent, the oldest request first.
    fn requested(&self) -> Vec<Block> {
        let mut requests: Vec<_> = self.state.side(self.client()).requests().collect();
        requests.sort_unstable_by_key(|(_, sent)| sent.number);
        requests.into_iter().map(|(block, _)| block).collect()
    }

    /// What it sends now: each message that need not wait, and when the last of them was sent in the reference. `None` while it
    /// waits.
    pub fn speak(&mut self, contents: &RecordedPieces) -> Option<(Vec<Bytes>, Timestamp)> {
        let mut out = Vec::new();
        let mut at = None;
        self.check_blocks(contents);
        while let Some(line) = self.lines.get(self.next) {
            if line.said {
                self.next += 1;
                continue;
            }
            if self.heard.lacks(&self.wants(line)).is_some() {
                break;
            }
            if self.role == ClientRole::Seeder && !out.is_empty() && line.pause > AT_ONCE {
                break;
            }
            let is_wanted = match line.says {
                ScriptedKind::Block(block) => self.is_requested(block),
                ScriptedKind::Metadata(piece) => self.is_metadata_requested(piece),
                ScriptedKind::Hashes(range) => self.is_hash_requested(range),
                _ => true,
            };
            if !is_wanted {
                break;
            }
            at = Some(line.at);
            self.say(self.next, contents, &mut out);
        }
        let said = out.len();
        self.answer_metadata(contents, &mut out);
        self.answer_hash_requests(contents, &mut out);
        if out.len() > said {
            at = at.or(self.lines.get(self.next).or(self.lines.last()).map(|line| line.at));
        }
        if !self.rejected.is_empty() && !self.state.side(self.client()).is_choking() {
            at = at.or(self.lines.get(self.next).or(self.lines.last()).map(|line| line.at));
            for block in std::mem::take(&mut self.rejected) {
                self.send(&Message::Request(block), &mut out);
            }
        }
        // Blocks that were requested in another order, or in other sizes, than in the reference.
        let holds = |line: &ScriptedMessage| self.heard.lacks(&line.wants).is_some();
        let held = !self.lenient && self.lines.get(self.next).is_some_and(holds);
        let shaken = self.state.side(self.client()).handshake().is_some();
        if shaken && !held && (!self.state.side(self.side).is_choking() || self.is_fast()) {
            let last = self.lines.get(self.next).or(self.lines.last()).map(|line| line.at);
            let mut size = 0;
            for block in self.requested() {
                // The next time the peer speaks it goes on.
                while size <= MOST_AT_ONCE && self.is_requested(block) {
                    if self.answer(block, contents, &mut out) {
                        at = at.or(last);
                        size += out.last().map_or(0, Bytes::len);
                    }
                }
            }
        }
        (!out.is_empty()).then(|| (out, at.unwrap_or(Timestamp::EPOCH)))
    }

    fn is_fast(&self) -> bool {
        self.state.is_fast() == Some(true)
    }

    fn wants(&self, line: &ScriptedMessage) -> PreconditionCounts {
        match (self.lenient, self.role) {
            (false, _) => line.wants,
            (true, ClientRole::Downloader) => line.wants.essential(),
            // Requests to a peer that chokes would be left unanswered.
            (true, ClientRole::Seeder) => {
                let asks = matches!(line.says, ScriptedKind::Message(Message::Request(_)));
                line.wants.essential_to_seeder(asks)
            }
        }
    }

    /// How long the next line waits once the client has sent what it waits for: as long as in the reference, so that requests
    /// follow blocks at the recorded pace. `None` where it waits for the client, or no pace is kept.
    pub fn pause(&self) -> Option<Duration> {
        let line = self.lines.get(self.next).filter(|_| self.role == ClientRole::Seeder)?;
        self.heard.lacks(&self.wants(line)).is_none().then_some(line.pause)
    }

    /// What the next line waits for.
    pub fn waits_for(&self) -> Option<Precondition> {
        let line = self.lines.get(self.next)?;
        self.heard.lacks(&self.wants(line)).map(|(cue, _)| cue)
    }

    /// Whether it has sent all that it sends, and has all that it requested.
    pub fn is_over(&self) -> bool {
        self.lines.iter().all(|line| line.said)
            && self.rejected.is_empty()
            && self.state.side(self.side).outstanding() == 0
    }

    /// Sends a line; whether that could be done.
    fn say(&mut self, place: usize, contents: &RecordedPieces, out: &mut Vec<Bytes>) -> bool {
        let line = &mut self.lines[place];
        line.said = true;
        self.observed += 1;
        let (state, side, number) = (&mut self.state, self.side, self.observed);
        match &line.says {
            ScriptedKind::Handshake(handshake) => {
                let info_hash = answered(state.side(side.other()).handshake(), handshake, self.torrent);
                let handshake = Handshake { info_hash, ..*handshake };
                state.observe_handshake(side, UNTIMED, number, &handshake);
                if info_hash.0 != line.bytes[INFO_HASH] {
                    let mut bytes = BytesMut::from(&line.bytes[..]);
                    bytes[INFO_HASH].copy_from_slice(&info_hash.0);
                    out.push(bytes.freeze());
                    return true;
                }
            }
            // A block beyond the limit on memory is not stored with its line.
            ScriptedKind::Block(block) if line.bytes.is_empty() => {
                let block = *block;
                return self.serve(block, contents, out);
            }
            ScriptedKind::Block(block) => {
                state.observe_block(side, UNTIMED, number, *block);
            }
            ScriptedKind::Message(message) => {
                state.observe(side, UNTIMED, number, message);
            }
            ScriptedKind::Hashes(_) => {
                if let Ok(message) = Message::decode(&line.bytes) {
                    state.observe(side, UNTIMED, number, &message);
                }
            }
            ScriptedKind::Metadata(_) | ScriptedKind::Extension(_) => {
                let metadata = Extension::Metadata;
                let extension = match &line.says {
                    ScriptedKind::Extension(extension) => extension,
                    _ => &metadata,
                };
                let Some(id) = state.side(side.other()).extension_id(extension) else {
                    let extension = extension.name().to_owned();
                    self.missed.push(Missed::Unspoken { number: line.number, extension });
                    return false;
                };
                // Its number is the receiver's choice (BEP 10).
                let mut bytes = BytesMut::from(&line.bytes[..]);
                if let Some(place) = bytes.get_mut(EXTENDED_ID) {
                    *place = id;
                }
                let bytes = bytes.freeze();
                if let Ok(message) = Message::decode(&bytes) {
                    state.observe(side, UNTIMED, number, &message);
                }
                out.push(bytes);
                return true;
            }
            ScriptedKind::Other => {}
        }
        out.push(line.bytes.clone());
        true
    }

    /// The message that it waits to send: its number in the reference, and its time.
    pub fn pending(&self) -> Option<(u64, Timestamp)> {
        let line = self.lines[self.next..].iter().find(|line| !line.said)?;
        Some((line.number, line.at))
    }

    /// Waits less: the first time, from now on for the essential only; then, no longer for blocks to be asked for that are
    /// next, which are sent when they are asked for later. Whether that was any use: the essential is waited for still.
    pub fn waive(&mut self) -> bool {
        let Some(at) = self.lines[self.next..].iter().position(|line| !line.said) else { return false };
        self.next += at;
        let line = &self.lines[self.next];
        if let Some((cue, lacking)) = self.heard.lacks(&self.wants(line)) {
            if self.lenient {
                return false;
            }
            self.missed.push(Missed::Cue { number: line.number, cue, lacking });
            self.lenient = true;
            return true;
        }
        let passed = self.lines[self.next..]
            .iter()
            .take_while(|line| {
                use ScriptedKind::{Block, Hashes, Metadata};
                matches!(line.says, Block(_) | Metadata(_) | Hashes(_))
            })
            .count();
        self.next += passed;
        passed > 0
    }

    /// Leaves out the next message.
    pub fn pass_over(&mut self) {
        let Some(line) = self.lines.get(self.next) else { return };
        if let Some((cue, lacking)) = self.heard.lacks(&self.wants(line)) {
            self.missed.push(Missed::Cue { number: line.number, cue, lacking });
        }
        self.next += 1;
    }

    /// What it did not answer. Called once, when the connection ends: requests that are outstanding while it chokes the client
    /// are among them.
    pub fn refusals(&mut self) -> Vec<Refusal> {
        let is_choking = self.state.side(self.side).is_choking() && !self.is_fast();
        if is_choking && self.garbled.is_none() {
            for block in self.requested() {
                let why = "the replayed peer was choking the client".to_owned();
                self.refuse("request", self.nth_request(block), RefusalAct::LeftUnanswered, why);
            }
        }
        std::mem::take(&mut self.refusals)
    }

    /// Ends the replay: what did not go as in the reference.
    pub fn finish(&mut self) -> Vec<Missed> {
        for line in self.lines.iter().filter(|line| !line.said) {
            match line.says {
                ScriptedKind::Block(block) => {
                    self.missed.push(Missed::NotAsked { number: line.number, block });
                }
                ScriptedKind::Metadata(piece) => {
                    self.missed.push(Missed::MetadataNotAsked { number: line.number, piece });
                }
                ScriptedKind::Hashes(_) => {
                    self.missed.push(Missed::HashesNotAsked { number: line.number });
                }
                _ => {}
            }
        }
        let held = self.lines.iter().find(|line| !line.said).filter(|_| self.role == ClientRole::Seeder);
        if let Some(line) = held
            && let Some((cue, lacking)) = self.heard.lacks(&self.wants(line))
        {
            self.missed.push(Missed::Never { number: line.number, cue, lacking });
        }
        std::mem::take(&mut self.missed)
    }
}

/// The info hash with which a recorded peer answers. A client of a hybrid torrent may call by the other one than the reference's
/// client did: it gets back what it called by, or that of version 2 where it offers version 2 (BEP 52, "Upgrade Path").
fn answered(client: Option<&Handshake>, recorded: &Handshake, torrent: TorrentHashes) -> InfoHash {
    match client {
        Some(client)
            if torrent.second.is_some()
                && client.info_hash != recorded.info_hash
                && !(client.offers_v2() && torrent.second == Some(recorded.info_hash)) =>
        {
            client.info_hash
        }
        _ => recorded.info_hash,
    }
}

/// Where the info hash stands in a handshake (BEP 3).
const INFO_HASH: std::ops::Range<usize> = 28..48;

/// A recorded peer waits for messages, not for times, so that it observes without a clock.
const UNTIMED: Timestamp = Timestamp::EPOCH;

/// How many blocks are remembered with the number of their request.
const MOST_REQUESTS: usize = 65_536;

/// How many requests are sent again that the client rejected: a client that rejects all of them is not asked for ever.
const MOST_REJECTIONS: u32 = 1000;

/// The longest pause that is kept, in seconds: what a peer sends after a longer one is not the answer to a block.
const MOST_PAUSE: f64 = 5.0;

/// What follows within this time is sent at once.
const AT_ONCE: Duration = Duration::from_millis(1);

/// How many bytes of blocks are sent at once to requests that the reference does not have: a client may ask for 4,096 blocks, and
/// each of them may be a whole piece.
const MOST_AT_ONCE: usize = 1 << 20;

/// Where the id of an extended message stands: after the length and the message's id (BEP 10).
const EXTENDED_ID: usize = 5;

#[cfg(test)]
mod tests;
