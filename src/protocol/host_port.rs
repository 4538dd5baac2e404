//! The name of a host and a port there, as links, options and headers write them: an address of IPv6 stands in brackets.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The name of a host, and a port there. As text `host:port`, an address of IPv6 in brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// A DNS name or an address, without brackets.
    pub host: String,
    /// A port of TCP or UDP.
    pub port: u16,
}

/// A text is no [`HostPort`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected HOST:PORT")]
pub struct NotAHostPort;

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", in_brackets(&self.host), self.port)
    }
}

impl FromStr for HostPort {
    type Err = NotAHostPort;

    /// Port 0 is none, and a host has letters, digits, `-`, `.` and `_` only.
    fn from_str(text: &str) -> Result<Self, NotAHostPort> {
        let (host, port) = match text.strip_prefix('[') {
            Some(literal) => {
                let (host, port) = literal.split_once("]:").ok_or(NotAHostPort)?;
                host.parse::<Ipv6Addr>().map_err(|_| NotAHostPort)?;
                (host, port)
            }
            None => {
                let (host, port) = text.split_once(':').ok_or(NotAHostPort)?;
                let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
                if host.is_empty() || !host.bytes().all(is_host) {
                    return Err(NotAHostPort);
                }
                (host, port)
            }
        };
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|&port: &u16| is_number && port != 0).ok_or(NotAHostPort)?;
        Ok(Self { host: host.to_owned(), port })
    }
}

/// A host as it stands before a colon and a port: an address of IPv6 in brackets (RFC 3986, section 3.2.2).
pub fn in_brackets(host: &str) -> Cow<'_, str> {
    match host.contains(':') {
        true => Cow::Owned(format!("[{host}]")),
        false => Cow::Borrowed(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["node.test:6881", "10.0.0.1:1", "[::1]:65535", "[2001:db8::1%251]:1"] {
            let read = text.parse::<HostPort>().map(|place| place.to_string());
            let expected = if text.contains('%') { Err(NotAHostPort) } else { Ok(text.to_owned()) };
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn a_host_and_a_port_are_both_there() {
        for text in [
            "",
            "host",
            ":6881",
            "host:",
            "host:0",
            "host:65536",
            "host:+1",
            "::1:6881",
            "[]:6881",
            "[::1]",
            "[host]:1",
            "[::1]6881",
            "a b:1",
            "a:b:1",
        ] {
            assert_eq!(text.parse::<HostPort>(), Err(NotAHostPort), "{text}");
        }
    }
}
