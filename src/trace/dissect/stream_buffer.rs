//! One direction of a connection: bytes that wait for the rest of their message, and the packets they came in.

use std::collections::VecDeque;

use bittrace_protocol::Timestamp;
use bytes::{Bytes, BytesMut};
use rustc_hash::FxHashSet;

use crate::Moment;
use crate::record::Frames;

/// Bytes in the order of the stream.
#[derive(Debug, Default)]
pub(crate) struct StreamBuffer {
    buffer: BytesMut,
    /// The stream offset of the first byte in `buffer`.
    offset: u64,
    /// Where each packet's bytes end, in the order of the stream.
    marks: VecDeque<Mark>,
    /// The last packet seen, for records without bytes.
    last: Option<Moment>,
}

#[derive(Debug)]
struct Mark {
    end: u64,
    moment: Moment,
}

/// A lane gets room for more than one small message at once, all of which share its memory: the records that another thread
/// still holds would have each message allocated on its own. The more bytes the lane had, the more room, up to this.
const ROOM: u64 = 2 * 1024;
/// How many bytes a lane must have had for each byte of room: a lane that says little takes little.
const HAD: u64 = 8;

/// So many bytes are more than the usual block of 16 KiB, and worth a copy of what waits after them.
const MANY: usize = 64 * 1024;

/// Bytes taken off a lane, and where they came from.
#[derive(Debug)]
pub(crate) struct BufferSlice {
    pub(crate) bytes: Bytes,
    pub(crate) offset: u64,
    pub(crate) at: Timestamp,
    pub(crate) frames: Frames,
}

impl StreamBuffer {
    /// A lane whose first byte stands at this offset of the stream.
    pub(crate) fn beginning_at(offset: u64) -> Self {
        Self { offset, ..Self::default() }
    }

    /// Adds one packet's bytes.
    pub(crate) fn push(&mut self, moment: Moment, bytes: &[u8]) {
        if self.buffer.capacity() - self.buffer.len() < bytes.len() {
            let room = ROOM.min(self.offset / HAD) as usize;
            self.buffer.reserve(bytes.len().max(room));
        }
        self.buffer.extend_from_slice(bytes);
        self.last = Some(moment);
        let end = self.end();
        match self.marks.back_mut() {
            Some(mark) if mark.moment.frame == moment.frame => mark.end = end,
            _ => self.marks.push_back(Mark { end, moment }),
        }
    }

    /// The bytes that wait.
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.buffer
    }

    /// The memory that waiting takes: bytes that come one a packet cost more than themselves.
    pub(crate) fn cost(&self) -> usize {
        self.buffer.len() + self.marks.len() * size_of::<Mark>()
    }

    /// The stream offset of the first byte that waits, or is yet to come.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The stream offset after the last byte that waits.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.buffer.len() as u64
    }

    /// Takes the first `count` bytes that wait. `count` is at most how many wait.
    pub(crate) fn take(&mut self, count: usize) -> BufferSlice {
        let offset = self.offset;
        let bytes = self.split(count).freeze();
        self.offset += count as u64;
        // Mostly one packet has all of it.
        if let Some(&Mark { end, moment }) = self.marks.front()
            && end >= self.offset
        {
            if end == self.offset {
                self.marks.pop_front();
            }
            return BufferSlice { bytes, offset, at: moment.at, frames: Frames::from_slice(&[moment.frame]) };
        }
        let mut frames = Frames::new();
        let mut at = self.last.map_or(Timestamp::EPOCH, |moment| moment.at);
        let mut first = true;
        while let Some(mark) = self.marks.front() {
            frames.push(mark.moment.frame);
            at = if first { mark.moment.at } else { at.max(mark.moment.at) };
            first = false;
            if mark.end > self.offset {
                break;
            }
            let ends_here = mark.end == self.offset;
            self.marks.pop_front();
            if ends_here {
                break;
            }
        }
        drop_repeated(&mut frames);
        BufferSlice { bytes, offset, at, frames }
    }

    /// The first `count` bytes, taken off. They share their memory with what waits after them: of many bytes it would not be
    /// free before the lane is, so what waits after those gets memory of its own.
    fn split(&mut self, count: usize) -> BytesMut {
        if count < MANY || self.buffer.len() > 2 * count {
            return self.buffer.split_to(count);
        }
        let rest = BytesMut::from(&self.buffer[count..]);
        let mut taken = std::mem::replace(&mut self.buffer, rest);
        taken.truncate(count);
        taken
    }

    /// Takes all that wait.
    pub(crate) fn take_all(&mut self) -> BufferSlice {
        self.take(self.buffer.len())
    }

    /// Moves the first `count` bytes that wait after those of `into`, turned by `turn`. `count` is at most how many wait.
    pub(crate) fn pour(&mut self, count: usize, into: &mut Self, turn: impl FnOnce(&mut [u8])) {
        debug_assert_eq!(self.offset, into.end(), "what is poured follows what is there");
        let mut bytes = self.split(count);
        turn(&mut bytes);
        let end = self.offset + count as u64;
        let mut poured = 0;
        while poured < count
            && let Some(mark) = self.marks.front()
        {
            let to = (mark.end.min(end) - self.offset) as usize;
            into.push(mark.moment, &bytes[poured..to]);
            poured = to;
            if mark.end > end {
                break;
            }
            self.marks.pop_front();
        }
        self.offset = end;
    }

    /// Passes over bytes that the capture lost. Nothing may wait.
    pub(crate) fn skip(&mut self, length: u64) {
        debug_assert!(self.buffer.is_empty());
        self.marks.clear();
        self.offset += length;
    }
}

