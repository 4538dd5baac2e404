//! How a client phrases its requests to trackers: the order and set of parameters, their escaping, the
//! headers.
//!
//! A style holds policy only. What a request says - torrent, peer, counters, event, host - comes from a typed
//! [`Announce`] or [`Scrape`] when it is encoded, so that one style serves every run.

use super::announce::{Announce, Scrape};
use super::percent::{Escaping, PUNCTUATION};
use super::request::{Parameter, Request};

/// The phrasing of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestStyle {
    /// The method.
    pub method: Vec<u8>,
    /// The target up to its query: the tracker's, since it is part of the announce URL. Where that URL has a query of
    /// its own, it stands here too, and the parameters go on after it.
    pub path: Vec<u8>,
    /// Whether a `?` follows the path.
    pub has_query: bool,
    /// The parameters, in order.
    pub parameters: Vec<StyledParameter>,
    /// How the values of parameters not listed are escaped.
    pub escaping: Escaping,
    /// The protocol version, such as `HTTP/1.1`.
    pub version: Vec<u8>,
    /// The headers, in order.
    pub headers: Vec<StyledHeader>,
    /// What ends a line.
    pub line_end: Vec<u8>,
}

/// The phrasing of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StyledParameter {
    /// Its name, as spelled in the query.
    pub spelled: Vec<u8>,
    /// Its name, decoded.
    pub name: Vec<u8>,
    /// Whether an `=` follows the name.
    pub has_equals: bool,
    /// How its value is escaped.
    pub escaping: Escaping,
}

/// The phrasing of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StyledHeader {
    /// Its name, as spelled.
    pub name: Vec<u8>,
    /// What stands between name and value: a colon and, as a rule, a space.
    pub separator: Vec<u8>,
    /// Its value, with white space after it; `None` for the tracker's host and port.
    pub value: Option<Vec<u8>>,
}

impl RequestStyle {
    /// The style of `request`. Where its values do not show how a byte would be escaped, that is taken from
    /// what is known of the client that its User-Agent names, else from RFC 3986. Headers that identify the
    /// user, such as cookies, are left out.
    pub fn of(request: &Request) -> Self {
        let punctuation = punctuation_of(request.header("user-agent").unwrap_or_default());
        let raw = |parameter: &Parameter| parameter.value.clone().map_or(&[][..], |span| request.part(span));
        let named = |names: &[&[u8]]| -> Vec<&[u8]> {
            let parameters = request.parameters().iter();
            parameters.filter(|one| names.contains(&one.decoded_name.as_slice())).map(raw).collect()
        };
        // Both are binary and go through one function in every client seen.
        let binary = named(&[b"info_hash", b"peer_id"]);
        let parameters = request
            .parameters()
            .iter()
            .map(|parameter| {
                let name = parameter.decoded_name.as_slice();
                let similar = if is_binary(name) { &binary[..] } else { &[] };
                StyledParameter {
                    spelled: request.part(parameter.name.clone()).to_vec(),
                    name: name.to_vec(),
                    has_equals: parameter.value.is_some(),
                    escaping: Escaping::learn(&named(&[name]), similar, punctuation),
                }
            })
            .collect();
        Self {
            method: request.method().to_vec(),
            path: request.path().to_vec(),
            has_query: request.query.is_some(),
            parameters,
            escaping: Escaping::learn(&[], &binary, punctuation),
            version: request.part(request.version.clone()).to_vec(),
            headers: headers(request),
            line_end: request.part(request.line_end()).to_vec(),
        }
    }

    /// Learns from a further request of the same client where parameters stand that the first did not have: some
    /// clients say `event` or `corrupt` only when there is something to say.
    pub fn extend(&mut self, request: &Request) {
        let mut after = 0;
        for parameter in Self::of(request).parameters {
            if let Some(at) = self.parameters.iter().position(|known| known.name == parameter.name) {
                after = at + 1;
            } else {
                self.parameters.insert(after, parameter);
                after += 1;
            }
        }
    }

