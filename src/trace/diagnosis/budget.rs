//! Where the time of one direction went: the phases that messages show, refined by what the transport shows.
//!
//! While requests are outstanding, a moment belongs to the downloader as long as no request can have reached the sender and been
//! answered: requests travel for a round trip. After that the moment belongs to what the transport does: it repairs a loss, waits for
//! the receiver's window, or is held back by the delay target. What is left is the pace of the sender or of a link, which the
//! connection as a whole tells apart.

use bittrace_protocol::Timestamp;

use super::cause::{CauseTotals, DelayCause};
use super::observed::{DirectionFacts, ObservedConnection};
use super::pace::{Pace, SteadyRate};
use super::slack::SenderSlack;
use super::timeline::{PhaseSpan, WaitPhase, signed_nanos};
use crate::measurement::{ConnectionMeasurement, DirectionMeasurement, TransportState};
use crate::statistics::SHORTEST_RATED;

/// Where the time of the blocks went that one end of a connection sends to the other.
#[derive(Debug, Clone, Default)]
pub struct DirectionBudget {
    /// Seconds and bytes by cause. Seconds add up to the life of the connection, bytes to the blocks that came.
    pub totals: CauseTotals,
    /// The same, in time: spans that follow each other without a gap, from the beginning of the connection to its end.
    pub spans: Vec<CauseSpan>,
    /// What was counted.
    pub facts: DirectionFacts,
    /// What the rest of the time with requests outstanding belongs to, and by what evidence.
    pub pace: Pace,
    /// Whether blocks came at a constant rate while the sender set the pace.
    pub steady: Option<SteadyRate>,
    /// Seconds of one round trip of the path, and whether they were measured on segments; otherwise they are the shortest time
    /// from a request to its block.
    pub round_trip: Option<RoundTripSeconds>,
}

/// The round trip that a budget reckons with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoundTripSeconds {
    /// Seconds.
    pub seconds: f64,
    /// Whether segments and their acknowledgements gave it.
    pub is_measured: bool,
}

/// A stretch of time that belongs to one cause.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CauseSpan {
    /// Where it begins.
    pub from: Timestamp,
    /// Where it ends.
    pub to: Timestamp,
    /// What it belongs to.
    pub cause: DelayCause,
    /// Bytes of blocks that came in it.
    pub bytes: u64,
}

impl CauseSpan {
    /// How long it is, seconds.
    pub fn seconds(&self) -> f64 {
        self.to.seconds_since(self.from)
    }
}

impl DirectionBudget {
    /// Whether the downloader of this direction ever wanted or got a block.
    pub const fn is_used(&self) -> bool {
        self.facts.interested.is_some() || self.facts.requested.is_some() || self.facts.blocks > 0
    }

    /// Bytes a second while blocks were on their way. `None` with one block, and where that took less than
    /// [`SHORTEST_RATED`].
    pub fn transfer_rate(&self) -> Option<f64> {
        let is_told = self.transfer_seconds() >= SHORTEST_RATED;
        (is_told && self.facts.blocks > 1).then(|| self.weight())
    }

    /// The same for any time and number of blocks, to weigh connections against each other; 0 where blocks took no time.
    pub(super) fn weight(&self) -> f64 {
        let seconds = self.transfer_seconds();
        if seconds > 0.0 && self.facts.blocks > 1 { self.facts.bytes as f64 / seconds } else { 0.0 }
    }

    /// How long blocks were on their way.
    fn transfer_seconds(&self) -> f64 {
        let transfers = DelayCause::ALL.into_iter().filter(|cause| cause.is_transfer());
        transfers.map(|cause| self.totals.seconds(cause)).sum()
    }

    /// Bytes a second while a cause held, where it held for a good part of the time in which blocks were on their way; otherwise
    /// those of all that time.
    pub fn rate_during(&self, cause: DelayCause) -> Option<f64> {
        let all = self.transfer_seconds();
        let (seconds, bytes) = (self.totals.seconds(cause), self.totals.bytes(cause));
        let is_known = seconds >= RATE_KNOWN && seconds >= all / 4.0 && bytes > 0;
        if is_known { Some(bytes as f64 / seconds) } else { self.transfer_rate() }
    }

