//! A trace against a trace, and a trace against a session.

mod diff;
mod model;
mod play;
mod profile;

pub use diff::{
    ComparedConversation, DiffOptions, DiffReport, Difference, FieldSide, Judged, Mask, MaskError, MaskRule,
    MaskUse, Masking, MessagePair, PairVerdict, ReportKind, Tallies, Tally, UselessMask, diff,
};
pub use model::{
    BUDGET, Conversation, ConversationRole, DirectionTranscript, RecordedConnection, Reference,
    ReferenceError, StoredMessage, Transcriber, Transcript,
};
pub use play::{
    ClientStatus, DISTURBANCES, InjectedFault, Missed, OfflineRun, PeerRun, PeerRunEnd, Precondition,
    RecordedPieces, ReplayPeer, ReplayTracker, ServeOptions, Served, Server, Topic, TrackerExchange,
    replay_offline,
};
pub use profile::{InferredProfile, ProfileEvidence, infer_profile};
