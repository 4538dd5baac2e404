//! Time in bins of one width, from the first packet on. When a moment lies beyond the last bin, the width doubles until
//! it fits, and who keeps sums by bin folds them.

use std::ops::AddAssign;

use super::data::Micros;

/// The width of bins, of which there are never more than so many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bins {
    /// In microseconds.
    width: Micros,
    most: u32,
}

impl Bins {
    /// At most so many bins, as narrow as can be.
    pub(super) const fn new(most: u32) -> Self {
        Self { width: 1, most }
    }

    pub(super) const fn width(&self) -> Micros {
        self.width
    }

    /// The bin of a moment that fits.
    pub(super) const fn of(&self, t: Micros) -> u32 {
        (t / self.width) as u32
    }

    /// Widens bins until the moment fits, and says how often the width doubled.
    pub(super) fn fit(&mut self, t: Micros) -> u32 {
        let mut doublings = 0;
        while t / self.width >= Micros::from(self.most) {
            self.double();
            doublings += 1;
        }
        doublings
    }

    pub(super) const fn double(&mut self) {
        self.width *= 2;
    }
}

/// Sums by bin, from moment 0, without those after the last that is not zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sums(Vec<u64>);

impl Sums {
    pub(super) fn add(&mut self, bin: u32, amount: u64) {
        let bin = bin as usize;
        if bin >= self.0.len() {
            self.0.resize(bin + 1, 0);
        }
        self.0[bin] += amount;
    }

    /// Folds the sums after the width doubled so often.
    pub(super) fn fold(&mut self, doublings: u32) {
        for _ in 0..doublings {
            self.0 = self.0.chunks(2).map(|pair| pair.iter().sum()).collect();
        }
    }

    /// The sums of so many bins.
    pub(super) fn into_bins(mut self, bins: usize) -> Vec<u64> {
        self.0.resize(bins, 0);
        self.0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Sums by bin of which most are zero, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SparseSums {
    bins: Vec<(u32, u64)>,
    total: u64,
}

impl SparseSums {
    pub(super) fn add(&mut self, bin: u32, amount: u64) {
        self.total += amount;
        add_to_bin(&mut self.bins, bin, amount);
    }

    pub(super) fn fold(&mut self, doublings: u32) {
        fold_bins(&mut self.bins, doublings);
    }

    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u64)> {
        self.bins.iter().copied()
    }
}

/// Adds to the sum of a bin, where the bins that have one are ascending.
pub(super) fn add_to_bin<N: AddAssign + Copy>(bins: &mut Vec<(u32, N)>, bin: u32, amount: N) {
    // Records come nearly in the order of time.
    match bins.last_mut() {
        Some((last, sum)) if *last == bin => *sum += amount,
        Some((last, _)) if *last > bin => match bins.binary_search_by_key(&bin, |(bin, _)| *bin) {
            Ok(at) => bins[at].1 += amount,
            Err(at) => bins.insert(at, (bin, amount)),
        },
        _ => bins.push((bin, amount)),
    }
}

/// Folds such sums after the width of bins doubled so often.
pub(super) fn fold_bins<N: AddAssign + Copy>(bins: &mut Vec<(u32, N)>, doublings: u32) {
    if doublings == 0 {
        return;
    }
    for (bin, _) in &mut *bins {
        *bin = bin.checked_shr(doublings).unwrap_or(0);
    }
    bins.dedup_by(|next, kept| {
        let is_same = next.0 == kept.0;
        if is_same {
            kept.1 += next.1;
        }
        is_same
    });
}

/// Sums by bin for each of many keys, which are counted from 0. Where together they would take too much memory, those of
/// the keys with the smallest totals are joined.
#[derive(Debug)]
pub(super) struct SumsByKey {
    bins: Bins,
    by_key: Vec<KeySums>,
    /// The sums of keys that were joined.
    joined: SparseSums,
    /// Bins of all keys.
    entries: usize,
}

#[derive(Debug, Default)]
struct KeySums {
    sums: SparseSums,
    is_joined: bool,
}

/// How many bins are kept for all keys together, 16 bytes each, and how many keys keep theirs when there are more.
const ENTRIES: usize = 500_000;
const KEYS_KEPT: usize = 128;

impl SumsByKey {
    pub(super) const fn new(bins: u32) -> Self {
        Self {
            bins: Bins::new(bins),
            by_key: Vec::new(),
            joined: SparseSums { bins: Vec::new(), total: 0 },
            entries: 0,
        }
    }