    /// How many outstanding requests would have kept the sender busy for the whole round trip, at the rate that it showed while it
    /// had requests. `None` where the round trip is not known, or the rate, as the sender hardly ever had enough.
    pub fn depth_needed(&self) -> Option<u64> {
        let round_trip = self.round_trip?.seconds;
        let starved = self.totals.seconds(DelayCause::AskedTooLittle);
        let busy = [DelayCause::FarPace, DelayCause::Network, DelayCause::Receiver];
        let busy_seconds: f64 = busy.into_iter().map(|cause| self.totals.seconds(cause)).sum();
        let busy_bytes: u64 = busy.into_iter().map(|cause| self.totals.bytes(cause)).sum();
        if busy_seconds < RATE_KNOWN || busy_seconds < starved / 10.0 || busy_bytes == 0 {
            return None;
        }
        let rate = busy_bytes as f64 / busy_seconds;
        let block = self.facts.block_size()? as f64;
        Some(((rate * round_trip / block).ceil() as u64 + 1).clamp(2, MOST_ADVISED))
    }

    /// What comes after `end` belongs to [`DelayCause::Complete`].
    pub(super) fn complete_at(&mut self, end: Timestamp) {
        self.rewrite(|span| {
            let keeps = span.bytes > 0 || matches!(span.cause, DelayCause::Unknown) || span.cause.is_start();
            if keeps || span.to <= end {
                return vec![span];
            }
            let split = span.from.max(end);
            let before = CauseSpan { to: split, ..span };
            let after = CauseSpan { from: split, cause: DelayCause::Complete, ..span };
            if before.from < before.to { vec![before, after] } else { vec![after] }
        });
    }

    /// Nothing is known of choking, interest and requests: everything but the bytes is unknown.
    pub(super) fn forget_causes(&mut self) {
        self.rewrite(|span| vec![CauseSpan { cause: DelayCause::Unknown, ..span }]);
    }

    fn rewrite(&mut self, change: impl Fn(CauseSpan) -> Vec<CauseSpan>) {
        let spans: Vec<_> = std::mem::take(&mut self.spans).into_iter().flat_map(change).collect();
        self.totals = CauseTotals::default();
        for span in &spans {
            self.totals.add(span.cause, span.seconds(), span.bytes);
        }
        self.spans = spans;
    }

    pub(super) fn of(
        connection: &ObservedConnection,
        from: usize,
        measured: Option<&ConnectionMeasurement>,
    ) -> Self {
        let observed = &connection.directions[from];
        let transport = measured.map(|measured| &measured.directions[from]);
        let half = |end: usize| measured.and_then(|measured| measured.half_round_trips[end]).map(nanos);
        let least_latency = observed.timeline.least_latency();
        let to_sender = half(from).or(least_latency.map(|latency| latency.min(LONGEST_GUESS))).unwrap_or(0);
        let to_receiver = half(1 - from).unwrap_or(0);
        let round_trip = match measured.and_then(|measured| measured.round_trip) {
            Some(seconds) => Some(RoundTripSeconds { seconds, is_measured: true }),
            None => least_latency
                .map(|latency| RoundTripSeconds { seconds: latency as f64 / 1e9, is_measured: false }),
        };
        let pace = Pace::of(measured, from);
        let mut builder = BudgetBuilder {
            budget: Self { facts: observed.facts.clone(), pace, round_trip, ..Self::default() },
            at: observed.timeline.start(),
            transport: TransportCursor::new(transport),
            to_sender,
            to_receiver,
            encrypted: connection.is_sealed(),
            is_measured: round_trip.is_some_and(|trip| trip.is_measured),
            sends_all_that_is_asked: false,
        };
        let spans = observed.timeline.spans();
        builder.sends_all_that_is_asked = sends_all_that_is_asked(spans);
        for (index, span) in spans.iter().enumerate() {
            let is_between = span.phase == WaitPhase::NotAsked
                && index > 0
                && spans[index - 1].phase == WaitPhase::Requested
                && spans.get(index + 1).is_some_and(|next| next.phase == WaitPhase::Requested);
            builder.add(span, is_between);
        }
        let mut budget = builder.budget;
        budget.steady = SteadyRate::of(&observed.facts.history, &budget.spans);
        budget
    }
}

