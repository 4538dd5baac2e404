//! How long answers took: each of them, or, when there are too many, a histogram over time with the slowest apart.

use super::bins::Bins;
use super::data::{Answers, EachLatency, Latencies, LatencyCells, LatencyHistogram, Micros};
use super::ends::{EndPlace, ListedEnds};

/// Latencies that are being recorded.
#[derive(Debug)]
pub(super) enum LatenciesSeen {
    Each(Vec<AnswerSeen>),
    Histogram(Box<Histogram>),
}

/// An answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnswerSeen {
    pub(super) t: Micros,
    pub(super) latency: Micros,
    pub(super) is_block: bool,
    pub(super) end: Option<EndPlace>,
    pub(super) n: u64,
}

/// How many answers are kept apart.
pub(super) const EXACT: usize = 12_000;

/// Bins and steps of the histogram. The steps reach from 10 µs to 100 s, 8.6 of them to a factor of ten.
const BINS: u32 = 400;
const STEPS: u32 = 60;
const LOW: f64 = 10.0;
const HIGH: f64 = 1e8;

/// How many of the slowest answers are kept apart beside the histogram.
pub(super) const SLOWEST: usize = 400;

impl LatenciesSeen {
    pub(super) const fn new() -> Self {
        Self::Each(Vec::new())
    }

    pub(super) fn add(&mut self, answer: AnswerSeen) {
        match self {
            Self::Each(answers) if answers.len() < EXACT => answers.push(answer),
            Self::Each(answers) => {
                let mut histogram = Box::new(Histogram::new());
                answers.iter().for_each(|answer| histogram.add(*answer));
                histogram.add(answer);
                *self = Self::Histogram(histogram);
            }
            Self::Histogram(histogram) => histogram.add(answer),
        }
    }

    pub(super) fn finish(self, ends: &ListedEnds) -> Latencies {
        match self {
            Self::Each(answers) => {
                Latencies::Each(EachLatency { exact: true, answers: columns(answers, ends) })
            }
            Self::Histogram(histogram) => Latencies::Histogram(histogram.finish(ends)),
        }
    }
}

/// Answers by bin and step.
#[derive(Debug)]
pub(super) struct Histogram {
    bins: Bins,
    /// `BINS` times `STEPS` counts.
    counts: Vec<u32>,
    /// Some of the slowest: all of the [`SLOWEST`] are among them.
    slowest: Vec<AnswerSeen>,
    /// Answers that are not slower are not among the slowest.
    threshold: Micros,
}

impl Histogram {
    fn new() -> Self {
        Self {
            bins: Bins::new(BINS),
            counts: vec![0; (BINS * STEPS) as usize],
            slowest: Vec::new(),
            threshold: 0,
        }
    }

    fn add(&mut self, answer: AnswerSeen) {
        for _ in 0..self.bins.fit(answer.t) {
            self.fold();
        }
        let cell = self.bins.of(answer.t) * STEPS + step(answer.latency);
        self.counts[cell as usize] = self.counts[cell as usize].saturating_add(1);
        if answer.latency > self.threshold || self.slowest.len() < SLOWEST {
            self.slowest.push(answer);
            if self.slowest.len() >= 2 * SLOWEST {
                self.keep_slowest();
            }
        }
    }

    /// Joins bins two by two.
    fn fold(&mut self) {
        let steps = STEPS as usize;
        let mut folded = vec![0; self.counts.len()];
        for (cell, count) in self.counts.iter().enumerate() {
            let at = cell / steps / 2 * steps + cell % steps;
            folded[at] += count;
        }
        self.counts = folded;
    }

    /// Keeps the slowest; of equals the first.
    fn keep_slowest(&mut self) {
        self.slowest.sort_by_key(|answer| (std::cmp::Reverse(answer.latency), answer.n));
        self.slowest.truncate(SLOWEST);
        self.threshold = self.slowest.last().map_or(0, |answer| answer.latency);
    }

    fn finish(mut self, ends: &ListedEnds) -> LatencyHistogram {
        self.keep_slowest();
        self.slowest.sort_by_key(|answer| (answer.t, answer.n));
        let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let (cell, count): (Vec<u32>, Vec<u32>) = filled.map(|(cell, count)| (cell as u32, *count)).unzip();
        LatencyHistogram {
            exact: false,
            bin: self.bins.width(),
            bins: BINS,
            rows: STEPS,
            low_us: LOW,
            high_us: HIGH,
            count: LatencyCells { cell, count },
            slowest: columns(self.slowest, ends),
        }
    }
}

/// The step of a latency.
fn step(latency: Micros) -> u32 {
    let share = (latency.max(1) as f64 / LOW).ln() / (HIGH / LOW).ln();
    ((share * f64::from(STEPS)).max(0.0) as u32).min(STEPS - 1)
}

fn columns(answers: Vec<AnswerSeen>, ends: &ListedEnds) -> Answers {
    let mut columns = Answers::default();
    for answer in answers {
        columns.t.push(answer.t);
        columns.us.push(answer.latency);
        columns.block.push(u8::from(answer.is_block));
        columns.end.push(ends.place(answer.end));
        columns.n.push(answer.n);
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::course::ends::FarEnds;

    #[test]
    fn the_histogram_counts_every_answer_and_keeps_the_slowest() {
        let mut seen = LatenciesSeen::new();
        let answers = 50_000;
        for n in 0..answers {
            // A latency that no other answer has.
            let latency = (n * 7_919) % answers;
            seen.add(AnswerSeen { t: n * 1_000, latency, is_block: true, end: None, n });
        }
        let Latencies::Histogram(histogram) = seen.finish(&FarEnds::default().finish(&[])) else {
            panic!("{answers} are too many to keep apart");
        };
        assert_eq!(histogram.count.count.iter().map(|count| u64::from(*count)).sum::<u64>(), answers);
        assert_eq!(histogram.slowest.n.len(), SLOWEST);
        assert!(histogram.slowest.us.iter().all(|latency| *latency >= answers - SLOWEST as u64));
        assert!(histogram.slowest.t.is_sorted());
    }

    #[test]
    fn steps_reach_from_ten_microseconds_to_a_hundred_seconds() {
        let steps = [0, 1, 10, 12, 14, 1_000, 99_000_000, 100_000_000, Micros::MAX].map(step);
        assert_eq!(steps, [0, 0, 0, 0, 1, 17, 59, 59, 59]);
    }
}
