//! The folder of a result. All parts get their names together, once all are whole, and the manifest comes last: what a run
//! leaves that was killed does not read as a result, and a result stands until the next one is whole.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::manifest::{Manifest, ManifestPart, Run};
use crate::part::{self, ENDING, TEMPORARY};
use crate::{ColumnarError, TABLES};

/// A folder that a run writes its parts to.
#[derive(Debug)]
pub struct ResultFolder {
    folder: PathBuf,
    run: Run,
}

/// Why a folder is not written to.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// The folder has the result of another run.
    #[error("{} is of another run: other captures, options or version", path.display())]
    OtherRun {
        /// Its manifest.
        path: PathBuf,
    },
    /// A manifest cannot be read.
    #[error("{}: {why}", path.display())]
    Unreadable {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A table's folder has a file that is not a part: engines would read both as one table.
    #[error("{} is not a part of a result", path.display())]
    Stranger {
        /// The file.
        path: PathBuf,
    },
}

impl ResultFolder {
    /// Makes the folders, and removes what a killed run of the same parts left. With `overwrite`, the result of another
    /// run is replaced, once this one is whole.
    ///
    /// # Errors
    /// When the folder has something else, or cannot be made.
    pub fn open(folder: &Path, run: Run, overwrite: bool) -> Result<Self, ColumnarError> {
        let opened = Self { folder: folder.to_owned(), run };
        let id = opened.run.id();
        for (path, manifest) in opened.manifests()? {
            match manifest {
                _ if overwrite => {}
                Ok(manifest) if manifest.run == id => {}
                Ok(_) => return Err(Refusal::OtherRun { path }.into()),
                Err(why) => return Err(Refusal::Unreadable { path, why }.into()),
            }
        }
        for table in TABLES {
            let path = folder.join(table.name);
            fs::create_dir_all(&path).map_err(|error| ColumnarError::file(&path, error))?;
            for path in entries(&path)? {
                if part_name(&path).is_none() {
                    return Err(Refusal::Stranger { path }.into());
                }
            }
        }
        opened.remove_temporary()?;
        Ok(opened)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The name of a part by its number, from 0.
    pub fn part(&self, number: usize) -> String {
        format!("{}{number:05}", self.prefix())
    }

    /// Gives the parts their names, removes those of earlier runs, and writes the manifest.
    ///
    /// # Errors
    /// When a file cannot be renamed, removed or written. The folder then has no manifest.
    pub fn finish(self, parts: Vec<ManifestPart>) -> Result<(), ColumnarError> {
        let id = self.run.id();
        let own = self.folder.join(self.manifest_name());
        let mut kept: HashSet<String> = HashSet::new();
        for (path, manifest) in self.manifests()? {
            match manifest {
                // Another shard of this run.
                Ok(manifest) if manifest.run == id && path != own => {
                    kept.extend(manifest.parts.into_iter().map(|part| part.part));
                }
                _ => fs::remove_file(&path).map_err(|error| ColumnarError::file(&path, error))?,
            }
        }
        let shards = self.run.shard.map(|shard| format!("-of-{:05}-", shard.of));
        for table in TABLES {
            for path in entries(&self.folder.join(table.name))? {
                let Some((name, false)) = part_name(&path) else { continue };
                // A shard of this run that gives its parts their names just now.
                let is_of_shard = shards.as_ref().is_some_and(|shards| name.contains(shards.as_str()));
                let is_kept = kept.contains(&name) || is_of_shard && !name.starts_with(&self.prefix());
                if !is_kept {
                    fs::remove_file(&path).map_err(|error| ColumnarError::file(&path, error))?;
                }
            }
        }
        for part in &parts {
            part::rename(&self.folder, &part.part)?;
        }
        let text = serde_json::to_string_pretty(&self.run.manifest(parts)).map_err(io::Error::from)? + "\n";
        let temporary = self.folder.join(format!("{}{TEMPORARY}", self.manifest_name()));
        let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, &own));
        written.map_err(|error| ColumnarError::file(&own, error))
    }

    /// Removes the parts that have no names yet: the run ends without a result.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove_temporary(&self) -> Result<(), ColumnarError> {
        for table in TABLES {
            for path in entries(&self.folder.join(table.name))? {
                if part_name(&path)
                    .is_some_and(|(name, temporary)| temporary && name.starts_with(&self.prefix()))
                {
                    fs::remove_file(&path).map_err(|error| ColumnarError::file(&path, error))?;
                }
            }
        }
        Ok(())
    }

    /// What the names of this run's parts begin with.
    fn prefix(&self) -> String {
        self.run.shard.map_or_else(|| "part-".to_owned(), |shard| format!("part-{}-", shard.infix()))
    }

    fn manifest_name(&self) -> String {
        let infix = self.run.shard.map(|shard| format!("-{}", shard.infix())).unwrap_or_default();
        format!("{MANIFEST}{infix}.json")
    }

    /// The manifests that there are, or why they cannot be read.
    fn manifests(&self) -> Result<Vec<FoundManifest>, ColumnarError> {
        let is_manifest = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy());
            name.is_some_and(|name| name.starts_with(MANIFEST) && name.ends_with(".json"))
        };
        let paths = entries(&self.folder)?.into_iter().filter(is_manifest);
        let read = |path: &Path| {
            let text = fs::read(path).map_err(|error| error.to_string())?;
            serde_json::from_slice(&text).map_err(|error| format!("not a manifest: {error}"))
        };
        Ok(paths.map(|path| (read(&path), path)).map(|(manifest, path)| (path, manifest)).collect())
    }
}

/// A manifest in the folder: its file, and what it says or why it cannot be read.
type FoundManifest = (PathBuf, Result<Manifest, String>);

/// What the names of manifests begin with.
const MANIFEST: &str = "_manifest";

/// What is in a folder, by name; nothing where there is no folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, ColumnarError> {
    let wrong = |error| ColumnarError::file(folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(wrong(error)),
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(wrong)?;
    paths.sort();
    Ok(paths)
}

/// The part that a file is of, and whether the file has a temporary name; `None` for other files.
fn part_name(path: &Path) -> Option<(String, bool)> {
    let name = path.file_name()?.to_str()?;
    let (name, temporary) = match name.strip_suffix(TEMPORARY) {
        Some(name) => (name, true),
        None => (name, false),
    };
    let name = name.strip_suffix(ENDING).filter(|name| name.starts_with("part-"))?;
    Some((name.to_owned(), temporary))
}
