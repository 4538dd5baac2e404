//! The connections between hosts. TCP is a model: bytes in order, and a window that caps what is under way.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bittrace_protocol::Timestamp;
use bittrace_protocol::session::SessionStreamId;
use bittrace_trace as trace;
use bytes::Bytes;

use crate::link::{Part, Parts, QUANTUM};
use crate::measure::Talk;

/// The number of a host: the tracker is 0.
pub(crate) type HostId = u32;

/// A connection: its place, and how many connections had the place before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId {
    slot: u32,
    age: u32,
}

/// An end of a connection: the side that opened it, or the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EndId {
    pub(crate) connection: ConnectionId,
    pub(crate) side: Side,
}

impl EndId {
    pub(crate) const fn other(self) -> Self {
        Self { connection: self.connection, side: self.side.other() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Side {
    Initiator,
    Responder,
}

impl Side {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }

    pub(crate) const fn direction(self) -> trace::Direction {
        match self {
            Self::Initiator => trace::Direction::FromInitiator,
            Self::Responder => trace::Direction::FromResponder,
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    ends: [End; 2],
    /// From one end to the other.
    pub(crate) delay: Duration,
    pub(crate) addresses: trace::Flow,
    /// When it was opened, for both ends.
    pub(crate) opened_at: Option<Timestamp>,
    /// Its number in the capture, where it stands there.
    pub(crate) recorded: Option<trace::StreamId>,
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) host: HostId,
    /// What the session of the host calls it.
    pub(crate) stream: SessionStreamId,
    /// Whether the host still has it.
    pub(crate) alive: bool,
    /// Whether it is closed once all is sent.
    pub(crate) closing: bool,
    /// Whether it waits for its turn on the link up, or for the window.
    pub(crate) scheduled: bool,
    /// Whether what it has to send waits for the window.
    pub(crate) blocked: bool,
    /// Whether it is going to be told that it knows more of what was delivered.
    pub(crate) is_to_know: bool,
    /// What waits to be sent.
    waiting: VecDeque<Part>,
    waiting_bytes: usize,
    /// What is left of its turns, below zero where it sent more.
    credit: isize,
    pub(crate) window: Window,
    /// What has left and has not come yet.
    pub(crate) under_way: VecDeque<Parts>,
    /// How many of these are at the link down of the other end.
    pub(crate) coming: usize,
    /// What it has said.
    pub(crate) talk: Talk,
}

impl End {
    const fn new(host: HostId, stream: SessionStreamId, most: f64) -> Self {
        Self {
            host,
            stream,
            alive: true,
            closing: false,
            scheduled: false,
            blocked: false,
            is_to_know: false,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            credit: 0,
            window: Window::new(most),
            under_way: VecDeque::new(),
            coming: 0,
            talk: Talk::new(),
        }
    }

    /// More bytes are to be sent.
    pub(crate) fn push(&mut self, bytes: Bytes, is_content: bool) {
        if !bytes.is_empty() {
            self.waiting_bytes += bytes.len();
            self.waiting.push_back(Part { bytes, is_content });
        }
    }

    /// What has come next at the other end.
    pub(crate) fn take_delivered(&mut self) -> Option<Parts> {
        let parts = self.under_way.pop_front()?;
        self.coming -= 1;
        // Most ends say little most of the time: room that is kept would be most of their memory.
        if self.under_way.is_empty() {
            self.under_way = VecDeque::new();
        }
        Some(parts)
    }

    pub(crate) fn has_more(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Nothing more is sent.
    pub(crate) fn drop_waiting(&mut self) {
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    /// How many bytes wait to be sent.
    pub(crate) const fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// What leaves in a turn: as much as the turn and the window allow. A part of up to [`QUANTUM`] bytes leaves whole; what it
    /// has more than the turn is taken from the next turn.
    pub(crate) fn take_turn(&mut self) -> Parts {
        let mut parts = Parts::new();
        self.credit += QUANTUM as isize;
        while self.credit > 0 && self.window.room() > 0 {
            let Some(front) = self.waiting.front_mut() else { break };
            let most = if self.window.size >= WIDE_WINDOW { QUANTUM } else { self.window.room() };
            let part = if front.bytes.len() <= most {
                self.waiting.pop_front()
            } else {
                Some(Part { bytes: front.bytes.split_to(most), is_content: front.is_content })
            };
            let count = part.as_ref().map_or(0, |part| part.bytes.len());
            parts.extend(part);
            self.credit -= count as isize;
            self.waiting_bytes -= count;
            self.window.under_way += count;
        }
        if self.waiting.is_empty() || self.credit > 0 {
            self.credit = 0;
        }
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        parts
    }
}

/// How many bytes may be under way: 64 KiB at first, doubled each round trip to 4 MiB, halved where a queue grows too long, and
/// then one packet more a round trip (RFC 5681, section 3.1). What was acknowledged is known after half a round trip.
#[derive(Debug)]
pub(crate) struct Window {
    size: f64,
    most: f64,
    /// Whether it grows by one packet each round trip only.
    careful: bool,
    /// It is halved once a round trip at the most.
    halved_at: Timestamp,
    under_way: usize,
    /// What is going to be known as delivered, and when.
    acknowledged: VecDeque<(Timestamp, usize)>,
}

impl Window {
    const fn new(most: f64) -> Self {
        Self {
            size: if most < FIRST_WINDOW { most } else { FIRST_WINDOW },
            most,
            careful: false,
            halved_at: Timestamp::EPOCH,
            under_way: 0,
            acknowledged: VecDeque::new(),
        }
    }

    /// How many bytes may leave.
    fn room(&self) -> usize {
        (self.size as usize).saturating_sub(self.under_way)
    }

    /// So many bytes were delivered, which the sender knows at a time.
    pub(crate) fn delivered(&mut self, known_at: Timestamp, count: usize) {
        self.acknowledged.push_back((known_at, count));
    }

    /// Takes what is known by now.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        while let Some(&(at, count)) = self.acknowledged.front()
            && at <= now
        {
            self.acknowledged.pop_front();
            self.under_way = self.under_way.saturating_sub(count);
            let count = count as f64;
            self.size += if self.careful { SEGMENT * count / self.size } else { count };
            self.size = self.size.min(self.most);
        }
    }

    /// When more is known, where anything is under way that has come.
    pub(crate) fn next_known(&self) -> Option<Timestamp> {
        self.acknowledged.front().map(|&(at, _)| at)
    }

    /// The queue before the receiver is too long.
    pub(crate) fn halve(&mut self, now: Timestamp, round_trip: Duration) {
        if now - self.halved_at >= round_trip {
            self.halved_at = now;
            self.careful = true;
            self.size = (self.size / 2.0).max(LEAST_WINDOW).min(self.most);
        }
    }
}

/// The most that may be under way where this share of packets of `mtu` bytes is lost, by the throughput of Mathis, Semke, Mahdavi
/// and Ott 1997: 1.22 segments a round trip, divided by the root of the loss.
pub(crate) fn window_under_loss(loss: f64, mtu: u32) -> f64 {
    let segment = f64::from(mtu.saturating_sub(52));
    (1.22 * segment / loss.sqrt()).clamp(segment, MOST_WINDOW)
}

/// All connections that are open, by number.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    slots: Vec<(u32, Option<Box<Connection>>)>,
    free: Vec<u32>,
}

impl Connections {
    pub(crate) fn insert(
        &mut self,
        from: (HostId, SessionStreamId, SocketAddr),
        to: (HostId, SessionStreamId, SocketAddr),
        delay: Duration,
        most: f64,
    ) -> ConnectionId {
        let connection = Box::new(Connection {
            ends: [End::new(from.0, from.1, most), End::new(to.0, to.1, most)],
            delay,
            addresses: trace::Flow { initiator: from.2, responder: to.2 },
            opened_at: None,
            recorded: None,
        });
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            self.slots.len() as u32 - 1
        });
        let place = &mut self.slots[slot as usize];
        place.1 = Some(connection);
        ConnectionId { slot, age: place.0 }
    }

    pub(crate) fn get(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let (age, connection) = self.slots.get_mut(id.slot as usize)?;
        connection.as_deref_mut().filter(|_| *age == id.age)
    }

    pub(crate) fn end(&mut self, id: EndId) -> Option<&mut End> {
        self.get(id.connection).map(|connection| &mut connection.ends[id.side as usize])
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Box<Connection>> {
        let (age, connection) = self.slots.get_mut(id.slot as usize).filter(|(age, _)| *age == id.age)?;
        let connection = connection.take()?;
        *age += 1;
        self.free.push(id.slot);
        Some(connection)
    }
}

impl Connection {
    pub(crate) const fn end(&self, side: Side) -> &End {
        &self.ends[side as usize]
    }
}

/// A window of TCP at first: common systems announce so much.
const FIRST_WINDOW: f64 = 64.0 * 1024.0;

/// The most that common systems grow a window to.
const MOST_WINDOW: f64 = 4.0 * 1024.0 * 1024.0;

/// What common systems do not go below.
const LEAST_WINDOW: f64 = 4.0 * SEGMENT;

/// The bytes of a segment on Ethernet, beside headers and time stamps.
const SEGMENT: f64 = 1448.0;

/// With a wider window, a block is not cut to fill it.
const WIDE_WINDOW: f64 = 2.0 * QUANTUM as f64;

#[cfg(test)]
mod tests {
    use super::*;

    fn end(most: f64) -> End {
        End::new(1, SessionStreamId(0), most)
    }

    #[test]
    fn the_head_of_a_block_leaves_with_it_and_long_data_in_parts() {
        let mut end = end(MOST_WINDOW);
        end.push(Bytes::from_static(&[1; 13]), false);
        end.push(Bytes::from_static(&[2; 16_384]), true);
        let lengths = |parts: Parts| parts.iter().map(|part| part.bytes.len()).collect::<Vec<_>>();
        assert_eq!(lengths(end.take_turn()), [13, 16_384]);
        end.push(Bytes::from_static(&[3; 40_000]), true);
        assert_eq!(lengths(end.take_turn()), [16_384]);
        assert_eq!(lengths(end.take_turn()), [16_384]);
        // The head of the first block was more than its turn.
        assert_eq!(lengths(end.take_turn()), [7_232]);
        assert!(!end.has_more());
    }

    #[test]
    fn the_window_doubles_each_round_trip_and_caps_what_is_under_way() {
        let at = |ms: i64| Timestamp::from_nanos(ms * 1_000_000);
        let mut end = end(MOST_WINDOW);
        (0..100).for_each(|_| end.push(Bytes::from_static(&[0; 16_384]), true));
        let sent = |end: &mut End| {
            let mut count = 0;
            while !end.take_turn().is_empty() {
                count += 1;
            }
            count
        };
        assert_eq!(sent(&mut end), 4);
        (0..4).for_each(|_| end.window.delivered(at(100), 16_384));
        end.window.advance(at(99));
        assert_eq!(sent(&mut end), 0);
        end.window.advance(at(100));
        assert_eq!(sent(&mut end), 8);
        (0..8).for_each(|_| end.window.delivered(at(200), 16_384));
        end.window.halve(at(200), Duration::from_millis(100));
        end.window.halve(at(250), Duration::from_millis(100));
        end.window.advance(at(200));
        // Half of the window and a packet more: what begins within the window leaves whole.
        assert_eq!(sent(&mut end), 5);
    }

    #[test]
    fn loss_caps_the_window() {
        assert_eq!(window_under_loss(0.0, 1500), MOST_WINDOW);
        let one_in_a_hundred = window_under_loss(0.01, 1500);
        assert!((one_in_a_hundred - 12.2 * 1448.0).abs() < 1.0, "{one_in_a_hundred}");
    }

    #[test]
    fn a_place_that_is_taken_again_is_another_connection() {
        let mut connections = Connections::default();
        let address: SocketAddr = ([10, 0, 0, 1], 1).into();
        let insert = |connections: &mut Connections| {
            let end = (1, SessionStreamId(0), address);
            connections.insert(end, end, Duration::ZERO, 1.0)
        };
        let first = insert(&mut connections);
        assert!(connections.remove(first).is_some());
        let second = insert(&mut connections);
        assert!(connections.get(first).is_none() && connections.get(second).is_some());
    }
}
