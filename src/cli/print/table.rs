//! Text in columns: widths chosen beforehand, so that no line is longer than the terminal and rows can be written as
//! they come.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ColumnConstraint, Table, Width, presets};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::print::output::Look;
use crate::print::printable::printable;

/// How many columns a text takes.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// Breaks a text into lines of at most `width` columns, at blanks where there are some. No text is one empty line. The
/// lines are printable.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in words(text) {
        let word = printable(word);
        let length = columns(&word);
        if used > 0 && used + 1 + length > width {
            lines.push(String::new());
            used = 0;
        } else if used > 0 {
            push(&mut lines, " ");
            used += 1;
        }
        for c in word.chars() {
            let length = c.width().unwrap_or(0);
            if used + length > width {
                lines.push(String::new());
                used = 0;
            }
            push(&mut lines, c.encode_utf8(&mut [0; 4]));
            used += length;
        }
    }
    lines
}

/// A text in at most `width` columns: whole, or without its last parts, or cut within a part where even the first is too long.
/// An ellipsis marks what is left out. The line is printable.
pub(crate) fn fit(text: &str, width: usize) -> String {
    let text = printable(text);
    if columns(&text) <= width {
        return text.into_owned();
    }
    let mark = printable("…");
    let room = width.saturating_sub(columns(&mark));
    let mut end = 0;
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        end = at + c.len_utf8();
    }
    let cut = &text[..end];
    // A blank stands before the mark where a whole part ends.
    let mut parts = cut.rmatch_indices([',', ';', ':']).map(|(at, _)| at);
    let whole = parts.find(|&at| text[at + 1..].starts_with(' '));
    match whole {
        Some(at) if 2 * columns(&text[..at]) >= room => format!("{} {mark}", &text[..at]),
        _ if room == 0 => mark.chars().take(width).collect(),
        _ => format!("{}{mark}", cut.trim_end()),
    }
}

/// The words of a text, a number and its unit being one.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut end = text.find(' ').unwrap_or(text.len());
        if text[..end].ends_with(|c: char| c.is_ascii_digit())
            && let Some(after) = text.get(end + 1..)
        {
            let next = after.split(' ').next().unwrap_or_default();
            if UNITS.contains(&next.trim_end_matches([')', ',', ';', ':'])) {
                end += 1 + next.len();
            }
        }
        rest = text.get(end + 1..);
        Some(&text[..end])
    })
}

/// What is not torn from the number before it.
const UNITS: [&str; 13] =
    ["B", "KiB", "MiB", "GiB", "KiB/s", "MiB/s", "byte", "bytes", "s", "ms", "µs", "min", "%"];

fn push(lines: &mut [String], text: &str) {
    if let Some(line) = lines.last_mut() {
        line.push_str(text);
    }
}

/// `text` filled up with blanks on the right to `width` columns.
pub(crate) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

/// A column of a short table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// Its heading.
    pub(crate) heading: &'static str,
    /// The least it can be read in.
    pub(crate) least: usize,
    /// Whether it holds numbers, which end flush.
    pub(crate) numbers: bool,
}

impl Column {
    /// A column of text, at least `least` wide.
    pub(crate) const fn text(heading: &'static str, least: usize) -> Self {
        Self { heading, least, numbers: false }
    }

    /// A column of numbers; these are never broken.
    pub(crate) const fn numbers(heading: &'static str) -> Self {
        Self { heading, least: 0, numbers: true }
    }
}

