//! What the targets `diff` and `diff_page` read from their input: what is sent on four streams, and edits of that.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::net::{Ipv4Addr, SocketAddr};

use bittrace_protocol::Timestamp;
use bittrace_replay::{Transcriber, Transcript};
use bittrace_trace::{
    Direction, Flow, LocalChoice, Recorder, StreamClosing, StreamId, StreamOpening, Trace, TraceOptions,
};

/// More steps teach the fuzzer nothing new.
pub const MOST_STEPS: usize = 200;

/// How many streams the steps choose from. Each is a connection or a flow of datagrams, or both.
pub const STREAMS: u8 = 4;

/// Something that happens on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureStep {
    /// The stream, below [`STREAMS`].
    pub stream: u8,
    /// What happens.
    pub kind: StepKind,
    /// Whether the remote end does it, and not the local host.
    pub remote: bool,
    /// Whether the remote end opened the connection. It counts in the first step of a connection.
    pub incoming: bool,
    /// Whether the connection was open before the capture began. It counts in the first step of a connection.
    pub mid_stream: bool,
    /// The bytes that are sent, or as many as are lost.
    pub bytes: Vec<u8>,
}

/// The kinds of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// An end of the connection sends the bytes.
    Sent,
    /// The capture lost the bytes that an end of the connection sent.
    Lost,
    /// An end sends a datagram.
    Datagram,
    /// The connection is closed. A later step opens another one.
    Closed,
}

impl StepKind {
    const ALL: [Self; 4] = [Self::Sent, Self::Lost, Self::Datagram, Self::Closed];
}

/// The steps in an input. A step is a byte of flags (from the low end: two bits for the stream, two for the kind, a bit
/// each for remote, incoming and mid-stream), two bytes of length, the bytes. The last step may lack some.
pub fn steps(mut rest: &[u8]) -> impl Iterator<Item = CaptureStep> {
    std::iter::from_fn(move || {
        let (&[flags, high, low], after) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (bytes, after) = after.split_at(length);
        rest = after;
        Some(CaptureStep {
            stream: flags % STREAMS,
            kind: StepKind::ALL[usize::from(flags >> 2 & 3)],
            remote: flags & 16 != 0,
            incoming: flags & 32 != 0,
            mid_stream: flags & 64 != 0,
            bytes: bytes.to_vec(),
        })
    })
}

/// Adds a step to an input. It has no more than 65,535 bytes.
pub fn add(input: &mut Vec<u8>, step: &CaptureStep) {
    let flag = |set: bool, bit: u8| u8::from(set) << bit;
    let kind = step.kind as u8;
    let flags = flag(step.remote, 4) | flag(step.incoming, 5) | flag(step.mid_stream, 6);
    input.push(step.stream % STREAMS | kind << 2 | flags);
    input.extend((step.bytes.len() as u16).to_be_bytes());
    input.extend(&step.bytes);
}

/// What an input begins with: how the second capture is read, and what is changed in it.
#[derive(Debug, Default)]
pub struct Edits {
    /// Whether the second capture is read within so little memory that only digests of its blocks are stored.
    pub shortened: bool,
    /// What is changed, one after the other.
    pub list: Vec<Edit>,
}

/// One change: what is done, with which step or stream, and two numbers with a meaning by kind.
#[derive(Debug, Clone, Copy)]
pub struct Edit {
    kind: u8,
    step: u8,
    at: u8,
    value: u8,
}

/// How many kinds of edits there are.
pub const EDIT_KINDS: u8 = 8;

/// The edits at the beginning of an input, and the rest of it: a byte (two bits for their number, then a bit for
/// `shortened`), and four bytes for each.
pub fn edits(input: &[u8]) -> (Edits, &[u8]) {
    let Some((head, mut rest)) = input.split_first() else { return (Edits::default(), input) };
    let mut list = Vec::new();
    for _ in 0..head & 3 {
        let Some((&[kind, step, at, value], after)) = rest.split_first_chunk() else { break };
        list.push(Edit { kind, step, at, value });
        rest = after;
    }
    (Edits { shortened: head & 4 != 0, list }, rest)
}

