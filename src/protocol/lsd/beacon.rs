//! Our own voice on the local network, without I/O: when torrents are announced out of which interface, and which announces of
//! others are believed (BEP 14).

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use super::{Announce, PORT};
use crate::secret_stream::SecretStream;
use crate::{Hex, InfoHash, Timestamp};

/// An address of an interface of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    /// Its number, which the driver gives it.
    pub id: InterfaceId,
    /// Its address.
    pub address: IpAddr,
    /// How many bits of the address are those of its network.
    pub prefix: u8,
}

/// The number of an interface's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId(pub u32);

/// Announces torrents to the local network, and hears who else has them.
#[derive(Debug)]
pub struct Beacon {
    port: u16,
    torrents: Vec<InfoHash>,
    cookie: String,
    interfaces: BTreeMap<InterfaceId, Announced>,
    /// Peers that wait to be named, one a second.
    found: VecDeque<SocketAddr>,
    found_at: Option<Timestamp>,
    /// Datagrams of the announce that goes out of an interface now.
    sending: VecDeque<BeaconOutput>,
    dropped: u64,
}

/// An interface, and when announces left by it.
#[derive(Debug)]
struct Announced {
    interface: Interface,
    /// Whether the machine has it still.
    is_there: bool,
    last: Option<Timestamp>,
    next: Timestamp,
}

/// What a beacon wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BeaconOutput {
    /// Send a datagram out of this interface, to the group of its family.
    Send(InterfaceId, SocketAddr, Bytes),
    /// A peer of one of the torrents is there.
    Found(SocketAddr),
    /// Nothing more for now: call again at this time.
    Wait(Option<Timestamp>),
}

impl Interface {
    /// The group that announces out of this interface go to (BEP 14, "Protocol").
    pub const fn group(&self) -> SocketAddr {
        match self.address {
            IpAddr::V4(_) => SocketAddr::new(IpAddr::V4(GROUP_V4), PORT),
            IpAddr::V6(_) => SocketAddr::new(IpAddr::V6(GROUP_V6), PORT),
        }
    }

    /// Whether a host is in the network of this interface.
    pub fn reaches(&self, host: IpAddr) -> bool {
        let (ours, theirs, bits) = match (self.address, host.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => (ours.to_bits().into(), theirs.to_bits().into(), 32),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits(), theirs.to_bits(), 128),
            _ => return false,
        };
        let differ: u128 = ours ^ theirs;
        differ.checked_shr(bits - u32::from(self.prefix).min(bits)).unwrap_or(0) == 0
    }
}

impl Beacon {
    /// A beacon for torrents that are had, or wanted, by who listens on this TCP port. `secret` is what the cookie is made of, by
    /// which our own announces are known.
    pub fn new(port: u16, torrents: Vec<InfoHash>, secret: &[u8; 32]) -> Self {
        let cookie: [u8; COOKIE] = SecretStream::new(*secret, "local service discovery", 0).array();
        Self {
            port,
            torrents,
            cookie: Hex(&cookie).to_string(),
            interfaces: BTreeMap::new(),
            found: VecDeque::new(),
            found_at: None,
            sending: VecDeque::new(),
            dropped: 0,
        }
    }

    /// These are the torrents from the next announce on.
    pub fn follow(&mut self, torrents: Vec<InfoHash>) {
        self.torrents = torrents;
    }

    /// How many datagrams came that are no announces, came from outside the network of their interface, or were too many.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// These are the interfaces of the machine now. New ones are announced on at once, but none more often than once a minute.
    pub fn set_interfaces(&mut self, now: Timestamp, interfaces: &[Interface]) {
        self.interfaces.values_mut().for_each(|known| known.is_there = false);
        for interface in interfaces {
            if self.interfaces.len() >= MAX_INTERFACES && !self.interfaces.contains_key(&interface.id) {
                continue;
            }
            let known = self.interfaces.entry(interface.id).or_insert(Announced {
                interface: *interface,
                is_there: true,
                last: None,
                next: now,
            });
            if !known.is_there {
                known.is_there = true;
                known.next = known.next.min(known.last.map_or(now, |last| (last + LEAST_INTERVAL).max(now)));
            }
            known.interface = *interface;
        }
    }

