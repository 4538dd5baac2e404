//! Results as CSV (RFC 4180): a header, then a row a message. What is a list or an object elsewhere is JSON in its cell.
//! CSV is opened in spreadsheets, which compute, and printed on terminals, which obey: no text of a capture makes either
//! do something.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU8, Ordering};

use csv::{Writer, WriterBuilder};
use serde_json::Value;

use crate::print::kept_texts::{KeptTexts, push_number};
use crate::print::printable::{has_byte, undisguised};
use crate::print::run_numbers::RunNumbers;
use crate::query::cell_value::CellValue;
use crate::query::names::{FieldName, KEYS, KeyPlace, RowKey};
use crate::query::row::Row;

/// What stands between two cells.
static SEPARATOR: AtomicU8 = AtomicU8::new(b',');

/// Puts a character between cells from now on, in place of the comma.
pub(crate) fn separate_with(character: u8) {
    SEPARATOR.store(character, Ordering::Relaxed);
}

/// Reads a separator as a user writes it: a character of ASCII, or a tab by its name, or as tshark has it.
///
/// # Errors
/// For anything else, and for characters that stand in numbers, names, times and addresses: these are never quoted.
pub(crate) fn parse_separator(text: &str) -> Result<u8, &'static str> {
    match text.as_bytes() {
        b"tab" | b"\\t" | b"/t" | b"\t" => Ok(b'\t'),
        [character]
            if (character.is_ascii_punctuation() || *character == b' ')
                && !NO_SEPARATORS.contains(character) =>
        {
            Ok(*character)
        }
        _ => Err(
            "expected tab, or one character that names, numbers and addresses do not have, such as ; or |",
        ),
    }
}

/// Punctuation that quotes cells, or stands in cells that need no quotation marks.
const NO_SEPARATORS: &[u8] = b"\"+-._:[]{}%";

/// Writes cells with the separator that was asked for.
fn writer<W: Write>(out: W) -> Writer<W> {
    WriterBuilder::new().delimiter(SEPARATOR.load(Ordering::Relaxed)).from_writer(out)
}

/// Writes messages as CSV.
#[derive(Debug)]
pub(crate) struct CsvTable {
    columns: Vec<(FieldName, String)>,
    begun: bool,
    /// The line that is being written.
    line: Vec<u8>,
    /// The cell that is being written.
    cell: String,
    texts: KeptTexts,
}

/// The fields that most messages of a download have, in columns of their own. `fields` has all of them in JSON.
const OF_BLOCKS: [&str; 3] = ["index", "begin", "fields.length"];

impl CsvTable {
    /// A table of the chosen columns, or of all keys and the message's own fields.
    pub(crate) fn new(chosen: &[(FieldName, String)], with_bytes: bool) -> Self {
        if !chosen.is_empty() {
            return Self::of(chosen.to_vec());
        }
        let keys = KEYS.iter().filter(|(_, key)| match key.place() {
            KeyPlace::Everywhere | KeyPlace::Csv => true,
            KeyPlace::WithBytes => with_bytes,
            KeyPlace::Json | KeyPlace::Nowhere => false,
        });
        let keys = keys.map(|(name, key)| (FieldName::Key(*key), (*name).to_owned()));
        let of_blocks = OF_BLOCKS.iter().map(|name| {
            let path = name.trim_start_matches("fields.");
            (FieldName::Field(path.to_owned()), (*name).to_owned())
        });
        Self::of(keys.chain(of_blocks).collect())
    }

    fn of(columns: Vec<(FieldName, String)>) -> Self {
        Self { columns, begun: false, line: Vec::new(), cell: String::new(), texts: KeptTexts::default() }
    }

    /// Writes the header, unless that is done.
    pub(crate) fn header(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        write_cells(self.columns.iter().map(|(_, text)| text.clone()), out)
    }

