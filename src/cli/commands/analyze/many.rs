//! `analyze --jobs`: workers write what captures say to files of their own, and the parent copies these files to the output
//! in the order of the captures.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bittrace_trace::units::{count, counted};
use serde::{Deserialize, Serialize};

use super::Analysis;
use crate::Exit;
use crate::args::Format;
use crate::commands::expected::NamesSeen;
use crate::failure::say;
use crate::jobs::{DoneTask, Jobs, Task, TaskList, Worker};
use crate::print::capture_row::CaptureRow;
use crate::print::csv::CsvTable;
use crate::print::run_numbers::{NumberWriter, RunNumbers};
use crate::print::run_summary::RunSummary;

/// Bytes of results that may wait for those of an earlier capture before no further capture is begun. They are on disk.
const MOST_WAITING: u64 = 1024 * 1024 * 1024;

/// Captures whose results may wait: each has some kilobytes in memory.
const MOST_DONE: usize = 1000;

/// How many bytes of results are copied at once.
const BUFFER: usize = 64 * 1024;

/// What errors of files between the processes begin with. These files are in the folder of the system for such.
const SPOOL: &str = "--jobs: temporary file (the folder is that of TMPDIR)";

/// How often is told how many captures were read.
const EVERY: Duration = Duration::from_secs(5);

/// What a worker has to know beside the command line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WorkerSettings {
    /// Whether the run has one capture alone.
    pub(super) is_only_capture: bool,
}

/// What a worker answers of a capture.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    /// How many messages it has, chosen or not.
    messages: u64,
    exit: Exit,
    totals: RunSummary,
    rows: Vec<CaptureRow>,
    seen: NamesSeen,
}

impl Analysis {
    /// Reads captures as a worker, until the parent needs no more.
    pub(super) fn serve(mut self, worker: Worker) -> Result<()> {
        if self.settings.has_columns {
            return self.serve_parts(worker);
        }
        self.is_only_capture = worker.settings::<WorkerSettings>()?.is_only_capture;
        self.numbers = RunNumbers::Marked;
        let pristine = self.expected.clone();
        worker.serve(|task, begins| {
            let file = File::create(task.output()).context(SPOOL)?;
            self.output = self.output.to_file(file);
            self.csv = CsvTable::new(&self.settings.columns, self.settings.hex);
            self.expected = pristine.clone();
            (self.before, self.begun, self.has_header, self.exit) = (0, 0, false, Exit::Done);
            for (number, capture) in task.captures.iter().enumerate() {
                if capture.fault.is_none() {
                    begins(number)?;
                }
                self.capture(capture).context(SPOOL)?;
            }
            self.close_messages().context(SPOOL)?;
            self.output.flush().context(SPOOL)?;
            Ok(Answer {
                messages: self.before,
                exit: self.exit,
                totals: std::mem::take(&mut self.closing),
                rows: std::mem::take(&mut self.rows),
                seen: self.expected.seen(),
            })
        })
    }

    /// Has workers read the captures, at most `jobs` at once. Each may read one capture for `limit` seconds.
    pub(super) fn read_by(&mut self, jobs: u16, limit: Option<u64>) -> Result<()> {
        let settings = WorkerSettings { is_only_capture: self.is_only_capture };
        let jobs = Jobs::new(jobs.into(), limit.map(Duration::from_secs), &settings)?;
        let mut list = InOrder {
            analysis: self,
            folder: jobs.folder().to_owned(),
            begun: 0,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            told: Instant::now(),
        };
        jobs.run(&mut list)
    }

    /// Puts out what a worker has of the next capture.
    fn put_out(&mut self, done: DoneTask) -> Result<()> {
        let answer: Answer = serde_json::from_value(done.answer)?;
        say(&done.told);
        let path = done.task.output();
        let mut results = BufReader::with_capacity(BUFFER, File::open(path).context(SPOOL)?);
        // The results of each worker begin with the header.
        if self.settings.format == Format::Csv
            && !results.fill_buf().context(SPOOL)?.is_empty()
            && std::mem::replace(&mut self.has_header, true)
        {
            results.skip_until(b'\n').context(SPOOL)?;
        }
        let mut numbered = NumberWriter::new(&mut self.output, self.before);
        io::copy(&mut results, &mut numbered)?;
        numbered.finish()?;
        self.output.flush()?;
        // It goes with its folder otherwise.
        let _ = fs::remove_file(path);
        self.read += 1;
        self.before += answer.messages;
        self.exit = self.exit.max(answer.exit);
        self.closing.merge(answer.totals);
        for row in answer.rows {
            self.push_row(row)?;
        }
        self.expected.merge(answer.seen);
        Ok(())
    }
}

/// The captures of a run, a task each, whose results are put out in their order.
struct InOrder<'a> {
    analysis: &'a mut Analysis,
    folder: PathBuf,
    /// How many captures were begun.
    begun: usize,
    /// What is done and waits for an earlier capture, each with the size of its results.
    waiting: BTreeMap<usize, (DoneTask, u64)>,
    /// The size of all these.
    waiting_bytes: u64,
    /// When it was last told how many captures were read.
    told: Instant,
}

impl TaskList for InOrder<'_> {
    fn next_task(&mut self) -> Option<Task> {
        if self.waiting_bytes > MOST_WAITING || self.waiting.len() > MOST_DONE {
            return None;
        }
        let capture = self.analysis.captures.get(self.begun)?.clone();
        let output = self.folder.join(format!("{}.results", self.begun));
        self.begun += 1;
        Some(Task::new(self.begun - 1, vec![capture], output))
    }

    fn on_done(&mut self, done: DoneTask) -> Result<()> {
        let bytes = fs::metadata(done.task.output()).context(SPOOL)?.len();
        self.waiting_bytes += bytes;
        self.waiting.insert(done.task.number, (done, bytes));
        while let Some((done, bytes)) = self.waiting.remove(&self.analysis.read) {
            self.waiting_bytes -= bytes;
            self.analysis.put_out(done)?;
        }
        self.tell();
        Ok(())
    }
}

impl InOrder<'_> {
    /// Tells every few seconds how far the run is.
    fn tell(&mut self) {
        let (read, all) = (self.analysis.read + self.waiting.len(), self.analysis.captures.len());
        if self.analysis.output.is_quiet() || read == all || self.told.elapsed() < EVERY {
            return;
        }
        self.told = Instant::now();
        let (read, all) = (count(read as u64), counted(all as u64, "capture"));
        say(&format!("bittrace: {read} of {all} read so far"));
    }
}
