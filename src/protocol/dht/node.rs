//! A node of the DHT without I/O: it finds peers of torrents, announces us, and answers others (BEP 5, 32, 42, 43).
//!
//! [`DhtNode::handle`] takes what happened; [`DhtNode::poll`] hands out what is to be done until there is nothing;
//! [`DhtNode::wakes_at`] says when [`DhtInput::Tick`] is wanted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use super::gate::Gate;
use super::lookup::{Lookup, LookupGoal};
use super::peer_store::PeerStore;
use super::table::K;
use super::tokens::Tokens;
use super::transactions::{Purpose, Transactions, Waited};
use super::{Kind, Message, Method, Node, NodeFamilies, NodeId, Query, Response};
use crate::secret_stream::SecretStream;
use crate::{HostPort, InfoHash, Timestamp};

mod answers;
mod external;
mod families;
mod reach;
mod saved;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use saved::SavedNodes;

use families::Families;

/// What a node of the DHT is told before it begins.
#[derive(Debug, Clone)]
pub struct DhtSettings {
    /// The port that peers call us on, over TCP and over UDP; 0 where they cannot: then nothing is announced.
    pub port: u16,
    /// Whether there is a socket for IPv4.
    pub ipv4: bool,
    /// Whether there is a socket for IPv6.
    pub ipv6: bool,
    /// Whether nobody is to ask us: other nodes are told so, and nobody is answered (BEP 43). Else a node finds out for itself
    /// whether it can be reached.
    pub read_only: bool,
    /// What we call our client: two letters and two bytes of a version (BEP 5, "contact encoding").
    pub version: [u8; 4],
    /// Where all comes from that nobody else may guess.
    pub secret: [u8; 32],
    /// The nodes of an earlier run.
    pub saved: SavedNodes,
    /// Nodes that the user, or a torrent, names.
    pub contacts: Vec<HostPort>,
    /// Well-known nodes, which are asked only while no other one answers.
    pub routers: Vec<HostPort>,
}

/// What happens to a node of the DHT.
#[derive(Debug, Clone)]
pub enum DhtInput {
    /// Time has passed.
    Tick,
    /// A datagram came from this address.
    Datagram(SocketAddr, Bytes),
    /// What [`DhtOutput::Resolve`] asked.
    Resolved(HostPort, Result<Vec<SocketAddr>, String>),
    /// At this address there should be a node.
    Contact(SocketAddr),
    /// Peers of this torrent are wanted, and others are to be told that we are one of them.
    Follow(InfoHash),
    /// From now on we have all of this torrent.
    Completed(InfoHash),
}

/// What a node of the DHT wants done.
#[derive(Debug, Clone)]
pub enum DhtOutput {
    /// Send a datagram.
    Datagram(SocketAddr, Bytes),
    /// Look up the addresses of a name, and answer in any case.
    Resolve(HostPort),
    /// Peers of a torrent were named.
    Peers(InfoHash, Vec<SocketAddr>),
    /// Others agree that this is our address.
    ExternalAddress(IpAddr),
    /// A search for peers is over.
    Searched(SearchResult),
    /// Keep these nodes for the next run.
    Save(SavedNodes),
}

/// What a search for the peers of a torrent came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchResult {
    /// The torrent.
    pub torrent: InfoHash,
    /// How many nodes were asked.
    pub queries: usize,
    /// How many nodes answered.
    pub answers: usize,
    /// How many peers they named, each counted once.
    pub peers: usize,
    /// How many nodes were told that we are a peer.
    pub told: usize,
    /// How many good nodes are known.
    pub nodes: usize,
}

/// A node of the DHT.
#[derive(Debug)]
pub struct DhtNode {
    settings: DhtSettings,
    draw: SecretStream,
    families: Families,
    transactions: Transactions,
    lookups: BTreeMap<u32, Lookup>,
    next_lookup: u32,
    tokens: Tokens,
    store: PeerStore,
    gate: Gate,
    torrents: BTreeMap<InfoHash, Followed>,
    /// Nodes that are known and have not answered yet.
    contacts: VecDeque<(Option<NodeId>, SocketAddr)>,
    resolving: BTreeSet<HostPort>,
    /// When the well-known nodes are asked next.
    routers_at: Timestamp,
    save_at: Timestamp,
    outputs: VecDeque<DhtOutput>,
}

