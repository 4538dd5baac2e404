//! The addresses of peers that are known, and which of them is dialled next. What a peer says can be invented: it takes
//! a bounded share of the room, and gives way to what a tracker says.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::Timestamp;

use super::encryption::Way;
use super::known::{KnownPeer, KnownPeers, MAX_FAILURES};
use super::waiting::Waiting;
use super::{Endpoint, UtpDial};

/// What is known of peers that are not connected.
#[derive(Debug)]
pub(super) struct Swarm {
    known: KnownPeers,
    /// Those to be dialled that a tracker named.
    named: Waiting,
    /// Those to be dialled that only others told of.
    passed_on: Waiting,
    /// Whose turn it is where some of both wait.
    passed_on_next: bool,
    banned: BTreeSet<SocketAddr>,
    banned_hosts: BTreeSet<IpAddr>,
    /// Addresses under which we were found ourselves.
    own: BTreeSet<SocketAddr>,
    own_host: Option<IpAddr>,
    port: u16,
    most: usize,
    /// Whether a peer that failed is dialled again only when a tracker names it again.
    once: bool,
    /// How many that were dialled one after the other were full, and until when a session with enough connections dials nobody for
    /// that whom no tracker named, and to which blocks come, nobody that it dialled before.
    full: u32,
    full_until: Option<Timestamp>,
    /// The addresses that no tracker named and that were dialled within [`RETRY_INVENTED`], and when each was, in order: an address
    /// that was forgotten since, and is named again, is not new.
    dialled: HashSet<SocketAddr, RandomState>,
    dials: VecDeque<(Timestamp, SocketAddr)>,
}

/// Which of those that wait are dialled now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DialChoice {
    /// All of them.
    Any,
    /// Those that a tracker named.
    Named,
    /// Those that a tracker named and that were not dialled in vain so far.
    NewNamed,
}

/// Who says that a peer is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerSource {
    /// A tracker.
    Tracker,
    /// The magnet link.
    Link,
    /// Peers at this host, over peer exchange (BEP 11) or of themselves.
    Peer(IpAddr),
    /// Nodes of the DHT (BEP 5).
    Dht,
    /// Hosts of the local network (BEP 14).
    Lsd,
}

impl PeerSource {
    /// Whether the source can be made to name any host by somebody who means that host harm. A tracker is the publisher's
    /// choice.
    pub(super) const fn can_be_invented(self) -> bool {
        !matches!(self, Self::Tracker)
    }
}

impl Swarm {
    pub(super) fn new(port: u16, most: usize, once: bool) -> Self {
        Self {
            known: KnownPeers::default(),
            named: Waiting::new(),
            passed_on: Waiting::new(),
            passed_on_next: false,
            banned: BTreeSet::new(),
            banned_hosts: BTreeSet::new(),
            own: BTreeSet::new(),
            own_host: None,
            port,
            most,
            once,
            full: 0,
            full_until: None,
            dialled: HashSet::default(),
            dials: VecDeque::new(),
        }
    }

    /// How many peers could be dialled, now or later.
    pub(super) fn waiting(&self) -> usize {
        self.named.len() + self.passed_on.len()
    }

    /// What is known of these.
    fn known_waiting(&self) -> impl Iterator<Item = &KnownPeer> {
        self.named.iter().chain(self.passed_on.iter()).filter_map(|address| self.known.get(*address))
    }

    /// Whether one of these was not given up, and may be dialled by a time, where there is one.
    pub(super) fn any_hopeful(&self, by: Option<Timestamp>) -> bool {
        self.known_waiting().any(|known| {
            let is_soon = by.is_none_or(|by| known.not_before.is_none_or(|at| at <= by));
            self.once || known.failures < MAX_FAILURES && is_soon
        })
    }

    pub(super) fn known(&self) -> usize {
        self.known.len()
    }

