//! The recorded nodes of the DHT, which answer again (BEP 5): each query with what the node answered to the like of it, by method
//! and target, under the transaction id of the query. Ids and tokens are those of the reference. It does no I/O.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bittrace_protocol::dht::{Kind, Message, Method, Node, NodeId, Query, Response};
use bittrace_protocol::{DecodeError, Hex, Timestamp};
use bittrace_trace::units::count;
use bittrace_trace::{Body, Side};

use crate::model::transcript::{Conversation, ConversationRole, Transcript};

/// The recorded nodes, in the order in which they were first heard of.
#[derive(Debug, Default)]
pub(crate) struct ReplayNodes {
    pub(crate) nodes: Vec<ReplayNode>,
    /// How many more the reference has, which are not played.
    left_out: usize,
}

/// A recorded node.
#[derive(Debug)]
pub(crate) struct ReplayNode {
    /// Its address in the reference.
    pub(crate) far: SocketAddr,
    /// The client's address in its conversation with the node.
    pub(crate) local: SocketAddr,
    /// Its id, and what it calls its client; unknown of a node that never said anything.
    id: Option<NodeId>,
    version: Option<Vec<u8>>,
    exchanges: Vec<NodeExchange>,
    /// The tokens that it gave.
    tokens: BTreeSet<Vec<u8>>,
    /// The token that the client gave it last: with it, and not with the recorded one, it announces to the client.
    given: Option<Vec<u8>>,
    /// What it has still to ask of the client, in order.
    pub(crate) questions: VecDeque<NodeQuestion>,
    /// How many queries the client sent it.
    pub(crate) asked: u32,
}

/// A query of the client and its answer.
#[derive(Debug)]
struct NodeExchange {
    topic: NodeTopic,
    answer: Message,
    /// How long the node took.
    latency: Duration,
    used: bool,
}

/// What a query is about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NodeTopic {
    method: Method,
    target: Option<[u8; 20]>,
}

/// A query of a node.
#[derive(Debug)]
pub(crate) struct NodeQuestion {
    /// Its number in the reference.
    pub(crate) number: u64,
    /// When it was sent.
    pub(crate) at: Timestamp,
    message: Message,
}

/// What a node does about a datagram.
#[derive(Debug)]
pub(crate) enum NodeAnswer {
    /// It answers, after so long.
    Message(Message, Duration),
    /// It answers with an error: why.
    Refused(Message, String),
    /// The reference has no word of it.
    Silent,
    /// The datagram answers the node.
    Heard,
    /// The datagram is not a message of the DHT.
    NotAMessage(DecodeError),
}

/// What the client of the reference is as a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ClientNode {
    /// Its ids in networks of IPv4, and of IPv6.
    pub(crate) ids: [Option<NodeId>; 2],
    /// What it calls itself.
    pub(crate) version: Option<Vec<u8>>,
    /// Whether it says that it answers nobody (BEP 43).
    pub(crate) read_only: bool,
    /// The node that it asked first.
    pub(crate) first: Option<SocketAddr>,
}

