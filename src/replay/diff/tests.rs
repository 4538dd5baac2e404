//! Two runs as scripts, written as captures and compared.

use std::io::Cursor;
use std::net::SocketAddr;
use std::time::Duration;

use bittrace_protocol::Timestamp;
use bittrace_trace::{Direction, Flow, Recorder, StreamClosing, StreamId, Trace};

use super::*;
use crate::{DiffReport, MaskError, PairVerdict};

use Direction::{FromInitiator as Ours, FromResponder as Theirs};

/// A run of a client: a capture in the making.
pub(super) struct Run {
    recorder: Recorder<Vec<u8>>,
    at: Timestamp,
    streams: u32,
}

impl Run {
    pub(super) fn new() -> Self {
        let recorder = Recorder::new(Vec::new(), "a script").unwrap();
        Self { recorder, at: Timestamp::EPOCH, streams: 0 }
    }

    fn open(&mut self, responder: &str, opening: StreamOpening) -> StreamId {
        let stream = StreamId(self.streams);
        self.streams += 1;
        let initiator = SocketAddr::new("10.0.0.3".parse().unwrap(), 40_000 + self.streams as u16);
        let flow = Flow { initiator, responder: responder.parse().unwrap() };
        self.recorder.opened(self.at, stream, flow, opening).unwrap();
        stream
    }

    fn say(&mut self, stream: StreamId, direction: Direction, bytes: &[u8]) {
        self.at = self.at + Duration::from_millis(1);
        self.recorder.burst(self.at, stream, direction, bytes).unwrap();
    }

