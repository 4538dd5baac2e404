//! What is said of a whole capture: a row of `--view captures`, and the object at its end in NDJSON. A capture that cannot
//! be read has one too.

use std::io::{self, Write};

use bittrace_trace::record::Severity;
use bittrace_trace::units::{count, rough_size};
use bittrace_trace::{Summary, Trace};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::print::csv;
use crate::print::json::write_line;
use crate::print::output::Look;
use crate::print::page::Page;
use crate::print::run_summary::CaptureLists;
use crate::print::table::Column;
use crate::print::units::rfc3339;

/// The number of the form that rows, and tables for programs, have. It is raised when a column goes or changes; a new one
/// leaves it.
pub(crate) const SCHEMA: &str = "1";

/// A capture as a whole. Its numbers are those of what was read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct CaptureRow {
    /// The name, as it was given.
    pub(crate) capture: String,
    /// Whether it could be read; also true of a capture that was cut short.
    pub(crate) ok: bool,
    /// The exit code of a run over this capture alone.
    pub(crate) exit: u8,
    /// Why it could not be read, or not to its end.
    pub(crate) error: Option<String>,
    /// The format, and what it is wrapped in.
    pub(crate) format: Option<String>,
    pub(crate) packets: u64,
    /// Bytes of packets, as many as were captured.
    pub(crate) bytes: u64,
    /// Packets that the capture has twice, and that count once.
    pub(crate) copies: u64,
    /// When the first packet was captured, RFC 3339.
    pub(crate) first_time: Option<String>,
    /// When the last one was.
    pub(crate) last_time: Option<String>,
    /// The address of the host that it is about.
    pub(crate) local: Option<String>,
    /// Whether its end is missing.
    pub(crate) truncated: bool,
    /// Where the packet begins that is not whole, in decompressed bytes.
    pub(crate) cut_at: Option<u64>,
    /// How many messages were chosen.
    pub(crate) messages: u64,
    /// How many findings they have.
    pub(crate) findings: FindingCounts,
    /// The version of this program.
    pub(crate) version: String,
    /// [`SCHEMA`].
    pub(crate) schema: String,
}

/// Findings by severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FindingCounts {
    pub(crate) chat: u64,
    pub(crate) note: u64,
    pub(crate) warn: u64,
    pub(crate) error: u64,
}

/// The keys of a row in CSV.
const COLUMNS: [&str; 20] = [
    "capture",
    "ok",
    "exit",
    "error",
    "format",
    "packets",
    "bytes",
    "copies",
    "first_time",
    "last_time",
    "local",
    "truncated",
    "cut_at",
    "messages",
    "findings_chat",
    "findings_note",
    "findings_warn",
    "findings_error",
    "version",
    "schema",
];

impl CaptureRow {
    /// The row of a capture of which nothing could be read.
    pub(crate) fn unread(capture: String, error: String) -> Self {
        Self {
            capture,
            error: Some(error),
            version: env!("BITTRACE_VERSION").to_owned(),
            schema: SCHEMA.to_owned(),
            ..Self::default()
        }
    }

    /// The row of a capture that was read, to its end if there is no `error`.
    pub(crate) fn new(trace: &Trace, summary: &Summary, error: Option<String>) -> Self {
        let about = trace.capture();
        let span = trace.span();
        let mut findings = FindingCounts::default();
        for (severity, number) in summary.severities() {
            *findings.of(severity) += number;
        }
        Self {
            capture: about.name().to_owned(),
            ok: error.is_none(),
            exit: 0,
            format: Some(about.format().to_owned()),
            packets: about.packets(),
            bytes: about.bytes(),
            copies: trace.counts().copies,
            first_time: span.map(|(first, _)| rfc3339(first)),
            last_time: span.map(|(_, last)| rfc3339(last)),
            local: trace.local().map(|local| local.to_string()),
            truncated: error.is_some() || trace.cut().is_some(),
            error,
            cut_at: trace.cut().map(|cut| cut.offset),
            messages: summary.records,
            findings,
            version: env!("BITTRACE_VERSION").to_owned(),
            schema: SCHEMA.to_owned(),
        }
    }

    /// Writes the row as `{"capture": {...}}`, with lists of what is in the capture if there are some.
    pub(crate) fn write_object(&self, lists: Option<CaptureLists>, out: &mut dyn Write) -> io::Result<()> {
        let mut row = self.object()?;
        if let Some(lists) = lists {
            row.extend(lists.entries());
        }
        write_line(&Map::from_iter([("capture".to_owned(), Value::Object(row))]), out)
    }

    /// Writes the row as CSV.
    pub(crate) fn write_cells(&self, out: &mut dyn Write) -> io::Result<()> {
        let row = self.object()?;
        let cell = |column: &str| match column.split_once('_') {
            Some(("findings", severity)) => row.get("findings").and_then(|findings| findings.get(severity)),
            _ => row.get(column),
        };
        csv::write_cells(COLUMNS.iter().map(|column| cell(column).map(csv::cell).unwrap_or_default()), out)
    }

    /// Writes the header of CSV.
    pub(crate) fn write_header(out: &mut dyn Write) -> io::Result<()> {
        csv::write_cells(COLUMNS.iter().map(|column| (*column).to_owned()), out)
    }

    /// The row as an object.
    pub(crate) fn object(&self) -> io::Result<Map<String, Value>> {
        match serde_json::to_value(self)? {
            Value::Object(row) => Ok(row),
            // A structure is an object.
            _ => Ok(Map::new()),
        }
    }

    /// How much of it was read. Why not all of it was, is told on standard error.
    const fn how_far(&self) -> &'static str {
        match (&self.error, &self.format, self.truncated) {
            (Some(_), None, _) => "no",
            (Some(_), Some(_), _) => "in part",
            (None, _, true) => "cut short",
            (None, _, false) => "yes",
        }
    }
}

/// Writes rows as a table.
pub(crate) fn write_table(rows: &[CaptureRow], look: Look, out: &mut dyn Write) -> io::Result<()> {
    let columns = [
        Column::text("capture", 20),
        Column::numbers("packets"),
        Column::numbers("size"),
        Column::numbers("messages"),
        Column::numbers("warn"),
        Column::numbers("error"),
        Column::text("read", 9),
    ];
    let number = |number: u64| if number == 0 { String::new() } else { count(number) };
    let cells = rows.iter().map(|row| {
        vec![
            row.capture.clone(),
            count(row.packets),
            rough_size(row.bytes),
            count(row.messages),
            number(row.findings.warn),
            number(row.findings.error),
            row.how_far().to_owned(),
        ]
    });
    Page::new(look, out).table(&columns, &cells.collect::<Vec<_>>())
}

impl FindingCounts {
    fn of(&mut self, severity: Severity) -> &mut u64 {
        match severity {
            Severity::Chat => &mut self.chat,
            Severity::Note => &mut self.note,
            Severity::Warn => &mut self.warn,
            Severity::Error => &mut self.error,
        }
    }
}
