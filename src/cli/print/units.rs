//! Moments as people write them.

use bittrace_protocol::Timestamp;
pub(crate) use bittrace_trace::units::{Rfc3339, rfc3339};

/// A bound that a user gives: a moment, or seconds since the first packet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    /// A moment.
    At(Timestamp),
    /// Seconds since the first packet.
    After(f64),
}

impl Bound {
    /// Reads RFC 3339 or a number of seconds.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Ok(seconds) = text.trim_end_matches('s').parse::<f64>() {
            return seconds.is_finite().then_some(Self::After(seconds));
        }
        parse_rfc3339(text).map(Self::At)
    }

    /// How a moment stands to the bound, when the first packet was captured at `start`.
    pub(crate) fn cmp_to(self, at: Timestamp, start: Timestamp) -> std::cmp::Ordering {
        match self {
            Self::At(bound) => at.cmp(&bound),
            Self::After(seconds) => at.seconds_since(start).total_cmp(&seconds),
        }
    }
}

/// A moment from RFC 3339 text.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(moment.as_nanosecond()).ok().map(Timestamp::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_six_digits_or_nine() {
        let at = Timestamp::from_secs_nanos(1_767_323_045, 123_456_000);
        assert_eq!(rfc3339(at), "2026-01-02T03:04:05.123456Z");
        let finer = Timestamp::from_nanos(at.as_nanos() + 7);
        assert_eq!(rfc3339(finer), "2026-01-02T03:04:05.123456007Z");
        assert_eq!(parse_rfc3339(&rfc3339(finer)), Some(finer));
    }

    #[test]
    fn bounds_are_moments_or_seconds() {
        assert_eq!(Bound::parse("1.5"), Some(Bound::After(1.5)));
        assert_eq!(Bound::parse("2s"), Some(Bound::After(2.0)));
        assert!(matches!(Bound::parse("2026-01-02T03:04:05Z"), Some(Bound::At(_))));
        assert_eq!(Bound::parse("yesterday"), None);
    }
}
