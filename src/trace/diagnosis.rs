//! Why a download was slow, stalled, or ended: each moment of each connection between peers belongs to one cause.
//!
//! [`Diagnosis`] takes in what a [`Trace`](crate::Trace) hands out, in one pass and in bounded memory. Its causes are as good as
//! what the trace measured: with [`TraceOptions::measure`](crate::TraceOptions::measure) the network, the receiver and the pace of a
//! peer are told apart.

mod budget;
mod cause;
mod ending;
mod history;
mod observed;
mod pace;
mod run;
mod run_facts;
mod sentences;
mod slack;
mod sweep;
mod timeline;
mod wording;

use std::net::SocketAddr;
use std::sync::Arc;

use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::{InfoHash, Timestamp};
use rustc_hash::FxHashMap;

use crate::measurement::{CapturePlace, ConnectionMeasurement};
use crate::record::{Body, Protocol, Record, Transport};
use crate::statistics::KEPT;
use crate::{ConnectionEnd, Direction, Dissected, StreamClosing, StreamId, StreamOpening};
use observed::ObservedConnection;
use run_facts::RunFacts;

pub use budget::{CauseSpan, DirectionBudget, RoundTripSeconds};
pub use cause::{CauseTotals, DelayCause};
pub use ending::{EndReason, EndedHow};
pub use history::ByteHistory;
pub use observed::{BrokenRule, DirectionFacts, Mark, SaidMessage};
pub use pace::{Pace, SteadyRate};
pub use run::{CausePlace, FirstByte, RateStretch, RunDiagnosis, SlowEnd, Stall};
pub use run_facts::{DialFacts, FailedDial, TrackerFacts, WastedBytes};
pub use sentences::{Sentence, first_sentences};
pub use wording::{end_text, evidence_text};

/// Gathers what a diagnosis needs, record by record.
#[derive(Debug)]
pub struct Diagnosis {
    open: FxHashMap<StreamId, Box<ObservedConnection>>,
    ended: Vec<ConnectionDiagnosis>,
    more: u64,
    /// How many spans the timelines of all connections have.
    spans: usize,
    facts: RunFacts,
}

/// What became of one connection between peers.
#[derive(Debug, Clone)]
pub struct ConnectionDiagnosis {
    /// Its stream.
    pub stream: StreamId,
    /// The number that Wireshark gives the conversation: `tcp.stream`, or `udp.stream` for uTP.
    pub wireshark_stream: Option<u32>,
    /// What carried it.
    pub transport: Transport,
    /// The end that opened it.
    pub initiator: SocketAddr,
    /// The end that was called.
    pub responder: SocketAddr,
    /// What the clients of the initiator and the responder call themselves.
    pub clients: [Option<Arc<str>>; 2],
    /// Which end is the host that the capture is about.
    pub local: Option<Direction>,
    /// The torrent that it was about.
    pub torrent: Option<InfoHash>,
    /// When its first packet was captured.
    pub opened: Timestamp,
    /// When its last packet was captured.
    pub closed: Timestamp,
    /// When its first message was captured.
    pub first_message: Timestamp,
    /// When both handshakes had been captured.
    pub handshaken: Option<Timestamp>,
    /// The blocks that the initiator sent, then those that the responder sent.
    pub directions: [DirectionBudget; 2],
    /// How its transport behaved, where that was measured. The spans of its directions are empty: they went into the budgets.
    pub measured: Option<Box<ConnectionMeasurement>>,
    /// How it ended, and why.
    pub ending: EndReason,
    /// What the capture cannot show of it.
    pub evidence: CaptureEvidence,
}

/// What a capture shows of a connection, and what it cannot show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureEvidence {
    /// The capture begins in the middle of the connection.
    pub begins_in_middle: bool,
    /// A part of the connection is encrypted and cannot be read.
    pub encrypted: bool,
    /// The transport was measured: round trips, losses, windows.
    pub is_measured: bool,
    /// Captured segments are larger than those on the wire.
    pub offloaded: bool,
    /// Where the capture was taken.
    pub taken_at: CapturePlace,
    /// The direction of which the capture has no packet, where it has none of one end.
    pub unseen: Option<Direction>,
    /// Bytes that were acknowledged and never captured.
    pub lost_to_capture: u64,
}

