//! `analyze --view rates`: bytes of blocks over time, a row for each far end and direction.

use std::io::{self, Write};

use bittrace_report::{Course, EndBytes, Micros};
use bittrace_trace::statistics::SHORTEST_RATED;
use bittrace_trace::units::rough_size;

use super::time_axis::TimeAxis;
use crate::print::output::styles;
use crate::print::page::Page;
use crate::print::printable::printable;
use crate::print::table::{columns, fit, pad};

/// Bars of one to eight eighths of the full height.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How many columns the name of a far end has at most, and the sum of its bytes.
const NAME: usize = 40;
const SUM: usize = 10;

/// From so many columns on rows name the client beside the address.
const WIDE: usize = 110;

/// A row of the picture.
struct RateRow<'a> {
    arrow: &'static str,
    name: String,
    style: anstyle::Style,
    bytes: &'a EndBytes,
}

/// Writes the rates of a capture.
pub(crate) fn write(course: &Course, page: &mut Page<'_>) -> io::Result<()> {
    let width = page.look.width;
    let row = |arrow, style, bytes| RateRow { arrow, name: name(course, bytes, width), style, bytes };
    let rows: Vec<RateRow<'_>> = shown(course)
        .map(|(bytes, is_sent)| match is_sent {
            true => row("↑", styles::SENT, bytes),
            false => row("↓", styles::RECEIVED, bytes),
        })
        .collect();
    if rows.is_empty() {
        page.heading(&format!("Rates in {}", course.capture.name))?;
        return page.paragraph("No blocks.", 2);
    }
    let name =
        rows.iter().map(|row| columns(&printable(&row.name))).max().unwrap_or(0).min(NAME).min(width / 3);
    let lead = 2 + 2 + name + 2;
    let axis = TimeAxis::new(course.span[1], Some(course.bytes.bin), width.saturating_sub(lead + 2 + SUM));
    let heights: Vec<Vec<u64>> = rows.iter().map(|row| row.by_column(axis, course.bytes.bin)).collect();
    let most = heights.iter().flatten().copied().max().unwrap_or(0).max(1);
    // Over less time a rate would only tell how fast a queue was emptied.
    let full = match axis.seconds() >= SHORTEST_RATED {
        true => format!("{}/s", rough_size((most as f64 / axis.seconds()) as u64)),
        false => rough_size(most),
    };
    axis.heading("Rates", &format!("full height {full}"), page)?;
    for (row, heights) in rows.iter().zip(&heights) {
        let bars: String = heights.iter().map(|bytes| bar(*bytes, most)).collect();
        let arrow = page.look.paint(row.style, &pad(&printable(row.arrow), 2));
        let bars = page.look.paint(row.style, &pad(&bars, axis.columns));
        let sum = format!("{:>SUM$}", rough_size(row.sum()));
        let name = pad(&fit(&row.name, name), name);
        writeln!(page, "  {arrow}{name}  {bars}  {sum}")?;
    }
    axis.ticks_line(lead, page)?;
    let has = |arrow| rows.iter().any(|row| row.arrow == arrow);
    let meanings = [("↓", "received"), ("↑", "sent")].into_iter().filter(|(arrow, _)| has(*arrow));
    page.items(&meanings.map(|(arrow, word)| format!("{arrow} {word}")).collect::<Vec<_>>(), 2, styles::DIM)
}

/// The far ends that have rows, in the order of the rows, and whether a row is of what was sent to them.
pub(crate) fn ends(course: &Course) -> impl Iterator<Item = (i32, bool)> {
    shown(course).map(|(bytes, is_sent)| (bytes.end, is_sent))
}

fn shown(course: &Course) -> impl Iterator<Item = (&EndBytes, bool)> {
    let received = course.bytes.received.iter().map(|bytes| (bytes, false));
    let sent = course.bytes.sent.iter().map(|bytes| (bytes, true));
    received.chain(sent).filter(|(bytes, _)| bytes.bytes.iter().any(|bytes| *bytes > 0))
}

/// The address of the far end, and its client where there is room for both.
fn name(course: &Course, bytes: &EndBytes, width: usize) -> String {
    let end = usize::try_from(bytes.end).ok().and_then(|end| course.ends.get(end));
    end.map_or("other peers".to_owned(), |end| match width < WIDE || end.label == end.address {
        true => end.address.clone(),
        false => format!("{} {}", end.address, end.label),
    })
}

impl RateRow<'_> {
    fn sum(&self) -> u64 {
        self.bytes.bytes.iter().sum()
    }

    /// The bytes of each column of an axis.
    fn by_column(&self, axis: TimeAxis, bin: Micros) -> Vec<u64> {
        let mut sums = vec![0; axis.columns];
        for (at, bytes) in self.bytes.bin.iter().zip(&self.bytes.bytes) {
            sums[axis.column_of(Micros::from(*at) * bin)] += bytes;
        }
        sums
    }
}

/// A bar for some bytes. What is not nothing is seen.
fn bar(bytes: u64, most: u64) -> char {
    let eighths = (bytes as f64 / most as f64 * BARS.len() as f64).ceil() as usize;
    match eighths {
        0 => ' ',
        eighths => BARS[eighths.min(BARS.len()) - 1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_came_is_seen_and_the_most_is_full() {
        let bars: String = [0, 1, 125, 126, 500, 999, 1000].map(|bytes| bar(bytes, 1000)).iter().collect();
        assert_eq!(bars, " ▁▁▂▄██");
    }
}
