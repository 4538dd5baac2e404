//! Datagrams: what they are is told by what they hold. Messages of the DHT and local announces prove themselves; UDP
//! trackers (BEP 15) are recognised by the number that opens them, uTP (BEP 29) by an answered SYN or what it carries.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bittrace_protocol::tracker::udp;
use bittrace_protocol::{DecodeError, dht, lsd, utp};
use bytes::Bytes;

use super::connection::StreamDissector;
use super::dht_flows::NodePairs;
use super::flows::{Flows, UdpFlow};
use super::offloaded;
use super::utp::UtpConnections;
use super::{DissectContext, Dissected};
use crate::record::{Body, Protocol, Reason, Transport, Unreadable};
use crate::{Direction, Moment, StreamId};

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
    /// Measures how uTP behaves.
    pub(super) fn measure(&mut self) {
        self.utp.measure();
    }

    pub(super) fn handle(
        &mut self,
        moment: Moment,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) {
        let ends = (source, destination);
        if let Some(packets) = offloaded::packets(bytes) {
            packets.for_each(|packet| self.utp_packet(moment, ends, packet, recognised, out));
            return;
        }
        if dht::may_be_message(bytes)
            && let Ok(message) = dht::Message::decode(bytes)
        {
            self.nodes.handle(moment, ends, (bytes, message), recognised, out);
            return;
        }
        if bytes.starts_with(lsd::START) {
            let known =
                destination.port() == lsd::PORT || self.announcers.find(source, destination).is_some();
            let body = match lsd::Announce::decode(bytes) {
                Ok(announce) => Some(Body::Lsd(Arc::new(announce))),
                Err(fault) => known.then(|| malformed(Protocol::Lsd, fault)),
            };
            if let Some(body) = body {
                self.announce(moment, ends, (bytes, body), recognised, out);
                return;
            }
        }
        if self.utp.follow(moment, ends, bytes, recognised, out) {
            return;
        }
        if self.trackers.find(source, destination).is_none() {
            if utp::kind(bytes.first().copied().unwrap_or_default()).is_none()
                && self.nodes.incomplete(moment, ends, bytes, recognised, out)
            {
                return;
            }
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

    /// Takes in one of several packets of uTP that a datagram has.
    fn utp_packet(
        &mut self,
        moment: Moment,
        ends: (SocketAddr, SocketAddr),
        packet: &[u8],
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) {
        if !self.utp.follow(moment, ends, packet, recognised, out) {
            self.utp.begin(moment, ends, packet, recognised, out);
        }
    }

    /// Takes in the beginning of a datagram of `length` bytes, of which the capture has no more. It makes a row where its
    /// ends are known to speak a protocol, or its beginning is that of no other.
    pub(super) fn handle_cut(
        &mut self,
        moment: Moment,
        ends: (SocketAddr, SocketAddr),
        (bytes, length): (&[u8], u64),
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) {
        let cut = |protocol| Body::Unreadable(protocol, Unreadable::Opaque(Reason::Cut(Some(length))));
        let (source, destination) = ends;
        if bytes.starts_with(lsd::START) {
            self.announce(moment, ends, (bytes, cut(Protocol::Lsd)), recognised, out);
        } else if dht::begins_message(bytes) || (bytes.first() == Some(&b'd') && self.nodes.know(ends)) {
            self.nodes.emit(moment, ends, (bytes, cut(Protocol::Dht)), recognised, out);
        } else if let Some(tracker) = self.trackers.find(source, destination) {
            let direction = tracker.talk.direction(source);
            let datagram = (Bytes::copy_from_slice(bytes), cut(Protocol::UdpTracker));
            tracker.talk.emit(moment, direction, datagram, Transport::Udp, recognised, out);
        }
    }

    /// The uTP connections, each with a number that is no stream's.
    pub(super) fn utp_connections(&self) -> impl Iterator<Item = (StreamId, &StreamDissector)> {
        self.utp.connections()
    }

    /// Has a uTP connection show what waits on it.
    pub(super) fn give_way(
        &mut self,
        number: StreamId,
        moment: Moment,
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) {
        self.utp.give_way(number, moment, recognised, out);
    }

    /// Takes in that no more datagrams come.
    pub(super) fn finish(&mut self, recognised: &mut DissectContext, out: &mut VecDeque<Dissected>) {
        self.utp.finish(recognised, out);
    }

    fn announce(
        &mut self,
        moment: Moment,
        (source, destination): (SocketAddr, SocketAddr),
        (bytes, body): (&[u8], Body),
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) {
        if self.announcers.find(source, destination).is_none() {
            let talk = UdpFlow::new(recognised.next_stream(), source, destination);
            self.announcers.insert(source, destination, talk);
        }
        let Some(talk) = self.announcers.find(source, destination) else { return };
        let datagram = (Bytes::copy_from_slice(bytes), body);
        talk.emit(moment, talk.direction(source), datagram, Transport::Udp, recognised, out);
    }
}

/// A datagram of a protocol that cannot be decoded.
pub(super) const fn malformed(protocol: Protocol, fault: DecodeError) -> Body {
    Body::Unreadable(protocol, Unreadable::Opaque(Reason::Malformed(fault)))
}

impl TrackerFlow {
    /// What a datagram between a client and a UDP tracker says. An answer is believed when it answers a transaction
    /// of this flow.
    fn body(&mut self, direction: Direction, bytes: &Bytes) -> Body {
        let decoded = match direction {
            Direction::FromInitiator => udp::decode_request(bytes),
            Direction::FromResponder => udp::decode_response(bytes, self.talk.responder().is_ipv6()),
        };
        let packet = match decoded {
            Ok(packet) => packet,
            Err(fault) => return malformed(Protocol::UdpTracker, fault),
        };
        let transaction = packet.transaction_id();
        if direction == Direction::FromInitiator {
            if self.waiting.len() == TRANSACTIONS {
                self.waiting.remove(0);
            }
            self.waiting.push(transaction);
        } else if !self.waiting.contains(&transaction) {
            let fault = DecodeError::new(4, "the transaction id of a request");
            return malformed(Protocol::UdpTracker, fault);
        }
        Body::UdpTracker(Arc::new(packet))
    }
}
