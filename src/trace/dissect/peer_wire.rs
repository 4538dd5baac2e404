//! The two directions of a peer-wire connection: handshake, messages, and what to do where bytes are missing.

mod near_misses;

use bittrace_protocol::InfoHash;
use bittrace_protocol::PieceIndex;
use bittrace_protocol::mse::{HASH_LENGTH, KEY_LENGTH, MAX_PADDING, MAX_TERMS};
use bittrace_protocol::wire::{
    AzureusMessage, Frame, HANDSHAKE_LENGTH, Handshake, HandshakeVerdict, Message, MessageId, PROTOCOL,
    Prefix, azureus_frame, begins_azureus, frame, handshake_prefix, judge_handshake,
};
use memchr::memmem;

use super::{CHUNK, Emitter, Loss, StreamGap};
use crate::Direction;
use crate::dissect::resync::{Search, search, search_end, search_end_behind_noise};
use crate::dissect::stream_buffer::{BufferSlice, StreamBuffer};
use crate::expert::rules::BEP3_HTTP_TO_PEER;
use crate::record::{Body, Fragment, MseBody, PeerWireBody, Protocol, Reason, Unreadable};

/// What each direction of the connection is in the middle of.
#[derive(Debug)]
pub(super) struct PeerWire {
    modes: [Mode; 2],
    /// Whether a direction was found to speak Azureus messaging.
    azureus: [bool; 2],
    /// The info hash of each handshake that is right.
    handshakes: [Option<InfoHash>; 2],
    /// Whether a direction was at its first byte when its first message was looked for.
    at_start: [bool; 2],
    /// Whether a near miss was seen in a direction: what cannot be read after it is not damage.
    missed: [bool; 2],
    /// Whether the next handshake answers an HTTP request that was read as one to a tracker.
    answers_http: bool,
}

#[derive(Debug)]
enum Mode {
    /// A handshake comes next.
    Handshake,
    /// A public key comes next.
    KeyExchange,
    /// What stands between the key and a handshake in clear comes next.
    Negotiation,
    /// A message comes next.
    Messages,
    /// A message of Azureus messaging comes next.
    Azureus,
    /// The rest of a message of which a part is lost, up to a stream offset.
    Rest { fragment: Fragment, end: u64 },
    /// The next message must be found; what stands before it is `skipped`. Nothing before `searched`, within
    /// the bytes that wait, begins one.
    Searching { skipped: Skipped, searched: usize },
}

/// What the bytes before the next message are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skipped {
    Opaque(Reason),
    Encrypted,
}

impl Skipped {
    const fn body(self) -> Body {
        match self {
            Self::Opaque(reason) => Body::Unreadable(Protocol::PeerWire, Unreadable::Opaque(reason)),
            Self::Encrypted => Body::Mse(MseBody::Encrypted),
        }
    }
}

/// Why the bytes that wait end where they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// More may come.
    More,
    /// The capture lost what follows.
    Lost,
    /// The stream ends.
    Last,
}

/// How far into an encrypted connection a handshake in clear may begin: after the key, its padding, two hashes, the
/// longest negotiation and a handshake sent ahead.
pub(super) const CLEAR_WITHIN: usize =
    KEY_LENGTH + MAX_PADDING + 2 * HASH_LENGTH + MAX_TERMS + HANDSHAKE_LENGTH;

impl PeerWire {
    /// A connection that begins with handshakes.
    pub(super) fn from_start() -> Self {
        Self::in_mode(|| Mode::Handshake)
    }

    /// A connection that begins with a key exchange and goes on in clear.
    pub(super) fn behind_key_exchange() -> Self {
        Self::in_mode(|| Mode::KeyExchange)
    }

    /// A connection whose beginning was not captured.
    pub(super) fn mid_stream() -> Self {
        Self::in_mode(|| Mode::Searching { skipped: Skipped::Opaque(Reason::BeforeBoundary), searched: 0 })
    }

    /// A connection whose HTTP request, sent by `asker` and read already, is answered by a handshake.
    pub(super) fn behind_http_request(asker: Direction) -> Self {
        let mut wire = Self::from_start();
        wire.search(asker, Skipped::Opaque(Reason::AfterNearMiss));
        wire.at_start[asker as usize] = false;
        wire.missed[asker as usize] = true;
        wire.answers_http = true;
        wire
    }

    fn in_mode(mode: impl Fn() -> Mode) -> Self {
        Self {
            modes: [(); 2].map(|()| mode()),
            azureus: [false; 2],
            handshakes: [None; 2],
            at_start: [true; 2],
            missed: [false; 2],
            answers_http: false,
        }
    }

    /// Takes in that it is not known where in `direction` the next message begins.
    pub(super) fn lose_place(&mut self, direction: Direction) {
        self.search(direction, Skipped::Opaque(Reason::BeforeBoundary));
    }

