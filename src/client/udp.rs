//! The UDP port of a run: one socket a family, of the same number as the TCP port, because peers expect it there (BEP 5,
//! "BitTorrent protocol extension"). Every datagram passes the recording with the addresses that it had on the network.

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::connection::{Network, address_towards};
use crate::event::DriverEvent;

/// The sockets, and what waits to be sent.
#[derive(Debug, Default)]
pub(crate) struct UdpPort {
    sockets: Vec<Arc<BoundSocket>>,
    unsent: VecDeque<(SocketAddr, Bytes)>,
}

/// A socket of one family.
#[derive(Debug)]
pub(crate) struct BoundSocket {
    socket: UdpSocket,
    bound: SocketAddr,
    /// From which of our addresses datagrams to a remote leave, where the socket is bound to all of them.
    local_hosts: Mutex<HashMap<IpAddr, IpAddr>>,
}

impl BoundSocket {
    /// Binds a socket to this address.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            // IPv4 has a socket of its own.
            socket.set_only_v6(true)?;
        }
        // The system may give less: what does not fit is lost on the way.
        let _ = socket.set_recv_buffer_size(KERNEL_BUFFER);
        socket.bind(&address.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(Self { bound: socket.local_addr()?, socket, local_hosts: Mutex::default() })
    }

    /// Our end of what passes between this socket and a remote.
    fn local(&self, remote: SocketAddr) -> SocketAddr {
        if !self.bound.ip().is_unspecified() {
            return self.bound;
        }
        let mut hosts = self.local_hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= MAX_LOCAL_HOSTS {
            hosts.clear();
        }
        let host = hosts
            .entry(remote.ip())
            .or_insert_with(|| address_towards(remote).unwrap_or_else(|_| self.bound.ip()));
        SocketAddr::new(*host, self.bound.port())
    }

    /// Sends a datagram, past the recording; whether it must wait.
    fn send(&self, network: &Network, to: SocketAddr, bytes: &Bytes) -> bool {
        match self.socket.try_send_to(bytes, to) {
            Ok(_) if network.tap.is_open() => {
                network.tap.datagram(network.clock.now(), self.local(to), to, bytes);
                false
            }
            // A datagram that the system refuses is lost, as one on the way is.
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

impl UdpPort {
    pub(crate) fn new(sockets: Vec<BoundSocket>) -> Self {
        Self { sockets: sockets.into_iter().map(Arc::new).collect(), unsent: VecDeque::new() }
    }

    /// The sockets, for the tasks that read them.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = Arc<BoundSocket>> + '_ {
        self.sockets.iter().cloned()
    }

    /// Whether there is a socket for IPv4, and one for IPv6.
    pub(crate) fn families(&self) -> [bool; 2] {
        [true, false].map(|ipv4| self.sockets.iter().any(|socket| socket.bound.is_ipv4() == ipv4))
    }

    /// Sends a datagram after those that wait. Where too many wait, or no socket has its family, it is lost.
    pub(crate) fn send(&mut self, network: &Network, to: SocketAddr, bytes: Bytes) {
        if self.unsent.is_empty() && !self.try_send(network, to, &bytes) {
            return;
        }
        if self.unsent.len() < MAX_UNSENT {
            self.unsent.push_back((to, bytes));
        }
    }

    /// Ends when a datagram that waits may leave.
    pub(crate) async fn writable(&self) {
        let first = self.unsent.front().and_then(|(to, _)| self.socket_for(*to));
        match first {
            Some(socket) => {
                let _ = socket.socket.writable().await;
            }
            None => pending().await,
        }
    }

    /// Sends what waits, as far as the system takes it.
    pub(crate) fn send_waiting(&mut self, network: &Network) {
        while let Some((to, bytes)) = self.unsent.pop_front() {
            if self.try_send(network, to, &bytes) {
                self.unsent.push_front((to, bytes));
                return;
            }
        }
    }

    /// Whether the datagram must wait.
    fn try_send(&self, network: &Network, to: SocketAddr, bytes: &Bytes) -> bool {
        self.socket_for(to).is_some_and(|socket| socket.send(network, to, bytes))
    }

    fn socket_for(&self, remote: SocketAddr) -> Option<&BoundSocket> {
        let socket = self.sockets.iter().find(|socket| socket.bound.is_ipv4() == remote.is_ipv4());
        socket.map(|socket| &**socket)
    }
}

impl Network {
    /// Takes datagrams, for ever.
    pub(crate) async fn hear_datagrams(self, socket: Arc<BoundSocket>) {
        let mut buffer = vec![0; LARGEST_DATAGRAM];
        loop {
            self.gauge.room().await;
            match socket.socket.recv_from(&mut buffer).await {
                Ok((length, from)) => {
                    let bytes = Bytes::copy_from_slice(&buffer[..length]);
                    if self.tap.is_open() {
                        self.tap.datagram(self.clock.now(), from, socket.local(from), &bytes);
                    }
                    self.tell(DriverEvent::Datagram(from, bytes)).await;
                }
                // Windows tells so that nobody listens where something was sent to.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                Err(_) => tokio::time::sleep(AFTER_FAULT).await,
            }
        }
    }
}

/// How many datagrams may wait because the system takes no more.
const MAX_UNSENT: usize = 1_024;
/// For how many remotes our own address is remembered.
const MAX_LOCAL_HOSTS: usize = 1_024;
/// The most bytes of a datagram: its length field counts 16 bits.
const LARGEST_DATAGRAM: usize = 65_535;
/// What the system is asked to hold of what has come, in bytes.
const KERNEL_BUFFER: usize = 1024 * 1024;
/// How long a socket that cannot be read is left alone.
const AFTER_FAULT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    const LOCALHOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn within(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(30), test).await.expect("an end in time");
        });
    }

    #[test]
    fn datagrams_go_both_ways_and_find_the_socket_of_their_family() {
        within(async {
            let (events, mut told) = tokio::sync::mpsc::channel(16);
            let network = Network::for_tests(events);
            let bound = BoundSocket::bind((LOCALHOST, 0).into()).expect("a port");
            let here = bound.bound;
            let mut port = UdpPort::new(vec![bound]);
            let reading = tokio::spawn(network.clone().hear_datagrams(port.sockets().next().expect("one")));
            let other = UdpSocket::bind((LOCALHOST, 0)).await.expect("a port");
            let there = other.local_addr().expect("an address");

            other.send_to(b"ping", here).await.expect("a datagram");
            let Some(DriverEvent::Datagram(from, bytes)) = told.recv().await else { panic!("no datagram") };
            assert_eq!((from, &bytes[..]), (there, &b"ping"[..]));

            port.send(&network, there, Bytes::from_static(b"pong"));
            // No socket of ours could send it.
            port.send(&network, "[::1]:9".parse().expect("an address"), Bytes::from_static(b"lost"));
            assert!(port.unsent.is_empty());
            let mut buffer = [0; 16];
            let (length, from) = other.recv_from(&mut buffer).await.expect("a datagram");
            assert_eq!((from, &buffer[..length]), (here, &b"pong"[..]));
            reading.abort();
        });
    }

    #[test]
    fn our_end_is_the_address_that_datagrams_leave_from() {
        within(async {
            let any = BoundSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0).into()).expect("a port");
            for last in 1..=200 {
                let local = any.local(([127, 0, 0, last], 9).into());
                assert!(local.ip().is_loopback() && local.port() == any.bound.port(), "{local}");
            }
            any.local_hosts.lock().expect("no panic").extend(
                (0..MAX_LOCAL_HOSTS as u32).map(|host| (IpAddr::from(host.to_be_bytes()), LOCALHOST)),
            );
            any.local((LOCALHOST, 9).into());
            assert!(any.local_hosts.lock().expect("no panic").len() <= MAX_LOCAL_HOSTS);
        });
    }

    #[test]
    fn what_waits_keeps_its_order_and_has_a_bound() {
        within(async {
            let (events, _told) = tokio::sync::mpsc::channel(16);
            let network = Network::for_tests(events);
            let mut port = UdpPort::new(vec![BoundSocket::bind((LOCALHOST, 0).into()).expect("a port")]);
            let other = UdpSocket::bind((LOCALHOST, 0)).await.expect("a port");
            let there = other.local_addr().expect("an address");
            port.unsent.push_back((there, Bytes::from_static(b"first")));
            for _ in 0..MAX_UNSENT + 10 {
                port.send(&network, there, Bytes::from_static(b"later"));
            }
            assert_eq!(port.unsent.len(), MAX_UNSENT);
            port.writable().await;
            port.unsent.truncate(2);
            port.send_waiting(&network);
            assert!(port.unsent.is_empty());
            let mut buffer = [0; 16];
            for expected in [&b"first"[..], b"later"] {
                let (length, _) = other.recv_from(&mut buffer).await.expect("a datagram");
                assert_eq!(&buffer[..length], expected);
            }
        });
    }
}
