//! The Unix family: folders are held as descriptors, and files are reached through these.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use bittrace_protocol::utp::Fragment;
use rustix::fs::{self, Access, AtFlags, FileType, Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use socket2::Socket;

use super::{FileAccess, MadeLink, PathEntry, PathFault, Replace, kernel};

/// An open folder. What it is called, and whether it is still there, no longer matters.
#[derive(Debug)]
pub(crate) struct Directory {
    descriptor: OwnedFd,
}

impl Directory {
    /// Opens a folder. The way to it may lead through links.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { descriptor: fs::open(path, flags, Mode::empty())? })
    }

    /// Opens a folder within this one, which may not be a link.
    pub(crate) fn below(&self, name: &str) -> Result<Self, PathFault> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match fs::openat(&self.descriptor, name, flags, Mode::empty()) {
            Ok(descriptor) => Ok(Self { descriptor }),
            // Linux says so of a link where a folder is wanted.
            Err(Errno::NOTDIR) if self.is_link(name) => Err(PathFault::Link),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether files can be made in the folder, as far as that can be told without trying.
    ///
    /// # Errors
    /// The system's reason where it is clear that nothing can be written: rights, or a file system that is read only.
    pub(crate) fn check_writable(&self) -> io::Result<()> {
        match fs::accessat(&self.descriptor, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
            Err(errno @ (Errno::ACCESS | Errno::PERM | Errno::ROFS)) => Err(errno.into()),
            _ => Ok(()),
        }
    }

    /// Makes a symbolic link where nothing has its name.
    pub(crate) fn create_link(&self, name: &str, target: &str) -> Result<MadeLink, PathFault> {
        match fs::symlinkat(target, &self.descriptor, name) {
            Ok(()) => Ok(MadeLink::Stands),
            Err(Errno::EXIST) => Ok(match fs::readlinkat(&self.descriptor, name, Vec::new()) {
                Ok(found) if found.as_bytes() == target.as_bytes() => MadeLink::Stands,
                _ => MadeLink::InTheWay,
            }),
            Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP | Errno::NOSYS | Errno::ROFS) => {
                Ok(MadeLink::Unsupported)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Makes a folder within this one.
    pub(crate) fn create_folder(&self, name: &str) -> Result<(), PathFault> {
        Ok(fs::mkdirat(&self.descriptor, name, Mode::from_raw_mode(0o777))?)
    }

    /// What has this name.
    pub(crate) fn look(&self, name: &str) -> Result<PathEntry, PathFault> {
        match fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(PathEntry::Nothing),
            Err(errno) => Err(errno.into()),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                Ok(PathEntry::File(u64::try_from(stat.st_size).unwrap_or(0)))
            }
            Ok(_) => Ok(PathEntry::Other),
        }
    }

    /// Opens a regular file; anything else of that name counts as in the way.
    pub(crate) fn open_file(&self, name: &str, access: FileAccess) -> Result<File, PathFault> {
        let access = match access {
            FileAccess::Read => OFlags::RDONLY,
            FileAccess::Write => OFlags::RDWR,
            FileAccess::WriteOrCreate => OFlags::RDWR | OFlags::CREATE,
            FileAccess::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
        };
        // To open a pipe would block, and to open a device may have effects of its own.
        let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = fs::openat(&self.descriptor, name, flags, Mode::from_raw_mode(0o666))?;
        if FileType::from_raw_mode(fs::fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(Errno::EXIST.into());
        }
        Ok(File::from(file))
    }

    /// Whether this very file, and no other, has the name.
    pub(crate) fn is_named(&self, file: &File, name: &str) -> Result<bool, PathFault> {
        let held = fs::fstat(file)?;
        match fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok((found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Gives a file of this folder another name.
    pub(crate) fn rename(&self, old: &str, new: &str, replace: Replace) -> Result<(), PathFault> {
        match replace {
            Replace::Always => fs::renameat(&self.descriptor, old, &self.descriptor, new)?,
            Replace::Never => self.rename_new(old, new)?,
        }
        Ok(())
    }

    /// Removes a file.
    pub(crate) fn remove(&self, name: &str) -> Result<(), PathFault> {
        Ok(fs::unlinkat(&self.descriptor, name, AtFlags::empty())?)
    }

    /// Renames to a name that nothing has.
    fn rename_new(&self, old: &str, new: &str) -> Result<(), Errno> {
        let folder = self.descriptor.as_fd();
        match kernel::rename_new(folder, old, new) {
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

    fn is_link(&self, name: &str) -> bool {
        fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
    }
}

impl From<Errno> for PathFault {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::LOOP => Self::Link,
            errno => Self::System(errno.into()),
        }
    }
}

/// Whether a path that a user named may be opened. Here a path is always that of a file, and says so where it is not.
pub(crate) const fn check_path(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes the file of a recording, or empties it. A pipe is refused: it would be waited for until somebody reads, and
/// again when it is full.
pub(crate) fn create_recording(path: &Path) -> io::Result<File> {
    // It is not emptied before it is known to be a file.
    let file = open_named(path, OpenOptions::new().write(true).truncate(false), OFlags::empty())?;
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    Ok(file)
}

/// Makes a file, or opens what is there to append to it. A pipe is refused, as for a recording.
pub(crate) fn append_to(path: &Path) -> io::Result<File> {
    open_named(path, OpenOptions::new().append(true), OFlags::APPEND)
}

/// Makes a file that a user named, or opens it: a file or a character device. `kept` are the flags that stay set.
fn open_named(path: &Path, options: &mut OpenOptions, kept: OFlags) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = options.create(true).custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() && !kind.is_char_device() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    fs::fcntl_setfl(&file, kept)?;
    Ok(file)
}

/// How many names a file has.
pub(crate) fn link_count(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.nlink())
}

/// Lets everybody execute a file who may read it.
pub(crate) fn make_executable(file: &File) -> io::Result<()> {
    let mode = Mode::from_raw_mode(fs::fstat(file)?.st_mode);
    let mut wanted = mode;
    for (read, execute) in [(Mode::RUSR, Mode::XUSR), (Mode::RGRP, Mode::XGRP), (Mode::ROTH, Mode::XOTH)] {
        wanted.set(execute, mode.contains(read) || mode.contains(execute));
    }
    // Some file systems have no such mark, and say nothing.
    fs::fchmod(file, wanted & (Mode::RWXU | Mode::RWXG | Mode::RWXO))?;
    match Mode::from_raw_mode(fs::fstat(file)?.st_mode).contains(Mode::XUSR) {
        true => Ok(()),
        false => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Reads as many bytes as `into` holds from an offset on.
pub(crate) fn read_exact_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<()> {
    file.read_exact_at(into, offset)
}

/// Writes bytes from an offset on.
pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

/// Writes some of these slices, one after another, from an offset on; how many bytes. Linux takes 1,024 slices at once.
pub(crate) fn write_vectored_at(file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    Ok(rustix::io::pwritev(file, slices, offset)?)
}

/// Has the bytes of a file survive a power failure from here on.
pub(crate) fn sync_content(file: &File) -> io::Result<()> {
    kernel::sync_content(file)
}

/// Whether these bytes of a file were never written. A file system that cannot tell says no.
pub(crate) fn is_hole(file: &File, bytes: Range<u64>) -> bool {
    match fs::seek(file, SeekFrom::Data(bytes.start)) {
        Ok(data) => data >= bytes.end,
        Err(Errno::NXIO) => true,
        Err(_) => false,
    }
}

/// Lets a port be used again whose last owner has just ended.
pub(crate) fn prepare_to_listen(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)
}

/// Lets several programs of this machine hear the same group.
pub(crate) fn prepare_to_share(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)
}

/// Whether what a socket of the UDP port sends may be cut on its way, as far as the system lets that be chosen.
pub(crate) fn set_fragments(socket: &impl AsFd, fragments: Fragment) {
    kernel::set_fragments(socket.as_fd(), fragments);
}

/// Has a socket of TCP take no more than so many bytes before those that it took have left, where the system can.
pub(crate) fn limit_unsent(socket: &impl AsFd, most: u32) {
    kernel::limit_unsent(socket.as_fd(), most);
}

/// Where a socket is bound that is to hear a group. Bound to the group itself, it hears nothing else.
pub(crate) const fn address_to_hear(group: SocketAddr) -> SocketAddr {
    match group {
        SocketAddr::V4(_) => group,
        SocketAddr::V6(v6) => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), v6.port()),
    }
}

/// Whether an attempt to connect that does not wait has merely begun.
pub(crate) fn is_connecting(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error())
        || error.kind() == io::ErrorKind::WouldBlock
}

/// Whether this machine lacks the family of an address, such as IPv6.
pub(crate) fn is_missing_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
}
