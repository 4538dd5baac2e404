//! What the JSON of `analyze` says beyond its schema, held to the captures: spans of fields, messages of findings, rates, refused calls.

use std::collections::BTreeMap;

use bittrace_testing::captures::{captures, captures_folder, scenario};
use bittrace_testing::command;
use serde_json::Value;

fn objects(arguments: &[&str]) -> Vec<Value> {
    let all = [&["analyze", "--format", "json", "--no-summary"], arguments].concat();
    let mut command = command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), &all);
    let output = command.output().expect("bittrace starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let json = String::from_utf8(output.stdout).expect("output is UTF-8");
    json.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

/// Every capture by its file, with its torrent where it has one.
fn every_capture() -> impl Iterator<Item = Vec<String>> {
    captures().into_iter().map(|path| {
        let file = path.file_name().expect("a capture has a name").to_string_lossy().into_owned();
        let torrent = format!("{}.torrent", scenario(&path));
        match captures_folder().join(&torrent).exists() {
            true => vec![file, "--torrent".to_owned(), torrent],
            false => vec![file],
        }
    })
}

fn of_capture(capture: &[String], arguments: &[&str]) -> Vec<Value> {
    let capture: Vec<&str> = capture.iter().map(String::as_str).collect();
    objects(&[&capture[..], arguments].concat())
}

/// The span of a field, or its spans where its name stands twice.
fn spans(value: &Value) -> Vec<(usize, usize)> {
    let pair = |value: &Value| {
        let number = |at: usize| value[at].as_u64().expect("a number") as usize;
        (number(0), number(1))
    };
    match value[0].is_array() {
        true => value.as_array().expect("a list").iter().map(pair).collect(),
        false => vec![pair(value)],
    }
}

fn bytes_of(message: &Value) -> Vec<u8> {
    let hex = message["bytes"].as_str().expect("hex");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

/// A number in a message of peers stands in its span, the most significant byte first.
#[test]
fn the_bytes_of_a_span_are_the_value_of_its_field() {
    let (mut numbers, mut blocks) = (0, 0);
    for capture in every_capture() {
        for message in of_capture(&capture, &["--hex"]) {
            let (bytes, fields) = (bytes_of(&message), &message["fields"]);
            for (name, value) in message["spans"].as_object().expect("spans") {
                let field = &fields[name];
                assert!(!field.is_null(), "{capture:?}: {name} is no field of {message}");
                for (first, end) in spans(value) {
                    assert!(first <= end && end <= bytes.len(), "{capture:?}: {name} of {message}");
                }
                let [(first, end)] = spans(value)[..] else { continue };
                let is_block = message["message"] == "piece" && name == "length";
                if is_block {
                    blocks += 1;
                    assert_eq!(field.as_u64(), Some((end - first) as u64), "{capture:?}: {message}");
                } else if message["protocol"] == "peer-wire" && field.is_u64() && end - first == 4 {
                    numbers += 1;
                    let value = u32::from_be_bytes(bytes[first..end].try_into().expect("four bytes"));
                    assert_eq!(field.as_u64(), Some(value.into()), "{capture:?}: {name} of {message}");
                }
            }
        }
    }
    assert!(numbers > 1000 && blocks > 300, "{numbers}, {blocks}");
}

#[test]
fn every_field_of_a_request_has_a_span() {
    let spans = |message: &str, more: &[&str]| {
        let filter = format!("message == {message}");
        let arguments = [&["download-aria2.pcap", "--filter", &filter, "--limit", "1"], more].concat();
        objects(&arguments)[0]["spans"].clone()
    };
    let request = serde_json::json!({ "index": [5, 9], "begin": [9, 13], "length": [13, 17] });
    assert_eq!(spans("request", &["--hex"]), request);
    assert_eq!(spans("request", &["--fields", "spans"]), request);
    assert_eq!(spans("request", &[]), Value::Null);
    let handshake = spans("handshake", &["--hex"]);
    assert_eq!(handshake["reserved"], handshake["reserved_hex"]);
    assert_eq!(handshake["info_hash"], serde_json::json!([28, 48]));
    // The readable form follows from the bytes of the peer id.
    assert_eq!(handshake["peer_id_text"], Value::Null);
}

#[test]
fn a_finding_names_its_messages() {
    let mut findings = 0;
    for capture in every_capture() {
        let mut by_rule: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for message in of_capture(&capture, &["--view", "messages", "--fields", "n,rule"]) {
            let mut rules: Vec<&Value> = message["rule"].as_array().into_iter().flatten().collect();
            rules.dedup();
            for rule in rules {
                let rule = rule.as_str().expect("a rule").to_owned();
                by_rule.entry(rule).or_default().push(message["n"].as_u64().expect("a number"));
            }
        }
        for row in of_capture(&capture, &["--view", "findings"]) {
            let finding = &row["finding"];
            let messages = &by_rule[finding["rule"].as_str().expect("a rule")];
            assert_eq!(finding["message_count"], messages.len(), "{capture:?}: {finding}");
            assert_eq!(finding["messages"], Value::from(&messages[..messages.len().min(200)]), "{capture:?}");
            findings += 1;
        }
    }
    assert!(findings > 50, "{findings}");
}

/// Messages are numbered over all captures of a run, in findings as elsewhere.
#[test]
fn the_messages_of_a_finding_are_numbered_over_all_captures() {
    let one = objects(&["corrupt-peer.pcap.gz", "--view", "findings"]);
    let both = objects(&["fast-extension.pcap", "corrupt-peer.pcap.gz", "--view", "findings"]);
    let before = objects(&["fast-extension.pcap"]).len() as u64;
    let last = |rows: &[Value]| rows.last().expect("a finding")["finding"].clone();
    let (one, both) = (last(&one), last(&both));
    assert_eq!(one["rule"], both["rule"]);
    let number = |finding: &Value| finding["messages"][0].as_u64().expect("a number");
    assert_eq!(number(&both), number(&one) + before);
}

/// Blocks that came within a tenth of a second tell of no rate.
#[test]
fn a_rate_needs_blocks_over_a_tenth_of_a_second() {
    let (mut rates, mut left_out) = (0, 0);
    for capture in every_capture() {
        let mut blocks: BTreeMap<(u64, String), Vec<f64>> = BTreeMap::new();
        let filter =
            ["--filter", "protocol == peer-wire && message == piece", "--fields", "stream,src,elapsed"];
        for block in of_capture(&capture, &filter) {
            let stream = block["stream"].as_u64().expect("a stream");
            let source = block["src"].as_str().expect("an address").to_owned();
            blocks.entry((stream, source)).or_default().push(block["elapsed"].as_f64().expect("seconds"));
        }
        for row in of_capture(&capture, &["--view", "conversations"]) {
            let conversation = &row["conversation"];
            let Some(stream) = conversation["stream"].as_u64() else { continue };
            for end in ["initiator", "responder"] {
                let source = conversation[end].as_str().expect("an address").to_owned();
                let Some(times) = blocks.get(&(stream, source)) else { continue };
                let is_rated = times.len() > 1 && times[times.len() - 1] - times[0] >= 0.1;
                let rate = &conversation[format!("from_{end}")]["rate"];
                assert_eq!(rate.is_number(), is_rated, "{capture:?}: {conversation}");
                if is_rated { rates += 1 } else { left_out += 1 }
            }
        }
    }
    assert!(rates > 5 && left_out > 5, "{rates}, {left_out}");
}

/// A call to a peer that was refused has no stream, and its outcome.
#[test]
fn refused_calls_are_conversations() {
    let mut refused = 0;
    for capture in every_capture() {
        for row in of_capture(&capture, &["--view", "conversations"]) {
            let conversation = &row["conversation"];
            if conversation["stream"].is_null() {
                let outcome = conversation["outcome"].as_str().expect("an outcome");
                assert!(
                    ["refused", "unanswered", "reset"].iter().any(|word| outcome.starts_with(word)),
                    "{outcome}"
                );
                assert_eq!(conversation["from_responder"]["bytes"], 0);
                refused += usize::from(outcome.starts_with("refused"));
            }
        }
    }
    assert!(refused > 0);
}
