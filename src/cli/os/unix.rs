//! Linux and macOS: a started process runs under a guard, which ends it and all that it started.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use tempfile::{NamedTempFile, TempDir};
use tokio::process::{Child, Command};

mod guard;
mod namespaces;

pub(crate) use guard::run_if_guard;
pub(crate) use namespaces::{check_namespaces, listen_in_namespace};

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

    /// For how long processors have worked for the processes; `None` where the system does not tell.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        guard::processor_time(self.guard.id()?)
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

/// Whether a named pipe is there, through whatever links.
pub(crate) fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo())
}

/// Opens a named pipe for writing; `None` where nobody reads it yet.
pub(crate) fn open_pipe(path: &Path) -> io::Result<Option<File>> {
    // Without waiting for a reader, so that Ctrl-C ends the wait. Writing waits.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    match File::options().write(true).custom_flags(flags).open(path) {
        Ok(pipe) => {
            fcntl_setfl(&pipe, OFlags::empty())?;
            Ok(Some(pipe))
        }
        Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Standard output without a buffer, for what is not text.
pub(crate) fn standard_output() -> io::Result<File> {
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

/// Whether a path leads to the pipe or the file that standard output is.
pub(crate) fn is_standard_output(path: &Path) -> bool {
    let identity = |found: Metadata| {
        let kind = found.file_type();
        (kind.is_fifo() || kind.is_file()).then(|| (found.dev(), found.ino()))
    };
    let output = standard_output().and_then(|output| output.metadata()).ok().and_then(identity);
    output.is_some() && output == fs::metadata(path).ok().and_then(identity)
}

/// The name of the script that Wireshark starts.
pub(crate) const SCRIPT_NAME: &str = "bittrace-extcap";

/// A script that starts `program extcap` in its place, so that signals reach the program.
pub(crate) fn interface_script(program: &Path) -> Vec<u8> {
    let mut script = b"#!/bin/sh\n# Written by bittrace extcap --install.\nexec '".to_vec();
    for &byte in program.as_os_str().as_bytes() {
        // Nothing else has a meaning between these quotes.
        match byte {
            b'\'' => script.extend_from_slice(br"'\''"),
            byte => script.push(byte),
        }
    }
    script.extend_from_slice(b"' extcap \"$@\"\n");
    script
}

/// Writes a script, which everybody may start who may read it. It takes the place of what had its name.
pub(crate) fn write_script(path: &Path, script: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::options().write(true).create_new(true).mode(0o777).open(path)?.write_all(script)
}

/// The programs that may be tshark.
pub(crate) fn tshark_programs() -> Vec<PathBuf> {
    vec!["tshark".into(), "/Applications/Wireshark.app/Contents/MacOS/tshark".into()]
}

/// Where Wireshark searches for a user's own interfaces, unless it says otherwise (Wireshark User's Guide, "Plugin folders").
pub(crate) fn default_extcap_folder() -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/lib/wireshark/extcap"))
}

/// Where programs of this user keep what is worth little (XDG Base Directory Specification, "XDG_STATE_HOME").
pub(crate) fn state_folder() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let folder = named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    Some(folder.join("bittrace"))
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

/// The command that starts a program which takes a folder for its user's home, and makes its temporary files there.
pub(crate) fn at_home(program: &OsStr, arguments: &[OsString], home: &Path) -> (OsString, Vec<OsString>) {
    let variable = |name: &str| [OsStr::new(name), home.as_os_str()].join(OsStr::new("="));
    let mut words = vec![variable("HOME"), variable("TMPDIR"), program.to_owned()];
    words.extend_from_slice(arguments);
    ("/usr/bin/env".into(), words)
}

/// The interface over which this machine speaks with itself, as capture programs call it.
pub(crate) const LOOPBACK_INTERFACE: &str = if cfg!(target_os = "linux") { "lo" } else { "lo0" };

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