    /// Peers are said to be there.
    pub(super) fn learn(&mut self, source: PeerSource, addresses: impl IntoIterator<Item = SocketAddr>) {
        let mut has_room = true;
        for address in addresses {
            // The same host in the other family of addresses is the same host.
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            if !self.is_useful(address, source) {
                continue;
            }
            let Some(known) = self.known.get(address) else {
                if source.can_be_invented() && self.dialled.contains(&address) {
                    continue;
                }
                has_room = has_room && self.make_room(source);
                if has_room {
                    self.known.insert(address, source);
                    self.enqueue(address);
                }
                continue;
            };
            // Whom a tracker, the DHT or the local network names still, though it was given up, may only have been full; when its
            // pause is over it is dialled again.
            let was_given_up = !matches!(source, PeerSource::Peer(_)) && known.failures >= MAX_FAILURES;
            let is_wanted =
                !known.waits && !known.connected && (self.once || known.failures == 0 || was_given_up);
            if !source.can_be_invented() && known.source != source {
                if known.waits {
                    self.passed_on.remove(address, known.not_before);
                    self.named.push(address, known.not_before);
                }
                self.known.change(address, |known| known.source = source);
            }
            if is_wanted {
                self.enqueue(address);
            }
        }
    }

    /// Whether there is room for one more that comes from `source`, now that one may have been forgotten for it.
    fn make_room(&mut self, source: PeerSource) -> bool {
        let share = (self.most / SHARES).max(1);
        let has_its_share = source.can_be_invented() && self.known.told_by(source) >= share;
        if !has_its_share && self.known.len() < self.most {
            return true;
        }
        let Some(address) = self.known.first_to_yield(source, has_its_share) else { return false };
        if let Some(known) = self.known.remove(address).filter(|known| known.waits) {
            self.queue(known.source.can_be_invented()).remove(address, known.not_before);
        }
        true
    }

    /// Has a known peer dialled after those that wait.
    fn enqueue(&mut self, address: SocketAddr) {
        let waits = |known: &mut KnownPeer| {
            known.waits = true;
            (known.source.can_be_invented(), known.not_before)
        };
        if let Some((passed_on, not_before)) = self.known.change(address, waits) {
            self.queue(passed_on).push(address, not_before);
        }
    }

    /// Those that wait which only others told of, or which a tracker named.
    const fn queue(&mut self, passed_on: bool) -> &mut Waiting {
        if passed_on { &mut self.passed_on } else { &mut self.named }
    }

    /// The torrent is private: who was not named by a tracker is not dialled (BEP 27).
    pub(super) fn keep_only_named_by_trackers(&mut self) {
        self.known.retain(|known| known.source == PeerSource::Tracker || known.connected);
        let known = &self.known;
        let is_kept = |address: &SocketAddr| {
            known.get(*address).is_some_and(|known| known.source == PeerSource::Tracker)
        };
        self.named.retain(is_kept);
        self.passed_on.retain(is_kept);
    }

    /// Whether a tracker named the peer at this address.
    pub(super) fn is_named_by_tracker(&self, address: SocketAddr) -> bool {
        self.known.get(address).is_some_and(|known| known.source == PeerSource::Tracker)
    }

    /// Our own address, as a tracker sees it.
    pub(super) const fn note_own(&mut self, host: IpAddr) {
        self.own_host = Some(host);
    }

    /// At this address we are ourselves.
    pub(super) fn note_ourselves(&mut self, address: SocketAddr) {
        self.own.insert(address);
    }

