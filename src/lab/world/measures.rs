//! What is counted of a run as it goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use bittrace_protocol::Timestamp;
use bittrace_protocol::session::{
    CloseReason, DisconnectReason, Event, SessionStreamId, Transport, Violation,
};

use super::host::{Host, Presence};
use super::{START, What, World};
use crate::measure::{Copies, MessageTotals, Sample, Samples, Talk};
use crate::network::{Connections, EndId, HostId};
use crate::scenario::Role;

/// The counts of a run.
#[derive(Debug)]
pub(super) struct Measures {
    pub(super) copies: Copies,
    pub(super) messages: MessageTotals,
    pub(super) samples: Samples,
    /// For how long hosts of a group let hosts of another have blocks.
    pub(super) unchoked: Vec<Vec<Duration>>,
    /// How many pairs of leechers were of interest, one to the other, for each hundredth of their time together.
    pub(super) interest: [u64; 101],
    pub(super) stalls: [(u64, Duration); 4],
    /// How many times hosts of each group were dialled, and banned for what they sent.
    pub(super) dials: Vec<u64>,
    pub(super) bans: Vec<u64>,
    /// How many connections were opened on which both ends shook hands, and how many ends are over, by reason.
    pub(super) connections: u64,
    pub(super) ends: BTreeMap<&'static str, u64>,
    /// How many datagrams were sent to hosts of each group.
    pub(super) datagrams: Vec<u64>,
    pub(super) pieces_done: u64,
    sent: u64,
    /// What the seeds had given when each piece was out once.
    pub(super) first_copy: Option<u64>,
}

/// What an end of a connection over uTP says.
#[derive(Debug)]
pub(super) struct UtpTalk {
    said: Talk,
    /// The host at the other end, and since when it is known.
    other: Option<(HostId, Timestamp)>,
}

impl UtpTalk {
    const fn new() -> Self {
        Self { said: Talk::new(), other: None }
    }
}

/// Why nothing came for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StallReason {
    /// No peer was connected.
    NoPeer,
    /// No peer that was connected had anything of use.
    NoInterest,
    /// All peers of use choked the host.
    Choked,
    /// A peer let the host have blocks, and nothing came.
    Waiting,
}

impl Measures {
    pub(super) fn new(pieces: usize, hosts: usize, groups: usize) -> Self {
        Self {
            copies: Copies::new(pieces, hosts),
            messages: MessageTotals::default(),
            samples: Samples::new(),
            unchoked: vec![vec![Duration::ZERO; groups]; groups],
            interest: [0; 101],
            stalls: [(0, Duration::ZERO); 4],
            dials: vec![0; groups],
            bans: vec![0; groups],
            connections: 0,
            ends: BTreeMap::new(),
            datagrams: vec![0; groups],
            pieces_done: 0,
            sent: 0,
            first_copy: None,
        }
    }

    pub(super) const fn note_sent(&mut self, count: usize) {
        self.sent += count as u64;
    }

    /// A datagram is on its way to a host of this group.
    pub(super) fn note_datagram(&mut self, group: Option<usize>) {
        if let Some(group) = group {
            self.datagrams[group] += 1;
        }
    }

    /// An end says nothing more to the other: counts for how long it was interested, and unchoked the other.
    pub(super) fn end_of_talk(
        &mut self,
        connections: &mut Connections,
        hosts: &[Host],
        id: EndId,
        now: Timestamp,
    ) {
        let Some(connection) = connections.get(id.connection) else { return };
        let (host, other) = (connection.end(id.side).host, connection.end(id.side.other()).host);
        let (Some(group), Some(others)) = (hosts[host as usize].group, hosts[other as usize].group) else {
            return;
        };
        let Some(end) = connections.end(id) else { return };
        self.unchoked[group][others] += end.talk.take_unchoking(now);
        self.count_interest(connections, hosts, id, now);
    }

    /// Counts for which share of its time with another leecher a leecher was interested, once for each connection and side.
    pub(super) fn count_interest(
        &mut self,
        connections: &mut Connections,
        hosts: &[Host],
        id: EndId,
        now: Timestamp,
    ) {
        let Some(connection) = connections.get(id.connection) else { return };
        let Some(since) = connection.opened_at else { return };
        let (host, other) = (connection.end(id.side).host, connection.end(id.side.other()).host);
        if let Some(end) = connections.end(id) {
            self.count_interest_of(
                &mut end.talk,
                (&hosts[host as usize], &hosts[other as usize]),
                since,
                now,
            );
        }
    }

