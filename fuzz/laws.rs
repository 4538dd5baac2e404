//! The laws of the design as assertions that any input must pass, shared by the targets.

pub mod diff;
pub mod filter;
pub mod html;
pub mod session;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bittrace_protocol::Timestamp;
use bittrace_protocol::field::{Field, untiled};
use bittrace_trace::{
    Body, Direction, Dissected, Dissector, Flow, Moment, PeerWireBody, Record, StreamClosing, StreamEvent,
    StreamId, StreamOpening, Unreadable,
};

/// Fields tile the bytes of their message.
///
/// # Panics
/// When they do not.
pub fn tile(fields: &[Field], length: usize) {
    assert_eq!(untiled(fields, 0..length), None);
}

/// What holds for each record alone: its fields tile its bytes, what was decoded encodes to the same bytes, a
/// packet carried it.
///
/// # Panics
/// When one of them does not hold.
pub fn record(record: &Record) {
    tile(&record.fields(), record.bytes.len());
    assert!(!record.frames.is_empty(), "no packet carried {record:?}");
    assert!(
        record.length() > 0
            || matches!(
                record.body,
                Body::UdpTracker(_) | Body::Unreadable(_, Unreadable::Opaque(_) | Unreadable::LostPackets(_))
            ),
        "nothing: {record:?}"
    );
    match &record.body {
        Body::PeerWire(PeerWireBody::Handshake(handshake)) => {
            assert_eq!(handshake.encode(), record.bytes[..])
        }
        Body::PeerWire(PeerWireBody::Message(message) | PeerWireBody::Extended(message, _)) => {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            assert_eq!(bytes, record.bytes);
        }
        Body::UdpTracker(packet) => assert_eq!(packet.encode(), record.bytes),
        _ => {}
    }
}

/// One direction of one stream.
pub type Way = (StreamId, SocketAddr, SocketAddr);

/// What the records of a trace say, by the way they went, checked to stand end to end in each.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ways(pub BTreeMap<Way, Said>);

/// What was said one way.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Name, offset and length of each record.
    pub records: Vec<(&'static str, u64, u64)>,
    /// All bytes, without those lost.
    pub bytes: Vec<u8>,
}

impl Ways {
    /// Takes in the next record.
    ///
    /// # Panics
    /// When it does not stand where the one before it ended.
    pub fn push(&mut self, record: &Record) {
        let said = self.0.entry((record.stream, record.source, record.destination)).or_default();
        if let Some((name, offset, length)) = said.records.last() {
            assert_eq!(record.offset, offset + length, "after {name}: {record:?}");
        }
        said.records.push((record.body.message(), record.offset, record.length()));
        said.bytes.extend_from_slice(&record.bytes);
    }
}

/// A sequence that looks random and follows from its seed (splitmix64; Steele, Lea and Flood 2014).
#[derive(Debug, Clone)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound as u64) as usize
    }
}

/// What happens in a conversation.
#[derive(Debug)]
pub enum Step {
    /// An end says something.
    Says(Direction, Vec<u8>),
    /// The capture loses so many bytes of what an end says.
    Loses(Direction, u64),
}

/// What two ends say in turn, in bursts of up to `burst` times 16 bytes. Where `far`, now and then more is lost than was
/// there.
pub fn conversation(
    mut left: [&[u8]; 2],
    losses: u8,
    burst: u8,
    far: bool,
    sequence: &mut Sequence,
) -> Vec<Step> {
    let mut steps = Vec::new();
    while left.iter().any(|left| !left.is_empty()) {
        let direction =
            if sequence.below(2) == 0 { Direction::FromInitiator } else { Direction::FromResponder };
        let left = &mut left[direction as usize];
        if left.is_empty() {
            continue;
        }
        let (part, more) = left.split_at((1 + sequence.below(1 + usize::from(burst) * 16)).min(left.len()));
        *left = more;
        let lost = sequence.below(256) < usize::from(losses / 4);
        steps.push(match lost {
            true => {
                let beyond = if far { sequence.number() % 8 / 7 * 100_000 } else { 0 };
                Step::Loses(direction, part.len() as u64 + beyond)
            }
            false => Step::Says(direction, part.to_vec()),
        });
    }
    steps
}

/// The stream of such a conversation.
pub const STREAM: StreamId = StreamId(0);

/// Its ends.
pub fn flow() -> Flow {
    let end = |last, port| (std::net::Ipv4Addr::new(10, 0, 0, last), port).into();
    Flow { initiator: end(1, 40_000), responder: end(2, 6881) }
}

/// Plays a conversation from its opening to its end. `cut` says of so many bytes how many come at once, at least one.
pub fn play(
    dissector: &mut Dissector,
    opening: StreamOpening,
    steps: &[Step],
    mut cut: impl FnMut(usize) -> usize,
    out: &mut dyn FnMut(Dissected),
) {
    let mut moment = Moment { at: Timestamp::EPOCH, frame: 1 };
    dissector.handle(moment, StreamEvent::Opened { stream: STREAM, flow: flow(), opening }, out);
    for step in steps {
        moment.frame += 1;
        match step {
            Step::Loses(direction, length) => {
                let gap = StreamEvent::Gap { stream: STREAM, direction: *direction, length: *length };
                dissector.handle(moment, gap, out);
            }
            Step::Says(direction, bytes) => {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let (part, more) = rest.split_at(cut(rest.len()));
                    let burst = StreamEvent::Burst { stream: STREAM, direction: *direction, bytes: part };
                    dissector.handle(moment, burst, out);
                    rest = more;
                }
            }
        }
    }
    dissector.handle(moment, StreamEvent::Closed { stream: STREAM, closing: StreamClosing::Finished }, out);
}
