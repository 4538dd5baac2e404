//! The connections over uTP of a play without sockets: the client's multiplexer, one of each recorded peer, and a link between
//! them that loses nothing and takes half of the recorded round trip each way. It does no I/O.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bittrace_protocol::Timestamp;
use bittrace_protocol::session::{Input, SessionStreamId};
use bittrace_protocol::utp::{Mux, MuxOutput};
use bytes::Bytes;

use crate::model::transcript::Conversation;

/// All connections over uTP of a play. The client's streams have the numbers of its session.
#[derive(Debug)]
pub(super) struct UtpLink {
    near: Mux,
    far: BTreeMap<SocketAddr, FarPort>,
    streams: BTreeMap<SessionStreamId, LinkedStream>,
    under_way: BTreeMap<(Timestamp, u64), Passage>,
    /// How many datagrams are under way.
    datagrams: usize,
    /// How many passages there were.
    passages: u64,
    /// How many connections recorded peers have begun.
    called: u32,
    events: VecDeque<LinkEvent>,
    secret: [u8; 32],
    now: Timestamp,
}

/// What happens on the link.
#[derive(Debug)]
pub(super) enum LinkEvent {
    /// What happens to the client's session.
    Near(Input),
    /// The peer that had this address in the reference has connected to the client, and sent something.
    Called(SessionStreamId, SocketAddr),
    /// The recorded peer could not connect to the client.
    Unreached(SocketAddr),
    /// The recorded peer on this stream receives bytes.
    Heard(SessionStreamId, Bytes),
    /// The recorded peer on this stream has received everything: the client has closed it.
    Over(SessionStreamId),
    /// The client sends or receives a datagram, from the first address to the second.
    Datagram(SocketAddr, SocketAddr, Bytes),
}

/// The UDP port of a recorded peer.
#[derive(Debug)]
struct FarPort {
    mux: Mux,
    /// The client's address, as the peer sees it.
    local: SocketAddr,
    /// How long a datagram takes.
    delay: Duration,
    /// The client's streams that the peer has not accepted yet.
    dialled: VecDeque<SessionStreamId>,
    /// The peer's streams that the client has not accepted yet.
    calling: VecDeque<SessionStreamId>,
    /// The client's stream of each of the peer's.
    near: BTreeMap<SessionStreamId, SessionStreamId>,
}

/// A connection, from the client's side.
#[derive(Debug)]
struct LinkedStream {
    far: SocketAddr,
    /// The number of the stream at the peer, once it is known.
    theirs: Option<SessionStreamId>,
    /// How many bytes of each end have not left yet: the client's, then the peer's.
    unsent: [usize; 2],
    /// When the peer writes last.
    last: Timestamp,
    /// What the peer said before it accepted the connection.
    early: Vec<Bytes>,
    /// Whether the client has said anything.
    has_said: bool,
}

impl LinkedStream {
    const fn new(far: SocketAddr, theirs: Option<SessionStreamId>, now: Timestamp) -> Self {
        Self { far, theirs, unsent: [0; 2], last: now, early: Vec::new(), has_said: false }
    }

    /// The peer sends bytes on this connection, which is `theirs` to it.
    fn write_far(&mut self, mux: &mut Mux, theirs: SessionStreamId, bytes: Bytes) {
        self.unsent[FAR] += bytes.len();
        mux.write(theirs, bytes);
    }
}

/// What is under way, or is to be done later.
#[derive(Debug)]
enum Passage {
    ToNear(SocketAddr, Bytes),
    ToFar(SocketAddr, Bytes),
    /// The recorded peer on this stream sends bytes.
    Write(SessionStreamId, Bytes),
}

impl UtpLink {
    /// A link without connections. What its ends draw at random follows from the secret.
    pub(super) const fn new(secret: [u8; 32], now: Timestamp) -> Self {
        Self {
            near: Mux::new(secret, now),
            far: BTreeMap::new(),
            streams: BTreeMap::new(),
            under_way: BTreeMap::new(),
            datagrams: 0,
            passages: 0,
            called: 0,
            events: VecDeque::new(),
            secret,
            now,
        }
    }

    /// Whether a stream is a connection of the link that the client has not left.
    pub(super) fn has(&self, stream: SessionStreamId) -> bool {
        self.streams.contains_key(&stream)
    }

    fn port(&mut self, conversation: &Conversation) -> &mut FarPort {
        let (secret, now, number) = (self.secret, self.now, self.far.len());
        self.far.entry(conversation.far()).or_insert_with(|| {
            let mut secret = secret;
            // Two ports that draw the same numbers would be no fault, but are easily confused.
            secret.iter_mut().zip((number as u64 + 1).to_be_bytes()).for_each(|(byte, other)| *byte ^= other);
            FarPort {
                mux: Mux::new(secret, now),
                local: conversation.local_address(),
                delay: one_way(conversation),
                dialled: VecDeque::new(),
                calling: VecDeque::new(),
                near: BTreeMap::new(),
            }
        })
    }

