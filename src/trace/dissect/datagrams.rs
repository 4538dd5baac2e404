//! Datagrams: UDP trackers (BEP 15), recognised by the number that opens them, and uTP (BEP 29), recognised by
//! an answered SYN and not yet read any further.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bittrace_protocol::tracker::udp;
use bytes::Bytes;

use super::{Dissected, Emitter, Recognised};
use crate::lane::Taken;
use crate::record::{Body, Frames, Protocol, Reason, Transport};
use crate::{Direction, Flow, Moment, StreamId};

/// The flows of datagrams that are or may become BitTorrent.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    flows: HashMap<Flow, UdpFlow>,
}

#[derive(Debug)]
struct UdpFlow {
    stream: Option<StreamId>,
    carries: Carries,
    /// The bytes of each direction before the next datagram.
    offsets: [u64; 2],
}

#[derive(Debug)]
enum Carries {
    /// The ids of transactions that wait for their answer, the oldest first.
    Tracker(Vec<u32>),
    /// A datagram that opens a uTP connection and waits to be answered.
    UtpOpening {
        moment: Moment,
        bytes: Bytes,
        connection: u16,
        sequence: u16,
    },
    Utp,
}

/// How many flows are remembered.
const FLOWS: usize = 100_000;

/// How many unanswered transactions a flow may have.
const TRANSACTIONS: usize = 256;

impl Datagrams {
    pub(super) fn handle(
        &mut self,
        moment: Moment,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
        recognised: &mut Recognised,
        out: &mut dyn FnMut(Dissected),
    ) {
        let there = Flow { initiator: source, responder: destination };
        let back = Flow { initiator: destination, responder: source };
        let known = if self.flows.contains_key(&there) {
            Some((there, Direction::FromInitiator))
        } else if self.flows.contains_key(&back) {
            Some((back, Direction::FromResponder))
        } else {
            None
        };
        let Some((key, direction)) = known else {
            self.open(moment, there, bytes, recognised, out);
            return;
        };
        let Some(flow) = self.flows.get_mut(&key) else { return };
        flow.handle(moment, key, direction, bytes, recognised, out);
    }

    /// Begins a flow, when its first datagram is one that begins BitTorrent.
    fn open(
        &mut self,
        moment: Moment,
        key: Flow,
        bytes: &[u8],
        recognised: &mut Recognised,
        out: &mut dyn FnMut(Dissected),
    ) {
        let carries = if udp::looks_like_connect_request(bytes) || udp::plausible_announce_request(bytes) {
            Carries::Tracker(Vec::new())
        } else if let Some((connection, sequence)) = utp_syn(bytes) {
            Carries::UtpOpening { moment, bytes: Bytes::copy_from_slice(bytes), connection, sequence }
        } else {
            return;
        };
        if self.flows.len() >= FLOWS {
            // Openings nobody answered go first; a table mostly of live flows is begun anew, since going through it
            // must be worth while.
            self.flows.retain(|_, flow| !matches!(flow.carries, Carries::UtpOpening { .. }));
            if self.flows.len() >= FLOWS / 2 {
                self.flows.clear();
            }
        }
        let mut flow = UdpFlow { stream: None, carries, offsets: [0; 2] };
        if matches!(flow.carries, Carries::Tracker(_)) {
            flow.stream = Some(recognised.next_stream());
            flow.handle(moment, key, Direction::FromInitiator, bytes, recognised, out);
        }
        self.flows.insert(key, flow);
    }
}

