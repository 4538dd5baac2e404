//! What one tick of an interface's clock is, and when it began to tick.

use bittrace_protocol::Timestamp;

/// An interface's clock: `if_tsresol` and `if_tsoffset`. By default it ticks microseconds from 1970.
pub(super) struct InterfaceClock {
    tick: Tick,
    offset_nanos: i64,
}

enum Tick {
    /// So many nanoseconds.
    Nanos(u64),
    /// So many go into a nanosecond; none when the clock is too fine for a tick to matter.
    PerNano(Option<u64>),
    /// A second has two to this power of them.
    Binary(u32),
}

impl Default for InterfaceClock {
    fn default() -> Self {
        Self { tick: Tick::Nanos(1000), offset_nanos: 0 }
    }
}

impl InterfaceClock {
    /// Sets what one tick is, from the value of `if_tsresol`: a negative power of 10, or of 2 with the
    /// highest bit set.
    pub(super) fn set_resolution(&mut self, resolution: u8) {
        let power = u32::from(resolution & 0x7f);
        self.tick = if resolution & 0x80 != 0 {
            Tick::Binary(power)
        } else if power <= 9 {
            Tick::Nanos(10u64.pow(9 - power))
        } else {
            Tick::PerNano(10u64.checked_pow(power - 9))
        };
    }

    /// Sets the seconds since 1970 from which the ticks count.
    pub(super) fn set_offset(&mut self, seconds: i64) {
        self.offset_nanos = seconds.saturating_mul(NANOS_PER_SEC);
    }

    /// The moment of a tick, saturating.
    #[inline]
    pub(super) fn moment(&self, ticks: u64) -> Timestamp {
        let nanos = match self.tick {
            Tick::Nanos(nanos) => ticks.saturating_mul(nanos),
            Tick::PerNano(count) => count.map_or(0, |count| ticks / count),
            Tick::Binary(power) => {
                let nanos = (u128::from(ticks) * NANOS_PER_SEC as u128) >> power;
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        };
        let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
        Timestamp::from_nanos(nanos.saturating_add(self.offset_nanos))
    }
}

const NANOS_PER_SEC: i64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(resolution: u8, ticks: u64) -> i64 {
        let mut clock = InterfaceClock::default();
        clock.set_resolution(resolution);
        clock.moment(ticks).as_nanos()
    }

    #[test]
    fn every_resolution_gives_nanoseconds() {
        assert_eq!(moment(0, 3), 3_000_000_000);
        assert_eq!(moment(3, 1500), 1_500_000_000);
        assert_eq!(moment(6, 7), 7000);
        assert_eq!(moment(9, 7), 7);
        assert_eq!(moment(12, 7_999), 7);
        assert_eq!(moment(127, u64::MAX), 0);
        assert_eq!(moment(0x80 | 10, 1536), 1_500_000_000);
        assert_eq!(moment(0x80 | 63, 1 << 62), 500_000_000);
        assert_eq!(moment(0xff, u64::MAX), 0);
    }

    #[test]
    fn absurd_times_saturate() {
        assert_eq!(moment(0, u64::MAX), i64::MAX);
        assert_eq!(moment(0x80, u64::MAX), i64::MAX);
        let mut clock = InterfaceClock::default();
        clock.set_offset(i64::MIN);
        assert_eq!(clock.moment(0).as_nanos(), i64::MIN);
    }

    #[test]
    fn an_offset_moves_the_epoch() {
        let mut clock = InterfaceClock::default();
        clock.set_offset(-10);
        assert_eq!(clock.moment(11_000_000).as_nanos(), 1_000_000_000);
    }
}
