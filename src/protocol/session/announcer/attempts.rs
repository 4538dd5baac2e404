//! Announces under way, from the first byte to what came of them.

use std::time::Duration;

use crate::dial::{AddressFamily, Remote};
use crate::tracker;
use crate::tracker::http::{AnnounceReply, Host, PeerEntry, Reply, RetryIn};
use crate::{HostPort, Timestamp};

use super::http::HttpStage;
use super::udp::{self, Link, UdpStage};
use super::{
    Announcer, AnnouncerContext, Destination, FoundPeers, LEAST_INTERVAL, MOST_INTERVAL, TrackerState,
    USUAL_INTERVAL, is_regular,
};
use crate::session::io::ServerInput;
use crate::session::server_url::ServerUrl;
use crate::session::{Endpoint, Event, Output, SessionStreamId};

/// An announce under way.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) tracker: usize,
    pub(super) event: Option<tracker::Event>,
    pub(super) stage: AttemptStage,
    pub(super) since: Timestamp,
    /// When it is given up, or sent again.
    pub(super) deadline: Timestamp,
    /// The family of the tracker's address, once it is open.
    pub(super) family: Option<AddressFamily>,
}

/// How it is asked.
#[derive(Debug)]
pub(super) enum AttemptStage {
    Http(HttpStage),
    Udp(UdpStage),
}

/// How an attempt stands after something happened to it.
pub(super) enum AttemptOutcome {
    Pending,
    Answered(Box<AnnounceReply>),
    Failed {
        reason: String,
        retry_in: Option<RetryIn>,
        /// Whether the tracker itself says so.
        is_refusal: bool,
    },
    /// The tracker is to be asked at another place.
    Elsewhere(Destination),
}

impl AttemptOutcome {
    pub(super) fn failed(reason: impl Into<String>) -> Self {
        Self::Failed { reason: reason.into(), retry_in: None, is_refusal: false }
    }

    /// The tracker says why it gives no peers.
    pub(super) fn refused(reason: impl Into<String>, retry_in: Option<RetryIn>) -> Self {
        Self::Failed { reason: reason.into(), retry_in, is_refusal: true }
    }

    pub(super) fn of(reply: Reply) -> Self {
        match reply {
            Reply::Announce(reply) => Self::Answered(reply),
            Reply::Failure { reason, retry_in } => Self::refused(reason, retry_in),
            Reply::Scrape(_) => Self::failed("the tracker responded to a scrape, not an announce"),
            Reply::NotBencoded(error) => Self::failed(format!("the response is not bencoded: {error}")),
        }
    }
}

impl Announcer {
    /// Asks a tracker, or tells it what happened.
    pub(super) fn begin(
        &mut self,
        number: usize,
        event: Option<tracker::Event>,
        step: &mut AnnouncerContext<'_>,
    ) {
        let tracker = &mut self.trackers[number];
        tracker.info_hash.get_or_insert(step.facts.info_hash);
        let place = tracker.location.clone().ok_or_else(|| "not the URL of a supported tracker".to_owned());
        let place = place.and_then(|place| place.proxy(&step.config.proxies).map(|proxy| (place, proxy)));
        let (place, proxy) = match place {
            Ok(found) => found,
            Err(reason) => {
                tracker.never = true;
                step.outputs.push_back(Output::Event(Event::TrackerFailed {
                    url: tracker.url.clone(),
                    reason,
                    again: None,
                }));
                return;
            }
        };
        let goes = event == Some(tracker::Event::Stopped);
        let patience = if goes { step.config.goodbye_timeout } else { step.config.tracker_timeout };
        let is_udp = matches!(place, ServerUrl::Udp { .. });
        let (stream, stage, deadline) = match &place {
            ServerUrl::Udp { host, port, .. } => {
                let stage = UdpStage::new();
                let family = tracker.family;
                let open = tracker.link.as_ref().map(|link| link.stream);
                let stream = open.unwrap_or_else(|| step.streams.next());
                if open.is_none() {
                    tracker.link = Some(Link::new(stream));
                    let remote = Remote { family, ..Remote::new(host, *port) };
                    step.outputs.push_back(Output::Open(stream, Endpoint::UdpTracker(remote)));
                }
                (
                    stream,
                    AttemptStage::Udp(stage),
                    step.now + step.config.tracker_timeout.min(udp::FIRST_WAIT),
                )
            }
            ServerUrl::Http { .. } | ServerUrl::Https { .. } => {
                let may_be_local = step.config.allow_local || place.is_harmless();
                let place = place.clone();
                let to = Destination { place, proxy, redirects: 0, whole_target: false, may_be_local };
                let (stream, stage) = HttpStage::begin(tracker, to, event, step);
                (stream, AttemptStage::Http(stage), step.now + patience)
            }
        };
        let (since, family) = (step.now, None);
        self.attempts.insert(stream, Attempt { tracker: number, event, stage, since, deadline, family });
        // A link that is open already can be used at once.
        if is_udp
            && let Some(address) = self.trackers[number].link.as_mut().and_then(|link| link.address.take())
        {
            self.handle(stream, ServerInput::Opened(address), step);
        }
    }

