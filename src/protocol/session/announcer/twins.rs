//! The same tracker told of the same torrent once more: over the other family of addresses, and by the other info hash.
//!
//! A twin is a tracker of its own that no tier has: it is announced to whenever its tracker has answered, and its answers give peers
//! but do not move the rounds.

use crate::dial::AddressFamily;
use crate::{InfoHash, Timestamp};

use super::attempts::{Attempt, AttemptStage};
use super::{Announcer, AnnouncerContext, Output, ServerUrl, TrackerState};

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
        let info_hash = tracker.info_hash;
        let twin = self.trackers[number].twin.unwrap_or_else(|| self.add_twin(number, info_hash));
        self.trackers[number].twin = Some(twin);
        if !self.may_ask(twin, step.now) {
            return;
        }
        let state = &mut self.trackers[twin];
        if state.family.replace(other).is_some_and(|family| family != other)
            && let Some(link) = state.link.take()
        {
            step.outputs.push_back(Output::Close(link.stream, None));
        }
        let event = state.regular_event();
        self.begin(twin, event, step);
    }

    /// Announces to a tracker by the other info hash of a hybrid torrent (BEP 52, "Upgrade Path"), as if that were another torrent:
    /// the tracker may have peers by each that it has not by the other.
    pub(super) fn announce_by_other_hash(&mut self, number: usize, step: &mut AnnouncerContext<'_>) {
        let tracker = &self.trackers[number];
        if tracker.is_twin || !step.config.profile.announce.both_hashes {
            return;
        }
        let other =
            step.facts.info_hashes.into_iter().flatten().find(|hash| Some(*hash) != tracker.info_hash);
        let Some(other) = other.filter(|_| tracker.info_hash.is_some()) else { return };
        let twin = tracker.by_other_hash.unwrap_or_else(|| self.add_twin(number, Some(other)));
        self.trackers[number].by_other_hash = Some(twin);
        if self.may_ask(twin, step.now) {
            let event = self.trackers[twin].regular_event();
            self.begin(twin, event, step);
        }
    }

    /// Adds a twin of a tracker that has the torrent by this; its number.
    fn add_twin(&mut self, number: usize, info_hash: Option<InfoHash>) -> usize {
        let url = self.trackers[number].url.clone();
        self.trackers.push(TrackerState { is_twin: true, info_hash, ..TrackerState::new(&url) });
        self.trackers.len() - 1
    }

    /// Whether a twin may be asked, and is not being asked.
    fn may_ask(&self, twin: usize, now: Timestamp) -> bool {
        !self.is_busy(twin) && self.trackers[twin].is_ready(now)
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
