//! Messages as a trace for ui.perfetto.dev and chrome://tracing: JSON in the Trace Event Format of Chrome.
//!
//! A stream is a process, and each direction of it a thread. A message is an instant on its direction. An answer is a slice
//! from the message that it answers, choking and interest are slices, requests and bytes are counters. A slice is written
//! when it ends, so that each begin has its end, and only the states of open streams are in memory.

mod event;

use std::io::{self, Write};

use bittrace_protocol::Timestamp;
use bittrace_trace::record::{KnownStates, Protocol, Side};
use bittrace_trace::statistics::display_filter;
use bittrace_trace::{ConnectionEnd, Direction, Record, StreamId};
use rustc_hash::FxHashMap;

use crate::query::row::{CaptureContext, Row};
use event::EventWriter;

/// Writes captures as one trace. The time of each begins at 0, with its first packet.
#[derive(Debug, Default)]
pub(crate) struct PerfettoTrace {
    events: EventWriter,
    /// When the capture's first packet was captured.
    start: Timestamp,
    /// The process of the capture's stream 0, and the first that none of its streams has so far.
    first_process: u64,
    next_process: u64,
    streams: FxHashMap<StreamId, StreamTrack>,
}

/// What is written of a stream later than it was seen.
#[derive(Debug)]
struct StreamTrack {
    /// Whether a message of it was chosen. Before that nothing is written.
    is_shown: bool,
    /// The side of the end that opened the stream.
    initiator: Side,
    known: KnownStates,
    /// The states that hold, by direction and [`State`].
    holding: [[Option<StateBegin>; 2]; 2],
    /// Counters as they were written, by direction.
    outstanding: [u32; 2],
    shown_bytes: [u64; 2],
    /// When the bytes were written.
    shown_at: Option<i64>,
    /// The bytes of each direction up to now.
    bytes: [u64; 2],
    /// When its last message was captured, since the start.
    last: i64,
}

/// Where a state began: when since the start, and with which message.
#[derive(Debug, Clone, Copy)]
struct StateBegin {
    at: i64,
    number: u64,
}

/// A state of one end of a connection between peers.
#[derive(Debug, Clone, Copy)]
enum State {
    Choking,
    Interested,
}

const DIRECTIONS: [Direction; 2] = [Direction::FromInitiator, Direction::FromResponder];

const STATES: [State; 2] = [State::Choking, State::Interested];

/// How many streams have their states in memory, 200 bytes each. With more, what holds is written as far as it was seen, and
/// all begin anew, as if the capture joined them there.
const STREAMS: usize = 65_536;

/// The numbers that a stream takes: its process, and its two threads. Perfetto takes a thread for the main thread of the
/// process that has its number, so no two are the same.
const NUMBERS: u64 = 3;

/// The shortest time between two values of the counter of bytes, in nanoseconds: a screen has fewer points.
const BYTES_EVERY: i64 = 1_000_000;

impl PerfettoTrace {
    /// Takes in any message, chosen or not: what holds on a stream follows from all of them. [`row`](Self::row) comes after.
    pub(crate) fn observe(&mut self, row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
        let record = row.record;
        self.start = row.place.start;
        if self.streams.len() >= STREAMS && !self.streams.contains_key(&record.stream) {
            self.end_streams();
        }
        let (process, at) = (self.process(record.stream), self.since_start(record.at));
        let track = self.streams.entry(record.stream).or_insert_with(|| StreamTrack::before(record, at));
        track.observe(&mut self.events, process, at, row);
        self.events.write_to(out)
    }

    /// Writes a chosen message, and what is counted after it.
    pub(crate) fn row(&mut self, row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
        let record = row.record;
        let (process, at) = (self.process(record.stream), self.since_start(record.at));
        let Some(track) = self.streams.get_mut(&record.stream) else { return Ok(()) };
        if !std::mem::replace(&mut track.is_shown, true) {
            name_stream(&mut self.events, process, record, row.place);
        }
        write_message(&mut self.events, process, at, row);
        if let (Some(answer), Some(answered)) = (record.answers, row.answers()) {
            let waited = (answer.latency * 1e9).round() as i64;
            self.events.slice(
                ("answer", row.number()),
                (process, thread(process, record.direction.reverse())),
                (at.saturating_sub(waited), at),
                &format!("wait for {}", record.body.message()),
                &[("answers", answered), ("n", row.number())],
            );
        }
        if track.shown_at.is_none_or(|shown| at.saturating_sub(shown).saturating_abs() >= BYTES_EVERY) {
            track.count_bytes(&mut self.events, process, at);
        }
        if record.body.protocol() == Protocol::PeerWire {
            track.count_outstanding(&mut self.events, process, at, record.effect.outstanding);
        }
        self.events.write_to(out)
    }

