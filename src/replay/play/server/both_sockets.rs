//! A TCP and a UDP socket of one address: a tracker is asked over both, and a peer speaks over both.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, UdpSocket};

use super::listen;

/// The sockets of an address.
pub(super) struct BothSockets {
    pub(super) listener: TcpListener,
    pub(super) datagrams: UdpSocket,
    pub(super) address: SocketAddr,
}

impl BothSockets {
    /// Opens them at `address`, whose port may be 0.
    pub(super) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let mut tries = 0;
        loop {
            let listener = listen(address)?;
            let address_there = listener.local_addr()?;
            match UdpSocket::bind(address_there).await {
                Ok(datagrams) => return Ok(Self { listener, datagrams, address: address_there }),
                // The port that the system chose for one of them may be taken for the other.
                Err(error)
                    if address.port() == 0 && error.kind() == io::ErrorKind::AddrInUse && tries < TRIES =>
                {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// How often a port is sought that is free for both.
const TRIES: u32 = 20;