    /// The client connects to the far end of a conversation.
    pub(super) fn open(&mut self, stream: SessionStreamId, conversation: &Conversation, now: Timestamp) {
        self.pass(now);
        let far = conversation.far();
        self.port(conversation).dialled.push_back(stream);
        self.streams.insert(stream, LinkedStream::new(far, None, now));
        self.near.open(stream, far);
    }

    /// The far end of a conversation connects to the client, and sends these bytes first.
    pub(super) fn call(&mut self, conversation: &Conversation, bytes: Bytes, now: Timestamp) {
        self.pass(now);
        let stream = SessionStreamId(self.called * 2);
        self.called += 1;
        let port = self.port(conversation);
        port.calling.push_back(stream);
        port.mux.tick(now);
        port.mux.open(stream, port.local);
        port.mux.write(stream, bytes);
    }

    /// The client sends bytes.
    pub(super) fn write(&mut self, stream: SessionStreamId, bytes: Bytes, now: Timestamp) {
        self.pass(now);
        if let Some(line) = self.streams.get_mut(&stream) {
            line.unsent[NEAR] += bytes.len();
            line.has_said = true;
            self.near.write(stream, bytes);
        }
    }

    /// What the client sends from now on waits for the peer, as [`Mux::pause`] says.
    pub(super) fn pause(&mut self, stream: SessionStreamId, now: Timestamp) {
        self.pass(now);
        self.near.pause(stream);
    }

    /// The recorded peer on this stream sends bytes, so that they arrive at `at` where that is possible.
    pub(super) fn say(&mut self, stream: SessionStreamId, bytes: Bytes, at: Timestamp, now: Timestamp) {
        self.pass(now);
        let Some(line) = self.streams.get_mut(&stream) else { return };
        let delay = self.far.get(&line.far).map_or(0, |port| port.delay.as_nanos() as i64);
        let leaves = Timestamp::from_nanos(at.as_nanos().saturating_sub(delay)).max(now).max(line.last);
        line.last = leaves;
        self.under_way.insert((leaves, self.passages), Passage::Write(stream, bytes));
        self.passages += 1;
    }

    /// When the recorded peer on this stream has sent, or will send, what it said last.
    pub(super) fn last_said(&self, stream: SessionStreamId) -> Option<Timestamp> {
        self.streams.get(&stream).map(|line| line.last)
    }

    /// The client leaves a connection: what it has sent still arrives, and it receives nothing more.
    pub(super) fn close(&mut self, stream: SessionStreamId, now: Timestamp) {
        self.pass(now);
        let Some(line) = self.streams.remove(&stream) else { return };
        self.near.close(stream);
        if line.theirs.is_none()
            && !line.has_said
            && let Some(port) = self.far.get_mut(&line.far)
        {
            port.dialled.retain(|dialled| *dialled != stream);
            self.events.push_back(LinkEvent::Over(stream));
        }
    }

    /// The recorded peer on this stream closes it.
    pub(super) fn leave(&mut self, stream: SessionStreamId, now: Timestamp) {
        self.pass(now);
        if let Some(line) = self.streams.get(&stream)
            && let Some(theirs) = line.theirs
            && let Some(port) = self.far.get_mut(&line.far)
        {
            port.mux.close(theirs);
        }
    }

