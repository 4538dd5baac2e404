//! An encrypted connection: with its key, the negotiation and the peer wire after it; without, how much there is.
//!
//! RC4 keeps lengths, so deciphered records have the places of the bytes on the wire and tile the stream.

mod direction;

use bittrace_protocol::mse::{
    End, HASH_LENGTH, KEY_LENGTH, MAX_PADDING, Methods, MseKey, Part, Progress, Terms, VERIFICATION, terms,
};
use bittrace_protocol::wire::{Frame, Prefix, frame, handshake_prefix};
use memchr::memmem;

use super::peer_wire::PeerWire;
use super::{CHUNK, Emitter, StreamGap};
use crate::Direction;
use crate::dissect::resync::search_all;
use crate::dissect::stream_buffer::{BufferSlice, StreamBuffer};
use crate::expert::rules::MSE_NOT_DECIPHERED;
use crate::record::{Body, MseBody, Note, Protocol, Reason, Unreadable};
use direction::{MseDirection, MseStage};

/// What is known of an encrypted connection.
#[derive(Debug)]
pub(super) struct Mse {
    directions: [MseDirection; 2],
    wire: PeerWire,
    /// What the initiator offered, once it has.
    provided: Option<Methods>,
    /// How the payload goes, once that is known.
    selected: Option<Payload>,
    /// The stream offsets where the connection begins in each direction: after the negotiation with a proxy.
    begins: [u64; 2],
}

/// How the payload goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Payload {
    Plain,
    Rc4,
}

use Direction::{FromInitiator, FromResponder};

/// Where the responder's verification constant must have ended.
const VERIFIED_WITHIN: u64 = (KEY_LENGTH + MAX_PADDING + VERIFICATION) as u64;

/// How much an end may send before it must be known what was selected. The initiator has to wait for that itself.
const SELECTED_WITHIN: usize = 8 * 1024;

impl Mse {
    /// A connection whose key is not known; `note` says what is to be said of that.
    pub(super) fn sealed(note: Option<Note>) -> Self {
        let mut directions = [(); 2].map(|()| MseDirection::new(MseStage::Sealed, None));
        directions[FromInitiator as usize].note = note;
        Self { directions, wire: PeerWire::from_start(), provided: None, selected: None, begins: [0; 2] }
    }

    /// A connection whose key is known. The initiator's hashes, which wait already, stand at `hashes`.
    pub(super) fn with_key(key: &MseKey, hashes: usize) -> Self {
        let looks = key.verification(End::Responder);
        let state = |stage, end| MseDirection::new(stage, Some(key.cipher(end)));
        Self {
            directions: [
                state(MseStage::Hashes { at: hashes }, End::Initiator),
                state(MseStage::Verification { looks }, End::Responder),
            ],
            ..Self::sealed(None)
        }
    }

    /// Takes in where the connection begins in the streams that carry it. Nothing may be read yet.
    pub(super) const fn begins_at(&mut self, offsets: [u64; 2]) {
        self.begins = offsets;
    }

    /// Turns the bytes that wait into records, as far as they go.
    pub(super) fn advance(
        &mut self,
        direction: Direction,
        lanes: &mut [StreamBuffer; 2],
        emitter: &mut Emitter<'_>,
    ) {
        self.step(direction, &mut lanes[direction as usize], emitter);
        // What one end selected, or shows, may be what the other's bytes wait for.
        let other = direction.reverse();
        if self.selected.is_some() && self.stage(other) == MseStage::Ahead {
            self.step(other, &mut lanes[other as usize], emitter);
        }
    }

