//! Datagrams between hosts, and to the tracker. They take their time on links as the bytes of streams do, and nobody is told of one
//! that does not arrive: a queue was full, the way lost it, a cut or a router kept it, or nobody was there.

use std::net::SocketAddr;
use std::time::Duration;

use bittrace_protocol::Timestamp;
use bittrace_protocol::dht::DhtInput;
use bittrace_protocol::dial::Remote;
use bittrace_protocol::lsd::InterfaceId;
use bittrace_protocol::node;
use bittrace_protocol::session::{Input, SessionStreamId};
use bittrace_protocol::utp::Fragment;
use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::host::{Presence, TRACKER};
use super::stranger::Stranger;
use super::{What, World};
use crate::LabError;
use crate::chance::Chance;
use crate::link::Datagram;
use crate::network::HostId;
use crate::scenario::LinkPlan;

/// What has left and not come, and the ways that sessions have opened to a tracker.
#[derive(Debug)]
pub(super) struct Datagrams {
    /// Which of its own addresses a session speaks from, and to which.
    flows: FxHashMap<(HostId, SessionStreamId), (SocketAddr, SocketAddr)>,
    by_address: FxHashMap<SocketAddr, (HostId, SessionStreamId)>,
    under_way: FxHashMap<u64, Coming>,
    /// How many left, each counted once for each that gets it.
    sent: u64,
    /// When hosts that nobody reaches last sent something to others: their routers let answers in.
    openings: FxHashMap<(HostId, HostId), Timestamp>,
    /// At how many openings those are taken out that are over.
    sweep_at: usize,
    link: LinkPlan,
    chance: Chance,
}

/// A datagram that comes to a host.
#[derive(Debug)]
struct Coming {
    from: HostId,
    to: HostId,
    datagram: Datagram,
    /// Whether it is through the link down.
    is_through: bool,
}

impl Datagrams {
    pub(super) fn new(link: &LinkPlan, seed: u64) -> Self {
        Self {
            flows: FxHashMap::default(),
            by_address: FxHashMap::default(),
            under_way: FxHashMap::default(),
            sent: 0,
            openings: FxHashMap::default(),
            sweep_at: LEAST_SWEPT,
            link: link.clone(),
            chance: Chance::of(seed, "network", "datagrams"),
        }
    }

