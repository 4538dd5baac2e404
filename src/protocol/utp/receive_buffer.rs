//! What the other end sent, until all before it is there: packets come in any order and leave in theirs, each once.

use std::collections::VecDeque;

use bytes::Bytes;

use super::sequence::Sequence;

/// The packets of the other end after the last one that left.
#[derive(Debug)]
pub(super) struct ReceiveBuffer {
    /// Everything up to this number has come.
    complete: Sequence,
    /// What has come of the numbers after it, beginning with the next one. The last place is never empty.
    places: VecDeque<Option<Bytes>>,
    held: usize,
    /// The number of FIN, which is the last.
    end: Option<Sequence>,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is kept, or has left with those behind it.
    Taken,
    /// It was there before.
    Again,
    /// There is no room, or no such number.
    Refused,
}

impl ReceiveBuffer {
    /// A buffer to which everything up to `complete` has come.
    pub(super) const fn new(complete: Sequence) -> Self {
        Self { complete, places: VecDeque::new(), held: 0, end: None }
    }

    /// The number up to which everything has come.
    pub(super) const fn complete(&self) -> Sequence {
        self.complete
    }

    /// How many bytes wait for others before them.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Whether a number is missing after which packets have come.
    pub(super) fn has_holes(&self) -> bool {
        !self.places.is_empty()
    }

    /// Whether everything up to FIN has come.
    pub(super) fn has_ended(&self) -> bool {
        self.end == Some(self.complete)
    }

    /// Takes a packet. What is next, and all that follows it, is given to `next` in order; what must wait is kept where
    /// `room` has the bytes.
    pub(super) fn take(
        &mut self,
        number: Sequence,
        payload: &Bytes,
        is_end: bool,
        room: usize,
        mut next: impl FnMut(Bytes),
    ) -> Arrival {
        let place = number.after(self.complete) - 1;
        if place < 0 {
            return Arrival::Again;
        }
        let place = place as usize;
        let is_after_end = self.end.is_some_and(|end| number.after(end) > 0);
        // An end before what has come is none.
        let is_early_end = is_end && place + 1 < self.places.len();
        if place >= MOST_PLACES || is_after_end || is_early_end {
            return Arrival::Refused;
        }
        if place == 0 {
            self.note_end(number, is_end);
            self.complete = number;
            next(payload.clone());
            self.places.pop_front();
            while let Some(Some(_)) = self.places.front() {
                if let Some(payload) = self.places.pop_front().flatten() {
                    self.held -= payload.len();
                    self.complete = self.complete.plus(1);
                    next(payload);
                }
            }
            return Arrival::Taken;
        }
        if self.places.get(place).is_some_and(Option::is_some) {
            return Arrival::Again;
        }
        if payload.len() > room {
            return Arrival::Refused;
        }
        self.note_end(number, is_end);
        if self.places.len() <= place {
            self.places.resize(place + 1, None);
        }
        // A slice would keep the whole buffer of the socket.
        self.places[place] = Some(Bytes::copy_from_slice(payload));
        self.held += payload.len();
        Arrival::Taken
    }

    const fn note_end(&mut self, number: Sequence, is_end: bool) {
        if is_end && self.end.is_none() {
            self.end = Some(number);
        }
    }

    /// Which numbers have come after the one that is missing: the bytes of a selective acknowledgement, and how many of them
    /// there are (BEP 29, "Selective ACK"). `None` where none is missing.
    pub(super) fn selective(&self) -> Option<([u8; MOST_SELECTIVE], usize)> {
        let mut bits = [0; MOST_SELECTIVE];
        let mut last = None;
        // The first bit is two numbers after the complete one: the number between is missing.
        for (bit, place) in self.places.iter().skip(1).take(MOST_SELECTIVE * 8).enumerate() {
            if place.is_some() {
                bits[bit / 8] |= 1 << (bit % 8);
                last = Some(bit);
            }
        }
        // Where all that has come is beyond the last bit, an empty acknowledgement would say nothing.
        last.map(|last| (bits, (last / 8 + 1).next_multiple_of(4)))
    }
}

