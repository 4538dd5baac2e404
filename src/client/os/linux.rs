//! What Linux does differently from other systems of the Unix family.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{self, RenameFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};

use bittrace_protocol::utp::Fragment;

/// Renames within a folder to a name that nothing has; `INVAL`, `NOSYS` or `NOTSUP` where the file system cannot.
pub(super) fn rename_new(folder: BorrowedFd<'_>, old: &str, new: &str) -> Result<(), Errno> {
    fs::renameat_with(folder, old, folder, new, RenameFlags::NOREPLACE)
}

/// Has the bytes of a file survive a power failure from here on.
pub(super) fn sync_content(file: &File) -> io::Result<()> {
    file.sync_data()
}

/// Whether what a socket sends may be cut on its way. Over IPv6 it never may: every way takes 1,280 bytes, and nothing but what tries
/// out more has more.
pub(super) fn set_fragments(socket: BorrowedFd<'_>, fragments: Fragment) {
    let value = match fragments {
        Fragment::Allowed => Ipv4PathMtuDiscovery::DONT,
        Fragment::Forbidden => Ipv4PathMtuDiscovery::PROBE,
    };
    // A socket of IPv6 has no such option.
    let _ = set_ip_mtu_discover(socket, value);
}
