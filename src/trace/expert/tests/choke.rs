//! A request that a choke or a cancel ended is answered by nothing that comes later.

use super::*;
use crate::record::Answer;
use crate::statistics::Exchanges;

/// What each block of a conversation answers, and what the responder gave. Steps are seconds, the sender and the bytes; both
/// handshakes offer what `last` says.
fn blocks(last: u8, steps: &[(f64, Direction, Vec<u8>)]) -> (Vec<Option<Answer>>, Exchanges) {
    let (mut dissector, mut annotator) = (Dissector::new(), Annotator::new(TraceOptions::default()));
    let (mut exchanges, mut answers) = (Exchanges::new(), Vec::new());
    let mut handle = |seconds: f64, event: StreamEvent<'_>| {
        let moment = Moment { at: Timestamp::from_nanos((seconds * 1e9).round() as i64), frame: 1 };
        dissector.handle(moment, event, &mut |mut dissected| {
            annotator.annotate(&mut dissected);
            exchanges.add(&dissected);
            if let Dissected::Record(record) = dissected
                && record.body.message() == "piece"
            {
                answers.push(record.answers);
            }
        });
    };
    let flow =
        Flow { initiator: "10.0.0.3:40000".parse().unwrap(), responder: "10.0.0.2:6881".parse().unwrap() };
    let stream = StreamId(0);
    handle(0.0, StreamEvent::Opened { stream, flow, opening: StreamOpening::Syn });
    let opening = [
        (0.0, A, handshake(1, last)),
        (0.0, B, handshake(2, last)),
        (0.5, A, message(INTERESTED, &[])),
        (0.5, B, message(UNCHOKE, &[])),
    ];
    for (seconds, direction, bytes) in opening.iter().chain(steps) {
        handle(*seconds, StreamEvent::Burst { stream, direction: *direction, bytes });
    }
    (answers, exchanges)
}

/// The block that was requested before and after a choke answers the request after it.
#[test]
fn a_block_answers_the_request_that_no_choke_ended() {
    let steps = [
        (1.0, A, request(0)), // message 5
        (1.25, B, message(CHOKE, &[])),
        (30.0, B, message(UNCHOKE, &[])),
        (30.5, A, request(0)), // message 8
        (30.625, B, block(0)),
    ];
    let (answers, exchanges) = blocks(0, &steps);
    assert_eq!(answers, [Some(Answer { number: 8, latency: 0.125 })]);
    let given = &exchanges.of(StreamId(0)).unwrap().directions[B as usize];
    assert_eq!((given.latency(0.5), given.slowest), (Some(0.125), Some(0.125)));
    assert_eq!((given.requests, given.median_depth(), given.open), (2, Some(1), 0));

    // With the fast extension the first request is still outstanding (BEP 6).
    let (answers, exchanges) = blocks(FAST, &steps);
    assert_eq!(answers, [Some(Answer { number: 5, latency: 29.625 })]);
    let given = &exchanges.of(StreamId(0)).unwrap().directions[B as usize];
    assert_eq!((given.slowest, given.deepest(), given.open), (Some(29.625), Some(2), 1));
}

#[test]
fn a_block_answers_the_request_that_no_cancel_ended() {
    let steps = [
        (1.0, A, request(0)),
        (1.25, A, numbers(CANCEL, &[0, 0, 16])),
        (30.5, A, request(0)), // message 7
        (30.625, B, block(0)),
        (31.0, B, block(0)),
    ];
    let (answers, exchanges) = blocks(0, &steps);
    assert_eq!(answers, [Some(Answer { number: 7, latency: 0.125 }), None]);
    let given = &exchanges.of(StreamId(0)).unwrap().directions[B as usize];
    assert_eq!((given.slowest, given.deepest(), given.open), (Some(0.125), Some(1), 0));
}
