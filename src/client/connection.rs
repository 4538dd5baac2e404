//! One connection: bytes from a socket to the session and back, each past the recording.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, UdpSocket};
use std::pin::pin;
use std::time::Duration;

use bittrace_protocol::dial::{Race, TCP_PAUSE};
use bittrace_protocol::session::{CloseReason, Input, SessionStreamId};
use bittrace_trace::{Side, StreamClosing as LineClosing};
use bytes::{Buf, Bytes};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::Clock;
use crate::event::DriverEvent;
use crate::gauge::MemoryBudget;
use crate::os::{is_connecting, limit_unsent};
use crate::pool::Pool;
use crate::record::{Tap, TappedConnection};
use crate::tls::TlsSetup;
use crate::unsent::UnsentLimit;

/// What all connections share.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) clock: Clock,
    pub(crate) tap: Tap,
    pub(crate) pool: Pool,
    pub(crate) gauge: MemoryBudget,
    pub(crate) events: Sender<DriverEvent>,
    pub(crate) connect_timeout: Duration,
    pub(crate) tls: TlsSetup,
    /// The only address that is listened on, where there is one of this machine alone: others of this machine are called from
    /// there, and know us by it.
    pub(crate) loopback: Option<IpAddr>,
}

impl Network {
    /// Opens a connection to the first of these addresses that answers, and carries bytes until it is over.
    pub(crate) async fn dial(
        self,
        stream: SessionStreamId,
        addresses: Vec<SocketAddr>,
        said: UnboundedReceiver<Bytes>,
    ) {
        match self.reach(addresses).await {
            Ok((address, (socket, line))) => {
                // The addresses of a key come before what needs the key.
                if let Ok(local) = socket.local_addr() {
                    self.tell(DriverEvent::Local(stream, local)).await;
                }
                self.tell(Input::Opened(stream, address)).await;
                self.carry(stream, socket, line, said).await;
            }
            Err(closing) => self.tell(Input::Closed(stream, closing)).await,
        }
    }

    /// Connects to the first of these addresses that answers.
    pub(crate) async fn reach(
        &self,
        addresses: Vec<SocketAddr>,
    ) -> Result<(SocketAddr, (TcpStream, TappedConnection)), CloseReason> {
        match addresses[..] {
            [address] => self.connect(address).await.map(|opened| (address, opened)),
            _ => self.connect_to_first(addresses).await,
        }
    }

    /// Connects to these addresses in the order and at the pace of a [`Race`]; the first that answers is taken.
    async fn connect_to_first(
        &self,
        addresses: Vec<SocketAddr>,
    ) -> Result<(SocketAddr, (TcpStream, TappedConnection)), CloseReason> {
        let mut closing = CloseReason::Unresolved("no address".to_owned());
        let mut race = Race::new(addresses, TCP_PAUSE, self.clock.now());
        let mut connecting = JoinSet::new();
        while !race.is_lost() {
            while let Some(address) = race.start(self.clock.now()) {
                let network = self.clone();
                connecting.spawn(async move { (address, network.connect(address).await) });
            }
            let next = race.next_start().map(|at| self.clock.instant(at).into());
            let tried = tokio::select! {
                Some(tried) = connecting.join_next() => tried,
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => continue,
            };
            match tried {
                Ok((address, Ok(opened))) => {
                    // Another one that has just answered is not needed.
                    while let Some(other) = connecting.try_join_next() {
                        if let Ok((_, Ok((_, line)))) = other {
                            line.closed(self.clock.now(), LineClosing::Finished);
                        }
                    }
                    return Ok((address, opened));
                }
                Ok((_, Err(why))) => closing = why,
                Err(ended) => closing = CloseReason::Failed(ended.to_string()),
            }
            race.fail(self.clock.now());
        }
        Err(closing)
    }

    /// Carries the bytes of a connection that a peer opened.
    pub(crate) async fn answer(
        self,
        stream: SessionStreamId,
        socket: TcpStream,
        remote: SocketAddr,
        said: UnboundedReceiver<Bytes>,
    ) {
        let now = self.clock.now();
        let local = socket.local_addr().unwrap_or(remote);
        let line = self.tap.opened(now, Side::Remote, local, remote);
        line.established(now);
        self.carry(stream, socket, line, said).await;
    }

    pub(crate) async fn tell(&self, event: impl Into<DriverEvent>) {
        // Nobody listens once the run is over.
        let _ = self.events.send(event.into()).await;
    }

