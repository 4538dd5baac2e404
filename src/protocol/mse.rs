//! Message stream encryption: which key is whose, what the negotiation says, and the bytes after it; and both roles of the
//! negotiation as state machines over bytes, [`Initiator`] and [`Responder`].
//!
//! It is no BEP: the numbers here are those of "Message Stream Encryption" in Vuze's wiki, by whose names sections are
//! cited. Both ends compute a secret S of 768 bits and derive two RC4 keys from it and the torrent's info hash, which
//! the document calls SKEY. The initiator A and the responder B then say:
//!
//! ```text
//! 1 A -> B   Ya, PadA
//! 2 B -> A   Yb, PadB
//! 3 A -> B   HASH('req1', S), HASH('req2', SKEY) xor HASH('req3', S),
//!            ENCRYPT(VC, crypto_provide, len(PadC), PadC, len(IA)), ENCRYPT(IA)
//! 4 B -> A   ENCRYPT(VC, crypto_select, len(PadD), PadD), ENCRYPT2(payload stream)
//! 5 A -> B   ENCRYPT2(payload stream)
//! ```

mod agreement;
mod cipher;
mod draw;
mod initiator;
mod key_exchange;
mod key_log;
mod negotiation;
mod padding;
mod responder;
#[cfg(test)]
mod tests;

pub use agreement::{Agreement, IncomingCipher, MseError, Pushed};
pub use cipher::{Cipher, End, MseKey};
pub use draw::{MseDraw, MseLengths};
pub use initiator::{Initiator, MseOffer};
#[cfg(test)]
pub(crate) use key_exchange::POWERS;
pub use key_log::{KeyLogError, MAX_KEYS, keys_among, parse_key_log};
pub use negotiation::{MAX_TERMS, Methods, Part, Progress, Terms, terms};
pub use responder::{MseAcceptance, Responder};

/// The bytes of a public key, and of the secret: numbers of 768 bits ("Declarations": P).
pub const KEY_LENGTH: usize = 96;

/// The most bytes of each padding ("Declarations": PadA, PadB, PadC, PadD).
pub const MAX_PADDING: usize = 512;

/// The bytes of a hash: SHA-1 ("Declarations": HASH).
pub const HASH_LENGTH: usize = 20;

/// The bytes of the verification constant, all of them zero ("Declarations": VC).
pub const VERIFICATION: usize = 8;
