//! What a reference shows of its client's announces to trackers over HTTP.

use std::collections::BTreeSet;

use bittrace_protocol::PeerId;
use bittrace_protocol::dial::AddressFamily;
use bittrace_protocol::session::{Alphabet, KeyForm};
use bittrace_protocol::tracker::Event;
use bittrace_protocol::tracker::http::{Announce, Request, RequestKind, RequestStyle};
use bittrace_trace::{Body, HttpTrackerBody, Side};

use super::infer::Learner;
use crate::model::message::StoredMessage;
use crate::model::transcript::Conversation;

impl Learner<'_> {
    pub(super) fn announces(&mut self) {
        let reference = self.reference;
        let said: Vec<ReadAnnounce<'_>> = reference.trackers().flat_map(announces_of).collect();
        let announces: Vec<(&Request, &Announce)> = said.iter().filter_map(ReadAnnounce::read).collect();
        let (Some(shown), Some(&(first, announce))) = (said.first(), announces.first()) else { return };
        let goes = |announce: &Announce| announce.event == Some(Event::Stopped);
        let seen = |is: &dyn Fn(&Announce) -> bool| {
            said.iter()
                .find(|one| one.read().is_some_and(|(_, announce)| is(announce)))
                .map(|one| one.message)
        };
        let mut style = RequestStyle::of(first);
        announces.iter().skip(1).for_each(|(request, _)| style.extend(request));
        let own = &mut self.learnt.profile.announce;
        own.style = style;
        let numwant = |stopped: bool| {
            announces.iter().filter(move |one| goes(one.1) == stopped).find_map(|one| one.1.numwant)
        };
        own.numwant = numwant(false).unwrap_or(own.numwant);
        own.numwant_stopped = numwant(true).unwrap_or(own.numwant_stopped);
        if reference.asks_for_metadata() {
            own.left_unknown = announce.left.unwrap_or(own.left_unknown);
        }
        own.compact = announce.compact.unwrap_or(own.compact);
        own.no_peer_id = announce.no_peer_id.unwrap_or(own.no_peer_id);
        own.supportcrypto = announce.supportcrypto.or(own.supportcrypto);
        own.requirecrypto = announce.requirecrypto.or(own.requirecrypto);
        own.others.clone_from(&announce.others);
        let families: BTreeSet<_> =
            reference.trackers().map(|tracker| AddressFamily::of(tracker.far())).collect();
        own.both_families = families.len() > 1;
        let hashes: BTreeSet<_> = announces.iter().map(|one| one.1.info_hash).collect();
        own.both_hashes = hashes.len() > 1;
        let completed = announces.iter().any(|one| one.1.event == Some(Event::Completed));
        // A client with nothing left could have announced `completed`.
        own.says_completed = completed || !announces.iter().any(|one| one.1.left == Some(0));
        if let Some(key) = &announce.key {
            self.key(key, announce.peer_id);
        }
        if announce.ip.is_some() || announce.ipv4.is_some() || announce.ipv6.is_some() {
            self.learnt.beyond.push(OWN_ADDRESS.to_owned());
        }
        self.learnt.identity.peer_id = announce.peer_id.unwrap_or(self.learnt.identity.peer_id);
        self.learnt.port = announce.port.unwrap_or(0);
        self.learnt.client = shown.client.map(str::to_owned);
        self.note(&["announce", "headers", "key"], Some(shown.message));
        self.note(&["numwant"], seen(&|announce| !goes(announce)));
        self.note(&["numwant_stopped"], seen(&goes));
        let of_completion = seen(&|announce| announce.event == Some(Event::Completed));
        self.note(&["says_completed"], of_completion.or_else(|| seen(&|announce| announce.left == Some(0))));
    }

    pub(super) fn key(&mut self, key: &[u8], peer_id: Option<PeerId>) {
        let text = std::str::from_utf8(key).ok().filter(|text| text.len() == 8);
        let number = text.and_then(|text| u32::from_str_radix(text, 16).ok());
        let form = match number {
            Some(_) if key.iter().any(u8::is_ascii_lowercase) => KeyForm::LowerHex,
            Some(_) => KeyForm::UpperHex,
            None if !key.is_empty() && peer_id.is_some_and(|id| id.0.ends_with(key)) => {
                KeyForm::PeerIdTail(key.len())
            }
            None => KeyForm::Letters(key.len(), Alphabet::of(key)),
        };
        if let KeyForm::Letters(..) = form {
            self.learnt.identity.key_text = Some(key.to_vec());
        }
        self.learnt.profile.announce.key = form;
        self.learnt.identity.key = number.unwrap_or(0);
    }
}

/// An announce of the client to an HTTP tracker.
struct ReadAnnounce<'t> {
    message: &'t StoredMessage,
    body: Body,
    /// What the client calls itself.
    client: Option<&'t str>,
}

impl ReadAnnounce<'_> {
    fn read(&self) -> Option<(&Request, &Announce)> {
        match &self.body {
            Body::HttpTracker(HttpTrackerBody::Request(request, kind)) => match &**kind {
                RequestKind::Announce(announce) => Some((request, announce)),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The client's announces of a conversation with a tracker, in order.
fn announces_of(conversation: &Conversation) -> impl Iterator<Item = ReadAnnounce<'_>> {
    let local = conversation.direction(Side::Local);
    let said = local.messages.iter().map(|message| {
        let client = local.client.as_deref();
        ReadAnnounce { message, body: message.body(), client }
    });
    said.filter(|announce| announce.read().is_some())
}

/// What a profile has no words for in announces.
pub(super) const OWN_ADDRESS: &str = "its announces have its own address; bittrace's do not";
