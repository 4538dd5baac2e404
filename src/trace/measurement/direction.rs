//! What TCP and uTP have in common: one direction sends numbered segments, the other end acknowledges them and offers a
//! window. Numbers are unwrapped; of TCP they count bytes, of uTP packets.

use bittrace_protocol::Timestamp;

use super::budget::MeasurementLimits;
use super::clock::ClockWaits;
use super::connection::CapturedAt;
use super::delays::DelayCounts;
use super::holes::{Hole, Holes};
use super::sender::{AcknowledgedState, SenderView, UNKNOWN_ROOM};
use super::sent::SentSegments;
use super::{DirectionMeasurement, OfferedWindow, QueueingDelay, RoundTrips};

/// One direction of a connection that is being measured.
///
/// Segments of many connections come in turn, so that what is remembered of each has left the processor's first cache when its
/// next segment comes. What most segments touch therefore stands together, and what few of them touch at the end.
#[derive(Debug)]
#[repr(C)]
pub(super) struct MeasuredDirection<E> {
    /// Behind the highest number that was sent.
    next: u64,
    /// Behind the highest number that was acknowledged.
    acknowledged: u64,
    /// The window as it was offered last.
    offered: SegmentWindow,
    begun: bool,
    duplicates: u32,
    /// The bytes of that window; [`UNKNOWN_ROOM`] where its scale is unknown.
    room: u64,
    /// The bytes of the stream before the highest number that was acknowledged.
    acknowledged_bytes: u64,
    /// What the last acknowledgement said.
    state: AcknowledgedState,
    holes: Holes,
    sent: SentSegments,
    /// What its transport knows of the end that sends.
    pub(super) end: E,
    /// When the last segment with numbers was captured.
    last_sent: Timestamp,
    /// Segments that carried bytes, and these bytes, each counted once.
    segments: u64,
    bytes: u64,
    pub(super) sender: SenderView,
    delays: DelayCounts,
    /// How long its packets waited before they were captured.
    waits: ClockWaits,
    queueing: DelayCounts,
    /// How many of the delays were the receiver's intention.
    delayed: u64,
    /// How many bytes of the stream a number that was not captured stands for: of TCP 1; of uTP nobody knows, and they are
    /// left out.
    bytes_of_missing: u64,
    /// Since when the window is zero.
    closed_since: Option<Timestamp>,
    window: Option<OfferedWindow>,
    /// What else was counted.
    pub(super) counts: DirectionMeasurement,
}

/// A segment that takes numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct NumberedSegment<'a> {
    pub(super) at: Timestamp,
    /// Its numbers begin here, and end before `end`.
    pub(super) start: u64,
    pub(super) end: u64,
    /// How many bytes of the stream it carries.
    pub(super) bytes: u64,
    /// The sender's clock.
    pub(super) clock: Option<u32>,
    /// Whether its wait counts as that of the direction.
    pub(super) counts_wait: bool,
    /// How far the ends are, as far as known: no retransmission comes sooner than after one round trip.
    pub(super) place: &'a CapturedAt,
}

/// A segment that acknowledges.
#[derive(Debug, Clone, Copy)]
pub(super) struct AcknowledgingSegment {
    pub(super) at: Timestamp,
    /// Everything before this number has arrived.
    pub(super) number: u64,
    /// It carries nothing itself.
    pub(super) bare: bool,
    /// Its window; `None` where it says nothing (SYN).
    pub(super) window: Option<SegmentWindow>,
    /// It says that later numbers have arrived.
    pub(super) selective: bool,
    /// The delay it reports is at the sender's target.
    pub(super) delayed: bool,
    /// Nanoseconds from here to the sender and back.
    pub(super) to_sender: u64,
    /// A single number that was acknowledged and not captured is a FIN.
    pub(super) single_is_fin: bool,
}

/// The window in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentWindow {
    pub(super) raw: u32,
    pub(super) scale: WindowScale,
}

impl SegmentWindow {
    /// Before the first: none that is offered is like it.
    const NONE: Self = Self { raw: 0, scale: WindowScale(u8::MAX - 1) };

    const fn bytes(self) -> u64 {
        match self.scale.bits() {
            Some(bits) => (self.raw as u64) << bits,
            None => self.raw as u64,
        }
    }
}

/// By how many bits a window is shifted, 14 at most, where that is known. Each segment is compared with the one before it: a byte
/// is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WindowScale(u8);

