//! What is counted while a run goes on.

mod copies;
mod samples;
mod talk;

pub use samples::{Sample, Samples};
pub use talk::MessageTotals;

pub(crate) use copies::Copies;
pub(crate) use talk::Talk;
