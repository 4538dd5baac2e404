//! What an announce or scrape says: the parameters of its query by their meaning (BEP 3, "trackers"; BEPs 7,
//! 21, 23, 48). What does not fit its type is kept as it came, and the fault named.

use crate::tracker::Event;
use crate::{InfoHash, PeerId};

use super::number::number;
use super::request::{Parameter, Request};

/// What a request asks of a tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestKind {
    /// It tells the tracker of a peer and asks for others.
    Announce(Box<Announce>),
    /// It asks for the numbers of peers (BEP 48).
    Scrape(Scrape),
    /// It is an announce that names no torrent: what is wrong with its `info_hash`.
    NoTorrent(ParameterFault),
    /// It is not for a tracker.
    Other,
}

/// The parameters of an announce. `None` is a parameter that was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// The torrent it is about.
    pub info_hash: InfoHash,
    /// What the client calls itself.
    pub peer_id: Option<PeerId>,
    /// Where the client listens.
    pub port: Option<u16>,
    /// Bytes sent to peers since the `started` announce.
    pub uploaded: Option<u64>,
    /// Bytes received from peers since the `started` announce.
    pub downloaded: Option<u64>,
    /// Bytes that are still missing.
    pub left: Option<u64>,
    /// Bytes received that failed a hash check; sent by libtorrent, and by Transmission when there are any.
    pub corrupt: Option<u64>,
    /// Bytes received more than once; sent by libtorrent.
    pub redundant: Option<u64>,
    /// Why it announces now; `None` for a regular one, or for one whose event is empty or unknown, which is
    /// among the others.
    pub event: Option<Event>,
    /// How many peers it asks for.
    pub numwant: Option<u32>,
    /// What proves the client the same when its address changes.
    pub key: Option<Vec<u8>>,
    /// Whether it wants the compact form of peers (BEP 23).
    pub compact: Option<bool>,
    /// Whether it wants peers without their ids.
    pub no_peer_id: Option<bool>,
    /// Whether it can encrypt.
    pub supportcrypto: Option<bool>,
    /// Whether it insists on encryption.
    pub requirecrypto: Option<bool>,
    /// Its address, or name, as it knows it.
    pub ip: Option<Vec<u8>>,
    /// Its IPv4 address (BEP 7, an earlier version).
    pub ipv4: Option<Vec<u8>>,
    /// Its IPv6 address (BEP 7, an earlier version).
    pub ipv6: Option<Vec<u8>>,
    /// What an earlier answer gave as `tracker id`.
    pub trackerid: Option<Vec<u8>>,
    /// Every other parameter in order: unknown ones, repeated ones, and those with a value that does not fit.
    pub others: Vec<(Vec<u8>, Vec<u8>)>,
    /// Which parameters are not what they should be.
    pub faults: Vec<ParameterFault>,
}

/// The parameters of a scrape.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scrape {
    /// The torrents asked about; none asks about all.
    pub info_hashes: Vec<InfoHash>,
    /// Every other parameter in order.
    pub others: Vec<(Vec<u8>, Vec<u8>)>,
    /// Which parameters are not what they should be.
    pub faults: Vec<ParameterFault>,
}

/// A parameter that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterFault {
    /// Where it begins in the request.
    pub offset: usize,
    /// Its name.
    pub name: String,
    /// Its value, readable.
    pub value: String,
    /// What it should be.
    pub wanted: &'static str,
}

impl Announce {
    /// An announce of nothing but a torrent and a peer.
    pub fn new(info_hash: InfoHash, peer_id: PeerId) -> Self {
        Self { peer_id: Some(peer_id), ..Self::of(info_hash) }
    }

