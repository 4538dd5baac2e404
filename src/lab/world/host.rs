//! A host: its links, its client, its disk.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bittrace_protocol::dht::{DhtNode, DhtSettings, SavedNodes};
use bittrace_protocol::lsd::{Beacon, Interface};
use bittrace_protocol::node::{self, Node, UtpPolicy};
use bittrace_protocol::session::{
    Config, EncryptionPolicy, Identity, PieceOrder, Profile, SeedGoal, Session, SessionStreamId, Status,
};
use bittrace_protocol::{Block, HostPort, PieceIndex, Timestamp};
use rustc_hash::FxHashMap;

use super::datagrams::INTERFACE;
use super::measures::UtpTalk;
use super::stranger::Stranger;
use crate::LabError;
use crate::chance::Chance;
use crate::content::Content;
use crate::disk::Disk;
use crate::link::{Downlink, Uplink};
use crate::network::{EndId, HostId};
use crate::scenario::{
    Behaviour, ByteRate, Departure, Discovery, EncryptionPlan, Hosts, PickerPlan, Role, Scenario,
    TransportPlan,
};

/// The tracker's number.
pub(super) const TRACKER: HostId = 0;

/// A host, the tracker among them.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    /// The place of its group in the scenario; the tracker has none.
    pub(super) group: Option<usize>,
    pub(super) role: Role,
    /// Where it listens.
    pub(super) address: SocketAddr,
    pub(super) reachable: bool,
    pub(super) presence: Presence,
    pub(super) arrives_at: Timestamp,
    /// How long it stays, where that does not depend on what it has.
    pub(super) stay: Option<Duration>,
    pub(super) rtt: Duration,
    pub(super) up: Uplink,
    pub(super) down: Downlink,
    pub(super) disk: Disk,
    /// Its client, while it is there.
    pub(super) node: Option<Box<Node>>,
    /// What it is where it is a node of the DHT and nothing else.
    pub(super) dht: Option<Box<DhtNode>>,
    settings: Settings,
    /// When its client wakes.
    pub(super) wakes_at: Option<Timestamp>,
    pub(super) ends: FxHashMap<SessionStreamId, EndId>,
    /// How many peers have called.
    pub(super) called: u32,
    /// The port of the next connection that it opens.
    next_port: u16,
    /// Ends that have something to send and no turn yet.
    pub(super) fresh: Vec<EndId>,
    /// Whether it has the file, or is gone, though it had not at first.
    pub(super) finished: bool,
    pub(super) done_at: Option<Timestamp>,
    pub(super) left_at: Option<Timestamp>,
    /// Bytes that left on its link.
    pub(super) sent: u64,
    /// Bytes of the content of blocks that its session handed out to be sent.
    pub(super) content_sent: u64,
    /// How many pieces it has verified, and when it had each tenth of them.
    pub(super) pieces: u32,
    pub(super) tenths: Vec<Timestamp>,
    /// When content first came.
    pub(super) first_content: Option<Timestamp>,
    /// When content last came.
    pub(super) last_content: Timestamp,
    /// Bytes that could have left on its link up to some time.
    pub(super) capacity: f64,
    pub(super) capacity_since: Timestamp,
    /// The blocks that a slow host is to read, one after the other.
    pub(super) reading: VecDeque<(SessionStreamId, Block)>,
    pub(super) is_slow: bool,
    /// What it is, where it is no client.
    pub(super) stranger: Option<Stranger>,
    /// Whom it names to others, where that is what it does.
    pub(super) poison: Vec<SocketAddr>,
    /// Whether it calls out in the local network, and hears others.
    pub(super) calls_out: bool,
    /// Whether what it says to peers over TCP is encrypted: then it is counted as its session tells it, not as it is sent.
    pub(super) encrypts: bool,
    /// What it says to peers over uTP.
    pub(super) talks: FxHashMap<SessionStreamId, UtpTalk>,
    /// How often it greeted others, and changed its mind.
    pub(super) turns: u64,
    /// How far its clock is ahead.
    pub(super) clock: Duration,
    /// What its session was when it ended.
    pub(super) last_status: Option<Status>,
}

/// Whether a host is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// It has not come.
    Expected,
    /// It is there.
    There,
    /// It has gone.
    Gone,
    /// It has gone without a word.
    Vanished,
}

