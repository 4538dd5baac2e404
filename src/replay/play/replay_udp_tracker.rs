//! A recorded UDP tracker that answers again (BEP 15): each request with what the reference answered to the like of it, under
//! the transaction id of the request. It does no I/O.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bittrace_protocol::tracker::Event;
use bittrace_protocol::tracker::udp::{AnnounceRequest, Packet, decode_request};
use bittrace_protocol::{DecodeError, InfoHash, Timestamp};
use bittrace_trace::{Body, Side};

use crate::model::transcript::{Conversation, ConversationRole};

/// A recorded UDP tracker.
#[derive(Debug, Default)]
pub(crate) struct ReplayUdpTracker {
    exchanges: Vec<UdpExchange>,
    /// The connection ids that it gives. One that it did not give is refused, as a tracker does.
    connection_ids: BTreeSet<u64>,
    /// The connection id of a reference that begins after the tracker gave it.
    earlier: Option<u64>,
    /// The transaction ids that were answered last, and with which exchange.
    answered: VecDeque<(u32, usize)>,
}

/// A request and its answer.
#[derive(Debug, Clone)]
pub(crate) struct UdpExchange {
    /// What it was about.
    pub(crate) topic: UdpTopic,
    /// The info hash of an announce: a hybrid torrent is announced by both of its hashes.
    info_hash: Option<InfoHash>,
    /// The number of the answer in the reference.
    pub(crate) number: u64,
    /// When it was answered.
    pub(crate) at: Timestamp,
    answer: Packet,
    used: bool,
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UdpTopic {
    /// A connection id.
    Connect,
    /// An announce, for the event of this number.
    Announce(u32),
    /// A scrape.
    Scrape,
}

/// What the tracker does about a datagram.
#[derive(Debug)]
pub(crate) enum UdpAnswer {
    /// It answers, as it did in the reference at this time; without a time where the reference has no such answer.
    Packet(Packet, Option<Timestamp>),
    /// It refuses, with this error: why.
    Refused(Packet, String),
    /// It is silent, as it was throughout the reference.
    Silent,
    /// It does not understand the datagram.
    NotARequest(DecodeError),
}

impl UdpTopic {
    /// What a packet of a client is about; `None` of an answer.
    pub(crate) fn of(packet: &Packet) -> Option<Self> {
        match packet {
            Packet::ConnectRequest { .. } => Some(Self::Connect),
            Packet::AnnounceRequest(request) => Some(Self::Announce(request.event)),
            Packet::ScrapeRequest { .. } => Some(Self::Scrape),
            _ => None,
        }
    }

    /// The request, in words.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Connect => "a connect request".to_owned(),
            Self::Announce(0) => "an announce without an event".to_owned(),
            Self::Announce(event) => match AnnounceRequest::event_of(event) {
                Some(event) => format!("an announce with event={}", event.name()),
                None => format!("an announce with the event {event}"),
            },
            Self::Scrape => "a scrape".to_owned(),
        }
    }

    /// Its name among refusals.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect request",
            Self::Announce(_) => "announce",
            Self::Scrape => "scrape",
        }
    }

    /// The event of an announce.
    pub(crate) fn event(self) -> Option<Event> {
        match self {
            Self::Announce(event) => AnnounceRequest::event_of(event),
            Self::Connect | Self::Scrape => None,
        }
    }
}

