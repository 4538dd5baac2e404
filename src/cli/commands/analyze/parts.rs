//! `--format arrow` and `--format parquet`: messages and rows go to tables of columns. A result in a folder is written part by
//! part, by this process or by workers; how captures are cut into parts does not depend on who writes them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use bittrace_trace::units::counted;
use serde::{Deserialize, Serialize};

use super::Analysis;
use crate::Exit;
use crate::args::{AnalyzeArguments, AnalyzeFormat};
use crate::capture_names::NamedCapture;
use crate::columns::{ColumnResult, ColumnTables, MessageOptions, PartSize, RunDescription, parts};
use crate::commands::expected::NamesSeen;
use crate::failure::say;
use crate::interrupt::interrupted;
use crate::jobs::{DoneTask, Jobs, Task, TaskList, Worker};

/// Looks whether the options go together with tables of columns.
///
/// # Errors
/// When they do not.
pub(super) fn check_columns(arguments: &AnalyzeArguments) -> Result<()> {
    let name = match (arguments.format, &arguments.output) {
        (AnalyzeFormat::Arrow, Some(_)) => {
            bail!("--format arrow writes one table to standard output: use > FILE in place of -o")
        }
        (AnalyzeFormat::Arrow, None) => "arrow",
        (AnalyzeFormat::Parquet, None) => {
            bail!("--format parquet writes a file of each table: name a folder with -o DIR")
        }
        (AnalyzeFormat::Parquet, Some(_)) => "parquet",
        _ if arguments.overwrite => bail!("--overwrite is for --format parquet"),
        _ => return Ok(()),
    };
    let not_for_it = [
        ("--fields", !arguments.fields.is_empty()),
        ("--no-fold", arguments.no_fold),
        ("--html", arguments.html.is_some()),
        ("--view", name == "parquet" && !arguments.view.is_empty()),
    ];
    if let Some((option, _)) = not_for_it.iter().find(|(_, is_given)| *is_given) {
        bail!("--format {name} has its own tables and columns: leave out {option}");
    }
    if name == "arrow" && arguments.view.len() > 1 {
        bail!("--format arrow takes one view; --format parquet -o DIR writes all tables");
    }
    Ok(())
}

/// What a worker answers of a part.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    tables: PartSize,
    messages: u64,
    exit: Exit,
    seen: NamesSeen,
}

impl Analysis {
    /// Begins the stream of the view.
    ///
    /// # Errors
    /// When the view has no table, or nothing can be written.
    pub(super) fn begin_stream(&mut self) -> Result<()> {
        let [view] = self.settings.views[..] else { return Ok(()) };
        self.tables = ColumnTables::stream(view, self.message_options(), self.output.clone())?;
        if self.tables.is_none() {
            bail!("--format arrow takes --view messages, conversations, pieces, findings or captures");
        }
        Ok(())
    }

    /// Which of the columns that take much room there are.
    const fn message_options(&self) -> MessageOptions {
        MessageOptions { summary: !self.settings.no_summary, bytes: self.settings.hex }
    }

    /// Writes all tables into a folder. `all` are the captures of all shards.
    pub(super) fn write_result(
        mut self,
        folder: &Path,
        arguments: &AnalyzeArguments,
        all: &[NamedCapture],
    ) -> Result<Exit> {
        let description = self.description(arguments, all);
        let mut result =
            ColumnResult::open(folder, description, self.message_options(), arguments.overwrite)?;
        let sizes: Vec<u64> = self.captures.iter().map(|capture| size_of(capture.path())).collect();
        let parts = parts(&sizes);
        let written = match arguments.jobs {
            Some(jobs) => self.write_parts_by(jobs, arguments.capture_timeout, &mut result, &parts),
            None => self.write_parts(&mut result, &parts),
        };
        if written.is_err() || interrupted() {
            self.tables = None;
            result.abandon();
            written?;
            return self.finish();
        }
        let rows = result.finish()?;
        if !self.settings.common.quiet {
            let tables: Vec<_> =
                rows.iter().map(|(table, rows)| format!("{} in {table}", counted(*rows, "row"))).collect();
            let parts = counted(parts.len() as u64, "part");
            say(&format!("bittrace: {}: {parts}; {}", folder.display(), tables.join(", ")));
        }
        self.finish()
    }

