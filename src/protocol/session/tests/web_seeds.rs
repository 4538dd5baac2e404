//! Web seeds, and what their servers may do.

use std::collections::VecDeque;
use std::time::Duration;

use sha1::{Digest, Sha1};

use super::support::{A_ID, FAST, HAVE_ALL, OUR_ID, Stage, UNCHOKE, assert_said, content, requests};
use crate::Metainfo;
use crate::lines;
use crate::session::{CloseReason, Config, Identity, Input, ProxyChoice, Session, SessionStreamId};

const PIECE: usize = 32 * 1024;

/// A torrent of these files, all padding whose name begins with a dot, with this web seed under `key`.
fn torrent_of(files: &[(&str, usize)], key: &str, url: &str) -> Metainfo {
    let total = files.iter().map(|(_, length)| length).sum();
    let content = content_of(files, total);
    let hashes: Vec<u8> = content.chunks(PIECE).flat_map(|piece| Sha1::digest(piece).to_vec()).collect();
    let mut file = b"d".to_vec();
    if key == "httpseeds" {
        file.extend(format!("9:httpseedsl{}:{url}e", url.len()).bytes());
    }
    file.extend(b"4:infod");
    match files {
        [(name, length)] => file.extend(format!("6:lengthi{length}e4:name{}:{name}", name.len()).bytes()),
        _ => {
            file.extend(b"5:filesl");
            for (name, length) in files {
                let attribute = if name.starts_with('.') { "4:attr1:p" } else { "" };
                file.extend(format!("d{attribute}6:lengthi{length}e4:pathl{}:{name}ee", name.len()).bytes());
            }
            file.extend(b"e4:name1:n");
        }
    }
    file.extend(format!("12:piece lengthi{PIECE}e6:pieces{}:", hashes.len()).bytes());
    file.extend(hashes);
    file.push(b'e');
    if key == "url-list" {
        file.extend(format!("8:url-list{}:{url}", url.len()).bytes());
    }
    file.push(b'e');
    Metainfo::decode(&file).unwrap()
}

/// The content of these files: padding is zeros.
fn content_of(files: &[(&str, usize)], total: usize) -> Vec<u8> {
    let mut content = content(total);
    let mut at = 0;
    for (name, length) in files {
        if name.starts_with('.') {
            content[at..at + length].fill(0);
        }
        at += length;
    }
    content
}

fn stage_of(files: &[(&str, usize)], url: &str, config: Config) -> Stage {
    let mut stage = Stage::new(config, torrent_of(files, "url-list", url), &[]);
    stage.content = content_of(files, stage.content.len());
    stage
}

/// Settings with which a run ends where there is nobody to turn to.
fn config() -> Config {
    Config { port: 0, ..super::support::config() }
}

fn single_file(length: usize) -> Stage {
    stage_of(&[("f", length)], "http://s.test/f", config())
}

/// A request as the server reads it.
struct Asked {
    stream: u32,
    target: String,
    range: Option<std::ops::Range<usize>>,
}

fn asked(line: &str) -> Option<Asked> {
    let rest = line.strip_prefix("send ")?;
    let (stream, rest) = rest.split_once(" GET ")?;
    let target = rest.split(' ').next()?.to_owned();
    let range = rest.split("Range: bytes=").nth(1).map(|range| {
        let (first, last) = range.split("\\r").next().unwrap().split_once('-').unwrap();
        first.parse().unwrap()..last.parse::<usize>().unwrap() + 1
    });
    Some(Asked { stream: stream.parse().unwrap(), target, range })
}

