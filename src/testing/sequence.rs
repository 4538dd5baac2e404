//! Chance that a failing test can be given again.

#![allow(clippy::print_stdout, reason = "a failing test shows its seed")]

/// A pseudo-random sequence that a printed seed makes again.
#[derive(Debug, Clone)]
pub struct SeededSequence(u64);

impl SeededSequence {
    /// The sequence of `BITTRACE_SEED`, or of the clock; prints the seed, which a failing test shows.
    pub fn seeded(test: &str) -> Self {
        let seed =
            std::env::var("BITTRACE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                now.map_or(1, |since| since.as_nanos() as u64)
            });
        println!("{test}: BITTRACE_SEED={seed}");
        Self(seed)
    }

    /// The sequence of a seed that never changes.
    pub const fn fixed(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // splitmix64 (Steele, Lea and Flood 2014)
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}
