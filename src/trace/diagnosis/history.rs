//! Bytes over time, in a bounded number of equal parts that grow as the time does.

use bittrace_protocol::Timestamp;

use super::timeline::nanos_between;

/// How many bytes came in each part of the time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ByteHistory {
    start: Option<Timestamp>,
    /// How long a part is, nanoseconds.
    width: i64,
    parts: Vec<u64>,
}

/// How many parts are kept.
const PARTS: usize = 256;
/// How long a part is at first, nanoseconds.
const FIRST_WIDTH: i64 = 50_000_000;

impl ByteHistory {
    /// Takes in bytes that came at a moment. Moments before the first count as the first.
    pub(super) fn add(&mut self, at: Timestamp, bytes: u64) {
        let start = *self.start.get_or_insert(at);
        self.width = self.width.max(FIRST_WIDTH);
        let after = nanos_between(start, at);
        while after / self.width >= PARTS as i64 {
            self.width = self.width.saturating_mul(2);
            self.parts = self.parts.chunks(2).map(|pair| pair.iter().sum()).collect();
        }
        let part = (after / self.width) as usize;
        if part >= self.parts.len() {
            self.parts.resize(part + 1, 0);
        }
        self.parts[part] += bytes;
    }

    /// The parts, joined until each is at least so many seconds long: from when to when, and how many bytes.
    pub fn stretches(&self, seconds: f64) -> impl Iterator<Item = (Timestamp, Timestamp, u64)> + '_ {
        let joined = ((seconds * 1e9 / self.width.max(1) as f64).ceil() as usize).max(1);
        let start = self.start.unwrap_or(Timestamp::EPOCH);
        let moment = move |part: usize| {
            let after = (part as i64).saturating_mul(self.width);
            Timestamp::from_nanos(start.as_nanos().saturating_add(after))
        };
        self.parts.chunks(joined).enumerate().map(move |(index, parts)| {
            let from = index * joined;
            (moment(from), moment(from + joined), parts.iter().sum())
        })
    }

    /// All bytes.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().sum()
    }

    /// The bytes that came from a moment on, to the end of the part in which the moment lies.
    pub fn bytes_since(&self, at: Timestamp) -> u64 {
        self.stretches(0.0).filter(|(_, to, _)| *to > at).map(|(_, _, bytes)| bytes).sum()
    }

    /// The end of the part by which this share of all bytes had come.
    pub fn moment_of(&self, share: f64) -> Option<Timestamp> {
        let wanted = (self.bytes() as f64 * share) as u64;
        let mut seen = 0;
        let found = self.stretches(0.0).find(|(_, _, bytes)| {
            seen += bytes;
            seen >= wanted
        });
        found.map(|(_, to, _)| to)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_byte_is_lost_however_long_it_takes(steps in prop::collection::vec((0..i64::MAX / 64, 0..100_000_u64), 1..60)) {
            let mut history = ByteHistory::default();
            let (mut now, mut all) = (0_i64, 0);
            for (later, bytes) in steps {
                now = now.saturating_add(later);
                history.add(Timestamp::from_nanos(now), bytes);
                all += bytes;
                prop_assert!(history.stretches(0.0).count() <= PARTS);
            }
            prop_assert_eq!(history.bytes(), all);
            prop_assert_eq!(history.bytes_since(Timestamp::EPOCH), all);
            prop_assert!(history.moment_of(1.0).is_some());
        }
    }
}
