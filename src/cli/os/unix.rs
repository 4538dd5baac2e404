//! Linux and macOS: a started process runs under a guard, which ends it and all that it started.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::{NamedTempFile, TempDir};
use tokio::process::{Child, Command};

mod guard;

pub(crate) use guard::run_if_guard;

/// A process with all processes that it starts. They end with this value, and with this process, however it ends. On macOS,
/// those that leave the process group are not ended.
#[derive(Debug)]
pub(crate) struct ProcessTree {
    guard: Child,
    pipes: Arc<Mutex<Pipes>>,
}

/// What is said to the guard, until it is to end all, and what it tells.
#[derive(Debug)]
struct Pipes {
    say: Option<PipeWriter>,
    told: PipeReader,
}

impl ProcessTree {
    /// Starts a process without input. All that it writes goes to `log`.
    pub(crate) fn start(program: &OsStr, arguments: &[OsString], log: File) -> io::Result<Self> {
        let (command, say, mut told) = guard::command(program, arguments, log)?;
        let mut command = Command::from(command);
        let guard = command.spawn()?;
        // Our ends of its pipes, without which they would not end with it.
        drop(command);
        guard::await_start(&mut told)?;
        Ok(Self { guard, pipes: Arc::new(Mutex::new(Pipes { say: Some(say), told })) })
    }

    /// How the first process ended, if it did.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.guard.try_wait()
    }

    /// Waits until the first process has ended.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.guard.wait().await
    }

    /// Asks the processes to end in good order; whether the system can ask.
    pub(crate) fn ask_to_end(&self) -> bool {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(say) = &mut pipes.say {
            guard::ask_to_end(say);
        }
        true
    }

    /// Ends the processes at once.
    pub(crate) fn kill(&mut self) {
        kill(&self.pipes);
    }

    /// Something that ends the processes at once, from any thread.
    pub(crate) fn killer(&self) -> impl FnOnce() + Send + use<> {
        let pipes = Arc::clone(&self.pipes);
        move || kill(&pipes)
    }
}

impl Drop for ProcessTree {
    fn drop(&mut self) {
        self.kill();
    }
}

fn kill(pipes: &Mutex<Pipes>) {
    let mut pipes = pipes.lock().unwrap_or_else(PoisonError::into_inner);
    let say = pipes.say.take();
    guard::kill(say, &pipes.told);
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

/// The path that a list of names has in these bytes: here every one is a path.
pub(crate) fn path_of_bytes(bytes: &[u8]) -> Result<PathBuf, Infallible> {
    Ok(OsString::from_vec(bytes.to_vec()).into())
}

/// The file of this program, to start it again. Linux has a path for that which is right even where the file was replaced
/// meanwhile.
pub(crate) fn this_program() -> io::Result<PathBuf> {
    let itself = Path::new("/proc/self/exe");
    if itself.exists() { Ok(itself.to_owned()) } else { std::env::current_exe() }
}

/// Makes a folder that is removed when it is dropped. Only this user may look into it: recordings and downloads are private.
pub(crate) fn temporary_folder() -> io::Result<TempDir> {
    let permissions = fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix("bittrace-").permissions(permissions).tempdir()
}

/// Makes a file in `folder` that is removed when it is dropped, and that others may read as any new file of this user.
pub(crate) fn new_file_in(folder: &Path) -> io::Result<NamedTempFile> {
    let permissions = fs::Permissions::from_mode(0o666);
    tempfile::Builder::new().prefix(".bittrace-").permissions(permissions).tempfile_in(folder)
}

/// Makes the console ready for colours; whether it has any.
pub(crate) const fn prepare_console() -> bool {
    true
}

/// Whether text is UTF-8 where no variable of the locale is set: terminals of today show it, in containers as well.
pub(crate) const fn default_is_utf8() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_is_this_users_alone() {
        let folder = temporary_folder().unwrap();
        let mode = fs::metadata(folder.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
