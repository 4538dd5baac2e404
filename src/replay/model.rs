//! A capture in memory: its connections, and the messages of each.

mod findings;
pub(crate) mod message;
pub(crate) mod transcript;

pub use findings::BrokenRule;
pub use message::StoredMessage;
pub use transcript::{
    Conversation, ConversationRole, DirectionTranscript, TRANSCRIPT_LIMIT, Transcriber, Transcript,
    TranscriptError,
};
