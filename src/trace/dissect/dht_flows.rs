//! The DHT (BEP 5): each pair of nodes is a flow, and a response is named by the query it answers.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bittrace_protocol::Timestamp;
use bittrace_protocol::dht::{Kind, Message, Method};
use bytes::Bytes;

use super::datagrams::malformed;
use super::flows::{Flows, UdpFlow};
use super::{DissectContext, Dissected};
use crate::record::{Body, Protocol, Transport};
use crate::{Direction, Moment};

/// The pairs of nodes that speak with each other.
#[derive(Debug, Default)]
pub(super) struct NodePairs {
    pairs: Flows<NodePair>,
}

#[derive(Debug)]
struct NodePair {
    talk: UdpFlow,
    /// The queries that wait for their response, the oldest first.
    asked: VecDeque<PendingQuery>,
}

#[derive(Debug)]
struct PendingQuery {
    transaction: Vec<u8>,
    by: Direction,
    method: Method,
    at: Timestamp,
}

/// How many queries of a pair may wait.
const ASKED: usize = 64;

/// How long a response may take. Clients give up after some 15 seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a transaction may be to be remembered; clients use 2 to 8 bytes.
const TRANSACTION: usize = 32;

/// How long a method's name may be to be remembered.
const METHOD: usize = 64;

impl NodePairs {
    pub(super) fn handle(
        &mut self,
        moment: Moment,
        (source, destination): (SocketAddr, SocketAddr),
        (bytes, message): (&[u8], Message),
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) {
        let Some(pair) = self.pair((source, destination), recognised) else { return };
        let direction = pair.talk.direction(source);
        let method = pair.method(moment.at, direction, &message);
        let body = Body::Dht(Arc::new(message), method);
        pair.emit(moment, direction, (bytes, body), recognised, out);
    }

    /// Whether these ends said a message of the DHT to each other.
    pub(super) fn know(&mut self, (source, destination): (SocketAddr, SocketAddr)) -> bool {
        self.pairs.find(source, destination).is_some()
    }

    /// Takes in a datagram that proves nothing by itself, when its ends are known: whether they are. It is a message that
    /// lacks something, or none.
    pub(super) fn incomplete(
        &mut self,
        moment: Moment,
        ends: (SocketAddr, SocketAddr),
        bytes: &[u8],
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) -> bool {
        if !self.know(ends) {
            return false;
        }
        match Message::decode_incomplete(bytes) {
            Ok(message) => self.handle(moment, ends, (bytes, message), recognised, out),
            Err(fault) => self.emit(moment, ends, (bytes, malformed(Protocol::Dht, fault)), recognised, out),
        }
        true
    }

    /// Makes a record of a datagram between two nodes.
    pub(super) fn emit(
        &mut self,
        moment: Moment,
        ends: (SocketAddr, SocketAddr),
        datagram: (&[u8], Body),
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) {
        let Some(pair) = self.pair(ends, recognised) else { return };
        let direction = pair.talk.direction(ends.0);
        pair.emit(moment, direction, datagram, recognised, out);
    }

    /// What is known of two nodes, from now on at the latest.
    fn pair(
        &mut self,
        (source, destination): (SocketAddr, SocketAddr),
        recognised: &mut DissectContext,
    ) -> Option<&mut NodePair> {
        if self.pairs.find(source, destination).is_none() {
            let talk = UdpFlow::new(recognised.next_stream(), source, destination);
            self.pairs.insert(source, destination, NodePair { talk, asked: VecDeque::new() });
        }
        self.pairs.find(source, destination)
    }
}

impl NodePair {
    fn emit(
        &mut self,
        moment: Moment,
        direction: Direction,
        (bytes, body): (&[u8], Body),
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) {
        let datagram = (Bytes::copy_from_slice(bytes), body);
        self.talk.emit(moment, direction, datagram, Transport::Udp, recognised, out);
    }

    /// What a message is about: of a query what it asks, of a response or error what was asked.
    fn method(&mut self, at: Timestamp, direction: Direction, message: &Message) -> Option<Method> {
        while self.asked.front().is_some_and(|asked| at.seconds_since(asked.at) > PATIENCE.as_secs_f64()) {
            self.asked.pop_front();
        }
        if let Kind::Query(query) = &message.kind {
            if self.asked.len() == ASKED {
                self.asked.pop_front();
            }
            if message.transaction.len() <= TRANSACTION && query.method.name().len() <= METHOD {
                self.asked.push_back(PendingQuery {
                    transaction: message.transaction.clone(),
                    by: direction,
                    method: query.method.clone(),
                    at,
                });
            }
            return Some(query.method.clone());
        }
        let answers =
            |asked: &PendingQuery| asked.by != direction && asked.transaction == message.transaction;
        let asked = self.asked.iter().position(answers).and_then(|at| self.asked.remove(at));
        match (&message.kind, asked) {
            (_, Some(asked)) => Some(asked.method),
            (Kind::Response(response), None) => response.answers(),
            _ => None,
        }
    }
}
