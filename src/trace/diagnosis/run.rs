//! A whole run: how long the first byte took, what each moment belonged to, where the run stalled, how it ended.

use std::net::IpAddr;
use std::sync::Arc;

use bittrace_protocol::Timestamp;
use bittrace_protocol::metainfo::Metainfo;

use super::ConnectionDiagnosis;
use super::budget::{CauseSpan, DirectionBudget};
use super::cause::{CauseTotals, DelayCause};
use super::observed::Mark;
use super::run_facts::{BlockProgress, DialFacts, RunFacts, TrackerFacts, WastedBytes};
use super::sweep::{WeighedSpan, sweep, totals_within};
use crate::statistics::SHORTEST_RATED;
use crate::{Direction, StreamId};

/// Why a run went as it did.
#[derive(Debug, Clone)]
pub struct RunDiagnosis {
    /// The connections between peers, by stream.
    pub connections: Vec<ConnectionDiagnosis>,
    /// How many connections there were beyond those.
    pub more: u64,
    /// The host that the run is about.
    pub local: Option<IpAddr>,
    /// Whether no host is local: of each connection, the end that received more counts as the downloader.
    pub has_no_local: bool,
    /// Whether the run is one of sending blocks: the local host received none.
    pub is_upload: bool,
    /// When the run began: at the first packet of BitTorrent.
    pub start: Timestamp,
    /// When it ended: at the last block of a complete download, else at the last moment that somebody waited for a block.
    pub end: Timestamp,
    /// Whether the download was complete at the end; `None` where the capture does not tell.
    pub is_complete: Option<bool>,
    /// The torrent, where it is known.
    pub torrent: Option<Arc<Metainfo>>,
    /// Bytes of blocks that came, and of them those that were new.
    pub bytes: u64,
    /// Bytes of blocks that the receiver did not have before.
    pub new_bytes: u64,
    /// Bytes that web seeds sent; they are among the others.
    pub web_seed_bytes: u64,
    /// Seconds of the run by cause. They add up to the time from start to end.
    pub totals: CauseTotals,
    /// When most of the time of a cause was, for each cause that has any.
    places: Vec<CausePlace>,
    /// The rate over time, in at most 24 equal parts, with what most of each part belonged to.
    pub rates: Vec<RateStretch>,
    /// What the time to the first block was made of.
    pub first_byte: Option<FirstByte>,
    /// Times of 5 s and more without a block, after the first one.
    pub stalls: Vec<Stall>,
    /// One slow peer at the end.
    pub slow_end: Option<SlowEnd>,
    /// Bytes that were for nothing.
    pub waste: WastedBytes,
    /// What trackers did.
    pub trackers: TrackerFacts,
    /// When the local client told a tracker that it stops.
    pub stopped: Option<Mark>,
    /// What became of dials.
    pub dials: DialFacts,
}

/// The shortest part of a run that has nine tenths of a cause's time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CausePlace {
    /// The cause.
    pub cause: DelayCause,
    /// Where the part begins.
    pub from: Timestamp,
    /// Where it ends.
    pub to: Timestamp,
}

/// A part of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateStretch {
    /// Where it begins.
    pub from: Timestamp,
    /// Where it ends.
    pub to: Timestamp,
    /// Bytes of blocks that came in it.
    pub bytes: u64,
    /// What most of it belongs to.
    pub cause: DelayCause,
}

/// The time from the beginning of a run to its first block, in its parts. Seconds each; they add up to `total`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FirstByte {
    /// The first block.
    pub block: Mark,
    /// The stream that it came on.
    pub stream: StreamId,
    /// Until the first answer of a tracker, where the connection was opened after it.
    pub tracker: f64,
    /// From there to the first packet of the connection.
    pub dialling: f64,
    /// To the first message of the connection.
    pub connecting: f64,
    /// Until both handshakes were there.
    pub handshake: f64,
    /// Until the peer unchoked.
    pub unchoke: f64,
    /// Until the first request was sent.
    pub request: f64,
    /// Until the block was whole.
    pub transfer: f64,
    /// All of it.
    pub total: f64,
}

/// A time of 5 s and more in which no block came from any peer.
#[derive(Debug, Clone, PartialEq)]
pub struct Stall {
    /// The block before it. `None` where no block had come.
    pub after: Option<Mark>,
    /// The block after it. `None` where none came.
    pub before: Option<Mark>,
    /// Where it begins.
    pub from: Timestamp,
    /// Where it ends.
    pub to: Timestamp,
    /// What most of it belongs to.
    pub cause: DelayCause,
    /// The connections that waited for that, the first 8.
    pub streams: Vec<StreamId>,
}

