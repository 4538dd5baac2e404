//! Ways to trackers, web seeds and peers that have names: names to addresses, and datagrams.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::Poll;

use bittrace_protocol::HostPort;
use bittrace_protocol::dial::{MOST_ADDRESSES, Race, Remote, UDP_PAUSE};
use bittrace_protocol::session::{CloseReason, Input, SessionStreamId};
use bytes::Bytes;
use tokio::io::Interest;
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use crate::connection::Network;

impl Network {
    /// Opens a connection to a host and carries its bytes.
    pub(crate) async fn dial_host(
        self,
        stream: SessionStreamId,
        remote: Remote,
        said: UnboundedReceiver<Bytes>,
    ) {
        match (addresses(&remote).await, &remote.tls) {
            (Ok(addresses), None) => self.dial(stream, addresses, said).await,
            (Ok(addresses), Some(tls)) => match self.reach(addresses).await {
                Ok((address, (socket, line))) => {
                    self.carry_tls(stream, address, socket, line, tls, said).await;
                }
                Err(why) => self.tell(Input::Closed(stream, why)).await,
            },
            (Err(why), _) => self.tell(Input::Closed(stream, why)).await,
        }
    }

    /// Looks up the addresses of a peer.
    pub(crate) async fn look_up(self, name: HostPort) {
        let addresses = resolve(&name.host, name.port).await;
        self.tell(Input::Resolved(name, addresses)).await;
    }

    /// Carries datagrams to and from a host.
    pub(crate) async fn exchange(
        self,
        stream: SessionStreamId,
        remote: Remote,
        said: UnboundedReceiver<Bytes>,
    ) {
        let closing = match addresses(&remote).await {
            Ok(addresses) => self.carry_datagrams(stream, addresses, said).await,
            Err(why) => Some(why),
        };
        if let Some(closing) = closing {
            self.tell(Input::Closed(stream, closing)).await;
        }
    }

