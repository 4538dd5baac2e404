//! The replayed nodes of the DHT on their sockets.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bittrace_protocol::InfoHash;
use bittrace_protocol::dht::{Kind, Message};
use bittrace_trace::Flow;
use bittrace_trace::units::wanted_at;
use tokio::net::UdpSocket;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::state::Shared;
use super::{AFTER_REFUSAL, READ};
use crate::model::transcript::Transcript;
use crate::play::refusal::{Refusal, RefusalAct, ReplayedEnd};
use crate::play::replay_nodes::{NodeAnswer, recast_message};
use crate::play::run_connection::RunConnection;

/// Serves the node at this place, and asks the client what the node asked in the reference, as long after the client's first query
/// as there.
pub(super) async fn serve_node(
    place: usize,
    socket: UdpSocket,
    reference: Rc<Transcript>,
    shared: Rc<RefCell<Shared>>,
) {
    let Ok(own) = socket.local_addr() else { return };
    let socket = Rc::new(socket);
    let mut buffer = vec![0; READ];
    loop {
        let wait = shared.borrow().next_question(place).unwrap_or(UNTIL_NEWS);
        match timeout(wait, socket.recv_from(&mut buffer)).await {
            Ok(Ok((count, client))) => {
                let answer =
                    Shared::answer_query(&shared, place, &buffer[..count], (client, own), &reference);
                let Some((answer, latency)) = answer else { continue };
                // Each answer that waits has the socket too.
                if Rc::strong_count(&socket) > MOST_WAITING {
                    continue;
                }
                let (socket, shared) = (socket.clone(), shared.clone());
                spawn_local(async move {
                    // As in the reference, so that answers of several nodes come in its order.
                    sleep(latency).await;
                    send(&socket, own, client, &answer, &shared).await;
                });
            }
            Ok(Err(_)) => sleep(AFTER_REFUSAL).await,
            Err(_) => {
                let question = shared.borrow_mut().question(place);
                if let Some((question, client)) = question {
                    send(&socket, own, client, &question, &shared).await;
                }
            }
        }
    }
}

async fn send(
    socket: &UdpSocket,
    own: SocketAddr,
    client: SocketAddr,
    message: &Message,
    shared: &Rc<RefCell<Shared>>,
) {
    let bytes = message.encode();
    if shared.borrow_mut().sends_datagram(own, client, &bytes) {
        // A datagram may be lost as well.
        let _ = socket.send_to(&bytes, client).await;
    }
}

impl Shared {
    /// The answer to a datagram to the node at this place, and how long the node takes; the datagram is recorded.
    fn answer_query(
        this: &Rc<RefCell<Self>>,
        place: usize,
        bytes: &[u8],
        (client, own): (SocketAddr, SocketAddr),
        reference: &Rc<Transcript>,
    ) -> Option<(Message, Duration)> {
        let mut shared = this.borrow_mut();
        if !shared.takes_datagram(client, own, bytes) {
            return None;
        }
        let node = shared.nodes.nodes.get_mut(place)?;
        let (far, answer) = (node.far, node.answer(bytes));
        let nth = node.asked;
        let is_query = !matches!(answer, NodeAnswer::Heard | NodeAnswer::NotAMessage(_));
        if is_query && shared.dht_client.is_none() {
            shared.dht_client = Some((client, Instant::now()));
        }
        let mut refuse = |message, nth, did, why| {
            let connection = Some(RunConnection::of_datagrams(Flow { initiator: client, responder: own }));
            shared.keep(Refusal { by: ReplayedEnd::Node(far), connection, message, nth, did, why });
        };
        let (answer, latency) = match answer {
            NodeAnswer::Message(message, latency) => (message, latency),
            NodeAnswer::Refused(message, why) => {
                refuse("query", nth, RefusalAct::Refused, why);
                return Some((message, Duration::ZERO));
            }
            NodeAnswer::Silent => {
                let why = "the reference has no message of this node".to_owned();
                refuse("query", nth, RefusalAct::LeftUnanswered, why);
                return None;
            }
            NodeAnswer::NotAMessage(error) => {
                let why =
                    format!("it is not a message of the DHT: {}", wanted_at(error.offset, error.wanted));
                refuse("datagram", nth + 1, RefusalAct::LeftUnanswered, why);
                return None;
            }
            NodeAnswer::Heard => return None,
        };
        shared.learn_from_announce(this, client, bytes, reference);
        Some((shared.recast_node_message(answer, client), latency))
    }

    /// A client that announces itself in the DHT, with the torrent of the reference, says where it listens.
    fn learn_from_announce(
        &mut self,
        this: &Rc<RefCell<Self>>,
        client: SocketAddr,
        bytes: &[u8],
        reference: &Rc<Transcript>,
    ) {
        let Ok(Message { kind: Kind::Query(query), .. }) = Message::decode(bytes) else { return };
        let is_ours = query.target.is_some_and(|target| self.torrent.goes_by(InfoHash(target)));
        if query.token.is_some() && is_ours {
            let port = query.listen_port().unwrap_or(client.port());
            self.client_listens(this, SocketAddr::new(client.ip(), port), reference);
        }
    }

    fn recast_node_message(&self, message: Message, client: SocketAddr) -> Message {
        let local = self.nodes.nodes.first().map(|node| node.local);
        let peer = |recorded: SocketAddr| self.places.get(&recorded).copied();
        let node = |recorded: SocketAddr| match local == Some(recorded) {
            true => Some(client),
            false => self.node_places.get(&recorded).copied(),
        };
        recast_message(message, client, &peer, &node)
    }

    /// How long it is until the node at this place asks the client something.
    fn next_question(&self, place: usize) -> Option<Duration> {
        let (_, since) = self.dht_client?;
        let question = self.nodes.nodes.get(place)?.questions.front()?;
        let after = question.at.seconds_since(self.dht_began).clamp(0.0, LONGEST_PAUSE);
        Some(Duration::from_secs_f64(after).saturating_sub(since.elapsed()))
    }

    /// What the node at this place asks now, and the client's address; `None` where it is too early.
    fn question(&mut self, place: usize) -> Option<(Message, SocketAddr)> {
        let (client, _) = self.dht_client.filter(|_| self.next_question(place) == Some(Duration::ZERO))?;
        let message = self.nodes.nodes.get_mut(place)?.ask()?;
        Some((self.recast_node_message(message, client), client))
    }
}

/// How many answers of a node may wait, each as long as in the reference.
const MOST_WAITING: usize = 256;

/// How often a node without a question looks whether it has one: it has from the client's first query on.
const UNTIL_NEWS: Duration = Duration::from_millis(100);

/// The longest pause before a question, in seconds.
const LONGEST_PAUSE: f64 = 60.0;
