//! A group of equal hosts: their links, when they come and go, and how they behave.

use std::time::Duration;

use serde::Deserialize;

use super::units::{self, ByteRate, Span, SpanRange, Text};

/// So many hosts that are alike.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PeerGroup {
    /// What its hosts are called, before their number: `leecher` for leecher-1, leecher-2.
    pub name: String,
    /// How many.
    pub count: u32,
    /// What they have when they come.
    pub role: Role,
    /// What their link carries up.
    pub up: ByteRate,
    /// What their link carries down.
    pub down: ByteRate,
    /// The round trip over their link. Between two hosts it is the mean of theirs.
    pub rtt: SpanRange,
    /// When they come.
    pub arrive: Arrival,
    /// When they go.
    pub leave: Departure,
    /// How they behave.
    pub behaviour: Behaviour,
    /// Which client runs there, where the hosts are real.
    pub client: Client,
    /// Which piece they begin next.
    pub picker: PickerPlan,
    /// How far their clocks are ahead.
    pub clock: Span,
    /// Whether others can open connections to them.
    pub reachable: bool,
    /// How many connections they keep.
    pub connections: u32,
    /// How many peers they serve at once, one of them for a try.
    pub slots: u32,
    /// How many pieces a peer that starts may have of them while they choke it (BEP 6); where none is said, as many as they would.
    pub allowed_fast: Option<u32>,
    /// How they find peers; where nothing is said, by the tracker, if there is one, and by peer exchange.
    pub discover: Option<Vec<Discovery>>,
    /// When they encrypt connections to peers.
    pub encryption: EncryptionPlan,
    /// What carries their connections to peers.
    pub transport: TransportPlan,
    /// Hosts that they name to everybody, where their behaviour is to name them.
    pub poison: Option<String>,
}

impl Default for PeerGroup {
    fn default() -> Self {
        Self {
            name: String::new(),
            count: 1,
            role: Role::Leecher,
            up: ByteRate(50_000.0),
            down: ByteRate::INFINITE,
            rtt: SpanRange { from: Duration::from_millis(50), to: Duration::from_millis(50) },
            arrive: Arrival::AtOnce,
            leave: Departure::Never,
            behaviour: Behaviour::Ours,
            client: Client::Ours,
            picker: PickerPlan::Rarest,
            clock: Span(Duration::ZERO),
            reachable: true,
            connections: 50,
            slots: 5,
            allowed_fast: None,
            discover: None,
            encryption: EncryptionPlan::Off,
            transport: TransportPlan::Tcp,
            poison: None,
        }
    }
}

impl PeerGroup {
    /// Nodes of the DHT, and nothing else.
    pub(super) fn of_dht_nodes(count: u32) -> Self {
        Self {
            name: DHT.to_owned(),
            count,
            role: Role::Seed,
            up: ByteRate::INFINITE,
            behaviour: Behaviour::DhtNode,
            ..Self::default()
        }
    }

    /// Whether its hosts find peers in this way.
    pub fn discovers(&self, how: Discovery) -> bool {
        match &self.discover {
            Some(ways) => ways.contains(&how),
            None => matches!(how, Discovery::Tracker | Discovery::Pex),
        }
    }