    /// Carries datagrams to and from the address that answers first. `None` when we have no more to say.
    ///
    /// While none of the addresses has answered, what was said last goes to the next of them at the pace of a [`Race`]: the
    /// connect request of BEP 15 may come to any number of addresses, and each of them answers it for itself.
    async fn carry_datagrams(
        &self,
        stream: SessionStreamId,
        addresses: Vec<SocketAddr>,
        mut said: UnboundedReceiver<Bytes>,
    ) -> Option<CloseReason> {
        let mut refusal = CloseReason::Unresolved("no address".to_owned());
        let mut race = Race::new(addresses, UDP_PAUSE, self.clock.now());
        let mut flows: Vec<Flow> = Vec::new();
        let mut last: Option<Bytes> = None;
        let mut is_told = false;
        let mut has_answered = false;
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            while !has_answered && let Some(address) = race.start(self.clock.now()) {
                match self.begin_flow(address, last.as_ref()).await {
                    Ok(flow) => {
                        if !std::mem::replace(&mut is_told, true) {
                            self.tell(Input::Opened(stream, flow.remote)).await;
                        }
                        flows.push(flow);
                    }
                    Err(error) => {
                        refusal = closing(&error);
                        race.fail(self.clock.now());
                    }
                }
            }
            if flows.is_empty() && (has_answered || race.is_lost()) {
                return Some(refusal);
            }
            let next = race.next_start().filter(|_| !has_answered).map(|at| self.clock.instant(at).into());
            tokio::select! {
                bytes = said.recv() => {
                    let bytes = bytes?;
                    let mut is_sent = false;
                    for at in (0..flows.len()).rev() {
                        match self.send(&flows[at], &bytes).await {
                            Ok(()) => is_sent = true,
                            Err(error) => {
                                refusal = closing(&error);
                                flows.remove(at);
                                race.fail(self.clock.now());
                            }
                        }
                    }
                    if is_sent {
                        self.tell(Input::Sent(stream, bytes.len())).await;
                    }
                    last = Some(bytes);
                }
                (at, heard) = hear(&flows, &mut buffer), if !flows.is_empty() => match heard {
                    Ok(length) => {
                        if !has_answered {
                            has_answered = true;
                            flows = vec![flows.swap_remove(at)];
                            self.tell(Input::Opened(stream, flows[0].remote)).await;
                        }
                        let bytes = Bytes::copy_from_slice(&buffer[..length]);
                        let Flow { local, remote, .. } = flows[0];
                        self.tap.datagram(self.clock.now(), remote, local, &bytes);
                        self.tell(Input::Received(stream, bytes)).await;
                    }
                    Err(error) => {
                        refusal = closing(&error);
                        flows.remove(at);
                        race.fail(self.clock.now());
                    }
                },
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    /// A flow to an address, to which what was said last has gone.
    async fn begin_flow(&self, remote: SocketAddr, last: Option<&Bytes>) -> io::Result<Flow> {
        let flow = Flow::to(remote).await?;
        if let Some(bytes) = last {
            self.send(&flow, bytes).await?;
        }
        Ok(flow)
    }

    async fn send(&self, flow: &Flow, bytes: &Bytes) -> io::Result<()> {
        let sent = flow.socket.send(bytes).await;
        self.tap.datagram(self.clock.now(), flow.local, flow.remote, bytes);
        sent.map(|_| ())
    }
}

/// A socket that speaks with one address of a tracker alone, so that a refusal of the network is told to us.
struct Flow {
    socket: UdpSocket,
    local: SocketAddr,
    remote: SocketAddr,
}

impl Flow {
    /// A flow to an address, where there is a way to addresses of its family.
    async fn to(remote: SocketAddr) -> io::Result<Self> {
        let any: IpAddr = match remote {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(remote).await?;
        let local = socket.local_addr().unwrap_or(remote);
        Ok(Self { socket, local, remote })
    }
}

/// The next datagram, or refusal of one that was sent: the number of its flow, and the length.
async fn hear(flows: &[Flow], buffer: &mut [u8]) -> (usize, io::Result<usize>) {
    loop {
        let news = Interest::READABLE | Interest::ERROR;
        let mut waiting: Vec<_> = flows.iter().map(|flow| Box::pin(flow.socket.ready(news))).collect();
        let at = poll_fn(|context| {
            let at = waiting.iter_mut().position(|one| one.as_mut().poll(context).is_ready());
            at.map_or(Poll::Pending, Poll::Ready)
        });
        let at = at.await;
        let socket = &flows[at].socket;
        // A refusal makes a socket ready, but not to be read from.
        let refusal = || match socket.take_error()? {
            Some(error) => Err(error),
            None => Err(io::ErrorKind::WouldBlock.into()),
        };
        let heard = socket.try_recv(buffer).or_else(|error| match error.kind() {
            io::ErrorKind::WouldBlock => socket.try_io(Interest::ERROR, refusal),
            _ => Err(error),
        });
        match heard {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            heard => return (at, heard),
        }
    }
}

/// The addresses of a host that may be dialled, or why there are none.
async fn addresses(remote: &Remote) -> Result<Vec<SocketAddr>, CloseReason> {
    let found = resolve(&remote.host, remote.port).await.map_err(CloseReason::Unresolved)?;
    remote.allowed(found).map_err(CloseReason::Local)
}

/// The addresses of a host, or why there are none.
async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let addresses = lookup_host((bare, port)).await;
    addresses.map(|addresses| addresses.take(MOST_ADDRESSES).collect()).map_err(|error| error.to_string())
}

fn closing(error: &io::Error) -> CloseReason {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => CloseReason::Refused,
        _ => CloseReason::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as BlockingSocket;
    use std::time::Duration;

    use bittrace_protocol::session::SessionStreamId;
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;
    use crate::event::DriverEvent;

    const STREAM: SessionStreamId = SessionStreamId(4);

    fn socket() -> BlockingSocket {
        let socket = BlockingSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
    }

    #[test]
    fn addresses_of_a_tracker_are_tried_until_one_answers() {
        let (silent, live) = (socket(), socket());
        let closed = socket().local_addr().unwrap();
        let addresses = vec![silent.local_addr().unwrap(), closed, live.local_addr().unwrap()];
        let tracker = std::thread::spawn(move || {
            let mut buffer = [0; 64];
            for _ in 0..2 {
                let (length, from) = live.recv_from(&mut buffer).unwrap();
                live.send_to(&buffer[..length], from).unwrap();
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (events, mut told) = mpsc::channel(16);
            let network = Network::for_tests(events);
            let (said, saying) = mpsc::unbounded_channel();
            let there = addresses.clone();
            let carry = tokio::spawn(async move { network.carry_datagrams(STREAM, there, saying).await });
            let mut next = async || match timeout(Duration::from_secs(20), told.recv()).await.unwrap() {
                Some(DriverEvent::Input(input)) => input,
                _ => panic!("the flow has ended"),
            };
            assert!(matches!(next().await, Input::Opened(STREAM, first) if first == addresses[0]));
            said.send(Bytes::from_static(b"one")).unwrap();
            assert!(matches!(next().await, Input::Sent(STREAM, 3)));
            assert!(matches!(next().await, Input::Opened(STREAM, third) if third == addresses[2]));
            assert!(matches!(next().await, Input::Received(STREAM, bytes) if *bytes == *b"one"));
            // What follows goes to the address that has answered alone.
            said.send(Bytes::from_static(b"second")).unwrap();
            assert!(matches!(next().await, Input::Sent(STREAM, 6)));
            assert!(matches!(next().await, Input::Received(STREAM, bytes) if *bytes == *b"second"));
            drop(said);
            assert_eq!(carry.await.unwrap(), None);
        });
        tracker.join().unwrap();
        let mut buffer = [0; 64];
        assert_eq!(silent.recv(&mut buffer).unwrap(), 3);
        silent.set_nonblocking(true).unwrap();
        assert!(silent.recv(&mut buffer).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_tracker_that_refuses_at_each_address_is_given_up_at_once() {
        let addresses: Vec<_> = (0..3).map(|_| socket().local_addr().unwrap()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (events, mut told) = mpsc::channel(16);
            let network = Network::for_tests(events);
            let (said, saying) = mpsc::unbounded_channel();
            said.send(Bytes::from_static(b"one")).unwrap();
            let carry = tokio::spawn(async move { network.carry_datagrams(STREAM, addresses, saying).await });
            let over = timeout(UDP_PAUSE * 20, carry).await.unwrap().unwrap();
            assert_eq!(over, Some(CloseReason::Refused));
            while told.try_recv().is_ok() {}
        });
    }
}
