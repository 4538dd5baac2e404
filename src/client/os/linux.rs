//! What Linux does differently from other systems of the Unix family.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{self, RenameFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};
use socket2::SockRef;

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

/// Has a socket take no more than so many bytes, and the rest of a packet, before those that it took have left.
pub(super) fn limit_unsent(socket: BorrowedFd<'_>, most: u32) {
    // A socket that lacks the option takes more, as without it.
    let _ = SockRef::from(&socket).set_tcp_notsent_lowat(most);
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    /// How many bytes a socket takes while the far end, whose window is small, reads nothing.
    fn taken(limit: impl Fn(BorrowedFd<'_>)) -> usize {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        SockRef::from(&listener).set_recv_buffer_size(16 * 1024).expect("a small buffer");
        let mut socket = TcpStream::connect(listener.local_addr().expect("an address")).expect("a peer");
        let _far = listener.accept().expect("a connection");
        socket.set_nonblocking(true).expect("a socket that does not wait");
        limit(socket.as_fd());
        let mut taken = 0;
        while let Ok(count) = socket.write(&[0; 256 * 1024]) {
            taken += count;
        }
        taken
    }

    #[test]
    fn a_socket_takes_little_that_it_cannot_send() {
        let (limited, free) = (taken(|socket| limit_unsent(socket, 16 * 1024)), taken(|_| ()));
        // The window, the bytes that may wait, and the packet of up to 64 KiB in which these end.
        assert!(limited < 128 * 1024, "{limited}");
        assert!(free > 512 * 1024, "{free}");
    }
}
