//! What a replayed peer waits for before it sends a message: how many messages of each kind the client has sent.

use bittrace_protocol::wire::Message;
use bittrace_trace::{Body, PeerWireBody};

/// The kinds of messages that a replayed peer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// Its handshake.
    Handshake,
    /// Its extended handshake.
    Extended,
    /// Which pieces it has.
    Pieces,
    /// Whether it wants any.
    Interest,
    /// Requests.
    Request,
    /// Whether requests to it are answered.
    Choke,
    /// Blocks.
    Piece,
    /// Another message of an extension.
    Extension,
}

/// How many messages of each kind were sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PreconditionCounts([u32; KINDS]);

impl Precondition {
    /// The kind of a message; `None` where no peer waits for it.
    pub fn of(message: &Message) -> Option<Self> {
        Some(match message {
            Message::Extended { id: 0, .. } => Self::Extended,
            Message::Extended { .. } => Self::Extension,
            Message::Bitfield(_) | Message::HaveAll | Message::HaveNone | Message::Have(_) => Self::Pieces,
            Message::Interested | Message::NotInterested => Self::Interest,
            Message::Request(_) => Self::Request,
            Message::Choke | Message::Unchoke => Self::Choke,
            Message::Piece { .. } => Self::Piece,
            _ => return None,
        })
    }

    pub(crate) fn of_body(body: &Body) -> Option<Self> {
        match body {
            Body::PeerWire(PeerWireBody::Handshake(_)) => Some(Self::Handshake),
            body => body.peer_message().and_then(Self::of),
        }
    }

    /// The messages, in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Extended => "extended handshake",
            Self::Pieces => "bitfield or have",
            Self::Interest => "interested",
            Self::Request => "request",
            Self::Choke => "unchoke",
            Self::Piece => "piece",
            Self::Extension => "message of an extension",
        }
    }
}

impl PreconditionCounts {
    /// Counts a message.
    pub(crate) fn add(&mut self, cue: Precondition) {
        self.0[cue as usize] = self.0[cue as usize].saturating_add(1);
    }

    /// The first kind of which fewer messages were sent than `wanted`, and how many fewer; `None` where there are enough.
    pub(crate) fn lacks(&self, wanted: &Self) -> Option<(Precondition, u32)> {
        let lack = |cue: &Precondition| wanted.0[*cue as usize].saturating_sub(self.0[*cue as usize]);
        ALL.into_iter().find(|cue| lack(cue) > 0).map(|cue| (cue, lack(&cue)))
    }

    /// Only that without which a message would be out of place: the handshake, and interest once.
    pub(crate) fn essential(&self) -> Self {
        let mut counts = Self::default();
        counts.0[Precondition::Handshake as usize] = self.0[Precondition::Handshake as usize];
        counts.0[Precondition::Interest as usize] = self.0[Precondition::Interest as usize].min(1);
        counts
    }

    /// Only that without which a message to a seeder would be out of place: the handshake, and before requests an unchoke, where
    /// there was one.
    pub(crate) fn essential_to_seeder(&self, asks: bool) -> Self {
        let mut counts = Self::default();
        counts.0[Precondition::Handshake as usize] = self.0[Precondition::Handshake as usize];
        if asks {
            counts.0[Precondition::Choke as usize] = self.0[Precondition::Choke as usize].min(1);
        }
        counts
    }
}

const KINDS: usize = 8;

const ALL: [Precondition; KINDS] = [
    Precondition::Handshake,
    Precondition::Extended,
    Precondition::Pieces,
    Precondition::Interest,
    Precondition::Request,
    Precondition::Choke,
    Precondition::Piece,
    Precondition::Extension,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_named_in_the_order_of_a_connection() {
        let (mut said, mut wanted) = (PreconditionCounts::default(), PreconditionCounts::default());
        wanted.add(Precondition::Request);
        wanted.add(Precondition::Request);
        wanted.add(Precondition::Handshake);
        assert_eq!(said.lacks(&wanted), Some((Precondition::Handshake, 1)));
        said.add(Precondition::Handshake);
        assert_eq!(said.lacks(&wanted), Some((Precondition::Request, 2)));
        assert_eq!(said.lacks(&wanted.essential()), None);
    }
}
