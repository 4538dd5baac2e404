//! Recorded trackers that are asked again, in the order of the recording and in others.

use std::io::Cursor;
use std::net::{Ipv4Addr, SocketAddr};

use bittrace_trace::{Direction, Flow, Recorder, StreamId, StreamOpening, Trace, TraceOptions};

use super::*;
use crate::model::transcript::Transcript;

use Direction::{FromInitiator as Client, FromResponder as Tracker};

/// The end of a connection to the tracker with this number.
fn end(host: u8, port: u16) -> SocketAddr {
    (Ipv4Addr::new(10, 0, 0, host), port).into()
}

/// The recording of some connections to trackers, each with what its ends send in turn. A message is captured every
/// second. The connections are with the trackers at 10.0.0.2, 10.0.0.3, ...
fn recorded(connections: &[&[(Direction, &str)]]) -> ReplayTracker {
    let mut recorder = Recorder::new(Vec::new(), "").unwrap();
    let mut second = 0;
    for (number, messages) in (0..).zip(connections) {
        let stream = StreamId(u32::from(number));
        let flow = Flow { initiator: end(1, 40_000 + u16::from(number)), responder: end(2 + number, 6969) };
        for (place, (direction, text)) in messages.iter().enumerate() {
            second += 1;
            let at = Timestamp::from_secs_nanos(second, 0);
            if place == 0 {
                recorder.opened(at, stream, flow, StreamOpening::Syn).unwrap();
            }
            recorder.burst(at, stream, *direction, text.as_bytes()).unwrap();
        }
    }
    let options = TraceOptions { local: Some(end(1, 0).ip()).into(), ..TraceOptions::default() };
    let capture = Cursor::new(recorder.finish().unwrap());
    let trace = Trace::from_reader("a recording".to_owned(), capture, options).unwrap();
    ReplayTracker::of(Transcript::read(trace).unwrap().trackers())
}

const STARTED: &str = "GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&port=1&event=started HTTP/1.1\r\n\r\n";
const REGULAR: &str = "GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&port=1 HTTP/1.1\r\n\r\n";
const STOPPED: &str = "GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&port=1&event=stopped HTTP/1.1\r\n\r\n";
const SCRAPE: &str = "GET /scrape?info_hash=aaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n\r\n";

/// Answers that can be told apart by their interval.
const ONE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nd8:intervali1ee";
const TWO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nd8:intervali2ee";
const THREE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nd8:intervali3ee";
const FILES: &str = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nd5:filesdee";

fn answered(tracker: &mut ReplayTracker, request: &str) -> Option<TrackerExchange> {
    tracker.answer(&Request::decode(request.as_bytes()).unwrap())
}

/// What the tracker answers to `request`, as text.
fn answer(tracker: &mut ReplayTracker, request: &str) -> Option<String> {
    let exchange = answered(tracker, request)?;
    Some(String::from_utf8(exchange.answer.to_vec()).unwrap())
}

#[test]
fn each_event_has_its_answers_in_the_order_of_the_recording() {
    let mut tracker = recorded(&[
        &[(Client, STARTED), (Tracker, ONE), (Client, REGULAR), (Tracker, TWO)],
        &[(Client, REGULAR), (Tracker, THREE)],
    ]);
    assert_eq!(answer(&mut tracker, REGULAR).as_deref(), Some(TWO));
    assert_eq!(answer(&mut tracker, STARTED).as_deref(), Some(ONE));
    assert_eq!(answer(&mut tracker, REGULAR).as_deref(), Some(THREE));
}

#[test]
fn the_last_answer_is_given_again_when_all_were_given() {
    let mut tracker = recorded(&[
        &[(Client, REGULAR), (Tracker, ONE), (Client, REGULAR), (Tracker, TWO)],
        &[(Client, STOPPED), (Tracker, THREE)],
    ]);
    for wanted in [ONE, TWO, TWO, TWO] {
        assert_eq!(answer(&mut tracker, REGULAR).as_deref(), Some(wanted));
    }
}