/// A torrent whose peers are looked for.
#[derive(Debug)]
struct Followed {
    search_at: Timestamp,
    /// How many searches in a row named no peer.
    in_vain: u32,
    complete: bool,
    /// The searches under way.
    lookups: BTreeSet<u32>,
    result: SearchResult,
    found: BTreeSet<SocketAddr>,
}

impl DhtNode {
    /// A node that has not asked anybody yet.
    pub fn new(settings: DhtSettings, now: Timestamp) -> Self {
        let mut draw = SecretStream::new(settings.secret, "dht", 0);
        let families = Families::new([settings.ipv4, settings.ipv6], now, |ipv6| {
            settings.saved.id(ipv6).unwrap_or_else(|| NodeId(draw.array()))
        });
        let mut node = Self {
            families,
            transactions: Transactions::new(settings.secret),
            lookups: BTreeMap::new(),
            next_lookup: 0,
            tokens: Tokens::new(settings.secret, now),
            store: PeerStore::default(),
            gate: Gate::new(now),
            torrents: BTreeMap::new(),
            contacts: VecDeque::new(),
            resolving: BTreeSet::new(),
            routers_at: now,
            save_at: now + SAVED_EVERY,
            outputs: VecDeque::new(),
            draw,
            settings,
        };
        for known in node.settings.saved.nodes() {
            node.contacts.push_back((Some(known.id), known.address));
        }
        for name in std::mem::take(&mut node.settings.contacts) {
            node.resolve(name);
        }
        if !node.contacts.is_empty() || !node.resolving.is_empty() {
            node.routers_at = now + ROUTERS_AFTER;
        }
        node
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, now: Timestamp, input: DhtInput) {
        match input {
            DhtInput::Tick => {}
            DhtInput::Datagram(from, bytes) => self.received(now, from, &bytes),
            DhtInput::Resolved(name, addresses) => {
                if self.resolving.remove(&name) {
                    let addresses = addresses.unwrap_or_default().into_iter().take(MAX_RESOLVED);
                    addresses.for_each(|address| self.add_contact(now, address));
                }
            }
            DhtInput::Contact(address) if address.port() >= FIRST_PORT => self.add_contact(now, address),
            DhtInput::Contact(_) => {}
            DhtInput::Follow(torrent) => {
                if self.torrents.len() < MAX_FOLLOWED {
                    self.torrents.entry(torrent).or_insert_with(|| Followed::new(torrent, now));
                }
            }
            DhtInput::Completed(torrent) => {
                if let Some(followed) = self.torrents.get_mut(&torrent) {
                    followed.complete = true;
                }
            }
        }
        self.advance(now);
    }

    /// What is to be done next; `None` where there is nothing for now.
    pub fn poll(&mut self) -> Option<DhtOutput> {
        self.outputs.pop_front()
    }

    /// When time alone has something happen next.
    pub fn wakes_at(&self) -> Timestamp {
        let families = self.families.iter().flat_map(|family| {
            let few = (family.table.len() < K).then_some(family.bootstrap_at);
            [Some(family.table.refresh_at()), few]
        });
        let torrents = self.torrents.values();
        let torrents = torrents.map(|followed| followed.lookups.is_empty().then_some(followed.search_at));
        let lookups = self.lookups.values().map(|lookup| Some(lookup.ends_at()));
        let routers = (!self.settings.routers.is_empty() && self.is_alone()).then_some(self.routers_at);
        let others = [self.transactions.next_at(), routers, Some(self.save_at)];
        families.chain(torrents).chain(lookups).chain(others).flatten().min().unwrap_or(self.save_at)
    }

    /// How many good nodes are known.
    pub fn good_nodes(&self, now: Timestamp) -> usize {
        self.families.iter().map(|family| family.table.good(now).len()).sum()
    }

    /// Whether peers of each torrent were looked for, with success or some times in vain, and are not at this moment. Looking
    /// for them with nobody to ask counts as in vain.
    pub fn has_searched(&self) -> bool {
        let mut torrents = self.torrents.values();
        torrents.all(|followed| followed.lookups.is_empty() && followed.in_vain >= FIRST_SEARCHES)
    }

