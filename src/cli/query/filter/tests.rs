//! Expressions against one message, and what is said of wrong ones.

use bittrace_protocol::wire::Message;
use bittrace_protocol::{Block, PieceIndex, Timestamp};
use bittrace_trace::record::{Answer, Body, PeerEffect, PeerWireBody, Record, Side, Transport};
use bittrace_trace::rules::rule;
use bittrace_trace::{Direction, StreamId};
use bytes::Bytes;

use super::*;
use crate::query::row::CaptureContext;

fn place() -> CaptureContext {
    CaptureContext::new("a.pcap".to_owned(), 0, Vec::new())
}

/// Request for piece 3, 16 KiB at 32768, 1.5 s into the capture.
fn request() -> Record {
    let mut bytes = Vec::new();
    let message = Message::Request(Block { index: PieceIndex(3), begin: 32768, length: 16384 });
    message.encode(&mut bytes);
    Record {
        number: 12,
        at: Timestamp::from_secs_nanos(1, 500_000_000),
        stream: StreamId(2),
        direction: Direction::FromInitiator,
        side: Side::Local,
        source: "10.0.0.3:40000".parse().unwrap(),
        destination: "[2001:db8::7]:6881".parse().unwrap(),
        transport: Transport::Tcp,
        frames: [7, 9].into_iter().collect(),
        offset: 68,
        bytes: Bytes::from(bytes),
        decrypted: true,
        body: Body::PeerWire(PeerWireBody::Message(message)),
        notes: vec![
            rule("state.changed").unwrap().note("one"),
            rule("bep3.request-while-choked").unwrap().note("two"),
        ],
        answers: Some(Answer { number: 10, latency: 0.041 }),
        effect: PeerEffect::default(),
        client: Some("aria2 1.36.0".into()),
        torrent: None,
        describes: None,
        wireshark_stream: Some(4),
        in_doubt: false,
    }
}

fn holds(expression: &str) -> bool {
    Filter::parse(expression).unwrap().matches(&Row::new(&request(), &place()))
}

#[test]
fn true_of_the_message() {
    for expression in [
        "message == request",
        "message = request",
        "message == \"request\" && index == 3",
        "index==3&&begin>=32768",
        "protocol == peer-wire and not message == piece",
        "!message == piece",
        "!(message == piece || message == have)",
        "message != piece",
        "message ~ quest",
        "src ~ 10.0.0.3",
        "src ~ 10.0.0.3:40000",
        "src ~ 10.0",
        "dst ~ 2001:db8::7",
        "!(src ~ 10.0.0.30)",
        "n == 12 && stream == 2",
        "elapsed > 1.4 && elapsed < 1.6",
        "src == 10.0.0.3",
        "src == 10.0.0.3:40000",
        "src ~ 10.0.0.0/8",
        "src == 10.0.0.0/8",
        "src != 10.0.0.4",
        "src ~ :40000",
        "dst == 2001:db8::7",
        "dst == [2001:db8::7]",
        "dst == [2001:db8::7]:6881",
        "dst ~ 2001:db8::/32",
        "speaker == local and transport == tcp",
        "length == 17",
        "fields.length == 16384",
        "offset <= 68",
        "frames == 9",
        "frames != 8",
        "client ~ ARIA2",
        "client",
        "decrypted && decrypted == true",
        "answers == 10",
        "latency >= 0.04",
        "severity == warn",
        "severity >= note",
        "severity != error",
        "notes",
        "rule == bep3.request-while-choked",
        "rule ~ bep3",
        "notes ~ two",
        "index",
        "index == 0x3",
        "time >= 1970-01-01T00:00:01Z",
        "capture == a.pcap",
        "summary contains \"piece 3\"",
        "message == piece or message == have or index == 3 and begin == 32768",
        "severity >= NOTE",
        "latency >= 40ms && latency < 1s && elapsed == 1500ms",
        "begin == 32KiB and fields.length == 16KiB and length == 17B",
        "index in {1, 3, 7}",
        "index in {2..4}",
        "index not in {1, 4..7}",
        "message in {request,piece}",
        "src in {192.0.2.1, 10.0.0.0/8}",
        "frames in {9}",
        "client matches \"^ARIA2 1\\.\"",
        "message matches \"^re(quest|ject)\"",
        "addr == 10.0.0.3 and addr == 2001:db8::/32 and addr != 10.0.0.4",
        "port == 6881 and port == 40000 and port != 6882",
        "src_port == 40000 and dst_addr == 2001:db8::7",
        "frame == 9 and frame.number == 9 and wireshark.frame == 9",
        "wireshark.stream == 4 and tcp.stream == 4 and ws_stream in {4}",
        "community_id and communityid ~ 1: and community_id != \"1:LQU9qZlK+B5F3KDmev6m5PMibrg=\"",
        "tcp and bittorrent and !udp and not http",
        "tcp.port == 6881 && tcp.srcport == 40000",
        "ip.src == 10.0.0.3",
        "bittorrent.msg.type == 6 and bittorrent.piece.index == 3",
        "message_id == 6",
        "bytes contains 00:00:40:00",
        "rule in {bep3.request-while-choked}",
    ] {
        assert!(holds(expression), "{expression}");
    }
}

