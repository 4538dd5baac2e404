//! What a reference shows of its client's transport: whether it connects to peers over TCP or uTP.

use bittrace_protocol::node::UtpPolicy;
use bittrace_trace::{Side, Transport};

use crate::model::message::StoredMessage;
use crate::model::transcript::Conversation;

/// When the client of these conversations uses uTP, with a message that shows it. `None` where no conversation is over uTP.
pub(super) fn utp_of<'t>(peers: &[&'t Conversation]) -> Option<(UtpPolicy, &'t StoredMessage)> {
    let is_over_utp = |conversation: &&&'t Conversation| conversation.transport == Transport::Utp;
    let first_dialled = peers.iter().find(|conversation| conversation.is_outgoing());
    let (policy, shown) = match first_dialled.filter(is_over_utp) {
        Some(dialled) => (UtpPolicy::Prefer, dialled),
        None => (UtpPolicy::Allow, peers.iter().find(is_over_utp)?),
    };
    Some((policy, shown.direction(Side::Local).messages.first()?))
}
