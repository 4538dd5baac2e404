//! A worker as its parent sees it: the process, what goes in, what comes out, and what it does right now.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Report, Setup, Task};
use crate::os::this_program;

/// The hidden option that makes this program a worker. It stands first, before the arguments of the parent.
const WORKER_OPTION: &str = "--worker";

/// The most bytes that are kept of what a worker writes on standard error about one task. A panic has a few lines.
const MOST_TOLD: u64 = 1024 * 1024;

/// What happened to a worker.
#[derive(Debug)]
pub(super) enum Event {
    Report(Report),
    /// Its standard output ended.
    Ended,
}

/// A worker process. It is ended when this is dropped.
#[derive(Debug)]
pub(super) struct WorkerProcess {
    /// Never that of another worker of the run.
    pub(super) id: usize,
    child: Child,
    input: ChildStdin,
    /// What it writes on standard error: read up to where the last task ended.
    told: File,
    /// What it does, and what earlier workers wrote about that on standard error.
    work: Option<(Task, String)>,
    /// The capture of the task that it reads, and since when.
    reads: Option<(usize, Instant)>,
}

impl WorkerProcess {
    /// Starts a worker, whose events go to `events` together with its `id`. `folder` is for what it writes on standard
    /// error.
    pub(super) fn start(
        id: usize,
        setup: &Setup,
        folder: &Path,
        events: Sender<(usize, Event)>,
    ) -> io::Result<Self> {
        let log = folder.join(format!("worker-{id}.log"));
        let mut command = Command::new(this_program()?);
        command.arg(WORKER_OPTION).args(std::env::args_os().skip(1));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut child = command.spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("a process without pipes"));
        };
        thread::spawn(move || listen(id, output, &events));
        let mut worker = Self { id, child, input, told: File::open(&log)?, work: None, reads: None };
        worker.say(setup);
        Ok(worker)
    }

    /// Has it do a task. `told` is what earlier workers wrote about it on standard error.
    pub(super) fn give(&mut self, task: Task, told: String) {
        self.say(&task);
        self.work = Some((task, told));
        self.reads = None;
    }

    /// Whether it has nothing to do.
    pub(super) const fn is_idle(&self) -> bool {
        self.work.is_none()
    }

    /// Its task, which it does no more, and all that was written about it on standard error.
    pub(super) fn finish(&mut self) -> Option<(Task, String)> {
        let (task, earlier) = self.work.take()?;
        Some((task, earlier + &self.told()))
    }

    fn say(&mut self, line: &impl Serialize) {
        // A worker that has died is seen by the end of its output.
        let text = serde_json::to_string(line).unwrap_or_default() + "\n";
        let _ = self.input.write_all(text.as_bytes()).and_then(|()| self.input.flush());
    }

    /// It has begun to read a capture of its task.
    pub(super) fn begins(&mut self, capture: usize) {
        self.reads = Some((capture, Instant::now()));
    }

    /// The capture of the task that it began last.
    pub(super) fn capture(&self) -> Option<usize> {
        Some(self.reads?.0)
    }

    /// Whether it has read one capture for longer than `limit`.
    pub(super) fn is_late(&self, limit: Duration) -> bool {
        !self.is_idle() && self.reads.is_some_and(|(_, since)| since.elapsed() > limit)
    }

    /// What it wrote on standard error since this was asked last.
    fn told(&mut self) -> String {
        let mut text = Vec::new();
        // Without this file only remarks are lost, and there is no other place for saying so.
        let _ = (&mut self.told).take(MOST_TOLD).read_to_end(&mut text);
        let read = self.told.stream_position().unwrap_or_default();
        let end = self.told.seek(SeekFrom::End(0)).unwrap_or_default();
        let mut text = String::from_utf8_lossy(&text).into_owned();
        if end > read {
            text.push_str(&format!("\nbittrace: … and {} more bytes\n", end - read));
        }
        text
    }

    /// Ends the process, unless it has ended by itself; how it ended, in words.
    pub(super) fn end(&mut self) -> String {
        let _ = self.child.kill();
        self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.end();
    }
}

/// Hands on what a worker says, until it has nothing more to say or nobody listens.
fn listen(id: usize, output: ChildStdout, events: &Sender<(usize, Event)>) {
    for line in BufReader::new(output).lines() {
        // What is no report is the last word of a process that died while it wrote.
        let Some(report) = line.ok().and_then(|line| serde_json::from_str(&line).ok()) else { break };
        if events.send((id, Event::Report(report))).is_err() {
            return;
        }
    }
    let _ = events.send((id, Event::Ended));
}
