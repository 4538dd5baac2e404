//! Counts the messages of a capture.
//!
//!     cargo run --example messages captures/download-aria2.pcap
#![allow(clippy::print_stdout, reason = "an example prints what it finds")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use bittrace_trace::{Dissected, Trace, TraceError, TraceOptions};

fn main() -> Result<(), TraceError> {
    let path = std::env::args_os().nth(1).unwrap_or_else(|| "captures/download-aria2.pcap".into());
    let mut trace = Trace::open(&PathBuf::from(path), TraceOptions::default())?;
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    while let Some(dissected) = trace.next()? {
        // The other kind is the end of a connection.
        if let Dissected::Record(record) = dissected {
            *counts.entry((record.body.protocol().name(), record.body.message())).or_default() += 1;
        }
    }
    for ((protocol, message), count) in counts {
        println!("{count:>8}  {protocol}  {message}");
    }
    Ok(())
}
