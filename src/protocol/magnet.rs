//! Magnet links (BEP 9, "magnet URI format"; BEP 53): what they say, and how they are written.
//!
//! A link names a torrent by its info hash; the info dictionary comes from peers. `xs`, from where a torrent could be fetched,
//! is kept and never followed: a link must not send requests to any address that its author likes.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use sha1::Sha1;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::HostPort;
use crate::bencode;
use crate::id::from_hex;
use crate::metainfo::{FileChoice, PieceLayers, number_ranges};
use crate::tracker::http::{Escaping, percent_decode};
use crate::{Hex, InfoHash, Metainfo};

/// What a magnet link says.
///
/// ```
/// use bittrace_protocol::magnet::Magnet;
///
/// let link = "magnet:?xt=urn:btih:0123456789ABCDEF0123456789abcdef01234567&dn=a+file&tr=udp%3A%2F%2Ft.test%3A80";
/// let magnet: Magnet = link.parse()?;
/// assert_eq!(magnet.name.as_deref(), Some("a file"));
/// assert_eq!(magnet.trackers, ["udp://t.test:80"]);
/// # Ok::<(), bittrace_protocol::magnet::MagnetError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Magnet {
    /// Which torrent it is (`xt`).
    pub hashes: InfoHashes,
    /// What the torrent is called until its name is known (`dn`).
    pub name: Option<String>,
    /// The URLs of trackers (`tr`), each a tier of its own.
    pub trackers: Vec<String>,
    /// Web seeds of BEP 19 (`ws`).
    pub web_seeds: Vec<String>,
    /// Peers (`x.pe`).
    pub peers: Vec<HostPort>,
    /// Nodes of the DHT (`dht`, which libtorrent and qBittorrent read).
    pub nodes: Vec<HostPort>,
    /// The numbers of the files to download (`so`, BEP 53); all files where there are none.
    pub select: Vec<RangeInclusive<u32>>,
    /// All other parts, percent-encoded as they came: name and value.
    pub others: Vec<(String, String)>,
}

/// The info hashes that name a torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InfoHashes {
    /// The SHA-1 of the info dictionary (BEP 3).
    V1(InfoHash),
    /// The SHA-256 of the info dictionary (BEP 52).
    V2([u8; 32]),
    /// Both, of a hybrid torrent (BEP 52).
    Both(InfoHash, [u8; 32]),
}

/// What a comparison of an info dictionary with info hashes comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashCheck {
    /// Every hash is that of the dictionary.
    Right,
    /// No hash is.
    Wrong,
    /// One of two hashes is: the link names two torrents as if they were one (BEP 52, "Upgrade Path").
    Disagree,
}

impl InfoHashes {
    /// What trackers and peers have the torrent by: the SHA-1, else the first 20 bytes of the SHA-256 (BEP 52, "infohash").
    pub const fn handshake(&self) -> InfoHash {
        match self {
            Self::V1(hash) | Self::Both(hash, _) => *hash,
            Self::V2(hash) => truncated(hash),
        }
    }

    /// What peers have the torrent by that speak version 2, where its SHA-256 is known.
    pub const fn truncated_v2(&self) -> Option<InfoHash> {
        match self {
            Self::V1(_) => None,
            Self::V2(hash) | Self::Both(_, hash) => Some(truncated(hash)),
        }
    }

    /// The SHA-1 of the info dictionary, where it is known.
    pub const fn v1(&self) -> Option<InfoHash> {
        match self {
            Self::V1(hash) | Self::Both(hash, _) => Some(*hash),
            Self::V2(_) => None,
        }
    }

    /// The SHA-256 of the info dictionary, where it is known.
    pub const fn v2(&self) -> Option<[u8; 32]> {
        match self {
            Self::V1(_) => None,
            Self::V2(hash) | Self::Both(_, hash) => Some(*hash),
        }
    }

    /// Compares them with an info dictionary.
    pub fn check(&self, info: &[u8]) -> HashCheck {
        let v1 = self.v1().map(|hash| hash.0 == <[u8; 20]>::from(Sha1::digest(info)));
        let v2 = self.v2().map(|hash| hash == <[u8; 32]>::from(Sha256::digest(info)));
        match (v1, v2) {
            (Some(true) | None, Some(true)) | (Some(true), None) => HashCheck::Right,
            (Some(true), Some(false)) | (Some(false), Some(true)) => HashCheck::Disagree,
            _ => HashCheck::Wrong,
        }
    }