    /// The parameters by name, in the order in which BEP 3 introduces them.
    pub(super) fn values(&self) -> Vec<(&[u8], Vec<u8>)> {
        let number = |number: u64| number.to_string().into_bytes();
        let flag = |flag: bool| if flag { b"1".to_vec() } else { b"0".to_vec() };
        let known: [(&[u8], Option<Vec<u8>>); 19] = [
            (b"info_hash", Some(self.info_hash.0.to_vec())),
            (b"peer_id", self.peer_id.map(|id| id.0.to_vec())),
            (b"ip", self.ip.clone()),
            (b"port", self.port.map(|port| number(port.into()))),
            (b"uploaded", self.uploaded.map(number)),
            (b"downloaded", self.downloaded.map(number)),
            (b"left", self.left.map(number)),
            (b"event", self.event.map(|event| event.name().into())),
            (b"trackerid", self.trackerid.clone()),
            (b"numwant", self.numwant.map(|count| number(count.into()))),
            (b"key", self.key.clone()),
            (b"compact", self.compact.map(flag)),
            (b"no_peer_id", self.no_peer_id.map(flag)),
            (b"supportcrypto", self.supportcrypto.map(flag)),
            (b"requirecrypto", self.requirecrypto.map(flag)),
            (b"corrupt", self.corrupt.map(number)),
            (b"redundant", self.redundant.map(number)),
            (b"ipv4", self.ipv4.clone()),
            (b"ipv6", self.ipv6.clone()),
        ];
        let known = known.into_iter().filter_map(|(name, value)| Some((name, value?)));
        known.chain(self.others.iter().map(|(name, value)| (name.as_slice(), value.clone()))).collect()
    }

    fn of(info_hash: InfoHash) -> Self {
        Self {
            info_hash,
            peer_id: None,
            port: None,
            uploaded: None,
            downloaded: None,
            left: None,
            corrupt: None,
            redundant: None,
            event: None,
            numwant: None,
            key: None,
            compact: None,
            no_peer_id: None,
            supportcrypto: None,
            requirecrypto: None,
            ip: None,
            ipv4: None,
            ipv6: None,
            trackerid: None,
            others: Vec::new(),
            faults: Vec::new(),
        }
    }

    fn from_parameters(info_hash: InfoHash, parameters: &[Parameter]) -> Self {
        let mut announce = Self::of(info_hash);
        let mut seen_info_hash = false;
        // Parameters whose first value did not fit. That value counts, or what is encoded would put another first.
        let mut refused: Vec<&[u8]> = Vec::new();
        for parameter in parameters {
            let name = parameter.decoded_name.as_slice();
            let taken = if name == b"info_hash" {
                if std::mem::replace(&mut seen_info_hash, true) { Err(ONCE) } else { Ok(()) }
            } else if refused.contains(&name) {
                Err(ONCE)
            } else {
                announce.take(parameter)
            };
            let Err(wanted) = taken else { continue };
            if (wanted != NOTHING || name == b"event") && !refused.contains(&name) {
                refused.push(name);
            }
            announce.others.push((parameter.decoded_name.clone(), parameter.decoded.clone()));
            announce.faults.extend(fault(parameter, wanted));
        }
        announce
    }

    /// Takes a parameter that fits, or says what was wanted: nothing of a parameter that is not known.
    fn take(&mut self, parameter: &Parameter) -> Result<(), &'static str> {
        let value = parameter.decoded.as_slice();
        match parameter.decoded_name.as_slice() {
            b"peer_id" => put(&mut self.peer_id, value.try_into().ok().map(PeerId), "20 bytes"),
            b"port" => put(&mut self.port, narrow(value), "a port in decimal"),
            b"uploaded" => put(&mut self.uploaded, number(value), NUMBER),
            b"downloaded" => put(&mut self.downloaded, number(value), NUMBER),
            b"left" => put(&mut self.left, number(value), NUMBER),
            b"corrupt" => put(&mut self.corrupt, number(value), NUMBER),
            b"redundant" => put(&mut self.redundant, number(value), NUMBER),
            b"numwant" => put(&mut self.numwant, narrow(value), NUMBER),
            // Both stand for no event (BEP 3).
            b"event" if matches!(value, b"" | b"empty") => Err(NOTHING),
            b"event" => {
                put(&mut self.event, Event::from_name(value), "started, completed, stopped or paused")
            }
            b"compact" => put(&mut self.compact, flag(value), FLAG),
            b"no_peer_id" => put(&mut self.no_peer_id, flag(value), FLAG),
            b"supportcrypto" => put(&mut self.supportcrypto, flag(value), FLAG),
            b"requirecrypto" => put(&mut self.requirecrypto, flag(value), FLAG),
            b"key" => put(&mut self.key, Some(value.to_vec()), ONCE),
            b"ip" => put(&mut self.ip, Some(value.to_vec()), ONCE),
            b"ipv4" => put(&mut self.ipv4, Some(value.to_vec()), ONCE),
            b"ipv6" => put(&mut self.ipv6, Some(value.to_vec()), ONCE),
            b"trackerid" => put(&mut self.trackerid, Some(value.to_vec()), ONCE),
            _ => Err(NOTHING),
        }
    }
}

