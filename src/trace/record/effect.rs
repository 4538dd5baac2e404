//! What a message of a connection between peers did to the state of the connection.

use bittrace_protocol::peer::{PeerChange, PeerFault};

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
