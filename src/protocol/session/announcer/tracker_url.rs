//! Where a tracker is, read off its announce URL.

/// A tracker's place. Targets hold no byte that could end a request line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TrackerUrl {
    Http { host: String, port: u16, target: String },
    Https { host: String, port: u16, target: String },
    Udp { host: String, port: u16, target: String },
}

impl TrackerUrl {
    /// The place that `url` names; `None` where it is no URL of a tracker.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.trim().split_once("://")?;
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = match authority.strip_prefix('[') {
            Some(literal) => {
                let (host, after) = literal.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, after.strip_prefix(':').or(if after.is_empty() { Some("") } else { None })?)
            }
            None => authority.split_once(':').unwrap_or((authority, "")),
        };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%:".contains(&byte) || byte >= 0x80;
        if host.is_empty() || !host.bytes().all(is_host) {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let standard = match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        let port = if port.is_empty() { standard? } else { port.parse().ok()? };
        let host = host.to_owned();
        let mut target = plain(target);
        if scheme != "udp" && !target.starts_with('/') {
            target.insert(0, '/');
        }
        match scheme.as_str() {
            "http" => Some(Self::Http { host, port, target }),
            "https" => Some(Self::Https { host, port, target }),
            "udp" => Some(Self::Udp { host, port, target }),
            _ => None,
        }
    }

    /// What stands in the Host header: the host, and the port where it is not the usual one.
    pub(super) fn host(&self) -> String {
        let (host, port, usual) = match self {
            Self::Http { host, port, .. } => (host, *port, 80),
            Self::Https { host, port, .. } => (host, *port, 443),
            Self::Udp { host, port, .. } => (host, *port, 0),
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        if port == usual { host } else { format!("{host}:{port}") }
    }

    pub(super) fn target(&self) -> &str {
        match self {
            Self::Http { target, .. } | Self::Https { target, .. } | Self::Udp { target, .. } => target,
        }
    }
}

/// Path and query, everything escaped that may not stand in a request line.
fn plain(target: &str) -> String {
    let mut out = String::with_capacity(target.len());
    for byte in target.bytes() {
        match byte {
            b'!'..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(host: &str, port: u16, target: &str) -> Option<TrackerUrl> {
        Some(TrackerUrl::Http { host: host.into(), port, target: target.into() })
    }

    #[test]
    fn reads_hosts_ports_paths_and_queries() {
        assert_eq!(TrackerUrl::parse("http://t.test/announce"), http("t.test", 80, "/announce"));
        assert_eq!(TrackerUrl::parse("HTTP://1.2.3.4:6969/a?k=%20x#f"), http("1.2.3.4", 6969, "/a?k=%20x"));
        assert_eq!(TrackerUrl::parse("http://[2001:db8::1]:80/"), http("2001:db8::1", 80, "/"));
        assert_eq!(TrackerUrl::parse("http://t.test?passkey=1"), http("t.test", 80, "/?passkey=1"));
        let udp = TrackerUrl::Udp { host: "t.test".into(), port: 1337, target: String::new() };
        assert_eq!(TrackerUrl::parse("udp://t.test:1337"), Some(udp));
        let https = TrackerUrl::parse("https://t.test/x").unwrap();
        assert_eq!((https.host().as_str(), https.target()), ("t.test", "/x"));
    }

    #[test]
    fn the_host_header_has_brackets_and_unusual_ports() {
        assert_eq!(TrackerUrl::parse("http://t.test:80/").unwrap().host(), "t.test");
        assert_eq!(TrackerUrl::parse("http://[::1]:6969/").unwrap().host(), "[::1]:6969");
    }

    #[test]
    fn rejects_what_is_no_trackers_url() {
        for url in
            ["", "announce", "wss://t.test/", "udp://t.test/", "http:///a", "http://a b/", "http://[x]/"]
        {
            assert_eq!(TrackerUrl::parse(url), None, "{url}");
        }
    }

    #[test]
    fn a_target_cannot_end_the_request_line() {
        let place = TrackerUrl::parse("http://t.test/a b\r\nX: é").unwrap();
        assert_eq!(place.target(), "/a%20b%0D%0AX:%20%C3%A9");
    }
}
