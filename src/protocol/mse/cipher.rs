//! What follows from the secret of a connection.

use std::fmt;

use rc4::{KeyInit, Rc4, StreamCipher};
use sha1::{Digest, Sha1};

use super::{HASH_LENGTH, KEY_LENGTH, VERIFICATION};
use crate::InfoHash;

/// All that reading an encrypted connection takes.
#[derive(Clone, PartialEq, Eq)]
pub struct MseKey {
    /// The torrent it is about: SKEY.
    pub info_hash: InfoHash,
    /// What both ends computed, most significant byte first: S.
    pub secret: [u8; KEY_LENGTH],
}

/// One of the two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The one that called: A.
    Initiator,
    /// The one that was called: B.
    Responder,
}

impl MseKey {
    /// By what the responder finds the end of the padding: HASH('req1', S). It stands in clear, so it also tells
    /// whether this is a connection's secret.
    pub fn secret_hash(&self) -> [u8; HASH_LENGTH] {
        hash(&[b"req1", &self.secret])
    }

    /// By what the responder finds the torrent: HASH('req2', SKEY) xor HASH('req3', S).
    pub fn torrent_hash(&self) -> [u8; HASH_LENGTH] {
        let mut shown = hash(&[b"req2", &self.info_hash.0]);
        for (byte, other) in shown.iter_mut().zip(hash(&[b"req3", &self.secret])) {
            *byte ^= other;
        }
        shown
    }

    /// The two hashes that begin message 3, one after the other: the part of the negotiation that names the torrent.
    pub fn torrent_part(&self) -> [u8; 2 * HASH_LENGTH] {
        let mut part = [0; 2 * HASH_LENGTH];
        part[..HASH_LENGTH].copy_from_slice(&self.secret_hash());
        part[HASH_LENGTH..].copy_from_slice(&self.torrent_hash());
        part
    }

    /// The cipher of all that `end` says, at its beginning.
    pub fn cipher(&self, end: End) -> Cipher {
        let name = match end {
            End::Initiator => b"keyA",
            End::Responder => b"keyB",
        };
        let key = hash(&[name, &self.secret, &self.info_hash.0]);
        let rc4 = Rc4::new_from_slice(&key).expect("20 bytes are an RC4 key, which has 1 to 256");
        let mut cipher = Cipher(rc4);
        cipher.skip(DISCARDED);
        cipher
    }

    /// How the verification constant of `end` looks on the wire.
    pub fn verification(&self, end: End) -> [u8; VERIFICATION] {
        let mut zeros = [0; VERIFICATION];
        self.cipher(end).apply(&mut zeros);
        zeros
    }
}

impl fmt::Debug for MseKey {
    /// Without the secret, which is nobody's who reads logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("info_hash", &self.info_hash).finish_non_exhaustive()
    }
}

/// The cipher of one direction: what is enciphered becomes clear, and the other way round.
pub struct Cipher(Rc4);

impl Cipher {
    /// Turns the next bytes of the direction, where they stand.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        self.0.apply_keystream(bytes);
    }

    /// Passes over bytes that are not there. The time it takes grows with their number.
    pub fn skip(&mut self, mut count: u64) {
        let mut unused = [0; 1024];
        while count > 0 {
            let now = count.min(unused.len() as u64);
            self.0.write_keystream(&mut unused[..now as usize]);
            count -= now;
        }
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

/// How much of each keystream is thrown away ("Declarations": ENCRYPT).
const DISCARDED: u64 = 1024;

fn hash(parts: &[&[u8]]) -> [u8; HASH_LENGTH] {
    let mut sha1 = Sha1::new();
    parts.iter().for_each(|part| sha1.update(part));
    sha1.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hex;

    fn key() -> MseKey {
        MseKey { info_hash: InfoHash([0x11; 20]), secret: std::array::from_fn(|at| at as u8) }
    }

    fn keystream(end: End, count: usize) -> String {
        let mut zeros = vec![0; count];
        key().cipher(end).apply(&mut zeros);
        Hex(&zeros).to_string()
    }

    /// Made with Python's hashlib and, for RC4, its cryptography package, which asks OpenSSL.
    #[test]
    fn keys_are_derived_as_others_derive_them() {
        assert_eq!(Hex(&key().secret_hash()).to_string(), "ed37476cccf63496894d66db14b9806c8c9efe3e");
        assert_eq!(Hex(&key().torrent_hash()).to_string(), "7694073936621e1ba6620ae3f5bf139131566dee");
        assert_eq!(keystream(End::Initiator, 16), "a2ff337e7988abaa5f8c966056982093");
        assert_eq!(keystream(End::Responder, 16), "c89ccc52a8c8f95120467d310eb98a0b");
        assert_eq!(Hex(&key().verification(End::Responder)).to_string(), keystream(End::Responder, 8));
    }

    #[test]
    fn what_is_skipped_is_not_used_again() {
        for skipped in [0, 1, 1023, 1024, 5000] {
            let mut cipher = key().cipher(End::Initiator);
            cipher.skip(skipped as u64);
            let mut bytes = [0; 8];
            cipher.apply(&mut bytes);
            assert!(keystream(End::Initiator, skipped + 8).ends_with(&Hex(&bytes).to_string()), "{skipped}");
        }
    }

    #[test]
    fn a_secret_is_not_told() {
        assert!(!format!("{:?}", key()).contains("000102"));
    }
}
