//! All uTP connections of one UDP port: which datagram belongs to which of them, who may begin one, and how much they hold
//! together. Like a [`Connection`], it is told the time and does nothing by itself.

mod entry;
mod half_open;
mod recent;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;

use super::connection::RECEIVE_WINDOW;
use super::{Connection, Draw, Fragment, Header, Kind};
use crate::Timestamp;
use crate::secret_stream::SecretStream;
use crate::session::{CloseReason, SessionStreamId};

use entry::Entry;
use half_open::HalfOpen;
use recent::RecentConnections;

/// The connections of a port.
#[derive(Debug)]
pub struct Mux {
    connections: BTreeMap<SessionStreamId, Entry>,
    /// By who sends, and the id that the packets have.
    by_id: BTreeMap<(SocketAddr, u16), SessionStreamId>,
    timers: BTreeSet<(Timestamp, SessionStreamId)>,
    /// Connections that have something to tell or to send.
    dirty: VecDeque<SessionStreamId>,
    outputs: VecDeque<MuxOutput>,
    half_open: HalfOpen,
    recent: RecentConnections,
    /// How many bytes wait on all connections, and how many may.
    held: usize,
    room: usize,
    is_writable: bool,
    now: Timestamp,
    secret: [u8; 32],
    draws: u32,
    /// The number that the next connection gets that somebody else opens.
    next_incoming: u32,
}

/// What a mux tells and wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MuxOutput {
    /// A connection that we began is open, to this address.
    Opened(SessionStreamId, SocketAddr),
    /// Somebody has opened a connection, and said something on it.
    Accepted(SessionStreamId, SocketAddr),
    /// The next bytes of a connection.
    Received(SessionStreamId, Bytes),
    /// So many bytes of what was written have left.
    Sent(SessionStreamId, usize),
    /// A connection is over, or could not be opened.
    Closed(SessionStreamId, CloseReason),
    /// Send a datagram.
    Datagram(SocketAddr, Bytes, Fragment),
}

impl Mux {
    /// A port without connections. What its connections draw at random follows from the secret.
    pub const fn new(secret: [u8; 32], now: Timestamp) -> Self {
        Self {
            connections: BTreeMap::new(),
            by_id: BTreeMap::new(),
            timers: BTreeSet::new(),
            dirty: VecDeque::new(),
            outputs: VecDeque::new(),
            half_open: HalfOpen::new(),
            recent: RecentConnections::new(),
            held: 0,
            room: MOST_HELD,
            is_writable: true,
            now,
            secret,
            draws: 0,
            next_incoming: u32::MAX,
        }
    }

    /// Begins a connection.
    pub fn open(&mut self, stream: SessionStreamId, remote: SocketAddr) {
        self.begin(stream, remote, Connection::connect);
    }

    /// Begins a connection to an end that begins one to us at the same time (BEP 55).
    pub fn punch(&mut self, stream: SessionStreamId, remote: SocketAddr) {
        self.begin(stream, remote, Connection::punch);
    }

    fn begin(
        &mut self,
        stream: SessionStreamId,
        remote: SocketAddr,
        make: fn(u16, Draw, usize) -> Connection,
    ) {
        let (id, draw) = loop {
            let (id, draw) = self.draw();
            if !self.by_id.contains_key(&(remote, id)) {
                break (id, draw);
            }
        };
        let connection = make(id, draw, headers(remote));
        self.add(stream, Entry::opened(connection, remote));
    }

    /// Whether the stream is a connection of this port, which has not been closed.
    pub fn has(&self, stream: SessionStreamId) -> bool {
        self.connections.get(&stream).is_some_and(|entry| !entry.is_left)
    }

    /// The address at the other end of a connection, and whether we began it.
    pub fn ends(&self, stream: SessionStreamId) -> Option<(SocketAddr, bool)> {
        self.connections.get(&stream).map(|entry| (entry.remote, !entry.is_incoming))
    }

    /// Adds bytes to what is sent on a connection.
    pub fn write(&mut self, stream: SessionStreamId, bytes: Bytes) {
        self.with(stream, |entry| entry.write(bytes));
    }

