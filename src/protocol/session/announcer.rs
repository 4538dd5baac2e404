//! Tells trackers what happens, and asks them for peers (BEP 3, 7, 12, 15, 23, 31, 41).
//!
//! A tracker is in one of the tiers of BEP 12. A round asks them in that order until one answers. A tracker that is silent
//! does not hold up the next, which is asked after some seconds; where there are many, several are asked at once. A silent
//! tracker goes on being asked meanwhile, also while further rounds begin, and what it answers late counts.
//! Completion and goodbye are told to every tracker that knows us. A tracker that has answered over one family of addresses
//! is announced to over the other family as well (BEP 7), and by the other info hash of a hybrid torrent (BEP 52): each is kept as a
//! tracker of its own, a *twin* of the tracker.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::dial::AddressFamily;
use crate::tracker;
use crate::{HostPort, InfoHash, Timestamp};

use super::config::Config;
use super::io::ServerInput;
use super::rng::Rng;
use super::server_url::ServerUrl;
use super::{
    CloseReason, EncryptionPolicy, Endpoint, Event, HttpProxy, Identity, Output, SessionStreamId, StreamIds,
};

mod attempts;
mod http;
mod twins;
mod udp;

use attempts::{Attempt, AttemptOutcome};
pub(super) use http::reason;
use udp::Link;

/// The trackers of a torrent and what is under way with them.
#[derive(Debug)]
pub(super) struct Announcer {
    trackers: Vec<TrackerState>,
    /// Tiers of trackers, each by its number.
    tiers: Vec<Vec<usize>>,
    attempts: BTreeMap<SessionStreamId, Attempt>,
    /// The trackers still to be asked in this round.
    round: VecDeque<usize>,
    /// How many of them are asked at once, and when the next are, should nobody have answered.
    round_pace: (usize, Timestamp),
    /// Whether no tracker has answered in this round.
    is_unanswered: bool,
    /// How many rounds have ended.
    rounds: u32,
    /// When the next round begins, and when it may begin if peers are needed.
    due: Option<(Timestamp, Timestamp)>,
    goodbye: bool,
}

/// A tracker.
#[derive(Debug)]
pub(super) struct TrackerState {
    pub(super) url: Arc<str>,
    location: Option<ServerUrl>,
    /// To be repeated in announces (BEP 3, "trackerid").
    tracker_id: Option<Vec<u8>>,
    /// Whether it has answered a `started`.
    knows_us: bool,
    /// Whether it is to be told of the completion.
    completed: bool,
    failures: u32,
    /// Not to be asked before this.
    not_before: Option<Timestamp>,
    never: bool,
    link: Option<Link>,
    /// The family of addresses over which it answers; `None` while any will do.
    family: Option<AddressFamily>,
    /// The same tracker over the other family, by its number.
    twin: Option<usize>,
    /// What it has the torrent by, since it was first asked: what is learnt of the torrent later changes nothing of that.
    info_hash: Option<InfoHash>,
    /// The same tracker by the other info hash of a hybrid torrent, by its number.
    by_other_hash: Option<usize>,
    /// Whether it is such a twin, which no tier has.
    is_twin: bool,
}

/// Where an announce over HTTP goes.
#[derive(Debug)]
struct Destination {
    place: ServerUrl,
    proxy: Option<HttpProxy>,
    redirects: u8,
    /// Whether the target has the whole query.
    whole_target: bool,
    may_be_local: bool,
}

/// What announces say of the session.
#[derive(Debug, Clone)]
pub(super) struct AnnounceFacts {
    /// What trackers have the torrent by that have not heard of it yet.
    pub(super) info_hash: InfoHash,
    /// Everything that they may have it by: both hashes of a hybrid torrent.
    pub(super) info_hashes: [Option<InfoHash>; 2],
    pub(super) identity: Identity,
    pub(super) uploaded: u64,
    pub(super) downloaded: u64,
    pub(super) corrupt: u64,
    pub(super) left: u64,
    /// Whether all that is wanted is there, and something else is missing (BEP 21).
    pub(super) is_partial_seed: bool,
}