    /// Takes an input for a stream of [the announcer](Self::owns).
    pub(in crate::session) fn handle(
        &mut self,
        stream: SessionStreamId,
        input: ServerInput,
        step: &mut AnnouncerContext<'_>,
    ) -> Option<FoundPeers> {
        let closed = matches!(input, ServerInput::Closed(_));
        let Some(mut attempt) = self.attempts.remove(&stream) else {
            let link = self.link_of(stream).map(|number| &mut self.trackers[number].link);
            match (link, input) {
                (Some(link), _) if closed => *link = None,
                (Some(Some(link)), ServerInput::Opened(address)) => link.address = Some(address),
                _ => {}
            }
            return None;
        };
        if let ServerInput::Opened(address) = &input {
            attempt.family = Some(AddressFamily::of(*address));
        }
        let tracker = &mut self.trackers[attempt.tracker];
        let outcome = match &mut attempt.stage {
            AttemptStage::Http(stage) => stage.handle(stream, input, tracker, step),
            AttemptStage::Udp(stage) => {
                let (outcome, deadline) = stage.handle(input, attempt.event, tracker, step);
                if let Some(deadline) = deadline {
                    attempt.deadline = deadline;
                }
                outcome
            }
        };
        let is_udp = matches!(attempt.stage, AttemptStage::Udp(_));
        let over = if is_udp {
            matches!(outcome, AttemptOutcome::Failed { .. })
        } else {
            !matches!(outcome, AttemptOutcome::Pending)
        };
        if is_udp && (closed || over) {
            tracker.link = None;
        }
        if over && !closed {
            step.outputs.push_back(Output::Close(stream, None));
        }
        self.conclude(stream, attempt, outcome, step)
    }

    fn conclude(
        &mut self,
        stream: SessionStreamId,
        mut attempt: Attempt,
        outcome: AttemptOutcome,
        step: &mut AnnouncerContext<'_>,
    ) -> Option<FoundPeers> {
        let number = attempt.tracker;
        let found = match outcome {
            AttemptOutcome::Pending => {
                self.attempts.insert(stream, attempt);
                return None;
            }
            AttemptOutcome::Elsewhere(to) => {
                let tracker = &mut self.trackers[number];
                let event = attempt.event;
                let (stream, stage) = HttpStage::begin(tracker, to, event, step);
                attempt.stage = AttemptStage::Http(stage);
                self.attempts.insert(stream, attempt);
                return None;
            }
            AttemptOutcome::Answered(reply) => self.answered(number, &attempt, reply, step),
            AttemptOutcome::Failed { reason, retry_in, is_refusal } => {
                self.failed(number, &attempt, reason, retry_in, step);
                if is_refusal && is_regular(attempt.event) && !self.goodbye {
                    // It may know the torrent by its other hash alone.
                    self.announce_by_other_hash(number, step);
                }
                None
            }
        };
        self.go_on(step);
        found
    }

