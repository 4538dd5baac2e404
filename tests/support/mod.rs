//! What the tests over the reference captures share.

// Each test file uses its own part of this.
#![allow(dead_code, unreachable_pub, clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::mse::{MseKey, parse_key_log};
use bittrace_trace::{
    Capture, Defragmenter, Direction, Dissected, Dissector, Flow, Moment, Parsed, Reassembler, Record,
    StreamEvent, StreamId, StreamInterest, Trace, TraceOptions, parse,
};

/// The folder of the reference captures.
pub fn captures_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

/// Every reference capture, in the order of the names.
pub fn captures() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(captures_folder())
        .expect("captures/ is there")
        .map(|entry| entry.expect("captures/ can be listed").path())
        .filter(|path| path.to_string_lossy().contains(".pcap"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 20, "captures/ holds only {} captures", paths.len());
    paths
}

/// The scenario that a capture shows: its file name without extensions.
pub fn scenario(path: &Path) -> String {
    let name = path.file_name().expect("a capture has a name").to_string_lossy();
    name.split(".pcap").next().expect("split gives at least one part").to_owned()
}

/// The torrent of a capture; not-bittorrent has none.
pub fn torrent(path: &Path) -> Option<Arc<Metainfo>> {
    let bytes = std::fs::read(captures_folder().join(format!("{}.torrent", scenario(path)))).ok()?;
    Some(Arc::new(Metainfo::decode(&bytes).expect("a reference torrent is valid")))
}

/// The keys of a capture's encrypted connections, from the key log beside it.
pub fn mse_keys(path: &Path) -> Vec<MseKey> {
    let log = captures_folder().join(format!("{}.keys", scenario(path)));
    std::fs::read(log).map_or_else(|_| Vec::new(), |log| parse_key_log(&log).expect("a key log can be read"))
}

/// All that is known of a capture beforehand.
pub fn options(path: &Path) -> TraceOptions {
    let torrents = torrent(path).into_iter().collect();
    TraceOptions { torrents, mse_keys: mse_keys(path), ..TraceOptions::default() }
}

/// All records of a capture file.
pub fn records(path: &Path) -> Vec<Record> {
    let trace = Trace::open(path, options(path)).unwrap_or_else(|error| panic!("{error}"));
    all_records(trace, &path.display().to_string())
}

