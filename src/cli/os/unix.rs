//! Linux and macOS: a started process leads a process group, and signals reach all of the group.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// A process with all processes that it starts, unless these leave its group. They end with this value.
#[derive(Debug)]
pub(crate) struct ProcessTree {
    child: Child,
    /// The process group, which outlives the first process where that leaves children behind.
    group: Option<Pid>,
}

impl ProcessTree {
    /// Starts a process.
    pub(crate) fn start(mut command: Command) -> io::Result<Self> {
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self { child, group })
    }

    /// How the first process ended, if it did.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits until the first process has ended.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks the processes to end in good order; whether the system can ask.
    pub(crate) fn ask_to_end(&self) -> bool {
        kill_group(self.group, Signal::TERM);
        true
    }

    /// Ends the processes at once.
    pub(crate) fn kill(&mut self) {
        kill_group(self.group, Signal::KILL);
    }

    /// Something that ends the processes at once, from any thread.
    pub(crate) fn killer(&self) -> impl FnOnce() + Send + use<> {
        let group = self.group;
        move || kill_group(group, Signal::KILL)
    }
}

impl Drop for ProcessTree {
    fn drop(&mut self) {
        self.kill();
    }
}

fn kill_group(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // It may be gone already.
        let _ = kill_process_group(group, signal);
    }
}

/// Whether an argument is the path of a file or folder: here every one is.
pub(crate) fn check_path(path: PathBuf) -> Result<PathBuf, Infallible> {
    Ok(path)
}

/// Whether both paths lead to one file, through whatever links. Nothing is opened: a pipe would be waited for.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// Makes the console ready for colours; whether it has any.
pub(crate) const fn prepare_console() -> bool {
    true
}
