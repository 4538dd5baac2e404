//! The addresses of peers that are known, what is known of each, and which of them gives way to another.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

use foldhash::fast::RandomState;

use crate::Timestamp;

use super::PeerSource;
use super::encryption::Way;

/// The known addresses. To find one costs the same however many there are, and so does it to find which gives way. Addresses come
/// from the network, so the hash function is seeded; nothing depends on the order in which the table has them.
#[derive(Debug, Default)]
pub(super) struct KnownPeers {
    peers: HashMap<SocketAddr, KnownPeer, RandomState>,
    sources: BTreeMap<PeerSource, Told>,
}

/// What a source told of.
#[derive(Debug, Default)]
struct Told {
    /// How many of the known addresses come from it.
    count: usize,
    /// Those that give way to any other that can be invented: how often each failed, and the address, in ascending order. A source
    /// that can be invented has a small share of all: a list takes the least memory.
    failed: Vec<(u32, SocketAddr)>,
}

impl Told {
    fn add_failed(&mut self, failures: u32, address: SocketAddr) {
        if let Err(at) = self.failed.binary_search(&(failures, address)) {
            self.failed.insert(at, (failures, address));
        }
    }

    fn remove_failed(&mut self, failures: u32, address: SocketAddr) {
        if let Ok(at) = self.failed.binary_search(&(failures, address)) {
            self.failed.remove(at);
        }
    }
}

/// What is known of a peer that may not be connected.
#[derive(Debug)]
pub(super) struct KnownPeer {
    pub(super) source: PeerSource,
    pub(super) waits: bool,
    pub(super) connected: bool,
    pub(super) failures: u32,
    /// The way in which the peer is dialled, where that is not the usual one.
    pub(super) way: Option<Way>,
    /// Whether both ways were tried, and neither led to a handshake so far.
    pub(super) both_ways: bool,
    pub(super) not_before: Option<Timestamp>,
    /// Whether it is said to take uTP.
    pub(super) takes_utp: bool,
    /// Whether it ended its connections over TCP before its handshake, so that it is dialled over uTP alone.
    pub(super) refuses_tcp: bool,
    /// The host that said last that it speaks holepunch: it may be the relay.
    pub(super) relay: Option<IpAddr>,
    /// Whether a relay was asked to bring us together, and whether one did.
    pub(super) relay_asked: bool,
    pub(super) punched: bool,
}

impl KnownPeer {
    const fn new(source: PeerSource) -> Self {
        Self {
            source,
            waits: false,
            connected: false,
            failures: 0,
            way: None,
            both_ways: false,
            not_before: None,
            takes_utp: false,
            refuses_tcp: false,
            relay: None,
            relay_asked: false,
            punched: false,
        }
    }

    /// How often it failed, where it gives way to any other that can be invented.
    fn yields(&self) -> Option<u32> {
        (self.source.can_be_invented() && !self.connected && self.failures > 0).then_some(self.failures)
    }

    /// Whether it may be forgotten to make room for one that a tracker names.
    const fn yields_to_trackers(&self) -> bool {
        let is_given_up = self.failures >= MAX_FAILURES;
        !self.connected
            && (self.source.can_be_invented() || is_given_up || (self.failures > 0 && !self.waits))
    }
}

impl KnownPeers {
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(super) fn contains(&self, address: SocketAddr) -> bool {
        self.peers.contains_key(&address)
    }

    pub(super) fn get(&self, address: SocketAddr) -> Option<&KnownPeer> {
        self.peers.get(&address)
    }

    /// How many of the known addresses come from a source.
    pub(super) fn told_by(&self, source: PeerSource) -> usize {
        self.sources.get(&source).map_or(0, |told| told.count)
    }

    /// A peer is known now that comes from `source`.
    pub(super) fn insert(&mut self, address: SocketAddr, source: PeerSource) {
        self.remove(address);
        self.peers.insert(address, KnownPeer::new(source));
        self.count_in(address, source, None);
    }

    pub(super) fn remove(&mut self, address: SocketAddr) -> Option<KnownPeer> {
        let known = self.peers.remove(&address)?;
        self.count_out(address, known.source, known.yields());
        Some(known)
    }

    /// Changes what is known of a peer; `None` where it is not known.
    pub(super) fn change<T>(
        &mut self,
        address: SocketAddr,
        change: impl FnOnce(&mut KnownPeer) -> T,
    ) -> Option<T> {
        let known = self.peers.get_mut(&address)?;
        let before = (known.source, known.yields());
        let result = change(known);
        let after = (known.source, known.yields());
        if before != after {
            self.count_out(address, before.0, before.1);
            self.count_in(address, after.0, after.1);
        }
        Some(result)
    }