impl WindowScale {
    pub(super) const UNKNOWN: Self = Self(u8::MAX);

    pub(super) const fn of(bits: Option<u8>) -> Self {
        match bits {
            Some(bits) => Self(bits),
            None => Self::UNKNOWN,
        }
    }

    const fn bits(self) -> Option<u8> {
        if self.0 == Self::UNKNOWN.0 { None } else { Some(self.0) }
    }
}

impl<E> MeasuredDirection<E> {
    /// A direction whose packets may carry a clock.
    pub(super) fn begun_at(at: Timestamp, waits: ClockWaits, bytes_of_missing: u64, end: E) -> Self {
        Self {
            next: 0,
            acknowledged: 0,
            offered: SegmentWindow::NONE,
            begun: false,
            duplicates: 0,
            room: UNKNOWN_ROOM,
            acknowledged_bytes: 0,
            state: AcknowledgedState::NOTHING,
            holes: Holes::default(),
            sent: SentSegments::default(),
            end,
            last_sent: at,
            segments: 0,
            bytes: 0,
            sender: SenderView::begun_at(at),
            delays: DelayCounts::default(),
            waits,
            queueing: DelayCounts::default(),
            delayed: 0,
            bytes_of_missing,
            closed_since: None,
            window: None,
            counts: DirectionMeasurement::default(),
        }
    }

    pub(super) const fn begun(&self) -> bool {
        self.begun
    }

    /// The direction's first number.
    pub(super) const fn begin(&mut self, number: u64) {
        self.begun = true;
        self.next = number;
        self.acknowledged = number;
    }

    /// Behind the highest number that was sent.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Behind the highest number that was acknowledged.
    pub(super) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// How long the latest packet waited before it was captured, in nanoseconds.
    pub(super) const fn waited(&self) -> u64 {
        self.waits.latest()
    }

    /// A packet waited for so many nanoseconds on its way.
    pub(super) fn count_wait(&mut self, nanos: u64, limits: &MeasurementLimits) {
        self.queueing.add(nanos, limits.ranges);
    }

    /// Whether the receiver offers a window of no bytes.
    pub(super) const fn is_closed(&self) -> bool {
        self.closed_since.is_some()
    }

    /// A segment was captured that takes numbers.
    // Called once for TCP and once for uTP: what it is given need not be put into memory.
    #[inline(always)]
    pub(super) fn send(&mut self, segment: NumberedSegment<'_>, limits: &MeasurementLimits) {
        let NumberedSegment { at, start, end, bytes, clock, counts_wait, place } = segment;
        self.segments += u64::from(bytes > 0);
        self.depart(at, clock, counts_wait, limits);
        if start < self.next {
            self.send_old((at, clock), (start, end), bytes, place, limits);
            self.last_sent = at;
        } else {
            if start > self.next {
                self.leave_hole(at, start, clock, limits);
            }
            self.send_new(at, end, bytes, limits);
        }
    }

    /// What [`send`](Self::send) does of TCP where the next bytes come, and nothing else.
    // As `send`.
    #[inline(always)]
    pub(super) fn send_next(
        &mut self,
        at: Timestamp,
        bytes: u64,
        clock: Option<u32>,
        limits: &MeasurementLimits,
    ) {
        self.segments += 1;
        self.depart(at, clock, true, limits);
        self.send_new(at, self.next + bytes, bytes, limits);
    }

    /// The sender sends something now, with the time of its clock.
    #[inline(always)]
    fn depart(&mut self, at: Timestamp, clock: Option<u32>, counts_wait: bool, limits: &MeasurementLimits) {
        self.sender.catch_up(at, limits);
        if let Some(clock) = clock
            && let Some(waited) = self.waits.packet(at, clock)
            && counts_wait
        {
            self.count_wait(waited, limits);
        }
    }

    /// The next numbers are sent, up to `end`.
    #[inline(always)]
    fn send_new(&mut self, at: Timestamp, end: u64, bytes: u64, limits: &MeasurementLimits) {
        self.sent.push(self.next, end, bytes, at, limits.segments);
        self.next = end;
        self.bytes += bytes;
        self.sender.send(at, bytes, 0, limits);
        self.last_sent = at;
    }

    /// A segment shows that the numbers before `end` were sent.
    #[cold]
    pub(super) fn leave_hole(
        &mut self,
        at: Timestamp,
        end: u64,
        clock: Option<u32>,
        limits: &MeasurementLimits,
    ) {
        let hole =
            Hole { start: self.next, end, since: self.last_sent, noticed: at, clock, acknowledged: false };
        self.next = end;
        self.sender.catch_up(at, limits);
        self.sender.presume(at, hole.length() * self.bytes_of_missing, limits);
        self.holes.open(hole, limits.holes);
    }