    /// Whether a stream of a host is one of datagrams to a tracker.
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
        self.openings.retain(|(of, _), _| *of != host);
    }

    /// A host that nobody reaches sends something to another: its router lets answers in.
    fn open(&mut self, from: HostId, to: HostId, now: Timestamp) {
        if self.openings.len() >= self.sweep_at {
            self.openings.retain(|_, &mut at| now - at < OPEN_FOR);
            self.sweep_at = (self.openings.len() * 2).max(LEAST_SWEPT);
        }
        self.openings.insert((from, to), now);
    }

    /// Whether the router of a host that nobody reaches lets in what another sends.
    fn lets_in(&self, host: HostId, sender: HostId, now: Timestamp) -> bool {
        self.openings.get(&(host, sender)).is_some_and(|&at| now - at < OPEN_FOR)
    }

    /// Whether something of this share happens to a datagram.
    fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && self.chance.unit() < share
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
        if let Some(node) = &mut host.node {
            node.handle(self.now + host.clock, Input::Opened(stream, to).into());
        }
        Ok(())
    }

    /// A session says something on a stream of datagrams to a tracker.
    pub(super) fn send_to_tracker(
        &mut self,
        number: HostId,
        stream: SessionStreamId,
        bytes: Bytes,
    ) -> Result<(), LabError> {
        let Some(&(from, to)) = self.datagrams.flows.get(&(number, stream)) else { return Ok(()) };
        self.put_datagram(number, Datagram { from, to, bytes, fragment: Fragment::Allowed })
    }

    /// A host sends a datagram from the port that it listens on.
    pub(super) fn send_datagram(
        &mut self,
        number: HostId,
        to: SocketAddr,
        bytes: Bytes,
        fragment: Fragment,
    ) -> Result<(), LabError> {
        let from = self.hosts[number as usize].address;
        self.put_datagram(number, Datagram { from, to, bytes, fragment })
    }

    /// A host calls out in the local network.
    pub(super) fn send_to_all(
        &mut self,
        number: HostId,
        group: SocketAddr,
        bytes: Bytes,
    ) -> Result<(), LabError> {
        let from = SocketAddr::new(self.hosts[number as usize].address.ip(), group.port());
        self.put_datagram(number, Datagram { from, to: group, bytes, fragment: Fragment::Allowed })
    }

    fn put_datagram(&mut self, number: HostId, datagram: Datagram) -> Result<(), LabError> {
        let up = &mut self.hosts[number as usize].up;
        if up.queue_datagram(datagram, self.datagrams.link.queue.0) { self.pump(number) } else { Ok(()) }
    }

    /// A datagram has left the link of its sender.
    pub(super) fn datagram_left(&mut self, number: HostId, datagram: Datagram) -> Result<(), LabError> {
        let host = &mut self.hosts[number as usize];
        let count = datagram.bytes.len();
        host.sent += count as u64;
        if number != TRACKER && host.stranger.is_none() && host.up.rate.0.is_finite() {
            self.measures.note_sent(count);
        }
        let ends = (datagram.from, datagram.to);
        if !datagram.to.ip().is_multicast() {
            let other = self.by_address.get(&datagram.to.ip()).copied();
            let loss = self.datagrams.link.loss;
            let is_lost = self.datagrams.happens(loss);
            // In the core each byte is there once: what is lost is lost on the way there. At the link of its sender it is seen.
            if self.recording.sees_coming(number) || (self.recording.sees_leaving(number) && !is_lost) {
                self.recording.datagram(
                    self.now,
                    (number, other.unwrap_or(number)),
                    ends,
                    &datagram.bytes,
                )?;
            }
            let Some(other) = other.filter(|_| !is_lost) else { return Ok(()) };
            self.measures.note_datagram(self.hosts[other as usize].group);
            return self.set_out(number, other, datagram);
        }
        if self.recording.sees_leaving(number) {
            self.recording.datagram(self.now, (number, number), ends, &datagram.bytes)?;
        }
        let hears = |&other: &HostId| other != number && self.hosts[other as usize].calls_out;
        let others: Vec<HostId> = (TRACKER + 1..self.hosts.len() as HostId).filter(hears).collect();
        others.into_iter().try_for_each(|other| self.set_out(number, other, datagram.clone()))
    }

    /// A datagram is on its way to a host, once, twice, or not at all.
    fn set_out(&mut self, from: HostId, to: HostId, datagram: Datagram) -> Result<(), LabError> {
        // A call in the local network passes no router.
        if !self.hosts[from as usize].reachable && !datagram.to.ip().is_multicast() {
            self.datagrams.open(from, to, self.now);
        }
        let LinkPlan { reorder, duplicate, mtu, .. } = self.datagrams.link;
        let is_too_large = datagram.bytes.len() + HEADERS > mtu as usize;
        let is_kept = is_too_large && datagram.fragment == Fragment::Forbidden;
        if is_kept || self.script.parts(from, to) {
            return Ok(());
        }
        let delay = (self.hosts[from as usize].rtt + self.hosts[to as usize].rtt) / 4;
        let times = if self.datagrams.happens(duplicate) { 2 } else { 1 };
        for _ in 0..times {
            let late = match self.datagrams.happens(reorder) {
                true => self.datagrams.chance.between(Duration::ZERO, MOST_LATE),
                false => Duration::ZERO,
            };
            self.comes_at(
                self.now + delay + late,
                Coming { from, to, datagram: datagram.clone(), is_through: false },
            );
        }
        Ok(())
    }

    fn comes_at(&mut self, at: Timestamp, coming: Coming) {
        let number = self.datagrams.sent;
        self.datagrams.sent += 1;
        self.datagrams.under_way.insert(number, coming);
        self.cause(at, What::Datagram(number));
    }

    /// A datagram is at the link down of its receiver, or through it.
    pub(super) fn datagram_came(&mut self, number: u64) -> Result<(), LabError> {
        let Some(coming) = self.datagrams.under_way.remove(&number) else { return Ok(()) };
        if coming.is_through {
            return self.datagram_is_through(coming);
        }
        let down = &mut self.hosts[coming.to as usize].down;
        if !down.has_room(self.now, self.most_queue) {
            return Ok(());
        }
        let at = down.pass(self.now, coming.datagram.bytes.len());
        if at <= self.now {
            return self.datagram_is_through(coming);
        }
        self.comes_at(at, Coming { is_through: true, ..coming });
        Ok(())
    }

    fn datagram_is_through(&mut self, coming: Coming) -> Result<(), LabError> {
        let Coming { from: sender, to: number, datagram, .. } = coming;
        let Datagram { from, to, bytes, .. } = datagram;
        if self.recording.sees_coming(number) {
            self.recording.datagram(self.now, (sender, number), (from, to), &bytes)?;
        }
        if number == TRACKER {
            return self.ask_tracker_in_datagram(from, to, &bytes);
        }
        let host = &self.hosts[number as usize];
        let is_let_in =
            host.reachable || to.ip().is_multicast() || self.datagrams.lets_in(number, sender, self.now);
        if host.presence != Presence::There || !is_let_in {
            return Ok(());
        }
        if to.ip().is_multicast() {
            return self.tell(number, node::Input::Multicast(INTERFACE, from, bytes));
        }
        if let Some(&(host, stream)) = self.datagrams.by_address.get(&to) {
            return self.tell(host, Input::Received(stream, bytes));
        }
        if to != host.address {
            return Ok(());
        }
        match host.stranger {
            Some(Stranger::DhtNode) => self.tell_dht(number, DhtInput::Datagram(from, bytes)),
            Some(Stranger::DhtPoisoner) => self.answer_with_poison(number, from, &bytes),
            Some(_) => Ok(()),
            None => self.tell(number, node::Input::Datagram(from, bytes)),
        }
    }

    fn ask_tracker_in_datagram(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &Bytes,
    ) -> Result<(), LabError> {
        if !self.is_tracker_there() || to.port() != super::TRACKER_PORT {
            return Ok(());
        }
        match self.tracker.answer_datagram(from.ip(), bytes) {
            Some(answer) => self.send_datagram(TRACKER, from, Bytes::from(answer), Fragment::Allowed),
            None => Ok(()),
        }
    }
}

