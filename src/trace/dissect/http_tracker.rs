//! The two directions of a connection to an HTTP tracker: requests one way, answers the other.

use std::collections::VecDeque;
use std::sync::Arc;

use bittrace_protocol::tracker::http::{self, Framer, Framing, RequestKind};

use super::{CHUNK, Emitter, StreamGap};
use crate::Direction;
use crate::dissect::stream_buffer::StreamBuffer;
use crate::record::{Body, HttpTrackerBody, Protocol, Reason, Unreadable};

/// What each direction of the connection is in the middle of.
#[derive(Debug)]
pub(super) struct HttpTracker {
    asker: Direction,
    /// Whether the requests were not captured.
    answers_alone: bool,
    framers: [Framer; 2],
    /// The requests that wait for their answers, the oldest first.
    asked: VecDeque<PendingRequest>,
    /// Whether a direction can be read no further: bytes were lost, or are no HTTP.
    lost: [bool; 2],
}

/// What the first request of a connection shows.
#[derive(Debug)]
pub(super) enum RequestVerdict {
    /// The connection is a tracker's.
    Tracker(HttpTracker),
    /// The answer must show it, and is not there yet.
    Undecided,
    /// It is no tracker's.
    Other,
}

/// What a request says of its answer.
#[derive(Debug, Clone, Copy)]
struct PendingRequest {
    /// It was a HEAD: the answer has no body.
    head: bool,
    /// It was an announce or a scrape: the answer is a tracker's.
    tracker: bool,
}

const DAMAGED: Body = Body::Unreadable(Protocol::HttpTracker, Unreadable::Opaque(Reason::Damaged));

/// How many requests may wait for their answers.
const PIPELINE: usize = 1000;

impl HttpTracker {
    /// Whether `first`, a request sent by `asker`, is one to a tracker. Where the request alone does not prove that,
    /// `answer` does: the bytes that came back so far, their framer, and whether they are all.
    pub(super) fn recognise(
        asker: Direction,
        first: &[u8],
        answer: (&[u8], &mut Framer, bool),
    ) -> RequestVerdict {
        let Ok(request) = http::Request::decode(first) else { return RequestVerdict::Other };
        match request.kind() {
            RequestKind::Other => RequestVerdict::Other,
            // Other sites have a page of this name too.
            RequestKind::NoTorrent(_)
                if request.parameter(b"info_hash").is_none()
                    || request.parameter(b"peer_id").is_none_or(|peer_id| peer_id.len() != 20) =>
            {
                Self::recognise_by_answer(asker, answer)
            }
            _ => RequestVerdict::Tracker(Self::of(asker, false)),
        }
    }

    /// A tracker's connection of which the requests were not captured, when `first` is an answer to `asker` that none
    /// but a tracker gives.
    pub(super) fn recognise_answer(asker: Direction, first: &[u8]) -> Option<Self> {
        is_a_trackers_answer(first).then(|| Self::of(asker, true))
    }

    /// A tracker's connection, when `bytes` of `asker` are the beginning of an announce or a scrape whose rest the capture
    /// lost. It must have come as far as the torrent's hash.
    pub(super) fn recognise_cut(asker: Direction, bytes: &[u8]) -> Option<Self> {
        if http::looks_like_request(bytes) != Some(true) {
            return None;
        }
        let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
        let mut words = line.split(|&byte| byte == b' ');
        let (method, target) = (words.next()?, words.next()?);
        let request = http::Request::decode(&[method, target, b"HTTP/1.1\r\n\r\n"].join(&b' ')).ok()?;
        let hash = request.parameter(b"info_hash")?;
        // The hash itself may be cut.
        let last = target.rsplit(|byte| matches!(byte, b'?' | b'&')).next().unwrap_or_default();
        let is_hash = hash.len() == 20 || words.next().is_none() && last.starts_with(b"info_hash=");
        let page = request.path().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let announces = method == b"GET" && page.starts_with(b"announce");
        (is_hash && (announces || request.kind() != RequestKind::Other)).then(|| Self::of(asker, false))
    }

    /// Whether an announce that names no torrent is answered as none but a tracker answers.
    fn recognise_by_answer(
        asker: Direction,
        (answered, framer, last): (&[u8], &mut Framer, bool),
    ) -> RequestVerdict {
        if http::looks_like_response(answered) == Some(false) {
            return RequestVerdict::Other;
        }
        match framer.response(answered, last, false) {
            Framing::Complete(length) if is_a_trackers_answer(&answered[..length]) => {
                RequestVerdict::Tracker(Self::of(asker, false))
            }
            Framing::Incomplete | Framing::UntilClose if !last => RequestVerdict::Undecided,
            _ => RequestVerdict::Other,
        }
    }

    fn of(asker: Direction, answers_alone: bool) -> Self {
        Self {
            asker,
            answers_alone,
            framers: Default::default(),
            asked: Default::default(),
            lost: [false; 2],
        }
    }

    /// The direction of the requests.
    pub(super) const fn asker(&self) -> Direction {
        self.asker
    }

