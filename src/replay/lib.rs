//! A trace against a trace, and a trace against a session.

mod contents;
mod cue;
mod disturb;
mod far_peer;
mod far_tracker;
mod learn;
mod recast;
mod reference;
mod rehearse;
mod serve;

pub use contents::Contents;
pub use cue::Cue;
pub use disturb::{Disturbance, NAMES as DISTURBANCES};
pub use far_peer::{FarPeer, Missed};
pub use far_tracker::{Exchange, FarTracker, Topic};
pub use learn::{Evidence, Learnt, learn};
pub use reference::{Connection, Reference, ReferenceError};
pub use rehearse::{Rehearsal, rehearse};
pub use serve::{End, Play, ServeOptions, Served, Server, Signs};
