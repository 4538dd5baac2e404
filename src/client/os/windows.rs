//! Windows: folders are held open without leave to rename or remove them, and files are reached by paths through these.
//!
//! Paths are written with the prefix `\\?\`, so that none is too long and no name means a device. What Windows cannot
//! do: files have no holes, so that what was never written cannot be told from zeros.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::os::windows::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bittrace_protocol::utp::Fragment;
use same_file::Handle;
use socket2::Socket;
use tempfile::TempPath;
use tokio::net::{TcpStream, UdpSocket};
use winapi_util::file::information;

use crate::names::windows_path_fault;

use super::{FileAccess, MadeLink, PathEntry, PathFault, Replace};

/// An open folder.
#[derive(Debug)]
pub(crate) struct Directory {
    /// The folder and those around it, up to the one that the user named. As long as they are open, nothing else can
    /// take their place on `path`.
    chain: Vec<Arc<File>>,
    /// Its whole path, with the prefix that has Windows take every name as it is.
    path: PathBuf,
}

impl Directory {
    /// Opens a folder. The way to it may lead through links.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let folder = folder_options(0).open(path)?;
        if !folder.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { chain: vec![Arc::new(folder)], path: fs::canonicalize(path)? })
    }

    /// Opens a folder within this one, which may not be a link or a junction.
    pub(crate) fn below(&self, name: &str) -> Result<Self, PathFault> {
        let path = self.path_of(name)?;
        let folder = folder_options(FILE_FLAG_OPEN_REPARSE_POINT).open(&path)?;
        let metadata = folder.metadata()?;
        if is_link(&metadata) {
            return Err(PathFault::Link);
        }
        if !metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory).into());
        }
        let mut chain = self.chain.clone();
        chain.push(Arc::new(folder));
        Ok(Self { chain, path })
    }

    /// Whether files can be made in the folder: here only trying tells.
    pub(crate) const fn check_writable(&self) -> io::Result<()> {
        Ok(())
    }

    /// Makes no link, since most users have no right to; whether it is there all the same.
    pub(crate) fn create_link(&self, name: &str, target: &str) -> Result<MadeLink, PathFault> {
        let path = self.path_of(name)?;
        Ok(match fs::read_link(&path) {
            Ok(found) if found.to_string_lossy().replace('\\', "/") == target => MadeLink::Stands,
            _ if fs::symlink_metadata(&path).is_ok() => MadeLink::InTheWay,
            _ => MadeLink::Unsupported,
        })
    }

    /// Makes a folder within this one.
    pub(crate) fn create_folder(&self, name: &str) -> Result<(), PathFault> {
        Ok(fs::create_dir(self.path_of(name)?)?)
    }

    /// What has this name.
    pub(crate) fn look(&self, name: &str) -> Result<PathEntry, PathFault> {
        match fs::symlink_metadata(self.path_of(name)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(PathEntry::Nothing),
            Err(error) => Err(error.into()),
            Ok(metadata) if metadata.is_file() && !is_link(&metadata) => Ok(PathEntry::File(metadata.len())),
            Ok(_) => Ok(PathEntry::Other),
        }
    }

    /// Opens a regular file; anything else of that name counts as in the way.
    pub(crate) fn open_file(&self, name: &str, access: FileAccess) -> Result<File, PathFault> {
        let path = self.path_of(name)?;
        let mut options = OpenOptions::new();
        options.read(true).write(access != FileAccess::Read);
        match access {
            FileAccess::Read | FileAccess::Write => {}
            FileAccess::WriteOrCreate => drop(options.create(true)),
            FileAccess::CreateNew => drop(options.create_new(true)),
        }
        let file = options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(path)?;
        let metadata = file.metadata()?;
        if is_link(&metadata) {
            return Err(PathFault::Link);
        }
        if !metadata.is_file() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists).into());
        }
        Ok(file)
    }

    /// Whether this very file, and no other, has the name.
    pub(crate) fn is_named(&self, file: &File, name: &str) -> Result<bool, PathFault> {
        let found = match self.open_file(name, FileAccess::Read) {
            Ok(found) => found,
            Err(PathFault::System(error)) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error.into());
            }
            Err(_) => return Ok(false),
        };
        Ok(Handle::from_file(found)? == Handle::from_file(file.try_clone()?)?)
    }

    /// Gives a file of this folder another name.
    pub(crate) fn rename(&self, old: &str, new: &str, replace: Replace) -> Result<(), PathFault> {
        let (old, new) = (self.path_of(old)?, self.path_of(new)?);
        if replace == Replace::Always {
            return Ok(fs::rename(old, new)?);
        }
        let mut path = TempPath::try_from_path(old)?;
        // Where the name is taken, the file keeps the one it has.
        path.disable_cleanup(true);
        path.persist_noclobber(new).map_err(|fault| PathFault::System(fault.error))
    }

    /// Removes a file.
    pub(crate) fn remove(&self, name: &str) -> Result<(), PathFault> {
        Ok(fs::remove_file(self.path_of(name)?)?)
    }

    /// The path of something in this folder. A name that would lead elsewhere, or to another stream of a file, is
    /// refused: after the prefix `\\?\` Windows itself looks no closer.
    fn path_of(&self, name: &str) -> io::Result<PathBuf> {
        if matches!(name, "" | "." | "..") || name.contains(['\\', '/', ':', '\0']) {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        Ok(self.path.join(name))
    }
}

