//! Web seeds: HTTP servers that have a torrent's files, asked for parts of them by range (BEP 19), or for pieces (BEP 17).

use std::ops::Range;
use std::str::FromStr;

use crate::geometry::FileRange;
use crate::metainfo::Metainfo;
use crate::tracker::http::{Escaping, Request, percent_decode};
use crate::{InfoHash, PieceIndex};

mod answer;

pub use answer::{AnswerHead, AnswerPart, AnswerReader, BodyLength};

/// The part of a torrent's file that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The file, by its number in the torrent, and its bytes.
    pub part: FileRange,
    /// The pieces in which that part lies.
    pub pieces: Range<u32>,
}

/// What `request` asks of one of the torrent's web seeds; `None` when it is to none of them, or for none of the
/// torrent's bytes.
pub fn wanted(metainfo: &Metainfo, request: &Request) -> Option<Wanted> {
    if request.method() != b"GET" || metainfo.url_list.is_empty() {
        return None;
    }
    let file = metainfo.url_list.iter().find_map(|url| file_at(metainfo, url, request))?;
    let length = metainfo.files.get(file)?.length;
    let bytes = match request.header("range") {
        Some(range) => bytes_of(range, length)?,
        None => 0..length,
    };
    let part = FileRange { file, bytes };
    let pieces = metainfo.placement()?.pieces_in(&part);
    Some(Wanted { part, pieces })
}

/// The target of a request for a file of the torrent, at a web seed whose URL has the target `seed` (path and query).
/// `None` where there is no such file. A URL that ends in a slash, and one for several files, has the torrent's name and the
/// file's path after it (BEP 19, "metadata extension" and "multi-file torrents").
pub fn file_target(metainfo: &Metainfo, seed: &str, file: usize) -> Option<String> {
    let path = &metainfo.files.get(file)?.path;
    let is_single = metainfo.files.len() == 1;
    if is_single && !seed.ends_with('/') {
        return Some(seed.to_owned());
    }
    let mut target = seed.strip_suffix('/').unwrap_or(seed).as_bytes().to_vec();
    let below = path.iter().filter(|_| !is_single);
    for name in std::iter::once(&metainfo.name).chain(below) {
        target.push(b'/');
        Escaping::standard().encode(&name.0, &mut target);
    }
    String::from_utf8(target).ok()
}

/// The part of a piece that a request asks an HTTP seed for (BEP 17).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedPiece {
    /// The torrent.
    pub info_hash: InfoHash,
    /// The piece.
    pub piece: PieceIndex,
    /// Which of its bytes, in the order asked for; none for all of them.
    pub ranges: Vec<Range<u32>>,
}

/// What `request` asks of an HTTP seed: `info_hash`, `piece`, and `ranges` where it is not the whole piece. No torrent is
/// needed to tell (BEP 17, "Protocol").
pub fn wanted_piece(request: &Request) -> Option<WantedPiece> {
    if request.method() != b"GET" {
        return None;
    }
    let info_hash = InfoHash(request.parameter(b"info_hash")?.try_into().ok()?);
    let piece = PieceIndex(number(request.parameter(b"piece")?)?);
    let ranges = match request.parameter(b"ranges") {
        Some(ranges) => {
            ranges.split(|&byte| byte == b',').take(MAX_RANGES).map(range).collect::<Option<_>>()?
        }
        None => Vec::new(),
    };
    Some(WantedPiece { info_hash, piece, ranges })
}

impl WantedPiece {
    /// The target of the request for it, at an HTTP seed whose URL has the target `seed` (path and query).
    pub fn target(&self, seed: &str) -> String {
        let mut target = seed.as_bytes().to_vec();
        target.extend_from_slice(if seed.contains('?') { b"&info_hash=" } else { b"?info_hash=" });
        Escaping::standard().encode(&self.info_hash.0, &mut target);
        target.extend_from_slice(format!("&piece={}", self.piece.0).as_bytes());
        for (number, range) in self.ranges.iter().enumerate() {
            let before = if number == 0 { "&ranges=" } else { "," };
            target.extend_from_slice(format!("{before}{}-{}", range.start, range.end.max(1) - 1).as_bytes());
        }
        String::from_utf8_lossy(&target).into_owned()
    }