    /// An announce in this style to the tracker at `host`, which is a name or address and a port where it is
    /// not 80.
    ///
    /// Parameters stand in the order of the style. The optional ones that the style does not have are
    /// left out; what a tracker must be told (BEP 3) and all of [`Announce::others`] follow at the end.
    pub fn encode_announce(&self, announce: &Announce, host: &str) -> Vec<u8> {
        let mut values = announce.values();
        let known = values.len() - announce.others.len();
        let mut index = 0;
        values.retain(|(name, _)| {
            index += 1;
            index > known || MANDATORY.contains(name) || self.parameters.iter().any(|one| one.name == *name)
        });
        self.encode(values, host)
    }

    /// A scrape in this style to the tracker at `host`.
    pub fn encode_scrape(&self, scrape: &Scrape, host: &str) -> Vec<u8> {
        let hashes = scrape.info_hashes.iter().map(|hash| (&b"info_hash"[..], hash.0.to_vec()));
        let others = scrape.others.iter().map(|(name, value)| (name.as_slice(), value.clone()));
        self.encode(hashes.chain(others).collect(), host)
    }

    /// Puts each value where the style has its name; those of one name in their order.
    fn encode(&self, mut values: Vec<(&[u8], Vec<u8>)>, host: &str) -> Vec<u8> {
        let mut out = [&self.method[..], b" ", &self.path].concat();
        let mut delimiter = match self.path.iter().position(|&byte| byte == b'?') {
            // A query of the tracker's own goes on.
            Some(mark) if mark + 1 < self.path.len() => &b"&"[..],
            Some(_) => b"",
            None if self.has_query || !values.is_empty() => b"?",
            None => b"",
        };
        for parameter in &self.parameters {
            let Some(at) = values.iter().position(|(name, _)| *name == parameter.name) else { continue };
            let (_, value) = values.remove(at);
            out.extend_from_slice(std::mem::replace(&mut delimiter, b"&"));
            out.extend_from_slice(&parameter.spelled);
            if parameter.has_equals || !value.is_empty() {
                out.push(b'=');
            }
            parameter.escaping.encode(&value, &mut out);
        }
        for (name, value) in values {
            out.extend_from_slice(std::mem::replace(&mut delimiter, b"&"));
            self.escaping.encode(name, &mut out);
            out.push(b'=');
            self.escaping.encode(&value, &mut out);
        }
        if delimiter == b"?" {
            out.push(b'?');
        }
        for part in [b" ", &self.version[..], &self.line_end] {
            out.extend_from_slice(part);
        }
        for header in &self.headers {
            let value = header.value.as_deref().unwrap_or(host.as_bytes());
            for part in [&header.name[..], &header.separator, value, &self.line_end] {
                out.extend_from_slice(part);
            }
        }
        out.extend_from_slice(&self.line_end);
        out
    }
}

fn headers(request: &Request) -> Vec<StyledHeader> {
    let mut headers = Vec::new();
    for header in &request.headers {
        let name = request.part(header.name.clone());
        if PERSONAL.iter().any(|personal| name.eq_ignore_ascii_case(personal)) {
            continue;
        }
        let is_host = name.eq_ignore_ascii_case(b"host");
        let rest = request.part(header.value.start..request.body.start);
        let line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
        headers.push(StyledHeader {
            name: name.to_vec(),
            separator: request.part(header.name.end..header.value.start).to_vec(),
            value: (!is_host).then(|| line.strip_suffix(b"\r").unwrap_or(line).to_vec()),
        });
    }
    headers
}

fn is_binary(name: &[u8]) -> bool {
    matches!(name, b"info_hash" | b"peer_id" | b"key")
}

fn punctuation_of(user_agent: &[u8]) -> &'static [u8] {
    let known = ESCAPERS.iter().find(|(agent, _)| user_agent.starts_with(agent));
    known.map_or(PUNCTUATION, |(_, punctuation)| punctuation)
}

