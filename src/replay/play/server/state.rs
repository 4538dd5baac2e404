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
use crate::play::replay_tracker::{ReplayTracker, Topic};
use crate::play::rewrite::recast_answer;

pub(super) struct Shared {
    pub(super) torrent: Arc<Metainfo>,
    pub(super) contents: RecordedPieces,
    pub(super) options: ServeOptions,
    pub(super) recorder: Recorder<Box<dyn Write>>,
    pub(super) failed: Option<io::Error>,
    pub(super) streams: u32,
    /// How many bytes the client has said.
    pub(super) heard: u64,
    pub(super) tracker: ReplayTracker,
    /// The recorded addresses of peers that listen here, and where.
    pub(super) places: BTreeMap<SocketAddr, SocketAddr>,
    /// The connections of each recorded peer that have not been played.
    pub(super) waiting: BTreeMap<SocketAddr, Vec<StreamId>>,
    /// Where the client listens.
    pub(super) client: Option<SocketAddr>,
    pub(super) plays: Vec<PeerRun>,
    pub(super) remarks: Vec<String>,
    pub(super) disturbed: bool,
    /// The recorded peers that have a connection, or had one.
    pub(super) started: BTreeSet<SocketAddr>,
    pub(super) signs: watch::Sender<ClientStatus>,
    pub(super) clock: (Timestamp, Instant),
}

impl Shared {
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

    /// The answer to a request to the tracker.
    pub(super) fn answer(
        this: &Rc<RefCell<Self>>,
        bytes: &[u8],
        client: SocketAddr,
        reference: &Rc<Transcript>,
    ) -> Vec<u8> {
        let refuse = |why: &str| {
            let body = format!("d14:failure reason{}:{why}e", why.len());
            encode_response(200, "OK", &[("Connection", "close")], body.as_bytes())
        };
        let Ok(request) = Request::decode(bytes) else { return refuse("this is no request to a tracker") };
        let mut shared = this.borrow_mut();
        if let RequestKind::Announce(announce) = request.kind() {
            if announce.info_hash != shared.torrent.info_hash {
                let remark = format!("the client announced another torrent, {}", announce.info_hash);
                shared.remarks.push(remark);
                return refuse("this is not the torrent of the capture");
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
                let remark = "the capture has no answer of an HTTP tracker: one was made up, with its peers"
                    .to_owned();
                if !shared.remarks.contains(&remark) {
                    shared.remarks.push(remark);
                }
                encode_response(200, "OK", &[], b"d8:intervali1800e5:peers0:e").into()
            }
            (None, _) => return refuse("the capture has no answer to this"),
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

    /// Records what the client says; whether it may go on.
    pub(super) fn client_says(&self, shared: &Rc<RefCell<Shared>>, bytes: &[u8]) -> bool {
        let mut all = shared.borrow_mut();
        all.heard += bytes.len() as u64;
        let most = MOST_HEARD + 2 * all.torrent.total();
        if all.heard > most {
            let remark = format!("the client said more than {} MiB: its connections were closed", most >> 20);
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

/// How much a client may say beside twice the content: no client has so much to say, and all of it is kept.
const MOST_HEARD: u64 = 32 << 20;