    /// Turns the bytes that wait in `lane` into records, as far as they go.
    pub(super) fn advance(
        &mut self,
        direction: Direction,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) {
        // An answer may be captured before what it answers, and is not understood without it.
        let unasked = self.asked.is_empty() && !self.answers_alone;
        if direction != self.asker && unasked && lane.waiting().len() < CHUNK {
            return;
        }
        self.go_on(direction, lane, emitter);
    }

    fn go_on(&mut self, direction: Direction, lane: &mut StreamBuffer, emitter: &mut Emitter<'_>) {
        while !lane.waiting().is_empty() && !self.lost[direction as usize] {
            let framing = self.frame(direction, lane.waiting(), false);
            match framing {
                Framing::Complete(length) => self.message(direction, length, lane, emitter),
                Framing::Incomplete | Framing::UntilClose => return,
                Framing::NotHttp(_) => self.lost[direction as usize] = true,
            }
        }
        // There may be no end to them, so they do not wait for it.
        if self.lost[direction as usize] {
            emitter.emit_chunks(direction, lane, lane.waiting().len(), &DAMAGED);
        }
    }

    /// Takes in that the capture lost what comes next. Where the next HTTP message begins cannot be
    /// proved, so the direction is read no further.
    pub(super) fn gap(&mut self, gap: StreamGap, lane: &mut StreamBuffer, emitter: &mut Emitter<'_>) {
        let StreamGap { direction, .. } = gap;
        self.flush(direction, Reason::Cut(None), lane, emitter);
        emitter.lose(gap, Protocol::HttpTracker, lane);
        self.lost[direction as usize] = true;
    }

    /// Takes in that no more bytes come.
    pub(super) fn finish(
        &mut self,
        direction: Direction,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) {
        while !lane.waiting().is_empty() && !self.lost[direction as usize] {
            match self.frame(direction, lane.waiting(), true) {
                Framing::Complete(length) => self.message(direction, length, lane, emitter),
                Framing::NotHttp(_) => self.lost[direction as usize] = true,
                Framing::Incomplete | Framing::UntilClose => break,
            }
        }
        self.go_on(direction, lane, emitter);
        self.flush(direction, Reason::Unfinished, lane, emitter);
    }

    fn frame(&mut self, direction: Direction, bytes: &[u8], closed: bool) -> Framing {
        let framer = &mut self.framers[direction as usize];
        if direction == self.asker {
            return framer.request(bytes);
        }
        framer.response(bytes, closed, self.asked.front().is_some_and(|asked| asked.head))
    }

    fn message(
        &mut self,
        direction: Direction,
        length: usize,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) {
        let taken = lane.take(length);
        let ordinary = Body::Unreadable(Protocol::HttpTracker, Unreadable::Opaque(Reason::OrdinaryHttp));
        let body = if direction == self.asker {
            match http::Request::decode(&taken.bytes) {
                Ok(request) => {
                    let kind = request.kind();
                    let tracker = kind != RequestKind::Other;
                    if self.asked.len() < PIPELINE {
                        self.asked.push_back(PendingRequest { head: request.method() == b"HEAD", tracker });
                    }
                    if tracker {
                        Body::HttpTracker(HttpTrackerBody::Request(Arc::new(request), Arc::new(kind)))
                    } else {
                        ordinary
                    }
                }
                Err(_) => DAMAGED,
            }
        } else {
            match http::Response::decode(&taken.bytes) {
                Ok(response) => {
                    // 100 Continue comes before the answer proper.
                    let asked = if response.status < 200 { None } else { self.asked.pop_front() };
                    let reply = response.reply();
                    let alone = self.answers_alone && asked.is_none() && is_a_trackers(&response, &reply);
                    if alone || asked.is_some_and(|asked| asked.tracker) {
                        Body::HttpTracker(HttpTrackerBody::Response(Arc::new(response), Arc::new(reply)))
                    } else {
                        ordinary
                    }
                }
                Err(_) => DAMAGED,
            }
        };
        emitter.emit(direction, taken, body);
    }

    /// Makes one record of all that waits, though it is no whole message, for `reason` or since the direction was lost.
    fn flush(
        &mut self,
        direction: Direction,
        reason: Reason,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) {
        if lane.waiting().is_empty() {
            return;
        }
        let part = Body::Unreadable(Protocol::HttpTracker, Unreadable::Opaque(reason));
        let body = if self.lost[direction as usize] { DAMAGED } else { part };
        emitter.emit(direction, lane.take_all(), body);
    }
}

/// Whether `bytes` are a whole answer that none but a tracker gives.
fn is_a_trackers_answer(bytes: &[u8]) -> bool {
    http::Response::decode(bytes).is_ok_and(|response| is_a_trackers(&response, &response.reply()))
}

/// Whether an answer is a tracker's, whatever was asked: it refuses, or tells an interval and peers, or of torrents.
fn is_a_trackers(response: &http::Response, reply: &http::Reply) -> bool {
    match reply {
        http::Reply::Announce(announce) => {
            let names = response.reply_fields();
            announce.interval.is_some()
                && names.iter().any(|field| matches!(&*field.name, "peers" | "peers6"))
        }
        http::Reply::Scrape(scrape) => !scrape.files.is_empty() && scrape.faults.is_empty(),
        http::Reply::Failure { .. } => true,
        http::Reply::NotBencoded(_) => false,
    }
}
