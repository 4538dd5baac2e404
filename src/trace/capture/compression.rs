//! gzip and zstd around a capture: known by content, read as a stream, so that what a small file swells
//! to never has to fit in memory.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// A compression that may surround a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// The compression whose magic number these bytes begin with.
    pub(super) fn of(begins: &[u8]) -> Option<Self> {
        match begins {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // RFC 8878: a frame, or a skippable frame before it.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// A reader of what `reader` holds in this compression.
    ///
    /// Data that ends too early is told as [`io::ErrorKind::UnexpectedEof`], damage as any other kind.
    pub(super) fn around(self, reader: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        let reader = BufReader::with_capacity(COMPRESSED_BUFFER, reader);
        match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(reader)),
            Self::Zstd => Box::new(Zstd { source: CompressedSource { reader, dry: false }, frame: None }),
        }
    }
}

/// All frames of a zstd file, one after the other.
struct Zstd {
    source: CompressedSource,
    frame: Option<FrameDecoder>,
}

impl Read for Zstd {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(frame) = &mut self.frame {
                while frame.can_collect() == 0 && !frame.is_finished() {
                    let decoded = frame.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1));
                    decoded.map_err(|error| self.source.explain(&error))?;
                }
                if frame.can_collect() > 0 {
                    return frame.read(into);
                }
                let (stated, found) = (frame.get_checksum_from_data(), frame.get_calculated_checksum());
                if let (Some(stated), Some(found)) = (stated, found)
                    && stated != found
                {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "checksum does not match"));
                }
            }
            if self.source.reader.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.begin_frame()?;
        }
    }
}

impl Zstd {
    fn begin_frame(&mut self) -> io::Result<()> {
        let mut frame = self.frame.take().unwrap_or_default();
        match frame.reset(&mut self.source) {
            Ok(()) => {
                self.frame = Some(frame);
                Ok(())
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let skipped = io::copy(&mut (&mut self.source).take(u64::from(length)), &mut io::sink())?;
                if skipped < u64::from(length) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(())
            }
            Err(error) => Err(self.source.explain(&error)),
        }
    }
}

/// Remembers whether the file ran out, because the decoder tells that in a dozen ways.
struct CompressedSource {
    reader: BufReader<Box<dyn Read + Send>>,
    dry: bool,
}

impl CompressedSource {
    fn explain(&self, error: &FrameDecoderError) -> io::Error {
        if self.dry {
            return io::ErrorKind::UnexpectedEof.into();
        }
        let what = match error {
            FrameDecoderError::WindowSizeTooBig { requested, max } => {
                format!("a window of {requested} bytes, wanted at most {max}")
            }
            FrameDecoderError::DictNotProvided { .. } => "a dictionary is needed".to_owned(),
            FrameDecoderError::ReadFrameHeaderError(_) => "no frame header".to_owned(),
            _ => "a block cannot be decoded".to_owned(),
        };
        io::Error::new(io::ErrorKind::InvalidData, what)
    }
}

impl Read for CompressedSource {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(into)?;
        self.dry |= read == 0 && !into.is_empty();
        Ok(read)
    }
}

const COMPRESSED_BUFFER: usize = 64 * 1024;
