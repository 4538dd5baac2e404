//! A trace against a trace, and a trace against a session.

mod align;
mod compare;
mod conversation;
mod couple;
mod diff;
mod kept;
mod key;
mod mask;
mod report;

pub use compare::{Difference, Part};
pub use conversation::{BUDGET, Conversation, Role, Transcriber, Transcript, Way};
pub use diff::{Masking, Options, UselessMask, diff};
pub use kept::Kept;
pub use mask::{Mask, MaskError, Rule};
pub use report::{Compared, Judged, Kind, MaskUse, Pair, Report, Tallies, Tally, Verdict};
