//! What one direction of a connection waited for, as its messages alone show it: phases that follow each other without a gap,
//! in bounded memory.

use bittrace_protocol::Timestamp;

/// What the messages of both ends say of a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitPhase {
    Connecting,
    Handshake,
    Metadata,
    NothingWanted,
    Choked,
    /// Interested and unchoked, without an outstanding request.
    NotAsked,
    /// Requests are outstanding, or a block came.
    Requested,
    /// The capture does not show what was so.
    Unseen,
}

/// A stretch of time in one phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PhaseSpan {
    pub(super) phase: WaitPhase,
    /// How long the stretch is, nanoseconds.
    pub(super) length: i64,
    /// Of [`WaitPhase::Requested`]: when the block that ends the stretch was requested, in nanoseconds after the beginning of
    /// the stretch; mostly before it, so negative.
    pub(super) asked_after: i64,
    /// Bytes of blocks that came at its end.
    pub(super) bytes: u64,
    /// Of [`WaitPhase::Requested`]: the blocks just before it answered every request that there was, several at once. What was
    /// asked was less than the peer would have sent.
    pub(super) after_all_sent: bool,
}

/// A block that came.
#[derive(Debug, Clone, Copy)]
pub(super) struct ArrivedBlock {
    pub(super) bytes: u64,
    /// See [`PhaseSpan::after_all_sent`].
    pub(super) after_all_sent: bool,
}

/// The phases of a direction, one after another.
#[derive(Debug, Clone)]
pub(super) struct PhaseTimeline {
    start: Timestamp,
    end: Timestamp,
    spans: Vec<PhaseSpan>,
    /// Neighbours of one phase that are no longer than this together are one span, nanoseconds.
    grain: i64,
    /// The shortest time from a request to its block so far, nanoseconds.
    least_latency: i64,
}

/// How fine a timeline is once it has too many spans, nanoseconds. The grain doubles each time.
const FIRST_GRAIN: i64 = 1_000_000;

impl PhaseTimeline {
    /// A timeline that begins at `start`.
    pub(super) const fn new(start: Timestamp) -> Self {
        Self { start, end: start, spans: Vec::new(), grain: 0, least_latency: i64::MAX }
    }

    pub(super) const fn start(&self) -> Timestamp {
        self.start
    }

    pub(super) const fn end(&self) -> Timestamp {
        self.end
    }

    pub(super) fn spans(&self) -> &[PhaseSpan] {
        &self.spans
    }

    /// The shortest time from a request to its block, nanoseconds; `None` where no block answered a request.
    pub(super) fn least_latency(&self) -> Option<i64> {
        Some(self.least_latency).filter(|latency| *latency < i64::MAX)
    }

    /// Lets the timeline begin earlier than was known. The time before belongs to the phase `before`.
    pub(super) fn begin_at(&mut self, start: Timestamp, before: WaitPhase) {
        if start >= self.start {
            return;
        }
        let length = nanos_between(start, self.start);
        self.start = start;
        match self.spans.first_mut() {
            Some(first) if first.phase == before && before != WaitPhase::Requested => first.length += length,
            _ => self.spans.insert(0, PhaseSpan::of(before, length)),
        }
    }

    /// The time from the end so far to `to` belongs to `phase`.
    #[inline(never)]
    pub(super) fn pass(&mut self, to: Timestamp, phase: WaitPhase, limit: usize) {
        let length = self.until(to);
        self.push(PhaseSpan::of(phase, length), limit);
    }

    /// Requests are outstanding from the end so far to `to`, the oldest since `asked`, and no block came.
    #[inline(never)]
    pub(super) fn wait(&mut self, to: Timestamp, asked: Timestamp, limit: usize) {
        let asked_after = signed_nanos(self.end, asked).min(0);
        let span = PhaseSpan { asked_after, ..PhaseSpan::of(WaitPhase::Requested, self.until(to)) };
        self.push(span, limit);
    }

    /// A block came. Its request was sent at `asked`, where that is known.
    pub(super) fn block(
        &mut self,
        at: Timestamp,
        asked: Option<Timestamp>,
        block: ArrivedBlock,
        limit: usize,
    ) {
        let ArrivedBlock { bytes, after_all_sent } = block;
        if let Some(asked) = asked {
            self.least_latency = self.least_latency.min(nanos_between(asked, at));
        }
        // A request that was sent later does not mean that the peer had no other.
        let asked_after = asked.map_or(i64::MIN / 4, |asked| signed_nanos(self.end, asked)).min(0);
        let length = self.until(at);
        let span = PhaseSpan { phase: WaitPhase::Requested, length, asked_after, bytes, after_all_sent };
        self.push(span, limit);
    }

    /// Nanoseconds from the end so far to a moment, which becomes the end. 0 where messages are out of order.
    fn until(&mut self, to: Timestamp) -> i64 {
        let length = nanos_between(self.end, to);
        self.end = self.end.max(to);
        length
    }

    // Inlined where most of the span is known.
    #[inline(always)]
    fn push(&mut self, span: PhaseSpan, limit: usize) {
        if span.length == 0 && span.bytes == 0 {
            return;
        }
        match self.spans.last_mut() {
            Some(last) if last.phase == span.phase && span.phase != WaitPhase::Requested => {
                last.length += span.length;
                last.bytes += span.bytes;
            }
            Some(last)
                if last.phase == WaitPhase::Requested
                    && span.phase == WaitPhase::Requested
                    && (span.length == 0 || last.length.saturating_add(span.length) <= self.grain) =>
            {
                last.join(span, self.least_latency);
            }
            _ => self.spans.push(span),
        }
        if self.spans.len() > limit {
            self.coarsen(limit);
        }
    }

