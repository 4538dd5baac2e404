//! What others ask, and what they are answered.

use std::net::SocketAddr;

use crate::dht::table::K;
use crate::dht::{Kind, Message, Method, Node, NodeFamilies, Query, Response};
use crate::{InfoHash, Timestamp};

use super::{DhtNode, FIRST_PORT};

impl DhtNode {
    /// Answers a query, as far as the [gate](crate::dht::gate) lets.
    pub(super) fn on_query(&mut self, now: Timestamp, from: SocketAddr, message: &Message) {
        let Kind::Query(query) = &message.kind else { return };
        let answerable = from.port() != 0 && (1..=MAX_TRANSACTION).contains(&message.transaction.len());
        // Others may name us to ourselves.
        let is_ours = query.id.is_some_and(|id| self.is_own(id));
        let is_unreached = self.families.of_mut(from).is_some_and(|family| {
            family.reach.is_asked(from);
            family.reach.is_unreached(now)
        });
        let silent = self.settings.read_only || is_unreached;
        if silent || !answerable || is_ours || !self.gate.admits(now, from) {
            return;
        }
        let kind = match self.answer(now, from, query) {
            Ok(response) => Kind::Response(response),
            Err((code, text)) => Kind::Error(code, text.as_bytes().to_vec()),
        };
        let mut answer = Message::new(message.transaction.clone(), kind);
        answer.your_address = Some(from);
        self.fit(&mut answer);
        if self.gate.lets_out(now, answer.encode().len()) {
            self.send(from, answer);
        }
        if message.read_only != Some(true) {
            self.meet(now, from, query);
        }
    }

    fn answer(
        &mut self,
        now: Timestamp,
        from: SocketAddr,
        query: &Query,
    ) -> Result<Response, (i64, &'static str)> {
        let Some(family) = self.families.of(from) else { return Err(MALFORMED) };
        let own = family.table.own();
        if query.id.is_none() {
            return Err((PROTOCOL_ERROR, "expected an id of 20 bytes"));
        }
        let target = || query.target.ok_or((PROTOCOL_ERROR, "expected a target of 20 bytes"));
        let mut response = Response::new(own);
        match query.method {
            Method::Ping => {}
            Method::FindNode => self.name_nodes(from, query, target()?, &mut response),
            Method::GetPeers => {
                let torrent = InfoHash(target()?);
                self.name_nodes(from, query, torrent.0, &mut response);
                response.token = Some(self.tokens.give(now, from.ip(), torrent));
                let peers = self.store.some(now, torrent, from.is_ipv6());
                response.peers = Some(peers).filter(|peers| !peers.is_empty());
            }
            Method::AnnouncePeer => {
                let torrent = InfoHash(target()?);
                let token = query.token.as_deref().unwrap_or_default();
                if !self.tokens.holds(now, from.ip(), torrent, token) {
                    return Err((PROTOCOL_ERROR, "wrong token"));
                }
                // The port of the datagram where it is implied, whatever stands beside it (BEP 5, "announce_peer").
                let port = match query.implied_port {
                    Some(true) => Some(from.port()),
                    _ => query.listen_port(),
                };
                let Some(port) = port.filter(|&port| port != 0) else {
                    return Err((PROTOCOL_ERROR, "expected a port"));
                };
                let peer = SocketAddr::new(from.ip(), port);
                self.store.keep(now, own, torrent, peer);
                self.found(torrent, vec![peer]);
            }
            Method::Get | Method::Put | Method::SampleInfohashes | Method::Other(_) => {
                return Err((UNKNOWN_METHOD, "method unknown"));
            }
        }
        Ok(response)
    }

    /// Names the nodes nearest to a target, of the families that are wanted; of the asker's own where it does not say (BEP 32).
    fn name_nodes(&self, from: SocketAddr, query: &Query, target: [u8; 20], response: &mut Response) {
        let own = NodeFamilies { ipv4: from.is_ipv4(), ipv6: from.is_ipv6() };
        let wanted = query.want.unwrap_or(own);
        for family in self.families.iter() {
            let nearest = || Some(family.table.nearest(target, K));
            match family.ipv6 {
                false if wanted.ipv4 => response.nodes = nearest(),
                true if wanted.ipv6 => response.nodes6 = nearest(),
                _ => {}
            }
        }
    }

    /// Leaves out peers until an answer fits into a packet of any network.
    fn fit(&self, answer: &mut Message) {
        loop {
            // Our version is to be added.
            let length = answer.encode().len() + VERSION;
            let Kind::Response(Response { peers: Some(peers), .. }) = &mut answer.kind else { return };
            if length <= MAX_ANSWER || peers.pop().is_none() {
                return;
            }
        }
    }

    /// A node that asks is there, it seems. Whether it answers as well is found out where there is room for it.
    fn meet(&mut self, now: Timestamp, from: SocketAddr, query: &Query) {
        let Some(id) = query.id else { return };
        let node = Node { id, address: from };
        let has_room = self.families.of(from).is_some_and(|family| family.table.has_room(node));
        if has_room && from.port() >= FIRST_PORT {
            self.ping(now, node);
        }
    }
}

/// BEP 5, "errors".
const PROTOCOL_ERROR: i64 = 203;
const UNKNOWN_METHOD: i64 = 204;
const MALFORMED: (i64, &str) = (PROTOCOL_ERROR, "malformed");
/// The longest transaction that is given back: BEP 5 has two bytes, some clients more.
const MAX_TRANSACTION: usize = 32;
/// The longest answer: each network of IPv6 carries packets of 1,280 bytes (RFC 8200, section 5).
const MAX_ANSWER: usize = 1_280 - 48;
/// The bytes of our version in a message.
const VERSION: usize = "1:v4:xxxx".len();
