//! The parent of the workers: it hands out tasks, replaces workers that die, and passes on what is done.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bittrace_trace::units::counted;
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

use super::process::{Event, WorkerProcess};
use super::{Report, Setup, Task};
use crate::interrupt::{interrupted, tidy_with};
use crate::os::temporary_folder;

/// How long an interrupt, or a worker that is late, may go unnoticed.
const PATIENCE: Duration = Duration::from_millis(50);

/// How many workers may die one after another before they read a capture: one may be ended by hand, or for want of memory.
const MOST_FAILED_STARTS: usize = 3;

/// What is to be done, and what becomes of it.
pub(crate) trait TaskList {
    /// The next task; `None` when all were handed out, or none may begin before [`on_done`](Self::on_done) was called
    /// again.
    fn next_task(&mut self) -> Option<Task>;

    /// Takes in a task that is done. Tasks come in the order in which they end.
    ///
    /// # Errors
    /// When the run cannot go on. The workers then are ended.
    fn on_done(&mut self, done: DoneTask) -> Result<()>;
}

/// A task that a worker has done.
#[derive(Debug)]
pub(crate) struct DoneTask {
    /// The task. Captures that no worker could read have their fault.
    pub(crate) task: Task,
    /// What the worker answered.
    pub(crate) answer: Value,
    /// What the workers of this task wrote on standard error.
    pub(crate) told: String,
}

/// How many workers there are, and what they need.
#[derive(Debug)]
pub(crate) struct Jobs {
    workers: usize,
    /// How long a worker may read one capture.
    limit: Option<Duration>,
    folder: TempDir,
    setup: Setup,
}

impl Jobs {
    /// At most `workers` processes at once, each of which may read one capture for `limit`. `settings` is what a worker
    /// has to know beside the command line, see [`Worker::settings`](super::Worker::settings).
    ///
    /// # Errors
    /// When there is no room for a temporary folder.
    pub(crate) fn new(workers: usize, limit: Option<Duration>, settings: &impl Serialize) -> Result<Self> {
        let folder = temporary_folder().context("a temporary folder cannot be made")?;
        let path = folder.path().to_owned();
        // Nobody else does it when a second Ctrl-C ends the process.
        tidy_with(move || drop(std::fs::remove_dir_all(path)));
        let setup = Setup { folder: folder.path().into(), settings: serde_json::to_value(settings)? };
        Ok(Self { workers: workers.max(1), limit, folder, setup })
    }

    /// A folder for files of the run. It is removed with this value.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Has the tasks done. Returns when all are, or after an interrupt; a task that was not done by then is dropped.
    ///
    /// # Errors
    /// When no worker can be started, when workers die before they read a capture, when results
    /// cannot be written, and those of the list.
    pub(crate) fn run(&self, list: &mut dyn TaskList) -> Result<()> {
        let (sender, events) = channel();
        let mut run = Run {
            jobs: self,
            list,
            sender,
            workers: Vec::new(),
            started: 0,
            again: VecDeque::new(),
            failed_starts: 0,
        };
        run.run(&events)
    }
}

/// Workers at work.
struct Run<'a> {
    jobs: &'a Jobs,
    list: &'a mut dyn TaskList,
    sender: Sender<(usize, Event)>,
    workers: Vec<WorkerProcess>,
    /// How many workers were started.
    started: usize,
    /// Tasks whose worker died, with what was written about them on standard error.
    again: VecDeque<(Task, String)>,
    /// How many workers died one after another without having read a capture.
    failed_starts: usize,
}

impl Run<'_> {
    fn run(&mut self, events: &Receiver<(usize, Event)>) -> Result<()> {
        while !interrupted() {
            self.hand_out()?;
            if self.workers.iter().all(WorkerProcess::is_idle) {
                return Ok(());
            }
            match events.recv_timeout(PATIENCE) {
                Ok((id, event)) => self.on_event(id, event)?,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            self.end_the_late()?;
        }
        Ok(())
    }

    /// Gives every worker something to do, as long as there is something.
    fn hand_out(&mut self) -> Result<()> {
        loop {
            let idle = self.workers.iter().position(WorkerProcess::is_idle);
            if idle.is_none() && self.workers.len() == self.jobs.workers {
                return Ok(());
            }
            let (task, told) = match self.again.pop_front() {
                Some(unfinished) => unfinished,
                None => match self.list.next_task() {
                    Some(task) => (task, String::new()),
                    None => return Ok(()),
                },
            };
            let at = match idle {
                Some(at) => at,
                None => self.start()?,
            };
            self.workers[at].give(task, told);
        }
    }

    /// Starts a worker; its place.
    fn start(&mut self) -> Result<usize> {
        let Jobs { setup, folder, .. } = self.jobs;
        let worker = WorkerProcess::start(self.started, setup, folder.path(), self.sender.clone());
        self.workers.push(worker.context("--jobs: a process cannot be started")?);
        self.started += 1;
        Ok(self.workers.len() - 1)
    }

    fn on_event(&mut self, id: usize, event: Event) -> Result<()> {
        // One that was ended may have said something before.
        let Some(at) = self.workers.iter().position(|worker| worker.id == id) else { return Ok(()) };
        let worker = &mut self.workers[at];
        match event {
            Event::Report(Report::Begun(capture)) => {
                worker.begins(capture);
                self.failed_starts = 0;
            }
            Event::Report(Report::Failed(error)) => bail!(error),
            Event::Report(Report::Done(answer)) => {
                if let Some((task, told)) = worker.finish() {
                    self.list.on_done(DoneTask { task, answer, told })?;
                }
            }
            Event::Ended => self.replace(at, None)?,
        }
        Ok(())
    }

    fn end_the_late(&mut self) -> Result<()> {
        let Some(limit) = self.jobs.limit else { return Ok(()) };
        while let Some(at) = self.workers.iter().position(|worker| worker.is_late(limit)) {
            let seconds = counted(limit.as_secs(), "second");
            self.replace(at, Some(format!("not read within {seconds} (--capture-timeout)")))?;
        }
        Ok(())
    }

    /// Takes a worker away that has died, or has to, and sees that its task is done again. `why` is why it has to.
    fn replace(&mut self, at: usize, why: Option<String>) -> Result<()> {
        let mut worker = self.workers.swap_remove(at);
        let status = worker.end();
        let capture = worker.capture();
        let Some((mut task, told)) = worker.finish() else { return Ok(()) };
        match capture.and_then(|capture| task.captures.get_mut(capture)) {
            Some(capture) => {
                let died = || format!("the process that read it ended early ({status})");
                capture.fault = Some(why.unwrap_or_else(died));
            }
            None => self.failed_starts += 1,
        }
        if self.failed_starts > MOST_FAILED_STARTS {
            bail!("--jobs: processes end before they read a capture ({status}): {}", told.trim());
        }
        self.again.push_back((task, told));
        Ok(())
    }
}