    /// Turns the bytes that wait in `lane` into records, as far as they go.
    pub(super) fn advance(
        &mut self,
        direction: Direction,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) {
        loop {
            let waiting = lane.waiting();
            let (opposite, may_tell_more) = match self.modes[direction as usize] {
                Mode::Searching { .. } => (self.opposite(direction), self.may_tell_more(direction, waiting)),
                _ => (None, false),
            };
            match &mut self.modes[direction as usize] {
                Mode::Handshake => {
                    if !self.first(direction, Ending::More, lane, emitter) {
                        return;
                    }
                }
                Mode::KeyExchange if waiting.len() < KEY_LENGTH => return,
                Mode::KeyExchange => {
                    emitter.emit(direction, lane.take(KEY_LENGTH), Body::Mse(MseBody::KeyExchange));
                    self.modes[direction as usize] = Mode::Negotiation;
                }
                Mode::Negotiation => match first_behind_key(waiting) {
                    (Some(at), false) => {
                        if at > 0 {
                            emitter.emit(direction, lane.take(at), Body::Mse(MseBody::Encrypted));
                        }
                        self.modes[direction as usize] = Mode::Handshake;
                    }
                    // The handshake was sent in the encrypted first payload, or is lost.
                    (_, true) => self.search(direction, Skipped::Encrypted),
                    (None, false) if waiting.len() >= CLEAR_WITHIN - KEY_LENGTH + PROTOCOL.len() => {
                        self.search(direction, Skipped::Encrypted);
                    }
                    (None, false) => return,
                },
                // A choke is all that has a 0 here.
                Mode::Messages if waiting.get(4) == Some(&0) && begins_azureus(waiting) != Some(false) => {
                    if begins_azureus(waiting).is_none() {
                        return;
                    }
                    self.azureus[direction as usize] = true;
                    self.modes[direction as usize] = Mode::Azureus;
                }
                Mode::Azureus => match azureus_frame(waiting) {
                    Frame::Message(length) if length <= waiting.len() => {
                        azureus_message(direction, lane.take(length), emitter);
                    }
                    Frame::Message(_) | Frame::Incomplete => return,
                    Frame::Impossible(_) => self.search(direction, Skipped::Opaque(Reason::Damaged)),
                },
                Mode::Messages => match frame(waiting) {
                    Frame::Message(length) if length <= waiting.len() => {
                        self.message(direction, length, lane, emitter);
                    }
                    Frame::Message(_) | Frame::Incomplete => return,
                    Frame::Impossible(_) => {
                        if !self.no_message(direction, Ending::More, lane, emitter) {
                            return;
                        }
                    }
                },
                Mode::Rest { end, .. } if lane.end() < *end => return,
                Mode::Rest { fragment, end } => {
                    let body =
                        Body::Unreadable(Protocol::PeerWire, Unreadable::Opaque(Reason::Fragment(*fragment)));
                    let length = (*end - lane.offset()) as usize;
                    self.modes[direction as usize] = Mode::Messages;
                    emitter.emit(direction, lane.take(length), body);
                }
                Mode::Searching { skipped, searched } => {
                    let skipped = *skipped;
                    // A handshake may well stand first: of one direction alone the beginning was captured.
                    match handshake_prefix(waiting) {
                        Prefix::Yes => {
                            self.modes[direction as usize] = Mode::Handshake;
                            continue;
                        }
                        Prefix::SoFar => return,
                        Prefix::No if self.at_start[direction as usize] => {
                            match judge_handshake(waiting, opposite, false) {
                                HandshakeVerdict::Open if may_tell_more => return,
                                HandshakeVerdict::NearMiss(_) => {
                                    self.modes[direction as usize] = Mode::Handshake;
                                    continue;
                                }
                                _ => self.at_start[direction as usize] = false,
                            }
                        }
                        Prefix::No => {}
                    }
                    let found = match self.azureus[direction as usize] {
                        true => search_azureus(waiting, *searched),
                        false => search(waiting, *searched),
                    };
                    match found {
                        Search::Found(at) => self.found(direction, skipped, at, lane, emitter),
                        Search::NotBefore(at) => {
                            *searched = at % CHUNK;
                            emitter.emit_chunks(direction, lane, at, &skipped.body());
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Takes in that the capture lost what comes next.
    pub(super) fn gap(&mut self, gap: StreamGap, lane: &mut StreamBuffer, emitter: &mut Emitter<'_>) {
        let StreamGap { direction, loss, .. } = gap;
        self.settle(direction, Ending::Lost, lane, emitter);
        self.at_start[direction as usize] = false;
        // Where the next message begins is only known when it is known how much is missing.
        let begun = self.begun(direction, lane).filter(|_| matches!(loss, Loss::Bytes(_)));
        self.flush(direction, Ending::Lost, lane, emitter);
        emitter.lose(gap, Protocol::PeerWire, lane);
        self.modes[direction as usize] = match begun {
            Some((fragment, end)) if lane.offset() < end => {
                let start = end - fragment.total;
                Mode::Rest { fragment: Fragment { from: lane.offset() - start, ..fragment }, end }
            }
            Some((_, end)) if lane.offset() == end => Mode::Messages,
            _ => Mode::Searching { skipped: Skipped::Opaque(Reason::BeforeBoundary), searched: 0 },
        };
    }

    /// Takes in that no more bytes come.
    pub(super) fn finish(
        &mut self,
        direction: Direction,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) {
        self.settle(direction, Ending::Last, lane, emitter);
        self.flush(direction, Ending::Last, lane, emitter);
    }

    /// Whether the first bytes of `direction` wait for what the other side's handshake says.
    pub(super) fn awaits_other(&self, direction: Direction) -> bool {
        matches!(self.modes[direction as usize], Mode::Handshake) && self.opposite(direction).is_some()
    }

    /// The info hash of the handshake that the other side sent.
    const fn opposite(&self, direction: Direction) -> Option<InfoHash> {
        self.handshakes[direction.reverse() as usize]
    }

    /// Finds the next message, where that is looked for, in all the bytes that there will be to judge by.
    fn settle(
        &mut self,
        direction: Direction,
        ending: Ending,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) {
        let waiting = lane.waiting();
        let taken = match self.modes[direction as usize] {
            _ if waiting.is_empty() => false,
            Mode::Handshake => self.first(direction, ending, lane, emitter),
            Mode::Messages if matches!(frame(waiting), Frame::Impossible(_)) => {
                self.no_message(direction, ending, lane, emitter)
            }
            Mode::Searching { .. } if self.at_start[direction as usize] => {
                let verdict = judge_handshake(waiting, self.opposite(direction), ending == Ending::Last);
                matches!(verdict, HandshakeVerdict::NearMiss(_))
                    && self.first(direction, ending, lane, emitter)
            }
            _ => false,
        };
        if taken {
            self.advance(direction, lane, emitter);
            // What follows a near miss may be nearly a message.
            return self.settle(direction, ending, lane, emitter);
        }
        if matches!(self.modes[direction as usize], Mode::Negotiation) {
            self.search(direction, Skipped::Encrypted);
        }
        if let Mode::Searching { skipped, searched } = self.modes[direction as usize]
            && !self.azureus[direction as usize]
            && let Some(at) = match skipped {
                Skipped::Opaque(_) => search_end(lane.waiting(), searched),
                Skipped::Encrypted => search_end_behind_noise(lane.waiting(), searched),
            }
        {
            self.found(direction, skipped, at, lane, emitter);
            self.advance(direction, lane, emitter);
        }
    }

    /// The next message begins `at` bytes after the first that wait.
    fn found(
        &mut self,
        direction: Direction,
        skipped: Skipped,
        at: usize,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) {
        emitter.emit_chunks(direction, lane, at, &skipped.body());
        let rest = at % CHUNK;
        if rest > 0 {
            emitter.emit(direction, lane.take(rest), skipped.body());
        }
        self.modes[direction as usize] = Mode::Messages;
    }

    /// The message that the waiting bytes begin or continue, and the stream offset where it ends.
    fn begun(&self, direction: Direction, lane: &StreamBuffer) -> Option<(Fragment, u64)> {
        match &self.modes[direction as usize] {
            Mode::Handshake => {
                let total = HANDSHAKE_LENGTH as u64;
                Some((
                    Fragment { id: None, block: None, from: 0, total, goes_on: false },
                    lane.offset() + total,
                ))
            }
            Mode::Messages => {
                let fragment = begun_message(lane.waiting())?;
                Some((fragment, lane.offset() + fragment.total))
            }
            Mode::Rest { fragment, end } => Some((*fragment, *end)),
            Mode::KeyExchange | Mode::Negotiation | Mode::Azureus | Mode::Searching { .. } => None,
        }
    }

    /// Makes records of all that waits, though it is not whole.
    fn flush(
        &mut self,
        direction: Direction,
        ending: Ending,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) {
        if lane.waiting().is_empty() {
            return;
        }
        match self.modes[direction as usize] {
            Mode::KeyExchange => {
                emitter.emit(direction, lane.take_all(), Body::Mse(MseBody::KeyExchange));
                return self.search(direction, Skipped::Encrypted);
            }
            Mode::Negotiation => self.search(direction, Skipped::Encrypted),
            _ => {}
        }
        let part = |fragment| {
            Skipped::Opaque(Reason::Fragment(Fragment { goes_on: ending == Ending::Lost, ..fragment }))
        };
        let skipped = match &self.modes[direction as usize] {
            Mode::Searching { skipped, .. } => *skipped,
            Mode::Rest { fragment, .. } => part(*fragment),
            _ => match self.begun(direction, lane) {
                Some((fragment, _)) => part(fragment),
                None => Skipped::Opaque(Reason::Unfinished),
            },
        };
        if let Skipped::Opaque(Reason::Fragment(_) | Reason::Unfinished) = skipped {
            emitter.emit(direction, lane.take_all(), skipped.body());
            return;
        }
        emitter.emit_chunks(direction, lane, lane.waiting().len(), &skipped.body());
        if !lane.waiting().is_empty() {
            emitter.emit(direction, lane.take_all(), skipped.body());
        }
    }

    fn search(&mut self, direction: Direction, skipped: Skipped) {
        self.modes[direction as usize] = Mode::Searching { skipped, searched: 0 };
    }

    fn handshake(&mut self, direction: Direction, lane: &mut StreamBuffer, emitter: &mut Emitter<'_>) {
        let taken = lane.take(HANDSHAKE_LENGTH);
        let body = match Handshake::decode(&taken.bytes) {
            Ok(handshake) => {
                self.handshakes[direction as usize] = Some(handshake.info_hash);
                Body::PeerWire(PeerWireBody::Handshake(handshake))
            }
            Err(_) => Body::Unreadable(Protocol::PeerWire, Unreadable::Opaque(Reason::Damaged)),
        };
        self.modes[direction as usize] = Mode::Messages;
        let notes = match std::mem::take(&mut self.answers_http) {
            true => vec![BEP3_HTTP_TO_PEER.note(ANSWERS_HTTP)],
            false => Vec::new(),
        };
        emitter.emit_noted(direction, taken, body, notes);
    }

    fn message(
        &mut self,
        direction: Direction,
        length: usize,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) {
        let taken = lane.take(length);
        let body = match Message::decode(&taken.bytes) {
            Ok(message) => Body::PeerWire(PeerWireBody::Message(message)),
            Err(_) => Body::Unreadable(Protocol::PeerWire, Unreadable::Opaque(Reason::Damaged)),
        };
        emitter.emit(direction, taken, body);
    }
}

const ANSWERS_HTTP: &str = "an HTTP request was sent to this peer: expected a handshake, which begins with 19 (0x13), at byte 0 (BEP 3, \"peer protocol\")";

fn azureus_message(direction: Direction, taken: BufferSlice, emitter: &mut Emitter<'_>) {
    let body = match AzureusMessage::decode(&taken.bytes) {
        Ok(message) => {
            let wrapped = message.message();
            Body::PeerWire(PeerWireBody::Azureus(Box::new(message), wrapped))
        }
        Err(_) => Body::Unreadable(Protocol::PeerWire, Unreadable::Opaque(Reason::Damaged)),
    };
    emitter.emit(direction, taken, body);
}

/// The first place from `from` on where Azureus messaging goes on after a loss.
fn search_azureus(bytes: &[u8], from: usize) -> Search {
    for at in from..bytes.len() {
        match begins_azureus(&bytes[at..]) {
            Some(true) => return Search::Found(at),
            Some(false) => {}
            None => return Search::NotBefore(at),
        }
    }
    Search::NotBefore(bytes.len())
}

/// Where a handshake in clear stands after a key exchange, when the bytes show one.
pub(super) fn clear_handshake(bytes: &[u8]) -> Option<usize> {
    handshake_behind(bytes.get(KEY_LENGTH..)?).map(|at| at + KEY_LENGTH)
}

/// Where a handshake in clear stands among the bytes after the key, and whether messages in clear are proved by the bytes
/// before it is there. Whichever is there first counts, so that it does not matter how the bytes come.
fn first_behind_key(bytes: &[u8]) -> (Option<usize>, bool) {
    let handshake = handshake_behind(bytes);
    let before = handshake.map_or(bytes.len(), |at| at + PROTOCOL.len() - 1);
    (handshake, matches!(search(&bytes[..before], 0), Search::Found(_)))
}

/// Where it stands among the bytes after the key.
fn handshake_behind(bytes: &[u8]) -> Option<usize> {
    memmem::find(&bytes[..bytes.len().min(CLEAR_WITHIN - KEY_LENGTH + PROTOCOL.len())], PROTOCOL)
}

/// The message that some bytes begin but do not finish; `None` when they do not even tell its length.
fn begun_message(bytes: &[u8]) -> Option<Fragment> {
    let Frame::Message(total) = frame(bytes) else { return None };
    let id = MessageId(*bytes.get(4)?);
    let number = |at: usize| -> Option<u32> { Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?)) };
    let block = match id {
        MessageId::PIECE => number(5).zip(number(9)).map(|(index, begin)| (PieceIndex(index), begin)),
        _ => None,
    };
    Some(Fragment { id: Some(id), block, from: 0, total: total as u64, goes_on: false })
}
