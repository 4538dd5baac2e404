//! The UDP port of a run: one socket a family, of the same number as the TCP port, because peers expect it there (BEP 5,
//! "BitTorrent protocol extension"). Every datagram passes the recording with the addresses that it had on the network.
//!
//! Datagrams to one remote leave together, and those that came together are read together, where the system can do it
//! (quinn-udp); elsewhere one by one. Those with which uTP finds out what fits are not fragmented on their way; others may be, where the system lets that be
//! chosen (`os`).

use std::array;
use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bittrace_protocol::utp::Fragment;
use bytes::Bytes;
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::connection::{Network, address_towards};
use crate::event::DriverEvent;
use crate::os::set_fragments;

/// The sockets, and what is to be sent.
#[derive(Debug, Default)]
pub(crate) struct UdpPort {
    sockets: Vec<Arc<BoundSocket>>,
    unsent: VecDeque<(SocketAddr, Bytes, Fragment)>,
    /// Whether the system takes no more for now.
    is_full: bool,
    /// The bytes of a burst, one datagram behind the other.
    burst: Vec<u8>,
}

/// A socket of one family.
#[derive(Debug)]
pub(crate) struct BoundSocket {
    socket: UdpSocket,
    /// What sends and reads several together. Wine 8 refuses what it asks of a socket.
    state: Option<UdpSocketState>,
    bound: SocketAddr,
    /// From which of our addresses datagrams to a remote leave, where the socket is bound to all of them.
    local_hosts: Mutex<HashMap<IpAddr, IpAddr>>,
}

impl BoundSocket {
    /// Binds a socket to this address.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            // IPv4 has a socket of its own.
            socket.set_only_v6(true)?;
        }
        // The system may give less: what does not fit is lost on the way.
        let _ = socket.set_recv_buffer_size(KERNEL_BUFFER);
        let _ = socket.set_send_buffer_size(KERNEL_BUFFER);
        socket.bind(&address.into())?;
        socket.set_nonblocking(true)?;
        let state = UdpSocketState::new((&socket).into()).ok();
        let socket = UdpSocket::from_std(socket.into())?;
        set_fragments(&socket, Fragment::Allowed);
        Ok(Self { bound: socket.local_addr()?, socket, state, local_hosts: Mutex::default() })
    }

    /// Our end of what passes between this socket and a remote.
    pub(crate) fn local(&self, remote: SocketAddr) -> SocketAddr {
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

    /// How many datagrams can leave together.
    fn most_together(&self) -> usize {
        self.state.as_ref().map_or(1, UdpSocketState::max_gso_segments)
    }

    /// Sends datagrams of `size` bytes each, of which the last may be shorter.
    fn send(
        &self,
        destination: SocketAddr,
        contents: &[u8],
        size: usize,
        fragment: Fragment,
    ) -> io::Result<()> {
        let segment_size = (size < contents.len()).then_some(size);
        let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
        let send = || match &self.state {
            Some(state) => state.try_send((&self.socket).into(), &transmit),
            None => self.socket.try_send_to(contents, destination).map(drop),
        };
        if fragment == Fragment::Allowed {
            return self.socket.try_io(Interest::WRITABLE, send);
        }
        set_fragments(&self.socket, Fragment::Forbidden);
        let sent = self.socket.try_io(Interest::WRITABLE, send);
        set_fragments(&self.socket, Fragment::Allowed);
        sent
    }

    /// Takes what has come, as much as an inbox holds.
    fn read(&self, inbox: &mut Inbox) -> io::Result<()> {
        let Some(state) = &self.state else {
            let (len, addr) = self.socket.try_recv_from(&mut inbox.room[..LARGEST_DATAGRAM])?;
            let found = &mut inbox.found[0];
            (found.addr, found.len, found.stride) = (addr, len, len);
            inbox.filled = 1;
            return Ok(());
        };
        let mut rooms = inbox.room.chunks_exact_mut(LARGEST_DATAGRAM);
        let mut rooms: [_; ROOMS] = array::from_fn(|_| IoSliceMut::new(rooms.next().unwrap_or_default()));
        inbox.filled = state.recv((&self.socket).into(), &mut rooms, &mut inbox.found)?;
        Ok(())
    }
}

