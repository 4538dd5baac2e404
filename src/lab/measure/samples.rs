//! The course of a run: a sample each second, and where it is long, fewer.

use std::time::Duration;

/// A run at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// Seconds since the start.
    pub at: f64,
    /// Hosts that are there and lack pieces.
    pub leechers: u32,
    /// Hosts that are there and have all pieces.
    pub seeds: u32,
    /// Bytes that left on the links up that have a limit, so far.
    pub sent: u64,
    /// Bytes that could have left on the links up of the hosts that were there, so far.
    pub capacity: f64,
    /// Bytes of blocks that hosts gave which came with the file, so far.
    pub given_by_seeds: u64,
    /// Pieces that hosts have verified which came without, so far.
    pub pieces_done: u64,
    /// How many hosts that came without the file have the rarest piece.
    pub least_copies: u32,
    /// The same of all pieces, in the mean.
    pub mean_copies: f64,
    /// The same of the most common piece.
    pub most_copies: u32,
    /// How many pieces are as rare as the rarest.
    pub rarest: u32,
}

/// The samples of a run, evenly apart.
#[derive(Debug)]
pub struct Samples {
    samples: Vec<Sample>,
    pub(crate) every: Duration,
    /// How many are not taken before the next.
    skip: u32,
    step: u32,
}

impl Samples {
    /// None yet.
    #[expect(clippy::new_without_default, reason = "there is no course without a run")]
    pub const fn new() -> Self {
        Self { samples: Vec::new(), every: Duration::from_secs(1), skip: 0, step: 1 }
    }

    /// Whether the sample of now is to be taken; asked once a second.
    pub const fn is_due(&mut self) -> bool {
        if self.skip == 0 {
            self.skip = self.step - 1;
            return true;
        }
        self.skip -= 1;
        false
    }

    /// Adds a sample that is due.
    pub fn push(&mut self, sample: Sample) {
        self.samples.push(sample);
        if self.samples.len() >= MOST_SAMPLES {
            let mut number = 0;
            self.samples.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            // The last one that is left is one of the old steps ago.
            self.skip = self.step - 1;
            self.step *= 2;
        }
    }

    /// All that were kept.
    pub fn into_vec(self) -> Vec<Sample> {
        self.samples
    }
}

/// More than a picture can show; 100 bytes each.
const MOST_SAMPLES: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_has_a_bounded_number_of_samples_evenly_apart() {
        let mut samples = Samples::new();
        for second in 0..100_000 {
            if samples.is_due() {
                samples.push(Sample { at: f64::from(second), ..Sample::default() });
            }
        }
        let samples = samples.into_vec();
        assert!(samples.len() < MOST_SAMPLES && samples.len() > MOST_SAMPLES / 2 - 1);
        let steps: Vec<f64> = samples.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        assert!(steps.iter().all(|&step| step == steps[0]), "{:?}", &steps[..4]);
    }
}
