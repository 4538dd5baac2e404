//! The worker's side: a task comes in, its file is written, and the answer goes out.

use std::io::{self, BufRead, BufReader, Write};
use std::process::exit;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Report, Setup, Task};
use crate::interrupt::interrupted;

/// This process, where it is a worker.
#[derive(Debug)]
pub(crate) struct Worker {
    settings: Value,
    tasks: Receiver<Task>,
}

impl Worker {
    /// Waits for what a worker is told first.
    ///
    /// # Errors
    /// When that is not what a parent says: nobody but this program starts workers.
    pub(crate) fn begin() -> Result<Self> {
        let mut lines = BufReader::new(io::stdin()).lines();
        let first = lines.next().context("--worker is for processes that --jobs starts")??;
        let Setup { folder, settings } = serde_json::from_str(&first)?;
        let (sender, tasks) = channel();
        // A thread of its own sees at once that the parent has gone, however it went.
        thread::spawn(move || {
            for task in lines.map_while(Result::ok).map_while(|line| serde_json::from_str(&line).ok()) {
                if sender.send(task).is_err() {
                    break;
                }
            }
            let _ = std::fs::remove_dir_all(folder);
            exit(1);
        });
        Ok(Self { settings, tasks })
    }

    /// What the parent gave to [`Jobs::new`](super::Jobs::new).
    ///
    /// # Errors
    /// When that was of another type.
    pub(crate) fn settings<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_value(self.settings.clone())?)
    }

    /// Does tasks with `work`, which calls its second argument with the number of each capture within the task before it
    /// opens it, and returns the answer. Its error says that results cannot be written, and ends the run. Returns only
    /// when it is interrupted.
    ///
    /// # Errors
    /// When nobody hears the answers.
    pub(crate) fn serve<A: Serialize>(
        self,
        mut work: impl FnMut(&Task, &dyn Fn(usize) -> Result<()>) -> Result<A>,
    ) -> Result<()> {
        for task in &self.tasks {
            let done = work(&task, &|capture| say(&Report::Begun(capture)));
            // What an interrupt cut short is no result.
            if interrupted() {
                return Ok(());
            }
            say(&match done {
                Ok(answer) => Report::Done(serde_json::to_value(answer)?),
                Err(error) => Report::Failed(format!("{error:#}")),
            })?;
        }
        Ok(())
    }
}

fn say(report: &Report) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, report)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}
