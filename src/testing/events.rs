//! What happens in a capture before it is dissected, so that a test can cut and join it as it likes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use bittrace_protocol::mse::MseKey;
use bittrace_trace::{
    Capture, Defragmenter, Direction, Dissected, Dissector, Flow, Moment, Parsed, Reassembler, Record,
    StreamEvent, StreamId, StreamInterest, parse,
};

/// What happened in a capture, as the dissector is told.
#[derive(Debug, Clone)]
pub enum CaptureEvent {
    /// Something on a TCP connection.
    Stream(Moment, OwnedStreamEvent),
    /// A datagram.
    Datagram(Moment, SocketAddr, SocketAddr, Vec<u8>),
}

/// A [`StreamEvent`] that owns its bytes.
#[derive(Debug, Clone)]
pub enum OwnedStreamEvent {
    /// Bytes of one direction.
    Burst(StreamId, Direction, Vec<u8>),
    /// All else, which has no bytes.
    Other(StreamEvent<'static>),
}

/// What happened in a capture, without a dissector's word on what is of interest.
///
/// # Panics
/// When the capture cannot be read.
pub fn events(path: &Path) -> Vec<CaptureEvent> {
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
            Parsed::Udp(datagram) => events.push(CaptureEvent::Datagram(
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

fn owned(moment: Moment, event: StreamEvent<'_>) -> CaptureEvent {
    let event = match event {
        StreamEvent::Burst { stream, direction, bytes } => {
            OwnedStreamEvent::Burst(stream, direction, bytes.to_vec())
        }
        StreamEvent::Opened { stream, flow, opening } => {
            OwnedStreamEvent::Other(StreamEvent::Opened { stream, flow, opening })
        }
        StreamEvent::Gap { stream, direction, length } => {
            OwnedStreamEvent::Other(StreamEvent::Gap { stream, direction, length })
        }
        StreamEvent::Lost { stream, direction, packets } => {
            OwnedStreamEvent::Other(StreamEvent::Lost { stream, direction, packets })
        }
        StreamEvent::Awaited { stream, direction, missing } => {
            OwnedStreamEvent::Other(StreamEvent::Awaited { stream, direction, missing })
        }
        StreamEvent::Established { stream } => OwnedStreamEvent::Other(StreamEvent::Established { stream }),
        StreamEvent::Measured { stream, measurement } => {
            OwnedStreamEvent::Other(StreamEvent::Measured { stream, measurement })
        }
        StreamEvent::Closed { stream, closing } => {
            OwnedStreamEvent::Other(StreamEvent::Closed { stream, closing })
        }
    };
    CaptureEvent::Stream(moment, event)
}

/// The records of some events, each burst cut into parts by `cut`, which is told the burst's length.
pub fn dissect(events: &[CaptureEvent], keys: &[MseKey], mut cut: impl FnMut(usize) -> usize) -> Vec<Record> {
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
            CaptureEvent::Datagram(moment, source, destination, bytes) => {
                dissector.datagram(*moment, *source, *destination, bytes, &mut out);
            }
            CaptureEvent::Stream(moment, OwnedStreamEvent::Other(event)) => {
                dissector.handle(*moment, event.clone(), &mut out);
            }
            CaptureEvent::Stream(moment, OwnedStreamEvent::Burst(stream, direction, bytes)) => {
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
pub fn flows(events: &[CaptureEvent]) -> BTreeMap<StreamId, Flow> {
    events
        .iter()
        .filter_map(|event| match event {
            CaptureEvent::Stream(_, OwnedStreamEvent::Other(StreamEvent::Opened { stream, flow, .. })) => {
                Some((*stream, *flow))
            }
            _ => None,
        })
        .collect()
}
