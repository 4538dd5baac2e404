//! A capture in memory: its connections, and the messages of each.

pub(crate) mod message;
pub(crate) mod reference;
pub(crate) mod transcript;

pub use message::Kept;
pub use reference::{Connection, Reference, ReferenceError};
pub use transcript::{BUDGET, Conversation, Role, Transcriber, Transcript, Way};
