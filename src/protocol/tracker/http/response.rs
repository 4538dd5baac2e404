//! A response of an HTTP tracker: its parts by their place in the bytes, its body as sent and as meant.

use std::borrow::Cow;
use std::ops::Range;

use crate::field::text_or_bytes;
use crate::{DecodeError, Field, Value};

use super::body;
use super::head::{self, Header};
use super::reply::{Reply, body_fields, dictionary_span};

/// One HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The bytes it was read from.
    pub source: Vec<u8>,
    /// Where the version stands.
    pub version: Range<usize>,
    /// The status.
    pub status: u16,
    /// The words after the status.
    pub reason: String,
    /// The headers, in order.
    pub headers: Vec<Header>,
    /// Where the body stands as it was sent.
    pub sent_body: Range<usize>,
    /// The body as meant, its chunks joined and unpacked; `None` where it was sent so.
    decoded_body: Option<Vec<u8>>,
    /// Why the body could not be joined or unpacked, by the offset in the message.
    pub fault: Option<DecodeError>,
}

impl Response {
    /// Reads the exact bytes of one response, as [`frame_response`](super::frame_response) delimits them.
    /// A body that cannot be unpacked is a [`fault`](Self::fault) of a response that is otherwise read.
    ///
    /// # Errors
    /// A head that is not HTTP/1.x or goes on beyond the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let head = head::response_head(bytes)?
            .ok_or(DecodeError::new(bytes.len(), "the empty line that ends a head"))?;
        let mut response = Self {
            source: bytes.to_vec(),
            version: head.version.clone(),
            status: head.status,
            reason: String::new(),
            headers: head.headers,
            sent_body: head.end..bytes.len(),
            decoded_body: None,
            fault: None,
        };
        response.reason = String::from_utf8_lossy(&bytes[response.reason_span()]).into_owned();
        match response.decode_body() {
            Ok(Cow::Borrowed(_)) => {}
            Ok(Cow::Owned(body)) => response.decoded_body = Some(body),
            Err(error) => response.fault = Some(error.shifted(head.end)),
        }
        Ok(response)
    }

    /// The value of the first header called `name`, in any case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        head::header(&self.source, &self.headers, name)
    }

    /// The body as meant: chunks joined, unpacked. Where that is not possible, as it was sent.
    pub fn body(&self) -> &[u8] {
        self.decoded_body.as_deref().unwrap_or(&self.source[self.sent_body.clone()])
    }

    /// What the body says.
    pub fn reply(&self) -> Reply {
        match &self.fault {
            Some(fault) => Reply::NotBencoded(*fault),
            None => Reply::decode(self.body()),
        }
    }

    /// Where the bencoded dictionary stands in the [`body`](Self::body), where it has one that can be read.
    pub fn dictionary_span(&self) -> Option<Range<usize>> {
        if self.fault.is_some() {
            return None;
        }
        dictionary_span(self.body())
    }

    /// The fields that tile the response. The entries of a bencoded body stand among them, unless it was
    /// sent in chunks or packed: then it is one field, and [`reply_fields`](Self::reply_fields) has its
    /// entries.
    pub fn fields(&self) -> Vec<Field> {
        let bytes = &self.source[..];
        let framing = |name, span: Range<usize>| Field::framing(name, span, Value::None);
        let version = self.version.clone();
        let status = version.end + spaces(&bytes[version.end..])..self.status_end();
        let reason = self.reason_span();
        let line_end = reason.end..self.head_line_end();
        let mut fields = vec![
            framing("blank", 0..version.start),
            Field::content("version", version.clone(), text_or_bytes(&bytes[version.clone()])),
            framing("delimiter", version.end..status.start),
            Field::content("status", status.clone(), Value::Unsigned(self.status.into())),
            framing("delimiter", status.end..reason.start),
            Field::content("reason", reason.clone(), text_or_bytes(&bytes[reason])),
            framing("line end", line_end.clone()),
        ];
        fields.retain(|field| !field.span.is_empty());
        fields.extend(head::header_fields(bytes, &self.headers, line_end.end, self.sent_body.start));
        let body = self.sent_body.clone();
        if self.decoded_body.is_some() || self.fault.is_some() {
            fields.push(Field::content("body", body.clone(), Value::Payload(body)));
        } else if !body.is_empty() {
            fields.extend(body_fields(self.body()).into_iter().map(|field| field.shifted(body.start)));
        }
        fields
    }

    /// The fields that tile the [`body`](Self::body) as meant.
    pub fn reply_fields(&self) -> Vec<Field> {
        body_fields(self.body())
    }

    fn decode_body(&self) -> Result<Cow<'_, [u8]>, DecodeError> {
        let sent = &self.source[self.sent_body.clone()];
        // The answer to a HEAD, and some statuses, promise a body and have none.
        if sent.is_empty() {
            return Ok(Cow::Borrowed(sent));
        }
        let chunked = self.headers.iter().any(|header| {
            let value = self.source[header.value.clone()].to_ascii_lowercase();
            self.source[header.name.clone()].eq_ignore_ascii_case(b"transfer-encoding")
                && value.trim_ascii().ends_with(b"chunked")
        });
        let joined = if chunked { Cow::Owned(body::join_chunks(sent)?) } else { Cow::Borrowed(sent) };
        body::unpack(joined, self.header("content-encoding").unwrap_or_default())
    }

    fn status_end(&self) -> usize {
        self.version.end + spaces(&self.source[self.version.end..]) + b"200".len()
    }

    /// Where the words after the status stand.
    fn reason_span(&self) -> Range<usize> {
        let line = &self.source[self.status_end()..self.head_line_end()];
        let end = self.status_end() + line.trim_ascii_end().len();
        (self.status_end() + spaces(line)).min(end)..end
    }

    /// Where the line after the status line begins.
    fn head_line_end(&self) -> usize {
        let rest = &self.source[self.status_end()..];
        self.status_end() + rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1)
    }
}

