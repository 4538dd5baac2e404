//! Who gets an HTTP request that is no tracker's: a server, or a peer.

use bittrace_protocol::wire::{HandshakeVerdict, judge_handshake};

use super::{Carries, Classification};

/// What an HTTP request that is no tracker's was sent to, as its answer shows. A handshake was looked for before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HttpReceiver {
    /// The answer must show it, and is not there yet.
    Open,
    /// It answers otherwise than with a handshake.
    Server,
    /// It never answers.
    Silent,
}

impl HttpReceiver {
    /// `answered` is the answer so far, and `done` says that nothing more is waited for.
    pub(super) fn of(answered: &[u8], done: bool) -> Self {
        let may_answer = judge_handshake(answered, None, done) == HandshakeVerdict::Open;
        match may_answer && !done {
            true => Self::Open,
            false if answered.is_empty() => Self::Silent,
            false => Self::Server,
        }
    }

    /// The verdict on the connection. `to_peer` says that the receiver is known as a peer.
    pub(super) fn verdict(self, to_peer: bool) -> Classification {
        match self {
            Self::Open => Classification::Wait,
            Self::Silent if to_peer => Classification::to_peer(),
            Self::Silent | Self::Server => Classification::Is(Carries::Other),
        }
    }
}
