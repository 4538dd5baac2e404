//! A connection of a port, and what the layer above has made of it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::MuxOutput;
use crate::Timestamp;
use crate::session::{CloseReason, SessionStreamId};
use crate::utp::{Connection, ConnectionEvent, Ending};

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
    pause: Option<Pause>,
}

/// Until when what is written waits, unless the other end sends something before.
#[derive(Debug)]
struct Pause {
    ends_at: Timestamp,
    waiting: Vec<Bytes>,
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
            pause: None,
        }
    }

    pub(super) fn write(&mut self, bytes: Bytes) {
        match &mut self.pause {
            Some(pause) => pause.waiting.push(bytes),
            None => self.connection.write(bytes),
        }
    }

    pub(super) fn pause(&mut self, now: Timestamp) {
        if self.is_incoming && self.pause.is_none() {
            self.pause = Some(Pause { ends_at: now + LONGEST_PAUSE, waiting: Vec::new() });
        }
    }

    fn resume(&mut self) {
        let waiting = self.pause.take().map(|pause| pause.waiting);
        waiting.into_iter().flatten().for_each(|bytes| self.connection.write(bytes));
    }

    pub(super) fn close(&mut self, now: Timestamp) {
        self.is_left = true;
        self.resume();
        self.connection.close(now);
        self.give_up_at = Some(now + LINGER);
    }

    pub(super) fn abort(&mut self) {
        self.is_left = true;
        self.connection.abort();
    }

    pub(super) fn tick(&mut self, now: Timestamp) {
        self.connection.tick(now);
        if self.pause.as_ref().is_some_and(|pause| pause.ends_at <= now) {
            self.resume();
        }
        if self.give_up_at.is_some_and(|at| at <= now) {
            self.give_up_at = None;
            self.connection.abort();
        }
    }

    pub(super) fn wakes_at(&self) -> Option<Timestamp> {
        let pause = self.pause.as_ref().map(|pause| pause.ends_at);
        [self.connection.wakes_at(), self.give_up_at, pause].into_iter().flatten().min()
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
            self.resume();
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

/// How long what is written waits for the other end (LIVE.md 4.2).
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// How long what was said last may take to arrive, once a connection was closed.
const LINGER: Duration = Duration::from_secs(30);
/// So many packets of one connection leave before those of another one.
const PACKETS_AT_ONCE: usize = 32;
