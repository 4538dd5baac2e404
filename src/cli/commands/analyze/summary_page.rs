//! What the table of a capture ends with: the summary, the messages that waited for it, and what was left out.

use std::io::{self, Write};

use bittrace_trace::units::{count, counted};
use bittrace_trace::{Summary, Trace};

use super::Analysis;
use super::reading::CaptureReading;
use crate::print::output::styles;
use crate::print::overview::Overview;
use crate::print::page::Page;
use crate::print::printable::printable;
use crate::query::row::Row;

impl Analysis {
    /// Says of which capture a table is, where there are several captures.
    pub(super) fn name_capture(&mut self, name: &str) -> io::Result<()> {
        if self.captures.len() < 2 {
            return Ok(());
        }
        Page::new(self.output.look, &mut self.output).title(name)
    }

    pub(super) fn close_table(
        &mut self,
        name: &str,
        trace: &Trace,
        summary: &Summary,
        mut reading: CaptureReading,
    ) -> io::Result<()> {
        let look = self.output.look;
        let read = counted(reading.read, "message");
        if reading.read > 0 && reading.chosen == 0 {
            self.name_capture(name)?;
            let lasted = trace.span().map_or(0.0, |(first, last)| last.seconds_since(first));
            let tail = format!("no message matches ({read}, {lasted:.3} s)");
            return Page::new(look, &mut self.output).painted(&tail, 0, styles::DIM);
        }
        if self.settings.show.summary {
            if !self.settings.show.held && self.settings.show.messages {
                writeln!(self.output)?;
            }
            let (order, verbose) = (self.settings.order.unwrap_or_default(), self.settings.common.verbose);
            Overview { name, trace, summary, look, order, verbose }.write(&mut self.output)?;
            if !self.choice.is_everything() && reading.chosen > 0 {
                let remark =
                    format!("Only the chosen messages are counted: {} of {read}.", count(reading.chosen));
                writeln!(self.output)?;
                Page::new(look, &mut self.output).painted(&remark, 2, styles::DIM)?;
            }
        } else if reading.read == 0 {
            writeln!(
                self.output,
                "{}: no BitTorrent traffic in {}",
                printable(name),
                counted(trace.capture().packets(), "packet")
            )?;
        }
        if !self.settings.show.messages || summary.records == 0 {
            return Ok(());
        }
        if self.settings.show.held && !reading.held.is_empty() {
            writeln!(self.output)?;
            for record in &reading.held {
                let row = Row::new(record, &reading.place);
                reading.view.row(&row, trace.local(), &mut self.output)?;
            }
            reading.view.finish(&mut self.output)?;
        }
        if reading.chosen <= self.settings.show.limit {
            return Ok(());
        }
        let mut tail = format!("… {}", counted(reading.chosen - self.settings.show.limit, "more message"));
        if self.settings.most_rows.is_none() {
            tail.push_str("; all: --view messages; some: --limit N, --filter EXPR");
        }
        Page::new(look, &mut self.output).painted(&tail, 0, styles::DIM)
    }
}
