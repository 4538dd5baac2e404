//! The time of one direction as spans that tile it. A span ends where the state changes; what is learnt late about the
//! time before (a retransmission tells of a loss) is painted over the spans at the end.

use bittrace_protocol::Timestamp;

use super::direction::elapsed;
use super::{TransportSpan, TransportState};

/// Takes down what a direction does.
// What each change touches stands together: see `MeasuredDirection`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct SpanRecorder {
    /// The span that goes on; its `to` is not set.
    open: TransportSpan,
    /// Up to here the time is counted in `nanos`: not before the open span begins.
    counted_to: Timestamp,
    done: Vec<TransportSpan>,
    /// Nanoseconds in each state.
    nanos: [u64; TransportState::ALL.len()],
}

impl SpanRecorder {
    /// Begins with a span of nothing.
    pub(super) const fn begun_at(at: Timestamp) -> Self {
        let open =
            TransportSpan { from: at, to: at, state: TransportState::Idle, bytes: 0, retransmitted: 0 };
        Self { done: Vec::new(), open, counted_to: at, nanos: [0; TransportState::ALL.len()] }
    }

    /// New bytes were captured.
    pub(super) const fn add_bytes(&mut self, bytes: u64) {
        self.open.bytes += bytes;
    }

    /// A retransmitted segment was captured.
    pub(super) const fn add_retransmission(&mut self) {
        self.open.retransmitted += 1;
    }

    /// The direction does something else from now on. At most `most` spans are kept.
    #[inline(always)]
    pub(super) fn enter(&mut self, at: Timestamp, state: TransportState, most: usize) {
        if state != self.open.state {
            self.change(at, state, most);
        }
    }

    #[inline(never)]
    fn change(&mut self, at: Timestamp, state: TransportState, most: usize) {
        if at <= self.counted_to || self.done.len() >= most {
            return self.change_any(at, state, most);
        }
        // As `change_any`, where the open span lasted and there is room for it.
        self.begin_next(at, state);
    }

    /// The open span lasted until `at`, and another follows.
    #[inline(always)]
    fn begin_next(&mut self, at: Timestamp, state: TransportState) {
        self.nanos[self.open.state as usize] += elapsed(self.counted_to, at);
        self.counted_to = at;
        self.done.push(TransportSpan { to: at, ..self.open });
        self.open = TransportSpan { from: at, to: at, state, bytes: 0, retransmitted: 0 };
    }

    #[inline(never)]
    fn change_any(&mut self, at: Timestamp, state: TransportState, most: usize) {
        let lasted = self.end_open(at);
        let too_many = self.done.len() > most;
        if too_many {
            self.join_short(most);
        }
        self.open.state = state;
        if lasted && !too_many {
            // The span before is of another state.
            return;
        }
        // What lasted no time is a part of what follows, and may have parted two of a kind.
        if self.done.last().is_some_and(|last| last.state == state) {
            self.reopen();
        }
    }

    /// Ends the open span, and opens another of the same state: whether it had lasted any time.
    #[inline]
    fn end_open(&mut self, at: Timestamp) -> bool {
        let at = at.max(self.open.from).max(self.counted_to);
        let lasted = at > self.open.from;
        if lasted {
            self.begin_next(at, self.open.state);
        }
        lasted
    }

    /// Takes the last span back as a part of the open one.
    fn reopen(&mut self) {
        let Some(last) = self.done.pop() else { return };
        self.open.from = last.from;
        self.open.bytes += last.bytes;
        self.open.retransmitted += last.retransmitted;
    }

    /// The time between two moments, which are not after `now`, was spent in `state`. The open span goes on as it is.
    pub(super) fn repaint(
        &mut self,
        (from, to): (Timestamp, Timestamp),
        now: Timestamp,
        state: TransportState,
        most: usize,
    ) {
        self.end_open(now);
        if self.done.len() > most {
            self.join_short(most);
        }
        let first = self.done.partition_point(|span| span.to <= from);
        for span in self.done.split_off(first) {
            let [before, within, after] = split(span, from, to.max(from));
            // A span that was joined may have spent less in its state than it lasted.
            let moved = elapsed(within.from, within.to).min(self.nanos[span.state as usize]);
            self.nanos[span.state as usize] -= moved;
            self.nanos[state as usize] += moved;
            self.append(before);
            self.append(TransportSpan { state, ..within });
            self.append(after);
        }
        if self.done.last().is_some_and(|last| last.state == self.open.state) {
            self.reopen();
        }
    }

