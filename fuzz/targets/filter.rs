#![no_main]
//! Any `--filter` expression over the records of captures: an error points into the expression, `not` turns the verdict
//! around, parentheses and repetition do not change it, and every name that is accepted has a value or none.

use std::sync::LazyLock;

use bittrace_fuzz::filter::expression;
use bittrace_trace::{Dissected, Record, Trace, TraceOptions};
use libfuzzer_sys::fuzz_target;
use print::units::{Bound, rfc3339};
use query::filter::Filter;
use query::names::{FieldName, keys_of_objects};
use query::row::{CaptureContext, Row, cell};

// The command has no library, so the target compiles the files that it is about.
#[allow(dead_code, unused_imports, reason = "the command uses more of these files")]
#[path = "../../src/cli/query"]
mod query {
    pub(crate) mod catalog;
    pub(crate) mod cell_value;
    pub(crate) mod fields;
    pub(crate) mod filter;
    pub(crate) mod names;
    pub(crate) mod row;
}
#[allow(dead_code, reason = "the command uses more of these files")]
#[path = "../../src/cli/print"]
mod print {
    pub(crate) mod printable;
    pub(crate) mod run_numbers;
    pub(crate) mod units;
}

/// So many records of each kind of message are enough.
const OF_A_KIND: usize = 2;

static CAPTURES: [&[u8]; 5] = [
    include_bytes!("../../captures/fast-extension.pcap"),
    include_bytes!("../../captures/http-tracker-scrape.pcapng"),
    include_bytes!("../../captures/udp-tracker-fragments.pcap"),
    include_bytes!("../../captures/lsd-announce.pcapng"),
    include_bytes!("../../captures/dht-get-peers.pcap"),
];

static RECORDS: LazyLock<Vec<Record>> = LazyLock::new(|| CAPTURES.into_iter().flat_map(records).collect());

fn records(capture: &'static [u8]) -> Vec<Record> {
    let mut trace =
        Trace::from_reader("capture".to_owned(), capture, TraceOptions::default()).expect("a capture");
    let mut records: Vec<Record> = Vec::new();
    while let Ok(Some(dissected)) = trace.next() {
        let Dissected::Record(record) = dissected else { continue };
        let same = records.iter().filter(|known| known.body.message() == record.body.message());
        if same.count() < OF_A_KIND {
            records.push(record);
        }
    }
    records
}

/// What a bound says, as an expression.
fn before(bound: Bound) -> Filter {
    let text = match bound {
        Bound::At(at) => format!("time < {}", rfc3339(at)),
        Bound::After(seconds) => format!("elapsed < {seconds}"),
    };
    Filter::parse(&text).expect("an expression")
}

fuzz_target!(|input: &[u8]| {
    let text = expression(input);
    let filter = match Filter::parse(&text) {
        Ok(filter) => filter,
        Err(error) => {
            let shown = error.to_string();
            let pointer = shown.lines().last().unwrap_or_default();
            assert!(pointer.chars().count() <= text.chars().count() + 3, "{shown}");
            return;
        }
    };
    let place = CaptureContext::new("a.pcap".to_owned(), 0, Vec::new());
    // One level deeper may be too deep.
    let negated = Filter::parse(&format!("not ({text})"));
    let repeated = Filter::parse(&format!("({text}) or ({text}) and ({text})"));
    let name = text.split_whitespace().find_map(|word| FieldName::parse(word).ok());
    let bound = text.split_whitespace().find_map(Bound::parse).map(|bound| (bound, before(bound)));
    for record in RECORDS.iter() {
        let row = Row::new(record, &place);
        for (name, key) in keys_of_objects(true) {
            assert_eq!(FieldName::parse(name), Ok(FieldName::Key(key)));
            let _ = row.key(key);
        }
        let holds = filter.matches(&row);
        assert!(negated.as_ref().map_or(true, |filter| filter.matches(&row) != holds), "not ({text})");
        assert!(repeated.as_ref().map_or(true, |filter| filter.matches(&row) == holds), "({text}) twice");
        if let Some(name) = &name {
            let shown = row.value(name).map(|value| cell(&value));
            assert_eq!(shown.is_some(), row.said(name).is_some(), "{name:?}");
        }
        if let Some((bound, before)) = &bound {
            assert_eq!(bound.cmp_to(record.at, place.start).is_lt(), before.matches(&row), "{bound:?}");
        }
    }
});
