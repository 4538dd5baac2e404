//! Where one HTTP/1.x message ends and the next begins (RFC 9112, section 6).
//!
//! A [`Framer`] remembers how far it has read; the functions begin anew each time.

use crate::DecodeError;

use super::body::Chunks;
use super::head::{self, Header};
use super::{BODY_TOO_LONG, MAX_BODY, MAX_HEAD};

/// How far the first message in some bytes goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framing {
    /// More bytes are needed. Where the connection has closed, the message was cut short.
    Incomplete,
    /// The message has this many bytes; what follows is the next one.
    Complete(usize),
    /// The body has no length: it ends with the connection.
    UntilClose,
    /// These bytes are no HTTP message, or one beyond the bounds.
    NotHttp(DecodeError),
}

/// Frames the request that `bytes` begin with.
pub fn frame_request(bytes: &[u8]) -> Framing {
    Framer::default().request(bytes)
}

/// Frames the response that `bytes` begin with. `closed` says that no more bytes will come, `answers_head`
/// that the request was a HEAD, whose answer has no body whatever its headers say (RFC 9112, section 6.3).
pub fn frame_response(bytes: &[u8], closed: bool, answers_head: bool) -> Framing {
    Framer::default().response(bytes, closed, answers_head)
}

/// Frames messages while their bytes come, however few at a time, without reading any of them over and over.
///
/// It is given all bytes from the start of a message on, each time more of them. Once it has said how the message
/// ends, or that it is none, it is ready for the next. A head is judged when it is whole.
#[derive(Debug, Clone, Default)]
pub struct Framer {
    reading: ChunkReading,
}

#[derive(Debug, Clone)]
enum ChunkReading {
    /// The head, which does not end among the first so many bytes.
    Head(usize),
    /// The body, which begins at `start`.
    Body { start: usize, bodiless: bool, length: Option<Length> },
}

impl Default for ChunkReading {
    fn default() -> Self {
        Self::Head(0)
    }
}

impl Framer {
    /// Frames the request that `bytes` begin with.
    pub fn request(&mut self, bytes: &[u8]) -> Framing {
        let framing = match looks_like_request(bytes) {
            Some(true) => self.frame_request(bytes),
            Some(false) => Err(DecodeError::new(0, "an HTTP request's method")),
            None => Ok(Framing::Incomplete),
        };
        self.settle(framing)
    }

    /// Frames the response that `bytes` begin with; for the rest, see [`frame_response`].
    pub fn response(&mut self, bytes: &[u8], closed: bool, answers_head: bool) -> Framing {
        let framing = match looks_like_response(bytes) {
            Some(true) => self.frame_response(bytes, closed, answers_head),
            Some(false) => Err(DecodeError::new(0, "an HTTP status line")),
            None => Ok(Framing::Incomplete),
        };
        self.settle(framing)
    }

    /// After the end of a message, the next one is read.
    fn settle(&mut self, framing: Result<Framing, DecodeError>) -> Framing {
        let framing = framing.unwrap_or_else(Framing::NotHttp);
        if matches!(framing, Framing::Complete(_) | Framing::NotHttp(_)) {
            *self = Self::default();
        }
        framing
    }

    fn frame_request(&mut self, bytes: &[u8]) -> Result<Framing, DecodeError> {
        if let ChunkReading::Head(searched) = &mut self.reading {
            let Some(head) = whole_head(bytes, searched, head::request_head)? else {
                return Ok(Framing::Incomplete);
            };
            let length = body_length(bytes, &head.headers)?.unwrap_or(Length::Bytes(0));
            self.reading = ChunkReading::Body { start: head.end, bodiless: false, length: Some(length) };
        }
        self.body(bytes, false)
    }

