//! Writes the messages of a capture again and again, as one long table, to see how much time and memory that takes:
//!
//!     feed CAPTURE ROWS arrow|parquet OUT
//!
//! Time and memory are those that the system tells (`/usr/bin/time -v`).
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

use std::error::Error;
use std::fs::File;

use bittrace_columnar::{Encoding, MessageContent, MessageOptions, MessageRow, MessageWriter};
use bittrace_trace::{Dissected, Record, Trace, TraceOptions, describe};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [capture, rows, encoding, out] = arguments.as_slice() else {
        return Err("usage: feed CAPTURE ROWS arrow|parquet OUT".into());
    };
    let encoding = match encoding.as_str() {
        "arrow" => Encoding::Arrow,
        "parquet" => Encoding::Parquet,
        other => return Err(format!("arrow or parquet, not {other}").into()),
    };
    let mut trace = Trace::open(capture.as_ref(), TraceOptions::default())?;
    let mut records: Vec<Record> = Vec::new();
    while let Some(dissected) = trace.next()? {
        if let Dissected::Record(record) = dissected {
            records.push(record);
        }
    }
    let start = records.first().ok_or("a capture without messages")?.at;
    let options = MessageOptions { summary: true, bytes: false };
    let mut writer = MessageWriter::new(encoding, options, File::create(out)?)?;
    for (number, place) in (1..=rows.parse::<u64>()?).zip((0..records.len()).cycle()) {
        let record = &mut records[place];
        record.number = number;
        let summary = describe(record);
        let content = MessageContent { index: Some(number as i64 / 64), ..MessageContent::default() };
        writer.push(&MessageRow { record, capture, start, summary: &summary, content })?;
    }
    let (rows, _) = writer.finish()?;
    println!("{rows} rows");
    Ok(())
}
