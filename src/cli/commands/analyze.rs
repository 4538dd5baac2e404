//! `bittrace analyze`: captures in, summaries and messages out, as they are read.

mod choice;
mod export;
mod many;
mod message_view;
mod page;
mod parts;
mod reading;
mod settings;
mod summary_page;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use bittrace_trace::units::counted;
use bittrace_trace::{LocalChoice, TraceOptions};

use crate::Exit;
use crate::args::{AnalyzeArguments, AnalyzeFormat, Common, Format, ViewName};
use crate::capture_names::{NamedCapture, capture_names};
use crate::capture_page::PageReading;
use crate::columns::ColumnTables;
use crate::commands::expected::Expected;
use crate::commands::torrent::read_torrent;
use crate::failure::{self, warn};
use crate::interrupt::interrupted;
use crate::jobs::Worker;
use crate::print::capture_row::{self, CaptureRow};
use crate::print::csv::{CsvTable, separate_with};
use crate::print::json;
use crate::print::message_json::JsonMessages;
use crate::print::output::Output;
use crate::print::page::Page;
use crate::print::run_numbers::RunNumbers;
use crate::print::run_summary::RunSummary;
use crate::print::views::list_rules;
use choice::MessageChoice;
use export::Export;
use page::page;
use parts::check_columns;
use settings::Settings;

pub(crate) use page::command_for;

/// Runs the command.
pub(crate) fn run(arguments: &AnalyzeArguments, common: Common, mut output: Output) -> Result<Exit> {
    if arguments.list_rules {
        let Some(format) = arguments.format.rows() else {
            bail!("--list-rules takes --format table, json or csv");
        };
        list_rules(format, output.look, &mut output)?;
        output.flush()?;
        return Ok(Exit::Done);
    }
    check_columns(arguments)?;
    let mut all = capture_names(&arguments.captures, common)?;
    let captures = match arguments.shard {
        Some(shard) => shard.choose(&mut all, common),
        None => all.clone(),
    };
    let mut analysis = Analysis::new(arguments, captures, common, output)?;
    analysis.check_names(arguments)?;
    match (arguments.format, &arguments.output) {
        (AnalyzeFormat::Parquet, Some(folder)) => return analysis.write_result(folder, arguments, &all),
        (AnalyzeFormat::Arrow, _) => analysis.begin_stream()?,
        _ => {}
    }
    match arguments.jobs {
        Some(jobs) => analysis.read_by(jobs, arguments.capture_timeout)?,
        None => analysis.read_all()?,
    }
    analysis.finish()
}

/// Runs the command as a worker of another bittrace, which names the captures.
pub(crate) fn work(arguments: &AnalyzeArguments, common: Common, output: Output) -> Result<Exit> {
    let worker = Worker::begin()?;
    Analysis::new(arguments, Vec::new(), common, output)?.serve(worker)?;
    Ok(Exit::Done)
}

/// The most captures in one table, which is in memory as a whole: some megabytes. Then another one begins.
const MOST_ROWS: usize = 1000;

/// A run of the command over its captures.
struct Analysis {
    settings: Settings,
    output: Output,
    options: TraceOptions,
    choice: MessageChoice,
    /// The page that is to be written, until it is.
    page: Option<PageReading>,
    /// Whether the page is all that standard output gets.
    page_is_output: bool,
    expected: Expected,
    /// The tables of columns that messages and rows go to.
    tables: Option<ColumnTables>,
    /// What is written in place of rows.
    export: Option<Export>,
    csv: CsvTable,
    json: JsonMessages,
    closing: RunSummary,
    /// Rows of captures that wait until their table is written.
    rows: Vec<CaptureRow>,
    /// Whether the header of rows is written.
    has_header: bool,
    /// How many messages earlier captures had.
    before: u64,
    /// Whether that is known.
    numbers: RunNumbers,
    /// How many captures were read.
    read: usize,
    /// How many of them could be opened.
    begun: usize,
    captures: Vec<NamedCapture>,
    /// Whether the run has one capture alone.
    is_only_capture: bool,
    exit: Exit,
}

