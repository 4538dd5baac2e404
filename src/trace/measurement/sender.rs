//! One direction as its sender sees it: what is under way, how much the window leaves, and so what the direction does.
//! An acknowledgement counts when it has reached the sender, and not when it was captured.

use std::collections::VecDeque;

use bittrace_protocol::Timestamp;

use super::TransportState;
use super::budget::MeasurementLimits;
use super::spans::SpanRecorder;

/// What is known of a sender. Bytes of the stream are counted from the first that was captured.
// What each segment touches stands together: see `MeasuredDirection`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct SenderView {
    /// How many bytes were sent.
    sent: u64,
    /// What has reached the sender.
    known: AcknowledgedState,
    /// When the first of those [on the way](Self::on_the_way) reaches the sender; [`NEVER`] where there is none.
    next_arrival: Timestamp,
    /// When something last happened that the sender saw: it sent new bytes, or bytes were acknowledged.
    progress: Timestamp,
    /// The most bytes that were under way.
    pub(super) largest_in_flight: u64,
    /// A loss is being repaired until so many bytes are acknowledged.
    recovers_until: Option<u64>,
    /// The most bytes that a segment carries.
    pub(super) segment: u32,
    pub(super) spans: SpanRecorder,
    /// What was captured and has not reached the sender yet, in order.
    on_the_way: VecDeque<(Timestamp, AcknowledgedState)>,
}

/// What an acknowledgement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AcknowledgedState {
    /// How many bytes the receiver has.
    pub(super) bytes: u64,
    /// Up to how many bytes the receiver would take; [`UNKNOWN_ROOM`] where that is unknown.
    pub(super) room_to: u64,
    /// Whether the window is zero.
    pub(super) closed: bool,
    /// Whether the delay is at the sender's target.
    pub(super) delayed: bool,
}

/// No packet is captured later.
const NEVER: Timestamp = Timestamp::from_nanos(i64::MAX);
/// More room than can be filled.
pub(super) const UNKNOWN_ROOM: u64 = u64::MAX;

impl AcknowledgedState {
    /// Before the first acknowledgement.
    pub(super) const NOTHING: Self = Self { bytes: 0, room_to: UNKNOWN_ROOM, closed: false, delayed: false };
}

impl SenderView {
    pub(super) const fn begun_at(at: Timestamp) -> Self {
        Self {
            sent: 0,
            known: AcknowledgedState::NOTHING,
            on_the_way: VecDeque::new(),
            next_arrival: NEVER,
            recovers_until: None,
            progress: at,
            largest_in_flight: 0,
            segment: 0,
            spans: SpanRecorder::begun_at(at),
        }
    }

    /// How many bytes were sent.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// A segment carries so many bytes where it may carry `largest`. Whether these are too many for one segment.
    #[inline(always)]
    pub(super) fn carries(&mut self, bytes: u64, largest: u16) -> bool {
        let largest = u64::from(largest);
        self.segment = self.segment.max(bytes.min(largest) as u32);
        bytes > largest
    }

    /// Lets the acknowledgements arrive that have reached the sender by now.
    #[inline(always)]
    pub(super) fn catch_up(&mut self, now: Timestamp, limits: &MeasurementLimits) {
        if self.next_arrival <= now {
            self.let_arrive(now, limits);
        }
    }

    #[inline(never)]
    fn let_arrive(&mut self, now: Timestamp, limits: &MeasurementLimits) {
        while let Some(&(at, state)) = self.on_the_way.front()
            && at <= now
        {
            self.on_the_way.pop_front();
            self.learn(at, &state, limits);
        }
        self.next_arrival = self.on_the_way.front().map_or(NEVER, |&(at, _)| at);
    }

    /// The receiver answered; the sender knows of it after `delay`.
    #[inline(always)]
    pub(super) fn acknowledged(
        &mut self,
        now: Timestamp,
        delay: u64,
        state: &AcknowledgedState,
        limits: &MeasurementLimits,
    ) {
        if delay < AT_ONCE && self.next_arrival == NEVER {
            self.learn(now, state, limits);
        } else {
            self.put_on_the_way(now, delay, *state, limits);
        }
    }

