//! The laws of the design as assertions that any input must pass, shared by the targets.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bittrace_protocol::field::{Field, untiled};
use bittrace_trace::{Body, Record, StreamId};

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
            || matches!(record.body, Body::UdpTracker(_) | Body::Opaque(..) | Body::LostPackets(..)),
        "nothing: {record:?}"
    );
    match &record.body {
        Body::Handshake(handshake) => assert_eq!(handshake.encode(), record.bytes[..]),
        Body::Message(message) | Body::Extended(message, _) => {
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
            assert_eq!(record.offset, offset + length, "behind {name}: {record:?}");
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
