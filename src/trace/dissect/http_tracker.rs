//! The two directions of a connection to an HTTP tracker: requests one way, answers the other.

use std::sync::Arc;

use bittrace_protocol::tracker::http::{self, Framing, RequestKind};

use super::Emitter;
use crate::lane::Lane;
use crate::record::{Body, Protocol, Reason};
use crate::{Direction, Moment};

/// What each direction of the connection is in the middle of.
#[derive(Debug)]
pub(super) struct HttpTracker {
    asker: Direction,
    /// Whether each request that waits for its answer is a HEAD, the oldest first.
    asked: std::collections::VecDeque<bool>,
    /// Whether a direction can be read no further: bytes were lost, or are no HTTP.
    lost: [bool; 2],
}

/// How many requests may wait for their answers.
const PIPELINE: usize = 1000;

impl HttpTracker {
    /// A tracker's connection, when `first` is a request to a tracker sent by `asker`.
    pub(super) fn recognise(asker: Direction, first: &[u8]) -> Option<Self> {
        let request = http::Request::decode(first).ok()?;
        if request.kind() == RequestKind::Other {
            return None;
        }
        Some(Self { asker, asked: Default::default(), lost: [false; 2] })
    }

    /// Turns the bytes that wait in `lane` into records, as far as they go.
    pub(super) fn advance(&mut self, direction: Direction, lane: &mut Lane, emitter: &mut Emitter<'_>) {
        while !lane.waiting().is_empty() && !self.lost[direction as usize] {
            let framing = self.frame(direction, lane.waiting(), false);
            match framing {
                Framing::Complete(length) => self.message(direction, length, lane, emitter),
                Framing::Incomplete | Framing::UntilClose => return,
                Framing::NotHttp(_) => self.lost[direction as usize] = true,
            }
        }
    }

    /// Takes in that the capture lost the next `length` bytes. Where the next HTTP message begins cannot be
    /// proved, so the direction is read no further.
    pub(super) fn gap(
        &mut self,
        moment: Moment,
        direction: Direction,
        length: u64,
        lane: &mut Lane,
        emitter: &mut Emitter<'_>,
    ) {
        self.flush(direction, lane, emitter);
        let gap = Body::Gap(Protocol::HttpTracker, length);
        emitter.emit_gap(moment, direction, lane.offset(), gap);
        lane.skip(length);
        self.lost[direction as usize] = true;
    }

    /// Takes in that no more bytes come.
    pub(super) fn finish(&mut self, direction: Direction, lane: &mut Lane, emitter: &mut Emitter<'_>) {
        while !lane.waiting().is_empty() && !self.lost[direction as usize] {
            let Framing::Complete(length) = self.frame(direction, lane.waiting(), true) else { break };
            self.message(direction, length, lane, emitter);
        }
        self.flush(direction, lane, emitter);
    }

    fn frame(&self, direction: Direction, bytes: &[u8], closed: bool) -> Framing {
        if direction == self.asker {
            return http::frame_request(bytes);
        }
        http::frame_response(bytes, closed, self.asked.front().is_some_and(|&head| head))
    }

    fn message(&mut self, direction: Direction, length: usize, lane: &mut Lane, emitter: &mut Emitter<'_>) {
        let taken = lane.take(length);
        let damaged = Body::Opaque(Protocol::HttpTracker, Reason::Damaged);
        let body = if direction == self.asker {
            match http::Request::decode(&taken.bytes) {
                Ok(request) => {
                    if self.asked.len() < PIPELINE {
                        self.asked.push_back(request.method() == b"HEAD");
                    }
                    match request.kind() {
                        RequestKind::Other => Body::Opaque(Protocol::HttpTracker, Reason::OrdinaryHttp),
                        kind => Body::HttpRequest(Arc::new(request), Arc::new(kind)),
                    }
                }
                Err(_) => damaged,
            }
        } else {
            match http::Response::decode(&taken.bytes) {
                Ok(response) => {
                    // 100 Continue comes before the answer proper.
                    if response.status >= 200 {
                        self.asked.pop_front();
                    }
                    let reply = response.reply();
                    Body::HttpResponse(Arc::new(response), Arc::new(reply))
                }
                Err(_) => damaged,
            }
        };
        emitter.emit(direction, taken, body);
    }

    /// Makes one record of all that waits, though it is no whole message.
    fn flush(&mut self, direction: Direction, lane: &mut Lane, emitter: &mut Emitter<'_>) {
        if lane.waiting().is_empty() {
            return;
        }
        let reason = if self.lost[direction as usize] { Reason::Damaged } else { Reason::Unfinished };
        emitter.emit(direction, lane.take_all(), Body::Opaque(Protocol::HttpTracker, reason));
    }
}
