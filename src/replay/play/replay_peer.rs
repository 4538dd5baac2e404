//! A recorded peer that plays its part again: each of its messages is held until the client has said what came before
//! it in the reference, and blocks until they are asked for. It does no I/O.

use std::collections::{BTreeMap, VecDeque};

use bittrace_protocol::wire::{
    Content, ExtendedHandshake, Extension, Frame, HANDSHAKE_LENGTH, Handshake, Message, frame,
};
use bittrace_protocol::{Block, InfoHash, Timestamp};
use bittrace_trace::{Body, MseBody, PeerWireBody, Record, Speaker, Unreadable};
use bytes::{Bytes, BytesMut};

use crate::model::reference::{RecordedConnection, Reference};
use crate::play::pieces::RecordedPieces;
use crate::play::precondition::{Precondition, PreconditionCounts};

/// A recorded peer.
#[derive(Debug)]
pub struct ReplayPeer {
    lines: Vec<ScriptedMessage>,
    torrent: InfoHash,
    /// The first line that was not said.
    next: usize,
    heard: PreconditionCounts,
    /// Whether only the essential is waited for, a cue having been missed.
    lenient: bool,
    received: BytesMut,
    shaken: bool,
    /// The ids under which the client receives extensions.
    extensions: BTreeMap<String, u8>,
    asked: VecDeque<Block>,
    /// Whether the last of choke and unchoke that was said chokes.
    chokes: bool,
    /// Whether the client, and whether this end, offers the fast extension.
    fast: (bool, bool),
    missed: Vec<Missed>,
    /// Where the client's bytes stopped being messages.
    pub garbled: Option<&'static str>,
}

/// Something the far end says in the reference.
#[derive(Debug)]
struct ScriptedMessage {
    at: Timestamp,
    number: u64,
    bytes: Bytes,
    says: ScriptedKind,
    /// What the client had said before it.
    wants: PreconditionCounts,
    said: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum ScriptedKind {
    Handshake {
        fast: bool,
    },
    Block(Block),
    Chokes(bool),
    /// A message of an extension, whose id is the receiver's number.
    Extension(String),
    Other,
}

/// What did not go as in the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missed {
    /// A message was said, or left out, though the client had not said so many more of this kind.
    Cue {
        /// The message of the far end, by its number in the reference.
        number: u64,
        /// What was waited for.
        cue: Precondition,
        /// How many more of it there are in the reference.
        lacking: u32,
    },
    /// A block that the reference sends was never asked for.
    NotAsked {
        /// The message of the far end, by its number in the reference.
        number: u64,
        /// The block.
        block: Block,
    },
    /// A block was asked for that neither reference nor content has.
    Unknown(Block),
    /// A message of an extension that the client does not speak was left out.
    Unspoken {
        /// The message of the far end, by its number in the reference.
        number: u64,
        /// The extension.
        extension: String,
    },
}

impl ReplayPeer {
    /// The far end of a connection of `reference`.
    pub fn of(reference: &Reference, connection: &RecordedConnection) -> Self {
        let mut lines = Vec::new();
        let mut wants = PreconditionCounts::default();
        for record in reference.records_of(connection) {
            match record.speaker {
                Speaker::Local => Precondition::of_record(record).into_iter().for_each(|cue| wants.add(cue)),
                // Parts of messages, and what is none, would break the stream.
                Speaker::Far
                    if matches!(
                        record.body,
                        Body::Unreadable(_, Unreadable::Opaque(_) | Unreadable::Gap(_))
                            | Body::Mse(MseBody::Encrypted | MseBody::KeyExchange | MseBody::Negotiation(_))
                    ) => {}
                Speaker::Far => lines.push(ScriptedMessage::of(record, wants)),
            }
        }
        Self {
            lines,
            torrent: reference.torrent,
            next: 0,
            heard: PreconditionCounts::default(),
            lenient: false,
            received: BytesMut::new(),
            shaken: false,
            extensions: BTreeMap::new(),
            asked: VecDeque::new(),
            chokes: true,
            fast: (false, false),
            missed: Vec::new(),
            garbled: None,
        }
    }

