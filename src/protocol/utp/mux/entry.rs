//! A connection of a port, and what the layer above has made of it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::MuxOutput;
use crate::Timestamp;
use crate::session::{CloseReason, SessionStreamId};
use crate::utp::{Connection, ConnectionEvent, Ending};
use crate::wire::HANDSHAKE_LENGTH;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) connection: Connection,
    pub(super) remote: SocketAddr,
    pub(super) is_incoming: bool,
    /// Whether it counts as half-open.
    pub(super) is_half_open: bool,
    /// Whether the layer above knows of it.
    pub(super) is_told: bool,
    /// Whether the layer above has closed it, or was told that it is over.
    pub(super) is_left: bool,
    pub(super) is_dirty: bool,
    pub(super) timer: Option<Timestamp>,
    /// How many bytes it holds.
    pub(super) held: usize,
    /// When it is given up, once it was closed.
    give_up_at: Option<Timestamp>,
    answer: Answer,
}

/// What follows our handshake when we answer a call.
#[derive(Debug)]
enum Answer {
    /// Nothing is written yet.
    NotBegun,
    /// It waits until the caller says more, or for this time: Transmission 3.00 does not look at what is behind a handshake in
    /// the same packet until more comes (LIVE.md 4.2).
    Waiting(Timestamp, Vec<Bytes>),
    /// It leaves at once.
    Direct,
}

impl Entry {
    pub(super) const fn opened(connection: Connection, remote: SocketAddr) -> Self {
        Self::new(connection, remote, false)
    }

    pub(super) const fn incoming(connection: Connection, remote: SocketAddr) -> Self {
        Self::new(connection, remote, true)
    }

    const fn new(connection: Connection, remote: SocketAddr, is_incoming: bool) -> Self {
        Self {
            connection,
            remote,
            is_incoming,
            is_half_open: is_incoming,
            is_told: !is_incoming,
            is_left: false,
            is_dirty: false,
            timer: None,
            held: 0,
            give_up_at: None,
            answer: if is_incoming { Answer::NotBegun } else { Answer::Direct },
        }
    }

    pub(super) fn write(&mut self, now: Timestamp, mut bytes: Bytes) {
        match &mut self.answer {
            Answer::NotBegun if bytes.len() > HANDSHAKE_LENGTH && bytes.starts_with(GREETING) => {
                self.connection.write(bytes.split_to(HANDSHAKE_LENGTH));
                self.answer = Answer::Waiting(now + ANSWER_AFTER, vec![bytes]);
            }
            Answer::Waiting(_, waiting) => waiting.push(bytes),
            Answer::NotBegun | Answer::Direct => {
                self.answer = Answer::Direct;
                self.connection.write(bytes);
            }
        }
    }

    fn write_what_waits(&mut self) {
        if let Answer::Waiting(_, waiting) = &mut self.answer {
            let waiting = std::mem::take(waiting);
            self.answer = Answer::Direct;
            waiting.into_iter().for_each(|bytes| self.connection.write(bytes));
        }
    }

    pub(super) fn close(&mut self, now: Timestamp) {
        self.is_left = true;
        self.write_what_waits();
        self.connection.close(now);
        self.give_up_at = Some(now + LINGER);
    }

    pub(super) fn abort(&mut self) {
        self.is_left = true;
        self.connection.abort();
    }

    pub(super) fn tick(&mut self, now: Timestamp) {
        self.connection.tick(now);
        if matches!(self.answer, Answer::Waiting(at, _) if at <= now) {
            self.write_what_waits();
        }
        if self.give_up_at.is_some_and(|at| at <= now) {
            self.give_up_at = None;
            self.connection.abort();
        }
    }

    pub(super) fn wakes_at(&self) -> Option<Timestamp> {
        let answer = if let Answer::Waiting(at, _) = self.answer { Some(at) } else { None };
        [self.connection.wakes_at(), self.give_up_at, answer].into_iter().flatten().min()
    }

    /// Tells what has happened on the connection: what came together as one.
    pub(super) fn take_events(
        &mut self,
        now: Timestamp,
        stream: SessionStreamId,
        outputs: &mut VecDeque<MuxOutput>,
    ) {
        let mut received = Vec::new();
        let (mut sent, mut closed) = (0, None);
        while let Some(event) = self.connection.poll() {
            match event {
                ConnectionEvent::Received(bytes) => received.push(bytes),
                ConnectionEvent::Sent(count) => sent += count,
                ConnectionEvent::Opened if self.is_left => {}
                ConnectionEvent::Opened => {
                    self.is_told = true;
                    outputs.push_back(match self.is_incoming {
                        true => MuxOutput::Accepted(stream, self.remote),
                        false => MuxOutput::Opened(stream, self.remote),
                    });
                }
                ConnectionEvent::Ended => closed = Some(CloseReason::ByRemote),
                ConnectionEvent::Closed(ending) => closed = closed.or(Some(reason(ending))),
            }
        }
        if self.is_left || !self.is_told {
            return;
        }
        if sent > 0 {
            outputs.push_back(MuxOutput::Sent(stream, sent));
        }
        if !received.is_empty() {
            outputs.push_back(MuxOutput::Received(stream, join(received)));
            // The handshake of the caller comes before ours, so that these bytes are behind it.
            self.write_what_waits();
        }
        if let Some(reason) = closed {
            outputs.push_back(MuxOutput::Closed(stream, reason));
            // The layer above leaves with that.
            self.close(now);
        }
    }

    /// Makes some of the packets that may leave; whether there are more.
    pub(super) fn transmit(&mut self, now: Timestamp, outputs: &mut VecDeque<MuxOutput>) -> bool {
        for _ in 0..PACKETS_AT_ONCE {
            let mut packet = Vec::new();
            let Some(fragment) = self.connection.transmit(now, &mut packet) else { return false };
            outputs.push_back(MuxOutput::Datagram(self.remote, packet.into(), fragment));
        }
        true
    }
}

/// Several pieces of bytes as one: a step of the layer above costs more than the copy.
fn join(mut received: Vec<Bytes>) -> Bytes {
    if received.len() == 1 {
        return received.swap_remove(0);
    }
    let mut all = BytesMut::with_capacity(received.iter().map(Bytes::len).sum());
    received.iter().for_each(|bytes| all.extend_from_slice(bytes));
    all.freeze()
}

const fn reason(ending: Ending) -> CloseReason {
    match ending {
        Ending::Finished => CloseReason::ByRemote,
        Ending::Refused => CloseReason::Refused,
        Ending::TimedOut => CloseReason::TimedOut,
        Ending::Reset | Ending::Lied | Ending::Aborted => CloseReason::Reset,
    }
}

/// How a handshake begins (BEP 3).
const GREETING: &[u8] = b"\x13BitTorrent protocol";
/// How long what is behind our handshake waits for the caller (LIVE.md 4.2).
const ANSWER_AFTER: Duration = Duration::from_millis(200);
/// How long what was said last may take to arrive, once a connection was closed.
const LINGER: Duration = Duration::from_secs(30);
/// So many packets of one connection leave before those of another one.
const PACKETS_AT_ONCE: usize = 32;
