//! Windows: a started process is put in a job object before it runs, and the job ends all that are in it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::windows::io::AsHandle;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anstyle_query::windows::enable_ansi_colors;
use bittrace_client::{WindowsPathFault, windows_path_fault};
use process_wrap::tokio::{ChildWrapper, CommandWrap, JobObject, KillOnDrop};
use same_file::Handle;
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

    /// For how long processors have worked for the processes: nobody asks here yet.
    pub(crate) const fn processor_time(&self) -> Option<Duration> {
        None
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

/// Whether this is the name of a pipe.
pub(crate) fn is_pipe(path: &Path) -> bool {
    path.to_string_lossy().to_ascii_lowercase().starts_with(r"\\.\pipe\")
}

/// Opens a named pipe for writing. Pipes are made by their readers here, so that a missing one is waited for.
pub(crate) fn open_pipe(path: &Path) -> io::Result<Option<File>> {
    match File::options().write(true).open(path) {
        Ok(pipe) => Ok(Some(pipe)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Standard output without a buffer, for what is not text.
pub(crate) fn standard_output() -> io::Result<File> {
    Ok(io::stdout().as_handle().try_clone_to_owned()?.into())
}

/// Whether a path leads to the file that standard output is.
pub(crate) fn is_standard_output(path: &Path) -> bool {
    let output =
        Handle::stdout().and_then(|output| Ok(output.as_file().metadata()?.is_file().then_some(output)));
    matches!((output, Handle::from_path(path)), (Ok(Some(output)), Ok(path)) if output == path)
}

/// The name of the script that Wireshark starts.
pub(crate) const SCRIPT_NAME: &str = "bittrace-extcap.bat";

/// A script that starts `program extcap`. No path has a quote here; a percent sign is written twice. The code page is that of UTF-8,
/// for paths that are not ASCII.
pub(crate) fn interface_script(program: &Path) -> Vec<u8> {
    let program = program.to_string_lossy().replace('%', "%%");
    format!("@rem Written by bittrace extcap --install.\r\n@chcp 65001 >nul\r\n@\"{program}\" extcap %*\r\n")
        .into_bytes()
}

/// Writes a script. It takes the place of what had its name.
pub(crate) fn write_script(path: &Path, script: &[u8]) -> io::Result<()> {
    fs::write(path, script)
}

/// The programs that may be tshark.
pub(crate) fn tshark_programs() -> Vec<PathBuf> {
    let mut programs: Vec<PathBuf> = vec!["tshark".into()];
    programs.extend(
        std::env::var_os("ProgramFiles").map(|folder| PathBuf::from(folder).join(r"Wireshark\tshark.exe")),
    );
    programs
}

/// Where Wireshark searches for a user's own interfaces, unless it says otherwise (Wireshark User's Guide, "Plugin folders").
pub(crate) fn default_extcap_folder() -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("APPDATA")?).join(r"Wireshark\extcap"))
}

/// Where programs of this user keep what is worth little, and stays on this machine.
pub(crate) fn state_folder() -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("LOCALAPPDATA")?).join("bittrace"))
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

/// The command that starts a program which takes a folder for its user's home: here programs have other ways.
pub(crate) fn at_home(program: &OsStr, arguments: &[OsString], _home: &Path) -> (OsString, Vec<OsString>) {
    (program.to_owned(), arguments.to_vec())
}

/// The interface over which this machine speaks with itself, as capture programs call it (Npcap).
pub(crate) const LOOPBACK_INTERFACE: &str = r"\Device\NPF_Loopback";

/// Whether this process may make network namespaces; if not, why.
pub(crate) const fn check_namespaces() -> Result<(), &'static str> {
    Err("only Linux has network namespaces")
}

/// Listens at an address of another network namespace: there is none.
pub(crate) fn listen_in_namespace(_: &Path, _: SocketAddr) -> io::Result<TcpListener> {
    Err(io::ErrorKind::Unsupported.into())
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
