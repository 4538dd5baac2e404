//! The connections of a simulated session: which far end it reaches, and the bytes that pass.

use std::net::SocketAddr;

use bittrace_protocol::dial::Remote;
use bittrace_protocol::mse::MseDraw;
use bittrace_protocol::session::{CloseReason, Endpoint, Input, SessionStreamId, Violation};
use bittrace_protocol::tracker::http::{Framing, frame_request};
use bittrace_trace as trace;
use bittrace_trace::{Direction, Flow, StreamOpening, Transport};
use bytes::Bytes;

use super::{RemoteRole, SECRET, SimulatedConnection, Simulation};
use crate::model::transcript::Conversation;
use crate::play::played_connection::PlayedConnection;
use crate::play::refusal::{MOST_REFUSALS, Refusal};
use crate::play::replayed_trackers::TrackerScheme;

impl<'a> Simulation<'a> {
    /// The first peer that calls in the reference calls.
    pub(super) fn call(&mut self) -> std::io::Result<()> {
        let Some(place) = self.waiting.iter().position(|one| !one.is_outgoing()) else { return Ok(()) };
        let Some(conversation) = self.waiting.remove(place) else { return Ok(()) };
        if conversation.transport == Transport::Utp {
            return self.call_over_utp(conversation);
        }
        // The driver's streams are odd.
        let stream = SessionStreamId(self.called * 2 + 1);
        self.called += 1;
        self.begin(stream, conversation, Direction::FromResponder)?;
        self.tell(Input::Accepted(stream, conversation.far()));
        Ok(())
    }

    pub(super) fn open(&mut self, stream: SessionStreamId, endpoint: Endpoint) -> std::io::Result<()> {
        match endpoint {
            Endpoint::Peer(address) | Endpoint::UtpPeer(address, _) => {
                let dialled = |one: &&Conversation| one.is_outgoing() && one.far() == address;
                let Some(conversation) =
                    self.waiting.iter().position(dialled).and_then(|place| self.waiting.remove(place))
                else {
                    // The reference's client did not dial it, or not again: nobody is there.
                    self.tell(Input::Closed(stream, CloseReason::Refused));
                    return Ok(());
                };
                if conversation.transport == Transport::Utp {
                    self.open_over_utp(stream, conversation);
                    return Ok(());
                }
                self.begin(stream, conversation, Direction::FromInitiator)?;
                self.tell(Input::Opened(stream, address));
            }
            Endpoint::HttpTracker(Remote { host, port, tls: Some(_), .. }) => {
                let why = format!("https://{host}:{port} is encrypted: a capture does not show its answers");
                self.tell(Input::Closed(stream, CloseReason::Failed(why)));
            }
            Endpoint::HttpTracker(remote) => {
                let role = |place| RemoteRole::Tracker(place, Vec::new());
                self.open_tracker(stream, TrackerScheme::Http, &remote, role);
            }
            Endpoint::UdpTracker(remote) => {
                self.open_tracker(stream, TrackerScheme::Udp, &remote, RemoteRole::UdpTracker);
            }
            Endpoint::WebSeed(Remote { host, port, .. }) => {
                let why = format!("{host}:{port}: web seeds are not replayed");
                self.tell(Input::Closed(stream, CloseReason::Unresolved(why)));
            }
        }
        Ok(())
    }

    fn begin(
        &mut self,
        stream: SessionStreamId,
        conversation: &'a Conversation,
        ours: Direction,
    ) -> std::io::Result<()> {
        let recorded = self.record_open(conversation.local_address(), conversation.far(), ours)?;
        let line = self.connection(conversation, ours, recorded.0);
        let opened = Some(self.clock.now());
        self.lines.insert(stream, SimulatedConnection { recorded: Some(recorded), opened, ..line });
        Ok(())
    }

    /// A connection with the far end of a conversation, which is not recorded yet. No other connection has its number.
    pub(super) fn connection(
        &self,
        conversation: &'a Conversation,
        ours: Direction,
        number: u32,
    ) -> SimulatedConnection {
        let peer = PlayedConnection::of(self.torrent, conversation, self.role, MseDraw::new(SECRET, number));
        let far = conversation.far();
        // The client dialled it again, as clients do with encryption where a peer closed what was in clear.
        let is_again = |one: &Conversation| one.is_outgoing() && one.far() == far;
        let leaves = conversation.is_outgoing()
            && conversation.direction(trace::Side::Remote).messages.is_empty()
            && self.waiting.iter().any(|one| is_again(one));
        SimulatedConnection {
            far,
            local: conversation.local_address(),
            ours,
            role: RemoteRole::Peer(Box::new(peer)),
            recorded: None,
            opened: None,
            transport: conversation.transport,
            leaves,
        }
    }

