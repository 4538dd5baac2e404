//! What the node has of each address family: IPv4 and IPv6 are two networks, with an id and a table each (BEP 32).

use std::net::SocketAddr;

use super::external::Votes;
use super::reach::Reach;
use crate::Timestamp;
use crate::dht::NodeId;
use crate::dht::table::Table;

/// The families that the node takes part in, IPv4 first.
#[derive(Debug)]
pub(super) struct Families(Vec<Family>);

/// What there is of each family.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) ipv6: bool,
    pub(super) table: Table,
    pub(super) votes: Votes,
    pub(super) reach: Reach,
    /// When nodes near our id are looked for, where few are known.
    pub(super) bootstrap_at: Timestamp,
    pub(super) bootstraps: u32,
}

impl Families {
    /// Those that there are of IPv4 and IPv6, with the id that `own` names for each.
    pub(super) fn new(has: [bool; 2], now: Timestamp, mut own: impl FnMut(bool) -> NodeId) -> Self {
        let there = [false, true].into_iter().zip(has).filter(|(_, has)| *has);
        let families = there.map(|(ipv6, _)| Family {
            ipv6,
            table: Table::new(own(ipv6), now),
            votes: Votes::default(),
            reach: Reach::default(),
            bootstrap_at: now,
            bootstraps: 0,
        });
        Self(families.collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Family> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Family> {
        self.0.iter_mut()
    }

    /// IPv4 or IPv6.
    pub(super) fn get(&self, ipv6: bool) -> Option<&Family> {
        self.0.iter().find(|family| family.ipv6 == ipv6)
    }

    /// IPv4 or IPv6.
    pub(super) fn get_mut(&mut self, ipv6: bool) -> Option<&mut Family> {
        self.0.iter_mut().find(|family| family.ipv6 == ipv6)
    }

    /// The one that an address belongs to.
    pub(super) fn of(&self, address: SocketAddr) -> Option<&Family> {
        self.get(address.is_ipv6())
    }

    /// The one that an address belongs to.
    pub(super) fn of_mut(&mut self, address: SocketAddr) -> Option<&mut Family> {
        self.get_mut(address.is_ipv6())
    }

    /// The one that an address does not belong to.
    pub(super) fn other_than(&self, address: SocketAddr) -> Option<&Family> {
        self.get(!address.is_ipv6())
    }
}
