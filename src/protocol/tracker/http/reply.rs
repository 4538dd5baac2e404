//! What the body of an answer says (BEP 3, "trackers"; BEPs 7, 21, 23, 24, 31, 48). What does not fit is left
//! out of the typed form and its fault named.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use crate::bencode::{self, Document, View};
use crate::field::{self, Field};
use crate::{DecodeError, Hex, InfoHash, PeerId, Value, compact};

/// What a tracker answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To an announce.
    Announce(Box<AnnounceReply>),
    /// To a scrape.
    Scrape(ScrapeReply),
    /// The tracker refuses.
    Failure {
        /// Its words.
        reason: String,
        /// When to ask again (BEP 31).
        retry_in: Option<RetryIn>,
    },
    /// The body is no bencoded dictionary, and why.
    NotBencoded(DecodeError),
}

/// When to ask a tracker again that refused (BEP 31).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryIn {
    /// After so many minutes.
    Minutes(u64),
    /// Not at all.
    Never,
}

/// The answer to an announce. `None` is a key that was not there or did not fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnnounceReply {
    /// Seconds until the next regular announce.
    pub interval: Option<u64>,
    /// Seconds until the next announce at the earliest.
    pub min_interval: Option<u64>,
    /// Peers that have everything.
    pub complete: Option<u64>,
    /// Peers that do not have everything.
    pub incomplete: Option<u64>,
    /// How often the torrent was downloaded whole.
    pub downloaded: Option<u64>,
    /// To be sent with later announces.
    pub tracker_id: Option<Vec<u8>>,
    /// Words for the user.
    pub warning: Option<String>,
    /// The asking client's own address (BEP 24).
    pub external_ip: Option<IpAddr>,
    /// The peers of `peers` and then those of `peers6`.
    pub peers: Vec<PeerEntry>,
    /// What does not fit, by its offset in the body.
    pub faults: Vec<DecodeError>,
}

/// A peer as a tracker names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerEntry {
    /// Its address or name.
    pub host: Host,
    /// Its TCP port.
    pub port: u16,
    /// Its id, in the long form only.
    pub peer_id: Option<PeerId>,
}

/// Where a peer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// At an address.
    Ip(IpAddr),
    /// At a DNS name (BEP 3 allows one).
    Name(String),
}

/// The answer to a scrape (BEP 48).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrapeReply {
    /// The torrents, in order.
    pub files: Vec<ScrapeEntry>,
    /// What does not fit, by its offset in the body.
    pub faults: Vec<DecodeError>,
}

/// The numbers of a torrent's peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapeEntry {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Peers that have everything.
    pub complete: Option<u64>,
    /// Peers that do not.
    pub incomplete: Option<u64>,
    /// How often it was downloaded whole.
    pub downloaded: Option<u64>,
    /// Peers that download, partial seeds not counted (BEP 21).
    pub downloaders: Option<u64>,
}

impl Reply {
    /// Reads a whole body, its codings undone. A tracker's dictionary is read among other bytes too, such as the newline or
    /// the warnings of a script: [`Response::dictionary_span`](super::Response::dictionary_span) says where it stands.
    /// Whether the body answers a tracker's request is for the caller to know: a torrent file, which is a bencoded
    /// dictionary too, reads as an announce's answer that says nothing.
    pub fn decode(body: &[u8]) -> Self {
        let ReplyDocument { start, document, .. } = match ReplyDocument::find(body) {
            Ok(found) => found,
            Err(error) => return Self::NotBencoded(error),
        };
        let root = document.root();
        if let Some(reason) = root.get(b"failure reason") {
            return Self::Failure {
                reason: text(reason),
                retry_in: root.get(b"retry in").and_then(retry_in),
            };
        }
        if root.get(b"files").is_some_and(View::is_dictionary) {
            let mut reply = scrape(&document);
            shift(&mut reply.faults, start);
            return Self::Scrape(reply);
        }
        let mut reply = announce(&document);
        shift(&mut reply.faults, start);
        Self::Announce(Box::new(reply))
    }
}

impl PeerEntry {
    /// The peer's address, where the tracker gave one.
    pub const fn address(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Ip(ip) => Some(SocketAddr::new(ip, self.port)),
            Host::Name(_) => None,
        }
    }
}

