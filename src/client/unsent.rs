//! How many bytes a socket may take ahead of the network: few, for they can no longer be taken back when a peer cancels or is choked;
//! and so many that a fast network does not wait for us.

use std::time::Duration;

use bittrace_protocol::Timestamp;

/// The bytes that one socket may hold unsent, by what it took lately.
#[derive(Debug)]
pub(crate) struct UnsentLimit {
    bytes: u32,
    since: Timestamp,
    taken: u64,
}

impl UnsentLimit {
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self { bytes: LEAST, since: now, taken: 0 }
    }

    pub(crate) const fn bytes(&self) -> u32 {
        self.bytes
    }

    /// The socket took so many bytes; the limit from now on, where that is another one.
    pub(crate) fn took(&mut self, now: Timestamp, count: usize) -> Option<u32> {
        self.taken += count as u64;
        let passed = now - self.since;
        if passed < SPAN {
            return None;
        }
        let ahead = self.taken as f64 * AHEAD.as_secs_f64() / passed.as_secs_f64();
        let bytes = (ahead as u32).clamp(LEAST, MOST);
        (self.since, self.taken) = (now, 0);
        (std::mem::replace(&mut self.bytes, bytes) != bytes).then_some(bytes)
    }
}

/// A block of 16 KiB: what libtorrent sets by default (its setting `send_not_sent_low_watermark`).
const LEAST: u32 = 16 * 1024;

/// As much as the buffer of a socket holds at the most on common systems (Linux: `tcp_wmem`).
const MOST: u32 = 4 * 1024 * 1024;

/// A socket takes what leaves in so long; and by how long it took lately that is judged.
const AHEAD: Duration = Duration::from_millis(60);
const SPAN: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_nanos(milliseconds * 1_000_000)
    }

    #[test]
    fn a_slow_network_is_given_one_block_ahead_and_a_fast_one_what_leaves_in_60_ms() {
        let mut limit = UnsentLimit::new(at(0));
        assert_eq!(limit.bytes(), 16_384);
        // 50 kB/s.
        assert_eq!((limit.took(at(100), 5_000), limit.took(at(250), 7_500)), (None, None));
        // 10 MB/s.
        assert_eq!((limit.took(at(400), 1_500_000), limit.took(at(500), 1_000_000)), (None, Some(600_000)));
        // The same again, and then nothing for ten seconds.
        assert_eq!(limit.took(at(750), 2_500_000), None);
        assert_eq!(limit.took(at(10_750), 16_384), Some(16_384));
    }

    #[test]
    fn the_limit_has_a_limit() {
        let mut limit = UnsentLimit::new(at(0));
        assert_eq!(limit.took(at(1_000), usize::MAX / 2), Some(MOST));
        assert_eq!(limit.bytes(), MOST);
    }
}
