//! Reads big-endian numbers and byte strings off a slice; an error names the offset and what was wanted.

use crate::DecodeError;

/// A place in some bytes, moving forward.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the first of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The offset of the next byte.
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub const fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// All bytes that are left.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        self.at = self.bytes.len();
        rest
    }

    /// The next `count` bytes, or an error that says `wanted`.
    pub fn take(&mut self, count: usize, wanted: &'static str) -> Result<&'a [u8], DecodeError> {
        if count > self.remaining() {
            return Err(DecodeError::new(self.at, wanted));
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, wanted: &'static str) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, wanted)?);
        Ok(array)
    }

    /// The next byte.
    pub fn u8(&mut self, wanted: &'static str) -> Result<u8, DecodeError> {
        Ok(self.array::<1>(wanted)?[0])
    }

    /// The next two bytes as a big-endian number.
    pub fn u16(&mut self, wanted: &'static str) -> Result<u16, DecodeError> {
        self.array(wanted).map(u16::from_be_bytes)
    }

    /// The next four bytes as a big-endian number.
    pub fn u32(&mut self, wanted: &'static str) -> Result<u32, DecodeError> {
        self.array(wanted).map(u32::from_be_bytes)
    }

    /// The next eight bytes as a big-endian number.
    pub fn u64(&mut self, wanted: &'static str) -> Result<u64, DecodeError> {
        self.array(wanted).map(u64::from_be_bytes)
    }

    /// Nothing, or an error where bytes are left.
    pub const fn end(&self, wanted: &'static str) -> Result<(), DecodeError> {
        if self.remaining() > 0 {
            return Err(DecodeError::new(self.at, wanted));
        }
        Ok(())
    }
}
