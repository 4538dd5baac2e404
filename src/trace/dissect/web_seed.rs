//! The two directions of a connection to a web seed: requests for parts of a torrent's files (BEP 19) or of its pieces
//! (BEP 17) one way, heads of answers and the bytes themselves the other. Bytes are shown in parts as they come, since
//! an answer may be as long as a file.

use std::collections::VecDeque;
use std::sync::Arc;

use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::tracker::http::{self, Framer, Framing};
use bittrace_protocol::web_seed::{self, WantedPiece};
use memchr::memmem;

use super::{CHUNK, Emitter, Loss, StreamGap};
use crate::Direction;
use crate::dissect::stream_buffer::StreamBuffer;
use crate::record::{Body, FilePart, Protocol, Reason, Unreadable, WebSeedBody};

/// What each direction of the connection is in the middle of.
#[derive(Debug)]
pub(super) struct WebSeed {
    asker: Direction,
    /// The torrent of BEP 19; BEP 17 needs none.
    torrent: Option<Arc<Metainfo>>,
    requests: Framer,
    /// What the requests that wait for their answers want, the oldest first; `None` for one of ordinary HTTP.
    asked: VecDeque<Option<ResponsePart>>,
    answering: Answering,
    /// Whether a direction can be read no further: bytes were lost, or are no HTTP.
    lost: [bool; 2],
}

/// What is asked for.
#[derive(Debug, Clone)]
enum ResponsePart {
    File(Arc<FilePart>),
    Piece(Arc<WantedPiece>),
}

#[derive(Debug)]
enum Answering {
    Head,
    /// The body: what it holds where that is known, and how many bytes are left where that is known.
    Body {
        holds: Option<BodyContent>,
        left: Option<u64>,
    },
}

/// What a body holds from here on: as many bytes of that as are left of it, what follows is nothing of the torrent.
#[derive(Debug)]
enum BodyContent {
    File(FilePart),
    /// What was asked, and how many bytes of it are done with.
    Piece(Arc<WantedPiece>, u64),
}

impl BodyContent {
    /// What an answer to `asked` holds. Only bytes that are sent as they stand are a file's: neither in chunks nor packed.
    fn of(asked: &ResponsePart, response: &http::Response, torrent: Option<&Metainfo>) -> Option<Self> {
        if !is_verbatim(response) {
            return None;
        }
        let part = match asked {
            ResponsePart::Piece(piece) if response.status == 200 => {
                return Some(Self::Piece(Arc::clone(piece), 0));
            }
            ResponsePart::Piece(_) => return None,
            ResponsePart::File(part) => part.as_ref(),
        };
        let length = torrent?.files.get(part.file)?.length;
        let bytes = match response.status {
            // The whole file, whatever was asked.
            200 => 0..length,
            206 => web_seed::content_range(response.header("content-range")?)?,
            _ => return None,
        };
        let bytes = bytes.start..bytes.end.min(length);
        (bytes.start < bytes.end).then(|| Self::File(FilePart { bytes, ..part.clone() }))
    }

    /// How many bytes are left of it.
    fn left(&self) -> u64 {
        match self {
            Self::File(part) => part.bytes.end.saturating_sub(part.bytes.start),
            Self::Piece(wanted, done) => wanted.length().unwrap_or(u32::MAX.into()).saturating_sub(*done),
        }
    }

    /// So many of them are done with.
    fn pass(&mut self, length: u64) {
        match self {
            Self::File(part) => part.bytes.start = part.bytes.start.saturating_add(length),
            Self::Piece(_, done) => *done = done.saturating_add(length),
        }
    }
}

const DAMAGED: Body = Body::Unreadable(Protocol::WebSeed, Unreadable::Opaque(Reason::Damaged));
const ORDINARY: Body = Body::Unreadable(Protocol::WebSeed, Unreadable::Opaque(Reason::OrdinaryHttp));

/// How many requests may wait for their answers.
const PIPELINE: usize = 1000;

/// How long the head of an answer may be.
const MAX_HEAD: usize = 64 * 1024;

impl WebSeed {
    /// A web seed's connection, when `first` is a request for a part of one of the torrents.
    pub(super) fn recognise(asker: Direction, first: &[u8], torrents: &[Arc<Metainfo>]) -> Option<Self> {
        let request = http::Request::decode(first).ok()?;
        let torrent = torrents.iter().find(|torrent| web_seed::wanted(torrent, &request).is_some());
        if torrent.is_none() && web_seed::wanted_piece(&request).is_none() {
            return None;
        }
        Some(Self {
            asker,
            torrent: torrent.map(Arc::clone),
            requests: Framer::default(),
            asked: VecDeque::new(),
            answering: Answering::Head,
            lost: [false; 2],
        })
    }

    /// Turns the bytes that wait in `lane` into records, as far as they go.
    pub(super) fn advance(
        &mut self,
        direction: Direction,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) {
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
        if self.lost[direction as usize] {
            emitter.emit_chunks(direction, lane, lane.waiting().len(), &DAMAGED);
        }
    }

