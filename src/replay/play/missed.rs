//! What a recorded peer could not do as in the reference.

use bittrace_protocol::Block;

use crate::play::precondition::Precondition;

/// What did not go as in the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missed {
    /// A message was sent, or left out, although the client had sent fewer messages of this kind than in the reference.
    Cue {
        /// The message of the far end, by its number in the reference.
        number: u64,
        /// What was waited for.
        cue: Precondition,
        /// How many more of them the reference has.
        lacking: u32,
    },
    /// A block that the reference sends was never requested.
    NotAsked {
        /// The message of the far end, by its number in the reference.
        number: u64,
        /// The block.
        block: Block,
    },
    /// A message was never sent, since the client had sent fewer messages of this kind than in the reference to the end.
    Never {
        /// The message of the far end, by its number in the reference.
        number: u64,
        /// What was waited for.
        cue: Precondition,
        /// How many more of them the reference has.
        lacking: u32,
    },
    /// A block of the client is not that of the content.
    WrongBlock {
        /// The block.
        block: Block,
    },
    /// A piece of the metadata that the reference sends was never requested.
    MetadataNotAsked {
        /// The message of the far end, by its number in the reference.
        number: u64,
        /// The piece of the metadata.
        piece: u32,
    },
    /// Hashes of a tree that the reference sends, or rejects, were never requested.
    HashesNotAsked {
        /// The message of the far end, by its number in the reference.
        number: u64,
    },
    /// A message of an extension that the client does not have was left out.
    Unspoken {
        /// The message of the far end, by its number in the reference.
        number: u64,
        /// The extension.
        extension: String,
    },
}
