//! How a run of a client ends.

use std::process::ExitStatus;
use std::time::Duration;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RunEnd {
    /// The client ended by itself.
    Exited(ExitStatus),
    /// The client had said goodbye to the tracker, or was done and was ended.
    Done,
    /// Nothing was said for so long.
    Silent(Duration),
    /// Ctrl-C.
    Interrupted,
}
