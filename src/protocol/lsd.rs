//! Local service discovery: announces of torrents to the local network, in the manner of HTTP over UDP multicast
//! (BEP 14).

use std::ops::Range;

use crate::field::{Field, Value, text_or_bytes};
use crate::id::from_hex;
use crate::{DecodeError, Hex, InfoHash};

mod beacon;

pub use beacon::{Beacon, BeaconOutput, Interface, InterfaceId};

/// How every announce begins (BEP 14, "Protocol").
pub const START: &[u8] = b"BT-SEARCH * HTTP/1.1\r\n";

/// The port that announces are sent to (BEP 14, "Protocol").
pub const PORT: u16 = 6771;

/// That somebody in the local network has torrents, or wants them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// The multicast group it was sent to.
    pub host: Option<String>,
    /// The TCP port the speaker listens on.
    pub port: u16,
    /// The torrents; never empty.
    pub info_hashes: Vec<InfoHash>,
    /// By what the speaker tells its own announces from others'.
    pub cookie: Option<String>,
    /// Whether the info hashes are written in capital digits, as Transmission does; libtorrent writes small ones.
    pub capital_digits: bool,
    /// Headers that BEP 14 does not name, in order: name and value.
    pub others: Vec<(String, String)>,
}

impl Announce {
    /// Reads the announce that `bytes` are.
    ///
    /// # Errors
    /// Where they do not begin as announces do, have no port, no info hash or one that is none, or no end.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut announce = Self {
            host: None,
            port: 0,
            info_hashes: Vec::new(),
            cookie: None,
            capital_digits: false,
            others: Vec::new(),
        };
        let mut port = None;
        for header in headers(bytes)? {
            let value = &bytes[header.value.clone()];
            let text = || String::from_utf8_lossy(value).into_owned();
            match header.name {
                HeaderName::Host => announce.host = Some(text()),
                HeaderName::Port => port = Some(number(value).ok_or(header.wrong("a port of 16 bits"))?),
                HeaderName::InfoHash => {
                    let hash =
                        from_hex(value).map(InfoHash).ok_or(header.wrong("an info hash in 40 hex digits"))?;
                    announce.info_hashes.push(hash);
                    announce.capital_digits |= value.iter().any(u8::is_ascii_uppercase);
                }
                HeaderName::Cookie => announce.cookie = Some(text()),
                HeaderName::Other(name) => announce.others.push((name, text())),
            }
        }
        announce.port = port.ok_or(DecodeError::new(START.len(), "a header with the port"))?;
        if announce.info_hashes.is_empty() {
            return Err(DecodeError::new(START.len(), "a header with an info hash"));
        }
        Ok(announce)
    }

    /// The announce as BEP 14 writes it: the headers in its order and spelling, then those that it does not name, then two
    /// empty lines. What was decoded from such bytes is encoded to the same bytes. An end of a line in the host, the
    /// cookie or another header is left out: it would begin a header. So is another header that has the name of one of
    /// BEP 14, or a colon in its name.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = START.to_vec();
        let mut header = |name: &str, value: &str| {
            for part in [name, ": ", value] {
                bytes.extend(part.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')));
            }
            bytes.extend_from_slice(b"\r\n");
        };
        self.host.iter().for_each(|host| header("Host", host));
        header("Port", &self.port.to_string());
        for hash in &self.info_hashes {
            let digits = Hex(&hash.0).to_string();
            header("Infohash", &if self.capital_digits { digits.to_ascii_uppercase() } else { digits });
        }
        self.cookie.iter().for_each(|cookie| header("cookie", cookie));
        for (name, value) in &self.others {
            let name = name.replace(['\r', '\n'], "");
            if matches!(HeaderName::of(name.as_bytes()), HeaderName::Other(_)) && !name.contains(':') {
                header(&name, value);
            }
        }
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes
    }
}

