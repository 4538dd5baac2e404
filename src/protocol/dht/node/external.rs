//! Which address we have, as others see it; our id follows (BEP 42).

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use crate::Timestamp;
use crate::dht::NodeId;
use crate::dht::node_id::is_local;
use crate::dht::table::Table;

use super::{DhtNode, DhtOutput};

/// What nodes say of our address: one vote a /16, or over IPv6 a /32, so that nobody has many.
#[derive(Debug, Default)]
pub(super) struct Votes {
    /// The oldest first.
    votes: VecDeque<([u8; 4], IpAddr)>,
    agreed: Option<IpAddr>,
}

impl Votes {
    /// Takes a vote; the address that enough agree on, where that is news.
    fn take(&mut self, from: IpAddr, address: IpAddr) -> Option<IpAddr> {
        let net = match from {
            IpAddr::V4(host) => [host.octets()[0], host.octets()[1], 0, 0],
            IpAddr::V6(host) => std::array::from_fn(|at| host.octets()[at]),
        };
        self.votes.retain(|(known, _)| *known != net);
        if self.votes.len() >= MAX_VOTES {
            self.votes.pop_front();
        }
        self.votes.push_back((net, address));
        let agree = self.votes.iter().filter(|(_, vote)| *vote == address).count();
        // Where two addresses have enough votes, neither takes the other's place again and again.
        if agree < ENOUGH || agree * 2 <= self.votes.len() || self.agreed == Some(address) {
            return None;
        }
        self.agreed = Some(address);
        Some(address)
    }
}

impl DhtNode {
    /// A node tells which address we have.
    pub(super) fn note_vote(&mut self, now: Timestamp, from: SocketAddr, address: IpAddr) {
        let Some(family) = self.families.of_mut(from) else { return };
        if address.is_ipv6() != family.ipv6 || address.is_unspecified() || is_local(address) {
            return;
        }
        let Some(agreed) = family.votes.take(from.ip(), address) else { return };
        if !family.table.own().suits(agreed) {
            let own = NodeId::drawn_for(agreed, self.draw.array());
            let old = std::mem::replace(&mut family.table, Table::new(own, now));
            family.table = old.around(own, now);
        }
        self.outputs.push_back(DhtOutput::ExternalAddress(agreed));
    }
}

/// So many must agree.
const ENOUGH: usize = 3;
/// How many votes count.
const MAX_VOTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_of_different_nets_agree_and_one_net_has_one_vote() {
        let mut votes = Votes::default();
        let (us, lie) = (IpAddr::from([80, 1, 2, 3]), IpAddr::from([80, 6, 6, 6]));
        for host in 0..=255 {
            assert_eq!(votes.take([11, 0, host, 1].into(), lie), None);
        }
        assert_eq!(votes.take([12, 0, 0, 1].into(), us), None);
        assert_eq!(votes.take([13, 0, 0, 1].into(), us), None);
        assert_eq!(votes.take([14, 0, 0, 1].into(), us), Some(us));
        assert_eq!(votes.take([15, 0, 0, 1].into(), us), None);
        for net in 0..2_000_u16 {
            let [high, low] = net.to_be_bytes();
            votes.take([high, low, 0, 1].into(), [80, 9, high, low].into());
        }
        assert!(votes.votes.len() <= MAX_VOTES);
    }

    #[test]
    fn another_address_is_agreed_on_once_most_of_the_latest_say_so() {
        let mut votes = Votes::default();
        let (before, after) = (IpAddr::from([80, 1, 2, 3]), IpAddr::from([90, 1, 2, 3]));
        for net in 100..=255 {
            votes.take([200, net, 0, 1].into(), before);
        }
        assert_eq!(votes.agreed, Some(before));
        let agreed: Vec<_> = (0..40).filter_map(|net| votes.take([10, net, 0, 1].into(), after)).collect();
        assert_eq!(agreed, [after]);
    }
}
