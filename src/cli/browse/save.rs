//! The messages that are shown, written to a file: as NDJSON or CSV, as `analyze` writes them.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bittrace_trace::Record;
use bittrace_trace::units::counted;

use super::spool::{Spool, step_of};
use super::state::State;
use crate::print::csv::CsvTable;
use crate::print::message_json::JsonMessages;
use crate::query::row::{CaptureContext, Row};

/// A file that is being written.
pub(crate) struct Saving {
    path: PathBuf,
    out: BufWriter<File>,
    format: Format,
    /// The messages, in their order.
    messages: Vec<u32>,
    written: usize,
}

enum Format {
    Json(JsonMessages),
    Csv(CsvTable),
}

/// How many messages are written at once.
const STEP: usize = 64;

impl Saving {
    /// Begins a file with the messages that are shown now.
    ///
    /// # Errors
    /// In a sentence: when the name says no format, the file exists or cannot be made, or there is no message.
    pub(crate) fn begin(path: &Path, state: &State) -> Result<Self, String> {
        let messages: Vec<u32> =
            (0..state.list.len()).filter_map(|position| state.list.message(position)).collect();
        if messages.is_empty() {
            return Err("there is no message to save".to_owned());
        }
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let format = match extension.to_ascii_lowercase().as_str() {
            "json" | "ndjson" | "jsonl" => {
                Format::Json(JsonMessages::new(&state.columns, state.columns.is_empty()))
            }
            "csv" => Format::Csv(CsvTable::new(&state.columns, false)),
            _ => return Err(format!("{}: a name in .json or .csv says what to write", path.display())),
        };
        let file = File::create_new(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => format!("{}: exists; choose another name", path.display()),
            _ => format!("{}: {error}", path.display()),
        })?;
        Ok(Self { path: path.to_owned(), out: BufWriter::new(file), format, messages, written: 0 })
    }

    /// How much is written, in hundredths.
    pub(crate) fn part(&self) -> u8 {
        (self.written * 100 / self.messages.len().max(1)) as u8
    }

    /// Writes some more messages; what to tell when all are written.
    ///
    /// # Errors
    /// In a sentence: when the file or the temporary file fails.
    pub(crate) fn step(&mut self, state: &State, spool: &mut Spool) -> Result<Option<String>, String> {
        let fault = |error: io::Error| format!("{}: {error}", self.path.display());
        let rest = &self.messages[self.written..];
        // Messages that follow each other are read together.
        let run = rest.iter().zip(rest[0]..).take_while(|(message, next)| **message == *next).count();
        let first = rest[0] as usize;
        let entries =
            state.entries.get(first..first + run).ok_or("the captures were read again meanwhile")?;
        let taken = step_of(entries, STEP);
        for (at, record) in spool.records(&entries[..taken]).map_err(fault)?.iter().enumerate() {
            let context =
                state.context((first + at) as u32).ok_or("the captures were read again meanwhile")?;
            write(&mut self.format, record, context, &mut self.out).map_err(fault)?;
        }
        self.written += taken;
        if self.written < self.messages.len() {
            return Ok(None);
        }
        self.out.flush().map_err(fault)?;
        let written = counted(self.messages.len() as u64, "message");
        Ok(Some(format!("{written} written to {}", self.path.display())))
    }
}

fn write(
    format: &mut Format,
    record: &Record,
    context: &CaptureContext,
    out: &mut dyn Write,
) -> io::Result<()> {
    let row = Row::new(record, context);
    match format {
        Format::Json(json) => json.write(&row, out),
        Format::Csv(csv) => csv.row(&row, out),
    }
}
