//! The node of the DHT of a run: what it is told before it begins.

use bittrace_protocol::dht::{DhtNode, DhtSettings, SavedNodes};
use bittrace_protocol::{HostPort, Metainfo, Timestamp};

use crate::dht_state;
use crate::drive::Driver;
use crate::notice::Notice;
use crate::options::DownloadOptions;

/// The nodes that a torrent names.
pub(crate) fn nodes_of(torrent: &Metainfo) -> Vec<HostPort> {
    torrent.nodes.iter().map(|(host, port)| HostPort { host: host.clone(), port: *port }).collect()
}

/// The node of the DHT, where it is wanted and there is a UDP port for it. It begins with these nodes, besides others.
pub(crate) fn node(
    options: &mut DownloadOptions,
    mut named: Vec<HostPort>,
    driver: &Driver,
    now: Timestamp,
    notice: &mut impl FnMut(Notice),
) -> Option<DhtNode> {
    let [ipv4, ipv6] = driver.udp_families();
    let dht = options.dht.take().filter(|_| ipv4 || ipv6)?;
    let saved = dht.state.as_deref().map_or(Ok(SavedNodes::default()), dht_state::read);
    let saved = saved.unwrap_or_else(|error| {
        notice(Notice::DhtStateFailed { error });
        SavedNodes::default()
    });
    // The services of others, below that port, are not to be called because a torrent names them.
    named.retain(|node| node.port >= FIRST_PORT);
    named.truncate(MAX_NODES);
    named.extend(dht.nodes);
    let settings = DhtSettings {
        // With one peer at a time nobody who calls is let in.
        port: if options.config.single_peer { 0 } else { driver.port() },
        ipv4,
        ipv6,
        // Such a run takes what it needs of one peer and is gone: nobody is to count on its node.
        read_only: options.config.single_peer,
        version: dht.version,
        secret: options.identity.secret,
        saved,
        contacts: named,
        routers: dht.routers,
    };
    Some(DhtNode::new(settings, now))
}

/// How many nodes of a torrent are asked.
const MAX_NODES: usize = 20;
/// The first port of a node that a torrent names.
const FIRST_PORT: u16 = 1024;
