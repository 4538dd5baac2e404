//! How fast data leaves for an end, and when the end has to show that it gets what it acknowledges: each time that twice as much
//! leaves in a tenth of a second as when it was last asked to.

use std::time::Duration;

use crate::Timestamp;

/// The pace of what a connection sends.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    since: Option<Timestamp>,
    /// The bytes that have left since then.
    bytes: usize,
    /// The most bytes of a span when the other end was asked.
    asked_at: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { since: None, bytes: 0, asked_at: FREE / 2 }
    }
}

impl Pace {
    /// New data leaves.
    pub(super) fn sent(&mut self, now: Timestamp, bytes: usize) {
        if self.since.is_none_or(|since| now - since >= SPAN) {
            self.since = Some(now);
            self.bytes = 0;
        }
        self.bytes += bytes;
    }

    /// Whether the other end has to show that it gets what it acknowledges.
    pub(super) const fn asks(&self) -> bool {
        self.bytes >= 2 * self.asked_at
    }

    /// The other end is asked now.
    pub(super) fn asked(&mut self) {
        self.asked_at = self.asked_at.max(self.bytes);
    }
}

const SPAN: Duration = Duration::from_millis(100);

/// So many bytes in a span need no proof.
const FREE: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_doubling_asks_once() {
        let mut pace = Pace::default();
        let mut asked = Vec::new();
        // A second of 1 MB at an even pace, then one of 4 MB.
        for (milli, bytes) in (0..2_000).map(|milli| (milli, if milli < 1_000 { 1_000 } else { 4_000 })) {
            pace.sent(Timestamp::from_nanos(milli * 1_000_000), bytes);
            if pace.asks() {
                pace.asked();
                asked.push(milli);
            }
        }
        // After 33, 66, 132 and 264 kB of a span.
        assert_eq!(asked, [32, 65, 1_032, 1_065]);
    }
}
