//! The output folder: files below it are reached part by part, and no symbolic link on the way is followed.
//!
//! Nothing outside the folder can be opened, made or renamed through this type.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::Error;

/// A folder that the user named. The way to it may lead through links; below it no link is followed.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: Arc<OwnedFd>,
    path: PathBuf,
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathEntry {
    Nothing,
    /// A file of this length.
    File(u64),
    /// A folder, a link, a device.
    Other,
}

impl Folder {
    /// Opens the folder at `path`, and makes it where it is missing.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let wrong = |source| Error::File { action: "use the folder", path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(wrong)?;
        let root = fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| wrong(errno.into()))?;
        Ok(Self { root: Arc::new(root), path: path.to_owned() })
    }

    /// The path of something below it, for people.
    pub(crate) fn shown(&self, parts: &[String], suffix: &str) -> PathBuf {
        let mut path = self.path.clone();
        path.extend(parts);
        path.as_mut_os_string().push(suffix);
        path
    }

    /// What stands there. Nothing stands where a folder on the way is missing.
    pub(crate) fn look(&self, parts: &[String], suffix: &str) -> Result<PathEntry, Error> {
        let (folder, name) = match self.parent(parts, Missing::Error) {
            Err(Errno::NOENT) => return Ok(PathEntry::Nothing),
            Err(errno) => return Err(self.error("look at", parts, suffix, errno)),
            Ok(parent) => parent,
        };
        match fs::statat(folder.fd(self), format!("{name}{suffix}"), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(PathEntry::Nothing),
            Err(errno) => Err(self.error("look at", parts, suffix, errno)),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                Ok(PathEntry::File(u64::try_from(stat.st_size).unwrap_or(0)))
            }
            Ok(_) => Ok(PathEntry::Other),
        }
    }

    /// Opens a file for reading.
    pub(crate) fn read(&self, parts: &[String], suffix: &str) -> Result<File, Error> {
        self.open_at(parts, suffix, OFlags::RDONLY, Missing::Error)
            .map_err(|errno| self.error("read", parts, suffix, errno))
    }

    /// Opens a file for reading and writing, and makes it and the folders on the way where they are missing.
    pub(crate) fn write(&self, parts: &[String], suffix: &str) -> Result<File, Error> {
        self.open_at(parts, suffix, OFlags::RDWR | OFlags::CREATE, Missing::Make)
            .map_err(|errno| self.error("write", parts, suffix, errno))
    }

    /// Makes a file for reading and writing where nothing stands, and the folders on the way where they are missing.
    pub(crate) fn write_new(&self, parts: &[String], suffix: &str) -> Result<File, Error> {
        self.open_at(parts, suffix, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, Missing::Make)
            .map_err(|errno| self.error("write", parts, suffix, errno))
    }

    /// Opens a file for reading and writing that must be there.
    pub(crate) fn write_old(&self, parts: &[String], suffix: &str) -> Result<File, Error> {
        self.open_at(parts, suffix, OFlags::RDWR, Missing::Error)
            .map_err(|errno| self.error("write", parts, suffix, errno))
    }

    /// Whether this very file, and no other, bears the name.
    pub(crate) fn is_named(&self, file: &File, parts: &[String], suffix: &str) -> Result<bool, Error> {
        let wrong = |errno| self.error("look at", parts, suffix, errno);
        let (folder, name) = self.parent(parts, Missing::Error).map_err(wrong)?;
        let held = fs::fstat(file).map_err(wrong)?;
        match fs::statat(folder.fd(self), format!("{name}{suffix}"), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stands) => Ok((stands.st_dev, stands.st_ino) == (held.st_dev, held.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(wrong(errno)),
        }
    }

    /// Makes an empty file, where nothing stands.
    pub(crate) fn create_empty(&self, parts: &[String]) -> Result<(), Error> {
        match self.open_at(parts, "", OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, Missing::Make) {
            Ok(_) => Ok(()),
            Err(Errno::EXIST) => Err(Error::Exists { path: self.shown(parts, "") }),
            Err(errno) => Err(self.error("create", parts, "", errno)),
        }
    }

    /// Gives a file another ending. What stands there already stays, unless it is to be replaced.
    pub(crate) fn rename(
        &self,
        parts: &[String],
        from: &str,
        to: &str,
        replace: Replace,
    ) -> Result<(), Error> {
        let renamed = self.parent(parts, Missing::Error).and_then(|(folder, name)| {
            let folder = folder.fd(self);
            let (old, new) = (format!("{name}{from}"), format!("{name}{to}"));
            match replace {
                Replace::Always => fs::renameat(folder, old, folder, new),
                Replace::Never => rename_new(folder, &old, &new),
            }
        });
        match renamed {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(Error::Exists { path: self.shown(parts, to) }),
            Err(errno) => Err(self.error("rename", parts, from, errno)),
        }
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, parts: &[String], suffix: &str) -> Result<(), Error> {
        let removed = self.parent(parts, Missing::Error).and_then(|(folder, name)| {
            fs::unlinkat(folder.fd(self), format!("{name}{suffix}"), AtFlags::empty())
        });
        match removed {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.error("remove", parts, suffix, errno)),
        }
    }

    fn open_at(
        &self,
        parts: &[String],
        suffix: &str,
        flags: OFlags,
        missing: Missing,
    ) -> Result<File, Errno> {
        let (folder, name) = self.parent(parts, missing)?;
        // A pipe of that name would block, a device do who knows what.
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = fs::openat(folder.fd(self), format!("{name}{suffix}"), flags, Mode::from_raw_mode(0o666))?;
        if FileType::from_raw_mode(fs::fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(Errno::EXIST);
        }
        Ok(File::from(file))
    }

    /// The folder in which a path's last part stands.
    fn parent<'a>(&self, parts: &'a [String], missing: Missing) -> Result<(Parent, &'a str), Errno> {
        let (name, folders) = parts.split_last().ok_or(Errno::INVAL)?;
        let mut parent = Parent::Root;
        for part in folders {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = match fs::openat(parent.fd(self), part, flags, Mode::empty()) {
                Err(Errno::NOENT) if matches!(missing, Missing::Make) => {
                    match fs::mkdirat(parent.fd(self), part, Mode::from_raw_mode(0o777)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(errno) => return Err(errno),
                    }
                    fs::openat(parent.fd(self), part, flags, Mode::empty())
                }
                other => other,
            };
            parent = Parent::Below(opened.map_err(|errno| match errno {
                // Linux says so of a link where a folder is wanted.
                Errno::NOTDIR if self.is_link(&parent, part) => Errno::LOOP,
                errno => errno,
            })?);
        }
        Ok((parent, name))
    }

    fn is_link(&self, parent: &Parent, part: &str) -> bool {
        fs::statat(parent.fd(self), part, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
    }

    fn error(&self, action: &'static str, parts: &[String], suffix: &str, errno: Errno) -> Error {
        let path = self.shown(parts, suffix);
        match errno {
            Errno::LOOP => Error::Symlink { path },
            Errno::EXIST => Error::Exists { path },
            errno => Error::File { action, path, source: io::Error::from(errno) },
        }
    }
}

