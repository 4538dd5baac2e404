//! The same tracker told of the same torrent once more: over the other family of addresses, and by the other info hash.
//!
//! A twin is a tracker of its own that no tier has: it is announced to whenever its tracker has answered, and its answers give peers
//! but do not move the rounds.

use crate::dial::AddressFamily;
use crate::tracker;

use super::{Announcer, AnnouncerContext, Attempt, AttemptStage, Output, ServerUrl, TrackerState};

impl Announcer {
    /// Announces to the twin of a tracker that has answered.
    pub(super) fn announce_over_other_family(
        &mut self,
        number: usize,
        attempt: &Attempt,
        step: &mut AnnouncerContext<'_>,
    ) {
        let through_proxy = matches!(&attempt.stage, AttemptStage::Http(stage) if stage.has_proxy());
        let tracker = &mut self.trackers[number];
        let has_name = tracker.location.as_ref().is_some_and(ServerUrl::has_name);
        let Some(other) = attempt.family.map(AddressFamily::other) else { return };
        if !step.config.profile.announce.both_families || !has_name || through_proxy {
            return;
        }
        tracker.family = attempt.family;
        let url = tracker.url.clone();
        let next = self.trackers.len();
        let twin = *self.trackers[number].twin.get_or_insert(next);
        if twin == next {
            let info_hash = self.trackers[number].info_hash;
            self.trackers.push(TrackerState { is_twin: true, info_hash, ..TrackerState::new(&url) });
        }
        let busy = self.is_busy(twin);
        let state = &mut self.trackers[twin];
        if busy || !state.is_ready(step.now) {
            return;
        }
        if state.family.replace(other).is_some_and(|family| family != other)
            && let Some(link) = state.link.take()
        {
            step.outputs.push_back(Output::Close(link.stream, None));
        }
        let event = (!state.knows_us).then_some(tracker::Event::Started);
        self.begin(twin, event, step);
    }

    /// Announces to a tracker by the other info hash of a hybrid torrent (BEP 52, "Upgrade Path"), as if that were another torrent:
    /// the tracker may have peers by each that it has not by the other.
    pub(super) fn announce_by_other_hash(&mut self, number: usize, step: &mut AnnouncerContext<'_>) {
        let tracker = &self.trackers[number];
        if tracker.is_twin || !step.config.profile.announce.both_hashes {
            return;
        }
        let other = step.facts.info_hashes.iter().copied().find(|hash| Some(*hash) != tracker.info_hash);
        let Some(other) = other.filter(|_| tracker.info_hash.is_some()) else { return };
        let (url, next) = (tracker.url.clone(), self.trackers.len());
        let number = *self.trackers[number].by_other_hash.get_or_insert(next);
        if number == next {
            let info_hash = Some(other);
            self.trackers.push(TrackerState { is_twin: true, info_hash, ..TrackerState::new(&url) });
        }
        let state = &self.trackers[number];
        if !self.is_busy(number) && state.is_ready(step.now) {
            let event = (!state.knows_us).then_some(tracker::Event::Started);
            self.begin(number, event, step);
        }
    }

    /// The torrent turned out to be a hybrid one: trackers that know it by one hash hear of the other.
    pub(in crate::session) fn announce_new_hash(&mut self, step: &mut AnnouncerContext<'_>) {
        for number in 0..self.trackers.len() {
            let tracker = &self.trackers[number];
            if tracker.knows_us && tracker.by_other_hash.is_none() && !self.goodbye {
                self.announce_by_other_hash(number, step);
            }
        }
    }
}