    /// Takes in the end of a connection.
    pub(crate) fn connection_ended(&mut self, end: &ConnectionEnd, out: &mut dyn Write) -> io::Result<()> {
        let Some(stream) = end.stream else { return Ok(()) };
        let Some(mut track) = self.streams.remove(&stream) else { return Ok(()) };
        let (process, closed) = (self.process(stream), self.since_start(end.closed.at));
        track.last = track.last.max(closed);
        track.end(&mut self.events, process);
        if track.is_shown {
            track.count_outstanding(&mut self.events, process, track.last, [0; 2]);
        }
        self.events.write_to(out)
    }

    /// Takes in the end of a capture.
    pub(crate) fn capture_ended(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.end_streams();
        self.first_process = self.next_process;
        self.events.write_to(out)
    }

    /// Writes what the document ends with.
    pub(crate) fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.events.finish();
        self.events.write_to(out)
    }

    fn end_streams(&mut self) {
        let mut streams: Vec<_> = self.streams.drain().collect();
        streams.sort_unstable_by_key(|(stream, _)| *stream);
        for (stream, mut track) in streams {
            track.end(&mut self.events, self.first_process + process_of(stream));
        }
    }

    /// The number of a stream's process.
    fn process(&mut self, stream: StreamId) -> u64 {
        let process = self.first_process + process_of(stream);
        self.next_process = self.next_process.max(process - 1 + NUMBERS);
        process
    }

    /// Nanoseconds since the capture's first packet.
    fn since_start(&self, at: Timestamp) -> i64 {
        at.as_nanos().saturating_sub(self.start.as_nanos())
    }
}

/// The number of a stream's process among those of its capture.
const fn process_of(stream: StreamId) -> u64 {
    stream.0 as u64 * NUMBERS + 1
}

/// The number of the thread of a direction.
const fn thread(process: u64, direction: Direction) -> u64 {
    process + 1 + direction as u64
}

/// Names the process and the threads of a stream.
fn name_stream(events: &mut EventWriter, process: u64, record: &Record, place: &CaptureContext) {
    let flow = record.flow();
    let (protocol, transport) = (record.body.protocol().name(), record.transport.name());
    let name = format!(
        "stream {}: {} → {}, {protocol} over {transport}, {}",
        record.stream.0, flow.initiator, flow.responder, place.capture
    );
    events.name("process_name", (process, None), &name);
    for direction in DIRECTIONS {
        let (source, _) = flow.ends(direction);
        let side = if direction == record.direction { record.side } else { record.side.other() };
        let name = format!("from {source} ({})", side.name());
        events.name("thread_name", (process, Some(thread(process, direction))), &name);
    }
}

/// Writes a message as an instant.
fn write_message(events: &mut EventWriter, process: u64, at: i64, row: &Row<'_>) {
    let record = row.record;
    events.begin("i", record.body.message(), process);
    events.text("cat", record.body.protocol().name());
    events.number("tid", thread(process, record.direction));
    events.micros("ts", at);
    events.text("s", "t");
    events.begin_args();
    events.number("n", row.number());
    if let Some(frame) = row.frame() {
        events.number("frame", frame);
        events.text("filter", &display_filter(&record.frames));
    }
    events.text("summary", &row.summary());
    if !record.notes.is_empty() {
        let notes = record.notes.iter();
        let notes: Vec<_> = notes
            .map(|note| format!("{} {}: {}", note.rule.severity.name(), note.rule.id, note.text))
            .collect();
        events.text("findings", &notes.join("; "));
    }
    events.end_args();
    events.end();
}

impl StreamTrack {
    fn before(first: &Record, at: i64) -> Self {
        Self {
            is_shown: false,
            initiator: if first.direction == Direction::FromInitiator {
                first.side
            } else {
                first.side.other()
            },
            known: KnownStates::before(first),
            holding: [[None; 2]; 2],
            outstanding: [0; 2],
            shown_bytes: [0; 2],
            shown_at: None,
            bytes: [0; 2],
            last: at,
        }
    }

