//! Where the recording of a run goes: into a file, which the client makes, or to somebody who reads it while it is made:
//! standard output or a named pipe.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bittrace_client::{DownloadOptions, Error, Notice, RecordingWatcher};

use crate::args::{Common, DownloadArguments};
use crate::failure::warn;
use crate::interrupt::interrupted;
use crate::os::{is_pipe, is_standard_output, open_pipe, standard_output};

use super::keep;

/// Where the recording of a run goes.
pub(crate) enum RecordTarget {
    /// Nobody asked for a recording.
    Nowhere,
    /// A file.
    File(PathBuf),
    /// Standard output. Its reader decides when the run ends.
    StandardOutput,
    /// A named pipe. The run goes on when its reader has gone.
    Pipe(PathBuf),
    /// A named pipe whose reader decides when the run ends.
    ReadersPipe(PathBuf),
}

impl RecordTarget {
    /// The target that `--record` names: `-` is standard output, and so is another name of the pipe or file behind it.
    ///
    /// # Errors
    /// When standard output is a terminal, or the recording would take the place of a file that the run reads.
    pub(crate) fn of(arguments: &DownloadArguments) -> Result<Self> {
        let Some(path) = &arguments.record else { return Ok(Self::Nowhere) };
        if path == Path::new("-") || is_standard_output(path) {
            if io::IsTerminal::is_terminal(&io::stdout()) {
                bail!(
                    "--record -: standard output is a terminal; pipe it into a program, such as tshark -i -, or name a file"
                );
            }
            return Ok(Self::StandardOutput);
        }
        if is_pipe(path) {
            return Ok(Self::Pipe(path.clone()));
        }
        keep("--record", "the torrent file", Path::new(&arguments.torrent), path)?;
        for capture in arguments.like.iter().chain(&arguments.against) {
            keep("--record", "the capture", capture, path)?;
        }
        Ok(Self::File(path.clone()))
    }

    /// What the recording is called in what is told of the run.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::Nowhere => None,
            Self::StandardOutput => Some(STANDARD_OUTPUT.to_owned()),
            Self::File(path) | Self::Pipe(path) | Self::ReadersPipe(path) => Some(path.display().to_string()),
        }
    }

    /// Has the recording go there. A pipe is opened, which takes until somebody reads it; `false` after Ctrl-C.
    ///
    /// # Errors
    /// When the pipe cannot be opened.
    pub(crate) fn open(&self, common: Common, options: &mut DownloadOptions) -> Result<bool> {
        match self {
            Self::Nowhere => {}
            Self::File(path) => options.record = Some(path.clone()),
            Self::StandardOutput => {
                let output = standard_output().context("standard output cannot be written")?;
                options.watchers.push(RecordingWatcher::named(STANDARD_OUTPUT, output));
            }
            Self::Pipe(path) | Self::ReadersPipe(path) => {
                let Some(pipe) = wait_for_reader(path, common)? else { return Ok(false) };
                options.watchers.push(RecordingWatcher::named(path, pipe));
            }
        }
        Ok(true)
    }

    /// Whether a notice says that the reader has gone who decides when the run ends.
    pub(super) fn is_left_by_reader(&self, notice: &Notice) -> bool {
        matches!(notice, Notice::RecordingFailed { error } if self.reader_decides() && is_without_reader(error))
    }

    /// Whether the run is of use to the end, however its recording ended: `false` where the reader has gone for whom alone it was.
    ///
    /// # Errors
    /// What went wrong with the recording. A reader that is gone from a pipe is none.
    pub(crate) fn is_satisfied(&self, recording: Option<Error>) -> Result<bool> {
        match recording {
            Some(error) if is_without_reader(&error) => Ok(!self.reader_decides()),
            Some(error) => Err(error.into()),
            None => Ok(true),
        }
    }

    /// Whether the run ends with the program that reads the recording.
    pub(super) const fn reader_decides(&self) -> bool {
        matches!(self, Self::StandardOutput | Self::ReadersPipe(_))
    }
}

/// Whether a recording ended since nobody reads it any more.
pub(super) fn is_without_reader(error: &Error) -> bool {
    matches!(error, Error::Record { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
}

/// Opens a pipe for writing, as soon as somebody reads it; `None` after Ctrl-C.
fn wait_for_reader(path: &Path, common: Common) -> Result<Option<File>> {
    let mut is_told = false;
    loop {
        if let Some(pipe) = open_pipe(path).with_context(|| path.display().to_string())? {
            return Ok(Some(pipe));
        }
        if !std::mem::replace(&mut is_told, true) {
            warn(common, &format!("{}: waiting for a program that reads this pipe", path.display()));
        }
        if interrupted() {
            return Ok(None);
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}

const STANDARD_OUTPUT: &str = "standard output";
/// How soon a reader of a pipe is noticed.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