    fn of(v1: Option<InfoHash>, v2: Option<[u8; 32]>) -> Option<Self> {
        match (v1, v2) {
            (Some(v1), Some(v2)) => Some(Self::Both(v1, v2)),
            (Some(v1), None) => Some(Self::V1(v1)),
            (None, Some(v2)) => Some(Self::V2(v2)),
            (None, None) => None,
        }
    }
}

/// The first 20 bytes of an info hash of version 2 (BEP 52, "infohash").
const fn truncated(hash: &[u8; 32]) -> InfoHash {
    match hash.first_chunk() {
        Some(first) => InfoHash(*first),
        None => panic!("32 bytes begin with 20"),
    }
}

/// Why a magnet link cannot be used: the part that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MagnetError {
    /// It is a link of another kind.
    #[error("a magnet link begins with magnet:?")]
    NotMagnet,
    /// It is longer than any real link.
    #[error("a magnet link has at most {MAX_LINK} bytes")]
    TooLong,
    /// A part is not what it should be.
    #[error("{name}={value}: expected {wanted}")]
    WrongPart {
        /// The name of the part.
        name: String,
        /// Its value, as it came.
        value: String,
        /// What was expected.
        wanted: &'static str,
    },
    /// No part names a torrent.
    #[error("no xt=urn:btih: or xt=urn:btmh: that names a torrent")]
    NoTopic,
    /// Two parts name different torrents.
    #[error("{first} and {second} are two torrents")]
    TwoTopics {
        /// What the first part has.
        first: String,
        /// What another part has.
        second: String,
    },
}

impl Magnet {
    /// The files that are wanted where a user chose these: the user's choice comes before that of the link.
    pub fn choice(&self, own: FileChoice) -> FileChoice {
        if own.is_all() { FileChoice::of_numbers(&self.select) } else { own }
    }

    /// The numbers of the files that it chooses, as in a link; `None` where it chooses none.
    pub fn selection_text(&self) -> Option<String> {
        let ranges = self.select.iter().map(|range| match range.start() == range.end() {
            true => range.start().to_string(),
            false => format!("{}-{}", range.start(), range.end()),
        });
        (!self.select.is_empty()).then(|| ranges.collect::<Vec<_>>().join(","))
    }

    /// A link with nothing but info hashes.
    pub const fn new(hashes: InfoHashes) -> Self {
        Self {
            hashes,
            name: None,
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            peers: Vec::new(),
            nodes: Vec::new(),
            select: Vec::new(),
            others: Vec::new(),
        }
    }

    /// The link to a torrent, with its trackers: by its info hash of version 1, where it has one.
    pub fn of(torrent: &Metainfo) -> Self {
        let trackers = torrent.trackers().into_iter().flatten().collect();
        let hashes = match (&torrent.geometry, torrent.info_hash_v2) {
            (None, Some(hash)) => InfoHashes::V2(hash),
            _ => InfoHashes::V1(torrent.info_hash),
        };
        Self { trackers, ..Self::new(hashes) }
    }

    /// The torrent file that this link and an info dictionary make: trackers, web seeds and DHT nodes of the link around the
    /// dictionary, and the piece layers of the files that have some (BEP 52).
    pub fn torrent_file(&self, info: &[u8], layers: &PieceLayers) -> Vec<u8> {
        bencode::dictionary(|out| {
            if let Some(first) = self.trackers.first() {
                out.bytes("announce", first);
            }
            if self.trackers.len() > 1 {
                out.list("announce-list", |out| {
                    self.trackers.iter().for_each(|tracker| out.list(|out| out.bytes(tracker)));
                });
            }
            out.raw("info", info);
            if !self.nodes.is_empty() {
                out.list("nodes", |out| {
                    for node in &self.nodes {
                        out.list(|out| {
                            out.bytes(&node.host);
                            out.integer(node.port);
                        });
                    }
                });
            }
            if !layers.is_empty() {
                out.dictionary("piece layers", |out| {
                    layers.iter().for_each(|(root, hashes)| out.bytes(root, hashes));
                });
            }
            if !self.web_seeds.is_empty() {
                out.list("url-list", |out| self.web_seeds.iter().for_each(|url| out.bytes(url)));
            }
        })
    }
}