/// Whether a file may take another's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replace {
    Never,
    Always,
}

enum Missing {
    Error,
    Make,
}

enum Parent {
    Root,
    Below(OwnedFd),
}

impl Parent {
    fn fd<'a>(&'a self, folder: &'a Folder) -> std::os::fd::BorrowedFd<'a> {
        match self {
            Self::Root => folder.root.as_fd(),
            Self::Below(fd) => fd.as_fd(),
        }
    }
}

/// Renames to a name that nobody has.
fn rename_new(folder: std::os::fd::BorrowedFd<'_>, old: &str, new: &str) -> Result<(), Errno> {
    match fs::renameat_with(folder, old, folder, new, RenameFlags::NOREPLACE) {
        // Not every file system can; most of those that cannot have hard links, which never replace either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            match fs::linkat(folder, old, folder, new, AtFlags::empty()) {
                Ok(()) => fs::unlinkat(folder, old, AtFlags::empty()),
                Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS) => {
                    match fs::statat(folder, new, AtFlags::SYMLINK_NOFOLLOW) {
                        Err(Errno::NOENT) => fs::renameat(folder, old, folder, new),
                        Ok(_) => Err(Errno::EXIST),
                        Err(errno) => Err(errno),
                    }
                }
                Err(errno) => Err(errno),
            }
        }
        other => other,
    }
}
