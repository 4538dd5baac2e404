//! The UDP port of a recorded peer that spoke over uTP: its connections, whose packets are recorded as they are.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bittrace_protocol::session::{CloseReason, SessionStreamId};
use bittrace_protocol::utp::{Mux, MuxOutput};
use bittrace_trace::{Direction, Flow, Transport};
use bytes::Bytes;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::peer_stream::{MOST_UNSENT, PeerStream, UtpStream};
use super::peer_task::play;
use super::state::Shared;
use crate::model::transcript::Transcript;

/// What is wanted of a port.
pub(super) enum UtpOrder {
    /// Connect to the client at this address.
    Call(SocketAddr, oneshot::Sender<UtpStream>),
    /// Send bytes on a connection.
    Write(SessionStreamId, Bytes),
    /// What is sent from now on waits for the client, as [`Mux::pause`] says.
    Pause(SessionStreamId),
    /// Close a connection once all that was written has arrived.
    Close(SessionStreamId),
}

/// A port, and what passes on it.
struct UtpPort {
    far: SocketAddr,
    own: SocketAddr,
    socket: UdpSocket,
    mux: Mux,
    orders: mpsc::UnboundedSender<UtpOrder>,
    open: BTreeMap<SessionStreamId, OpenStream>,
    calls: BTreeMap<SessionStreamId, oneshot::Sender<UtpStream>>,
    /// How many connections the peer has begun.
    called: u32,
    reference: Rc<Transcript>,
    shared: Rc<RefCell<Shared>>,
}

/// A connection, as its port sees it.
struct OpenStream {
    received: mpsc::UnboundedSender<Result<Bytes, CloseReason>>,
    room: Rc<Semaphore>,
}

enum Woken {
    Datagram(SocketAddr, usize),
    Order(UtpOrder),
    /// The system refused a datagram that was sent, or has none.
    Nothing,
}

/// Serves a recorded peer on its UDP port, and does what is wanted of it.
pub(super) async fn serve_over_utp(
    (far, number): (SocketAddr, u8),
    socket: UdpSocket,
    (orders, mut wanted): (mpsc::UnboundedSender<UtpOrder>, mpsc::UnboundedReceiver<UtpOrder>),
    reference: Rc<Transcript>,
    shared: Rc<RefCell<Shared>>,
) {
    let Ok(own) = socket.local_addr() else { return };
    let (now, mut secret) = (shared.borrow().now(), shared.borrow().options.secret);
    // Each port draws numbers of its own.
    secret[0] ^= number;
    let mux = Mux::new(secret, now);
    let (open, calls) = (BTreeMap::new(), BTreeMap::new());
    let mut port = UtpPort { far, own, socket, mux, orders, open, calls, called: 0, reference, shared };
    let mut buffer = vec![0; super::READ];
    loop {
        port.settle().await;
        let now = port.shared.borrow().now();
        let wakes = port.mux.wakes_at().map_or(LONGEST_SLEEP, |at| {
            Duration::from_secs_f64(at.seconds_since(now).clamp(0.0, LONGEST_SLEEP.as_secs_f64()))
        });
        let woken = timeout(
            wakes,
            poll_fn(|context| {
                if let Poll::Ready(Some(order)) = wanted.poll_recv(context) {
                    return Poll::Ready(Woken::Order(order));
                }
                let mut read = ReadBuf::new(&mut buffer);
                port.socket.poll_recv_from(context, &mut read).map(|received| match received {
                    Ok(from) => Woken::Datagram(from, read.filled().len()),
                    Err(_) => Woken::Nothing,
                })
            }),
        );
        let woken = woken.await.unwrap_or(Woken::Nothing);
        let now = port.shared.borrow().now();
        port.mux.tick(now);
        match woken {
            Woken::Datagram(from, count) => port.take(from, &buffer[..count]),
            Woken::Order(order) => port.obey(order),
            Woken::Nothing => {}
        }
    }
}

