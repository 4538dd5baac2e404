//! A host that is to be dialled by its name: which of its addresses may be, and which of them is tried when (RFC 8305).
//! Who opens the connections says what became of them.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use crate::{Timestamp, is_local_network};

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl AddressFamily {
    /// The family of an address. One of IPv4 that is mapped into IPv6 is of IPv4.
    pub const fn of(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// The one that it is not.
    pub const fn other(self) -> Self {
        match self {
            Self::Ipv4 => Self::Ipv6,
            Self::Ipv6 => Self::Ipv4,
        }
    }
}

/// A host, and which of its addresses may be dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// A name, or an address as text.
    pub host: String,
    /// A port there.
    pub port: u16,
    /// The only family of addresses that is wanted; `None` for both.
    pub family: Option<AddressFamily>,
    /// Whether it may be in a [local network](crate::is_local_network).
    pub may_be_local: bool,
    /// How it is spoken with over TLS; `None` for bytes in clear.
    pub tls: Option<Tls>,
}

/// How a host is spoken with over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The name or address for which the other end must have a certificate.
    pub name: String,
    /// Through a proxy, the request that has it open a tunnel to that host (RFC 9110, section 9.3.6); the proxy is what is
    /// dialled then.
    pub connect: Option<Bytes>,
}

impl Remote {
    /// Both families of a host, and local ones too.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, family: None, may_be_local: true, tls: None }
    }

    /// Those of its addresses that may be dialled.
    ///
    /// # Errors
    /// An address of a local network, where the host has none but those, and they may not be dialled.
    pub fn allowed(&self, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, IpAddr> {
        let wanted =
            |address: &SocketAddr| self.family.is_none_or(|family| family == AddressFamily::of(*address));
        let mut addresses: Vec<_> = addresses.into_iter().filter(wanted).collect();
        let first = addresses.first().map(SocketAddr::ip);
        addresses.retain(|address| self.may_be_local || !is_local_network(address.ip()));
        match first {
            Some(local) if addresses.is_empty() => Err(local),
            _ => Ok(addresses),
        }
    }
}

/// The addresses of one name, in the order in which they are tried.
#[derive(Debug, Clone)]
pub struct Race {
    untried: VecDeque<SocketAddr>,
    pause: Duration,
    /// When the next address is tried.
    next_at: Timestamp,
    /// How many addresses are being tried.
    running: usize,
}

impl Race {
    /// A race of these addresses, as the system's resolver has sorted them, that begins now.
    ///
    /// The family of the first address goes first, for the resolver knows which families this host can reach (RFC 6724);
    /// after that the families take turns (RFC 8305, section 4). An address that comes twice is tried once.
    pub fn new(addresses: impl IntoIterator<Item = SocketAddr>, pause: Duration, now: Timestamp) -> Self {
        let (mut first, mut second): (VecDeque<SocketAddr>, VecDeque<SocketAddr>) = Default::default();
        for address in addresses {
            let leads = first.front().is_none_or(|&one| AddressFamily::of(one) == AddressFamily::of(address));
            let family = if leads { &mut first } else { &mut second };
            if !family.contains(&address) && family.len() < MOST_ADDRESSES {
                family.push_back(address);
            }
        }
        let mut untried = VecDeque::new();
        while !first.is_empty() || !second.is_empty() {
            untried.extend(first.pop_front());
            untried.extend(second.pop_front());
        }
        untried.truncate(MOST_ADDRESSES);
        Self { untried, pause, next_at: now, running: 0 }
    }

    /// The address that is to be tried now, if the time of one has come.
    pub fn start(&mut self, now: Timestamp) -> Option<SocketAddr> {
        if now < self.next_at {
            return None;
        }
        let address = self.untried.pop_front()?;
        self.running += 1;
        self.next_at = now + self.pause;
        Some(address)
    }

    /// An address that was tried has failed: the next one is tried at once.
    pub fn fail(&mut self, now: Timestamp) {
        self.running = self.running.saturating_sub(1);
        self.next_at = now;
    }

    /// When [`start`](Self::start) has an address; `None` when all have been tried.
    pub fn next_start(&self) -> Option<Timestamp> {
        (!self.untried.is_empty()).then_some(self.next_at)
    }

    /// Whether every address was tried, and has failed.
    pub fn is_lost(&self) -> bool {
        self.untried.is_empty() && self.running == 0
    }
}

