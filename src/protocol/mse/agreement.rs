//! What comes out of a negotiation: things to send while it lasts, and how the payload goes once both ends agree.

use thiserror::Error;

use super::{Cipher, Methods, MseKey};
use crate::InfoHash;

/// What follows from bytes of the other end.
#[derive(Debug, Default)]
pub struct Pushed {
    /// The keys of the connection, to be written down before the bytes to send. The initiator has one; the responder does
    /// not know the torrent yet, and has one for each that it serves.
    pub keys: Vec<MseKey>,
    /// Bytes to send now.
    pub send: Vec<u8>,
    /// How the payload goes, once that is agreed on: the negotiation is over.
    pub agreed: Option<Agreement>,
}

/// How the payload of a connection goes.
#[derive(Debug)]
pub struct Agreement {
    /// The torrent that the initiator named.
    pub info_hash: InfoHash,
    /// The one method that was selected.
    pub method: Methods,
    /// The cipher of what this end sends from now on; `None` where that is sent in clear.
    pub ours: Option<Cipher>,
    /// The cipher of what the other end sends from now on.
    pub theirs: IncomingCipher,
    /// The payload that has come with the negotiation, in clear.
    pub payload: Vec<u8>,
}

/// The cipher of what the other end sends: of all of it, or only of what the initiator sent ahead.
#[derive(Debug)]
pub struct IncomingCipher {
    cipher: Cipher,
    /// How many more bytes are enciphered; `None` where all are.
    left: Option<usize>,
}

impl IncomingCipher {
    /// The cipher of a payload that goes as `method` says, of which `ahead` bytes are enciphered in any case.
    pub(super) const fn new(cipher: Cipher, method: Methods, ahead: usize) -> Self {
        Self { cipher, left: if method.has(Methods::RC4) { None } else { Some(ahead) } }
    }

    /// Deciphers the next bytes of the direction, where they stand.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        let count = self.left.map_or(bytes.len(), |left| left.min(bytes.len()));
        self.cipher.apply(&mut bytes[..count]);
        if let Some(left) = &mut self.left {
            *left -= count;
        }
    }

    /// Whether all that is still to come is in clear.
    pub const fn is_over(&self) -> bool {
        matches!(self.left, Some(0))
    }
}

/// The other end does not negotiate as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected {wanted}")]
pub struct MseError {
    /// What would have been right.
    pub wanted: &'static str,
}

impl MseError {
    pub(super) const PUBLIC_KEY: Self = Self { wanted: "a public key from 2 to P - 2" };
    pub(super) const OVER: Self = Self { wanted: "nothing more: the negotiation is over" };

    pub(super) const fn new(wanted: &'static str) -> Self {
        Self { wanted }
    }
}