impl fmt::Display for PeerEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// The fields that tile a body: the entries of its dictionary, and what stands around that; one where it has none.
pub(super) fn body_fields(body: &[u8]) -> Vec<Field> {
    let Ok(ReplyDocument { start, end, document }) = ReplyDocument::find(body) else {
        return vec![Field::content("body", 0..body.len(), field::text_or_bytes(body))];
    };
    let around = |name, span: Range<usize>| {
        let value = field::text_or_bytes(&body[span.clone()]);
        (!span.is_empty()).then(|| Field::content(name, span, value))
    };
    let entries = dictionary_fields(&document).into_iter().map(|field| field.shifted(start));
    around("before", 0..start).into_iter().chain(entries).chain(around("after", end..body.len())).collect()
}

fn dictionary_fields(document: &Document<'_>) -> Vec<Field> {
    let root = document.root();
    let mut fields = root.fields(&meaning);
    // The first, as everywhere, should the key stand twice.
    if let Some((torrents, entries)) =
        root.get(b"files").and_then(|torrents| Some((torrents, torrents.entries()?)))
        && let Some(files) = fields.iter_mut().find(|field| field.span.end == torrents.span().end)
    {
        // The keys are info hashes, and 20 bytes make no name.
        for (child, entry) in files.children.iter_mut().skip(1).zip(entries) {
            child.name = Cow::Owned(Hex(entry.key).to_string());
        }
    }
    fields
}

fn meaning(key: &[u8], value: View<'_>) -> Option<Value> {
    let mut faults = Vec::new();
    match key {
        b"peers" | b"peers6" => {
            let peers = peers(value, key == b"peers6", &mut faults);
            let addresses: Option<Vec<_>> = peers.iter().map(PeerEntry::address).collect();
            addresses.filter(|_| faults.is_empty()).map(Value::Endpoints)
        }
        b"external ip" => value.bytes().and_then(compact::address).map(Value::Address),
        b"tracker id" => value.bytes().map(field::text_or_bytes),
        _ => None,
    }
}

/// Where the dictionary of a body stands, as [`Reply::decode`] reads it.
pub(super) fn dictionary_span(body: &[u8]) -> Option<Range<usize>> {
    ReplyDocument::find(body).ok().map(|found| found.start..found.end)
}

/// The dictionary of a body.
struct ReplyDocument<'b> {
    /// Where it begins and ends in the body.
    start: usize,
    end: usize,
    /// The dictionary, its offsets counted from its own beginning.
    document: Document<'b>,
}

/// The keys that tell a tracker's answer (BEPs 3 and 48).
const TELLING_KEYS: [&[u8]; 5] = [b"failure reason", b"files", b"interval", b"peers", b"warning message"];

/// In how many bytes at the beginning of a body the dictionary is looked for, and how many that begin as one does are read.
/// Trackers' scripts have printed a line break, the mark of UTF-8, or a few warnings of their language before it.
const SEARCHED: usize = 4096;
const TRIED: usize = 16;

impl<'b> ReplyDocument<'b> {
    /// Finds the dictionary. Where other bytes stand before or after it, it must be a tracker's by its keys.
    fn find(body: &'b [u8]) -> Result<Self, DecodeError> {
        let first = match Self::at(body, 0) {
            Ok(found) if found.end == body.len() || found.is_telling() => return Ok(found),
            Ok(found) => DecodeError::new(found.end, "the end of the bencoded value"),
            Err(error) => error,
        };
        let searched = &body[..body.len().min(SEARCHED)];
        let begins = searched.windows(2).enumerate().skip(1);
        let mut begins = begins.filter(|(_, two)| matches!(two, [b'd', b'1'..=b'9'])).take(TRIED);
        let found = begins.find_map(|(start, _)| Self::at(body, start).ok().filter(Self::is_telling));
        found.ok_or(first)
    }

    /// The dictionary that begins at `start`.
    fn at(body: &'b [u8], start: usize) -> Result<Self, DecodeError> {
        let (document, length) = bencode::scan_prefix(&body[start..])?;
        if !document.root().is_dictionary() {
            return Err(DecodeError::new(0, "a bencoded dictionary"));
        }
        Ok(Self { start, end: start + length, document })
    }