    pub(super) const fn width(&self) -> Micros {
        self.bins.width()
    }

    /// Widens bins until a moment fits.
    pub(super) fn reach(&mut self, t: Micros) {
        let doublings = self.bins.fit(t);
        if doublings > 0 {
            self.entries = 0;
            for of in &mut self.by_key {
                of.sums.fold(doublings);
                self.entries += of.sums.bins.len();
            }
            self.joined.fold(doublings);
        }
    }

    pub(super) fn add(&mut self, key: usize, t: Micros, amount: u64) {
        self.reach(t);
        if key >= self.by_key.len() {
            self.by_key.resize_with(key + 1, KeySums::default);
        }
        let bin = self.bins.of(t);
        let of = &mut self.by_key[key];
        if of.is_joined {
            self.joined.add(bin, amount);
            return;
        }
        let before = of.sums.bins.len();
        of.sums.add(bin, amount);
        self.entries += of.sums.bins.len() - before;
        if self.entries > ENTRIES {
            self.join_smallest();
        }
    }

    fn join_smallest(&mut self) {
        let mut keys: Vec<usize> = (0..self.by_key.len()).collect();
        keys.sort_by_key(|key| (std::cmp::Reverse(self.by_key[*key].sums.total), *key));
        for key in keys.into_iter().skip(KEYS_KEPT) {
            let of = &mut self.by_key[key];
            of.is_joined = true;
            let sums = std::mem::take(&mut of.sums);
            self.entries -= sums.bins.len();
            sums.iter().for_each(|(bin, amount)| self.joined.add(bin, amount));
        }
    }

    /// The sums of one key.
    pub(super) fn of(&self, key: usize) -> SparseSums {
        self.by_key.get(key).map(|of| of.sums.clone()).unwrap_or_default()
    }

    /// The sums of all keys that are chosen, and of those that were joined.
    pub(super) fn rest(&self, is_chosen: impl Fn(usize) -> bool) -> SparseSums {
        let mut dense = Sums::default();
        let chosen = self.by_key.iter().enumerate().filter(|(key, _)| is_chosen(*key));
        for sums in chosen.map(|(_, of)| &of.sums).chain([&self.joined]) {
            sums.iter().for_each(|(bin, amount)| dense.add(bin, amount));
        }
        let mut rest = SparseSums::default();
        let filled = dense.0.iter().enumerate().filter(|(_, amount)| **amount > 0);
        filled.for_each(|(bin, amount)| rest.add(bin as u32, *amount));
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widening_keeps_the_sum_and_the_bound() {
        let mut bins = Bins::new(8);
        let (mut sums, mut sparse) = (Sums::default(), SparseSums::default());
        for t in [0, 7, 8, 3, 100, 100, 1_000_000, 5] {
            let doublings = bins.fit(t);
            sums.fold(doublings);
            sparse.fold(doublings);
            sums.add(bins.of(t), 1);
            sparse.add(bins.of(t), 1);
            assert!(sums.len() <= 8);
        }
        assert_eq!(bins.width(), 1 << 17);
        assert_eq!(sparse.iter().collect::<Vec<_>>(), [(0, 7), (7, 1)]);
        assert_eq!(sums.into_bins(8), [7, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(sparse.total(), 8);
    }

    #[test]
    fn the_latest_moment_there_is_fits() {
        let mut bins = Bins::new(1_200);
        bins.fit(Micros::MAX);
        assert!(bins.of(Micros::MAX) < 1_200);
    }

    #[test]
    fn many_keys_are_joined_and_nothing_is_lost() {
        let mut sums = SumsByKey::new(1_200);
        let mut added = 0;
        for t in 0..1_200 {
            for key in 0..600 {
                let amount = 1 + key as u64 % 7;
                sums.add(key, t, amount);
                added += amount;
            }
        }
        assert!(sums.entries <= ENTRIES && sums.by_key[1].is_joined);
        let kept: u64 = (0..600).map(|key| sums.of(key).total()).sum();
        let joined: u64 = sums.rest(|_| false).total();
        assert_eq!(kept + joined, added);
        assert_eq!(sums.rest(|_| true).total(), added);
    }
}
