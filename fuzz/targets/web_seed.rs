#![no_main]
//! Connections to web seeds: what a request wants lies in the torrent, and the records of a connection are its bytes, the
//! same however bursts are cut and wherever the capture lost some.
//!
//! An input is where to lose how much of the answers, how long the requests are, then requests and answers.

use std::sync::{Arc, LazyLock};

use bittrace_fuzz::{Ways, record};
use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::tracker::http::Request;
use bittrace_protocol::{Timestamp, web_seed};
use bittrace_trace::{
    Body, Direction, Dissected, Dissector, Flow, Moment, StreamClosing, StreamEvent, StreamId, StreamOpening,
    WebSeedBody,
};
use libfuzzer_sys::fuzz_target;

static TORRENT: LazyLock<Arc<Metainfo>> = LazyLock::new(|| {
    let bytes = include_bytes!("../../captures/web-seed.torrent");
    Arc::new(Metainfo::decode(bytes).expect("a torrent with a web seed"))
});

fuzz_target!(|input: &[u8]| {
    let Some((&[l0, l1, lost, s0, s1], rest)) = input.split_first_chunk::<5>() else { return };
    let (asked, answered) = rest.split_at(usize::from(u16::from_be_bytes([s0, s1])) % (rest.len() + 1));
    if let Ok(request) = Request::decode(asked) {
        wants_what_there_is(&request);
    }
    let at = usize::from(u16::from_be_bytes([l0, l1])).min(answered.len());
    let parts = (asked, answered.split_at(at));
    let whole = dissect(parts, lost, usize::MAX);
    for cut in [1, 7, 1448] {
        assert_eq!(dissect(parts, lost, cut), whole, "cut at {cut}");
    }
});

fn wants_what_there_is(request: &Request) {
    if let Some(wanted) = web_seed::wanted(&TORRENT, request) {
        let file = &TORRENT.files[wanted.part.file];
        assert!(wanted.part.bytes.start < wanted.part.bytes.end && wanted.part.bytes.end <= file.length);
        assert!(!wanted.pieces.is_empty());
    }
    if let Some(wanted) = web_seed::wanted_piece(request) {
        let total: u64 = wanted.ranges.iter().map(|range| u64::from(range.end - range.start)).sum();
        let within = |bytes| -> u64 {
            wanted.within(bytes).iter().map(|range| u64::from(range.end - range.start)).sum()
        };
        if !wanted.ranges.is_empty() {
            assert_eq!((within(0..u64::MAX), within(total..u64::MAX)), (total, 0));
            assert_eq!(within(0..total / 2) + within(total / 2..total), total);
        }
    }
}

fn dissect((asked, (before, after)): (&[u8], (&[u8], &[u8])), lost: u8, cut: usize) -> Ways {
    const STREAM: StreamId = StreamId(0);
    let end = |last, port| (std::net::Ipv4Addr::new(10, 77, 0, last), port).into();
    let flow = Flow { initiator: end(3, 40_000), responder: end(4, 8080) };
    let moment = Moment { at: Timestamp::EPOCH, frame: 1 };
    let mut ways = Ways::default();
    let mut dissector = Dissector::knowing(vec![Arc::clone(&TORRENT)]);
    let mut take = |dissected| {
        if let Dissected::Record(one) = dissected {
            record(&one);
            if let Body::WebSeed(WebSeedBody::FileData(part)) = &one.body {
                assert_eq!(part.bytes.end - part.bytes.start, one.length());
            }
            ways.push(&one);
        }
    };
    let mut handle = |event| {
        dissector.handle(moment, event, &mut take);
    };
    let answers = Direction::FromResponder;
    handle(StreamEvent::Opened { stream: STREAM, flow, opening: StreamOpening::Syn });
    for bytes in asked.chunks(cut) {
        handle(StreamEvent::Burst { stream: STREAM, direction: Direction::FromInitiator, bytes });
    }
    for bytes in before.chunks(cut) {
        handle(StreamEvent::Burst { stream: STREAM, direction: answers, bytes });
    }
    if lost > 0 {
        handle(StreamEvent::Gap { stream: STREAM, direction: answers, length: u64::from(lost) * 100 });
    }
    for bytes in after.chunks(cut) {
        handle(StreamEvent::Burst { stream: STREAM, direction: answers, bytes });
    }
    handle(StreamEvent::Closed { stream: STREAM, closing: StreamClosing::Finished });
    ways
}
