//! A file of results: it gets its name once it is whole, and never takes the place of a file that is read.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

use crate::commands::download::keep;
use crate::interrupt::tidy_with;
use crate::os::new_file_in;
use crate::print::output::Output;

/// Where a page, or another file of results, goes.
pub(crate) struct PageFile {
    /// The option that names it.
    option: &'static str,
    /// As the user named it.
    path: PathBuf,
    place: Place,
}

enum Place {
    /// `-`.
    Output(Output),
    /// A pipe or a device, which has its name already.
    There(File),
    /// A file under another name beside the one that it is to get.
    Beside(Box<NamedTempFile>, PathBuf),
}

impl PageFile {
    /// Makes the file under another name, so that a folder that cannot be written to is known before anything is read.
    /// `-` is standard output. `read` are the files that the run reads.
    ///
    /// # Errors
    /// When the path is a folder or one of `read`, or nothing can be created there.
    pub(crate) fn create(path: &Path, read: &[&Path], output: &Output) -> Result<Self> {
        Self::create_for("--html", path, read, output)
    }

    /// The same for a file that another option names.
    ///
    /// # Errors
    /// As of [`create`](Self::create).
    pub(crate) fn create_for(
        option: &'static str,
        path: &Path,
        read: &[&Path],
        output: &Output,
    ) -> Result<Self> {
        let named = path.to_owned();
        if path == Path::new("-") {
            return Ok(Self { option, path: named, place: Place::Output(output.clone()) });
        }
        for read in read {
            keep(option, "a file that is read", read, path)?;
        }
        let wrong = || cannot_be_written(option, path);
        // A link is followed: what it leads to is replaced, not the link.
        let whole = fs::canonicalize(path).unwrap_or_else(|_| named.clone());
        let place = match fs::metadata(&whole) {
            Ok(found) if found.is_dir() => bail!("{option} {}: this is a folder", path.display()),
            Ok(found) if !found.is_file() => {
                Place::There(File::options().write(true).open(&whole).with_context(wrong)?)
            }
            _ => {
                let folder =
                    whole.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
                let file = new_file_in(folder).with_context(wrong)?;
                let temporary = file.path().to_owned();
                // Nobody else does it when a second Ctrl-C ends the process.
                tidy_with(move || drop(fs::remove_file(temporary)));
                Place::Beside(Box::new(file), whole)
            }
        };
        Ok(Self { option, path: named, place })
    }

    /// The path, as the user named it.
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Whether the page goes to standard output.
    pub(crate) const fn is_output(&self) -> bool {
        matches!(self.place, Place::Output(_))
    }

    /// Writes the page with `write`, and gives it its name. The number of bytes.
    ///
    /// # Errors
    /// When it cannot be written. Then what had the name before still has it.
    pub(crate) fn write(self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<u64> {
        let mut file = self.open();
        match write(&mut file) {
            Ok(()) => file.finish(),
            Err(error) => Err(file.fault(error)),
        }
    }

    /// The file to write bit by bit, through a buffer.
    pub(crate) fn open(self) -> OpenFile {
        let Self { option, path, place } = self;
        OpenFile { option, path, out: BufWriter::with_capacity(64 * 1024, place), bytes: 0 }
    }
}

/// A file of results that is being written. Unless it is [`finish`](Self::finish)ed nothing is left of it.
pub(crate) struct OpenFile {
    option: &'static str,
    path: PathBuf,
    out: BufWriter<Place>,
    bytes: u64,
}

impl OpenFile {
    /// Gives the file its name. The number of bytes.
    ///
    /// # Errors
    /// When it cannot be written. Then what had the name before still has it.
    pub(crate) fn finish(mut self) -> Result<u64> {
        if let Err(error) = self.out.flush() {
            return Err(self.fault(error));
        }
        let Self { option, path, out, bytes } = self;
        let (place, _) = out.into_parts();
        if let Place::Beside(file, whole) = place {
            file.persist(whole)
                .map_err(|error| error.error)
                .with_context(|| cannot_be_written(option, &path))?;
        }
        Ok(bytes)
    }

    fn fault(&self, error: io::Error) -> anyhow::Error {
        match self.out.get_ref() {
            // A reader that has gone is no error of the file.
            Place::Output(_) => error.into(),
            _ => anyhow::Error::new(error).context(cannot_be_written(self.option, &self.path)),
        }
    }
}

impl Write for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Write for Place {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Output(output) => output.write(bytes),
            Self::There(file) => file.write(bytes),
            Self::Beside(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Output(output) => output.flush(),
            Self::There(file) => file.flush(),
            Self::Beside(file, _) => file.flush(),
        }
    }
}

/// The name of a file without its folders: a page says nothing of the machine that it was made on.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn cannot_be_written(option: &str, path: &Path) -> String {
    format!("{option} {}: cannot be written", path.display())
}
