//! Two connections and what is between them: delay, loss, reordering, doubles, an MTU, a rate, and clocks that differ.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::session::rng::Rng;
use crate::utp::connection::{Ending, RECEIVE_WINDOW};

/// What happens to packets on their way. Chances are of 1,000.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) loss: usize,
    pub(super) doubles: usize,
    /// The most bytes after the UDP header.
    pub(super) mtu: usize,
    /// Bytes a second.
    pub(super) rate: Option<u64>,
    /// How long a packet may wait for the rate: what finds a longer queue is lost.
    pub(super) queue: Duration,
    /// Which packets of the caller with data, or its end, are lost whatever the chances, counted as they leave.
    pub(super) lost: (usize, usize),
}

impl Default for Way {
    fn default() -> Self {
        Self {
            delay: millis(20),
            jitter: Duration::ZERO,
            loss: 0,
            doubles: 0,
            mtu: 1_472,
            rate: None,
            queue: millis(500),
            lost: (0, 0),
        }
    }
}

/// A clock that is ahead by so much, and goes faster by so many millionths.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SimClock {
    pub(super) ahead: i64,
    pub(super) drift: i64,
}

impl SimClock {
    fn local(self, now: i64) -> Timestamp {
        let drifted = i128::from(now - START.as_nanos()) * i128::from(self.drift) / 1_000_000;
        Timestamp::from_nanos(now + self.ahead + drifted as i64)
    }

    /// A moment when this clock shows `local`, or a little more.
    fn global(self, local: Timestamp) -> i64 {
        let passed = i128::from(local.as_nanos() - self.ahead - START.as_nanos());
        START.as_nanos() + (passed * 1_000_000 / i128::from(1_000_000 + self.drift)) as i64 + 2
    }
}

/// One end, and what the layer above it does: it writes all that it has to say, and closes.
pub(super) struct SimEnd {
    pub(super) connection: Connection,
    clock: SimClock,
    says: Vec<u8>,
    written: usize,
    /// How many bytes the other end has to say.
    expects: usize,
    pub(super) received: usize,
    opened: bool,
    ended: bool,
    pub(super) ending: Option<Ending>,
    /// Packets of data that were sent.
    pub(super) packets: usize,
    /// The same with FIN.
    numbered: usize,
    /// The largest packet that was sent.
    pub(super) largest: usize,
    heard_at: i64,
}

pub(super) struct Link {
    pub(super) ends: Vec<SimEnd>,
    way: Way,
    clocks: [SimClock; 2],
    draws: [Draw; 2],
    /// What the end that answers will say.
    answers: Vec<u8>,
    /// What is under way: when it arrives, a number that tells arrivals apart, to whom, the packet.
    wire: BTreeMap<(i64, u64), (usize, Bytes)>,
    order: u64,
    busy_until: [i64; 2],
    /// How long what the caller sends waits for the way to be free: when, how long.
    queued: Vec<(i64, i64)>,
    rng: Rng,
    now: i64,
}

impl Link {
    /// The first end calls, and says `says[0]`; the second one answers with `says[1]`.
    pub(super) fn new(way: Way, says: [Vec<u8>; 2], clocks: [SimClock; 2], draws: [Draw; 2]) -> Self {
        let [asks, answers] = says;
        let expects = answers.len();
        let caller = Connection::connect(draws[0].sequence ^ 77, draws[0], IPV4);
        let mut link = Self {
            ends: Vec::new(),
            way,
            clocks,
            draws,
            answers,
            wire: BTreeMap::new(),
            order: 0,
            busy_until: [0; 2],
            queued: Vec::new(),
            rng: Rng::new(draws[0].seed),
            now: START.as_nanos(),
        };
        link.add(caller, asks, expects);
        link
    }

    /// The longest that a packet of the caller waited, of those sent after so long.
    pub(super) fn longest_queue_after(&self, passed: Duration) -> Duration {
        let from = START.as_nanos() + passed.as_nanos() as i64;
        let waits = self.queued.iter().filter(|(at, _)| *at >= from).map(|(_, waited)| *waited as u64);
        Duration::from_nanos(waits.max().unwrap_or_default())
    }

    fn add(&mut self, connection: Connection, says: Vec<u8>, expects: usize) {
        self.ends.push(SimEnd {
            connection,
            clock: self.clocks[self.ends.len()],
            says,
            written: 0,
            expects,
            received: 0,
            opened: false,
            ended: false,
            ending: None,
            packets: 0,
            numbered: 0,
            largest: 0,
            heard_at: self.now,
        });
    }

    /// Runs until both ends are over. How long that took.
    pub(super) fn run(&mut self) -> Duration {
        for _ in 0..MOST_STEPS {
            (0..self.ends.len()).for_each(|at| self.settle(at));
            let wakes = self.ends.iter().filter_map(|end| Some(end.clock.global(end.connection.wakes_at()?)));
            let arrival = self.wire.keys().next().map(|&(at, _)| at);
            let Some(next) = wakes.chain(arrival).min() else {
                return Duration::from_nanos((self.now - START.as_nanos()) as u64);
            };
            self.now = self.now.max(next);
            while let Some(first) = self.wire.first_entry()
                && first.key().0 <= self.now
            {
                let (to, bytes) = first.remove();
                self.arrive(to, &bytes);
            }
        }
        panic!("the connection does not end");
    }

