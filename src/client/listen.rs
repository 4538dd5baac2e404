//! Where peers call: one port, on every address asked for; over TCP, and over UDP where datagrams are exchanged.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::Error;
use crate::connection::Network;
use crate::event::DriverEvent;
use crate::os::{is_missing_family, prepare_to_listen};
use crate::udp::BoundSocket;

/// What listens on one port.
#[derive(Debug)]
pub(crate) struct Listening {
    /// A listener an address.
    pub(crate) tcp: Vec<TcpListener>,
    /// A socket a family, on the first of its addresses.
    pub(crate) udp: Vec<BoundSocket>,
    /// The port.
    pub(crate) port: u16,
}

/// Listens on `port` of each address; with 0, on any port that is free on all. An address of a family that the machine
/// lacks is left out, as long as there is another.
pub(crate) fn listen(addresses: &[IpAddr], port: u16, udp: bool) -> Result<Listening, Error> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match listen_all(addresses, port, udp) {
            // The port that the first address got may be taken on the next.
            Err(Error::Listen { source, .. } | Error::ListenUdp { source, .. })
                if port == 0 && attempt < ATTEMPTS && source.kind() == io::ErrorKind::AddrInUse => {}
            done => return done,
        }
    }
}

fn listen_all(addresses: &[IpAddr], mut port: u16, datagrams: bool) -> Result<Listening, Error> {
    let (mut tcp, mut udp) = (Vec::new(), Vec::new());
    let mut families = Vec::new();
    let mut missing = None;
    for &ip in addresses {
        let address = SocketAddr::new(ip, port);
        match listen_on(address) {
            Ok((listener, bound)) => {
                port = bound;
                tcp.push(listener);
                if datagrams && !families.contains(&address.is_ipv4()) {
                    families.push(address.is_ipv4());
                    let address = SocketAddr::new(ip, port);
                    let socket = BoundSocket::bind(address);
                    udp.push(socket.map_err(|source| Error::ListenUdp { address, source })?);
                }
            }
            Err(source)
                if matches!(source.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
                    || is_missing_family(&source) =>
            {
                missing = Some(Error::Listen { address, source });
            }
            Err(source) => return Err(Error::Listen { address, source }),
        }
    }
    match missing {
        Some(error) if tcp.is_empty() => Err(error),
        _ => Ok(Listening { tcp, udp, port }),
    }
}

fn listen_on(address: SocketAddr) -> io::Result<(TcpListener, u16)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // IPv4 has a socket of its own.
        socket.set_only_v6(true)?;
    }
    prepare_to_listen(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

impl Network {
    /// Lets peers in, for ever.
    pub(crate) async fn accept(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((socket, remote)) => self.tell(DriverEvent::Incoming(socket, remote)).await,
                // One that is gone again, or no more files may be open: either passes.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
    }
}

const BACKLOG: i32 = 128;
const ATTEMPTS: u32 = 20;
