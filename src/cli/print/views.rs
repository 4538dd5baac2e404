//! The views of a capture beside its summary and its messages: conversations, pieces, findings, diagnosis, map, rates.
//!
//! Each is a list of rows that are gathered while the capture is read, and written at its end in the chosen format.

mod conversations;
mod diagnosis;
mod findings;
mod follow;
pub(crate) mod map;
mod pieces;
pub(crate) mod rates;
mod rules;
mod time_axis;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use bittrace_protocol::Timestamp;
use bittrace_protocol::metainfo::Metainfo;
use bittrace_report::CourseBuilder;
use bittrace_trace::diagnosis::{DelayCause, Diagnosis};
use bittrace_trace::statistics::{Exchanges, PiecesSeen};
use bittrace_trace::{Dissected, Summary, Trace};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::args::{ConnectionOrder, Format, ViewName};
use crate::print::csv;
use crate::print::output::Look;
use crate::print::page::Page;
use crate::print::printable::escaped;
use crate::print::run_numbers::RunNumbers;

pub(crate) use conversations::connections_of_page;
pub(crate) use diagnosis::DiagnosisPage;
pub(crate) use follow::Follower;
pub(crate) use rules::list_rules;

/// What the chosen views need of a capture beside its summary.
#[derive(Debug, Default)]
pub(crate) struct Views {
    exchanges: Option<Exchanges>,
    pieces: Option<PiecesSeen>,
    findings: bool,
    diagnosis: Option<Diagnosis>,
    /// What pictures are drawn from.
    course: Option<CourseBuilder>,
    map: bool,
    rates: bool,
}

/// A capture, once it is read.
#[derive(Clone, Copy)]
pub(crate) struct Read<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its file, where it can be read once more.
    pub(crate) file: Option<&'a Path>,
    /// When its first packet was captured.
    pub(crate) start: Timestamp,
    pub(crate) summary: &'a Summary,
    pub(crate) trace: &'a Trace,
    pub(crate) look: Look,
    /// What connections are sorted by, where that was asked for.
    pub(crate) order: Option<ConnectionOrder>,
    /// The most connections to show, where that was asked for.
    pub(crate) limit: Option<usize>,
    /// All rows, not only the first ones.
    pub(crate) verbose: bool,
    /// Whether the numbers of messages are those of the run.
    pub(crate) numbers: RunNumbers,
}

/// The rows of a view, for programs: always the same keys.
pub(crate) struct Rows {
    /// What an object of it is called in JSON.
    pub(crate) name: &'static str,
    columns: &'static [&'static str],
    pub(crate) rows: Vec<Map<String, Value>>,
    /// The paths of the values that are numbers of messages.
    messages: &'static [&'static [&'static str]],
    numbers: RunNumbers,
}

/// How many rows a table has when not all are asked for.
const ROWS: usize = 100;

impl Views {
    pub(crate) fn new(chosen: &[ViewName], torrents: &[Arc<Metainfo>]) -> Self {
        let (map, rates) = (chosen.contains(&ViewName::Map), chosen.contains(&ViewName::Rates));
        Self {
            exchanges: chosen.contains(&ViewName::Conversations).then(Exchanges::new),
            pieces: chosen.contains(&ViewName::Pieces).then(|| PiecesSeen::new(torrents)),
            findings: chosen.contains(&ViewName::Findings),
            diagnosis: chosen.contains(&ViewName::Diagnosis).then(|| Diagnosis::new(torrents)),
            map,
            rates,
            course: (map || rates).then(|| CourseBuilder::new(torrents, 0)),
        }
    }

    /// Takes in a record, or the end of a connection. `start` is when the first packet was captured.
    pub(crate) fn add(&mut self, dissected: &Dissected, start: Timestamp) {
        if let Some(course) = &mut self.course {
            course.begin_at(start);
            course.add(dissected);
        }
        if let Some(exchanges) = &mut self.exchanges {
            exchanges.add(dissected);
        }
        if let Some(pieces) = &mut self.pieces {
            pieces.add(dissected);
        }
        if let Some(diagnosis) = &mut self.diagnosis {
            diagnosis.add(dissected);
        }
    }

