//! The bytes of a capture as they come. The buffer grows only with bytes that have arrived, so a length
//! that lies costs nothing.

use std::io::{self, Read};

/// A window onto the decompressed bytes of a capture.
pub(super) struct CaptureInput {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    ended: bool,
    torn: bool,
}

impl CaptureInput {
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Self {
        Self { reader, buffer: vec![0; USUAL_SIZE], start: 0, end: 0, offset: 0, ended: false, torn: false }
    }

    /// The bytes that have arrived and are not yet consumed.
    pub(super) fn available(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The place of the first available byte in the capture.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the compressed data around this capture ended too early.
    pub(super) fn torn(&self) -> bool {
        self.torn
    }

    /// Leaves `length` available bytes behind.
    pub(super) fn consume(&mut self, length: usize) {
        let length = length.min(self.end - self.start);
        self.start += length;
        self.offset += length as u64;
    }

    /// Waits until `length` bytes are available. `false` when the capture ends before.
    ///
    /// Never waits for more than that, so what a live pipe has said can be shown at once.
    #[inline]
    pub(super) fn want(&mut self, length: usize) -> io::Result<bool> {
        if self.end - self.start >= length {
            return Ok(true);
        }
        self.fill(length)
    }

    #[cold]
    fn fill(&mut self, length: usize) -> io::Result<bool> {
        while self.end - self.start < length {
            if self.ended {
                return Ok(false);
            }
            self.make_room(length);
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.ended = true;
                    self.torn = true;
                }
                Err(error) => {
                    self.ended = true;
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    fn make_room(&mut self, length: usize) {
        if self.start + length > self.buffer.len() && self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            // One huge block must not keep its memory for the rest of the capture.
            if self.buffer.len() > USUAL_SIZE && self.end.max(length) <= USUAL_SIZE {
                self.buffer.truncate(USUAL_SIZE);
                self.buffer.shrink_to_fit();
            }
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
    }
}

/// Large enough that the cost of a read is nothing beside that of its bytes, small enough for the caches.
const USUAL_SIZE: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_only_with_what_arrives() {
        let mut input = CaptureInput::new(Box::new(io::repeat(7).take(1000)));
        assert!(!input.want(60 << 20).unwrap());
        assert_eq!(input.available().len(), 1000);
        assert_eq!(input.buffer.len(), USUAL_SIZE);
    }

    #[test]
    fn gives_back_the_memory_of_a_huge_block() {
        let mut input = CaptureInput::new(Box::new(io::repeat(7).take(9 << 20)));
        assert!(input.want(5 << 20).unwrap());
        input.consume(5 << 20);
        while input.want(1000).unwrap() {
            input.consume(1000);
        }
        assert_eq!(input.buffer.len(), USUAL_SIZE);
        assert_eq!(input.offset() + input.available().len() as u64, 9 << 20);
    }
}