    fn is_telling(&self) -> bool {
        TELLING_KEYS.iter().any(|key| self.document.root().get(key).is_some())
    }
}

/// Counts the offsets of faults from the beginning of the body, not from that of its dictionary.
fn shift(faults: &mut [DecodeError], start: usize) {
    for fault in faults {
        *fault = fault.shifted(start);
    }
}

fn announce(document: &Document<'_>) -> AnnounceReply {
    let root = document.root();
    let mut faults = Vec::new();
    let mut number = |key: &[u8]| {
        let value = root.get(key)?;
        value.unsigned().or_else(|| {
            faults.push(DecodeError::new(value.span().start, "a number that is not negative"));
            None
        })
    };
    let mut reply = AnnounceReply {
        interval: number(b"interval"),
        min_interval: number(b"min interval"),
        complete: number(b"complete"),
        incomplete: number(b"incomplete"),
        downloaded: number(b"downloaded"),
        ..AnnounceReply::default()
    };
    reply.tracker_id = root.get(b"tracker id").and_then(View::bytes).map(<[u8]>::to_vec);
    reply.warning = root.get(b"warning message").map(text);
    if let Some(value) = root.get(b"external ip") {
        reply.external_ip = value.bytes().and_then(compact::address);
        if reply.external_ip.is_none() {
            faults.push(DecodeError::new(value.span().start, "an address of 4 or 16 bytes"));
        }
    }
    for (key, six) in [(&b"peers"[..], false), (b"peers6", true)] {
        if let Some(value) = root.get(key) {
            reply.peers.extend(peers(value, six, &mut faults));
        }
    }
    faults.sort_by_key(|fault| fault.offset);
    reply.faults = faults;
    reply
}

/// The peers of either form: a string in strides (BEP 23; BEP 7), or a list of dictionaries (BEP 3).
fn peers(value: View<'_>, six: bool, faults: &mut Vec<DecodeError>) -> Vec<PeerEntry> {
    if let Some(items) = value.items() {
        return items
            .filter_map(|item| {
                let entry = long_peer(item);
                if entry.is_none() {
                    faults.push(DecodeError::new(item.span().start, "a peer with ip and port"));
                }
                entry
            })
            .collect();
    }
    let (Some(bytes), Some(span)) = (value.bytes(), value.content_span()) else {
        faults.push(DecodeError::new(value.span().start, "peers in a string or a list"));
        return Vec::new();
    };
    let addresses = compact::endpoints(bytes, six);
    let stride = compact::stride(six);
    if bytes.len() % stride != 0 {
        let wanted = if six { "18 bytes per peer" } else { "6 bytes per peer" };
        faults.push(DecodeError::new(span.start + addresses.len() * stride, wanted));
    }
    addresses
        .into_iter()
        .map(|address| PeerEntry { host: Host::Ip(address.ip()), port: address.port(), peer_id: None })
        .collect()
}

fn long_peer(item: View<'_>) -> Option<PeerEntry> {
    let host = item.get(b"ip")?.text()?;
    Some(PeerEntry {
        host: host.parse().map_or_else(|_| Host::Name(host.to_owned()), Host::Ip),
        port: u16::try_from(item.get(b"port")?.unsigned()?).ok()?,
        peer_id: item.get(b"peer id").and_then(View::bytes).and_then(|id| id.try_into().ok()).map(PeerId),
    })
}

fn scrape(document: &Document<'_>) -> ScrapeReply {
    let mut reply = ScrapeReply::default();
    for entry in document.root().get(b"files").and_then(View::entries).into_iter().flatten() {
        let start = entry.value.span().start;
        let Ok(hash) = entry.key.try_into() else {
            reply.faults.push(DecodeError::new(start - entry.key.len(), "an info hash of 20 bytes"));
            continue;
        };
        if !entry.value.is_dictionary() {
            reply.faults.push(DecodeError::new(start, "a dictionary of numbers"));
        }
        let number = |key: &[u8]| entry.value.get(key).and_then(View::unsigned);
        reply.files.push(ScrapeEntry {
            info_hash: InfoHash(hash),
            complete: number(b"complete"),
            incomplete: number(b"incomplete"),
            downloaded: number(b"downloaded"),
            downloaders: number(b"downloaders"),
        });
    }
    reply
}