    /// The name of its host of this number, from 1.
    pub fn host_name(&self, number: u32) -> String {
        format!("{}-{number}", self.name)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let letter = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
        if self.name.len() > MOST_NAME || !self.name.chars().all(letter) || self.name == "tracker" {
            return Err(format!(
                "a name has up to {MOST_NAME} letters a to z and digits, and is not \"tracker\""
            ));
        }
        if self.count > MOST_OF_GROUP {
            return Err(format!("a group has {MOST_OF_GROUP} hosts at the most"));
        }
        if !(1..=1000).contains(&self.connections) {
            return Err("connections is from 1 to 1,000".to_owned());
        }
        if !(1..=1000).contains(&self.slots) {
            return Err("slots is from 1 to 1,000".to_owned());
        }
        if self.allowed_fast.is_some_and(|pieces| pieces > MOST_ALLOWED_FAST) {
            return Err(format!("allowed_fast is from 0 to {MOST_ALLOWED_FAST}"));
        }
        let is_to_name = matches!(self.behaviour, Behaviour::PexPoisoner | Behaviour::DhtPoisoner);
        if is_to_name != self.poison.is_some() {
            return Err(
                "poison says whom a \"pex-poisoner\" or a \"dht-poisoner\" names, and no other behaviour has it"
                    .to_owned(),
            );
        }
        if self.role == Role::Leecher && self.behaviour.is_stranger() {
            return Err("a host that is no client takes no file: its role is \"seed\"".to_owned());
        }
        let speaks = self.discover.is_some()
            || self.encryption != EncryptionPlan::Off
            || self.transport != TransportPlan::Tcp;
        if self.behaviour.is_stranger() && speaks {
            return Err("a host that is no client has no discover, encryption or transport".to_owned());
        }
        if self.behaviour.is_stranger() && matches!(self.leave, Departure::Exponential(_)) {
            return Err("a host that is no client leaves \"after 600 s\", or never".to_owned());
        }
        if self.role == Role::Seed && self.leave == Departure::WhenDone {
            return Err(
                "a seed has the file when it comes: it leaves \"after 600 s\" or \"exp 1000 s\"".to_owned()
            );
        }
        Ok(())
    }
}

/// What a host has when it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Every piece.
    Seed,
    /// Nothing.
    Leecher,
}

impl Role {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seed => "seed",
            Self::Leecher => "leecher",
        }
    }
}

/// How a host finds peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Discovery {
    /// It asks the tracker.
    Tracker,
    /// Peers tell it of others (BEP 11).
    Pex,
    /// It has a node of the DHT (BEP 5).
    Dht,
    /// It calls out in the local network, which all hosts share (BEP 14).
    Lsd,
}

/// When a host encrypts connections to peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncryptionPlan {
    /// Never, and peers that call encrypted are refused.
    Off,
    /// Always, and peers that call in clear are refused.
    Require,
}

/// What carries the connections of a host to peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransportPlan {
    /// TCP.
    Tcp,
    /// uTP (BEP 29), and nothing else.
    Utp,
    /// uTP, and TCP to peers that do not answer over uTP.
    Both,
}

/// When hosts come.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "Text")]
pub enum Arrival {
    /// All at the start.
    AtOnce,
    /// All at this time since the start.
    At(Duration),
    /// Each at some time of the first so many seconds.
    Uniform(Duration),
    /// One after the other, with times between them from the exponential distribution of this mean.
    Poisson(Duration),
}

impl TryFrom<Text> for Arrival {
    type Error = String;

    fn try_from(text: Text) -> Result<Self, String> {
        let wanted = || {
            format!(
                "\"{}\" is no arrival: \"at once\", \"at 30 s\", \"uniform 10 s\" or \"poisson 0.04/s\"",
                text.0
            )
        };
        match text.words().as_slice() {
            ["at", "once"] => Ok(Self::AtOnce),
            ["at", time @ ..] => units::duration(&time.join(" ")).map(Self::At),
            ["uniform", time @ ..] => units::duration(&time.join(" ")).map(Self::Uniform),
            ["poisson", rate @ ..] => match units::number_and_unit(&rate.join(" ")) {
                Some((rate, "/s")) if (1e-6..=1e6).contains(&rate) => {
                    Ok(Self::Poisson(Duration::from_secs_f64(1.0 / rate)))
                }
                _ => Err(wanted()),
            },
            _ => Err(wanted()),
        }
    }
}

/// When hosts go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Text")]
pub enum Departure {
    /// They stay to the end, and serve once they have everything.
    Never,
    /// Once they have everything.
    WhenDone,
    /// So long after they came.
    After(Duration),
    /// After they have everything, at a time from the exponential distribution of this mean.
    Exponential(Duration),
}

impl TryFrom<Text> for Departure {
    type Error = String;

    fn try_from(text: Text) -> Result<Self, String> {
        match text.words().as_slice() {
            ["never"] => Ok(Self::Never),
            ["when", "done"] => Ok(Self::WhenDone),
            ["after", time @ ..] => units::duration(&time.join(" ")).map(Self::After),
            ["exp", time @ ..] => units::duration(&time.join(" ")).map(Self::Exponential),
            _ => Err(format!(
                "\"{}\" is no departure: \"never\", \"when done\", \"after 600 s\" or \"exp 1000 s\"",
                text.0
            )),
        }
    }
}