/// What the announcer needs for a step.
pub(super) struct AnnouncerContext<'a> {
    pub(super) now: Timestamp,
    pub(super) outputs: &'a mut VecDeque<Output>,
    pub(super) streams: &'a mut StreamIds,
    pub(super) rng: &'a mut Rng,
    /// The transaction ids of the next requests over UDP; once these are used up, more are drawn.
    pub(super) transaction_ids: &'a mut VecDeque<u32>,
    pub(super) config: &'a Config,
    pub(super) facts: AnnounceFacts,
    /// Whether more peers are needed before the tracker's regular interval ends.
    pub(super) wants_peers: bool,
}

/// What a tracker told.
pub(super) struct FoundPeers {
    pub(super) peers: Vec<SocketAddr>,
    /// Those that it named by name.
    pub(super) names: Vec<HostPort>,
    pub(super) own_address: Option<IpAddr>,
}

impl Announcer {
    pub(super) fn new(tiers: &[Vec<String>], now: Timestamp, rng: &mut Rng) -> Self {
        let mut trackers: Vec<TrackerState> = Vec::new();
        let mut numbers = Vec::new();
        for tier in tiers {
            let mut tier: Vec<_> = tier.iter().map(|url| url.trim()).filter(|url| !url.is_empty()).collect();
            // BEP 12: the order within a tier is drawn once.
            rng.shuffle(&mut tier);
            let mut known = Vec::new();
            for url in tier {
                if trackers.len() < MAX_TRACKERS && !trackers.iter().any(|one| &*one.url == url) {
                    known.push(trackers.len());
                    trackers.push(TrackerState::new(url));
                }
            }
            if !known.is_empty() {
                numbers.push(known);
            }
        }
        Self {
            due: (!trackers.is_empty()).then_some((now, now)),
            trackers,
            tiers: numbers,
            attempts: BTreeMap::new(),
            round: VecDeque::new(),
            round_pace: (1, now),
            is_unanswered: false,
            rounds: 0,
            goodbye: false,
        }
    }

    /// When the next round begins.
    pub(super) fn next_round(&self) -> Option<Timestamp> {
        self.due.map(|(regular, _)| regular)
    }

    /// How many times all trackers have been asked, as far as needed.
    pub(super) const fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Whether no tracker is being asked, and none ever will be again.
    pub(super) fn is_at_its_end(&self) -> bool {
        self.attempts.is_empty() && self.round.is_empty() && self.due.is_none()
    }

    /// Whether a round is under way.
    pub(super) fn is_asking(&self) -> bool {
        !self.round.is_empty() || !self.attempts.is_empty()
    }

    pub(super) fn owns(&self, stream: SessionStreamId) -> bool {
        self.attempts.contains_key(&stream) || self.link_of(stream).is_some()
    }

    /// Whether a tracker is being asked.
    fn is_busy(&self, number: usize) -> bool {
        self.attempts.values().any(|attempt| attempt.tracker == number)
    }

    /// Every piece is there: the trackers that know us are to hear of it.
    pub(super) fn complete(&mut self) {
        for (number, tracker) in self.trackers.iter_mut().enumerate() {
            let asked = self.attempts.values().any(|attempt| attempt.tracker == number);
            tracker.completed = tracker.knows_us || asked;
        }
    }

    /// The trackers that know us are to hear that we go. Those that have been silent for some time are left alone,
    /// and so is another family of a tracker that has not answered over it yet.
    pub(super) fn say_goodbye(&mut self, now: Timestamp, outputs: &mut VecDeque<Output>) {
        self.goodbye = true;
        self.round.clear();
        self.due = None;
        let silent = self.attempts.iter().filter(|(_, attempt)| {
            let tracker = &self.trackers[attempt.tracker];
            attempt.since + SILENCE <= now || (tracker.is_twin && !tracker.knows_us)
        });
        for stream in silent.map(|(&stream, _)| stream).collect::<Vec<_>>() {
            if let Some(attempt) = self.attempts.remove(&stream) {
                self.trackers[attempt.tracker].link = None;
                outputs.push_back(Output::Close(stream, None));
            }
        }
    }

