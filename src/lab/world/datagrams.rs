//! Datagrams between hosts and the tracker. They take no time on links, and nobody is told of one that does not arrive.

use std::net::SocketAddr;

use bittrace_protocol::dial::Remote;
use bittrace_protocol::session::{Input, SessionStreamId};
use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::host::TRACKER;
use super::{What, World};
use crate::LabError;
use crate::network::HostId;

/// The ways that sessions have opened to a tracker, and what is on its way.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    /// Which of its own addresses a session speaks from, and to which.
    flows: FxHashMap<(HostId, SessionStreamId), (SocketAddr, SocketAddr)>,
    by_address: FxHashMap<SocketAddr, (HostId, SessionStreamId)>,
    under_way: FxHashMap<u64, Datagram>,
    /// How many were sent.
    sent: u64,
}

#[derive(Debug)]
struct Datagram {
    hosts: (HostId, HostId),
    from: SocketAddr,
    to: SocketAddr,
    bytes: Bytes,
}

impl Datagrams {
    /// Whether a stream of a host is one of datagrams.
    pub(super) fn has(&self, host: HostId, stream: SessionStreamId) -> bool {
        self.flows.contains_key(&(host, stream))
    }

    /// A session has no more to say on a stream; whether that is one of datagrams.
    pub(super) fn close(&mut self, host: HostId, stream: SessionStreamId) -> bool {
        let flow = self.flows.remove(&(host, stream));
        flow.is_some_and(|(own, _)| self.by_address.remove(&own).is_some())
    }

    /// A host is gone.
    pub(super) fn forget(&mut self, host: HostId) {
        self.flows.retain(|(of, _), _| *of != host);
        self.by_address.retain(|_, (of, _)| *of != host);
    }
}

impl World<'_> {
    /// A session wants to speak to a UDP tracker.
    pub(super) fn open_datagrams(
        &mut self,
        number: HostId,
        stream: SessionStreamId,
        remote: &Remote,
    ) -> Result<(), LabError> {
        let Ok(address) = remote.host.parse() else { return self.refuse(number, stream) };
        let to = SocketAddr::new(address, remote.port);
        let host = &mut self.hosts[number as usize];
        let from = SocketAddr::new(host.address.ip(), host.take_port());
        self.datagrams.flows.insert((number, stream), (from, to));
        self.datagrams.by_address.insert(from, (number, stream));
        if let Some(session) = &mut host.session {
            session.handle(self.now + host.clock, Input::Opened(stream, to));
        }
        Ok(())
    }

    /// A session says something on a stream of datagrams.
    pub(super) fn send_datagram(
        &mut self,
        number: HostId,
        stream: SessionStreamId,
        bytes: Bytes,
    ) -> Result<(), LabError> {
        let Some(&(from, to)) = self.datagrams.flows.get(&(number, stream)) else { return Ok(()) };
        let Some(&other) = self.by_address.get(&to.ip()) else { return Ok(()) };
        self.put_datagram(Datagram { hosts: (number, other), from, to, bytes })
    }

    fn put_datagram(&mut self, datagram: Datagram) -> Result<(), LabError> {
        let (sender, receiver) = datagram.hosts;
        if self.recording.sees_leaving(sender) {
            let ends = (datagram.from, datagram.to);
            self.recording.datagram(self.now, datagram.hosts, ends, &datagram.bytes)?;
        }
        self.hosts[sender as usize].sent += datagram.bytes.len() as u64;
        if self.script.parts(sender, receiver) {
            return Ok(());
        }
        let delay = (self.hosts[sender as usize].rtt + self.hosts[receiver as usize].rtt) / 4;
        let number = self.datagrams.sent;
        self.datagrams.sent += 1;
        self.datagrams.under_way.insert(number, datagram);
        self.cause(self.now + delay, What::Datagram(number));
        Ok(())
    }

    /// A datagram has come.
    pub(super) fn datagram_came(&mut self, number: u64) -> Result<(), LabError> {
        let Some(Datagram { hosts, from, to, bytes }) = self.datagrams.under_way.remove(&number) else {
            return Ok(());
        };
        let (sender, receiver) = hosts;
        if self.recording.sees_coming(receiver) {
            self.recording.datagram(self.now, hosts, (from, to), &bytes)?;
        }
        if receiver != TRACKER {
            let Some(&(host, stream)) = self.datagrams.by_address.get(&to) else { return Ok(()) };
            return self.tell(host, Input::Received(stream, bytes));
        }
        if !self.is_tracker_there() || to.port() != super::TRACKER_PORT {
            return Ok(());
        }
        match self.tracker.answer_datagram(from.ip(), &bytes) {
            Some(answer) => self.put_datagram(Datagram {
                hosts: (TRACKER, sender),
                from: to,
                to: from,
                bytes: Bytes::from(answer),
            }),
            None => Ok(()),
        }
    }
}
