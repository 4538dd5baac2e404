//! What differs between operating systems: a module for each, with the same functions and the same promises.
//!
//! Nothing outside an output folder is opened, made or renamed, no link on the way is followed, and no file is replaced
//! unasked. Where a system cannot keep a promise, its module says so, and README.md tells users.

use std::io;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_vendor = "apple")]
mod macos;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
use linux as kernel;
#[cfg(target_vendor = "apple")]
use macos as kernel;
#[cfg(unix)]
pub(crate) use unix::{
    Directory, address_to_hear, append_to, check_path, create_recording, is_connecting, is_hole,
    is_missing_family, limit_unsent, link_count, make_executable, prepare_to_listen, prepare_to_share,
    read_exact_at, set_fragments, sync_content, write_all_at, write_vectored_at,
};
#[cfg(windows)]
pub(crate) use windows::{
    Directory, address_to_hear, append_to, check_path, create_recording, is_connecting, is_hole,
    is_missing_family, limit_unsent, link_count, make_executable, prepare_to_listen, prepare_to_share,
    read_exact_at, set_fragments, sync_content, write_all_at, write_vectored_at,
};

/// What is found at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathEntry {
    Nothing,
    /// A file of this length, bytes.
    File(u64),
    /// A folder, a link, a device.
    Other,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileAccess {
    /// For reading. The file must exist.
    Read,
    /// For reading and writing. The file must exist.
    Write,
    /// For reading and writing. The file is made where nothing has its name.
    WriteOrCreate,
    /// For reading and writing. Nothing may have the file's name yet.
    CreateNew,
}

/// Whether a file may take another's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replace {
    Never,
    Always,
}

/// Why something below an output folder cannot be used.
#[derive(Debug)]
pub(crate) enum PathFault {
    /// A link stands where a file or a folder is wanted.
    Link,
    /// The file that would be written to has another name, perhaps outside the folder.
    HardLink,
    /// The system's own reason.
    System(io::Error),
}

impl PathFault {
    /// Whether the system's reason is of this kind.
    pub(crate) fn is(&self, kind: io::ErrorKind) -> bool {
        matches!(self, Self::System(error) if error.kind() == kind)
    }
}

/// What became of a link that was to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MadeLink {
    /// The link is there, now or since an earlier run.
    Stands,
    /// Something else has its name.
    InTheWay,
    /// The system, the file system or the user's rights allow no links.
    Unsupported,
}

impl From<io::Error> for PathFault {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}
