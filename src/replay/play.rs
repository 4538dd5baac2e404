//! The recorded peers and tracker of a capture, played to a session or to any client.

mod fault;
mod offline;
mod pieces;
mod precondition;
mod replay_peer;
mod replay_tracker;
mod rewrite;
mod server;

pub use fault::{Disturbance, NAMES as DISTURBANCES};
pub use offline::{Rehearsal, rehearse};
pub use pieces::Contents;
pub use precondition::Cue;
pub use replay_peer::{FarPeer, Missed};
pub use replay_tracker::{Exchange, FarTracker, Topic};
pub use server::{End, Play, ServeOptions, Served, Server, Signs};
