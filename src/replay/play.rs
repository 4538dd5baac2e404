//! The recorded peers and tracker of a capture, played to a session or to any client.

mod client_role;
mod fault;
mod magnet_link;
mod missed;
mod offline;
mod pieces;
mod play_clock;
mod played_connection;
mod precondition;
mod reference_conduct;
mod refusal;
mod replay_nodes;
mod replay_peer;
mod replay_tracker;
mod replay_udp_tracker;
mod replayed_trackers;
mod rewrite;
mod run_connection;
mod server;
mod untracked;
mod utp_link;

pub use client_role::ClientRole;
pub use fault::{InjectedFault, NAMES as DISTURBANCES, NamedDisturbances};
pub use magnet_link::link_of;
pub use missed::Missed;
pub use offline::{OfflineRun, replay_offline};
pub use pieces::RecordedPieces;
pub(crate) use played_connection::said as said_in_negotiation;
pub use precondition::Precondition;
pub use reference_conduct::reference_conduct;
pub use refusal::{Refusal, RefusalAct, ReplayedEnd};
pub use replay_peer::ReplayPeer;
pub use run_connection::RunConnection;
pub use server::{ClientStatus, PeerRun, PeerRunEnd, ServeOptions, Served, Server};
