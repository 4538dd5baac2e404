//! How long packets wait on their way: samples of the one-way delay against the least of the last minutes. The clocks of
//! the two ends need not agree, so that a sample means something beside another one alone (BEP 29, "congestion control").

use std::time::Duration;

use crate::Timestamp;

/// The samples of one direction, in microseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct DelayHistory {
    /// The least sample of each minute, the current one first; empty before the first sample.
    minutes: [u32; BASE_MINUTES],
    /// When the current minute began.
    begun: Option<Timestamp>,
    /// The last samples, in no order.
    recent: [u32; CURRENT_SAMPLES],
    next: usize,
}

impl DelayHistory {
    /// Takes a sample.
    pub(super) fn sample(&mut self, now: Timestamp, sample: u32) {
        let Some(begun) = self.begun else {
            *self = Self {
                minutes: [sample; BASE_MINUTES],
                begun: Some(now),
                recent: [sample; CURRENT_SAMPLES],
                next: 0,
            };
            return;
        };
        let passed = ((now - begun).as_secs() / MINUTE.as_secs()).min(BASE_MINUTES as u64);
        if passed > 0 {
            self.minutes.rotate_right(passed as usize % BASE_MINUTES);
            self.minutes[..passed as usize].fill(sample);
            self.begun = Some(now);
        }
        self.minutes[0] = least(self.minutes[0], sample);
        self.recent[self.next] = sample;
        self.next = (self.next + 1) % CURRENT_SAMPLES;
    }

    /// The least delay of the last minutes, once there is a sample.
    pub(super) fn base(&self) -> Option<u32> {
        self.begun?;
        self.minutes.into_iter().reduce(least)
    }

    /// How long packets wait on the way beside the least delay.
    pub(super) fn queueing(&self) -> Option<Duration> {
        let base = self.base()?;
        let current = self.recent.into_iter().reduce(least)?;
        // After a shift the last samples may be below the base.
        Some(Duration::from_micros(current.wrapping_sub(base).cast_signed().max(0) as u64))
    }

    /// The clocks drift apart: from now on all delays are this much longer.
    pub(super) fn shift(&mut self, microseconds: u32) {
        for minute in &mut self.minutes {
            *minute = minute.wrapping_add(microseconds);
        }
    }
}

/// The smaller of two samples, which go on with 0 after the largest number.
const fn least(one: u32, other: u32) -> u32 {
    if one.wrapping_sub(other).cast_signed() < 0 { one } else { other }
}

/// How many minutes the least delay is taken over (libutp, `DELAY_BASE_HISTORY`; BEP 29 has two, RFC 6817 ten).
const BASE_MINUTES: usize = 13;
const MINUTE: Duration = Duration::from_secs(60);
/// How many of the last samples count as now (libutp, `CUR_DELAY_SIZE`).
const CURRENT_SAMPLES: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn delay_counts_beside_the_least_of_the_last_minutes() {
        let mut history = DelayHistory::default();
        assert_eq!(history.queueing(), None);
        // Numbers wrap between the base and the sample.
        history.sample(at(0), u32::MAX - 10);
        for _ in 0..CURRENT_SAMPLES {
            history.sample(at(1), 20);
        }
        assert_eq!(history.queueing(), Some(Duration::from_micros(31)));
        // The least of the last samples counts.
        history.sample(at(2), 5);
        assert_eq!(history.queueing(), Some(Duration::from_micros(16)));
    }

    #[test]
    fn the_base_is_forgotten_after_thirteen_minutes() {
        let mut history = DelayHistory::default();
        history.sample(at(0), 100);
        for minute in 1..13 {
            history.sample(at(minute * 60), 500);
            assert_eq!(history.base(), Some(100), "minute {minute}");
        }
        history.sample(at(13 * 60), 500);
        assert_eq!(history.base(), Some(500));
        // After a long silence nothing of before counts.
        history.sample(at(100 * 60), 900);
        assert_eq!(history.base(), Some(900));
    }

    #[test]
    fn a_shift_moves_the_base() {
        let mut history = DelayHistory::default();
        history.sample(at(0), 100);
        history.shift(7);
        assert_eq!(history.base(), Some(107));
    }
}
