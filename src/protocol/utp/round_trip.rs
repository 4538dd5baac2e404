//! How long a packet and its acknowledgement take, and so how long to wait for an acknowledgement (BEP 29, "timeouts").

use std::time::Duration;

/// The measured round trip of a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct RoundTrip {
    /// The smoothed round trip and how much it varies, once there is a sample.
    measured: Option<(Duration, Duration)>,
    /// The shortest round trip.
    least: Duration,
    /// How often in a row the time ran out.
    expired: u32,
}

impl RoundTrip {
    /// Takes the round trip of a packet that was sent once.
    pub(super) fn sample(&mut self, sample: Duration) {
        self.least = if self.measured.is_some() { self.least.min(sample) } else { sample };
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

    /// The shortest round trip; zero before there is a sample.
    pub(super) const fn least(&self) -> Duration {
        self.least
    }

    /// How long after the last packet nothing may be acknowledged before the loss of the tail is probed (RFC 8985, section 7.2):
    /// two round trips, and where fewer bytes are in flight than are acknowledged at once, also the time for which that may be put off.
    /// `None` before there is a sample, and after the time ran out.
    pub(super) fn probe_after(&self, in_flight: usize) -> Option<Duration> {
        let (smoothed, _) = self.measured.filter(|_| self.expired == 0)?;
        let put_off = if in_flight < PUT_OFF_BELOW { PUT_OFF } else { Duration::ZERO };
        Some((smoothed * 2 + put_off).max(LEAST_PROBE))
    }

    /// How long an acknowledgement of ours may wait for something else to be sent: a quarter of the shortest round trip, so that an end
    /// that sends nothing more before it comes loses little (rqbit sends so much of a flight). As long as may be before there is a sample.
    pub(super) fn put_off(&self) -> Duration {
        match self.measured {
            Some(_) => (self.least / 4).clamp(LEAST_WAIT, MOST_WAIT),
            None => MOST_WAIT,
        }
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

/// How long an acknowledgement of ours waits at most (librqbit-utp).
const MOST_WAIT: Duration = Duration::from_millis(40);
/// How long it waits at least: the driver's timers are no finer.
const LEAST_WAIT: Duration = Duration::from_millis(1);
/// How long an acknowledgement may be put off (libutp, DELAYED_ACK_TIME_THRESHOLD).
const PUT_OFF: Duration = Duration::from_millis(100);
/// How many bytes are acknowledged at once (libutp, DELAYED_ACK_BYTE_THRESHOLD).
const PUT_OFF_BELOW: usize = 2_400;
/// The shortest time before the loss of the tail is probed: the other end needs a moment to get the processor.
const LEAST_PROBE: Duration = Duration::from_millis(10);
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
    fn acknowledgements_wait_for_a_quarter_of_the_shortest_round_trip() {
        let mut round_trip = RoundTrip::default();
        assert_eq!(round_trip.put_off(), Duration::from_millis(40));
        for (sample, wait) in [(400_000, 40_000), (60_000, 15_000), (80_000, 15_000), (100, 1_000)] {
            round_trip.sample(Duration::from_micros(sample));
            assert_eq!(round_trip.put_off(), Duration::from_micros(wait), "{sample}");
        }
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

    #[test]
    fn the_tail_is_probed_after_two_round_trips_but_not_after_a_timeout() {
        let mut round_trip = RoundTrip::default();
        assert_eq!((round_trip.probe_after(PUT_OFF_BELOW), round_trip.least()), (None, Duration::ZERO));
        round_trip.sample(Duration::from_millis(30));
        assert_eq!(round_trip.probe_after(PUT_OFF_BELOW), Some(Duration::from_millis(60)));
        assert_eq!(round_trip.probe_after(PUT_OFF_BELOW - 1), Some(Duration::from_millis(160)));
        (0..50).for_each(|_| round_trip.sample(Duration::from_millis(1)));
        assert_eq!(
            (round_trip.probe_after(PUT_OFF_BELOW), round_trip.least()),
            (Some(LEAST_PROBE), Duration::from_millis(1))
        );
        round_trip.expire();
        assert_eq!(round_trip.probe_after(PUT_OFF_BELOW), None);
        round_trip.progressed();
        assert_eq!(round_trip.probe_after(PUT_OFF_BELOW), Some(LEAST_PROBE));
    }
}
