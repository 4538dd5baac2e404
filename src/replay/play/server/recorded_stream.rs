//! A connection of a run in its recording.

use std::cell::RefCell;
use std::rc::Rc;

use bittrace_protocol::Timestamp;
use bittrace_protocol::mse::MseKey;
use bittrace_trace::{Direction, Flow, StreamClosing, StreamId, StreamOpening, Transport};

use super::state::Shared;
use crate::play::run_connection::RunConnection;

/// A connection in the recording.
pub(super) struct RecordedStream {
    /// Its number in the recorder.
    stream: StreamId,
    opened: Timestamp,
    flow: Flow,
    /// The direction in which the client sends.
    client: Direction,
    /// Over uTP the packets are recorded, and not what they carry.
    transport: Transport,
}

impl RecordedStream {
    /// One that begins now.
    pub(super) fn open(
        shared: &Rc<RefCell<Shared>>,
        flow: Flow,
        client: Direction,
        transport: Transport,
    ) -> Self {
        let mut shared = shared.borrow_mut();
        let stream = StreamId(shared.streams);
        shared.streams += 1;
        let now = shared.now();
        if transport == Transport::Tcp {
            let opened = shared.recorder.opened(now, stream, flow, StreamOpening::Syn);
            let opened = opened.and_then(|()| shared.recorder.established(now, stream));
            shared.note(opened);
        }
        Self { stream, opened: now, flow, client, transport }
    }

    /// What finds it in the recording.
    pub(super) const fn connection(&self) -> RunConnection {
        RunConnection { flow: self.flow, transport: self.transport, opened: self.opened }
    }

    /// Records bytes of the client; whether the client may go on.
    pub(super) fn client_says(&self, shared: &Rc<RefCell<Shared>>, bytes: &[u8]) -> bool {
        // Over uTP the packets were counted.
        if self.transport == Transport::Tcp && !shared.borrow_mut().hears(bytes.len()) {
            return false;
        }
        self.say(shared, self.client, bytes);
        true
    }

    /// Records a key, before the bytes that need it.
    pub(super) fn key(&self, shared: &Rc<RefCell<Shared>>, key: &MseKey) {
        let mut shared = shared.borrow_mut();
        let written = shared.recorder.mse_key(key, self.flow.initiator, self.flow.responder);
        shared.note(written);
    }

    /// Records bytes of the far end; whether they may be sent.
    pub(super) fn far_says(&self, shared: &Rc<RefCell<Shared>>, bytes: &[u8]) -> bool {
        if !shared.borrow_mut().goes_on() {
            return false;
        }
        self.say(shared, self.client.reverse(), bytes);
        true
    }

    fn say(&self, shared: &Rc<RefCell<Shared>>, direction: Direction, bytes: &[u8]) {
        let mut shared = shared.borrow_mut();
        if self.transport == Transport::Tcp {
            let now = shared.now();
            let said = shared.recorder.burst(now, self.stream, direction, bytes);
            shared.note(said);
        }
        shared.sign(|_| {});
    }

    pub(super) fn close(&self, shared: &Rc<RefCell<Shared>>, closing: StreamClosing) {
        if self.transport == Transport::Utp {
            return;
        }
        let mut shared = shared.borrow_mut();
        let now = shared.now();
        let closed = shared.recorder.closed(now, self.stream, closing);
        shared.note(closed);
    }
}