    /// Takes a datagram that came to a group by an interface.
    pub fn receive(&mut self, by: InterfaceId, from: SocketAddr, bytes: &[u8]) {
        let interface = self.interfaces.get(&by).filter(|known| known.is_there);
        let Some(interface) = interface.map(|known| known.interface) else {
            self.dropped += 1;
            return;
        };
        let announce = Announce::decode(bytes).ok().filter(|_| interface.reaches(from.ip()));
        let Some(announce) = announce else {
            self.dropped += 1;
            return;
        };
        let is_ours = announce.cookie.as_deref() == Some(&self.cookie)
            || (announce.port == self.port && from.ip() == interface.address);
        if is_ours
            || announce.port == 0
            || !announce.info_hashes.iter().any(|hash| self.torrents.contains(hash))
        {
            return;
        }
        // Who has just come has not heard of us, and may be the one that has to call.
        if let Some(known) = self.interfaces.get_mut(&by)
            && let Some(last) = known.last
        {
            known.next = known.next.min(last + LEAST_INTERVAL);
        }
        // The address keeps its scope: an address of one link means nothing without it.
        let mut peer = from;
        peer.set_port(announce.port);
        if self.found.contains(&peer) {
            return;
        }
        match self.found.len() < MAX_FOUND {
            true => self.found.push_back(peer),
            false => self.dropped += 1,
        }
    }

    /// What is to be done at `now`.
    pub fn poll(&mut self, now: Timestamp) -> BeaconOutput {
        if let Some(output) = self.sending.pop_front() {
            return output;
        }
        if self.found_at.is_none_or(|at| at <= now)
            && let Some(peer) = self.found.pop_front()
        {
            self.found_at = Some(now + FOUND_PAUSE);
            return BeaconOutput::Found(peer);
        }
        let due = self.interfaces.values_mut().find(|known| known.is_there && known.next <= now);
        if let Some(due) = due.filter(|_| !self.torrents.is_empty()) {
            (due.last, due.next) = (Some(now), now + INTERVAL);
            let interface = due.interface;
            self.announce(&interface);
            return self.poll(now);
        }
        let announces = self.interfaces.values().filter(|known| known.is_there && !self.torrents.is_empty());
        let next = announces.map(|known| known.next).chain(self.found_at.filter(|_| !self.found.is_empty()));
        BeaconOutput::Wait(next.min())
    }

    /// Has all torrents announced out of an interface, as many in a datagram as it may hold.
    fn announce(&mut self, interface: &Interface) {
        let group = interface.group();
        let mut announce = Announce {
            host: Some(group.to_string()),
            port: self.port,
            info_hashes: Vec::new(),
            cookie: Some(self.cookie.clone()),
            capital_digits: false,
            others: Vec::new(),
        };
        let most = (MAX_DATAGRAM - announce.encode().len()) / INFO_HASH_LINE;
        for torrents in self.torrents.chunks(most) {
            announce.info_hashes = torrents.to_vec();
            self.sending.push_back(BeaconOutput::Send(interface.id, group, announce.encode().into()));
        }
    }
}

/// The groups of BEP 14, "Protocol".
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 192, 152, 143);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0xefc0, 0x988f);

/// How often torrents are announced, and how often at the most (BEP 14, "Protocol").
const INTERVAL: Duration = Duration::from_secs(300);
const LEAST_INTERVAL: Duration = Duration::from_secs(60);

/// The most bytes of a datagram (BEP 14, "Protocol": below 1,400 it is not fragmented).
const MAX_DATAGRAM: usize = 1_400;

/// The bytes of the line of an info hash: its name, a colon and a blank, 40 digits, the end of the line.
const INFO_HASH_LINE: usize = 52;

/// How many bytes of the secret's stream the cookie shows, as hexadecimal digits.
const COOKIE: usize = 4;

/// How long a peer that was found waits after the peer before, so that one host that invents many has few of them dialled.
const FOUND_PAUSE: Duration = Duration::from_secs(1);

/// How many peers wait to be named. Who is left out announces again within minutes.
const MAX_FOUND: usize = 64;

