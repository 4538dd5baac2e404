//! What macOS does differently from other systems of the Unix family.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{self, RenameFlags};
use rustix::io::Errno;

use bittrace_protocol::utp::Fragment;

/// Renames within a folder to a name that nothing has; `INVAL`, `NOSYS` or `NOTSUP` where the file system cannot.
pub(super) fn rename_new(folder: BorrowedFd<'_>, old: &str, new: &str) -> Result<(), Errno> {
    fs::renameat_with(folder, old, folder, new, RenameFlags::NOREPLACE)
}

/// Has the bytes of a file survive a power failure from here on. `fsync` leaves them in the cache of the disk;
/// `F_FULLFSYNC` does not, but file systems on a network lack it.
pub(super) fn sync_content(file: &File) -> io::Result<()> {
    fs::fcntl_fullfsync(file).or_else(|_| fs::fsync(file)).map_err(io::Error::from)
}

/// Whether what a socket sends may be cut on its way. Here it never may: quinn-udp forbids it, and what would allow it again is
/// not safe.
pub(super) const fn set_fragments(_: BorrowedFd<'_>, _: Fragment) {}

/// Has a socket take no more than so many bytes before those that it took have left. Here it takes what its buffer holds: the option of this name only says when a
/// socket can be written to, and not how much one write may leave there.
pub(super) const fn limit_unsent(_: BorrowedFd<'_>, _: u32) {}
