//! Checks of whole pieces of one torrent: each of them, or, when there are too many, the first in each stretch of time
//! and row of pieces. Right and wrong ones are kept apart, so a wrong one is never lost in a right one.

use rustc_hash::FxHashSet;

use super::data::{Checked, Micros};

/// Checks that are being recorded.
#[derive(Debug, Default)]
pub(super) struct ChecksSeen {
    right: ChecksOfAKind,
    wrong: ChecksOfAKind,
}

/// Right ones, or wrong ones.
#[derive(Debug, Default)]
struct ChecksOfAKind {
    kept: Vec<Check>,
    /// How many there were.
    count: u64,
    /// How wide the stretches are of which only the first check is kept, and how many pieces a row has, as powers of two.
    width: u32,
    per_row: u32,
    /// The stretches and rows that have one; empty while all are kept.
    taken: FxHashSet<(Micros, u32)>,
}

#[derive(Debug, Clone, Copy)]
struct Check {
    t: Micros,
    piece: u32,
    n: u64,
}

/// How many checks of either kind are kept.
pub const MOST_CHECKS: usize = 12_000;

impl ChecksSeen {
    pub(super) fn add(&mut self, t: Micros, piece: u32, n: u64, is_right: bool) {
        let kind = if is_right { &mut self.right } else { &mut self.wrong };
        kind.add(Check { t, piece, n });
    }

    pub(super) fn finish(self) -> Checked {
        let mut checked = Checked { right: self.right.count, wrong: self.wrong.count, ..Checked::default() };
        let kinds = [(self.right, 1), (self.wrong, 0)];
        let mut all: Vec<(Check, u8)> = kinds
            .into_iter()
            .flat_map(|(kind, ok)| kind.kept.into_iter().map(move |check| (check, ok)))
            .collect();
        all.sort_by_key(|(check, ok)| (check.t, check.n, check.piece, *ok));
        for (check, ok) in all {
            checked.t.push(check.t);
            checked.piece.push(check.piece);
            checked.ok.push(ok);
            checked.n.push(check.n);
        }
        checked
    }
}

impl ChecksOfAKind {
    fn add(&mut self, check: Check) {
        self.count += 1;
        if self.width > 0 && !self.taken.insert(self.place(&check)) {
            return;
        }
        self.kept.push(check);
        while self.kept.len() > MOST_CHECKS {
            self.thin();
        }
    }

    /// Makes stretches of time and rows coarser by turns.
    fn thin(&mut self) {
        if self.width < FIRST_WIDTH {
            self.width = FIRST_WIDTH;
        } else if self.width - FIRST_WIDTH > self.per_row && self.per_row < u32::BITS - 1 {
            self.per_row += 1;
        } else if self.width < Micros::BITS - 1 {
            self.width += 1;
        }
        let mut kept = std::mem::take(&mut self.kept);
        self.taken.clear();
        kept.retain(|check| self.taken.insert(self.place(check)));
        self.kept = kept;
    }

    const fn place(&self, check: &Check) -> (Micros, u32) {
        (check.t >> self.width, check.piece >> self.per_row)
    }
}

/// A stretch is first 2^10 µs, about a millisecond.
const FIRST_WIDTH: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_ones_stay_among_very_many_right_ones() {
        let mut seen = ChecksSeen::default();
        for n in 0..200_000 {
            seen.add(n * 50, n as u32 % 40_000, n, n % 50_000 != 1);
        }
        let checked = seen.finish();
        assert_eq!((checked.right, checked.wrong), (199_996, 4));
        let wrong = checked.n.iter().zip(&checked.ok).filter(|(_, ok)| **ok == 0).map(|(n, _)| *n);
        assert_eq!(wrong.collect::<Vec<_>>(), [1, 50_001, 100_001, 150_001]);
        let right = checked.ok.iter().filter(|ok| **ok == 1).count();
        assert!((1_000..=MOST_CHECKS).contains(&right), "{right}");
        assert!(checked.t.is_sorted());
    }
}