/// The punctuation that clients leave bare, where it differs from RFC 3986: libtorrent goes by RFC 2396
/// without the apostrophe, rtorrent leaves the hyphen alone.
const ESCAPERS: &[(&[u8], &[u8])] = &[
    (b"libtorrent/", b"-_!.~*()"),
    (b"qBittorrent/", b"-_!.~*()"),
    (b"Deluge/", b"-_!.~*()"),
    (b"rtorrent/", b"-"),
];

/// Sent even in a style read off a request that did not have them: an event changes from request to request,
/// and a tracker id is known only after the first answer.
const MANDATORY: &[&[u8]] =
    &[b"info_hash", b"peer_id", b"port", b"uploaded", b"downloaded", b"left", b"event", b"trackerid"];

/// Headers that say who somebody is.
const PERSONAL: &[&[u8]] = &[b"authorization", b"proxy-authorization", b"cookie"];

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::announce::RequestKind;
    use super::*;
    use crate::tracker::Event;
    use crate::{InfoHash, PeerId};

    // Sent by the clients themselves, all for one torrent: aria2 1.36.0.
    pub(in super::super) const ARIA2: &[u8] = b"GET /announce?\
        info_hash=u%8C8%26%A6%E5%DD%B48TS%AD%93%C6%0E%5D%5D%C8%8B%06&peer_id=A2-1-36-0-K%FF%DA%FB%E6%00%A4%08%26%A4&\
        uploaded=0&downloaded=0&left=245777&compact=1&key=%DA%FB%E6%00%A4%08%26%A4&numwant=50&no_peer_id=1&port=6881&\
        event=started&supportcrypto=1 HTTP/1.1\r\nUser-Agent: aria2/1.36.0\r\nAccept: */*\r\nHost: 10.77.0.1:6969\r\n\
        Want-Digest: SHA-512;q=1, SHA-256;q=1, SHA;q=0.1\r\n\r\n";
    // The same client, another torrent, another peer id, another event.
    const ARIA2_STOPPED: &[u8] = b"GET /announce?\
        info_hash=%B7%21zvf%9E%023%80yI%E0%99%CD%CE%94%DF%5E%C1%9F&peer_id=A2-1-36-0-%FEY%1C%A4%93%8D%EAG%C0%A1&\
        uploaded=0&downloaded=300123&left=0&compact=1&key=%1C%A4%93%8D%EAG%C0%A1&numwant=0&no_peer_id=1&port=6881&\
        event=stopped&supportcrypto=1 HTTP/1.1\r\nUser-Agent: aria2/1.36.0\r\nAccept: */*\r\nHost: 10.77.0.1:6969\r\n\
        Want-Digest: SHA-512;q=1, SHA-256;q=1, SHA;q=0.1\r\n\r\n";
    // qBittorrent 4.5.2.
    pub(in super::super) const LIBTORRENT: &[u8] = b"GET /announce?\
        info_hash=u%8c8%26%a6%e5%dd%b48TS%ad%93%c6%0e%5d%5d%c8%8b%06&peer_id=-qB4520-c6ArZfsaeoUg&port=6882&\
        uploaded=0&downloaded=0&left=245777&corrupt=0&key=0175415F&event=started&numwant=200&compact=1&no_peer_id=1&\
        redundant=0 HTTP/1.1\r\nHost: 10.77.0.1:6969\r\nUser-Agent: qBittorrent/4.5.2\r\nAccept-Encoding: gzip\r\n\
        Connection: close\r\n\r\n";
    // rtorrent 0.9.8 with libTorrent 0.13.8.
    pub(in super::super) const RTORRENT: &[u8] = b"GET /announce?\
        info_hash=u%8C8%26%A6%E5%DD%B48TS%AD%93%C6%0E%5D%5D%C8%8B%06&peer_id=-lt0D80-n%02%0Ae%FBhJ%8E%9E8%95%8F&\
        key=5843157c&compact=1&port=6884&uploaded=0&downloaded=0&left=245777&event=started HTTP/1.1\r\n\
        Host: 10.77.0.1:6969\r\nUser-Agent: rtorrent/0.9.8/0.13.8\r\nAccept: */*\r\n\
        Accept-Encoding: deflate, gzip, br, zstd\r\n\r\n";
    // Transmission 3.00.
    pub(in super::super) const TRANSMISSION: &[u8] = b"GET /announce?\
        info_hash=u%8c8%26%a6%e5%dd%b48TS%ad%93%c6%0e%5d%5d%c8%8b%06&peer_id=-TR3000-2cwsuf1f1txi&port=51413&\
        uploaded=0&downloaded=0&left=245777&numwant=80&key=2702f8db&compact=1&supportcrypto=1&event=started HTTP/1.1\r\n\
        Host: 10.77.0.1:6969\r\nUser-Agent: Transmission/3.00\r\nAccept: */*\r\n\
        Accept-Encoding: deflate, gzip, br, zstd\r\n\r\n";
    // A hand-made one in the manner of a script around curl.
    const SCRIPT: &[u8] = b"GET /announce.php?passkey=0aF&info_hash=%75%8c%38%26%a6%e5%dd%b4%38%54%53%ad%93%c6%0e%5d%5d%c8%8b%06\
        &peer_id=-XX0001-abcdefghijkl&port=1&left=5&flag&event=&&port=+2 HTTP/1.0\r\nhost:t\r\nAccept:   */* \r\nX:\r\n\r\n";

    fn announce_of(bytes: &[u8]) -> (RequestStyle, Announce, String) {
        let request = Request::decode(bytes).unwrap();
        let RequestKind::Announce(announce) = request.kind() else { panic!("no announce") };
        let host = String::from_utf8(request.header("host").unwrap().to_vec()).unwrap();
        (RequestStyle::of(&request), *announce, host)
    }

    #[test]
    fn real_requests_come_out_as_they_were() {
        for bytes in [ARIA2, ARIA2_STOPPED, LIBTORRENT, RTORRENT, TRANSMISSION, SCRIPT] {
            let (style, announce, host) = announce_of(bytes);
            let again = style.encode_announce(&announce, &host);
            assert_eq!(again.escape_ascii().to_string(), bytes.escape_ascii().to_string());
        }
    }

    #[test]
    fn one_run_of_a_client_phrases_the_other() {
        let (style, started, _) = announce_of(ARIA2);
        let (other, stopped, host) = announce_of(ARIA2_STOPPED);
        assert_eq!(style.encode_announce(&stopped, &host), ARIA2_STOPPED);
        assert_eq!(other.encode_announce(&started, &host), ARIA2);
    }

    #[test]
    fn a_style_holds_nothing_of_torrent_peer_or_host() {
        let (style, ..) = announce_of(ARIA2);
        assert_eq!(style, announce_of(ARIA2_STOPPED).0);
        for bytes in [LIBTORRENT, RTORRENT, TRANSMISSION] {
            let shown = format!("{:?}", announce_of(bytes).0);
            for secret in
                ["10.77", "6882", "51413", "245777", "0175415F", "5843157c", "2702f8db", "cwsuf", "started"]
            {
                assert!(!shown.contains(secret), "{secret} in {shown}");
            }
        }
    }

    #[test]
    fn another_torrent_or_peer_changes_those_bytes_alone() {
        let (style, mut announce, host) = announce_of(TRANSMISSION);
        announce.info_hash = InfoHash(*b"\x00a-._~!*()'\xff\x10zzzzzzz");
        announce.peer_id = Some(PeerId(*b"-TR3000-abcdefghijkl"));
        let wanted = String::from_utf8(TRANSMISSION.to_vec())
            .unwrap()
            .replace(
                "u%8c8%26%a6%e5%dd%b48TS%ad%93%c6%0e%5d%5d%c8%8b%06",
                "%00a-._~%21%2a%28%29%27%ff%10zzzzzzz",
            )
            .replace("2cwsuf1f1txi", "abcdefghijkl");
        assert_eq!(style.encode_announce(&announce, &host), wanted.into_bytes());
    }

    #[test]
    fn clients_leave_their_own_punctuation_bare() {
        for (bytes, wanted) in [
            (LIBTORRENT, "=-_!.~*()%27zzzzzzzzzzz&"),
            (RTORRENT, "=-%5F%21%2E%7E%2A%28%29%27zzzzzzzzzzz&"),
            (ARIA2, "=-_%21.~%2A%28%29%27zzzzzzzzzzz&"),
        ] {
            let (style, mut announce, host) = announce_of(bytes);
            announce.info_hash = InfoHash(*b"-_!.~*()'zzzzzzzzzzz");
            let request = String::from_utf8(style.encode_announce(&announce, &host)).unwrap();
            assert!(request.contains(wanted), "{request}");
        }
    }

    #[test]
    fn an_event_is_said_in_a_style_that_had_none() {
        let without = String::from_utf8(RTORRENT.to_vec()).unwrap().replace("&event=started", "");
        let (style, mut announce, host) = announce_of(without.as_bytes());
        announce.event = Some(Event::Started);
        announce.numwant = Some(50);
        assert_eq!(style.encode_announce(&announce, &host), RTORRENT);
    }

    #[test]
    fn a_later_request_shows_the_place_of_a_parameter_that_the_first_lacked() {
        let first = String::from_utf8(TRANSMISSION.to_vec()).unwrap().replace("&event=started", "");
        let later =
            String::from_utf8(TRANSMISSION.to_vec()).unwrap().replace("&event", "&corrupt=196608&event");
        let (mut style, mut announce, host) = announce_of(first.as_bytes());
        style.extend(&Request::decode(later.as_bytes()).unwrap());
        assert_eq!(style.encode_announce(&announce, &host), first.as_bytes());
        announce.event = Some(Event::Started);
        announce.corrupt = Some(196_608);
        assert_eq!(style.encode_announce(&announce, &host), later.as_bytes());
    }

    #[test]
    fn no_event_leaves_its_parameter_out() {
        let (style, mut announce, host) = announce_of(ARIA2);
        announce.event = None;
        let wanted = String::from_utf8(ARIA2.to_vec()).unwrap().replace("&event=started", "");
        assert_eq!(style.encode_announce(&announce, &host), wanted.into_bytes());
    }

    #[test]
    fn a_scrape_comes_out_as_it_was() {
        let bytes = b"GET /scrape?info_hash=aaaaaaaaaaaaaaaaaaaa&k=v&info_hash=%00bbbbbbbbbbbbbbbbbb%ff HTTP/1.1\r\nHost: t:80\r\n\r\n";
        let request = Request::decode(bytes).unwrap();
        let RequestKind::Scrape(scrape) = request.kind() else { panic!("no scrape") };
        assert_eq!(RequestStyle::of(&request).encode_scrape(&scrape, "t:80"), bytes);
        let empty = b"GET /scrape? HTTP/1.1\r\n\r\n";
        assert_eq!(
            RequestStyle::of(&Request::decode(empty).unwrap()).encode_scrape(&Scrape::default(), "t"),
            b"GET /scrape? HTTP/1.1\r\n\r\n"
        );
    }

    #[test]
    fn cookies_stay_out_of_a_style() {
        let bytes =
            b"GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&port=1 HTTP/1.1\r\nCookie: a=b\r\nHost: t\r\n\r\n";
        let style = RequestStyle::of(&Request::decode(bytes).unwrap());
        assert_eq!(style.headers.len(), 1);
    }

    proptest! {
        #[test]
        fn any_identity_survives_any_style(
            which in prop::sample::select(vec![ARIA2, LIBTORRENT, RTORRENT, TRANSMISSION]),
            info_hash: [u8; 20],
            peer_id: [u8; 20],
            left: u64,
        ) {
            let (style, mut announce, host) = announce_of(which);
            announce.info_hash = InfoHash(info_hash);
            announce.peer_id = Some(PeerId(peer_id));
            announce.left = Some(left);
            let bytes = style.encode_announce(&announce, &host);
            let (again, decoded, _) = announce_of(&bytes);
            prop_assert_eq!(&decoded, &announce);
            prop_assert_eq!(again.encode_announce(&announce, &host), bytes);
        }
    }
}
