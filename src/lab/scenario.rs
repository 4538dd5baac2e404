//! A scenario: who is there, over which links, and what happens. It is read from TOML; every key has a default, and a key that
//! is not known is an error.
//!
//! These types say what a run is to be. They know nothing of how it is run, so that one scenario serves simulated and real
//! clients.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::LabError;
use crate::summary::{has_number, has_number_of_groups};

mod peers;
mod script;
mod units;

pub use peers::{
    Arrival, Behaviour, Client, Departure, Discovery, EncryptionPlan, PeerGroup, PickerPlan, Role,
    TransportPlan,
};
pub use script::{Action, Hosts, Relation, Rule, ScriptedEvent};
pub use units::{ByteCount, ByteRate, Span, SpanRange};

/// What a scenario file says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What the scenario shows, in words.
    #[serde(default)]
    pub title: String,
    /// Where all chance of a run comes from.
    #[serde(default = "one")]
    pub seed: u64,
    /// What is shared.
    #[serde(default)]
    pub torrent: TorrentPlan,
    /// Who names peers to peers.
    #[serde(default)]
    pub tracker: TrackerPlan,
    /// The hosts, in groups of equal ones.
    #[serde(default)]
    pub peers: Vec<PeerGroup>,
    /// The nodes of the DHT that are nothing else.
    #[serde(default)]
    pub dht: DhtPlan,
    /// What all links have in common.
    #[serde(default)]
    pub link: LinkPlan,
    /// What happens beside arrivals and departures.
    #[serde(default)]
    pub events: Vec<ScriptedEvent>,
    /// When the run ends.
    #[serde(default)]
    pub stop: StopPlan,
    /// What the numbers of the summary are to be, by their names: `last`, and `leecher.took` of a group.
    #[serde(default, deserialize_with = "script::rules")]
    pub expect: BTreeMap<String, Rule>,
    /// The text that it was read from.
    #[serde(skip)]
    pub text: String,
}

/// What is shared: one file whose content follows from its length.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TorrentPlan {
    /// The bytes of the file.
    pub size: ByteCount,
    /// The bytes of every piece but the last.
    pub piece: ByteCount,
    /// Which versions of the protocol have it.
    pub kind: TorrentKind,
}

impl Default for TorrentPlan {
    fn default() -> Self {
        Self { size: ByteCount(16 << 20), piece: ByteCount(256 << 10), kind: TorrentKind::V1 }
    }
}

/// Which versions of the protocol have a torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TorrentKind {
    /// Version 1 alone (BEP 3).
    V1,
    /// Version 2 alone (BEP 52): pieces are checked by the hash tree of the file.
    V2,
    /// Both (BEP 52, "Upgrade Path").
    Hybrid,
}

/// The tracker.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrackerPlan {
    /// What it speaks.
    pub kind: TrackerKind,
    /// When peers are to announce again.
    pub interval: Span,
    /// How many peers it names at the most.
    pub numwant: usize,
    /// When it is not there: from the first time to the second, since the start.
    pub fails: Vec<SpanRange>,
    /// Hosts that it names to everybody, whether or not they have announced.
    pub poison: Option<String>,
}

impl Default for TrackerPlan {
    fn default() -> Self {
        let interval = Span(Duration::from_secs(1800));
        Self { kind: TrackerKind::Http, interval, numwant: 50, fails: Vec::new(), poison: None }
    }
}

/// What a tracker speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrackerKind {
    /// HTTP (BEP 3).
    Http,
    /// UDP (BEP 15).
    Udp,
    /// There is no tracker: the torrent names none.
    None,
}

impl TrackerKind {
    /// How URLs of such a tracker begin; `None` where there is none.
    pub const fn scheme(self) -> Option<&'static str> {
        match self {
            Self::Http => Some("http"),
            Self::Udp => Some("udp"),
            Self::None => None,
        }
    }
}

/// The nodes of the DHT that are nothing else.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DhtPlan {
    /// How many: a group of hosts that is called `dht`.
    pub nodes: u32,
}