/// How long an address may take to answer over TCP before the next is tried as well (RFC 8305, section 5, "Connection
/// Attempt Delay").
pub const TCP_PAUSE: Duration = Duration::from_millis(250);

/// How long an address may take to answer over UDP before the next is tried as well. A datagram is lost more easily than a
/// connection, and each that is sent twice is one more for the tracker to answer.
pub const UDP_PAUSE: Duration = Duration::from_secs(1);

/// No name has so many addresses that can be used.
pub const MOST_ADDRESSES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_nanos(1_000_000_000_000);

    fn race(addresses: &[&str]) -> Race {
        Race::new(addresses.iter().map(|address| address.parse().unwrap()), TCP_PAUSE, START)
    }

    fn after(millis: u64) -> Timestamp {
        START + Duration::from_millis(millis)
    }

    /// Everything that is tried when nothing answers and nothing fails, with the milliseconds since the start.
    fn silence(mut race: Race) -> Vec<(u64, String)> {
        let mut tried = Vec::new();
        while let Some(at) = race.next_start() {
            let address = race.start(at).unwrap();
            tried.push(((at - START).as_millis() as u64, address.to_string()));
        }
        tried
    }

    #[test]
    fn families_take_turns_a_quarter_of_a_second_apart() {
        let race =
            race(&["[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1", "10.0.0.1:1", "10.0.0.2:1"]);
        let order = ["[2001:db8::1]:1", "10.0.0.1:1", "[2001:db8::2]:1", "10.0.0.2:1", "[2001:db8::3]:1"];
        let wanted: Vec<_> =
            order.iter().enumerate().map(|(at, address)| (at as u64 * 250, (*address).to_owned())).collect();
        assert_eq!(silence(race), wanted);
    }

    /// A host without a way to IPv6 has its IPv4 addresses first.
    #[test]
    fn the_resolvers_first_family_goes_first() {
        let order: Vec<_> = silence(race(&["10.0.0.1:1", "10.0.0.2:1", "[2001:db8::1]:1", "10.0.0.1:1"]))
            .into_iter()
            .map(|(_, address)| address)
            .collect();
        assert_eq!(order, ["10.0.0.1:1", "[2001:db8::1]:1", "10.0.0.2:1"]);
        assert_eq!(silence(race(&["[::ffff:10.0.0.1]:1", "10.0.0.2:1", "[::1]:1"]))[1].1, "[::1]:1");
    }

    #[test]
    fn a_failure_brings_the_next_at_once() {
        let mut race = race(&["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]);
        assert!(race.start(START).is_some());
        assert_eq!(race.start(after(249)), None);
        assert_eq!(race.next_start(), Some(after(250)));
        race.fail(after(10));
        assert_eq!(race.start(after(10)), Some("10.0.0.2:1".parse().unwrap()));
        // Its pause counts from its own start.
        assert_eq!(race.start(after(259)), None);
        assert!(race.start(after(260)).is_some());
        assert_eq!(race.next_start(), None);
        race.fail(after(300));
        assert!(!race.is_lost());
        race.fail(after(301));
        assert!(race.is_lost());
        assert_eq!(race.start(after(400)), None);
    }

    #[test]
    fn a_name_without_addresses_is_lost_and_one_with_thousands_has_a_bound() {
        assert!(race(&[]).is_lost());
        let many = (1..5_000).map(|port| SocketAddr::from(([10, 0, 0, 1], port)));
        assert_eq!(silence(Race::new(many, UDP_PAUSE, START)).len(), MOST_ADDRESSES);
    }

    #[test]
    fn addresses_are_left_out_that_may_not_be_dialled() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|address| address.parse().unwrap()).collect()
        };
        let mixed = addresses(&["[::1]:1", "1.1.1.1:1", "10.0.0.1:1", "[2001:db8::1]:1"]);
        let mut remote = Remote::new("t.test", 1);
        assert_eq!(remote.allowed(mixed.clone()), Ok(mixed.clone()));
        remote.may_be_local = false;
        assert_eq!(remote.allowed(mixed.clone()), Ok(addresses(&["1.1.1.1:1", "[2001:db8::1]:1"])));
        remote.family = Some(AddressFamily::Ipv6);
        assert_eq!(remote.allowed(mixed), Ok(addresses(&["[2001:db8::1]:1"])));
        assert_eq!(remote.allowed(addresses(&["[::1]:1", "1.1.1.1:1"])), Err("::1".parse().unwrap()));
        assert_eq!(remote.allowed(addresses(&["1.1.1.1:1"])), Ok(vec![]));
    }
}
