//! Connections to web seeds in raw bytes.

use std::ops::Range;

use super::*;

/// Of one file `f`, 40,000 bytes, in pieces of 16 KiB.
fn torrent() -> Arc<Metainfo> {
    let info = format!("6:lengthi40000e4:name1:f12:piece lengthi16384e6:pieces60:{}", "x".repeat(60));
    let text = format!("d4:infod{info}e8:url-list15:http://seed:80/e");
    Arc::new(Metainfo::decode(text.as_bytes()).unwrap())
}

fn ask(range: &str) -> Vec<u8> {
    format!("GET /f HTTP/1.1\r\nHost: seed\r\nRange: bytes={range}\r\n\r\n").into_bytes()
}

/// The head of an answer that has these bytes of the file.
fn answer(bytes: Range<usize>) -> Vec<u8> {
    let range = format!("Content-Range: bytes {}-{}/40000", bytes.start, bytes.end - 1);
    head("206 Partial Content", &format!("Content-Length: {}\r\n{range}", bytes.len()))
}

fn head(status: &str, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}\r\n\r\n").into_bytes()
}

/// Name, length and summary of each record, the same however bytes are cut.
fn said(steps: &[Step]) -> Vec<(&'static str, u64, String)> {
    let mut seen = None;
    for cut in [usize::MAX, 1, 19, 1448] {
        let mut dissector = Dissector::knowing(vec![torrent()]);
        let records = play(&mut dissector, StreamOpening::Syn, steps, cut);
        let mut said: Vec<_> = records
            .iter()
            .map(|record| (record.direction, record.body.message(), record.length(), crate::describe(record)))
            .collect();
        said.sort_by_key(|one| one.0);
        let said: Vec<_> = said.into_iter().map(|(_, name, length, text)| (name, length, text)).collect();
        assert_eq!(*seen.get_or_insert(said.clone()), said, "cut at {cut}");
    }
    seen.unwrap()
}

fn texts(steps: &[Step]) -> Vec<String> {
    said(steps).into_iter().map(|(_, _, text)| text).collect()
}

#[test]
fn bytes_of_a_file_are_named_as_they_come() {
    let steps = [
        Says(A, ask("16384-39999")),
        Says(B, answer(16_384..40_000)),
        Says(B, vec![7; 23_616]),
        Says(A, ask("0-1")),
        Says(B, [answer(0..2), vec![1, 2]].concat()),
        Closes,
    ];
    let expected = [
        "request f, 23,616 bytes at 16384, in pieces 1 to 2",
        "request f, 2 bytes at 0, in piece 0",
        "response: HTTP status 206 to f, 23,616 bytes at 16384, in pieces 1 to 2",
        "data f, 16 KiB at 16384, in piece 1",
        "data f, 7,232 bytes at 32768, in piece 2",
        "response: HTTP status 206 to f, 2 bytes at 0, in piece 0",
        "data f, 2 bytes at 0, in piece 0",
    ];
    assert_eq!(texts(&steps), expected);
}

#[test]
fn a_loss_within_a_body_loses_no_place() {
    let steps = [
        Says(A, ask("0-39999")),
        Says(B, [answer(0..40_000), vec![7; 10_000]].concat()),
        Loses(B, 20_000),
        Says(B, [vec![7; 10_000], head("204 Nothing", "A: b")].concat()),
        Closes,
    ];
    let said = said(&steps);
    let names: Vec<_> = said.iter().map(|(name, length, _)| (*name, *length)).collect();
    let lengths: Vec<_> = names.iter().map(|(_, length)| *length).collect();
    assert_eq!(
        names.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["request", "response", "data", "gap", "data", "opaque"]
    );
    assert_eq!(lengths[2..5], [10_000, 20_000, 10_000]);
    assert_eq!(said[4].2, "data f, 10,000 bytes at 30000, in pieces 1 to 2");
}

#[test]
fn an_answer_to_something_else_is_ordinary() {
    let page = b"GET /page HTTP/1.1\r\nHost: seed\r\n\r\n".to_vec();
    let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone".to_vec();
    let steps =
        [Says(A, ask("0-9")), Says(B, missing.clone()), Says(A, page.clone()), Says(B, missing), Closes];
    let names: Vec<_> = said(&steps).into_iter().map(|(name, _, _)| name).collect();
    assert_eq!(names, ["request", "opaque", "response", "opaque", "opaque", "opaque"]);
    assert_eq!(texts(&[Says(A, page), Closes]), [""; 0], "a connection that begins so is none");
}

#[test]
fn without_the_torrent_a_web_seed_is_an_http_server() {
    let steps = [Says(A, ask("0-9")), Says(B, answer(0..10)), Closes];
    assert!(play(&mut Dissector::new(), StreamOpening::Syn, &steps, usize::MAX).is_empty());
}

/// What the data of an answer to the request for the bytes 16384 to 16403 are said to be.
fn data_of(status: &str, headers: &str, body: &[u8]) -> Vec<String> {
    let steps = [Says(A, ask("16384-16403")), Says(B, [&head(status, headers), body].concat()), Closes];
    let texts = texts(&steps);
    assert!(texts[1].starts_with("response: HTTP status"), "{texts:?}");
    texts[2..].to_vec()
}

