//! The recorded peers and tracker of a capture, played to a session or to any client.

mod fault;
mod offline;
mod pieces;
mod play_clock;
mod precondition;
mod reference_conduct;
mod refusal;
mod replay_peer;
mod replay_tracker;
mod rewrite;
mod server;

pub use fault::{InjectedFault, NAMES as DISTURBANCES, NamedDisturbances};
pub use offline::{OfflineRun, replay_offline};
pub use pieces::RecordedPieces;
pub use precondition::Precondition;
pub use reference_conduct::reference_conduct;
pub use refusal::{Refusal, RefusalAct, ReplayedEnd};
pub use replay_peer::{Missed, ReplayPeer};
pub use replay_tracker::{ReplayTracker, Topic, TrackerExchange};
pub use server::{ClientStatus, PeerRun, PeerRunEnd, ServeOptions, Served, Server};
