//! Windows: a started process is put in a job object before it runs, and the job ends all that are in it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anstyle_query::windows::enable_ansi_colors;
use bittrace_client::{WindowsPathFault, windows_path_fault};
use process_wrap::tokio::{ChildWrapper, CommandWrap, JobObject, KillOnDrop};
use tempfile::{NamedTempFile, TempDir};
use tokio::process::Command;

/// A process with all processes that it starts. They end with this value, and with this process, however it ends.
#[derive(Debug)]
pub(crate) struct ProcessTree {
    job: Arc<Mutex<Box<dyn ChildWrapper>>>,
}

impl ProcessTree {
    /// Starts a process without input. All that it writes goes to `log`.
    pub(crate) fn start(program: &OsStr, arguments: &[OsString], log: File) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let job = CommandWrap::from(command).wrap(JobObject).wrap(KillOnDrop).spawn()?;
        Ok(Self { job: Arc::new(Mutex::new(job)) })
    }

    /// How the first process ended, if it did.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        lock(&self.job).try_wait()
    }

    /// Waits until the first process has ended.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// Asks the processes to end in good order; whether the system can ask. Windows has no such message for programs of
    /// all kinds.
    pub(crate) const fn ask_to_end(&self) -> bool {
        false
    }

    /// Ends the processes at once.
    pub(crate) fn kill(&mut self) {
        kill(&self.job);
    }

    /// Something that ends the processes at once, from any thread.
    pub(crate) fn killer(&self) -> impl FnOnce() + Send + use<> {
        let job = Arc::clone(&self.job);
        move || kill(&job)
    }
}

impl Drop for ProcessTree {
    fn drop(&mut self) {
        self.kill();
    }
}

fn kill(job: &Mutex<Box<dyn ChildWrapper>>) {
    // They may be gone already.
    let _ = lock(job).start_kill();
}

fn lock(job: &Mutex<Box<dyn ChildWrapper>>) -> MutexGuard<'_, Box<dyn ChildWrapper>> {
    job.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What this process is where it guards another one: here job objects do that.
pub(crate) const fn run_if_guard() -> Option<ExitCode> {
    None
}

/// Whether an argument is the path of a file or folder, not of a device such as `CON`, which would wait for keys.
pub(crate) fn check_path(path: PathBuf) -> Result<PathBuf, WindowsPathFault> {
    match windows_path_fault(&path.to_string_lossy()) {
        Some(fault) => Err(fault),
        None => Ok(path),
    }
}

/// Whether both paths lead to one file, through whatever links.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    same_file::is_same_file(one, other).unwrap_or(false)
}

/// The path that a list of names has in these bytes, which are UTF-8.
pub(crate) fn path_of_bytes(bytes: &[u8]) -> Result<PathBuf, std::str::Utf8Error> {
    Ok(std::str::from_utf8(bytes)?.into())
}

/// The file of this program, to start it again.
pub(crate) fn this_program() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// Makes a folder that is removed when it is dropped, in the user's own folder for such.
pub(crate) fn temporary_folder() -> io::Result<TempDir> {
    tempfile::Builder::new().prefix("bittrace-").tempdir()
}

/// Makes a file in `folder` that is removed when it is dropped, and that has the permissions of the folder.
pub(crate) fn new_file_in(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(".bittrace-").tempfile_in(folder)
}

/// Makes the console ready for colours; whether it has any. Text needs nothing: the standard library writes it to a
/// console as UTF-16, whatever code page is set.
pub(crate) fn prepare_console() -> bool {
    enable_ansi_colors().unwrap_or(true)
}

/// Whether text is UTF-8 where no variable of the locale is set. The standard library writes it to a console as UTF-16,
/// whatever code page is set.
pub(crate) const fn default_is_utf8() -> bool {
    true
}

/// How often is looked whether a process has ended.
const STEP: Duration = Duration::from_millis(20);