    /// Whether there is a node to ask, or a name of one.
    pub fn has_anybody(&self) -> bool {
        !self.is_alone()
            || !self.contacts.is_empty()
            || !self.resolving.is_empty()
            || !self.settings.routers.is_empty()
    }

    /// The good nodes, for the next run.
    pub fn saved(&self, now: Timestamp) -> SavedNodes {
        let mut saved = SavedNodes::default();
        for family in self.families.iter() {
            saved.keep(family.ipv6, family.table.own(), &family.table.good(now));
        }
        saved
    }

    /// Whether no node is known that answers.
    fn is_alone(&self) -> bool {
        self.families.iter().all(|family| family.table.len() == 0)
    }

    /// Whether this is our id in a family.
    fn is_own(&self, id: NodeId) -> bool {
        self.families.iter().any(|family| family.table.own() == id)
    }

    /// Does what is due.
    fn advance(&mut self, now: Timestamp) {
        for waited in self.transactions.waited(now) {
            self.note_silence(waited);
        }
        if !self.settings.routers.is_empty() && self.is_alone() && now >= self.routers_at {
            self.routers_at = now + ROUTERS_EVERY;
            self.settings.routers.clone().into_iter().for_each(|name| self.resolve(name));
        }
        for ipv6 in [false, true] {
            let Some(family) = self.families.get_mut(ipv6) else { continue };
            let own = family.table.own();
            if family.table.len() < K && now >= family.bootstrap_at {
                family.bootstrap_at = now + BOOTSTRAP_AGAIN * (1 << family.bootstraps.min(6));
                family.bootstraps += 1;
                self.search(now, own.0, LookupGoal::Nodes, ipv6);
                continue;
            }
            if now >= family.table.refresh_at()
                && let Some(target) = family.table.stale(now, self.draw.array())
            {
                self.search(now, target, LookupGoal::Nodes, ipv6);
            }
        }
        let is_due = |followed: &Followed| followed.lookups.is_empty() && now >= followed.search_at;
        let due: Vec<_> = self
            .torrents
            .iter()
            .filter(|(_, followed)| is_due(followed))
            .map(|(torrent, _)| *torrent)
            .collect();
        due.into_iter().for_each(|torrent| self.search_peers(now, torrent));
        let lookups: Vec<_> = self.lookups.keys().copied().collect();
        lookups.into_iter().for_each(|number| self.drive(now, number));
        if now >= self.save_at {
            self.save_at = now + SAVED_EVERY;
            self.outputs.push_back(DhtOutput::Save(self.saved(now)));
        }
    }

    /// Begins a search for peers, in each family.
    fn search_peers(&mut self, now: Timestamp, torrent: InfoHash) {
        let lookups: BTreeSet<_> = [false, true]
            .into_iter()
            .filter_map(|ipv6| self.search(now, torrent.0, LookupGoal::Peers(torrent), ipv6))
            .collect();
        let Some(followed) = self.torrents.get_mut(&torrent) else { return };
        followed.result = SearchResult::nothing(torrent);
        followed.found.clear();
        if lookups.is_empty() {
            followed.search_at = now + SEARCH_AGAIN;
            // A name that is being looked up may still lead to somebody.
            if self.resolving.is_empty() {
                followed.in_vain = (followed.in_vain + 1).min(FIRST_SEARCHES);
            }
        }
        followed.lookups = lookups;
    }

    /// Begins a search; its number, where there is anybody to be asked.
    fn search(&mut self, now: Timestamp, target: [u8; 20], goal: LookupGoal, ipv6: bool) -> Option<u32> {
        if self.lookups.len() >= MAX_LOOKUPS {
            return None;
        }
        let mut lookup = Lookup::new(target, goal, ipv6, now);
        let family = self.families.get(ipv6)?;
        let near = family.table.nearest(target, 2 * K);
        near.iter().for_each(|node| lookup.add(Some(node.id), node.address));
        if near.len() < K {
            self.contacts.iter().for_each(|(id, address)| lookup.add(*id, *address));
        }
        if lookup.is_over(now) {
            return None;
        }
        let number = self.next_lookup;
        self.next_lookup = self.next_lookup.wrapping_add(1);
        self.lookups.insert(number, lookup);
        Some(number)
    }

