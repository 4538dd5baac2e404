//! What the connections of a run share: the recording, the parts still to be played, and what is known of the client.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bittrace_protocol::tracker::Event;
use bittrace_protocol::tracker::http::{Request, RequestKind, encode_response};
use bittrace_protocol::{Metainfo, Timestamp};
use bittrace_trace::{Direction, Flow, Recorder, StreamClosing, StreamId, StreamOpening};
use tokio::sync::watch;
use tokio::task::spawn_local;

use super::{ClientStatus, PeerRun, ServeOptions, beside, call_client};
use crate::model::transcript::Transcript;
use crate::play::fault::FaultInjector;
use crate::play::pieces::RecordedPieces;
use crate::play::refusal::{MOST_REFUSALS, Refusal, RefusalAct, ReplayedEnd};
use crate::play::replay_tracker::{ReplayTracker, Topic};
use crate::play::rewrite::recast_answer;

pub(super) struct Shared {
    pub(super) torrent: Arc<Metainfo>,
    pub(super) contents: RecordedPieces,
    pub(super) options: ServeOptions,
    pub(super) recorder: Recorder<Box<dyn Write>>,
    pub(super) failed: Option<io::Error>,
    pub(super) streams: u32,
    /// How many bytes the client has sent.
    pub(super) heard: u64,
    pub(super) tracker: ReplayTracker,
    /// The recorded addresses of peers that listen here, and where.
    pub(super) places: BTreeMap<SocketAddr, SocketAddr>,
    /// The connections of each recorded peer that have not been played.
    pub(super) waiting: BTreeMap<SocketAddr, Vec<StreamId>>,
    /// Where the client listens.
    pub(super) client: Option<SocketAddr>,
    pub(super) plays: Vec<PeerRun>,
    pub(super) refusals: Vec<Refusal>,
    /// How much the tracker was asked.
    pub(super) asked: TrackerCounts,
    pub(super) remarks: Vec<String>,
    pub(super) disturbed: bool,
    /// The recorded peers that have a connection, or had one.
    pub(super) started: BTreeSet<SocketAddr>,
    pub(super) signs: watch::Sender<ClientStatus>,
    pub(super) clock: (Timestamp, Instant),
}

/// How many requests of each kind the tracker has had.
#[derive(Debug, Default)]
pub(super) struct TrackerCounts {
    /// Requests of any kind.
    pub(super) requests: u32,
    announces: u32,
    scrapes: u32,
}

impl TrackerCounts {
    /// Counts a request; its name, and which one of its name it is.
    fn count(&mut self, kind: Option<&RequestKind>) -> (&'static str, u32) {
        self.requests += 1;
        let (name, count) = match kind {
            Some(RequestKind::Announce(_) | RequestKind::NoTorrent(_)) => ("announce", &mut self.announces),
            Some(RequestKind::Scrape(_)) => ("scrape", &mut self.scrapes),
            Some(RequestKind::Other) | None => return ("request", self.requests),
        };
        *count += 1;
        (name, *count)
    }
}

impl Shared {
    /// Notes what a far end did not answer.
    pub(super) fn keep(&mut self, refusal: Refusal) {
        if self.refusals.len() < MOST_REFUSALS {
            self.refusals.push(refusal);
        }
    }

    /// Notes what the tracker did not answer.
    pub(super) fn refuse(
        &mut self,
        stream: Option<u32>,
        message: &'static str,
        nth: u32,
        did: RefusalAct,
        why: String,
    ) {
        self.keep(Refusal { by: ReplayedEnd::Tracker, stream, message, nth, did, why });
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.0 + self.clock.1.elapsed()
    }

    pub(super) fn sign(&self, change: impl FnOnce(&mut ClientStatus)) {
        self.signs.send_modify(|signs| {
            signs.last = Some(Instant::now());
            change(signs);
        });
    }

