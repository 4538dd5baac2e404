//! A recording never takes the place of a file of the run: its state file, its lock, its file of shared pieces, or the torrent's files, whether by the
//! same name, by a link, or by a hard link. Creating a recording empties whatever has its name.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::files::Files;
use crate::journal::Journal;
use crate::layout::{PART_SUFFIX, Place};
use crate::names::fold;
use crate::os;

impl Files {
    /// Whether a recording may be made at `path`.
    ///
    /// # Errors
    /// [`Error::RecordingInTheWay`] where it is, or would become, a file that the run uses.
    pub(crate) fn check_recording(&self, path: &Path, journal: Option<&Journal>) -> Result<(), Error> {
        let refused = |what| Err(Error::RecordingInTheWay { path: path.to_owned(), what });
        let wrong = |source| Error::Record { path: path.to_owned(), source };
        let existing = match fs::metadata(path) {
            Ok(found) if found.is_file() => Some(File::open(path).map_err(wrong)?),
            // Whatever else is there is refused when the recording is made.
            Ok(_) => return Ok(()),
            Err(_) if fs::symlink_metadata(path).is_ok() => {
                return refused("it is a symbolic link that leads to nothing");
            }
            Err(_) => None,
        };
        if let Some(journal) = journal
            && let Some(what) = self.is_state(path, existing.as_ref(), journal)?
        {
            return refused(what);
        }
        match self.is_content(path, existing.as_ref())? {
            true => refused("it is a file of the torrent"),
            false => Ok(()),
        }
    }

    /// Refuses a key log that is a file of this run, as [`check_recording`](Self::check_recording) does.
    pub(crate) fn check_key_log(&self, path: &Path, journal: Option<&Journal>) -> Result<(), Error> {
        self.check_recording(path, journal).map_err(|error| match error {
            Error::RecordingInTheWay { path, what } => Error::KeyLogInTheWay { path, what },
            Error::Record { path, source } => Error::KeyLog { path, source },
            other => other,
        })
    }

    fn is_state(
        &self,
        path: &Path,
        existing: Option<&File>,
        journal: &Journal,
    ) -> Result<Option<&'static str>, Error> {
        let names = [
            (journal.name(), "it is the state file of the torrent"),
            (journal.lock_name(), "it is the lock of the torrent's name"),
            (self.shared_pieces.name(), "it is the file of shared pieces of the torrent"),
        ];
        let below = self.below(path);
        for (name, what) in names {
            let is_named = below.as_deref().is_some_and(|below| is_within(below, name, ""));
            let is_same = match existing {
                Some(file) => self.folder.is_named(file, name, "")?,
                None => false,
            };
            if is_named || is_same {
                return Ok(Some(what));
            }
        }
        Ok(None)
    }

    fn is_content(&self, path: &Path, existing: Option<&File>) -> Result<bool, Error> {
        let below = self.below(path);
        // A file with one name is known by that name.
        let existing = existing.filter(|file| os::link_count(file).map_or(true, |names| names > 1));
        if below.is_none() && existing.is_none() {
            return Ok(false);
        }
        for place in self.layout.places.iter().filter_map(Place::parts) {
            for suffix in ["", PART_SUFFIX] {
                if below.as_deref().is_some_and(|below| is_within(below, &place, suffix)) {
                    return Ok(true);
                }
                if let Some(file) = existing {
                    match self.folder.is_named(file, &place, suffix) {
                        Ok(true) => return Ok(true),
                        // A folder on the way is missing.
                        Ok(false) | Err(Error::File { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        let links = self.layout.links.iter().map(|link| link.path.as_slice());
        Ok(below.is_some_and(|below| links.clone().any(|link| is_within(&below, link, ""))))
    }

    /// The parts of a path below the output folder, as systems compare names; `None` for a path elsewhere.
    fn below(&self, path: &Path) -> Option<Vec<String>> {
        let whole = whole(path).ok()?;
        let folder = fs::canonicalize(self.folder.shown(&[], "")).ok()?;
        let below = whole.strip_prefix(folder).ok()?;
        Some(below.iter().map(|part| fold(&part.to_string_lossy())).collect())
    }
}

/// A path without links on the way, also of a file that does not exist.
fn whole(path: &Path) -> io::Result<PathBuf> {
    if let Ok(whole) = fs::canonicalize(path) {
        return Ok(whole);
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    Ok(fs::canonicalize(folder)?.join(name))
}

/// Whether a path is that of a file of the run, or of a folder around the file.
fn is_within(below: &[String], place: &[String], suffix: &str) -> bool {
    if below.is_empty() || below.len() > place.len() {
        return false;
    }
    below.iter().zip(place).enumerate().all(|(at, (below, part))| {
        if at + 1 == place.len() { *below == fold(&format!("{part}{suffix}")) } else { *below == fold(part) }
    })
}