    #[inline(never)]
    fn put_on_the_way(
        &mut self,
        now: Timestamp,
        delay: u64,
        state: AcknowledgedState,
        limits: &MeasurementLimits,
    ) {
        let at = Timestamp::from_nanos(now.as_nanos().saturating_add_unsigned(delay));
        let at = self.on_the_way.back().map_or(at, |&(last, _)| at.max(last));
        if self.on_the_way.len() >= limits.acknowledgements {
            // The last of too many stands for those before it.
            self.on_the_way.pop_back();
        }
        self.next_arrival = at.min(self.next_arrival);
        self.on_the_way.push_back((at, state));
    }

    #[inline(always)]
    fn learn(&mut self, at: Timestamp, state: &AcknowledgedState, limits: &MeasurementLimits) {
        if state.bytes > self.known.bytes {
            self.progress = self.progress.max(at);
            self.known = *state;
        } else if *state == self.known {
            return;
        } else {
            self.known = AcknowledgedState { bytes: self.known.bytes, ..*state };
        }
        if self.recovers_until.is_some_and(|until| self.known.bytes >= until) {
            self.recovers_until = None;
        }
        self.settle(at, limits);
    }

    /// Bytes of the stream were sent, as later ones show, that were not captured.
    pub(super) fn presume(&mut self, now: Timestamp, bytes: u64, limits: &MeasurementLimits) {
        self.sent += bytes;
        self.settle(now, limits);
    }

    /// New bytes of the stream were captured, of which some were presumed to have been sent.
    #[inline(always)]
    pub(super) fn send(&mut self, now: Timestamp, bytes: u64, presumed: u64, limits: &MeasurementLimits) {
        self.sent = (self.sent + bytes).saturating_sub(presumed);
        self.progress = self.progress.max(now);
        self.largest_in_flight = self.largest_in_flight.max(self.in_flight());
        self.settle(now, limits);
        self.spans.add_bytes(bytes);
    }

    /// The capture lost packets: nothing can be said of the time between two moments.
    pub(super) fn lose_sight(
        &mut self,
        (from, to): (Timestamp, Timestamp),
        now: Timestamp,
        limits: &MeasurementLimits,
    ) {
        self.spans.repaint((from, to), now, TransportState::Unseen, limits.spans);
    }

    /// The sender learnt of a loss, or is about to: third duplicate acknowledgement.
    pub(super) fn recover(&mut self, now: Timestamp, limits: &MeasurementLimits) {
        if self.recovers_until.is_none() && self.in_flight() > 0 {
            self.recovers_until = Some(self.sent);
            self.settle(now, limits);
        }
    }

    /// A segment was sent again. Where nothing told of the loss before, the sender waited for its timer since the last
    /// progress.
    pub(super) fn send_again(&mut self, now: Timestamp, limits: &MeasurementLimits) {
        if self.recovers_until.is_none() && self.in_flight() > 0 {
            self.spans.repaint((self.progress, now), now, TransportState::Recovering, limits.spans);
        }
        self.recover(now, limits);
        self.spans.add_retransmission();
    }

    /// Whether what was sent leaves less than two segments of room, or, in a window of few segments, less than half of it.
    const fn fills_window(&self) -> bool {
        let room_to = self.known.room_to;
        let half = room_to.saturating_sub(self.known.bytes) / 2;
        let two_segments = 2 * self.segment as u64;
        let little = if two_segments < half { two_segments } else { half };
        self.sent + little > room_to
    }

    const fn in_flight(&self) -> u64 {
        self.sent.saturating_sub(self.known.bytes)
    }

    #[inline(always)]
    fn settle(&mut self, at: Timestamp, limits: &MeasurementLimits) {
        let state = if self.known.closed {
            TransportState::WindowFull
        } else if self.in_flight() == 0 {
            TransportState::Idle
        } else if self.recovers_until.is_some() {
            TransportState::Recovering
        } else if self.fills_window() {
            TransportState::WindowFull
        } else if self.known.delayed {
            TransportState::DelayTarget
        } else {
            TransportState::Sending
        };
        self.spans.enter(at, state, limits.spans);
    }

    /// The bytes of memory beside the view itself.
    pub(super) fn cost(&self) -> usize {
        self.on_the_way.capacity() * size_of::<(Timestamp, AcknowledgedState)>() + self.spans.cost()
    }
}

/// Below this delay in nanoseconds the capture was taken at the sender: an acknowledgement counts at once.
const AT_ONCE: u64 = 500_000;