#[test]
fn false_of_the_message() {
    for expression in [
        "message == piece",
        "community_id == \"1:LQU9qZlK+B5F3KDmev6m5PMibrg=\"",
        "index == 4",
        "index != 3",
        "src ~ 10.0.0.0/30 && dst ~ 10.0.0.0/8",
        "dst ~ 10.0.0.0/8",
        "src == 10.0.0.3:40001",
        "torrent",
        "torrent != abcdef",
        "info_hash == abcdef",
        "severity > warn",
        "severity == note",
        "frames != 9",
        "not client",
        "index in {1, 4..7}",
        "index not in {2..4}",
        "begin not in {0, 32KiB}",
        "info_hash not in {abcdef}",
        "addr != 10.0.0.3",
        "port != 6881",
        "udp.port == 6881",
        "udp.stream == 4",
        "tcp.stream == 5",
        "tcp.stream != 4",
        "frame == 7",
        "bittorrent.msg.type == 7",
        "client matches \"^1.36\"",
        "latency > 1min",
        "time > 2026-01-01T00:00:00Z",
        "(message == piece or message == request) and index == 4",
    ] {
        assert!(!holds(expression), "{expression}");
    }
}

#[test]
fn errors_point_at_the_place_and_say_what_is_wanted() {
    for (expression, column, what) in [
        ("mesage == piece", 0, "did you mean message?"),
        ("message == peice", 11, "did you mean piece?"),
        ("index == 3 && xyzzy", 14, "names are n, n_in_capture, time, elapsed"),
        ("index ==", 8, "expected a value here"),
        ("index == 3 begin == 4", 11, "expected \"and\", \"or\""),
        ("(index == 3", 11, "expected ) here"),
        ("index == \"3", 9, "never closed"),
        ("index & 3", 6, "expected && here"),
        ("severity >= warning", 12, "did you mean warn?"),
        ("stream == two", 10, "stream is a number, and \"two\" is not"),
        ("index > abc", 8, "index is a number, and \"abc\" is not"),
        ("index == 16KiB", 9, "index has no unit"),
        ("latency > 16KiB", 10, "latency is in seconds: units are ns"),
        ("begin > 5ms", 8, "begin counts bytes: units are B"),
        ("n == nan", 5, "n is a number"),
        ("piece", 0, "did you mean message == piece? (fields.piece"),
        ("index == 3 and have", 15, "did you mean message == have?"),
        ("not dht", 4, "did you mean protocol == dht?"),
        ("bep3.out-of-range", 0, "did you mean rule == bep3.out-of-range?"),
        ("rule == bep3.out-of-rnge", 8, "did you mean bep3.out-of-range?"),
        ("rule ~ bep99", 7, "unknown rule \"bep99\""),
        ("message > piece", 10, "message has no order"),
        ("message ~ xyz", 10, "unknown message \"xyz\""),
        ("speaker == me", 11, "unknown speaker \"me\": local, far, initiator, responder"),
        ("time > yesterday", 7, "is not a time such as 2026-01-02T03:04:05Z"),
        ("src == 10.0", 7, "src ~ 10.0 finds a part"),
        ("src ~ example", 6, "is not an address"),
        ("addr == 10.0.0.0/33", 8, "a number from 0 to 32"),
        ("addr == 10.0.0.3:6881", 8, "addr has no port"),
        ("torrent == 20306", 11, "at least 6 digits"),
        ("info_hash == xyz", 13, "info_hash is in hexadecimal digits"),
        ("peer_id ~ -TR3000-", 10, "peer_id_text ~ \"-TR3000-\" finds text"),
        ("community_id == 1:LQU9qZlK+B5F3KDmev6m5PMibrg=", 16, "community_id has 30 characters, in quotes"),
        ("decrypted == false", 13, "write decrypted, or not decrypted"),
        ("client matches \"(\"", 15, "not a regular expression"),
        ("index matches 3", 14, "matches is for text"),
        ("index in 3", 9, "expected { here"),
        ("index in {3 4}", 12, "expected , or } here"),
        ("index in {}", 10, "expected a value here"),
        ("index in {3, x}", 13, "index is a number"),
        ("index not 3", 6, "expected \"and\", \"or\""),
        ("wireshark == 3", 0, "wireshark is an object"),
        ("== 3", 0, "expected a name here"),
        ("", 0, "expected a name here"),
    ] {
        let error = Filter::parse(expression).unwrap_err();
        assert_eq!(error.column, column, "{expression}");
        assert!(error.what.contains(what), "{expression}: {}", error.what);
    }
    let shown = Filter::parse("message == peice").unwrap_err().to_string();
    assert!(shown.ends_with("\n  message == peice\n             ^"), "{shown}");
}

