//! The link of a host: a server of fixed rate up, and one down. What waits to go up is served fairly among the streams of the
//! host.

use std::collections::VecDeque;
use std::time::Duration;

use bittrace_protocol::Timestamp;
use bytes::Bytes;
use smallvec::SmallVec;

use crate::network::EndId;
use crate::scenario::ByteRate;

/// The way up. Streams take turns: in each turn a stream may send [`QUANTUM`] bytes (deficit round robin, Shreedhar and
/// Varghese 1995). A stream that had nothing to send comes first with what it has to say, as small messages find their way
/// between the packets of a transfer (RFC 8290, section 4.2).
#[derive(Debug)]
pub(crate) struct Uplink {
    pub(crate) rate: ByteRate,
    sparse: VecDeque<EndId>,
    bulk: VecDeque<EndId>,
    /// What is being sent.
    pub(crate) serving: Option<Serving>,
}

/// Bytes that leave together: those of one stream, or the small messages of several that fill a packet.
pub(crate) type Serving = SmallVec<[(EndId, Parts); 1]>;

/// Parts one after the other: often the head of a piece message and its block.
pub(crate) type Parts = SmallVec<[Part; 2]>;

/// Bytes that a session hands out together.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) bytes: Bytes,
    /// Whether they are content of a block, and nothing else.
    pub(crate) is_content: bool,
}

/// How many bytes parts have together.
pub(crate) fn byte_count(parts: &[Part]) -> usize {
    parts.iter().map(|part| part.bytes.len()).sum()
}

impl Uplink {
    pub(crate) const fn new(rate: ByteRate) -> Self {
        Self { rate, sparse: VecDeque::new(), bulk: VecDeque::new(), serving: None }
    }

    /// A stream that had nothing to send has so many bytes.
    pub(crate) fn begin(&mut self, end: EndId, count: usize) {
        (if count <= SPARSE { &mut self.sparse } else { &mut self.bulk }).push_back(end);
    }

    /// A stream has more to send after its turn.
    pub(crate) fn go_on(&mut self, end: EndId) {
        self.bulk.push_back(end);
    }

    /// Whose turn it is.
    pub(crate) fn next(&mut self) -> Option<EndId> {
        self.next_sparse().or_else(|| self.bulk.pop_front())
    }

    /// The next stream with a small message.
    pub(crate) fn next_sparse(&mut self) -> Option<EndId> {
        self.sparse.pop_front()
    }
}

/// The way down: first come, first served.
#[derive(Debug)]
pub(crate) struct Downlink {
    pub(crate) rate: ByteRate,
    free_at: Timestamp,
}

impl Downlink {
    pub(crate) const fn new(rate: ByteRate) -> Self {
        Self { rate, free_at: Timestamp::EPOCH }
    }

    /// How long bytes that come now wait before they are served.
    pub(crate) fn wait(&self, now: Timestamp) -> Duration {
        self.free_at - now
    }

    /// When bytes that come now are through.
    pub(crate) fn pass(&mut self, now: Timestamp, count: usize) -> Timestamp {
        if !self.rate.0.is_finite() {
            return now;
        }
        self.free_at = self.free_at.max(now) + self.rate.time_of(count as u64);
        self.free_at
    }
}

/// What a stream sends in one turn.
pub(crate) const QUANTUM: usize = 16 * 1024;

/// What a stream sends before others, when it had nothing to send: a packet.
pub(crate) const SPARSE: usize = 1448;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_down_queue_behind_each_other_and_time_frees_the_link() {
        let mut down = Downlink::new(ByteRate(1000.0));
        let at = |ms: i64| Timestamp::from_nanos(ms * 1_000_000);
        assert_eq!(down.pass(at(0), 100), at(100));
        assert_eq!(down.wait(at(0)), Duration::from_millis(100));
        assert_eq!(down.pass(at(50), 100), at(200));
        assert_eq!(down.pass(at(1000), 100), at(1100));
        assert_eq!(Downlink::new(ByteRate::INFINITE).pass(at(5), 1 << 30), at(5));
    }
}
