//! An announce over HTTP: the request in the profile's style, the answer framed and read, redirects followed.

use bytes::Bytes;

use crate::tracker;
use crate::tracker::http::{Announce, Framing, Reply, Response, frame_response};

use super::tracker_url::TrackerUrl;
use super::{
    AnnouncerContext, AttemptOutcome, CloseReason, Endpoint, Event, Output, SessionStreamId, TrackerInput,
    TrackerState,
};

/// An announce over a connection of its own.
#[derive(Debug)]
pub(super) struct HttpStage {
    place: TrackerUrl,
    redirects: u8,
    request: Bytes,
    answer: Vec<u8>,
}

impl HttpStage {
    /// Opens a connection to `place`, which is the tracker's or one it pointed to.
    pub(super) fn begin(
        tracker: &TrackerState,
        place: TrackerUrl,
        redirects: u8,
        whole_target: bool,
        event: Option<tracker::Event>,
        step: &mut AnnouncerContext<'_>,
    ) -> (SessionStreamId, Self) {
        let stream = step.streams.next();
        if let TrackerUrl::Http { host, port, .. } = &place {
            step.outputs.push_back(Output::Open(stream, Endpoint::HttpTracker(host.clone(), *port)));
        }
        let request = request(tracker, &place, whole_target, event, step);
        (stream, Self { place, redirects, request, answer: Vec::new() })
    }

    pub(super) fn handle(
        &mut self,
        stream: SessionStreamId,
        input: TrackerInput,
        tracker: &TrackerState,
        step: &mut AnnouncerContext<'_>,
    ) -> AttemptOutcome {
        let closed = match input {
            TrackerInput::Opened(_) => {
                let (url, request) = (tracker.url.clone(), self.request.clone());
                step.outputs.push_back(Output::Event(Event::Announcing { url, request }));
                step.outputs.push_back(Output::Send(stream, self.request.clone()));
                return AttemptOutcome::Pending;
            }
            TrackerInput::Received(bytes) => {
                if self.answer.len() + bytes.len() > MAX_ANSWER {
                    return AttemptOutcome::failed("an answer of more than 2 MiB");
                }
                self.answer.extend_from_slice(&bytes);
                None
            }
            TrackerInput::Closed(closing) => Some(closing),
            TrackerInput::Fetched(_) => return AttemptOutcome::Pending,
        };
        let mut start = 0;
        let outcome = loop {
            let answer = &self.answer[start..];
            let length = match frame_response(answer, closed.is_some(), false) {
                Framing::Complete(length) => length,
                Framing::NotHttp(error) => {
                    break AttemptOutcome::failed(format!("the answer is no HTTP: {error}"));
                }
                Framing::Incomplete | Framing::UntilClose => {
                    break closed.as_ref().map_or(AttemptOutcome::Pending, |closing| {
                        AttemptOutcome::failed(match answer.is_empty() {
                            true => reason(closing),
                            false => "the answer was cut short".to_owned(),
                        })
                    });
                }
            };
            match Response::decode(&answer[..length]) {
                // 100 Continue comes before the answer proper, any number of times (RFC 9110, section 15.2).
                Ok(response) if (100..200).contains(&response.status) => start += length,
                Ok(response) => break self.read(&response),
                Err(error) => break AttemptOutcome::failed(format!("the answer is no HTTP: {error}")),
            }
        };
        self.answer.drain(..start);
        outcome
    }

    fn read(&self, response: &Response) -> AttemptOutcome {
        let reply = response.reply();
        match response.status {
            200 => AttemptOutcome::of(reply),
            301 | 302 | 303 | 307 | 308 => self.redirect(response),
            // Some trackers refuse with a status of refusal.
            _ if matches!(reply, Reply::Failure { .. }) => AttemptOutcome::of(reply),
            status => AttemptOutcome::failed(
                format!("the tracker answered {status} {}", response.reason).trim_end(),
            ),
        }
    }

    fn redirect(&self, response: &Response) -> AttemptOutcome {
        let location = String::from_utf8_lossy(response.header("location").unwrap_or_default()).into_owned();
        let complaint =
            |what: &str| AttemptOutcome::failed(format!("the tracker redirects to {location:?}{what}"));
        if self.redirects >= MAX_REDIRECTS {
            return complaint(&format!(" after {MAX_REDIRECTS} redirects"));
        }
        match self.place.redirect(&location) {
            Some(place @ (TrackerUrl::Http { .. } | TrackerUrl::Https { .. })) => AttemptOutcome::Elsewhere {
                whole_target: place.target().contains("info_hash="),
                place,
                redirects: self.redirects + 1,
            },
            _ => complaint(""),
        }
    }
}

