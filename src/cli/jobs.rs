//! Captures that are read by several processes of this program, so that a capture that ends its process, or takes too
//! long, costs nothing but itself.
//!
//! A *task* is a list of captures whose results go to one file. A *worker* is a process that does one task after another:
//! it reads a [`Setup`], then tasks, as JSON lines from its standard input, and answers with a [`Report`] a line on its
//! standard output. What a task's file holds depends on the task alone, never on the worker that did it, or on when.
//!
//! A worker that dies or passes the time for a capture is replaced. That capture gets the reason as its fault, and the
//! task is done again: the next worker then knows the fault and leaves the capture unread.

mod pool;
mod process;
mod worker;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::capture_names::NamedCapture;

pub(crate) use pool::{DoneTask, Jobs, TaskList};
pub(crate) use worker::Worker;

/// Captures whose results go to one file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Task {
    /// The number of the task, from 0.
    pub(crate) number: usize,
    /// The captures, in their order. One that ended a worker has its fault.
    pub(crate) captures: Vec<NamedCapture>,
    /// The file for the results, which the worker makes anew. No text: file names need not be UTF-8.
    output: OsString,
}

impl Task {
    /// A task that no worker has tried yet.
    pub(crate) fn new(number: usize, captures: Vec<NamedCapture>, output: PathBuf) -> Self {
        Self { number, captures, output: output.into() }
    }

    /// The file for the results.
    pub(crate) fn output(&self) -> &Path {
        Path::new(&self.output)
    }
}

/// What a worker is told before its first task.
#[derive(Debug, Serialize, Deserialize)]
struct Setup {
    /// The temporary folder of the run, which the workers remove when the run ends without having done so.
    folder: OsString,
    /// What a worker has to know beside the command line.
    settings: Value,
}

/// What a worker says of its task.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Report {
    /// It begins to read the capture of this number within the task.
    Begun(usize),
    /// The task is done, and the file whole.
    Done(Value),
    /// The results cannot be written, so the whole run cannot go on.
    Failed(String),
}
