//! The far ends of a capture: peers and web seeds, each over all its connections. A peer is known by its address and its
//! peer id, so it keeps its place (and colour) when it connects again from another port.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bittrace_protocol::PeerId;
use foldhash::fast::RandomState;

use super::clipped;
use super::data::FarEnd;

/// The place of a far end among all that were seen.
pub(super) type EndPlace = u32;

/// The far ends that were seen.
#[derive(Debug, Default)]
pub(super) struct FarEnds {
    rows: Vec<EndSeen>,
    by_peer_id: HashMap<(IpAddr, PeerId), EndPlace, RandomState>,
    by_address: HashMap<SocketAddr, EndPlace, RandomState>,
}

/// What was seen of a far end.
#[derive(Debug)]
pub(super) struct EndSeen {
    address: SocketAddr,
    /// Whether the local host called that address, so that the far end listens there.
    was_called: bool,
    peer_id: Option<PeerId>,
    pub(super) client: Option<Arc<str>>,
    pub(super) is_web_seed: bool,
    /// Bytes of blocks that it sent to the local host, and that it received.
    pub(super) received: u64,
    pub(super) sent: u64,
    /// Bytes of all its messages.
    pub(super) stream_bytes: u64,
    /// Whether it has a connection.
    pub(super) is_met: bool,
}

/// How many far ends are told apart, and by how many addresses and peer ids each at most.
const ENDS: usize = 10_000;
const NAMES: usize = 40_000;

/// How many far ends are listed, beside those of lanes, and how many have a colour.
const LISTED: usize = 60;
pub(super) const COLOURS: usize = 6;

/// What a client shows of itself in the first bytes of a peer id (BEP 20).
const PROGRAM: usize = 8;

impl FarEnds {
    /// The far end that showed a peer id; `None` when there are too many.
    pub(super) fn with_peer_id(
        &mut self,
        address: SocketAddr,
        was_called: bool,
        peer_id: PeerId,
    ) -> Option<EndPlace> {
        if let Some(&at) = self.by_peer_id.get(&(address.ip(), peer_id)) {
            if self.by_address.len() < NAMES {
                self.by_address.insert(address, at);
            }
            let end = &mut self.rows[at as usize];
            if was_called && !end.was_called {
                (end.address, end.was_called) = (address, true);
            }
            return Some(at);
        }
        // Some clients draw a new id for every connection.
        let same_program =
            |end: &EndSeen| end.peer_id.is_none_or(|known| known.0[..PROGRAM] == peer_id.0[..PROGRAM]);
        let known =
            self.by_address.get(&address).copied().filter(|at| same_program(&self.rows[*at as usize]));
        let at = match known {
            Some(at) => at,
            None => self.insert(address, was_called)?,
        };
        self.rows[at as usize].peer_id.get_or_insert(peer_id);
        if self.by_peer_id.len() < NAMES {
            self.by_peer_id.insert((address.ip(), peer_id), at);
        }
        Some(at)
    }

    /// The far end at an address that has shown no peer id; `None` when there are too many.
    pub(super) fn at_address(&mut self, address: SocketAddr, was_called: bool) -> Option<EndPlace> {
        match self.by_address.get(&address) {
            Some(at) => Some(*at),
            None => self.insert(address, was_called),
        }
    }

    fn insert(&mut self, address: SocketAddr, was_called: bool) -> Option<EndPlace> {
        if self.rows.len() >= ENDS {
            return None;
        }
        let at = self.rows.len() as EndPlace;
        self.by_address.insert(address, at);
        self.rows.push(EndSeen {
            address,
            was_called,
            peer_id: None,
            client: None,
            is_web_seed: false,
            received: 0,
            sent: 0,
            stream_bytes: 0,
            is_met: false,
        });
        Some(at)
    }

    pub(super) fn row(&mut self, at: EndPlace) -> &mut EndSeen {
        &mut self.rows[at as usize]
    }

    /// The far end at an address, as it was last.
    pub(super) fn find(&self, address: SocketAddr) -> Option<EndPlace> {
        self.by_address.get(&address).copied()
    }

    /// The list of far ends in which those that carried most stand first, and the place in the list of each that was seen,
    /// by its place among all. `of_lanes` are listed whatever they carried.
    pub(super) fn finish(&self, of_lanes: &[EndPlace]) -> ListedEnds {
        let mut order: Vec<EndPlace> = (0..self.rows.len() as EndPlace).collect();
        order.retain(|at| self.rows[*at as usize].is_met);
        let met = order.len();
        order.sort_by_key(|&at| {
            let end = &self.rows[at as usize];
            (Reverse(end.received + end.sent), Reverse(end.stream_bytes), at)
        });
        let mut place = 0;
        order.retain(|at| {
            place += 1;
            place <= LISTED || of_lanes.contains(at)
        });
        let mut places = vec![-1; self.rows.len()];
        let mut list = Vec::with_capacity(order.len());
        for at in order.iter().copied() {
            places[at as usize] = list.len() as i32;
            let end = &self.rows[at as usize];
            let address = end.address.to_string();
            let label = match &end.client {
                Some(client) => clipped(client),
                None if end.is_web_seed => "web seed".to_owned(),
                None => address.clone(),
            };
            let colour = if list.len() < COLOURS { list.len() as i8 } else { -1 };
            list.push(FarEnd { label, address, colour, received: end.received, sent: end.sent });
        }
        ListedEnds { others: (met - list.len()) as u64, met: met as u64, list, places, order }
    }
}

/// The far ends that are listed.
#[derive(Debug)]
pub(super) struct ListedEnds {
    pub(super) list: Vec<FarEnd>,
    /// How many are not.
    pub(super) others: u64,
    /// How many there are.
    pub(super) met: u64,
    places: Vec<i32>,
    order: Vec<EndPlace>,
}

impl ListedEnds {
    /// The place in the list; -1 of one that is not listed.
    pub(super) fn place(&self, at: Option<EndPlace>) -> i32 {
        at.and_then(|at| self.places.get(at as usize)).copied().unwrap_or(-1)
    }

    /// The first so many, by their places among all.
    pub(super) fn first(&self, most: usize) -> Vec<EndPlace> {
        self.order.iter().take(most).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_connects_again_is_the_same_far_end() {
        let mut ends = FarEnds::default();
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (one, other) = (PeerId(*b"-TR3000-abcdefghijkl"), PeerId(*b"-TR3000-mnopqrstuvwx"));
        let called = ends.with_peer_id(address("10.0.0.2:6881"), true, one);
        assert_eq!(
            ends.with_peer_id(address("10.0.0.2:50000"), false, one),
            called,
            "it calls from another port"
        );
        assert_ne!(
            ends.with_peer_id(address("10.0.0.2:50001"), false, other),
            called,
            "another client there"
        );
        assert_eq!(ends.with_peer_id(address("10.0.0.2:6881"), true, other), called.map(|at| at + 1));
        assert_ne!(ends.with_peer_id(address("10.0.0.3:6881"), true, one), called, "another address");
        let new_id = PeerId(*b"-TR3000-yyyyyyyyyyyy");
        assert_eq!(ends.with_peer_id(address("10.0.0.3:6881"), true, new_id), Some(2), "it draws a new id");
        assert_eq!(ends.at_address(address("10.0.0.2:50000"), false), called);
    }
}