/// How many addresses of interfaces are announced on.
const MAX_INTERFACES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000_000_000);
    const OURS: InfoHash = InfoHash([0x22; 20]);

    fn end(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn interface(id: u32, address: &str, prefix: u8) -> Interface {
        Interface { id: InterfaceId(id), address: address.parse().expect("an address"), prefix }
    }

    fn beacon(interfaces: &[Interface]) -> Beacon {
        let mut beacon = Beacon::new(6881, vec![OURS], &[7; 32]);
        beacon.set_interfaces(NOW, interfaces);
        beacon
    }

    fn after(seconds: u64) -> Timestamp {
        NOW + Duration::from_secs(seconds)
    }

    /// All that is to be done at a moment, without the wait.
    fn done(beacon: &mut Beacon, now: Timestamp) -> Vec<BeaconOutput> {
        std::iter::from_fn(|| match beacon.poll(now) {
            BeaconOutput::Wait(_) => None,
            output => Some(output),
        })
        .collect()
    }

    /// An announce in the bytes of BEP 14.
    fn says(port: u16, info_hash: &str, more: &str) -> Vec<u8> {
        let line = "\r\n";
        format!(
            "BT-SEARCH * HTTP/1.1{line}Host: 239.192.152.143:6771{line}Port: {port}{line}Infohash: {info_hash}{line}\
             {more}{line}{line}"
        )
        .into_bytes()
    }

    const HASH: &str = "2222222222222222222222222222222222222222";

    #[test]
    fn announces_leave_by_each_interface_to_the_group_of_its_family() {
        let mut beacon = beacon(&[interface(1, "10.0.0.2", 24), interface(2, "fd00::2", 64)]);
        let sent = done(&mut beacon, NOW);
        let [BeaconOutput::Send(one, to_v4, v4), BeaconOutput::Send(other, to_v6, v6)] = &sent[..] else {
            panic!("{sent:?}")
        };
        assert_eq!((one.0, *to_v4), (1, end("239.192.152.143:6771")));
        assert_eq!((other.0, *to_v6), (2, end("[ff15::efc0:988f]:6771")));
        let text = String::from_utf8_lossy(v4).into_owned();
        let cookie = &beacon.cookie;
        assert_eq!(
            text,
            format!(
                "BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\nInfohash: {HASH}\r\n\
                 cookie: {cookie}\r\n\r\n\r\n"
            )
        );
        assert!(String::from_utf8_lossy(v6).contains("Host: [ff15::efc0:988f]:6771\r\n"));
        assert_eq!(cookie.len(), 8);
    }

    #[test]
    fn each_interface_is_announced_on_every_five_minutes_and_never_twice_a_minute() {
        let one = interface(1, "10.0.0.2", 24);
        let mut beacon = beacon(&[one]);
        assert_eq!(done(&mut beacon, NOW).len(), 1);
        assert_eq!(beacon.poll(NOW), BeaconOutput::Wait(Some(after(300))));
        // A cable that is pulled and put in again, over and over.
        let mut sent = 0;
        for second in 1..=120 {
            beacon.set_interfaces(after(second), &[]);
            assert_eq!(done(&mut beacon, after(second)), []);
            beacon.set_interfaces(after(second), &[one]);
            sent += done(&mut beacon, after(second)).len();
        }
        assert_eq!(sent, 2);
        assert_eq!(beacon.poll(after(120)), BeaconOutput::Wait(Some(after(420))));
    }

    #[test]
    fn who_announces_the_same_torrent_is_answered_once_a_minute() {
        let mut beacon = beacon(&[interface(1, "10.0.0.2", 24)]);
        let mut sent = Vec::new();
        for second in 0..=200 {
            // Another peer announces all the time, for two minutes.
            if (1..120).contains(&second) {
                beacon.receive(InterfaceId(1), end("10.0.0.9:6771"), &says(6889, HASH, ""));
            }
            let is_announce = |output: &BeaconOutput| matches!(output, BeaconOutput::Send(..));
            sent.extend(
                done(&mut beacon, after(second)).iter().filter(|one| is_announce(one)).map(|_| second),
            );
        }
        assert_eq!(sent, [0, 60, 120]);
        assert_eq!(beacon.poll(after(200)), BeaconOutput::Wait(Some(after(420))));
    }

    #[test]
    fn many_torrents_are_announced_in_datagrams_of_at_most_1400_bytes() {
        let torrents: Vec<InfoHash> = (0..100_u8).map(|number| InfoHash([number; 20])).collect();
        let mut beacon = Beacon::new(6881, torrents.clone(), &[7; 32]);
        beacon.set_interfaces(NOW, &[interface(1, "10.0.0.2", 24)]);
        let mut said = Vec::new();
        for output in done(&mut beacon, NOW) {
            let BeaconOutput::Send(_, _, bytes) = output else { panic!("{output:?}") };
            assert!(bytes.len() <= 1_400, "{}", bytes.len());
            said.extend(Announce::decode(&bytes).expect("an announce").info_hashes);
        }
        assert_eq!(said, torrents);
        assert_eq!(beacon.poll(NOW), BeaconOutput::Wait(Some(after(300))));
    }

    #[test]
    fn peers_of_the_same_network_are_found_and_nobody_else() {
        let mut beacon = beacon(&[interface(1, "10.0.0.2", 24)]);
        done(&mut beacon, NOW);
        let cookie = format!("cookie: {}\r\n", beacon.cookie);
        let other = "3333333333333333333333333333333333333333";
        let from = end("10.0.0.9:6771");
        for (by, from, bytes, dropped) in [
            (1, from, says(6881, HASH, &cookie), 0),
            (1, from, says(6881, other, ""), 0),
            (1, from, says(0, HASH, ""), 0),
            (1, end("10.0.0.2:6771"), says(6881, HASH, ""), 0),
            (1, end("10.0.1.9:6771"), says(6881, HASH, ""), 1),
            (1, end("192.0.2.1:6771"), says(6881, HASH, ""), 1),
            (1, end("[fd00::9]:6771"), says(6881, HASH, ""), 1),
            (2, from, says(6881, HASH, ""), 1),
            (1, from, b"d1:rd2:id20:aaaaaaaaaaaaaaaaaaaaee".to_vec(), 1),
        ] {
            let before = beacon.dropped();
            beacon.receive(InterfaceId(by), from, &bytes);
            assert_eq!(beacon.dropped() - before, dropped, "{from}: {}", String::from_utf8_lossy(&bytes));
            assert_eq!(done(&mut beacon, NOW), [], "{from}");
        }
        beacon.receive(InterfaceId(1), from, &says(51413, HASH, "cookie: other\r\n"));
        assert_eq!(done(&mut beacon, NOW), [BeaconOutput::Found(end("10.0.0.9:51413"))]);
    }

    /// 1,000 announces a second of invented peers, all from the own network: one a second is named, and few wait.
    #[test]
    fn a_flood_of_announces_names_one_peer_a_second() {
        let mut beacon = beacon(&[interface(1, "10.0.0.2", 16)]);
        done(&mut beacon, NOW);
        let mut found = 0;
        for second in 0..60_u64 {
            for number in 0..1_000_u16 {
                let from = SocketAddr::from(([10, 0, (number >> 8) as u8 + 1, number as u8], 6771));
                beacon.receive(InterfaceId(1), from, &says(6881, HASH, ""));
            }
            assert!(beacon.found.len() <= MAX_FOUND);
            for part in 0..10 {
                let now = NOW + Duration::from_millis(second * 1_000 + part * 100);
                found += done(&mut beacon, now).len();
            }
        }
        assert_eq!(found, 60);
        assert!(beacon.dropped() > 50_000, "{}", beacon.dropped());
    }

    #[test]
    fn a_network_is_told_by_its_prefix() {
        for (address, prefix, host, reaches) in [
            ("10.0.0.2", 24, "10.0.0.255", true),
            ("10.0.0.2", 24, "10.0.1.2", false),
            ("10.0.0.2", 0, "192.0.2.1", true),
            ("10.0.0.2", 32, "10.0.0.3", false),
            ("10.0.0.2", 99, "10.0.0.2", true),
            ("10.0.0.2", 24, "::ffff:10.0.0.7", true),
            ("fe80::1", 64, "fe80::dead:beef", true),
            ("fe80::1", 64, "fe80:0:0:1::1", false),
            ("::1", 128, "::1", true),
        ] {
            let interface = interface(1, address, prefix);
            assert_eq!(
                interface.reaches(host.parse().expect("an address")),
                reaches,
                "{address}/{prefix} {host}"
            );
        }
    }
}
