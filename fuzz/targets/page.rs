#![no_main]
//! Any file as a page: the data are JSON that no text of the file ends, the page has one script, its columns are equally
//! long, and messages that are shown and left out are all that there are.
//!
//! The first byte says how many messages the page may have.

use std::io::Cursor;

use bittrace_fuzz::html::{data, rows};
use bittrace_protocol::Timestamp;
use bittrace_report::CourseBuilder;
use bittrace_report::page::{CapturePage, ChosenMessages, PageTable};
use bittrace_trace::{Dissected, Summary, Trace, TraceOptions, describe};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(|input: &[u8]| {
    let Some((&most, bytes)) = input.split_first() else { return };
    let file = Cursor::new(bytes.to_vec());
    let Ok(mut trace) = Trace::from_reader("input".to_owned(), file, TraceOptions::default()) else { return };
    // Fewer than the command takes, since inputs are small.
    let mut messages = ChosenMessages::new(u64::from(most).max(8), &[], |record| {
        Map::from_iter([("said".to_owned(), Value::from(describe(record)))])
    });
    let (mut course, mut summary) = (CourseBuilder::new(&[], 0), Summary::new(&[]));
    while let Ok(true) = trace.advance() {
        let (Some(dissected), Some((start, _))) = (trace.current(), trace.span()) else { continue };
        course.begin_at(start);
        course.add(dissected);
        summary.add(dissected);
        if let Dissected::Record(record) = dissected {
            messages.add(record);
        }
    }
    let page = CapturePage {
        course: course.finish(&trace, &summary),
        messages: &messages,
        read: summary.records,
        start: trace.span().map_or(Timestamp::EPOCH, |(first, _)| first),
        connections: &PageTable::default(),
        command: "bittrace analyze input",
        remarks: &[],
        vocabulary: &Value::Null,
    };
    let mut out = Vec::new();
    page.write(&mut out).expect("memory takes all");
    let page = String::from_utf8(out).expect("a page is UTF-8");
    let data = data(&page);
    let shown = rows(&data["messages"]);
    let holes = data["holes"].as_array().expect("holes are a list").iter();
    let left_out: u64 = holes.map(|hole| hole["count"].as_u64().expect("a count")).sum();
    assert_eq!(shown as u64 + left_out, summary.records);
});
