//! `bittrace analyze`: captures in, summaries and messages out, as they are read.

mod choice;
mod message_view;
mod page;
mod reading;
mod settings;
mod summary_page;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use bittrace_trace::TraceOptions;
use bittrace_trace::units::counted;

use crate::Exit;
use crate::args::{AnalyzeArguments, Common, Format, ViewName};
use crate::capture_page::PageReading;
use crate::commands::expected::Expected;
use crate::commands::torrent::read_torrent;
use crate::failure::{self, warn};
use crate::interrupt::interrupted;
use crate::print::csv::CsvTable;
use crate::print::json::{self, JsonSummary};
use crate::print::message_json::JsonMessages;
use crate::print::output::Output;
use crate::print::views::list_rules;
use choice::MessageChoice;
use page::page;
use settings::Settings;

pub(crate) use page::command_for;

/// Runs the command.
pub(crate) fn run(arguments: &AnalyzeArguments, common: Common, mut output: Output) -> Result<Exit> {
    if arguments.list_rules {
        list_rules(arguments.format, output.look, &mut output)?;
        output.flush()?;
        return Ok(Exit::Done);
    }
    let mut analysis = Analysis::new(arguments, common, output)?;
    for path in &arguments.captures {
        if interrupted() {
            break;
        }
        analysis.capture(path)?;
    }
    analysis.finish()
}

/// A run of the command over its captures.
struct Analysis<'a> {
    settings: Settings,
    output: Output,
    options: TraceOptions,
    choice: MessageChoice,
    /// The page that is to be written, until it is.
    page: Option<PageReading>,
    /// Whether the page is all that standard output gets.
    page_is_output: bool,
    expected: Expected,
    csv: CsvTable,
    json: JsonMessages,
    closing: JsonSummary,
    /// How many messages earlier captures had.
    before: u64,
    /// How many captures were begun.
    begun: usize,
    captures: &'a [PathBuf],
    exit: Exit,
}

impl<'a> Analysis<'a> {
    fn new(arguments: &'a AnalyzeArguments, common: Common, output: Output) -> Result<Self> {
        let settings = Settings::new(arguments, common)?;
        let given = arguments
            .torrent
            .iter()
            .map(|path| Ok((path.clone(), Arc::new(read_torrent(path)?.metainfo))))
            .collect::<Result<Vec<_>>>()?;
        let torrents: Vec<_> = given.iter().map(|(_, torrent)| Arc::clone(torrent)).collect();
        let choice = MessageChoice::new(arguments)?;
        let page = page(arguments, &torrents, !choice.is_everything(), &output)?;
        Ok(Self {
            page,
            page_is_output: arguments.html.as_deref() == Some(Path::new("-")),
            output,
            options: TraceOptions {
                local: arguments.local,
                torrents,
                mse_keys: arguments.key_logs.read()?,
                measure: settings.views.contains(&ViewName::Diagnosis),
                ..TraceOptions::default()
            },
            expected: Expected::new(choice.streams(), arguments.local, given),
            choice,
            csv: CsvTable::new(&settings.columns, arguments.hex),
            json: JsonMessages::new(&settings.columns, arguments.hex),
            settings,
            closing: JsonSummary::default(),
            before: 0,
            begun: 0,
            captures: &arguments.captures,
            exit: Exit::Done,
        })
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

    fn finish(mut self) -> Result<Exit> {
        match self.settings.format {
            Format::Json if self.begun > 0 && !self.settings.no_summary => {
                json::write_line(&std::mem::take(&mut self.closing).object(), &mut self.output)?
            }
            Format::Csv if self.begun > 0 && self.settings.show.messages => {
                self.csv.header(&mut self.output)?
            }
            _ => {}
        }
        self.output.flush()?;
        if !interrupted() {
            self.compare_with_expected();
        }
        if interrupted() {
            let unread = self.captures.len() - self.begun.min(self.captures.len());
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