    /// Takes in a segment of which numbers come again, or late.
    #[cold]
    #[inline(never)]
    fn send_old(
        &mut self,
        (at, clock): (Timestamp, Option<u32>),
        (start, end): (u64, u64),
        bytes: u64,
        place: &CapturedAt,
        limits: &MeasurementLimits,
    ) {
        let length = end - start;
        // Where a part of the segment is meant: of TCP each number is a byte, of uTP the one number is all of it.
        let bytes_of = |numbers: u64| if numbers == length { bytes } else { numbers.min(bytes) };
        let found = self.holes.fill(start, end);
        let filled = found.map_or(0, |(filled, _)| filled);
        let beyond = end.saturating_sub(self.next);
        let known = length - filled - beyond;
        let again = known > 0 || found.is_some_and(|(_, hole)| was_sent_again(&hole, at, clock, place));
        if again {
            let repeated = if known > 0 { known } else { filled };
            self.counts.retransmitted_segments += 1;
            self.counts.retransmitted_bytes += bytes_of(repeated);
            if end <= self.acknowledged {
                self.counts.spurious_retransmissions += 1;
                self.sender.spans.add_retransmission();
            } else {
                self.sent.send_again(start, end);
                self.sender.send_again(at, limits);
            }
        } else {
            self.counts.out_of_order_segments += 1;
        }
        if let Some((filled, hole)) = found {
            if hole.acknowledged {
                self.counts.lost_to_capture = self.counts.lost_to_capture.saturating_sub(filled);
                self.acknowledged_bytes += bytes_of(filled).saturating_sub(filled * self.bytes_of_missing);
            } else {
                self.sent.insert(
                    hole.start.max(start),
                    hole.end.min(end),
                    bytes_of(filled),
                    at,
                    limits.segments,
                );
            }
        }
        if beyond > 0 {
            let bytes = bytes_of(beyond);
            self.sent.push(self.next, end, bytes, at, limits.segments);
            self.next = end;
        }
        let new = bytes_of(beyond + filled);
        self.bytes += new;
        if new > 0 || filled > 0 {
            self.sender.send(at, new, filled * self.bytes_of_missing, limits);
        }
    }

    /// A segment was captured that acknowledges. The answer is how long that took, in nanoseconds.
    // As `send`.
    #[inline(always)]
    pub(super) fn acknowledge(
        &mut self,
        segment: AcknowledgingSegment,
        limits: &MeasurementLimits,
    ) -> Option<u64> {
        let AcknowledgingSegment { at, number, .. } = segment;
        if number < self.acknowledged {
            // An acknowledgement that was overtaken by a later one.
            return None;
        }
        let mut sample = None;
        if number > self.acknowledged {
            if number > self.next {
                self.miss(at, number, segment.single_is_fin, limits);
            }
            if !self.holes.is_empty() {
                self.lose_holes(at, number, limits);
            }
            sample = self.take_acknowledged(at, number, segment.bare, limits);
        } else if segment.bare && number < self.next && self.is_duplicate(&segment) {
            self.counts.duplicate_acknowledgements += 1;
            self.duplicates += 1;
            if self.duplicates == DUPLICATES {
                self.lose(at, limits);
            }
        }
        if self.state.delayed != segment.delayed
            || segment.window.is_none_or(|window| !self.has_offered(window))
        {
            self.offer(at, segment.window, segment.delayed, segment.to_sender, limits);
        } else {
            self.move_window(at, segment.to_sender, limits);
        }
        sample
    }

    /// Whether nothing is missing, and the receiver offers the window that it offered last.
    #[inline(always)]
    pub(super) fn goes_on(&self, window: SegmentWindow) -> bool {
        self.has_offered(window) && self.holes.is_empty()
    }

    /// Whether the sender has to learn that the receiver has more, though the receiver acknowledges nothing new.
    #[inline(always)]
    pub(super) const fn has_news(&self) -> bool {
        self.state.bytes != self.acknowledged_bytes
    }

