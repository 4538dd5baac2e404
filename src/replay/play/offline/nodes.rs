//! The node of the DHT of a simulated session, and the recorded nodes.

use std::net::SocketAddr;

use bittrace_protocol::dht::{DhtNode, DhtSettings, NodeId, SavedNodes};
use bittrace_protocol::node::{Input, Node};
use bittrace_protocol::{HostPort, Timestamp, bencode, session};
use bytes::Bytes;

use super::{SECRET, Simulation};
use crate::play::refusal::{MOST_REFUSALS, Refusal, RefusalAct, ReplayedEnd};
use crate::play::replay_nodes::{ClientNode, NodeAnswer, ReplayNodes};
use crate::play::run_connection::RunConnection;

/// The session's node with a node of the DHT like that of the reference's client, where the reference has nodes.
pub(super) fn with_dht(
    node: Node,
    nodes: &ReplayNodes,
    client: &ClientNode,
    port: u16,
    now: Timestamp,
) -> Node {
    if nodes.is_empty() {
        return node;
    }
    let has = |ipv6: bool| nodes.nodes.iter().any(|node| node.far.is_ipv6() == ipv6);
    let version = client.version.as_deref().and_then(|version| version.try_into().ok());
    let first = client.first.map(|first| HostPort { host: first.ip().to_string(), port: first.port() });
    let settings = DhtSettings {
        port,
        ipv4: has(false),
        ipv6: has(true),
        read_only: client.read_only,
        version: version.unwrap_or(*b"bt\0\0"),
        secret: SECRET,
        saved: own_ids(client.ids),
        contacts: first.into_iter().collect(),
        routers: Vec::new(),
    };
    let mut node = node.with_dht(DhtNode::new(settings, now), now);
    // So that its first node is asked at once.
    node.handle(now, session::Input::Tick.into());
    node
}

/// What a node keeps that knows its ids alone.
fn own_ids(ids: [Option<NodeId>; 2]) -> SavedNodes {
    let kept = bencode::dictionary(|out| {
        for (key, id) in ["id", "id6"].into_iter().zip(ids) {
            if let Some(id) = id {
                out.bytes(key, id.0);
            }
        }
    });
    SavedNodes::decode(&kept).unwrap_or_default()
}

impl Simulation<'_> {
    /// The session's node sends a datagram to a node, which may answer.
    pub(super) fn asked_of_node(&mut self, to: SocketAddr, datagram: &Bytes) -> std::io::Result<()> {
        let Some(place) = self.nodes.find(to) else { return Ok(()) };
        let node = &mut self.nodes.nodes[place];
        let (local, far) = (node.local, node.far);
        let answer = node.answer(datagram);
        let nth = node.asked;
        self.recorder.datagram(self.clock.now(), local, far, datagram)?;
        let (message, latency) = match answer {
            NodeAnswer::Message(message, latency) => (message, latency),
            NodeAnswer::Refused(message, why) => {
                let flow = bittrace_trace::Flow { initiator: local, responder: far };
                let connection = Some(RunConnection::of_datagrams(flow));
                if self.refusals.len() < MOST_REFUSALS {
                    let (by, did) = (ReplayedEnd::Node(far), RefusalAct::Refused);
                    self.refusals.push(Refusal { by, connection, message: "query", nth, did, why });
                }
                (message, std::time::Duration::ZERO)
            }
            NodeAnswer::Silent | NodeAnswer::Heard | NodeAnswer::NotAMessage(_) => return Ok(()),
        };
        let at = self.clock.now() + latency;
        self.carry(at, |_| false)?;
        self.clock.pass(at);
        self.said_by_node((local, far), message.encode().into())
    }

    /// The node at this place asks its next question.
    pub(super) fn ask(&mut self, place: usize) -> std::io::Result<()> {
        let Some(node) = self.nodes.nodes.get_mut(place) else { return Ok(()) };
        let ends = (node.local, node.far);
        let Some(question) = node.ask() else { return Ok(()) };
        self.said_by_node(ends, question.encode().into())
    }

    fn said_by_node(&mut self, (local, far): (SocketAddr, SocketAddr), bytes: Bytes) -> std::io::Result<()> {
        self.recorder.datagram(self.clock.now(), far, local, &bytes)?;
        self.node.handle(self.clock.now(), Input::Datagram(far, bytes));
        Ok(())
    }
}