    /// Asks the next nodes of a search, or ends it.
    fn drive(&mut self, now: Timestamp, number: u32) {
        loop {
            let Some(lookup) = self.lookups.get_mut(&number) else { return };
            if lookup.is_over(now) {
                return self.finish(now, number);
            }
            // A node that there is no room to ask is asked later.
            if !self.transactions.has_room() {
                return;
            }
            let Some(address) = lookup.next() else { return };
            let method = match lookup.goal {
                LookupGoal::Nodes => Method::FindNode,
                LookupGoal::Peers(_) => Method::GetPeers,
            };
            let target = lookup.target;
            if !self.ask(now, address, Purpose::Lookup(number), method, |query| query.target = Some(target)) {
                return;
            }
        }
    }

    /// A search is over: the nearest nodes are told that we are a peer.
    fn finish(&mut self, now: Timestamp, number: u32) {
        let Some(lookup) = self.lookups.remove(&number) else { return };
        let LookupGoal::Peers(torrent) = lookup.goal else { return };
        let Some(followed) = self.torrents.get(&torrent) else { return };
        let (port, complete) = (self.settings.port, followed.complete);
        let told = if port == 0 { Vec::new() } else { lookup.to_be_told() };
        let count = told.len();
        for (address, token) in told {
            self.ask(now, address, Purpose::Announce, Method::AnnouncePeer, |query| {
                query.target = Some(torrent.0);
                query.token = Some(token);
                query.port = Some(port);
                query.implied_port = Some(true);
                query.seed = complete.then_some(true);
            });
        }
        let nodes = self.good_nodes(now);
        let Some(followed) = self.torrents.get_mut(&torrent) else { return };
        let result = &mut followed.result;
        result.queries += lookup.queries();
        result.answers += lookup.answers();
        result.told += count;
        result.peers = followed.found.len();
        result.nodes = nodes;
        followed.lookups.remove(&number);
        if !followed.lookups.is_empty() {
            return;
        }
        let again = match followed.found.is_empty() {
            true => (SEARCH_AGAIN * (1 << followed.in_vain.min(8))).min(ANNOUNCED_EVERY),
            false => ANNOUNCED_EVERY,
        };
        followed.in_vain = if followed.found.is_empty() { followed.in_vain + 1 } else { FIRST_SEARCHES };
        followed.search_at = now + again;
        self.outputs.push_back(DhtOutput::Searched(followed.result));
    }

    /// Sends a query; whether there was room for it.
    fn ask(
        &mut self,
        now: Timestamp,
        address: SocketAddr,
        purpose: Purpose,
        method: Method,
        arguments: impl FnOnce(&mut Query),
    ) -> bool {
        let Some(family) = self.families.of(address) else { return false };
        let own = family.table.own();
        let read_only = self.settings.read_only || family.reach.is_unreached(now);
        // The other family's nodes are wanted only where few of them are known (BEP 32).
        let other = self.families.other_than(address);
        let wants_other = other.is_some_and(|other| other.table.len() < K);
        let Some(transaction) = self.transactions.begin(now, address, purpose) else { return false };
        if let Some(family) = self.families.of_mut(address) {
            family.reach.asks(address);
        }
        let looks_up = matches!(method, Method::FindNode | Method::GetPeers);
        let mut query = Query::new(method, own);
        query.want = (looks_up && wants_other).then_some(NodeFamilies { ipv4: true, ipv6: true });
        arguments(&mut query);
        let mut message = Message::new(transaction, Kind::Query(query));
        message.read_only = read_only.then_some(true);
        self.send(address, message);
        true
    }

    fn send(&mut self, to: SocketAddr, mut message: Message) {
        message.version = Some(self.settings.version.to_vec());
        self.outputs.push_back(DhtOutput::Datagram(to, message.encode().into()));
    }

