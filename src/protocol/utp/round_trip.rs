//! How long a packet and its acknowledgement take, and so how long to wait for an acknowledgement (BEP 29, "timeouts").

use std::time::Duration;

/// The measured round trip of a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct RoundTrip {
    /// The smoothed round trip and how much it varies, once there is a sample.
    measured: Option<(Duration, Duration)>,
    /// How often in a row the time ran out.
    expired: u32,
}

impl RoundTrip {
    /// Takes the round trip of a packet that was sent once.
    pub(super) fn sample(&mut self, sample: Duration) {
        self.measured = Some(match self.measured {
            None => (sample, sample / 2),
            Some((smoothed, varies)) => {
                let varies = (varies * 3 + smoothed.abs_diff(sample)) / 4;
                ((smoothed * 7 + sample) / 8, varies)
            }
        });
    }

    /// The smoothed round trip, once there is a sample.
    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.measured.map(|(smoothed, _)| smoothed)
    }

    /// How long an acknowledgement is waited for.
    pub(super) fn timeout(&self) -> Duration {
        let once = match self.measured {
            None => FIRST_TIMEOUT,
            Some((smoothed, varies)) => (smoothed + varies * 4).max(LEAST_TIMEOUT),
        };
        once * 2u32.saturating_pow(self.expired)
    }

    /// The time ran out: the next time is twice as long. How often that was so in a row.
    pub(super) const fn expire(&mut self) -> u32 {
        self.expired += 1;
        self.expired
    }

    /// Something new is acknowledged: the next time is of the usual length.
    pub(super) const fn progressed(&mut self) {
        self.expired = 0;
    }

    /// How often in a row the time ran out.
    pub(super) const fn expired(&self) -> u32 {
        self.expired
    }
}

/// How long the first acknowledgement is waited for (BEP 29, "timeouts").
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);
/// The shortest time that an acknowledgement is waited for (BEP 29, "timeouts").
pub(super) const LEAST_TIMEOUT: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_follow_the_formula_of_the_document() {
        let mut round_trip = RoundTrip::default();
        assert_eq!(round_trip.timeout(), Duration::from_secs(1));
        round_trip.sample(Duration::from_millis(400));
        // 400 + 4 * 200
        assert_eq!(round_trip.timeout(), Duration::from_millis(1_200));
        round_trip.sample(Duration::from_millis(800));
        // The variance is 200 + (400 - 200) / 4, the round trip 400 + (800 - 400) / 8.
        assert_eq!(round_trip.timeout(), Duration::from_millis(450 + 4 * 250));
        assert_eq!(round_trip.smoothed(), Some(Duration::from_millis(450)));
    }

    #[test]
    fn a_timeout_is_half_a_second_at_least_and_doubles() {
        let mut round_trip = RoundTrip::default();
        (0..50).for_each(|_| round_trip.sample(Duration::from_millis(1)));
        assert_eq!(round_trip.timeout(), LEAST_TIMEOUT);
        assert_eq!((round_trip.expire(), round_trip.expire()), (1, 2));
        assert_eq!(round_trip.timeout(), LEAST_TIMEOUT * 4);
        round_trip.progressed();
        assert_eq!(round_trip.timeout(), LEAST_TIMEOUT);
    }
}
