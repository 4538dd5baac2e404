//! The peers that others announced to us. What strangers can store has a bound: torrents far from our id give way.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::NodeId;
use crate::{InfoHash, Timestamp};

/// Torrents with their peers.
#[derive(Debug, Default)]
pub(super) struct PeerStore {
    torrents: BTreeMap<InfoHash, Vec<StoredPeer>>,
    swept_at: Timestamp,
    /// Which peers the next answer begins with.
    turn: usize,
}

#[derive(Debug, Clone, Copy)]
struct StoredPeer {
    address: SocketAddr,
    at: Timestamp,
}

impl PeerStore {
    /// Keeps a peer of a torrent. Where there are torrents enough, the one farthest from `own` gives way, or this one is not
    /// kept; where there are peers enough, the oldest gives way.
    pub(super) fn keep(&mut self, now: Timestamp, own: NodeId, torrent: InfoHash, address: SocketAddr) {
        self.sweep(now);
        if !self.torrents.contains_key(&torrent) && self.torrents.len() >= MAX_TORRENTS {
            let distance = |torrent: &InfoHash| own.distance(torrent.0);
            let Some(farthest) = self.torrents.keys().copied().max_by_key(distance) else { return };
            if distance(&farthest) <= distance(&torrent) {
                return;
            }
            self.torrents.remove(&farthest);
        }
        let peers = self.torrents.entry(torrent).or_default();
        peers.retain(|peer| peer.address != address);
        let same_host = |peer: &StoredPeer| peer.address.ip() == address.ip();
        let crowded = peers.iter().filter(|peer| same_host(peer)).count() >= MAX_PEERS_A_HOST;
        if crowded || peers.len() >= MAX_PEERS {
            // They stand in the order in which they came.
            let oldest = peers.iter().position(|peer| !crowded || same_host(peer));
            oldest.map(|oldest| peers.remove(oldest));
        }
        peers.push(StoredPeer { address, at: now });
    }

    /// Some of the peers of a torrent that have addresses of this family, others each time where there are many.
    pub(super) fn some(&mut self, now: Timestamp, torrent: InfoHash, ipv6: bool) -> Vec<SocketAddr> {
        self.sweep(now);
        let peers = self.torrents.get(&torrent).into_iter().flatten();
        let mut peers: Vec<_> =
            peers.map(|peer| peer.address).filter(|address| address.is_ipv6() == ipv6).collect();
        if peers.len() > MAX_VALUES {
            let count = peers.len();
            peers.rotate_left(self.turn % count);
            self.turn = self.turn.wrapping_add(MAX_VALUES);
            peers.truncate(MAX_VALUES);
        }
        peers
    }

    /// Forgets peers that have not announced for long.
    fn sweep(&mut self, now: Timestamp) {
        if now - self.swept_at < SWEPT_EVERY {
            return;
        }
        self.swept_at = now;
        self.torrents.retain(|_, peers| {
            peers.retain(|peer| now - peer.at < KEPT);
            !peers.is_empty()
        });
    }
}

/// How many torrents are kept, and how many peers of each: libtorrent's `max_dht_items` and `max_peers` are of this size.
const MAX_TORRENTS: usize = 2_000;
const MAX_PEERS: usize = 500;
/// How many ports one host may announce for a torrent: some share an address.
const MAX_PEERS_A_HOST: usize = 8;
/// How long a peer is kept that does not announce again; clients announce each 15 minutes.
const KEPT: Duration = Duration::from_secs(30 * 60);
const SWEPT_EVERY: Duration = Duration::from_secs(60);
/// How many peers an answer holds: 50 of IPv4 are 400 bytes.
pub(super) const MAX_VALUES: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: NodeId = NodeId([0; 20]);

    fn torrent(number: u32) -> InfoHash {
        let mut hash = [0; 20];
        hash[..4].copy_from_slice(&number.to_be_bytes());
        InfoHash(hash)
    }

    fn peer(number: u32) -> SocketAddr {
        (std::net::Ipv4Addr::from(0x0b00_0000 + number), 6881).into()
    }

    #[test]
    fn a_flood_of_announces_has_a_bound_and_the_nearest_stay() {
        let mut store = PeerStore::default();
        let flooder = peer(1);
        for number in (1..=10_000).rev() {
            store.keep(Timestamp::EPOCH, OWN, torrent(number), flooder);
        }
        assert_eq!(store.torrents.len(), MAX_TORRENTS);
        assert!(store.torrents.keys().eq((1..=2_000).map(torrent).collect::<Vec<_>>().iter()));
        for number in 0..30 {
            for other in 0..600 {
                store.keep(Timestamp::EPOCH, OWN, torrent(number % 3 + 1), peer(number * 7 + other));
            }
        }
        assert!(store.torrents.values().all(|peers| peers.len() <= MAX_PEERS));
        // 64 MiB are enough for all that can be kept, with the room that lists grow by.
        let bytes = MAX_TORRENTS * (MAX_PEERS + 1).next_power_of_two() * size_of::<StoredPeer>();
        assert!(bytes <= 64 * 1024 * 1024, "{bytes}");
    }

    #[test]
    fn one_host_fills_no_torrent() {
        let mut store = PeerStore::default();
        store.keep(Timestamp::EPOCH, OWN, torrent(1), peer(2));
        for port in 1..5_000 {
            store.keep(Timestamp::EPOCH, OWN, torrent(1), ([11, 0, 0, 1], port).into());
        }
        assert_eq!(store.torrents[&torrent(1)].len(), MAX_PEERS_A_HOST + 1);
    }

    #[test]
    fn answers_hold_fifty_and_in_time_all() {
        let mut store = PeerStore::default();
        (0..300).for_each(|number| store.keep(Timestamp::EPOCH, OWN, torrent(1), peer(number)));
        store.keep(Timestamp::EPOCH, OWN, torrent(1), "[2001:db8::1]:9000".parse().expect("an address"));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let some = store.some(Timestamp::EPOCH, torrent(1), false);
            assert_eq!(some.len(), MAX_VALUES);
            seen.extend(some);
        }
        assert_eq!(seen.len(), 300);
        assert_eq!(store.some(Timestamp::EPOCH, torrent(1), true).len(), 1);
    }

    #[test]
    fn peers_are_forgotten_after_half_an_hour() {
        let mut store = PeerStore::default();
        let at = |minutes: u64| Timestamp::EPOCH + Duration::from_secs(minutes * 60);
        store.keep(at(1), OWN, torrent(1), peer(1));
        store.keep(at(20), OWN, torrent(1), peer(2));
        assert_eq!(store.some(at(30), torrent(1), false).len(), 2);
        assert_eq!(store.some(at(32), torrent(1), false), [peer(2)]);
        store.keep(at(90), OWN, torrent(2), peer(1));
        assert_eq!(store.torrents.len(), 1);
    }
}