/// All records of a trace that must be read without an error.
pub fn all_records(mut trace: Trace, name: &str) -> Vec<Record> {
    let mut records = Vec::new();
    loop {
        match trace.next() {
            Ok(Some(Dissected::Record(record))) => records.push(record),
            Ok(Some(Dissected::Connection(_))) => {}
            Ok(None) => return records,
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

/// What happened in a capture, as the dissector is told.
#[derive(Debug, Clone)]
pub enum Event {
    /// Something on a TCP connection.
    Stream(Moment, OwnedEvent),
    /// A datagram.
    Datagram(Moment, SocketAddr, SocketAddr, Vec<u8>),
}

/// A [`StreamEvent`] that owns its bytes.
#[derive(Debug, Clone)]
pub enum OwnedEvent {
    Burst(StreamId, Direction, Vec<u8>),
    Other(StreamEvent<'static>),
}

/// What happened in a capture, without a dissector's word on what is of interest.
pub fn events(path: &Path) -> Vec<Event> {
    let mut capture = Capture::open(path).unwrap_or_else(|error| panic!("{error}"));
    let mut defragmenter = Defragmenter::default();
    let mut reassembler = Reassembler::new();
    let mut events = Vec::new();
    while let Some(packet) = capture.next_packet().unwrap_or_else(|error| panic!("{error}")) {
        let mut carried = |parsed: Parsed<'_>| match parsed {
            Parsed::Tcp(segment) => reassembler.segment(packet.moment, &segment, &mut |moment, event| {
                events.push(owned(moment, event));
                StreamInterest::Wanted
            }),
            Parsed::Udp(datagram) => events.push(Event::Datagram(
                packet.moment,
                datagram.src,
                datagram.dst,
                datagram.payload.to_vec(),
            )),
            Parsed::Fragment(_) | Parsed::Other(_) => {}
        };
        match parse(packet.link, packet.data) {
            Parsed::Fragment(fragment) => {
                if let Some(whole) = defragmenter.add(packet.moment.at, &fragment) {
                    carried(whole.parse());
                }
            }
            parsed => carried(parsed),
        }
    }
    reassembler.finish(&mut |moment, event| {
        events.push(owned(moment, event));
        StreamInterest::Wanted
    });
    events
}

fn owned(moment: Moment, event: StreamEvent<'_>) -> Event {
    let event = match event {
        StreamEvent::Burst { stream, direction, bytes } => {
            OwnedEvent::Burst(stream, direction, bytes.to_vec())
        }
        StreamEvent::Opened { stream, flow, opening } => {
            OwnedEvent::Other(StreamEvent::Opened { stream, flow, opening })
        }
        StreamEvent::Gap { stream, direction, length } => {
            OwnedEvent::Other(StreamEvent::Gap { stream, direction, length })
        }
        StreamEvent::Lost { stream, direction, packets } => {
            OwnedEvent::Other(StreamEvent::Lost { stream, direction, packets })
        }
        StreamEvent::Awaited { stream, direction, missing } => {
            OwnedEvent::Other(StreamEvent::Awaited { stream, direction, missing })
        }
        StreamEvent::Established { stream } => OwnedEvent::Other(StreamEvent::Established { stream }),
        StreamEvent::Closed { stream, closing } => OwnedEvent::Other(StreamEvent::Closed { stream, closing }),
    };
    Event::Stream(moment, event)
}

/// The records of some events, each burst cut into parts by `cut`, which is told the burst's length.
pub fn dissect(events: &[Event], keys: &[MseKey], mut cut: impl FnMut(usize) -> usize) -> Vec<Record> {
    let mut dissector = Dissector::new();
    keys.iter().for_each(|key| dissector.learn_key(key));
    let mut records = Vec::new();
    let mut out = |dissected| {
        if let Dissected::Record(record) = dissected {
            records.push(record);
        }
    };
    for event in events {
        match event {
            Event::Datagram(moment, source, destination, bytes) => {
                dissector.datagram(*moment, *source, *destination, bytes, &mut out);
            }
            Event::Stream(moment, OwnedEvent::Other(event)) => {
                dissector.handle(*moment, event.clone(), &mut out);
            }
            Event::Stream(moment, OwnedEvent::Burst(stream, direction, bytes)) => {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let (part, more) = rest.split_at(cut(rest.len()).clamp(1, rest.len()));
                    let burst = StreamEvent::Burst { stream: *stream, direction: *direction, bytes: part };
                    dissector.handle(*moment, burst, &mut out);
                    rest = more;
                }
            }
        }
    }
    dissector.finish(&mut out);
    records
}

/// One direction of one connection or flow of datagrams.
pub type Way = (SocketAddr, SocketAddr);

/// A record without its circumstances: message name, offset, length, bytes.
pub type Said = (&'static str, u64, u64, Vec<u8>);

/// What each direction says, record by record.
pub fn by_way(records: &[Record]) -> BTreeMap<Way, Vec<Said>> {
    let mut ways: BTreeMap<Way, Vec<_>> = BTreeMap::new();
    for record in records {
        ways.entry((record.source, record.destination)).or_default().push((
            record.body.message(),
            record.offset,
            record.length(),
            record.bytes.to_vec(),
        ));
    }
    ways
}

/// The flow of each connection among some events.
pub fn flows(events: &[Event]) -> BTreeMap<StreamId, Flow> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Stream(_, OwnedEvent::Other(StreamEvent::Opened { stream, flow, .. })) => {
                Some((*stream, *flow))
            }
            _ => None,
        })
        .collect()
}

/// A pseudo-random sequence that a printed seed makes again.
pub struct Sequence(u64);

impl Sequence {
    /// The sequence of `BITTRACE_SEED`, or of the clock; prints the seed, which a failing test shows.
    pub fn seeded(test: &str) -> Self {
        let seed =
            std::env::var("BITTRACE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                now.map_or(1, |since| since.as_nanos() as u64)
            });
        println!("{test}: BITTRACE_SEED={seed}");
        Self(seed)
    }

    /// The next number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        // splitmix64 (Steele, Lea and Flood 2014)
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// Whether a program that a test compares with is on PATH. Where it is not, says so; with
/// `BITTRACE_REQUIRE_CLIENTS` set, as in CI, that is a failure.
pub fn installed(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    available(program, found)
}

/// As [`installed`], of what was looked for otherwise.
pub fn available(what: &str, found: bool) -> bool {
    if !found {
        let required = std::env::var_os("BITTRACE_REQUIRE_CLIENTS").is_some();
        assert!(!required, "{what} is not installed, and BITTRACE_REQUIRE_CLIENTS is set");
        eprintln!("skipped: {what} is not installed");
    }
    found
}
