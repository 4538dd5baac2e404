//! The output folder: files below it are reached part by part, and no symbolic link on the way is followed.
//!
//! Nothing outside the folder can be opened, made or renamed through this type.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Error;
use crate::os::{self, Directory, FileAccess, MadeLink, PathFault, check_path};

pub(crate) use crate::os::{PathEntry, Replace};

/// A folder that the user named. The way to it may lead through links; below it no link is followed.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: Arc<Directory>,
    path: PathBuf,
}

impl Folder {
    /// Opens the folder at `path`, and makes it where it is missing.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let wrong = |source| Error::File { action: "use the folder", path: path.to_owned(), source };
        check_path(path).and_then(|()| std::fs::create_dir_all(path)).map_err(wrong)?;
        let root = Directory::open(path).map_err(wrong)?;
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
        let found = self
            .parent(parts, Missing::Error)
            .and_then(|(parent, name)| parent.directory(self).look(&format!("{name}{suffix}")));
        match found {
            Err(fault) if fault.is(io::ErrorKind::NotFound) => Ok(PathEntry::Nothing),
            found => found.map_err(|fault| self.error("look at", parts, suffix, fault)),
        }
    }

    /// Whether files can be made in the folder, as far as that can be told without trying.
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        self.root.check_writable().map_err(|source| Error::File {
            action: "write to",
            path: self.path.clone(),
            source,
        })
    }

    /// Makes a symbolic link, and the folders on the way where they are missing.
    pub(crate) fn create_link(&self, parts: &[String], target: &str) -> Result<MadeLink, Error> {
        let made = self
            .parent(parts, Missing::Make)
            .and_then(|(parent, name)| parent.directory(self).create_link(name, target));
        match made {
            // A file or a link has the name of a folder on the way.
            Err(PathFault::Link) => Ok(MadeLink::InTheWay),
            Err(fault) if fault.is(io::ErrorKind::NotADirectory) => Ok(MadeLink::InTheWay),
            made => made.map_err(|fault| self.error("make the link", parts, "", fault)),
        }
    }

    /// Something that looks at many files.
    pub(crate) fn survey(&self) -> FolderSurvey<'_> {
        FolderSurvey { folder: self, path: None, parent: None }
    }

    /// Opens a file for reading.
    pub(crate) fn read(&self, parts: &[String], suffix: &str) -> Result<File, Error> {
        self.open_file(parts, suffix, FileAccess::Read, Missing::Error)
            .map_err(|fault| self.error("read", parts, suffix, fault))
    }

    /// Opens a file for reading and writing, and makes it and the folders on the way where they are missing.
    pub(crate) fn write(&self, parts: &[String], suffix: &str) -> Result<File, Error> {
        self.open_file(parts, suffix, FileAccess::WriteOrCreate, Missing::Make)
            .map_err(|fault| self.error("write", parts, suffix, fault))
    }

    /// Makes a file for reading and writing where nothing stands, and the folders on the way where they are missing.
    pub(crate) fn write_new(&self, parts: &[String], suffix: &str) -> Result<File, Error> {
        self.open_file(parts, suffix, FileAccess::CreateNew, Missing::Make)
            .map_err(|fault| self.error("write", parts, suffix, fault))
    }

    /// Opens a file for reading and writing that must be there.
    pub(crate) fn write_old(&self, parts: &[String], suffix: &str) -> Result<File, Error> {
        self.open_file(parts, suffix, FileAccess::Write, Missing::Error)
            .map_err(|fault| self.error("write", parts, suffix, fault))
    }

    /// Whether this very file, and no other, bears the name.
    pub(crate) fn is_named(&self, file: &File, parts: &[String], suffix: &str) -> Result<bool, Error> {
        self.parent(parts, Missing::Error)
            .and_then(|(parent, name)| parent.directory(self).is_named(file, &format!("{name}{suffix}")))
            .map_err(|fault| self.error("look at", parts, suffix, fault))
    }

    /// Makes an empty file, where nothing stands.
    pub(crate) fn create_empty(&self, parts: &[String]) -> Result<(), Error> {
        self.open_file(parts, "", FileAccess::CreateNew, Missing::Make)
            .map(drop)
            .map_err(|fault| self.error("create", parts, "", fault))
    }

    /// Gives a file another ending. What stands there already stays, unless it is to be replaced.
    pub(crate) fn rename(
        &self,
        parts: &[String],
        from: &str,
        to: &str,
        replace: Replace,
    ) -> Result<(), Error> {
        let renamed = self.parent(parts, Missing::Error).and_then(|(parent, name)| {
            parent.directory(self).rename(&format!("{name}{from}"), &format!("{name}{to}"), replace)
        });
        renamed.map_err(|fault| match fault.is(io::ErrorKind::AlreadyExists) {
            true => Error::Exists { path: self.shown(parts, to) },
            false => self.error("rename", parts, from, fault),
        })
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, parts: &[String], suffix: &str) -> Result<(), Error> {
        let removed = self
            .parent(parts, Missing::Error)
            .and_then(|(parent, name)| parent.directory(self).remove(&format!("{name}{suffix}")));
        match removed {
            Err(fault) if !fault.is(io::ErrorKind::NotFound) => {
                Err(self.error("remove", parts, suffix, fault))
            }
            _ => Ok(()),
        }
    }

    fn open_file(
        &self,
        parts: &[String],
        suffix: &str,
        access: FileAccess,
        missing: Missing,
    ) -> Result<File, PathFault> {
        let (parent, name) = self.parent(parts, missing)?;
        let file = parent.directory(self).open_file(&format!("{name}{suffix}"), access)?;
        // What is written would be written to a file elsewhere as well.
        if matches!(access, FileAccess::Write | FileAccess::WriteOrCreate) && os::link_count(&file)? > 1 {
            return Err(PathFault::HardLink);
        }
        Ok(file)
    }

    /// The folder in which a path's last part stands.
    fn parent<'a>(&self, parts: &'a [String], missing: Missing) -> Result<(Parent, &'a str), PathFault> {
        let nameless = || io::Error::from(io::ErrorKind::InvalidInput);
        let (name, folders) = parts.split_last().ok_or_else(nameless)?;
        let mut parent = Parent::Root;
        for part in folders {
            let directory = parent.directory(self);
            let opened = match directory.below(part) {
                Err(fault) if fault.is(io::ErrorKind::NotFound) && matches!(missing, Missing::Make) => {
                    match directory.create_folder(part) {
                        Err(fault) if !fault.is(io::ErrorKind::AlreadyExists) => return Err(fault),
                        _ => directory.below(part),
                    }
                }
                opened => opened,
            };
            parent = Parent::Below(opened?);
        }
        Ok((parent, name))
    }

    fn error(&self, action: &'static str, parts: &[String], suffix: &str, fault: PathFault) -> Error {
        let path = self.shown(parts, suffix);
        match fault {
            PathFault::Link => Error::Symlink { path },
            PathFault::HardLink => Error::HardLink { path },
            PathFault::System(source) if source.kind() == io::ErrorKind::AlreadyExists => {
                Error::Exists { path }
            }
            PathFault::System(source) => Error::File { action, path, source },
        }
    }
}