    /// Adds a span behind the others, when it lasts any time.
    fn append(&mut self, span: TransportSpan) {
        if span.from >= span.to {
            return;
        }
        match self.done.last_mut() {
            Some(last) if last.state == span.state => {
                last.to = span.to;
                last.bytes += span.bytes;
                last.retransmitted += span.retransmitted;
            }
            _ => self.done.push(span),
        }
    }

    /// Joins the shorter half of the spans, and more until `most` are left, with the spans before them.
    #[cold]
    fn join_short(&mut self, most: usize) {
        // Some spans tell well enough how long the shorter half is, and where they do not, all of them do. States mostly
        // take turns: an odd step looks at both.
        self.join_shortest(most, (self.done.len() / SAMPLE) | 1);
        if self.done.len() > most {
            self.join_shortest(most, 1);
        }
    }

    /// Joins spans until about half of `most` are left, by the length of each span whose number `step` divides.
    fn join_shortest(&mut self, most: usize, step: usize) {
        let mut lengths: Vec<u64> = self.done.iter().step_by(step).map(length).collect();
        let keep = (most / 2).max(1);
        let place = (self.done.len().saturating_sub(keep) * lengths.len() / self.done.len().max(1))
            .min(lengths.len().saturating_sub(1));
        let (_, &mut limit, _) = lengths.select_nth_unstable(place);
        let mut joined: usize = 0;
        // How long the longest span lasted that the last joined one is made of.
        let mut longest = 0;
        for at in 0..self.done.len() {
            let span = self.done[at];
            let length = length(&span);
            match joined.checked_sub(1).map(|last| &mut self.done[last]) {
                Some(last) if length <= limit || longest <= limit || last.state == span.state => {
                    if length > longest {
                        last.state = span.state;
                        longest = length;
                    }
                    last.to = span.to;
                    last.bytes += span.bytes;
                    last.retransmitted += span.retransmitted;
                }
                _ => {
                    self.done[joined] = span;
                    joined += 1;
                    longest = length;
                }
            }
        }
        self.done.truncate(joined);
    }

    /// The bytes of memory that the spans take.
    pub(super) fn cost(&self) -> usize {
        self.done.capacity() * size_of::<TransportSpan>()
    }

    /// All spans up to `at`, and the seconds in each state.
    pub(super) fn finish(mut self, at: Timestamp) -> (Vec<TransportSpan>, [f64; TransportState::ALL.len()]) {
        self.end_open(at);
        if (self.open.bytes, self.open.retransmitted) != (0, 0) || self.done.is_empty() {
            match self.done.last_mut() {
                Some(last) => {
                    last.bytes += self.open.bytes;
                    last.retransmitted += self.open.retransmitted;
                }
                None => self.done.push(self.open),
            }
        }
        self.done.shrink_to_fit();
        (self.done, self.nanos.map(|nanos| nanos as f64 / 1e9))
    }
}

/// The parts of a span before `from`, up to `to`, and after, of which each may last no time and have nothing. What is painted
/// over is a time in which nothing new came: its bytes lie before or after, evenly where it is not known.
fn split(span: TransportSpan, from: Timestamp, to: Timestamp) -> [TransportSpan; 3] {
    let (from, to) = (from.clamp(span.from, span.to), to.clamp(span.from, span.to));
    let (before, after) = (elapsed(span.from, from), elapsed(to, span.to));
    let share = |count: u64| {
        let whole = u128::from(before) + u128::from(after);
        match (u128::from(count) * u128::from(before)).checked_div(whole) {
            Some(first) => [first as u64, 0, count - first as u64],
            None => [0, count, 0],
        }
    };
    let (bytes, retransmitted) = (share(span.bytes), share(span.retransmitted));
    let part = |place: usize, from, to| TransportSpan {
        from,
        to,
        bytes: bytes[place],
        retransmitted: retransmitted[place],
        ..span
    };
    [part(0, span.from, from), part(1, from, to), part(2, to, span.to)]
}

/// How many spans are looked at to tell how long the others are.
const SAMPLE: usize = 128;