    /// Whether every goodbye has been said.
    pub(super) fn has_said_goodbye(&self) -> bool {
        self.goodbye && self.attempts.is_empty() && !self.trackers.iter().any(|tracker| tracker.knows_us)
    }

    /// Drops what is under way.
    pub(super) fn close(&mut self, outputs: &mut VecDeque<Output>) {
        let links = self.trackers.iter_mut().filter_map(|tracker| tracker.link.take());
        let mut streams: Vec<_> = links.map(|link| link.stream).collect();
        streams.extend(std::mem::take(&mut self.attempts).into_keys());
        streams.sort_unstable();
        streams.dedup();
        outputs.extend(streams.into_iter().map(|stream| Output::Close(stream, None)));
    }

    /// Whether a tracker that is not being asked is to hear something.
    pub(super) fn has_news(&self) -> bool {
        self.trackers.iter().any(|tracker| tracker.knows_us && (tracker.completed || self.goodbye))
    }

    /// When [`advance`](Self::advance) has something to do.
    pub(super) fn deadline(&self, wants_peers: bool) -> Option<Timestamp> {
        let attempts = self.attempts.values().map(|attempt| attempt.deadline);
        let links = self.trackers.iter().filter_map(|tracker| tracker.link.as_ref());
        let idle = links.filter(|link| !self.attempts.contains_key(&link.stream));
        let links = idle.filter_map(Link::ends);
        let due = self.due.filter(|_| self.may_begin_round());
        let due = due.map(|(regular, earliest)| if wants_peers { earliest } else { regular });
        let next = (!self.round.is_empty()).then_some(self.round_pace.1);
        attempts.chain(links).chain(due).chain(next).min()
    }

    /// Does what is due.
    pub(super) fn advance(&mut self, step: &mut AnnouncerContext<'_>) {
        let late = self.attempts.iter().filter(|(_, attempt)| attempt.deadline <= step.now);
        let late: Vec<_> = late.map(|(&stream, _)| stream).collect();
        for stream in late {
            self.time_out(stream, step);
        }
        for number in 0..self.trackers.len() {
            let busy = self.is_busy(number);
            let tracker = &mut self.trackers[number];
            if !busy
                && tracker.link.as_ref().is_some_and(|link| link.ends().is_some_and(|end| end <= step.now))
                && let Some(link) = tracker.link.take()
            {
                step.outputs.push_back(Output::Close(link.stream, None));
            }
            if busy || !tracker.knows_us {
                continue;
            }
            if std::mem::take(&mut tracker.completed) {
                self.begin(number, Some(tracker::Event::Completed), step);
            } else if self.goodbye {
                self.trackers[number].knows_us = false;
                self.begin(number, Some(tracker::Event::Stopped), step);
            }
        }
        if self.goodbye {
            return;
        }
        if self.may_begin_round()
            && let Some((regular, earliest)) = self.due
        {
            if step.now < if step.wants_peers { earliest } else { regular } {
                return;
            }
            self.due = None;
            let busy: Vec<_> = self.attempts.values().map(|attempt| attempt.tracker).collect();
            let all = self.tiers.iter().flatten().copied();
            let ready = all.filter(|number| self.trackers[*number].is_ready(step.now));
            self.round = ready.filter(|number| !busy.contains(number)).collect();
            let at_once = match self.round.len() {
                0..=IN_TURN => 1,
                many => many.div_ceil(PATIENT_STEPS).min(AT_ONCE),
            };
            self.round_pace = (at_once, step.now);
            self.is_unanswered = true;
            self.end_round_if_over(step.now);
        }
        self.go_on(step);
    }

    /// Whether no round asks its trackers one after the other, and nobody is being told of the completion. Trackers that are
    /// silent since an earlier round are no hindrance.
    fn may_begin_round(&self) -> bool {
        self.round.is_empty() && self.attempts.values().all(|attempt| is_regular(attempt.event))
    }

