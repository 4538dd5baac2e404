//! How long each message took after the one before it, in both captures beside each other: the table of the text report and
//! of the page.

use std::io;

use bittrace_replay::Judged;
use bittrace_report::page::PageTable;
use bittrace_trace::Side;
use bittrace_trace::units::{count, span};

use super::DiffView;
use crate::print::page::Page;
use crate::print::table::Column;

/// What the table stands under, and what it says.
pub(super) const HEADING: &str = "Intervals";
pub(super) const ABOUT: &str = "The time since the previous message of the conversation, from either end: the median in each \
                                capture, and the longest in each. No verdict depends on times.";

/// The columns: what stands above, what it means in full, and the cells of an interval.
const HEADINGS: [(&str, &str); 6] = [
    ("message", "the name of the message"),
    ("pairs", "how many pairs of messages have an interval in both captures"),
    ("reference", "the median in the reference"),
    ("candidate", "the median in the candidate"),
    ("longest ref", "the longest in the reference"),
    ("longest cand", "the longest in the candidate"),
];

/// Writes the table, unless no judged message has an interval.
pub(super) fn write(view: &DiffView<'_>, page: &mut Page<'_>) -> io::Result<()> {
    let rows = rows(view);
    if rows.is_empty() {
        return Ok(());
    }
    page.heading(HEADING)?;
    page.paragraph(ABOUT, 2)?;
    let [(message, _), numbers @ ..] = HEADINGS;
    let columns: Vec<_> = std::iter::once(Column::text(message, 16))
        .chain(numbers.into_iter().map(|(heading, _)| Column::numbers(heading)))
        .collect();
    page.table(&columns, &rows)
}

/// The table for a page.
pub(super) fn table(view: &DiffView<'_>) -> PageTable {
    PageTable {
        headings: HEADINGS.map(|(short, long)| (short.to_owned(), long.to_owned())).into(),
        rows: rows(view),
        left_out: 0,
        numbers: vec![false, true, true, true, true, true],
    }
}

fn rows(view: &DiffView<'_>) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for side in [Side::Local, Side::Remote].into_iter().filter(|side| view.report.judged.counts(*side)) {
        let intervals = view.report.intervals(view.reference, view.candidate, side);
        rows.extend(intervals.iter().map(|of| {
            let times =
                [of.reference.median, of.candidate.median, of.reference.longest, of.candidate.longest];
            let message = match view.report.judged {
                Judged::Both => format!("{}, {}", of.message, side.name()),
                Judged::Local | Judged::Remote => of.message.to_owned(),
            };
            [message, count(of.pairs as u64)].into_iter().chain(times.map(span)).collect()
        }));
    }
    rows
}
