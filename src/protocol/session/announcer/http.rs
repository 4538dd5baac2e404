//! An announce over HTTP: the request in the profile's style, the answer framed and read, redirects followed.

use bytes::Bytes;

use crate::is_local_network;
use crate::tracker;
use crate::tracker::http::{Announce, Framing, Reply, Response, frame_response};

use super::{
    AnnouncerContext, AttemptOutcome, CloseReason, Destination, EncryptionPolicy, Endpoint, Event, HttpProxy,
    Output, ServerInput, ServerUrl, SessionStreamId, TrackerState,
};

/// An announce over a connection of its own.
#[derive(Debug)]
pub(super) struct HttpStage {
    place: ServerUrl,
    redirects: u8,
    proxy: Option<HttpProxy>,
    request: Bytes,
    answer: Vec<u8>,
    /// Whether the server is in a local network.
    is_local: bool,
}

impl HttpStage {
    /// Opens a connection to `place`, which is the tracker's or one it pointed to; or to the proxy for it.
    pub(super) fn begin(
        tracker: &TrackerState,
        to: Destination,
        event: Option<tracker::Event>,
        step: &mut AnnouncerContext<'_>,
    ) -> (SessionStreamId, Self) {
        let stream = step.streams.next();
        let Destination { place, proxy, redirects, whole_target, may_be_local } = to;
        let remote = place.remote(proxy.as_ref(), tracker.family, may_be_local);
        step.outputs.push_back(Output::Open(stream, Endpoint::HttpTracker(remote)));
        let request = request(tracker, &place, proxy.as_ref(), whole_target, event, step);
        (stream, Self { place, redirects, proxy, request, answer: Vec::new(), is_local: false })
    }

    /// Whether a proxy is asked in the tracker's place.
    pub(super) const fn has_proxy(&self) -> bool {
        self.proxy.is_some()
    }

    pub(super) fn handle(
        &mut self,
        stream: SessionStreamId,
        input: ServerInput,
        tracker: &TrackerState,
        step: &mut AnnouncerContext<'_>,
    ) -> AttemptOutcome {
        let closed = match input {
            ServerInput::Opened(address) => {
                self.is_local = self.proxy.is_none() && is_local_network(address.ip());
                let (url, request) = (tracker.url.clone(), self.request.clone());
                step.outputs.push_back(Output::Event(Event::Announcing { url, request }));
                step.outputs.push_back(Output::Send(stream, self.request.clone()));
                return AttemptOutcome::Pending;
            }
            ServerInput::Received(bytes) => {
                if self.answer.len() + bytes.len() > MAX_ANSWER {
                    return AttemptOutcome::failed("a response of more than 2 MiB");
                }
                self.answer.extend_from_slice(&bytes);
                None
            }
            ServerInput::Closed(closing) => Some(closing),
        };
        let mut start = 0;
        let outcome = loop {
            let answer = &self.answer[start..];
            let length = match frame_response(answer, closed.is_some(), false) {
                Framing::Complete(length) => length,
                Framing::NotHttp(error) => {
                    break AttemptOutcome::failed(format!("the response is not HTTP: {error}"));
                }
                Framing::Incomplete | Framing::UntilClose => {
                    break closed.as_ref().map_or(AttemptOutcome::Pending, |closing| {
                        AttemptOutcome::failed(match (answer.is_empty(), &self.proxy) {
                            (true, None) => reason(closing),
                            (true, Some(proxy)) => format!("through the proxy {proxy}: {}", reason(closing)),
                            (false, _) => "the response was cut short".to_owned(),
                        })
                    });
                }
            };
            match Response::decode(&answer[..length]) {
                // 100 Continue comes before the answer proper, any number of times (RFC 9110, section 15.2).
                Ok(response) if (100..200).contains(&response.status) => start += length,
                Ok(response) => break self.read(&response, step),
                Err(error) => break AttemptOutcome::failed(format!("the response is not HTTP: {error}")),
            }
        };
        self.answer.drain(..start);
        outcome
    }

    fn read(&self, response: &Response, step: &AnnouncerContext<'_>) -> AttemptOutcome {
        let reply = response.reply();
        match response.status {
            200 => AttemptOutcome::of(reply),
            301 | 302 | 303 | 307 | 308 => self.redirect(response, step),
            // Some trackers refuse with a status of refusal.
            _ if matches!(reply, Reply::Failure { .. }) => AttemptOutcome::of(reply),
            status => {
                let who = match &self.proxy {
                    // A proxy says this of itself alone (RFC 9110, section 15.5.8).
                    Some(proxy) if status == 407 => format!("the proxy {proxy}"),
                    _ => "the tracker".to_owned(),
                };
                AttemptOutcome::failed(
                    format!("{who} responded with {status} {}", response.reason).trim_end(),
                )
            }
        }
    }