/// Keeps the first of each number. Only a packet of which a part had to wait can come twice, so mostly the numbers
/// rise.
fn drop_repeated(frames: &mut Frames) {
    if frames.is_sorted_by(|before, after| before < after) {
        return;
    }
    let mut seen = FxHashSet::default();
    frames.retain(|frame| seen.insert(*frame));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(frame: u64) -> Moment {
        Moment { at: Timestamp::from_nanos(frame as i64 * 10), frame }
    }

    #[test]
    fn a_message_names_all_packets_that_carried_it() {
        let mut lane = StreamBuffer::default();
        lane.push(moment(1), b"abc");
        lane.push(moment(4), b"de");
        lane.push(moment(9), b"fgh");
        let first = lane.take(4);
        assert_eq!((&first.bytes[..], first.offset, first.at), (&b"abcd"[..], 0, moment(4).at));
        assert_eq!(first.frames.as_slice(), [1, 4]);
        let second = lane.take(1);
        assert_eq!((&second.bytes[..], second.frames.as_slice()), (&b"e"[..], &[4][..]));
        assert_eq!(lane.take_all().frames.as_slice(), [9]);
        lane.skip(100);
        assert_eq!(lane.offset(), 108);
    }

    #[test]
    fn a_lane_does_not_keep_the_memory_of_what_was_taken() {
        for rest in [0, 10, 50_000] {
            let mut lane = StreamBuffer::default();
            for frame in 0..1_000 {
                lane.push(moment(frame), &[frame as u8; 1_000]);
            }
            let large = 1_000_000 - rest;
            assert_eq!(lane.take(large).bytes.len(), large);
            lane.push(moment(1_000), b"next");
            assert!(lane.buffer.capacity() < 2 * MANY, "{}", lane.buffer.capacity());
            let last = lane.take_all();
            assert_eq!((last.bytes.len(), last.offset), (rest + 4, large as u64));
            assert_eq!(&last.bytes[rest..], b"next");
        }
    }

    #[test]
    fn what_is_poured_keeps_its_place_and_its_packets() {
        let (mut from, mut into) = (StreamBuffer::default(), StreamBuffer::beginning_at(2));
        from.push(moment(1), b"abc");
        from.push(moment(4), b"de");
        from.push(moment(9), b"fgh");
        from.take(2);
        for count in [0, 2, 1, 1] {
            from.pour(count, &mut into, |bytes| bytes.make_ascii_uppercase());
        }
        let taken = into.take(4);
        assert_eq!((&taken.bytes[..], taken.offset, taken.at), (&b"CDEF"[..], 2, moment(9).at));
        assert_eq!(taken.frames.as_slice(), [1, 4, 9]);
        assert_eq!((from.offset(), from.take_all().frames.as_slice()), (6, &[9][..]));
        assert_eq!(into.offset(), 6);
    }

    #[test]
    fn a_packet_whose_bytes_stand_apart_is_named_once() {
        let mut lane = StreamBuffer::default();
        for frame in [5, 4, 5, 6, 4] {
            lane.push(moment(frame), b"ab");
        }
        assert_eq!(lane.take_all().frames.as_slice(), [5, 4, 6]);
    }

    #[test]
    fn a_message_in_very_many_packets_is_taken_at_once() {
        let mut lane = StreamBuffer::default();
        for frame in 0..400_000 {
            lane.push(moment(frame ^ 1), b"a");
        }
        assert_eq!(lane.take_all().frames.len(), 400_000);
    }

    #[test]
    fn bytes_in_packets_of_their_own_cost_more() {
        let (mut one, mut many) = (StreamBuffer::default(), StreamBuffer::default());
        one.push(moment(1), &[0; 1000]);
        (0..1000).for_each(|frame| many.push(moment(frame), &[0]));
        assert!(one.cost() < 1100 && many.cost() > 20_000);
    }

    #[test]
    fn a_packet_held_out_of_order_counts_when_it_was_captured() {
        let mut lane = StreamBuffer::default();
        lane.push(moment(7), b"ab");
        lane.push(moment(5), b"cd");
        let taken = lane.take(4);
        assert_eq!(taken.at, moment(7).at);
        assert_eq!(taken.frames.as_slice(), [7, 5]);
    }
}