    /// The ranges of the piece that stand at `bytes` of the answer, which is all ranges asked for in one. When the whole
    /// piece was asked for, an answer's bytes are those of the piece.
    pub fn within(&self, bytes: Range<u64>) -> Vec<Range<u32>> {
        let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        if self.ranges.is_empty() {
            return std::iter::once(narrow(bytes.start)..narrow(bytes.end)).collect();
        }
        let mut at = 0;
        let mut within = Vec::new();
        for range in &self.ranges {
            let end = at + u64::from(range.end - range.start);
            let (from, to) = (bytes.start.clamp(at, end), bytes.end.clamp(at, end));
            if from < to {
                within.push(range.start + narrow(from - at)..range.start + narrow(to - at));
            }
            at = end;
        }
        within
    }

    /// How many bytes are asked for; `None` for the whole piece.
    pub fn length(&self) -> Option<u64> {
        let lengths = self.ranges.iter().map(|range| u64::from(range.end - range.start));
        (!self.ranges.is_empty()).then(|| lengths.sum())
    }
}

/// `first-last`, which is one byte at least.
fn range(text: &[u8]) -> Option<Range<u32>> {
    let dash = text.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (number::<u32>(&text[..dash])?, number(&text[dash + 1..])?);
    (first <= last).then_some(first..last.checked_add(1)?)
}