impl FromStr for Magnet {
    type Err = MagnetError;

    fn from_str(link: &str) -> Result<Self, MagnetError> {
        if link.len() > MAX_LINK {
            return Err(MagnetError::TooLong);
        }
        let query =
            link.split_at_checked(SCHEME.len()).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME));
        let (_, query) = query.ok_or(MagnetError::NotMagnet)?;
        let (mut v1, mut v2) = (None, None);
        // The hashes come last: until then there is no link to keep the other parts in.
        let mut magnet = Self::new(InfoHashes::V1(InfoHash([0; 20])));
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let wrong = |wanted| MagnetError::WrongPart {
                name: name.to_owned(),
                value: value.chars().take(SHOWN).collect(),
                wanted,
            };
            let decoded = percent_decode(value.as_bytes());
            let text = || String::from_utf8_lossy(&decoded).into_owned();
            match unnumbered(name) {
                "xt" => match topic(&text()).map_err(wrong)? {
                    Some(Topic::V1(hash)) => set_once(&mut v1, hash, InfoHash::to_string)?,
                    Some(Topic::V2(hash)) => set_once(&mut v2, hash, |hash| Hex(hash).to_string())?,
                    None => magnet.others.push((name.to_owned(), value.to_owned())),
                },
                "dn" if magnet.name.is_none() => {
                    let spaced = value.replace('+', " ");
                    let name = percent_decode(spaced.as_bytes());
                    magnet.name = Some(String::from_utf8_lossy(&name).into_owned());
                }
                "tr" => magnet.trackers.push(text()),
                "ws" => magnet.web_seeds.push(text()),
                "x.pe" => magnet.peers.push(text().parse().map_err(|_| wrong(ENDPOINT))?),
                "dht" => magnet.nodes.push(text().parse().map_err(|_| wrong(ENDPOINT))?),
                "so" => {
                    let select = number_ranges(&text());
                    magnet.select.extend(select.ok_or_else(|| wrong("numbers of files, as in 0,2,4-6"))?);
                }
                _ => magnet.others.push((name.to_owned(), value.to_owned())),
            }
        }
        magnet.hashes = InfoHashes::of(v1, v2).ok_or(MagnetError::NoTopic)?;
        Ok(magnet)
    }
}

impl fmt::Display for Magnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<(&str, String)> = Vec::new();
        parts.extend(self.hashes.v1().map(|hash| ("xt", format!("urn:btih:{hash}"))));
        parts.extend(self.hashes.v2().map(|hash| ("xt", format!("urn:btmh:{SHA256_OF_32}{}", Hex(&hash)))));
        parts.extend(self.name.iter().map(|name| ("dn", escaped(name))));
        parts.extend(self.trackers.iter().map(|url| ("tr", escaped(url))));
        parts.extend(self.web_seeds.iter().map(|url| ("ws", escaped(url))));
        parts.extend(self.peers.iter().map(|peer| ("x.pe", peer.to_string())));
        parts.extend(self.nodes.iter().map(|node| ("dht", node.to_string())));
        parts.extend(self.selection_text().map(|numbers| ("so", numbers)));
        let others = self.others.iter().map(|(name, value)| (name.as_str(), value.clone()));
        f.write_str(SCHEME)?;
        for (number, (name, value)) in parts.into_iter().chain(others).enumerate() {
            let between = if number == 0 { "" } else { "&" };
            write!(f, "{between}{name}={value}")?;
        }
        Ok(())
    }
}

/// What an `xt` names.
enum Topic {
    V1(InfoHash),
    V2([u8; 32]),
}