    /// The rows of conversations, pieces and findings, as far as these are chosen, for programs.
    pub(crate) fn rows(&self, read: Read<'_>) -> impl Iterator<Item = Rows> {
        let exchanges = self.exchanges.as_ref().map(|exchanges| conversations::rows(exchanges, read));
        let pieces = self.pieces.as_ref().map(|pieces| pieces::rows(pieces, read));
        let findings = self.findings.then(|| findings::rows(read));
        [exchanges, pieces, findings].into_iter().flatten()
    }

    /// The same for people.
    fn write_tables(&self, read: Read<'_>, page: &mut Page<'_>) -> io::Result<()> {
        if let Some(exchanges) = &self.exchanges {
            conversations::write_table(exchanges, read, page)?;
        }
        if let Some(pieces) = &self.pieces {
            pieces::write_table(pieces, read, page)?;
        }
        if self.findings {
            findings::write_table(read, page)?;
        }
        Ok(())
    }

    /// Writes the views of a capture. `first` says that no view was written before, of any capture.
    pub(crate) fn write(
        self,
        read: Read<'_>,
        format: Format,
        first: bool,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        if format == Format::Table {
            self.write_tables(read, &mut Page::new(read.look, out))?;
        } else {
            for rows in self.rows(read) {
                rows.write(format, first, out)?;
            }
        }
        if let Some(diagnosis) = self.diagnosis {
            let run = diagnosis.finish();
            let Read { name, file, verbose, .. } = read;
            let page = DiagnosisPage { name, file, run: &run, verbose };
            if format == Format::Table {
                writeln!(out)?;
            }
            page.write(format, first, read.look, out)?;
        }
        if let Some(course) = self.course {
            let course = course.finish(read.trace, read.summary);
            let mut page = Page::new(read.look, out);
            if self.map {
                map::write(&course, &mut page)?;
            }
            if self.rates {
                rates::write(&course, &mut page)?;
            }
        }
        Ok(())
    }
}

