//! Moments in time, as a capture file or a clock gives them.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment: nanoseconds since 1970-01-01T00:00:00 UTC, from 1677 to 2262. Arithmetic saturates, so
/// that a capture with absurd times is read like any other.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00 UTC.
    pub const EPOCH: Self = Self(0);

    /// A moment from nanoseconds since the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// A moment from whole seconds and nanoseconds since the epoch.
    pub fn from_secs_nanos(secs: i64, nanos: u32) -> Self {
        Self(secs.saturating_mul(NANOS_PER_SEC).saturating_add(i64::from(nanos)))
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// The time from `earlier` to this moment, in seconds; negative when `earlier` is later.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / NANOS_PER_SEC as f64
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl Sub for Timestamp {
    type Output = Duration;

    /// The time from `earlier` to this moment; zero when `earlier` is later.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}s", self.0.div_euclid(NANOS_PER_SEC), self.0.rem_euclid(NANOS_PER_SEC))
    }
}

const NANOS_PER_SEC: i64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_never_go_below_zero() {
        let early = Timestamp::from_secs_nanos(10, 5);
        let late = early + Duration::from_millis(1500);
        assert_eq!(late - early, Duration::from_millis(1500));
        assert_eq!(early - late, Duration::ZERO);
        assert_eq!(early.seconds_since(late), -1.5);
    }

    #[test]
    fn absurd_times_saturate() {
        let last = Timestamp::from_secs_nanos(i64::MAX, 0);
        assert_eq!(last, Timestamp::from_nanos(i64::MAX));
        assert_eq!(last + Duration::from_secs(1), last);
    }
}
