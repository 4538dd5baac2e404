//! The hashes of metadata as it comes (BEP 9): nothing of it is kept.

use bittrace_protocol::InfoHash;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Hashes the pieces of metadata that one peer sends, as long as they come in order.
#[derive(Debug)]
pub(super) struct MetadataHash {
    total: u64,
    hashed: u64,
    next: u32,
    v1: Sha1,
    v2: Sha256,
}

impl MetadataHash {
    pub(super) fn new(total: u64) -> Self {
        Self { total, hashed: 0, next: 0, v1: Sha1::new(), v2: Sha256::new() }
    }

    /// Takes in a piece, and gives the info hashes once all are there: that of BEP 3, and that of BEP 52 cut to 20 bytes.
    pub(super) fn push(&mut self, piece: u32, bytes: &[u8]) -> Option<[InfoHash; 2]> {
        if piece != self.next || self.hashed >= self.total {
            return None;
        }
        self.next += 1;
        self.hashed += bytes.len() as u64;
        self.v1.update(bytes);
        self.v2.update(bytes);
        if self.hashed != self.total {
            return None;
        }
        let v2: [u8; 32] = self.v2.clone().finalize().into();
        let mut short = [0; 20];
        short.copy_from_slice(&v2[..20]);
        Some([InfoHash(self.v1.clone().finalize().into()), InfoHash(short)])
    }
}
