//! The head of a message: its first line and its headers, each by its place in the bytes.

use std::ops::Range;

use crate::{DecodeError, Field, Value};

use super::MAX_HEAD;

/// A header line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The bytes of its name, as spelled.
    pub name: Range<usize>,
    /// The bytes of its value, without the white space around it.
    pub value: Range<usize>,
}

/// The first line and headers of a request.
#[derive(Debug)]
pub(super) struct RequestHead {
    pub(super) method: Range<usize>,
    pub(super) target: Range<usize>,
    pub(super) headers: Vec<Header>,
    /// Where the body begins.
    pub(super) end: usize,
}

/// The first line and headers of a response.
#[derive(Debug)]
pub(super) struct ResponseHead {
    pub(super) version: Range<usize>,
    pub(super) status: u16,
    pub(super) headers: Vec<Header>,
    /// Where the body begins.
    pub(super) end: usize,
}

/// The head that `bytes` begin with; `None` while it goes on beyond them.
pub(super) fn request_head(bytes: &[u8]) -> Result<Option<RequestHead>, DecodeError> {
    let window = &bytes[..bytes.len().min(MAX_HEAD)];
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(window) {
        Ok(httparse::Status::Complete(end)) => Ok(Some(RequestHead {
            method: place(bytes, request.method.unwrap_or_default().as_bytes()),
            target: place(bytes, request.path.unwrap_or_default().as_bytes()),
            headers: headers_of(bytes, request.headers),
            end,
        })),
        Ok(httparse::Status::Partial) => partial(bytes),
        Err(error) => Err(located(error, window, |cut| {
            httparse::Request::new(&mut [httparse::EMPTY_HEADER; MAX_HEADERS]).parse(cut).is_err()
        })),
    }
}

/// The head that `bytes` begin with; `None` while it goes on beyond them.
pub(super) fn response_head(bytes: &[u8]) -> Result<Option<ResponseHead>, DecodeError> {
    let window = &bytes[..bytes.len().min(MAX_HEAD)];
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match lenient().parse_response(&mut response, window) {
        Ok(httparse::Status::Complete(end)) => {
            let start = window.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            Ok(Some(ResponseHead {
                version: start..start + b"HTTP/1.1".len(),
                status: response.code.unwrap_or_default(),
                headers: headers_of(bytes, response.headers),
                end,
            }))
        }
        Ok(httparse::Status::Partial) => partial(bytes),
        Err(error) => Err(located(error, window, |cut| {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            lenient().parse_response(&mut httparse::Response::new(&mut headers), cut).is_err()
        })),
    }
}

/// The value of the first header called `name`, in any case.
pub(super) fn header<'a>(bytes: &'a [u8], headers: &[Header], name: &str) -> Option<&'a [u8]> {
    let found =
        headers.iter().find(|header| bytes[header.name.clone()].eq_ignore_ascii_case(name.as_bytes()))?;
    Some(&bytes[found.value.clone()])
}

/// The field of the header lines, from `start` to the end of the head with its empty line.
pub(super) fn header_fields(bytes: &[u8], headers: &[Header], start: usize, end: usize) -> Vec<Field> {
    let mut lines = Vec::new();
    let mut at = start;
    for (index, header) in headers.iter().enumerate() {
        if header.name.start > at {
            lines.push(Field::framing("line end", at..header.name.start, Value::None));
        }
        let next = headers.get(index + 1).map_or(end, |next| next.name.start);
        let line_end = header.value.end.max(header.name.end + 1).min(next);
        let name = String::from_utf8_lossy(&bytes[header.name.clone()]).into_owned();
        let value = crate::field::text_or_bytes(&bytes[header.value.clone()]);
        lines.push(Field::content(name, header.name.start..line_end, value));
        at = line_end;
    }
    if at < end {
        lines.push(Field::framing("line end", at..end, Value::None));
    }
    vec![Field::content("headers", start..end, Value::Map).with_children(lines)]
}

/// Servers are read as browsers read them; requests are read strictly, since we encode the like.
fn lenient() -> httparse::ParserConfig {
    let mut config = httparse::ParserConfig::default();
    config.allow_spaces_after_header_name_in_responses(true);
    config.allow_obsolete_multiline_headers_in_responses(true);
    config.allow_multiple_spaces_in_response_status_delimiters(true);
    config
}

fn partial<T>(bytes: &[u8]) -> Result<Option<T>, DecodeError> {
    if bytes.len() >= MAX_HEAD {
        return Err(DecodeError::new(MAX_HEAD, "a head of at most 64 KiB"));
    }
    Ok(None)
}

fn headers_of(bytes: &[u8], headers: &[httparse::Header<'_>]) -> Vec<Header> {
    headers
        .iter()
        .map(|header| {
            let name = place(bytes, header.name.as_bytes());
            let value = place(bytes, header.value);
            // An empty value may stand anywhere: it is placed after the colon.
            let value = if value.is_empty() { name.end + 1..name.end + 1 } else { value };
            Header { name, value }
        })
        .collect()
}

/// Where `part`, a slice of `bytes`, stands in them.
fn place(bytes: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(bytes.as_ptr() as usize).min(bytes.len());
    start..(start + part.len()).min(bytes.len())
}

/// The error with the offset of the byte at which the parser, which goes byte by byte, gave up.
fn located(error: httparse::Error, window: &[u8], fails: impl Fn(&[u8]) -> bool) -> DecodeError {
    let (mut good, mut bad) = (0, window.len());
    while good + 1 < bad {
        let middle = good.midpoint(bad);
        if fails(&window[..middle]) { bad = middle } else { good = middle }
    }
    let wanted = match error {
        httparse::Error::HeaderName => "a header's name and a colon",
        httparse::Error::HeaderValue => "a header's value in visible characters",
        httparse::Error::NewLine => "the end of the line",
        httparse::Error::Status => "a status of three digits",
        httparse::Error::Token => "a method and a target of visible characters",
        httparse::Error::TooManyHeaders => "at most 100 headers",
        httparse::Error::Version => "HTTP/1.0 or HTTP/1.1",
    };
    DecodeError::new(bad.saturating_sub(1), wanted)
}

/// As many as the common servers take.
const MAX_HEADERS: usize = 100;