impl Request {
    /// What a request asks for. An announce has a torrent and some mark of a peer; a scrape is known by its path
    /// (BEP 48: the last part of the path, `announce` replaced by `scrape`) and the torrents that it names, or none.
    pub fn kind(&self) -> RequestKind {
        if self.method() != b"GET" {
            return RequestKind::Other;
        }
        let parameters = self.parameters();
        let last = self.path().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let first = self.parameter(b"info_hash").and_then(|value| value.try_into().ok()).map(InfoHash);
        // Without a hash it is about all torrents, and there is nothing else to say. Other sites are asked for a
        // `/scrape` too, or a `/scraper.js`.
        let of_all = matches!(last, b"scrape" | b"scrape.php") && parameters.is_empty();
        if of_all || last.starts_with(b"scrape") && first.is_some() {
            return RequestKind::Scrape(scrape(parameters));
        }
        let of_a_peer = parameters.iter().any(|parameter| {
            let name = parameter.decoded_name.as_slice();
            matches!(name, b"peer_id" | b"port" | b"left" | b"uploaded" | b"downloaded")
        });
        let Some(info_hash) = first else {
            let named = self.parameter(b"info_hash").is_some();
            let announces = matches!(last, b"announce" | b"announce.php");
            let tells =
                if announces { of_a_peer || named || parameters.is_empty() } else { of_a_peer && named };
            return if tells { RequestKind::NoTorrent(self.info_hash_fault()) } else { RequestKind::Other };
        };
        if of_a_peer {
            return RequestKind::Announce(Box::new(Announce::from_parameters(info_hash, parameters)));
        }
        if self.path().windows(b"scrape".len()).any(|part| part == b"scrape") {
            return RequestKind::Scrape(scrape(parameters));
        }
        RequestKind::Other
    }
}

impl Request {
    /// What is wrong with an `info_hash` that is not 20 bytes, or is not there.
    fn info_hash_fault(&self) -> ParameterFault {
        let parameters = self.parameters();
        if let Some(parameter) = parameters.iter().find(|parameter| parameter.decoded_name == b"info_hash") {
            let value = &parameter.decoded;
            let hex = value.iter().all(u8::is_ascii_hexdigit);
            let wanted = if hex && value.len() == 40 {
                "20 bytes, each escaped by % unless it is a letter or digit, not hex digits"
            } else if hex && value.len() > 20 {
                "20 bytes, not hex digits, which are not even 40"
            } else if value.contains(&b'%') {
                "20 bytes, escaped once and not twice"
            } else {
                "20 bytes"
            };
            return ParameterFault { wanted, ..describe(parameter) };
        }
        let second_mark = |parameter: &&Parameter| {
            parameter.decoded.windows(SECOND_MARK.len()).any(|part| part == SECOND_MARK)
        };
        match parameters.iter().find(second_mark) {
            Some(parameter) => ParameterFault {
                wanted: "& in place of the second question mark, before info_hash",
                ..describe(parameter)
            },
            None => ParameterFault {
                offset: self.path.end,
                name: "info_hash".to_owned(),
                value: String::new(),
                wanted: "a parameter info_hash of 20 bytes",
            },
        }
    }
}

/// How an info hash stands after a question mark that is not the first.
const SECOND_MARK: &[u8] = b"?info_hash=";

fn describe(parameter: &Parameter) -> ParameterFault {
    ParameterFault {
        offset: parameter.name.start,
        name: String::from_utf8_lossy(&parameter.decoded_name).into_owned(),
        value: parameter.decoded.escape_ascii().to_string(),
        wanted: NOTHING,
    }
}