    /// When something happens next.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        let passage = self.under_way.keys().next().map(|&(at, _)| at);
        let ports = self.far.values().filter_map(|port| port.mux.wakes_at());
        passage.into_iter().chain(self.near.wakes_at()).chain(ports).min()
    }

    /// Whether something that was sent has not arrived.
    pub(super) fn is_carrying(&self) -> bool {
        self.datagrams > 0 || self.streams.values().any(|line| line.unsent != [0; 2])
    }

    /// Whether all that the client sent on the connections that it left has arrived.
    pub(super) fn is_quiet(&self) -> bool {
        self.datagrams == 0 && self.near.is_quiet()
    }

    /// Time passes, up to `now`.
    pub(super) fn pass(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        let now = self.now;
        self.near.tick(now);
        for port in self.far.values_mut() {
            port.mux.tick(now);
        }
        while let Some(passage) = self.under_way.first_entry().filter(|passage| passage.key().0 <= now) {
            match passage.remove() {
                Passage::ToNear(far, bytes) => {
                    self.datagrams -= 1;
                    if let Some(port) = self.far.get(&far) {
                        self.events.push_back(LinkEvent::Datagram(far, port.local, bytes.clone()));
                    }
                    self.near.handle(now, far, &bytes);
                }
                Passage::ToFar(far, bytes) => {
                    self.datagrams -= 1;
                    if let Some(port) = self.far.get_mut(&far) {
                        port.mux.handle(now, port.local, &bytes);
                    }
                }
                Passage::Write(stream, bytes) => {
                    let Some(line) = self.streams.get_mut(&stream) else { continue };
                    match (line.theirs, self.far.get_mut(&line.far)) {
                        (Some(theirs), Some(port)) => line.write_far(&mut port.mux, theirs, bytes),
                        _ => line.early.push(bytes),
                    }
                }
            }
        }
    }

    /// What happens next, as of the last [`pass`](Self::pass).
    pub(super) fn poll(&mut self) -> Option<LinkEvent> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if let Some(output) = self.near.poll() {
                self.near_says(output);
                continue;
            }
            let (far, output) = self.far.iter_mut().find_map(|(&far, port)| Some((far, port.mux.poll()?)))?;
            self.far_says(far, output);
        }
    }

    fn near_says(&mut self, output: MuxOutput) {
        match output {
            MuxOutput::Datagram(to, bytes, _) => {
                let Some(port) = self.far.get(&to) else { return };
                self.events.push_back(LinkEvent::Datagram(port.local, to, bytes.clone()));
                self.send(port.delay, Passage::ToFar(to, bytes));
            }
            MuxOutput::Opened(stream, far) => {
                self.events.push_back(LinkEvent::Near(Input::Opened(stream, far)));
                self.events.push_back(LinkEvent::Near(Input::OverUtp(stream)));
            }
            MuxOutput::Accepted(stream, far) => {
                let Some(port) = self.far.get_mut(&far) else { return };
                let Some(theirs) = port.calling.pop_front() else { return };
                port.near.insert(theirs, stream);
                self.streams.insert(stream, LinkedStream::new(far, Some(theirs), self.now));
                self.events.push_back(LinkEvent::Called(stream, far));
            }
            MuxOutput::Received(stream, bytes) => {
                self.events.push_back(LinkEvent::Near(Input::Received(stream, bytes)));
            }
            MuxOutput::Sent(stream, count) => {
                if let Some(line) = self.streams.get_mut(&stream) {
                    line.unsent[NEAR] = line.unsent[NEAR].saturating_sub(count);
                    self.events.push_back(LinkEvent::Near(Input::Sent(stream, count)));
                }
            }
            MuxOutput::Closed(stream, reason) => {
                self.streams.remove(&stream);
                self.events.push_back(LinkEvent::Near(Input::Closed(stream, reason)));
            }
        }
    }

    fn far_says(&mut self, far: SocketAddr, output: MuxOutput) {
        let Some(port) = self.far.get_mut(&far) else { return };
        match output {
            MuxOutput::Datagram(_, bytes, _) => {
                let delay = port.delay;
                self.send(delay, Passage::ToNear(far, bytes));
            }
            MuxOutput::Accepted(theirs, _) => {
                let Some(stream) = port.dialled.pop_front() else { return };
                port.near.insert(theirs, stream);
                if let Some(line) = self.streams.get_mut(&stream) {
                    line.theirs = Some(theirs);
                    for bytes in std::mem::take(&mut line.early) {
                        line.write_far(&mut port.mux, theirs, bytes);
                    }
                }
            }
            MuxOutput::Opened(..) => {}
            MuxOutput::Received(theirs, bytes) => {
                if let Some(&stream) = port.near.get(&theirs) {
                    self.events.push_back(LinkEvent::Heard(stream, bytes));
                }
            }
            MuxOutput::Sent(theirs, count) => {
                let line = port.near.get(&theirs).and_then(|stream| self.streams.get_mut(stream));
                if let Some(line) = line {
                    line.unsent[FAR] = line.unsent[FAR].saturating_sub(count);
                }
            }
            MuxOutput::Closed(theirs, _) => {
                if let Some(stream) = port.near.remove(&theirs) {
                    self.events.push_back(LinkEvent::Over(stream));
                } else if port.calling.contains(&theirs) {
                    port.calling.retain(|calling| *calling != theirs);
                    self.events.push_back(LinkEvent::Unreached(far));
                }
            }
        }
    }

    fn send(&mut self, delay: Duration, passage: Passage) {
        self.under_way.insert((self.now + delay, self.passages), passage);
        self.passages += 1;
        self.datagrams += 1;
    }
}

/// How long a datagram takes between the client and the far end of a conversation: half of the recorded round trip.
fn one_way(conversation: &Conversation) -> Duration {
    let whole = conversation.round_trip.unwrap_or(UNKNOWN_ROUND_TRIP).clamp(0.0, MOST_ROUND_TRIP);
    Duration::from_secs_f64(whole / 2.0)
}

/// The places of the client and of the peer where both have a number.
const NEAR: usize = 0;
const FAR: usize = 1;

/// The round trip where the reference does not show one, in seconds: that of a local network.
const UNKNOWN_ROUND_TRIP: f64 = 0.001;

/// The longest round trip of a play, in seconds: a SYN is sent again after three (BEP 29).
const MOST_ROUND_TRIP: f64 = 2.0;
