//! How much may be in flight: LEDBAT (RFC 6817, BEP 29 "congestion control"). A window grows while packets wait on their way
//! for less than the target delay, and shrinks when they wait for longer or are lost.

use std::time::Duration;

use super::delay::DelayHistory;
use crate::Timestamp;

/// The window of one direction, in bytes.
#[derive(Debug, Clone)]
pub(super) struct Congestion {
    window: f64,
    /// Slow start ends at this window.
    threshold: f64,
    slow_start: bool,
    /// When a loss shrank the window last.
    shrunk_at: Option<Timestamp>,
    /// The delays of what we send, as the other end measures them.
    ours: DelayHistory,
    /// The delays of what the other end sends.
    theirs: DelayHistory,
}

/// What an acknowledgement says to the window.
#[derive(Debug, Clone, Copy)]
pub(super) struct AcknowledgedBytes {
    /// How many bytes are newly acknowledged.
    pub(super) count: usize,
    /// Whether more would have been sent, if the window had been larger.
    pub(super) is_limited: bool,
    /// The bytes of a packet of the usual size.
    pub(super) packet: usize,
}

impl Congestion {
    pub(super) fn new(packet: usize) -> Self {
        Self {
            window: (FLOOR_PACKETS * packet) as f64,
            threshold: MOST_WINDOW,
            slow_start: true,
            shrunk_at: None,
            ours: DelayHistory::default(),
            theirs: DelayHistory::default(),
        }
    }

    /// How many bytes may be in flight.
    pub(super) const fn window(&self) -> usize {
        self.window as usize
    }

    /// Takes the delay of a packet of the other end, as we measure it. Where it takes less time than ever before, the clocks
    /// drift apart, and the delays of our packets seem longer by as much.
    pub(super) fn measured_theirs(&mut self, now: Timestamp, delay: u32) {
        let before = self.theirs.base();
        self.theirs.sample(now, delay);
        if let (Some(before), Some(base)) = (before, self.theirs.base()) {
            let less = before.wrapping_sub(base);
            if (1..=MOST_DRIFT).contains(&less) {
                self.ours.shift(less);
            }
        }
    }

    /// Takes the delay of one of our packets, as the other end measured it.
    pub(super) fn measured_ours(&mut self, now: Timestamp, delay: u32) {
        self.ours.sample(now, delay);
    }

    /// Bytes are acknowledged, the last of them after `round_trip`.
    pub(super) fn acknowledged(&mut self, acknowledged: AcknowledgedBytes, round_trip: Option<Duration>) {
        let AcknowledgedBytes { count, is_limited, packet } = acknowledged;
        // Nothing waits on its way for longer than the round trip took: the other end may say what it likes.
        let most = round_trip.unwrap_or(Duration::MAX);
        let delay = self.ours.queueing().unwrap_or_default().min(most).as_secs_f64();
        let target = TARGET.as_secs_f64();
        if self.slow_start && delay > SLOW_START_ENDS * target {
            self.slow_start = false;
            self.threshold = self.window;
        }
        if self.slow_start {
            if is_limited {
                self.window += count as f64;
                self.slow_start = self.window < self.threshold;
            }
        } else {
            let off_target = ((target - delay) / target).max(-1.0);
            let share = (count as f64 / self.window.max(1.0)).min(1.0);
            let gain = GAIN * off_target * share;
            if gain < 0.0 {
                self.shrink_to(self.window + gain, packet);
            } else if is_limited {
                self.window += gain;
            }
        }
        self.window = self.window.min(MOST_WINDOW);
    }

    /// A packet was lost that was sent at `sent`.
    pub(super) fn lost(&mut self, now: Timestamp, sent: Timestamp, packet: usize) {
        // What was sent before the window shrank says nothing new: it shrinks once in a round trip (RFC 6817, section 2.4.1). libutp
        // lets 100 ms pass, in which the window of a fast way grows far beyond what its queue holds.
        if self.shrunk_at.is_some_and(|at| sent <= at) {
            return;
        }
        self.shrunk_at = Some(now);
        self.shrink_to(self.window * LOSS_FACTOR, packet);
        self.threshold = self.window;
        self.slow_start = false;
    }

    /// Nothing was acknowledged in time.
    pub(super) fn expired(&mut self, now: Timestamp, packet: usize) {
        self.threshold = (self.window * LOSS_FACTOR).max((FLOOR_PACKETS * packet) as f64);
        self.window = packet as f64;
        self.slow_start = true;
        self.shrunk_at = Some(now);
    }

    /// The floor holds when the window shrinks; after a timeout it is below it already.
    fn shrink_to(&mut self, window: f64, packet: usize) {
        self.window = window.max((FLOOR_PACKETS * packet) as f64).min(self.window);
    }
}

