//! The clock of a play without sockets. It follows the times of the reference, which a damaged or made-up capture may
//! place anywhere: in the year 2262, centuries apart, or running backwards. A session does something every second, so
//! that such a time is never waited for in full.

use std::time::Duration;

use bittrace_protocol::Timestamp;

/// What time it is in the play, and what that is in the reference.
#[derive(Debug)]
pub(super) struct PlayClock {
    now: Timestamp,
    /// The time of the reference less that of the play, in nanoseconds.
    ahead: i128,
    /// How often a time of the reference was too far away.
    jumps: u64,
}

/// The longest that a session waits for a message of the reference. Peers that have nothing to say send a keep-alive after
/// two minutes (BEP 3), and trackers are asked again after half an hour by custom: a longer pause shows nothing new.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Times of a reference that the session is given as they are: from 1970 to 2200. Beyond, its sums would not fit.
const USUAL: std::ops::Range<i64> = 0..7_258_118_400 * 1_000_000_000;

impl PlayClock {
    /// A clock that shows the time `began` of the reference.
    pub(super) fn starting_at(began: Timestamp) -> Self {
        match USUAL.contains(&began.as_nanos()) {
            true => Self { now: began, ahead: 0, jumps: 0 },
            false => Self { now: Timestamp::EPOCH, ahead: began.as_nanos().into(), jumps: 0 },
        }
    }

    /// The time of the play.
    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// How often the times of the reference were further apart than the play waits, either way.
    pub(super) const fn jumps(&self) -> u64 {
        self.jumps
    }

    /// When in the play the time `at` of the reference is. Further ahead than [`LONGEST_PAUSE`], the rest of the pause is
    /// passed over, for what follows as well; further back, time goes on from now.
    pub(super) fn due(&mut self, at: Timestamp) -> Timestamp {
        let (wait, waited) = self.wait(at);
        if waited != wait {
            self.jumps += 1;
            self.ahead += wait - waited;
        }
        self.after(waited)
    }

    /// The same, while it may still change: nothing is passed over.
    pub(super) fn expected(&self, at: Timestamp) -> Timestamp {
        self.after(self.wait(at).1)
    }

    /// How long it is until the time `at` of the reference, and how long the play waits.
    fn wait(&self, at: Timestamp) -> (i128, i128) {
        let pause = LONGEST_PAUSE.as_nanos() as i128;
        let wait = i128::from(at.as_nanos()) - self.ahead - i128::from(self.now.as_nanos());
        let waited = match wait {
            _ if wait > pause => pause,
            _ if wait < -pause => 0,
            _ => wait,
        };
        (wait, waited)
    }

    fn after(&self, waited: i128) -> Timestamp {
        let due = i128::from(self.now.as_nanos()) + waited;
        i64::try_from(due).map_or(self.now, Timestamp::from_nanos)
    }

    /// Time passes, up to a time of the play; never back.
    pub(super) fn pass(&mut self, until: Timestamp) {
        self.now = self.now.max(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: i64) -> Timestamp {
        Timestamp::from_secs_nanos(seconds, 0)
    }

    #[test]
    fn usual_times_are_those_of_the_reference() {
        let mut clock = PlayClock::starting_at(seconds(1_700_000_000));
        assert_eq!(clock.due(seconds(1_700_000_060)), seconds(1_700_000_060));
        assert_eq!(clock.due(seconds(1_699_999_990)), seconds(1_699_999_990));
        clock.pass(seconds(1_700_000_060));
        clock.pass(seconds(1_700_000_000));
        assert_eq!((clock.now(), clock.jumps()), (seconds(1_700_000_060), 0));
    }

    #[test]
    fn a_jump_ahead_is_an_hour_and_what_follows_keeps_its_distance() {
        let mut clock = PlayClock::starting_at(seconds(1_000));
        assert_eq!(clock.due(seconds(4_000_000_000)), seconds(4_600));
        assert_eq!(clock.due(seconds(4_000_000_000)), seconds(4_600), "asked again, it is no other time");
        clock.pass(seconds(4_600));
        assert_eq!(clock.due(seconds(4_000_000_007)), seconds(4_607));
        assert_eq!(clock.jumps(), 1);
    }

    #[test]
    fn a_jump_back_goes_on_from_now() {
        let mut clock = PlayClock::starting_at(seconds(500_000));
        assert_eq!(clock.due(seconds(1_000)), seconds(500_000));
        assert_eq!(clock.due(seconds(1_003)), seconds(500_003));
        assert_eq!(clock.jumps(), 1);
    }

    #[test]
    fn the_last_time_that_there_is_leaves_room_for_more() {
        for end in [i64::MAX, i64::MIN] {
            let mut clock = PlayClock::starting_at(Timestamp::from_nanos(end));
            assert_eq!(clock.now(), Timestamp::EPOCH);
            assert_eq!(clock.due(Timestamp::from_nanos(end)), Timestamp::EPOCH);
            clock.due(Timestamp::from_nanos(i64::MIN));
            clock.due(Timestamp::from_nanos(i64::MAX));
            assert!(clock.now().as_nanos() < USUAL.end);
        }
    }
}