/// Looks at many files, and opens a folder once for all files that follow each other in it. It opens no file, so that it does
/// no harm where another program moves the folder away meanwhile.
pub(crate) struct FolderSurvey<'a> {
    folder: &'a Folder,
    /// The folder that is open, as a path below the output folder; `None` before the first.
    path: Option<Vec<String>>,
    /// The open folder; `None` where it is missing.
    parent: Option<Parent>,
}

impl FolderSurvey<'_> {
    /// What stands there, as [`Folder::look`] tells it.
    pub(crate) fn look(&mut self, parts: &[String], suffix: &str) -> Result<PathEntry, Error> {
        let wrong = |fault| self.folder.error("look at", parts, suffix, fault);
        let (name, folders) =
            parts.split_last().map_or(("", parts), |(name, folders)| (name.as_str(), folders));
        if self.path.as_deref() != Some(folders) {
            let parent = match self.folder.parent(parts, Missing::Error) {
                Ok((parent, _)) => Some(parent),
                Err(fault) if fault.is(io::ErrorKind::NotFound) => None,
                Err(fault) => return Err(wrong(fault)),
            };
            (self.path, self.parent) = (Some(folders.to_vec()), parent);
        }
        let Some(parent) = &self.parent else { return Ok(PathEntry::Nothing) };
        parent.directory(self.folder).look(&format!("{name}{suffix}")).map_err(wrong)
    }
}

enum Missing {
    Error,
    Make,
}

enum Parent {
    Root,
    Below(Directory),
}

impl Parent {
    fn directory<'a>(&'a self, folder: &'a Folder) -> &'a Directory {
        match self {
            Self::Root => &folder.root,
            Self::Below(directory) => directory,
        }
    }
}