    /// Joins short neighbours until at most half of `limit` spans are left. Of neighbours of two phases the longer keeps its phase.
    #[cold]
    fn coarsen(&mut self, limit: usize) {
        while self.spans.len() > (limit / 2).max(1) {
            self.grain = self.grain.saturating_mul(2).max(FIRST_GRAIN);
            let least_latency = self.least_latency;
            let mut joined: usize = 0;
            for at in 0..self.spans.len() {
                let span = self.spans[at];
                match joined.checked_sub(1).map(|last| &mut self.spans[last]) {
                    Some(last) if last.length.saturating_add(span.length) <= self.grain => {
                        last.join(span, least_latency);
                    }
                    _ => {
                        self.spans[joined] = span;
                        joined += 1;
                    }
                }
            }
            self.spans.truncate(joined);
            if self.grain == i64::MAX {
                return;
            }
        }
    }
}

impl PhaseSpan {
    const fn of(phase: WaitPhase, length: i64) -> Self {
        Self { phase, length, asked_after: 0, bytes: 0, after_all_sent: false }
    }

    /// Nanoseconds from the request to the block at its end.
    pub(super) const fn latency(&self) -> i64 {
        self.length.saturating_sub(self.asked_after)
    }

    /// Nanoseconds at the beginning of the span in which the peer had no request that it could answer, where a request and its
    /// answer take `round_trip` nanoseconds between the capture and the peer.
    pub(super) fn starved(&self, round_trip: i64) -> i64 {
        self.asked_after.saturating_add(round_trip).clamp(0, self.length)
    }

    /// Takes in the span after it. `round_trip` is the best guess so far; the time that both were starved for stays the same by it.
    #[inline]
    fn join(&mut self, next: Self, round_trip: i64) {
        let length = self.length.saturating_add(next.length);
        if self.phase == next.phase && self.phase == WaitPhase::Requested {
            let round_trip = if round_trip == i64::MAX { 0 } else { round_trip };
            let starved = self.starved(round_trip) + next.starved(round_trip);
            self.asked_after = match starved {
                0 => self.asked_after.max(next.asked_after.saturating_add(self.length)).min(-round_trip),
                starved => starved - round_trip,
            };
        } else if next.length > self.length {
            (self.phase, self.asked_after) = (next.phase, next.asked_after);
        }
        if next.length > self.length {
            self.after_all_sent = next.after_all_sent;
        }
        self.length = length;
        self.bytes += next.bytes;
    }
}

/// Nanoseconds from one moment to another; 0 when the second is earlier.
pub(super) fn nanos_between(from: Timestamp, to: Timestamp) -> i64 {
    signed_nanos(from, to).max(0)
}

/// Nanoseconds from one moment to another; negative when the second is earlier.
pub(super) fn signed_nanos(from: Timestamp, to: Timestamp) -> i64 {
    to.as_nanos().saturating_sub(from.as_nanos())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    proptest! {
        #[test]
        fn spans_tile_the_time_and_keep_every_byte(
            steps in prop::collection::vec((0..3_u8, 0..50_000_000_i64, -5_000_000..60_000_000_i64, 0..20_000_u64), 0..400),
            limit in 2..64_usize,
        ) {
            let mut timeline = PhaseTimeline::new(at(1_000));
            let (mut now, mut bytes) = (1_000, 0);
            for (kind, length, latency, size) in steps {
                now += length;
                match kind {
                    0 => timeline.pass(at(now), WaitPhase::Choked, limit),
                    1 => timeline.pass(at(now), WaitPhase::NotAsked, limit),
                    _ => {
                        let block = ArrivedBlock { bytes: size, after_all_sent: false };
                        timeline.block(at(now), Some(at(now - latency)), block, limit);
                        bytes += size;
                    }
                }
                prop_assert!(timeline.spans().len() <= limit);
            }
            let length: i64 = timeline.spans().iter().map(|span| span.length).sum();
            prop_assert_eq!(length, timeline.end().as_nanos() - 1_000);
            prop_assert_eq!(timeline.end().as_nanos(), now.max(1_000));
            prop_assert_eq!(timeline.spans().iter().map(|span| span.bytes).sum::<u64>(), bytes);
        }
    }

    #[test]
    fn joined_spans_keep_the_time_in_which_the_peer_had_no_request() {
        let mut timeline = PhaseTimeline::new(at(0));
        let millis = 1_000_000;
        // One request at a time over a round trip of 100 ms: the peer has nothing to do for all of it.
        for round in 0..100 {
            let (asked, came) = (round * 101 * millis, (round * 101 + 100) * millis);
            let block = ArrivedBlock { bytes: 16_384, after_all_sent: false };
            timeline.block(at(came), Some(at(asked)), block, 10);
        }
        let round_trip = timeline.least_latency().unwrap();
        assert_eq!(round_trip, 100 * millis);
        let starved: i64 = timeline.spans().iter().map(|span| span.starved(round_trip)).sum();
        let all: i64 = timeline.spans().iter().map(|span| span.length).sum();
        assert!(timeline.spans().len() <= 10);
        // The millisecond between a block and the next request counts as asked before it.
        assert!(starved * 100 >= all * 98, "{starved} of {all}");
    }
}
