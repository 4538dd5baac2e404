//! What a reference shows of its client's announces to trackers over UDP.

use std::collections::BTreeSet;

use bittrace_protocol::tracker::Event;
use bittrace_protocol::tracker::udp::{AnnounceRequest, Packet};
use bittrace_trace::{Body, Side};

use super::announce_over_http::OWN_ADDRESS;
use super::infer::Learner;
use crate::model::message::StoredMessage;
use crate::model::transcript::Transcript;

/// An announce of the client to a tracker over UDP.
pub(super) struct AnnounceOverUdp<'t> {
    pub(super) message: &'t StoredMessage,
    pub(super) announce: AnnounceRequest,
    /// What the client calls itself.
    pub(super) client: Option<&'t str>,
}

impl<'t> AnnounceOverUdp<'t> {
    /// Those of a reference, in order.
    pub(super) fn all(reference: &'t Transcript) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for conversation in reference.trackers() {
            let local = conversation.direction(Side::Local);
            all.extend(local.messages.iter().filter_map(|message| {
                let Body::UdpTracker(packet) = message.body() else { return None };
                let Packet::AnnounceRequest(announce) = &*packet else { return None };
                Some(Self { message, announce: (**announce).clone(), client: local.client.as_deref() })
            }));
        }
        all.sort_by_key(|one| one.message.number);
        all
    }

    /// The transaction ids of all requests over UDP, in order.
    pub(super) fn transaction_ids(reference: &Transcript) -> Vec<u32> {
        let sent = reference.trackers().flat_map(|one| &one.direction(Side::Local).messages);
        let mut ids: Vec<(u64, u32)> = sent
            .filter_map(|message| match message.body() {
                Body::UdpTracker(packet) => Some((message.number, packet.transaction_id())),
                _ => None,
            })
            .collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }
}

impl Learner<'_> {
    /// What it says to trackers over UDP.
    pub(super) fn announces_over_udp(&mut self) {
        let reference = self.reference;
        let said = AnnounceOverUdp::all(reference);
        self.learnt.identity.transaction_ids = AnnounceOverUdp::transaction_ids(reference);
        let Some(first) = said.first() else { return };
        let goes = |one: &&AnnounceOverUdp<'_>| one.announce.event() == Some(Event::Stopped);
        let (stays, leaves) = (said.iter().find(|one| !goes(one)), said.iter().find(goes));
        let form = &mut self.learnt.profile.announce.udp;
        form.numwant = stays.map_or(form.numwant, |one| one.announce.num_want);
        form.numwant_stopped = leaves.map_or(form.numwant_stopped, |one| one.announce.num_want);
        form.url_data = said.iter().any(|one| one.announce.url_data().is_some());
        if said.iter().any(|one| !one.announce.ip.is_unspecified()) {
            self.learnt.beyond.push(OWN_ADDRESS.to_owned());
        }
        let announce = &first.announce;
        // Over HTTP it has said all this already.
        if self.learnt.evidence.is_empty() {
            let hashes: BTreeSet<_> = said.iter().map(|one| one.announce.info_hash).collect();
            self.learnt.profile.announce.both_hashes = hashes.len() > 1;
            let completed = said.iter().find(|one| one.announce.event() == Some(Event::Completed));
            let shown = completed.or_else(|| said.iter().find(|one| one.announce.left == 0));
            self.learnt.profile.announce.says_completed = completed.is_some() || shown.is_none();
            self.learnt.identity.peer_id = announce.peer_id;
            self.learnt.identity.key = announce.key;
            self.learnt.port = announce.port;
            self.learnt.client = first.client.map(str::to_owned);
            self.note(&["says_completed"], shown.map(|one| one.message));
        }
        self.note(&["udp_numwant"], stays.map(|one| one.message));
        self.note(&["udp_numwant_stopped"], leaves.map(|one| one.message));
        self.note(&["udp_url_data"], Some(first.message));
    }
}