/// How a folder is opened. Others may read and write in it, but not rename or remove it.
fn folder_options(flags: u32) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE);
    options.custom_flags(FILE_FLAG_BACKUP_SEMANTICS | flags);
    options
}

/// Whether this is a symbolic link, a junction, or anything else that leads elsewhere.
fn is_link(metadata: &Metadata) -> bool {
    metadata.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT != 0
}

/// Whether a path that a user named may be opened: not that of a device, from which reading may never end.
pub(crate) fn check_path(path: &Path) -> io::Result<()> {
    match windows_path_fault(&path.to_string_lossy()) {
        Some(fault) => Err(io::Error::new(io::ErrorKind::InvalidInput, fault)),
        None => Ok(()),
    }
}

/// Makes the file of a recording, or empties it.
pub(crate) fn create_recording(path: &Path) -> io::Result<File> {
    // It is not emptied before it is known to be a file.
    let file = open_named(path, OpenOptions::new().write(true).truncate(false))?;
    file.set_len(0)?;
    Ok(file)
}

/// Makes a file, or opens what is there to append to it.
pub(crate) fn append_to(path: &Path) -> io::Result<File> {
    open_named(path, OpenOptions::new().append(true))
}

/// Makes a file that a user named, or opens it.
fn open_named(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    check_path(path)?;
    let file = options.create(true).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

/// How many names a file has.
pub(crate) fn link_count(file: &File) -> io::Result<u64> {
    Ok(information(file)?.number_of_links())
}

/// Files are executable by their names here.
pub(crate) fn make_executable(_: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Reads as many bytes as `into` holds from an offset on.
pub(crate) fn read_exact_at(file: &File, mut into: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !into.is_empty() {
        match file.seek_read(into, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                into = &mut into[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes bytes from an offset on.
pub(crate) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes some of these slices, one after another, from an offset on; how many bytes. Windows takes one slice at once.
pub(crate) fn write_vectored_at(file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    match slices.iter().find(|slice| !slice.is_empty()) {
        Some(slice) => file.seek_write(slice, offset),
        None => Ok(0),
    }
}

/// Has the bytes of a file survive a power failure from here on.
pub(crate) fn sync_content(file: &File) -> io::Result<()> {
    file.sync_data()
}

/// Whether these bytes of a file were never written: that cannot be told here.
pub(crate) const fn is_hole(_: &File, _: Range<u64>) -> bool {
    false
}

/// A port whose last owner has just ended can be used again as it is. The option that other systems need for that lets
/// a second program listen on the same port here.
pub(crate) const fn prepare_to_listen(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// Lets several programs of this machine hear the same group.
pub(crate) fn prepare_to_share(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)
}

/// Whether what a socket of the UDP port sends may be cut on its way. Here it never may: quinn-udp forbids it, and what would allow it
/// again is not safe.
pub(crate) const fn set_fragments(_: &UdpSocket, _: Fragment) {}

/// Has a socket of TCP take no more than so many bytes before those that it took have left. Here it takes what its buffer holds: there is no such option.
pub(crate) const fn limit_unsent(_: &TcpStream, _: u32) {}

/// Where a socket is bound that is to hear a group: this system binds no socket to a group.
pub(crate) const fn address_to_hear(group: SocketAddr) -> SocketAddr {
    let any = match group {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(any, group.port())
}

/// Whether an attempt to connect that does not wait has merely begun.
pub(crate) fn is_connecting(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// Whether this machine lacks the family of an address, such as IPv6.
pub(crate) fn is_missing_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(WSAEAFNOSUPPORT)
}

/// Constants of the Windows headers `winnt.h`, `winbase.h` and `winsock2.h`.
const FILE_SHARE_READ: u32 = 0x0000_0001;
const FILE_SHARE_WRITE: u32 = 0x0000_0002;
const FILE_ATTRIBUTE_REPARSE_POINT: u32 = 0x0000_0400;
const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
const WSAEAFNOSUPPORT: i32 = 10047;
