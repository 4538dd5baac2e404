//! How long answers took, as columns.

use serde::Serialize;

use super::Micros;

/// How long answers took.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Latencies {
    /// Each answer.
    Each(EachLatency),
    /// A histogram over time, and the slowest.
    Histogram(LatencyHistogram),
}

/// Each answer, in the order of the capture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EachLatency {
    /// `true`.
    pub exact: bool,
    /// The answers.
    #[serde(flatten)]
    pub answers: Answers,
}

/// Answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Answers {
    /// When the answer came.
    pub t: Vec<Micros>,
    /// How long it took, microseconds.
    pub us: Vec<Micros>,
    /// 1 for a block that answers a request.
    pub block: Vec<u8>,
    /// The far end; -1 for trackers and nodes.
    pub end: Vec<i32>,
    /// The answer.
    pub n: Vec<u64>,
}

/// Answers by bin of time and by step of their latency.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LatencyHistogram {
    /// `false`.
    pub exact: bool,
    /// The width of a bin.
    pub bin: Micros,
    /// How many bins there are.
    pub bins: u32,
    /// How many steps.
    pub rows: u32,
    /// The latency at which the first step begins, microseconds; faster answers count there.
    pub low_us: f64,
    /// The latency at which the last ends; slower answers count there. Steps are even on a logarithmic scale.
    pub high_us: f64,
    /// Cells with answers.
    pub count: LatencyCells,
    /// The slowest answers, the first of them first.
    pub slowest: Answers,
}

/// Cells of a histogram: a cell is `bin * rows + step`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LatencyCells {
    /// The cells, ascending.
    pub cell: Vec<u32>,
    /// Their answers.
    pub count: Vec<u32>,
}