impl ConnectionDiagnosis {
    /// The address of an end.
    pub const fn address(&self, end: Direction) -> SocketAddr {
        match end {
            Direction::FromInitiator => self.initiator,
            Direction::FromResponder => self.responder,
        }
    }

    /// The client of an end.
    pub fn client(&self, end: Direction) -> Option<&str> {
        self.clients[end as usize].as_deref()
    }

    /// The blocks that an end sent to the other.
    pub const fn from(&self, end: Direction) -> &DirectionBudget {
        &self.directions[end as usize]
    }

    /// Seconds from its first packet to its last.
    pub fn duration(&self) -> f64 {
        self.closed.seconds_since(self.opened)
    }
}

/// How many spans a timeline has at most, and those of all connections together: 32 MiB.
const MOST_SPANS: usize = 2_048;
const LEAST_SPANS: usize = 16;
const SPANS_IN_ALL: usize = 1_000_000;

impl Diagnosis {
    /// A diagnosis of nothing yet, of a capture about these torrents and perhaps others.
    pub fn new(torrents: &[Arc<Metainfo>]) -> Self {
        Self {
            open: FxHashMap::default(),
            ended: Vec::new(),
            more: 0,
            spans: 0,
            facts: RunFacts::new(torrents),
        }
    }

    /// Takes in a record, or the end of a connection.
    pub fn add(&mut self, dissected: &Dissected) {
        match dissected {
            Dissected::Record(record) => {
                self.facts.add(record);
                let is_peers = || match record.body.protocol() {
                    Protocol::PeerWire | Protocol::Mse => true,
                    Protocol::Utp => matches!(record.body, Body::Unreadable(..)),
                    _ => false,
                };
                if !record.body.is_plain_message() && !is_peers() {
                    return;
                }
                if !self.observe(record) {
                    self.begin(record);
                }
            }
            Dissected::Connection(end) => self.end(end),
        }
    }

    /// Takes in a record of a connection that is open; whether there is one.
    #[inline(always)]
    fn observe(&mut self, record: &Record) -> bool {
        let limit = self.limit();
        let Some(connection) = self.open.get_mut(&record.stream) else { return false };
        let spans = connection.spans();
        connection.add(record, limit);
        self.spans = self.spans + connection.spans() - spans;
        true
    }

    /// Opens the connection that a record is the first of, where it is one that is kept.
    #[cold]
    fn begin(&mut self, record: &Record) {
        if record.body.protocol() == Protocol::Utp {
            return;
        }
        if self.open.len() + self.ended.len() >= KEPT {
            self.more += u64::from(record.offset == 0);
            return;
        }
        self.open.insert(record.stream, Box::new(ObservedConnection::new(record)));
        self.observe(record);
    }

    /// How many spans a timeline may have now.
    fn limit(&self) -> usize {
        if self.spans < SPANS_IN_ALL / 2 {
            return MOST_SPANS;
        }
        let timelines = 2 * (self.open.len() + self.ended.len()).max(1);
        (SPANS_IN_ALL / timelines).clamp(LEAST_SPANS, MOST_SPANS)
    }

    fn end(&mut self, end: &ConnectionEnd) {
        let Some(stream) = end.stream else { return self.facts.tried(end) };
        self.facts.see(end.opened.at, end.closed.at);
        let limit = self.limit();
        let Some(mut connection) = self.open.remove(&stream) else { return };
        let opened = end.opened.at;
        self.facts.connected();
        let closed = end.closed.at;
        self.spans -= connection.spans();
        connection.close(opened, closed, limit);
        let measured = end.measured.as_deref();
        let mut evidence = CaptureEvidence::of(&connection);
        evidence.begins_in_middle |= end.opening == StreamOpening::MidStream;
        evidence.unseen = end.unseen;
        if let Some(measured) = measured {
            evidence.is_measured = true;
            evidence.offloaded = measured.offloaded;
            evidence.taken_at = measured.taken_at;
            evidence.lost_to_capture =
                measured.directions.iter().map(|direction| direction.lost_to_capture).sum();
        }
        let mut directions = [0, 1].map(|from| DirectionBudget::of(&connection, from, measured));
        if end.unseen.is_some() {
            directions.iter_mut().for_each(DirectionBudget::forget_causes);
        }
        let ending = EndReason::of(&connection, end);
        let measured = end.measured.clone().map(|mut measured| {
            for direction in &mut measured.directions {
                direction.spans = Vec::new();
            }
            measured
        });
        self.keep(&connection, (opened, measured), directions, ending, evidence);
    }