impl UdpFlow {
    fn handle(
        &mut self,
        moment: Moment,
        flow: Flow,
        direction: Direction,
        bytes: &[u8],
        recognised: &mut Recognised,
        out: &mut dyn FnMut(Dissected),
    ) {
        let copied = Bytes::copy_from_slice(bytes);
        match &mut self.carries {
            Carries::Tracker(waiting) => {
                let ipv6 = flow.responder.is_ipv6();
                let body = tracker_body(direction, &copied, ipv6, waiting);
                self.emit(moment, flow, direction, copied, body, Transport::Udp, recognised, out);
            }
            Carries::UtpOpening { moment: opened, bytes: syn, connection, sequence } => {
                let answered = direction == Direction::FromResponder
                    && utp_state(bytes) == Some((*connection, *sequence));
                if !answered {
                    if let (Direction::FromInitiator, Some((connection, sequence))) =
                        (direction, utp_syn(bytes))
                    {
                        self.carries = Carries::UtpOpening { moment, bytes: copied, connection, sequence };
                    }
                    return;
                }
                let (opened, syn) = (*opened, syn.clone());
                self.carries = Carries::Utp;
                self.stream = Some(recognised.next_stream());
                let opener = Direction::FromInitiator;
                self.emit(opened, flow, opener, syn, Body::Utp, Transport::Utp, recognised, out);
                self.emit(moment, flow, direction, copied, Body::Utp, Transport::Utp, recognised, out);
            }
            Carries::Utp => {
                // The low nibble is the version, the high one the type: data, FIN, state, reset or SYN.
                if bytes.len() >= UTP_HEADER && bytes[0] & 0x0f == 1 && bytes[0] >> 4 <= 4 {
                    self.emit(moment, flow, direction, copied, Body::Utp, Transport::Utp, recognised, out);
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are one datagram and where it goes")]
    fn emit(
        &mut self,
        moment: Moment,
        flow: Flow,
        direction: Direction,
        bytes: Bytes,
        body: Body,
        transport: Transport,
        recognised: &mut Recognised,
        out: &mut dyn FnMut(Dissected),
    ) {
        let Some(stream) = self.stream else { return };
        let offset = self.offsets[direction as usize];
        self.offsets[direction as usize] += bytes.len() as u64;
        let frames = Frames::from_slice(&[moment.frame]);
        let mut emitter = Emitter { stream, flow, transport, recognised, out };
        emitter.emit(direction, Taken { bytes, offset, at: moment.at, frames }, body);
    }
}

/// What a datagram between a client and a UDP tracker says. An answer is believed when it answers a
/// transaction of this flow.
fn tracker_body(direction: Direction, bytes: &Bytes, ipv6: bool, waiting: &mut Vec<u32>) -> Body {
    let decoded = match direction {
        Direction::FromInitiator => udp::decode_request(bytes),
        Direction::FromResponder => udp::decode_response(bytes, ipv6),
    };
    let Ok(packet) = decoded else {
        return Body::Opaque(Protocol::UdpTracker, Reason::Damaged);
    };
    let transaction = packet.transaction_id();
    if direction == Direction::FromInitiator {
        if waiting.len() == TRANSACTIONS {
            waiting.remove(0);
        }
        waiting.push(transaction);
    } else if !waiting.contains(&transaction) {
        return Body::Opaque(Protocol::UdpTracker, Reason::Damaged);
    }
    Body::UdpTracker(Arc::new(packet))
}

/// The bytes of a uTP header (BEP 29, "header format").
const UTP_HEADER: usize = 20;

/// The connection id and sequence number of a datagram that may open a uTP connection: type 4, version 1, an
/// extension that exists, no acknowledgement.
fn utp_syn(bytes: &[u8]) -> Option<(u16, u16)> {
    if bytes.len() < UTP_HEADER || bytes[0] != 0x41 || bytes[1] > 3 || bytes[18..20] != [0, 0] {
        return None;
    }
    Some((u16::from_be_bytes([bytes[2], bytes[3]]), u16::from_be_bytes([bytes[16], bytes[17]])))
}

/// The connection id and acknowledged sequence number of a datagram that may be the answer: type 2.
fn utp_state(bytes: &[u8]) -> Option<(u16, u16)> {
    if bytes.len() < UTP_HEADER || bytes[0] != 0x21 {
        return None;
    }
    Some((u16::from_be_bytes([bytes[2], bytes[3]]), u16::from_be_bytes([bytes[18], bytes[19]])))
}