impl ReplayUdpTracker {
    /// The tracker of these conversations.
    pub(crate) fn of<'t>(conversations: impl Iterator<Item = &'t Conversation>) -> Self {
        let mut tracker = Self::default();
        for conversation in conversations.filter(|one| one.role == ConversationRole::UdpTracker) {
            let mut waiting: Vec<(u32, UdpTopic, Option<InfoHash>)> = Vec::new();
            for (side, message) in conversation.messages() {
                let Body::UdpTracker(packet) = message.body() else { continue };
                match (side, UdpTopic::of(&packet)) {
                    (Side::Local, Some(topic)) => {
                        tracker.note_earlier(&packet);
                        waiting.push((packet.transaction_id(), topic, hash_of(&packet)));
                    }
                    (Side::Remote, None) => {
                        // A request that was repeated is answered once, or again with the same.
                        let Some(at) = waiting.iter().position(|(id, ..)| *id == packet.transaction_id())
                        else {
                            continue;
                        };
                        let (_, topic, info_hash) = waiting.remove(at);
                        if let Packet::ConnectResponse { connection_id, .. } = &*packet {
                            tracker.connection_ids.insert(*connection_id);
                        }
                        let (number, at) = (message.number, message.at);
                        tracker.exchanges.push(UdpExchange {
                            topic,
                            info_hash,
                            number,
                            at,
                            answer: Arc::unwrap_or_clone(packet),
                            used: false,
                        });
                    }
                    _ => {}
                }
            }
        }
        tracker
    }

    /// Remembers the connection id of a request before which the reference has no answer that gives it.
    fn note_earlier(&mut self, packet: &Packet) {
        let id = match packet {
            Packet::AnnounceRequest(request) => request.connection_id,
            Packet::ScrapeRequest { connection_id, .. } => *connection_id,
            _ => return,
        };
        if self.connection_ids.insert(id) {
            self.earlier = self.earlier.or(Some(id));
        }
    }

    /// Whether the reference has any answer of it.
    pub(crate) fn answers(&self) -> bool {
        !self.exchanges.is_empty()
    }

    /// What it does about a datagram: the first answer to such a request that was not given yet, else the last one that was;
    /// to a request that was answered already, the same again.
    pub(crate) fn answer(&mut self, datagram: &[u8]) -> UdpAnswer {
        let request = match decode_request(datagram) {
            Ok(request) => request,
            Err(error) => return UdpAnswer::NotARequest(error),
        };
        let (id, topic) = (request.transaction_id(), UdpTopic::of(&request));
        let Some(topic) = topic.filter(|_| self.answers()) else { return UdpAnswer::Silent };
        let connection_id = match &request {
            Packet::AnnounceRequest(request) => Some(request.connection_id),
            Packet::ScrapeRequest { connection_id, .. } => Some(*connection_id),
            _ => None,
        };
        if let Some(given) = connection_id.filter(|given| !self.connection_ids.contains(given)) {
            let message = b"connection id mismatch".to_vec();
            let why = format!("its connection id {given:016x} is not one that the tracker gave");
            return UdpAnswer::Refused(Packet::Error { transaction_id: id, message }, why);
        }
        let place = self.place(id, topic, hash_of(&request));
        let Some(exchange) = place.and_then(|place| self.exchanges.get_mut(place)) else {
            return match (topic, self.earlier) {
                (UdpTopic::Connect, Some(connection_id)) => {
                    let extra = Vec::new();
                    UdpAnswer::Packet(
                        Packet::ConnectResponse { transaction_id: id, connection_id, extra },
                        None,
                    )
                }
                _ => {
                    let message = b"the capture has no answer to this".to_vec();
                    let why = "the reference has no response to such a request".to_owned();
                    UdpAnswer::Refused(Packet::Error { transaction_id: id, message }, why)
                }
            };
        };
        exchange.used = true;
        UdpAnswer::Packet(exchange.answer.clone().with_transaction_id(id), Some(exchange.at))
    }

    /// Which exchange answers a request, which is remembered.
    fn place(&mut self, id: u32, topic: UdpTopic, info_hash: Option<InfoHash>) -> Option<usize> {
        let is_about = |place: usize| self.exchanges.get(place).is_some_and(|one| one.topic == topic);
        let again = self.answered.iter().find(|(known, place)| *known == id && is_about(*place));
        if let Some((_, place)) = again {
            return Some(*place);
        }
        let like = |one: &UdpExchange| one.topic == topic;
        let is_same = |one: &UdpExchange| like(one) && one.info_hash == info_hash;
        let place = self
            .exchanges
            .iter()
            .position(|one| is_same(one) && !one.used)
            .or_else(|| self.exchanges.iter().rposition(is_same))
            .or_else(|| self.exchanges.iter().position(|one| like(one) && !one.used))
            .or_else(|| self.exchanges.iter().rposition(like))
            .or_else(|| match topic {
                UdpTopic::Announce(_) => {
                    self.exchanges.iter().rposition(|one| matches!(one.topic, UdpTopic::Announce(_)))
                }
                _ => None,
            })?;
        if self.answered.len() >= MOST_ANSWERED {
            self.answered.pop_front();
        }
        self.answered.push_back((id, place));
        Some(place)
    }

    /// The answer to a datagram was lost: it is still to be given.
    pub(crate) fn lose(&mut self, answer: &Packet) {
        let lost = self.answered.iter().rfind(|(id, _)| *id == answer.transaction_id());
        if let Some(exchange) = lost.and_then(|(_, place)| self.exchanges.get_mut(*place)) {
            exchange.used = false;
        }
    }

    /// The answers that nobody asked for: to what, and their numbers in the reference.
    pub(crate) fn unused(&self) -> impl Iterator<Item = (UdpTopic, u64)> + '_ {
        let unused = self.exchanges.iter().filter(|exchange| !exchange.used);
        unused.map(|exchange| (exchange.topic, exchange.number))
    }
}

/// The info hash of an announce.
const fn hash_of(packet: &Packet) -> Option<InfoHash> {
    match packet {
        Packet::AnnounceRequest(request) => Some(request.info_hash),
        _ => None,
    }
}

/// How many transaction ids are remembered, to know a request that is repeated: a client repeats the one that it waits for.
const MOST_ANSWERED: usize = 64;

#[cfg(test)]
mod tests;
