//! How a run is told to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

/// Ends a run: the first time with goodbyes to trackers and peers, the second time at once. Either way what is verified
/// stays, and a later run carries on.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<StopState>);

#[derive(Debug, Default)]
struct StopState {
    times: AtomicU32,
    said: Notify,
}

impl Stop {
    /// One that has not been said.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says it; from any thread, or from a signal's task.
    pub fn stop(&self) {
        self.0.times.fetch_add(1, Ordering::Release);
        self.0.said.notify_one();
    }

    /// How often it was said.
    pub(crate) fn times(&self) -> u32 {
        self.0.times.load(Ordering::Acquire)
    }

    /// Waits until it was said more than `times` times.
    pub(crate) async fn said_again(&self, times: u32) {
        while self.times() <= times {
            self.0.said.notified().await;
        }
    }
}
