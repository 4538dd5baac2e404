//! The answers of a web seed as their bytes come: heads, and bodies in parts. A body is never gathered, for a file may be of
//! any size, and a server that is asked for a part may send all of it.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

use crate::DecodeError;
use crate::tracker::http::{MAX_HEAD, Response, content_length, looks_like_response};

use super::content_range;

/// Reads the answers on one connection, one after the other.
#[derive(Debug, Default)]
pub struct AnswerReader {
    /// The beginning of a head.
    head: BytesMut,
    /// How many bytes of `head` were looked at for its end.
    searched: usize,
    /// What came and is not read.
    unread: Bytes,
    /// How many bytes of the body are to come; `None` where the next thing is a head.
    body: Option<BodyLength>,
}

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// So many bytes.
    Bytes(u64),
    /// As many as come until the connection ends.
    UntilClose,
    /// It is told in parts (RFC 9112, section 7.1), or not at all: it cannot be read.
    Unknown,
}

/// What an answer says before its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerHead {
    /// The status.
    pub status: u16,
    /// The words after the status.
    pub reason: String,
    /// Which bytes of the file come (Content-Range).
    pub range: Option<Range<u64>>,
    /// How long the body is.
    pub length: BodyLength,
    /// Whether the body has the file's bytes as they are, neither packed nor in parts.
    pub is_verbatim: bool,
    /// Where the file is instead (Location).
    pub location: Option<String>,
    /// After how many seconds the server wants to be asked again (Retry-After); a date is not read.
    pub retry_after: Option<u64>,
    /// Whether the connection can be used for another request (RFC 9112, section 9.3).
    pub stays_open: bool,
}

/// The next part of what a web seed says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerPart {
    /// An answer begins.
    Head(Box<AnswerHead>),
    /// Bytes of its body.
    Body(Bytes),
    /// The answer is whole.
    End,
}

impl AnswerReader {
    /// Takes bytes that came.
    pub fn push(&mut self, bytes: Bytes) {
        if self.unread.is_empty() {
            self.unread = bytes;
        } else {
            let mut both = BytesMut::with_capacity(self.unread.len() + bytes.len());
            both.extend_from_slice(&self.unread);
            both.extend_from_slice(&bytes);
            self.unread = both.freeze();
        }
    }

    /// Whether no answer has begun that is not whole.
    pub fn is_between_answers(&self) -> bool {
        self.body.is_none() && self.head.is_empty() && self.unread.is_empty()
    }

    /// The next part; `None` where more bytes are needed for it. Answers of the 1xx class are passed over.
    ///
    /// # Errors
    /// What comes is no HTTP, or a head of more than [`MAX_HEAD`] bytes.
    pub fn next_part(&mut self) -> Result<Option<AnswerPart>, DecodeError> {
        loop {
            match self.body {
                Some(BodyLength::Bytes(0)) => {
                    self.body = None;
                    return Ok(Some(AnswerPart::End));
                }
                Some(_) if self.unread.is_empty() => return Ok(None),
                Some(BodyLength::Bytes(left)) => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.unread.len());
                    self.body = Some(BodyLength::Bytes(left - count as u64));
                    return Ok(Some(AnswerPart::Body(self.unread.split_to(count))));
                }
                Some(BodyLength::UntilClose | BodyLength::Unknown) => {
                    return Ok(Some(AnswerPart::Body(std::mem::take(&mut self.unread))));
                }
                None => {}
            }
            let Some(head) = self.take_head()? else { return Ok(None) };
            // 100 Continue and the like come before the answer proper (RFC 9110, section 15.2).
            if (100..200).contains(&head.status) {
                continue;
            }
            self.body = Some(head.length);
            return Ok(Some(AnswerPart::Head(Box::new(head))));
        }
    }

    fn take_head(&mut self) -> Result<Option<AnswerHead>, DecodeError> {
        let count = self.unread.len().min(MAX_HEAD - self.head.len());
        let before = self.head.len();
        self.head.extend_from_slice(&self.unread[..count]);
        if looks_like_response(&self.head) == Some(false) {
            return Err(DecodeError::new(0, "an HTTP status line"));
        }
        let ends = |at: usize| matches!(&self.head[..=at], [.., b'\n', b'\n'] | [.., b'\n', b'\r', b'\n']);
        let Some(end) = (self.searched..self.head.len()).find(|&at| ends(at)).map(|at| at + 1) else {
            if self.head.len() == MAX_HEAD {
                return Err(DecodeError::new(MAX_HEAD, "a head of at most 64 KiB"));
            }
            self.searched = self.head.len();
            self.unread = Bytes::new();
            return Ok(None);
        };
        let response = Response::decode(&self.head[..end])?;
        self.unread.advance(end - before);
        self.head.clear();
        self.searched = 0;
        Ok(Some(AnswerHead::of(&response)))
    }
}