    async fn connect(&self, remote: SocketAddr) -> Result<(TcpStream, TappedConnection), CloseReason> {
        let failed = |error: io::Error| CloseReason::Failed(error.to_string());
        let socket = Socket::new(Domain::for_address(remote), Type::STREAM, Some(Protocol::TCP))
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            .map_err(failed)?;
        if let Some(own) = self.loopback.filter(|own| own.is_ipv4() == remote.is_ipv4())
            && remote.ip().is_loopback()
        {
            socket.bind(&SocketAddr::new(own, 0).into()).map_err(failed)?;
        }
        let at = self.clock.now();
        let connecting = match socket.connect(&remote.into()) {
            Ok(()) => Ok(()),
            Err(error) if is_connecting(&error) => Ok(()),
            Err(error) => Err(error),
        };
        // The system has chosen our end by now, and said SYN, unless there is no way there.
        let local = socket.local_addr().ok().and_then(|local| local.as_socket());
        // Windows tells the port by now, but not the address.
        let local = local.map(|local| match local.ip().is_unspecified() {
            true => SocketAddr::new(address_towards(remote).unwrap_or(local.ip()), local.port()),
            false => local,
        });
        if let Err(error) = connecting
            && error.kind() != io::ErrorKind::ConnectionRefused
        {
            return Err(failed(error));
        }
        let line = self.tap.opened(at, Side::Local, local.unwrap_or(remote), remote);
        let socket = TcpStream::from_std(socket.into()).map_err(failed)?;
        let opened = timeout(self.connect_timeout, socket.writable()).await;
        let now = self.clock.now();
        let outcome = match opened {
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) => match socket.take_error() {
                Ok(None) => socket.peer_addr().map(|_| ()),
                Ok(Some(error)) | Err(error) => Err(error),
            },
        };
        match outcome {
            Ok(()) => {
                line.established(now);
                Ok((socket, line))
            }
            Err(error) => {
                let (closing, recorded) = match error.kind() {
                    io::ErrorKind::ConnectionRefused => (CloseReason::Refused, LineClosing::Refused),
                    io::ErrorKind::TimedOut => (CloseReason::TimedOut, LineClosing::Unanswered),
                    _ => (failed(error), LineClosing::Unanswered),
                };
                line.closed(now, recorded);
                Err(closing)
            }
        }
    }

    async fn carry(
        self,
        stream: SessionStreamId,
        socket: TcpStream,
        line: TappedConnection,
        said: UnboundedReceiver<Bytes>,
    ) {
        // A request that waits for the answer to the one before would halve the speed.
        let _ = socket.set_nodelay(true);
        let over = tokio::select! {
            closing = self.hear(stream, &socket, &line) => Some(closing),
            () = self.speak(stream, &socket, &line, said) => None,
        };
        let now = self.clock.now();
        match over {
            Some(closing) => {
                let recorded = match closing {
                    CloseReason::ByRemote => LineClosing::Finished,
                    _ => LineClosing::Reset,
                };
                line.closed(now, recorded);
                self.tell(Input::Closed(stream, closing)).await;
            }
            None => {
                let _ = SockRef::from(&socket).shutdown(Shutdown::Write);
                line.closed(now, LineClosing::Finished);
            }
        }
    }

    /// Reads until the other end has no more to say.
    async fn hear(
        &self,
        stream: SessionStreamId,
        socket: &TcpStream,
        line: &TappedConnection,
    ) -> CloseReason {
        loop {
            self.gauge.room().await;
            let bytes = match self.receive(socket).await {
                Ok(bytes) if bytes.is_empty() => return CloseReason::ByRemote,
                Ok(bytes) => bytes,
                Err(error) => return close_reason(&error),
            };
            line.burst(self.clock.now(), Side::Remote, &bytes);
            self.tell(Input::Received(stream, bytes)).await;
        }
    }

    /// What the other end sends next, not recorded yet; nothing at its end.
    pub(crate) async fn receive(&self, socket: &TcpStream) -> io::Result<Bytes> {
        loop {
            socket.readable().await?;
            let mut chunk = self.pool.take();
            match socket.try_read(chunk.room()) {
                Ok(length) => return Ok(chunk.filled(length)),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes what is said until no more will be.
    async fn speak(
        &self,
        stream: SessionStreamId,
        socket: &TcpStream,
        line: &TappedConnection,
        mut said: UnboundedReceiver<Bytes>,
    ) {
        let (mut waiting, mut behind) = (Vec::new(), Vec::new());
        let mut leave_by = None;
        let mut unsent = UnsentLimit::new(self.clock.now());
        limit_unsent(socket, unsent.bytes());
        while !waiting.is_empty() || said.recv_many(&mut waiting, MOST_AT_ONCE).await > 0 {
            let written = {
                let mut writing = pin!(write_all(self, stream, socket, line, &mut unsent, &mut waiting));
                loop {
                    tokio::select! {
                        biased;
                        written = &mut writing => break written,
                        more = said.recv(), if leave_by.is_none() => match more {
                            Some(bytes) => behind.push(bytes),
                            None => leave_by = Some(Instant::now() + LINGER),
                        },
                        // What a far end that we leave does not read is not worth waiting for.
                        () = sleep_until(leave_by.unwrap_or_else(Instant::now)), if leave_by.is_some() => return,
                    }
                }
            };
            if written.is_err() {
                // Reading finds out why, after what the far end still said; unless we leave before.
                while leave_by.is_none() && said.recv().await.is_some() {}
                return;
            }
            waiting.append(&mut behind);
        }
    }
}

/// Why a connection is over on which this happened.
pub(crate) fn close_reason(error: &io::Error) -> CloseReason {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => CloseReason::Reset,
        io::ErrorKind::TimedOut => CloseReason::TimedOut,
        _ => CloseReason::Failed(error.to_string()),
    }
}

async fn write_all(
    network: &Network,
    stream: SessionStreamId,
    socket: &TcpStream,
    line: &TappedConnection,
    unsent: &mut UnsentLimit,
    waiting: &mut Vec<Bytes>,
) -> io::Result<()> {
    let mut first = 0;
    while first < waiting.len() {
        network.gauge.room().await;
        socket.writable().await?;
        let slices: Vec<_> =
            waiting[first..].iter().take(MOST_AT_ONCE).map(|bytes| IoSlice::new(bytes)).collect();
        let written = match socket.try_write_vectored(&slices) {
            Ok(written) => written,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                continue;
            }
            Err(error) => return Err(error),
        };
        let at = network.clock.now();
        if let Some(most) = unsent.took(at, written) {
            limit_unsent(socket, most);
        }
        let mut left = written;
        while left > 0 {
            let bytes = &mut waiting[first];
            let count = left.min(bytes.len());
            line.burst(at, Side::Local, &bytes.slice(..count));
            bytes.advance(count);
            left -= count;
            if bytes.is_empty() {
                first += 1;
            }
        }
        while waiting.get(first).is_some_and(Bytes::is_empty) {
            first += 1;
        }
        network.tell(Input::Sent(stream, written)).await;
    }
    waiting.clear();
    Ok(())
}

