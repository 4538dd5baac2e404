//! That one run at a time has a name in an output folder: runs of different torrents of that name would write to the same
//! unfinished files.

use std::fs::{File, TryLockError};

use crate::Error;
use crate::folder::Folder;

/// A name that is ours until this is dropped. It is an empty file beside what it stands for; one that a killed run left
/// locks nothing.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    folder: Folder,
    name: [String; 1],
}

impl Lock {
    /// Takes the name of a file, or of a folder around files.
    pub(crate) fn take(folder: &Folder, root: &str) -> Result<Self, Error> {
        let name = [format!(".{root}.bittrace-lock")];
        let path = folder.shown(&name, "");
        loop {
            let file = folder.write(&name, "")?;
            // Any other error is that of a file system without locks, which is no reason not to download.
            if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
                return Err(Error::Busy { path: folder.shown(&[root.to_owned()], "") });
            }
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            if length > 0 {
                return Err(Error::NotOurState { path });
            }
            // The run before may have taken the file away after it was opened here.
            if folder.is_named(&file, &name, "")? {
                return Ok(Self { file, folder: folder.clone(), name });
            }
        }
    }

    /// The parts of the file's path below the output folder.
    pub(crate) const fn name(&self) -> &[String] {
        &self.name
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is still locked, so that nobody locks a file without a name for good.
        let _ = self.folder.remove(&self.name, "");
        // Closing would not do while a process that is just being started still has a copy of the file.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_no_lock_and_what_is_not_ours_stays() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let path = dir.path().join(".x.bittrace-lock");
        std::fs::write(&path, "").unwrap();
        drop(Lock::take(&folder, "x").unwrap());
        assert!(!path.exists());
        std::fs::write(&path, "diary").unwrap();
        assert!(matches!(Lock::take(&folder, "x"), Err(Error::NotOurState { .. })));
        assert!(path.exists());
    }
}
