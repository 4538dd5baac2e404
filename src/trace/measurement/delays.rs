//! Delays in little memory: how many fell into each of narrow ranges, from which medians follow.

/// Counts delays by their size. Sixteen ranges double the delay, so that a quantile is known to 3 %.
#[derive(Debug)]
pub(super) struct DelayCounts {
    /// Each range that has any, with how many, in order.
    ranges: Vec<(u16, u32)>,
    /// The place of the range that was counted last: the next delay is mostly like the last.
    recent: usize,
    samples: u64,
    /// More than any delay before the first.
    smallest: u64,
    largest: u64,
}

impl Default for DelayCounts {
    fn default() -> Self {
        Self { ranges: Vec::new(), recent: 0, samples: 0, smallest: u64::MAX, largest: 0 }
    }
}

/// How many ranges double the delay.
const STEPS: u32 = 16;

impl DelayCounts {
    /// Counts a delay of so many nanoseconds, in one of at most `most` ranges.
    #[inline(always)]
    pub(super) fn add(&mut self, nanos: u64, most: usize) {
        self.smallest = self.smallest.min(nanos);
        self.largest = self.largest.max(nanos);
        self.samples += 1;
        let range = range_of(nanos);
        match self.ranges.get_mut(self.recent) {
            Some((recent, count)) if *recent == range => *count = count.saturating_add(1),
            _ => self.add_elsewhere(range, most),
        }
    }

    #[inline(never)]
    fn add_elsewhere(&mut self, range: u16, most: usize) {
        self.recent = match self.ranges.binary_search_by_key(&range, |&(range, _)| range) {
            Ok(place) => place,
            Err(place) if self.ranges.len() < most => {
                self.ranges.insert(place, (range, 0));
                place
            }
            // A neighbour takes it in.
            Err(place) => place.min(self.ranges.len() - 1),
        };
        let count = &mut self.ranges[self.recent].1;
        *count = count.saturating_add(1);
    }

    /// How many delays were counted.
    pub(super) const fn samples(&self) -> u64 {
        self.samples
    }

    /// The smallest delay in nanoseconds.
    pub(super) fn smallest(&self) -> Option<u64> {
        (self.samples > 0).then_some(self.smallest)
    }

    /// The smallest delay in seconds; 0 where there is none.
    pub(super) fn smallest_seconds(&self) -> f64 {
        self.smallest().map_or(0.0, |nanos| nanos as f64 / 1e9)
    }

    /// The largest delay in seconds; 0 where there is none.
    pub(super) const fn largest_seconds(&self) -> f64 {
        self.largest as f64 / 1e9
    }

    /// The delay in seconds that this share of the delays does not exceed; 0 where there is none.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let counted: u64 = self.ranges.iter().map(|&(_, count)| u64::from(count)).sum();
        let wanted = ((counted as f64 * share).ceil() as u64).max(1);
        let mut so_far = 0;
        for &(range, count) in &self.ranges {
            so_far += u64::from(count);
            if so_far >= wanted {
                let middle = middle_of(range);
                return middle.clamp(self.smallest as f64, self.largest as f64) / 1e9;
            }
        }
        self.largest_seconds()
    }

    /// The bytes of memory that the ranges take.
    pub(super) fn cost(&self) -> usize {
        self.ranges.capacity() * size_of::<(u16, u32)>()
    }
}

/// The number of the range of a delay. Below 16 ns each delay is a range.
const fn range_of(nanos: u64) -> u16 {
    if nanos < STEPS as u64 {
        return nanos as u16;
    }
    let doublings = nanos.ilog2() - STEPS.ilog2();
    (doublings * STEPS + (nanos >> doublings) as u32) as u16
}

/// The middle of a range in nanoseconds.
fn middle_of(range: u16) -> f64 {
    let range = u32::from(range);
    if range < STEPS {
        return range.into();
    }
    let doublings = range / STEPS - 1;
    (f64::from(range % STEPS + STEPS) + 0.5) * 2f64.powi(doublings as i32) - 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_known_to_three_percent() {
        let mut delays = DelayCounts::default();
        for micros in 1..=1000 {
            delays.add(micros * 1000, 4096);
        }
        for (share, seconds) in [(0.05, 50e-6), (0.5, 500e-6), (0.95, 950e-6)] {
            let found = delays.quantile(share);
            assert!((found / seconds - 1.0).abs() < 0.03, "{share}: {found}");
        }
        assert_eq!((delays.samples(), delays.smallest()), (1000, Some(1000)));
        assert_eq!((delays.smallest_seconds(), delays.largest_seconds()), (1e-6, 1e-3));
    }

    #[test]
    fn any_delay_has_a_range_that_holds_it() {
        for nanos in
            (0..64).flat_map(|bit| [1u64 << bit, (1u64 << bit) + (1u64 << bit) / 3, (1u64 << bit) - 1])
        {
            let middle = middle_of(range_of(nanos));
            assert!((middle - nanos as f64).abs() <= nanos as f64 * 0.032, "{nanos}: {middle}");
        }
        assert_eq!(range_of(u64::MAX), 975);
    }

    #[test]
    fn few_ranges_take_in_all_delays() {
        let mut delays = DelayCounts::default();
        (0..60).for_each(|bit| delays.add(1 << bit, 3));
        assert_eq!(delays.ranges.len(), 3);
        assert_eq!(delays.ranges.iter().map(|&(_, count)| count).sum::<u32>(), 60);
        assert_eq!(delays.quantile(1.0).max(1e-9), delays.quantile(1.0));
    }

    #[test]
    fn of_one_delay_all_quantiles_are_that_delay() {
        let mut delays = DelayCounts::default();
        delays.add(12_345_678, 9);
        assert_eq!(delays.quantile(0.5), 0.012_345_678);
        assert_eq!(DelayCounts::default().quantile(0.5), 0.0);
        assert_eq!(DelayCounts::default().smallest(), None);
    }
}
