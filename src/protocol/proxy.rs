//! What a client and a proxy say before the proxy passes bytes on: SOCKS4 and SOCKS4a, SOCKS5 (RFC 1928) with names and
//! passwords (RFC 1929), and CONNECT of HTTP (RFC 9110, section 9.3.6).
//!
//! A [`Negotiation`] reads both directions together, since what the client says next depends on the proxy's answer.

mod datagram;
mod negotiation;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::field::{Field, Value, text_or_bytes};
use crate::{DecodeError, Reader};

pub use datagram::{DatagramHeader, MAX_DATAGRAM_HEADER};
pub use negotiation::{Negotiation, NegotiationProgress, negotiation};

/// Where a proxy is to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyTarget {
    /// An address.
    Address(SocketAddr),
    /// A name that the proxy looks up, and a port.
    Name(String, u16),
}

impl ProxyTarget {
    /// The port.
    pub const fn port(&self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Name(_, port) => *port,
        }
    }
}

impl fmt::Display for ProxyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{}:{port}", name.escape_debug()),
        }
    }
}

/// One message of a negotiation with a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyPart {
    /// A SOCKS4 or SOCKS4a request.
    Socks4Request,
    /// The answer to it.
    Socks4Reply,
    /// The methods of authentication that the client offers (RFC 1928, section 3).
    Socks5Greeting,
    /// The method that the proxy chose (RFC 1928, section 3).
    Socks5Method,
    /// Name and password (RFC 1929, section 2).
    Socks5Authentication,
    /// Whether they are right (RFC 1929, section 2).
    Socks5AuthenticationReply,
    /// Where to connect (RFC 1928, section 4).
    Socks5Request,
    /// Whether that was done (RFC 1928, section 6).
    Socks5Reply,
    /// A CONNECT request (RFC 9110, section 9.3.6).
    ConnectRequest,
    /// The response to it.
    ConnectResponse,
}

/// The longest CONNECT message believed, with its headers: the limit that common proxies have.
pub const MAX_CONNECT: usize = 8 * 1024;

/// The longest user id or name in a SOCKS4 request; a name in the DNS has at most 255 bytes.
pub const MAX_SOCKS4_TEXT: usize = 255;

/// The command that asks for a connection (RFC 1928, section 4).
const CONNECT: u8 = 1;

/// The reply of SOCKS4 that grants a request.
const GRANTED: u8 = 90;