    fn arrive(&mut self, to: usize, bytes: &Bytes) {
        let header = Header::decode(bytes).expect("our packets can be read");
        if to < self.ends.len() {
            let end = &mut self.ends[to];
            end.heard_at = self.now;
            end.connection.handle(end.clock.local(self.now), &header, bytes);
        } else if header.kind == Kind::Syn {
            let local = self.clocks[1].local(self.now);
            let says = std::mem::take(&mut self.answers);
            let expects = self.ends[0].says.len();
            self.add(Connection::accept(local, &header, self.draws[1], IPV4), says, expects);
        }
    }

    fn settle(&mut self, at: usize) {
        let local = self.ends[at].clock.local(self.now);
        self.ends[at].connection.tick(local);
        while let Some(event) = self.ends[at].connection.poll() {
            self.take(at, event);
        }
        let end = &mut self.ends[at];
        // The layer above closes an end that hears nothing for long.
        if self.now - end.heard_at > SILENCE {
            end.connection.abort();
        }
        while end.written < end.says.len() && end.connection.unsent() < 256 * 1024 {
            let count = (end.says.len() - end.written).min(40_000);
            end.connection.write(Bytes::copy_from_slice(&end.says[end.written..end.written + count]));
            end.written += count;
        }
        // The caller has what it wanted and closes; the other end closes because the caller did.
        let is_done = if at == 0 { end.received == end.expects && end.opened } else { end.ended };
        if is_done && end.written == end.says.len() {
            end.connection.close(local);
        }
        self.send(at, local);
        while let Some(event) = self.ends[at].connection.poll() {
            self.take(at, event);
        }
        let connection = &self.ends[at].connection;
        assert!(connection.held() <= RECEIVE_WINDOW + 1_472, "{} bytes held", connection.held());
        let wakes = connection.wakes_at();
        assert!(
            wakes.is_none_or(|wakes| wakes > local),
            "what was due at {wakes:?} is due again at {local:?}"
        );
    }

    fn take(&mut self, at: usize, event: ConnectionEvent) {
        assert_eq!(self.ends[at].ending, None, "{event:?} after the end");
        if let ConnectionEvent::Received(bytes) = &event {
            let (from, other) = (self.ends[at].received, &self.ends[1 - at]);
            let until = from + bytes.len();
            assert!(until <= other.written, "more than was sent");
            assert!(other.says[from..until] == bytes[..], "other bytes than were sent");
            assert!(!self.ends[at].ended, "bytes after the last");
            self.ends[at].received = until;
        }
        let end = &mut self.ends[at];
        match event {
            ConnectionEvent::Received(_) | ConnectionEvent::Sent(_) => {}
            ConnectionEvent::Opened => end.opened = true,
            ConnectionEvent::Ended => end.ended = true,
            ConnectionEvent::Closed(ending) => end.ending = Some(ending),
        }
    }

    fn send(&mut self, at: usize, local: Timestamp) {
        loop {
            let connection = &mut self.ends[at].connection;
            let (before, mut bytes) = (connection.send.in_flight(), Vec::new());
            let Some(fragment) = connection.transmit(local, &mut bytes) else { return };
            let after = connection.send.in_flight();
            if after > before && before > 0 {
                assert!(after <= connection.congestion.window(), "{after} bytes in flight");
                assert!(connection.send.unacknowledged() <= RECEIVE_WINDOW);
            }
            let header = Header::decode(&bytes).expect("our packets can be read");
            let end = &mut self.ends[at];
            end.packets += usize::from(header.kind == Kind::Data);
            end.largest = end.largest.max(bytes.len());
            if matches!(header.kind, Kind::Data | Kind::Fin) {
                end.numbered += 1;
                if at == 0 && (self.way.lost.0..self.way.lost.1).contains(&end.numbered) {
                    continue;
                }
            }
            self.carry(at, bytes, fragment);
        }
    }

    fn carry(&mut self, from: usize, bytes: Vec<u8>, fragment: Fragment) {
        // What may be cut arrives in parts, and is put together again.
        if bytes.len() > self.way.mtu && fragment == Fragment::Forbidden {
            return;
        }
        let copies = 1 + usize::from(self.rng.below(1_000) < self.way.doubles);
        let bytes = Bytes::from(bytes);
        for _ in 0..copies {
            if self.rng.below(1_000) < self.way.loss {
                continue;
            }
            let mut leaves = self.now;
            if let Some(rate) = self.way.rate {
                let begins = self.busy_until[from].max(self.now);
                if from == 0 {
                    self.queued.push((self.now, begins - self.now));
                }
                if begins - self.now > self.way.queue.as_nanos() as i64 {
                    continue;
                }
                leaves = begins + (bytes.len() as i64 + 28) * 1_000_000_000 / rate as i64;
                self.busy_until[from] = leaves;
            }
            let jitter = self.rng.below(self.way.jitter.as_nanos() as usize + 1) as i64;
            self.order += 1;
            let arrives = leaves + self.way.delay.as_nanos() as i64 + jitter;
            self.wire.insert((arrives, self.order), (1 - from, bytes.clone()));
        }
    }
}

/// How long the layer above bears silence.
const SILENCE: i64 = 200_000_000_000;
const MOST_STEPS: usize = 5_000_000;
