//! What a sender has sent and not yet heard of: which bytes, when, and whether they were sent again. An acknowledgement
//! takes them out, and the last of them tells how long it took.

use bittrace_protocol::Timestamp;

/// Segments that are not acknowledged, in the order of their numbers. Of TCP the numbers count bytes, of uTP packets.
#[derive(Debug, Default)]
pub(super) struct SentSegments {
    segments: Vec<UnacknowledgedSegment>,
    /// So many at the beginning are acknowledged, and wait to be taken out with others.
    gone: usize,
}

#[derive(Debug, Clone, Copy)]
struct UnacknowledgedSegment {
    start: u64,
    end: u64,
    /// How many bytes of the stream.
    bytes: u64,
    at: Timestamp,
    /// Whether a part of it was sent again: an acknowledgement may be of either (Karn's rule).
    again: bool,
}

impl UnacknowledgedSegment {
    /// A part of it is acknowledged, as of one that the network card put together: how many bytes. Of TCP each number is a byte.
    #[cold]
    fn acknowledge_part(&mut self, number: u64) -> u64 {
        let (numbers, all) = (number - self.start, self.end - self.start);
        let part = if all == self.bytes {
            numbers
        } else {
            (u128::from(numbers) * u128::from(self.bytes) / u128::from(all)) as u64
        };
        self.bytes -= part;
        self.start = number;
        part
    }
}

/// What an acknowledgement took out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct AcknowledgedSegments {
    /// How many bytes of the stream.
    pub(super) bytes: u64,
    /// When the last of the segments was captured; `None` where there is none, or where one of them was sent again.
    pub(super) sent_at: Option<Timestamp>,
}

impl SentSegments {
    /// A segment was sent that lies behind all others. Where there would be more than `most`, neighbours become one.
    #[inline(always)]
    pub(super) fn push(&mut self, start: u64, end: u64, bytes: u64, at: Timestamp, most: usize) {
        if self.segments.len() - self.gone >= most {
            self.join_neighbours();
        }
        self.segments.push(UnacknowledgedSegment { start, end, bytes, at, again: false });
    }

    /// Two become one, which is acknowledged when the second is.
    #[cold]
    fn join_neighbours(&mut self) {
        self.take_out();
        let mut joined = 0;
        for first in (0..self.segments.len()).step_by(2) {
            let segment = self.segments[first];
            self.segments[joined] = match self.segments.get(first + 1) {
                Some(&second) => UnacknowledgedSegment {
                    start: segment.start,
                    bytes: segment.bytes + second.bytes,
                    again: segment.again || second.again,
                    ..second
                },
                None => segment,
            };
            joined += 1;
        }
        self.segments.truncate(joined);
    }

    /// Takes out those that are acknowledged.
    #[cold]
    fn take_out(&mut self) {
        self.segments.drain(..std::mem::take(&mut self.gone));
    }

    /// A segment came that lies before others: late, or sent again. Its acknowledgement tells no time.
    pub(super) fn insert(&mut self, start: u64, end: u64, bytes: u64, at: Timestamp, most: usize) {
        self.take_out();
        if self.segments.len() >= most.max(2) {
            self.join_neighbours();
        }
        let place = self.segments.partition_point(|segment| segment.end <= start);
        self.segments.insert(place, UnacknowledgedSegment { start, end, bytes, at, again: true });
    }

    /// What lies between two numbers was sent again.
    pub(super) fn send_again(&mut self, start: u64, end: u64) {
        self.take_out();
        let first = self.segments.partition_point(|segment| segment.end <= start);
        let overlapping = self.segments.iter_mut().skip(first).take_while(|segment| segment.start < end);
        overlapping.for_each(|segment| segment.again = true);
    }

