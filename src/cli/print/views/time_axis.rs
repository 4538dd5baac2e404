//! The axis of time under pictures in plain text: columns of one width, from the first packet to the last.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use bittrace_report::Micros;
use bittrace_trace::units::span;

use crate::print::output::styles;
use crate::print::page::Page;
use crate::print::printable::printable;
use crate::print::table::{columns, fit};

/// Columns of equal width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeAxis {
    /// How long a column is, in microseconds.
    column: Micros,
    /// How many columns there are.
    pub(super) columns: usize,
    /// The last packet.
    end: Micros,
}

/// How far the numbers under an axis stand apart, in columns.
const TICKS: usize = 16;

impl TimeAxis {
    /// An axis up to `end` in at most `room` columns. What is known only by bins gets columns of whole bins, so that nothing
    /// has to be divided.
    pub(super) fn new(end: Micros, bin: Option<Micros>, room: usize) -> Self {
        let room = room.max(1) as Micros;
        let bin = bin.unwrap_or(1).max(1);
        let bins = (end / bin).saturating_add(1);
        let column = bins.div_ceil(room).saturating_mul(bin);
        Self { column, columns: (end / column + 1) as usize, end }
    }

    /// The column of a moment. Records may be a little later than the last packet says; they are in the last column.
    pub(super) fn column_of(self, t: Micros) -> usize {
        ((t / self.column) as usize).min(self.columns - 1)
    }

    /// How long a column is, in seconds.
    pub(super) fn seconds(self) -> f64 {
        self.column as f64 / 1e6
    }

    /// The heading of a picture: what it shows, over how long, and how long a column is; then what else there is to say of it.
    /// Where a line has no room for all of that, the second half has lines of its own.
    pub(super) fn heading(self, what: &str, more: &str, page: &mut Page<'_>) -> io::Result<()> {
        let scale = format!("{}, {more}", self.scale());
        let line = format!("{what} over {scale}");
        if columns(&printable(&line)) <= page.look.width {
            return page.heading(&line);
        }
        page.heading(&fit(what, page.look.width))?;
        page.paragraph(&scale, 2)
    }

    /// Seconds under or over the columns, which begin after `lead` others.
    pub(super) fn ticks_line(self, lead: usize, page: &mut Page<'_>) -> io::Result<()> {
        let ticks = page.look.paint(styles::DIM, &self.ticks());
        writeln!(page, "{}{ticks}", " ".repeat(lead))
    }

    /// How long the whole is, and how long a column: `26.86 s: a column is 420 ms`.
    fn scale(self) -> String {
        format!("{}: a column is {}", span(self.end as f64 / 1e6), span(self.seconds()))
    }

    /// Seconds since the first packet over the columns where they begin, with as many digits as tell them apart.
    fn ticks(self) -> String {
        let step = TICKS as f64 * self.seconds();
        let digits = (1.0 - step.log10().floor()).clamp(0.0, 6.0) as usize;
        let mut line = String::new();
        for at in (0..self.columns).step_by(TICKS) {
            let tick = format!("{:.digits$}", at as f64 * self.seconds());
            // A number that would not end within the axis is left out.
            if at + tick.len() <= self.columns.max(TICKS) {
                let gap = at.saturating_sub(columns(&line));
                let _ = write!(line, "{}{tick}", " ".repeat(gap));
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_whole_bins_and_hold_every_moment() {
        for (end, bin, room) in [
            (26_860_000, None, 64),
            (26_860_000, Some(32_768), 64),
            (0, None, 10),
            (1, Some(1), 1),
            (Micros::MAX, Some(1 << 60), 40),
        ] {
            let axis = TimeAxis::new(end, bin, room);
            assert!((1..=room).contains(&axis.columns), "{axis:?}");
            assert_eq!(axis.column_of(end), axis.columns - 1);
            assert_eq!(axis.column % bin.unwrap_or(1), 0);
        }
    }

    #[test]
    fn numbers_tell_the_columns_apart() {
        let axis = TimeAxis::new(26_860_000, None, 64);
        assert_eq!(axis.scale(), "26.86 s: a column is 420 ms");
        assert_eq!(axis.ticks(), "0.0             6.7             13.4            20.1");
        assert_eq!(TimeAxis::new(7_000, None, 40).ticks(), "0.0000          0.0028          0.0056");
        assert_eq!(TimeAxis::new(3_600_000_000, None, 40).ticks(), "0               1440            2880");
    }
}