    /// Notes why the recording fails, the first time.
    pub(super) fn note(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.failed.get_or_insert(error);
        }
    }

    /// The address a recorded peer calls from.
    pub(super) fn source(&self, far: SocketAddr) -> IpAddr {
        let number = self.waiting.keys().position(|one| *one == far).unwrap_or(0);
        let place = self.places.get(&far).map(SocketAddr::ip);
        place.unwrap_or_else(|| beside(self.options.listen.ip(), number as u32 + 1))
    }

    pub(super) fn disturber(&self) -> Option<FaultInjector> {
        let what = self.options.disturb?;
        (!what.is_single() || !self.disturbed).then(|| FaultInjector::new(what))
    }

    /// The connection of a recorded peer to be played next: once all were, the last one again.
    pub(super) fn next_connection(shared: &Rc<RefCell<Self>>, far: SocketAddr) -> Option<StreamId> {
        let mut shared = shared.borrow_mut();
        shared.started.insert(far);
        let waiting = shared.waiting.get_mut(&far)?;
        if waiting.len() > 1 { Some(waiting.remove(0)) } else { waiting.first().copied() }
    }

    /// A connection is to be played again.
    pub(super) fn give_back(&mut self, (far, stream): (SocketAddr, StreamId)) {
        let waiting = self.waiting.entry(far).or_default();
        if waiting.first() != Some(&stream) {
            waiting.insert(0, stream);
        }
    }

    /// The answer to a request to the tracker, which came on this connection of the recording.
    pub(super) fn answer(
        this: &Rc<RefCell<Self>>,
        bytes: &[u8],
        stream: u32,
        client: SocketAddr,
        reference: &Rc<Transcript>,
    ) -> Vec<u8> {
        let mut shared = this.borrow_mut();
        let request = Request::decode(bytes);
        let kind = request.as_ref().ok().map(Request::kind);
        let (message, nth) = shared.asked.count(kind.as_ref());
        // `reason` is what the client is told, `why` what its author is told.
        let refuse = |shared: &mut Self, reason: &str, why: String| {
            shared.refuse(Some(stream), message, nth, RefusalAct::Refused, why);
            let body = format!("d14:failure reason{}:{reason}e", reason.len());
            encode_response(200, "OK", &[("Connection", "close")], body.as_bytes())
        };
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                let why = format!("it is not an HTTP request: wanted {}", error.wanted);
                return refuse(&mut shared, "this is not a request to a tracker", why);
            }
        };
        if let Some(RequestKind::NoTorrent(fault)) = &kind {
            let why = format!("it names no torrent: {} should be {}", fault.name, fault.wanted);
            return refuse(&mut shared, "info_hash is missing or malformed", why);
        }
        if let Some(RequestKind::Announce(announce)) = &kind {
            if announce.info_hash != shared.torrent.info_hash {
                let why = format!(
                    "its info_hash {} is not the reference's, {}",
                    announce.info_hash, shared.torrent.info_hash
                );
                return refuse(&mut shared, "this is not the torrent of the capture", why);
            }
            let listens = SocketAddr::new(client.ip(), announce.port.unwrap_or(0));
            let new =
                shared.client.is_none() && listens.port() != 0 && announce.event != Some(Event::Stopped);
            if new {
                shared.client = Some(listens);
                spawn_local(call_client(listens, reference.clone(), this.clone()));
            }
        }
        if let Topic::Announce(event) = Topic::of(&request) {
            shared.sign(|signs| signs.announced.push(event));
        }
        let answer = match (shared.tracker.answer(&request), Topic::of(&request)) {
            (Some(exchange), _) => exchange.answer,
            (None, Topic::Announce(_)) => {
                let remark =
                    "the reference has no response of an HTTP tracker: the replay made one up, with the reference's peers"
                        .to_owned();
                if !shared.remarks.contains(&remark) {
                    shared.remarks.push(remark);
                }
                encode_response(200, "OK", &[], b"d8:intervali1800e5:peers0:e").into()
            }
            (None, _) => {
                let why = "the reference has no response to such a request".to_owned();
                return refuse(&mut shared, "the capture has no answer to this", why);
            }
        };
        let places = &shared.places;
        let more: Vec<SocketAddr> = match Topic::of(&request) {
            Topic::Announce(None | Some(Event::Started)) => places.values().copied().collect(),
            _ => Vec::new(),
        };
        recast_answer(&answer, &|recorded| places.get(&recorded).copied(), &more)
    }
}

/// A connection in the recording.
pub(super) struct RecordedStream {
    pub(super) stream: StreamId,
    /// The direction in which the client sends.
    client: Direction,
}

impl RecordedStream {
    pub(super) fn open(shared: &Rc<RefCell<Shared>>, flow: Flow, client: Direction) -> Self {
        let mut shared = shared.borrow_mut();
        let stream = StreamId(shared.streams);
        shared.streams += 1;
        let now = shared.now();
        let opened = shared.recorder.opened(now, stream, flow, StreamOpening::Syn);
        let opened = opened.and_then(|()| shared.recorder.established(now, stream));
        shared.note(opened);
        Self { stream, client }
    }

    /// Records bytes of the client; whether the client may go on.
    pub(super) fn client_says(&self, shared: &Rc<RefCell<Shared>>, bytes: &[u8]) -> bool {
        let mut all = shared.borrow_mut();
        all.heard += bytes.len() as u64;
        let most = MOST_HEARD + 2 * all.torrent.total();
        if all.heard > most {
            let remark = format!("the client sent more than {} MiB: its connections were closed", most >> 20);
            if !all.remarks.contains(&remark) {
                all.remarks.push(remark);
            }
            return false;
        }
        drop(all);
        self.say(shared, self.client, bytes);
        true
    }

    pub(super) fn far_says(&self, shared: &Rc<RefCell<Shared>>, bytes: &[u8]) {
        self.say(shared, self.client.reverse(), bytes);
    }

    pub(super) fn say(&self, shared: &Rc<RefCell<Shared>>, direction: Direction, bytes: &[u8]) {
        let mut shared = shared.borrow_mut();
        let now = shared.now();
        let said = shared.recorder.burst(now, self.stream, direction, bytes);
        shared.note(said);
        shared.sign(|_| {});
    }

    pub(super) fn close(&self, shared: &Rc<RefCell<Shared>>, closing: StreamClosing) {
        let mut shared = shared.borrow_mut();
        let now = shared.now();
        let closed = shared.recorder.closed(now, self.stream, closing);
        shared.note(closed);
    }
}

/// How many bytes a client may send in addition to twice the content: no client needs more, and all of them are kept.
const MOST_HEARD: u64 = 32 << 20;
