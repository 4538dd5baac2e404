#![no_main]
//! Two captures against each other as a page: the data are JSON that no text of a capture ends, columns are equally long,
//! rows name pairs that there are, and every message stands in its column at most once.

use std::collections::BTreeSet;

use bittrace_fuzz::diff::{CaptureStep, MOST_STEPS, edits, steps, transcript};
use bittrace_fuzz::html::{data, rows};
use bittrace_replay::{DiffOptions, TRANSCRIPT_LIMIT, diff};
use bittrace_report::{CommandLine, ConversationWords, DiffPage, DiffWords};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    let (edits, rest) = edits(input);
    let mut happened: Vec<CaptureStep> = steps(rest).take(MOST_STEPS).collect();
    let reference = transcript(&happened, TRANSCRIPT_LIMIT).expect("an input takes less than 1 GiB");
    edits.list.iter().for_each(|edit| edit.make(&mut happened));
    let candidate = transcript(&happened, TRANSCRIPT_LIMIT).expect("an input takes less than 1 GiB");
    let report = diff(&reference, &candidate, &DiffOptions::default()).expect("no mask is given by hand");
    // Texts of others stand where the command puts them.
    let said = String::from_utf8_lossy(&rest[..rest.len().min(64)]).into_owned();
    let words = DiffWords {
        names: [said.clone(), said.clone()],
        conversations: vec![
            ConversationWords { title: said.clone(), ..ConversationWords::default() };
            report.conversations.len()
        ],
        verdict: said,
        ..DiffWords::default()
    };
    let page = DiffPage {
        version: "0",
        command: &CommandLine::new(["bittrace", "diff"]),
        reference: &reference,
        candidate: &candidate,
        report: &report,
        words,
    };
    let mut out = Vec::new();
    page.write(&mut out).expect("memory takes all");
    let data = data(&String::from_utf8(out).expect("a page is UTF-8"));
    let pairs = rows(&data["pairs"]) as i64;
    for conversation in data["conversations"].as_array().expect("conversations are a list") {
        let holes = conversation["holes"].as_array().expect("holes are a list").len() as i64;
        for columns in [&conversation["rows"], &conversation["all"]] {
            if columns.is_null() {
                continue;
            }
            rows(columns);
            for side in ["reference", "candidate"] {
                check_column(&columns[side], pairs, holes);
            }
        }
    }
});

/// Places are those of pairs, each once, or -1 for none, or -2 less the number of what is left out.
fn check_column(column: &Value, pairs: i64, holes: i64) {
    let mut seen = BTreeSet::new();
    for place in column.as_array().expect("a column is a list") {
        let place = place.as_i64().expect("a place is a number");
        assert!(place < pairs && place > -2 - holes, "{place} of {pairs} pairs, {holes} holes");
        assert!(place < 0 || seen.insert(place), "pair {place} stands twice");
    }
}