/// Has the driver fetch an announce from an https tracker.
pub(super) fn fetch(
    tracker: &TrackerState,
    place: &TrackerUrl,
    whole_target: bool,
    event: Option<tracker::Event>,
    step: &mut AnnouncerContext<'_>,
) -> SessionStreamId {
    let request = request(tracker, place, whole_target, event, step);
    // The target stands between the first two spaces.
    let target = request.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    let user = place.user().map_or(String::new(), |user| format!("{user}@"));
    let url = format!("https://{user}{}{}", place.host(), String::from_utf8_lossy(target));
    let stream = step.streams.next();
    step.outputs.push_back(Output::Event(Event::Announcing { url: tracker.url.clone(), request }));
    step.outputs.push_back(Output::Open(stream, Endpoint::HttpsTracker(url)));
    stream
}

/// What the driver fetched.
pub(super) fn fetched(input: TrackerInput) -> AttemptOutcome {
    match input {
        TrackerInput::Fetched(Ok(body)) => AttemptOutcome::of(Reply::decode(&body)),
        TrackerInput::Fetched(Err(reason)) => AttemptOutcome::failed(reason),
        TrackerInput::Closed(closing) => AttemptOutcome::failed(reason(&closing)),
        TrackerInput::Opened(_) | TrackerInput::Received(_) => AttemptOutcome::Pending,
    }
}

fn request(
    tracker: &TrackerState,
    place: &TrackerUrl,
    whole_target: bool,
    event: Option<tracker::Event>,
    step: &AnnouncerContext<'_>,
) -> Bytes {
    let (facts, profile) = (&step.facts, &step.config.profile.announce);
    let mut announce = Announce::new(facts.info_hash, facts.identity.peer_id);
    announce.port = Some(step.config.port);
    announce.uploaded = Some(facts.uploaded);
    announce.downloaded = Some(facts.downloaded);
    announce.left = Some(facts.left);
    announce.corrupt = Some(facts.corrupt);
    announce.redundant = Some(0);
    announce.key = Some(profile.key.spell(facts.identity.key, &facts.identity.peer_id));
    announce.event = event;
    let goes = event == Some(tracker::Event::Stopped);
    announce.numwant = Some(if goes { profile.numwant_stopped } else { profile.numwant });
    announce.compact = Some(profile.compact);
    announce.no_peer_id = Some(profile.no_peer_id);
    announce.supportcrypto = Some(profile.supportcrypto);
    announce.requirecrypto = Some(profile.requirecrypto);
    announce.others.clone_from(&profile.others);
    announce.trackerid.clone_from(&tracker.tracker_id);
    let mut style = profile.style.clone();
    style.path = place.target().as_bytes().to_vec();
    let mut bytes = style.encode_announce(&announce, &place.host());
    if let Some(credentials) = place.credentials() {
        // Behind the last header stands an empty line.
        bytes.truncate(bytes.len() - 2);
        bytes.extend_from_slice(format!("Authorization: {credentials}\r\n\r\n").as_bytes());
    }
    if !whole_target {
        return bytes.into();
    }
    // The place we were sent to has the query of the first request in it.
    let mut parts = bytes.splitn(3, |&byte| byte == b' ');
    let (method, _, rest) = (parts.next(), parts.next(), parts.next());
    let parts = [method.unwrap_or_default(), place.target().as_bytes(), rest.unwrap_or_default()];
    parts.join(&b' ').into()
}

/// Why there is no answer.
pub(super) fn reason(closing: &CloseReason) -> String {
    match closing {
        CloseReason::ByRemote => "the connection was closed without an answer".to_owned(),
        CloseReason::Reset => "the connection was reset".to_owned(),
        CloseReason::Refused => "the connection was refused".to_owned(),
        CloseReason::TimedOut => "the connection took too long".to_owned(),
        CloseReason::Unresolved(why) => format!("the name has no address: {why}"),
        CloseReason::Failed(why) => why.clone(),
    }
}

/// An answer with 5,000 peers as dictionaries has less than 1 MiB.
const MAX_ANSWER: usize = 2 * 1024 * 1024;

/// As many as browsers and curl's users allow, and as reqwest does for trackers over https.
const MAX_REDIRECTS: u8 = 10;
