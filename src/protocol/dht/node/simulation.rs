//! A whole network of nodes under a pretend clock: datagrams take their time, and nothing else does.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::*;

/// Nodes, and datagrams on their way.
pub(super) struct Simulation {
    pub(super) now: Timestamp,
    pub(super) nodes: Vec<DhtNode>,
    places: BTreeMap<SocketAddr, usize>,
    addresses: Vec<SocketAddr>,
    events: BinaryHeap<Reverse<(Timestamp, u64, usize)>>,
    datagrams: BTreeMap<u64, (SocketAddr, Bytes)>,
    number: u64,
    latency: Duration,
    /// Nodes behind a NAT that lets in those alone to whom the node has sent, and whom that is.
    behind_nat: BTreeMap<usize, BTreeSet<SocketAddr>>,
    /// Whose outputs are noted, and what they were.
    watched: Option<usize>,
    pub(super) queries: usize,
    /// Queries of those that say that the sender cannot be reached.
    pub(super) read_only: usize,
    pub(super) peers: Vec<(Timestamp, SocketAddr)>,
    pub(super) results: Vec<SearchResult>,
}

pub(super) fn settings(number: u32) -> DhtSettings {
    let mut secret = [0; 32];
    secret[..4].copy_from_slice(&number.to_be_bytes());
    DhtSettings {
        port: 6881,
        ipv4: true,
        ipv6: false,
        read_only: false,
        version: *b"BT\x00\x01",
        secret,
        saved: SavedNodes::default(),
        contacts: Vec::new(),
        routers: Vec::new(),
    }
}

impl Simulation {
    pub(super) const fn new(latency: Duration) -> Self {
        Self {
            now: Timestamp::from_nanos(1_000_000_000_000_000),
            nodes: Vec::new(),
            places: BTreeMap::new(),
            addresses: Vec::new(),
            events: BinaryHeap::new(),
            datagrams: BTreeMap::new(),
            number: 0,
            latency,
            behind_nat: BTreeMap::new(),
            watched: None,
            queries: 0,
            read_only: 0,
            peers: Vec::new(),
            results: Vec::new(),
        }
    }

    /// A node at an address of its own, in a net of its own.
    pub(super) fn add(&mut self) -> usize {
        let number = self.nodes.len();
        let [high, low] = (number as u16).to_be_bytes();
        let address = SocketAddr::from(([20 + low % 100, high, low, 1], 6881));
        let mut settings = settings(number as u32 + 1);
        // As a node that has been here before: its id suits its address.
        let id = NodeId::drawn_for(address.ip(), SecretStream::new(settings.secret, "id", 0).array());
        settings.saved.keep(false, id, &[]);
        self.nodes.push(DhtNode::new(settings, self.now));
        self.places.insert(address, number);
        self.addresses.push(address);
        number
    }

    /// Puts a NAT before a node.
    pub(super) fn hide(&mut self, number: usize) {
        self.behind_nat.insert(number, BTreeSet::new());
    }

    pub(super) fn address(&self, number: usize) -> SocketAddr {
        self.addresses[number]
    }

    pub(super) fn watch(&mut self, number: usize) {
        self.watched = Some(number);
        self.queries = 0;
        self.read_only = 0;
        self.peers.clear();
        self.results.clear();
    }

    pub(super) fn tell(&mut self, number: usize, input: DhtInput) {
        self.nodes[number].handle(self.now, input);
        while let Some(output) = self.nodes[number].poll() {
            let watched = self.watched == Some(number);
            match output {
                DhtOutput::Datagram(to, bytes) => {
                    if watched && bytes.windows(4).any(|part| part == b"1:q4" || part == b"1:q9") {
                        self.queries += 1;
                        self.read_only += usize::from(bytes.windows(7).any(|part| part == b"2:roi1e"));
                    }
                    if let Some(sent_to) = self.behind_nat.get_mut(&number) {
                        sent_to.insert(to);
                    }
                    let Some(&place) = self.places.get(&to) else { continue };
                    self.number += 1;
                    self.datagrams.insert(self.number, (self.addresses[number], bytes));
                    self.events.push(Reverse((self.now + self.latency, self.number, place)));
                }
                DhtOutput::Peers(_, peers) if watched => {
                    self.peers.extend(peers.into_iter().map(|peer| (self.now, peer)));
                }
                DhtOutput::Searched(result) if watched => self.results.push(result),
                _ => {}
            }
        }
        self.number += 1;
        let at = self.nodes[number].wakes_at();
        self.events.push(Reverse((at.max(self.now + Duration::from_millis(1)), self.number, number)));
    }

    /// Lets time pass, until then or until something is so.
    pub(super) fn run(&mut self, duration: Duration, until: impl Fn(&Self) -> bool) {
        let end = self.now + duration;
        while !until(self) {
            let Some(&Reverse((at, event, place))) = self.events.peek() else { break };
            if at > end {
                break;
            }
            self.events.pop();
            self.now = self.now.max(at);
            match self.datagrams.remove(&event) {
                Some((from, _))
                    if self.behind_nat.get(&place).is_some_and(|known| !known.contains(&from)) => {}
                Some((from, bytes)) => self.tell(place, DhtInput::Datagram(from, bytes)),
                None if self.nodes[place].wakes_at() <= self.now => self.tell(place, DhtInput::Tick),
                // Something happened meanwhile, and it is due later.
                None => {}
            }
        }
        if !until(self) {
            self.now = end;
        }
    }

    /// A network that has come to know itself: each node began with one that was there before.
    pub(super) fn network(count: usize, latency: Duration) -> Self {
        let mut simulation = Self::new(latency);
        for number in 0..count {
            simulation.add();
            if number > 0 {
                let contact = simulation.address(number / 2);
                simulation.tell(number, DhtInput::Contact(contact));
            }
            simulation.run(Duration::from_millis(100), |_| false);
        }
        simulation.run(Duration::from_secs(60), |_| false);
        simulation
    }
}
