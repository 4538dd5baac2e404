//! The time of a run: that of the system at its start, and from then on only forwards.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bittrace_protocol::Timestamp;

/// A clock that is set once, and that nobody can turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Timestamp,
    started: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Timestamp::EPOCH + since, started: Instant::now() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.start + self.started.elapsed()
    }

    /// When it will be `at`.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        self.started + (at - self.start)
    }
}