    /// What decides the rows: files and options.
    fn description(&self, arguments: &AnalyzeArguments, all: &[NamedCapture]) -> RunDescription {
        let files = all.iter().map(|capture| (self.name_of(capture), size_of(capture.path()))).collect();
        let mut options = Vec::new();
        let mut option = |name: &str, value: Option<String>| {
            options.extend(value.map(|value| format!("{name} {value}")));
        };
        option("--filter", arguments.filter.clone());
        option("--stream", (!arguments.stream.is_empty()).then(|| format!("{:?}", arguments.stream)));
        option("--from", arguments.from.clone());
        option("--to", arguments.to.clone());
        option("--limit", arguments.limit.map(|limit| limit.to_string()));
        option("--local", arguments.local.map(|local| local.to_string()));
        option("--sort", arguments.sort.map(|order| format!("{order:?}")));
        option("--fail-on", arguments.fail_on.map(|severity| format!("{severity:?}")));
        for (name, files) in
            [("--torrent", &arguments.torrent[..]), ("--mse-keys", arguments.key_logs.files())]
        {
            for file in files {
                option(name, Some(format!("{} {}", file.display(), size_of(file))));
            }
        }
        RunDescription { files, options, shard: arguments.shard.map(|shard| shard.numbers()) }
    }

    /// A capture's name in the tables.
    fn name_of(&self, capture: &NamedCapture) -> String {
        match capture.path() == Path::new("-") {
            true => self.settings.standard_input.clone(),
            false => capture.path().display().to_string(),
        }
    }

    fn write_parts(&mut self, result: &mut ColumnResult, parts: &[Range<usize>]) -> Result<()> {
        for (number, part) in parts.iter().enumerate() {
            self.tables = Some(result.begin(number)?);
            let captures = self.captures[part.clone()].to_vec();
            for capture in captures.iter().take_while(|_| !interrupted()) {
                self.capture(capture)?;
                self.read += 1;
            }
            let Some(tables) = self.tables.take().filter(|_| !interrupted()) else { return Ok(()) };
            result.add(
                number,
                captures.iter().map(|capture| self.name_of(capture)).collect(),
                tables.finish()?,
            );
        }
        Ok(())
    }

    fn write_parts_by(
        &mut self,
        jobs: u16,
        limit: Option<u64>,
        result: &mut ColumnResult,
        parts: &[Range<usize>],
    ) -> Result<()> {
        let jobs = Jobs::new(jobs.into(), limit.map(Duration::from_secs), &())?;
        let mut list = Parts { analysis: self, result, parts, begun: 0, told: BTreeMap::new(), in_turn: 0 };
        jobs.run(&mut list)
    }

    /// Writes parts as a worker, until the parent needs no more.
    pub(super) fn serve_parts(mut self, worker: Worker) -> Result<()> {
        let options = self.message_options();
        let pristine = self.expected.clone();
        worker.serve(|task, begins| {
            self.tables = Some(ColumnTables::part(task.output(), options)?);
            self.expected = pristine.clone();
            (self.before, self.exit) = (0, Exit::Done);
            for (number, capture) in task.captures.iter().enumerate() {
                if capture.fault.is_none() {
                    begins(number)?;
                }
                self.capture(capture)?;
            }
            let tables = self.tables.take().map(ColumnTables::finish).transpose()?.unwrap_or_default();
            Ok(Answer { tables, messages: self.before, exit: self.exit, seen: self.expected.seen() })
        })
    }
}

/// The parts of a result, a task each.
struct Parts<'a> {
    analysis: &'a mut Analysis,
    result: &'a mut ColumnResult,
    parts: &'a [Range<usize>],
    /// How many were begun.
    begun: usize,
    /// What workers wrote on standard error about parts that wait for an earlier one.
    told: BTreeMap<usize, String>,
    /// The part that is next to be told of.
    in_turn: usize,
}

impl TaskList for Parts<'_> {
    fn next_task(&mut self) -> Option<Task> {
        let captures = self.analysis.captures[self.parts.get(self.begun)?.clone()].to_vec();
        self.begun += 1;
        Some(Task::new(self.begun - 1, captures, self.result.place(self.begun - 1)))
    }

    fn on_done(&mut self, done: DoneTask) -> Result<()> {
        let answer: Answer = serde_json::from_value(done.answer)?;
        let captures = done.task.captures.iter().map(|capture| self.analysis.name_of(capture));
        self.result.add(done.task.number, captures.collect(), answer.tables);
        self.analysis.read += done.task.captures.len();
        self.analysis.before += answer.messages;
        self.analysis.exit = self.analysis.exit.max(answer.exit);
        self.analysis.expected.merge(answer.seen);
        self.told.insert(done.task.number, done.told);
        while let Some(told) = self.told.remove(&self.in_turn) {
            say(&told);
            self.in_turn += 1;
        }
        Ok(())
    }
}

/// A file's size in bytes; 0 where that is not known.
fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}
