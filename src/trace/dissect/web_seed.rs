//! The two directions of a connection to a web seed (BEP 19): requests for parts of a torrent's files one way, heads of
//! answers and the files' bytes the other. Bytes are shown in parts as they come, since an answer may be as long as a
//! file.

use std::collections::VecDeque;
use std::sync::Arc;

use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::tracker::http::{self, Framer, Framing};
use bittrace_protocol::web_seed;
use memchr::memmem;

use super::peer_wire::CHUNK;
use super::{Emitter, Loss};
use crate::lane::Lane;
use crate::record::{Body, FilePart, Protocol, Reason};
use crate::{Direction, Moment};

/// What each direction of the connection is in the middle of.
#[derive(Debug)]
pub(super) struct WebSeed {
    asker: Direction,
    torrent: Arc<Metainfo>,
    requests: Framer,
    /// What the requests that wait for their answers want, the oldest first; `None` for one of ordinary HTTP.
    asked: VecDeque<Option<Arc<FilePart>>>,
    answering: Answering,
    /// Whether a direction can be read no further: bytes were lost, or are no HTTP.
    lost: [bool; 2],
}

#[derive(Debug)]
enum Answering {
    Head,
    /// The body: what it holds where that is known, and how many bytes are left where that is known.
    Body {
        holds: Option<FilePart>,
        left: Option<u64>,
    },
}

const DAMAGED: Body = Body::Opaque(Protocol::WebSeed, Reason::Damaged);
const ORDINARY: Body = Body::Opaque(Protocol::WebSeed, Reason::OrdinaryHttp);

/// How many requests may wait for their answers.
const PIPELINE: usize = 1000;

/// How long the head of an answer may be.
const MAX_HEAD: usize = 64 * 1024;

impl WebSeed {
    /// A web seed's connection, when `first` is a request for a part of one of the torrents.
    pub(super) fn recognise(asker: Direction, first: &[u8], torrents: &[Arc<Metainfo>]) -> Option<Self> {
        if torrents.is_empty() {
            return None;
        }
        let request = http::Request::decode(first).ok()?;
        let torrent = torrents.iter().find(|torrent| web_seed::wanted(torrent, &request).is_some())?;
        Some(Self {
            asker,
            torrent: Arc::clone(torrent),
            requests: Framer::default(),
            asked: VecDeque::new(),
            answering: Answering::Head,
            lost: [false; 2],
        })
    }

    /// Turns the bytes that wait in `lane` into records, as far as they go.
    pub(super) fn advance(&mut self, direction: Direction, lane: &mut Lane, emitter: &mut Emitter<'_>) {
        while !lane.waiting().is_empty() && !self.lost[direction as usize] {
            let went_on = if direction == self.asker {
                self.request(direction, lane, emitter)
            } else {
                self.answer(direction, lane, emitter)
            };
            if !went_on {
                return;
            }
        }
        while self.lost[direction as usize] && lane.waiting().len() >= CHUNK {
            emitter.emit(direction, lane.take(CHUNK), DAMAGED);
        }
    }

    /// Takes in that the capture lost what comes next. Within a body of known length that is no loss of place.
    pub(super) fn gap(
        &mut self,
        moment: Moment,
        direction: Direction,
        loss: Loss,
        lane: &mut Lane,
        emitter: &mut Emitter<'_>,
    ) {
        self.flush(direction, lane, emitter);
        emitter.emit_gap(moment, direction, lane.offset(), loss.body(Protocol::WebSeed));
        lane.skip(loss.bytes());
        match (&self.answering, loss) {
            (Answering::Body { left: Some(left), .. }, Loss::Bytes(lost))
                if direction != self.asker && lost <= *left =>
            {
                self.passed(lost);
            }
            _ => self.lost[direction as usize] = true,
        }
    }

    /// Takes in that no more bytes come.
    pub(super) fn finish(&mut self, direction: Direction, lane: &mut Lane, emitter: &mut Emitter<'_>) {
        self.advance(direction, lane, emitter);
        self.flush(direction, lane, emitter);
    }

