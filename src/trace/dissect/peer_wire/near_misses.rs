//! What stands where a handshake or a message should and is nearly one: said once in each direction, and read on after it
//! where that can be.

use bittrace_protocol::tracker::http;
use bittrace_protocol::wire::{
    HandshakeVerdict, LengthVerdict, NearMiss, Prefix, handshake_prefix, judge_handshake, judge_length,
};
use memchr::memmem;

use super::{Ending, Mode, PeerWire, Skipped};
use crate::Direction;
use crate::dissect::stream_buffer::StreamBuffer;
use crate::dissect::{CHUNK, Emitter};
use crate::record::{Body, Protocol, Reason, Unreadable};

/// How many bytes tell whether a stream begins with a near miss of a handshake.
const JUDGED_WITHIN: usize = 128;

impl PeerWire {
    /// Takes what stands where a handshake should. False where more bytes must tell, or where a handshake is cut.
    pub(super) fn first(
        &mut self,
        direction: Direction,
        ending: Ending,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) -> bool {
        let waiting = lane.waiting();
        match http::looks_like_request(waiting) {
            Some(true) => return self.http_request(direction, ending, lane, emitter),
            None if ending == Ending::More => return false,
            None | Some(false) => {}
        }
        match judge_handshake(waiting, self.opposite(direction), ending == Ending::Last) {
            HandshakeVerdict::Right => self.handshake(direction, lane, emitter),
            HandshakeVerdict::NearMiss(layout)
                if ending != Ending::More || waiting.len() >= layout.length() =>
            {
                self.near_miss(direction, NearMiss::Handshake(layout), layout.length(), lane, emitter);
                self.modes[direction as usize] = Mode::Messages;
            }
            HandshakeVerdict::NearMiss(_) => return false,
            HandshakeVerdict::Open if handshake_prefix(waiting) != Prefix::No => return false,
            HandshakeVerdict::Open if ending == Ending::More && self.may_tell_more(direction, waiting) => {
                return false;
            }
            HandshakeVerdict::Open | HandshakeVerdict::No => {
                self.at_start[direction as usize] = false;
                self.search(direction, Skipped::Opaque(Reason::Damaged));
            }
        }
        true
    }

    /// Whether more bytes may tell what `direction` begins with: few are there, or the other side's handshake, which tells
    /// too, is not whole yet. How the bytes come must make no difference.
    pub(super) fn may_tell_more(&self, direction: Direction, waiting: &[u8]) -> bool {
        waiting.len() < JUDGED_WITHIN || matches!(self.modes[direction.reverse() as usize], Mode::Handshake)
    }

    /// Takes an HTTP request, as far as the end of its headers. False where more bytes must tell where that is.
    fn http_request(
        &mut self,
        direction: Direction,
        ending: Ending,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) -> bool {
        let searched = &lane.waiting()[..lane.waiting().len().min(CHUNK)];
        let is_cut = ending != Ending::More || searched.len() == CHUNK;
        let end = memmem::find(searched, b"\r\n\r\n").map(|end| end + 4);
        let Some(end) = end.or(is_cut.then_some(searched.len())) else { return false };
        self.near_miss(direction, NearMiss::HttpRequest, end, lane, emitter);
        self.search(direction, Skipped::Opaque(Reason::AfterNearMiss));
        true
    }

    /// Takes what stands where a message should, and is none in big endian. False where more bytes must tell.
    pub(super) fn no_message(
        &mut self,
        direction: Direction,
        ending: Ending,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) -> bool {
        let waiting = lane.waiting();
        match judge_length(waiting, ending == Ending::Last) {
            _ if self.missed[direction as usize] => {
                self.search(direction, Skipped::Opaque(Reason::AfterNearMiss));
            }
            LengthVerdict::LittleEndian(length) if ending != Ending::More || waiting.len() >= length => {
                self.near_miss(direction, NearMiss::LittleEndian, length, lane, emitter);
                self.search(direction, Skipped::Opaque(Reason::AfterNearMiss));
            }
            LengthVerdict::LittleEndian(_) => return false,
            LengthVerdict::Open if ending == Ending::More => return false,
            LengthVerdict::Open | LengthVerdict::No => {
                self.search(direction, Skipped::Opaque(Reason::Damaged))
            }
        }
        true
    }

    /// Makes a record of the first `length` bytes that wait, or of all where they are fewer.
    fn near_miss(
        &mut self,
        direction: Direction,
        near_miss: NearMiss,
        length: usize,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) {
        self.missed[direction as usize] = true;
        self.at_start[direction as usize] = false;
        let taken = lane.take(length.min(lane.waiting().len()));
        let body = Body::Unreadable(Protocol::PeerWire, Unreadable::Opaque(Reason::NearMiss(near_miss)));
        emitter.emit(direction, taken, body);
    }
}
