//! What a reference shows of its client's encryption: the negotiations that the client began or answered.

use bittrace_protocol::mse::{End, MAX_PADDING, Part, Progress, terms};
use bittrace_protocol::session::{EncryptionPolicy, EncryptionProfile};
use bittrace_trace::{Body, MseBody, Side};

use crate::model::message::StoredMessage;
use crate::model::transcript::Conversation;

/// When the client of these conversations encrypts, and what it says; with a message that shows that. `None` where no
/// conversation has a negotiation whose key is known.
pub(super) fn encryption_of<'t>(
    peers: &[&'t Conversation],
) -> Option<(EncryptionProfile, &'t StoredMessage)> {
    let part = |conversation: &'t Conversation, wanted: Part| {
        let mut said = conversation.direction(Side::Local).messages.iter();
        said.find(|message| matches!(message.body(), Body::Mse(MseBody::Negotiation(part)) if part == wanted))
    };
    let dialled = || peers.iter().copied().filter(|conversation| conversation.is_outgoing());
    let offer =
        dialled().find_map(|conversation| Some((conversation, part(conversation, Part::CryptoProvide)?)));
    let answer = peers.iter().find_map(|conversation| part(conversation, Part::CryptoSelect));
    let shown = offer.map(|(_, message)| message).or(answer)?;
    let mut encryption = EncryptionProfile::own(EncryptionPolicy::Allow);
    if let Some((conversation, message)) = offer
        && let Ok(Progress::Whole(said)) = terms(End::Initiator, &message.bytes)
    {
        encryption.offers = said.methods;
        encryption.sends_ahead = said.ahead > 0;
        let first = dialled().next().is_some_and(|first| first.stream == conversation.stream);
        encryption.policy = match first {
            true if encryption.offers == EncryptionProfile::own(EncryptionPolicy::Require).offers => {
                EncryptionPolicy::Require
            }
            true => EncryptionPolicy::Prefer,
            false => EncryptionPolicy::Allow,
        };
    }
    // Padding is drawn from 0 to 512 bytes: none at all in every connection means that there never is any.
    let pads = peers.iter().any(|conversation| part(conversation, Part::Padding).is_some());
    encryption.max_padding = if pads { MAX_PADDING as u16 } else { 0 };
    Some((encryption, shown))
}
