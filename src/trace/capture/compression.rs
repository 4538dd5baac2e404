//! Compression around a capture: gzip, zstd, lz4, xz, bzip2, known by content, read as a stream, so that what a small file
//! swells to never has to fit in memory. What a decoder keeps of it is bounded.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// A compression that may surround a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
    Lz4,
    Xz,
    Bzip2,
}

impl Compression {
    /// The compression whose magic number these bytes begin with.
    pub(super) fn of(begins: &[u8]) -> Option<Self> {
        match begins {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // RFC 8878: a frame, or a skippable frame before it.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Self::Lz4),
            [0xfd, b'7', b'z', b'X', ..] => Some(Self::Xz),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            _ => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        }
    }

    /// A reader of what `reader` holds in this compression.
    ///
    /// Data that ends too early is told as [`io::ErrorKind::UnexpectedEof`], damage as any other kind.
    pub(super) fn around(self, reader: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        let reader = BufReader::with_capacity(COMPRESSED_BUFFER, reader);
        match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(reader)),
            Self::Zstd => Box::new(Zstd { source: CompressedSource::new(reader), frame: None }),
            Self::Lz4 => Box::new(Lz4 { decoder: frame::FrameDecoder::new(CompressedSource::new(reader)) }),
            Self::Xz => {
                let source = CompressedSource::new(reader);
                let dry = source.dry.clone();
                Box::new(Xz { decoder: XzReader::new_mem_limit(source, true, MOST_OF_XZ), dry })
            }
            Self::Bzip2 => Box::new(MultiBzDecoder::new(reader)),
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
            })) => self.source.skip(u64::from(length)),
            Err(error) => Err(self.source.explain(&error)),
        }
    }
}

/// All frames of an lz4 file, one after the other. The decoder keeps two blocks, of 4 MiB at the most.
struct Lz4 {
    decoder: frame::FrameDecoder<CompressedSource>,
}

impl Read for Lz4 {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            match self.decoder.read(into) {
                // The decoder says this at the end of a frame, and where the file ends within one.
                Ok(0) if self.decoder.get_ref().ran_out() => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(0) if self.decoder.get_mut().reader.fill_buf()?.is_empty() => return Ok(0),
                Ok(0) => {}
                Err(error) => self.pass(error)?,
                read => return read,
            }
        }
    }
}

impl Lz4 {
    /// Passes over a frame that is to be skipped; other errors stay.
    fn pass(&mut self, error: io::Error) -> io::Result<()> {
        let kind = error.get_ref().and_then(|error| error.downcast_ref::<frame::Error>());
        let source = self.decoder.get_mut();
        match kind {
            Some(frame::Error::SkippableFrame(length)) => source.skip(u64::from(*length)),
            _ if source.ran_out() => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Err(error),
        }
    }
}

/// All streams of an xz file.
struct Xz {
    decoder: XzReader<CompressedSource>,
    /// Whether the file ran out: the decoder, after an error, no longer has it.
    dry: Arc<AtomicBool>,
}

impl Read for Xz {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.decoder.read(into).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ if self.dry.load(Ordering::Relaxed) => io::ErrorKind::UnexpectedEof.into(),
            io::ErrorKind::OutOfMemory => {
                let what = format!("a dictionary that takes more than {} MiB", MOST_OF_XZ / 1024);
                io::Error::new(io::ErrorKind::InvalidData, what)
            }
            io::ErrorKind::Unsupported => io::Error::new(io::ErrorKind::InvalidData, error.to_string()),
            _ => error,
        })
    }
}

/// Remembers whether the file ran out, because decoders tell that in a dozen ways.
struct CompressedSource {
    reader: BufReader<Box<dyn Read + Send>>,
    dry: Arc<AtomicBool>,
}

impl CompressedSource {
    fn new(reader: BufReader<Box<dyn Read + Send>>) -> Self {
        Self { reader, dry: Arc::default() }
    }

    fn ran_out(&self) -> bool {
        self.dry.load(Ordering::Relaxed)
    }

    /// Leaves some bytes out.
    fn skip(&mut self, length: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.take(length), &mut io::sink())?;
        if skipped < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn explain(&self, error: &FrameDecoderError) -> io::Error {
        if self.ran_out() {
            return io::ErrorKind::UnexpectedEof.into();
        }
        let what = match error {
            FrameDecoderError::WindowSizeTooBig { requested, max } => {
                format!("a window of {requested} bytes, expected at most {max}")
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
        if read == 0 && !into.is_empty() {
            self.dry.store(true, Ordering::Relaxed);
        }
        Ok(read)
    }
}

const COMPRESSED_BUFFER: usize = 64 * 1024;

/// What a decoder of xz may take, in KiB: twice the dictionary of xz's highest level.
const MOST_OF_XZ: u32 = 128 * 1024;