    /// Everything before a number is acknowledged.
    #[inline(always)]
    pub(super) fn acknowledge(&mut self, number: u64) -> AcknowledgedSegments {
        let mut taken = AcknowledgedSegments::default();
        let mut again = false;
        let mut gone = self.gone;
        while let Some(segment) = self.segments.get_mut(gone) {
            if segment.end > number {
                if segment.start < number {
                    again |= segment.again;
                    taken.sent_at = Some(segment.at);
                    taken.bytes += segment.acknowledge_part(number);
                }
                break;
            }
            again |= segment.again;
            taken.sent_at = Some(segment.at);
            taken.bytes += segment.bytes;
            gone += 1;
        }
        self.leave_out(gone);
        if again {
            taken.sent_at = None;
        }
        taken
    }

    /// The first so many are acknowledged.
    #[inline(always)]
    fn leave_out(&mut self, gone: usize) {
        let left = self.segments.len() - gone;
        self.gone = gone;
        if left == 0 {
            self.segments.clear();
            self.gone = 0;
        } else if gone >= left.max(GONE) {
            self.take_out();
        }
    }

    /// The bytes of memory that the segments take.
    pub(super) fn cost(&self) -> usize {
        self.segments.capacity() * size_of::<UnacknowledgedSegment>()
    }
}

/// How many are taken out together at least: as many as are left, so that what this moves is moved once.
const GONE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    fn three() -> SentSegments {
        let mut sent = SentSegments::default();
        for (number, start) in [(1, 0), (2, 100), (3, 200)] {
            sent.push(start, start + 100, 100, at(number), 16);
        }
        sent
    }

    #[test]
    fn an_acknowledgement_is_of_the_last_segment_before_it() {
        let mut sent = three();
        assert_eq!(sent.acknowledge(200), AcknowledgedSegments { bytes: 200, sent_at: Some(at(2)) });
        assert_eq!(sent.acknowledge(200), AcknowledgedSegments::default());
        assert_eq!(sent.acknowledge(240), AcknowledgedSegments { bytes: 40, sent_at: Some(at(3)) });
        assert_eq!(sent.acknowledge(1000), AcknowledgedSegments { bytes: 60, sent_at: Some(at(3)) });
    }

    #[test]
    fn what_was_sent_again_tells_no_time() {
        let mut sent = three();
        sent.send_again(150, 200);
        assert_eq!(sent.acknowledge(100).sent_at, Some(at(1)));
        assert_eq!(sent.acknowledge(300), AcknowledgedSegments { bytes: 200, sent_at: None });
    }

    #[test]
    fn a_late_segment_tells_no_time() {
        let mut sent = SentSegments::default();
        sent.push(0, 100, 100, at(1), 16);
        sent.push(200, 300, 100, at(2), 16);
        sent.insert(100, 200, 100, at(3), 16);
        assert_eq!(sent.acknowledge(100).sent_at, Some(at(1)));
        assert_eq!(sent.acknowledge(300), AcknowledgedSegments { bytes: 200, sent_at: None });
    }

    #[test]
    fn acknowledged_segments_do_not_pile_up() {
        let mut sent = SentSegments::default();
        for number in 0..1_000 {
            sent.push(number * 10, number * 10 + 10, 10, at(number as i64), 1_024);
            // Ten are always under way.
            let Some(first) = number.checked_sub(10) else { continue };
            let expected = AcknowledgedSegments { bytes: 10, sent_at: Some(at(first as i64)) };
            assert_eq!(sent.acknowledge(first * 10 + 10), expected);
            assert_eq!(sent.segments.len() - sent.gone, 10);
            assert!(sent.gone < GONE, "{}", sent.gone);
        }
        sent.send_again(9_900, 9_910);
        assert_eq!(sent.gone, 0);
        assert_eq!(sent.acknowledge(9_990), AcknowledgedSegments { bytes: 90, sent_at: None });
        assert_eq!(sent.acknowledge(10_000).sent_at, Some(at(999)));
    }

    #[test]
    fn too_many_segments_are_joined() {
        let mut sent = SentSegments::default();
        for number in 0..100 {
            sent.push(number * 10, number * 10 + 10, 10, at(number as i64), 8);
        }
        assert!(sent.segments.len() <= 8);
        assert_eq!(sent.acknowledge(1000), AcknowledgedSegments { bytes: 1000, sent_at: Some(at(99)) });
    }
}