/// Reads the value of an `xt`; `None` where it names something of another network.
fn topic(value: &str) -> Result<Option<Topic>, &'static str> {
    let lower = value.get(..URN).map(str::to_ascii_lowercase);
    let digits = value.get(URN..).unwrap_or_default();
    match lower.as_deref() {
        Some("urn:btih:") => {
            let hash = match digits.len() {
                40 => from_hex(digits.as_bytes()),
                32 => from_base32(digits),
                _ => None,
            };
            let wanted = "urn:btih: with 40 hexadecimal or 32 base32 digits";
            hash.map(|hash| Some(Topic::V1(InfoHash(hash)))).ok_or(wanted)
        }
        Some("urn:btmh:") => {
            let hash = digits.strip_prefix(SHA256_OF_32).and_then(|digits| from_hex(digits.as_bytes()));
            let wanted = "urn:btmh:1220 with 64 hexadecimal digits";
            hash.map(|hash| Some(Topic::V2(hash))).ok_or(wanted)
        }
        _ => Ok(None),
    }
}

/// Keeps the value of a part that may come again with the same value only.
fn set_once<T: PartialEq>(known: &mut Option<T>, new: T, shown: fn(&T) -> String) -> Result<(), MagnetError> {
    match known {
        Some(first) if *first != new => {
            Err(MagnetError::TwoTopics { first: shown(first), second: shown(&new) })
        }
        _ => {
            *known = Some(new);
            Ok(())
        }
    }
}

/// The name of a part without its number: several of a kind may be `tr.1`, `tr.2` and so on.
fn unnumbered(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((kind, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            kind
        }
        _ => name,
    }
}

/// Reads base32 of RFC 4648, section 6, which 20 bytes fill without padding.
fn from_base32(digits: &str) -> Option<[u8; 20]> {
    let mut hash = [0; 20];
    let mut bits = 0_u16;
    let (mut held, mut at) = (0, 0);
    for digit in digits.bytes() {
        let value = match digit.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => letter - b'A',
            number @ b'2'..=b'7' => number - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u16::from(value);
        held += 5;
        if held >= 8 {
            held -= 8;
            *hash.get_mut(at)? = (bits >> held) as u8;
            at += 1;
        }
    }
    (at == hash.len()).then_some(hash)
}

