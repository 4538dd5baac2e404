//! A request to an HTTP tracker: its parts by their place in the bytes, in the order they stand.

use std::net::IpAddr;
use std::ops::Range;

use crate::field::text_or_bytes;
use crate::{DecodeError, Field, Value};

use super::head::{self, Header};
use super::number;
use super::percent::percent_decode;

/// One HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The bytes it was read from.
    pub source: Vec<u8>,
    /// Where the method stands.
    pub method: Range<usize>,
    /// Where the target stands up to its query.
    pub path: Range<usize>,
    /// The parameters of the query, in order; `None` where the target has no `?`.
    pub query: Option<Vec<Parameter>>,
    /// Where the version stands.
    pub version: Range<usize>,
    /// The headers, in order.
    pub headers: Vec<Header>,
    /// Where the body stands: empty in all that clients send to trackers.
    pub body: Range<usize>,
}

/// A parameter of the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Where its name stands.
    pub name: Range<usize>,
    /// Where its value stands, after the `=`; `None` where there is none.
    pub value: Option<Range<usize>>,
    /// Its name, decoded.
    pub decoded_name: Vec<u8>,
    /// Its value, decoded; empty where there is none.
    pub decoded: Vec<u8>,
}

impl Parameter {
    /// Where name and value stand.
    pub fn span(&self) -> Range<usize> {
        self.name.start..self.value.as_ref().map_or(self.name.end, |value| value.end)
    }
}

impl Request {
    /// Reads the exact bytes of one request, as [`frame_request`](super::frame_request) delimits them.
    ///
    /// # Errors
    /// A head that is not HTTP/1.x or goes on beyond the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let head = head::request_head(bytes)?
            .ok_or(DecodeError::new(bytes.len(), "the empty line that ends a head"))?;
        let target = &bytes[head.target.clone()];
        let mark = target.iter().position(|&byte| byte == b'?');
        let path_end = head.target.start + mark.unwrap_or(target.len());
        let version = head.target.end + 1..head.target.end + 1 + b"HTTP/1.1".len();
        Ok(Self {
            source: bytes.to_vec(),
            method: head.method,
            path: head.target.start..path_end,
            query: mark.map(|_| parameters(bytes, path_end + 1..head.target.end)),
            version,
            headers: head.headers,
            body: head.end..bytes.len(),
        })
    }

    /// The bytes in `span`.
    pub fn part(&self, span: Range<usize>) -> &[u8] {
        &self.source[span]
    }

    /// The method, as spelled.
    pub fn method(&self) -> &[u8] {
        self.part(self.method.clone())
    }

    /// The target up to its query.
    pub fn path(&self) -> &[u8] {
        self.part(self.path.clone())
    }

    /// The parameters of the query, in order.
    pub fn parameters(&self) -> &[Parameter] {
        self.query.as_deref().unwrap_or_default()
    }

    /// The decoded value of the first parameter called `name`.
    pub fn parameter(&self, name: &[u8]) -> Option<&[u8]> {
        Some(&self.parameters().iter().find(|parameter| parameter.decoded_name == name)?.decoded)
    }

    /// The value of the first header called `name`, in any case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        head::header(&self.source, &self.headers, name)
    }

    /// The fields that tile the request. A parameter is called as in the query, its value decoded.
    pub fn fields(&self) -> Vec<Field> {
        let mut tiles = Tiles { fields: Vec::new(), at: 0 };
        let text = |span: &Range<usize>| text_or_bytes(&self.source[span.clone()]);
        tiles.push(Field::content("method", self.method.clone(), text(&self.method)));
        tiles.push(Field::content("path", self.path.clone(), text(&self.path)));
        for parameter in self.parameters() {
            // An empty one, as between `&&`, has no bytes to show.
            if !parameter.span().is_empty() {
                let name = String::from_utf8_lossy(&parameter.decoded_name).into_owned();
                tiles.push(Field::content(name, parameter.span(), meaning(parameter)));
            }
        }
        tiles.push(Field::content("version", self.version.clone(), text(&self.version)));
        let line_end = self.line_end();
        tiles.push(Field::framing("line end", line_end.clone(), Value::None));
        let headers = head::header_fields(&self.source, &self.headers, line_end.end, self.body.start);
        headers.into_iter().for_each(|field| tiles.push(field));
        if !self.body.is_empty() {
            tiles.push(Field::content("body", self.body.clone(), Value::Payload(self.body.clone())));
        }
        tiles.fields
    }

    /// The line end after the first line.
    pub(super) fn line_end(&self) -> Range<usize> {
        let start = self.version.end;
        let length = if self.source.get(start) == Some(&b'\r') { 2 } else { 1 };
        start..start + length
    }
}