/// From these seconds on the rate of a sender that had requests is known.
const RATE_KNOWN: f64 = 1.0;

/// Whether most of the waits for a block follow blocks that left no request unanswered. A limiter may let the first blocks through at
/// once, too.
fn sends_all_that_is_asked(spans: &[PhaseSpan]) -> bool {
    let waits = spans.iter().filter(|span| span.bytes > 0 && span.length > PROMPT);
    let (all, after) = waits.fold((0, 0), |(all, after), span| {
        (all + span.length, after + if span.after_all_sent { span.length } else { 0 })
    });
    after > all / 2
}

/// The longest half of a path that the shortest latency of a block stands for, nanoseconds: a satellite and back. Beyond that the
/// peer took its time.
const LONGEST_GUESS: i64 = 700_000_000;

/// How much later than an answer can arrive a next request still counts as sent at once, nanoseconds. Clients that fill their
/// pipeline on a timer do so every 100 ms at the least.
const PROMPT: i64 = 20_000_000;

/// A path that is shorter than this says nothing by its length, nanoseconds.
const SHORT: i64 = 1_000_000;

/// More outstanding requests than this are not advised: libtorrent keeps 500 at most by default (`max_out_request_queue`), and
/// drops what goes beyond its `reqq` of 2,000.
const MOST_ADVISED: u64 = 500;

fn nanos(seconds: f64) -> i64 {
    (seconds * 1e9) as i64
}

/// Turns phases into causes, in their order.
struct BudgetBuilder<'a> {
    budget: DirectionBudget,
    at: Timestamp,
    transport: TransportCursor<'a>,
    /// Nanoseconds from the capture to the sender of the blocks and back.
    to_sender: i64,
    /// Nanoseconds from the capture to the downloader and back.
    to_receiver: i64,
    encrypted: bool,
    is_measured: bool,
    sends_all_that_is_asked: bool,
}

