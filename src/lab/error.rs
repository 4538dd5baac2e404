//! What can be wrong with a run of a scenario.

use thiserror::Error;

/// Why a scenario was not run, or not to its end.
#[derive(Debug, Error)]
pub enum LabError {
    /// The scenario says something that cannot be: the line, and what.
    #[error("line {line}: {what}")]
    Scenario {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// The scenario is about something that is not there.
    #[error("{0}")]
    Unfit(String),
    /// The capture could not be written.
    #[error("the capture cannot be written")]
    Recording(#[from] std::io::Error),
}