    fn frame_response(
        &mut self,
        bytes: &[u8],
        closed: bool,
        answers_head: bool,
    ) -> Result<Framing, DecodeError> {
        if let ChunkReading::Head(searched) = &mut self.reading {
            let Some(head) = whole_head(bytes, searched, head::response_head)? else {
                return Ok(Framing::Incomplete);
            };
            let bodiless = answers_head || matches!(head.status, 100..200 | 204 | 304);
            let length = if bodiless { None } else { body_length(bytes, &head.headers)? };
            self.reading = ChunkReading::Body { start: head.end, bodiless, length };
        }
        self.body(bytes, closed)
    }

    fn body(&mut self, bytes: &[u8], closed: bool) -> Result<Framing, DecodeError> {
        let ChunkReading::Body { start, bodiless, length } = &mut self.reading else {
            return Ok(Framing::Incomplete);
        };
        let start = *start;
        Ok(match length {
            _ if *bodiless => Framing::Complete(start),
            Some(Length::Bytes(count)) if bytes.len() - start < *count => Framing::Incomplete,
            Some(Length::Bytes(count)) => Framing::Complete(start + *count),
            Some(Length::Chunked(chunks)) => match chunks.read(&bytes[start..], |_| {}) {
                Ok(Some(end)) => Framing::Complete(start + end),
                Ok(None) => Framing::Incomplete,
                Err(error) => return Err(error.shifted(start)),
            },
            None if bytes.len() - start > MAX_BODY => {
                return Err(DecodeError::new(start + MAX_BODY, BODY_TOO_LONG));
            }
            None if closed => Framing::Complete(bytes.len()),
            None => Framing::UntilClose,
        })
    }
}

/// The head, once it is there to its empty line or longer than any. It does not end among the first `searched`
/// bytes.
fn whole_head<T>(
    bytes: &[u8],
    searched: &mut usize,
    read: impl Fn(&[u8]) -> Result<Option<T>, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    let window = &bytes[..bytes.len().min(MAX_HEAD)];
    while let Some(end) = (*searched..window.len()).find(|&at| ends_in_empty_line(&window[..=at])) {
        *searched = end + 1;
        if let Some(head) = read(bytes)? {
            return Ok(Some(head));
        }
    }
    *searched = window.len();
    if bytes.len() < MAX_HEAD { Ok(None) } else { read(bytes) }
}

fn ends_in_empty_line(bytes: &[u8]) -> bool {
    matches!(bytes, [.., b'\n', b'\n'] | [.., b'\n', b'\r', b'\n'])
}

/// Whether a stream that begins with `bytes` begins with an HTTP request; `None` while it may.
pub fn looks_like_request(bytes: &[u8]) -> Option<bool> {
    begins_with_any(bytes, METHODS)
}

/// Whether a stream that begins with `bytes` begins with an HTTP response; `None` while it may.
pub fn looks_like_response(bytes: &[u8]) -> Option<bool> {
    begins_with_any(bytes, &[b"HTTP/1."])
}

fn begins_with_any(bytes: &[u8], beginnings: &[&[u8]]) -> Option<bool> {
    if beginnings.iter().any(|beginning| bytes.starts_with(beginning)) {
        return Some(true);
    }
    if beginnings.iter().any(|beginning| beginning.starts_with(bytes)) {
        return None;
    }
    Some(false)
}

/// How the length of a body is told.
#[derive(Debug, Clone)]
enum Length {
    Bytes(usize),
    Chunked(Chunks),
}

/// What the headers say of the body's length; `None` when nothing.
fn body_length(bytes: &[u8], headers: &[Header]) -> Result<Option<Length>, DecodeError> {
    let mut length = None;
    for header in headers {
        let name = &bytes[header.name.clone()];
        let value = bytes[header.value.clone()].trim_ascii();
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let last = value.rsplit(|&byte| byte == b',').next().unwrap_or_default().trim_ascii();
            if last.eq_ignore_ascii_case(b"chunked") {
                // It overrides any Content-Length (RFC 9112, section 6.3).
                return Ok(Some(Length::Chunked(Chunks::default())));
            }
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let count = content_length(value)
                .ok_or(DecodeError::new(header.value.start, "a Content-Length in decimal digits"))?;
            let count = usize::try_from(count)
                .ok()
                .filter(|&count| count <= MAX_BODY)
                .ok_or(DecodeError::new(header.value.start, BODY_TOO_LONG))?;
            if length.is_some_and(|before| before != count) {
                return Err(DecodeError::new(header.value.start, "one Content-Length, not two that differ"));
            }
            length = Some(count);
        }
    }
    Ok(length.map(Length::Bytes))
}