    /// What is written from now on, on a connection that the other end began, waits until more of the other end comes, 200 ms at
    /// most: it shares no packet with what was written before.
    pub fn pause(&mut self, stream: SessionStreamId) {
        let now = self.now;
        self.with(stream, |entry| entry.pause(now));
    }

    /// Closes a connection once all that was written has arrived. Nothing more is told of it.
    pub fn close(&mut self, stream: SessionStreamId) {
        let now = self.now;
        self.with(stream, |entry| entry.close(now));
    }

    /// Ends a connection at once. Nothing more is told of it.
    pub fn abort(&mut self, stream: SessionStreamId) {
        self.with(stream, Entry::abort);
    }

    fn with(&mut self, stream: SessionStreamId, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.connections.get_mut(&stream)
            && !entry.is_left
        {
            change(entry);
            self.mark(stream);
        }
    }

    /// Whether nothing is left to be sent or acknowledged on the connections that were closed.
    pub fn is_quiet(&self) -> bool {
        self.connections.values().all(|entry| !entry.is_left || entry.connection.unsent() == 0)
    }

    /// Says whether the port takes datagrams. While it does not, none is made: what was never sent is not lost.
    pub fn set_writable(&mut self, is_writable: bool) {
        if is_writable && !self.is_writable {
            self.mark_all();
        }
        self.is_writable = is_writable;
    }

    /// Says how many bytes may be held for the layer above: 32 MiB at most. The windows of all connections shrink with it.
    pub fn set_room(&mut self, room: usize) {
        let room = room.min(MOST_HELD);
        if self.room < RECEIVE_WINDOW && room >= RECEIVE_WINDOW {
            self.mark_all();
        }
        self.room = room;
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Timestamp) {
        self.now = now;
        while let Some(&(at, stream)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(entry) = self.connections.get_mut(&stream) {
                entry.timer = None;
            }
            self.mark(stream);
        }
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        self.timers.first().map(|&(at, _)| at)
    }

    /// Takes a datagram; whether it is a packet of uTP.
    pub fn handle(&mut self, now: Timestamp, from: SocketAddr, packet: &Bytes) -> bool {
        self.tick(now);
        let Ok(header) = Header::decode(packet) else { return false };
        match self.find(from, &header) {
            Some(stream) => {
                let room = self.room.saturating_sub(self.held);
                if let Some(entry) = self.connections.get_mut(&stream) {
                    entry.connection.set_capacity(entry.held + room);
                    entry.connection.handle(now, &header, packet);
                    self.held = self.held + entry.connection.held() - entry.held;
                    entry.held = entry.connection.held();
                }
                self.mark(stream);
            }
            None if header.kind == Kind::Syn => self.on_syn(from, &header),
            None if header.kind == Kind::Reset => {}
            None => {
                if let Some(answer) = self.recent.answer(now, from, &header) {
                    self.outputs.push_back(MuxOutput::Datagram(from, answer.into(), Fragment::Allowed));
                }
            }
        }
        true
    }

    fn find(&self, from: SocketAddr, header: &Header) -> Option<SessionStreamId> {
        let id = header.connection;
        let by_id = |id| self.by_id.get(&(from, id)).copied();
        match header.kind {
            // The packets that follow have the next id.
            Kind::Syn => by_id(id.wrapping_add(1)),
            // Who does not know a connection sends its RESET with the id of the packet that came.
            Kind::Reset => by_id(id).or_else(|| {
                let others = [id.wrapping_sub(1), id.wrapping_add(1)].into_iter().filter_map(by_id);
                others.into_iter().find(|stream| {
                    self.connections.get(stream).is_some_and(|entry| entry.connection.send_id() == id)
                })
            }),
            _ => by_id(id),
        }
    }

    fn on_syn(&mut self, from: SocketAddr, syn: &Header) {
        if self.connections.len() >= MOST_CONNECTIONS || !self.half_open.enter(from.ip()) {
            return;
        }
        let stream = SessionStreamId(self.next_incoming);
        self.next_incoming = self.next_incoming.wrapping_sub(2);
        let (_, draw) = self.draw();
        let connection = Connection::accept(self.now, syn, draw, headers(from));
        self.add(stream, Entry::incoming(connection, from));
    }

