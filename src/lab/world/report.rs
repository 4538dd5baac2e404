//! What came of a run.

use bittrace_protocol::session::{Identity, Status};

use super::World;
use super::host::Presence;
use crate::LabError;
use crate::scenario::Role;

/// A run that has ended.
#[derive(Debug)]
pub struct Run {
    /// How long it lasted, in seconds of the pretend clock.
    pub seconds: f64,
    /// The hosts in their order, the tracker left out.
    pub hosts: Vec<HostReport>,
    /// How many things happened.
    pub events: u64,
    /// How many packets the capture has.
    pub packets: u64,
    /// How many announces the tracker answered.
    pub announces: u64,
    /// The torrent file.
    pub torrent: bytes::Bytes,
}

/// What came of a host.
#[derive(Debug, Clone)]
pub struct HostReport {
    /// Its name.
    pub name: String,
    /// The place of its group in the scenario.
    pub group: usize,
    /// What it had when it came.
    pub role: Role,
    /// When it came, in seconds since the start; `None` where it did not.
    pub arrived_at: Option<f64>,
    /// When it had the file, where it had not at first.
    pub done_at: Option<f64>,
    /// When it went.
    pub left_at: Option<f64>,
    /// Bytes of all messages that left on its link.
    pub sent: u64,
    /// Bytes of blocks that it gave.
    pub uploaded: u64,
    /// Bytes of blocks that it took, each counted once.
    pub downloaded: u64,
    /// Bytes of blocks that came in vain.
    pub wasted: u64,
    /// Pieces that failed their hash.
    pub hash_failures: u32,
    /// The round trip over its link, in seconds.
    pub rtt: f64,
    /// What its session drew at random: with the same, a client that is no simulation makes the same choices.
    pub identity: Identity,
}

impl HostReport {
    /// How long the file took, in seconds since the host came.
    pub fn took(&self) -> Option<f64> {
        Some(self.done_at? - self.arrived_at?)
    }
}

impl World<'_> {
    pub(super) fn finish(mut self) -> Result<Run, LabError> {
        let packets = self.recording.finish()?;
        let start = super::START;
        let now = self.now;
        let hosts = self.hosts.iter().filter_map(|host| {
            let status: Option<Status> =
                host.session.as_ref().map(|session| session.status(now)).or_else(|| host.last_status.clone());
            let count = |of: fn(&Status) -> u64| status.as_ref().map_or(0, of);
            Some(HostReport {
                name: host.name.clone(),
                group: host.group?,
                role: host.role,
                arrived_at: (host.presence != Presence::Expected)
                    .then(|| host.arrives_at.seconds_since(start)),
                done_at: host.done_at.map(|at| at.seconds_since(start)),
                left_at: host.left_at.map(|at| at.seconds_since(start)),
                sent: host.sent,
                uploaded: count(|status| status.uploaded),
                downloaded: count(|status| status.downloaded),
                wasted: count(|status| status.wasted),
                hash_failures: status.as_ref().map_or(0, |status| status.hash_failures),
                rtt: host.rtt.as_secs_f64(),
                identity: host.identity(),
            })
        });
        Ok(Run {
            seconds: now.seconds_since(start),
            hosts: hosts.collect(),
            events: self.happened,
            packets,
            announces: self.tracker.announces,
            torrent: self.content.torrent,
        })
    }
}