    pub(super) fn record_open(
        &mut self,
        local: SocketAddr,
        far: SocketAddr,
        ours: Direction,
    ) -> std::io::Result<trace::StreamId> {
        let number = trace::StreamId(self.recorded);
        self.recorded += 1;
        let flow = match ours {
            Direction::FromInitiator => Flow { initiator: local, responder: far },
            Direction::FromResponder => Flow { initiator: far, responder: local },
        };
        self.recorder.opened(self.clock.now(), number, flow, StreamOpening::Syn)?;
        self.recorder.established(self.clock.now(), number)?;
        Ok(number)
    }

    /// The session sends bytes.
    pub(super) fn sent(&mut self, stream: SessionStreamId, bytes: &Bytes) -> std::io::Result<()> {
        if self.link.has(stream) {
            self.link.write(stream, bytes.clone(), self.clock.now());
            return Ok(());
        }
        self.tell(Input::Sent(stream, bytes.len()));
        let Some(line) = self.lines.get_mut(&stream) else { return Ok(()) };
        let heard = line.hear(bytes);
        if let Some(recorded) = line.recorded {
            let (ours, (initiator, responder)) = (line.ours, line.ends());
            for key in &heard.keys {
                self.recorder.mse_key(key, initiator, responder)?;
            }
            self.recorder.burst(self.clock.now(), recorded, ours, bytes)?;
        }
        if line.leaves {
            self.close(stream, None)?;
            self.tell(Input::Closed(stream, CloseReason::ByRemote));
            return Ok(());
        }
        match &mut line.role {
            RemoteRole::Peer(_) if heard.send.is_empty() => Ok(()),
            RemoteRole::Peer(_) => {
                let bytes = Bytes::from(heard.send);
                self.said(stream, &bytes)?;
                self.tell(Input::Received(stream, bytes));
                Ok(())
            }
            RemoteRole::Tracker(place, asked) => {
                asked.extend_from_slice(bytes);
                let Framing::Complete(length) = frame_request(asked) else { return Ok(()) };
                let (place, request): (_, Vec<u8>) = (*place, asked.drain(..length).collect());
                self.announced(stream, place, &request)
            }
            RemoteRole::UdpTracker(place) => {
                let (place, local, far) = (*place, line.local, line.far);
                self.asked_over_udp(stream, place, (local, far), bytes)
            }
        }
    }

    /// The far end sends bytes.
    pub(super) fn said(&mut self, stream: SessionStreamId, bytes: &[u8]) -> std::io::Result<()> {
        let line = self.lines.get(&stream).and_then(|line| Some((line.recorded?, line.ours)));
        match line {
            Some((recorded, ours)) => self.recorder.burst(self.clock.now(), recorded, ours.reverse(), bytes),
            None => Ok(()),
        }
    }

    pub(super) fn close(
        &mut self,
        stream: SessionStreamId,
        violation: Option<Violation>,
    ) -> std::io::Result<()> {
        let Some(line) = self.lines.remove(&stream) else { return Ok(()) };
        if let Some(violation) = violation {
            self.left.push((line.far, violation));
        }
        if self.link.has(stream) {
            // What the session sent last has not arrived yet.
            self.leaving.insert(stream, line);
            self.link.close(stream, self.clock.now());
            return Ok(());
        }
        self.part(line)
    }

    /// A connection is over, and both ends have all that was sent.
    pub(super) fn part(&mut self, line: SimulatedConnection) -> std::io::Result<()> {
        let connection = line.in_recording();
        if let RemoteRole::Peer(mut peer) = line.role {
            let room = MOST_REFUSALS.saturating_sub(self.refusals.len());
            let refusals = peer.peer.refusals().into_iter().map(|refusal| Refusal { connection, ..refusal });
            self.refusals.extend(refusals.take(room));
            self.missed.extend(peer.peer.finish().into_iter().map(|missed| (line.far, missed)));
        }
        match line.recorded {
            Some(recorded) => {
                self.recorder.closed(self.clock.now(), recorded, trace::StreamClosing::Finished)
            }
            None => Ok(()),
        }
    }
}
