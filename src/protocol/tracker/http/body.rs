//! The body of a message as meant: chunks joined (RFC 9112, section 7.1), then unpacked (RFC 9110, section
//! 8.4.1), all of it bounded.

use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;

use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};

use crate::DecodeError;

use super::{BODY_TOO_LONG, MAX_BODY};

/// A reading of chunks that goes on where it stopped for want of bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Chunks {
    /// Where the next chunk's size stands.
    at: usize,
    /// The data of the chunk at hand.
    data: Option<Range<usize>>,
    trailers: Option<Trailers>,
}

impl Chunks {
    /// Reads on in `bytes`, which begin with the body, and tells `piece` of the data of each chunk. Gives the end
    /// of the body, its trailers included; `None` while it goes on beyond `bytes`.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        mut piece: impl FnMut(Range<usize>),
    ) -> Result<Option<usize>, DecodeError> {
        loop {
            if let Some(trailers) = &mut self.trailers {
                return trailers.read(bytes);
            }
            let data = match self.data.clone() {
                Some(data) => data,
                None => {
                    let Some((size, start)) = chunk_size(bytes, self.at)? else { return Ok(None) };
                    if start + size > MAX_BODY {
                        return Err(DecodeError::new(self.at, BODY_TOO_LONG));
                    }
                    if size == 0 {
                        self.trailers = Some(Trailers { start, line: start, searched: start });
                        continue;
                    }
                    start..start + size
                }
            };
            let end = data.end;
            self.data = Some(data.clone());
            self.at = match bytes.get(end..).unwrap_or_default() {
                [] | [b'\r'] => return Ok(None),
                [b'\r', b'\n', ..] => end + 2,
                [b'\n', ..] => end + 1,
                _ => return Err(DecodeError::new(end, "the line end after a chunk")),
            };
            self.data = None;
            piece(data);
        }
    }
}

/// A reading of the lines after the last chunk.
#[derive(Debug, Clone)]
struct Trailers {
    start: usize,
    /// Where the line at hand begins.
    line: usize,
    /// It does not end before this.
    searched: usize,
}

impl Trailers {
    /// Where the trailers end: after the first empty line.
    fn read(&mut self, bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
        loop {
            let Some(length) = bytes[self.searched..].iter().position(|&byte| byte == b'\n') else {
                if bytes.len() - self.start > super::MAX_HEAD {
                    return Err(DecodeError::new(self.start, "trailers of at most 64 KiB"));
                }
                self.searched = bytes.len();
                return Ok(None);
            };
            let end = self.searched + length;
            let line = &bytes[self.line..end];
            (self.line, self.searched) = (end + 1, end + 1);
            if matches!(line, [] | [b'\r']) {
                return Ok(Some(self.line));
            }
        }
    }
}

/// The size of the chunk whose size line begins at `at`, and where its data begins.
fn chunk_size(bytes: &[u8], at: usize) -> Result<Option<(usize, usize)>, DecodeError> {
    let line = &bytes[at..];
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits > 16 || (digits == 0 && !line.is_empty()) {
        return Err(DecodeError::new(at, "a chunk's size in hexadecimal digits"));
    }
    let Some(end) = line.iter().take(MAX_LINE).position(|&byte| byte == b'\n') else {
        if line.len() >= MAX_LINE {
            return Err(DecodeError::new(at, "a chunk's size on a line of at most 4 KiB"));
        }
        return Ok(None);
    };
    if !matches!(line[digits], b';' | b'\r' | b'\n' | b' ' | b'\t') {
        return Err(DecodeError::new(at + digits, "a chunk's size in hexadecimal digits"));
    }
    let size = std::str::from_utf8(&line[..digits])
        .ok()
        .and_then(|text| usize::from_str_radix(text, 16).ok())
        .filter(|&size| size <= MAX_BODY)
        .ok_or(DecodeError::new(at, BODY_TOO_LONG))?;
    Ok(Some((size, at + end + 1)))
}

/// The chunks' data in one.
///
/// # Errors
/// Where the chunks are wrong or cut short.
pub(super) fn join_chunks(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut body = Vec::new();
    Chunks::default()
        .read(bytes, |piece| body.extend_from_slice(&bytes[piece]))?
        .ok_or(DecodeError::new(bytes.len(), "the last chunk, whose size is zero"))?;
    Ok(body)
}

