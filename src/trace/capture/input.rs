//! The bytes of a capture as they come. The buffer grows only with bytes that have arrived, so a length
//! that lies costs nothing.

use std::io::{self, Read};

use super::prefetch::{HEADROOM, Prefetch};

/// A window onto the decompressed bytes of a capture.
pub(super) struct CaptureInput {
    source: ByteSource,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    ended: bool,
    torn: bool,
}

/// Where bytes come from.
enum ByteSource {
    /// They are read when they are wanted.
    Here(Box<dyn Read + Send>),
    /// Another thread reads them.
    Ahead(Prefetch),
    /// Nowhere: the source is on its way from here to ahead.
    Nowhere,
}

impl CaptureInput {
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Self {
        let source = ByteSource::Here(reader);
        Self { source, buffer: vec![0; USUAL_SIZE], start: 0, end: 0, offset: 0, ended: false, torn: false }
    }

    /// Lets another thread read from now on, more than is wanted: for files alone, which do not wait for their bytes.
    pub(super) fn read_ahead(&mut self) {
        if let ByteSource::Here(reader) = std::mem::replace(&mut self.source, ByteSource::Nowhere) {
            self.source = match Prefetch::over(reader) {
                Ok(prefetch) => ByteSource::Ahead(prefetch),
                Err(reader) => ByteSource::Here(reader),
            };
        }
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
            match self.read(length) {
                Ok(0) => self.ended = true,
                Ok(_) => {}
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

    /// Reads some of the bytes that are missing to `length`: how many; 0 at the end.
    fn read(&mut self, length: usize) -> io::Result<usize> {
        if !matches!(self.source, ByteSource::Ahead(_)) {
            self.make_room(length);
        }
        match &mut self.source {
            ByteSource::Here(reader) => {
                let read = reader.read(&mut self.buffer[self.end..])?;
                self.end += read;
                Ok(read)
            }
            ByteSource::Ahead(prefetch) => {
                let Some(chunk) = prefetch.next()? else { return Ok(0) };
                let read = chunk.bytes().len();
                let left = self.end - self.start;
                if left <= HEADROOM {
                    let (buffer, start, end) = chunk.behind(&self.buffer[self.start..self.end]);
                    prefetch.give_back(std::mem::replace(&mut self.buffer, buffer));
                    (self.start, self.end) = (start, end);
                } else {
                    // A block that is longer than packets are.
                    self.buffer.copy_within(self.start..self.end, 0);
                    self.buffer.truncate(left);
                    self.buffer.extend_from_slice(chunk.bytes());
                    (self.start, self.end) = (0, self.buffer.len());
                }
                Ok(read)
            }
            ByteSource::Nowhere => Ok(0),
        }
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
    use crate::capture::prefetch::BYTES;

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

    /// Bytes that come in parts of odd sizes, and then an end or an error.
    struct Parts {
        read: usize,
        length: usize,
        error: Option<io::ErrorKind>,
    }

    impl Read for Parts {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.read == self.length {
                return self.error.take().map_or(Ok(0), |kind| Err(kind.into()));
            }
            let count = (self.read % 77_773 + 1).min(buffer.len()).min(self.length - self.read);
            for (place, byte) in buffer[..count].iter_mut().enumerate() {
                *byte = ((self.read + place) % 251) as u8;
            }
            self.read += count;
            Ok(count)
        }
    }

    #[test]
    fn reading_ahead_gives_the_same_bytes_the_same_end_and_the_same_errors() {
        let errors = [None, Some(io::ErrorKind::UnexpectedEof), Some(io::ErrorKind::PermissionDenied)];
        for (length, error) in [0, 1, 999_999, 5 << 20].into_iter().zip(errors.into_iter().cycle()) {
            let [here, ahead] = [false, true].map(|is_ahead| {
                let mut input = CaptureInput::new(Box::new(Parts { read: 0, length, error }));
                if is_ahead {
                    input.read_ahead();
                }
                // Blocks as short as headers, as long as packets, and longer than all that is read at once.
                let mut told = Vec::new();
                for block in [16, 4, 70_000, 1_500, 900_000, 28, 250_000, 64].into_iter().cycle() {
                    match input.want(block) {
                        Ok(true) => told.push(Ok(input.available()[..block].to_vec())),
                        Ok(false) => break,
                        Err(error) => told.push(Err(error.kind())),
                    }
                    input.consume(block);
                }
                let rest = input.available().to_vec();
                (told, rest, input.offset(), input.torn())
            });
            assert!(here == ahead, "{length} bytes, then {error:?}");
        }
    }

    #[test]
    fn buffers_that_another_thread_fills_do_not_grow() {
        let mut input = CaptureInput::new(Box::new(io::repeat(7).take(9 << 20)));
        input.read_ahead();
        assert!(input.want(5 << 20).unwrap());
        input.consume(5 << 20);
        while input.want(1000).unwrap() {
            input.consume(1000);
        }
        assert_eq!(input.buffer.len(), HEADROOM + BYTES);
        assert_eq!(input.offset() + input.available().len() as u64, 9 << 20);
    }
}