    fn answered(
        &mut self,
        number: usize,
        attempt: &Attempt,
        reply: Box<AnnounceReply>,
        step: &mut AnnouncerContext<'_>,
    ) -> Option<FoundPeers> {
        let tracker = &mut self.trackers[number];
        tracker.failures = 0;
        tracker.not_before = None;
        if reply.tracker_id.is_some() {
            tracker.tracker_id.clone_from(&reply.tracker_id);
        }
        tracker.knows_us = attempt.event != Some(tracker::Event::Stopped);
        let found = FoundPeers {
            peers: reply.peers.iter().filter_map(|peer| peer.address()).collect(),
            names: reply.peers.iter().filter_map(name).collect(),
            own_address: reply.external_ip,
        };
        let is_regular = is_regular(attempt.event);
        let least = reply.min_interval.or(reply.interval).unwrap_or(USUAL_INTERVAL);
        let least = least.clamp(LEAST_INTERVAL, MOST_INTERVAL);
        if tracker.is_twin {
            // Its tracker may be asked sooner than this one: when it refuses the other hash.
            tracker.not_before = Some(step.now + Duration::from_secs(least - LEAST_INTERVAL));
            let url = tracker.url.clone();
            step.outputs.push_back(Output::Event(Event::Announced { url, reply }));
            let is_by_other_hash = self.trackers.iter().any(|one| one.by_other_hash == Some(number));
            if is_by_other_hash && is_regular && !self.goodbye {
                self.announce_over_other_family(number, attempt, step);
            }
            return Some(found);
        }
        let is_first = is_regular && std::mem::take(&mut self.is_unanswered);
        // A late answer changes nothing of when the tracker that answered first is asked again.
        if !self.goodbye && (is_first || !is_regular) {
            let interval = reply.interval.unwrap_or(USUAL_INTERVAL).clamp(LEAST_INTERVAL, MOST_INTERVAL);
            let after = |seconds| step.now + Duration::from_secs(seconds);
            self.due = Some((after(interval.max(least)), after(least)));
            // BEP 12: one that answers is moved to the front of its tier.
            if let Some(tier) = self.tiers.iter_mut().find(|tier| tier.contains(&number)) {
                tier.retain(|&other| other != number);
                tier.insert(0, number);
            }
            self.round.clear();
            self.rounds += u32::from(is_first);
        }
        let url = self.trackers[number].url.clone();
        step.outputs.push_back(Output::Event(Event::Announced { url, reply }));
        if is_regular && !self.goodbye {
            self.announce_over_other_family(number, attempt, step);
            self.announce_by_other_hash(number, step);
        }
        Some(found)
    }

    fn failed(
        &mut self,
        number: usize,
        attempt: &Attempt,
        reason: String,
        retry_in: Option<RetryIn>,
        step: &mut AnnouncerContext<'_>,
    ) {
        let tracker = &mut self.trackers[number];
        tracker.failures += 1;
        let wait = match retry_in {
            Some(RetryIn::Never) => None,
            Some(RetryIn::Minutes(minutes)) => {
                Some(Duration::from_secs(minutes.saturating_mul(60).min(MOST_INTERVAL)))
            }
            None => Some(Duration::from_secs((15 << tracker.failures.min(7)).min(USUAL_INTERVAL))),
        };
        tracker.never = wait.is_none();
        tracker.not_before = wait.map(|wait| step.now + wait);
        let again = wait.filter(|_| !self.goodbye);
        if tracker.is_twin {
            // Most names have addresses of one family, and most hosts reach one alone: that is no news.
            return;
        }
        // Another family may answer next time.
        tracker.family = None;
        let url = tracker.url.clone();
        step.outputs.push_back(Output::Event(Event::TrackerFailed { url, reason, again }));
        if is_regular(attempt.event) {
            self.end_round_if_over(step.now);
        }
    }

    /// An attempt came to its deadline.
    pub(super) fn time_out(&mut self, stream: SessionStreamId, step: &mut AnnouncerContext<'_>) {
        let Some(mut attempt) = self.attempts.remove(&stream) else { return };
        let tracker = &mut self.trackers[attempt.tracker];
        if let AttemptStage::Udp(stage) = &mut attempt.stage
            && let Some(deadline) = stage.again(attempt.event, tracker, step)
        {
            attempt.deadline = deadline;
            self.attempts.insert(stream, attempt);
            return;
        }
        tracker.link = None;
        step.outputs.push_back(Output::Close(stream, None));
        self.conclude(stream, attempt, AttemptOutcome::failed("no response in time"), step);
    }

    /// The tracker whose link is this stream.
    pub(super) fn link_of(&self, stream: SessionStreamId) -> Option<usize> {
        let is = |tracker: &TrackerState| tracker.link.as_ref().is_some_and(|link| link.stream == stream);
        self.trackers.iter().position(is)
    }
}

/// The name of a peer that was not named by address.
fn name(peer: &PeerEntry) -> Option<HostPort> {
    match &peer.host {
        Host::Name(host) => Some(HostPort { host: host.clone(), port: peer.port }),
        Host::Ip(_) => None,
    }
}