/// Room for what comes at once. In each of its parts are datagrams of one remote, all of one size but the last.
struct Inbox {
    room: Vec<u8>,
    found: [RecvMeta; ROOMS],
    filled: usize,
}

impl Inbox {
    fn new() -> Self {
        Self { room: vec![0; ROOMS * LARGEST_DATAGRAM], found: [RecvMeta::default(); ROOMS], filled: 0 }
    }

    /// What was read last. Each datagram has memory of its own: one that is kept keeps no other.
    fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, Bytes)> + '_ {
        let rooms = self.room.chunks_exact(LARGEST_DATAGRAM).zip(&self.found).take(self.filled);
        rooms.flat_map(|(room, found)| {
            // An empty datagram is one as well.
            let ends = (0..found.len.max(1)).step_by(found.stride.max(1));
            ends.map(|at| {
                let end = (at + found.stride).min(found.len);
                (found.addr, Bytes::copy_from_slice(&room[at..end]))
            })
        })
    }
}

impl UdpPort {
    pub(crate) fn new(sockets: Vec<BoundSocket>) -> Self {
        Self { sockets: sockets.into_iter().map(Arc::new).collect(), ..Self::default() }
    }

    /// The sockets, for the tasks that read them.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = Arc<BoundSocket>> + '_ {
        self.sockets.iter().cloned()
    }

    /// Whether there is a socket for IPv4, and one for IPv6.
    pub(crate) fn families(&self) -> [bool; 2] {
        [true, false].map(|ipv4| self.sockets.iter().any(|socket| socket.bound.is_ipv4() == ipv4))
    }

    /// Keeps a datagram for [`flush`](Self::flush), after those that wait. Where too many wait it is lost.
    pub(crate) fn send(&mut self, network: &Network, to: SocketAddr, bytes: Bytes, fragment: Fragment) {
        // Nobody can be answered there, and after the system's refusal quinn-udp would send no bursts any longer.
        if to.port() == 0 {
            return;
        }
        if self.unsent.len() < MAX_UNSENT {
            self.unsent.push_back((to, bytes, fragment));
        }
        if !self.is_full && self.unsent.len() >= MOST_AT_ONCE {
            self.flush(network);
        }
    }

    /// Whether datagrams wait because the system takes no more.
    pub(crate) const fn is_full(&self) -> bool {
        self.is_full
    }

    /// Our end of what passes between us and a remote.
    pub(crate) fn local(&self, remote: SocketAddr) -> Option<SocketAddr> {
        self.socket_for(remote).map(|socket| socket.local(remote))
    }

    /// Ends when a datagram that waits may leave.
    pub(crate) async fn writable(&self) {
        let first = self.unsent.front().filter(|_| self.is_full).and_then(|(to, ..)| self.socket_for(*to));
        match first {
            Some(socket) => {
                let _ = socket.socket.writable().await;
            }
            None => pending().await,
        }
    }

    /// Sends what waits, past the recording, as far as the system takes it. A datagram that the system refuses, or of whose family
    /// there is no socket, is lost, as one on the way is.
    pub(crate) fn flush(&mut self, network: &Network) {
        self.is_full = false;
        // How many leave each by itself.
        let mut alone = 0_usize;
        while let Some(&(to, ref first, fragment)) = self.unsent.front() {
            let size = first.len();
            let Some(socket) = self.socket_for(to).cloned() else {
                self.unsent.pop_front();
                alone = alone.saturating_sub(1);
                continue;
            };
            let count = self.burst(if alone > 0 { 1 } else { socket.most_together() });
            match socket.send(to, &self.burst, size, fragment) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_full = true;
                    return;
                }
                // One of them may be too large, or the network card cannot cut: each by itself.
                Err(_) if count > 1 => alone = count,
                sent => {
                    alone = alone.saturating_sub(count);
                    for (_, bytes, _) in self.unsent.drain(..count) {
                        if sent.is_ok() && network.tap.is_open() {
                            network.tap.datagram(network.clock.now(), socket.local(to), to, &bytes);
                        }
                    }
                }
            }
        }
    }

    /// Puts the datagrams that can leave together, at most `most`, one behind the other: to one remote, of one size, of which the
    /// last may be shorter. One that may not be cut, and a small one, leaves by itself. How many they are.
    fn burst(&mut self, most: usize) -> usize {
        self.burst.clear();
        let Some((to, first, _)) = self.unsent.front() else { return 0 };
        let (mut count, mut is_last) = (0, false);
        for (other, bytes, fragment) in self.unsent.iter().take(most.max(1)) {
            let has_room = bytes.len() >= SMALLEST_IN_BURST
                && bytes.len() <= first.len()
                && self.burst.len() + bytes.len() <= LARGEST_BURST;
            let may_follow = !is_last && other == to && *fragment == Fragment::Allowed && has_room;
            if count > 0 && !may_follow {
                break;
            }
            is_last = bytes.len() < first.len()
                || first.len() < SMALLEST_IN_BURST
                || *fragment == Fragment::Forbidden;
            self.burst.extend_from_slice(bytes);
            count += 1;
        }
        count
    }

    fn socket_for(&self, remote: SocketAddr) -> Option<&Arc<BoundSocket>> {
        self.sockets.iter().find(|socket| socket.bound.is_ipv4() == remote.is_ipv4())
    }
}