fn escaped(text: &str) -> String {
    let mut out = Vec::new();
    Escaping::standard().encode(text.as_bytes(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

const SCHEME: &str = "magnet:?";

/// The length of `urn:btih:` and `urn:btmh:`.
const URN: usize = 9;

/// How a multihash names SHA-256 and its 32 bytes (BEP 9, "magnet URI format").
const SHA256_OF_32: &str = "1220";

const ENDPOINT: &str = "host:port, an IPv6 address in brackets";

/// The longest link that is read, bytes; and with it how many parts there are. Links with a hundred trackers have 6 KiB.
pub const MAX_LINK: usize = 64 * 1024;

/// So many characters of a value are shown that is wrong.
const SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "631a31dd0a46257d5078c0dee4e66e26f73e42ac";
    const V2: &str = "caf1e1c30e81cb361b9ee167c4aa64228a7fa4fa9f6105232b28ad099f3a302e";

    fn parse(parts: &str) -> Result<Magnet, MagnetError> {
        format!("magnet:?{parts}").parse()
    }

    #[track_caller]
    fn refused(parts: &str) -> String {
        parse(parts).expect_err("a link that is wrong").to_string()
    }

    #[test]
    fn reads_hashes_in_hex_of_any_case_and_in_base32() {
        let hash = InfoHash(from_hex(HEX.as_bytes()).expect("40 digits"));
        // The base32 of these 20 bytes, as Python's base64 writes it.
        let base32 = "MMNDDXIKIYSX2UDYYDPOJZTOE33T4QVM";
        let upper = HEX.to_uppercase();
        for digits in [HEX, &upper, base32, &base32.to_lowercase()] {
            for urn in ["urn:btih:", "URN:BTIH:", "urn%3Abtih%3A"] {
                let magnet = parse(&format!("xt={urn}{digits}")).expect("a link");
                assert_eq!(magnet, Magnet::new(InfoHashes::V1(hash)), "{urn}{digits}");
            }
        }
        assert!(format!("MAGNET:?xt=urn:btih:{HEX}").parse::<Magnet>().is_ok());
    }

    #[test]
    fn reads_the_hash_of_version_2_only_as_a_multihash() {
        let magnet = parse(&format!("xt=urn:btmh:1220{V2}")).expect("a link");
        assert_eq!(magnet.hashes.v2(), from_hex(V2.as_bytes()));
        assert_eq!(magnet.hashes.handshake().to_string(), V2[..40]);
        let both = parse(&format!("xt.1=urn:btih:{HEX}&xt.2=urn:btmh:1220{V2}")).expect("a link");
        assert_eq!(
            (both.hashes.v2(), both.hashes.handshake().to_string()),
            (from_hex(V2.as_bytes()), HEX.to_owned())
        );
        let wanted = "expected urn:btmh:1220 with 64 hexadecimal digits";
        for digits in [V2.to_owned(), format!("1220{}", &V2[2..]), format!("1120{V2}"), format!("1220{V2}00")]
        {
            assert!(refused(&format!("xt=urn:btmh:{digits}")).contains(wanted), "{digits}");
        }
    }

    #[test]
    fn a_hash_of_another_length_is_never_cut() {
        let wanted = "expected urn:btih: with 40 hexadecimal or 32 base32 digits";
        for digits in [
            V2,
            &HEX[..39],
            "",
            "g31a31dd0a46257d5078c0dee4e66e26f73e42ac",
            "1MNDDXIKIYSX2UDYYDPOJZTOE33T4QVM",
        ] {
            assert_eq!(refused(&format!("xt=urn:btih:{digits}")), format!("xt=urn:btih:{digits}: {wanted}"));
        }
    }

    #[test]
    fn reads_every_part() {
        let link = format!(
            "xt=urn:btih:{HEX}&dn=a+name%20%2B&tr=http%3A%2F%2Fa.test%2Fx%3Fy%3D1%2B&tr.1=udp://b.test:80&ws=http://c.test/\
             &x.pe=10.0.0.1:6881&x.pe=%5B%3A%3A1%5D%3A6882&x.pe=peer.test:1&dht=[2001:db8::1]:6881&so=0,2,4-6&xs=http%3A%2F%2Fd\
             &xl=12&xt=urn:sha1:ABC&tr.x=y&&bare"
        );
        let magnet = parse(&link).expect("a link");
        assert_eq!(magnet.name.as_deref(), Some("a name +"));
        assert_eq!(magnet.trackers, ["http://a.test/x?y=1+", "udp://b.test:80"]);
        assert_eq!(magnet.web_seeds, ["http://c.test/"]);
        let places = |places: &[HostPort]| places.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(places(&magnet.peers), ["10.0.0.1:6881", "[::1]:6882", "peer.test:1"]);
        assert_eq!(places(&magnet.nodes), ["[2001:db8::1]:6881"]);
        assert_eq!(magnet.select, [0..=0, 2..=2, 4..=6]);
        let others =
            [("xs", "http%3A%2F%2Fd"), ("xl", "12"), ("xt", "urn:sha1:ABC"), ("tr.x", "y"), ("bare", "")];
        assert_eq!(magnet.others, others.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn says_which_part_is_wrong() {
        let with = |part: &str| refused(&format!("xt=urn:btih:{HEX}&{part}"));
        for part in [
            "x.pe=10.0.0.1",
            "x.pe=:80",
            "x.pe=a:0",
            "x.pe=a:65536",
            "x.pe=::1:80",
            "x.pe=[::1]80",
            "x.pe=[a]:80",
            "dht=a:+80",
            "dht=a%0Ab:80",
            "x.pe=a/b:80",
        ] {
            assert_eq!(with(part), format!("{part}: expected host:port, an IPv6 address in brackets"));
        }
        for part in ["so=", "so=1,", "so=3-2", "so=-1", "so=+1", "so=4294967296", "so=a"] {
            assert_eq!(with(part), format!("{part}: expected numbers of files, as in 0,2,4-6"));
        }
        assert_eq!(refused("dn=x"), "no xt=urn:btih: or xt=urn:btmh: that names a torrent");
        assert_eq!(refused("xt=urn:sha1:ABC"), "no xt=urn:btih: or xt=urn:btmh: that names a torrent");
        let other = HEX.replace('6', "7");
        assert_eq!(with(&format!("xt=urn:btih:{other}")), format!("{HEX} and {other} are two torrents"));
        assert!(parse(&format!("xt=urn:btih:{HEX}&xt=urn:btih:{HEX}")).is_ok());
        assert_eq!("http://a".parse::<Magnet>(), Err(MagnetError::NotMagnet));
        assert_eq!("magnet:".parse::<Magnet>(), Err(MagnetError::NotMagnet));
        assert_eq!(parse(&"x".repeat(MAX_LINK)), Err(MagnetError::TooLong));
    }

    #[test]
    fn makes_a_torrent_file_around_an_info_dictionary() {
        let link = format!("xt=urn:btih:{HEX}&tr=http://a&tr=http://b&ws=http://c&dht=d:80");
        let magnet = parse(&link).expect("a link");
        let file = magnet.torrent_file(b"d1:xi1ee", &PieceLayers::new());
        assert_eq!(
            file.escape_ascii().to_string(),
            "d8:announce8:http://a13:announce-listll8:http://ael8:http://bee4:infod1:xi1ee5:nodesll1:di80eee\
             8:url-listl8:http://cee"
        );
        assert_eq!(Magnet::new(magnet.hashes).torrent_file(b"de", &PieceLayers::new()), b"d4:infodee");
        let layers = PieceLayers::from([([b'r'; 32], vec![b'h'; 64])]);
        let file = Magnet::new(magnet.hashes).torrent_file(b"de", &layers);
        let (root, hashes) = ("r".repeat(32), "h".repeat(64));
        assert_eq!(file, format!("d4:infode12:piece layersd32:{root}64:{hashes}ee").into_bytes());
    }

    #[test]
    fn both_hashes_have_to_hold() {
        let info = b"d4:name1:xe";
        let v1 = InfoHash(Sha1::digest(info).into());
        let v2 = <[u8; 32]>::from(Sha256::digest(info));
        for (hashes, check) in [
            (InfoHashes::V1(v1), HashCheck::Right),
            (InfoHashes::V2(v2), HashCheck::Right),
            (InfoHashes::Both(v1, v2), HashCheck::Right),
            (InfoHashes::Both(v1, [0; 32]), HashCheck::Disagree),
            (InfoHashes::Both(InfoHash([0; 20]), v2), HashCheck::Disagree),
            (InfoHashes::Both(InfoHash([0; 20]), [0; 32]), HashCheck::Wrong),
            (InfoHashes::V2([0; 32]), HashCheck::Wrong),
        ] {
            assert_eq!(hashes.check(info), check, "{hashes:?}");
        }
    }

    fn a_place() -> impl Strategy<Value = HostPort> {
        let host =
            prop_oneof!["[a-z0-9.-]{1,12}", any::<std::net::Ipv6Addr>().prop_map(|host| host.to_string())];
        (host, 1..=u16::MAX).prop_map(|(host, port)| HostPort { host, port })
    }

    prop_compose! {
        fn a_magnet()(
            v1 in prop::option::of(any::<[u8; 20]>()),
            v2: [u8; 32],
            has_v2: bool,
            name in prop::option::of(".{0,12}"),
            trackers in prop::collection::vec(".{0,20}", 0..3),
            web_seeds in prop::collection::vec(".{0,20}", 0..3),
            peers in prop::collection::vec(a_place(), 0..3),
            nodes in prop::collection::vec(a_place(), 0..3),
            select in prop::collection::vec(any::<(u32, u32)>(), 0..3),
            others in prop::collection::vec(("[a-z]{3}", "[a-z0-9%.+]{0,9}"), 0..3),
        ) -> Magnet {
            let v1 = v1.map(InfoHash);
            let v2 = Some(v2).filter(|_| has_v2 || v1.is_none());
            Magnet {
                hashes: InfoHashes::of(v1, v2).expect("one of both"),
                name, trackers, web_seeds, peers, nodes,
                select: select.into_iter().map(|(a, b)| a.min(b)..=a.max(b)).collect(),
                others: others.into_iter().filter(|(name, _)| name != "dht").collect(),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(magnet in a_magnet()) {
            prop_assert_eq!(magnet.to_string().parse::<Magnet>(), Ok(magnet));
        }

        #[test]
        fn what_is_read_of_any_text_is_written_and_read(parts in "((xt|dn|tr|so|dht|x\\.pe|xs|tr\\.1)=.{0,12}&){0,6}") {
            let link = format!("magnet:?xt=urn:btih:{HEX}&{parts}");
            if let Ok(magnet) = link.parse::<Magnet>() {
                prop_assert_eq!(magnet.to_string().parse::<Magnet>(), Ok(magnet));
            }
        }
    }
}
