//! The recorded peers that connect to the client.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use bittrace_trace::{Direction, Flow, StreamId, Transport};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::peer_stream::PeerStream;
use super::peer_task::play;
use super::state::Shared;
use super::utp_port::UtpOrder;
use crate::model::transcript::Transcript;

/// The peers that connect to the client, as they did in the reference; and those that the client does not connect to although
/// the tracker named them.
pub(super) async fn call_client(client: SocketAddr, reference: Rc<Transcript>, shared: Rc<RefCell<Shared>>) {
    let mut late = Vec::new();
    let all: Vec<(SocketAddr, StreamId)> = {
        let shared = shared.borrow();
        let first = |(far, all): (&SocketAddr, &Vec<StreamId>)| Some((*far, *all.first()?));
        shared.waiting.iter().filter_map(first).collect()
    };
    for (far, recorded) in all {
        if reference.conversation(recorded).is_some_and(|conversation| !conversation.is_outgoing()) {
            spawn_local(call(client, far, reference.clone(), shared.clone()));
        } else {
            late.push(far);
        }
    }
    sleep(BEFORE_CALLING).await;
    for far in late {
        if !shared.borrow().started.contains(&far) {
            let remark = format!(
                "the client did not connect to the replayed peer {far}: after {} s the peer connected to the client",
                BEFORE_CALLING.as_secs()
            );
            shared.borrow_mut().remarks.push(remark);
            spawn_local(call(client, far, reference.clone(), shared.clone()));
        }
    }
}

/// A recorded peer calls the client, again and again until it listens.
async fn call(client: SocketAddr, far: SocketAddr, reference: Rc<Transcript>, shared: Rc<RefCell<Shared>>) {
    for nth in 0..CALLS {
        let Some((stream, flow)) = dial(nth, client, far, &reference, &shared).await else {
            sleep(BETWEEN_CALLS).await;
            continue;
        };
        let Some(recorded) = Shared::next_connection(&shared, far) else { return };
        let Some(conversation) = reference.conversation(recorded) else { return };
        let (client_sends, transport) = (Direction::FromResponder, stream.transport());
        let (mut peer, line) = Shared::begin(&shared, conversation, flow, client_sends, transport);
        peer.call();
        return play(peer, (far, recorded), stream, line, shared).await;
    }
    let remark = format!("the replayed peer {far} could not connect to the client at {client}");
    shared.borrow_mut().remarks.push(remark);
}

/// The `nth` call: over uTP first where the peer spoke so in the reference, then over TCP and uTP by turns.
async fn dial(
    nth: u32,
    client: SocketAddr,
    far: SocketAddr,
    reference: &Transcript,
    shared: &Rc<RefCell<Shared>>,
) -> Option<(PeerStream, Flow)> {
    let next = shared.borrow().waiting.get(&far).and_then(|all| all.first().copied());
    let is_over_utp = next
        .and_then(|stream| reference.conversation(stream))
        .is_some_and(|conversation| conversation.transport == Transport::Utp);
    if is_over_utp && nth.is_multiple_of(2) {
        let (own, orders) = shared.borrow().utp_ports.get(&far)?.clone();
        let (called, opened) = oneshot::channel();
        orders.send(UtpOrder::Call(client, called)).ok()?;
        let stream = timeout(CONNECT, opened).await.ok()?.ok()?;
        return Some((PeerStream::Utp(stream), Flow { initiator: own, responder: client }));
    }
    let from = shared.borrow().source(far);
    let stream = dial_over_tcp(from, client).await.ok()?;
    let own = stream.local_addr().ok()?;
    Some((PeerStream::over_tcp(stream), Flow { initiator: own, responder: client }))
}

async fn dial_over_tcp(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if from.is_ipv4() == to.is_ipv4() {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    timeout(CONNECT, socket.connect(to)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// How long a client has to connect to a peer that the tracker named before the peer connects to the client.
const BEFORE_CALLING: Duration = Duration::from_secs(5);

/// How often a client is called, and how long is waited between two calls and for one.
const CALLS: u32 = 40;
const BETWEEN_CALLS: Duration = Duration::from_millis(250);
const CONNECT: Duration = Duration::from_secs(5);