/// The last tenth of the bytes took much of the time, and came from one peer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowEnd {
    /// The connection of that peer.
    pub stream: StreamId,
    /// When 90 % of the bytes had come.
    pub from: Timestamp,
    /// How long the rest took, seconds.
    pub seconds: f64,
    /// Bytes a second of that peer in that time.
    pub rate: f64,
    /// Bytes a second of all peers before.
    pub rate_before: f64,
}

/// How many parts a run's rate is shown in.
const STRETCHES: f64 = 24.0;
/// How many connections of a stall are named.
const NAMED: usize = 8;

impl Stall {
    /// How long it took, seconds.
    pub fn seconds(&self) -> f64 {
        self.to.seconds_since(self.from)
    }
}

impl RunDiagnosis {
    /// Seconds from its beginning to its end.
    pub fn duration(&self) -> f64 {
        self.end.seconds_since(self.start)
    }

    /// Bytes of blocks a second, over the whole run. `None` where it took less than [`SHORTEST_RATED`].
    pub fn rate(&self) -> Option<f64> {
        (self.duration() >= SHORTEST_RATED && self.bytes > 0).then(|| self.bytes as f64 / self.duration())
    }

    /// When most of the time of a cause was. `None` for a cause without any.
    pub fn place(&self, cause: DelayCause) -> Option<CausePlace> {
        self.places.iter().find(|place| place.cause == cause).copied()
    }

    /// The connections of the run, each with the end that sent blocks.
    pub fn transfers(&self) -> impl Iterator<Item = (&ConnectionDiagnosis, Direction)> {
        transfers(&self.connections, self.is_upload)
    }

    /// The connection of a stream, and the end that sent blocks.
    pub fn transfer(&self, stream: StreamId) -> Option<(&ConnectionDiagnosis, Direction)> {
        self.transfers().find(|(connection, _)| connection.stream == stream)
    }

    /// The connection that most seconds of a cause belong to, with the end that sent blocks.
    pub fn most_of(&self, cause: DelayCause) -> Option<(&ConnectionDiagnosis, Direction)> {
        let seconds = |(connection, from): &(&ConnectionDiagnosis, Direction)| {
            connection.from(*from).totals.seconds(cause)
        };
        let most = self.transfers().max_by(|one, other| seconds(one).total_cmp(&seconds(other)));
        most.filter(|transfer| seconds(transfer) > 0.0)
    }

    pub(super) fn of(mut connections: Vec<ConnectionDiagnosis>, more: u64, mut facts: RunFacts) -> Self {
        facts.close();
        let is_used = |is_upload| transfers(&connections, is_upload).any(|(c, from)| c.from(from).is_used());
        let is_upload = facts.received.first.is_none() && !is_used(false) && is_used(true);
        let (start, last) = facts.span().unwrap_or_default();
        // Who only uploads waits for others, which is no time of a download.
        let called = transfers(&connections, true).map(|(connection, _)| connection.opened).min();
        let start = called.filter(|_| is_upload).unwrap_or(start);
        let progress = if is_upload { &facts.sent } else { &facts.received };
        let is_complete = if is_upload { None } else { facts.is_complete() };
        let end = end_of(&connections, is_upload, progress, is_complete).unwrap_or(last);
        let end = facts.stopped.map_or(end, |stopped| stopped.at.max(start).min(end)).max(start);
        if is_complete == Some(true) {
            for connection in &mut connections {
                let local = connection.local.unwrap_or(Direction::FromInitiator);
                connection.directions[local.reverse() as usize].complete_at(end);
            }
        }
        let run = sweep(run_spans(&connections, is_upload, &facts, end), start, end);
        let rates = rates(progress, &run, start, end);
        let places = DelayCause::ALL.into_iter().filter_map(|cause| place(&run, cause)).collect();
        let stalls = stalls(&connections, is_upload, progress, &run, end);
        let slow_end = slow_end(&connections, is_upload, progress, end);
        let first_byte = first_byte(&connections, is_upload, progress, &facts.trackers, start);
        let mut totals = totals_within(&run, start, end);
        for (connection, from) in transfers(&connections, is_upload) {
            let budget = &connection.from(from).totals;
            for cause in DelayCause::ALL {
                totals.add(cause, 0.0, budget.bytes(cause));
            }
        }
        Self {
            more,
            local: facts.local,
            has_no_local: facts.has_no_local,
            is_upload,
            start,
            end,
            is_complete,
            torrent: facts.torrent().cloned(),
            bytes: progress.history.bytes(),
            new_bytes: progress.new_bytes,
            web_seed_bytes: facts.web_seed_bytes,
            totals,
            places,
            rates,
            first_byte,
            stalls,
            slow_end,
            waste: facts.waste,
            stopped: facts.first_stopped,
            trackers: facts.trackers,
            dials: facts.dials,
            connections,
        }
    }
}

