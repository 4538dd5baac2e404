//! One log in the ASCII format of Zeek: a header that names and types the fields, then a row a line, cells apart by tabs.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use bittrace_protocol::Timestamp;
use bittrace_trace::record::disguises;

/// A field of a log: its name and Zeek's name of its type.
pub(super) type LogField = (&'static str, &'static str);

/// Writes a log, cell by cell. Every row has a cell for each field.
#[derive(Debug)]
pub(super) struct ZeekLog<W: Write> {
    out: W,
    fields: usize,
    /// The row that is being written, and how many cells it has.
    line: String,
    cells: usize,
    /// Room for the text of one cell.
    text: String,
    rows: u64,
}

/// What stands in a cell without a value, and in one whose value is empty.
const UNSET: &str = "-";
const EMPTY: &str = "(empty)";

impl<W: Write> ZeekLog<W> {
    /// Writes the header. The lines `#open` and `#close` of Zeek are left out: they tell the time by the clock.
    pub(super) fn new(path: &str, fields: &[&[LogField]], mut out: W) -> io::Result<Self> {
        let names = fields.iter().copied().flatten().map(|(name, _)| *name);
        let types = fields.iter().copied().flatten().map(|(_, kind)| *kind);
        let (names, types): (Vec<_>, Vec<_>) = (names.collect(), types.collect());
        writeln!(out, "#separator \\x09")?;
        writeln!(out, "#set_separator\t,")?;
        writeln!(out, "#empty_field\t{EMPTY}")?;
        writeln!(out, "#unset_field\t{UNSET}")?;
        writeln!(out, "#path\t{path}")?;
        writeln!(out, "#fields\t{}", names.join("\t"))?;
        writeln!(out, "#types\t{}", types.join("\t"))?;
        let (line, text) = (String::with_capacity(512), String::with_capacity(256));
        Ok(Self { out, fields: names.len(), line, cells: 0, text, rows: 0 })
    }

    /// A cell of any value that is displayed as Zeek writes it; nothing where there is none.
    pub(super) fn cell(&mut self, value: Option<impl fmt::Display>) {
        self.next_cell();
        match value {
            // Writing to a string does not fail.
            Some(value) => {
                let _ = write!(self.line, "{value}");
            }
            None => self.line.push_str(UNSET),
        }
    }

    pub(super) fn flag(&mut self, value: bool) {
        self.cell(Some(if value { 'T' } else { 'F' }));
    }

    /// A cell of text of others.
    pub(super) fn text(&mut self, value: Option<impl fmt::Display>) {
        self.next_cell();
        let Some(value) = value else { return self.line.push_str(UNSET) };
        self.text.clear();
        let _ = write!(self.text, "{value}");
        escape(&self.text, None, &mut self.line);
    }

    /// A cell of a set of texts.
    pub(super) fn set<'a>(&mut self, values: impl Iterator<Item = &'a str>) {
        self.next_cell();
        let before = self.line.len();
        for value in values {
            if self.line.len() > before {
                self.line.push(',');
            }
            escape(value, Some(','), &mut self.line);
        }
        if self.line.len() == before {
            self.line.push_str(EMPTY);
        }
    }

    pub(super) fn time(&mut self, at: Timestamp) {
        self.cell(Some(Nanos(at.as_nanos())));
    }

    /// A cell of a time in seconds.
    pub(super) fn interval(&mut self, seconds: Option<f64>) {
        self.cell(seconds.map(|seconds| Nanos((seconds * 1e9).round() as i64)));
    }

    /// Ends the row.
    pub(super) fn end_row(&mut self) -> io::Result<()> {
        debug_assert_eq!(self.cells, self.fields, "a row has a cell for each field");
        self.line.push('\n');
        self.out.write_all(self.line.as_bytes())?;
        self.line.clear();
        (self.cells, self.rows) = (0, self.rows + 1);
        Ok(())
    }

    /// The place that it was written to, and how many rows it has.
    pub(super) fn finish(self) -> (W, u64) {
        (self.out, self.rows)
    }

    fn next_cell(&mut self) {
        if self.cells > 0 {
            self.line.push('\t');
        }
        self.cells += 1;
    }
}

/// Seconds with the six digits that Zeek writes; with nine, where the capture has nanoseconds.
struct Nanos(i64);

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        let (seconds, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        f.write_str(if self.0 < 0 { "-" } else { "" })?;
        match fraction % 1000 {
            0 => write!(f, "{seconds}.{:06}", fraction / 1000),
            _ => write!(f, "{seconds}.{fraction:09}"),
        }
    }
}

/// Writes text with `\xNN` in place of what the format or a terminal would take for something else: tabs and other
/// controls, backslashes, the separator within a set, and the two texts that stand for no value. Some readers (pandas, in
/// zat) take `#` anywhere for a comment and a quote that begins a cell for quoting, so these are escaped as well.
fn escape(text: &str, separator: Option<char>, line: &mut String) {
    if text.is_empty() {
        return line.push_str(EMPTY);
    }
    let stands_for_none = text == UNSET || text == EMPTY;
    let mut buffer = [0; 4];
    for (at, c) in text.chars().enumerate() {
        let is_first = at == 0 && (stands_for_none || c == '"');
        if !is_first && !matches!(c, '\\' | '#') && Some(c) != separator && !disguises(c) && !c.is_control() {
            line.push(c);
            continue;
        }
        for byte in c.encode_utf8(&mut buffer).bytes() {
            let _ = write!(line, "\\x{byte:02x}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str, separator: Option<char>) -> String {
        let mut line = String::new();
        escape(text, separator, &mut line);
        line
    }

    #[test]
    fn text_of_others_neither_ends_its_cell_nor_stands_for_none() {
        for (text, expected) in [
            ("a b", "a b"),
            ("", "(empty)"),
            ("-", "\\x2d"),
            ("--", "--"),
            ("(empty)", "\\x28empty)"),
            ("a\tb\nc", "a\\x09b\\x0ac"),
            ("\\x09", "\\x5cx09"),
            ("#fields", "\\x23fields"),
            ("\"a\"", "\\x22a\""),
            ("é\u{1b}[2J\u{202e}", "é\\x1b[2J\\xe2\\x80\\xae"),
            ("a,b", "a,b"),
        ] {
            assert_eq!(escaped(text, None), expected);
        }
        assert_eq!(escaped("a,b", Some(',')), "a\\x2cb");
    }

    #[test]
    fn a_log_has_a_header_and_a_cell_for_each_field() {
        let fields: &[LogField] = &[("ts", "time"), ("name", "string"), ("rules", "set[string]")];
        let mut log = ZeekLog::new("made", &[fields, &[("n", "count")]], Vec::new()).unwrap();
        log.time(Timestamp::from_nanos(-1_500_000_000));
        log.text(None::<&str>);
        log.set([].into_iter());
        log.cell(Some(7));
        log.end_row().unwrap();
        log.interval(Some(0.000_000_001));
        log.text(Some("x\ty"));
        log.set(["a,b", "c", "-"].into_iter());
        log.flag(true);
        log.end_row().unwrap();
        let (bytes, rows) = log.finish();
        let expected = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tmade\n\
            #fields\tts\tname\trules\tn\n#types\ttime\tstring\tset[string]\tcount\n\
            -1.500000\t-\t(empty)\t7\n0.000000001\tx\\x09y\ta\\x2cb,c,\\x2d\tT\n";
        assert_eq!((String::from_utf8(bytes).unwrap().as_str(), rows), (expected, 2));
    }
}
