//! All messages by time, in as many bins as a strip may need: how many each has, and the highest severity among them.

use bittrace_protocol::Timestamp;
use bittrace_trace::record::Severity;

use super::index::Entry;

/// Messages by time. When the time outgrows the bins, each becomes twice as wide.
#[derive(Debug)]
pub(crate) struct Strip {
    bins: Vec<Bin>,
    start: Timestamp,
    /// The width of a bin, in nanoseconds.
    width: i64,
}

/// The messages of a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bin {
    pub(crate) messages: u64,
    pub(crate) severity: Option<Severity>,
}

/// How many bins there are at most; an even number.
const BINS: usize = 1024;

/// How wide a bin is at first: 1 ms.
const FIRST_WIDTH: i64 = 1_000_000;

impl Default for Strip {
    fn default() -> Self {
        Self { bins: Vec::new(), start: Timestamp::EPOCH, width: FIRST_WIDTH }
    }
}

impl Strip {
    /// Takes in messages. `start` is when the capture's first packet was captured.
    pub(crate) fn add(&mut self, entries: &[Entry], start: Option<Timestamp>) {
        if self.bins.is_empty()
            && let (Some(start), Some(first)) = (start, entries.first())
        {
            self.start = start.min(first.at);
        }
        for entry in entries {
            let mut bin = self.bin(entry.at);
            while bin >= BINS {
                self.widen();
                bin = self.bin(entry.at);
            }
            if self.bins.len() <= bin {
                self.bins.resize(bin + 1, Bin::default());
            }
            self.bins[bin].add(1, entry.severity());
        }
    }

    /// The bin of a moment; the first one for moments before the start.
    fn bin(&self, at: Timestamp) -> usize {
        let since = at.as_nanos().saturating_sub(self.start.as_nanos());
        usize::try_from(since / self.width).unwrap_or_default()
    }

    fn widen(&mut self) {
        self.width = self.width.saturating_mul(2);
        self.bins = self.bins.chunks(2).map(Bin::sum).collect();
    }

    /// The same in `columns` columns.
    pub(crate) fn columns(&self, columns: usize) -> Vec<Bin> {
        let all = self.bins.len();
        let begin = |column: usize| column * all / columns.max(1);
        (0..columns)
            .map(|column| {
                Bin::sum(&self.bins[begin(column)..begin(column + 1).max((begin(column) + 1).min(all))])
            })
            .collect()
    }

    /// The column of a moment.
    pub(crate) fn column(&self, at: Timestamp, columns: usize) -> usize {
        let all = self.bins.len().max(1);
        // Of the columns that show a bin, the last one that begins with it or before.
        (0..columns).rev().find(|column| column * all / columns <= self.bin(at)).unwrap_or_default()
    }
}

impl Bin {
    fn add(&mut self, messages: u64, severity: Option<Severity>) {
        self.messages += messages;
        self.severity = self.severity.max(severity);
    }

    fn sum(bins: &[Self]) -> Self {
        let mut sum = Self::default();
        bins.iter().for_each(|bin| sum.add(bin.messages, bin.severity));
        sum
    }
}

/// The height of a bin, from 0 for nothing to `steps`, where `most` messages have the full height. It grows with the
/// logarithm: a burst of thousands leaves single messages to be seen.
pub(crate) fn height(messages: u64, most: u64, steps: usize) -> usize {
    if messages == 0 {
        return 0;
    }
    let share = (messages as f64 + 1.0).ln() / (most.max(messages) as f64 + 1.0).ln();
    ((share * steps as f64).round() as usize).clamp(1, steps)
}
