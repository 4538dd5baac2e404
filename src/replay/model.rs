//! A capture in memory: its connections, and the messages of each.

pub(crate) mod message;
pub(crate) mod torrent_hashes;
pub(crate) mod transcript;

pub use message::StoredMessage;
pub use torrent_hashes::TorrentHashes;
pub use transcript::{
    Conversation, ConversationRole, DirectionTranscript, PacketCounts, TRANSCRIPT_LIMIT, Transcriber,
    Transcript, TranscriptError,
};
