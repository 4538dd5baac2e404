//! When a sender had slack: stretches of time in which its transport often had nothing under way.
//!
//! A full link and a sender's own limit may take turns on one connection. Under a limit packets come in bursts, each of which
//! may queue for a moment, and between bursts nothing is under way; on a full link something always is.

use bittrace_protocol::Timestamp;

use crate::measurement::{DirectionMeasurement, TransportState};

/// For each stretch of a connection whether the sender had slack.
#[derive(Debug, Default)]
pub(super) struct SenderSlack {
    start: i64,
    /// Nanoseconds of a stretch.
    length: i64,
    /// Nanoseconds without anything under way, by stretch.
    idle: Vec<i64>,
}

/// Clients limit their rate in steps of up to a second.
const LENGTH: i64 = 1_000_000_000;
/// The most stretches; those of longer connections are longer.
const STRETCHES: i64 = 4_096;
/// From this part of a stretch without anything under way on, the sender had slack: one in so many.
const PART: i64 = 5;

impl SenderSlack {
    pub(super) fn of(transport: &DirectionMeasurement) -> Self {
        let (Some(first), Some(last)) = (transport.spans.first(), transport.spans.last()) else {
            return Self::default();
        };
        let start = first.from.as_nanos();
        let life = last.to.as_nanos().saturating_sub(start).max(0);
        let length = LENGTH.max(life / STRETCHES + 1);
        let mut idle = vec![0; (life / length) as usize + 1];
        for span in transport.spans.iter().filter(|span| span.state == TransportState::Idle) {
            let to = span.to.as_nanos();
            let mut at = span.from.as_nanos();
            while at < to {
                let place = at.saturating_sub(start) / length;
                let end = start.saturating_add((place + 1).saturating_mul(length)).min(to);
                let sum = usize::try_from(place).ok().and_then(|place| idle.get_mut(place));
                // Beyond the times that 64 bits count there is no later stretch.
                let Some(sum) = sum.filter(|_| end > at) else { break };
                *sum += end - at;
                at = end;
            }
        }
        Self { start, length, idle }
    }

    /// Whether the sender had slack at a moment, and until when that is so. Of what was not measured it is not said.
    pub(super) fn at(&self, at: Timestamp) -> (bool, Timestamp) {
        let forever = (false, Timestamp::from_nanos(i64::MAX));
        let Some(place) = at.as_nanos().saturating_sub(self.start).checked_div(self.length) else {
            return forever;
        };
        let end = self.start.saturating_add((place + 1).saturating_mul(self.length));
        match usize::try_from(place).ok().and_then(|place| self.idle.get(place)) {
            Some(idle) if end > at.as_nanos() => (*idle >= self.length / PART, Timestamp::from_nanos(end)),
            _ => forever,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::TransportSpan;

    fn span(from: f64, to: f64, state: TransportState) -> TransportSpan {
        let at = |seconds: f64| Timestamp::from_nanos((seconds * 1e9) as i64);
        TransportSpan { from: at(from), to: at(to), state, bytes: 0, retransmitted: 0 }
    }

    #[test]
    fn a_stretch_has_slack_when_a_fifth_of_it_has_nothing_under_way() {
        let spans = vec![
            span(10.0, 10.7, TransportState::Sending),
            span(10.7, 11.1, TransportState::Idle),
            span(11.1, 13.0, TransportState::Sending),
        ];
        let slack = SenderSlack::of(&DirectionMeasurement { spans, ..DirectionMeasurement::default() });
        let at = |seconds: f64| slack.at(Timestamp::from_nanos((seconds * 1e9) as i64));
        assert_eq!(at(10.1), (true, Timestamp::from_nanos(11_000_000_000)));
        assert_eq!(at(11.05), (false, Timestamp::from_nanos(12_000_000_000)));
        assert!(!at(99.0).0 && !at(0.0).0);
        assert!(!SenderSlack::default().at(Timestamp::EPOCH).0);
    }

    #[test]
    fn times_of_any_length_and_order_are_borne() {
        let ends = [i64::MIN, -1, 0, 1, i64::MAX];
        for from in ends {
            for to in ends {
                let mut idle = span(0.0, 0.0, TransportState::Idle);
                (idle.from, idle.to) = (Timestamp::from_nanos(from), Timestamp::from_nanos(to));
                let slack = SenderSlack::of(&DirectionMeasurement {
                    spans: vec![idle],
                    ..DirectionMeasurement::default()
                });
                assert!(slack.idle.len() <= STRETCHES as usize + 1);
                for at in ends {
                    assert!(
                        slack.at(Timestamp::from_nanos(at)).1 > Timestamp::from_nanos(at) || at == i64::MAX
                    );
                }
            }
        }
    }
}
