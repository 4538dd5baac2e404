//! Trackers, the DHT and local service discovery: when each was asked, and when it answered.

use std::collections::HashMap;
use std::net::SocketAddr;

use bittrace_protocol::dht;
use bittrace_trace::record::{Body, Protocol};
use bittrace_trace::statistics::TrackerMessage;
use bittrace_trace::{Direction, Record};
use foldhash::fast::RandomState;

use super::data::{Answered, Asked, Asker, Micros};

/// Who was asked so far.
#[derive(Debug, Default)]
pub(super) struct Askers {
    rows: Vec<AskerSeen>,
    by_key: HashMap<AskerKey, usize, RandomState>,
    trackers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum AskerKey {
    Tracker(SocketAddr),
    /// Trackers beyond those that are told apart.
    OtherTrackers,
    /// Queries that the local host sent, or that others did.
    Dht {
        by_local: bool,
    },
    Lsd,
}

#[derive(Debug)]
struct AskerSeen {
    key: AskerKey,
    asked: EvenMarks<(Micros, u64, &'static str)>,
    answered: EvenMarks<(Micros, u64, u8)>,
}

/// How many trackers are told apart.
const TRACKERS: usize = 24;

/// How many requests, and how many responses, of each keep their moment.
pub const MOST_MARKS: usize = 200;

impl Askers {
    /// Takes in a message of a tracker, the DHT or local service discovery.
    pub(super) fn add(&mut self, record: &Record, t: Micros, n: u64) {
        let message = record.body.message();
        match &record.body {
            Body::HttpTracker(_) | Body::UdpTracker(_) => match TrackerMessage::of(record) {
                Some(TrackerMessage::Request { event }) => {
                    self.tracker(record).asked.push((t, n, event.unwrap_or(message)));
                }
                Some(TrackerMessage::Response { failed }) => {
                    self.tracker(record).answered.push((t, n, u8::from(failed)));
                }
                None => {}
            },
            Body::Dht(said, _) => {
                let is_query = matches!(said.kind, dht::Kind::Query(_));
                let by_local = record.side.is_near() == is_query;
                let row = self.row(AskerKey::Dht { by_local });
                match &said.kind {
                    dht::Kind::Query(_) => row.asked.push((t, n, message)),
                    dht::Kind::Response(_) => row.answered.push((t, n, 0)),
                    dht::Kind::Error(..) => row.answered.push((t, n, 1)),
                }
            }
            Body::Lsd(_) => self.row(AskerKey::Lsd).asked.push((t, n, message)),
            // What cannot be read of a tracker's answer is an answer all the same.
            Body::Unreadable(Protocol::HttpTracker | Protocol::UdpTracker, _)
                if record.direction == Direction::FromResponder =>
            {
                self.tracker(record).answered.push((t, n, 1));
            }
            _ => {}
        }
    }

    fn tracker(&mut self, record: &Record) -> &mut AskerSeen {
        let key = AskerKey::Tracker(record.flow().responder);
        if self.by_key.contains_key(&key) {
            return self.row(key);
        }
        if self.trackers >= TRACKERS {
            return self.row(AskerKey::OtherTrackers);
        }
        self.trackers += 1;
        self.row(key)
    }

    fn row(&mut self, key: AskerKey) -> &mut AskerSeen {
        let at = *self.by_key.entry(key).or_insert_with(|| {
            let (asked, answered) = (EvenMarks::default(), EvenMarks::default());
            self.rows.push(AskerSeen { key, asked, answered });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    pub(super) fn finish(self) -> Vec<Asker> {
        self.rows.into_iter().map(AskerSeen::finish).collect()
    }
}

impl AskerSeen {
    fn finish(self) -> Asker {
        let (label, kind) = match self.key {
            AskerKey::Tracker(address) => (format!("Tracker {address}"), "tracker"),
            AskerKey::OtherTrackers => ("Other trackers".to_owned(), "tracker"),
            AskerKey::Dht { by_local: true } => ("DHT, queries sent".to_owned(), "dht"),
            AskerKey::Dht { by_local: false } => ("DHT, queries received".to_owned(), "dht"),
            AskerKey::Lsd => ("Local service discovery".to_owned(), "lsd"),
        };
        let (mut asked, mut answered) = (Asked::default(), Answered::default());
        for (t, n, event) in &self.asked.marks {
            asked.t.push(*t);
            asked.n.push(*n);
            asked.event.push(*event);
        }
        for (t, n, failed) in &self.answered.marks {
            answered.t.push(*t);
            answered.n.push(*n);
            answered.failed.push(*failed);
        }
        Asker {
            label,
            kind,
            asked,
            answered,
            asked_count: self.asked.count,
            answered_count: self.answered.count,
            left_out: self.asked.left_out() + self.answered.left_out(),
        }
    }
}

/// At most [`MOST_MARKS`] of any number of marks, evenly: each, then every second, then every fourth.
#[derive(Debug)]
struct EvenMarks<T> {
    marks: Vec<T>,
    count: u64,
    step: u64,
}

impl<T> Default for EvenMarks<T> {
    fn default() -> Self {
        Self { marks: Vec::new(), count: 0, step: 1 }
    }
}

impl<T> EvenMarks<T> {
    fn push(&mut self, mark: T) {
        let is_kept = self.count.is_multiple_of(self.step);
        self.count += 1;
        if !is_kept {
            return;
        }
        self.marks.push(mark);
        if self.marks.len() > MOST_MARKS {
            self.step *= 2;
            let mut at = 0;
            self.marks.retain(|_| {
                at += 1;
                at % 2 == 1
            });
        }
    }

    fn left_out(&self) -> u64 {
        self.count - self.marks.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_kept_evenly() {
        let mut marks = EvenMarks::default();
        (0..1_000).for_each(|mark| marks.push(mark));
        let expected: Vec<i32> = (0..1_000).step_by(8).collect();
        assert_eq!((marks.marks, marks.count, marks.step), (expected, 1_000, 8));
    }
}
