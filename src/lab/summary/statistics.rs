//! Numbers of many numbers.

/// The least of some numbers, the middle, what nine of ten do not exceed, and the most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantiles {
    /// The least.
    pub least: f64,
    /// The middle one; the lower of two.
    pub median: f64,
    /// Nine of ten are not more.
    pub ninety: f64,
    /// The most.
    pub most: f64,
}

impl Quantiles {
    /// Those of some numbers, if there are any.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        let at =
            |tenths: usize| numbers.get((numbers.len() * tenths).div_ceil(10).saturating_sub(1)).copied();
        Some(Self { least: at(0)?, median: at(5)?, ninety: at(9)?, most: at(10)? })
    }
}

pub(super) fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = numbers.fold((0_u64, 0.0), |(count, sum), number| (count + 1, sum + number));
    (count > 0).then(|| sum / count as f64)
}

/// Jain's index of fairness (Jain, Chiu and Hawe 1984): 1 where all have the same, 1/n where one has all.
pub(super) fn jain(rates: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum, squares) = rates.fold((0.0, 0.0, 0.0), |(count, sum, squares), rate| {
        (count + 1.0, sum + rate, squares + rate * rate)
    });
    (squares > 0.0).then(|| sum * sum / (count * squares))
}

/// Spearman's correlation of ranks, those of equal numbers being their mean; `None` where one side is all the same.
pub(super) fn spearman(pairs: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (ones, others): (Vec<f64>, Vec<f64>) = pairs.unzip();
    let (ones, others) = (ranks(&ones), ranks(&others));
    let middle = (ones.len() as f64 + 1.0) / 2.0;
    let sum = |one: &[f64], other: &[f64]| -> f64 {
        one.iter().zip(other).map(|(one, other)| (one - middle) * (other - middle)).sum()
    };
    let spread = (sum(&ones, &ones) * sum(&others, &others)).sqrt();
    (spread > 0.0).then(|| sum(&ones, &others) / spread)
}

fn ranks(numbers: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&one, &other| numbers[one].total_cmp(&numbers[other]));
    let mut ranks = vec![0.0; numbers.len()];
    let mut start = 0;
    for equal in order.chunk_by(|&one, &other| numbers[one] == numbers[other]) {
        let rank = start as f64 + (equal.len() as f64 + 1.0) / 2.0;
        equal.iter().for_each(|&place| ranks[place] = rank);
        start += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_numbers_that_were_seen() {
        let of = |numbers: &[f64]| {
            Quantiles::of(numbers.iter().copied()).map(|all| [all.least, all.median, all.ninety, all.most])
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0]), Some([3.0; 4]));
        let ten: Vec<f64> = (1..=10).rev().map(f64::from).collect();
        assert_eq!(of(&ten), Some([1.0, 5.0, 9.0, 10.0]));
    }

    #[test]
    fn fairness_is_one_for_equals_and_one_nth_for_one_alone() {
        let of = |rates: &[f64]| jain(rates.iter().copied());
        assert_eq!(of(&[5.0; 4]), Some(1.0));
        assert_eq!(of(&[1.0, 0.0, 0.0, 0.0]), Some(0.25));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn ranks_correlate_and_ties_share_their_rank() {
        let of = |pairs: &[(f64, f64)]| spearman(pairs.iter().copied());
        assert_eq!(of(&[(1.0, 30.0), (2.0, 20.0), (9.0, 1.0)]), Some(-1.0));
        assert_eq!(of(&[(1.0, 1.0), (1.0, 2.0)]), None);
        // The ranks of the first are 1.5, 1.5, 3, those of the second 1, 2, 3.
        let tied = of(&[(1.0, 1.0), (1.0, 2.0), (2.0, 3.0)]).expect("a number");
        assert!((tied - 0.866).abs() < 0.001, "{tied}");
    }
}