    fn count_interest_of(
        &mut self,
        talk: &mut Talk,
        (host, other): (&Host, &Host),
        since: Timestamp,
        now: Timestamp,
    ) {
        if host.role == Role::Seed || other.role == Role::Seed {
            return;
        }
        // A leecher that has everything is a seed.
        let until = other.done_at.map_or(now, |done| done.min(now));
        let Some(interested) = talk.take_interest(until) else { return };
        let known = until - since;
        // Legout 2006, section IV-A.1: peers that were known for less say nothing.
        if known >= LEAST_KNOWN {
            let share = interested.as_secs_f64() / known.as_secs_f64();
            self.interest[(share.clamp(0.0, 1.0) * 100.0).round() as usize] += 1;
        }
    }
}

impl World<'_> {
    pub(super) fn note(&mut self, number: HostId, event: &Event) {
        match event {
            Event::Complete => {
                let host = &mut self.hosts[number as usize];
                if host.done_at.is_none() && host.is_to_finish() {
                    host.done_at = Some(self.now);
                    self.count_interests(number);
                }
                self.note_finished(number);
            }
            Event::PieceDone { index, .. } => {
                self.measures.pieces_done += 1;
                self.measures.copies.add(number, *index);
                let total = self.content.piece_count() as usize;
                let host = &mut self.hosts[number as usize];
                host.pieces += 1;
                while host.tenths.len() < 10 && host.pieces as usize * 10 >= total * (host.tenths.len() + 1) {
                    host.tenths.push(self.now);
                }
            }
            Event::Trying { peer, .. } => {
                if let Some(group) = self.group_at(peer.ip()) {
                    self.measures.dials[group] += 1;
                }
            }
            Event::Connected { stream, peer, transport, .. } => {
                // The end that dialled has an even number.
                self.measures.connections += u64::from(stream.0.is_multiple_of(2));
                if *transport == Transport::Utp {
                    let other = self.by_address.get(&peer.ip()).map(|&other| (other, self.now));
                    // Who was called says its first words after this.
                    let talks = &mut self.hosts[number as usize].talks;
                    talks.entry(*stream).or_insert_with(UtpTalk::new).other = other;
                }
            }
            Event::Disconnected { stream, peer, reason, .. } => {
                self.end_of_utp_talk(number, *stream);
                *self.measures.ends.entry(end_by(reason)).or_default() += 1;
                let corrupt = matches!(reason, DisconnectReason::Violated(Violation::CorruptPiece(_)));
                if let Some(group) = self.group_at(peer.ip()).filter(|_| corrupt) {
                    self.measures.bans[group] += 1;
                }
            }
            _ => {}
        }
    }

    /// The next bytes that a client says to a peer.
    pub(super) fn said(&mut self, number: HostId, stream: SessionStreamId, bytes: &[u8]) {
        let host = &mut self.hosts[number as usize];
        let talk = match host.ends.get(&stream) {
            // What goes over TCP in clear is counted as it is sent.
            Some(_) if !host.encrypts => None,
            Some(&id) => self.connections.end(id).map(|end| &mut end.talk),
            None => Some(&mut host.talks.entry(stream).or_insert_with(UtpTalk::new).said),
        };
        if let Some(talk) = talk {
            host.content_sent += talk.say(self.now, bytes, &mut self.measures.messages);
        }
    }

    /// A host says nothing more on a connection over uTP.
    fn end_of_utp_talk(&mut self, number: HostId, stream: SessionStreamId) {
        let Some(mut talk) = self.hosts[number as usize].talks.remove(&stream) else { return };
        self.count_utp_interest(number, &mut talk);
        let Some((other, _)) = talk.other else { return };
        let groups = (self.hosts[number as usize].group, self.hosts[other as usize].group);
        if let (Some(group), Some(others)) = groups {
            self.measures.unchoked[group][others] += talk.said.take_unchoking(self.now);
        }
    }

    /// A host says nothing more on any connection over uTP.
    pub(super) fn end_of_utp_talks(&mut self, number: HostId) {
        let mut streams: Vec<_> = self.hosts[number as usize].talks.keys().copied().collect();
        streams.sort_unstable();
        streams.into_iter().for_each(|stream| self.end_of_utp_talk(number, stream));
    }

    fn count_utp_interest(&mut self, number: HostId, talk: &mut UtpTalk) {
        let Some((other, since)) = talk.other else { return };
        let hosts = (&self.hosts[number as usize], &self.hosts[other as usize]);
        self.measures.count_interest_of(&mut talk.said, hosts, since, self.now);
    }

    /// Counts the interest of a host in those that it has connections over uTP to, and theirs in it.
    fn count_utp_interests(&mut self, number: HostId) {
        let mut others: Vec<HostId> =
            self.hosts[number as usize].talks.values().filter_map(|talk| Some(talk.other?.0)).collect();
        others.push(number);
        others.sort_unstable();
        others.dedup();
        for host in others {
            let mut talks = std::mem::take(&mut self.hosts[host as usize].talks);
            // The sum does not depend on the order.
            for talk in talks.values_mut() {
                if host == number || talk.other.is_some_and(|(other, _)| other == number) {
                    self.count_utp_interest(host, talk);
                }
            }
            self.hosts[host as usize].talks = talks;
        }
    }

    fn group_at(&self, address: std::net::IpAddr) -> Option<usize> {
        self.hosts[*self.by_address.get(&address)? as usize].group
    }

    /// A host has everything: it is a leecher no longer, to itself and to others.
    fn count_interests(&mut self, number: HostId) {
        self.count_utp_interests(number);
        let mut ends: Vec<EndId> = self.hosts[number as usize].ends.values().copied().collect();
        ends.sort_unstable();
        for id in ends {
            for id in [id, id.other()] {
                self.measures.count_interest(&mut self.connections, &self.hosts, id, self.now);
            }
        }
    }

    /// Counts what a link could have carried up to now.
    pub(super) fn settle_capacity(&mut self, number: HostId) {
        let host = &mut self.hosts[number as usize];
        // A stranger's link is none of those that clients share.
        let counts = host.presence == Presence::There && host.stranger.is_none();
        if counts && host.up.rate.0.is_finite() {
            host.capacity += host.up.rate.0 * self.now.seconds_since(host.capacity_since).max(0.0);
        }
        host.capacity_since = self.now;
    }

    /// Takes a sample of the run.
    pub(super) fn sample(&mut self) {
        self.cause(self.now + self.measures.samples.every, What::Sample);
        self.look_for_stalls();
        let due = self.measures.samples.is_due();
        if !due {
            return;
        }
        let sample = self.take_sample();
        self.measures.samples.push(sample);
    }

    pub(super) fn take_sample(&mut self) -> Sample {
        let mut sample = Sample { at: self.now.seconds_since(START), ..Sample::default() };
        for number in 1..self.hosts.len() as HostId {
            self.settle_capacity(number);
            let host = &self.hosts[number as usize];
            sample.capacity += host.capacity;
            if host.role == Role::Seed {
                sample.given_by_seeds += host.content_sent;
            }
            if host.presence == Presence::There && host.stranger.is_none() {
                match host.role == Role::Seed || host.done_at.is_some() {
                    true => sample.seeds += 1,
                    false => sample.leechers += 1,
                }
            }
        }
        let spread = self.measures.copies.spread();
        sample.sent = self.measures.sent;
        sample.pieces_done = self.measures.pieces_done;
        sample.least_copies = spread.least;
        sample.mean_copies = spread.mean;
        sample.most_copies = spread.most;
        sample.rarest = spread.rarest;
        if spread.least > 0 && self.measures.first_copy.is_none() {
            self.measures.first_copy = Some(sample.given_by_seeds);
        }
        sample
    }

    /// Finds hosts that lack pieces and got nothing for long.
    fn look_for_stalls(&mut self) {
        for number in 1..self.hosts.len() {
            let host = &self.hosts[number];
            if host.presence != Presence::There || host.role == Role::Seed || host.done_at.is_some() {
                continue;
            }
            let silent = self.now - host.last_content.max(host.arrives_at);
            if silent < STALL {
                continue;
            }
            let reason = self.stall_reason(number as HostId) as usize;
            let every = self.measures.samples.every;
            let stall = &mut self.measures.stalls[reason];
            // The first look after so long counts it; later ones add to its time.
            if silent < STALL + every {
                stall.0 += 1;
                stall.1 += silent;
            } else {
                stall.1 += every;
            }
        }
    }

    fn stall_reason(&self, number: HostId) -> StallReason {
        let host = &self.hosts[number as usize];
        let Some(node) = &host.node else { return StallReason::NoPeer };
        let reasons = node.session().chokes().map(|interested_and_choked| match interested_and_choked {
            (true, false) => StallReason::Waiting,
            (true, true) => StallReason::Choked,
            (false, _) => StallReason::NoInterest,
        });
        // The worst that is true of any connection.
        reasons.max_by_key(|&reason| reason as usize).unwrap_or(StallReason::NoPeer)
    }
}

/// Why a host's end of a connection is over, in a word.
const fn end_by(reason: &DisconnectReason) -> &'static str {
    match reason {
        DisconnectReason::Closed(CloseReason::Refused) => "refused",
        DisconnectReason::Closed(CloseReason::TimedOut) => "timed_out",
        DisconnectReason::Closed(_) => "closed_by_other",
        DisconnectReason::Finished => "both_complete",
        DisconnectReason::Upgraded => "upgraded",
        DisconnectReason::Violated(violation) => match violation {
            Violation::Duplicate => "connected_twice",
            Violation::Useless => "useless",
            Violation::TooManyConnections => "no_place",
            Violation::ChokedTooLong(_) => "choked_too_long",
            Violation::Silent(_) => "silent",
            _ => "broke_a_rule",
        },
    }
}

/// A host that gets nothing for so long has stalled.
const STALL: Duration = Duration::from_secs(10);

/// Peers that were known for less are left out of the shares of interest.
const LEAST_KNOWN: Duration = Duration::from_secs(10);