    fn keep(
        &mut self,
        connection: &ObservedConnection,
        (opened, measured): (Timestamp, Option<Box<ConnectionMeasurement>>),
        directions: [DirectionBudget; 2],
        ending: EndReason,
        evidence: CaptureEvidence,
    ) {
        self.spans += directions.iter().map(|direction| direction.spans.len()).sum::<usize>();
        let [initiator, responder] = connection.ends;
        self.ended.push(ConnectionDiagnosis {
            stream: connection.stream,
            wireshark_stream: connection.wireshark_stream,
            transport: connection.transport,
            initiator,
            responder,
            clients: connection.clients.clone(),
            local: connection.local.or_else(|| connection.has_roles.then(|| downloader(&directions))),
            torrent: connection.torrent,
            opened,
            closed: connection.directions[0].timeline.end(),
            first_message: connection.first_message,
            handshaken: connection.handshaken,
            directions,
            measured,
            ending,
            evidence,
        });
    }

    /// What was gathered, once nothing more comes. Connections whose end was not handed out count as open.
    pub fn finish(mut self) -> RunDiagnosis {
        let mut open: Vec<_> = self.open.drain().map(|(_, connection)| connection).collect();
        open.sort_by_key(|connection| connection.stream);
        let last = self.facts.last();
        for mut connection in open {
            let opened = connection.first_message;
            self.facts.connected();
            let closed = last.unwrap_or(opened);
            connection.close(opened, closed, MOST_SPANS);
            let directions = [0, 1].map(|from| DirectionBudget::of(&connection, from, None));
            let ending = EndReason::open(&connection, closed);
            let evidence = CaptureEvidence::of(&connection);
            self.keep(&connection, (opened, None), directions, ending, evidence);
        }
        self.ended.sort_by_key(|connection| connection.stream);
        count_repetitions(&mut self.ended);
        RunDiagnosis::of(self.ended, self.more, self.facts)
    }
}

/// The end of a connection that received more of the blocks, where no host is local.
fn downloader([from_initiator, from_responder]: &[DirectionBudget; 2]) -> Direction {
    let bytes = |budget: &DirectionBudget| -> u64 {
        DelayCause::ALL.into_iter().map(|cause| budget.totals.bytes(cause)).sum()
    };
    match bytes(from_initiator) > bytes(from_responder) {
        true => Direction::FromResponder,
        false => Direction::FromInitiator,
    }
}

impl CaptureEvidence {
    const fn of(connection: &ObservedConnection) -> Self {
        Self {
            begins_in_middle: connection.begins_in_middle,
            encrypted: connection.is_sealed(),
            is_measured: false,
            offloaded: false,
            taken_at: CapturePlace::Unknown,
            unseen: None,
            lost_to_capture: 0,
        }
    }
}

/// Counts how often the client that closed a connection closed others after the same broken rule.
fn count_repetitions(connections: &mut [ConnectionDiagnosis]) {
    let key = |connection: &ConnectionDiagnosis| {
        let by = connection.ending.by?;
        Some((connection.client(by)?.to_owned(), connection.ending.offence.as_ref()?.rule))
    };
    let mut counts: FxHashMap<_, u64> = FxHashMap::default();
    for connection in connections.iter() {
        if let Some(key) = key(connection) {
            *counts.entry(key).or_default() += 1;
        }
    }
    for connection in connections {
        if let Some(key) = key(connection) {
            connection.ending.same_client_again = counts.get(&key).map_or(0, |count| count - 1);
        }
    }
}

/// Whether a connection that was only tried was refused, or never answered.
const fn dial_failed(closing: StreamClosing) -> bool {
    matches!(closing, StreamClosing::Refused | StreamClosing::Unanswered)
}

#[cfg(test)]
mod tests;