/// How many packets may come before the next one (libutp, REORDER_BUFFER_MAX_SIZE).
const MOST_PLACES: usize = 1_024;
/// The most bytes of a selective acknowledgement: 256 packets (LIVE.md 4.2, from ethereum/utp#137).
pub(super) const MOST_SELECTIVE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn take(buffer: &mut ReceiveBuffer, number: u16, payload: &'static [u8]) -> (Arrival, Vec<Bytes>) {
        let mut out = Vec::new();
        let arrival = buffer.take(Sequence(number), &Bytes::from_static(payload), false, 100, |bytes| {
            out.push(bytes);
        });
        (arrival, out)
    }

    fn end(buffer: &mut ReceiveBuffer, number: u16) -> Arrival {
        buffer.take(Sequence(number), &Bytes::new(), true, 100, |_| {})
    }

    #[test]
    fn packets_leave_in_their_order_once() {
        let mut buffer = ReceiveBuffer::new(Sequence(65_534));
        assert_eq!(take(&mut buffer, 0, b"b"), (Arrival::Taken, vec![]));
        assert_eq!(take(&mut buffer, 0, b"b"), (Arrival::Again, vec![]));
        assert_eq!(take(&mut buffer, 65_534, b"-"), (Arrival::Again, vec![]));
        assert_eq!(buffer.held(), 1);
        let (arrival, out) = take(&mut buffer, 65_535, b"a");
        assert_eq!((arrival, out.concat()), (Arrival::Taken, b"ab".to_vec()));
        assert_eq!((buffer.complete(), buffer.held(), buffer.has_holes()), (Sequence(0), 0, false));
    }

    #[test]
    fn a_selective_acknowledgement_names_what_has_come_from_the_second_number_on() {
        let mut buffer = ReceiveBuffer::new(Sequence(100));
        assert_eq!(buffer.selective(), None);
        take(&mut buffer, 102, b"x");
        take(&mut buffer, 110, b"x");
        let (bits, length) = buffer.selective().unwrap();
        assert_eq!(bits[..length], [0b0000_0001, 0b0000_0001, 0, 0]);
        take(&mut buffer, 134, b"x");
        assert_eq!(buffer.selective().unwrap().1, 8);
    }

    #[test]
    fn a_selective_acknowledgement_is_never_empty_and_has_32_bytes_at_most() {
        let mut buffer = ReceiveBuffer::new(Sequence(0));
        take(&mut buffer, 1_000, b"x");
        assert_eq!(buffer.selective(), None);
        assert!(buffer.has_holes());
        take(&mut buffer, 257, b"x");
        assert_eq!(buffer.selective().unwrap().1, MOST_SELECTIVE);
    }

    #[test]
    fn what_has_no_place_or_no_room_is_refused() {
        let mut buffer = ReceiveBuffer::new(Sequence(7));
        assert_eq!(take(&mut buffer, 7 + 1_024, b"x").0, Arrival::Taken);
        assert_eq!(take(&mut buffer, 7 + 1_025, b"x").0, Arrival::Refused);
        let large = Bytes::from(vec![0; 101]);
        assert_eq!(buffer.take(Sequence(9), &large, false, 100, |_| {}), Arrival::Refused);
        // What is next needs no room: it leaves.
        assert_eq!(buffer.take(Sequence(8), &large, false, 0, |_| {}), Arrival::Taken);
    }

    #[test]
    fn the_end_is_reached_when_all_before_it_is_there() {
        let mut buffer = ReceiveBuffer::new(Sequence(0));
        assert_eq!(end(&mut buffer, 3), Arrival::Taken);
        assert_eq!(take(&mut buffer, 4, b"x").0, Arrival::Refused);
        take(&mut buffer, 1, b"x");
        assert!(!buffer.has_ended());
        take(&mut buffer, 2, b"x");
        assert!(buffer.has_ended());
    }

    #[test]
    fn an_end_before_what_has_come_is_refused() {
        let mut buffer = ReceiveBuffer::new(Sequence(0));
        take(&mut buffer, 5, b"x");
        assert_eq!(end(&mut buffer, 3), Arrival::Refused);
        assert_eq!(end(&mut buffer, 1), Arrival::Refused);
    }
}