    /// Writes one message.
    pub(crate) fn row(&mut self, row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.header(out)?;
        let Self { columns, line, cell, texts, .. } = self;
        let separator = SEPARATOR.load(Ordering::Relaxed);
        line.clear();
        for (place, (name, _)) in columns.iter().enumerate() {
            if place > 0 {
                line.push(separator);
            }
            cell.clear();
            match name {
                FieldName::Key(RowKey::Summary) => row.summary_into(cell),
                FieldName::Key(RowKey::Fields) if push_numbers(row, line) => continue,
                name => match row.said(name) {
                    // These begin no formula and need no quotation marks.
                    Some(CellValue::Number(number)) => push_number(number, line),
                    Some(CellValue::MarkedNumber(number)) => RunNumbers::Marked.push(number, line),
                    Some(CellValue::Word(word)) => line.extend_from_slice(word.as_bytes()),
                    Some(CellValue::Time(at)) => texts.push_time(at, line),
                    Some(CellValue::End(end)) => texts.push_end(end, line),
                    Some(CellValue::Hash(hash)) => texts.push_hash(hash, line),
                    Some(CellValue::Seconds(seconds)) if seconds.is_sign_positive() => {
                        serde_json::to_writer(&mut *line, &seconds)?;
                    }
                    Some(CellValue::Text(text)) => cell.push_str(&text),
                    Some(CellValue::Notes([])) | None => {}
                    Some(said) => write!(cell, "{said}").map_err(io::Error::other)?,
                },
            }
            // A row of one empty cell is no empty line.
            if !cell.is_empty() || columns.len() == 1 && line.is_empty() {
                push_cell(cell, separator, line);
            }
        }
        line.push(b'\n');
        out.write_all(line)
    }
}

/// Adds a message's own fields to a line as a cell of JSON, where all of them are numbers; whether they are.
fn push_numbers(row: &Row<'_>, line: &mut Vec<u8>) -> bool {
    let before = line.len();
    let numbers_alone = row.each_number(|name, number| {
        line.extend_from_slice(if line.len() == before { b"\"{\"\"" } else { b",\"\"" });
        line.extend_from_slice(name.as_bytes());
        line.extend_from_slice(b"\"\":");
        push_number(number, line);
    });
    if numbers_alone {
        line.extend_from_slice(if line.len() == before { b"{}" } else { b"}\"" });
    }
    numbers_alone
}

/// Adds a cell to a line, between quotation marks where the cell has the separator or such a mark of its own (RFC 4180,
/// section 2).
/// Line breaks are none of its characters.
fn push_cell(cell: &str, separator: u8, line: &mut Vec<u8>) {
    let cell = inert(cell);
    if !cell.is_empty() && !has_byte(&cell, separator) && !has_byte(&cell, b'"') {
        line.extend_from_slice(cell.as_bytes());
        return;
    }
    line.push(b'"');
    for (place, part) in cell.split('"').enumerate() {
        if place > 0 {
            line.extend_from_slice(b"\"\"");
        }
        line.extend_from_slice(part.as_bytes());
    }
    line.push(b'"');
}

/// A value as one cell.
pub(crate) fn cell(value: &Value) -> String {
    CellValue::Field(value).to_string()
}

/// Writes cells as one row.
pub(crate) fn write_cells(cells: impl Iterator<Item = String>, out: &mut dyn Write) -> io::Result<()> {
    write_raw_cells(cells.map(|cell| inert(&cell).into_owned().into_bytes()), out)
}

/// The same of cells that are [`inert`] already.
pub(crate) fn write_raw_cells(cells: impl Iterator<Item = Vec<u8>>, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = writer(Vec::with_capacity(256));
    writer.write_record(cells)?;
    let line = writer.into_inner().map_err(|error| error.into_error())?;
    out.write_all(&line)
}

/// A cell that no spreadsheet computes and no terminal obeys: an apostrophe goes before what would begin a formula, as
/// OWASP advises ("CSV Injection"), but not before a number.
pub(crate) fn inert(cell: &str) -> Cow<'_, str> {
    let cell = undisguised(cell);
    // Nearly all cells begin with a letter or a digit.
    let begins_plain = cell.as_bytes().first().is_none_or(u8::is_ascii_alphanumeric);
    if !begins_plain && cell.starts_with(FORMULA) && !is_number(&cell) {
        Cow::Owned(format!("'{cell}"))
    } else {
        cell
    }
}