    /// Whether an address is dialled that `source` names.
    fn is_useful(&self, address: SocketAddr, source: PeerSource) -> bool {
        let is_service = source.can_be_invented() && address.port() < FIRST_PORT;
        let host = address.ip();
        let own = self.port != 0
            && address.port() == self.port
            && (self.own_host == Some(host)
                || host == IpAddr::from([127, 0, 0, 1])
                || host == IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1_u16]));
        let broadcast = matches!(host, IpAddr::V4(host) if host.is_broadcast());
        address.port() != 0
            && !is_service
            && !host.is_unspecified()
            && !host.is_multicast()
            && !broadcast
            && !own
            && !self.own.contains(&address)
            && !self.is_banned(address)
    }

    /// The next to be dialled, noted as connected: in turn one that a tracker named and one that a peer told of.
    pub(super) fn next(&mut self, now: Timestamp, choice: DialChoice) -> Option<SocketAddr> {
        if self.is_quiet(now) {
            return None;
        }
        self.forget_dials(now);
        for passed_on in [self.passed_on_next, !self.passed_on_next] {
            if passed_on && choice != DialChoice::Any {
                continue;
            }
            if let Some(address) = self.first_of(passed_on, now, choice) {
                self.take(address, passed_on, now);
                self.passed_on_next = !passed_on;
                return Some(address);
            }
        }
        None
    }

    /// Whether nobody can be dialled now, as far as that is known without a look at who waits.
    pub(super) fn is_quiet(&self, now: Timestamp) -> bool {
        self.ready_at(now).is_none_or(|at| now < at)
    }

    /// Whether those that were dialled last were full, so that a session with enough connections does not dial everybody now.
    pub(super) fn is_full(&self, now: Timestamp) -> bool {
        self.full_until.is_some_and(|until| now < until)
    }

    /// A peer that was dialled took the connection and closed it: it has no place. Each one in a row doubles the pause.
    pub(super) fn note_full(&mut self, address: SocketAddr, now: Timestamp) {
        self.full_until = Some(now + FULL * (1 << self.full.min(MOST_DOUBLED)));
        self.full = self.full.saturating_add(1);
        self.known.change(address, |known| {
            if !known.source.can_be_invented() {
                known.failures = known.failures.min(MOST_WHERE_FULL);
            }
        });
    }

    /// A peer that was dialled has a place.
    pub(super) const fn note_opened(&mut self) {
        (self.full, self.full_until) = (0, None);
    }

    /// Forgets the dials that are long ago. To be called before addresses that no tracker named are learnt.
    pub(super) fn forget_dials(&mut self, now: Timestamp) {
        while let Some(&(at, address)) = self.dials.front()
            && now - at >= RETRY_INVENTED
        {
            self.dials.pop_front();
            self.dialled.remove(&address);
        }
    }

    /// Whether no tracker named an address.
    pub(super) fn is_invented(&self, address: SocketAddr) -> bool {
        self.known.get(address).is_some_and(|known| known.source.can_be_invented())
    }

    /// Whose turn it is of those that a tracker named, or that others told of. Those before it that are not to be dialled, or not
    /// now, wait no longer or rest.
    fn first_of(&mut self, passed_on: bool, now: Timestamp, choice: DialChoice) -> Option<SocketAddr> {
        if passed_on && self.dialled.len() >= MOST_DIALLED {
            return None;
        }
        loop {
            let queue = self.queue(passed_on);
            let address = match choice {
                DialChoice::NewNamed => queue.first_unrested()?,
                DialChoice::Any | DialChoice::Named => queue.first(now)?,
            };
            let known = self.known.get(address);
            let rest = known.and_then(|known| known.not_before).filter(|&at| at > now);
            let is_free =
                known.is_some_and(|known| !known.connected && self.is_useful(address, known.source));
            if is_free && rest.is_none() {
                return Some(address);
            }
            let queue = self.queue(passed_on);
            queue.pop_first();
            match rest {
                Some(at) => queue.push(address, Some(at)),
                None => drop(self.known.change(address, |known| known.waits = false)),
            }
        }
    }

    /// The one whose turn it is, is dialled.
    fn take(&mut self, address: SocketAddr, passed_on: bool, now: Timestamp) {
        self.queue(passed_on).pop_first();
        let dialled = |known: &mut KnownPeer| {
            (known.waits, known.connected) = (false, true);
            known.source.can_be_invented()
        };
        if self.known.change(address, dialled) == Some(true) && self.dialled.insert(address) {
            self.dials.push_back((now, address));
        }
    }

    /// When the first that waits may be dialled.
    pub(super) fn ready_at(&self, now: Timestamp) -> Option<Timestamp> {
        // Where no more dials are remembered, nobody is dialled that no tracker named until the first of them is forgotten.
        let remembered = self.dials.front().filter(|_| self.dialled.len() >= MOST_DIALLED);
        let not_before = remembered.map_or(now, |(at, _)| *at + RETRY_INVENTED);
        let passed_on = self.passed_on.ready_at(now).map(|at| at.max(not_before));
        [self.named.ready_at(now), passed_on].into_iter().flatten().min()
    }

    /// Whether one of those that wait may be dialled now.
    pub(super) fn any_ready(&mut self, now: Timestamp, choice: DialChoice) -> bool {
        !self.is_quiet(now)
            && (self.first_of(false, now, choice).is_some()
                || (choice == DialChoice::Any && self.first_of(true, now, choice).is_some()))
    }

    /// A connected peer says that it can be dialled at this address.
    pub(super) fn note_connected(&mut self, address: SocketAddr) {
        let source = PeerSource::Peer(address.ip());
        if !self.known.contains(address) && self.make_room(source) {
            self.known.insert(address, source);
        }
        self.known.change(address, |known| known.connected = true);
    }

    /// The connection to a peer is over. One that was of use is dialled again later.
    pub(super) fn note_gone(&mut self, address: SocketAddr, useful: bool, now: Timestamp) {
        let once = self.once;
        let is_to_wait = self.known.change(address, |known| {
            known.connected = false;
            known.failures = if useful { 1 } else { known.failures + 1 };
            // Who is of no use over uTP either may only have been full: then TCP comes first again.
            known.refuses_tcp &= useful;
            if useful {
                (known.relay_asked, known.punched) = (false, false);
            }
            let wait = match useful {
                true => AGAIN,
                false => {
                    let retry = RETRY * (1 << (known.failures - 1).min(6));
                    if known.source.can_be_invented() { retry.max(RETRY_INVENTED) } else { retry }
                }
            };
            known.not_before = (!once).then(|| now + wait);
            !once && known.failures < MAX_FAILURES && !known.waits
        });
        if is_to_wait == Some(true) {
            self.enqueue(address);
        }
    }

    /// A peer that was not dialled yet is said to want to be dialled in this way.
    pub(super) fn prefer(&mut self, address: SocketAddr, way: Way) {
        self.known.change(address, |known| {
            if !known.connected && known.failures == 0 && known.way.is_none() {
                known.way = Some(way);
            }
        });
    }

    /// A peer at `teller` says that a peer takes uTP, which counts while it was not dialled yet, or speaks holepunch.
    pub(super) fn note_told(
        &mut self,
        teller: IpAddr,
        address: SocketAddr,
        takes_utp: bool,
        speaks_holepunch: bool,
    ) {
        if !takes_utp && !speaks_holepunch {
            return;
        }
        self.known.change(address, |known| {
            known.takes_utp |= takes_utp && !known.connected && known.failures == 0;
            if speaks_holepunch {
                known.relay = Some(teller);
            }
        });
    }

    /// Where a peer is dialled.
    pub(super) fn endpoint(&self, address: SocketAddr) -> Endpoint {
        match self.known.get(address) {
            Some(known) if known.refuses_tcp => Endpoint::UtpPeer(address, UtpDial::Alone),
            Some(known) if known.takes_utp => Endpoint::UtpPeer(address, UtpDial::First),
            _ => Endpoint::Peer(address),
        }
    }

    /// Has a peer that ended its connections over TCP before its handshake, in all ways, dialled over uTP alone, before all others
    /// and in the usual way; whether that is to be, and not just was done.
    pub(super) fn try_utp(&mut self, address: SocketAddr) -> bool {
        let refuses_tcp = self.known.change(address, |known| {
            known.refuses_tcp = !known.refuses_tcp;
            if known.refuses_tcp {
                (known.way, known.both_ways) = (None, false);
            }
            known.refuses_tcp
        });
        if refuses_tcp == Some(true) {
            self.dial_first(address);
        }
        refuses_tcp == Some(true)
    }

    /// Has a peer that was useful dialled anew before all others, in the way that led to it; whether it is known.
    pub(super) fn dial_anew(&mut self, address: SocketAddr) -> bool {
        // It has a place, however full others are.
        self.note_opened();
        self.dial_first(address);
        self.known.contains(address)
    }

    /// Has a peer whose connection is over dialled before all others.
    fn dial_first(&mut self, address: SocketAddr) {
        let change = |known: &mut KnownPeer| {
            let not_before = std::mem::take(&mut known.not_before);
            known.connected = false;
            (known.source.can_be_invented(), std::mem::replace(&mut known.waits, true), not_before)
        };
        let Some((passed_on, waited, not_before)) = self.known.change(address, change) else { return };
        let queue = self.queue(passed_on);
        if waited {
            queue.remove(address, not_before);
        }
        queue.push_first(address);
    }

    /// The host that may bring us together with a peer, where none was asked yet: it named the peer as one that speaks holepunch.
    pub(super) fn relay_to(&self, address: SocketAddr) -> Option<IpAddr> {
        self.known.get(address).filter(|known| !known.relay_asked)?.relay
    }

    /// A relay was asked to bring us together with a peer.
    pub(super) fn note_asked(&mut self, address: SocketAddr) {
        self.known.change(address, |known| known.relay_asked = true);
    }

    /// A relay says that the peer at this address dials us now. Whether it is to be dialled, noted as connected: once, and where
    /// no relay was asked, only if it was not dialled of late.
    pub(super) fn punch(&mut self, now: Timestamp, source: PeerSource, address: SocketAddr) -> bool {
        if !self.is_useful(address, source) {
            return false;
        }
        let is_asked = self.known.get(address).is_some_and(|known| known.relay_asked);
        let was_dialled = self.dialled.contains(&address) || self.dialled.len() >= MOST_DIALLED;
        if !is_asked && was_dialled || !self.known.contains(address) && !self.make_room(source) {
            return false;
        }
        if !self.known.contains(address) {
            self.known.insert(address, source);
        }
        let punches = |known: &mut KnownPeer| {
            let punches = !known.connected && !known.punched;
            if punches {
                (known.punched, known.connected, known.waits) = (true, true, false);
            }
            punches.then_some(known.not_before)
        };
        let Some(not_before) = self.known.change(address, punches).flatten() else { return false };
        self.named.remove(address, not_before);
        self.passed_on.remove(address, not_before);
        if self.dialled.insert(address) {
            self.dials.push_back((now, address));
        }
        true
    }

    /// The way in which a peer is dialled, where that is not the usual one.
    pub(super) fn way(&self, address: SocketAddr) -> Option<Way> {
        self.known.get(address)?.way
    }

    /// In this way a peer was dialled, and sent its handshake.
    pub(super) fn note_way(&mut self, address: SocketAddr, way: Way) {
        self.known.change(address, |known| (known.way, known.both_ways) = (Some(way), false));
    }

    /// Has a peer that ended a connection before its handshake dialled in the other way, before all others; whether that is to
    /// be, and not just was done.
    pub(super) fn try_other_way(&mut self, address: SocketAddr, way: Way) -> bool {
        let tries = self.known.change(address, |known| {
            known.both_ways = !known.both_ways;
            // After both ways, both are tried again later, in the usual order.
            known.way = known.both_ways.then_some(way);
            known.both_ways
        });
        if tries == Some(true) {
            self.dial_first(address);
        }
        tries == Some(true)
    }

    /// Nobody at this address is talked to again. On loopback, where everybody shares one address, the port counts.
    pub(super) fn ban(&mut self, address: SocketAddr) {
        if address.ip().is_loopback() {
            self.banned.insert(address);
        } else {
            self.banned_hosts.insert(address.ip());
        }
    }

    pub(super) fn is_banned(&self, address: SocketAddr) -> bool {
        self.banned.contains(&address) || self.banned_hosts.contains(&address.ip())
    }
}

