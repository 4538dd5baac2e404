//! Whether clients announce when they may, and what they say of the bytes that are left.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use bittrace_protocol::tracker::{Event, http, udp};
use bittrace_protocol::{InfoHash, PeerId, Timestamp};

use crate::expert::rules;
use crate::record::units::{count, seconds, span};
use crate::record::{Body, HttpTrackerBody, Record};

/// The last announce of each client to each tracker about each torrent.
#[derive(Debug, Default)]
pub(super) struct Announces {
    last: HashMap<Key, Last>,
    /// Requests that wait for their answer, by the record's number.
    waiting: HashMap<u64, Key>,
    /// Whether the capture begins before the client does, so that its first announce is known to be the first.
    from_start: bool,
    /// The clients, by address, and torrents that have announced.
    begun: HashSet<(IpAddr, InfoHash)>,
}

type Key = (PeerId, InfoHash, SocketAddr);

#[derive(Debug, Clone, Copy)]
struct Last {
    at: Timestamp,
    left: Option<u64>,
    /// What the last answer asked for: seconds until the next announce.
    interval: Option<u64>,
    /// The same, at the least.
    min_interval: Option<u64>,
}

/// How many are remembered.
const KEPT: usize = 20_000;
/// What answers and clocks may be off by, seconds.
const SLACK: f64 = 1.0;

/// What an announce says of its client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Announced {
    pub(super) peer_id: PeerId,
    pub(super) info_hash: InfoHash,
    pub(crate) event: Option<Event>,
    pub(crate) left: Option<u64>,
}

impl Announced {
    /// What a record says, where it is an announce with a peer id.
    pub(super) fn of(record: &Record) -> Option<Self> {
        match &record.body {
            Body::HttpTracker(HttpTrackerBody::Request(_, kind)) => {
                let http::RequestKind::Announce(announce) = &**kind else { return None };
                let (event, left) = (announce.event, known(announce.left));
                Some(Self { peer_id: announce.peer_id?, info_hash: announce.info_hash, event, left })
            }
            Body::UdpTracker(packet) => {
                let udp::Packet::AnnounceRequest(announce) = &**packet else { return None };
                let (peer_id, info_hash) = (announce.peer_id, announce.info_hash);
                Some(Self { peer_id, info_hash, event: announce.event(), left: known(Some(announce.left)) })
            }
            _ => None,
        }
    }
}

/// How much is left, where the client knows: without the metadata, Transmission says 2^63 - 1, and before that 2^64 - 1.
fn known(left: Option<u64>) -> Option<u64> {
    left.filter(|left| *left < i64::MAX as u64)
}

impl Announces {
    /// `from_start` says that the capture begins before the client does.
    pub(super) fn new(from_start: bool) -> Self {
        Self { from_start, ..Self::default() }
    }

    pub(super) fn judge(&mut self, record: &mut Record) {
        if let Some(announced) = Announced::of(record) {
            return self.announce(record, announced);
        }
        match &record.body {
            Body::HttpTracker(HttpTrackerBody::Response(_, reply)) => {
                if let http::Reply::Announce(reply) = &**reply {
                    let (interval, min_interval) = (reply.interval, reply.min_interval);
                    self.answer(record, interval, min_interval);
                }
            }
            Body::UdpTracker(packet) => {
                if let udp::Packet::AnnounceResponse(reply) = &**packet {
                    let interval = u64::from(reply.interval);
                    self.answer(record, Some(interval), None);
                }
            }
            _ => {}
        }
    }

    fn announce(&mut self, record: &mut Record, announced: Announced) {
        let Announced { peer_id, info_hash, event, left } = announced;
        let key = (peer_id, info_hash, record.destination);
        self.note_beginning(record, &announced);
        if event == Some(Event::Completed)
            && let Some(left) = left.filter(|left| *left > 0)
        {
            let text = format!("left is {}", count(left));
            record.notes.push(rules::BEP3_COMPLETED_LEFT.note(text));
        }
        let at = record.at;
        if let Some(last) = self.last.get(&key) {
            let since = at.seconds_since(last.at);
            let wanted = last.min_interval.or(last.interval);
            if let Some(wanted) = wanted.filter(|wanted| event.is_none() && since + SLACK < *wanted as f64) {
                let word = if last.min_interval.is_some() { "min interval" } else { "interval" };
                let text = format!(
                    "{} after the previous announce; the tracker's {word} is {}",
                    span(since),
                    seconds(wanted)
                );
                record.notes.push(rules::BEP3_ANNOUNCE_EARLY.note(text));
            }
            if let (Some(before), Some(left)) = (last.left, left)
                && left > before
                && event != Some(Event::Started)
            {
                let text = format!("left is {}; the previous announce had {}", count(left), count(before));
                record.notes.push(rules::BEP3_LEFT_GREW.note(text));
            }
        }
        if self.last.len() >= KEPT || self.waiting.len() >= KEPT {
            self.last.clear();
            self.waiting.clear();
        }
        let promised = self.last.get(&key).map(|last| (last.interval, last.min_interval));
        let (interval, min_interval) = promised.unwrap_or_default();
        self.last.insert(key, Last { at, left, interval, min_interval });
        self.waiting.insert(record.number, key);
    }

    /// Says of the first announce of a client about a torrent whether it has the event `started`. Where the capture may begin
    /// after the client, an announce that was not captured may have had it.
    fn note_beginning(&mut self, record: &mut Record, announced: &Announced) {
        // Some clients say `stopped` before they begin.
        if !self.from_start || announced.event == Some(Event::Stopped) || self.begun.len() >= KEPT {
            return;
        }
        let first = self.begun.insert((record.source.ip(), announced.info_hash));
        if first && announced.event != Some(Event::Started) {
            let has =
                announced.event.map_or("no event".to_owned(), |event| format!("event={}", event.name()));
            let text = format!("the client's first announce has {has}; wanted event=started");
            record.notes.push(rules::BEP3_STARTED_MISSING.note(text));
        }
    }

    fn answer(&mut self, record: &Record, interval: Option<u64>, min_interval: Option<u64>) {
        let Some(asked) = record.answers.and_then(|answer| self.waiting.remove(&answer.number)) else {
            return;
        };
        if let Some(last) = self.last.get_mut(&asked) {
            last.interval = interval;
            last.min_interval = min_interval;
        }
    }
}