impl UtpPort {
    fn take(&mut self, from: SocketAddr, datagram: &[u8]) {
        let mut shared = self.shared.borrow_mut();
        if !shared.takes_datagram(from, self.own, datagram) {
            drop(shared);
            for (stream, open) in std::mem::take(&mut self.open) {
                open.room.close();
                self.mux.abort(stream);
            }
            return;
        }
        let now = shared.now();
        drop(shared);
        self.mux.handle(now, from, &Bytes::copy_from_slice(datagram));
    }

    fn obey(&mut self, order: UtpOrder) {
        match order {
            UtpOrder::Call(client, called) => {
                // Those that were not waited for any longer.
                let left: Vec<_> = self
                    .calls
                    .iter()
                    .filter(|(_, call)| call.is_closed())
                    .map(|(&stream, _)| stream)
                    .collect();
                for stream in left {
                    self.calls.remove(&stream);
                    self.mux.abort(stream);
                }
                let stream = SessionStreamId(self.called * 2);
                self.called += 1;
                self.calls.insert(stream, called);
                self.mux.open(stream, client);
            }
            UtpOrder::Write(stream, bytes) => self.mux.write(stream, bytes),
            UtpOrder::Pause(stream) => self.mux.pause(stream),
            UtpOrder::Close(stream) => {
                self.open.remove(&stream);
                self.mux.close(stream);
            }
        }
    }

    /// Does what the connections want now.
    async fn settle(&mut self) {
        while let Some(output) = self.mux.poll() {
            match output {
                MuxOutput::Datagram(to, bytes, _) => {
                    if self.shared.borrow_mut().sends_datagram(self.own, to, &bytes) {
                        // What the system does not take is lost, and sent again.
                        let _ = self.socket.send_to(&bytes, to).await;
                    }
                }
                MuxOutput::Accepted(stream, client) => self.accept(stream, client),
                MuxOutput::Opened(stream, _) => {
                    let opened = self.stream(stream);
                    if let Some(call) = self.calls.remove(&stream) {
                        // A stream that nobody waits for any longer closes.
                        let _ = call.send(opened);
                    }
                }
                MuxOutput::Received(stream, bytes) => {
                    if let Some(open) = self.open.get(&stream) {
                        let _ = open.received.send(Ok(bytes));
                    }
                }
                MuxOutput::Sent(stream, count) => {
                    if let Some(open) = self.open.get(&stream) {
                        open.room.add_permits(count);
                    }
                }
                MuxOutput::Closed(stream, reason) => {
                    self.calls.remove(&stream);
                    if let Some(open) = self.open.remove(&stream) {
                        let _ = open.received.send(Err(reason));
                        open.room.close();
                    }
                }
            }
        }
    }

    fn stream(&mut self, stream: SessionStreamId) -> UtpStream {
        let (sender, received) = mpsc::unbounded_channel();
        let room = Rc::new(Semaphore::new(MOST_UNSENT));
        self.open.insert(stream, OpenStream { received: sender, room: room.clone() });
        UtpStream::new(stream, self.orders.clone(), received, room)
    }

    /// The client has connected to the peer.
    fn accept(&mut self, stream: SessionStreamId, client: SocketAddr) {
        if !self.shared.borrow_mut().takes_connection() {
            return self.mux.abort(stream);
        }
        let carried = self.stream(stream);
        let Some(recorded) = Shared::next_connection(&self.shared, self.far) else { return };
        let Some(conversation) = self.reference.conversation(recorded) else { return };
        let flow = Flow { initiator: client, responder: self.own };
        let (peer, line) =
            Shared::begin(&self.shared, conversation, flow, Direction::FromInitiator, Transport::Utp);
        let carried = PeerStream::Utp(carried);
        spawn_local(play(peer, (self.far, recorded), carried, line, self.shared.clone()));
    }
}

/// How long a port without timers sleeps.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
