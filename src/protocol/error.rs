//! What can be wrong with bytes that should be a message.

use thiserror::Error;

/// These bytes are not what they should be: where, and what was wanted there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("at byte {offset}: expected {wanted}")]
pub struct DecodeError {
    /// The offset of the offending byte from the start of the bytes given to the decoder.
    pub offset: usize,
    /// What would have been right there.
    pub wanted: &'static str,
}

impl DecodeError {
    /// An error at `offset`, where `wanted` would have been right.
    pub const fn new(offset: usize, wanted: &'static str) -> Self {
        Self { offset, wanted }
    }

    /// The same error in bytes that begin `by` bytes earlier.
    pub const fn shifted(self, by: usize) -> Self {
        Self { offset: self.offset + by, wanted: self.wanted }
    }
}
