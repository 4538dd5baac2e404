//! Datagrams: what they are is told by what they hold. Messages of the DHT and local announces prove themselves; UDP
//! trackers (BEP 15) are recognised by the number that opens them, uTP (BEP 29) by an answered SYN or what it carries.

use std::net::SocketAddr;
use std::sync::Arc;

use bittrace_protocol::tracker::udp;
use bittrace_protocol::{dht, lsd};
use bytes::Bytes;

use super::dht_flows::NodePairs;
use super::flows::{Flows, UdpFlow};
use super::utp::UtpConnections;
use super::{DissectContext, Dissected};
use crate::record::{Body, Protocol, Reason, Transport, Unreadable};
use crate::{Direction, Moment};

/// The flows of datagrams that are or may become BitTorrent.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    trackers: Flows<TrackerFlow>,
    nodes: NodePairs,
    /// Who announces to whom in the local network.
    announcers: Flows<UdpFlow>,
    utp: UtpConnections,
}

#[derive(Debug)]
struct TrackerFlow {
    talk: UdpFlow,
    /// The ids of transactions that wait for their answer, the oldest first.
    waiting: Vec<u32>,
}

/// How many unanswered transactions a flow may have.
const TRANSACTIONS: usize = 256;

impl Datagrams {
    pub(super) fn handle(
        &mut self,
        moment: Moment,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
        recognised: &mut DissectContext,
        out: &mut dyn FnMut(Dissected),
    ) {
        let ends = (source, destination);
        if dht::may_be_message(bytes)
            && let Ok(message) = dht::Message::decode(bytes)
        {
            self.nodes.handle(moment, ends, (bytes, message), recognised, out);
            return;
        }
        if bytes.starts_with(lsd::START)
            && let Ok(announce) = lsd::Announce::decode(bytes)
        {
            self.announce(moment, ends, (bytes, announce), recognised, out);
            return;
        }
        if self.utp.follow(moment, ends, bytes, recognised, out) {
            return;
        }
        if self.trackers.find(source, destination).is_none() {
            if !udp::looks_like_connect_request(bytes) && !udp::plausible_announce_request(bytes) {
                self.utp.begin(moment, ends, bytes, recognised, out);
                return;
            }
            let talk = UdpFlow::new(recognised.next_stream(), source, destination);
            self.trackers.insert(source, destination, TrackerFlow { talk, waiting: Vec::new() });
        }
        let Some(tracker) = self.trackers.find(source, destination) else { return };
        let direction = tracker.talk.direction(source);
        let bytes = Bytes::copy_from_slice(bytes);
        let body = tracker.body(direction, &bytes);
        tracker.talk.emit(moment, direction, (bytes, body), Transport::Udp, recognised, out);
    }

    /// Takes in that no more datagrams come.
    pub(super) fn finish(&mut self, recognised: &mut DissectContext, out: &mut dyn FnMut(Dissected)) {
        self.utp.finish(recognised, out);
    }

    fn announce(
        &mut self,
        moment: Moment,
        (source, destination): (SocketAddr, SocketAddr),
        (bytes, announce): (&[u8], lsd::Announce),
        recognised: &mut DissectContext,
        out: &mut dyn FnMut(Dissected),
    ) {
        if self.announcers.find(source, destination).is_none() {
            let talk = UdpFlow::new(recognised.next_stream(), source, destination);
            self.announcers.insert(source, destination, talk);
        }
        let Some(talk) = self.announcers.find(source, destination) else { return };
        let datagram = (Bytes::copy_from_slice(bytes), Body::Lsd(Arc::new(announce)));
        talk.emit(moment, talk.direction(source), datagram, Transport::Udp, recognised, out);
    }
}

impl TrackerFlow {
    /// What a datagram between a client and a UDP tracker says. An answer is believed when it answers a transaction
    /// of this flow.
    fn body(&mut self, direction: Direction, bytes: &Bytes) -> Body {
        let decoded = match direction {
            Direction::FromInitiator => udp::decode_request(bytes),
            Direction::FromResponder => udp::decode_response(bytes, self.talk.responder().is_ipv6()),
        };
        let Ok(packet) = decoded else {
            return Body::Unreadable(Protocol::UdpTracker, Unreadable::Opaque(Reason::Damaged));
        };
        let transaction = packet.transaction_id();
        if direction == Direction::FromInitiator {
            if self.waiting.len() == TRANSACTIONS {
                self.waiting.remove(0);
            }
            self.waiting.push(transaction);
        } else if !self.waiting.contains(&transaction) {
            return Body::Unreadable(Protocol::UdpTracker, Unreadable::Opaque(Reason::Damaged));
        }
        Body::UdpTracker(Arc::new(packet))
    }
}