    /// Takes in what a message changed, and writes the states that it ended.
    fn observe(&mut self, events: &mut EventWriter, process: u64, at: i64, row: &Row<'_>) {
        let record = row.record;
        self.last = self.last.max(at);
        self.bytes[record.direction as usize] += record.length();
        if record.body.protocol() != Protocol::PeerWire {
            return;
        }
        self.known.observe(record);
        for direction in DIRECTIONS {
            for state in STATES {
                let holds = state.holds(&self.known, record, direction);
                let begin = &mut self.holding[direction as usize][state as usize];
                match (*begin, holds) {
                    (None, true) => *begin = Some(StateBegin { at, number: row.number() }),
                    (Some(_), false) => self.end_state(events, process, at, (direction, state)),
                    _ => {}
                }
            }
        }
    }

    /// Writes what holds as far as the stream's last message.
    fn end(&mut self, events: &mut EventWriter, process: u64) {
        for direction in DIRECTIONS {
            for state in STATES {
                self.end_state(events, process, self.last, (direction, state));
            }
        }
        if self.is_shown {
            self.count_bytes(events, process, self.last);
        }
    }

    /// Writes a state from its begin, if it holds.
    fn end_state(
        &mut self,
        events: &mut EventWriter,
        process: u64,
        at: i64,
        (direction, state): (Direction, State),
    ) {
        let Some(begin) = self.holding[direction as usize][state as usize].take() else { return };
        if !self.is_shown {
            return;
        }
        let id = process * 4 + direction as u64 * 2 + state as u64;
        events.slice(
            ("state", id),
            (process, thread(process, direction)),
            // Packets of two directions may be captured out of order.
            (begin.at, at.max(begin.at)),
            &format!("{} {}", self.side(direction), state.name()),
            &[("n", begin.number)],
        )
    }

    fn count_outstanding(&mut self, events: &mut EventWriter, process: u64, at: i64, outstanding: [u32; 2]) {
        for direction in DIRECTIONS {
            let now = outstanding[direction as usize];
            if now != self.outstanding[direction as usize] {
                self.outstanding[direction as usize] = now;
                let side = self.side(direction);
                events.counter("outstanding requests", process, at, (side, u64::from(now)));
            }
        }
    }

    fn count_bytes(&mut self, events: &mut EventWriter, process: u64, at: i64) {
        for direction in DIRECTIONS {
            let now = self.bytes[direction as usize];
            if now != self.shown_bytes[direction as usize] {
                self.shown_bytes[direction as usize] = now;
                self.shown_at = Some(at);
                events.counter("bytes", process, at, (self.side(direction), now));
            }
        }
    }

    /// Who sends in a direction.
    fn side(&self, direction: Direction) -> &'static str {
        match direction {
            Direction::FromInitiator => self.initiator.name(),
            Direction::FromResponder => self.initiator.other().name(),
        }
    }
}

impl State {
    /// Its name in slices, after the end that it is a state of.
    const fn name(self) -> &'static str {
        match self {
            Self::Choking => "chokes",
            Self::Interested => "is interested",
        }
    }

    /// Whether it is known to hold, after a message, for the end that sends in a direction.
    const fn holds(self, known: &KnownStates, record: &Record, sender: Direction) -> bool {
        match self {
            Self::Choking => known.knows_choking(sender) && record.effect.choking[sender as usize],
            Self::Interested => known.knows_interest(sender) && record.effect.interested[sender as usize],
        }
    }
}

#[cfg(test)]
mod tests {
    use bittrace_testing::captures::{captures_folder, records};

    use super::*;

    #[test]
    fn more_streams_than_are_kept_are_written_as_far_as_they_were_seen() {
        let handshake = records(&captures_folder().join("download-aria2.pcap"))
            .into_iter()
            .find(|record| record.body.message() == "handshake")
            .unwrap();
        let mut place = CaptureContext::new("many.pcap".to_owned(), 0, Vec::new());
        place.start = handshake.at;
        let (mut trace, mut written) = (PerfettoTrace::default(), Vec::new());
        let streams = STREAMS as u32 + 10;
        for stream in 0..streams {
            let record =
                Record { stream: StreamId(stream), number: u64::from(stream) + 1, ..handshake.clone() };
            let row = Row::new(&record, &place);
            trace.observe(&row, &mut written).unwrap();
            trace.row(&row, &mut written).unwrap();
            assert!(trace.streams.len() <= STREAMS);
        }
        trace.capture_ended(&mut written).unwrap();
        trace.finish(&mut written).unwrap();
        let text = String::from_utf8(written).unwrap();
        let events = |phase: &str| text.matches(&format!("\"ph\":\"{phase}\"")).count();
        // Both ends choke from the first message on.
        let expected = streams as usize;
        assert_eq!([events("i"), events("b"), events("e")], [expected, 2 * expected, 2 * expected]);
    }
}