/// What a host's session is made of.
#[derive(Debug, Clone)]
struct Settings {
    seed: u64,
    connections: usize,
    slots: usize,
    allowed_fast: Option<u32>,
    departure: Departure,
    /// How it behaves, where not as this program.
    profile: Option<Profile>,
    /// Whether it asks the tracker, and whether peers tell each other of peers.
    asks_tracker: bool,
    exchanges_peers: bool,
    /// The nodes of the DHT that it knows at first; `None` without the DHT.
    dht_contacts: Option<Vec<SocketAddr>>,
    encryption: EncryptionPlan,
    transport: TransportPlan,
    picker: PickerPlan,
    /// Where its order of pieces comes from.
    picker_seed: Chance,
}

impl Host {
    fn new(
        scenario: &Scenario,
        seed: u64,
        group: usize,
        number: u32,
        arrives_at: Timestamp,
        profile: Option<Profile>,
    ) -> Self {
        let plan = &scenario.peers[group];
        let name = plan.host_name(number);
        // Neighbours are in different networks of 24 bits, by which peers tell hosts apart: those of one network get the same
        // set of allowed-fast pieces (BEP 6).
        let [high, low] = (number as u16).to_be_bytes();
        let address = Ipv4Addr::new(10, group as u8 + 1, low, high + 1);
        let rtt = plan.round_trip(seed, number);
        Self {
            group: Some(group),
            role: plan.role,
            address: (address, PORT).into(),
            // Nobody calls a stranger.
            reachable: plan.reachable && Stranger::of(&plan.behaviour).is_none_or(Stranger::is_dht_node),
            presence: Presence::Expected,
            arrives_at,
            stay: match plan.leave {
                Departure::After(time) => Some(time),
                _ => None,
            },
            rtt,
            up: Uplink::new(plan.up),
            down: Downlink::new(plan.down),
            settings: Settings {
                seed: Chance::of(seed, &name, "session").next(),
                connections: plan.connections as usize,
                slots: if plan.behaviour == Behaviour::FreeRider { 0 } else { plan.slots as usize },
                allowed_fast: plan.allowed_fast,
                profile,
                asks_tracker: plan.discovers(Discovery::Tracker),
                exchanges_peers: plan.discovers(Discovery::Pex),
                dht_contacts: plan.discovers(Discovery::Dht).then(Vec::new),
                encryption: plan.encryption,
                transport: plan.transport,
                picker: plan.picker,
                picker_seed: Chance::of(seed, &name, "picker"),
                departure: match plan.departure(seed, number) {
                    Departure::Exponential(time) => Departure::After(time),
                    Departure::After(_) => Departure::Never,
                    other => other,
                },
            },
            disk: if plan.behaviour == Behaviour::Liar { Disk::lying() } else { Disk::default() },
            is_slow: plan.behaviour == Behaviour::Slow,
            stranger: Stranger::of(&plan.behaviour),
            calls_out: plan.discovers(Discovery::Lsd),
            encrypts: plan.encryption != EncryptionPlan::Off,
            clock: plan.clock.0,
            name,
            ..Self::tracker(arrives_at)
        }
    }

    fn tracker(now: Timestamp) -> Self {
        Self {
            name: "tracker".to_owned(),
            group: None,
            role: Role::Seed,
            address: (tracker_address(), super::TRACKER_PORT).into(),
            reachable: true,
            presence: Presence::There,
            arrives_at: now,
            stay: None,
            rtt: TRACKER_RTT,
            up: Uplink::new(ByteRate::INFINITE),
            down: Downlink::new(ByteRate::INFINITE),
            disk: Disk::default(),
            node: None,
            dht: None,
            settings: Settings {
                seed: 0,
                connections: 0,
                slots: 0,
                allowed_fast: None,
                departure: Departure::Never,
                profile: None,
                asks_tracker: false,
                exchanges_peers: false,
                dht_contacts: None,
                encryption: EncryptionPlan::Off,
                transport: TransportPlan::Tcp,
                picker: PickerPlan::Rarest,
                picker_seed: Chance(0),
            },
            wakes_at: None,
            ends: FxHashMap::default(),
            called: 0,
            next_port: FIRST_PORT,
            fresh: Vec::new(),
            finished: false,
            done_at: None,
            left_at: None,
            sent: 0,
            content_sent: 0,
            pieces: 0,
            tenths: Vec::new(),
            first_content: None,
            last_content: Timestamp::EPOCH,
            capacity: 0.0,
            capacity_since: now,
            reading: VecDeque::new(),
            is_slow: false,
            stranger: None,
            poison: Vec::new(),
            calls_out: false,
            encrypts: false,
            talks: FxHashMap::default(),
            turns: 0,
            clock: Duration::ZERO,
            last_status: None,
        }
    }

    /// Whether it comes without the file.
    pub(super) fn is_to_finish(&self) -> bool {
        self.role == Role::Leecher
    }