    /// Makes a record of the next request: whether it is whole.
    fn request(&mut self, direction: Direction, lane: &mut Lane, emitter: &mut Emitter<'_>) -> bool {
        let length = match self.requests.request(lane.waiting()) {
            Framing::Complete(length) => length,
            Framing::Incomplete | Framing::UntilClose => return false,
            Framing::NotHttp(_) => {
                self.lost[direction as usize] = true;
                return true;
            }
        };
        let taken = lane.take(length);
        let request = http::Request::decode(&taken.bytes).ok();
        let wanted = request.as_ref().and_then(|request| web_seed::wanted(&self.torrent, request));
        let part = wanted.map(|wanted| Arc::new(FilePart::new(&self.torrent, wanted)));
        if self.asked.len() < PIPELINE {
            self.asked.push_back(part.clone());
        }
        let body = match (request, part) {
            (Some(request), Some(part)) => Body::WebSeedRequest(Arc::new(request), part),
            (Some(_), None) => ORDINARY,
            (None, _) => DAMAGED,
        };
        emitter.emit(direction, taken, body);
        true
    }

    /// Makes a record of the next head of an answer, or of the next part of its body: whether it is whole.
    fn answer(&mut self, direction: Direction, lane: &mut Lane, emitter: &mut Emitter<'_>) -> bool {
        let waiting = lane.waiting();
        if let Answering::Body { left, .. } = &self.answering {
            let next = left.map_or(CHUNK, |left| usize::try_from(left).unwrap_or(CHUNK).min(CHUNK));
            if waiting.len() < next {
                return false;
            }
            self.data(direction, next, lane, emitter);
            return true;
        }
        // An answer may be captured before what it answers.
        if self.asked.is_empty() && waiting.len() < MAX_HEAD {
            return false;
        }
        let head = memmem::find(&waiting[..waiting.len().min(MAX_HEAD)], b"\r\n\r\n");
        let Some(end) = head.map(|end| end + 4) else {
            self.lost[direction as usize] =
                waiting.len() >= MAX_HEAD || http::looks_like_response(waiting) == Some(false);
            return self.lost[direction as usize];
        };
        let Ok(response) = http::Response::decode(&waiting[..end]) else {
            self.lost[direction as usize] = true;
            return true;
        };
        let asked = if response.status < 200 { None } else { self.asked.pop_front().flatten() };
        let left = body_length(&response);
        let holds = asked.as_deref().and_then(|part| match response.status {
            206 => Some(part.clone()),
            // The whole file, whatever was asked.
            200 => Some(FilePart { bytes: 0..u64::MAX, ..part.clone() }),
            _ => None,
        });
        self.answering = match left {
            Some(0) => Answering::Head,
            left => Answering::Body { holds, left },
        };
        let taken = lane.take(end);
        let body = match asked {
            Some(part) => Body::WebSeedResponse(Arc::new(response), part),
            None => ORDINARY,
        };
        emitter.emit(direction, taken, body);
        true
    }

    /// Makes a record of the next `length` bytes of a body.
    fn data(&mut self, direction: Direction, length: usize, lane: &mut Lane, emitter: &mut Emitter<'_>) {
        let body = match &self.answering {
            Answering::Body { holds: Some(part), .. } => {
                let end = part.bytes.start.saturating_add(length as u64);
                Body::WebSeedData(Arc::new(part.within(part.bytes.start..end, &self.torrent)))
            }
            _ => ORDINARY,
        };
        emitter.emit(direction, lane.take(length), body);
        self.passed(length as u64);
    }

    /// So many bytes of the body are done with.
    fn passed(&mut self, length: u64) {
        let Answering::Body { holds, left } = &mut self.answering else { return };
        if let Some(part) = holds {
            part.bytes.start = part.bytes.start.saturating_add(length);
        }
        if let Some(left) = left {
            *left = left.saturating_sub(length);
            if *left == 0 {
                self.answering = Answering::Head;
            }
        }
    }

    /// Makes one record of all that waits, though it is no whole message.
    fn flush(&mut self, direction: Direction, lane: &mut Lane, emitter: &mut Emitter<'_>) {
        let waiting = lane.waiting().len();
        if waiting == 0 {
            return;
        }
        if self.lost[direction as usize] {
            emitter.emit(direction, lane.take_all(), DAMAGED);
        } else if direction != self.asker && matches!(self.answering, Answering::Body { .. }) {
            self.data(direction, waiting, lane, emitter);
        } else {
            let unfinished = Body::Opaque(Protocol::WebSeed, Reason::Unfinished);
            emitter.emit(direction, lane.take_all(), unfinished);
        }
    }
}

/// How many bytes follow the head of an answer to a GET; `None` when only the end of the connection tells (RFC 9112,
/// section 6.3).
fn body_length(response: &http::Response) -> Option<u64> {
    if matches!(response.status, 100..200 | 204 | 304) {
        return Some(0);
    }
    if response.header("transfer-encoding").is_some() {
        return None;
    }
    std::str::from_utf8(response.header("content-length")?).ok()?.parse().ok()
}