impl ProxyPart {
    /// Its name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Socks4Request => "socks4-request",
            Self::Socks4Reply => "socks4-reply",
            Self::Socks5Greeting => "socks5-greeting",
            Self::Socks5Method => "socks5-method",
            Self::Socks5Authentication => "socks5-auth",
            Self::Socks5AuthenticationReply => "socks5-auth-reply",
            Self::Socks5Request => "socks5-request",
            Self::Socks5Reply => "socks5-reply",
            Self::ConnectRequest => "http-connect-request",
            Self::ConnectResponse => "http-connect-response",
        }
    }

    /// How many bytes the message has that `bytes` begin with; `None` while more are needed to tell.
    ///
    /// # Errors
    /// Where `bytes` cannot begin such a message.
    pub fn length(self, bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
        let mut reader = Reader::new(bytes);
        match self.read(&mut reader) {
            Ok(_) => Ok(Some(reader.offset())),
            Err(ReadFault::Short) => Ok(None),
            Err(ReadFault::Wrong(error)) => Err(error),
        }
    }

    /// The fields that tile `bytes`, a message of this kind. Bytes that are not such a message are one field.
    pub fn fields(self, bytes: &[u8]) -> Vec<Field> {
        let mut reader = Reader::new(bytes);
        match self.read(&mut reader) {
            Ok((fields, _)) if reader.remaining() == 0 => fields,
            _ => vec![Field::content("payload", 0..bytes.len(), Value::Payload(0..bytes.len()))],
        }
    }

    /// Where the message `bytes` asks the proxy to connect; `None` where it is no such request.
    pub fn target(self, bytes: &[u8]) -> Option<ProxyTarget> {
        match self {
            Self::Socks4Request | Self::Socks5Request | Self::ConnectRequest => {
                self.read(&mut Reader::new(bytes)).ok()?.1.target
            }
            _ => None,
        }
    }

    fn read(self, reader: &mut Reader<'_>) -> Result<(Vec<Field>, PartMeaning), ReadFault> {
        let mut parts = FieldReader { reader, fields: Vec::new() };
        let mut meaning = PartMeaning::default();
        match self {
            Self::Socks4Request => meaning.target = Some(parts.socks4_request()?),
            Self::Socks4Reply => {
                parts.exactly("version", 0, "version 0 of a SOCKS4 reply")?;
                meaning.code = parts.number("reply")?;
                parts.port()?;
                parts.ipv4()?;
                meaning.granted = meaning.code == GRANTED;
            }
            Self::Socks5Greeting => {
                parts.exactly("version", 5, "version 5")?;
                let count = parts.framing("method_count")?;
                if count == 0 {
                    return Err(parts.wrong("a method of authentication"));
                }
                parts.bytes("methods", count.into())?;
            }
            Self::Socks5Method => {
                parts.exactly("version", 5, "version 5")?;
                meaning.code = parts.number("method")?;
                meaning.granted = meaning.code != 0xff;
            }
            Self::Socks5Authentication => {
                parts.exactly("version", 1, "version 1 of the authentication")?;
                let length = parts.framing("user_length")?;
                parts.text("user", length.into())?;
                let length = parts.framing("password_length")?;
                parts.hidden("password", length.into())?;
            }
            Self::Socks5AuthenticationReply => {
                parts.exactly("version", 1, "version 1 of the authentication")?;
                meaning.code = parts.number("status")?;
                meaning.granted = meaning.code == 0;
            }
            Self::Socks5Request => {
                parts.exactly("version", 5, "version 5")?;
                parts.exactly("command", CONNECT, "the command 1, a connection")?;
                parts.exactly("reserved", 0, "a reserved byte of 0")?;
                meaning.target = Some(parts.socks5_address()?);
            }
            Self::Socks5Reply => {
                parts.exactly("version", 5, "version 5")?;
                meaning.code = parts.number("reply")?;
                parts.exactly("reserved", 0, "a reserved byte of 0")?;
                parts.socks5_address()?;
                meaning.granted = meaning.code == 0;
            }
            Self::ConnectRequest => meaning.target = Some(parts.connect_request()?),
            Self::ConnectResponse => {
                meaning.status = parts.connect_response()?;
                meaning.granted = (200..300).contains(&meaning.status);
            }
        }
        Ok((parts.fields, meaning))
    }

    /// One line that tells people of the message `bytes`, without a full stop.
    pub fn describe(self, bytes: &[u8]) -> String {
        let name = self.name();
        let Ok((_, meaning)) = self.read(&mut Reader::new(bytes)) else { return name.to_owned() };
        match self {
            Self::Socks4Request | Self::Socks5Request | Self::ConnectRequest => match meaning.target {
                Some(target) => format!("{name}: connect to {target}"),
                None => name.to_owned(),
            },
            Self::Socks5Greeting => {
                let methods: Vec<_> = bytes.iter().skip(2).map(|&method| method_name(method)).collect();
                format!("{name}: offers {}", methods.join(", "))
            }
            Self::Socks5Method => format!("{name}: {}", method_name(meaning.code)),
            Self::Socks5Authentication => format!("{name}: user name and password"),
            Self::ConnectResponse => format!("{name}: {}", meaning.status),
            Self::Socks4Reply | Self::Socks5AuthenticationReply | Self::Socks5Reply => {
                match meaning.granted {
                    true => format!("{name}: granted"),
                    false => format!("{name}: refused with {}", meaning.code),
                }
            }
        }
    }
}

/// What a message of a negotiation says.
#[derive(Debug, Default)]
struct PartMeaning {
    target: Option<ProxyTarget>,
    granted: bool,
    code: u8,
    /// The status of an HTTP response.
    status: u16,
}

