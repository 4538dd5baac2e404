//! Memory for what is received: a few large chunks that are used again, so that they stay in the processor's cache and
//! are not asked of the system for every read.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Chunks of memory that come back when the last slice of them is dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Box<[u8]>>>>);

/// A chunk in use.
#[derive(Debug)]
pub(crate) struct Chunk {
    bytes: Box<[u8]>,
    length: usize,
    pool: Pool,
}

impl Pool {
    /// A chunk with room for [`CHUNK`] bytes, the one used last where there is one.
    pub(crate) fn take(&self) -> Chunk {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Chunk { bytes: bytes.unwrap_or_else(|| vec![0; CHUNK].into()), length: 0, pool: self.clone() }
    }
}

impl Chunk {
    /// The room there is.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The first `length` bytes. A few bytes are copied, or else they would keep the whole chunk from being used.
    pub(crate) fn filled(mut self, length: usize) -> Bytes {
        if length < WORTH_KEEPING {
            return Bytes::copy_from_slice(&self.bytes[..length]);
        }
        self.length = length;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let mut pool = self.pool.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < MOST_POOLED {
            pool.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// Large enough that reading is cheap, small enough for the cache of a processor.
const CHUNK: usize = 256 * 1024;
const WORTH_KEEPING: usize = 64 * 1024;
const MOST_POOLED: usize = 64;
