//! How long packets waited in queues before they were captured, by the sender's own clock in them: whatever the clocks
//! show, a packet that waits is captured so much later after its sending than one that does not.

use std::collections::VecDeque;

use bittrace_protocol::Timestamp;

/// The waits of one direction's packets, as the difference between the capture's clock and the sender's clock, less the
/// smallest difference of the last minutes.
// What each segment touches stands together: see `MeasuredDirection`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct ClockWaits {
    /// Nanoseconds that the latest packet waited.
    latest: u64,
    /// Nanoseconds of one tick of the sender's clock; `None` where the clock is none of those that are known.
    tick: Option<u64>,
    /// The first packet: others count from it.
    first: Option<(Timestamp, u32)>,
    /// Whether the tick was compared with the capture's clock.
    verified: bool,
    smallest: SlidingMinimum,
}

impl ClockWaits {
    /// Of a clock whose tick lasts so many nanoseconds, or is to be found out (then it is a guess).
    pub(super) fn ticking(nanos: u64, verified: bool) -> Self {
        let smallest = SlidingMinimum::default();
        Self { tick: Some(nanos), first: None, verified, smallest, latest: 0 }
    }

    /// A packet was captured in which the sender's clock shows this. The answer is how long the packet waited, in
    /// nanoseconds, where that is known; a tick is too little to tell.
    #[inline(always)]
    pub(super) fn packet(&mut self, at: Timestamp, clock: u32) -> Option<u64> {
        // Of a clock that is none of the known ones nothing is to be found out any more.
        self.tick?;
        self.wait(at, clock)
    }

    #[inline(never)]
    fn wait(&mut self, at: Timestamp, clock: u32) -> Option<u64> {
        let (first_at, first_clock) = *self.first.get_or_insert((at, clock));
        let ticks = i64::from(clock.wrapping_sub(first_clock).cast_signed());
        let passed = at.as_nanos().saturating_sub(first_at.as_nanos());
        if !self.verified && passed >= VERIFIED_AFTER {
            self.verify(ticks, passed);
        }
        let tick = self.tick?;
        let relative = passed.saturating_sub(ticks.saturating_mul(tick as i64));
        let smallest = self.smallest.with(at, relative);
        let waited = u64::try_from(relative.saturating_sub(smallest)).unwrap_or(0);
        self.latest = waited.saturating_sub(if tick > MICROSECOND { tick } else { 0 });
        Some(self.latest)
    }

    /// Nanoseconds that the latest packet waited.
    pub(super) const fn latest(&self) -> u64 {
        self.latest
    }

    /// Finds the tick that fits best, where one fits.
    #[cold]
    fn verify(&mut self, ticks: i64, passed: i64) {
        self.verified = true;
        let found = TICKS.into_iter().find(|&tick| {
            let by_clock = ticks as f64 * tick as f64;
            (by_clock / passed as f64 - 1.0).abs() < FITS
        });
        if found != self.tick {
            self.tick = found;
            self.smallest = SlidingMinimum::default();
            self.latest = 0;
        }
    }
}

/// The smallest of the values of the last 13 minutes, as libutp and libtorrent keep it. BEP 29 says two minutes; a
/// standing queue would be forgotten then. It cannot be kept forever, as clocks drift.
#[derive(Debug)]
pub(super) struct SlidingMinimum {
    /// The smallest of each minute before this one.
    minutes: VecDeque<i64>,
    /// When this minute is over; [`NOT_BEGUN`] before the first value.
    ends: Timestamp,
    /// The smallest of this minute, and of all of them.
    latest: i64,
    smallest: i64,
}

impl Default for SlidingMinimum {
    fn default() -> Self {
        Self { minutes: VecDeque::new(), ends: NOT_BEGUN, latest: i64::MAX, smallest: i64::MAX }
    }
}

