//! The connections between peers, and to web seeds: what each side may ask of the other, which requests are under way,
//! how much was carried. Those that carried most become lanes; the others are joined.

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};

use bittrace_trace::record::{KnownStates, Protocol};
use bittrace_trace::statistics::Connection;
use bittrace_trace::{Direction, Record, StreamClosing, StreamId, Summary, Transport};
use rustc_hash::FxHashMap;

use super::bins::{Sums, SumsByKey};
use super::clock::Clock;
use super::data::{Lane, Micros, OtherLanes};
use super::ends::{EndPlace, FarEnds, ListedEnds};
use super::rails::{RailChanges, RequestsUnderWay, state};

/// The connections that were seen.
#[derive(Debug)]
pub(super) struct Lanes {
    rows: Vec<LaneSeen>,
    by_stream: FxHashMap<StreamId, usize>,
    messages: SumsByKey,
    /// How many entries the rails and requests of all connections have.
    entries: usize,
    /// Connections that are not kept, and the last of them.
    more: u64,
    last_more: Option<StreamId>,
}

/// What was seen of a connection.
#[derive(Debug)]
pub(super) struct LaneSeen {
    stream: StreamId,
    tcp_stream: Option<u32>,
    transport: Transport,
    /// The two ends.
    ends: [SocketAddr; 2],
    /// Which of them is local, or takes its place.
    local: Direction,
    pub(super) end: Option<EndPlace>,
    first: Micros,
    last: Micros,
    messages: u64,
    stream_bytes: u64,
    /// Bytes of blocks that the local host received and sent.
    received: u64,
    sent: u64,
    most_under_way: u32,
    known: KnownStates,
    detail: Detail,
}

/// What takes memory.
#[derive(Debug, Default)]
struct Detail {
    may_ask: RailChanges,
    they_ask: RailChanges,
    under_way: RequestsUnderWay,
    /// Whether earlier ones were given up.
    is_cut: bool,
    since: Option<Micros>,
}

/// How many connections are told apart.
const CONNECTIONS: usize = 10_000;

/// How many have a lane.
pub const MOST_LANES: usize = 14;

/// How many entries rails and requests may have over all connections, 16 bytes each, and how many connections keep theirs
/// when there are more: those that carried most by then.
const ENTRIES: usize = 1_000_000;
const DETAILS_KEPT: usize = 128;

/// How many bins the messages of the other connections have.
const BINS: u32 = 1_200;

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            rows: Vec::new(),
            by_stream: FxHashMap::default(),
            messages: SumsByKey::new(BINS),
            entries: 0,
            more: 0,
            last_more: None,
        }
    }

    /// Takes in a message of a connection, and says which it is; `None` when there are too many.
    pub(super) fn add(&mut self, record: &Record, t: Micros) -> Option<usize> {
        let at = self.place(record, t);
        // Those that are not kept share a place after all others.
        self.messages.add(at.unwrap_or(CONNECTIONS), t, 1);
        let at = at?;
        let lane = &mut self.rows[at];
        lane.last = lane.last.max(t);
        lane.messages += 1;
        lane.stream_bytes += record.length();
        if record.body.protocol() == Protocol::PeerWire {
            let before = lane.detail.len();
            lane.state_after(record, t);
            self.entries = self.entries + lane.detail.len() - before;
            if self.entries > ENTRIES {
                self.give_up_details();
            }
        }
        Some(at)
    }

    pub(super) fn row(&mut self, at: usize) -> &mut LaneSeen {
        &mut self.rows[at]
    }

    fn place(&mut self, record: &Record, t: Micros) -> Option<usize> {
        if let Some(at) = self.by_stream.get(&record.stream) {
            return Some(*at);
        }
        if self.rows.len() >= CONNECTIONS {
            if self.last_more < Some(record.stream) {
                self.last_more = Some(record.stream);
                self.more += 1;
            }
            return None;
        }
        let flow = record.flow();
        self.by_stream.insert(record.stream, self.rows.len());
        self.rows.push(LaneSeen {
            stream: record.stream,
            tcp_stream: record.wireshark_stream,
            transport: record.transport,
            ends: [flow.initiator, flow.responder],
            local: if record.side.is_near() { record.direction } else { record.direction.reverse() },
            end: None,
            first: t,
            last: t,
            messages: 0,
            stream_bytes: 0,
            received: 0,
            sent: 0,
            most_under_way: 0,
            known: KnownStates::before(record),
            detail: Detail::default(),
        });
        Some(self.rows.len() - 1)
    }

    /// Gives up what the connections that carried least have shown so far.
    fn give_up_details(&mut self) {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|at| self.rows[*at].rank());
        for at in order.into_iter().skip(DETAILS_KEPT) {
            let detail = &mut self.rows[at].detail;
            self.entries -= detail.len();
            *detail = Detail { is_cut: true, ..Detail::default() };
        }
    }

    /// The far ends that every connection has now, and what it carried is counted for them.
    pub(super) fn meet_all(&mut self, ends: &mut FarEnds) {
        for lane in &mut self.rows {
            if lane.end.is_none() {
                lane.end = ends.at_address(lane.remote(), lane.was_called());
            }
            let Some(end) = lane.end else { continue };
            let end = ends.row(end);
            end.stream_bytes += lane.stream_bytes;
            end.is_met = true;
        }
    }

    /// The connections that have a lane, in the order of their first message.
    pub(super) fn chosen(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|at| self.rows[*at].rank());
        order.truncate(MOST_LANES);
        order.sort_unstable();
        order
    }

    /// The far ends of some connections.
    pub(super) fn ends_of(&self, chosen: &[usize]) -> Vec<EndPlace> {
        chosen.iter().filter_map(|at| self.rows[*at].end).collect()
    }

    /// How many connections there are.
    pub(super) fn count(&self) -> u64 {
        self.rows.len() as u64 + self.more
    }

    /// The lanes, and the other connections as one.
    pub(super) fn finish(
        self,
        chosen: &[usize],
        ends: &ListedEnds,
        summary: &Summary,
        local: Option<IpAddr>,
        clock: Clock,
    ) -> (Vec<Lane>, Option<OtherLanes>) {
        let rest = self.count() - chosen.len() as u64;
        let other = (rest > 0).then(|| {
            let mut messages = Sums::default();
            let sums = self.messages.rest(|at| !chosen.contains(&at));
            sums.iter().for_each(|(bin, count)| messages.add(bin, count));
            let bins = messages.len();
            OtherLanes { connections: rest, bin: self.messages.width(), messages: messages.into_bins(bins) }
        });
        let mut connections: FxHashMap<StreamId, &Connection> = FxHashMap::default();
        for connection in summary.connections.rows() {
            connections.extend(connection.stream.map(|stream| (stream, connection)));
        }
        let rows = self.rows.into_iter().enumerate().filter(|(at, _)| chosen.contains(at));
        let lanes = rows.map(|(_, lane)| {
            let connection = connections.get(&lane.stream).copied();
            lane.finish(ends, connection, local, clock)
        });
        (lanes.collect(), other)
    }
}

