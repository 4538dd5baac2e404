//! How fast bytes come or go.

use std::time::Duration;

use crate::Timestamp;

/// Bytes a second, averaged over the last few seconds.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    since: Timestamp,
    bytes: u64,
    average: f64,
}

impl Rate {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self { since: now, bytes: 0, average: 0.0 }
    }

    pub(super) fn add(&mut self, now: Timestamp, bytes: u64) {
        self.bytes += bytes;
        if now - self.since >= WINDOW {
            self.turn(now);
        }
    }

    /// Bytes a second.
    pub(super) fn per_second(&self, now: Timestamp) -> f64 {
        let mut rate = self.clone();
        if now - rate.since >= WINDOW {
            rate.turn(now);
        }
        rate.average
    }

    /// The bytes of the last quarter of a second at most, which the average has not taken in yet.
    pub(super) fn not_averaged(&self, now: Timestamp) -> u64 {
        if now - self.since < WINDOW { self.bytes } else { 0 }
    }

    /// Whether the rate falls from now on, unless something comes.
    pub(super) fn only_falls(&self, now: Timestamp) -> bool {
        self.bytes == 0 || now - self.since >= WINDOW
    }

    fn turn(&mut self, now: Timestamp) {
        let seconds = now.seconds_since(self.since).max(WINDOW.as_secs_f64());
        let fresh = self.bytes as f64 / seconds;
        // What was known before weighs half after a second.
        let old = 0.5_f64.powf(seconds);
        self.average = if self.average > 0.0 { self.average * old + fresh * (1.0 - old) } else { fresh };
        self.since = now;
        self.bytes = 0;
    }
}

const WINDOW: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_has_its_rate_and_silence_none() {
        let mut now = Timestamp::EPOCH;
        let mut rate = Rate::new(now);
        for _ in 0..100 {
            now = now + Duration::from_millis(100);
            rate.add(now, 1000);
        }
        let steady = rate.per_second(now);
        assert!((9_000.0..11_000.0).contains(&steady), "{steady}");
        assert!(rate.per_second(now + Duration::from_secs(20)) < 200.0);
    }
}
