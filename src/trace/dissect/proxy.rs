//! The negotiation with a proxy before the stream that goes through it. It makes records only once that stream proved to be
//! BitTorrent: a proxy carries anything.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bittrace_protocol::proxy::{
    DatagramHeader, Negotiation, NegotiationProgress, ProxyPart, ProxyTarget, negotiation,
};
use bittrace_protocol::tracker::udp;
use bittrace_protocol::{dht, utp};

use super::Emitter;
use super::flows::Flows;
use crate::Direction;
use crate::dissect::stream_buffer::StreamBuffer;
use crate::record::Body;

/// What is known of a proxy on a connection that is not recognised yet.
#[derive(Debug, Default)]
pub(super) enum ProxyStage {
    /// The connection may begin with a negotiation.
    #[default]
    Possible,
    /// The connection begins with this negotiation, which is complete.
    Granted(Box<Negotiation>),
    /// No proxy, as far as can be told.
    Absent,
}

/// How many bytes one direction may send before the negotiation is complete. Those of SOCKS are shorter.
const NEGOTIATED_WITHIN: usize = 3 * bittrace_protocol::proxy::MAX_CONNECT;

impl ProxyStage {
    /// Reads on in the bytes that wait in `lanes`: whether more are needed before it is known what the stream carries.
    pub(super) fn awaits(&mut self, lanes: &[StreamBuffer; 2], last: bool) -> bool {
        let [client, proxy] = lanes;
        if !matches!(self, Self::Possible) || client.waiting().is_empty() {
            return false;
        }
        match negotiation(client.waiting(), proxy.waiting()) {
            NegotiationProgress::Incomplete
                if !last && lanes.iter().all(|lane| lane.waiting().len() <= NEGOTIATED_WITHIN) =>
            {
                return true;
            }
            NegotiationProgress::Incomplete | NegotiationProgress::Other => *self = Self::Absent,
            NegotiationProgress::Granted(negotiation) => *self = Self::Granted(Box::new(negotiation)),
        }
        false
    }

    /// The bytes that wait in each direction after the negotiation.
    pub(super) fn behind<'l>(&self, lanes: &'l [StreamBuffer; 2]) -> [&'l [u8]; 2] {
        [Direction::FromInitiator, Direction::FromResponder].map(|direction| {
            let negotiated: usize = self.parts(direction).iter().map(|(_, length)| length).sum();
            &lanes[direction as usize].waiting()[negotiated..]
        })
    }

    /// The address that the proxy connected to; `None` without a proxy, and for a name.
    pub(super) fn target(&self) -> Option<SocketAddr> {
        match self {
            Self::Granted(negotiation) => match &negotiation.target {
                ProxyTarget::Address(address) => Some(*address),
                ProxyTarget::Name(..) => None,
            },
            Self::Possible | Self::Absent => None,
        }
    }

    /// Whether there is a proxy.
    pub(super) const fn is_granted(&self) -> bool {
        matches!(self, Self::Granted(_))
    }

    /// Makes records of the negotiation in a direction.
    pub(super) fn show(&self, direction: Direction, lane: &mut StreamBuffer, emitter: &mut Emitter<'_>) {
        for &(part, length) in self.parts(direction) {
            emitter.emit(direction, lane.take(length), Body::Proxy(part));
        }
    }

    fn parts(&self, direction: Direction) -> &[(ProxyPart, usize)] {
        match (self, direction) {
            (Self::Granted(negotiation), Direction::FromInitiator) => &negotiation.client,
            (Self::Granted(negotiation), Direction::FromResponder) => &negotiation.proxy,
            (Self::Possible | Self::Absent, _) => &[],
        }
    }
}

/// The pairs of ends between which datagrams have a header of SOCKS5.
#[derive(Debug, Default)]
pub(super) struct DatagramRelays {
    pairs: Flows<RelayPair>,
}

#[derive(Debug)]
struct RelayPair {
    /// The end that sent the first datagram, since a relay learns of the client from it.
    client: SocketAddr,
    /// The transactions of requests to UDP trackers that go by a name. The responses come from an address.
    named: VecDeque<u32>,
}

/// How many transactions with named trackers a pair may have.
const NAMED: usize = 64;

impl DatagramRelays {
    /// The ends beyond the proxy of a datagram that begins with the header of SOCKS5, and its payload. The payload has to
    /// prove itself, unless an earlier one between these ends did. Where the far end has only a name, the relay stands
    /// for it.
    pub(super) fn unwrap<'b>(
        &mut self,
        (source, destination): (SocketAddr, SocketAddr),
        bytes: &'b [u8],
    ) -> Option<((SocketAddr, SocketAddr), &'b [u8])> {
        // Nearly every datagram ends here.
        if !bytes.starts_with(&[0, 0, 0]) {
            return None;
        }
        let header = DatagramHeader::decode(bytes).ok()?;
        let payload = bytes.get(header.length..).filter(|payload| !payload.is_empty())?;
        if self.pairs.find(source, destination).is_none() {
            if header.target.port() == 0 || !proves_itself(payload) {
                return None;
            }
            let pair = RelayPair { client: source, named: VecDeque::new() };
            self.pairs.insert(source, destination, pair);
        }
        let pair = self.pairs.find(source, destination)?;
        let number = |at: usize| Some(u32::from_be_bytes(*payload.get(at..)?.first_chunk()?));
        let outgoing = pair.client == source;
        let relay = if outgoing { destination } else { source };
        let far = match header.target {
            ProxyTarget::Name(..) => {
                if let Some(transaction) = number(REQUEST_TRANSACTION).filter(|_| outgoing) {
                    if pair.named.len() == NAMED {
                        pair.named.pop_front();
                    }
                    pair.named.push_back(transaction);
                }
                relay
            }
            ProxyTarget::Address(address) => match number(RESPONSE_TRANSACTION) {
                Some(transaction) if !outgoing && pair.named.contains(&transaction) => relay,
                _ => address,
            },
        };
        Some((if outgoing { (pair.client, far) } else { (far, pair.client) }, payload))
    }
}

/// Where the transaction stands in requests to UDP trackers and in their responses (BEP 15).
const REQUEST_TRANSACTION: usize = 12;
const RESPONSE_TRANSACTION: usize = 4;

/// Whether a payload shows by itself that it is BitTorrent: a message of the DHT, a request to a UDP tracker, or what
/// may be the SYN of uTP (BEP 29: no more than the header and its extensions). A SYN alone makes no
/// record: it has to be answered.
fn proves_itself(payload: &[u8]) -> bool {
    dht::may_be_message(payload) && dht::Message::decode(payload).is_ok()
        || udp::looks_like_connect_request(payload)
        || udp::plausible_announce_request(payload)
        || payload.len() >= utp::HEADER_LENGTH
            && payload.len() <= 2 * utp::HEADER_LENGTH
            && utp::kind(payload[0]) == Some(utp::Kind::Syn)
}