impl Analysis {
    fn new(
        arguments: &AnalyzeArguments,
        captures: Vec<NamedCapture>,
        common: Common,
        output: Output,
    ) -> Result<Self> {
        let settings = Settings::new(arguments, common)?;
        if let Some(separator) = arguments.separator {
            separate_with(separator);
        }
        let given = arguments
            .torrent
            .iter()
            .map(|path| Ok((path.clone(), Arc::new(read_torrent(path)?.metainfo))))
            .collect::<Result<Vec<_>>>()?;
        let torrents: Vec<_> = given.iter().map(|(_, torrent)| Arc::clone(torrent)).collect();
        let choice = MessageChoice::new(arguments)?;
        let export = Export::new(arguments, &captures, &output)?;
        let page = page(arguments, &captures, &torrents, !choice.is_everything(), &output)?;
        Ok(Self {
            page,
            page_is_output: arguments.html.as_deref() == Some(Path::new("-")),
            output,
            options: TraceOptions {
                local: arguments.local.unwrap_or(LocalChoice::AsCaptured),
                torrents,
                mse_keys: arguments.key_logs.read()?,
                measure: settings.views.contains(&ViewName::Diagnosis),
                ..TraceOptions::default()
            },
            expected: Expected::new(choice.streams(), arguments.local.and_then(LocalChoice::host), given),
            choice,
            tables: None,
            export,
            csv: CsvTable::new(&settings.columns, arguments.hex),
            json: JsonMessages::new(&settings.columns, arguments.hex),
            settings,
            closing: RunSummary::default(),
            rows: Vec::new(),
            has_header: false,
            before: 0,
            numbers: RunNumbers::Known,
            read: 0,
            begun: 0,
            is_only_capture: captures.len() == 1,
            captures,
            exit: Exit::Done,
        })
    }

    /// Looks whether the captures can be read as it is asked for.
    fn check_names(&self, arguments: &AnalyzeArguments) -> Result<()> {
        if arguments.name.is_some() && self.captures.iter().all(|capture| capture.path() != Path::new("-")) {
            bail!("--name is for standard input: name - as the capture");
        }
        if arguments.jobs.is_some() && self.captures.iter().any(NamedCapture::is_standard_input) {
            bail!("--jobs cannot read standard input: leave --jobs out, or name a file");
        }
        if arguments.jobs.is_some() && self.choice.compares_numbers() && !self.settings.has_columns {
            bail!(
                "--filter: n and answers count over all captures, which --jobs reads at once: use n_in_capture"
            );
        }
        Ok(())
    }

    /// Reads the captures one after another.
    fn read_all(&mut self) -> Result<()> {
        while let Some(capture) = self.captures.get(self.read).filter(|_| !interrupted()).cloned() {
            self.capture(&capture)?;
            self.read += 1;
        }
        Ok(())
    }

    fn report(&mut self, error: &anyhow::Error) {
        failure::report(error);
        self.exit = self.exit.max(Exit::CouldNotTell);
    }

    /// Says which stream, host or torrent the options name that no capture has.
    fn compare_with_expected(&mut self) {
        for remark in self.expected.remarks() {
            warn(self.settings.common, &remark);
        }
        let option = if self.settings.follow.is_some() { "--follow" } else { "--stream" };
        for complaint in self.expected.complaints(option) {
            self.report(&anyhow::Error::msg(complaint));
        }
    }

    /// Ends the messages of all captures: CSV has a header even if there were none.
    fn close_messages(&mut self) -> io::Result<()> {
        if self.settings.format == Format::Csv && self.begun > 0 && self.settings.show.messages {
            self.csv.header(&mut self.output)?;
        }
        Ok(())
    }

    /// Writes what rows end with.
    fn finish_rows(&mut self) -> Result<()> {
        self.close_messages()?;
        if self.settings.has_summary_object() {
            json::write_line(&std::mem::take(&mut self.closing).object(), &mut self.output)?;
        }
        Ok(self.write_rows()?)
    }

    /// Adds a row of a capture to the table of captures.
    fn push_row(&mut self, row: CaptureRow) -> io::Result<()> {
        self.rows.push(row);
        if self.rows.len() < MOST_ROWS { Ok(()) } else { self.write_rows() }
    }

    /// Writes the rows of captures that wait.
    fn write_rows(&mut self) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let look = self.output.look;
        if !self.settings.is_captures_alone() {
            Page::new(look, &mut self.output).heading("Captures")?;
        }
        capture_row::write_table(&std::mem::take(&mut self.rows), look, &mut self.output)
    }

    fn finish(mut self) -> Result<Exit> {
        if let Some(tables) = self.tables.take() {
            tables.finish()?;
        }
        match self.export.take() {
            Some(export) if self.begun > 0 => export.finish(self.settings.common, &mut self.output)?,
            Some(_) => {}
            None => self.finish_rows()?,
        }
        self.output.flush()?;
        if !interrupted() {
            self.compare_with_expected();
        }
        if interrupted() {
            let unread = self.captures.len().saturating_sub(self.read);
            if unread > 0 {
                warn(
                    self.settings.common,
                    &format!("interrupted; {} not read", counted(unread as u64, "capture")),
                );
            } else {
                warn(self.settings.common, &format!("interrupted after {}", counted(self.before, "message")));
            }
            return Ok(Exit::Interrupted);
        }
        Ok(self.exit)
    }
}