    /// Asks the next trackers of the round, when those that were asked have failed or had their time.
    fn go_on(&mut self, step: &mut AnnouncerContext<'_>) {
        let (at_once, next) = self.round_pace;
        let had_their_time = step.now >= next;
        if had_their_time && !self.round.is_empty() {
            self.round_pace.1 = step.now + SILENCE;
        }
        let mut free = if had_their_time { at_once } else { at_once.saturating_sub(self.asked()) };
        while !self.goodbye && free > 0 {
            let Some(number) = self.round.pop_front() else { return };
            if self.is_busy(number) {
                continue;
            }
            let event = self.trackers[number].regular_event();
            let asked = self.asked();
            self.begin(number, event, step);
            free -= usize::from(self.asked() > asked);
            self.end_round_if_over(step.now);
        }
    }

    /// How many trackers of the tiers are being asked for peers.
    fn asked(&self) -> usize {
        let of_round =
            |attempt: &&Attempt| is_regular(attempt.event) && !self.trackers[attempt.tracker].is_twin;
        self.attempts.values().filter(of_round).count()
    }

    /// Ends the round when all of its trackers have failed.
    fn end_round_if_over(&mut self, now: Timestamp) {
        let over = self.is_unanswered && self.round.is_empty() && self.asked() == 0;
        if over && !self.goodbye && self.due.is_none() {
            self.end_round_empty(now);
        }
    }

    /// A round in which no tracker answered is over.
    fn end_round_empty(&mut self, now: Timestamp) {
        self.rounds += 1;
        self.is_unanswered = false;
        let trackers = self.trackers.iter().filter(|tracker| !tracker.never && !tracker.is_twin);
        let next = trackers.map(|tracker| tracker.not_before.unwrap_or(now)).min();
        self.due = next.map(|at| (at, at));
    }
}

impl TrackerState {
    fn new(url: &str) -> Self {
        Self {
            url: url.into(),
            location: ServerUrl::parse(url),
            tracker_id: None,
            knows_us: false,
            completed: false,
            failures: 0,
            not_before: None,
            never: false,
            link: None,
            family: None,
            twin: None,
            info_hash: None,
            by_other_hash: None,
            is_twin: false,
        }
    }

    /// What it has the torrent by.
    fn info_hash(&self, facts: &AnnounceFacts) -> InfoHash {
        self.info_hash.unwrap_or(facts.info_hash)
    }

    /// What an announce says that is due: that we begin, where the tracker does not know us.
    fn regular_event(&self) -> Option<tracker::Event> {
        (!self.knows_us).then_some(tracker::Event::Started)
    }

    fn is_ready(&self, now: Timestamp) -> bool {
        !self.never && self.not_before.is_none_or(|at| at <= now)
    }
}

/// Whether an announce with this event belongs to a round.
const fn is_regular(event: Option<tracker::Event>) -> bool {
    matches!(event, None | Some(tracker::Event::Started))
}

/// Nobody needs more, and a torrent file may hold millions.
const MAX_TRACKERS: usize = 200;

/// How long a tracker may be silent before the next ones are asked too: longer than any tracker that works takes as a rule,
/// so that the order of BEP 12 stands, and short for a person who waits.
const SILENCE: Duration = Duration::from_secs(5);

/// Up to so many trackers are asked one after the other, as BEP 12 has it; of more, a third at once, so that 5 seconds pass
/// twice at the most before all are asked.
const IN_TURN: usize = 5;
const PATIENT_STEPS: usize = 3;

/// How many trackers are asked at once.
const AT_ONCE: usize = 16;

/// Seconds between announces where the tracker does not say: half an hour, as trackers say as a rule.
const USUAL_INTERVAL: u64 = 1800;

/// Seconds between announces at the least, whatever the tracker says.
const LEAST_INTERVAL: u64 = 30;

/// Seconds between announces at the most, whatever the tracker says.
const MOST_INTERVAL: u64 = 24 * 3600;