    pub(super) fn announce(mut self, query: &str, host: &str) -> Self {
        let stream = self.open("10.0.0.1:6969", StreamOpening::Syn);
        let hash = "info_hash=aaaaaaaaaaaaaaaaaaaa";
        let request = format!("GET /announce?{hash}&{query} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        self.say(stream, Ours, request.as_bytes());
        self.say(stream, Theirs, b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nd8:intervali9ee");
        self.recorder.closed(self.at, stream, StreamClosing::Finished).unwrap();
        self
    }

    /// A connection to a seeder on which `said` is said.
    pub(super) fn peer(mut self, peer_id: &str, said: &[Vec<u8>]) -> Self {
        let stream = self.open("10.0.0.2:6881", StreamOpening::Syn);
        self.say(stream, Ours, &handshake(peer_id));
        self.say(stream, Theirs, &handshake("-TR3000-seederseeder"));
        for message in said {
            match message.strip_prefix(LOST) {
                Some(lost) => {
                    self.recorder.gap(self.at, stream, Ours, lost.len() as u64).unwrap();
                }
                None => self.say(stream, Ours, message),
            }
        }
        self.recorder.closed(self.at, stream, StreamClosing::Finished).unwrap();
        self
    }

    pub(super) fn end(self) -> Transcript {
        let bytes = self.recorder.finish().unwrap();
        let trace = Trace::from_reader("a run".to_owned(), Cursor::new(bytes), Default::default());
        Transcript::read(trace.unwrap()).unwrap()
    }
}

/// Marks a message that the capture lost.
const LOST: &[u8] = b"lost: ";

fn lost(message: Vec<u8>) -> Vec<u8> {
    [LOST, &message].concat()
}

fn handshake(peer_id: &str) -> Vec<u8> {
    let reserved = [0, 0, 0, 0, 0, 0x10, 0, 0x04];
    [b"\x13BitTorrent protocol", &reserved[..], &[b'a'; 20], peer_id.as_bytes()].concat()
}

fn message(id: u8, numbers: &[u32]) -> Vec<u8> {
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
    [&(numbers.len() as u32 + 1).to_be_bytes()[..], &[id], &numbers].concat()
}

pub(super) fn interested() -> Vec<u8> {
    message(2, &[])
}

pub(super) fn request(index: u32) -> Vec<u8> {
    message(6, &[index, 0, 16384])
}

fn extended(dictionary: &str) -> Vec<u8> {
    let length = (dictionary.len() as u32 + 2).to_be_bytes();
    [&length[..], &[20, 0], dictionary.as_bytes()].concat()
}

fn compare_runs(reference: Run, candidate: Run) -> (Transcript, Transcript, DiffReport) {
    let (reference, candidate) = (reference.end(), candidate.end());
    let report = diff(&reference, &candidate, &DiffOptions::default()).unwrap();
    (reference, candidate, report)
}

/// What the local side said, a line a pair that is not the same: verdict, message, fields.
fn told(reference: Run, candidate: Run) -> Vec<String> {
    let (reference, candidate, report) = compare_runs(reference, candidate);
    let mut lines = Vec::new();
    for compared in &report.conversations {
        for pair in &compared.pairs {
            if pair.side == Side::Remote || pair.verdict == PairVerdict::Same {
                continue;
            }
            let of = |transcript: &Transcript, at: Option<usize>, place: Option<u32>| {
                let direction = transcript.conversations.get(at?)?.direction(Side::Local);
                Some(direction.messages.get(place? as usize)?.message())
            };
            let name = of(&reference, compared.reference, pair.reference)
                .or_else(|| of(&candidate, compared.candidate, pair.candidate));
            let lost = if pair.lost { " lost" } else { "" };
            let mut line = format!("{} {}{lost}", pair.verdict.name(), name.unwrap_or_default());
            for difference in &pair.differences {
                let note = difference.note().unwrap_or_default();
                line.push_str(format!("; {} {} {note}", difference.name, difference.rule.name()).trim_end());
            }
            lines.push(line);
        }
    }
    lines
}

#[test]
fn what_a_run_draws_at_random_is_bound_and_the_rest_exact() {
    let run = |id: &str, key: &str, port: u16, host: &str| {
        Run::new()
            .announce(&format!("peer_id={id}&port={port}&key={key}&numwant=50&event=started"), host)
            .peer(id, &[extended(&format!("d1:pi{port}e1:v5:aria2e"))])
    };
    let told = told(
        run("-TR3000-abcdefghijkl", "1234abcd", 6881, "10.0.0.1:6969"),
        run("-TR3000-ABCDEFGHIJKL", "cafecafe", 51413, "10.0.0.1:80"),
    );
    assert_eq!(
        told,
        [
            "masked announce-request; peer_id bind; port bind; key bind; headers.Host bind",
            "masked handshake; peer_id bind",
            "masked extended; length_prefix follows follows from other fields; p bind",
        ]
    );
}

#[test]
fn a_value_that_changes_in_the_middle_of_a_run_differs() {
    let run = |announced: &str, shaken: &str| {
        Run::new().announce(&format!("peer_id={announced}&port=1"), "t").peer(shaken, &[interested()])
    };
    let one = "-TR3000-abcdefghijkl";
    let told = told(run(one, one), run("-TR3000-ABCDEFGHIJKL", "-TR3000-another_tail"));
    assert_eq!(
        told,
        [
            "masked announce-request; peer_id bind",
            "differs handshake; peer_id bind changed: it was -TR3000-ABCDEFGHIJKL in message 1 of the candidate (message 1 of the reference)",
        ]
    );
}

#[test]
fn another_version_in_the_peer_id_is_another_client() {
    let run = |id: &str| Run::new().peer(id, &[interested()]);
    let told = told(run("-TR3000-abcdefghijkl"), run("-TR4060-abcdefghijkl"));
    assert_eq!(told, ["differs handshake; peer_id exact another client"]);
}

#[test]
fn a_value_may_be_another_but_not_escaped_otherwise() {
    let run = |id: &str| Run::new().announce(&format!("peer_id={id}&port=1"), "t");
    let told_of = |one: &str, other: &str| told(run(one), run(other));
    assert_eq!(
        told_of("-TR3000-%ab%cdcdefghijkl", "-TR3000-%ff%eecdefghijkl"),
        ["masked announce-request; peer_id bind"]
    );
    assert_eq!(
        told_of("-TR3000-%ab%cdcdefghijkl", "-TR3000-%FF%EEcdefghijkl"),
        ["differs announce-request; peer_id exact escaped differently"]
    );
}

#[test]
fn parameters_that_change_places_are_named() {
    let run = |query: &str| Run::new().announce(query, "t");
    let told = told(run("port=1&uploaded=0&left=5"), run("uploaded=0&left=5&port=1"));
    assert_eq!(told, ["differs announce-request; port exact after left (reference: after info_hash)"]);
}

#[test]
fn a_missing_parameter_is_absent_and_its_delimiter_goes_with_it() {
    let run = |query: &str| Run::new().announce(query, "t");
    assert_eq!(
        told(run("port=1&numwant=50&left=5"), run("port=1&left=5")),
        ["differs announce-request; numwant exact"]
    );
}

#[test]
fn a_length_follows_from_what_it_counts() {
    let run =
        |v: &str| Run::new().peer("-TR3000-abcdefghijkl", &[extended(&format!("d1:v{}:{v}e", v.len()))]);
    assert_eq!(
        told(run("one"), run("three")),
        ["differs extended; length_prefix follows follows from other fields; v exact"]
    );
}

#[test]
fn requests_in_another_order_have_moved_and_are_not_missing() {
    let run = |pieces: &[u32]| {
        let requests: Vec<Vec<u8>> = pieces.iter().map(|piece| request(*piece)).collect();
        Run::new().peer("-TR3000-abcdefghijkl", &requests)
    };
    assert_eq!(told(run(&[1, 2, 3, 4]), run(&[2, 3, 4, 1])), ["moved request"]);
    assert_eq!(told(run(&[1, 2, 3]), run(&[1, 3])), ["missing request"]);
    assert_eq!(told(run(&[1, 2, 3]), run(&[1, 9, 3])), ["differs request; index exact"]);
    assert_eq!(told(run(&[1, 3]), run(&[1, 2, 3])), ["extra request"]);
}

#[test]
fn what_the_candidates_capture_lost_is_not_held_against_the_client() {
    let run = |said: &[Vec<u8>]| Run::new().peer("-TR3000-abcdefghijkl", said);
    let all = [interested(), request(1), request(2), request(3), request(4)];
    let with_loss = [interested(), lost(request(1)), request(2), request(3), request(4)];
    let (_, _, report) = compare_runs(run(&all), run(&with_loss));
    assert_eq!((report.disagreements(&[]), report.total().lost), (0, 1));
    assert_eq!(told(run(&all), run(&with_loss)), ["missing request lost", "extra gap lost"]);
    let (_, _, report) = compare_runs(run(&with_loss), run(&all));
    assert_eq!((report.disagreements(&[]), report.total().lost_of_reference), (0, 1));
}

#[test]
fn announces_pair_by_what_they_are_for() {
    let run = |events: &[&str]| {
        events.iter().fold(Run::new(), |run, event| match *event {
            "" => run.announce("port=1", "t"),
            event => run.announce(&format!("port=1&event={event}"), "t"),
        })
    };
    assert_eq!(
        told(run(&["started", "", "", "stopped"]), run(&["started", "", "stopped"])),
        ["missing announce-request"]
    );
    assert_eq!(
        told(run(&["started", "completed", "stopped"]), run(&["started", "stopped"])),
        ["missing announce-request"]
    );
}

#[test]
fn masks_by_hand_come_first_and_must_be_of_use() {
    let run = |numwant: u32| Run::new().announce(&format!("port=1&numwant={numwant}"), "t");
    let masked = |mask: &str| {
        let masking = Masking::Table(vec![Mask::parse(mask).unwrap()]);
        let options = DiffOptions { masking, ..DiffOptions::default() };
        diff(&run(50).end(), &run(80).end(), &options).map(|report| report.disagreements(&[]))
    };
    assert_eq!(masked("announce-request.numwant=ignore"), Ok(0));
    assert_eq!(masked("*.numwant=bind"), Ok(0));
    assert_eq!(masked("http-tracker.numwant=exact"), Ok(1));
    assert_eq!(masked("announce-request.headers=ignore"), Ok(1));
    let useless = masked("announce-request.numwnt=ignore");
    assert_eq!(useless, Err(UselessMask("announce-request.numwnt".to_owned())));
}

#[test]
fn masks_that_cannot_be_read_say_what_is_wrong() {
    for (text, wanted) in [
        ("numwant", MaskError::NoRule("numwant".to_owned())),
        ("numwant=ignore", MaskError::NoField("numwant".to_owned())),
        ("a.b=maybe", MaskError::UnknownRule("maybe".to_owned())),
    ] {
        assert_eq!(Mask::parse(text), Err(wanted));
    }
}

#[test]
fn blocks_beyond_half_of_the_limit_are_compared_by_their_digests() {
    let block = |byte: u8| {
        let bytes = [&[0, 0, 0, 0, 0, 0, 0, 0][..], &[byte; 32]].concat();
        [&(bytes.len() as u32 + 1).to_be_bytes()[..], &[7], &bytes].concat()
    };
    let read_within = |byte: u8, limit: usize| {
        let bytes = Run::new().peer("-TR3000-abcdefghijkl", &[block(byte)]).recorder.finish().unwrap();
        let mut trace =
            Trace::from_reader("a run".to_owned(), Cursor::new(bytes), Default::default()).unwrap();
        let mut transcriber = crate::Transcriber::new("a run", limit);
        while let Some(dissected) = trace.next().unwrap() {
            transcriber.push(dissected)?;
        }
        Ok::<_, crate::TranscriptError>(transcriber.finish(&trace))
    };
    let read = |byte: u8, limit: usize| read_within(byte, limit).unwrap();
    let disagreements = |one: &Transcript, other: &Transcript| {
        let report = diff(one, other, &DiffOptions::exact()).unwrap();
        let pairs = report.conversations.iter().flat_map(|compared| &compared.pairs);
        let differing: Vec<_> = pairs.filter(|pair| pair.verdict != PairVerdict::Same).collect();
        differing
            .iter()
            .flat_map(|pair| &pair.differences)
            .map(|one| one.name.to_string())
            .collect::<Vec<_>>()
    };
    // Two handshakes take more than 300 bytes; with the header of a piece more than 400, and less than 600.
    let (small, large) = (600, 4000);
    assert_eq!((read(1, small).shortened, read(1, large).shortened), (1, 0));
    for limits in [(small, small), (small, large), (large, small), (large, large)] {
        assert!(disagreements(&read(1, limits.0), &read(1, limits.1)).is_empty(), "{limits:?}");
        assert_eq!(disagreements(&read(1, limits.0), &read(2, limits.1)), ["block"], "{limits:?}");
    }
    let error = read_within(1, 400).unwrap_err();
    assert!(matches!(error, crate::TranscriptError::TooLong { number: 3, .. }), "{error}");
}