/// The only interface of each host: all are in one local network.
pub(super) const INTERFACE: InterfaceId = InterfaceId(1);

/// How many bytes of the headers of IPv4 and UDP are in a packet.
const HEADERS: usize = 28;

/// How much later a datagram comes that others overtake.
const MOST_LATE: Duration = Duration::from_millis(50);

/// How long a router lets answers in (RFC 4787, REQ-5: two minutes at the least).
const OPEN_FOR: Duration = Duration::from_secs(120);

/// Below so many openings none is taken out.
const LEAST_SWEPT: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openings_that_are_over_are_taken_out_as_others_come() {
        let at = |seconds: i64| Timestamp::from_nanos(seconds * 1_000_000_000);
        let mut datagrams = Datagrams::new(&LinkPlan::default(), 1);
        let mut most = 0;
        // One a second, each to another host: 120 of them are open at any time.
        for second in 0..20_000 {
            datagrams.open(1, second, at(second.into()));
            most = most.max(datagrams.openings.len());
        }
        assert_eq!(most, LEAST_SWEPT);
        let now = at(19_999);
        assert!(datagrams.lets_in(1, 19_999, now) && datagrams.lets_in(1, 19_880, now));
        assert!(!datagrams.lets_in(1, 19_879, now) && !datagrams.lets_in(2, 19_999, now));
        // None is taken out that is open.
        for to in 20_000..30_000 {
            datagrams.open(1, to, now);
        }
        assert!((20_000..30_000).all(|to| datagrams.lets_in(1, to, now)));
    }
}