/// Undoes the codings that a Content-Encoding header names, the last one first.
///
/// # Errors
/// Data that is not so coded, a coding not known here, or more than [`MAX_BODY`] when unpacked. The offset is
/// 0: the bytes are those of the whole body.
pub(super) fn unpack<'a>(body: Cow<'a, [u8]>, codings: &[u8]) -> Result<Cow<'a, [u8]>, DecodeError> {
    let mut body = body;
    for (count, coding) in codings.rsplit(|&byte| byte == b',').enumerate() {
        if count >= MAX_CODINGS {
            return Err(DecodeError::new(0, "at most four codings of a body"));
        }
        body = match coding.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => body,
            b"gzip" | b"x-gzip" => Cow::Owned(bounded(GzDecoder::new(&*body), "a body packed by gzip")?),
            // Meant is zlib's format; some servers send the bare one (RFC 9110, section 8.4.1.2).
            b"deflate" => Cow::Owned(
                bounded(ZlibDecoder::new(&*body), "a body packed by deflate")
                    .or_else(|_| bounded(DeflateDecoder::new(&*body), "a body packed by deflate"))?,
            ),
            _ => return Err(DecodeError::new(0, "a body packed by gzip or deflate, or not at all")),
        };
    }
    Ok(body)
}

fn bounded(reader: impl Read, wanted: &'static str) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    reader.take(MAX_BODY as u64 + 1).read_to_end(&mut out).map_err(|_| DecodeError::new(0, wanted))?;
    if out.len() > MAX_BODY {
        return Err(DecodeError::new(0, "a body of at most 16 MiB when unpacked"));
    }
    Ok(out)
}

/// How long a chunk's size line may be, extensions included.
const MAX_LINE: usize = 4 * 1024;

/// One is usual; each may unpack to [`MAX_BODY`].
const MAX_CODINGS: usize = 4;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn joins_chunks_and_skips_extensions_and_trailers() {
        let body = b"3;name=\"v\"\r\nd8:\r\nA\nintervali1\n1\r\ne\r\n0\r\nExpires: never\r\n\r\n";
        assert_eq!(join_chunks(body).unwrap(), b"d8:intervali1e");
    }

    #[test]
    fn rejects_a_chunk_that_is_longer_than_it_says() {
        let error = join_chunks(b"2\r\nabc\r\n0\r\n\r\n").unwrap_err();
        assert_eq!(error, DecodeError::new(5, "the line end after a chunk"));
        assert_eq!(join_chunks(b"x\r\n").unwrap_err().offset, 0);
        assert!(join_chunks(b"fffffffffffffff\r\n").is_err());
    }

    #[test]
    fn unpacks_gzip_zlib_and_bare_deflate() {
        let text = b"d8:intervali1800e5:peers0:e";
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(text).unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(text).unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
        bare.write_all(text).unwrap();
        for (coding, packed) in [
            ("GZip", gzip.finish().unwrap()),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", bare.finish().unwrap()),
            ("identity", text.to_vec()),
        ] {
            assert_eq!(*unpack(Cow::Owned(packed), coding.as_bytes()).unwrap(), text[..], "{coding}");
        }
    }

    #[test]
    fn finds_a_gzip_bomb_out() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&vec![0; MAX_BODY + 1]).unwrap();
        let bomb = gzip.finish().unwrap();
        assert!(bomb.len() < 20_000);
        assert_eq!(
            unpack(Cow::Owned(bomb), b"gzip").unwrap_err().wanted,
            "a body of at most 16 MiB when unpacked"
        );
    }

    #[test]
    fn rejects_a_coding_it_does_not_know() {
        assert!(unpack(Cow::Borrowed(b"x"), b"br").is_err());
        assert!(unpack(Cow::Borrowed(b"not gzip"), b"gzip").is_err());
    }

    proptest! {
        #[test]
        fn random_chunks_do_not_panic(bytes in prop::collection::vec(prop::sample::select(b"0123af;\r\n x".to_vec()), 0..60)) {
            if let Ok(Some(end)) = Chunks::default().read(&bytes, |piece| assert!(piece.end <= bytes.len())) {
                prop_assert!(end <= bytes.len());
            }
        }
    }
}