    /// Takes in that the capture lost what comes next. Within a body of known length that is no loss of place.
    pub(super) fn gap(&mut self, gap: StreamGap, lane: &mut StreamBuffer, emitter: &mut Emitter<'_>) {
        let StreamGap { direction, loss, .. } = gap;
        self.flush(direction, lane, emitter);
        emitter.lose(gap, Protocol::WebSeed, lane);
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
    pub(super) fn finish(
        &mut self,
        direction: Direction,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) {
        self.advance(direction, lane, emitter);
        self.flush(direction, lane, emitter);
    }

    /// Makes a record of the next request: whether it is whole.
    fn request(&mut self, direction: Direction, lane: &mut StreamBuffer, emitter: &mut Emitter<'_>) -> bool {
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
        let part = request.as_ref().and_then(|request| self.part(request));
        if self.asked.len() < PIPELINE {
            self.asked.push_back(part.clone());
        }
        let body = match (request, part) {
            (Some(request), Some(ResponsePart::File(part))) => {
                Body::WebSeed(WebSeedBody::FileRequest(Arc::new(request), part))
            }
            (Some(request), Some(ResponsePart::Piece(piece))) => {
                Body::WebSeed(WebSeedBody::PieceRequest(Arc::new(request), piece))
            }
            (Some(_), None) => ORDINARY,
            (None, _) => DAMAGED,
        };
        emitter.emit(direction, taken, body);
        true
    }

    /// What a request asks for.
    fn part(&self, request: &http::Request) -> Option<ResponsePart> {
        if let Some(torrent) = &self.torrent
            && let Some(wanted) = web_seed::wanted(torrent, request)
        {
            return Some(ResponsePart::File(Arc::new(FilePart::new(torrent, wanted))));
        }
        web_seed::wanted_piece(request).map(|wanted| ResponsePart::Piece(Arc::new(wanted)))
    }

    /// Makes a record of the next head of an answer, or of the next part of its body: whether it is whole.
    fn answer(&mut self, direction: Direction, lane: &mut StreamBuffer, emitter: &mut Emitter<'_>) -> bool {
        let waiting = lane.waiting();
        if let Answering::Body { holds, left } = &self.answering {
            let ends = [*left, holds.as_ref().map(BodyContent::left)];
            let next = ends.into_iter().flatten().fold(CHUNK as u64, u64::min) as usize;
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
        // An empty line in front makes it none, however much has come.
        if http::looks_like_response(waiting) == Some(false) {
            self.lost[direction as usize] = true;
            return true;
        }
        let head = memmem::find(&waiting[..waiting.len().min(MAX_HEAD)], b"\r\n\r\n");
        let Some(end) = head.map(|end| end + 4) else {
            self.lost[direction as usize] = waiting.len() >= MAX_HEAD;
            return self.lost[direction as usize];
        };
        let Ok(response) = http::Response::decode(&waiting[..end]) else {
            self.lost[direction as usize] = true;
            return true;
        };
        let asked = if response.status < 200 { None } else { self.asked.pop_front().flatten() };
        let left = body_length(&response);
        let holds = asked.as_ref().and_then(|part| BodyContent::of(part, &response, self.torrent.as_deref()));
        self.answering = match left {
            Some(0) => Answering::Head,
            left => Answering::Body { holds, left },
        };
        let taken = lane.take(end);
        let body = match asked {
            Some(ResponsePart::File(part)) => {
                Body::WebSeed(WebSeedBody::FileResponse(Arc::new(response), part))
            }
            Some(ResponsePart::Piece(piece)) => {
                Body::WebSeed(WebSeedBody::PieceResponse(Arc::new(response), piece))
            }
            None => ORDINARY,
        };
        emitter.emit(direction, taken, body);
        true
    }

    /// Makes a record of the next `length` bytes of a body, which are no more than are left of what it holds.
    fn data(
        &mut self,
        direction: Direction,
        length: usize,
        lane: &mut StreamBuffer,
        emitter: &mut Emitter<'_>,
    ) {
        let body = match (&self.answering, &self.torrent) {
            (Answering::Body { holds: Some(BodyContent::File(part)), .. }, Some(torrent)) => {
                let end = part.bytes.start.saturating_add(length as u64);
                Body::WebSeed(WebSeedBody::FileData(Arc::new(part.within(part.bytes.start..end, torrent))))
            }
            (Answering::Body { holds: Some(BodyContent::Piece(wanted, done)), .. }, _) => {
                let ranges = wanted.within(*done..done.saturating_add(length as u64));
                let &WantedPiece { info_hash, piece, .. } = wanted.as_ref();
                Body::WebSeed(WebSeedBody::PieceData(Arc::new(WantedPiece { info_hash, piece, ranges })))
            }
            _ => ORDINARY,
        };
        emitter.emit(direction, lane.take(length), body);
        self.passed(length as u64);
    }

    /// So many bytes of the body are done with.
    fn passed(&mut self, length: u64) {
        let Answering::Body { holds, left } = &mut self.answering else { return };
        if let Some(held) = holds {
            held.pass(length);
            if held.left() == 0 {
                *holds = None;
            }
        }
        if let Some(left) = left {
            *left = left.saturating_sub(length);
            if *left == 0 {
                self.answering = Answering::Head;
            }
        }
    }

    /// Makes one record of all that waits, though it is no whole message.
    fn flush(&mut self, direction: Direction, lane: &mut StreamBuffer, emitter: &mut Emitter<'_>) {
        let waiting = lane.waiting().len();
        if waiting == 0 {
            return;
        }
        if self.lost[direction as usize] {
            emitter.emit(direction, lane.take_all(), DAMAGED);
        } else if direction != self.asker && matches!(self.answering, Answering::Body { .. }) {
            self.data(direction, waiting, lane, emitter);
        } else {
            let unfinished = Body::Unreadable(Protocol::WebSeed, Unreadable::Opaque(Reason::Unfinished));
            emitter.emit(direction, lane.take_all(), unfinished);
        }
    }
}

/// Whether the bytes of a body are those of what it holds (RFC 9112, section 6.1; RFC 9110, section 8.4).
fn is_verbatim(response: &http::Response) -> bool {
    let coding = response.header("content-encoding").unwrap_or_default().trim_ascii();
    response.header("transfer-encoding").is_none()
        && (coding.is_empty() || coding.eq_ignore_ascii_case(b"identity"))
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
    http::content_length(response.header("content-length")?)
}
