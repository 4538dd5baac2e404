//! The addresses of peers that are known, and which of them is dialled next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::Timestamp;

/// What is known of peers that are not connected.
#[derive(Debug)]
pub(super) struct Swarm {
    known: BTreeMap<SocketAddr, Known>,
    /// Those to be dialled, in order.
    waiting: VecDeque<SocketAddr>,
    banned: BTreeSet<SocketAddr>,
    banned_hosts: BTreeSet<IpAddr>,
    /// Addresses under which we were found ourselves.
    own: BTreeSet<SocketAddr>,
    own_host: Option<IpAddr>,
    port: u16,
    most: usize,
    /// Whether a peer that failed is dialled again only when a tracker names it again.
    once: bool,
    /// Nobody is ready before this, unless somebody new comes.
    quiet_until: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Known {
    waits: bool,
    connected: bool,
    failures: u32,
    not_before: Option<Timestamp>,
}

impl Swarm {
    pub(super) const fn new(port: u16, most: usize, once: bool) -> Self {
        Self {
            known: BTreeMap::new(),
            waiting: VecDeque::new(),
            banned: BTreeSet::new(),
            banned_hosts: BTreeSet::new(),
            own: BTreeSet::new(),
            own_host: None,
            port,
            most,
            once,
            quiet_until: None,
        }
    }

    /// How many peers could be dialled, now or later.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn known(&self) -> usize {
        self.known.len()
    }

    /// A peer is said to be there.
    pub(super) fn learn(&mut self, address: SocketAddr) {
        if !self.is_useful(address) {
            return;
        }
        if self.known.len() >= self.most && !self.known.contains_key(&address) {
            return;
        }
        let known = self.known.entry(address).or_default();
        if !known.waits && !known.connected && (self.once || known.failures == 0) {
            known.waits = true;
            self.waiting.push_back(address);
            self.quiet_until = None;
        }
    }

    /// Our own address, as a tracker sees it.
    pub(super) const fn note_own(&mut self, host: IpAddr) {
        self.own_host = Some(host);
    }

    /// At this address we are ourselves.
    pub(super) fn note_ourselves(&mut self, address: SocketAddr) {
        self.own.insert(address);
    }

    fn is_useful(&self, address: SocketAddr) -> bool {
        let host = address.ip();
        let own = self.port != 0
            && address.port() == self.port
            && (self.own_host == Some(host)
                || host == IpAddr::from([127, 0, 0, 1])
                || host == IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1_u16]));
        let broadcast = matches!(host, IpAddr::V4(host) if host.is_broadcast());
        address.port() != 0
            && !host.is_unspecified()
            && !host.is_multicast()
            && !broadcast
            && !own
            && !self.own.contains(&address)
            && !self.is_banned(address)
    }

    /// The next to be dialled, noted as connected.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<SocketAddr> {
        if self.waiting.is_empty() || self.quiet_until.is_some_and(|until| now < until) {
            return None;
        }
        for _ in 0..self.waiting.len() {
            let address = self.waiting.pop_front()?;
            let Some(known) = self.known.get_mut(&address) else { continue };
            if known.not_before.is_some_and(|at| at > now) {
                self.waiting.push_back(address);
                continue;
            }
            known.waits = false;
            if known.connected || !self.is_useful(address) {
                continue;
            }
            if let Some(known) = self.known.get_mut(&address) {
                known.connected = true;
            }
            return Some(address);
        }
        self.quiet_until = self.ready_at(now);
        None
    }

    /// When the first that waits may be dialled.
    pub(super) fn ready_at(&self, now: Timestamp) -> Option<Timestamp> {
        let known = self.waiting.iter().filter_map(|address| self.known.get(address));
        known.map(|known| known.not_before.unwrap_or(now)).min()
    }

    /// A peer called from, or says it listens at, this address.
    pub(super) fn note_connected(&mut self, address: SocketAddr) {
        if self.known.len() < self.most || self.known.contains_key(&address) {
            self.known.entry(address).or_default().connected = true;
        }
    }

    /// The connection to a peer is over. One that was of use is dialled again later.
    pub(super) fn note_gone(&mut self, address: SocketAddr, useful: bool, now: Timestamp) {
        let once = self.once;
        let Some(known) = self.known.get_mut(&address) else { return };
        known.connected = false;
        known.failures = if useful { 1 } else { known.failures + 1 };
        known.not_before = (!once).then(|| now + RETRY * (1 << known.failures.min(6)));
        if !once && known.failures < MAX_FAILURES && !known.waits {
            known.waits = true;
            self.waiting.push_back(address);
            self.quiet_until = None;
        }
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

/// How long a peer that failed is left alone at first.
const RETRY: Duration = Duration::from_secs(30);

/// How often a peer is dialled in vain.
const MAX_FAILURES: u32 = 6;