    /// An address counts as one of a source, with how often it failed where it [gives way](KnownPeer::yields).
    fn count_in(&mut self, address: SocketAddr, source: PeerSource, failures: Option<u32>) {
        let told = self.sources.entry(source).or_default();
        told.count += 1;
        if let Some(failures) = failures {
            told.add_failed(failures, address);
        }
    }

    /// It counts so no longer.
    fn count_out(&mut self, address: SocketAddr, source: PeerSource, failures: Option<u32>) {
        let Some(told) = self.sources.get_mut(&source) else { return };
        told.count -= 1;
        if let Some(failures) = failures {
            told.remove_failed(failures, address);
        }
        if told.count == 0 {
            self.sources.remove(&source);
        }
    }

    /// Which one gives way to one that comes from `source`: what others told of and failed most often goes first. With
    /// `of_the_same`, one from the same source, which can be invented.
    pub(super) fn first_to_yield(&self, source: PeerSource, of_the_same: bool) -> Option<SocketAddr> {
        if of_the_same {
            return self.sources.get(&source)?.failed.last().map(|(_, address)| *address);
        }
        if source.can_be_invented() {
            let failed = self.sources.values().filter_map(|told| told.failed.last());
            return failed.max().map(|(_, address)| *address);
        }
        let yielding = self.peers.iter().filter(|(_, known)| known.yields_to_trackers());
        let first = yielding
            .max_by_key(|(address, known)| (known.source.can_be_invented(), known.failures, **address));
        first.map(|(address, _)| *address)
    }

    /// Forgets all of which this does not hold.
    pub(super) fn retain(&mut self, keep: impl Fn(&KnownPeer) -> bool) {
        let gone = self.peers.iter().filter(|(_, known)| !keep(known)).map(|(address, _)| *address);
        for address in gone.collect::<Vec<_>>() {
            self.remove(address);
        }
    }
}

/// How often a peer is dialled in vain, unless a tracker goes on naming it.
pub(super) const MAX_FAILURES: u32 = 6;

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, proptest};

    use super::*;

    fn at(number: u8) -> SocketAddr {
        ([11, 0, 0, number], 6881).into()
    }

    fn source(number: u8) -> PeerSource {
        match number {
            0 => PeerSource::Tracker,
            1 => PeerSource::Dht,
            number => PeerSource::Peer([10, 0, 0, number].into()),
        }
    }

    /// Which one gives way, by a look at all.
    fn found_by_a_look_at_all(known: &KnownPeers, of: PeerSource, of_the_same: bool) -> Option<SocketAddr> {
        let gives_way = |peer: &KnownPeer| match of {
            PeerSource::Tracker => peer.yields_to_trackers(),
            _ => peer.source != PeerSource::Tracker && !peer.connected && peer.failures > 0,
        };
        let all = (0..20).filter_map(|number| Some((at(number), known.get(at(number))?)));
        let all = all.filter(|(_, peer)| gives_way(peer) && (!of_the_same || peer.source == of));
        let is_told = |peer: &KnownPeer| peer.source != PeerSource::Tracker;
        all.max_by_key(|(_, peer)| (is_told(peer), peer.failures)).map(|(address, _)| address)
    }

    proptest! {
        #[test]
        fn who_gives_way_is_found_without_a_look_at_all(
            steps in prop::collection::vec((0..5u8, 0..20u8, 0..4u8), 0..200),
        ) {
            let mut known = KnownPeers::default();
            for (step, number, other) in steps {
                let address = at(number);
                match step {
                    0 => known.insert(address, source(other)),
                    1 => drop(known.remove(address)),
                    2 => drop(known.change(address, |peer| peer.failures = other.into())),
                    3 => drop(known.change(address, |peer| peer.connected = other > 1)),
                    _ => drop(known.change(address, |peer| peer.source = source(other))),
                }
                for of in (0..4).map(source) {
                    let told = (0..20).filter_map(|number| known.get(at(number)));
                    assert_eq!(known.told_by(of), told.filter(|peer| peer.source == of).count());
                    let same = of != PeerSource::Tracker;
                    for of_the_same in [false, same] {
                        assert_eq!(
                            known.first_to_yield(of, of_the_same),
                            found_by_a_look_at_all(&known, of, of_the_same)
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn one_that_is_forgotten_leaves_nothing_behind() {
        let mut known = KnownPeers::default();
        known.insert(at(1), PeerSource::Dht);
        known.change(at(1), |peer| peer.failures = 2);
        known.retain(|peer| peer.connected);
        assert_eq!((known.len(), known.sources.len()), (0, 0));
    }
}