#[test]
fn an_answer_has_the_bytes_that_it_says_not_those_that_were_asked() {
    let partial = |range: &str, length: usize| {
        let headers = format!("Content-Length: {length}\r\nContent-Range: {range}");
        data_of("206 Partial Content", &headers, &vec![7; length])
    };
    let ordinary = |length: u64| format!("{length} bytes of ordinary HTTP, not of a tracker");
    assert_eq!(partial("bytes 16390-16394/40000", 5), ["data f, 5 bytes at 16390, in piece 1"]);
    // Longer than it says, and than the file.
    let expected = ["data f, 4 bytes at 16384, in piece 1".to_owned(), ordinary(16)];
    assert_eq!(partial("bytes 16384-16387/40000", 20), expected);
    let expected = ["data f, 2 bytes at 39998, in piece 2".to_owned(), ordinary(18)];
    assert_eq!(partial("bytes 39998-40017/*", 20), expected);
    for range in ["bytes 40000-40019/*", "bytes */40000", "16384-16403/40000", "bytes 16403-16384/40000"] {
        assert_eq!(partial(range, 20), [ordinary(20)], "{range}");
    }
    let parts = b"--x\r\nContent-Range: bytes 16384-16393/40000\r\n\r\n0123456789\r\n--x--\r\n";
    let multipart =
        format!("Content-Type: multipart/byteranges; boundary=x\r\nContent-Length: {}", parts.len());
    assert_eq!(data_of("206 Partial Content", &multipart, parts), [ordinary(parts.len() as u64)]);
}

#[test]
fn an_answer_of_the_whole_file_ends_with_it() {
    let steps = [
        Says(A, ask("16384-16403")),
        Says(B, [head("200 OK", "Content-Length: 40010"), vec![7; 40_010]].concat()),
        Says(A, ask("0-1")),
        Says(B, [answer(0..2), vec![1, 2]].concat()),
        Closes,
    ];
    let expected = [
        "data f, 16 KiB at 0, in piece 0",
        "data f, 16 KiB at 16384, in piece 1",
        "data f, 7,232 bytes at 32768, in piece 2",
        "10 bytes of ordinary HTTP, not of a tracker",
        "response: HTTP status 206 to f, 2 bytes at 0, in piece 0",
        "data f, 2 bytes at 0, in piece 0",
    ];
    assert_eq!(texts(&steps)[3..], expected);
    // Nothing tells the length but the end of the connection.
    let expected = ["data f, 16 KiB at 0, in piece 0", "data f, 16 bytes at 16384, in piece 1"];
    assert_eq!(data_of("200 OK", "Connection: close", &[7; 16_400]), expected);
}

#[test]
fn bytes_in_chunks_or_packed_are_none_of_the_file() {
    let chunks = b"5\r\nabcde\r\n5\r\nfghij\r\n0\r\n\r\n";
    let range = "Content-Range: bytes 16384-16393/40000";
    let chunked = format!("Transfer-Encoding: chunked\r\n{range}");
    let nothing = ["25 bytes of ordinary HTTP, not of a tracker"];
    assert_eq!(data_of("206 Partial Content", &chunked, chunks), nothing);
    assert_eq!(data_of("200 OK", "Transfer-Encoding: chunked", chunks), nothing);
    for (coding, is_verbatim) in [("gzip", false), ("identity", true), ("Identity, br", false)] {
        let headers = format!("Content-Length: 10\r\nContent-Encoding: {coding}\r\n{range}");
        let expected = match is_verbatim {
            true => "data f, 10 bytes at 16384, in piece 1",
            false => "10 bytes of ordinary HTTP, not of a tracker",
        };
        assert_eq!(data_of("206 Partial Content", &headers, &[7; 10]), [expected], "{coding}");
    }
}

/// BEP 17: what is asked says of which torrent and piece it is.
#[test]
fn an_http_seed_is_known_without_the_torrent() {
    let ask = |rest: &str| {
        let hash = "%9C%D9i%8A%F5Uu%1A%91%86%AE%06lW%EA%21W%235%E0";
        format!("GET /seed.php?info_hash={hash}&piece=8{rest} HTTP/1.1\r\nHost: s\r\n\r\n").into_bytes()
    };
    let answer = |status: &str, length: usize| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n").into_bytes()
    };
    let steps = [
        Says(A, ask("&ranges=49152-65535,180224-180227")),
        Says(B, [answer("200 OK", 16_388), vec![7; 16_388]].concat()),
        Says(A, ask("")),
        Says(B, [answer("503 Later", 2), b"30".to_vec()].concat()),
        Says(A, ask("")),
        Says(B, [answer("200 OK", 20_000), vec![7; 10_000]].concat()),
        Loses(B, 5_000),
        Says(B, vec![7; 5_000]),
        Says(A, ask("&ranges=0-0")),
        Says(B, [answer("200 OK", 2), vec![7; 2]].concat()),
        Says(A, b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        Closes,
    ];
    let expected = [
        "request piece 8, 16 KiB at 49152; 4 bytes at 180224",
        "request piece 8, whole",
        "request piece 8, whole",
        "request piece 8, 1 byte at 0",
        "18 bytes of ordinary HTTP, not of a tracker",
        "response: HTTP status 200 to piece 8, 16 KiB at 49152; 4 bytes at 180224",
        "data piece 8, 16 KiB at 49152",
        "data piece 8, 4 bytes at 180224",
        "response: HTTP status 503 to piece 8, whole",
        "2 bytes of ordinary HTTP, not of a tracker",
        "response: HTTP status 200 to piece 8, whole",
        "data piece 8, 10,000 bytes at 0",
        "gap: the capture lost 5,000 bytes",
        "data piece 8, 5,000 bytes at 15000",
        "response: HTTP status 200 to piece 8, 1 byte at 0",
        "data piece 8, 1 byte at 0",
        "1 byte of ordinary HTTP, not of a tracker",
    ];
    assert_eq!(texts(&steps), expected);
    let packed = [head("200 OK", "Content-Encoding: gzip\r\nContent-Length: 2"), vec![7; 2]].concat();
    let steps = [Says(A, ask("&ranges=0-1")), Says(B, packed), Closes];
    assert_eq!(texts(&steps)[2..], ["2 bytes of ordinary HTTP, not of a tracker"]);
}