/// The fields that tile `bytes`, an announce that [`Announce::decode`] reads. A header is one field: name, value and
/// the end of its line.
pub fn fields(bytes: &[u8]) -> Vec<Field> {
    let Ok(headers) = headers(bytes) else {
        return vec![Field::content("payload", 0..bytes.len(), Value::Payload(0..bytes.len()))];
    };
    let mut fields = vec![Field::framing("start_line", 0..START.len(), Value::None)];
    for header in headers {
        let value = &bytes[header.value.clone()];
        let as_text = || text_or_bytes(value);
        let (name, value) = match header.name {
            HeaderName::Host => ("host".to_owned(), as_text()),
            HeaderName::Port => {
                ("port".to_owned(), number(value).map_or_else(as_text, |port| Value::Unsigned(port.into())))
            }
            HeaderName::InfoHash => {
                let hash = from_hex::<20>(value).map(|hash| Value::Bytes(hash.to_vec()));
                ("info_hash".to_owned(), hash.unwrap_or_else(as_text))
            }
            HeaderName::Cookie => ("cookie".to_owned(), as_text()),
            HeaderName::Other(name) => (name, as_text()),
        };
        fields.push(Field::content(name, header.line, value));
    }
    let end = fields.last().map_or(0, |field| field.span.end);
    fields.push(Field::framing("end", end..bytes.len(), Value::None));
    fields
}

struct HeaderLine {
    name: HeaderName,
    /// The whole line, its end included.
    line: Range<usize>,
    value: Range<usize>,
}

enum HeaderName {
    Host,
    Port,
    InfoHash,
    Cookie,
    /// Any other, in lower case.
    Other(String),
}

impl HeaderName {
    /// The header of this name, in any case.
    fn of(name: &[u8]) -> Self {
        match name.to_ascii_lowercase().as_slice() {
            b"host" => Self::Host,
            b"port" => Self::Port,
            b"infohash" => Self::InfoHash,
            b"cookie" => Self::Cookie,
            other => Self::Other(String::from_utf8_lossy(other).into_owned()),
        }
    }
}

impl HeaderLine {
    const fn wrong(&self, wanted: &'static str) -> DecodeError {
        DecodeError::new(self.value.start, wanted)
    }
}

/// The headers up to the empty line; after that only ends of lines follow.
fn headers(bytes: &[u8]) -> Result<Vec<HeaderLine>, DecodeError> {
    if !bytes.starts_with(START) {
        return Err(DecodeError::new(0, "BT-SEARCH * HTTP/1.1"));
    }
    let mut headers = Vec::new();
    let mut at = START.len();
    loop {
        let rest = &bytes[at..];
        let length = rest.windows(2).position(|pair| pair == b"\r\n");
        let length = length.ok_or(DecodeError::new(at, "a line that ends"))?;
        if length == 0 {
            break;
        }
        let colon = rest[..length].iter().position(|&byte| byte == b':');
        let colon = colon.ok_or(DecodeError::new(at, "a header: name, colon, value"))?;
        // A lone end of a line within a name would stand at the beginning of another name when it is written again.
        if let Some(end) = rest[..colon].iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            return Err(DecodeError::new(at + end, "a header's name on one line"));
        }
        let name = HeaderName::of(&rest[..colon]);
        let value = &rest[colon + 1..length];
        let start = at + colon + 1 + (value.len() - value.trim_ascii_start().len());
        let end = start + value.trim_ascii().len();
        headers.push(HeaderLine { name, line: at..at + length + 2, value: start..end });
        at += length + 2;
    }
    match bytes[at..].iter().position(|byte| !matches!(byte, b'\r' | b'\n')) {
        Some(more) => Err(DecodeError::new(at + more, "nothing after the empty line")),
        None => Ok(headers),
    }
}

