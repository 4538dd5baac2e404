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
use crate::play::played_connection::{Heard, PlayedConnection};
use crate::play::refusal::{MOST_REFUSALS, Refusal};
use crate::play::replayed_trackers::TrackerScheme;

impl<'a> Simulation<'a> {
    /// The first peer that calls in the reference calls.
    pub(super) fn call(&mut self) -> std::io::Result<()> {
        let Some(place) = self.waiting.iter().position(|one| !one.is_outgoing()) else { return Ok(()) };
        let Some(conversation) = self.waiting.remove(place) else { return Ok(()) };
        // The driver's streams are odd.
        let stream = SessionStreamId(self.called * 2 + 1);
        self.called += 1;
        self.begin(stream, conversation, Direction::FromResponder)?;
        self.tell_open(Input::Accepted(stream, conversation.far()), stream, conversation);
        Ok(())
    }

    /// Tells the session that a connection is there, and where it was over uTP, that too: peer exchange tells others of it.
    fn tell_open(&mut self, input: Input, stream: SessionStreamId, conversation: &Conversation) {
        let now = self.clock.now();
        self.session.handle(now, input);
        if conversation.transport == Transport::Utp {
            self.session.handle(now, Input::OverUtp(stream));
        }
    }

    pub(super) fn open(&mut self, stream: SessionStreamId, endpoint: Endpoint) -> std::io::Result<()> {
        match endpoint {
            Endpoint::Peer(address) | Endpoint::UtpPeer(address, _) => {
                let dialled = |one: &&Conversation| one.is_outgoing() && one.far() == address;
                let Some(conversation) =
                    self.waiting.iter().position(dialled).and_then(|place| self.waiting.remove(place))
                else {
                    // The reference's client did not dial it, or not again: nobody is there.
                    self.session.handle(self.clock.now(), Input::Closed(stream, CloseReason::Refused));
                    return Ok(());
                };
                self.begin(stream, conversation, Direction::FromInitiator)?;
                self.tell_open(Input::Opened(stream, address), stream, conversation);
            }
            Endpoint::HttpTracker(Remote { host, port, tls: Some(_), .. }) => {
                let why = format!("https://{host}:{port} is encrypted: a capture does not show its answers");
                self.session.handle(self.clock.now(), Input::Closed(stream, CloseReason::Failed(why)));
            }
            Endpoint::HttpTracker(remote) => {
                let role = |place| RemoteRole::Tracker(place, Vec::new());
                self.open_tracker(stream, TrackerScheme::Http, &remote, |place, _| role(place));
            }
            Endpoint::UdpTracker(remote) => {
                self.open_tracker(stream, TrackerScheme::Udp, &remote, RemoteRole::UdpTracker);
            }
            Endpoint::WebSeed(Remote { host, port, .. }) => {
                let why = format!("{host}:{port}: web seeds are not replayed");
                self.session.handle(self.clock.now(), Input::Closed(stream, CloseReason::Unresolved(why)));
            }
        }
        Ok(())
    }

    pub(super) fn begin(
        &mut self,
        stream: SessionStreamId,
        conversation: &'a Conversation,
        ours: Direction,
    ) -> std::io::Result<()> {
        let far = conversation.far();
        let local = conversation.local_address();
        let recorded = self.record_open(local, far, ours)?;
        let draw = MseDraw::new(SECRET, recorded.0);
        let peer = PlayedConnection::of(self.torrent, conversation, self.role, draw);
        let role = RemoteRole::Peer(Box::new(peer));
        // The client dialled it again, as clients do with encryption where a peer closed what was in clear.
        let is_again = |one: &Conversation| one.is_outgoing() && one.far() == far;
        let leaves = conversation.is_outgoing()
            && conversation.direction(trace::Side::Remote).messages.is_empty()
            && self.waiting.iter().any(|one| is_again(one));
        let recorded = Some((recorded, ours));
        self.lines.insert(stream, SimulatedConnection { far, local, role, recorded, leaves });
        Ok(())
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
        self.session.handle(self.clock.now(), Input::Sent(stream, bytes.len()));
        let Some(line) = self.lines.get_mut(&stream) else { return Ok(()) };
        let heard = match &mut line.role {
            RemoteRole::Peer(peer) => peer.hear(bytes),
            RemoteRole::Tracker(..) | RemoteRole::UdpTracker(..) => Heard::default(),
        };
        if let Some((recorded, ours)) = line.recorded {
            let (initiator, responder) = match ours {
                Direction::FromInitiator => (line.local, line.far),
                Direction::FromResponder => (line.far, line.local),
            };
            for key in &heard.keys {
                self.recorder.mse_key(key, initiator, responder)?;
            }
            self.recorder.burst(self.clock.now(), recorded, ours, bytes)?;
        }
        if line.leaves {
            self.close(stream, None)?;
            self.session.handle(self.clock.now(), Input::Closed(stream, CloseReason::ByRemote));
            return Ok(());
        }
        match &mut line.role {
            RemoteRole::Peer(_) if heard.send.is_empty() => Ok(()),
            RemoteRole::Peer(_) => {
                let bytes = Bytes::from(heard.send);
                self.said(stream, &bytes)?;
                self.session.handle(self.clock.now(), Input::Received(stream, bytes));
                Ok(())
            }
            RemoteRole::Tracker(place, asked) => {
                asked.extend_from_slice(bytes);
                let Framing::Complete(length) = frame_request(asked) else { return Ok(()) };
                let (place, request): (_, Vec<u8>) = (*place, asked.drain(..length).collect());
                self.announced(stream, place, &request)
            }
            RemoteRole::UdpTracker(place, local) => {
                let (place, local, far) = (*place, *local, line.far);
                self.asked_over_udp(stream, place, (local, far), bytes)
            }
        }
    }

    /// The far end sends bytes.
    pub(super) fn said(&mut self, stream: SessionStreamId, bytes: &[u8]) -> std::io::Result<()> {
        match self.lines.get(&stream).and_then(|line| line.recorded) {
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
        if let RemoteRole::Peer(mut peer) = line.role {
            let stream = line.recorded.map(|(recorded, _)| recorded.0);
            let room = MOST_REFUSALS.saturating_sub(self.refusals.len());
            let refusals = peer.peer.refusals().into_iter().map(|refusal| Refusal { stream, ..refusal });
            self.refusals.extend(refusals.take(room));
            self.missed.extend(peer.peer.finish().into_iter().map(|missed| (line.far, missed)));
        }
        match line.recorded {
            Some((recorded, _)) => {
                self.recorder.closed(self.clock.now(), recorded, trace::StreamClosing::Finished)
            }
            None => Ok(()),
        }
    }
}