    fn received(&mut self, now: Timestamp, from: SocketAddr, bytes: &[u8]) {
        if self.families.of(from).is_none() || bytes.len() > MAX_MESSAGE {
            return;
        }
        let Ok(message) = Message::decode_incomplete(bytes) else { return };
        match &message.kind {
            Kind::Query(_) => self.on_query(now, from, &message),
            Kind::Response(response) => self.on_response(now, from, &message, response),
            Kind::Error(..) => {
                // It is there, but of no use for this.
                if let Some(pending) = self.transactions.end(&message.transaction, from)
                    && let Purpose::Lookup(number) = pending.purpose
                    && let Some(lookup) = self.lookups.get_mut(&number)
                {
                    lookup.failed(from);
                }
            }
        }
    }

    fn on_response(&mut self, now: Timestamp, from: SocketAddr, message: &Message, response: &Response) {
        let Some(pending) = self.transactions.end(&message.transaction, from) else { return };
        let Some(id) = response.id else { return self.note_silence(Waited::Failed(pending)) };
        let node = Node { id, address: from };
        if let Some(address) = message.your_address {
            self.note_vote(now, from, address.ip());
        }
        match pending.purpose {
            // The node that was known there is gone.
            Purpose::Ping(expected) if expected != id => {
                return self.note_silence(Waited::Failed(pending));
            }
            Purpose::Ping(_) | Purpose::Announce => {}
            Purpose::Lookup(number) => {
                let ourselves = message.your_address.map(|us| SocketAddr::new(us.ip(), self.settings.port));
                self.on_lookup_answer(now, number, node, response, ourselves);
            }
        }
        self.contacts.retain(|(_, address)| *address != from);
        let Some(family) = self.families.of_mut(from) else { return };
        family.reach.is_answered(now, from);
        if family.table.len() == 0 {
            // With the first node that answers, more are found at once.
            family.bootstraps = 0;
            family.bootstrap_at = now + BOOTSTRAP_AGAIN;
        }
        if let Some(questionable) = family.table.answered(now, node) {
            self.ping(now, questionable);
        }
    }

    /// An answer to a query of a search: more nodes, and peers, `ourselves` left out.
    fn on_lookup_answer(
        &mut self,
        now: Timestamp,
        number: u32,
        node: Node,
        response: &Response,
        ourselves: Option<SocketAddr>,
    ) {
        let nodes = response.all_nodes().filter(|node| node.address.port() >= FIRST_PORT);
        let nodes: Vec<_> = nodes.filter(|node| !self.is_own(node.id)).copied().collect();
        // Nodes of the other family are known from now on, and asked when there are few.
        let other = self.families.other_than(node.address);
        if other.is_some_and(|other| other.table.len() < K) {
            let others = nodes.iter().filter(|other| other.address.is_ipv6() != node.address.is_ipv6());
            for other in others.take(K) {
                self.note_contact(now, Some(other.id), other.address);
            }
        }
        let Some(lookup) = self.lookups.get_mut(&number) else { return };
        lookup.answered(node, response.token.clone(), &nodes);
        let LookupGoal::Peers(torrent) = lookup.goal else { return };
        let peers = response.peers.iter().flatten().filter(|peer| Some(**peer) != ourselves);
        let peers: Vec<_> = peers.take(MAX_PEERS).copied().collect();
        if peers.is_empty() {
            return;
        }
        self.found(torrent, peers);
    }

    /// Peers of a torrent are named, or announce themselves.
    fn found(&mut self, torrent: InfoHash, peers: Vec<SocketAddr>) {
        let Some(followed) = self.torrents.get_mut(&torrent) else { return };
        let room = MAX_FOUND.saturating_sub(followed.found.len());
        followed.found.extend(peers.iter().take(room));
        self.outputs.push_back(DhtOutput::Peers(torrent, peers));
    }

    fn note_silence(&mut self, waited: Waited) {
        let (pending, failed) = match waited {
            Waited::Slow(pending) => (pending, false),
            Waited::Failed(pending) => (pending, true),
        };
        if let Purpose::Lookup(number) = pending.purpose
            && let Some(lookup) = self.lookups.get_mut(&number)
        {
            if failed {
                lookup.failed(pending.address);
            } else {
                lookup.slow(pending.address);
            }
        }
        if failed {
            self.families.iter_mut().for_each(|family| family.table.failed(pending.address));
        }
    }