    /// Its client is over.
    pub(super) fn end(&mut self, now: Timestamp) {
        let node = self.node.take();
        self.last_status = node.map(|node| node.session().status(now + self.clock));
        self.dht = None;
    }

    /// How many connections it keeps.
    pub(super) const fn connections(&self) -> usize {
        self.settings.connections
    }

    /// What its session draws at random.
    pub(super) fn identity(&self) -> Identity {
        let mut ids = Chance(self.settings.seed);
        let peer_id = self.settings.profile.clone().unwrap_or_else(own_profile).peer_id.draw(ids.next());
        let (key, seed) = (ids.next() as u32, ids.next());
        Identity { secret: secret(&mut ids), ..Identity::new(peer_id, key, seed) }
    }

    /// Makes its client.
    pub(super) fn begin(&mut self, content: &Content, now: Timestamp) {
        self.presence = Presence::There;
        self.arrives_at = now;
        let identity = self.identity();
        let settings = &self.settings;
        let mut profile = settings.profile.clone().unwrap_or_else(own_profile);
        let utp = match settings.transport {
            TransportPlan::Tcp => UtpPolicy::Off,
            TransportPlan::Utp => UtpPolicy::Require,
            TransportPlan::Both => UtpPolicy::Prefer,
        };
        if utp != UtpPolicy::Off && settings.profile.is_none() {
            profile = profile.with_holepunch();
        }
        if settings.encryption == EncryptionPlan::Require {
            profile.encryption = profile.encryption.under(EncryptionPolicy::Require);
        }
        if !settings.exchanges_peers {
            profile.extensions.retain(|(name, _)| name != "ut_pex");
        }
        let mut config = Config::new(profile);
        config.port = PORT;
        config.dht_port = settings.dht_contacts.as_ref().map(|_| PORT);
        config.tells_said = self.encrypts || self.settings.transport != TransportPlan::Tcp;
        config.max_peers = self.settings.connections;
        config.max_known_peers = (self.settings.connections * KNOWN_A_CONNECTION).max(LEAST_KNOWN);
        config.unchoke_slots = self.settings.slots;
        config.seeding = match self.settings.departure {
            Departure::WhenDone => None,
            Departure::After(time) => Some(SeedGoal { ratio: None, time: Some(time) }),
            Departure::Never | Departure::Exponential(_) => Some(SeedGoal::default()),
        };
        let allowed_fast = if self.settings.slots == 0 { Some(0) } else { self.settings.allowed_fast };
        config.profile.allowed_fast = allowed_fast.unwrap_or(config.profile.allowed_fast);
        match self.settings.picker {
            PickerPlan::Rarest => {}
            PickerPlan::InOrder => config.profile.piece_order = PieceOrder::InOrder,
            PickerPlan::Random => {
                let mut order: Vec<_> = (0..content.piece_count()).map(PieceIndex).collect();
                let count = order.len();
                self.settings.picker_seed.choose(&mut order, count);
                config.schedule.pieces = order;
            }
        }
        let pieces = match self.role {
            Role::Seed => 0..content.piece_count(),
            Role::Leecher => 0..0,
        };
        let pieces = pieces.map(PieceIndex);
        let begins = now + self.clock;
        let torrent = if self.settings.asks_tracker { &content.metainfo } else { &content.untracked };
        let secret = identity.secret;
        let session = Session::new(config, torrent.clone(), identity, pieces, begins);
        let mut node = Node::new(session).with_utp(utp, secret, begins);
        if let Some(contacts) = self.settings.dht_contacts.take() {
            node = node.with_dht(self.dht_node(contacts, begins), begins);
        }
        if self.calls_out {
            node = node.with_lsd(Beacon::new(PORT, content.metainfo.info_hashes().collect(), &secret));
            let own = Interface { id: INTERFACE, address: self.address.ip(), prefix: LOCAL_NETWORK };
            node.handle(begins, node::Input::Interfaces(vec![own]));
        }
        self.node = Some(Box::new(node));
    }

    /// Makes its node of the DHT, where it is nothing else.
    pub(super) fn begin_dht(&mut self, now: Timestamp) {
        self.presence = Presence::There;
        self.arrives_at = now;
        let begins = now + self.clock;
        let contacts = self.settings.dht_contacts.take().unwrap_or_default();
        self.dht = Some(Box::new(self.dht_node(contacts, begins)));
    }