impl SlidingMinimum {
    /// Takes in a value, and gives the smallest.
    #[inline]
    pub(super) fn with(&mut self, at: Timestamp, value: i64) -> i64 {
        if at >= self.ends {
            self.begin_minute(at);
        }
        if value < self.latest {
            self.latest = value;
            self.smallest = value.min(self.smallest);
        }
        self.smallest
    }

    #[cold]
    fn begin_minute(&mut self, at: Timestamp) {
        if self.ends > NOT_BEGUN {
            self.minutes.push_back(self.latest);
        }
        self.ends = Timestamp::from_nanos(at.as_nanos().saturating_add(MINUTE));
        if self.minutes.len() >= MINUTES {
            self.minutes.pop_front();
        }
        self.latest = i64::MAX;
        self.smallest = self.minutes.iter().copied().min().unwrap_or(i64::MAX);
    }
}

/// No minute is over then.
const NOT_BEGUN: Timestamp = Timestamp::from_nanos(i64::MIN);
const MINUTES: usize = 13;
const MINUTE: i64 = 60_000_000_000;
const MICROSECOND: u64 = 1_000;
/// The ticks of time stamps in TCP, in nanoseconds: Linux since 4.13, Windows and macOS 1 ms, older Linux 4 or 10 ms.
/// RFC 7323, section 5.4, allows 1 ms to 1 s.
const TICKS: [u64; 4] = [1_000_000, 4_000_000, 10_000_000, MICROSECOND];
/// After so many nanoseconds the rate of the sender's clock is known well enough.
const VERIFIED_AFTER: i64 = 1_000_000_000;
/// How much the rate may differ from that of a known clock. A queue of 0.2 s that fills in the first second looks like a
/// fifth.
const FITS: f64 = 0.3;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    /// The waits in milliseconds of packets, by when they were sent and captured (milliseconds); the clock ticks each `tick`
    /// milliseconds.
    fn waits(clock: &mut ClockWaits, tick: i64, packets: &[(i64, i64)]) -> Vec<Option<u64>> {
        let wait = |&(sent, captured): &(i64, i64)| {
            clock.packet(at(captured), ((sent / tick) as u32).wrapping_sub(7))
        };
        packets.iter().map(wait).map(|wait| wait.map(|nanos| nanos / 1_000_000)).collect()
    }

    #[test]
    fn a_queue_shows_in_the_clocks() {
        let mut clock = ClockWaits::ticking(1_000_000, false);
        let packets = [(0, 50), (10, 60), (20, 120), (500, 600), (2000, 2050), (2100, 2200)];
        let expected = [0, 0, 49, 49, 0, 49].map(Some);
        assert_eq!(waits(&mut clock, 1, &packets), expected);
    }

    #[test]
    fn a_clock_of_another_rate_is_found_out() {
        let mut clock = ClockWaits::ticking(1_000_000, false);
        let packets = [(0, 50), (400, 450), (2000, 2050), (3000, 3150)];
        let found = waits(&mut clock, 10, &packets);
        assert_eq!(found[3], Some(90));
        assert_eq!(clock.tick, Some(10_000_000));
    }

    #[test]
    fn of_an_unknown_clock_nothing_is_known() {
        let mut clock = ClockWaits::ticking(1_000_000, false);
        assert_eq!(waits(&mut clock, 100, &[(0, 0), (2000, 2000), (3000, 3000)])[2], None);
    }

    #[test]
    fn clocks_wrap() {
        let mut clock = ClockWaits::ticking(1_000, true);
        assert_eq!(clock.packet(at(0), u32::MAX - 499), Some(0));
        assert_eq!(clock.packet(at(3), 500), Some(2_000_000));
    }

    #[test]
    fn the_smallest_value_is_forgotten_when_it_is_old() {
        let mut smallest = SlidingMinimum::default();
        assert_eq!(smallest.with(at(0), 5), 5);
        for minute in 1..13 {
            assert_eq!(smallest.with(at(minute * 60_000), 9), 5);
        }
        assert_eq!(smallest.with(at(13 * 60_000), 9), 9);
    }
}