    /// Takes in that the capture lost what comes next.
    pub(super) fn gap(&mut self, gap: StreamGap, lane: &mut StreamBuffer, emitter: &mut Emitter<'_>) {
        let StreamGap { direction, .. } = gap;
        match self.stage(direction) {
            MseStage::Sealed | MseStage::Hashes { .. } => {
                self.flush_sealed(direction, lane, emitter);
                self.set(direction, MseStage::Sealed);
            }
            // The constant may still come, and is known by its looks.
            MseStage::Verification { .. } => self.flush_sealed(direction, lane, emitter),
            MseStage::Terms | MseStage::Ahead | MseStage::Payload => {
                self.gap_behind_key(gap, lane, emitter);
                return;
            }
        }
        emitter.deciphered_to = 0;
        emitter.lose(gap, Protocol::Mse, lane);
    }

    /// The memory of what was deciphered and waits for the rest of a message.
    pub(super) fn cost(&self) -> usize {
        self.directions.iter().map(|state| state.clear.cost()).sum()
    }

    /// Takes in that no more bytes come.
    pub(super) fn finish(
        &mut self,
        direction: Direction,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) {
        if self.stage(direction) == MseStage::Ahead && !lane.waiting().is_empty() {
            self.guess(lane);
            self.step(direction, lane, emitter);
        }
        let state = &mut self.directions[direction as usize];
        emitter.deciphered_to = state.enciphered_to;
        match state.stage {
            MseStage::Terms => flush_terms(direction, Reason::Unfinished, &mut state.clear, emitter),
            MseStage::Ahead | MseStage::Payload => self.wire.finish(direction, &mut state.clear, emitter),
            MseStage::Sealed | MseStage::Hashes { .. } | MseStage::Verification { .. } => {
                self.flush_sealed(direction, lane, emitter);
            }
        }
    }

    const fn stage(&self, direction: Direction) -> MseStage {
        self.directions[direction as usize].stage
    }

    const fn set(&mut self, direction: Direction, stage: MseStage) {
        self.directions[direction as usize].stage = stage;
    }

