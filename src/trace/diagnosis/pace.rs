//! What sets the pace of a transfer for which enough was requested: the sender, or the network. One connection as a whole shows it.

use super::budget::CauseSpan;
use super::cause::DelayCause;
use super::history::ByteHistory;
use crate::measurement::{ConnectionMeasurement, TransportState};

/// What the time belongs to in which the sender had requests, and neither a loss nor the window nor the delay target held it back.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Pace {
    /// The transport was not measured, so the sender and the network cannot be told apart.
    #[default]
    NotMeasured,
    /// The sender: its transport has nothing to send for most of that time, and no queue stands in the path.
    Sender,
    /// A full link: the round trip grows with the bytes under way, by so many seconds in the median.
    Queue {
        /// Seconds that packets wait in a queue of the path, in the median.
        seconds: f64,
    },
    /// Losses: the sender keeps a small window because of them.
    Losses {
        /// The segments that were sent again, in all segments, from 0 to 1.
        share: f64,
    },
    /// A link that sends packets evenly: the sender's transport always has something under way.
    AlwaysSending,
}

impl Pace {
    /// The cause of such a moment. `idle` says that the sender's transport had nothing to send then, or often around then.
    pub(super) const fn cause(self, idle: bool) -> DelayCause {
        match self {
            Self::NotMeasured | Self::Sender => DelayCause::FarPace,
            Self::Queue { .. } | Self::Losses { .. } if idle => DelayCause::FarPace,
            Self::Queue { .. } | Self::Losses { .. } | Self::AlwaysSending => DelayCause::Network,
        }
    }

    pub(super) fn of(measured: Option<&ConnectionMeasurement>, from: usize) -> Self {
        let Some(measured) = measured else { return Self::NotMeasured };
        let transport = &measured.directions[from];
        let share = transport.retransmitted_segments as f64 / transport.segments.max(1) as f64;
        // Bytes that a closed window turns away are sent again as well.
        let is_closed = transport.zero_window_seconds > 0.0;
        let sending = transport.seconds_in(TransportState::Sending);
        let idle = transport.seconds_in(TransportState::Idle);
        let repairing = transport.seconds_in(TransportState::Recovering);
        // A sender that often has nothing under way is not held back by the window that losses leave.
        let is_busy = idle <= (sending + repairing) / 2.0;
        if share >= LOSSES && transport.retransmitted_segments >= FEW && !is_closed && is_busy {
            return Self::Losses { share };
        }
        let queue = measured.directions.iter().filter_map(|direction| {
            let times = direction.acknowledged_after?;
            // Acknowledgements that the receiver delayed say nothing of the path.
            let is_delayed = times.delayed * 2 >= times.samples;
            (times.samples >= FEW && !is_delayed).then_some(times.median - times.smallest)
        });
        let queue = queue.chain(transport.queueing.map(|queueing| queueing.median)).fold(0.0, f64::max);
        if queue >= QUEUE {
            return Self::Queue { seconds: queue };
        }
        if sending > 0.0 && sending >= idle * 4.0 { Self::AlwaysSending } else { Self::Sender }
    }
}

/// From this share of retransmitted segments on, losses set the pace: with 0.5 % a TCP connection keeps about 17 segments under
/// way (Mathis et al. 1997: 1.22 / sqrt(loss)).
const LOSSES: f64 = 0.005;
/// Fewer events than this show nothing.
const FEW: u64 = 5;
/// From this delay on a queue stands in the path, seconds.
const QUEUE: f64 = 0.015;

/// A constant rate, while the sender or the network set the pace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SteadyRate {
    /// Bytes a second.
    pub rate: f64,
    /// For how many seconds it was held.
    pub seconds: f64,
}

/// How much a steady rate may vary from one stretch to the next.
const VARIATION: f64 = 0.25;
/// How long stretches are at the least, seconds. Clients limit their rate in steps of up to a second, and are even over some of them.
const LENGTHS: [f64; 3] = [1.0, 2.0, 3.0];
/// How many stretches show a steady rate.
const STRETCHES: usize = 3;

impl SteadyRate {
    /// The constant rate of the stretches in which the sender or the network set the pace for nearly all of the time.
    pub(super) fn of(history: &ByteHistory, spans: &[CauseSpan]) -> Option<Self> {
        LENGTHS.into_iter().find_map(|length| Self::over(length, history, spans))
    }

    fn over(length: f64, history: &ByteHistory, spans: &[CauseSpan]) -> Option<Self> {
        let mut rates = Vec::new();
        let (mut all_bytes, mut all_seconds) = (0, 0.0);
        let mut spans = spans.iter().peekable();
        for (from, to, bytes) in history.stretches(length) {
            let mut paced = 0.0;
            while let Some(span) = spans.peek() {
                if matches!(span.cause, DelayCause::FarPace | DelayCause::Network) {
                    paced += span.to.min(to).seconds_since(span.from.max(from)).max(0.0);
                }
                if span.to > to {
                    break;
                }
                spans.next();
            }
            let seconds = to.seconds_since(from);
            if paced >= seconds * 0.9 {
                rates.push(bytes as f64 / seconds);
                all_bytes += bytes;
                all_seconds += seconds;
            }
        }
        if rates.len() < STRETCHES {
            return None;
        }
        rates.sort_by(f64::total_cmp);
        let median = rates[rates.len() / 2];
        let near = rates.iter().filter(|rate| (*rate - median).abs() <= median * VARIATION).count();
        let is_steady = median > 0.0 && near * 5 >= rates.len() * 4;
        is_steady.then_some(Self { rate: all_bytes as f64 / all_seconds, seconds: all_seconds })
    }
}