impl Rows {
    /// Rows without numbers of messages.
    fn new(
        name: &'static str,
        columns: &'static [&'static str],
        rows: impl IntoIterator<Item = Map<String, Value>>,
    ) -> Self {
        let rows = rows.into_iter().collect();
        Self { name, columns, rows, messages: &[], numbers: RunNumbers::Known }
    }

    /// Rows with numbers of messages under these paths.
    fn with_messages(self, messages: &'static [&'static [&'static str]], numbers: RunNumbers) -> Self {
        Self { messages, numbers, ..self }
    }

    /// Writes the rows as JSON or CSV; `first` says that no row of the view was written before.
    fn write(self, format: Format, first: bool, out: &mut dyn Write) -> io::Result<()> {
        let flat = flat_columns(self.columns);
        if format == Format::Csv && first {
            csv::write_cells(flat.iter().map(|path| path.join("_")), out)?;
        }
        let mut line = Vec::new();
        for row in &self.rows {
            let row = Value::Object(row.clone());
            if format == Format::Csv {
                csv::write_raw_cells(flat.iter().map(|path| self.cell(&row, path)), out)?;
            } else {
                line.clear();
                line.extend_from_slice(format!("{{\"{}\":", self.name).as_bytes());
                self.push_json(&row, &mut Vec::new(), &mut line)?;
                line.extend_from_slice(b"}\n");
                out.write_all(&line)?;
            }
        }
        Ok(())
    }

    /// A value of a row as a cell of CSV.
    fn cell(&self, row: &Value, path: &[&str]) -> Vec<u8> {
        let Some(value) = path.iter().try_fold(row, |value, key| value.get(key)) else { return Vec::new() };
        let listed = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let counted: Option<Vec<u64>> = listed.iter().map(Value::as_u64).collect();
        match counted.filter(|_| self.messages.contains(&path)) {
            Some(counted) => {
                let mut cell = Vec::new();
                for (at, number) in counted.into_iter().enumerate() {
                    cell.extend_from_slice(if at > 0 { b" " } else { b"" });
                    self.numbers.push(number, &mut cell);
                }
                cell
            }
            None => csv::inert(&flat_cell(value)).into_owned().into_bytes(),
        }
    }

    /// Adds a value to a line of JSON, which is found under `path` in its row.
    fn push_json<'v>(&self, value: &'v Value, path: &mut Vec<&'v str>, line: &mut Vec<u8>) -> io::Result<()> {
        match value {
            Value::Object(entries) => {
                line.push(b'{');
                for (at, (key, value)) in entries.iter().enumerate() {
                    line.extend_from_slice(if at > 0 { b"," } else { b"" });
                    push_escaped(key, line)?;
                    line.push(b':');
                    path.push(key);
                    self.push_json(value, path, line)?;
                    path.pop();
                }
                line.push(b'}');
            }
            Value::Array(items) if self.messages.contains(&&**path) => {
                line.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    line.extend_from_slice(if at > 0 { b"," } else { b"" });
                    self.push_json(item, path, line)?;
                }
                line.push(b']');
            }
            value => match value.as_u64().filter(|_| self.messages.contains(&&**path)) {
                Some(number) => self.numbers.push(number, line),
                None => push_escaped(value, line)?,
            },
        }
        Ok(())
    }
}

/// Adds what is no object to a line of JSON.
fn push_escaped(value: &impl Serialize, line: &mut Vec<u8>) -> io::Result<()> {
    line.extend_from_slice(escaped(serde_json::to_string(value)?.into()).as_bytes());
    Ok(())
}

/// The columns that stand for the objects of a conversation's two ends: CSV has no objects.
const OF_AN_END: &[&[&str]] = &[
    &["client"],
    &["bytes"],
    &["payload"],
    &["blocks"],
    &["rate"],
    &["requests"],
    &["unanswered"],
    &["depth", "median"],
    &["depth", "max"],
    &["latency", "p50"],
    &["latency", "p95"],
    &["latency", "max"],
    &["choked"],
    &["chokes"],
    &["duplicate"],
    &["again_after_wrong_hash"],
    &["wrong_hash"],
    &["unsolicited"],
];

/// The columns of CSV, each a path into the objects of JSON.
fn flat_columns(columns: &[&'static str]) -> Vec<Vec<&'static str>> {
    let mut flat = Vec::new();
    for column in columns {
        match *column {
            "from_initiator" | "from_responder" => {
                flat.extend(OF_AN_END.iter().map(|path| [&[*column], *path].concat()));
            }
            "verified" => flat.extend([vec![column, "elapsed"], vec![column, "n"]]),
            "again" => flat.extend([vec![column, "after_wrong_hash"], vec![column, "for_nothing"]]),
            "seconds" | "bytes_by_cause" => {
                flat.extend(DelayCause::ALL.into_iter().map(|cause| vec![*column, cause.name()]));
            }
            column => flat.push(vec![column]),
        }
    }
    flat
}

/// A value as one cell: the items of a list with blanks between them, a range as `first-last`, an object by its first
/// value, which names it.
fn flat_cell(value: &Value) -> String {
    let Value::Array(items) = value else { return csv::cell(value) };
    let item = |item: &Value| match item {
        Value::Array(range) => range.iter().map(csv::cell).collect::<Vec<_>>().join("-"),
        Value::Object(object) => object.values().next().map(csv::cell).unwrap_or_default(),
        item => csv::cell(item),
    };
    items.iter().map(item).collect::<Vec<_>>().join(" ")
}