/// A short table under its headings, indented, in at most `look.width` columns. Columns without any content are left
/// out.
pub(crate) fn render(columns: &[Column], rows: &[Vec<String>], look: Look) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|text| printable(text).into_owned()).collect()).collect();
    let used: Vec<usize> = (0..columns.len())
        .filter(|&at| rows.iter().any(|row| row.get(at).is_some_and(|text| !text.is_empty())))
        .collect();
    let columns: Vec<Column> = used.iter().map(|&at| columns[at]).collect();
    let rows: Vec<Vec<&str>> = rows
        .iter()
        .map(|row| used.iter().map(|&at| row.get(at).map_or("", String::as_str)).collect())
        .collect();
    let widths = widths(&columns, &rows, look.width.saturating_sub(INDENT.len()));

    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if look.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(columns.iter().map(|column| {
        let cell = Cell::new(column.heading).fg(Color::DarkGrey).add_attribute(Attribute::Bold);
        align(cell, *column)
    }));
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(text, width)| wrap(text, *width).join("\n"));
        table.add_row(cells.zip(&columns).map(|(text, column)| align(Cell::new(text), *column)));
    }
    for (at, width) in widths.iter().enumerate() {
        let last = at + 1 == widths.len();
        let gap = if last { 0 } else { GAP };
        if let Some(column) = table.column_mut(at) {
            column.set_padding((0, gap as u16));
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed((width + gap) as u16)));
        }
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(INDENT);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

const INDENT: &str = "  ";
const GAP: usize = 2;

fn align(cell: Cell, column: Column) -> Cell {
    cell.set_alignment(if column.numbers { CellAlignment::Right } else { CellAlignment::Left })
}

/// As wide as the content where that fits. Where it does not, the widest text columns give way first, down to their
/// least; then they are cut down evenly.
fn widths(shape: &[Column], rows: &[Vec<&str>], room: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = shape
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let content = rows.iter().map(|row| columns(row[at])).max().unwrap_or(0);
            content.max(columns(column.heading)).max(1)
        })
        .collect();
    let room = room.saturating_sub(GAP * shape.len().saturating_sub(1));
    for keeps_least in [true, false] {
        while widths.iter().sum::<usize>() > room {
            let least =
                |at: usize| if keeps_least { shape[at].least.max(columns(shape[at].heading)) } else { 3 };
            let widest = (0..widths.len())
                .filter(|&at| (!shape[at].numbers || !keeps_least) && widths[at] > least(at))
                .max_by_key(|&at| widths[at]);
            let Some(widest) = widest else { break };
            widths[widest] -= 1;
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: Look = Look { width: 80, colour: false };

    #[test]
    fn text_breaks_at_blanks_and_long_words_anywhere() {
        assert_eq!(wrap("request piece 3", 9), ["request", "piece 3"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("block of 16 KiB, 2 more", 12), ["block of", "16 KiB, 2", "more"]);
    }

    #[test]
    fn what_does_not_fit_loses_its_last_parts() {
        assert_eq!(fit("request 3, 16 KiB", 17), "request 3, 16 KiB");
        assert_eq!(fit("request 3, 16 KiB", 16), "request 3 …");
        assert_eq!(fit("extended handshake", 10), "extended…");
        assert_eq!(fit("a, bcdefghijklmnopq", 12), "a, bcdefghi…");
        assert_eq!(fit("abc", 0), "");
    }

    #[test]
    fn columns_without_content_are_left_out() {
        let shape = [Column::text("who", 5), Column::text("empty", 5), Column::numbers("blocks")];
        let rows = [vec!["a".to_owned(), String::new(), "12".to_owned()]];
        assert_eq!(render(&shape, &rows, PLAIN), "  who  blocks\n  a        12\n");
    }

    proptest! {
        #[test]
        fn no_line_is_longer_than_the_terminal(
            cells in prop::collection::vec(prop::collection::vec("[a-zé漢:. -]{0,90}", 5), 1..5),
            width in 60..200_usize,
        ) {
            let shape = [
                Column::text("who", 10), Column::text("client", 8), Column::text("tracker", 12),
                Column::numbers("bytes"), Column::text("outcome", 8),
            ];
            for line in render(&shape, &cells, Look { width, colour: false }).lines() {
                prop_assert!(columns(line) <= width, "{} columns: {line:?}", columns(line));
            }
        }

        #[test]
        fn what_is_made_to_fit_fits(text in "[a-zé漢,: ]{0,120}", width in 0..130_usize) {
            prop_assert!(columns(&fit(&text, width)) <= width);
        }

        #[test]
        fn wrapping_loses_no_letter(text in "[a-zé漢 ]{0,120}", width in 2..40_usize) {
            let lines = wrap(&text, width);
            for line in &lines {
                prop_assert!(columns(line) <= width);
            }
            let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