/// What a method of authentication is called (RFC 1928, section 3).
fn method_name(method: u8) -> String {
    match method {
        0 => "no authentication".to_owned(),
        1 => "GSSAPI".to_owned(),
        2 => "user name and password".to_owned(),
        0xff => "none of them".to_owned(),
        other => format!("method {other}"),
    }
}

#[derive(Debug)]
enum ReadFault {
    Short,
    Wrong(DecodeError),
}

/// The fields of a message as they are read.
struct FieldReader<'a, 'b> {
    reader: &'a mut Reader<'b>,
    fields: Vec<Field>,
}

impl<'b> FieldReader<'_, 'b> {
    fn wrong(&self, wanted: &'static str) -> ReadFault {
        ReadFault::Wrong(DecodeError::new(self.reader.offset(), wanted))
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8], ReadFault> {
        self.reader.take(count, "more bytes").map_err(|_| ReadFault::Short)
    }

    /// The next `count` bytes as a field that says what `value` makes of them.
    fn field(
        &mut self,
        name: &'static str,
        count: usize,
        value: impl FnOnce(&[u8]) -> Value,
    ) -> Result<&'b [u8], ReadFault> {
        let start = self.reader.offset();
        let bytes = self.take(count)?;
        self.fields.push(Field::content(name, start..start + count, value(bytes)));
        Ok(bytes)
    }

    fn number(&mut self, name: &'static str) -> Result<u8, ReadFault> {
        Ok(self.field(name, 1, |bytes| Value::Unsigned(bytes[0].into()))?[0])
    }

    fn framing(&mut self, name: &'static str) -> Result<u8, ReadFault> {
        let start = self.reader.offset();
        let byte = self.take(1)?[0];
        self.fields.push(Field::framing(name, start..start + 1, Value::Unsigned(byte.into())));
        Ok(byte)
    }

    fn exactly(&mut self, name: &'static str, right: u8, wanted: &'static str) -> Result<(), ReadFault> {
        let fault = self.wrong(wanted);
        if self.framing(name)? == right { Ok(()) } else { Err(fault) }
    }

    fn bytes(&mut self, name: &'static str, count: usize) -> Result<(), ReadFault> {
        self.field(name, count, |bytes| Value::Bytes(bytes.to_vec())).map(drop)
    }

    fn text(&mut self, name: &'static str, count: usize) -> Result<&'b [u8], ReadFault> {
        self.field(name, count, text_or_bytes)
    }

    /// A field whose bytes are shown by their number alone.
    fn hidden(&mut self, name: &'static str, count: usize) -> Result<(), ReadFault> {
        let start = self.reader.offset();
        self.field(name, count, |bytes| Value::Payload(start..start + bytes.len())).map(drop)
    }

    fn port(&mut self) -> Result<u16, ReadFault> {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, &byte| number << 8 | u16::from(byte));
        Ok(number(self.field("port", 2, |bytes| Value::Unsigned(number(bytes).into()))?))
    }

    fn ipv4(&mut self) -> Result<Ipv4Addr, ReadFault> {
        let address =
            |bytes: &[u8]| bytes.first_chunk::<4>().map_or(Ipv4Addr::UNSPECIFIED, |four| (*four).into());
        Ok(address(self.field("address", 4, |bytes| Value::Address(address(bytes).into()))?))
    }

    fn ipv6(&mut self) -> Result<Ipv6Addr, ReadFault> {
        let address =
            |bytes: &[u8]| bytes.first_chunk::<16>().map_or(Ipv6Addr::UNSPECIFIED, |all| (*all).into());
        Ok(address(self.field("address", 16, |bytes| Value::Address(address(bytes).into()))?))
    }

    /// An address of SOCKS5, with its type before and its port after (RFC 1928, section 5).
    fn socks5_address(&mut self) -> Result<ProxyTarget, ReadFault> {
        let fault = self.wrong("the address type 1, 3 or 4");
        let ip: IpAddr = match self.framing("address_type")? {
            1 => self.ipv4()?.into(),
            4 => self.ipv6()?.into(),
            3 => {
                let length = self.framing("name_length")?;
                let name = String::from_utf8_lossy(self.text("name", length.into())?).into_owned();
                return Ok(ProxyTarget::Name(name, self.port()?));
            }
            _ => return Err(fault),
        };
        Ok(ProxyTarget::Address(SocketAddr::new(ip, self.port()?)))
    }

    /// Bytes of text up to a zero byte, which is part of the field.
    fn zero_ended(&mut self, name: &'static str) -> Result<String, ReadFault> {
        let rest = self.reader.clone().rest();
        let window = &rest[..rest.len().min(MAX_SOCKS4_TEXT + 1)];
        let Some(length) = window.iter().position(|&byte| byte == 0) else {
            return Err(if window.len() > MAX_SOCKS4_TEXT {
                self.wrong("a text of at most 255 bytes and a zero byte after it")
            } else {
                ReadFault::Short
            });
        };
        let text = self.field(name, length + 1, |bytes| text_or_bytes(&bytes[..length]))?;
        Ok(String::from_utf8_lossy(&text[..length]).into_owned())
    }

    fn socks4_request(&mut self) -> Result<ProxyTarget, ReadFault> {
        self.exactly("version", 4, "version 4")?;
        self.exactly("command", CONNECT, "the command 1, a connection")?;
        let port = self.port()?;
        let ip = self.ipv4()?;
        self.zero_ended("user")?;
        // SOCKS4a: the address 0.0.0.x, with x not 0, says that a name follows.
        if u32::from(ip) <= 0xff && !ip.is_unspecified() {
            return Ok(ProxyTarget::Name(self.zero_ended("name")?, port));
        }
        Ok(ProxyTarget::Address(SocketAddr::new(ip.into(), port)))
    }

    /// The line that `rest` begins with, and the length of the whole head with its empty line.
    fn head(&self) -> Result<(&'b [u8], usize), ReadFault> {
        let rest = self.reader.clone().rest();
        let window = &rest[..rest.len().min(MAX_CONNECT)];
        let Some(end) = window.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Err(if window.len() == MAX_CONNECT {
                self.wrong("headers of at most 8 KiB")
            } else {
                ReadFault::Short
            });
        };
        let line = window.iter().position(|&byte| byte == b'\r').unwrap_or(end);
        Ok((&rest[..line], end + 4))
    }

    fn starts_with(&self, start: &[u8], wanted: &'static str) -> Result<(), ReadFault> {
        let rest = self.reader.clone().rest();
        let there = rest.len().min(start.len());
        if rest[..there] == start[..there] { Ok(()) } else { Err(self.wrong(wanted)) }
    }

    fn connect_request(&mut self) -> Result<ProxyTarget, ReadFault> {
        self.starts_with(METHOD, "CONNECT")?;
        let (line, end) = self.head()?;
        let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        let [_, authority, version] = words[..] else {
            return Err(self.wrong("CONNECT, where to, and the version of HTTP"));
        };
        let target = std::str::from_utf8(authority).ok().and_then(target_of);
        let Some(target) = target.filter(|_| version.starts_with(b"HTTP/1.")) else {
            return Err(self.wrong("a host with its port, and HTTP/1.x"));
        };
        let line_end = line.len();
        let framing = |name, span| Field::framing(name, span, Value::None);
        self.fields.push(framing("method", 0..METHOD.len()));
        let to = METHOD.len()..METHOD.len() + authority.len();
        self.fields.push(Field::content("authority", to.clone(), text_or_bytes(authority)));
        self.fields.push(framing("version", to.end..line_end + 2));
        self.headers(line_end + 2, end)?;
        Ok(target)
    }

    fn connect_response(&mut self) -> Result<u16, ReadFault> {
        self.starts_with(STATUS_LINE, "HTTP/1.x")?;
        let (line, end) = self.head()?;
        let digits = line.get(STATUS_LINE.len() + 2..STATUS_LINE.len() + 5);
        let status = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let Some(status) = status else { return Err(self.wrong("a status of three digits")) };
        let at = STATUS_LINE.len() + 2;
        self.fields.push(Field::framing("version", 0..at, Value::None));
        self.fields.push(Field::content("status", at..at + 3, Value::Unsigned(u64::from(status))));
        self.fields.push(Field::framing("reason", at + 3..line.len() + 2, Value::None));
        self.headers(line.len() + 2, end)?;
        Ok(status)
    }

    /// The lines of headers from `from` on, and the empty line, which ends at `end`; the reader moves there.
    fn headers(&mut self, from: usize, end: usize) -> Result<(), ReadFault> {
        let bytes = self.take(end)?;
        let mut at = from;
        while at + 2 < end {
            let length = bytes[at..].windows(2).position(|two| two == b"\r\n").unwrap_or(end - at - 2);
            let line = &bytes[at..at + length];
            // Credentials are shown by their length alone.
            let value = if line.to_ascii_lowercase().starts_with(b"proxy-authorization") {
                Value::Payload(at..at + length)
            } else {
                text_or_bytes(line)
            };
            self.fields.push(Field::content("header", at..at + length + 2, value));
            at += length + 2;
        }
        self.fields.push(Field::framing("end", at..end, Value::None));
        Ok(())
    }
}

