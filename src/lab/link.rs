//! The link of a host: a server of fixed rate up, and one down. What waits to go up is served fairly among the streams of the
//! host; its datagrams wait in one queue, which takes turns with all streams together.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bittrace_protocol::Timestamp;
use bittrace_protocol::utp::Fragment;
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
    datagrams: VecDeque<Datagram>,
    datagram_bytes: usize,
    /// The datagram that is being sent, in place of bytes of streams.
    pub(crate) datagram: Option<Datagram>,
    /// How many bytes more datagrams have sent than streams, while both had something.
    lead: isize,
}

/// A datagram as its sender hands it to the network.
#[derive(Debug, Clone)]
pub(crate) struct Datagram {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Bytes,
    /// Whether it may be cut on its way.
    pub(crate) fragment: Fragment,
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
        Self {
            rate,
            sparse: VecDeque::new(),
            bulk: VecDeque::new(),
            serving: None,
            datagrams: VecDeque::new(),
            datagram_bytes: 0,
            datagram: None,
            lead: 0,
        }
    }

    /// Whether it sends nothing now.
    pub(crate) const fn is_free(&self) -> bool {
        self.serving.is_none() && self.datagram.is_none()
    }

    /// Adds a datagram to those that wait; whether there was room for it. So many bytes have room as are sent in this time, and
    /// [`LEAST_QUEUE`] at least.
    pub(crate) fn queue_datagram(&mut self, datagram: Datagram, most: Duration) -> bool {
        let room = (self.rate.0 * most.as_secs_f64()).max(LEAST_QUEUE as f64);
        let count = datagram.bytes.len();
        if self.rate.0.is_finite() && (self.datagram_bytes + count) as f64 > room {
            return false;
        }
        self.datagram_bytes += count;
        self.datagrams.push_back(datagram);
        true
    }

    /// The datagram that leaves next, where it is the turn of datagrams.
    pub(crate) fn next_datagram(&mut self) -> Option<Datagram> {
        let alone = self.sparse.is_empty() && self.bulk.is_empty();
        if self.datagrams.is_empty() || alone {
            self.lead = 0;
        } else if self.lead > 0 {
            return None;
        }
        let datagram = self.datagrams.pop_front()?;
        self.datagram_bytes -= datagram.bytes.len();
        if !alone {
            self.lead += datagram.bytes.len() as isize;
        }
        Some(datagram)
    }

    /// Streams have had their turn, with so many bytes.
    pub(crate) fn served_streams(&mut self, count: usize) {
        if !self.datagrams.is_empty() {
            self.lead -= count as isize;
        }
    }

    /// Nothing more is sent of what waits.
    pub(crate) fn drop_datagrams(&mut self) {
        self.datagrams.clear();
        self.datagram_bytes = 0;
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

    /// Whether a datagram that comes now may wait: before it are bytes for this time at the most, or [`LEAST_QUEUE`].
    pub(crate) fn has_room(&self, now: Timestamp, most: Duration) -> bool {
        self.wait(now) <= most.max(self.rate.time_of(LEAST_QUEUE as u64))
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

/// Datagrams that may wait before any link: ten packets, as routers of slow links have room for.
const LEAST_QUEUE: usize = 15_000;

/// What a stream sends in one turn.
pub(crate) const QUANTUM: usize = 16 * 1024;

/// What a stream sends before others, when it had nothing to send: a packet.
pub(crate) const SPARSE: usize = 1448;

#[cfg(test)]
mod tests {
    use super::*;
    use bittrace_protocol::session::SessionStreamId;

    use crate::network::{Connections, Side};

    fn datagram(count: usize) -> Datagram {
        let end = SocketAddr::from(([10, 1, 0, 1], 6881));
        Datagram { from: end, to: end, bytes: vec![0; count].into(), fragment: Fragment::Allowed }
    }

    #[test]
    fn what_a_queue_has_no_room_for_is_lost() {
        let mut up = Uplink::new(ByteRate(100_000.0));
        let most = Duration::from_millis(200);
        let kept = (0..20).filter(|_| up.queue_datagram(datagram(1400), most)).count();
        // 20,000 bytes.
        assert_eq!(kept, 14);
        assert!(up.next_datagram().is_some() && up.queue_datagram(datagram(1400), most));
        // A link without a limit has no queue.
        let mut up = Uplink::new(ByteRate::INFINITE);
        assert!((0..1000).all(|_| up.queue_datagram(datagram(1400), most)));
    }

    #[test]
    fn datagrams_and_streams_take_turns_by_bytes() {
        let mut up = Uplink::new(ByteRate(1e6));
        let host = |number| (number, SessionStreamId(0), SocketAddr::from(([10, 1, 0, 1], 6881)));
        let connection = Connections::default().insert(host(1), host(2), Duration::ZERO, 1e6);
        let end = EndId { connection, side: Side::Initiator };
        (0..40).for_each(|_| assert!(up.queue_datagram(datagram(1000), Duration::from_secs(1))));
        let mut sent = (0, 0);
        for _ in 0..30 {
            if up.bulk.is_empty() {
                up.go_on(end);
            }
            match up.next_datagram() {
                Some(datagram) => sent.0 += datagram.bytes.len(),
                None => {
                    up.next();
                    up.served_streams(8000);
                    sent.1 += 8000;
                }
            }
        }
        assert!(sent.0.abs_diff(sent.1) <= 8000, "{sent:?}");
    }

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

    #[test]
    fn ten_packets_have_room_before_a_slow_link_down() {
        let (now, most) = (Timestamp::from_nanos(0), Duration::from_millis(200));
        let taken = |rate: f64| {
            let mut down = Downlink::new(ByteRate(rate));
            let all =
                (0..20).take_while(|_| down.has_room(now, most).then(|| down.pass(now, 1500)).is_some());
            all.count()
        };
        // What is let in last ends after the queue.
        assert_eq!(taken(5_000.0), 11);
        assert_eq!(taken(100_000.0), 14);
        assert!(Downlink::new(ByteRate::INFINITE).has_room(now, most));
    }
}