fn head(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn partial(content: &[u8], range: &std::ops::Range<usize>) -> Vec<u8> {
    let headers = format!("Content-Range: bytes {}-{}/{}\r\n", range.start, range.end - 1, content.len());
    head("206 Partial Content", &headers, &content[range.clone()])
}

/// Opens what is opened and answers what is asked, until nothing is; every line.
fn serve(
    stage: &mut Stage,
    lines: Vec<String>,
    mut answer: impl FnMut(&Asked) -> Option<Vec<u8>>,
) -> Vec<String> {
    let mut queue = VecDeque::from(lines);
    let mut all = Vec::new();
    while let Some(line) = queue.pop_front() {
        if let Some(opened) = line.strip_prefix("open ").filter(|line| line.contains("web seed")) {
            let stream = opened.split(' ').next().unwrap().parse().unwrap();
            queue.extend(stage.opened(stream, "10.0.0.80:80"));
        } else if let Some(asked) = asked(&line)
            && let Some(bytes) = answer(&asked)
        {
            for part in bytes.chunks(10_000) {
                queue.extend(stage.receive(asked.stream, part));
            }
        }
        all.push(line);
        assert!(all.len() < 10_000, "no end: {:?}", &all[all.len() - 20..]);
    }
    all
}

fn count(lines: &[String], what: &str) -> usize {
    lines.iter().filter(|line| line.contains(what)).count()
}

#[test]
fn a_file_comes_in_ranges_and_the_next_is_asked_for_while_one_comes() {
    let mut stage = single_file(3_000_000);
    let content = stage.content.clone();
    let said = stage.said();
    assert_said(said.clone(), lines!["open 2 web seed s.test 80"]);
    let first = stage.opened(2, "10.0.0.80:80");
    assert_eq!(first[0], "web seed http://s.test/f connected");
    let request = asked(&first[1]).unwrap();
    assert_eq!((request.target.as_str(), request.range), ("/f", Some(0..1_048_576)));
    assert!(first[1].contains("\\r\\nAccept-Encoding: identity\\r\\n"), "{first:?}");
    // The head of the answer is enough for the next request.
    let next = stage.receive(2, &partial(&content, &(0..1_048_576))[..1000]);
    assert_eq!(asked(&next[0]).unwrap().range, Some(1_048_576..2_097_152));
    let mut rest = partial(&content, &(0..1_048_576))[1000..].to_vec();
    rest.extend(partial(&content, &(1_048_576..2_097_152)));
    let more = stage.receive(2, &rest);
    let all = serve(&mut stage, more, |asked| Some(partial(&content, asked.range.as_ref()?)));
    assert_eq!(all.last().unwrap(), "done", "{all:?}");
    assert_eq!(stage.kept.len(), 92);
    assert_eq!(count(&all, "open "), 0);
}

#[test]
fn several_files_are_asked_for_by_their_paths_and_padding_is_not() {
    let files = [("a b", 40_000), (".pad", 25_536), ("c", 70_000), ("d", 1)];
    let mut stage = stage_of(&files, "http://s.test/x", config());
    let content = stage.content.clone();
    let said = stage.said();
    let mut targets = Vec::new();
    let all = serve(&mut stage, said, |asked| {
        targets.push(asked.target.clone());
        let (start, length) = match asked.target.as_str() {
            "/x/n/a%20b" => (0, 40_000),
            "/x/n/c" => (65_536, 70_000),
            "/x/n/d" => (135_536, 1),
            other => panic!("{other}"),
        };
        Some(partial(&content[start..start + length], asked.range.as_ref()?))
    });
    assert_eq!(all.last().unwrap(), "done", "{all:?}");
    assert_eq!(targets, ["/x/n/a%20b", "/x/n/c", "/x/n/d"]);
}

/// A server without ranges, such as Python's: every answer is all of the file.
#[test]
fn a_server_without_ranges_gives_whole_files() {
    let files = [("a", 3_000_000), (".pad", 14_592), ("b", 1_500_000)];
    let mut stage = stage_of(&files, "http://s.test/", config());
    let content = stage.content.clone();
    let said = stage.said();
    let mut requests = Vec::new();
    let all = serve(&mut stage, said, |asked| {
        requests.push((asked.target.clone(), asked.range.is_some()));
        let body = if asked.target == "/n/a" { &content[..3_000_000] } else { &content[3_014_592..] };
        Some(head("200 OK", "", body))
    });
    assert_eq!(all.last().unwrap(), "done", "{requests:?} {all:?}");
    assert_eq!(requests, [("/n/a".to_owned(), true), ("/n/b".to_owned(), false)]);
    assert_eq!(stage.session.status(stage.now).wasted, 0);
}

/// The last block is of two files: it is free again between them.
#[test]
fn a_block_of_two_files_comes_from_both_of_a_server_without_ranges() {
    let files = [("a", 50_000), ("b", 1)];
    let mut stage = stage_of(&files, "http://s.test/", config());
    let content = stage.content.clone();
    let said = stage.said();
    let all = serve(&mut stage, said, |asked| {
        let body = if asked.target == "/n/a" { &content[..50_000] } else { &content[50_000..] };
        Some(head("200 OK", "", body))
    });
    assert_eq!(all.last().unwrap(), "done", "{all:?}");
    assert_eq!(stage.kept.len(), 2, "{all:?}");
    assert_eq!(stage.session.status(stage.now).wasted, 0);
}

/// The first bytes of the file are here already, so that nothing is asked for from its beginning: all of it comes once more
/// (B28).
#[test]
fn all_of_a_file_in_place_of_a_later_part_is_left_and_asked_for_openly() {
    let torrent = torrent_of(&[("f", 3_000_000)], "url-list", "http://s.test/f");
    let mut stage = Stage::new(config(), torrent, &[0]);
    let content = stage.content.clone();
    let said = stage.said();
    let all = serve(&mut stage, said, |_| Some(head("200 OK", "", &content)));
    assert_eq!(all.last().unwrap(), "done", "{all:?}");
    let ranges: Vec<_> = all.iter().filter_map(|line| asked(line)).map(|asked| asked.range).collect();
    assert_eq!(ranges, [Some(32_768..1_081_344), None]);
    assert_eq!(count(&all, "failed"), 0);
    assert_eq!(stage.session.status(stage.now).wasted, 32_768);
}

#[test]
fn a_connection_that_closes_after_each_answer_is_no_failure() {
    let mut stage = single_file(3_000_000);
    let content = stage.content.clone();
    let said = stage.said();
    let all = serve(&mut stage, said, |asked| {
        let bytes = partial(&content, asked.range.as_ref()?);
        let text = String::from_utf8_lossy(&bytes[..30]).replace("HTTP/1.1", "HTTP/1.0");
        Some([text.as_bytes(), &bytes[30..]].concat())
    });
    assert_eq!(all.last().unwrap(), "done", "{all:?}");
    assert_eq!(count(&all, "failed"), 0);
    assert!(count(&all, "open ") >= 2);
}

/// What a server does that ends it, or has it left alone.
#[track_caller]
fn assert_fails(answer: Vec<u8>, says: &str) {
    let mut stage = single_file(100_000);
    let said = stage.said();
    let all = serve(&mut stage, said, |_| Some(answer.clone()));
    let failed = all.iter().find(|line| line.starts_with("web seed failed: "));
    assert_eq!(failed.map(String::as_str), Some(format!("web seed failed: {says}").as_str()), "{all:?}");
    assert!(all.contains(&"close 2".to_owned()), "{all:?}");
}

#[test]
fn answers_that_are_not_what_was_asked_for_are_refused() {
    let body = vec![7; 100_000];
    let range = |range: &str| format!("Content-Range: bytes {range}\r\n");
    for answer in [
        head("206 Partial Content", &range("1-100000/200000"), &body),
        head("206 Partial Content", &range("0-99998/100000"), &body[1..]),
        head("206 Partial Content", &range("0-99999/100000"), &body[1..]),
        head("206 Partial Content", "", &body),
    ] {
        assert_fails(answer, "the response has other bytes than those that were requested; again Some(5s)");
    }
    for header in ["Content-Encoding: gzip\r\n", "Transfer-Encoding: chunked\r\n"] {
        let answer = head("206 Partial Content", &(range("0-99999/100000") + header), &body);
        assert_fails(answer, "the response is compressed, or does not say its length; again Some(5s)");
    }
    assert_fails(
        b"SSH-2.0-x\r\n".to_vec(),
        "the response is not HTTP: at byte 0: expected an HTTP status line; again Some(5s)",
    );
    assert_fails(head("500 Oh", "", b"no"), "the server responded with 500 Oh; again Some(5s)");
    for status in ["404 Not Found", "410 Gone", "416 Range Not Satisfiable"] {
        assert_fails(head(status, "", b""), &format!("the server responded with {status}; again None"));
    }
    assert_fails(head("503 Busy", "Retry-After: 90\r\n", b""), "busy; again Some(90s)");
    assert_fails(head("429 Slow Down", "", b""), "busy; again Some(60s)");
    assert_fails(head("200 OK", "", &body[..50]), "the server responded with 200 OK; again None");
}

/// The rest of a body that does not end is not read.
#[test]
fn an_endless_body_is_cut_where_the_part_ends() {
    let mut stage = single_file(100_000);
    stage.said();
    stage.opened(2, "10.0.0.80:80");
    let endless = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-99999/100000\r\n\r\n";
    stage.receive(2, endless);
    let content = stage.content.clone();
    let said = stage.receive(2, &[&content[..], &[0; 50_000]].concat());
    assert!(said.contains(&"close 2".to_owned()) && said.contains(&"done".to_owned()), "{said:?}");
    assert_eq!(stage.session.status(stage.now).downloaded, 100_000);
}

#[test]
fn failures_in_a_row_end_it_and_an_answer_begins_the_row_anew() {
    let mut stage = single_file(100_000);
    let mut lines = stage.said();
    for wait in [5, 10, 20, 40] {
        let stream =
            lines.iter().find_map(|line| line.strip_prefix("open ")?.split(' ').next()?.parse().ok());
        let said = stage.closed(stream.unwrap(), CloseReason::Refused);
        assert_said(
            said,
            lines![format!("web seed failed: the connection was refused; again Some({wait}s)")],
        );
        lines = stage.wait(wait.into());
    }
    let said = stage.closed(10, CloseReason::Refused);
    assert_eq!(said[0], "web seed failed: the connection was refused; again None");
    assert!(stage.over, "there is nobody else: {said:?}");
}

/// 1 byte a second (section 8 of the design); its bytes are kept, and the rest is asked for anew.
#[test]
fn a_server_that_is_too_slow_is_left() {
    let mut stage = single_file(100_000);
    stage.said();
    stage.opened(2, "10.0.0.80:80");
    let content = stage.content.clone();
    let answer = partial(&content, &(0..100_000));
    stage.receive(2, &answer[..200]);
    for at in 200..229 {
        assert_said(stage.wait(1.0), &[]);
        stage.receive(2, &answer[at..=at]);
    }
    let said = stage.wait(1.0);
    assert_said(said, lines!["close 2", "web seed failed: slower than 20 KiB a second; again Some(5s)"]);
    assert_said(stage.wait(5.0), lines!["open 4 web seed s.test 80"]);
    // One that never answers at all, and one that never opens.
    stage.opened(4, "10.0.0.80:80");
    assert!(stage.wait(30.0).contains(&"close 4".to_owned()));
    assert_said(stage.wait(10.0), lines!["open 6 web seed s.test 80"]);
    assert!(
        stage.wait(10.0).contains(&"web seed failed: the connection timed out; again Some(20s)".to_owned())
    );
}

#[test]
fn redirects_are_followed_for_their_file_and_forgotten_with_the_connection() {
    let files = [("a", 1_100_000), ("b", 100_000)];
    let mut stage = stage_of(&files, "http://s.test/x/", config());
    let content = stage.content.clone();
    let said = stage.said();
    let mut targets = Vec::new();
    let all = serve(&mut stage, said, |asked| {
        targets.push((asked.stream, asked.target.clone()));
        match asked.target.as_str() {
            "/x/n/a" => Some(head("302 Found", "Location: ../y/a?k=1\r\n", b"moved")),
            "/x/y/a?k=1" => Some(partial(&content[..1_100_000], asked.range.as_ref()?)),
            "/x/n/b" => Some(head("301 Moved", "Location: http://t.test/b\r\n", b"")),
            "/b" => Some(partial(&content[1_100_000..], asked.range.as_ref()?)),
            other => panic!("{other}"),
        }
    });
    assert_eq!(all.last().unwrap(), "done", "{all:?}");
    assert_eq!(count(&targets.iter().map(|(_, target)| target.clone()).collect::<Vec<_>>(), "/x/n/a"), 1);
    assert!(all.contains(&"open 4 web seed t.test 80".to_owned()), "{all:?}");
}

#[test]
fn a_circle_of_redirects_ends() {
    let mut stage = single_file(100_000);
    let said = stage.said();
    let all = serve(&mut stage, said, |_| Some(head("302 Found", "Location: /f\r\n", b"")));
    assert_eq!(all.iter().filter(|line| asked(line).is_some()).count(), 6);
    assert_eq!(all.last().unwrap(), "web seed failed: more than 5 redirects; again Some(5s)");
    for location in ["ftp://s.test/f", "https://s.test/f", "http://[", ""] {
        let mut stage = single_file(100_000);
        let said = stage.said();
        let mut times = 0;
        let all = serve(&mut stage, said, |_| {
            times += 1;
            (times < 20).then(|| head("302 Found", &format!("Location: {location}\r\n"), b""))
        });
        assert!(times < 20 && count(&all, "failed") == 1, "{location}: {all:?}");
    }
}

/// Of a corrupt piece all is asked of others; the second corrupt piece ends the web seed.
#[test]
fn a_corrupt_piece_is_not_asked_for_again_and_two_end_it() {
    for corrupt in [vec![1], vec![1, 2]] {
        let mut stage = single_file(4 * PIECE);
        let mut content = stage.content.clone();
        corrupt.iter().for_each(|piece| content[piece * PIECE + 5] ^= 1);
        let said = stage.said();
        let all = serve(&mut stage, said, |asked| Some(partial(&content, asked.range.as_ref()?)));
        assert_eq!(count(&all, "corrupt, from [10.0.0.80:80]"), corrupt.len(), "{all:?}");
        assert_eq!(all.iter().filter(|line| asked(line).is_some()).count(), 1, "{all:?}");
        let ended = "web seed failed: sent corrupt data twice; again None".to_owned();
        assert_eq!(all.contains(&ended), corrupt.len() == 2, "{all:?}");
        // Nobody else has the piece: after the pause the run is over, incomplete.
        stage.wait(60.0);
        assert!(stage.over);
        // What follows the second corrupt piece is not taken.
        assert_eq!(stage.kept.len(), if corrupt.len() == 2 { 1 } else { 3 });
    }
}

#[test]
fn a_piece_is_asked_of_a_server_of_pieces() {
    let torrent = torrent_of(&[("f", 70_000)], "httpseeds", "http://s.test/seed?x=1");
    let mut stage = Stage::new(config(), torrent, &[]);
    let content = stage.content.clone();
    let said = stage.said();
    let mut busy = true;
    let mut answer = |asked: &Asked| {
        if std::mem::take(&mut busy) {
            return Some(head("503 Busy", "", b"7"));
        }
        assert!(
            asked.range.is_none() && asked.target.starts_with("/seed?x=1&info_hash=%"),
            "{}",
            asked.target
        );
        let piece: usize = asked.target.split("&piece=").nth(1).unwrap().parse().unwrap();
        Some(head("200 OK", "", &content[piece * PIECE..content.len().min((piece + 1) * PIECE)]))
    };
    let all = serve(&mut stage, said, &mut answer);
    assert_eq!(all.last().unwrap(), "web seed failed: busy; again Some(7s)");
    let again = stage.wait(7.0);
    let all = serve(&mut stage, again, answer);
    assert_eq!(all.last().unwrap(), "done", "{all:?}");
}

#[test]
fn a_web_seed_in_a_local_network_is_not_used_unless_allowed() {
    let mut stage =
        stage_of(&[("f", 100_000)], "http://192.168.1.1/f", Config { allow_local: false, ..config() });
    assert_said(stage.said(), lines!["open 2 web seed 192.168.1.1 80 public"]);
    let said = stage.closed(2, CloseReason::Local([192, 168, 1, 1].into()));
    assert!(said[0].starts_with("web seed failed: 192.168.1.1 is in a local network"), "{said:?}");
    assert!(said[0].ends_with("again None"), "{said:?}");
    assert_eq!(said[1], "done", "{said:?}");
    // Who could be called waits for nobody, when there are rounds and no trackers.
    for (rounds, line) in [(Some(1), Some("done")), (None, None)] {
        let config = Config { allow_local: false, port: 6881, rounds, ..config() };
        let mut stage = stage_of(&[("f", 100_000)], "http://192.168.1.1/f", config);
        stage.said();
        let said = stage.closed(2, CloseReason::Local([192, 168, 1, 1].into()));
        assert_eq!(said.get(1).map(String::as_str), line, "{said:?}");
    }
    // Nor does a server of the Internet lead there.
    let mut stage = stage_of(&[("f", 100_000)], "http://s.test/f", Config { allow_local: false, ..config() });
    stage.said();
    stage.opened(2, "1.1.1.1:80");
    let said = stage.receive(2, &head("302 Found", "Location: http://169.254.169.254/\r\n", b""));
    assert_said(said, lines!["close 2", "open 4 web seed 169.254.169.254 80 public"]);
}

#[test]
fn web_seeds_of_a_link_are_asked_once_the_metadata_is_there() {
    let torrent = torrent_of(&[("f", 100_000)], "url-list", "http://s.test/f");
    let link = format!("magnet:?xt=urn:btih:{}&x.pe=10.0.0.1:6881&ws=http://s.test/f", torrent.info_hash);
    let mut stage = Stage::of_magnet(config(), torrent, &link);
    assert_said(stage.said(), lines!["open 0 10.0.0.1:6881"]);
    let said = stage.hear(Input::Described(stage.torrent.clone(), vec![]));
    assert_said(said.clone(), lines!["open 4 web seed s.test 80"]);
    let content = stage.content.clone();
    let all = serve(&mut stage, said, |asked| Some(partial(&content, asked.range.as_ref()?)));
    assert_eq!(all.last().unwrap(), "done", "{all:?}");
    assert_eq!(stage.kept.len(), 4, "{all:?}");
}

#[test]
fn no_web_seed_is_asked_where_none_is_wanted() {
    let mut profile = config().profile;
    profile.web_seeds = false;
    for config in [Config { profile, ..config() }, Config { single_peer: true, ..config() }] {
        let mut stage = stage_of(&[("f", 100_000)], "http://s.test/f", config);
        assert_said(stage.said(), lines!["done"]);
    }
}

#[test]
fn proxies_are_asked_for_the_whole_url() {
    let proxies = ProxyChoice::by(|_| {
        Ok(Some(crate::session::HttpProxy { host: "p.test".into(), port: 3128, authorization: None }))
    });
    let mut stage = stage_of(&[("f", 100_000)], "http://s.test/f", Config { proxies, ..config() });
    assert_said(stage.said(), lines!["open 2 web seed p.test 3128"]);
    assert_eq!(asked(&stage.opened(2, "10.0.0.1:3128")[1]).unwrap().target, "http://s.test/f");
}

/// A peer and a web seed share the work, and each block is stored once (the stage checks it).
#[test]
fn peers_and_web_seeds_share_the_work() {
    let mut stage = single_file(100 * PIECE);
    let content = stage.content.clone();
    stage.said();
    let to_seed = stage.opened(2, "10.0.0.80:80");
    stage.hear(Input::Accepted(SessionStreamId(1), "10.0.0.1:50000".parse().unwrap()));
    let handshake = stage.handshake(FAST, A_ID);
    stage.receive(1, &handshake);
    let mut queue = VecDeque::from(stage.receive(1, &[&HAVE_ALL[..], &UNCHOKE].concat()));
    let first = queue.clone();
    queue.extend(to_seed);
    let (mut from_peer, mut from_seed) = (0, 0);
    // The web seed gives a range for each four blocks of the peer.
    while let Some(line) = queue.pop_front() {
        if let Some(asked) = asked(&line) {
            from_seed += 1;
            queue.extend(stage.receive(asked.stream, &partial(&content, asked.range.as_ref().unwrap())));
        }
        for (stream, index, begin, length) in requests(&line) {
            from_peer += 1;
            let block = stage.block(index, begin, length);
            queue.extend(stage.receive(stream, &block));
        }
    }
    assert!(stage.over, "{:?}", stage.kept);
    assert!(from_peer > 0 && from_seed > 0, "{from_peer} {from_seed}: {first:?}");
}

/// Whatever comes, nothing panics, and every wait has an end.
#[test]
fn any_cut_of_an_answer_gives_the_same() {
    let whole = |cut: usize| {
        let mut stage = single_file(20_000);
        let content = stage.content.clone();
        stage.said();
        stage.opened(2, "10.0.0.80:80");
        let answer = partial(&content, &(0..20_000));
        let mut said: Vec<String> = answer.chunks(cut).flat_map(|part| stage.receive(2, part)).collect();
        said.sort();
        said
    };
    let first = whole(1_000_000);
    for cut in [1, 2, 3, 100, 16_384, 40_000] {
        assert_eq!(whole(cut), first, "{cut}");
    }
}

#[test]
fn a_session_can_be_made_with_thousands_of_web_seeds() {
    let urls: String = (0..1_000).map(|number| format!("18:http://s/{number:09}")).collect();
    let file = format!(
        "d4:infod6:lengthi4e4:name1:f12:piece lengthi16384e6:pieces20:....................e8:url-listl{urls}ee"
    );
    let torrent = std::sync::Arc::new(Metainfo::decode(file.as_bytes()).unwrap());
    let now = crate::Timestamp::from_secs_nanos(1_000, 0);
    let identity = Identity::new(crate::PeerId(*OUR_ID), 0, 1);
    let mut session = Session::new(config(), torrent, identity, [], now);
    session.handle(now, Input::Tick);
    let mut opened = 0;
    loop {
        match session.poll() {
            crate::session::Output::Open(..) => opened += 1,
            crate::session::Output::Wait(Some(at)) if at > now + Duration::ZERO => break,
            crate::session::Output::Wait(None) => break,
            _ => {}
        }
    }
    assert_eq!(opened, 3, "one block is asked of so many at the most");
}