const METHOD: &[u8] = b"CONNECT ";
const STATUS_LINE: &[u8] = b"HTTP/1.";

/// The host and port of CONNECT.
fn target_of(authority: &str) -> Option<ProxyTarget> {
    if let Ok(address) = authority.parse() {
        return Some(ProxyTarget::Address(address));
    }
    let (name, port) = authority.rsplit_once(':')?;
    let port = port.parse().ok()?;
    (!name.is_empty()).then(|| ProxyTarget::Name(name.to_owned(), port))
}

/// A request to connect to `target`, as a client of this protocol sends it: without a user, a password or headers
/// beyond `Host`. `None` where the protocol cannot say it: SOCKS4 has no IPv6, and names are limited to 255 bytes.
pub fn encode_request(part: ProxyPart, target: &ProxyTarget) -> Option<Vec<u8>> {
    match (part, target) {
        (ProxyPart::Socks4Request, ProxyTarget::Address(SocketAddr::V4(to))) => {
            let mut bytes = vec![4, CONNECT];
            bytes.extend(to.port().to_be_bytes());
            bytes.extend(to.ip().octets());
            bytes.push(0);
            Some(bytes)
        }
        (ProxyPart::Socks4Request, ProxyTarget::Name(name, port)) => {
            if name.len() > MAX_SOCKS4_TEXT || name.contains('\0') {
                return None;
            }
            let mut bytes = vec![4, CONNECT];
            bytes.extend(port.to_be_bytes());
            bytes.extend([0, 0, 0, 1, 0]);
            bytes.extend(name.as_bytes());
            bytes.push(0);
            Some(bytes)
        }
        (ProxyPart::Socks5Request, target) => {
            let mut bytes = vec![5, CONNECT, 0];
            encode_address(target, &mut bytes)?;
            Some(bytes)
        }
        (ProxyPart::ConnectRequest, target) => {
            let target = target.to_string();
            Some(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").into_bytes())
        }
        _ => None,
    }
}

/// Appends an address as SOCKS5 writes it; `None` where its name is too long.
fn encode_address(target: &ProxyTarget, bytes: &mut Vec<u8>) -> Option<()> {
    let port = match target {
        ProxyTarget::Address(address) => {
            match address.ip() {
                IpAddr::V4(ip) => {
                    bytes.push(1);
                    bytes.extend(ip.octets());
                }
                IpAddr::V6(ip) => {
                    bytes.push(4);
                    bytes.extend(ip.octets());
                }
            }
            address.port()
        }
        ProxyTarget::Name(name, port) => {
            bytes.extend([3, u8::try_from(name.len()).ok()?]);
            bytes.extend(name.as_bytes());
            *port
        }
    };
    bytes.extend(port.to_be_bytes());
    Some(())
}

#[cfg(test)]
mod tests;
