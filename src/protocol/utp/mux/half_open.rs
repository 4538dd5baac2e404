//! How many connections others have begun without proof that they are where their packets say.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// The half-open connections, by network.
#[derive(Debug)]
pub(super) struct HalfOpen {
    all: usize,
    networks: BTreeMap<(bool, u64), usize>,
}

impl HalfOpen {
    pub(super) const fn new() -> Self {
        Self { all: 0, networks: BTreeMap::new() }
    }

    /// Counts one more from this address, where there is room.
    pub(super) fn enter(&mut self, address: IpAddr) -> bool {
        let (network, most) = network(address);
        let count = self.networks.get(&network).copied().unwrap_or(0);
        if self.all >= MOST_HALF_OPEN || count >= most {
            return false;
        }
        self.networks.insert(network, count + 1);
        self.all += 1;
        true
    }

    /// One of this address is open, or gone.
    pub(super) fn leave(&mut self, address: IpAddr) {
        let (network, _) = network(address);
        if let Some(count) = self.networks.get_mut(&network) {
            self.all -= 1;
            *count -= 1;
            if *count == 0 {
                self.networks.remove(&network);
            }
        }
    }

    #[cfg(test)]
    pub(super) const fn count(&self) -> usize {
        self.all
    }
}

/// The network of an address, and how many half-open connections it may have: one who forges addresses has many, but an
/// office behind one address is no flood.
fn network(address: IpAddr) -> ((bool, u64), usize) {
    match address.to_canonical() {
        IpAddr::V4(address) => ((true, u64::from(u32::from(address) >> 8)), MOST_OF_24),
        IpAddr::V6(address) => ((false, (u128::from(address) >> 64) as u64), MOST_OF_64),
    }
}

/// How many half-open connections there may be (LIVE.md 8).
pub(super) const MOST_HALF_OPEN: usize = 256;
/// How many of one IPv4 network of 24 bits.
pub(super) const MOST_OF_24: usize = 8;
/// How many of one IPv6 network of 64 bits.
pub(super) const MOST_OF_64: usize = 16;
