//! What options name and a capture has to have: streams, the local host, torrents. A name that nothing fits is a
//! mistake of the user, and the answer lists what there is.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bittrace_protocol::InfoHash;
use bittrace_protocol::metainfo::Metainfo;
use bittrace_trace::Dissected;
use bittrace_trace::record::Record;
use serde::{Deserialize, Serialize};

use crate::print::printable::printable;

/// How many addresses and info hashes an answer lists.
const LISTED: usize = 8;

/// What the options name, and no capture has had so far.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    streams: ExpectedStreams,
    host: ExpectedHost,
    torrents: ExpectedTorrents,
}

/// What captures had of that, as one process tells another.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NamesSeen {
    missing_streams: Vec<u32>,
    highest_stream: Option<u32>,
    missing_host: Option<IpAddr>,
    other_hosts: Vec<IpAddr>,
    missing_torrents: Vec<String>,
    named_torrents: Vec<String>,
}

/// Adds what is new to a list that an answer has.
fn add_new<T: PartialEq>(listed: &mut Vec<T>, others: Vec<T>) {
    for other in others {
        if listed.len() < LISTED && !listed.contains(&other) {
            listed.push(other);
        }
    }
}

impl Expected {
    /// The streams, the local host and the torrents that options name.
    pub(crate) fn new(
        streams: &[u32],
        local: Option<IpAddr>,
        torrents: Vec<(PathBuf, Arc<Metainfo>)>,
    ) -> Self {
        Self {
            streams: ExpectedStreams::new(streams),
            host: ExpectedHost::new(local),
            torrents: ExpectedTorrents::new(torrents.into_iter()),
        }
    }

    /// Takes in a message, or the end of a connection.
    #[inline]
    pub(crate) fn see(&mut self, dissected: &Dissected) {
        self.host.see(dissected);
        if let Dissected::Record(record) = dissected {
            self.streams.see(record);
            self.torrents.see(record);
        }
    }

    /// What captures had so far, for another process.
    pub(crate) fn seen(&self) -> NamesSeen {
        let Self { streams, host, torrents } = self;
        let hash = |(_, torrent): &(PathBuf, Arc<Metainfo>)| torrent.info_hash.to_string();
        NamesSeen {
            missing_streams: streams.missing.clone(),
            highest_stream: streams.highest,
            missing_host: host.missing,
            other_hosts: host.others.clone(),
            missing_torrents: torrents.missing.iter().map(hash).collect(),
            named_torrents: torrents.named.iter().map(InfoHash::to_string).collect(),
        }
    }

    /// Takes in what captures had that another process read.
    pub(crate) fn merge(&mut self, seen: NamesSeen) {
        let Self { streams, host, torrents } = self;
        streams.missing.retain(|stream| seen.missing_streams.contains(stream));
        streams.highest = streams.highest.max(seen.highest_stream);
        host.missing = host.missing.and(seen.missing_host);
        add_new(&mut host.others, seen.other_hosts);
        let is_missing = |torrent: &Metainfo| seen.missing_torrents.contains(&torrent.info_hash.to_string());
        torrents.missing.retain(|(_, torrent)| is_missing(torrent));
        add_new(&mut torrents.named_elsewhere, seen.named_torrents);
    }

    /// What no capture has, as errors; `option` is what named the streams.
    pub(crate) fn complaints(&self, option: &str) -> Vec<String> {
        let streams = self.streams.complaint().map(|complaint| format!("{option}: {complaint}"));
        let host = self.host.complaint().map(|complaint| format!("--local: {complaint}"));
        streams.into_iter().chain(host).collect()
    }

    /// What no capture has, as warnings.
    pub(crate) fn remarks(&self) -> Vec<String> {
        self.torrents.remarks()
    }
}

/// Streams that were asked for, and those that there are.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExpectedStreams {
    missing: Vec<u32>,
    highest: Option<u32>,
}

impl ExpectedStreams {
    pub(crate) fn new(streams: &[u32]) -> Self {
        Self { missing: streams.to_vec(), highest: None }
    }

    /// Takes in a message.
    pub(crate) fn see(&mut self, record: &Record) {
        if !self.missing.is_empty() {
            self.missing.retain(|stream| *stream != record.stream.0);
            self.highest = self.highest.max(Some(record.stream.0));
        }
    }

    /// What to say of the first stream that no capture has. Nothing where no capture has any stream.
    pub(crate) fn complaint(&self) -> Option<String> {
        let (missing, highest) = (self.missing.first()?, self.highest?);
        let there_is = match highest {
            0 => "the only stream is 0".to_owned(),
            highest => format!("streams are 0 to {highest}"),
        };
        Some(format!("there is no stream {missing}: {there_is}"))
    }
}

/// The address given by `--local`, and the addresses that there are.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExpectedHost {
    missing: Option<IpAddr>,
    others: Vec<IpAddr>,
}

impl ExpectedHost {
    pub(crate) fn new(local: Option<IpAddr>) -> Self {
        Self { missing: local.map(|address| address.to_canonical()), others: Vec::new() }
    }

    /// Takes in a message, or the end of a connection.
    #[inline]
    pub(crate) fn see(&mut self, dissected: &Dissected) {
        let Some(missing) = self.missing else { return };
        let ends = match dissected {
            Dissected::Record(record) => [record.source, record.destination],
            Dissected::Connection(end) => [end.flow.initiator, end.flow.responder],
        };
        for address in ends.map(|end| end.ip().to_canonical()) {
            if address == missing {
                self.missing = None;
            } else if self.others.len() < LISTED && !self.others.contains(&address) {
                self.others.push(address);
            }
        }
    }

    /// What to say when no message is from or to the address. Nothing where there are no messages.
    pub(crate) fn complaint(&self) -> Option<String> {
        let missing = self.missing.filter(|_| !self.others.is_empty())?;
        let mut others: Vec<String> = self.others.iter().map(IpAddr::to_string).collect();
        if self.others.len() == LISTED {
            others.push("…".to_owned());
        }
        Some(format!("no message is from or to {missing}; addresses are {}", others.join(", ")))
    }
}

/// Torrents that were given, and the info hashes that there are.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExpectedTorrents {
    missing: Vec<(PathBuf, Arc<Metainfo>)>,
    named: Vec<InfoHash>,
    /// Those that captures had which another process read.
    named_elsewhere: Vec<String>,
}

impl ExpectedTorrents {
    pub(crate) fn new(torrents: impl Iterator<Item = (PathBuf, Arc<Metainfo>)>) -> Self {
        Self { missing: torrents.collect(), ..Self::default() }
    }

    /// Takes in a message.
    #[inline]
    pub(crate) fn see(&mut self, record: &Record) {
        if self.missing.is_empty() {
            return;
        }
        let Some(named) = record.torrent else { return };
        self.missing.retain(|(_, torrent)| !torrent.goes_by(named));
        if self.named.len() < LISTED && !self.named.contains(&named) {
            self.named.push(named);
        }
    }

    /// What to say of each torrent that no message is about. Nothing where no message names a torrent: of a capture that
    /// begins in the middle of its connections, it is not known what they are about.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let mut named: Vec<String> = self.named.iter().map(InfoHash::to_string).collect();
        add_new(&mut named, self.named_elsewhere.clone());
        if named.is_empty() {
            return Vec::new();
        }
        let named = named.join(", ");
        let remark = |(path, torrent): &(PathBuf, Arc<Metainfo>)| {
            let path = path.display().to_string();
            format!(
                "{}: no message is about this torrent ({}); messages are about {named}",
                printable(&path),
                torrent.info_hash
            )
        };
        self.missing.iter().map(remark).collect()
    }
}
