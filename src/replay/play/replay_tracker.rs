//! A recorded HTTP tracker that answers again: each announce with what the reference answered to the like of it. It
//! does no I/O.

use bittrace_protocol::tracker::Event;
use bittrace_protocol::tracker::http::{Request, RequestKind};
use bittrace_protocol::{InfoHash, Timestamp};
use bittrace_trace::{Body, HttpTrackerBody, Side};
use bytes::Bytes;

use crate::model::message::StoredMessage;
use crate::model::transcript::Conversation;

/// A recorded tracker.
#[derive(Debug, Default)]
pub(crate) struct ReplayTracker {
    exchanges: Vec<TrackerExchange>,
}

/// A request and its answer.
#[derive(Debug, Clone)]
pub(crate) struct TrackerExchange {
    /// What it was about.
    pub(crate) topic: Topic,
    /// The info hash of an announce: a hybrid torrent is announced by both of its hashes.
    info_hash: Option<InfoHash>,
    /// The number of the answer in the reference.
    pub(crate) number: u64,
    /// When it was answered.
    pub(crate) at: Timestamp,
    /// The whole answer.
    pub(crate) answer: Bytes,
    /// The connection it stood on, by the address of the client's end.
    pub(crate) local: std::net::SocketAddr,
    used: bool,
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    /// An announce, for this event.
    Announce(Option<Event>),
    /// A scrape.
    Scrape,
    /// Anything else.
    Other,
}

impl Topic {
    /// What `request` is about.
    pub(crate) fn of(request: &Request) -> Self {
        Self::of_kind(&request.kind())
    }

    /// The request, in words.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Announce(Some(event)) => format!("an announce with event={}", event.name()),
            Self::Announce(None) => "an announce without an event".to_owned(),
            Self::Scrape => "a scrape".to_owned(),
            Self::Other => "a request".to_owned(),
        }
    }

    const fn of_kind(kind: &RequestKind) -> Self {
        match kind {
            RequestKind::Announce(announce) => Self::Announce(announce.event),
            RequestKind::Scrape(_) => Self::Scrape,
            RequestKind::NoTorrent(_) | RequestKind::Other => Self::Other,
        }
    }
}

impl ReplayTracker {
    /// The tracker of these conversations.
    pub(crate) fn of<'t>(conversations: impl Iterator<Item = &'t Conversation>) -> Self {
        let mut exchanges = Vec::new();
        for conversation in conversations {
            let mut waiting: Vec<(Topic, Option<InfoHash>)> = Vec::new();
            for (side, message) in conversation.messages() {
                match (message.body(), side) {
                    (Body::HttpTracker(HttpTrackerBody::Request(_, kind)), Side::Local) => {
                        waiting.push((Topic::of_kind(&kind), hash_of(&kind)))
                    }
                    (Body::HttpTracker(HttpTrackerBody::Response(..)), Side::Remote)
                        if !waiting.is_empty() =>
                    {
                        exchanges.push(TrackerExchange::of(conversation, message, waiting.remove(0)));
                    }
                    _ => {}
                }
            }
        }
        Self { exchanges }
    }

    /// What the reference answers to the like of `request`: the first such answer not given yet, else the last one given, both by
    /// the same info hash first; else that to another announce. `None` where there is nothing of the kind.
    pub(crate) fn answer(&mut self, request: &Request) -> Option<TrackerExchange> {
        let kind = request.kind();
        let (topic, info_hash) = (Topic::of_kind(&kind), hash_of(&kind));
        let is_same = |one: &TrackerExchange| one.topic == topic && one.info_hash == info_hash;
        let place = self
            .exchanges
            .iter()
            .position(|one| is_same(one) && !one.used)
            .or_else(|| self.exchanges.iter().rposition(is_same))
            .or_else(|| self.exchanges.iter().position(|one| one.topic == topic && !one.used))
            .or_else(|| self.exchanges.iter().rposition(|one| one.topic == topic))
            .or_else(|| match topic {
                Topic::Announce(_) => {
                    self.exchanges.iter().rposition(|one| matches!(one.topic, Topic::Announce(_)))
                }
                _ => None,
            })?;
        let exchange = &mut self.exchanges[place];
        let answer = exchange.clone();
        exchange.used = true;
        Some(answer)
    }

    /// The answers that nobody asked for: to what, and their numbers in the reference.
    pub(crate) fn unused(&self) -> impl Iterator<Item = (Topic, u64)> + '_ {
        let unused = self.exchanges.iter().filter(|exchange| !exchange.used);
        unused.map(|exchange| (exchange.topic, exchange.number))
    }
}

/// The info hash of an announce.
fn hash_of(kind: &RequestKind) -> Option<InfoHash> {
    match kind {
        RequestKind::Announce(announce) => Some(announce.info_hash),
        _ => None,
    }
}

impl TrackerExchange {
    fn of(
        conversation: &Conversation,
        answer: &StoredMessage,
        (topic, info_hash): (Topic, Option<InfoHash>),
    ) -> Self {
        Self {
            topic,
            info_hash,
            number: answer.number,
            at: answer.at,
            answer: answer.bytes.clone(),
            local: conversation.local_address(),
            used: false,
        }
    }
}

#[cfg(test)]
mod tests;