impl Edit {
    /// Makes the change.
    pub fn make(self, steps: &mut Vec<CaptureStep>) {
        if steps.is_empty() {
            return;
        }
        let count = steps.len();
        let step = usize::from(self.step) % count;
        let other = usize::from(self.at) % count;
        let (stream, other_stream) = (self.step % STREAMS, self.at % STREAMS);
        match self.kind % EDIT_KINDS {
            // A byte is another one.
            0 => {
                let bytes = &mut steps[step].bytes;
                let at = usize::from(self.at) % bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= self.value;
                }
            }
            // Two steps change places.
            1 => steps.swap(step, other),
            // A step is left out.
            2 => drop(steps.remove(step)),
            // A step happens once more, elsewhere.
            3 => steps.insert(other, steps[step].clone()),
            // The capture lost a step, or has a lost one.
            4 => {
                steps[step].kind = match steps[step].kind {
                    StepKind::Sent => StepKind::Lost,
                    StepKind::Lost => StepKind::Sent,
                    other => other,
                };
            }
            // A stream is left out.
            5 => steps.retain(|step| step.stream != stream),
            // Two streams change their addresses.
            6 => {
                for step in steps.iter_mut() {
                    if step.stream == stream {
                        step.stream = other_stream;
                    } else if step.stream == other_stream {
                        step.stream = stream;
                    }
                }
            }
            // A stream happens after the others.
            _ => steps.sort_by_key(|step| step.stream == stream),
        }
    }
}

/// The capture of some steps, read again within `limit` bytes of memory; `None` where they are too few.
///
/// # Panics
/// When the recording cannot be read.
pub fn transcript(steps: &[CaptureStep], limit: usize) -> Option<Transcript> {
    let local = LocalChoice::Host(Ipv4Addr::new(10, 0, 0, 1).into());
    let options = TraceOptions { local, ..TraceOptions::default() };
    let capture = Cursor::new(record(steps));
    let mut trace =
        Trace::from_reader("capture".to_owned(), capture, options).expect("a recording is a capture");
    let mut transcriber = Transcriber::new("capture", limit);
    while let Some(dissected) = trace.next().expect("a recording is whole") {
        transcriber.push(dissected).ok()?;
    }
    Some(transcriber.finish(&trace))
}

/// Writes steps as a capture.
fn record(steps: &[CaptureStep]) -> Vec<u8> {
    let mut recorder = Recorder::new(Vec::new(), "").expect("memory can be written");
    let mut open: BTreeMap<u8, StreamId> = BTreeMap::new();
    let mut connections = 0;
    for (second, step) in (1..).zip(steps) {
        let at = Timestamp::from_secs_nanos(second, 0);
        let end = |host, port| SocketAddr::from((Ipv4Addr::new(10, 0, 0, host), port));
        let remote = end(2 + step.stream, 6881);
        if step.kind == StepKind::Datagram {
            let local = end(1, 6881);
            let (source, destination) = if step.remote { (remote, local) } else { (local, remote) };
            // What is longer than a datagram can be is left out.
            let _ = recorder.datagram(at, source, destination, &step.bytes);
            continue;
        }
        let stream = *open.entry(step.stream).or_insert_with(|| {
            let stream = StreamId(connections);
            // Every connection has a port of its own.
            let local = end(1, 40_000 + connections as u16);
            connections += 1;
            let (initiator, responder) = if step.incoming { (remote, local) } else { (local, remote) };
            let opening = if step.mid_stream { StreamOpening::MidStream } else { StreamOpening::Syn };
            recorder.opened(at, stream, Flow { initiator, responder }, opening).expect("it is not open");
            stream
        });
        let by_initiator = step.remote == step.incoming;
        let direction = if by_initiator { Direction::FromInitiator } else { Direction::FromResponder };
        let written = match step.kind {
            StepKind::Lost => recorder.gap(at, stream, direction, step.bytes.len() as u64),
            StepKind::Closed => {
                open.remove(&step.stream);
                recorder.closed(at, stream, StreamClosing::Finished)
            }
            StepKind::Sent | StepKind::Datagram => recorder.burst(at, stream, direction, &step.bytes),
        };
        written.expect("the stream is open");
    }
    recorder.finish().expect("memory can be written")
}
