//! How a run of a client ends.

use std::process::ExitStatus;
use std::time::Duration;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RunEnd {
    /// The client ended by itself.
    Exited(ExitStatus),
    /// The client announced `stopped`, or was done and was ended.
    Done,
    /// Neither end sent anything for so long.
    Silent(Duration),
    /// The run took as much as a run may.
    Exhausted,
    /// Ctrl-C.
    Interrupted,
}
