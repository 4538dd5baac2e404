//! A trace against a trace, and a trace against a session.

mod diff;
mod model;
mod play;
mod profile;

pub use diff::{
    Compared, Difference, Judged, Kind, Mask, MaskError, MaskUse, Masking, Options, Pair, Part, Report, Rule,
    Tallies, Tally, UselessMask, Verdict, diff,
};
pub use model::{
    BUDGET, Connection, Conversation, Kept, Reference, ReferenceError, Role, Transcriber, Transcript, Way,
};
pub use play::{
    Contents, Cue, DISTURBANCES, Disturbance, End, Exchange, FarPeer, FarTracker, Missed, Play, Rehearsal,
    ServeOptions, Served, Server, Signs, Topic, rehearse,
};
pub use profile::{Evidence, Learnt, learn};
