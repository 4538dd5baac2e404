//! The panes of one message: its findings and fields as lines, its bytes, and which of these belong together.

use std::ops::Range;

use anstyle::Style;
use bittrace_trace::record::Severity;
use bittrace_trace::units::{count, counted, span};

use crate::print::hex::field_rows;
use crate::print::message_table::place_of;
use crate::print::output::styles;
use crate::print::table::wrap;
use crate::query::row::Row;

/// What is shown of one message.
#[derive(Debug, Default)]
pub(crate) struct Detail {
    /// The message, and the width for which the lines were made.
    pub(crate) of: Option<(u32, usize)>,
    pub(crate) lines: Vec<DetailLine>,
    /// How many bytes the message has.
    pub(crate) length: usize,
    /// The line that is chosen.
    pub(crate) line: usize,
    /// The byte that is chosen.
    pub(crate) byte: usize,
    /// The first line and the first row of bytes that are on the screen.
    pub(crate) lines_top: usize,
    pub(crate) bytes_top: usize,
}

/// A line of the fields' pane.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DetailLine {
    pub(crate) text: String,
    pub(crate) style: Style,
    /// The bytes that it is about, of a field.
    pub(crate) span: Option<Range<usize>>,
}

/// The most lines: a message may have millions of fields, and nobody reads on so far.
const LINES: usize = 50_000;

/// Lines of a field are set in by its depth, up to this depth.
const DEEPEST: usize = 12;

/// The lines of a long value: its bytes have all of it.
const FIELD_LINES: usize = 12;

impl Detail {
    /// Shows another message, or the same one in lines of another width: the place within a message is kept. Of another
    /// message the first field is chosen, if a pane of `height` lines has room for it under the findings.
    pub(crate) fn show(&mut self, message: u32, row: &Row<'_>, width: usize, height: usize) {
        if self.of == Some((message, width)) {
            return;
        }
        let is_same = self.of.is_some_and(|(known, _)| known == message);
        self.of = Some((message, width));
        self.length = row.record.bytes.len();
        self.lines = lines(row, width);
        if !is_same {
            let first = self.lines.iter().position(|line| line.span.is_some());
            self.line = first.filter(|line| *line < height).unwrap_or_default();
            (self.byte, self.lines_top, self.bytes_top) = (0, 0, 0);
        }
        self.line = self.line.min(self.lines.len().saturating_sub(1));
    }

    /// Shows no message.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The bytes of the chosen line.
    pub(crate) fn span(&self) -> Option<Range<usize>> {
        self.lines.get(self.line)?.span.clone()
    }

    /// Goes to a line, and to its bytes.
    pub(crate) fn go_to_line(&mut self, line: usize) {
        self.line = line.min(self.lines.len().saturating_sub(1));
        if let Some(span) = self.span() {
            self.byte = span.start.min(self.length.saturating_sub(1));
        }
    }

    /// Goes to a byte, and to the field that has it.
    pub(crate) fn go_to_byte(&mut self, byte: usize) {
        self.byte = byte.min(self.length.saturating_sub(1));
        let has = |line: &DetailLine| line.span.as_ref().is_some_and(|span| span.contains(&self.byte));
        if let Some(line) = self.lines.iter().position(has) {
            self.line = line;
        }
    }

    /// Moves what is on the screen as little as needed for the chosen line and byte to be seen.
    pub(crate) fn settle(&mut self, lines: usize, rows: usize, bytes_on_a_row: usize) {
        self.lines_top = scrolled(self.lines_top, self.line, self.lines.len(), lines);
        let all = self.length.div_ceil(bytes_on_a_row);
        self.bytes_top = scrolled(self.bytes_top, self.byte / bytes_on_a_row, all, rows);
    }
}

/// The first of `all` lines on a screen of `height`, so that `chosen` is seen.
pub(crate) fn scrolled(top: usize, chosen: usize, all: usize, height: usize) -> usize {
    let height = height.max(1);
    let top = top.min(chosen).max((chosen + 1).saturating_sub(height));
    top.min(all.saturating_sub(height))
}

fn lines(row: &Row<'_>, width: usize) -> Vec<DetailLine> {
    let record = row.record;
    let mut lines = Vec::new();
    let mut say = |text: &str, style: Style| {
        for (at, text) in wrap(text, width.saturating_sub(1)).into_iter().enumerate() {
            let text = if at == 0 { text } else { format!(" {text}") };
            lines.push(DetailLine { text, style, span: None });
        }
    };
    for note in &record.notes {
        let severity = note.rule.severity;
        let text = match severity {
            Severity::Chat => note.text.to_string(),
            _ => format!("{}: {} [{}]", severity.name(), note.text, note.rule.id),
        };
        say(&text, styles::severity(severity));
    }
    if let (Some(number), Some(answer)) = (row.answers(), record.answers) {
        say(&format!("answers message {number} after {}", span(answer.latency)), styles::PLAIN);
    }
    let fields = record.fields();
    let rows = field_rows(record, &fields, row.torrent());
    let more = rows.len().saturating_sub(LINES);
    for field in rows.into_iter().take(LINES) {
        let indent = 2 * field.depth.min(DEEPEST);
        let wrapped = wrap(&field.text, width.saturating_sub(indent + 2).max(8));
        for (at, text) in wrapped.into_iter().take(FIELD_LINES).enumerate() {
            let indent = indent + if at == 0 { 0 } else { 2 };
            let text = format!("{}{text}", " ".repeat(indent));
            lines.push(DetailLine { text, style: field.style, span: Some(field.span.clone()) });
        }
    }
    let mut say = |text: String| lines.push(DetailLine { text, style: styles::DIM, span: None });
    if more > 0 {
        say(format!("… {}; bittrace analyze --hex -v shows them", counted(more as u64, "more field")));
    }
    say(format!("{} → {}", record.source, record.destination));
    say(place_of(record));
    if record.effect.outstanding != [0, 0] {
        let [initiator, responder] = record.effect.outstanding.map(u64::from);
        say(format!(
            "outstanding requests after it: {} of the initiator, {} of the responder",
            count(initiator),
            count(responder)
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_is_on_the_screen() {
        for all in 0..20 {
            for height in 1..8 {
                for chosen in 0..all {
                    for top in 0..25 {
                        let top = scrolled(top, chosen, all, height);
                        assert!((top..top + height).contains(&chosen));
                        assert!(top == 0 || top + height <= all);
                    }
                }
            }
        }
    }
}