/// BEP 31 speaks of an integer, and its example writes a string.
fn retry_in(value: View<'_>) -> Option<RetryIn> {
    if value.bytes() == Some(b"never") {
        return Some(RetryIn::Never);
    }
    value.unsigned().or_else(|| value.text()?.parse().ok()).map(RetryIn::Minutes)
}

fn text(value: View<'_>) -> String {
    String::from_utf8_lossy(value.bytes().unwrap_or_else(|| value.raw())).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::field::untiled;

    use super::*;

    fn announce_of(body: &[u8]) -> AnnounceReply {
        assert_eq!(untiled(&body_fields(body), 0..body.len()), None);
        match Reply::decode(body) {
            Reply::Announce(reply) => *reply,
            other => panic!("{other:?}"),
        }
    }

    fn shown(reply: &AnnounceReply) -> Vec<String> {
        reply.peers.iter().map(ToString::to_string).collect()
    }

    fn value(body: &[u8], name: &str) -> Value {
        body_fields(body).into_iter().find(|field| field.name == name).unwrap().value
    }

    #[test]
    fn a_key_that_stands_very_often_is_read_once() {
        let body =
            [b"d".to_vec(), b"5:filesd20:aaaaaaaaaaaaaaaaaaaadee".repeat(50_000), b"e".to_vec()].concat();
        let fields = body_fields(&body);
        assert_eq!(field::untiled(&fields, 0..body.len()), None);
        assert_eq!(fields[1].children[1].name, Hex(&[b'a'; 20]).to_string());
        assert_eq!(fields[2].children[1].name, "aaaaaaaaaaaaaaaaaaaa");
    }

    #[test]
    fn reads_compact_peers() {
        let body = b"d8:completei0e10:downloadedi0e10:incompletei3e8:intervali1821e12:min intervali910e\
            5:peers12:\n\x4d\x00\x03\x1a\xe1\n\x4d\x00\x15\x1b\x57e";
        let reply = announce_of(body);
        assert_eq!((reply.interval, reply.min_interval), (Some(1821), Some(910)));
        assert_eq!((reply.complete, reply.incomplete, reply.downloaded), (Some(0), Some(3), Some(0)));
        assert_eq!(shown(&reply), ["10.77.0.3:6881", "10.77.0.21:6999"]);
        let endpoints = vec!["10.77.0.3:6881".parse().unwrap(), "10.77.0.21:6999".parse().unwrap()];
        assert_eq!(value(body, "peers"), Value::Endpoints(endpoints));
    }

    #[test]
    fn reads_peers_of_both_families() {
        let reply = announce_of(
            b"d5:peers6:\x7f\0\0\x01\0\x506:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1e",
        );
        assert_eq!(shown(&reply), ["127.0.0.1:80", "[2001:db8::1]:6881"]);
    }

    #[test]
    fn reads_peers_in_dictionaries_with_names_and_ids() {
        let body = b"d5:peersld2:ip9:127.0.0.17:peer id20:-TR3000-abcdefghijkl4:porti80eed2:ip6:a.test4:porti1eed2:ip1:xeee";
        let reply = announce_of(body);
        assert_eq!(shown(&reply), ["127.0.0.1:80", "a.test:1"]);
        assert_eq!(reply.peers[0].peer_id, Some(PeerId(*b"-TR3000-abcdefghijkl")));
        assert_eq!(reply.faults.len(), 1);
        assert_eq!(value(body, "peers"), Value::List);
    }

    #[test]
    fn reports_an_incomplete_peer_where_it_begins() {
        let reply = announce_of(b"d5:peers8:\x7f\0\0\x01\0\x50abe");
        assert_eq!(shown(&reply), ["127.0.0.1:80"]);
        assert_eq!(reply.faults, [DecodeError::new(16, "6 bytes per peer")]);
    }

    #[test]
    fn reads_a_failure_and_when_to_ask_again() {
        for (body, retry_in) in [
            (&b"d14:failure reason10:Overloaded8:retry in1:5e"[..], Some(RetryIn::Minutes(5))),
            (b"d14:failure reason10:Overloaded8:retry ini5ee", Some(RetryIn::Minutes(5))),
            (b"d14:failure reason10:Overloaded8:retry in5:nevere", Some(RetryIn::Never)),
            (b"d14:failure reason10:Overloadede", None),
        ] {
            assert_eq!(Reply::decode(body), Reply::Failure { reason: "Overloaded".into(), retry_in });
        }
    }

    #[test]
    fn reads_a_warning_a_tracker_id_and_the_own_address() {
        let body = b"d11:external ip4:\xc0\0\x02\x078:intervali-5e5:peers0:10:tracker id2:\xff!15:warning message4:slowe";
        let reply = announce_of(body);
        assert_eq!(reply.warning.as_deref(), Some("slow"));
        assert_eq!(reply.tracker_id.as_deref(), Some(&b"\xff!"[..]));
        assert_eq!(reply.external_ip, Some("192.0.2.7".parse().unwrap()));
        assert_eq!(reply.faults.iter().map(|fault| fault.offset).collect::<Vec<_>>(), [31]);
        assert_eq!(value(body, "external ip"), Value::Address("192.0.2.7".parse().unwrap()));
        assert_eq!(value(body, "interval"), Value::Signed(-5));
    }

    #[test]
    fn reads_a_scrape_and_names_its_torrents_in_hex() {
        let body = b"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei1e10:downloadedi2e10:incompletei3eee\
            5:flagsd20:min_request_intervali900eee";
        let Reply::Scrape(reply) = Reply::decode(body) else { panic!("no scrape") };
        let entry = &reply.files[0];
        assert_eq!((entry.complete, entry.downloaded, entry.incomplete), (Some(1), Some(2), Some(3)));
        let fields = body_fields(body);
        assert_eq!(untiled(&fields, 0..body.len()), None);
        assert_eq!(fields[1].children[1].name, "61".repeat(20));
    }

    #[test]
    fn says_why_a_body_is_not_bencoded() {
        assert_eq!(
            Reply::decode(b"<html>"),
            Reply::NotBencoded(DecodeError::new(0, "a bencoded value: i, l, d or a digit"))
        );
        assert_eq!(Reply::decode(b"le"), Reply::NotBencoded(DecodeError::new(0, "a bencoded dictionary")));
        let torrent_and_more = b"d4:infodee\n";
        let end = DecodeError::new(10, "the end of the bencoded value");
        assert_eq!(Reply::decode(torrent_and_more), Reply::NotBencoded(end));
    }

    #[test]
    fn a_dictionary_is_read_among_other_bytes() {
        const DICTIONARY: &[u8] = b"d8:intervali60e5:peers7:\x0a\0\0\x02\x1a\xe1\x00e";
        for (before, behind) in [
            (&b""[..], &b"\r\n"[..]),
            (b"\n", b""),
            (b"\xef\xbb\xbf", b"\0"),
            (b"<br />\n<b>d3 Warning</b>: mysql_connect() in d2:ab<br />\n", b"<!-- 4 ms -->"),
        ] {
            let body = [before, DICTIONARY, behind].concat();
            let reply = announce_of(&body);
            assert_eq!((reply.interval, reply.peers.len()), (Some(60), 1));
            let odd = before.len() + DICTIONARY.len() - 2;
            assert_eq!(reply.faults, [DecodeError::new(odd, "6 bytes per peer")]);
            assert_eq!(dictionary_span(&body), Some(before.len()..before.len() + DICTIONARY.len()));
            let names: Vec<_> = body_fields(&body).into_iter().map(|field| field.name).collect();
            assert_eq!(names.contains(&"before".into()), !before.is_empty());
            assert_eq!(names.contains(&"after".into()), !behind.is_empty());
        }
        let far = [&[b' '; SEARCHED], DICTIONARY].concat();
        assert!(matches!(Reply::decode(&far), Reply::NotBencoded(_)));
    }

    proptest! {
        #[test]
        fn odd_peers_never_panic(peers: Vec<u8>, peers6: Vec<u8>) {
            let body = bencode::dictionary(|out| {
                out.bytes("peers", &peers);
                out.bytes("peers6", &peers6);
            });
            let reply = announce_of(&body);
            prop_assert_eq!(reply.peers.len(), peers.len() / 6 + peers6.len() / 18);
        }
    }
}