/// What all links have in common.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkPlan {
    /// The share of packets that are lost. TCP is slower for it; datagrams do not come.
    pub loss: f64,
    /// The share of datagrams that others overtake: they come up to 50 ms late.
    pub reorder: f64,
    /// The share of datagrams that come twice.
    pub duplicate: f64,
    /// How long bytes may wait before a link: then senders over TCP slow down, and datagrams are lost.
    pub queue: Span,
    /// The bytes of a packet, headers included.
    pub mtu: u32,
}

impl Default for LinkPlan {
    fn default() -> Self {
        Self { loss: 0.0, reorder: 0.0, duplicate: 0.0, queue: Span(Duration::from_millis(200)), mtu: 1500 }
    }
}

/// When a run ends.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StopPlan {
    /// `all done`, when every peer has the file or is gone; or a time since the start.
    pub when: StopWhen,
    /// The end in any case, since the start.
    pub limit: Span,
}

impl Default for StopPlan {
    fn default() -> Self {
        Self { when: StopWhen::AllDone, limit: Span(Duration::from_secs(24 * 3600)) }
    }
}

/// What ends a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "units::Text")]
pub enum StopWhen {
    /// Every peer that was to come has the file, or is gone.
    AllDone,
    /// A time since the start.
    After(Duration),
}

impl TryFrom<units::Text> for StopWhen {
    type Error = String;