impl AnswerHead {
    fn of(response: &Response) -> Self {
        let text =
            |name: &str| response.header(name).map(|value| String::from_utf8_lossy(value.trim_ascii()));
        let has = |name: &str, word: &str| {
            text(name).is_some_and(|value| {
                value.split(',').any(|part| part.trim_ascii().eq_ignore_ascii_case(word))
            })
        };
        let coding = text("content-encoding").unwrap_or_default();
        let is_packed = !coding.is_empty() && !coding.eq_ignore_ascii_case("identity");
        let is_in_parts = response.header("transfer-encoding").is_some();
        let is_new = response.source[response.version.clone()].ends_with(b"1.1");
        let length = match response.header("content-length") {
            _ if matches!(response.status, 100..200 | 204 | 304) => BodyLength::Bytes(0),
            _ if is_in_parts => BodyLength::Unknown,
            Some(value) => content_length(value).map_or(BodyLength::Unknown, BodyLength::Bytes),
            None => BodyLength::UntilClose,
        };
        Self {
            status: response.status,
            reason: response.reason.clone(),
            range: response.header("content-range").and_then(content_range),
            length,
            is_verbatim: !is_packed && !is_in_parts,
            location: text("location").map(std::borrow::Cow::into_owned),
            retry_after: text("retry-after").and_then(|value| value.parse().ok()),
            stays_open: matches!(length, BodyLength::Bytes(_))
                && if is_new { !has("connection", "close") } else { has("connection", "keep-alive") },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTIAL: &[u8] =
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/40\r\nContent-Length: 5\r\n\r\nabcde";

    /// All parts of these bytes, given in such cuts, with neighbouring parts of a body joined.
    fn parts(bytes: &[u8], cut: usize) -> Result<Vec<AnswerPart>, DecodeError> {
        let mut reader = AnswerReader::default();
        let mut parts: Vec<AnswerPart> = Vec::new();
        for chunk in bytes.chunks(cut) {
            reader.push(Bytes::copy_from_slice(chunk));
            while let Some(part) = reader.next_part()? {
                match (parts.last_mut(), part) {
                    (Some(AnswerPart::Body(before)), AnswerPart::Body(more)) => {
                        *before = [&before[..], &more].concat().into();
                    }
                    (_, part) => parts.push(part),
                }
            }
        }
        Ok(parts)
    }

    fn head(text: &str) -> AnswerHead {
        let parts = parts(text.as_bytes(), 1000).unwrap();
        let Some(AnswerPart::Head(head)) = parts.first() else { panic!("{parts:?}") };
        (**head).clone()
    }

    #[test]
    fn two_answers_are_read_in_any_cut() {
        let both = [PARTIAL, b"HTTP/1.1 100 Continue\r\n\r\n", PARTIAL].concat();
        let whole = parts(&both, both.len()).unwrap();
        assert_eq!(whole.len(), 6);
        assert_eq!(whole[1..3], [AnswerPart::Body(Bytes::from_static(b"abcde")), AnswerPart::End]);
        let AnswerPart::Head(head) = &whole[0] else { panic!("{whole:?}") };
        assert_eq!((head.status, head.range.clone(), head.length), (206, Some(5..10), BodyLength::Bytes(5)));
        assert!(head.is_verbatim && head.stays_open);
        for cut in 1..both.len() {
            assert_eq!(parts(&both, cut).unwrap(), whole, "in parts of {cut}");
        }
    }

    #[test]
    fn a_head_says_what_becomes_of_the_connection() {
        assert!(!head("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\n").stays_open);
        assert!(!head("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n").stays_open);
        assert!(head("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n").stays_open);
        let endless = head("HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!((endless.length, endless.stays_open), (BodyLength::UntilClose, false));
    }

    #[test]
    fn what_is_packed_or_in_parts_is_no_file() {
        for header in
            ["Content-Encoding: gzip", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked"]
        {
            assert!(!head(&format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n")).is_verbatim, "{header}");
        }
        let plain = head("HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 3\r\n\r\n");
        assert!(plain.is_verbatim);
        let odd = head("HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\n");
        assert_eq!(odd.length, BodyLength::Unknown);
    }

    #[test]
    fn refusals_say_when_and_where() {
        let busy = head("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n");
        assert_eq!((busy.status, busy.retry_after), (503, Some(120)));
        let moved = head("HTTP/1.1 302 Found\r\nLocation:  /x y \r\nContent-Length: 0\r\n\r\n");
        assert_eq!(moved.location.as_deref(), Some("/x y"));
    }

    #[test]
    fn what_is_no_http_and_endless_heads_are_refused() {
        assert!(parts(b"SSH-2.0-OpenSSH\r\n", 3).is_err());
        let endless = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; MAX_HEAD]].concat();
        assert!(parts(&endless, 1000).is_err());
    }
}
