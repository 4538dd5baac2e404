//! The local network: a socket an address of an interface, which sends to the group of local service discovery and hears it
//! (BEP 14). Every datagram passes the recording.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bittrace_protocol::lsd::{Interface, InterfaceId};
use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::connection::Network;
use crate::event::DriverEvent;
use crate::os::{address_to_hear, prepare_to_share};

/// The sockets of the local network.
#[derive(Debug, Default)]
pub(crate) struct LocalNetwork {
    sockets: Vec<Arc<GroupSocket>>,
}

/// A socket that sends out of one interface, and hears what comes by it.
#[derive(Debug)]
pub(crate) struct GroupSocket {
    socket: UdpSocket,
    interface: Interface,
    /// What was sent last. The system gives it back, so that other clients of this machine hear it.
    sent: Mutex<Bytes>,
}

impl LocalNetwork {
    /// Joins the group on the interfaces by which the addresses listen, all where one of these is unspecified. An interface that
    /// cannot is left out: who has no local network has other ways to peers.
    pub(crate) fn join(listen: &[IpAddr]) -> Self {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        let mut sockets = Vec::new();
        for (number, found) in interfaces.into_iter().enumerate() {
            let (address, prefix) = match &found.addr {
                if_addrs::IfAddr::V4(v4) => (IpAddr::V4(v4.ip), v4.prefixlen),
                if_addrs::IfAddr::V6(v6) => (IpAddr::V6(v6.ip), v6.prefixlen),
            };
            let interface = Interface { id: InterfaceId(number as u32), address, prefix };
            if sockets.len() >= MAX_SOCKETS || !listens_by(listen, address) {
                continue;
            }
            if let Ok(socket) = open(&interface, found.index) {
                sockets.push(Arc::new(GroupSocket { socket, interface, sent: Mutex::default() }));
            }
        }
        Self { sockets }
    }

    /// The interfaces that have a socket.
    pub(crate) fn interfaces(&self) -> Vec<Interface> {
        self.sockets.iter().map(|socket| socket.interface).collect()
    }

    /// The sockets, for the tasks that read them.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = Arc<GroupSocket>> + '_ {
        self.sockets.iter().cloned()
    }

    /// The socket of an interface.
    pub(crate) fn socket(&self, by: InterfaceId) -> Option<Arc<GroupSocket>> {
        self.sockets.iter().find(|socket| socket.interface.id == by).cloned()
    }
}

impl GroupSocket {
    /// Whether these are the bytes that we sent ourselves.
    fn is_own(&self, from: SocketAddr, bytes: &[u8]) -> bool {
        from.ip() == self.interface.address
            && self.sent.lock().unwrap_or_else(PoisonError::into_inner)[..] == *bytes
    }

    /// Our own end of what leaves by the interface.
    fn local(&self) -> SocketAddr {
        SocketAddr::new(self.interface.address, self.interface.group().port())
    }
}

impl Network {
    /// Sends a datagram out of an interface. What the system refuses is lost; the next announce comes in minutes.
    pub(crate) async fn send_to_group(self, socket: Arc<GroupSocket>, group: SocketAddr, bytes: Bytes) {
        *socket.sent.lock().unwrap_or_else(PoisonError::into_inner) = bytes.clone();
        if socket.socket.send_to(&bytes, group).await.is_ok() && self.tap.is_open() {
            self.tap.datagram(self.clock.now(), socket.local(), group, &bytes);
        }
    }

    /// Takes datagrams to a group, for ever.
    pub(crate) async fn hear_group(self, socket: Arc<GroupSocket>) {
        let mut buffer = vec![0; LARGEST];
        loop {
            self.gauge.room().await;
            match socket.socket.recv_from(&mut buffer).await {
                Ok((length, from)) if socket.is_own(from, &buffer[..length]) => {}
                // Where several interfaces have sockets, each of them may hear what came by another.
                Ok((_, from)) if !socket.interface.reaches(from.ip()) => {}
                Ok((length, from)) => {
                    let bytes = Bytes::copy_from_slice(&buffer[..length]);
                    if self.tap.is_open() {
                        self.tap.datagram(self.clock.now(), from, socket.interface.group(), &bytes);
                    }
                    self.tell(DriverEvent::Multicast(socket.interface.id, from, bytes)).await;
                }
                Err(_) => tokio::time::sleep(AFTER_FAULT).await,
            }
        }
    }
}

/// Whether an address is one by which peers of the local network can call: not one of this machine alone.
fn listens_by(listen: &[IpAddr], address: IpAddr) -> bool {
    let by = |one: &IpAddr| one.is_ipv4() == address.is_ipv4() && (one.is_unspecified() || *one == address);
    !address.is_loopback() && listen.iter().any(by)
}

/// A socket that hears the group by an interface, and sends by it, one hop far.
fn open(interface: &Interface, index: Option<u32>) -> io::Result<UdpSocket> {
    let group = interface.group();
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // Every client of the machine hears the same port.
    prepare_to_share(&socket)?;
    match (group.ip(), interface.address) {
        (IpAddr::V4(group_host), IpAddr::V4(host)) => {
            socket.bind(&address_to_hear(group).into())?;
            socket.join_multicast_v4(&group_host, &host)?;
            socket.set_multicast_if_v4(&host)?;
            socket.set_multicast_ttl_v4(HOPS)?;
            socket.set_multicast_loop_v4(true)?;
        }
        (IpAddr::V6(group_host), IpAddr::V6(_)) => {
            let index = index.ok_or(io::ErrorKind::NotFound)?;
            socket.set_only_v6(true)?;
            socket.bind(&address_to_hear(group).into())?;
            socket.join_multicast_v6(&group_host, index)?;
            socket.set_multicast_if_v6(index)?;
            socket.set_multicast_hops_v6(HOPS)?;
            socket.set_multicast_loop_v6(true)?;
        }
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    }
    UdpSocket::from_std(socket.into())
}

/// How far announces go: not beyond the local network.
const HOPS: u32 = 1;

/// How many addresses of interfaces have a socket.
const MAX_SOCKETS: usize = 64;

/// The most bytes of a datagram that are read; an announce has no more than 1,400.
const LARGEST: usize = 2_048;

/// How long a socket that cannot be read is left alone.
const AFTER_FAULT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announces_leave_by_the_interfaces_that_are_listened_on() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let any = [address("0.0.0.0"), address("::")];
        assert!(listens_by(&any, address("10.0.0.2")) && listens_by(&any, address("fe80::1")));
        assert!(!listens_by(&any, address("127.0.0.1")) && !listens_by(&any, address("::1")));
        let one = [address("10.0.0.2")];
        assert!(listens_by(&one, address("10.0.0.2")));
        assert!(!listens_by(&one, address("10.0.0.3")) && !listens_by(&one, address("fe80::1")));
        assert!(!listens_by(&[], address("10.0.0.2")));
        assert!(LocalNetwork::join(&[address("127.0.0.1")]).interfaces().is_empty());
    }
}