impl BudgetBuilder<'_> {
    /// Adds a phase. `is_between` says that it stands between a block and the next request.
    fn add(&mut self, span: &PhaseSpan, is_between: bool) {
        let cause = match span.phase {
            WaitPhase::Connecting => DelayCause::Connecting,
            WaitPhase::Handshake => DelayCause::Handshake,
            WaitPhase::Metadata => DelayCause::Metadata,
            WaitPhase::NothingWanted => DelayCause::NothingWanted,
            WaitPhase::Choked => DelayCause::Choked,
            WaitPhase::Unseen => DelayCause::Unknown,
            WaitPhase::NotAsked if is_between => {
                // The block travels to the downloader, and the request back: no request can be there sooner.
                let travels = match self.to_receiver.saturating_add(PROMPT) {
                    prompt if span.length <= prompt => span.length,
                    _ => self.to_receiver.min(span.length),
                };
                self.push(travels, DelayCause::AskedTooLittle, 0);
                self.push(span.length - travels, DelayCause::NotAsked, span.bytes);
                return;
            }
            WaitPhase::NotAsked => DelayCause::NotAsked,
            WaitPhase::Requested => return self.transfer(span),
        };
        self.push(span.length, cause, span.bytes);
    }

    /// Requests were outstanding. First none can have been answered; then the sender has requests at hand.
    fn transfer(&mut self, span: &PhaseSpan) {
        let starved = if self.is_too_little(span) { span.length } else { span.starved(self.to_sender) };
        let mut lengths = [0; DelayCause::ALL.len()];
        lengths[DelayCause::AskedTooLittle as usize] = starved;
        self.push(starved, DelayCause::AskedTooLittle, 0);
        let to = plus(self.at, span.length - starved);
        let mut at = self.at;
        while at < to {
            let (state, until) = self.transport.state_at(at);
            let (has_slack, slack_until) = self.transport.slack.at(at);
            let end = until.min(to).min(slack_until);
            let cause = match state {
                Some(TransportState::Recovering | TransportState::DelayTarget) => DelayCause::Network,
                Some(TransportState::WindowFull) => DelayCause::Receiver,
                Some(TransportState::Unseen) => DelayCause::Unknown,
                Some(TransportState::Sending | TransportState::Idle) | None => {
                    self.budget.pace.cause(has_slack || state == Some(TransportState::Idle))
                }
            };
            self.push(signed_nanos(at, end), cause, 0);
            lengths[cause as usize] += signed_nanos(at, end);
            at = end;
        }
        if span.bytes == 0 {
            return;
        }
        // A block came during all of its time. It counts where most of that time went.
        let most = DelayCause::ALL.into_iter().max_by_key(|cause| lengths[*cause as usize]);
        let cause = most.filter(|cause| lengths[*cause as usize] > 0);
        self.push(0, cause.unwrap_or_else(|| self.budget.pace.cause(false)), span.bytes);
    }

    /// Whether the whole of a wait is the downloader's: the peer had sent everything that was asked, or the block came as fast as the
    /// path lets it. The end of a block may wait for an acknowledgement (RFC 896), and a window that was idle grows again (RFC 5681,
    /// section 4.1), so that this takes up to two round trips.
    fn is_too_little(&self, span: &PhaseSpan) -> bool {
        if matches!(self.budget.pace, Pace::Queue { .. } | Pace::Losses { .. }) || span.bytes == 0 {
            return false;
        }
        let path = self.to_sender.saturating_add(self.to_receiver);
        let is_prompt = self.is_measured && path >= SHORT && span.latency() <= path.saturating_mul(9) / 4;
        let (state, _) = self.transport.peek(self.at);
        let is_free = matches!(state, None | Some(TransportState::Idle | TransportState::Sending));
        is_free && (is_prompt || span.after_all_sent && self.sends_all_that_is_asked)
    }

    fn push(&mut self, length: i64, cause: DelayCause, bytes: u64) {
        let cause = match cause {
            DelayCause::Unknown | DelayCause::Connecting => cause,
            _ if self.encrypted && !self.budget.is_used() => DelayCause::Unknown,
            _ => cause,
        };
        if length <= 0 && bytes == 0 {
            return;
        }
        let to = plus(self.at, length.max(0));
        self.budget.totals.add(cause, to.seconds_since(self.at), bytes);
        match self.budget.spans.last_mut() {
            Some(last) if last.cause == cause => {
                last.to = to;
                last.bytes += bytes;
            }
            _ => self.budget.spans.push(CauseSpan { from: self.at, to, cause, bytes }),
        }
        self.at = to;
    }
}

fn plus(at: Timestamp, nanos: i64) -> Timestamp {
    Timestamp::from_nanos(at.as_nanos().saturating_add(nanos))
}

/// Walks over the states of the transport, forwards.
struct TransportCursor<'a> {
    transport: Option<&'a DirectionMeasurement>,
    next: usize,
    slack: SenderSlack,
}

impl<'a> TransportCursor<'a> {
    fn new(transport: Option<&'a DirectionMeasurement>) -> Self {
        Self { transport, next: 0, slack: transport.map(SenderSlack::of).unwrap_or_default() }
    }

    /// What the transport did at a moment, and until when. Moments must not go backwards.
    fn state_at(&mut self, at: Timestamp) -> (Option<TransportState>, Timestamp) {
        let Some(transport) = self.transport else { return self.peek(at) };
        while transport.spans.get(self.next).is_some_and(|span| span.to <= at) {
            self.next += 1;
        }
        self.peek(at)
    }

    /// The same, without going on.
    fn peek(&self, at: Timestamp) -> (Option<TransportState>, Timestamp) {
        let spans = self.transport.map_or(&[][..], |transport| &transport.spans[self.next..]);
        match spans.iter().find(|span| span.to > at) {
            Some(span) if span.from > at => (None, span.from),
            Some(span) => (Some(span.state), span.to),
            None => (None, Timestamp::from_nanos(i64::MAX)),
        }
    }
}
