//! What the JSON of `analyze` says beyond its schema, held to the captures: rates, refused calls.

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