/// How a host behaves.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Text")]
pub enum Behaviour {
    /// As this program.
    Ours,
    /// As the client of a capture, by the path of the capture.
    Like(String),
    /// As this program, but no peer is ever served.
    FreeRider,
    /// As this program, but every block that is served is wrong.
    Liar,
    /// As this program, but each block that is served is read for five seconds.
    Slow,
    /// No client: it takes as many places at seeds as it can, each under a name of its own.
    Sybil,
    /// No client: it calls everybody again and again, and claims other pieces each time.
    BitfieldFlipper,
    /// No client: it chokes and unchokes everybody by turns, and gives nothing.
    ChokeFlipper,
    /// No client: it calls everybody, and names hosts as peers that have nothing to do with the swarm.
    PexPoisoner,
    /// No client: a node of the DHT that names such hosts to whoever asks, as peers and as nodes.
    DhtPoisoner,
    /// No client: a node of the DHT.
    DhtNode,
}

impl Behaviour {
    /// Whether such a host is no client.
    pub const fn is_stranger(&self) -> bool {
        match self {
            Self::Ours | Self::Like(_) | Self::FreeRider | Self::Liar | Self::Slow => false,
            Self::Sybil
            | Self::BitfieldFlipper
            | Self::ChokeFlipper
            | Self::PexPoisoner
            | Self::DhtPoisoner
            | Self::DhtNode => true,
        }
    }
}

/// A client that real hosts run. Simulated hosts run this program whatever is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Client {
    /// This program.
    Ours,
    /// aria2.
    Aria2,
    /// Transmission's daemon.
    Transmission,
    /// qBittorrent without a window.
    Qbittorrent,
    /// rTorrent.
    Rtorrent,
    /// libtorrent, by its Python module.
    Libtorrent,
}

impl Client {
    /// Its name, as a scenario has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Aria2 => "aria2",
            Self::Transmission => "transmission",
            Self::Qbittorrent => "qbittorrent",
            Self::Rtorrent => "rtorrent",
            Self::Libtorrent => "libtorrent",
        }
    }
}

/// Which piece a host begins next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PickerPlan {
    /// The one that the fewest peers have.
    Rarest,
    /// Any, in an order that each host draws.
    Random,
    /// The first that is missing.
    InOrder,
}

impl TryFrom<Text> for Behaviour {
    type Error = String;

    fn try_from(text: Text) -> Result<Self, String> {
        match text.words().as_slice() {
            ["ours"] => Ok(Self::Ours),
            ["like", path @ ..] if !path.is_empty() => Ok(Self::Like(path.join(" "))),
            ["free-rider"] => Ok(Self::FreeRider),
            ["liar"] => Ok(Self::Liar),
            ["slow"] => Ok(Self::Slow),
            ["sybil"] => Ok(Self::Sybil),
            ["bitfield-flipper"] => Ok(Self::BitfieldFlipper),
            ["choke-flipper"] => Ok(Self::ChokeFlipper),
            ["pex-poisoner"] => Ok(Self::PexPoisoner),
            ["dht-poisoner"] => Ok(Self::DhtPoisoner),
            ["dht-node"] => Ok(Self::DhtNode),
            _ => Err(format!(
                "\"{}\" is no behaviour: \"ours\", \"like CAPTURE\", \"free-rider\", \"liar\", \"slow\", \"sybil\", \
                 \"bitfield-flipper\", \"choke-flipper\", \"pex-poisoner\", \"dht-poisoner\" or \"dht-node\"",
                text.0
            )),
        }
    }
}

/// What nodes of the DHT are called that do nothing else.
const DHT: &str = "dht";

/// Names stand in captures and tables.
const MOST_NAME: usize = 20;

/// No client allows as many.
const MOST_ALLOWED_FAST: u32 = 64;

/// The last two bytes of an address tell the host, and no address ends with 0 or 255.
const MOST_OF_GROUP: u32 = 60_000;