fn scrape(parameters: &[Parameter]) -> Scrape {
    let mut scrape = Scrape::default();
    for parameter in parameters {
        let name = parameter.decoded_name.as_slice();
        let hash = parameter.decoded.as_slice().try_into().ok().filter(|_| name == b"info_hash");
        if let Some(hash) = hash {
            scrape.info_hashes.push(InfoHash(hash));
            continue;
        }
        if name == b"info_hash" {
            scrape.faults.extend(fault(parameter, "20 bytes"));
        }
        scrape.others.push((parameter.decoded_name.clone(), parameter.decoded.clone()));
    }
    scrape
}

fn narrow<T: TryFrom<u64>>(value: &[u8]) -> Option<T> {
    T::try_from(number(value)?).ok()
}

fn flag(value: &[u8]) -> Option<bool> {
    match value {
        b"0" => Some(false),
        b"1" => Some(true),
        _ => None,
    }
}

fn put<T>(slot: &mut Option<T>, value: Option<T>, wanted: &'static str) -> Result<(), &'static str> {
    if slot.is_some() {
        return Err(ONCE);
    }
    *slot = Some(value.ok_or(wanted)?);
    Ok(())
}

fn fault(parameter: &Parameter, wanted: &'static str) -> Option<ParameterFault> {
    (wanted != NOTHING).then(|| ParameterFault { wanted, ..describe(parameter) })
}

const NOTHING: &str = "";
const NUMBER: &str = "a number in decimal, without sign or leading zeros";
const FLAG: &str = "0 or 1";
const ONCE: &str = "the parameter once";

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(target: &str) -> RequestKind {
        Request::decode(format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes()).unwrap().kind()
    }

    fn announce_of(query: &str) -> Announce {
        let RequestKind::Announce(announce) =
            kind_of(&format!("/announce?info_hash=aaaaaaaaaaaaaaaaaaaa&{query}"))
        else {
            panic!("no announce");
        };
        *announce
    }

    fn fault_of(target: &str) -> (usize, &'static str) {
        match kind_of(target) {
            RequestKind::NoTorrent(fault) => (fault.offset, fault.wanted),
            other => panic!("{target}: {other:?}"),
        }
    }

    #[test]
    fn an_announce_that_names_no_torrent_says_why() {
        let hash = "a2a15537542b22925ad10486bf7a8b2a9c42f0d1";
        for (query, wanted) in [
            (format!("?info_hash={hash}&port=1"), "not hex digits"),
            (format!("?info_hash={}&port=1", &hash[..39]), "not hex digits, which are not even 40"),
            ("?info_hash=%25A2%25A1&port=1".to_owned(), "escaped once and not twice"),
            ("?info_hash=aaaaaaaaaaaaaaaaaaa&port=1".to_owned(), "20 bytes"),
            ("?info_hash=".to_owned(), "20 bytes"),
        ] {
            let (offset, said) = fault_of(&format!("/announce{query}"));
            assert_eq!(offset, "GET /announce?".len(), "{query}");
            assert!(said.ends_with(wanted), "{query}: {said}");
        }
        assert_eq!(fault_of("/announce").0, "GET /announce".len());
        assert_eq!(fault_of("/x/announce.php?port=1&left=0").1, "a parameter info_hash of 20 bytes");
        let twice = fault_of("/announce?key=7?info_hash=aaaaaaaaaaaaaaaaaaaa&port=1");
        assert_eq!(twice.0, "GET /announce?".len());
        assert!(twice.1.contains("second question mark"));
        for other in ["/announce?id=7", "/announcement", "/search?info_hash=x", "/x?port=1", "/"] {
            assert_eq!(kind_of(other), RequestKind::Other, "{other}");
        }
    }

    #[test]
    fn reads_the_example_of_bep_23() {
        let announce =
            announce_of("peer_id=bbbbbbbbbbbbbbbbbbbb&port=6881&left=0&downloaded=100&uploaded=0&compact=1");
        let wanted = Announce {
            port: Some(6881),
            left: Some(0),
            downloaded: Some(100),
            uploaded: Some(0),
            compact: Some(true),
            ..Announce::new(InfoHash([b'a'; 20]), PeerId([b'b'; 20]))
        };
        assert_eq!(announce, wanted);
    }

    #[test]
    fn keeps_values_that_do_not_fit_and_names_their_faults() {
        let announce =
            announce_of("port=70000&left=-1&event=paused&compact=yes&peer_id=short&key=7&numwant=07");
        assert_eq!((announce.port, announce.left, announce.event), (None, None, Some(Event::Paused)));
        let others: Vec<_> = announce.others.iter().map(|(_, value)| value.as_slice()).collect();
        assert_eq!(others, [&b"70000"[..], b"-1", b"yes", b"short", b"07"]);
        let faults: Vec<_> = announce.faults.iter().map(|fault| fault.name.as_str()).collect();
        assert_eq!(faults, ["port", "left", "compact", "peer_id", "numwant"]);
        assert_eq!(announce.faults[0].offset, "GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&".len());
    }

    #[test]
    fn an_empty_event_is_none_and_no_fault() {
        let announce = announce_of("port=1&event=");
        assert_eq!((announce.event, announce.faults.len()), (None, 0));
        assert_eq!(announce.others, [(b"event".to_vec(), Vec::new())]);
    }

    #[test]
    fn the_first_value_of_a_parameter_counts_though_it_does_not_fit() {
        let announce = announce_of("left=-1&left=7&event=&event=stopped&port=1");
        assert_eq!((announce.left, announce.event, announce.port), (None, None, Some(1)));
        let others: Vec<_> = announce.others.iter().map(|(_, value)| value.as_slice()).collect();
        assert_eq!(others, [&b"-1"[..], b"7", b"", b"stopped"]);
        assert_eq!(
            announce.faults.iter().map(|fault| fault.wanted).collect::<Vec<_>>(),
            [NUMBER, ONCE, ONCE]
        );
    }

    #[test]
    fn names_a_parameter_that_comes_twice() {
        let announce = announce_of("port=1&port=2&info_hash=cccccccccccccccccccc");
        assert_eq!(announce.port, Some(1));
        assert_eq!(announce.faults.iter().map(|fault| fault.wanted).collect::<Vec<_>>(), [ONCE, ONCE]);
    }

    #[test]
    fn tells_announces_scrapes_and_other_requests_apart() {
        let hash = "info_hash=aaaaaaaaaaaaaaaaaaaa";
        assert!(matches!(kind_of(&format!("/x/announce.php?{hash}&port=1")), RequestKind::Announce(_)));
        assert!(matches!(kind_of(&format!("/scrape.php?{hash}")), RequestKind::Scrape(_)));
        assert!(matches!(kind_of("/a/scrape"), RequestKind::Scrape(_)));
        assert!(matches!(kind_of(&format!("/scrape/x?{hash}")), RequestKind::Scrape(_)));
        assert_eq!(kind_of(&format!("/file?{hash}")), RequestKind::Other);
        assert!(matches!(kind_of("/announce?info_hash=short&port=1"), RequestKind::NoTorrent(_)));
        assert_eq!(kind_of("/"), RequestKind::Other);
        assert!(matches!(kind_of("/scrape.php"), RequestKind::Scrape(_)));
        for other in ["/scraper.js", "/scrape?url=x", "/scrape?info_hash=short", "/scrapes/"] {
            assert_eq!(kind_of(other), RequestKind::Other, "{other}");
        }
    }

    #[test]
    fn a_scrape_asks_about_several_torrents() {
        let RequestKind::Scrape(scrape) =
            kind_of("/scrape?info_hash=aaaaaaaaaaaaaaaaaaaa&info_hash=bbbbbbbbbbbbbbbbbbbb&info_hash=c&k=v")
        else {
            panic!("no scrape");
        };
        assert_eq!(scrape.info_hashes, [InfoHash([b'a'; 20]), InfoHash([b'b'; 20])]);
        assert_eq!((scrape.others.len(), scrape.faults.len()), (2, 1));
    }
}
