//! What a user, or a driver, sets before a session begins.

use std::time::Duration;

use super::{Profile, ProxyChoice, Schedule};
use crate::metainfo::FileChoice;
use crate::peer::limits::{SILENCE, SNUBBED};

/// The settings of a session.
#[derive(Debug, Clone)]
pub struct Config {
    /// How we phrase and pace what we say.
    pub profile: Profile,
    /// The files that are wanted: only pieces in which their bytes lie are asked for. A session of a torrent that has not got
    /// these files ends at once, incomplete.
    pub files: FileChoice,
    /// The choices of an earlier run of this torrent, to be made again.
    pub schedule: Schedule,
    /// One peer at a time, in the tracker's order, the next one when it fails; nobody who calls is let in.
    pub single_peer: bool,
    /// The most peers connected at once.
    pub max_peers: usize,
    /// The most connections being opened at once.
    pub max_half_open: usize,
    /// The port on which the driver listens; 0 where it does not.
    pub port: u16,
    /// The port of our node of the DHT, which peers are told (BEP 5, "BitTorrent protocol extension"); `None` where there is none.
    pub dht_port: Option<u16>,
    /// The most bytes of pieces sent in a second.
    pub upload_limit: Option<u64>,
    /// How many peers are served at once, one of them for a try (BEP 3, "choking and optimistic unchoking").
    pub unchoke_slots: usize,
    /// How long to serve once all that is wanted is there; `None` ends the session then.
    pub seeding: Option<SeedGoal>,
    /// How often trackers are asked before a session that finds no peer any more ends incomplete; `None` asks on.
    pub rounds: Option<u32>,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
    /// How long a peer may take for its handshake.
    pub handshake_timeout: Duration,
    /// How long a peer may send no block that it was asked for: then others are asked too, and in single-peer mode it is
    /// left.
    pub request_timeout: Duration,
    /// How long a peer may choke us: after that it is left, in single-peer mode always, else when others wait.
    pub choke_timeout: Duration,
    /// How long a peer may say nothing at all. BEP 3 has keep-alives every two minutes.
    pub silence_timeout: Duration,
    /// Whether URLs of a torrent may lead to anything in [local networks](crate::is_local_network). Else a tracker there is
    /// asked for `/announce` alone, as a tracker of the local network has it, and a web seed there is not asked: who made the
    /// torrent must not choose what is asked of a router or a printer.
    pub allow_local: bool,
    /// The proxies for announces over plain HTTP.
    pub proxies: ProxyChoice,
    /// How long a tracker may take to answer over HTTP.
    pub tracker_timeout: Duration,
    /// How often a UDP tracker is asked again, after 15 s, 30 s, 60 s, ... (BEP 15 goes up to 8, for more than two hours).
    pub udp_retransmissions: u32,
    /// How long goodbyes to trackers may take.
    pub goodbye_timeout: Duration,
    /// How many addresses of peers are remembered.
    pub max_known_peers: usize,
    /// How many bytes of pieces may wait to be stored before no more are asked for.
    pub max_unstored: u64,
    /// Whether what is sent to peers is handed out in clear as well, as [`Output::Said`](super::Output::Said): for drivers that count
    /// messages where what they send is encrypted, or goes out as datagrams.
    pub tells_said: bool,
}

/// How long to serve after completion: until the first of these is reached; for ever where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SeedGoal {
    /// Bytes given a byte of what is wanted of the torrent.
    pub ratio: Option<f64>,
    /// Time since completion.
    pub time: Option<Duration>,
}

impl Config {
    /// Ordinary settings under this profile.
    pub const fn new(profile: Profile) -> Self {
        Self {
            profile,
            files: FileChoice::ALL,
            schedule: Schedule {
                pieces: Vec::new(),
                requests: Vec::new(),
                haves: Vec::new(),
                paddings: Vec::new(),
            },
            single_peer: false,
            max_peers: 50,
            max_half_open: 10,
            port: 0,
            dht_port: None,
            upload_limit: None,
            unchoke_slots: 5,
            seeding: None,
            rounds: None,
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(15),
            request_timeout: SNUBBED,
            choke_timeout: Duration::from_secs(120),
            silence_timeout: SILENCE,
            allow_local: false,
            proxies: ProxyChoice::NONE,
            tracker_timeout: Duration::from_secs(30),
            udp_retransmissions: 2,
            goodbye_timeout: Duration::from_secs(5),
            max_known_peers: 2_000,
            max_unstored: 32 * 1024 * 1024,
            tells_said: false,
        }
    }
}
