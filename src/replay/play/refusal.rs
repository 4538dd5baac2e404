//! What a replayed tracker, peer or node does not answer, and why: a client's author sees only that nothing comes.

use std::fmt;
use std::net::SocketAddr;

use crate::play::run_connection::RunConnection;

/// A message of the client that a replayed tracker or peer refused, left unanswered, or answered by closing the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The far end.
    pub by: ReplayedEnd,
    /// The connection; `None` where the recording of the run does not have it.
    pub connection: Option<RunConnection>,
    /// What kind of message it was: `announce`, `request`, `handshake`, ...
    pub message: &'static str,
    /// Which one of its kind it was, from 1: of the run for messages to the tracker, of the connection for others.
    pub nth: u32,
    /// What the far end did.
    pub did: RefusalAct,
    /// Why.
    pub why: String,
}

/// A far end of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplayedEnd {
    /// The tracker.
    Tracker,
    /// The peer that had this address in the reference.
    Peer(SocketAddr),
    /// The node of the DHT that had this address in the reference.
    Node(SocketAddr),
}

/// What a far end did in place of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalAct {
    /// It answered with a failure reason (trackers).
    Refused,
    /// It answered with a reject-request (BEP 6).
    Rejected,
    /// It sent no answer.
    LeftUnanswered,
    /// It closed the connection.
    Closed,
}

impl ReplayedEnd {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tracker => "tracker",
            Self::Peer(_) => "peer",
            Self::Node(_) => "node",
        }
    }

    /// The address that the peer or node had in the reference; `None` for the tracker.
    pub const fn peer(self) -> Option<SocketAddr> {
        match self {
            Self::Tracker => None,
            Self::Peer(address) | Self::Node(address) => Some(address),
        }
    }
}

impl fmt::Display for ReplayedEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracker => write!(f, "the replayed tracker"),
            Self::Peer(address) => write!(f, "the replayed peer {address}"),
            Self::Node(address) => write!(f, "the replayed DHT node {address}"),
        }
    }
}

impl RefusalAct {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::LeftUnanswered => "left-unanswered",
            Self::Closed => "closed",
        }
    }
}

impl Refusal {
    /// What happened, without the reason. `which` names the message: `announce 3`, or several of them.
    pub fn sentence(&self, which: &str) -> String {
        let by = self.by;
        match self.did {
            RefusalAct::Refused => format!("{by} refused {which}"),
            RefusalAct::Rejected => format!("{by} rejected {which}"),
            RefusalAct::LeftUnanswered => format!("{by} left {which} unanswered"),
            RefusalAct::Closed => format!("{by} closed the connection after {which}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = format!("{} {}", self.message, self.nth);
        write!(f, "{}: {}", self.sentence(&which), self.why)
    }
}

/// How many refusals of a connection, and of a run, are kept: far more than anybody reads.
pub(super) const MOST_REFUSALS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_who_refused_which_message_and_why() {
        let by = ReplayedEnd::Peer("10.0.0.2:6881".parse().unwrap());
        let why = "piece 7 has 17 bytes".to_owned();
        let refusal =
            |by, message, did| Refusal { by, connection: None, message, nth: 3, did, why: why.clone() };
        for (refusal, sentence) in [
            (
                refusal(ReplayedEnd::Tracker, "announce", RefusalAct::Refused),
                "the replayed tracker refused announce 3",
            ),
            (
                refusal(by, "request", RefusalAct::LeftUnanswered),
                "the replayed peer 10.0.0.2:6881 left request 3 unanswered",
            ),
            (
                refusal(by, "message", RefusalAct::Closed),
                "the replayed peer 10.0.0.2:6881 closed the connection after message 3",
            ),
        ] {
            assert_eq!(refusal.to_string(), format!("{sentence}: piece 7 has 17 bytes"));
        }
    }
}
