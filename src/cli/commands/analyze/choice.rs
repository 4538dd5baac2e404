//! Which messages of a capture are chosen: by `--filter`, `--stream`, `--follow`, `--from` and `--to`. Every view of
//! `analyze` is of the chosen messages.

use std::cmp::Ordering;

use anyhow::{Result, bail};
use bittrace_protocol::Timestamp;
use bittrace_trace::ConnectionEnd;

use crate::args::AnalyzeArguments;
use crate::print::units::Bound;
use crate::query::filter::Filter;
use crate::query::row::Row;

/// The messages that the options choose.
pub(super) struct MessageChoice {
    filter: Option<Filter>,
    streams: Vec<u32>,
    from: Option<Bound>,
    to: Option<Bound>,
}

impl MessageChoice {
    /// Reads the options.
    ///
    /// # Errors
    /// When the filter or a time cannot be read, or no moment lies between the times.
    pub(super) fn new(arguments: &AnalyzeArguments) -> Result<Self> {
        let from = bound("--from", arguments.from.as_deref())?;
        let to = bound("--to", arguments.to.as_deref())?;
        let is_reversed = match (from, to) {
            (Some(Bound::After(from)), Some(Bound::After(to))) => from > to,
            (Some(Bound::At(from)), Some(Bound::At(to))) => from > to,
            _ => false,
        };
        if let (true, Some(from), Some(to)) = (is_reversed, &arguments.from, &arguments.to) {
            bail!("--from {from} is later than --to {to}: no message lies between them");
        }
        Ok(Self {
            filter: arguments.filter.as_deref().map(Filter::parse).transpose()?,
            streams: arguments.stream.iter().chain(&arguments.follow).copied().collect(),
            from,
            to,
        })
    }

    /// The streams that are asked for by number; none when all are.
    pub(super) fn streams(&self) -> &[u32] {
        &self.streams
    }

    /// Whether the choice depends on how many messages earlier captures have.
    pub(super) fn compares_numbers(&self) -> bool {
        self.filter.as_ref().is_some_and(Filter::compares_numbers)
    }

    /// Whether every message is chosen.
    pub(super) fn is_everything(&self) -> bool {
        self.filter.is_none() && self.streams.is_empty() && self.from.is_none() && self.to.is_none()
    }

    /// Whether a message is chosen.
    pub(super) fn accepts(&self, row: &Row<'_>) -> bool {
        (self.streams.is_empty() || self.streams.contains(&row.record.stream.0))
            && self.is_after_start(row.record.at, row.place.start)
            && self.is_before_end(row.record.at, row.place.start)
            && self.filter.as_ref().is_none_or(|filter| filter.matches(row))
    }

    /// Whether the end of a connection counts. A connection without any message has no stream number and nothing that
    /// a filter could match: only times choose it. `start` is when the first packet was captured.
    pub(super) fn accepts_end(&self, end: &ConnectionEnd, start: Timestamp) -> bool {
        end.stream.is_some()
            || self.filter.is_none()
                && self.streams.is_empty()
                && self.is_after_start(end.closed.at, start)
                && self.is_before_end(end.opened.at, start)
    }

    fn is_after_start(&self, at: Timestamp, start: Timestamp) -> bool {
        self.from.is_none_or(|from| from.cmp_to(at, start) != Ordering::Less)
    }

    fn is_before_end(&self, at: Timestamp, start: Timestamp) -> bool {
        self.to.is_none_or(|to| to.cmp_to(at, start) != Ordering::Greater)
    }
}

fn bound(option: &str, text: Option<&str>) -> Result<Option<Bound>> {
    let Some(text) = text else { return Ok(None) };
    match Bound::parse(text) {
        Some(bound) => Ok(Some(bound)),
        None => {
            bail!("{option}: \"{text}\" is neither seconds nor a time such as 2026-01-02T03:04:05Z")
        }
    }
}