    /// What [`acknowledge`](Self::acknowledge) does of TCP where the receiver just [goes on](Self::goes_on): it acknowledges so many
    /// numbers further, of those that were sent. Where it acknowledges nothing new, the segment carries something, and this has
    /// something to do where the receiver [has news](Self::has_news).
    // As `send`.
    #[inline(always)]
    pub(super) fn advance(
        &mut self,
        at: Timestamp,
        further: u64,
        bare: bool,
        to_sender: u64,
        limits: &MeasurementLimits,
    ) -> Option<u64> {
        let number = self.acknowledged + further;
        let sample = if further > 0 { self.take_acknowledged(at, number, bare, limits) } else { None };
        self.move_window(at, to_sender, limits);
        sample
    }

    /// The numbers before this one are acknowledged, all of which are sent or given up. The answer is how long that took.
    #[inline(always)]
    fn take_acknowledged(
        &mut self,
        at: Timestamp,
        number: u64,
        bare: bool,
        limits: &MeasurementLimits,
    ) -> Option<u64> {
        let taken = self.sent.acknowledge(number);
        self.acknowledged_bytes += taken.bytes;
        self.acknowledged = number;
        self.duplicates = 0;
        let nanos = elapsed(taken.sent_at?, at);
        let lone = number == self.next && taken.bytes < 2 * u64::from(self.sender.segment());
        self.count_delay(nanos, bare && lone, limits);
        Some(nanos)
    }

    /// Most windows are those before, that many bytes further on.
    #[inline(always)]
    fn move_window(&mut self, at: Timestamp, to_sender: u64, limits: &MeasurementLimits) {
        if self.has_news() {
            self.sender.catch_up(at, limits);
            self.state.bytes = self.acknowledged_bytes;
            self.state.room_to = self.acknowledged_bytes.saturating_add(self.room);
            self.sender.acknowledged(at, to_sender, &self.state, limits);
        }
    }

    /// The receiver has later segments than one that is missing: the sender takes it for lost.
    pub(super) fn lose(&mut self, at: Timestamp, limits: &MeasurementLimits) {
        self.sender.catch_up(at, limits);
        self.sender.recover(at, limits);
    }

    /// Whether an acknowledgement of nothing new tells of a later segment's arrival (RFC 5681, section 2; with selective
    /// acknowledgements RFC 6675, section 2).
    fn is_duplicate(&self, segment: &AcknowledgingSegment) -> bool {
        let same_window = segment.window.map(SegmentWindow::bytes) == self.window.map(|window| window.last);
        segment.selective || same_window
    }

    /// Whether the receiver offered this window last.
    #[inline(always)]
    fn has_offered(&self, window: SegmentWindow) -> bool {
        self.offered == window
    }

    /// Takes in what the receiver offers, and what it has.
    #[inline(never)]
    fn offer(
        &mut self,
        at: Timestamp,
        window: Option<SegmentWindow>,
        delayed: bool,
        to_sender: u64,
        limits: &MeasurementLimits,
    ) {
        let mut state = AcknowledgedState { bytes: self.acknowledged_bytes, ..self.state };
        state.delayed = delayed;
        if let Some(window) = window {
            self.offered = window;
            let bytes = window.bytes();
            self.room = window.scale.bits().map_or(UNKNOWN_ROOM, |_| bytes);
            state.room_to = self.acknowledged_bytes.saturating_add(self.room);
            state.closed = window.raw == 0;
            let offered = self.window.get_or_insert(OfferedWindow {
                smallest: bytes,
                largest: bytes,
                last: bytes,
                scale: window.scale.bits(),
            });
            offered.smallest = offered.smallest.min(bytes);
            offered.largest = offered.largest.max(bytes);
            offered.last = bytes;
            if state.closed {
                self.closed_since.get_or_insert(at);
            } else if let Some(since) = self.closed_since.take() {
                self.counts.zero_window_seconds += at.seconds_since(since).max(0.0);
            }
        }
        if state != self.state {
            self.state = state;
            self.sender.catch_up(at, limits);
            self.sender.acknowledged(at, to_sender, &state, limits);
        }
    }

    /// The receiver acknowledges what was not captured.
    #[cold]
    #[inline(never)]
    fn miss(&mut self, at: Timestamp, number: u64, single_is_fin: bool, limits: &MeasurementLimits) {
        let missing = number - self.next;
        if missing > 1 || !single_is_fin {
            self.counts.lost_to_capture += missing;
            self.sender.catch_up(at, limits);
            self.sender.lose_sight((self.last_sent, at), at, limits);
            self.sender.presume(at, missing * self.bytes_of_missing, limits);
            self.acknowledged_bytes += missing * self.bytes_of_missing;
            // Its segments may only be late in the capture.
            let (start, end) = (self.next, number);
            let (since, noticed) = (self.last_sent, at);
            let hole = Hole { start, end, since, noticed, clock: None, acknowledged: true };
            self.holes.open(hole, limits.holes);
        }
        self.next = number;
    }