impl ReplayNodes {
    /// The first nodes that the client of `reference` spoke with, and the one that it asked first.
    pub(crate) fn of(reference: &Transcript) -> Self {
        let first = ClientNode::of(reference).first;
        let mut nodes: Vec<ReplayNode> = Vec::new();
        let (mut places, mut left_out) = (BTreeMap::new(), BTreeSet::new());
        for conversation in reference.conversations.iter().filter(|one| one.role == ConversationRole::Node) {
            let far = conversation.far();
            if nodes.len() >= MOST_NODES && first != Some(far) && !places.contains_key(&far) {
                left_out.insert(far);
                continue;
            }
            let place = *places.entry(far).or_insert_with(|| {
                nodes.push(ReplayNode::new(far, conversation.local_address()));
                nodes.len() - 1
            });
            nodes[place].read(conversation);
        }
        Self { nodes, left_out: left_out.len() }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The place of the node of this address.
    pub(crate) fn find(&self, far: SocketAddr) -> Option<usize> {
        self.nodes.iter().position(|node| node.far == far)
    }

    /// The peers that the nodes name.
    pub(crate) fn peers(&self) -> BTreeSet<SocketAddr> {
        let answers = self.nodes.iter().flat_map(|node| &node.exchanges);
        let peers = answers.filter_map(|exchange| match &exchange.answer.kind {
            Kind::Response(response) => response.peers.as_ref(),
            _ => None,
        });
        peers.flatten().copied().collect()
    }

    /// How many recorded nodes are not played, in words.
    pub(crate) fn left_out(&self) -> Option<String> {
        let (left_out, played) = (self.left_out, self.nodes.len());
        let all = left_out + played;
        (left_out > 0).then(|| {
            format!("of {all} recorded nodes of the DHT, {played} were played: {left_out} were left out")
        })
    }

    /// How many recorded answers nobody asked for, in words.
    pub(crate) fn unused(&self) -> Option<String> {
        let all = self.nodes.iter().flat_map(|node| &node.exchanges);
        let (all, unused) =
            all.fold((0_u32, 0_u32), |(all, unused), one| (all + 1, unused + u32::from(!one.used)));
        (unused > 0)
            .then(|| format!("of {all} recorded answers of nodes of the DHT, {unused} were not asked for"))
    }
}

impl ClientNode {
    /// The node that the client of `reference` is.
    pub(crate) fn of(reference: &Transcript) -> Self {
        let mut client = Self::default();
        let nodes = reference.conversations.iter().filter(|one| one.role == ConversationRole::Node);
        let mut first = None;
        for conversation in nodes {
            for stored in &conversation.direction(Side::Local).messages {
                let Body::Dht(message, _) = stored.body() else { continue };
                let id = match &message.kind {
                    Kind::Query(query) => {
                        if first.is_none_or(|(number, _)| stored.number < number) {
                            first = Some((stored.number, conversation.far()));
                        }
                        query.id
                    }
                    Kind::Response(response) => response.id,
                    Kind::Error(..) => None,
                };
                let known = &mut client.ids[usize::from(conversation.far().is_ipv6())];
                *known = known.or(id);
                client.version = client.version.take().or_else(|| message.version.clone());
                client.read_only |= message.read_only == Some(true);
            }
        }
        client.first = first.map(|(_, far)| far);
        client
    }
}

impl ReplayNode {
    const fn new(far: SocketAddr, local: SocketAddr) -> Self {
        Self {
            far,
            local,
            id: None,
            version: None,
            exchanges: Vec::new(),
            tokens: BTreeSet::new(),
            given: None,
            questions: VecDeque::new(),
            asked: 0,
        }
    }

    fn read(&mut self, conversation: &Conversation) {
        let mut waiting: Vec<(Vec<u8>, NodeTopic, Timestamp)> = Vec::new();
        for (side, stored) in conversation.messages() {
            let Body::Dht(message, _) = stored.body() else { continue };
            let message = Arc::unwrap_or_clone(message);
            match (side, &message.kind) {
                (Side::Local, Kind::Query(query)) => {
                    waiting.push((message.transaction.clone(), NodeTopic::of(query), stored.at));
                }
                (Side::Remote, Kind::Query(query)) => {
                    self.id = self.id.or(query.id);
                    let (number, at) = (stored.number, stored.at);
                    self.questions.push_back(NodeQuestion { number, at, message });
                }
                (Side::Remote, kind) => {
                    if let Kind::Response(response) = kind {
                        self.id = response.id.or(self.id);
                        self.tokens.extend(response.token.clone());
                    }
                    self.version = self.version.take().or_else(|| message.version.clone());
                    let Some(at) = waiting.iter().position(|(id, ..)| *id == message.transaction) else {
                        continue;
                    };
                    let (_, topic, asked_at) = waiting.remove(at);
                    let seconds = stored.at.seconds_since(asked_at).clamp(0.0, MOST_LATENCY);
                    let latency = Duration::from_secs_f64(seconds);
                    self.exchanges.push(NodeExchange { topic, answer: message, latency, used: false });
                }
                _ => {}
            }
        }
    }

    /// What it does about a datagram of the client.
    pub(crate) fn answer(&mut self, datagram: &[u8]) -> NodeAnswer {
        let message = match Message::decode(datagram) {
            Ok(message) => message,
            Err(error) => return NodeAnswer::NotAMessage(error),
        };
        let Kind::Query(query) = &message.kind else {
            if let Kind::Response(Response { token: Some(token), .. }) = message.kind {
                self.given = Some(token);
            }
            return NodeAnswer::Heard;
        };
        self.asked = self.asked.saturating_add(1);
        let Some(id) = self.id else { return NodeAnswer::Silent };
        let token = query.token.as_ref().filter(|_| query.method == Method::AnnouncePeer);
        if let Some(token) = token.filter(|token| !self.tokens.contains(*token)) {
            let why = format!("its token {} is not one that the node gave", in_words(token));
            return NodeAnswer::Refused(self.error(&message, PROTOCOL_ERROR, "bad token"), why);
        }
        let topic = NodeTopic::of(query);
        if let Some(exchange) = self.exchange(&topic) {
            exchange.used = true;
            let answer = Message { transaction: message.transaction, ..exchange.answer.clone() };
            return NodeAnswer::Message(answer, exchange.latency);
        }
        let response = match query.method {
            Method::Ping | Method::AnnouncePeer => Response::new(id),
            Method::FindNode => Response { nodes: Some(self.neighbours()), ..Response::new(id) },
            Method::GetPeers => {
                let token = self.tokens.first().cloned();
                Response { nodes: Some(self.neighbours()), token, ..Response::new(id) }
            }
            _ => {
                let why = "the reference has no response to such a query".to_owned();
                return NodeAnswer::Refused(self.error(&message, METHOD_UNKNOWN, "Method Unknown"), why);
            }
        };
        let kind = Kind::Response(response);
        let answer = Message { version: self.version.clone(), ..Message::new(message.transaction, kind) };
        NodeAnswer::Message(answer, Duration::ZERO)
    }

