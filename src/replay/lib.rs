//! A trace against a trace, and a trace against a session.
//!
//! ```
//! use std::path::Path;
//!
//! use bittrace_replay::{DiffOptions, PairVerdict, Transcript, diff};
//! use bittrace_trace::TraceOptions;
//!
//! let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../captures/download-aria2.pcap");
//! let reference = Transcript::open(&capture, TraceOptions::default())?;
//! let candidate = Transcript::open(&capture, TraceOptions::default())?;
//! let report = diff(&reference, &candidate, &DiffOptions::exact())?;
//! // Every message of the capture has a counterpart, and every pair is the same.
//! let pairs = report.conversations.iter().flat_map(|conversation| &conversation.pairs);
//! assert!(pairs.clone().count() > 50);
//! assert!(pairs.into_iter().all(|pair| pair.verdict == PairVerdict::Same));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod diff;
mod model;
mod play;
mod profile;

pub use diff::{
    ComparedConversation, ComparedSide, DiffOptions, DiffReport, Difference, FieldSide, FieldText,
    FieldTexts, IntervalSpread, Judged, Mask, MaskError, MaskRule, MaskUse, Masking, MessageIntervals,
    MessagePair, PairVerdict, ReportKind, Tallies, Tally, UselessMask, diff, packets_over_utp,
};
pub use model::{
    Conversation, ConversationRole, DirectionTranscript, PacketCounts, StoredMessage, TRANSCRIPT_LIMIT,
    TorrentHashes, Transcriber, Transcript, TranscriptError,
};
pub use play::{
    ClientRole, ClientStatus, DISTURBANCES, InjectedFault, Missed, NamedDisturbances, OfflineRun, PeerRun,
    PeerRunEnd, Precondition, RecordedPieces, Refusal, RefusalAct, ReplayPeer, ReplayedEnd, RunConnection,
    ServeOptions, Served, Server, link_of, reference_conduct, replay_offline,
};
pub use profile::{InferredProfile, NoClient, ProfileEvidence, infer_profile};