impl LaneSeen {
    /// The far end's address.
    pub(super) const fn remote(&self) -> SocketAddr {
        self.ends[self.local.reverse() as usize]
    }

    /// Whether the local end opened the connection.
    pub(super) fn was_called(&self) -> bool {
        self.local == Direction::FromInitiator
    }

    /// Takes in bytes of blocks, and says whether the local host sent them.
    pub(super) fn carried(&mut self, direction: Direction, bytes: u64) -> bool {
        let is_out = direction == self.local;
        *(if is_out { &mut self.sent } else { &mut self.received }) += bytes;
        is_out
    }

    /// The order of connections by what they carried.
    fn rank(&self) -> (Reverse<u64>, Reverse<u64>, StreamId) {
        (Reverse(self.received + self.sent), Reverse(self.stream_bytes), self.stream)
    }

    /// Takes in choking, interest and requests after a message between peers.
    fn state_after(&mut self, record: &Record, t: Micros) {
        let (local, far) = (self.local, self.local.reverse());
        let effect = &record.effect;
        let detail = &mut self.detail;
        if detail.is_cut && detail.since.is_none() {
            detail.since = Some(t);
        }
        self.known.observe(record);
        let rails = [(&mut detail.may_ask, local, far), (&mut detail.they_ask, far, local)];
        for (rail, asks, gives) in rails {
            if self.known.knows_interest(asks) && self.known.knows_choking(gives) {
                rail.push(t, state(effect.interested[asks as usize], !effect.choking[gives as usize]));
            }
        }
        let outstanding = effect.outstanding[local as usize];
        detail.under_way.push(t, outstanding);
        self.most_under_way = self.most_under_way.max(outstanding);
    }

    fn finish(
        self,
        ends: &ListedEnds,
        connection: Option<&Connection>,
        local: Option<IpAddr>,
        clock: Clock,
    ) -> Lane {
        let end = ends.place(self.end);
        let [initiator, responder] = self.ends;
        let is_local = local.is_some_and(|local| self.ends.iter().any(|end| end.ip() == local));
        let label = match ends.list.get(end as usize) {
            Some(end) if is_local => end.label.clone(),
            _ if is_local => self.remote().to_string(),
            _ => format!("{initiator} → {responder}"),
        };
        let closing = connection.and_then(|connection| connection.closing);
        let is_open = matches!(closing, None | Some(StreamClosing::CaptureEnded));
        let closed = connection.map_or(self.last, |connection| clock.micros(connection.closed));
        let (may_ask, merged) = self.detail.may_ask.finish();
        let (they_ask, also_merged) = self.detail.they_ask.finish();
        Lane {
            end,
            stream: self.stream.0,
            tcp_stream: self.tcp_stream,
            label,
            opened: connection.map_or(self.first, |connection| clock.micros(connection.opened)),
            closed: (!is_open).then_some(closed),
            incoming: self.local == Direction::FromResponder,
            transport: self.transport.name(),
            outcome: closing.map(StreamClosing::name),
            encrypted: connection.is_some_and(|connection| connection.encrypted),
            messages: self.messages,
            received: self.received,
            sent: self.sent,
            may_ask,
            they_ask,
            changes_merged: merged + also_merged,
            under_way: self.detail.under_way.finish(),
            most_under_way: self.most_under_way,
            detail_since: self.detail.since,
        }
    }
}

impl Detail {
    fn len(&self) -> usize {
        self.may_ask.len() + self.they_ask.len() + self.under_way.len()
    }
}
