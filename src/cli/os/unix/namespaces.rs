//! Network namespaces, which Linux alone has.

pub(crate) use system::{check_namespaces, listen_in_namespace};

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::io;
    use std::net::{SocketAddr, TcpListener};
    use std::os::fd::AsFd;
    use std::path::Path;
    use std::thread;

    use rustix::process::geteuid;
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

    /// Whether this process may make network namespaces; if not, why.
    pub(crate) fn check_namespaces() -> Result<(), &'static str> {
        if geteuid().is_root() { Ok(()) } else { Err("only root can make network namespaces") }
    }

    /// Listens at an address of another network namespace, which a file stands for.
    pub(crate) fn listen_in_namespace(namespace: &Path, address: SocketAddr) -> io::Result<TcpListener> {
        let namespace = File::open(namespace)?;
        // A socket stays in the namespace that its thread was in. This thread goes there for good, and ends.
        let listening = thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            TcpListener::bind(address)
        });
        listening.join().unwrap_or_else(|_| Err(io::Error::other("the thread that listens has ended")))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;
    use std::net::{SocketAddr, TcpListener};
    use std::path::Path;

    /// Whether this process may make network namespaces; if not, why.
    pub(crate) const fn check_namespaces() -> Result<(), &'static str> {
        Err("only Linux has network namespaces")
    }

    /// Listens at an address of another network namespace: there is none.
    pub(crate) fn listen_in_namespace(_: &Path, _: SocketAddr) -> io::Result<TcpListener> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
