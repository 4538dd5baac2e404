#![no_main]
//! Datagrams of any kind between three ends: each makes at most one record of its own, records of a stream stand end
//! to end, and their fields tile them.
//!
//! An input is a row of datagrams: a byte of who speaks to whom, two of the length, the bytes.

use std::net::SocketAddr;

use bittrace_fuzz::{Ways, record};
use bittrace_protocol::Timestamp;
use bittrace_trace::{Dissected, Dissector, Moment};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut dissector = Dissector::new();
    let mut ways = Ways::default();
    let (mut said, mut shown) = (0, 0);
    let mut out = |dissected| {
        if let Dissected::Record(one) = dissected {
            record(&one);
            shown += one.bytes.len();
            ways.push(&one);
        }
    };
    let (mut rest, mut frame) = (bytes, 0);
    while let Some((&[ends, high, low], more)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(more.len());
        let (datagram, more) = more.split_at(length);
        rest = more;
        frame += 1;
        said += datagram.len();
        if ends & 3 == ends >> 2 & 3 {
            continue;
        }
        let moment = Moment { at: Timestamp::from_nanos(i64::from(ends >> 4) * 1_000_000_000), frame };
        dissector.datagram(moment, end(ends & 3), end(ends >> 2 & 3), datagram, &mut out);
    }
    dissector.finish(&mut out);
    assert!(shown <= said, "more is shown than was said");
});

fn end(end: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, end], 6881))
}