/// A number of decimal digits alone.
fn number<T: FromStr>(digits: &[u8]) -> Option<T> {
    let digits = std::str::from_utf8(digits).ok()?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// How many ranges of a piece are read; a piece of 16 MiB has 1,024 blocks.
const MAX_RANGES: usize = 1024;

/// The file for which a web seed at `url` is asked. A URL that ends in a slash has the torrent's name after it, and
/// one for several files is that of the folder in which the torrent's stands (BEP 19, "metadata extension" and
/// "multi-file torrents").
fn file_at(metainfo: &Metainfo, url: &str, request: &Request) -> Option<usize> {
    let rest = url.strip_prefix("http://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = request.header("host")?;
    // libtorrent leaves the port out of the Host header, whatever it is.
    if !without_port(host).eq_ignore_ascii_case(without_port(authority.as_bytes())) {
        return None;
    }
    let (asked, seed) = (percent_decode(request.path()), percent_decode(path.as_bytes()));
    if asked == seed {
        return (metainfo.files.len() == 1).then_some(0);
    }
    let below = asked.strip_prefix(seed.strip_suffix(b"/").unwrap_or(&seed))?.strip_prefix(b"/")?;
    if metainfo.files.len() == 1 && below == metainfo.name.0 {
        return Some(0);
    }
    let below = below.strip_prefix(metainfo.name.0.as_slice())?.strip_prefix(b"/")?;
    metainfo.files.iter().position(|file| {
        let mut names = below.split(|&byte| byte == b'/');
        file.path.iter().all(|name| names.next() == Some(&name.0)) && names.next().is_none()
    })
}

/// A host's name or address alone.
fn without_port(host: &[u8]) -> &[u8] {
    match host.iter().rposition(|&byte| byte == b':') {
        Some(colon) if host[colon + 1..].iter().all(u8::is_ascii_digit) => &host[..colon],
        _ => host,
    }
}

/// The bytes that a Range header asks for, of a file of `length` bytes (RFC 9110, section 14.1.2). `None` when it asks
/// for several parts, for none that there is, or in other units.
pub fn bytes_of(range: &[u8], length: u64) -> Option<Range<u64>> {
    let (first, last) = std::str::from_utf8(range).ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let bytes = match (first, last) {
        ("", count) => length.saturating_sub(number(count.as_bytes())?)..length,
        (first, "") => number(first.as_bytes())?..length,
        (first, last) => {
            number(first.as_bytes())?..u64::min(number::<u64>(last.as_bytes())?.checked_add(1)?, length)
        }
    };
    (bytes.start < bytes.end).then_some(bytes)
}

/// The bytes that an answer with this Content-Range header has, `bytes first-last/length` with `*` for a length that is
/// not known (RFC 9110, section 14.4). `None` when it is not so written, or has none.
pub fn content_range(value: &[u8]) -> Option<Range<u64>> {
    let (unit, range) = std::str::from_utf8(value).ok()?.trim_ascii().split_once(' ')?;
    let (bytes, length) = range.trim_ascii().split_once('/')?;
    let (first, last) = bytes.split_once('-')?;
    let end = number::<u64>(last.as_bytes())?.checked_add(1)?;
    let bytes: Range<u64> = number(first.as_bytes())?..end;
    let fits = length == "*" || number::<u64>(length.as_bytes())? >= end;
    (unit.eq_ignore_ascii_case("bytes") && fits && bytes.start < bytes.end).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of 16 KiB; 20,000 and 40,000 bytes.
    fn torrent(seed: &str) -> Metainfo {
        let files = "d6:lengthi20000e4:pathl1:aeed6:lengthi40000e4:pathl3:sub5:b  .xee";
        let info = format!("5:filesl{files}e4:name3:n m12:piece lengthi16384e6:pieces80:{}", "x".repeat(80));
        let text = format!("d4:infod{info}e8:url-listl5:other{}:{seed}ee", seed.len());
        Metainfo::decode(text.as_bytes()).unwrap()
    }

    fn single(seed: &str) -> Metainfo {
        let info = format!("6:lengthi40000e4:name1:f12:piece lengthi16384e6:pieces60:{}", "x".repeat(60));
        let text = format!("d4:infod{info}e8:url-list{}:{seed}e", seed.len());
        Metainfo::decode(text.as_bytes()).unwrap()
    }

    fn ask(metainfo: &Metainfo, path: &str, range: &str) -> Option<(usize, Range<u64>, Range<u32>)> {
        let range = if range.is_empty() { String::new() } else { format!("Range: {range}\r\n") };
        let request = format!("GET {path} HTTP/1.1\r\nhost: Seed.example:8080\r\n{range}\r\n");
        let wanted = wanted(metainfo, &Request::decode(request.as_bytes()).unwrap())?;
        Some((wanted.part.file, wanted.part.bytes, wanted.pieces))
    }

    #[test]
    fn a_range_of_a_file_lies_in_pieces() {
        let torrent = torrent("http://seed.example:8080/pub/");
        assert_eq!(ask(&torrent, "/pub/n%20m/a", ""), Some((0, 0..20_000, 0..2)));
        assert_eq!(
            ask(&torrent, "/pub/n%20m/sub/b%20%20.x", "bytes=12768-12769"),
            Some((1, 12_768..12_770, 2..3)),
            "the first two bytes of piece 2"
        );
        assert_eq!(ask(&torrent, "/pub/n%20m/a", "bytes=19999-"), Some((0, 19_999..20_000, 1..2)));
        assert_eq!(ask(&torrent, "/pub/n%20m/a", "bytes=-10"), Some((0, 19_990..20_000, 1..2)));
    }

    /// Every file begins a piece (BEP 52).
    #[test]
    fn files_of_version_2_are_asked_for_too() {
        let file = |length| format!("d0:d6:lengthi{length}e11:pieces root32:{}ee", "r".repeat(32));
        let (a, b) = (file(20_000), file(40_000));
        let info = format!("9:file treed1:a{a}1:b{b}e12:meta versioni2e4:name1:n12:piece lengthi16384e");
        let text = format!("d4:infod{info}e8:url-list26:http://seed.example:8080/xe");
        let torrent = Metainfo::decode(text.as_bytes()).unwrap();
        assert_eq!(ask(&torrent, "/x/n/b", "bytes=0-16384"), Some((1, 0..16_385, 2..4)));
    }

    #[test]
    fn the_url_of_a_single_file_is_its_own_or_its_folders() {
        for (seed, path) in [
            ("http://seed.example:8080/pub/other-name", "/pub/other-name"),
            ("http://seed.example:8080/pub/", "/pub/f"),
            ("http://SEED.example:8080", "/f"),
            ("http://seed.example", "/f"),
        ] {
            assert_eq!(ask(&single(seed), path, "bytes=0-16383"), Some((0, 0..16_384, 0..1)), "{seed}");
        }
    }

    #[test]
    fn other_requests_are_to_no_web_seed() {
        let torrent = torrent("http://seed.example:8080/pub/");
        for path in
            ["/", "/pub/", "/pub/n%20m", "/pub/n%20m/b", "/pub/n%20m/a/x", "/n%20m/a", "/pub/n%20m/sub"]
        {
            assert_eq!(ask(&torrent, path, ""), None, "{path}");
        }
        for range in
            ["bytes=20000-", "bytes=5-4", "bytes=0-1,4-5", "lines=1-2", "bytes=+1-2", "bytes=-", "bytes=a-"]
        {
            assert_eq!(ask(&torrent, "/pub/n%20m/a", range), None, "{range}");
        }
        assert_eq!(ask(&single("ftp://seed.example:8080/f"), "/f", ""), None);
        assert_eq!(ask(&single("http://elsewhere/f"), "/f", ""), None);
    }

    #[test]
    fn a_content_range_says_which_bytes_come() {
        for (value, bytes) in [
            ("bytes 0-0/1", Some(0..1)),
            ("Bytes 16384-39999/40000", Some(16_384..40_000)),
            ("bytes 5-9/*", Some(5..10)),
            ("bytes */40000", None),
            ("bytes 5-4/10", None),
            ("bytes 5-10/10", None),
            ("bytes=5-9/10", None),
            ("bytes 5-9", None),
            ("bytes +5-9/10", None),
            ("bytes 0-18446744073709551615/*", None),
            ("lines 5-9/10", None),
            ("", None),
        ] {
            assert_eq!(content_range(value.as_bytes()), bytes, "{value}");
        }
    }

    fn piece_of(target: &str) -> Option<(u32, Vec<Range<u32>>)> {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let wanted = wanted_piece(&Request::decode(request.as_bytes()).unwrap())?;
        assert_eq!(wanted.info_hash.0[..3], [0x9c, 0xd9, 0x69]);
        Some((wanted.piece.0, wanted.ranges))
    }

    /// The examples of BEP 17.
    #[test]
    fn an_http_seed_is_asked_for_a_piece_or_ranges_of_it() {
        let hash = "info_hash=%9C%D9i%8A%F5Uu%1A%91%86%AE%06lW%EA%21W%235%E0";
        assert_eq!(piece_of(&format!("/seed.php?{hash}&piece=3")), Some((3, vec![])));
        assert_eq!(
            piece_of(&format!("/seed.php?x=y&{hash}&piece=8&ranges=49152-131071,180224-262143")),
            Some((8, vec![49_152..131_072, 180_224..262_144]))
        );
        for other in [
            format!("/seed.php?{hash}"),
            format!("/seed.php?{hash}&piece=-1"),
            format!("/seed.php?{hash}&piece="),
            format!("/seed.php?{hash}&piece=1&ranges=5-4"),
            format!("/seed.php?{hash}&piece=1&ranges=0-4294967295"),
            format!("/seed.php?{hash}&piece=1&ranges="),
            "/seed.php?info_hash=short&piece=1".to_owned(),
        ] {
            assert_eq!(piece_of(&other), None, "{other}");
        }
    }

    #[test]
    fn an_answers_bytes_are_those_of_the_ranges_in_turn() {
        let wanted = |ranges: &[Range<u32>]| WantedPiece {
            info_hash: InfoHash([0; 20]),
            piece: PieceIndex(1),
            ranges: ranges.to_vec(),
        };
        assert_eq!((wanted(&[]).within(5..9), wanted(&[]).length()), (vec![5..9; 1], None));
        let two = wanted(&[10..20, 100..130]);
        assert_eq!(two.length(), Some(40));
        assert_eq!(two.within(0..40), [10..20, 100..130]);
        assert_eq!(two.within(4..15), [14..20, 100..105]);
        assert_eq!(two.within(10..11), vec![100..101; 1]);
        assert_eq!(two.within(40..99), []);
    }

    /// A request that is written as one is read as the same.
    #[track_caller]
    fn assert_asks(metainfo: &Metainfo, seed: &str, file: usize, target: &str) {
        assert_eq!(file_target(metainfo, seed, file).as_deref(), Some(target));
        let length = metainfo.files[file].length;
        assert_eq!(ask(metainfo, target, "").map(|(file, bytes, _)| (file, bytes)), Some((file, 0..length)));
    }

    #[test]
    fn the_target_of_a_file_is_its_escaped_path() {
        for seed in ["/pub/", "/pub"] {
            let torrent = torrent(&format!("http://seed.example:8080{seed}"));
            assert_asks(&torrent, seed, 0, "/pub/n%20m/a");
            assert_asks(&torrent, seed, 1, "/pub/n%20m/sub/b%20%20.x");
            assert_eq!(file_target(&torrent, seed, 2), None);
        }
        assert_asks(&single("http://seed.example:8080/pub/"), "/pub/", 0, "/pub/f");
        assert_asks(&single("http://seed.example:8080/other"), "/other", 0, "/other");
    }

    #[test]
    fn the_target_of_a_piece_is_read_as_the_same_piece() {
        let mut wanted = WantedPiece {
            info_hash: InfoHash(*b"\x9c\xd9i\x8a\xf5Uu\x1a\x91\x86\xae\x06lW\xea!W#5\xe0"),
            piece: PieceIndex(8),
            ranges: Vec::new(),
        };
        let hash = "info_hash=%9C%D9i%8A%F5Uu%1A%91%86%AE%06lW%EA%21W%235%E0";
        assert_eq!(wanted.target("/seed.php"), format!("/seed.php?{hash}&piece=8"));
        wanted.ranges = vec![49_152..131_072, 180_224..262_144];
        let target = wanted.target("/seed.php?x=y");
        assert_eq!(target, format!("/seed.php?x=y&{hash}&piece=8&ranges=49152-131071,180224-262143"));
        assert_eq!(piece_of(&target), Some((8, wanted.ranges)));
    }
}