    /// Has it open the connection: its handshake comes first.
    pub fn call(&mut self) {
        if let Some(line) =
            self.lines.first_mut().filter(|line| matches!(line.says, ScriptedKind::Handshake { .. }))
        {
            line.wants = PreconditionCounts::default();
        }
    }

    /// Takes in what the client says.
    pub fn hear(&mut self, bytes: &[u8]) {
        if self.garbled.is_some() {
            return;
        }
        self.received.extend_from_slice(bytes);
        if !self.shaken {
            if self.received.first().is_some_and(|&length| length != 19) {
                self.garbled = Some("its first bytes are no handshake: it may encrypt");
                return;
            }
            if self.received.len() < HANDSHAKE_LENGTH {
                return;
            }
            let handshake = self.received.split_to(HANDSHAKE_LENGTH);
            match Handshake::decode(&handshake) {
                Ok(handshake) if handshake.info_hash != self.torrent => {
                    self.garbled = Some("its handshake is for another torrent");
                    return;
                }
                Ok(handshake) => self.fast.0 = handshake.offers_fast(),
                Err(error) => {
                    self.garbled = Some(error.wanted);
                    return;
                }
            }
            self.shaken = true;
            self.heard.add(Precondition::Handshake);
        }
        loop {
            match frame(&self.received) {
                Frame::Message(length) if length <= self.received.len() => {
                    let message = self.received.split_to(length).freeze();
                    if let Ok(message) = Message::decode(&message) {
                        self.take(&message);
                    }
                }
                Frame::Message(_) | Frame::Incomplete => return,
                Frame::Impossible(error) => {
                    self.garbled = Some(error.wanted);
                    self.received.clear();
                    return;
                }
            }
        }
    }

    fn take(&mut self, message: &Message) {
        Precondition::of(message).into_iter().for_each(|cue| self.heard.add(cue));
        match message {
            Message::Request(block) if self.asked.len() < MOST_ASKED => self.asked.push_back(*block),
            Message::Cancel(block) => self.asked.retain(|asked| asked != block),
            Message::Extended { id: 0, payload } => {
                if let Ok(Content::Handshake(ExtendedHandshake { extensions, .. })) =
                    Extension::Handshake.decode(payload)
                {
                    self.extensions.extend(extensions);
                }
            }
            _ => {}
        }
    }

    /// What it says now: each message that it need not hold back, and when the last of them was said in the reference.
    /// `None` while it waits.
    pub fn speak(&mut self, contents: &RecordedPieces) -> Option<(Vec<Bytes>, Timestamp)> {
        let mut out = Vec::new();
        let mut at = None;
        while let Some(line) = self.lines.get(self.next) {
            if line.said {
                self.next += 1;
                continue;
            }
            if self.heard.lacks(&self.wants(line)).is_some() {
                break;
            }
            if let ScriptedKind::Block(block) = line.says {
                let Some(place) = self.asked.iter().position(|asked| *asked == block) else { break };
                self.asked.remove(place);
            }
            at = Some(line.at);
            self.say(self.next, &mut out);
        }
        // What was asked for in another order, or in other sizes than in the reference.
        let holds = |line: &ScriptedMessage| self.heard.lacks(&line.wants).is_some();
        let held = !self.lenient && self.lines.get(self.next).is_some_and(holds);
        if self.shaken && !held && (!self.chokes || self.is_fast()) {
            let last = self.lines.get(self.next).or(self.lines.last()).map(|line| line.at);
            while let Some(block) = self.asked.pop_front() {
                if self.answer(block, contents, &mut out) {
                    at = at.or(last);
                }
            }
        }
        (!out.is_empty()).then(|| (out, at.unwrap_or(Timestamp::EPOCH)))
    }

    const fn is_fast(&self) -> bool {
        self.fast.0 && self.fast.1
    }

    fn wants(&self, line: &ScriptedMessage) -> PreconditionCounts {
        if self.lenient { line.wants.essential() } else { line.wants }
    }

