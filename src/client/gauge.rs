//! How many received bytes wait for the disk and the recording. Sockets are not read while there are too many, so that
//! memory is bounded whatever peers send.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts bytes that wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryBudget(Arc<BudgetState>);

#[derive(Debug, Default)]
struct BudgetState {
    waiting: AtomicUsize,
    eased: Notify,
}

/// Bytes that are counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    gauge: MemoryBudget,
    count: usize,
}

impl MemoryBudget {
    /// Counts bytes.
    pub(crate) fn hold(&self, count: usize) -> Permit {
        self.0.waiting.fetch_add(count, Ordering::Relaxed);
        Permit { gauge: self.clone(), count }
    }

    /// How many more bytes may wait.
    pub(crate) fn left(&self) -> usize {
        MOST_WAITING.saturating_sub(self.0.waiting.load(Ordering::Relaxed))
    }

    /// Waits until there is room for more.
    pub(crate) async fn room(&self) {
        while self.0.waiting.load(Ordering::Acquire) > MOST_WAITING {
            let eased = self.0.eased.notified();
            if self.0.waiting.load(Ordering::Acquire) <= MOST_WAITING {
                return;
            }
            eased.await;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let before = self.gauge.0.waiting.fetch_sub(self.count, Ordering::AcqRel);
        if before > MOST_WAITING && before - self.count <= MOST_WAITING {
            self.gauge.0.eased.notify_waiters();
        }
    }
}

/// Some pieces of a usual size: more would only wait longer.
const MOST_WAITING: usize = 12 * 1024 * 1024;
