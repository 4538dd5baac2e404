//! The table of messages with columns that the user chose.

use std::io::{self, Write};

use crate::print::output::{Look, styles};
use crate::print::table::{columns, wrap};
use crate::query::names::FieldName;
use crate::query::row::{Row, cell};

/// The chosen columns with their widths. Their content wraps: it was asked for.
#[derive(Debug)]
pub(super) struct ChosenColumns {
    look: Look,
    columns: Vec<(FieldName, String, usize)>,
}

/// Where what stands under a row of chosen columns begins.
pub(super) const UNDER: usize = 4;

impl ChosenColumns {
    pub(super) fn new(chosen: &[(FieldName, String)], look: Look) -> Self {
        Self { look, columns: chosen_widths(chosen, look.width) }
    }

    pub(super) fn headings(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut line = TableLine::new(self.look);
        for (_, name, width) in &self.columns {
            line.cell(name, *width, styles::HEADING);
        }
        line.write(out)
    }

    pub(super) fn row(&self, row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut line = TableLine::new(self.look);
        for (at, (name, _, width)) in self.columns.iter().enumerate() {
            let text = row.value(name).map_or(String::new(), |value| cell(&value));
            match at + 1 == self.columns.len() {
                true => line.rest(&text, styles::PLAIN),
                false => line.cell(&text, *width, styles::PLAIN),
            }
        }
        line.write(out)
    }
}

/// The widths of chosen columns; the last one has what is left.
fn chosen_widths(chosen: &[(FieldName, String)], width: usize) -> Vec<(FieldName, String, usize)> {
    let usual = |name: &str| match name {
        "n" | "stream" | "index" | "answers" => 6,
        "begin" | "length" | "fields.length" | "offset" | "left" => 9,
        "speaker" | "transport" | "severity" | "port" => 9,
        "elapsed" | "latency" => 11,
        "protocol" => 12,
        "message" => 17,
        "src" | "dst" => 21,
        "time" => 27,
        "torrent" | "info_hash" | "peer_id" => 40,
        "summary" => 40,
        _ => 14,
    };
    let share = width / chosen.len().max(1);
    chosen
        .iter()
        .map(|(name, text)| {
            let usual = usual(text).max(columns(text));
            (name.clone(), text.clone(), usual.min(share.max(4)))
        })
        .collect()
}

/// Cells side by side, each wrapped within its width, so that the line is as high as the highest.
struct TableLine {
    look: Look,
    cells: Vec<(Vec<String>, usize, anstyle::Style)>,
    used: usize,
}

impl TableLine {
    const fn new(look: Look) -> Self {
        Self { look, cells: Vec::new(), used: 0 }
    }

    fn cell(&mut self, text: &str, width: usize, style: anstyle::Style) {
        let room = self.look.width.saturating_sub(self.used + 1).max(1);
        let width = width.min(room);
        self.push(wrap(text, width), width, style);
    }

    /// The last cell: all that is left of the line.
    fn rest(&mut self, text: &str, style: anstyle::Style) {
        let room = self.look.width.saturating_sub(self.used).max(1);
        self.push(wrap(text, room), room, style);
    }

    fn push(&mut self, lines: Vec<String>, width: usize, style: anstyle::Style) {
        self.cells.push((lines, width, style));
        self.used += width + 1;
    }

    fn write(self, out: &mut dyn Write) -> io::Result<()> {
        let height = self.cells.iter().map(|(lines, ..)| lines.len()).max().unwrap_or(0);
        for at in 0..height {
            let mut blanks = 0;
            for (lines, width, style) in &self.cells {
                let text = lines.get(at).map_or("", String::as_str);
                if !text.is_empty() {
                    write!(out, "{}{}", " ".repeat(blanks), self.look.paint(*style, text))?;
                    blanks = 0;
                }
                blanks += width + 1 - columns(text).min(*width);
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_wrap_within_their_width() {
        for width in [40, 80, 160] {
            let mut line = TableLine::new(Look { width, colour: false });
            line.cell("[2001:db8:1111:2222:3333:4444:5555:6666]:51413", 21, styles::PLAIN);
            line.rest(&"words and more words ".repeat(9), styles::PLAIN);
            let mut out = Vec::new();
            line.write(&mut out).unwrap();
            for line in String::from_utf8(out).unwrap().lines() {
                assert!(columns(line) <= width, "{line:?}");
            }
        }
    }
}