    fn add(&mut self, stream: SessionStreamId, entry: Entry) {
        self.by_id.insert((entry.remote, entry.connection.receive_id()), stream);
        self.connections.insert(stream, entry);
        self.mark(stream);
    }

    fn draw(&mut self) -> (u16, Draw) {
        self.draws = self.draws.wrapping_add(1);
        let mut stream = SecretStream::new(self.secret, "micro transport protocol", self.draws);
        let id = u16::from_be_bytes(stream.array());
        (id, Draw { sequence: u16::from_be_bytes(stream.array()), seed: u64::from_be_bytes(stream.array()) })
    }

    fn mark(&mut self, stream: SessionStreamId) {
        if let Some(entry) = self.connections.get_mut(&stream)
            && !std::mem::replace(&mut entry.is_dirty, true)
        {
            self.dirty.push_back(stream);
        }
    }

    fn mark_all(&mut self) {
        let all: Vec<_> = self.connections.keys().copied().collect();
        all.into_iter().for_each(|stream| self.mark(stream));
    }

    /// The next thing to be done or to be told, as of the last [`tick`](Self::tick).
    pub fn poll(&mut self) -> Option<MuxOutput> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            let stream = self.dirty.pop_front()?;
            self.settle(stream);
        }
    }

    /// Takes what a connection has to tell and to send.
    fn settle(&mut self, stream: SessionStreamId) {
        let now = self.now;
        let Some(entry) = self.connections.get_mut(&stream) else { return };
        entry.is_dirty = false;
        entry.connection.set_capacity(entry.held + self.room.saturating_sub(self.held));
        entry.tick(now);
        entry.take_events(now, stream, &mut self.outputs);
        if entry.is_half_open && !entry.connection.is_half_open() {
            entry.is_half_open = false;
            self.half_open.leave(entry.remote.ip());
        }
        self.held = self.held + entry.connection.held() - entry.held;
        entry.held = entry.connection.held();
        entry.connection.set_capacity(entry.held + self.room.saturating_sub(self.held));
        let mut has_more = false;
        if self.is_writable {
            has_more = entry.transmit(now, &mut self.outputs);
            // What has left is told.
            entry.take_events(now, stream, &mut self.outputs);
        }
        if entry.connection.is_over() && !has_more {
            self.forget(stream);
            return;
        }
        let soon = now + SOON;
        let wakes = entry.wakes_at().map(|at| if self.is_writable { at } else { at.max(soon) });
        if entry.timer != wakes {
            if let Some(before) = entry.timer {
                self.timers.remove(&(before, stream));
            }
            entry.timer = wakes;
            self.timers.extend(wakes.map(|at| (at, stream)));
        }
        if has_more {
            self.mark(stream);
        }
    }

    fn forget(&mut self, stream: SessionStreamId) {
        let Some(entry) = self.connections.remove(&stream) else { return };
        if let Some(at) = entry.timer {
            self.timers.remove(&(at, stream));
        }
        if entry.is_half_open {
            self.half_open.leave(entry.remote.ip());
        }
        self.held -= entry.held;
        let connection = &entry.connection;
        self.by_id.remove(&(entry.remote, connection.receive_id()));
        if entry.is_told {
            self.recent.add(entry.remote, connection.receive_id(), connection.send_id());
        }
    }
}

/// The bytes that IP and UDP take of a packet to this address.
const fn headers(remote: SocketAddr) -> usize {
    if remote.is_ipv4() { 20 + 8 } else { 40 + 8 }
}

/// How many bytes wait on all connections together at most (LIVE.md 4.2).
const MOST_HELD: usize = 32 * 1024 * 1024;
/// How many connections there are at most, half-open ones among them.
const MOST_CONNECTIONS: usize = 1_000;
/// How soon a connection is asked again that may not send.
const SOON: std::time::Duration = std::time::Duration::from_millis(100);