    fn try_from(text: units::Text) -> Result<Self, String> {
        match text.words().as_slice() {
            ["all", "done"] => Ok(Self::AllDone),
            _ => match units::duration(&text.0) {
                Ok(time) => Ok(Self::After(time)),
                Err(_) => {
                    Err(format!("\"{}\" is neither \"all done\" nor a time such as \"3600 s\"", text.0))
                }
            },
        }
    }
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// The line that is not TOML, or has a key or a value that is not known; what does not fit together.
    pub fn parse(text: &str) -> Result<Self, LabError> {
        let mut scenario: Self = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start).min(text.len());
            let line = text.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n').count() + 1;
            LabError::Scenario { line, what: error.message().trim_end_matches('\n').replace('\n', ", ") }
        })?;
        text.clone_into(&mut scenario.text);
        if scenario.dht.nodes > 0 {
            scenario.peers.push(PeerGroup::of_dht_nodes(scenario.dht.nodes));
        }
        scenario.name_groups();
        scenario.check().map_err(LabError::Unfit)?;
        Ok(scenario)
    }

    /// How many hosts come, the tracker left out.
    pub fn host_count(&self) -> usize {
        self.peers.iter().map(|group| group.count as usize).sum()
    }

    /// The names of all hosts in their order, the tracker first.
    pub fn host_names(&self) -> Vec<String> {
        let hosts =
            self.peers.iter().flat_map(|group| (1..=group.count).map(|number| group.host_name(number)));
        std::iter::once("tracker".to_owned()).chain(hosts).collect()
    }

    /// Gives a name to each group that has none: its role, with a number where several are alike.
    fn name_groups(&mut self) {
        for place in 0..self.peers.len() {
            if !self.peers[place].name.is_empty() {
                continue;
            }
            let role = self.peers[place].role.name();
            let names = |name: &str| self.peers.iter().any(|group| group.name == name);
            let numbers =
                std::iter::once(role.to_owned()).chain((2..).map(|number| format!("{role}{number}")));
            let free = numbers.into_iter().find(|name| !names(name));
            self.peers[place].name = free.unwrap_or_default();
        }
    }

    fn check(&self) -> Result<(), String> {
        let piece = self.torrent.piece.0;
        if self.peers.is_empty() {
            return Err("the scenario has no [[peers]]".to_owned());
        }
        if self.torrent.size.0 == 0 || self.torrent.size.0 > MOST_BYTES {
            return Err(format!("a torrent has 1 byte to {} GiB", MOST_BYTES >> 30));
        }
        if !(BLOCK..=MOST_PIECE).contains(&piece) || !piece.is_multiple_of(BLOCK) {
            return Err("a piece has 16 KiB to 64 MiB, and whole blocks of 16 KiB".to_owned());
        }
        if self.torrent.kind != TorrentKind::V1 && !piece.is_power_of_two() {
            return Err("a piece of version 2 has a power of two of bytes (BEP 52)".to_owned());
        }
        if self.torrent.size.0.div_ceil(piece) > MOST_PIECES {
            return Err(format!("a torrent has {MOST_PIECES} pieces at the most: take larger pieces"));
        }
        if self.host_count() > MOST_HOSTS {
            return Err(format!("a scenario has {MOST_HOSTS} hosts at the most"));
        }
        if self.peers.len() > MOST_GROUPS {
            return Err(format!("a scenario has {MOST_GROUPS} groups of peers at the most"));
        }
        let LinkPlan { loss, reorder, duplicate, .. } = self.link;
        for (name, share) in [("loss", loss), ("reorder", reorder), ("duplicate", duplicate)] {
            if !(0.0..1.0).contains(&share) {
                return Err(format!("{name} is a share from 0 to less than 1"));
            }
        }
        if !(576..=65_535).contains(&self.link.mtu) {
            return Err("mtu is from 576 to 65,535 bytes".to_owned());
        }
        for (place, group) in self.peers.iter().enumerate() {
            if self.peers[..place].iter().any(|other| other.name == group.name) {
                return Err(format!("two groups of peers are called {}", group.name));
            }
            group.check().map_err(|what| format!("peers {}: {what}", group.name))?;
            let asks = group.discover.as_ref().is_some_and(|ways| ways.contains(&Discovery::Tracker));
            if asks && self.tracker.kind == TrackerKind::None {
                return Err(format!("peers {}: there is no tracker to discover peers by", group.name));
            }
        }
        self.check_names()
    }

    /// Whether all numbers and hosts are known that rules, events and poison name.
    fn check_names(&self) -> Result<(), String> {
        if self.events.len() > MOST_EVENTS || self.expect.len() > MOST_EVENTS {
            return Err(format!("a scenario has {MOST_EVENTS} events and {MOST_EVENTS} rules at the most"));
        }
        for rule in &self.expect {
            for name in std::iter::once(rule.0).chain(&rule.1.of) {
                let known = match name.split_once('.') {
                    Some((group, name)) => {
                        has_number_of_groups(name) && self.peers.iter().any(|plan| plan.name == group)
                    }
                    None => has_number(name),
                };
                if !known {
                    return Err(format!("expect: no number is called {name}"));
                }
            }
        }
        let names = self.host_names();
        for hosts in self.events.iter().flat_map(|event| event.action.hosts()) {
            if !names.iter().any(|name| hosts.has(name)) {
                return Err(format!("events: no host is called {}", hosts.0));
            }
        }
        let by_groups = self.peers.iter().map(|group| (group.name.as_str(), &group.poison));
        for (who, poison) in std::iter::once(("tracker", &self.tracker.poison)).chain(by_groups) {
            if let Some(named) = poison
                && !names.iter().any(|name| Hosts(named.clone()).has(name))
            {
                return Err(format!("{who}: no host is called {named}"));
            }
        }
        Ok(())
    }
}

const fn one() -> u64 {
    1
}

/// A block, by which contents are made.
const BLOCK: u64 = 16 * 1024;

/// The content is hashed once, and takes 8 bytes a block. A host has some 60 bytes a piece.
const MOST_BYTES: u64 = 64 << 30;
const MOST_PIECE: u64 = 64 << 20;
const MOST_PIECES: u64 = 1 << 20;

/// Each costs some 100 KB.
const MOST_HOSTS: usize = 60_000;

/// Each is looked at by itself.
const MOST_EVENTS: usize = 1000;

/// The second byte of an address tells the group.
const MOST_GROUPS: usize = 250;

#[cfg(test)]
mod tests;