/// How long a session with enough connections does not dial everybody after a peer that was full, and how often that doubles: to
/// 16 s.
const FULL: Duration = Duration::from_secs(1);
const MOST_DOUBLED: u32 = 4;

/// How long a peer that was of use is left alone when its connection ended: it may be the only one that has what is missing.
const AGAIN: Duration = Duration::from_secs(5);

/// How long a peer that failed is left alone at first.
const RETRY: Duration = Duration::from_secs(30);

/// The pause after a full peer that a tracker names grows no further than after so many failures: it is there, and may have a place
/// in some minutes.
const MOST_WHERE_FULL: u32 = 3;

/// How long a peer that failed is left alone at least where no tracker names it: it may be a host that has nothing to do with
/// BitTorrent, and others may say the same of it to many.
const RETRY_INVENTED: Duration = Duration::from_secs(600);

/// The first port that is dialled where no tracker names it: below stand the services of others (RFC 6335, section 6), which
/// are not to be called because somebody invents a peer there.
const FIRST_PORT: u16 = 1024;

/// How many dials are remembered of addresses that no tracker named. While as many were dialled within [`RETRY_INVENTED`], none
/// is dialled.
const MOST_DIALLED: usize = 4_096;

/// What one source tells of, where that is not a tracker, fills one part of so many at the most.
const SHARES: usize = 8;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;
    const GOSSIP: PeerSource = PeerSource::Peer(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)));

    fn at(number: u8) -> SocketAddr {
        ([11, 0, 0, number], 6881).into()
    }

    #[test]
    fn whom_trackers_name_and_whom_peers_tell_of_are_dialled_in_turn() {
        let mut swarm = Swarm::new(0, 100, false);
        swarm.learn(GOSSIP, (1..=3).map(at));
        swarm.learn(PeerSource::Tracker, (11..=13).map(at));
        let order: Vec<_> = std::iter::from_fn(|| swarm.next(NOW, DialChoice::Any)).collect();
        assert_eq!(order, [11, 1, 12, 2, 13, 3].map(at));
    }

    #[test]
    fn whom_a_tracker_goes_on_naming_is_not_given_up_for_ever() {
        let mut swarm = Swarm::new(0, 8, false);
        let mut now = NOW;
        swarm.learn(PeerSource::Tracker, [at(1)]);
        for _ in 0..MAX_FAILURES {
            now = now + Duration::from_secs(3600);
            assert_eq!(swarm.next(now, DialChoice::Any), Some(at(1)));
            swarm.note_gone(at(1), false, now);
        }
        assert_eq!(swarm.waiting(), 0);
        // A peer that tells of it changes nothing; the tracker does, after a pause.
        swarm.learn(GOSSIP, [at(1)]);
        assert_eq!(swarm.waiting(), 0);
        swarm.learn(PeerSource::Tracker, [at(1)]);
        assert_eq!(swarm.next(now, DialChoice::Any), None);
        // Nobody hopes for it, and it takes nobody's place.
        assert_eq!((swarm.waiting(), swarm.any_hopeful(None)), (1, false));
        swarm.learn(PeerSource::Tracker, [at(2)]);
        assert!(swarm.any_hopeful(None));
        assert_eq!(swarm.next(now, DialChoice::Any), Some(at(2)));
        swarm.note_gone(at(2), true, now);
        // The pause after a peer was of use is the shorter one.
        let later = now + Duration::from_secs(3600);
        assert_eq!(
            [swarm.next(later, DialChoice::Any), swarm.next(later, DialChoice::Any)],
            [Some(at(2)), Some(at(1))]
        );
    }

    #[test]
    fn each_peer_in_a_row_that_is_full_doubles_the_pause_to_16_seconds() {
        let mut swarm = Swarm::new(0, 8, false);
        let mut now = NOW;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            swarm.note_full(at(1), now);
            let begun = now;
            while swarm.is_full(now) {
                now = now + FULL;
            }
            pauses.push((now - begun).as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 16, 16, 16]);
        swarm.note_full(at(1), now);
        swarm.note_opened();
        assert!(!swarm.is_full(now));
        swarm.note_full(at(1), now);
        assert!(swarm.is_full(now) && !swarm.is_full(now + FULL));
    }

    #[test]
    fn a_full_peer_that_a_tracker_names_is_dialled_again_within_minutes() {
        let mut swarm = Swarm::new(0, 8, false);
        swarm.learn(PeerSource::Tracker, [at(1)]);
        let mut now = NOW;
        for _ in 0..20 {
            assert_eq!(swarm.next(now, DialChoice::Any), Some(at(1)));
            swarm.note_full(at(1), now);
            swarm.note_gone(at(1), false, now);
            assert_eq!(swarm.next(now, DialChoice::Any), None);
            now = now + RETRY * 8;
        }
    }

    #[test]
    fn whom_the_dht_names_still_is_dialled_though_it_was_given_up() {
        let mut swarm = Swarm::new(0, 8, false);
        let dht = PeerSource::Dht;
        swarm.learn(dht, [at(1)]);
        let mut now = NOW;
        while swarm.next(now, DialChoice::Any).is_some() {
            swarm.note_gone(at(1), false, now);
            now = now + RETRY_INVENTED * 64;
        }
        assert_eq!(swarm.next(now, DialChoice::Any), None);
        swarm.learn(dht, [at(1)]);
        assert_eq!(swarm.next(now, DialChoice::Any), Some(at(1)));
    }

    #[test]
    fn whom_a_tracker_names_too_is_no_longer_only_passed_on() {
        let mut swarm = Swarm::new(0, 8, false);
        swarm.learn(GOSSIP, [at(1)]);
        swarm.learn(PeerSource::Tracker, (1..=20).map(at));
        assert_eq!(swarm.known(), 8);
        assert_eq!(swarm.waiting(), 8);
        assert_eq!(swarm.next(NOW, DialChoice::Any), Some(at(1)));
    }

    #[test]
    fn those_told_of_that_failed_give_way_to_others_told_of_and_no_one_else_does() {
        let mut swarm = Swarm::new(0, 16, false);
        swarm.learn(PeerSource::Tracker, (101..=114).map(at));
        swarm.learn(GOSSIP, (1..=2).map(at));
        // The room is full, and nobody has failed.
        swarm.learn(GOSSIP, [at(3)]);
        swarm.learn(PeerSource::Peer([10, 0, 0, 2].into()), [at(4)]);
        let dialled: Vec<_> = std::iter::from_fn(|| swarm.next(NOW, DialChoice::Any)).collect();
        assert!(!dialled.contains(&at(3)) && !dialled.contains(&at(4)) && dialled.len() == 16);
        dialled.iter().for_each(|&address| swarm.note_gone(address, false, NOW));
        swarm.learn(PeerSource::Peer([10, 0, 0, 2].into()), (5..=9).map(at));
        assert_eq!(swarm.known(), 16);
        // Its share is two.
        assert_eq!(
            [
                swarm.next(NOW, DialChoice::Any),
                swarm.next(NOW, DialChoice::Any),
                swarm.next(NOW, DialChoice::Any)
            ],
            [Some(at(5)), Some(at(6)), None]
        );
    }

    #[test]
    fn the_services_of_others_are_dialled_only_where_a_tracker_names_them() {
        for source in [PeerSource::Dht, PeerSource::Lsd, GOSSIP] {
            let mut swarm = Swarm::new(0, 100, false);
            let low = |port| SocketAddr::from(([11, 0, 0, 1], port));
            swarm.learn(source, [0, 1, 22, 80, 1023].map(low));
            assert_eq!(swarm.next(NOW, DialChoice::Any), None, "{source:?}");
            swarm.learn(source, [low(1024)]);
            swarm.learn(PeerSource::Tracker, [low(80)]);
            let order: Vec<_> = std::iter::from_fn(|| swarm.next(NOW, DialChoice::Any)).collect();
            assert_eq!(order, [low(80), low(1024)], "{source:?}");
        }
    }

    #[test]
    fn a_host_that_is_invented_ten_thousand_times_is_dialled_once_in_ten_minutes() {
        for source in [PeerSource::Dht, PeerSource::Lsd, GOSSIP] {
            let mut swarm = Swarm::new(0, 100, false);
            let mut dialled = 0;
            for second in 0..599 {
                let now = NOW + Duration::from_secs(second);
                swarm.learn(source, [at(1); 17]);
                while let Some(address) = swarm.next(now, DialChoice::Any) {
                    dialled += 1;
                    swarm.note_gone(address, false, now);
                }
            }
            assert_eq!(dialled, 1, "{source:?}");
            assert_eq!(swarm.next(NOW + RETRY_INVENTED, DialChoice::Any), Some(at(1)));
        }
    }

    /// An address that gave way to others and is named again was dialled all the same.
    #[test]
    fn an_invented_host_that_was_forgotten_is_not_dialled_sooner() {
        let mut swarm = Swarm::new(0, 8, false);
        let mut dialled = BTreeMap::<SocketAddr, usize>::new();
        for second in 0..599 {
            let now = NOW + Duration::from_secs(second);
            // Each source has room for one of these, so that each gives way to the next.
            for number in 1..=5 {
                swarm.learn(PeerSource::Dht, [at(number)]);
                while let Some(address) = swarm.next(now, DialChoice::Any) {
                    *dialled.entry(address).or_default() += 1;
                    swarm.note_gone(address, false, now);
                }
            }
        }
        assert_eq!(dialled, (1..=5).map(|number| (at(number), 1)).collect());
    }

    #[test]
    fn dials_of_invented_hosts_that_cannot_be_remembered_are_not_made() {
        let mut swarm = Swarm::new(0, 100_000, false);
        let address =
            |number: u32| SocketAddr::from((std::net::Ipv4Addr::from_bits(0x0b00_0000 + number), 6881));
        let mut dial = |numbers: std::ops::Range<u32>, now| {
            swarm.learn(PeerSource::Dht, numbers.map(address));
            std::iter::from_fn(|| swarm.next(now, DialChoice::Any)).count()
        };
        assert_eq!(dial(0..5_000, NOW), MOST_DIALLED);
        assert_eq!(dial(0..1, NOW + Duration::from_secs(599)), 0);
        assert_eq!(dial(0..1, NOW + RETRY_INVENTED), 5_000 - MOST_DIALLED);
    }

    #[test]
    fn addresses_that_are_no_hosts_or_ourselves_are_not_dialled() {
        let mut swarm = Swarm::new(6881, 100, false);
        swarm.note_own([11, 0, 0, 1].into());
        let addresses = [
            "224.0.0.1:6881",
            "239.192.152.143:6771",
            "255.255.255.255:6881",
            "0.0.0.0:6881",
            "[ff02::1]:6881",
            "[::ffff:224.0.0.1]:6881",
            "[::ffff:11.0.0.1]:6881",
            "11.0.0.1:6881",
            "127.0.0.1:6881",
        ];
        for source in [PeerSource::Dht, PeerSource::Lsd, GOSSIP, PeerSource::Tracker] {
            swarm.learn(source, addresses.map(|address| address.parse().expect("an address")));
        }
        assert_eq!((swarm.next(NOW, DialChoice::Any), swarm.known()), (None, 0));
    }

    #[test]
    fn whom_trackers_name_and_who_was_dialled_in_vain_comes_after_new_ones_and_waits_where_these_alone_are_wanted()
     {
        let mut swarm = Swarm::new(0, 100, false);
        swarm.learn(PeerSource::Tracker, [at(1)]);
        assert_eq!(swarm.next(NOW, DialChoice::NewNamed), Some(at(1)));
        swarm.note_gone(at(1), false, NOW);
        let later = NOW + RETRY;
        assert_eq!(swarm.next(later, DialChoice::NewNamed), None);
        swarm.learn(PeerSource::Tracker, [at(2)]);
        let next: Vec<_> = (0..2).map(|_| swarm.next(later, DialChoice::Named)).collect();
        assert_eq!(next, [Some(at(2)), Some(at(1))]);
    }

    #[test]
    fn whom_no_tracker_names_waits_where_only_named_peers_are_wanted() {
        let mut swarm = Swarm::new(0, 100, false);
        swarm.learn(PeerSource::Dht, [at(1)]);
        assert_eq!(swarm.next(NOW, DialChoice::Named), None);
        swarm.learn(PeerSource::Tracker, [at(2)]);
        assert_eq!(
            [swarm.next(NOW, DialChoice::Named), swarm.next(NOW, DialChoice::Named)],
            [Some(at(2)), None]
        );
        assert_eq!(swarm.next(NOW, DialChoice::Any), Some(at(1)));
    }
}
