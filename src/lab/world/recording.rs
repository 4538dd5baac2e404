//! The capture of a run: each byte once, when it has left the link of its sender, as a listener in the core sees it. At the link of
//! one host, what comes to it is there when its link down has taken it.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;

use super::host::Host;
use super::options::{Snap, WorldOptions};
use crate::link::Part;
use crate::network::HostId;
use crate::scenario::Scenario;
use bittrace_protocol::Timestamp;
use bittrace_trace::{
    Direction, Flow, HostName, Recorder, StreamClosing, StreamId, StreamOpening, Viewpoint,
};

/// Writes what is to be recorded.
pub(super) struct Recording<'a> {
    recorder: Option<Recorder<Box<dyn Write + 'a>>>,
    snap: Snap,
    /// The hosts whose connections are recorded; all where there is no such set.
    hosts: Option<BTreeSet<HostId>>,
    /// The host at whose link the capture is taken.
    vantage: Option<HostId>,
    connections: u32,
    /// The bytes of a packet, where they are in parts.
    packet: Vec<u8>,
}

impl<'a> Recording<'a> {
    pub(super) fn new(
        scenario: &Scenario,
        seed: u64,
        hosts: &[Host],
        options: WorldOptions<'a>,
    ) -> io::Result<Self> {
        let recorder = match options.record {
            Some(writer) => {
                let vantage = options.vantage.and_then(|host| hosts.get(host as usize));
                let place = vantage.map_or("from the core of the network".to_owned(), |host| {
                    format!("at the link of {}", host.name)
                });
                let comment = format!(
                    "A simulated swarm of bittrace lab, seen {place}. Seed: {seed}. Scenario:\n{}",
                    scenario.text
                );
                let writer: Box<dyn Write + 'a> = Box::new(BufWriter::with_capacity(BUFFER, writer));
                let mut recorder = match vantage {
                    Some(_) => Recorder::new(writer, &comment)?,
                    None => Recorder::seen_from(Viewpoint::BetweenHosts, writer, &comment)?,
                };
                let names: Vec<_> = hosts
                    .iter()
                    .map(|host| HostName { address: host.address.ip(), names: vec![host.name.clone()] })
                    .collect();
                recorder.host_names(&names)?;
                Some(recorder)
            }
            None => None,
        };
        let (snap, hosts, vantage) = (options.snap, options.hosts, options.vantage);
        Ok(Self { recorder, snap, hosts, vantage, connections: 0, packet: Vec::new() })
    }

    /// Whether what a host sends is recorded when it leaves that host's link.
    pub(super) fn sees_leaving(&self, host: HostId) -> bool {
        self.vantage.is_none_or(|vantage| vantage == host)
    }

    /// Whether what is sent to a host is recorded when it has come there.
    pub(super) fn sees_coming(&self, host: HostId) -> bool {
        self.vantage == Some(host)
    }

    /// A connection is tried to where nobody answers, or nobody listens.
    pub(super) fn attempted(
        &mut self,
        at: Timestamp,
        (one, other): (HostId, Option<HostId>),
        flow: Flow,
    ) -> io::Result<()> {
        if !self.sees_leaving(one) {
            return Ok(());
        }
        if let Some(stream) = self.opened(at, (one, other.unwrap_or(one)), flow)?
            && let Some(recorder) = &mut self.recorder
        {
            recorder.closed(at, stream, StreamClosing::Unanswered)?;
        }
        Ok(())
    }

    /// A connection is being opened: its number, where it is recorded.
    pub(super) fn opened(
        &mut self,
        at: Timestamp,
        (one, other): (HostId, HostId),
        flow: Flow,
    ) -> io::Result<Option<StreamId>> {
        let Some(recorder) = &mut self.recorder else { return Ok(None) };
        if Self::leaves_out(self.hosts.as_ref(), self.vantage, (one, other)) {
            return Ok(None);
        }
        let stream = StreamId(self.connections);
        self.connections = self.connections.wrapping_add(1);
        recorder.opened(at, stream, flow, StreamOpening::Syn)?;
        Ok(Some(stream))
    }

    pub(super) fn established(&mut self, at: Timestamp, stream: Option<StreamId>) -> io::Result<()> {
        match (&mut self.recorder, stream) {
            (Some(recorder), Some(stream)) => recorder.established(at, stream),
            _ => Ok(()),
        }
    }

    /// Bytes have left the link of their sender.
    pub(super) fn burst(
        &mut self,
        at: Timestamp,
        stream: Option<StreamId>,
        direction: Direction,
        parts: &[Part],
    ) -> io::Result<()> {
        let (Some(recorder), Some(stream)) = (&mut self.recorder, stream) else { return Ok(()) };
        self.packet.clear();
        for part in parts {
            self.packet.extend_from_slice(&part.bytes);
            if self.snap == Snap::Headers && part.is_content {
                let kept = self.packet.len() - part.bytes.len();
                recorder.cut_burst(at, stream, direction, &self.packet, kept)?;
                self.packet.clear();
            }
        }
        if self.packet.is_empty() {
            return Ok(());
        }
        recorder.burst(at, stream, direction, &self.packet)
    }

    /// A datagram passes where the capture is taken.
    pub(super) fn datagram(
        &mut self,
        at: Timestamp,
        hosts: (HostId, HostId),
        (from, to): (SocketAddr, SocketAddr),
        bytes: &[u8],
    ) -> io::Result<()> {
        match &mut self.recorder {
            Some(recorder) if !Self::leaves_out(self.hosts.as_ref(), self.vantage, hosts) => {
                recorder.datagram(at, from, to, bytes)
            }
            _ => Ok(()),
        }
    }

    /// Whether what these two say to each other is not recorded.
    fn leaves_out(
        chosen: Option<&BTreeSet<HostId>>,
        vantage: Option<HostId>,
        (one, other): (HostId, HostId),
    ) -> bool {
        chosen.is_some_and(|hosts| !hosts.contains(&one) && !hosts.contains(&other))
            || vantage.is_some_and(|vantage| vantage != one && vantage != other)
    }

    pub(super) fn finished(
        &mut self,
        at: Timestamp,
        stream: Option<StreamId>,
        direction: Direction,
    ) -> io::Result<()> {
        match (&mut self.recorder, stream) {
            (Some(recorder), Some(stream)) => recorder.finished(at, stream, direction),
            _ => Ok(()),
        }
    }

    pub(super) fn closed(&mut self, at: Timestamp, stream: Option<StreamId>) -> io::Result<()> {
        match (&mut self.recorder, stream) {
            (Some(recorder), Some(stream)) => recorder.closed(at, stream, StreamClosing::Finished),
            _ => Ok(()),
        }
    }

    /// Writes what is buffered; how many packets there are.
    pub(super) fn finish(&mut self) -> io::Result<u64> {
        match self.recorder.take() {
            Some(recorder) => {
                let frames = recorder.frames();
                recorder.finish()?;
                Ok(frames)
            }
            None => Ok(0),
        }
    }
}

/// The bytes of a write.
const BUFFER: usize = 256 * 1024;