    /// Finds out whether a node is there.
    pub(super) fn ping(&mut self, now: Timestamp, node: Node) {
        if self.transactions.len() < MAX_BEFORE_PINGS {
            self.ask(now, node.address, Purpose::Ping(node.id), Method::Ping, |_| {});
        }
    }

    fn resolve(&mut self, name: HostPort) {
        if self.resolving.insert(name.clone()) {
            self.outputs.push_back(DhtOutput::Resolve(name));
        }
    }

    /// At this address there should be a node.
    fn add_contact(&mut self, now: Timestamp, address: SocketAddr) {
        if self.note_contact(now, None, address) {
            // A search that had nobody to ask begins anew.
            for followed in self.torrents.values_mut().filter(|followed| followed.found.is_empty()) {
                followed.search_at = followed.search_at.min(now);
            }
        }
    }

    /// Notes a node that has not answered yet; whether that is news and few others are known.
    fn note_contact(&mut self, now: Timestamp, id: Option<NodeId>, address: SocketAddr) -> bool {
        let Some(family) = self.families.of_mut(address) else { return false };
        if address.port() == 0 || self.contacts.iter().any(|(_, known)| *known == address) {
            return false;
        }
        let few = family.table.len() < K;
        // A search for nodes that is under way asks this one too: no other begins beside it.
        let mut searches = self.lookups.values_mut();
        let looking =
            searches.find(|lookup| lookup.ipv6 == address.is_ipv6() && lookup.goal == LookupGoal::Nodes);
        match looking {
            Some(lookup) if few => lookup.add(id, address),
            None if few => family.bootstrap_at = family.bootstrap_at.min(now),
            _ => {}
        }
        if self.contacts.len() >= MAX_CONTACTS {
            self.contacts.pop_front();
        }
        self.contacts.push_back((id, address));
        few
    }
}

impl Followed {
    const fn new(torrent: InfoHash, now: Timestamp) -> Self {
        Self {
            search_at: now,
            in_vain: 0,
            complete: false,
            lookups: BTreeSet::new(),
            result: SearchResult::nothing(torrent),
            found: BTreeSet::new(),
        }
    }
}

impl SearchResult {
    const fn nothing(torrent: InfoHash) -> Self {
        Self { torrent, queries: 0, answers: 0, peers: 0, told: 0, nodes: 0 }
    }
}

/// How long a search, or looking for nodes, that was in vain waits at first; it doubles.
const SEARCH_AGAIN: Duration = Duration::from_secs(5);
const BOOTSTRAP_AGAIN: Duration = Duration::from_secs(5);
/// Peers forget us after 30 minutes; libtorrent announces as often (`dht_announce_interval`).
const ANNOUNCED_EVERY: Duration = Duration::from_secs(15 * 60);
/// So many searches in vain are waited for before it counts as known that nobody has the torrent.
const FIRST_SEARCHES: u32 = 3;
/// How long other nodes are waited for before the well-known ones are asked, and how often these are asked again.
const ROUTERS_AFTER: Duration = Duration::from_secs(5);
const ROUTERS_EVERY: Duration = Duration::from_secs(60);
/// How often the nodes are kept for the next run.
const SAVED_EVERY: Duration = Duration::from_secs(10 * 60);
/// How many torrents are followed, and how many searches go on at once.
const MAX_FOLLOWED: usize = 16;
const MAX_LOOKUPS: usize = 64;
/// How many nodes are remembered that have not answered yet.
const MAX_CONTACTS: usize = 2 * SavedNodes::MOST;
/// How many addresses of a name are taken.
const MAX_RESOLVED: usize = 8;
/// How many peers of one answer are taken, and how many of one search are counted.
const MAX_PEERS: usize = 200;
const MAX_FOUND: usize = 2_000;
/// The longest message that is read: none is longer than a packet of Ethernet, less headers.
const MAX_MESSAGE: usize = 1_472;
/// Nodes are asked whether they are there only while fewer queries than this wait for an answer.
const MAX_BEFORE_PINGS: usize = 32;
/// The first port that a node is sent to where no user names it: below stand the services of others (RFC 6335, section 6).
const FIRST_PORT: u16 = 1024;
