//! What may be chosen of a run beside its scenario.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use bittrace_protocol::session::Profile;

/// The settings of a run.
#[derive(Default)]
pub struct WorldOptions<'a> {
    /// Another seed than that of the scenario.
    pub seed: Option<u64>,
    /// Where the capture goes; `None` records nothing.
    pub record: Option<Box<dyn Write + 'a>>,
    /// How much of each packet is recorded.
    pub snap: Snap,
    /// How the clients of captures behave, by the paths that the scenario has.
    pub profiles: BTreeMap<String, Profile>,
    /// The numbers of the hosts whose connections are recorded; `None` records all. The tracker is 0.
    pub hosts: Option<BTreeSet<u32>>,
    /// The number of the host at whose link the capture is taken: it has that host's own traffic, each packet when it leaves or
    /// has come there. `None` takes the capture in the core of the network.
    pub vantage: Option<u32>,
}

/// How much of each packet is recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Snap {
    /// All of it.
    #[default]
    Whole,
    /// All but the content of blocks that are sent over TCP in clear.
    Headers,
}