/// The number of bytes in the value of a Content-Length header: decimal digits alone (RFC 9110, section 8.6).
pub fn content_length(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The methods of RFC 9110, section 9, and PATCH.
const METHODS: &[&[u8]] =
    &[b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"CONNECT ", b"OPTIONS ", b"TRACE ", b"PATCH "];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANNOUNCE: &[u8] = b"GET /announce?info_hash=x HTTP/1.1\r\nHost: t\r\n\r\n";

    #[test]
    fn a_content_length_is_digits_alone() {
        let lengths = [&b" 17 "[..], b"+5", b"-0", b"", b"1e3", b"18446744073709551616"].map(content_length);
        assert_eq!(lengths, [Some(17), None, None, None, None, None]);
    }

    #[test]
    fn gives_the_length_of_the_first_of_two_requests() {
        let two = [ANNOUNCE, ANNOUNCE].concat();
        assert_eq!(frame_request(&two), Framing::Complete(ANNOUNCE.len()));
    }

    #[test]
    fn waits_for_every_cut_of_a_request() {
        for end in 0..ANNOUNCE.len() {
            assert_eq!(frame_request(&ANNOUNCE[..end]), Framing::Incomplete, "cut at {end}");
        }
    }

    #[test]
    fn waits_for_every_cut_of_a_chunked_response() {
        let response =
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\n\r\n3;a=b\r\nabc\r\n00\r\nTrailer: x\r\n\r\n";
        for end in 0..response.len() {
            assert_eq!(frame_response(&response[..end], false, false), Framing::Incomplete, "cut at {end}");
        }
        let more = [&response[..], b"HTTP/1.1 200"].concat();
        assert_eq!(frame_response(&more, false, false), Framing::Complete(response.len()));
    }

    #[test]
    fn bare_line_feeds_end_lines_too() {
        let response = b"HTTP/1.0 200 OK\nContent-Length: 2\n\nde";
        assert_eq!(frame_response(response, false, false), Framing::Complete(response.len()));
        let request = b"GET /a HTTP/1.0\nHost: t\n\n";
        assert_eq!(frame_request(request), Framing::Complete(request.len()));
    }

    #[test]
    fn a_body_without_length_ends_with_the_connection() {
        let response = b"HTTP/1.0 200 OK\r\n\r\nde";
        assert_eq!(frame_response(response, false, false), Framing::UntilClose);
        assert_eq!(frame_response(response, true, false), Framing::Complete(response.len()));
    }

    #[test]
    fn some_responses_have_no_body_whatever_their_headers_say() {
        for status in ["100 Continue", "204 No Content", "304 Not Modified"] {
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: 9\r\n\r\n");
            assert_eq!(frame_response(head.as_bytes(), false, false), Framing::Complete(head.len()));
        }
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
        assert_eq!(frame_response(head, false, true), Framing::Complete(head.len()));
        assert_eq!(frame_response(head, false, false), Framing::Incomplete);
    }

    #[test]
    fn a_content_length_that_lies_cuts_there_or_waits() {
        let short = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\ndeXYZ";
        assert_eq!(frame_response(short, true, false), Framing::Complete(short.len() - 3));
        let long = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nde";
        assert_eq!(frame_response(long, true, false), Framing::Incomplete);
    }

    #[test]
    fn rejects_lengths_beyond_the_bound() {
        for length in ["16777217", "99999999999999999999999"] {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            let Framing::NotHttp(error) = frame_response(head.as_bytes(), false, false) else {
                panic!("{length} was taken");
            };
            assert_eq!(error.offset, 33);
        }
        let endless = [b"GET /?a HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; 70_000]].concat();
        assert_eq!(
            frame_request(&endless),
            Framing::NotHttp(DecodeError::new(64 * 1024, "a head of at most 64 KiB"))
        );
    }

    #[test]
    fn rejects_two_lengths_that_differ() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n";
        assert!(matches!(frame_response(head, false, false), Framing::NotHttp(_)));
        let same = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nde";
        assert_eq!(frame_response(same, false, false), Framing::Complete(same.len()));
    }

    #[test]
    fn an_error_names_the_first_wrong_byte() {
        let request = b"GET /a HTTP/1.1\r\nGood: yes\r\nBad name: no\r\n\r\n";
        let Framing::NotHttp(error) = frame_request(request) else { panic!("it was taken") };
        assert_eq!(error, DecodeError::new(31, "a header's name and a colon"));
    }

    #[test]
    fn a_peer_wire_handshake_is_not_http() {
        assert_eq!(looks_like_request(b"\x13BitTorrent protocol"), Some(false));
        assert_eq!(looks_like_request(b"GE"), None);
        assert_eq!(looks_like_request(b""), None);
        assert_eq!(looks_like_request(b"HEAD /"), Some(true));
        assert_eq!(looks_like_response(b"HTTP/1"), None);
        assert_eq!(looks_like_response(b"HTTP/1.0 200"), Some(true));
        assert_eq!(looks_like_response(b"HTTP/2"), Some(false));
    }

    /// What a framer says after the last of the bytes, given in parts of `part` bytes.
    fn in_parts(bytes: &[u8], part: usize) -> Framing {
        let mut framer = Framer::default();
        for end in (part..bytes.len()).step_by(part) {
            let framing = framer.response(&bytes[..end], false, false);
            if !matches!(framing, Framing::Incomplete | Framing::UntilClose) {
                return framing;
            }
        }
        framer.response(bytes, false, false)
    }

    #[test]
    fn a_message_that_comes_in_parts_is_framed_as_in_one() {
        let head = "HTTP/1.1 200 OK\r\nA: b\r\n";
        for rest in [
            "Content-Length: 5\r\n\r\nhello",
            "Content-Length: 5\n\nhello",
            "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n1\nd\n0\r\nTrailer: x\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef",
            "Content-Length: x\r\n\r\n",
            "Bad header\r\n\r\n",
        ] {
            let bytes = [head, rest].concat();
            for part in 1..bytes.len() {
                assert_eq!(
                    in_parts(bytes.as_bytes(), part),
                    in_parts(bytes.as_bytes(), usize::MAX),
                    "{rest}"
                );
            }
        }
    }

    #[test]
    fn one_byte_at_a_time_is_not_read_over_and_over() {
        let head = [b"HTTP/1.1 200 OK\r\nA: ".to_vec(), vec![b'a'; 60_000], b"\r\n".to_vec()].concat();
        let counted = [&head[..], b"Content-Length: 100000\r\n\r\n", &[b'x'; 100_000]].concat();
        assert_eq!(in_parts(&counted, 1), Framing::Complete(counted.len()));
        let mut chunked = [&head[..], b"Transfer-Encoding: chunked\r\n\r\n"].concat();
        (0..30_000).for_each(|_| chunked.extend(b"1\r\nx\r\n"));
        chunked.extend(b"0\r\nTrailer: ");
        chunked.resize(chunked.len() + 60_000, b'a');
        chunked.extend(b"\r\n\r\n");
        assert_eq!(in_parts(&chunked, 1), Framing::Complete(chunked.len()));
    }

    proptest! {
        #[test]
        fn random_bytes_do_not_panic(
            start in prop::sample::select(vec!["", "GET /", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]),
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let bytes = [start.as_bytes(), &bytes].concat();
            for framing in
                [frame_request(&bytes), frame_response(&bytes, true, false), frame_response(&bytes, false, true)]
            {
                if let Framing::Complete(length) = framing {
                    prop_assert!(length <= bytes.len());
                }
            }
        }
    }
}