/// How long a span lasted, nanoseconds.
fn length(span: &TransportSpan) -> u64 {
    elapsed(span.from, span.to)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use TransportState::{Idle, Recovering, Sending, WindowFull};

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    /// Spans in milliseconds: `0-5 Idle 3`, with bytes.
    fn told(spans: &[TransportSpan]) -> Vec<String> {
        let millis = |at: Timestamp| at.as_nanos() / 1_000_000;
        let tell = |span: &TransportSpan| {
            format!("{}-{} {:?} {}", millis(span.from), millis(span.to), span.state, span.bytes)
        };
        spans.iter().map(tell).collect()
    }

    #[test]
    fn a_span_ends_where_the_state_changes() {
        let mut spans = SpanRecorder::begun_at(at(10));
        spans.enter(at(15), Sending, 9);
        spans.add_bytes(7);
        spans.enter(at(20), Sending, 9);
        spans.add_bytes(1);
        spans.enter(at(30), Idle, 9);
        let (spans, seconds) = spans.finish(at(35));
        assert_eq!(told(&spans), ["10-15 Idle 0", "15-30 Sending 8", "30-35 Idle 0"]);
        assert_eq!((seconds[Idle as usize], seconds[Sending as usize]), (0.01, 0.015));
    }

    #[test]
    fn a_state_of_no_time_leaves_no_span() {
        let mut spans = SpanRecorder::begun_at(at(0));
        spans.enter(at(5), Sending, 9);
        spans.add_bytes(3);
        spans.enter(at(5), Idle, 9);
        assert_eq!(told(&spans.finish(at(8)).0), ["0-8 Idle 3"]);
    }

    #[test]
    fn what_is_learnt_late_is_painted_over_the_end() {
        let mut spans = SpanRecorder::begun_at(at(0));
        spans.enter(at(10), Sending, 9);
        spans.add_bytes(100);
        spans.enter(at(20), WindowFull, 9);
        spans.repaint((at(15), at(40)), at(40), Recovering, 9);
        spans.enter(at(50), Idle, 9);
        let (spans, seconds) = spans.finish(at(60));
        let expected =
            ["0-10 Idle 0", "10-15 Sending 100", "15-40 Recovering 0", "40-50 WindowFull 0", "50-60 Idle 0"];
        assert_eq!(told(&spans), expected);
        assert_eq!(seconds[Recovering as usize], 0.025);
    }

    #[test]
    fn the_painted_state_may_go_on() {
        let mut spans = SpanRecorder::begun_at(at(0));
        spans.enter(at(10), Sending, 9);
        spans.repaint((at(15), at(20)), at(20), Recovering, 9);
        spans.enter(at(20), Recovering, 9);
        assert_eq!(told(&spans.finish(at(30)).0), ["0-10 Idle 0", "10-15 Sending 0", "15-30 Recovering 0"]);
    }

    #[test]
    fn of_too_many_spans_the_short_ones_are_joined() {
        let mut spans = SpanRecorder::begun_at(at(0));
        let mut now = 0;
        for round in 0..100 {
            now += if round == 50 { 500 } else { 2 };
            spans.enter(at(now), Sending, 8);
            spans.add_bytes(1);
            now += 1;
            spans.enter(at(now), Idle, 8);
        }
        let (spans, seconds) = spans.finish(at(now));
        assert!(spans.len() <= 9, "{:?}", told(&spans));
        assert_eq!(spans.iter().map(|span| span.bytes).sum::<u64>(), 100);
        assert!((seconds[Sending as usize] - 0.1).abs() < 1e-9, "{seconds:?}");
        let longest = spans.iter().max_by_key(|span| elapsed(span.from, span.to)).unwrap();
        assert!(longest.state == Idle && elapsed(longest.from, longest.to) >= 500_000_000);
    }

    proptest! {
        #[test]
        fn spans_tile_the_time(
            steps in vec((0u8..4, -20i64..50, 0usize..6, 0u64..1000), 0..80), most in 1usize..12,
        ) {
            let mut spans = SpanRecorder::begun_at(at(0));
            let (mut now, mut latest, mut bytes, mut retransmitted) = (0, 0, 0, 0);
            for (kind, millis, state, count) in steps {
                now += millis;
                match kind {
                    0 => {
                        let span = (at(now - count as i64), at(now - count as i64 / 3));
                        spans.repaint(span, at(now), TransportState::ALL[state], most);
                    },
                    1 => {
                        spans.add_retransmission();
                        retransmitted += 1;
                        continue;
                    }
                    _ => {
                        spans.enter(at(now), TransportState::ALL[state], most);
                        spans.add_bytes(count);
                        bytes += count;
                    }
                }
                latest = now.max(latest);
            }
            let end = latest.max(now) + 1000;
            let (spans, seconds) = spans.finish(at(end));
            prop_assert_eq!(spans[0].from, at(0));
            prop_assert_eq!(spans.last().unwrap().to, at(end));
            for pair in spans.windows(2) {
                prop_assert!(pair[0].from < pair[0].to && pair[0].to == pair[1].from, "{:?}", told(&spans));
            }
            prop_assert_eq!(spans.iter().map(|span| span.bytes).sum::<u64>(), bytes);
            prop_assert_eq!(spans.iter().map(|span| span.retransmitted).sum::<u64>(), retransmitted);
            prop_assert!((seconds.iter().sum::<f64>() - end as f64 / 1e3).abs() < 1e-9);
        }
    }
}