    /// What it asks next.
    pub(crate) fn ask(&mut self) -> Option<Message> {
        let mut message = self.questions.pop_front()?.message;
        if let Kind::Query(Query { token: token @ Some(_), .. }) = &mut message.kind
            && self.given.is_some()
        {
            token.clone_from(&self.given);
        }
        Some(message)
    }

    /// The recorded exchange about the same: the first that was not used yet, else the last one.
    fn exchange(&mut self, topic: &NodeTopic) -> Option<&mut NodeExchange> {
        let unused = self.exchanges.iter().position(|one| one.topic == *topic && !one.used);
        let place = unused.or_else(|| self.exchanges.iter().rposition(|one| one.topic == *topic))?;
        self.exchanges.get_mut(place)
    }

    /// The IPv4 nodes that it named, each once.
    fn neighbours(&self) -> Vec<Node> {
        let mut nodes: Vec<Node> = Vec::new();
        for exchange in &self.exchanges {
            let Kind::Response(Response { nodes: Some(named), .. }) = &exchange.answer.kind else { continue };
            for node in named {
                if nodes.len() < MOST_NEIGHBOURS && !nodes.contains(node) {
                    nodes.push(*node);
                }
            }
        }
        nodes
    }

    fn error(&self, query: &Message, code: i64, text: &str) -> Message {
        let kind = Kind::Error(code, text.as_bytes().to_vec());
        Message { version: self.version.clone(), ..Message::new(query.transaction.clone(), kind) }
    }
}

impl NodeTopic {
    fn of(query: &Query) -> Self {
        Self { method: query.method.clone(), target: query.target }
    }
}

/// A message as it is said where everybody is at another address than in the reference: `peer` and `node` tell where those of the
/// reference are now, and who is nowhere is left out; `client` is the receiver's address.
pub(crate) fn recast_message(
    mut message: Message,
    client: SocketAddr,
    peer: &dyn Fn(SocketAddr) -> Option<SocketAddr>,
    node: &dyn Fn(SocketAddr) -> Option<SocketAddr>,
) -> Message {
    message.your_address = message.your_address.map(|_| client);
    if let Kind::Response(response) = &mut message.kind {
        // A node may be in another family than in the reference: `nodes` has those of IPv4 and `nodes6` those of IPv6 (BEP 32).
        let had = response.nodes.is_some() || response.nodes6.is_some();
        let named = response.nodes.take().into_iter().chain(response.nodes6.take()).flatten();
        let here = named
            .filter_map(|one| Some(Node { address: node(one.address)?, ..one }))
            .filter(|one| one.address.is_ipv4() == client.is_ipv4())
            .collect();
        let list = if client.is_ipv4() { &mut response.nodes } else { &mut response.nodes6 };
        *list = had.then_some(here);
        if let Some(peers) = &mut response.peers {
            *peers = peers.iter().filter_map(|one| peer(*one)).collect();
        }
    }
    message
}

/// A token as it is shown: the first bytes of a long one.
fn in_words(token: &[u8]) -> String {
    match token.get(..MOST_SHOWN) {
        Some(first) if token.len() > MOST_SHOWN => {
            format!("{}... of {} bytes", Hex(first), count(token.len() as u64))
        }
        _ => Hex(token).to_string(),
    }
}

/// How many nodes are played, beside the one that the client asked first: each has a socket, and some systems let a process open no
/// more than 256 files.
const MOST_NODES: usize = 128;

/// How many bytes of a token are shown: those of nodes have no more than 20.
const MOST_SHOWN: usize = 20;

/// The errors of BEP 5, "errors".
const PROTOCOL_ERROR: i64 = 203;
const METHOD_UNKNOWN: i64 = 204;

/// How many nodes are in a response (BEP 5, "find_node": K of the closest).
const MOST_NEIGHBOURS: usize = 8;

/// The longest that a recorded answer is waited for, in seconds: clients give up no later.
const MOST_LATENCY: f64 = 2.0;

#[cfg(test)]
mod tests;
