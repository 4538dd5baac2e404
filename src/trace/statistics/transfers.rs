//! How blocks were requested and sent on each connection: outstanding requests, latencies, chokes, waste.

use std::collections::BTreeMap;

use bittrace_protocol::peer::PeerFault;
use bittrace_protocol::wire::Message;
use bittrace_protocol::{PieceIndex, Timestamp};
use rustc_hash::FxHashMap;

use super::{BlockRepeat, BlocksReceived, KEPT};
use crate::expert::rules;
use crate::record::{Body, Record};
use crate::{Direction, Dissected, StreamId};

/// The exchanges of a capture, by stream.
#[derive(Debug, Default)]
pub struct Exchanges {
    by_stream: FxHashMap<StreamId, Exchange>,
    received: BlocksReceived,
}

/// What both ends of a connection sent each other.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// What the initiator sent, then what the responder sent.
    pub directions: [Given; 2],
}

/// The blocks that one end sent to the other, and how fast.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// How many requests the other end sent. A block that is requested again counts again.
    pub requests: u64,
    /// How many of these requests were outstanding at the last message of the connection.
    pub open: u64,
    /// How many requests were outstanding when a request was sent, and how often that number occurred.
    depths: BTreeMap<u16, u64>,
    /// Latencies by the logarithm of their microseconds, in 16 steps an octave, with how often each came.
    latencies: BTreeMap<u16, u64>,
    /// The longest latency, seconds.
    pub slowest: Option<f64>,
    /// Bytes of blocks that the receiver already had, from any peer.
    pub duplicate: u64,
    /// Of those, bytes that had to come again because their piece had the wrong hash. The others came for nothing.
    pub after_wrong_hash: u64,
    /// Bytes of blocks of pieces that then had the wrong hash.
    pub wrong_hash: u64,
    /// Bytes of blocks that were not requested.
    pub unsolicited: u64,
    /// How often it choked the other end.
    pub chokes: u64,
    /// Seconds for which the other end was choked, as far as the capture shows the connection's beginning.
    choked: f64,
    choked_since: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Given {
    /// Bytes of blocks that came for nothing: the receiver had them, had not requested them, or their piece had the wrong
    /// hash.
    pub const fn waste(&self) -> u64 {
        self.duplicate - self.after_wrong_hash + self.unsolicited + self.wrong_hash
    }

    /// The largest number of outstanding requests.
    pub fn deepest(&self) -> Option<u16> {
        self.depths.keys().next_back().copied()
    }

    /// The median number of outstanding requests at the moment a request was sent.
    pub fn median_depth(&self) -> Option<u16> {
        quantile(&self.depths, 0.5)
    }

    /// The latency in seconds that this share of all blocks did not exceed, to a twentieth; the slowest exactly.
    pub fn latency(&self, share: f64) -> Option<f64> {
        let step = quantile(&self.latencies, share)?;
        Some(((f64::from(step) / STEPS).exp2() / 1e6).min(self.slowest?))
    }

    /// Seconds for which the other end was choked; `None` where the capture does not show the beginning.
    pub fn choked(&self) -> Option<f64> {
        let rest = match (self.choked_since, self.last) {
            (Some(since), Some(last)) => last.seconds_since(since).max(0.0),
            _ => 0.0,
        };
        (self.choked_since.is_some() || self.choked > 0.0).then_some(self.choked + rest)
    }
}

/// Steps an octave.
const STEPS: f64 = 16.0;

impl Exchanges {
    /// Exchanges of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// That of a stream.
    pub fn of(&self, stream: StreamId) -> Option<&Exchange> {
        self.by_stream.get(&stream)
    }

    /// Takes in a record.
    pub fn add(&mut self, dissected: &Dissected) {
        let Dissected::Record(record) = dissected else { return };
        let message = record.peer_message();
        let repeat = match message {
            Some(Message::Piece { index, begin, block }) => {
                self.received.block(record, *index, *begin, block.len() as u32)
            }
            _ => BlockRepeat::New,
        };
        // The last block of a wrong piece is of the wrong attempt too, so this comes after it.
        let verdicts = record.notes.iter().filter_map(rules::verdict_on_piece);
        let wrong: Vec<PieceIndex> =
            verdicts.filter(|(_, is_right)| !is_right).map(|(piece, _)| piece).collect();
        for block in wrong.into_iter().flat_map(|piece| self.received.wrong_hash(record, piece)) {
            if let Some(exchange) = self.by_stream.get_mut(&block.stream) {
                exchange.directions[block.direction as usize].wrong_hash += u64::from(block.length);
            }
        }
        if !matches!(record.body, Body::PeerWire(_))
            || self.by_stream.len() >= KEPT && !self.by_stream.contains_key(&record.stream)
        {
            return;
        }
        let exchange = self.by_stream.entry(record.stream).or_default();
        let [initiator, responder] = &mut exchange.directions;
        // What the initiator requests is given by the responder.
        let [by_initiator, by_responder] = record.effect.outstanding.map(u64::from);
        for (given, open) in [(&mut *initiator, by_responder), (&mut *responder, by_initiator)] {
            given.last = Some(record.at);
            given.open = open;
        }
        let (own, other) = match record.direction {
            Direction::FromInitiator => (initiator, responder),
            Direction::FromResponder => (responder, initiator),
        };
        match message {
            None => {
                // Connections start out choked (BEP 3, "peer protocol").
                own.choked_since = Some(record.at);
            }
            Some(message) => own.said(other, record, message, repeat),
        }
    }
}

impl Given {
    /// Takes in a message that this end sent; `other` is the record of the other end.
    fn said(&mut self, other: &mut Self, record: &Record, message: &Message, repeat: BlockRepeat) {
        match message {
            Message::Choke => {
                self.chokes += 1;
                self.choked_since.get_or_insert(record.at);
            }
            Message::Unchoke => {
                if let Some(since) = self.choked_since.take() {
                    self.choked += record.at.seconds_since(since).max(0.0);
                }
            }
            Message::Request(_) => {
                other.requests += 1;
                let depth = u16::try_from(other.open).unwrap_or(u16::MAX);
                *other.depths.entry(depth).or_default() += 1;
            }
            Message::Piece { block, .. } => {
                let length = block.len() as u64;
                self.duplicate += if repeat == BlockRepeat::New { 0 } else { length };
                self.after_wrong_hash += if repeat == BlockRepeat::AfterWrongHash { length } else { 0 };
                if record.effect.faults.contains(&PeerFault::BlockUnsolicited) {
                    self.unsolicited += length;
                }
                let Some(answer) = record.answers else { return };
                self.slowest = Some(self.slowest.unwrap_or(0.0).max(answer.latency));
                let step = (answer.latency * 1e6).max(1.0).log2() * STEPS;
                *self.latencies.entry(step.ceil().min(f64::from(u16::MAX)) as u16).or_default() += 1;
            }
            _ => {}
        }
    }
}

/// The smallest value that this share of all values does not exceed.
fn quantile(counts: &BTreeMap<u16, u64>, share: f64) -> Option<u16> {
    let all: u64 = counts.values().sum();
    let wanted = (all as f64 * share).ceil() as u64;
    let mut seen = 0;
    counts.iter().find_map(|(value, count)| {
        seen += count;
        (seen >= wanted).then_some(*value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_values_that_so_many_keep() {
        let counts = BTreeMap::from([(1, 5), (2, 4), (9, 1)]);
        assert_eq!([0.5, 0.9, 0.95, 1.0].map(|share| quantile(&counts, share)), [1, 2, 9, 9].map(Some));
        assert_eq!(quantile(&BTreeMap::new(), 0.5), None);
    }
}
