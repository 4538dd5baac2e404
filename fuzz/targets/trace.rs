#![no_main]
//! Any file, read to its end: records stand end to end, their fields tile them, and no frame is made up.

use std::io::Cursor;

use bittrace_fuzz::{Ways, record};
use bittrace_trace::{Dissected, Trace, TraceOptions, Transport};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let input = Cursor::new(bytes.to_vec());
    let Ok(mut trace) = Trace::from_reader("input".to_owned(), input, TraceOptions::default()) else {
        return;
    };
    let mut ways = Ways::default();
    let (mut errors, mut number, mut last_frame) = (0, 0, 0);
    loop {
        match trace.next() {
            Ok(Some(Dissected::Record(one))) => {
                record(&one);
                number += 1;
                assert_eq!(one.number, number);
                last_frame = last_frame.max(one.frames.iter().copied().max().unwrap_or(0));
                if one.transport == Transport::Tcp {
                    ways.push(&one);
                }
            }
            Ok(Some(Dissected::Connection(_))) => {}
            Ok(None) => break,
            Err(_) => errors += 1,
        }
        assert!(errors < 2, "an error is the end");
    }
    let counts = trace.counts();
    assert_eq!(counts.tcp + counts.udp + counts.other, trace.capture().packets());
    assert!(last_frame <= trace.capture().packets());
});
