//! The two directions of a peer-wire connection: handshake, messages, and what to do where bytes are missing.

use bittrace_protocol::PieceIndex;
use bittrace_protocol::mse::{HASH_LENGTH, KEY_LENGTH, MAX_PADDING, MAX_TERMS};
use bittrace_protocol::wire::{
    AzureusMessage, Frame, HANDSHAKE_LENGTH, Handshake, Message, MessageId, PROTOCOL, Prefix, azureus_frame,
    begins_azureus, frame, handshake_prefix,
};
use memchr::memmem;

use super::{CHUNK, Emitter, Loss, StreamGap};
use crate::Direction;
use crate::dissect::resync::{Search, search, search_end, search_end_behind_noise};
use crate::dissect::stream_buffer::{BufferSlice, StreamBuffer};
use crate::record::{Body, Fragment, MseBody, PeerWireBody, Protocol, Reason, Unreadable};

/// What each direction of the connection is in the middle of.
#[derive(Debug)]
pub(super) struct PeerWire {
    modes: [Mode; 2],
    /// Whether a direction was found to speak Azureus messaging.
    azureus: [bool; 2],
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

/// How far into an encrypted connection a handshake in clear may begin: behind the key, its padding, two hashes, the
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

    fn in_mode(mode: impl Fn() -> Mode) -> Self {
        Self { modes: [(); 2].map(|()| mode()), azureus: [false; 2] }
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
            match &mut self.modes[direction as usize] {
                Mode::Handshake => match handshake_prefix(waiting) {
                    Prefix::Yes if waiting.len() >= HANDSHAKE_LENGTH => {
                        self.handshake(direction, lane, emitter);
                    }
                    Prefix::Yes | Prefix::SoFar => return,
                    Prefix::No => self.search(direction, Skipped::Opaque(Reason::Damaged)),
                },
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
                    Frame::Impossible(_) => self.search(direction, Skipped::Opaque(Reason::Damaged)),
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
        self.settle(direction, lane, emitter);
        // Where the next message begins is only known when it is known how much is missing.
        let begun = self.begun(direction, lane).filter(|_| matches!(loss, Loss::Bytes(_)));
        self.flush(direction, lane, emitter);
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
        self.settle(direction, lane, emitter);
        self.flush(direction, lane, emitter);
    }

    /// Finds the next message, where that is looked for, in all the bytes that there will be to judge by.
    fn settle(&mut self, direction: Direction, lane: &mut StreamBuffer, emitter: &mut Emitter<'_>) {
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

    /// The next message begins `at` bytes behind the first that wait.
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
                Some((Fragment { id: None, block: None, from: 0, total }, lane.offset() + total))
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
    fn flush(&mut self, direction: Direction, lane: &mut StreamBuffer, emitter: &mut Emitter<'_>) {
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
        let skipped = match &self.modes[direction as usize] {
            Mode::Searching { skipped, .. } => *skipped,
            Mode::Rest { fragment, .. } => Skipped::Opaque(Reason::Fragment(*fragment)),
            _ => match self.begun(direction, lane) {
                Some((fragment, _)) => Skipped::Opaque(Reason::Fragment(fragment)),
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
            Ok(handshake) => Body::PeerWire(PeerWireBody::Handshake(handshake)),
            Err(_) => Body::Unreadable(Protocol::PeerWire, Unreadable::Opaque(Reason::Damaged)),
        };
        self.modes[direction as usize] = Mode::Messages;
        emitter.emit(direction, taken, body);
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

/// Where a handshake in clear stands behind a key exchange, when the bytes show one.
pub(super) fn clear_handshake(bytes: &[u8]) -> Option<usize> {
    handshake_behind(bytes.get(KEY_LENGTH..)?).map(|at| at + KEY_LENGTH)
}

/// Where a handshake in clear stands among the bytes behind the key, and whether messages in clear are proved by the bytes
/// before it is there. Whichever is there first counts, so that it does not matter how the bytes come.
fn first_behind_key(bytes: &[u8]) -> (Option<usize>, bool) {
    let handshake = handshake_behind(bytes);
    let before = handshake.map_or(bytes.len(), |at| at + PROTOCOL.len() - 1);
    (handshake, matches!(search(&bytes[..before], 0), Search::Found(_)))
}

/// Where it stands among the bytes behind the key.
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
    Some(Fragment { id: Some(id), block, from: 0, total: total as u64 })
}