    /// Answers a request that the reference does not answer at this place; whether it could.
    fn answer(&mut self, block: Block, contents: &RecordedPieces, out: &mut Vec<Bytes>) -> bool {
        let later = self.lines.iter().position(|line| !line.said && line.says == ScriptedKind::Block(block));
        if let Some(place) = later {
            self.say(place, out);
            return true;
        }
        let mut message = Vec::new();
        let known = contents.block(block);
        match known {
            Some(bytes) => {
                Message::Piece { index: block.index, begin: block.begin, block: bytes }.encode(&mut message);
            }
            None => {
                self.missed.push(Missed::Unknown(block));
                if !self.is_fast() {
                    return false;
                }
                Message::RejectRequest(block).encode(&mut message);
            }
        }
        out.push(message.into());
        true
    }

    fn say(&mut self, place: usize, out: &mut Vec<Bytes>) {
        let line = &mut self.lines[place];
        line.said = true;
        match &line.says {
            ScriptedKind::Handshake { fast } => self.fast.1 = *fast,
            ScriptedKind::Chokes(chokes) => self.chokes = *chokes,
            ScriptedKind::Extension(name) => {
                let Some(&id) = self.extensions.get(name).filter(|&&id| id != 0) else {
                    self.missed.push(Missed::Unspoken { number: line.number, extension: name.clone() });
                    return;
                };
                // Its number is the receiver's choice (BEP 10).
                let mut bytes = BytesMut::from(&line.bytes[..]);
                if let Some(place) = bytes.get_mut(EXTENDED_ID) {
                    *place = id;
                }
                out.push(bytes.freeze());
                return;
            }
            ScriptedKind::Block(_) | ScriptedKind::Other => {}
        }
        out.push(line.bytes.clone());
    }

    /// What it says next, and waits to say: the number of that message in the reference, and its time.
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
            .take_while(|line| matches!(line.says, ScriptedKind::Block(_)))
            .count();
        self.next += passed;
        passed > 0
    }

    /// Gives up what comes next, and goes on behind it.
    pub fn pass_over(&mut self) {
        let Some(line) = self.lines.get(self.next) else { return };
        if let Some((cue, lacking)) = self.heard.lacks(&self.wants(line)) {
            self.missed.push(Missed::Cue { number: line.number, cue, lacking });
        }
        self.next += 1;
    }

    /// Ends its part: what did not go as in the reference.
    pub fn finish(&mut self) -> Vec<Missed> {
        for line in self.lines.iter().filter(|line| !line.said) {
            if let ScriptedKind::Block(block) = line.says {
                self.missed.push(Missed::NotAsked { number: line.number, block });
            }
        }
        std::mem::take(&mut self.missed)
    }
}

impl ScriptedMessage {
    fn of(record: &Record, wants: PreconditionCounts) -> Self {
        let says = match &record.body {
            Body::PeerWire(PeerWireBody::Handshake(handshake)) => {
                ScriptedKind::Handshake { fast: handshake.offers_fast() }
            }
            Body::PeerWire(PeerWireBody::Extended(Message::Extended { id, .. }, extension)) if *id != 0 => {
                ScriptedKind::Extension(extension.name().to_owned())
            }
            _ => match record.peer_message() {
                Some(Message::Piece { index, begin, block }) => {
                    let length = u32::try_from(block.len()).unwrap_or(u32::MAX);
                    ScriptedKind::Block(Block { index: *index, begin: *begin, length })
                }
                Some(Message::Choke) => ScriptedKind::Chokes(true),
                Some(Message::Unchoke) => ScriptedKind::Chokes(false),
                _ => ScriptedKind::Other,
            },
        };
        Self { at: record.at, number: record.number, bytes: record.bytes.clone(), says, wants, said: false }
    }
}

/// How many requests of a client are remembered.
const MOST_ASKED: usize = 10_000;

/// Where the id of an extended message stands: behind the length and the message's id (BEP 10).
const EXTENDED_ID: usize = 5;

#[cfg(test)]
mod tests;