/// Fields in a row, the delimiters between them filled in.
struct Tiles {
    fields: Vec<Field>,
    at: usize,
}

impl Tiles {
    fn push(&mut self, field: Field) {
        if field.span.start > self.at {
            self.fields.push(Field::framing("delimiter", self.at..field.span.start, Value::None));
        }
        self.at = field.span.end;
        self.fields.push(field);
    }
}

fn parameters(bytes: &[u8], query: Range<usize>) -> Vec<Parameter> {
    let mut parameters = Vec::new();
    let mut start = query.start;
    for part in bytes[query].split(|&byte| byte == b'&') {
        let end = start + part.len();
        let equals = part.iter().position(|&byte| byte == b'=').map(|place| start + place);
        let name = start..equals.unwrap_or(end);
        let value = equals.map(|place| place + 1..end);
        parameters.push(Parameter {
            decoded_name: percent_decode(&bytes[name.clone()]),
            decoded: percent_decode(&bytes[value.clone().unwrap_or(end..end)]),
            name,
            value,
        });
        start = end + 1;
    }
    parameters
}

/// What a parameter says, by the type that BEP 3 and the usual extensions give it.
fn meaning(parameter: &Parameter) -> Value {
    let value = &parameter.decoded;
    let text = || std::str::from_utf8(value).ok();
    match parameter.decoded_name.as_slice() {
        b"info_hash" | b"peer_id" => Some(Value::Bytes(value.clone())),
        name if number::is_numeric(name) => number::number(value).map(Value::Unsigned),
        b"ip" | b"ipv4" | b"ipv6" => text().and_then(|text| text.parse::<IpAddr>().ok()).map(Value::Address),
        _ => None,
    }
    .unwrap_or_else(|| text_or_bytes(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::field::untiled;

    use super::super::style::tests::{ARIA2, LIBTORRENT, RTORRENT, TRANSMISSION};
    use super::*;

    fn value(request: &Request, name: &str) -> Value {
        request.fields().into_iter().find(|field| field.name == name).unwrap().value
    }

    #[test]
    fn fields_tile_the_requests_of_real_clients() {
        for bytes in [ARIA2, LIBTORRENT, RTORRENT, TRANSMISSION] {
            let request = Request::decode(bytes).unwrap();
            assert_eq!(untiled(&request.fields(), 0..bytes.len()), None);
            assert_eq!(value(&request, "left"), Value::Unsigned(245_777));
            assert_eq!(value(&request, "event"), Value::Text("started".into()));
            let Value::Bytes(info_hash) = value(&request, "info_hash") else { panic!("no bytes") };
            assert_eq!(info_hash[..4], [0x75, 0x8c, 0x38, 0x26]);
        }
    }

    #[test]
    fn fields_tile_odd_requests() {
        for bytes in [
            &b"\r\nGET /?&&a&=b&c=&info_hash= HTTP/1.0\r\nEmpty:\r\nSpaced:   \r\nHost: t  \r\n\r\n"[..],
            b"GET /\xc3\xa9?q HTTP/1.1\nHost: t\n\n",
            b"POST / HTTP/1.1\r\n\r\nbody",
            b"GET / HTTP/1.1\r\nLast:\r\n\r\n",
            b"GET ?a=%0d HTTP/1.1\r\nA:b\n\r\n",
        ] {
            let request = Request::decode(bytes).unwrap();
            assert_eq!(untiled(&request.fields(), 0..bytes.len()), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_negative_number_stays_text() {
        let request = Request::decode(b"GET /a?left=-1&port=%36%38 HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(value(&request, "left"), Value::Text("-1".into()));
        assert_eq!(value(&request, "port"), Value::Unsigned(68));
    }

    #[test]
    fn rejects_every_cut_head() {
        for end in 0..ARIA2.len() {
            assert!(Request::decode(&ARIA2[..end]).unwrap_err().offset <= end);
        }
    }

    proptest! {
        #[test]
        fn any_query_is_tiled(query in "[ -~&&[^ ]]{0,60}", head in "([A-Z]{1,5}:[ -~]{0,9}\r?\n){0,3}") {
            let bytes = format!("GET /{query} HTTP/1.1\r\n{head}\r\n");
            if let Ok(request) = Request::decode(bytes.as_bytes()) {
                prop_assert_eq!(untiled(&request.fields(), 0..bytes.len()), None);
            }
        }

        #[test]
        fn random_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..600_usize) {
            let _ = Request::decode(&bytes);
            let mut torn = ARIA2.to_vec();
            let start = at.min(torn.len());
            torn.splice(start..start, bytes.into_iter().take(3));
            if let Ok(request) = Request::decode(&torn) {
                prop_assert_eq!(untiled(&request.fields(), 0..torn.len()), None);
                let _ = request.kind();
            }
        }
    }
}