fn transfers(
    connections: &[ConnectionDiagnosis],
    is_upload: bool,
) -> impl Iterator<Item = (&ConnectionDiagnosis, Direction)> {
    connections.iter().map(move |connection| {
        let local = connection.local.unwrap_or(Direction::FromInitiator);
        (connection, if is_upload { local } else { local.reverse() })
    })
}

/// When the run ended; `None` where it goes on to the end of the capture.
fn end_of(
    connections: &[ConnectionDiagnosis],
    is_upload: bool,
    progress: &BlockProgress,
    is_complete: Option<bool>,
) -> Option<Timestamp> {
    let last = progress.last?.at;
    if is_complete == Some(true) {
        return Some(last);
    }
    // Nothing wanted and nothing asked after the last block are signs that all is there.
    let waits = |span: &CauseSpan| match span.cause {
        DelayCause::NothingWanted | DelayCause::NotAsked => is_complete == Some(false),
        DelayCause::Complete => false,
        DelayCause::Unknown => span.bytes > 0,
        cause => !cause.is_start(),
    };
    let ends = transfers(connections, is_upload).filter_map(|(connection, from)| {
        connection.from(from).spans.iter().rev().find(|span| waits(span)).map(|span| span.to)
    });
    Some(ends.fold(last, Timestamp::max))
}

/// The spans of all connections, dials in vain, and the wait for the first answer of a tracker.
fn run_spans<'a>(
    connections: &'a [ConnectionDiagnosis],
    is_upload: bool,
    facts: &'a RunFacts,
    end: Timestamp,
) -> impl Iterator<Item = WeighedSpan> + 'a {
    let of_peers = transfers(connections, is_upload).flat_map(|(connection, from)| {
        let budget = connection.from(from);
        let rate = budget.weight();
        budget.spans.iter().map(move |span| WeighedSpan { span: *span, rate })
    });
    let local = facts.local;
    let dials =
        facts.dials.failed.iter().filter(move |dial| local.is_none_or(|local| dial.initiator.ip() == local));
    let of_dials = dials.map(|dial| (dial.opened, dial.closed, DelayCause::Connecting));
    let of_trackers = facts.trackers.first.map(|(first, _)| {
        let from = facts.span().map_or(first.at, |(start, _)| start);
        let to = facts.trackers.first_answer.map_or(end, |answer| answer.at);
        (from, to, DelayCause::Tracker)
    });
    let others = of_dials
        .chain(of_trackers)
        .map(|(from, to, cause)| WeighedSpan { span: CauseSpan { from, to, cause, bytes: 0 }, rate: 0.0 });
    of_peers.chain(others)
}

fn rates(progress: &BlockProgress, run: &[CauseSpan], start: Timestamp, end: Timestamp) -> Vec<RateStretch> {
    let seconds = end.seconds_since(start) / STRETCHES;
    let stretches = progress.history.stretches(seconds.max(0.05));
    let stretches = stretches.filter(|(from, _, _)| *from <= end);
    let mut rates: Vec<RateStretch> = Vec::new();
    let mut add = |from: Timestamp, to: Timestamp, bytes| {
        let totals = totals_within(run, from, to);
        let cause = totals.ranked().first().copied().unwrap_or(DelayCause::NoPeer);
        rates.push(RateStretch { from, to, bytes, cause });
    };
    if let Some(first) = progress.first.filter(|first| first.at > start) {
        add(start, first.at, 0);
    }
    let mut last = None;
    for (from, to, bytes) in stretches {
        let to = to.min(end);
        add(from, to, bytes);
        last = Some(to);
    }
    if let Some(last) = last.filter(|last| *last < end) {
        add(last, end, 0);
    }
    // The last part ends with the run. Where little is left of it, it belongs to the one before.
    if let [.., before, short] = &mut rates[..]
        && short.to.seconds_since(short.from) < seconds / 2.0
        && before.bytes > 0
    {
        (before.to, before.bytes) = (short.to, before.bytes + short.bytes);
        rates.pop();
    }
    rates
}

/// The share of a cause's time that its place has.
const PLACE_SHARE: f64 = 0.9;

fn place(run: &[CauseSpan], cause: DelayCause) -> Option<CausePlace> {
    let spans: Vec<_> = run.iter().filter(|span| span.cause == cause).collect();
    let wanted = spans.iter().map(|span| span.seconds()).sum::<f64>() * PLACE_SHARE;
    let mut shortest: Option<CausePlace> = None;
    let (mut first, mut held) = (0, 0.0);
    for last in &spans {
        held += last.seconds();
        while held - spans[first].seconds() >= wanted && spans[first].from < last.from {
            held -= spans[first].seconds();
            first += 1;
        }
        let (from, to) = (spans[first].from, last.to);
        let is_shorter = |place: &CausePlace| to.seconds_since(from) < place.to.seconds_since(place.from);
        if held >= wanted && shortest.as_ref().is_none_or(is_shorter) {
            shortest = Some(CausePlace { cause, from, to });
        }
    }
    shortest
}

