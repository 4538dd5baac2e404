//! What came of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use bittrace_protocol::session::{Identity, Status};

use super::World;
use super::host::Presence;
use crate::LabError;
use crate::measure::{MessageTotals, Sample};
use crate::network::{EndId, HostId};
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
    /// How many things of each kind happened, where any did.
    pub events_by_kind: Vec<(&'static str, u64)>,
    /// How many connections between peers were opened on which both shook hands.
    pub connections: u64,
    /// How many ends of connections are over, by reason: each host counts its own.
    pub ends: BTreeMap<&'static str, u64>,
    /// How many packets the capture has.
    pub packets: u64,
    /// How many announces the tracker answered.
    pub announces: u64,
    /// The torrent file.
    pub torrent: bytes::Bytes,
    /// The messages between peers.
    pub messages: MessageTotals,
    /// The course of the run.
    pub samples: Vec<Sample>,
    /// For how many seconds hosts of a group let hosts of another have blocks, by the places of the groups.
    pub unchoked: Vec<Vec<f64>>,
    /// How many pairs of leechers were of interest, one to the other, for each hundredth of their time together.
    pub interest: [u64; 101],
    /// How often hosts that lacked pieces got nothing for ten seconds, and for how many seconds: without a peer, without
    /// interest, choked, waiting for blocks.
    pub stalls: [(u64, f64); 4],
    /// How many times hosts of each group were dialled.
    pub dials: Vec<u64>,
    /// How many times hosts of each group were banned for blocks of pieces that failed their hash.
    pub bans: Vec<u64>,
    /// How many datagrams were sent to hosts of each group.
    pub datagrams: Vec<u64>,
    /// How many keys of encrypted connections the capture lacks: it has as many as readers take.
    pub keys_left_out: u64,
    /// How many bytes the seeds had given when others had each piece once.
    pub first_copy: Option<u64>,
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
    /// When the first bytes of a block came to it; `None` where none came.
    pub first_block_at: Option<f64>,
    /// When it had the file, where it had not at first.
    pub done_at: Option<f64>,
    /// When it went.
    pub left_at: Option<f64>,
    /// Bytes of all messages that left on its link.
    pub sent: u64,
    /// Bytes that could have left on its link while it was there; 0 where it had no limit.
    pub capacity: f64,
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
    /// When it had each tenth of the pieces, in seconds since the start, as far as it came.
    pub tenths: Vec<f64>,
    /// What its session drew at random: with the same, a client that is no simulation makes the same choices. `None` of a real
    /// client, which tells nobody.
    pub identity: Option<Identity>,
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
        let sample = self.take_sample();
        self.measures.samples.push(sample);
        for number in 1..self.hosts.len() {
            let mut ends: Vec<EndId> = self.hosts[number].ends.values().copied().collect();
            ends.sort_unstable();
            for id in ends {
                self.measures.end_of_talk(&mut self.connections, &self.hosts, id, self.now);
            }
            self.end_of_utp_talks(number as HostId);
        }
        let start = super::START;
        let now = self.now;
        let hosts = self.hosts.iter().filter_map(|host| {
            let status: Option<Status> = host
                .node
                .as_ref()
                .map(|node| node.session().status(now + host.clock))
                .or_else(|| host.last_status.clone());
            let count = |of: fn(&Status) -> u64| status.as_ref().map_or(0, of);
            Some(HostReport {
                name: host.name.clone(),
                group: host.group?,
                role: host.role,
                arrived_at: (host.presence != Presence::Expected)
                    .then(|| host.arrives_at.seconds_since(start)),
                first_block_at: host.first_content.map(|at| at.seconds_since(start)),
                done_at: host.done_at.map(|at| at.seconds_since(start)),
                left_at: host.left_at.map(|at| at.seconds_since(start)),
                sent: host.sent,
                capacity: host.capacity,
                uploaded: count(|status| status.uploaded),
                downloaded: count(|status| status.downloaded),
                wasted: count(|status| status.wasted),
                hash_failures: status.as_ref().map_or(0, |status| status.hash_failures),
                rtt: host.rtt.as_secs_f64(),
                tenths: host.tenths.iter().map(|at| at.seconds_since(start)).collect(),
                identity: Some(host.identity()),
            })
        });
        let hosts = hosts.collect();
        let measures = self.measures;
        Ok(Run {
            seconds: now.seconds_since(start),
            hosts,
            events: self.happened,
            events_by_kind: self.happened_by_kind.into_iter().filter(|(_, count)| *count > 0).collect(),
            connections: measures.connections,
            ends: measures.ends,
            packets,
            announces: self.tracker.announces,
            torrent: self.content.torrent,
            messages: measures.messages,
            samples: measures.samples.into_vec(),
            unchoked: measures
                .unchoked
                .iter()
                .map(|row| row.iter().map(Duration::as_secs_f64).collect())
                .collect(),
            interest: measures.interest,
            stalls: measures.stalls.map(|(count, time)| (count, time.as_secs_f64())),
            dials: measures.dials,
            bans: measures.bans,
            datagrams: measures.datagrams,
            keys_left_out: self.recording.keys_left_out,
            first_copy: measures.first_copy,
        })
    }
}
