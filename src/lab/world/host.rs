//! A host: its links, its session, its disk.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bittrace_protocol::session::{
    Config, Identity, PieceOrder, Profile, SeedGoal, Session, SessionStreamId, Status,
};
use bittrace_protocol::{Block, PieceIndex, Timestamp};
use rustc_hash::FxHashMap;

use super::stranger::Pestering;
use crate::LabError;
use crate::chance::Chance;
use crate::content::Content;
use crate::disk::Disk;
use crate::link::{Downlink, Uplink};
use crate::network::{EndId, HostId};
use crate::scenario::{Behaviour, ByteRate, Departure, PickerPlan, Role, Scenario};

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
    pub(super) session: Option<Session>,
    settings: Settings,
    /// When its session wakes.
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
    /// What it wants of others, where it is no client.
    pub(super) pestering: Option<Pestering>,
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
            reachable: plan.reachable && !plan.behaviour.is_stranger(),
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
            pestering: Pestering::of(&plan.behaviour),
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
            session: None,
            settings: Settings {
                seed: 0,
                connections: 0,
                slots: 0,
                allowed_fast: None,
                departure: Departure::Never,
                profile: None,
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
            pestering: None,
            turns: 0,
            clock: Duration::ZERO,
            last_status: None,
        }
    }

    /// Whether it comes without the file.
    pub(super) fn is_to_finish(&self) -> bool {
        self.role == Role::Leecher
    }

    /// How many connections it keeps.
    pub(super) const fn connections(&self) -> usize {
        self.settings.connections
    }

    /// What its session draws at random.
    pub(super) fn identity(&self) -> Identity {
        let mut ids = Chance(self.settings.seed);
        let peer_id = self.settings.profile.clone().unwrap_or_else(own_profile).peer_id.draw(ids.next());
        Identity::new(peer_id, ids.next() as u32, ids.next())
    }

    /// Makes its session.
    pub(super) fn begin(&mut self, content: &Content, now: Timestamp) {
        self.presence = Presence::There;
        self.arrives_at = now;
        let identity = self.identity();
        let profile = self.settings.profile.clone().unwrap_or_else(own_profile);
        let mut config = Config::new(profile);
        config.port = PORT;
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
                let mut order: Vec<_> = (0..content.metainfo.piece_count() as u32).map(PieceIndex).collect();
                let count = order.len();
                self.settings.picker_seed.choose(&mut order, count);
                config.schedule.pieces = order;
            }
        }
        let pieces = match self.role {
            Role::Seed => 0..content.metainfo.piece_count() as u32,
            Role::Leecher => 0..0,
        };
        let pieces = pieces.map(PieceIndex);
        let begins = now + self.clock;
        self.session = Some(Session::new(config, content.metainfo.clone(), identity, pieces, begins));
    }

    /// The port of a connection that it opens.
    pub(super) fn take_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = if port == u16::MAX { FIRST_PORT } else { port + 1 };
        port
    }
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
    Ok(hosts)
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

/// What hosts call themselves, in peer ids and in words.
const PEER_ID_PREFIX: &[u8] = b"-bt0100-";
const CLIENT: &str = concat!("bittrace ", env!("CARGO_PKG_VERSION"));
