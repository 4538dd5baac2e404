//! Web seeds: HTTP servers that have a torrent's files, asked for parts of them by range (BEP 19).

use std::ops::Range;

use crate::geometry::FileRange;
use crate::metainfo::Metainfo;
use crate::tracker::http::{Request, percent_decode};

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
    let pieces = metainfo.geometry.as_ref()?.pieces_in(&part);
    Some(Wanted { part, pieces })
}

/// The file for which a web seed at `url` is asked. A URL that ends in a slash has the torrent's name behind it, and
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
    let number =
        |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?;
    let bytes = match (first, last) {
        ("", count) => length.saturating_sub(number(count)?)..length,
        (first, "") => number(first)?..length,
        (first, last) => number(first)?..u64::min(number(last)?.checked_add(1)?, length),
    };
    (bytes.start < bytes.end).then_some(bytes)
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
}