    fn dht_node(&self, contacts: Vec<SocketAddr>, begins: Timestamp) -> DhtNode {
        let named = |contact: SocketAddr| HostPort { host: contact.ip().to_string(), port: contact.port() };
        let settings = DhtSettings {
            port: PORT,
            ipv4: true,
            ipv6: false,
            read_only: !self.reachable,
            version: DHT_VERSION,
            secret: secret(&mut Chance::of(self.settings.seed, &self.name, "dht")),
            saved: SavedNodes::default(),
            contacts: contacts.into_iter().map(named).collect(),
            routers: Vec::new(),
        };
        DhtNode::new(settings, begins)
    }

    /// The port of a connection that it opens.
    pub(super) fn take_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = if port == u16::MAX { FIRST_PORT } else { port + 1 };
        port
    }
}

/// What nobody else may guess.
fn secret(chance: &mut Chance) -> [u8; 32] {
    let mut secret = [0; 32];
    secret.chunks_mut(8).for_each(|part| part.copy_from_slice(&chance.next().to_be_bytes()));
    secret
}

/// How hosts behave.
fn own_profile() -> Profile {
    let mut profile = Profile::own(CLIENT);
    profile.peer_id.prefix = PEER_ID_PREFIX.to_vec();
    profile
}

/// All hosts of a scenario, the tracker first.
///
/// # Errors
/// When the behaviour of a capture's client is wanted and not known.
pub(super) fn all(
    scenario: &Scenario,
    seed: u64,
    start: Timestamp,
    profiles: &BTreeMap<String, Profile>,
) -> Result<Vec<Host>, LabError> {
    let mut hosts = vec![Host::tracker(start)];
    for (number, group) in scenario.peers.iter().enumerate() {
        let profile = match &group.behaviour {
            Behaviour::Like(path) => {
                let unknown = || LabError::Unfit(format!("the behaviour of {path} is not known"));
                Some(profiles.get(path).ok_or_else(unknown)?.clone())
            }
            _ => None,
        };
        let mut last = Duration::ZERO;
        for host in 1..=group.count {
            last = group.arrival(seed, host, last);
            hosts.push(Host::new(scenario, seed, number, host, start + last, profile.clone()));
        }
    }
    introduce(&mut hosts, seed);
    for (group, plan) in scenario.peers.iter().enumerate() {
        let Some(named) = plan.poison.clone().map(Hosts) else { continue };
        let victims = hosts.iter().filter(|host| named.has(&host.name));
        let victims: Vec<_> = victims.map(|host| host.address).collect();
        let poisoners = hosts.iter_mut().filter(|host| host.group == Some(group));
        poisoners.for_each(|host| host.poison.clone_from(&victims));
    }
    Ok(hosts)
}

/// Tells all that have a node of the DHT of some that are nothing else: clients of any, each of these of one before it.
fn introduce(hosts: &mut [Host], seed: u64) {
    let nodes = hosts.iter().filter(|host| host.stranger == Some(Stranger::DhtNode));
    let nodes: Vec<SocketAddr> = nodes.map(|host| host.address).collect();
    let mut before = 0;
    for host in hosts {
        if host.stranger == Some(Stranger::DhtNode) {
            let contact = (before > 0).then(|| nodes[before / 2]);
            host.settings.dht_contacts = Some(contact.into_iter().collect());
            before += 1;
        } else if let Some(contacts) = &mut host.settings.dht_contacts {
            let mut chosen = nodes.clone();
            Chance::of(seed, &host.name, "contacts").choose(&mut chosen, DHT_CONTACTS);
            chosen.truncate(DHT_CONTACTS);
            *contacts = chosen;
        }
    }
}

/// The address of the tracker.
pub(super) fn tracker_address() -> IpAddr {
    Ipv4Addr::new(10, 255, 0, 1).into()
}

/// How many addresses a host remembers for each connection that it may have, and at least: enough to find others where most are
/// full. Among thousands of hosts, more would be most of its memory.
const KNOWN_A_CONNECTION: usize = 8;
const LEAST_KNOWN: usize = 200;

/// Where hosts listen.
const PORT: u16 = 6881;

/// The first port from which connections are opened (RFC 6335, section 6, dynamic ports).
const FIRST_PORT: u16 = 49_152;

/// A server near an exchange.
const TRACKER_RTT: Duration = Duration::from_millis(20);

/// How many nodes of the DHT a client knows at first.
const DHT_CONTACTS: usize = 3;

/// What nodes of the DHT call themselves (BEP 5, "contact encoding").
const DHT_VERSION: [u8; 4] = *b"bt\x01\x00";

/// All hosts are in the network 10.0.0.0/8.
const LOCAL_NETWORK: u8 = 8;

/// What hosts call themselves, in peer ids and in words.
const PEER_ID_PREFIX: &[u8] = b"-bt0100-";
const CLIENT: &str = concat!("bittrace ", env!("CARGO_PKG_VERSION"));
