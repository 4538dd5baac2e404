//! Captures as pictures: who may ask whom, which requests are under way, which piece came from whom and was wrong.
//!
//! One aggregate is gathered from a capture's records as they pass, in bounded memory. The HTML page, the pictures in
//! plain text and the browser of the terminal are all drawn from it. Nothing is drawn that was not seen: where marks
//! were merged or left out, the aggregate says how many.

pub mod assets;
mod command_line;
mod course;
mod diff_page;
mod disturbance_page;
pub mod page;

pub use command_line::CommandLine;
pub use course::*;
pub use diff_page::{BrokenRule, ConversationWords, DiffPage, DiffWords};
pub use disturbance_page::{DisturbancePage, DisturbedRun, LAST_MESSAGES, LastMessage};
