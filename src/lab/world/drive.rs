//! What a client wants done, and what connections tell it.

use bittrace_protocol::dht::{DhtInput, DhtOutput};
use bittrace_protocol::mse::MseKey;
use bittrace_protocol::node;
use bittrace_protocol::session::{CloseReason, Endpoint, Input, Output, SessionStreamId};
use bittrace_protocol::tracker::http::{Framing, frame_request};
use bittrace_protocol::utp::Fragment;
use bittrace_protocol::{HostPort, Timestamp};
use bittrace_trace as trace;
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Duration;

use super::host::{Presence, TRACKER};
use super::{What, World};
use crate::LabError;
use crate::link::Parts;
use crate::network::{ConnectionId, EndId, HostId, Side};

impl World<'_> {
    /// Passes an input to the client of a host, and does what follows.
    pub(super) fn tell(&mut self, number: HostId, input: impl Into<node::Input>) -> Result<(), LabError> {
        let host = &mut self.hosts[number as usize];
        if let Some(node) = &mut host.node {
            node.handle(self.now + host.clock, input.into());
            self.drain(number)?;
        }
        Ok(())
    }

    /// Passes an input to a host that is a node of the DHT and nothing else, and does what follows.
    pub(super) fn tell_dht(&mut self, number: HostId, mut input: DhtInput) -> Result<(), LabError> {
        loop {
            let host = &mut self.hosts[number as usize];
            let now = self.now + host.clock;
            let Some(dht) = &mut host.dht else { return Ok(()) };
            dht.handle(now, input);
            let mut asked = None;
            while let Some(output) = self.hosts[number as usize].dht.as_mut().and_then(|dht| dht.poll()) {
                match output {
                    DhtOutput::Datagram(to, bytes) => {
                        self.send_datagram(number, to, bytes, Fragment::Allowed)?;
                    }
                    DhtOutput::Resolve(name) => asked = Some(name),
                    DhtOutput::Peers(..)
                    | DhtOutput::ExternalAddress(_)
                    | DhtOutput::Searched(_)
                    | DhtOutput::Save(_) => {}
                }
            }
            let Some(name) = asked else { break };
            input = DhtInput::Resolved(name.clone(), resolved(&name));
        }
        let host = &self.hosts[number as usize];
        let now = self.now + host.clock;
        let wakes_at = host.dht.as_ref().map(|dht| dht.wakes_at().max(now + LEAST_PAUSE));
        self.wake_at(number, wakes_at, now);
        Ok(())
    }

    /// A client wants to hear of it when its clock, which says `now`, says `at`.
    fn wake_at(&mut self, number: HostId, at: Option<Timestamp>, now: Timestamp) {
        let host = &mut self.hosts[number as usize];
        // As the clock of the world has it.
        if let Some(at) = at.map(|at| self.now + (at - now))
            && host.wakes_at.is_none_or(|wakes_at| at < wakes_at)
        {
            host.wakes_at = Some(at);
            self.cause(at, What::Wake(number));
        }
    }

    /// Does what a client wants, until it waits.
    pub(super) fn drain(&mut self, number: HostId) -> Result<(), LabError> {
        loop {
            let host = &mut self.hosts[number as usize];
            let now = self.now + host.clock;
            let Some(node) = &mut host.node else { break };
            let output = match node.poll() {
                node::Output::Session(output) => output,
                node::Output::Datagram(to, bytes, fragment) => {
                    self.send_datagram(number, to, bytes, fragment)?;
                    continue;
                }
                node::Output::Multicast(_, group, bytes) => {
                    self.send_to_all(number, group, bytes)?;
                    continue;
                }
                node::Output::UtpSecret(key, remote, is_ours) => {
                    let (own, other) = (host.address, self.by_address.get(&remote.ip()).copied());
                    if is_ours {
                        self.recording.key((number, other.unwrap_or(number)), &key, (own, remote))?;
                    }
                    continue;
                }
                node::Output::Searched(_) | node::Output::Save(_) => continue,
            };
            if matches!(output, Output::Store(..)) {
                host.last_content = self.now;
                host.first_content.get_or_insert(self.now);
            }
            if host.is_slow
                && let Output::Load(stream, block) = output
            {
                host.reading.push_back((stream, block));
                if host.reading.len() == 1 {
                    self.cause(self.now + SLOW_READ, What::Read(number));
                }
                continue;
            }
            if let Some(inputs) = host.disk.handle(&self.content, &output) {
                inputs.into_iter().for_each(|input| node.handle(now, input.into()));
                continue;
            }
            match output {
                Output::Send(stream, bytes) if self.datagrams.has(number, stream) => {
                    self.send_to_tracker(number, stream, bytes)?;
                }
                Output::Send(stream, bytes) => self.enqueue(number, stream, bytes),
                Output::Said(stream, bytes) => self.said(number, stream, &bytes),
                Output::Secret(stream, key) => self.keep_key(number, stream, &key)?,
                Output::Wait(Some(at)) if at <= now => node.handle(now, Input::Tick.into()),
                Output::Wait(at) => {
                    self.wake_at(number, at, now);
                    break;
                }
                Output::Open(stream, endpoint) => self.open(number, stream, endpoint)?,
                Output::Close(stream, _) if self.datagrams.close(number, stream) => {}
                Output::Close(stream, _) => self.close(number, stream)?,
                Output::Event(event) => self.note(number, &event),
                Output::Resolve(name) => {
                    let addresses = resolved(&name);
                    node.handle(now, Input::Resolved(name, addresses).into());
                }
                Output::Done => {
                    self.gone(number)?;
                    break;
                }
                // The node takes contacts of the DHT and pauses itself.
                Output::DhtContact(_)
                | Output::Pause(_)
                // Members have their torrent.
                | Output::Metadata(..)
                | Output::Store(..)
                | Output::HashBlocks(..)
                | Output::Discard(_)
                | Output::Commit(_)
                | Output::Load(..) => {}
            }
        }
        self.send_fresh(number)
    }

    /// Keeps the key of an encrypted connection over TCP, from the end that opened it.
    fn keep_key(&mut self, number: HostId, stream: SessionStreamId, key: &MseKey) -> Result<(), LabError> {
        let Some(&end) = self.hosts[number as usize].ends.get(&stream) else { return Ok(()) };
        let Some(connection) = self.connections.get(end.connection).filter(|_| end.side == Side::Initiator)
        else {
            return Ok(());
        };
        let flow = connection.addresses;
        let hosts = (number, connection.end(Side::Responder).host);
        self.recording.key(hosts, key, (flow.initiator, flow.responder))?;
        Ok(())
    }

    /// The client of a host is over.
    pub(super) fn gone(&mut self, number: HostId) -> Result<(), LabError> {
        self.settle_capacity(number);
        self.measures.copies.forget(number);
        let host = &mut self.hosts[number as usize];
        host.presence = Presence::Gone;
        host.left_at = Some(self.now);
        host.end(self.now);
        let mut streams: Vec<SessionStreamId> = host.ends.keys().copied().collect();
        streams.sort_unstable();
        for stream in streams {
            self.close(number, stream)?;
        }
        self.end_of_utp_talks(number);
        self.datagrams.forget(number);
        self.note_finished(number);
        Ok(())
    }

    /// A slow host has read a block.
    pub(super) fn read(&mut self, number: HostId) -> Result<(), LabError> {
        let host = &mut self.hosts[number as usize];
        let Some((stream, block)) = host.reading.pop_front() else { return Ok(()) };
        if !host.reading.is_empty() {
            self.cause(self.now + SLOW_READ, What::Read(number));
        }
        let bytes = self.content.bytes(block.index.0, block.begin, block.length);
        self.tell(number, Input::Loaded(stream, block, Some(bytes)))
    }

    pub(super) fn open(
        &mut self,
        number: HostId,
        stream: SessionStreamId,
        endpoint: Endpoint,
    ) -> Result<(), LabError> {
        let address = match endpoint {
            Endpoint::Peer(address) | Endpoint::UtpPeer(address, _) => address,
            Endpoint::HttpTracker(remote) if remote.tls.is_none() => match remote.host.parse() {
                Ok(host) => SocketAddr::new(host, remote.port),
                Err(_) => return self.refuse(number, stream),
            },
            Endpoint::UdpTracker(remote) => return self.open_datagrams(number, stream, &remote),
            Endpoint::HttpTracker(_) | Endpoint::WebSeed(_) => {
                return self.refuse(number, stream);
            }
        };
        let port = self.hosts[number as usize].take_port();
        let from = SocketAddr::new(self.hosts[number as usize].address.ip(), port);
        let flow = trace::Flow { initiator: from, responder: address };
        let reached = self.listener(address).filter(|&other| !self.script.parts(number, other));
        let Some(other) = reached else {
            let there = self.by_address.get(&address.ip()).map(|&other| &self.hosts[other as usize]);
            // A machine whose client has ended refuses; one that nobody reaches does not answer at all.
            let refuses = there.is_some_and(|host| host.reachable && host.presence == Presence::Gone);
            let round_trip = there.map(|host| (self.hosts[number as usize].rtt + host.rtt) / 2);
            let answered_at = round_trip.filter(|_| refuses).map(|round_trip| self.now + round_trip);
            let ends = (number, self.by_address.get(&address.ip()).copied());
            self.recording.attempted(self.now, ends, flow)?;
            if let Some(at) = answered_at {
                self.cause(at, What::Refused(number, stream));
            }
            return Ok(());
        };
        // The mean of both round trips is that of the connection.
        let delay = (self.hosts[number as usize].rtt + self.hosts[other as usize].rtt) / 4;
        let id = self.connections.insert(
            (number, stream, from),
            (other, SessionStreamId(u32::MAX), address),
            delay,
            self.most_window,
        );
        if self.recording.sees_coming(other) {
            self.cause(self.now + delay, What::Called(id));
        } else {
            self.record_opening(id)?;
        }
        self.hosts[number as usize].ends.insert(stream, EndId { connection: id, side: Side::Initiator });
        self.cause(self.now + delay * 2, What::Opened(id));
        self.cause(self.now + delay * 3, What::Accepted(id));
        Ok(())
    }

    /// The first packet of a connection is where the capture is taken.
    pub(super) fn record_opening(&mut self, id: ConnectionId) -> Result<(), LabError> {
        let Some(connection) = self.connections.get(id) else { return Ok(()) };
        let hosts = [Side::Initiator, Side::Responder].map(|side| connection.end(side).host);
        let flow = connection.addresses;
        connection.recorded = self.recording.opened(self.now, hosts.into(), flow)?;
        Ok(())
    }

    pub(super) fn refuse(&mut self, number: HostId, stream: SessionStreamId) -> Result<(), LabError> {
        let host = &mut self.hosts[number as usize];
        if let Some(node) = &mut host.node {
            node.handle(self.now + host.clock, Input::Closed(stream, CloseReason::Refused).into());
        }
        Ok(())
    }

    pub(super) fn opened(&mut self, id: ConnectionId) -> Result<(), LabError> {
        let Some(connection) = self.connections.get(id) else { return Ok(()) };
        let (recorded, address) = (connection.recorded, connection.addresses.responder);
        connection.opened_at = Some(self.now);
        let end = connection.end(Side::Initiator);
        let (host, stream, alive) = (end.host, end.stream, end.alive);
        if self.recording.sees_leaving(host) {
            self.recording.established(self.now, recorded)?;
        }
        match self.hosts[host as usize].stranger {
            _ if !alive => Ok(()),
            Some(_) => self.greet(host, stream),
            None => self.tell(host, Input::Opened(stream, address)),
        }
    }

    pub(super) fn accepted(&mut self, id: ConnectionId) -> Result<(), LabError> {
        let Some(connection) = self.connections.get(id) else { return Ok(()) };
        let (address, number) = (connection.addresses.initiator, connection.end(Side::Responder).host);
        if self.recording.sees_coming(number) {
            self.recording.established(self.now, connection.recorded)?;
        }
        let end = EndId { connection: id, side: Side::Responder };
        if number == TRACKER {
            return Ok(());
        }
        let host = &mut self.hosts[number as usize];
        if host.presence != Presence::There {
            return self.shut(end);
        }
        // The driver's streams are odd.
        let stream = SessionStreamId(host.called * 2 + 1);
        host.called += 1;
        host.ends.insert(stream, end);
        if let Some(end) = self.connections.end(end) {
            end.stream = stream;
        }
        self.tell(number, Input::Accepted(stream, address))
    }

    /// Bytes have come to a host on a connection.
    pub(super) fn receive(&mut self, to: EndId, parts: Parts) -> Result<(), LabError> {
        let Some(end) = self.connections.end(to) else { return Ok(()) };
        let (number, stream, alive) = (end.host, end.stream, end.alive);
        if !alive {
            return Ok(());
        }
        if number == TRACKER {
            return self.ask_tracker(to, &parts);
        }
        let host = &mut self.hosts[number as usize];
        let now = self.now + host.clock;
        if let Some(node) = &mut host.node {
            parts.into_iter().for_each(|part| node.handle(now, Input::Received(stream, part.bytes).into()));
            self.drain(number)?;
        }
        Ok(())
    }

    fn ask_tracker(&mut self, to: EndId, parts: &Parts) -> Result<(), LabError> {
        let request = self.requests.entry(to).or_default();
        parts.iter().for_each(|part| request.extend_from_slice(&part.bytes));
        let Framing::Complete(length) = frame_request(request) else { return Ok(()) };
        let request = self.requests.remove(&to).unwrap_or_default();
        let Some(connection) = self.connections.get(to.connection) else { return Ok(()) };
        let from = connection.addresses.initiator.ip();
        let answer = self.tracker.answer(from, &request[..length]);
        if let Some(end) = self.connections.end(to) {
            end.push(Bytes::from(answer), false);
            self.hosts[TRACKER as usize].fresh.push(to);
        }
        self.send_fresh(TRACKER)?;
        self.shut(to)
    }
}

/// The addresses of a name: there are no names in the lab but addresses themselves.
fn resolved(name: &HostPort) -> Result<Vec<SocketAddr>, String> {
    let address = name.host.parse().map_err(|_| "the lab has no names".to_owned())?;
    Ok(vec![SocketAddr::new(address, name.port)])
}

/// What is due by now was done by the last input.
const LEAST_PAUSE: Duration = Duration::from_millis(1);

/// How long a slow host takes to read a block.
const SLOW_READ: Duration = Duration::from_secs(5);