    #[cold]
    fn lose_holes(&mut self, at: Timestamp, number: u64, limits: &MeasurementLimits) {
        let Self { counts, sender, holes, acknowledged_bytes, bytes_of_missing, .. } = self;
        holes.acknowledge(number, |hole| {
            *acknowledged_bytes += hole.length() * *bytes_of_missing;
            counts.lost_to_capture += hole.length();
            sender.lose_sight((hole.since, hole.noticed), at, limits);
        });
    }

    #[inline(always)]
    fn count_delay(&mut self, nanos: u64, may_wait: bool, limits: &MeasurementLimits) {
        if may_wait
            && self.delays.smallest().is_some_and(|smallest| nanos >= smallest.saturating_add(ON_PURPOSE))
        {
            self.delayed += 1;
        }
        self.delays.add(nanos, limits.ranges);
    }

    /// The bytes of memory beside the direction itself.
    pub(super) fn cost(&self) -> usize {
        self.sender.cost() + self.sent.cost() + self.holes.cost() + self.delays.cost() + self.queueing.cost()
    }

    /// Bytes that were sent and never acknowledged.
    pub(super) const fn unacknowledged(&self) -> u64 {
        self.sender.sent().saturating_sub(self.acknowledged_bytes)
    }

    /// What was measured, the connection having ended at `at`.
    pub(super) fn finish(mut self, at: Timestamp, limits: &MeasurementLimits) -> DirectionMeasurement {
        self.sender.catch_up(at, limits);
        if let Some(since) = self.closed_since {
            self.counts.zero_window_seconds += at.seconds_since(since).max(0.0);
        }
        self.counts.acknowledged_after = (self.delays.samples() > 0).then(|| RoundTrips {
            samples: self.delays.samples(),
            smallest: self.delays.smallest_seconds(),
            median: self.delays.quantile(0.5),
            p95: self.delays.quantile(0.95),
            largest: self.delays.largest_seconds(),
            delayed: self.delayed,
        });
        (self.counts.segments, self.counts.bytes) = (self.segments, self.bytes);
        self.counts.window = self.window;
        self.counts.queueing = (self.queueing.samples() > 0).then(|| QueueingDelay {
            samples: self.queueing.samples(),
            median: self.queueing.quantile(0.5),
            p95: self.queueing.quantile(0.95),
            largest: self.queueing.largest_seconds(),
        });
        self.counts.largest_in_flight = self.sender.largest_in_flight;
        self.counts.largest_segment = self.sender.segment();
        (self.counts.spans, self.counts.seconds) = self.sender.spans.finish(at);
        self.counts
    }
}

/// Whether a segment that fills a hole was sent after the segment behind the hole, and so a second time. The sender's clock tells,
/// where it has moved on; otherwise the time, as a retransmission answers an acknowledgement. Wireshark's limit of 3 ms holds where
/// the round trip is unknown.
fn was_sent_again(hole: &Hole, at: Timestamp, clock: Option<u32>, place: &CapturedAt) -> bool {
    if let (Some(clock), Some(behind)) = (clock, hole.clock)
        && clock != behind
    {
        return clock.wrapping_sub(behind).cast_signed() > 0;
    }
    let round_trip = place.whole().map_or(UNKNOWN_ROUND_TRIP, |nanos| nanos / 10 * 8);
    elapsed(hole.noticed, at) >= round_trip
}

/// Nanoseconds from one moment to a later one; 0 where it is earlier.
#[inline(always)]
pub(super) fn elapsed(from: Timestamp, to: Timestamp) -> u64 {
    if to > from { to.as_nanos().wrapping_sub(from.as_nanos()).cast_unsigned() } else { 0 }
}

/// So many acknowledgements of the same number mean a loss (RFC 5681, section 3.2).
const DUPLICATES: u32 = 3;
/// An acknowledgement that comes so many nanoseconds after the smallest delay was delayed on purpose.
const ON_PURPOSE: u64 = 20_000_000;
/// Wireshark's limit between late and retransmitted segments, in nanoseconds, where the round trip is unknown.
const UNKNOWN_ROUND_TRIP: u64 = 3_000_000;