/// How long packets may wait on their way (BEP 29, CCONTROL_TARGET).
const TARGET: Duration = Duration::from_millis(100);
/// Slow start ends at this part of the target delay (LIVE.md 4.2; libtorrent ends it near the target too).
const SLOW_START_ENDS: f64 = 0.9;
/// How many bytes the window grows in a round trip at most, after slow start (libutp, MAX_CWND_INCREASE_BYTES_PER_RTT;
/// libtorrent, `utp_gain_factor`).
const GAIN: f64 = 3_000.0;
/// The window at first, and when it shrinks, in packets (RFC 6817, MIN_CWND).
const FLOOR_PACKETS: usize = 2;
/// What a loss leaves of the window (BEP 29, "packet loss").
const LOSS_FACTOR: f64 = 0.5;
/// A step of the least delay that may be a drift of clocks, in microseconds (libutp).
const MOST_DRIFT: u32 = 10_000;
/// What no other end takes in: 1,024 packets.
const MOST_WINDOW: f64 = 1_024.0 * 1_472.0;

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: usize = 1_000;

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    fn acknowledge(congestion: &mut Congestion, count: usize, is_limited: bool) {
        let acknowledged = AcknowledgedBytes { count, is_limited, packet: PACKET };
        congestion.acknowledged(acknowledged, Some(Duration::from_secs(9)));
    }

    fn with_delay(millis: u32) -> Congestion {
        let mut congestion = Congestion::new(PACKET);
        congestion.measured_ours(at(0), 5);
        (0..3).for_each(|_| congestion.measured_ours(at(1), 5 + millis * 1_000));
        congestion
    }

    #[test]
    fn slow_start_doubles_the_window_in_a_round_trip_and_ends_near_the_target_delay() {
        let mut congestion = with_delay(0);
        acknowledge(&mut congestion, 2 * PACKET, true);
        assert_eq!(congestion.window(), 4 * PACKET);
        let mut late = with_delay(91);
        acknowledge(&mut late, 2 * PACKET, true);
        // Delay of 91 ms leaves 9 % of the gain.
        assert_eq!(late.window(), 2 * PACKET + 270);
        acknowledge(&mut late, PACKET, true);
        assert!(late.window() < 2 * PACKET + 600);
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut congestion = with_delay(0);
        acknowledge(&mut congestion, 2 * PACKET, false);
        assert_eq!(congestion.window(), 2 * PACKET);
        congestion.lost(at(200), at(150), PACKET);
        acknowledge(&mut congestion, PACKET, false);
        assert_eq!(congestion.window(), 2 * PACKET);
    }

    #[test]
    fn a_delay_above_the_target_shrinks_the_window_down_to_the_floor() {
        let mut congestion = with_delay(0);
        (0..5).for_each(|_| acknowledge(&mut congestion, 4 * PACKET, true));
        (0..3).for_each(|_| congestion.measured_ours(at(2), 5 + 250_000));
        let before = congestion.window();
        acknowledge(&mut congestion, before, true);
        assert_eq!(congestion.window(), before - GAIN as usize);
        (0..50).for_each(|_| acknowledge(&mut congestion, 20 * PACKET, true));
        assert_eq!(congestion.window(), 2 * PACKET);
    }

    #[test]
    fn losses_halve_the_window_once_for_a_window() {
        let mut congestion = with_delay(0);
        (0..4).for_each(|_| acknowledge(&mut congestion, 10 * PACKET, true));
        assert_eq!(congestion.window(), 42 * PACKET);
        congestion.lost(at(1_000), at(900), PACKET);
        congestion.lost(at(1_000), at(950), PACKET);
        assert_eq!(congestion.window(), 21 * PACKET);
        // Sent before the window shrank.
        congestion.lost(at(1_300), at(1_000), PACKET);
        assert_eq!(congestion.window(), 21 * PACKET);
        congestion.lost(at(1_300), at(1_001), PACKET);
        assert_eq!(congestion.window(), 10_500);
    }

    #[test]
    fn after_a_timeout_the_window_is_one_packet_and_the_floor_does_not_raise_it() {
        let mut congestion = with_delay(0);
        (0..4).for_each(|_| acknowledge(&mut congestion, 10 * PACKET, true));
        congestion.expired(at(1_000), PACKET);
        assert_eq!(congestion.window(), PACKET);
        congestion.lost(at(2_000), at(1_500), PACKET);
        assert_eq!(congestion.window(), PACKET);
    }

    #[test]
    fn a_delay_longer_than_the_round_trip_is_not_believed() {
        let mut congestion = with_delay(4_000);
        let acknowledged = AcknowledgedBytes { count: 2 * PACKET, is_limited: true, packet: PACKET };
        congestion.acknowledged(acknowledged, Some(Duration::from_millis(10)));
        assert_eq!(congestion.window(), 4 * PACKET);
    }

    #[test]
    fn a_clock_that_drifts_does_not_look_like_a_queue() {
        let mut congestion = Congestion::new(PACKET);
        // Their clock is slow: our packets take 100 microseconds longer each second, theirs less.
        for second in 0..600i64 {
            let drift = second as u32 * 100;
            congestion.measured_theirs(at(second * 1_000), 1_000_000 - drift);
            congestion.measured_ours(at(second * 1_000), 5_000 + drift);
        }
        assert!(congestion.ours.queueing().unwrap() < Duration::from_millis(1));
    }
}