/// A response with a Content-Length after the headers given, each a name and a value as they shall stand.
pub fn encode_response(status: u16, reason: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status} {reason}\r\n");
    for (name, value) in headers {
        out.extend([*name, ": ", value, "\r\n"]);
    }
    out.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    [out.as_bytes(), body].concat()
}

fn spaces(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|&&byte| byte == b' ').count()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use crate::field::untiled;

    use super::super::framing::{Framing, frame_response};
    use super::*;

    // The answer of opentracker to the first announce of a swarm.
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 98\r\n\r\n\
        d8:completei0e10:downloadedi0e10:incompletei1e8:intervali1671e12:min intervali835e5:peers6:\n\x4d\0\x03\x1a\xe1e";

    fn names(fields: &[Field]) -> Vec<&str> {
        fields.iter().map(|field| &*field.name).collect()
    }

    fn interval(response: &Response) -> Option<u64> {
        match response.reply() {
            Reply::Announce(reply) => reply.interval,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_a_trackers_answer() {
        let response = Response::decode(ANSWER).unwrap();
        assert_eq!((response.status, response.reason.as_str()), (200, "OK"));
        assert_eq!(response.header("CONTENT-type"), Some(&b"text/plain"[..]));
        assert_eq!(interval(&response), Some(1671));
        assert_eq!(frame_response(ANSWER, false, false), Framing::Complete(ANSWER.len()));
    }

    #[test]
    fn fields_tile_an_answer_with_the_entries_of_its_body() {
        let fields = Response::decode(ANSWER).unwrap().fields();
        assert_eq!(untiled(&fields, 0..ANSWER.len()), None);
        let names = names(&fields);
        assert_eq!(names[..2], ["version", "delimiter"]);
        assert_eq!(names[names.len() - 4..], ["interval", "min interval", "peers", "close"]);
        let peers = &fields[fields.len() - 2];
        assert_eq!(peers.value, Value::Endpoints(vec!["10.77.0.3:6881".parse().unwrap()]));
    }

    #[test]
    fn unpacks_an_answer_in_chunks_and_gzip() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(b"d8:intervali60e5:peers0:e").unwrap();
        let packed = gzip.finish().unwrap();
        let (first, second) = packed.split_at(7);
        let mut bytes =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n".to_vec();
        for part in [first, second] {
            bytes.extend(format!("{:X}\r\n", part.len()).into_bytes());
            bytes.extend(part);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        assert_eq!(frame_response(&bytes, false, false), Framing::Complete(bytes.len()));
        let response = Response::decode(&bytes).unwrap();
        assert_eq!(interval(&response), Some(60));
        let fields = response.fields();
        assert_eq!(untiled(&fields, 0..bytes.len()), None);
        assert!(matches!(fields.last().unwrap().value, Value::Payload(_)));
        assert_eq!(untiled(&response.reply_fields(), 0..25), None);
        assert_eq!(names(&response.reply_fields()), ["open", "interval", "peers", "close"]);
    }

    #[test]
    fn names_the_fault_of_a_body_that_does_not_unpack() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nplain";
        let response = Response::decode(bytes).unwrap();
        assert_eq!(response.fault, Some(DecodeError::new(43, "a body packed by gzip")));
        assert_eq!(response.body(), b"plain");
        assert!(matches!(response.reply(), Reply::NotBencoded(_)));
        assert_eq!(untiled(&response.fields(), 0..bytes.len()), None);
    }

    #[test]
    fn an_old_answer_without_length_is_read_to_its_end() {
        let response = Response::decode(b"HTTP/1.0 200\n\nd8:intervali5e5:peers0:e").unwrap();
        assert_eq!((response.reason.as_str(), interval(&response)), ("", Some(5)));
    }

    #[test]
    fn fields_tile_odd_status_lines() {
        for bytes in [
            &b"HTTP/1.0 200\r\n\r\n"[..],
            b"HTTP/1.0 200 \r\n\r\n",
            b"HTTP/1.1  404  Not   Found \r\nA: b\r\n c\r\n\r\n<html>",
            b"\r\nHTTP/1.1 200 OK\nA : b\nC:\n\n",
            b"HTTP/1.1 500 \xff\xfe\r\n\r\nle",
        ] {
            let response =
                Response::decode(bytes).unwrap_or_else(|error| panic!("{}: {error}", bytes.escape_ascii()));
            assert_eq!(untiled(&response.fields(), 0..bytes.len()), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn rejects_every_cut_head() {
        let end_of_head = ANSWER.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        for end in 0..end_of_head {
            assert!(Response::decode(&ANSWER[..end]).unwrap_err().offset <= end);
        }
    }

    #[test]
    fn an_encoded_response_reads_the_same() {
        let bytes =
            encode_response(200, "OK", &[("Content-Type", "text/plain")], &ANSWER[ANSWER.len() - 98..]);
        assert_eq!(bytes.escape_ascii().to_string(), ANSWER.escape_ascii().to_string());
    }

    proptest! {
        #[test]
        fn torn_answers_do_not_panic_and_are_tiled(at in 0..ANSWER.len(), put in prop::collection::vec(any::<u8>(), 0..6)) {
            let mut bytes = ANSWER.to_vec();
            bytes.splice(at..(at + 2).min(ANSWER.len()), put);
            let _ = frame_response(&bytes, true, false);
            if let Ok(response) = Response::decode(&bytes) {
                prop_assert_eq!(untiled(&response.fields(), 0..bytes.len()), None);
                let _ = response.reply();
            }
        }
    }
}
