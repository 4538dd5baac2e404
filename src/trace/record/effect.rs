//! What a message of a connection between peers did to the state of the connection.

use bittrace_protocol::peer::{PeerChange, PeerFault};

use super::{Body, MseBody, PeerWireBody, Record};
use crate::Direction;

/// What a record did to the state of its connection; nothing, where it is of no connection between peers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerEffect {
    /// What it says of choking or interest.
    pub change: Option<PeerChange>,
    /// Whether it says what was known already.
    pub repeated: bool,
    /// The rules that it broke, or that the time before it shows to be broken.
    pub faults: Vec<PeerFault>,
    /// How many requests for blocks were outstanding after it: first those of the initiator, then those of the responder.
    pub outstanding: [u32; 2],
    /// Whether each end chokes the other end after it: first the initiator, then the responder. Connections begin choked
    /// (BEP 3), so both are `true` until an unchoke is seen.
    pub choking: [bool; 2],
    /// Whether each end is interested after it: first the initiator, then the responder.
    pub interested: [bool; 2],
}

/// Whose choking and interest are known on a connection, as its records are read one after another. Connections begin
/// choked and not interested (BEP 3), so all is known of one whose beginning was captured. Of one that was joined in the
/// middle only that is known which a message has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownStates {
    choking: [bool; 2],
    interest: [bool; 2],
}

impl KnownStates {
    /// What is known before the first record of a connection.
    pub const fn before(first: &Record) -> Self {
        let begins = matches!(
            first.body,
            Body::PeerWire(PeerWireBody::Handshake(_)) | Body::Mse(MseBody::KeyExchange)
        );
        Self { choking: [begins; 2], interest: [begins; 2] }
    }

    /// Takes in the next record.
    pub const fn observe(&mut self, record: &Record) {
        let sender = record.direction as usize;
        match record.effect.change {
            Some(PeerChange::Choke | PeerChange::Unchoke { .. }) => self.choking[sender] = true,
            Some(PeerChange::Interested { .. } | PeerChange::NotInterested) => self.interest[sender] = true,
            None => {}
        }
    }

    /// Whether it is known if the end that sends in this direction chokes the other end.
    pub const fn knows_choking(&self, sender: Direction) -> bool {
        self.choking[sender as usize]
    }

    /// Whether it is known if the end that sends in this direction is interested.
    pub const fn knows_interest(&self, sender: Direction) -> bool {
        self.interest[sender as usize]
    }
}
