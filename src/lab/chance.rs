//! All chance of a run, from one seed. Each host draws from rows of its own, one for each purpose, so that another host changes
//! nobody's draws.

use std::time::Duration;

/// A row of numbers that look random (SplitMix64), for one purpose of one host.
#[derive(Debug, Clone)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// The row of this host for this purpose.
    pub(crate) fn of(seed: u64, host: &str, purpose: &str) -> Self {
        // FNV-1a, 64 bits; the lengths keep ("ab", "c") and ("a", "bc") apart.
        let mut state = 0xcbf2_9ce4_8422_2325_u64 ^ seed;
        let lengths = [host.len() as u8, purpose.len() as u8];
        for byte in lengths.iter().chain(host.as_bytes()).chain(purpose.as_bytes()) {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        let mut row = Self(state);
        row.next();
        row
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `count`; 0 where that is 0.
    pub(crate) const fn below(&mut self, count: usize) -> usize {
        ((self.next() as u128 * count as u128) >> 64) as usize
    }

    /// A number from 0 to less than 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A time from `least` to `most`, each equally likely.
    pub(crate) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        least + most.saturating_sub(least).mul_f64(self.unit())
    }

    /// A time from the exponential distribution of this mean.
    pub(crate) fn exponential(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.unit()).ln())
    }

    /// Puts `count` of the items first, each choice equally likely.
    pub(crate) fn choose<T>(&mut self, items: &mut [T], count: usize) {
        for place in 0..count.min(items.len()) {
            let other = place + self.below(items.len() - place);
            items.swap(place, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_and_purpose_has_a_row_of_its_own() {
        let first = |host, purpose| Chance::of(1, host, purpose).next();
        assert_eq!(first("seed-1", "session"), first("seed-1", "session"));
        let rows = [
            first("seed-1", "session"),
            first("seed-1", "arrival"),
            first("seed-2", "session"),
            Chance::of(2, "seed-1", "session").next(),
            first("seed-1s", "ession"),
        ];
        let different: std::collections::BTreeSet<_> = rows.iter().collect();
        assert_eq!(different.len(), rows.len());
    }

    #[test]
    fn exponential_times_have_their_mean() {
        let mut chance = Chance::of(1, "", "");
        let mean = Duration::from_secs(10);
        let sum: Duration = (0..20_000).map(|_| chance.exponential(mean)).sum();
        let seen = sum.as_secs_f64() / 20_000.0;
        assert!((9.7..10.3).contains(&seen), "{seen}");
    }
}