    fn redirect(&self, response: &Response, step: &AnnouncerContext<'_>) -> AttemptOutcome {
        let location = String::from_utf8_lossy(response.header("location").unwrap_or_default()).into_owned();
        let complaint =
            |what: &str| AttemptOutcome::failed(format!("the tracker redirects to {location:?}{what}"));
        if self.redirects >= MAX_REDIRECTS {
            return complaint(&format!(" after {MAX_REDIRECTS} redirects"));
        }
        let Some(place @ (ServerUrl::Http { .. } | ServerUrl::Https { .. })) = self.place.redirect(&location)
        else {
            return complaint("");
        };
        if !self.place.is_in_clear() && place.is_in_clear() {
            return complaint(", which is not encrypted");
        }
        match place.proxy(&step.config.proxies) {
            Ok(proxy) => AttemptOutcome::Elsewhere(Destination {
                whole_target: place.target().contains("info_hash="),
                // A server of the Internet leads to no local network; one that is in it may lead about in it.
                may_be_local: step.config.allow_local || self.is_local,
                place,
                proxy,
                redirects: self.redirects + 1,
            }),
            Err(reason) => AttemptOutcome::failed(reason),
        }
    }
}

fn request(
    tracker: &TrackerState,
    place: &ServerUrl,
    proxy: Option<&HttpProxy>,
    whole_target: bool,
    event: Option<tracker::Event>,
    step: &AnnouncerContext<'_>,
) -> Bytes {
    let (facts, profile) = (&step.facts, &step.config.profile.announce);
    let mut announce = Announce::new(tracker.info_hash(facts), facts.identity.peer_id);
    announce.port = Some(step.config.port);
    announce.uploaded = Some(facts.uploaded);
    announce.downloaded = Some(facts.downloaded);
    announce.left = Some(facts.left);
    announce.corrupt = Some(facts.corrupt);
    announce.redundant = Some(0);
    announce.key = Some(profile.key.spell(&facts.identity));
    let goes = event == Some(tracker::Event::Stopped);
    // BEP 21: in every announce, so that a tracker need not remember it.
    announce.event = if facts.is_partial_seed && !goes { Some(tracker::Event::Paused) } else { event };
    announce.numwant = Some(if goes { profile.numwant_stopped } else { profile.numwant });
    announce.compact = Some(profile.compact);
    announce.no_peer_id = Some(profile.no_peer_id);
    let policy = step.config.profile.encryption.policy;
    announce.supportcrypto = profile.supportcrypto.or((policy != EncryptionPolicy::Off).then_some(true));
    announce.requirecrypto = profile.requirecrypto.or((policy == EncryptionPolicy::Require).then_some(true));
    announce.others.clone_from(&profile.others);
    announce.trackerid.clone_from(&tracker.tracker_id);
    let mut style = profile.style.clone();
    // A proxy is asked for the whole URL (RFC 9112, section 3.2.2).
    let proxy = proxy.filter(|_| place.is_in_clear());
    let target = match proxy {
        Some(_) => format!("{}{}", place.origin(), place.target()),
        None => place.target().to_owned(),
    };
    style.path = target.as_bytes().to_vec();
    let mut bytes = style.encode_announce(&announce, &place.host());
    let authorization = place.credentials().map(|value| ("Authorization", value));
    let to_proxy = proxy.and_then(|proxy| proxy.authorization.clone());
    for (name, value) in authorization.into_iter().chain(to_proxy.map(|value| ("Proxy-Authorization", value)))
    {
        // After the last header stands an empty line.
        bytes.truncate(bytes.len() - 2);
        bytes.extend_from_slice(format!("{name}: {value}\r\n\r\n").as_bytes());
    }
    if !whole_target {
        return bytes.into();
    }
    // The place we were sent to has the query of the first request in it.
    let mut parts = bytes.splitn(3, |&byte| byte == b' ');
    let (method, _, rest) = (parts.next(), parts.next(), parts.next());
    let parts = [method.unwrap_or_default(), target.as_bytes(), rest.unwrap_or_default()];
    parts.join(&b' ').into()
}

/// Why there is no answer.
pub(in crate::session) fn reason(closing: &CloseReason) -> String {
    match closing {
        CloseReason::ByRemote => "the connection was closed without a response".to_owned(),
        CloseReason::Reset => "the connection was reset".to_owned(),
        CloseReason::Refused => "the connection was refused".to_owned(),
        CloseReason::TimedOut => "the connection timed out".to_owned(),
        CloseReason::Unresolved(why) => format!("the name cannot be resolved: {why}"),
        CloseReason::Local(address) => format!(
            "{address} is in a local network, where a torrent may ask for /announce alone unless local addresses are allowed"
        ),
        CloseReason::Failed(why) => why.clone(),
    }
}

/// An answer with 5,000 peers as dictionaries has less than 1 MiB.
const MAX_ANSWER: usize = 2 * 1024 * 1024;

/// As many as browsers and curl's users allow, and as reqwest does for trackers over https.
const MAX_REDIRECTS: u8 = 10;