    fn step(&mut self, direction: Direction, lane: &mut StreamBuffer, emitter: &mut Emitter<'_>) {
        loop {
            let goes_on = match self.stage(direction) {
                MseStage::Sealed => {
                    self.show_sealed(direction, lane, emitter);
                    false
                }
                MseStage::Hashes { at } => self.show_hashes(at, direction, lane, emitter),
                MseStage::Verification { looks } => self.find_verification(looks, direction, lane, emitter),
                MseStage::Terms => self.read_terms(direction, lane, emitter),
                MseStage::Ahead => self.read_ahead(direction, lane, emitter),
                MseStage::Payload => {
                    self.directions[direction as usize].decipher(lane.waiting().len(), lane);
                    self.read_wire(direction, emitter);
                    false
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    fn show_sealed(&mut self, direction: Direction, lane: &mut StreamBuffer, emitter: &mut Emitter<'_>) {
        if self.show_key(direction, lane, emitter) {
            while lane.waiting().len() >= CHUNK {
                self.emit_sealed(direction, lane.take(CHUNK), Body::Mse(MseBody::Encrypted), emitter);
            }
        }
    }

    fn show_hashes(
        &mut self,
        at: usize,
        direction: Direction,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) -> bool {
        self.show_key(direction, lane, emitter);
        self.show_padding(at - KEY_LENGTH, direction, lane, emitter);
        let hashes = lane.take(2 * HASH_LENGTH);
        self.emit_sealed(direction, hashes, Body::Mse(MseBody::Negotiation(Part::TorrentHash)), emitter);
        self.directions[direction as usize].begin_terms(lane);
        true
    }

    fn find_verification(
        &mut self,
        looks: [u8; VERIFICATION],
        direction: Direction,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) -> bool {
        if !self.show_key(direction, lane, emitter) {
            return false;
        }
        let verified_within = self.begins[direction as usize] + VERIFIED_WITHIN;
        let within = lane.waiting().len().min(verified_within.saturating_sub(lane.offset()) as usize);
        match memmem::find(&lane.waiting()[..within], &looks) {
            Some(at) => {
                self.show_padding(at, direction, lane, emitter);
                self.directions[direction as usize].begin_terms(lane);
                true
            }
            None if lane.end() >= verified_within => {
                self.seal(direction);
                true
            }
            None => false,
        }
    }

    fn read_terms(
        &mut self,
        direction: Direction,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) -> bool {
        let state = &mut self.directions[direction as usize];
        let end = match direction {
            FromInitiator => End::Initiator,
            FromResponder => End::Responder,
        };
        match terms(end, state.clear.waiting()) {
            Ok(Progress::Needs(length)) => {
                let lacking = (length - state.clear.waiting().len()).min(lane.waiting().len());
                state.decipher(lacking, lane);
                lacking > 0
            }
            Ok(Progress::Whole(Terms { methods, ahead, length, .. })) => {
                emitter.deciphered_to = state.enciphered_to;
                let taken = state.clear.take(length);
                let part = match end {
                    End::Initiator => {
                        state.enciphered_to = state.clear.offset() + u64::from(ahead);
                        state.stage = MseStage::Ahead;
                        self.provided = Some(methods);
                        Part::CryptoProvide
                    }
                    End::Responder => {
                        // This is known, whatever was guessed before.
                        self.selected = Some(Payload::of(methods));
                        self.enter_payload(direction);
                        if self.selected == Some(Payload::Plain)
                            && self.stage(FromInitiator) == MseStage::Payload
                        {
                            self.enter_payload(FromInitiator);
                        }
                        Part::CryptoSelect
                    }
                };
                emitter.emit(direction, taken, Body::Mse(MseBody::Negotiation(part)));
                true
            }
            Err(_) => {
                emitter.deciphered_to = state.enciphered_to;
                flush_terms(direction, Reason::Damaged, &mut state.clear, emitter);
                self.seal(direction);
                true
            }
        }
    }

    fn read_ahead(
        &mut self,
        direction: Direction,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) -> bool {
        let state = &mut self.directions[direction as usize];
        let left = state.enciphered_to.saturating_sub(state.clear.end());
        let now = lane.waiting().len().min(usize::try_from(left).unwrap_or(usize::MAX));
        state.decipher(now, lane);
        self.read_wire(direction, emitter);
        if (now as u64) < left {
            return false;
        }
        if lane.waiting().len() > SELECTED_WITHIN {
            self.guess(lane);
        }
        if self.selected.is_some() {
            self.enter_payload(direction);
        }
        self.selected.is_some()
    }

    fn read_wire(&mut self, direction: Direction, emitter: &mut Emitter<'_>) {
        let state = &mut self.directions[direction as usize];
        emitter.deciphered_to = state.enciphered_to;
        self.wire.advance(direction, &mut state.clear, emitter);
    }

    /// The next bytes of a direction are payload, as it was selected.
    fn enter_payload(&mut self, direction: Direction) {
        let state = &mut self.directions[direction as usize];
        match self.selected {
            Some(Payload::Plain) => {
                state.stage = MseStage::Payload;
                state.enciphered_to = state.enciphered_to.min(state.clear.end());
            }
            Some(Payload::Rc4) if state.cipher.is_some() => {
                state.stage = MseStage::Payload;
                state.enciphered_to = u64::MAX;
            }
            Some(Payload::Rc4) | None => state.stage = MseStage::Sealed,
        }
    }

    /// Decides how the payload goes while the responder's word is missing, by the bytes that would be the first.
    fn guess(&mut self, lane: &StreamBuffer) {
        // How many more came at once must make no difference.
        let bytes = &lane.waiting()[..lane.waiting().len().min(SELECTED_WITHIN + 1)];
        if self.selected.is_some() || bytes.is_empty() {
            return;
        }
        let offers = |method| self.provided.is_none_or(|methods| methods.has(method));
        let plain = !offers(Methods::RC4) || offers(Methods::PLAINTEXT) && is_wire(bytes);
        self.selected = Some(if plain { Payload::Plain } else { Payload::Rc4 });
    }

    fn gap_behind_key(&mut self, gap: StreamGap, lane: &mut StreamBuffer, emitter: &mut Emitter<'_>) {
        let StreamGap { direction, loss, .. } = gap;
        let state = &mut self.directions[direction as usize];
        if state.stage == MseStage::Terms {
            emitter.deciphered_to = state.enciphered_to;
            flush_terms(direction, Reason::Unfinished, &mut state.clear, emitter);
            // Where the payload begins is lost.
            self.wire.lose_place(direction);
            state.enciphered_to = state.clear.end();
            state.stage = MseStage::Ahead;
        }
        // How much is lost may not be known, but it is something.
        let passes = state.clear.end().saturating_add(loss.bytes().max(1)) > state.enciphered_to;
        if state.stage == MseStage::Ahead && passes {
            self.guess(lane);
            if self.selected.is_some() {
                self.enter_payload(direction);
                self.step(direction, lane, emitter);
            }
        }
        let waits = self.stage(direction) == MseStage::Ahead && passes;
        let state = &mut self.directions[direction as usize];
        emitter.deciphered_to = state.enciphered_to;
        let follows = state.skip(loss);
        self.wire.gap(gap, &mut state.clear, emitter);
        // What is not known to be enciphered may yet be read without the cipher.
        if !follows && !waits {
            state.stage = MseStage::Sealed;
        }
        lane.skip(loss.bytes());
    }

    /// Gives up a direction whose key is known, but does not fit.
    fn seal(&mut self, direction: Direction) {
        let state = &mut self.directions[direction as usize];
        state.note = Some(MSE_NOT_DECIPHERED.note(MSE_NOT_DECIPHERED.text));
        state.stage = MseStage::Sealed;
    }

    /// Shows the public key, if it was not or is lost: whether that is done.
    fn show_key(&mut self, direction: Direction, lane: &mut StreamBuffer, emitter: &mut Emitter<'_>) -> bool {
        if lane.offset() > self.begins[direction as usize] {
            return true;
        }
        if lane.waiting().len() < KEY_LENGTH {
            return false;
        }
        self.emit_sealed(direction, lane.take(KEY_LENGTH), Body::Mse(MseBody::KeyExchange), emitter);
        true
    }

    fn show_padding(
        &mut self,
        length: usize,
        direction: Direction,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) {
        if length > 0 {
            let padding = lane.take(length);
            self.emit_sealed(direction, padding, Body::Mse(MseBody::Negotiation(Part::Padding)), emitter);
        }
    }

    /// Makes a record of all that waits and was not deciphered.
    fn flush_sealed(&mut self, direction: Direction, lane: &mut StreamBuffer, emitter: &mut Emitter<'_>) {
        if !lane.waiting().is_empty() {
            self.emit_sealed(direction, lane.take_all(), Body::Mse(MseBody::Encrypted), emitter);
        }
    }

    fn emit_sealed(
        &mut self,
        direction: Direction,
        taken: BufferSlice,
        body: Body,
        emitter: &mut Emitter<'_>,
    ) {
        emitter.deciphered_to = 0;
        let note = self.directions[direction as usize].note.take();
        emitter.emit_noted(direction, taken, body, note.into_iter().collect());
    }
}

impl Payload {
    /// What a responder means that selects these.
    const fn of(methods: Methods) -> Self {
        if methods.has(Methods::PLAINTEXT) && !methods.has(Methods::RC4) { Self::Plain } else { Self::Rc4 }
    }
}

/// Whether bytes that may be enciphered are the peer wire as they stand.
fn is_wire(bytes: &[u8]) -> bool {
    matches!(frame(bytes), Frame::Message(_))
        || handshake_prefix(bytes) == Prefix::Yes
        || search_all(bytes, 0).is_some()
}

/// Makes a record of the terms that are there, though they are not whole, or none.
fn flush_terms(direction: Direction, reason: Reason, clear: &mut StreamBuffer, emitter: &mut Emitter<'_>) {
    if !clear.waiting().is_empty() {
        emitter.emit(
            direction,
            clear.take_all(),
            Body::Unreadable(Protocol::Mse, Unreadable::Opaque(reason)),
        );
    }
}
