//! The hosts of a capture, each of which is a lifeline of the ladder: who they are, and how many messages they sent or
//! received.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bittrace_trace::{Record, Side};
use foldhash::fast::RandomState;
use rustc_hash::FxHashMap;

use super::clipped;
use super::data::{Host, OtherHosts};

/// What a host is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostKey {
    /// Its address.
    Address(IpAddr),
    /// Its address and port: the remote end of a connection whose ends have one address, as on loopback.
    Remote(SocketAddr),
}

impl HostKey {
    /// The sender and the receiver of a message.
    pub fn ends(record: &Record) -> [Self; 2] {
        let [source, destination] = [record.source, record.destination];
        let [from, to] = [source, destination].map(|end| Self::Address(end.ip()));
        match record.side {
            _ if from != to => [from, to],
            side if side.is_near() => [from, Self::Remote(destination)],
            _ => [Self::Remote(source), to],
        }
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Remote(address) => address.fmt(f),
        }
    }
}

/// The hosts that were seen.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    rows: Vec<HostSeen>,
    by_key: HashMap<HostKey, usize, RandomState>,
    /// Messages of hosts that are not kept.
    more: u64,
}

#[derive(Debug)]
struct HostSeen {
    key: HostKey,
    client: Option<Arc<str>>,
    messages: u64,
    is_local: bool,
}

/// How many hosts are told apart.
const HOSTS: usize = 10_000;

/// How many hosts the aggregate lists.
pub const MOST_HOSTS: usize = 256;

impl Hosts {
    pub(super) fn add(&mut self, record: &Record) {
        for (end, key) in HostKey::ends(record).into_iter().enumerate() {
            let Some(at) = self.place(key) else {
                self.more += 1;
                continue;
            };
            let host = &mut self.rows[at];
            host.messages += 1;
            if end == 0 {
                host.is_local |= record.side == Side::Local;
                if let Some(client) = &record.client
                    && host.client.as_ref().is_none_or(|known| !Arc::ptr_eq(known, client))
                {
                    host.client = Some(Arc::clone(client));
                }
            }
        }
    }

    fn place(&mut self, key: HostKey) -> Option<usize> {
        if let Some(at) = self.by_key.get(&key) {
            return Some(*at);
        }
        if self.rows.len() >= HOSTS {
            return None;
        }
        self.by_key.insert(key, self.rows.len());
        self.rows.push(HostSeen { key, client: None, messages: 0, is_local: false });
        Some(self.rows.len() - 1)
    }

    /// The client of a host.
    pub(super) fn client(&self, address: IpAddr) -> Option<String> {
        let at = self.by_key.get(&HostKey::Address(address))?;
        self.rows[*at].client.as_deref().map(clipped)
    }

    /// The local host, then the others by messages; those beyond the list; and the place of each.
    pub(super) fn finish(
        mut self,
        local: Option<IpAddr>,
    ) -> (Vec<Host>, Option<OtherHosts>, FxHashMap<HostKey, usize>) {
        // Where several hosts speak for the local side, the one that the capture is about stands first.
        let local = local.map(HostKey::Address);
        self.rows.sort_by_key(|host| {
            (Some(host.key) != local, std::cmp::Reverse(host.messages), !host.is_local, host.key)
        });
        let rest = self.rows.split_off(self.rows.len().min(MOST_HOSTS));
        let messages = rest.iter().map(|host| host.messages).sum::<u64>() + self.more;
        let hosts = rest.len() as u64 + self.more;
        let other = (hosts > 0).then_some(OtherHosts { hosts, messages });
        let places = self.rows.iter().enumerate().map(|(at, host)| (host.key, at)).collect();
        let listed = self.rows.into_iter().map(|host| Host {
            address: host.key.to_string(),
            client: host.client.as_deref().map(clipped),
            messages: host.messages,
        });
        (listed.collect(), other, places)
    }
}