fn stalls(
    connections: &[ConnectionDiagnosis],
    is_upload: bool,
    progress: &BlockProgress,
    run: &[CauseSpan],
    end: Timestamp,
) -> Vec<Stall> {
    let between = progress.pauses.iter().map(|(after, before)| (Some(*after), Some(*before)));
    let at_end = progress.last.filter(|last| end.seconds_since(last.at) >= super::run_facts::STALL);
    between
        .chain(at_end.map(|last| (Some(last), None)))
        .filter_map(|(after, before)| {
            let from = after.map(|mark: Mark| mark.at)?;
            let to = before.map_or(end, |mark| mark.at).min(end);
            let cause = totals_within(run, from, to).ranked().first().copied()?;
            let waits = |budget: &DirectionBudget| {
                budget.spans.iter().any(|span| span.cause == cause && span.from < to && span.to > from)
            };
            let concerned = transfers(connections, is_upload)
                .filter(|(connection, sender)| waits(connection.from(*sender)))
                .map(|(connection, _)| connection.stream);
            let streams = concerned.take(NAMED).collect();
            Some(Stall { after, before, from, to, cause, streams })
        })
        .collect()
}

/// The least share of the time that the last tenth of the bytes takes, and its least seconds, to be a slow end.
const SLOW_SHARE: f64 = 0.3;
const SLOW_SECONDS: f64 = 2.0;

fn slow_end(
    connections: &[ConnectionDiagnosis],
    is_upload: bool,
    progress: &BlockProgress,
    end: Timestamp,
) -> Option<SlowEnd> {
    let first = progress.first?.at;
    let from = progress.history.moment_of(0.9)?.min(end);
    let seconds = end.seconds_since(from);
    let all = end.seconds_since(first);
    if seconds < SLOW_SECONDS || seconds < all * SLOW_SHARE {
        return None;
    }
    let givers: Vec<_> = transfers(connections, is_upload)
        .map(|(connection, from)| (connection, &connection.from(from).facts.history))
        .filter(|(_, history)| history.bytes() > 0)
        .collect();
    let since = |history: &super::ByteHistory| history.bytes_since(from);
    let rest: u64 = givers.iter().map(|(_, history)| since(history)).sum();
    let (connection, history) = givers.iter().max_by_key(|(_, history)| since(history))?;
    let is_alone = since(history) as f64 >= rest as f64 * 0.9 && rest > 0;
    (is_alone && givers.len() > 1).then(|| SlowEnd {
        stream: connection.stream,
        from,
        seconds,
        rate: since(history) as f64 / seconds,
        rate_before: (progress.history.bytes() - rest.min(progress.history.bytes())) as f64
            / from.seconds_since(first).max(0.001),
    })
}

fn first_byte(
    connections: &[ConnectionDiagnosis],
    is_upload: bool,
    progress: &BlockProgress,
    trackers: &TrackerFacts,
    start: Timestamp,
) -> Option<FirstByte> {
    let block = progress.first?;
    let (connection, from) = transfers(connections, is_upload).find(|(connection, from)| {
        connection.from(*from).facts.first_block.is_some_and(|first| first.number == block.number)
    })?;
    let facts = &connection.from(from).facts;
    let mut at = start;
    let mut part = |moment: Option<Timestamp>| {
        let Some(moment) = moment.filter(|moment| *moment > at) else { return 0.0 };
        let moment = moment.min(block.at);
        let seconds = moment.seconds_since(at);
        at = moment;
        seconds
    };
    let answered = trackers.first_answer.map(|answer| answer.at);
    let tracker = part(answered.filter(|answered| *answered <= connection.opened));
    let dialling = part(Some(connection.opened));
    let connecting = part(Some(connection.first_message));
    let handshake = part(connection.handshaken);
    let unchoke = part(facts.unchoked.map(|mark| mark.at).filter(|at| *at <= block.at));
    let request = part(facts.requested.map(|mark| mark.at).filter(|at| *at <= block.at));
    let transfer = part(Some(block.at));
    let total = block.at.seconds_since(start);
    let stream = connection.stream;
    Some(FirstByte {
        block,
        stream,
        tracker,
        dialling,
        connecting,
        handshake,
        unchoke,
        request,
        transfer,
        total,
    })
}
