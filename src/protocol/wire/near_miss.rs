//! What a client sends where BEP 3 wants a handshake or a message, and nearly gets right. A near miss is believed on strong
//! proof only. It names its first wrong byte, and says where the stream goes on.

mod handshake;
mod length;

pub use handshake::{HandshakeLayout, HandshakeVerdict, judge_handshake};
pub use length::{LengthVerdict, judge_length};

use crate::DecodeError;
use crate::field::{Field, Value};

/// Bytes that break BEP 3 ("peer protocol") and show what their sender meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NearMiss {
    /// A handshake with a part that is missing, or is written in another way.
    Handshake(HandshakeLayout),
    /// A message whose length prefix is in little endian.
    LittleEndian,
    /// An HTTP request where a handshake should stand.
    HttpRequest,
}

impl NearMiss {
    /// The first byte of `bytes` that is wrong, and what is right there. `bytes` are those of the near miss.
    pub fn fault(self, bytes: &[u8]) -> DecodeError {
        match self {
            Self::Handshake(layout) => layout.fault(bytes),
            Self::LittleEndian => length::fault(bytes),
            Self::HttpRequest => DecodeError::new(0, handshake::WANTED_LENGTH),
        }
    }

    /// The fields that tile the near miss's `bytes`.
    pub fn fields(self, bytes: &[u8]) -> Vec<Field> {
        match self {
            Self::Handshake(layout) => layout.fields(bytes),
            Self::LittleEndian => length::fields(bytes),
            Self::HttpRequest => {
                let all = 0..bytes.len();
                vec![Field::content("payload", all.clone(), Value::Payload(all))]
            }
        }
    }
}