/// What begins a formula, full-width forms as well. Tabs, carriage returns and line feeds, which OWASP names beside
/// these, are not printable.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// Whether a cell is decimal digits with a sign, at most one point among them.
fn is_number(cell: &str) -> bool {
    let digits = cell.strip_prefix(['+', '-']).unwrap_or(cell);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use bittrace_testing::captures::{captures, options};
    use bittrace_trace::{Dissected, Trace};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::query::row::CaptureContext;

    #[test]
    fn no_cell_begins_a_formula_and_numbers_stay_numbers() {
        for formula in [
            "=1+1",
            "+cmd|' /C calc'!A0",
            "-2+3",
            "@SUM(A1)",
            "-",
            "-TR2940-",
            "-1.",
            "--1",
            "-inf",
            "\u{ff1d}1",
        ] {
            assert_eq!(inert(formula), format!("'{formula}"));
        }
        for other in ["-1", "-0.25", "+7", "12", "", "a=1", "'=1", "2026-11-28T17:53:00Z"] {
            assert_eq!(inert(other), other);
        }
    }

    #[test]
    fn no_cell_commands_a_terminal() {
        assert_eq!(inert("\t=1"), "\u{fffd}=1");
        assert_eq!(inert("a\u{1b}[2J\r\n\u{9b}1m\u{202e}"), "a\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}1m\u{fffd}");
    }

    #[test]
    fn a_separator_is_one_character_that_is_no_other_part_of_csv() {
        for (text, character) in
            [(";", b';'), ("|", b'|'), ("tab", b'\t'), ("\\t", b'\t'), ("/t", b'\t'), ("\t", b'\t')]
        {
            assert_eq!(parse_separator(text), Ok(character), "{text:?}");
        }
        for text in ["", "\"", "\n", "\0", "7", "x", "-", ":", ".", "_", ";;", "é", "tabs"] {
            assert!(parse_separator(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn cells_with_commas_and_quotes_are_quoted() {
        let mut out = Vec::new();
        let cells = ["a,b", "say \"hi\"", "plain", ""].map(str::to_owned);
        write_cells(cells.into_iter(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "\"a,b\",\"say \"\"hi\"\"\",plain,\n");
    }

    #[test]
    fn every_message_of_the_captures_has_the_row_that_the_library_writes() {
        let mut rows = 0;
        for path in captures() {
            let mut trace = Trace::open(&path, options(&path)).unwrap();
            let mut tables = [CsvTable::new(&[], false), CsvTable::new(&[], true)];
            let capture = format!("=a, \"{}\"", path.display());
            let place = CaptureContext::new(capture, 7, Vec::new());
            while let Ok(Some(dissected)) = trace.next() {
                let Dissected::Record(record) = dissected else { continue };
                let row = Row::new(&record, &place);
                for table in &mut tables {
                    let (mut straight, mut expected) = (Vec::new(), Vec::new());
                    table.header(&mut io::sink()).unwrap();
                    table.row(&row, &mut straight).unwrap();
                    let cells = table.columns.iter().map(|(name, _)| match name {
                        FieldName::Key(key) => row.key(*key).map(|said| said.to_string()),
                        FieldName::Field(path) => row.field(path).map(cell),
                        FieldName::Scoped(..) => None,
                    });
                    write_cells(cells.map(Option::unwrap_or_default), &mut expected).unwrap();
                    assert_eq!(String::from_utf8(straight).unwrap(), String::from_utf8(expected).unwrap());
                }
                rows += 1;
            }
        }
        assert!(rows > 1000, "{rows}");
    }

    proptest! {
        #[test]
        fn cells_are_quoted_as_the_library_quotes_them(cells in vec(".{0,9}|[a,\"\n ]{0,4}", 1..4)) {
            let mut line = Vec::new();
            for (place, cell) in cells.iter().enumerate() {
                if place > 0 {
                    line.push(b',');
                }
                if !cell.is_empty() || cells.len() == 1 {
                    push_cell(cell, b',', &mut line);
                }
            }
            line.push(b'\n');
            let mut expected = Vec::new();
            write_cells(cells.into_iter(), &mut expected).unwrap();
            prop_assert_eq!(String::from_utf8(line).unwrap(), String::from_utf8(expected).unwrap());
        }
    }
}
