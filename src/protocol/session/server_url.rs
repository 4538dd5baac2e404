//! Where a tracker or a web seed is, read off its URL.

use base64::Engine;

use super::{HttpProxy, ProxyChoice};
use crate::dial::{AddressFamily, Remote, Tls};
use crate::in_brackets;
use crate::tracker::http::percent_decode;

/// The place of a tracker or a web seed. Targets are path and query, and hold no byte that could end a request line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerUrl {
    /// A server over plain HTTP.
    Http {
        /// A name or an address, without brackets.
        host: String,
        /// The port; 80 where the URL has none.
        port: u16,
        /// Path and query.
        target: String,
        /// What stands before the host: a name, and a password after a colon.
        user: Option<String>,
    },
    /// A server over HTTP over TLS.
    Https {
        /// A name or an address, without brackets.
        host: String,
        /// The port; 443 where the URL has none.
        port: u16,
        /// Path and query.
        target: String,
        /// As that of plain HTTP.
        user: Option<String>,
    },
    /// A tracker over UDP (BEP 15).
    Udp {
        /// A name or an address, without brackets.
        host: String,
        /// The port, which the URL must have.
        port: u16,
        /// Path and query; empty where the URL has none.
        target: String,
    },
}

impl ServerUrl {
    /// The place that `url` names; `None` where it is no URL of a tracker or a web seed.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.trim().split_once("://")?;
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, authority),
        };
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
        let user = user.map(plain);
        match scheme.as_str() {
            "http" => Some(Self::Http { host, port, target, user }),
            "https" => Some(Self::Https { host, port, target, user }),
            "udp" => Some(Self::Udp { host, port, target }),
            _ => None,
        }
    }

    /// The place that a redirect from here names: a URL, or a reference that counts from here (RFC 3986, section 5.2).
    /// Credentials are kept while the host is the same, and never leave TLS.
    pub(super) fn redirect(&self, location: &str) -> Option<Self> {
        if matches!(self, Self::Udp { .. }) {
            return None;
        }
        let here = url::Url::parse(&format!("{}{}", self.origin(), self.target())).ok()?;
        let mut place = Self::parse(here.join(location.trim()).ok()?.as_str())?;
        if place.host() == self.host()
            && (self.is_in_clear() || !place.is_in_clear())
            && let Self::Http { user, .. } | Self::Https { user, .. } = &mut place
            && user.is_none()
        {
            *user = self.user().map(str::to_owned);
        }
        Some(place)
    }

    /// What stands before the host.
    pub(super) fn user(&self) -> Option<&str> {
        match self {
            Self::Http { user, .. } | Self::Https { user, .. } => user.as_deref(),
            Self::Udp { .. } => None,
        }
    }

    /// What the Authorization header says: name and password in the Basic scheme (RFC 7617).
    pub(super) fn credentials(&self) -> Option<String> {
        let user = self.user()?;
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let [name, password] = [name, password].map(|part| percent_decode(part.as_bytes()));
        let both = [&name[..], b":", &password].concat();
        Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both)))
    }

    /// Another target at the same place.
    pub(super) fn with_target(&self, other: &str) -> Self {
        let mut there = self.clone();
        let (Self::Http { target, .. } | Self::Https { target, .. } | Self::Udp { target, .. }) = &mut there;
        *target = plain(other);
        there
    }

    /// Whether the host is a name, not an address.
    pub(super) fn has_name(&self) -> bool {
        match self {
            Self::Http { host, .. } | Self::Https { host, .. } | Self::Udp { host, .. } => {
                host.parse::<std::net::IpAddr>().is_err()
            }
        }
    }

    /// Whether a server in a local network may be asked for it, though a stranger wrote the URL: what a tracker is asked for,
    /// and nothing that another server would act on.
    pub(super) fn is_harmless(&self) -> bool {
        matches!(self, Self::Udp { .. }) || self.target() == "/announce"
    }

    /// Scheme, host and port, where it is not the usual one.
    pub(super) fn origin(&self) -> String {
        let scheme = match self {
            Self::Http { .. } => "http",
            Self::Https { .. } => "https",
            Self::Udp { .. } => "udp",
        };
        format!("{scheme}://{}", self.host())
    }

    /// The proxy that is asked in its place, or for a tunnel to it. There is none for UDP.
    pub(super) fn proxy(&self, proxies: &ProxyChoice) -> Result<Option<HttpProxy>, String> {
        match self {
            Self::Http { .. } | Self::Https { .. } => proxies.of(&self.origin()),
            Self::Udp { .. } => Ok(None),
        }
    }

    /// What is dialled for it: its host, or the proxy. Where the proxy is, the user has said.
    pub(super) fn remote(
        &self,
        proxy: Option<&HttpProxy>,
        family: Option<AddressFamily>,
        may_be_local: bool,
    ) -> Remote {
        let (Self::Http { host, port, .. } | Self::Https { host, port, .. } | Self::Udp { host, port, .. }) =
            self;
        let connect = proxy.map(|proxy| {
            let there = format!("{}:{port}", in_brackets(host));
            let authorization = proxy.authorization.as_deref();
            let authorization =
                authorization.map_or(String::new(), |value| format!("Proxy-Authorization: {value}\r\n"));
            format!("CONNECT {there} HTTP/1.1\r\nHost: {there}\r\n{authorization}\r\n").into()
        });
        let tls = matches!(self, Self::Https { .. }).then(|| Tls { name: host.clone(), connect });
        match proxy {
            Some(proxy) => Remote { tls, ..Remote::new(&proxy.host, proxy.port) },
            None => Remote { host: host.clone(), port: *port, family, may_be_local, tls },
        }
    }

    /// Whether a proxy is asked in its place, not for a tunnel to it.
    pub(super) const fn is_in_clear(&self) -> bool {
        !matches!(self, Self::Https { .. })
    }

    /// What stands in the Host header: the host, and the port where it is not the usual one.
    pub(super) fn host(&self) -> String {
        let (host, port, usual) = match self {
            Self::Http { host, port, .. } => (host, *port, 80),
            Self::Https { host, port, .. } => (host, *port, 443),
            Self::Udp { host, port, .. } => (host, *port, 0),
        };
        let host = in_brackets(host);
        if port == usual { host.into_owned() } else { format!("{host}:{port}") }
    }

    /// Path and query.
    pub fn target(&self) -> &str {
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

    fn http(host: &str, port: u16, target: &str) -> Option<ServerUrl> {
        Some(ServerUrl::Http { host: host.into(), port, target: target.into(), user: None })
    }

    #[test]
    fn reads_hosts_ports_paths_and_queries() {
        assert_eq!(ServerUrl::parse("http://t.test/announce"), http("t.test", 80, "/announce"));
        assert_eq!(ServerUrl::parse("HTTP://1.2.3.4:6969/a?k=%20x#f"), http("1.2.3.4", 6969, "/a?k=%20x"));
        assert_eq!(ServerUrl::parse("http://[2001:db8::1]:80/"), http("2001:db8::1", 80, "/"));
        assert_eq!(ServerUrl::parse("http://t.test?passkey=1"), http("t.test", 80, "/?passkey=1"));
        let udp = ServerUrl::Udp { host: "t.test".into(), port: 1337, target: String::new() };
        assert_eq!(ServerUrl::parse("udp://t.test:1337"), Some(udp));
        let https = ServerUrl::parse("https://t.test/x").unwrap();
        assert_eq!((https.host().as_str(), https.target()), ("t.test", "/x"));
    }

    #[test]
    fn credentials_are_told_in_a_header() {
        for (url, told) in [
            ("http://Aladdin:open%20sesame@t.test/", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("https://a@b@t.test:1/", "Basic YUBiOg=="),
        ] {
            let place = ServerUrl::parse(url).unwrap();
            assert_eq!(place.credentials().as_deref(), Some(told), "{url}");
            assert!(place.host().starts_with("t.test"), "{url}");
        }
        let place = ServerUrl::parse("http://u:p@t.test/a").unwrap();
        assert_eq!(place.redirect("b").unwrap().credentials().as_deref(), Some("Basic dTpw"));
        assert_eq!(place.redirect("http://other.test/b").unwrap().credentials(), None);
        let secure = place.redirect("https://t.test/b").unwrap();
        assert!(secure.credentials().is_some());
        assert_eq!(secure.redirect("http://t.test/b").unwrap().credentials(), None);
        assert_eq!(
            place.redirect("//v:q@other.test/b").unwrap().credentials().as_deref(),
            Some("Basic djpx")
        );
    }

    #[test]
    fn redirects_count_from_where_they_stand() {
        let place = ServerUrl::parse("http://t.test:6969/a/announce?k=%20x&info_hash=%aB").unwrap();
        for (location, host, target) in [
            ("x", "t.test:6969", "/a/x"),
            ("x?info_hash=%aB%cd", "t.test:6969", "/a/x?info_hash=%aB%cd"),
            ("?x", "t.test:6969", "/a/announce?x"),
            ("/x", "t.test:6969", "/x"),
            ("../x", "t.test:6969", "/x"),
            ("//other.test/x", "other.test", "/x"),
            ("//other.test:81?x", "other.test:81", "/?x"),
            ("HTTP://other.test/x#y", "other.test", "/x"),
            (" http://t.test/announce ", "t.test", "/announce"),
        ] {
            let there = place.redirect(location).unwrap();
            assert_eq!((there.host().as_str(), there.target()), (host, target), "{location}");
        }
        for location in ["ftp://t.test/", "http://", "//", "http://[/"] {
            assert_eq!(place.redirect(location), None, "{location}");
        }
    }

    #[test]
    fn the_host_header_has_brackets_and_unusual_ports() {
        assert_eq!(ServerUrl::parse("http://t.test:80/").unwrap().host(), "t.test");
        assert_eq!(ServerUrl::parse("http://[::1]:6969/").unwrap().host(), "[::1]:6969");
    }

    #[test]
    fn rejects_what_is_no_trackers_url() {
        for url in
            ["", "announce", "wss://t.test/", "udp://t.test/", "http:///a", "http://a b/", "http://[x]/"]
        {
            assert_eq!(ServerUrl::parse(url), None, "{url}");
        }
    }

    #[test]
    fn a_target_cannot_end_the_request_line() {
        let place = ServerUrl::parse("http://t.test/a b\r\nX: é").unwrap();
        assert_eq!(place.target(), "/a%20b%0D%0AX:%20%C3%A9");
    }
}