fn number(digits: &[u8]) -> Option<u16> {
    let all_digits = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| all_digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::field::untiled;

    const ANNOUNCE: &[u8] = b"BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6885\r\n\
        Infohash: 37d97d0c430cb5ad5624aa9733e473414d63e923\r\ncookie: 5487d28f\r\n\r\n\r\n";

    fn decode(bytes: &[u8]) -> Announce {
        assert_eq!(untiled(&fields(bytes), 0..bytes.len()), None);
        Announce::decode(bytes).unwrap()
    }

    #[test]
    fn reads_an_announce() {
        let announce = decode(ANNOUNCE);
        assert_eq!(announce.host.as_deref(), Some("239.192.152.143:6771"));
        assert_eq!((announce.port, announce.cookie.as_deref()), (6885, Some("5487d28f")));
        assert_eq!(announce.info_hashes[0].to_string(), "37d97d0c430cb5ad5624aa9733e473414d63e923");
        let names: Vec<_> = fields(ANNOUNCE).into_iter().map(|field| field.name).collect();
        assert_eq!(names, ["start_line", "host", "port", "info_hash", "cookie", "end"]);
    }

    #[test]
    fn reads_several_torrents_in_capitals_without_a_cookie() {
        let bytes = b"BT-SEARCH * HTTP/1.1\r\nHOST: [ff15::efc0:988f]:6771\r\nport:51413\r\n\
            Infohash: 37D97D0C430CB5AD5624AA9733E473414D63E923\r\nX-Y: z\r\n\
            Infohash: 00000000000000000000000000000000000000ff\r\n\r\n";
        let announce = decode(bytes);
        assert_eq!((announce.port, announce.cookie.as_deref()), (51413, None));
        assert_eq!(
            (announce.capital_digits, &announce.others[..]),
            (true, &[("x-y".into(), "z".into())][..])
        );
        let last: Vec<_> = announce.info_hashes.iter().map(|hash| hash.0[19]).collect();
        assert_eq!(last, [0x23, 0xff]);
    }

    #[test]
    fn an_announce_is_encoded_to_the_bytes_that_it_was_decoded_from() {
        assert_eq!(decode(ANNOUNCE).encode(), ANNOUNCE);
        let capitals = String::from_utf8(ANNOUNCE.to_vec())
            .unwrap()
            .replace("37d97d0c430cb5ad5624aa", "37D97D0C430CB5AD5624AA");
        let capitals = capitals
            .replace("9733e473414d63e923", "9733E473414D63E923")
            .replace("cookie: 5487d28f", "x-other: 1");
        assert_eq!(decode(capitals.as_bytes()).encode(), capitals.as_bytes());
    }

    #[test]
    fn a_value_begins_no_header() {
        let host = "a\r\nInfohash: 00000000000000000000000000000000000000ff".to_owned();
        let announce = Announce { host: Some(host), ..decode(ANNOUNCE) };
        let more = ["Infohash", "info\nhash", "a: 1\r\nInfohash"];
        let others =
            more.map(|name| (name.to_owned(), "00000000000000000000000000000000000000ff".to_owned()));
        let announce = Announce { others: others.to_vec(), ..announce };
        assert_eq!(decode(&announce.encode()).info_hashes, announce.info_hashes);
    }

    #[test]
    fn rejects_what_is_no_announce() {
        for (from, to) in [
            ("BT-SEARCH", "M-SEARCH"),
            ("Port: 6885", "Port: 68850"),
            ("Port: 6885", "Port: +885"),
            ("Port: 6885", "Porto: 6885"),
            ("Infohash", "Info"),
            ("37d97d", "37d97"),
            ("37d97d", "37d97g"),
            ("cookie:", "cookie"),
            ("cookie:", "\ncookie:"),
            ("\r\n\r\n\r\n", "\r\n\r\nx"),
        ] {
            let changed = std::str::from_utf8(ANNOUNCE).unwrap().replacen(from, to, 1);
            assert!(Announce::decode(changed.as_bytes()).is_err(), "{from} as {to}");
        }
    }

    #[test]
    fn rejects_every_cut_before_the_empty_line_ends() {
        for end in 0..ANNOUNCE.len() - 2 {
            assert!(Announce::decode(&ANNOUNCE[..end]).is_err(), "{end} bytes");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            hashes in prop::collection::vec(any::<[u8; 20]>(), 1..5),
            port: u16,
            cookie in prop::option::of("[0-9a-f]{0,8}"),
            others in prop::collection::vec(("x-[a-z]{1,4}", "[!-~]{0,8}"), 0..3),
        ) {
            let announce = Announce {
                host: Some("239.192.152.143:6771".to_owned()),
                port,
                info_hashes: hashes.into_iter().map(InfoHash).collect(),
                cookie,
                capital_digits: false,
                others,
            };
            prop_assert_eq!(decode(&announce.encode()), announce);
        }

        #[test]
        fn fields_tile_any_bytes(tail in prop::collection::vec(prop::sample::select(b"\r\n: aH9\xff".to_vec()), 0..60)) {
            let bytes = [START, &tail].concat();
            prop_assert_eq!(untiled(&fields(&bytes), 0..bytes.len()), None);
            prop_assert!(Announce::decode(&bytes).is_err());
        }
    }
}
