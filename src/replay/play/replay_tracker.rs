//! A recorded HTTP tracker that answers again: each announce with what the reference answered to the like of it. It
//! does no I/O.

use bittrace_protocol::Timestamp;
use bittrace_protocol::tracker::Event;
use bittrace_protocol::tracker::http::{Request, RequestKind};
use bittrace_trace::{Body, HttpTrackerBody, Side};
use bytes::Bytes;

use crate::model::message::StoredMessage;
use crate::model::transcript::{Conversation, Transcript};

/// A recorded tracker.
#[derive(Debug)]
pub struct ReplayTracker {
    exchanges: Vec<TrackerExchange>,
}

/// A request and its answer.
#[derive(Debug, Clone)]
pub struct TrackerExchange {
    /// What it was about.
    pub topic: Topic,
    /// The number of the answer in the reference.
    pub number: u64,
    /// When it was answered.
    pub at: Timestamp,
    /// The whole answer.
    pub answer: Bytes,
    /// The connection it stood on, by the address of the client's end.
    pub local: std::net::SocketAddr,
    /// The tracker's address.
    pub far: std::net::SocketAddr,
    used: bool,
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// An announce, for this event.
    Announce(Option<Event>),
    /// A scrape.
    Scrape,
    /// Anything else.
    Other,
}

impl Topic {
    /// What `request` is about.
    pub fn of(request: &Request) -> Self {
        Self::of_kind(&request.kind())
    }

    /// The request, in words.
    pub fn describe(self) -> String {
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
    /// The HTTP trackers of `reference`, as one.
    pub fn of(reference: &Transcript) -> Self {
        let mut exchanges = Vec::new();
        for conversation in reference.trackers() {
            let mut waiting: Vec<Topic> = Vec::new();
            for (side, message) in conversation.messages() {
                match (message.body(), side) {
                    (Body::HttpTracker(HttpTrackerBody::Request(_, kind)), Side::Local) => {
                        waiting.push(Topic::of_kind(&kind))
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

    /// What the reference answers to the like of `request`: the first such answer not given yet, else the last one given,
    /// else that to another announce. `None` where there is nothing of the kind.
    pub fn answer(&mut self, request: &Request) -> Option<TrackerExchange> {
        let topic = Topic::of(request);
        let place = self
            .exchanges
            .iter()
            .position(|one| one.topic == topic && !one.used)
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
    pub fn unused(&self) -> impl Iterator<Item = (Topic, u64)> + '_ {
        let unused = self.exchanges.iter().filter(|exchange| !exchange.used);
        unused.map(|exchange| (exchange.topic, exchange.number))
    }

    /// Where the trackers are.
    pub fn addresses(&self) -> impl Iterator<Item = std::net::SocketAddr> + '_ {
        self.exchanges.iter().map(|exchange| exchange.far)
    }
}

impl TrackerExchange {
    fn of(conversation: &Conversation, answer: &StoredMessage, topic: Topic) -> Self {
        Self {
            topic,
            number: answer.number,
            at: answer.at,
            answer: answer.bytes.clone(),
            local: conversation.local_address(),
            far: conversation.far(),
            used: false,
        }
    }
}

#[cfg(test)]
mod tests;