#[test]
fn the_first_digits_tell_a_hash() {
    let mut record = request();
    record.torrent = Some(bittrace_protocol::InfoHash(*b"\x20\x30\x62\x3a567890123456789\xff"));
    let holds = |expression: &str| Filter::parse(expression).unwrap().matches(&Row::new(&record, &place()));
    for expression in ["torrent == 203062", "torrent == 2030623A", "torrent == 20:30:62:3a", "torrent ~ 3a35"]
    {
        assert!(holds(expression), "{expression}");
    }
    for expression in ["torrent == 306235", "torrent != 203062", "torrent in {306235, 203063}"] {
        assert!(!holds(expression), "{expression}");
    }
}

#[test]
fn deep_nesting_is_refused() {
    let deep = format!("{}index{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(Filter::parse(&deep).unwrap_err().what.contains("too deep"));
}

#[test]
fn an_expression_of_100_000_terms_is_read_evaluated_and_dropped() {
    for word in ["or", "and"] {
        let term = |at: usize| if at == 99_999 { "index == 3" } else { "index == 4" };
        let terms: Vec<&str> = (0..100_000).map(term).collect();
        let expression = terms.join(&format!(" {word} "));
        assert_eq!(holds(&expression), word == "or");
        assert_eq!(holds(&format!("not ({expression})")), word == "and");
        assert_eq!(
            Filter::parse(&format!("{expression} {word}")).unwrap_err().what,
            "expected a name here, such as message or src"
        );
    }
}

#[test]
fn only_comparisons_of_numbers_over_the_run_depend_on_earlier_captures() {
    for (text, compares) in [
        ("n < 5", true),
        ("message == have or not (stream == 1 and answers in {3, 4})", true),
        ("answers", false),
        ("n_in_capture < 5 and fields.n == 3", false),
    ] {
        assert_eq!(Filter::parse(text).unwrap().compares_numbers(), compares, "{text}");
    }
}

#[test]
fn an_object_has_the_keys_of_the_interface_in_order() {
    let (record, place) = (request(), place());
    let row = Row::new(&record, &place);
    let expected = serde_json::json!({
        "n": 12, "n_in_capture": 12, "time": "1970-01-01T00:00:01.500000Z", "elapsed": 1.5, "capture": "a.pcap", "frames": [7, 9],
        "stream": 2, "wireshark": {"stream": 4, "frame": 9}, "src": "10.0.0.3:40000", "dst": "[2001:db8::7]:6881", "speaker": "local", "transport": "tcp",
        "protocol": "peer-wire", "message": "request", "offset": 68, "length": 17,
        "summary": "request piece 3, 16 KiB at 32768",
        "fields": {"index": 3, "begin": 32768, "length": 16384},
        "client": "aria2 1.36.0", "decrypted": true, "answers": 10, "latency": 0.041,
        "notes": [
            {"severity": "chat", "rule": "state.changed", "text": "one"},
            {"severity": "warn", "rule": "bep3.request-while-choked", "text": "two"},
        ],
    });
    let mut line = Vec::new();
    crate::print::message_json::JsonMessages::new(&[], false).write(&row, &mut line).unwrap();
    assert_eq!(String::from_utf8(line).unwrap(), format!("{expected}\n"));
}
