//! The causes of all connections of a run, laid over each other: each moment of the run belongs to one.
//!
//! While blocks are on their way anywhere, the moment belongs to what holds these back. Otherwise it belongs to the connection that
//! is nearest to a block: one that could be asked, then one that chokes, then one that is being opened.

use bittrace_protocol::Timestamp;

use super::budget::CauseSpan;
use super::cause::{CauseTotals, DelayCause};

/// A span of one connection, and the bytes a second that the connection carried whenever blocks came.
#[derive(Debug, Clone, Copy)]
pub(super) struct WeighedSpan {
    pub(super) span: CauseSpan,
    pub(super) rate: f64,
}

/// Lays spans over each other, from `start` to `end`. The time without any belongs to [`DelayCause::NoPeer`].
pub(super) fn sweep(
    spans: impl Iterator<Item = WeighedSpan>,
    start: Timestamp,
    end: Timestamp,
) -> Vec<CauseSpan> {
    let mut edges = Vec::new();
    for WeighedSpan { span, rate } in spans {
        let (from, to) = (span.from.clamp(start, end), span.to.clamp(start, end));
        let rate = 1 + rate.clamp(0.0, 1e12) as i64;
        if from < to {
            edges.push((from, 1, span.cause, rate));
            edges.push((to, -1, span.cause, rate));
        }
    }
    edges.sort_by_key(|(at, ..)| *at);
    let mut open = OpenCauses::default();
    let mut run: Vec<CauseSpan> = Vec::new();
    let mut at = start;
    let mut pass = |from: Timestamp, to: Timestamp, open: &OpenCauses| {
        if from >= to {
            return;
        }
        let cause = open.nearest();
        match run.last_mut() {
            Some(last) if last.cause == cause => last.to = to,
            _ => run.push(CauseSpan { from, to, cause, bytes: 0 }),
        }
    };
    for (moment, change, cause, rate) in edges {
        pass(at, moment, &open);
        at = at.max(moment);
        open.counts[cause as usize] += change;
        open.rates[cause as usize] += change * rate;
    }
    pass(at, end, &open);
    run
}

/// Seconds by cause within a part of a run.
pub(super) fn totals_within(run: &[CauseSpan], from: Timestamp, to: Timestamp) -> CauseTotals {
    let mut totals = CauseTotals::default();
    let first = run.partition_point(|span| span.to <= from);
    for span in run[first..].iter().take_while(|span| span.from < to) {
        let seconds = span.to.min(to).seconds_since(span.from.max(from));
        totals.add(span.cause, seconds.max(0.0), 0);
    }
    totals
}

/// The spans that a moment lies in.
#[derive(Default)]
struct OpenCauses {
    counts: [i64; DelayCause::ALL.len()],
    /// Bytes a second of the connections, and one for each span.
    rates: [i64; DelayCause::ALL.len()],
}

/// Which cause a moment belongs to that no block is on its way in, the first that any connection has.
const NEAREST: [DelayCause; 10] = [
    DelayCause::NotAsked,
    DelayCause::Choked,
    DelayCause::Metadata,
    DelayCause::Handshake,
    DelayCause::Unknown,
    DelayCause::NothingWanted,
    DelayCause::Complete,
    DelayCause::Connecting,
    DelayCause::Tracker,
    DelayCause::NoPeer,
];

/// A peer that sends less than this part of what those that choke have given otherwise is a trickle: the choke is what counts.
const TRICKLE: i64 = 4;

impl OpenCauses {
    fn nearest(&self) -> DelayCause {
        let transfers = DelayCause::ALL.into_iter().filter(|cause| cause.is_transfer());
        let sent: i64 = transfers.clone().map(|cause| self.rates[cause as usize]).sum();
        if self.rates[DelayCause::Choked as usize] / TRICKLE > sent {
            return DelayCause::Choked;
        }
        let most = transfers
            .filter(|cause| self.counts[*cause as usize] > 0)
            .max_by_key(|cause| self.rates[*cause as usize]);
        let nearest = || NEAREST.into_iter().find(|cause| self.counts[*cause as usize] > 0);
        most.or_else(nearest).unwrap_or(DelayCause::NoPeer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(from: i64, to: i64, cause: DelayCause, bytes: u64) -> CauseSpan {
        let at = |second: i64| Timestamp::from_secs_nanos(second, 0);
        CauseSpan { from: at(from), to: at(to), cause, bytes }
    }

    #[test]
    fn a_transfer_goes_before_a_choke_and_a_choke_before_nothing_wanted() {
        let spans = [
            span(0, 10, DelayCause::NothingWanted, 0),
            span(2, 8, DelayCause::Choked, 0),
            span(4, 6, DelayCause::FarPace, 100),
            span(5, 6, DelayCause::Network, 5_000),
        ];
        let weighed = spans.into_iter().map(|span| WeighedSpan { span, rate: span.bytes as f64 });
        let run = sweep(weighed, span(0, 0, DelayCause::NoPeer, 0).from, spans[0].to);
        let seen: Vec<_> = run.iter().map(|span| (span.cause, span.seconds())).collect();
        assert_eq!(
            seen,
            [
                (DelayCause::NothingWanted, 2.0),
                (DelayCause::Choked, 2.0),
                (DelayCause::FarPace, 1.0),
                (DelayCause::Network, 1.0),
                (DelayCause::Choked, 2.0),
                (DelayCause::NothingWanted, 2.0),
            ]
        );
    }

    #[test]
    fn a_trickle_does_not_hide_the_choke_of_a_fast_peer() {
        let choked = WeighedSpan { span: span(0, 10, DelayCause::Choked, 0), rate: 40_000.0 };
        let trickle = WeighedSpan { span: span(0, 10, DelayCause::FarPace, 10), rate: 2_000.0 };
        let run = sweep([choked, trickle].into_iter(), choked.span.from, choked.span.to);
        assert_eq!(run.iter().map(|span| span.cause).collect::<Vec<_>>(), [DelayCause::Choked]);
    }

    proptest! {
        #[test]
        fn the_run_is_tiled_whatever_overlaps(
            parts in prop::collection::vec((0..100_i64, 0..100_i64, 0..13_usize, 0..10_000_u64), 0..50),
            start in 0..50_i64,
            length in 0..80_i64,
        ) {
            let spans = parts.iter().map(|(from, length, cause, bytes)| {
                let span = span(*from, from + length, DelayCause::ALL[*cause], *bytes);
                WeighedSpan { span, rate: *bytes as f64 }
            });
            let whole = span(start, start + length, DelayCause::NoPeer, 0);
            let run = sweep(spans, whole.from, whole.to);
            let mut at = whole.from;
            for part in &run {
                prop_assert_eq!(part.from, at);
                prop_assert!(part.to > part.from);
                at = part.to;
            }
            prop_assert_eq!(at, whole.to);
            let totals = totals_within(&run, whole.from, whole.to);
            prop_assert!((totals.all_seconds() - length as f64).abs() < 1e-6);
        }
    }
}
