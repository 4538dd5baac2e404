//! A trace against a trace, and a trace against a session.

mod align;
mod compare;
mod contents;
mod conversation;
mod couple;
mod cue;
mod diff;
mod disturb;
mod far_peer;
mod far_tracker;
mod kept;
mod key;
mod leaf;
mod learn;
mod mask;
mod recast;
mod reference;
mod rehearse;
mod report;
mod serve;

pub use compare::{Difference, Part};
pub use contents::Contents;
pub use conversation::{BUDGET, Conversation, Role, Transcriber, Transcript, Way};
pub use cue::Cue;
pub use diff::{Masking, Options, UselessMask, diff};
pub use disturb::{Disturbance, NAMES as DISTURBANCES};
pub use far_peer::{FarPeer, Missed};
pub use far_tracker::{Exchange, FarTracker, Topic};
pub use kept::Kept;
pub use learn::{Evidence, Learnt, learn};
pub use mask::{Mask, MaskError, Rule};
pub use reference::{Connection, Reference, ReferenceError};
pub use rehearse::{Rehearsal, rehearse};
pub use report::{Compared, Judged, Kind, MaskUse, Pair, Report, Tallies, Tally, Verdict};
pub use serve::{End, Play, ServeOptions, Served, Server, Signs};
