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
    CaptureContext { capture: "a.pcap".to_owned(), start: Timestamp::EPOCH, before: 0, torrents: Vec::new() }
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
    ] {
        assert!(holds(expression), "{expression}");
    }
}

#[test]
fn false_of_the_message() {
    for expression in [
        "message == piece",
        "index == 4",
        "index != 3",
        "src ~ 10.0.0.0/30 && dst ~ 10.0.0.0/8",
        "dst ~ 10.0.0.0/8",
        "src == 10.0.0.3:40001",
        "torrent",
        "torrent != abc",
        "info_hash == abc",
        "severity > warn",
        "severity == note",
        "frames != 9",
        "not client",
        "index == three",
        "time > 2026-01-01T00:00:00Z",
        "(message == piece or message == request) and index == 4",
    ] {
        assert!(!holds(expression), "{expression}");
    }
}

#[test]
fn errors_point_at_the_place_and_say_what_is_wanted() {
    for (expression, column, what) in [
        ("mesage == piece", 0, "do you mean message?"),
        ("message == peice", 11, "do you mean piece?"),
        ("index == 3 && xyzzy", 14, "names are n, time, elapsed"),
        ("index ==", 8, "wanted a value here"),
        ("index == 3 begin == 4", 11, "wanted and, or"),
        ("(index == 3", 11, "wanted ) here"),
        ("index == \"3", 9, "never closed"),
        ("index & 3", 6, "wanted && here"),
        ("severity >= warning", 12, "do you mean warn?"),
        ("stream == two", 10, "\"two\" is no number"),
        ("== 3", 0, "wanted a name here"),
        ("", 0, "wanted a name here"),
    ] {
        let error = Filter::parse(expression).unwrap_err();
        assert_eq!(error.column, column, "{expression}");
        assert!(error.what.contains(what), "{expression}: {}", error.what);
    }
    let shown = Filter::parse("message == peice").unwrap_err().to_string();
    assert!(shown.ends_with("\n  message == peice\n             ^"), "{shown}");
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
            "wanted a name here, such as message or src"
        );
    }
}

#[test]
fn an_object_has_the_keys_of_the_interface_in_order() {
    let (record, place) = (request(), place());
    let row = Row::new(&record, &place);
    let expected = serde_json::json!({
        "n": 12, "time": "1970-01-01T00:00:01.500000Z", "elapsed": 1.5, "capture": "a.pcap", "frames": [7, 9],
        "stream": 2, "src": "10.0.0.3:40000", "dst": "[2001:db8::7]:6881", "speaker": "local", "transport": "tcp",
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
    crate::print::json::write_message(&row, &[], false, &mut line).unwrap();
    assert_eq!(String::from_utf8(line).unwrap(), format!("{expected}\n"));
}