#[test]
fn an_announce_for_an_event_that_was_never_recorded_has_the_answer_to_the_last_announce() {
    let mut tracker = recorded(&[
        &[(Client, STARTED), (Tracker, ONE), (Client, REGULAR), (Tracker, TWO)],
        &[(Client, SCRAPE), (Tracker, FILES)],
    ]);
    assert_eq!(answer(&mut tracker, STOPPED).as_deref(), Some(TWO));
}

#[test]
fn a_request_of_another_kind_has_no_answer() {
    let mut tracker = recorded(&[&[(Client, STARTED), (Tracker, ONE)]]);
    assert_eq!(answer(&mut tracker, SCRAPE), None);
    assert_eq!(answer(&mut tracker, "GET /favicon.ico HTTP/1.1\r\n\r\n"), None);
    let mut tracker = recorded(&[&[(Client, SCRAPE), (Tracker, FILES)]]);
    assert_eq!(answer(&mut tracker, STARTED), None);
    assert_eq!(answer(&mut tracker, SCRAPE).as_deref(), Some(FILES));
    assert_eq!(answer(&mut recorded(&[]), STARTED), None);
}

#[test]
fn requests_that_wait_together_are_answered_in_their_order() {
    let mut tracker = recorded(&[&[(Client, STARTED), (Client, SCRAPE), (Tracker, ONE), (Tracker, FILES)]]);
    assert_eq!(answer(&mut tracker, SCRAPE).as_deref(), Some(FILES));
    assert_eq!(answer(&mut tracker, STARTED).as_deref(), Some(ONE));
}

#[test]
fn a_request_without_an_answer_takes_none_from_another_connection() {
    let mut tracker = recorded(&[&[(Client, STARTED)], &[(Client, REGULAR), (Tracker, TWO)]]);
    assert_eq!(answered(&mut tracker, STARTED).unwrap().topic, Topic::Announce(None));
}

#[test]
fn an_exchange_says_where_and_when_it_was_recorded() {
    let mut tracker = recorded(&[&[(Client, STARTED), (Tracker, ONE)], &[(Client, REGULAR), (Tracker, TWO)]]);
    let exchange = answered(&mut tracker, REGULAR).unwrap();
    assert_eq!((exchange.topic, exchange.number), (Topic::Announce(None), 4));
    assert_eq!(exchange.at, Timestamp::from_secs_nanos(4, 0));
    assert_eq!(exchange.local, end(1, 40_001));
}

#[test]
fn answers_that_were_never_given_are_told() {
    let mut tracker = recorded(&[
        &[(Client, STARTED), (Tracker, ONE), (Client, SCRAPE), (Tracker, FILES)],
        &[(Client, STOPPED), (Tracker, THREE)],
    ]);
    let unused = |tracker: &ReplayTracker| -> Vec<(Topic, u64)> { tracker.unused().collect() };
    let (started, stopped) = (Topic::Announce(Some(Event::Started)), Topic::Announce(Some(Event::Stopped)));
    assert_eq!(unused(&tracker), [(started, 2), (Topic::Scrape, 4), (stopped, 6)]);
    answer(&mut tracker, SCRAPE);
    assert_eq!(unused(&tracker), [(started, 2), (stopped, 6)]);
    // What stands in for another answer is given as well.
    answer(&mut tracker, REGULAR);
    assert_eq!(unused(&tracker), [(started, 2)]);
}

#[test]
fn a_topic_is_told_in_words() {
    let topic = |request: &str| Topic::of(&Request::decode(request.as_bytes()).unwrap()).describe();
    assert_eq!(topic(STARTED), "an announce with event=started");
    assert_eq!(topic(REGULAR), "an announce without an event");
    assert_eq!(topic(SCRAPE), "a scrape");
    assert_eq!(topic("GET /favicon.ico HTTP/1.1\r\n\r\n"), "a request");
}
