//! Results as CSV (RFC 4180): a header, then a row a message. What is a list or an object elsewhere is JSON in its cell.
//! CSV is opened in spreadsheets, which compute, and printed on terminals, which obey: no text of a capture makes either
//! do something.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering};

use csv::{ByteRecord, Writer, WriterBuilder};
use serde_json::Value;

use crate::print::printable::undisguised;
use crate::print::run_numbers::RunNumbers;
use crate::query::cell_value::CellValue;
use crate::query::names::{FieldName, KEYS, KeyPlace};
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
/// For anything else, and for characters that cells are quoted, lines ended or numbers written with.
pub(crate) fn parse_separator(text: &str) -> Result<u8, &'static str> {
    match text.as_bytes() {
        b"tab" | b"\\t" | b"/t" => Ok(b'\t'),
        [character] if !matches!(character, b'"' | b'\r' | b'\n' | 0 | b'0'..=b'9') => Ok(*character),
        _ => Err("expected one character of ASCII, neither a quote nor a digit, or tab"),
    }
}

/// Writes cells with the separator that was asked for.
fn writer<W: Write>(out: W) -> Writer<W> {
    WriterBuilder::new().delimiter(SEPARATOR.load(Ordering::Relaxed)).from_writer(out)
}

/// Writes messages as CSV.
#[derive(Debug)]
pub(crate) struct CsvTable {
    columns: Vec<(FieldName, String)>,
    begun: bool,
    writer: Writer<CsvLine>,
    /// What the writer wrote.
    line: CsvLine,
    /// Room for the cells of a row, and for one of them.
    cells: ByteRecord,
    cell: String,
}

/// A line that is being written, and read by whoever holds the other half.
#[derive(Debug, Clone, Default)]
struct CsvLine(Rc<RefCell<Vec<u8>>>);

impl Write for CsvLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
        let line = CsvLine::default();
        let writer = writer(line.clone());
        Self { columns, begun: false, writer, line, cells: ByteRecord::new(), cell: String::new() }
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
        let Self { columns, cells, .. } = self;
        cells.clear();
        for (name, _) in columns.iter() {
            self.cell.clear();
            match row.said(name) {
                Some(CellValue::MarkedNumber(number)) => {
                    let mut marked = Vec::new();
                    RunNumbers::Marked.push(number, &mut marked);
                    cells.push_field(&marked);
                    continue;
                }
                Some(said) => write!(self.cell, "{said}").map_err(io::Error::other)?,
                None => {}
            }
            cells.push_field(inert(&self.cell).as_bytes());
        }
        self.writer.write_byte_record(cells)?;
        self.writer.flush()?;
        let mut line = self.line.0.borrow_mut();
        out.write_all(&line)?;
        line.clear();
        Ok(())
    }
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
    if cell.starts_with(FORMULA) && !is_number(&cell) { Cow::Owned(format!("'{cell}")) } else { cell }
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
    use super::*;

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
        for text in ["", "\"", "\n", "\0", "7", ";;", "é", "tabs"] {
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
}