impl Network {
    /// Takes datagrams, for ever.
    pub(crate) async fn hear_datagrams(self, socket: Arc<BoundSocket>) {
        let mut inbox = Inbox::new();
        loop {
            self.gauge.room().await;
            let mut received = socket.socket.async_io(Interest::READABLE, || socket.read(&mut inbox)).await;
            let mut datagrams = Vec::new();
            while received.is_ok() {
                for (from, bytes) in inbox.datagrams() {
                    if self.tap.is_open() {
                        self.tap.datagram(self.clock.now(), from, socket.local(from), &bytes);
                    }
                    datagrams.push((from, bytes));
                }
                if datagrams.len() >= MOST_AT_ONCE {
                    break;
                }
                received = socket.socket.try_io(Interest::READABLE, || socket.read(&mut inbox));
            }
            if !datagrams.is_empty() {
                self.tell(DriverEvent::Datagrams(datagrams)).await;
            }
            match received {
                Ok(()) => {}
                // Nothing more has come yet.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Windows tells so that nobody listens where something was sent to.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                Err(_) => tokio::time::sleep(AFTER_FAULT).await,
            }
        }
    }
}

/// How many datagrams may wait because the system takes no more.
const MAX_UNSENT: usize = 1_024;
/// How many datagrams leave, or are told of, together: a call of the system, or a step of the driver, costs more than one.
const MOST_AT_ONCE: usize = 64;
/// The most bytes that leave together: what an IPv4 packet with its headers can count.
const LARGEST_BURST: usize = 65_535 - 20 - 8;
/// Smaller datagrams leave each by itself. A capture of the loopback shows a burst as one datagram, and two messages of the DHT in
/// one would be malformed; bursts of small datagrams would save little.
const SMALLEST_IN_BURST: usize = 1_000;
/// In how many parts what comes is read. Each part has room for the largest datagram.
const ROOMS: usize = 4;
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
            let Some(DriverEvent::Datagrams(received)) = told.recv().await else { panic!("no datagram") };
            assert_eq!(received, [(there, Bytes::from_static(b"ping"))]);

            port.send(&network, there, Bytes::from_static(b"pong"), Fragment::Allowed);
            // No socket of ours could send it.
            port.send(
                &network,
                "[::1]:9".parse().expect("an address"),
                Bytes::from_static(b"lost"),
                Fragment::Allowed,
            );
            port.flush(&network);
            assert!(port.unsent.is_empty() && !port.is_full());
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
            port.is_full = true;
            port.send(&network, there, Bytes::from_static(b"first"), Fragment::Allowed);
            for _ in 0..MAX_UNSENT + 10 {
                port.send(&network, there, Bytes::from_static(b"later"), Fragment::Allowed);
            }
            assert_eq!(port.unsent.len(), MAX_UNSENT);
            port.writable().await;
            port.unsent.truncate(2);
            port.flush(&network);
            assert!(port.unsent.is_empty() && !port.is_full());
            let mut buffer = [0; 16];
            for expected in [&b"first"[..], b"later"] {
                let (length, _) = other.recv_from(&mut buffer).await.expect("a datagram");
                assert_eq!(&buffer[..length], expected);
            }
        });
    }

    #[test]
    fn small_datagrams_leave_each_by_itself() {
        let there: SocketAddr = (LOCALHOST, 9).into();
        let bursts = |sizes: &[usize]| {
            let mut port = UdpPort::default();
            let datagram = |&size| (there, Bytes::from(vec![7; size]), Fragment::Allowed);
            port.unsent.extend(sizes.iter().map(datagram));
            let mut bursts = Vec::new();
            while !port.unsent.is_empty() {
                let count = port.burst(64);
                bursts.push(port.burst.len());
                port.unsent.drain(..count);
            }
            bursts
        };
        assert_eq!(bursts(&[300, 300, 300]), [300, 300, 300]);
        assert_eq!(bursts(&[SMALLEST_IN_BURST - 1; 2]), [SMALLEST_IN_BURST - 1; 2]);
        assert_eq!(bursts(&[SMALLEST_IN_BURST; 2]), [2 * SMALLEST_IN_BURST]);
        assert_eq!(bursts(&[1_200, 1_200, 1_000, 1_000]), [3_400, 1_000]);
        // Nor is a small one the last of a burst.
        assert_eq!(bursts(&[1_200, 1_200, 300, 0, 0, 300]), [2_400, 300, 0, 0, 300]);
    }

    #[test]
    fn bursts_arrive_as_the_datagrams_they_were() {
        check_bursts(BoundSocket::bind);
    }

    #[test]
    fn without_quinn_udp_datagrams_go_one_by_one() {
        check_bursts(|address| Ok(BoundSocket { state: None, ..BoundSocket::bind(address)? }));
    }

    fn check_bursts(bind: impl Fn(SocketAddr) -> io::Result<BoundSocket>) {
        within(async {
            let (events, mut told) = tokio::sync::mpsc::channel(64);
            let network = Network::for_tests(events);
            let bind = || bind((LOCALHOST, 0).into()).expect("a port");
            let (from, to, another) = (bind(), bind(), bind());
            let (here, there, elsewhere) = (from.bound, to.bound, another.bound);
            let reading = tokio::spawn(network.clone().hear_datagrams(Arc::new(to)));
            let mut port = UdpPort::new(vec![from]);
            // Of one size, a shorter one behind them, larger ones, and others that go elsewhere; one that no packet can hold.
            let sizes =
                [1_200, 1_200, 1_200, 7, 1_200, 1_472, 1_472, 0, 65_507, 66_000, 3, 2, 1, 40_000, 40_000];
            // More than one call takes of them.
            let sizes = sizes.into_iter().chain([1_100; 150]);
            let datagrams: Vec<_> =
                (0_u8..).zip(sizes).map(|(fill, size)| Bytes::from(vec![fill; size])).collect();
            for bytes in &datagrams {
                // Now and then one tries out what fits.
                let fragment = if bytes.len() == 1_472 { Fragment::Forbidden } else { Fragment::Allowed };
                port.send(&network, there, bytes.clone(), fragment);
                if bytes.len() == 1_472 {
                    port.send(&network, elsewhere, Bytes::from_static(b"another"), Fragment::Allowed);
                }
            }
            while !port.unsent.is_empty() {
                port.flush(&network);
                if port.is_full() {
                    port.writable().await;
                }
            }
            let mut received = Vec::new();
            while received.len() < datagrams.len() - 1 {
                let Some(DriverEvent::Datagrams(some)) = told.recv().await else { panic!("no datagrams") };
                received.extend(some);
            }
            let expected = datagrams.into_iter().filter(|bytes| bytes.len() < 66_000);
            assert_eq!(received, expected.map(|bytes| (here, bytes)).collect::<Vec<_>>());
            reading.abort();
        });
    }
}
