//! A capture in memory: its connections, and the messages of each.

pub(crate) mod message;
pub(crate) mod reference;
pub(crate) mod transcript;

pub use message::StoredMessage;
pub use reference::{RecordedConnection, Reference, ReferenceError};
pub use transcript::{BUDGET, Conversation, ConversationRole, DirectionTranscript, Transcriber, Transcript};
