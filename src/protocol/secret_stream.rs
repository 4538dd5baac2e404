//! Bytes that look random to everybody who does not have the secret of the run: other runs with that secret draw the same.

use sha2::{Digest, Sha256};

/// A stream of bytes. Each purpose, and each number of one purpose, has a stream of its own.
#[derive(Clone)]
pub(crate) struct SecretStream {
    secret: [u8; 32],
    purpose: &'static str,
    number: u32,
    blocks: u32,
    left: Vec<u8>,
}

impl SecretStream {
    pub(crate) const fn new(secret: [u8; 32], purpose: &'static str, number: u32) -> Self {
        Self { secret, purpose, number, blocks: 0, left: Vec::new() }
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    pub(crate) fn byte(&mut self) -> u8 {
        loop {
            if let Some(byte) = self.left.pop() {
                return byte;
            }
            let mut sha256 = Sha256::new();
            sha256.update(self.secret);
            sha256.update(self.purpose);
            sha256.update(self.number.to_be_bytes());
            sha256.update(self.blocks.to_be_bytes());
            self.left.extend_from_slice(&sha256.finalize());
            self.blocks += 1;
        }
    }
}

impl std::fmt::Debug for SecretStream {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { purpose, number, .. } = self;
        f.debug_struct("SecretStream")
            .field("purpose", purpose)
            .field("number", number)
            .finish_non_exhaustive()
    }
}