/// The address from which this host sends to a remote. Nothing is sent to find out.
pub(crate) fn address_towards(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr =
        if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}

const MOST_AT_ONCE: usize = 64;
/// How long what was said last may take to leave.
const LINGER: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    impl Network {
        /// One without a recording.
        pub(crate) fn for_tests(events: Sender<DriverEvent>) -> Self {
            Self {
                clock: Clock::new(),
                tap: Tap::default(),
                pool: Pool::default(),
                gauge: MemoryBudget::default(),
                events,
                connect_timeout: Duration::from_secs(10),
                tls: TlsSetup::default(),
                loopback: None,
            }
        }
    }

    #[test]
    fn others_of_this_machine_are_called_from_the_address_that_is_listened_on() {
        let own = IpAddr::from([127, 0, 0, 5]);
        if std::net::TcpListener::bind((own, 0)).is_err() {
            // macOS has no such address until somebody gives it to the machine.
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let remote = listener.local_addr().unwrap();
            let (events, _heard) = tokio::sync::mpsc::channel(4);
            let network = Network { loopback: Some(own), ..Network::for_tests(events) };
            let (_opened, called) = tokio::join!(network.connect(remote), listener.accept());
            assert_eq!(called.unwrap().1.ip(), own);
        });
    }

    #[test]
    fn a_silent_address_does_not_hold_the_next_one_up() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let live = listener.local_addr().unwrap();
            // A listener whose queue is full answers no more calls.
            let full = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
            full.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
            full.listen(0).unwrap();
            let silent = full.local_addr().unwrap().as_socket().unwrap();
            let mut callers = Vec::new();
            while let Ok(Ok(caller)) = timeout(Duration::from_millis(300), TcpStream::connect(silent)).await {
                callers.push(caller);
                assert!(callers.len() < 2_000);
            }
            let (events, _told) = tokio::sync::mpsc::channel(16);
            let network = Network::for_tests(events);
            let begun = Instant::now();
            let (chosen, _) = network.connect_to_first(vec![silent, live]).await.unwrap();
            assert_eq!(chosen, live);
            assert!(begun.elapsed() < network.connect_timeout);
        });
    }

    #[test]
    fn the_way_to_this_host_begins_at_this_host() {
        let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 6881));
        assert_eq!(address_towards(remote).unwrap(), remote.ip());
    }

    #[test]
    fn a_far_end_that_does_not_read_is_left_all_the_same() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let remote = listener.local_addr().unwrap();
            let _never_read = TcpStream::connect(remote).await.unwrap();
            let (socket, remote) = listener.accept().await.unwrap();
            let (events, mut told) = tokio::sync::mpsc::channel(16);
            let network = Network::for_tests(events);
            let (said, saying) = tokio::sync::mpsc::unbounded_channel();
            said.send(Bytes::from(vec![0; 64 * 1024 * 1024])).unwrap();
            let leave = async move {
                // The write is under way, and blocks before it is through.
                assert!(matches!(told.recv().await, Some(DriverEvent::Input(Input::Sent(..)))));
                said.send(Bytes::from_static(b"more")).unwrap();
                drop(said);
                while told.recv().await.is_some() {}
            };
            let carry = network.answer(SessionStreamId(1), socket, remote, saying);
            timeout(LINGER * 5, async { tokio::join!(carry, leave) }).await.unwrap();
        });
    }
}
