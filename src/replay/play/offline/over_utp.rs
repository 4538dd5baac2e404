//! The connections of a simulated session that are over uTP: its datagrams are recorded, and the far ends hear what they carry.

use bittrace_protocol::Timestamp;
use bittrace_protocol::session::{Input, SessionStreamId};
use bittrace_trace::Direction;
use bytes::Bytes;

use super::{LEAVING, RemoteRole, SimulatedConnection, Simulation};
use crate::model::transcript::Conversation;
use crate::play::utp_link::{LinkEvent, UtpLink};

impl<'a> Simulation<'a> {
    /// The session connects to the far end of a conversation.
    pub(super) fn open_over_utp(&mut self, stream: SessionStreamId, conversation: &'a Conversation) {
        let line = self.connection_over_utp(conversation, Direction::FromInitiator);
        self.lines.insert(stream, line);
        self.link.open(stream, conversation, self.clock.now());
    }

    /// The far end of a conversation connects to the session. Nothing is due before its first bytes have arrived.
    pub(super) fn call_over_utp(&mut self, conversation: &'a Conversation) -> std::io::Result<()> {
        let mut line = self.connection_over_utp(conversation, Direction::FromResponder);
        let RemoteRole::Peer(peer) = &mut line.role else { return Ok(()) };
        peer.call();
        let Some((said, _)) = peer.speak(self.contents) else { return self.part(line) };
        self.link.call(conversation, said.concat().into(), self.clock.now());
        self.calling.entry(line.far).or_default().push_back(line);
        Ok(())
    }

    fn connection_over_utp(
        &mut self,
        conversation: &'a Conversation,
        ours: Direction,
    ) -> SimulatedConnection {
        let number = self.recorded;
        self.recorded += 1;
        let opened = Some(self.clock.now());
        SimulatedConnection { opened, ..self.connection(conversation, ours, number) }
    }

    /// Something has happened on the link.
    pub(super) fn linked(&mut self, event: LinkEvent) -> std::io::Result<()> {
        let now = self.clock.now();
        match event {
            LinkEvent::Datagram(from, to, bytes) => self.recorder.datagram(now, from, to, &bytes),
            LinkEvent::Near(_) if self.over => Ok(()),
            LinkEvent::Near(input) => {
                if let Input::Received(..) = input {
                    self.last = now;
                }
                let over = match &input {
                    Input::Closed(stream, _) => self.lines.remove(stream),
                    _ => None,
                };
                self.tell(input);
                over.map_or(Ok(()), |line| self.part(line))
            }
            LinkEvent::Called(stream, far) => {
                if let Some(line) = self.calling.get_mut(&far).and_then(|calling| calling.pop_front()) {
                    self.lines.insert(stream, line);
                    self.tell(Input::Accepted(stream, far));
                    self.tell(Input::OverUtp(stream));
                }
                Ok(())
            }
            LinkEvent::Unreached(far) => {
                self.remarks
                    .push(format!("the replayed peer {far} could not connect to the session over uTP"));
                match self.calling.get_mut(&far).and_then(|calling| calling.pop_front()) {
                    Some(line) => self.part(line),
                    None => Ok(()),
                }
            }
            LinkEvent::Heard(stream, bytes) => self.heard_over_utp(stream, &bytes),
            LinkEvent::Over(stream) => match self.leaving.remove(&stream) {
                Some(line) => self.part(line),
                None => Ok(()),
            },
        }
    }

    /// The far end of a stream receives bytes.
    fn heard_over_utp(&mut self, stream: SessionStreamId, bytes: &[u8]) -> std::io::Result<()> {
        self.last = self.clock.now();
        let line = self.lines.get_mut(&stream).or_else(|| self.leaving.get_mut(&stream));
        let Some(line) = line else { return Ok(()) };
        let (heard, (initiator, responder), leaves) = (line.hear(bytes), line.ends(), line.leaves);
        for key in &heard.keys {
            self.recorder.mse_key(key, initiator, responder)?;
        }
        if leaves {
            self.link.leave(stream, self.clock.now());
        } else if !heard.send.is_empty() {
            let now = self.clock.now();
            self.link.say(stream, Bytes::from(heard.send), now, now);
        }
        Ok(())
    }

    /// The session is over: what it sent last on uTP still arrives, unless that takes too long.
    pub(super) fn let_arrive(&mut self) -> std::io::Result<()> {
        let by = self.clock.now() + LEAVING;
        self.carry(by, UtpLink::is_quiet)
    }

    /// What is on its way over uTP goes on until `by`, or until that is enough.
    pub(super) fn carry(
        &mut self,
        by: Timestamp,
        is_enough: impl Fn(&UtpLink) -> bool,
    ) -> std::io::Result<()> {
        loop {
            while let Some(event) = self.link.poll() {
                self.linked(event)?;
            }
            let Some(at) = self.link.next_at().filter(|&at| at <= by && !is_enough(&self.link)) else {
                return Ok(());
            };
            self.clock.pass(at);
            self.link.pass(self.clock.now());
        }
    }
}
