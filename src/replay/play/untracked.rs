//! The peers of a reference that no tracker named: its client had them from a magnet link, the DHT, the local network or other
//! peers.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use bittrace_protocol::tracker::http::{Host, Reply};
use bittrace_protocol::tracker::udp::Packet;
use bittrace_trace::{Body, HttpTrackerBody, Side};

use crate::model::transcript::{Conversation, Transcript};

/// The addresses of the peers that the client of `reference` dialled although no tracker named them.
pub(super) fn untracked_peers(reference: &Transcript) -> BTreeSet<SocketAddr> {
    let dialled = reference.peers().filter(|one| one.is_outgoing());
    let mut peers: BTreeSet<SocketAddr> = dialled.map(Conversation::far).collect();
    let said = reference.trackers().flat_map(Conversation::messages);
    for (_, message) in said.filter(|(side, _)| *side == Side::Remote) {
        match message.body() {
            Body::HttpTracker(HttpTrackerBody::Response(_, reply)) => {
                let Reply::Announce(reply) = &*reply else { continue };
                for peer in &reply.peers {
                    if let Host::Ip(ip) = peer.host {
                        peers.remove(&SocketAddr::new(ip, peer.port));
                    }
                }
            }
            Body::UdpTracker(packet) => {
                if let Packet::AnnounceResponse(response) = &*packet {
                    response.peers.iter().for_each(|peer| {
                        peers.remove(peer);
                    });
                }
            }
            _ => {}
        }
    }
    peers
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use bittrace_trace::TraceOptions;

    use super::*;

    #[test]
    fn a_peer_is_untracked_unless_a_tracker_named_it() {
        for (capture, wanted) in [
            ("download-rtorrent.pcap", &[][..]),
            ("udp-tracker.pcap", &[]),
            ("dht-get-peers.pcap", &["10.77.0.2:6885"]),
        ] {
            let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../captures"].iter().collect();
            let reference = Transcript::open(&folder.join(capture), TraceOptions::default());
            let peers = untracked_peers(&reference.expect("a capture can be read"));
            let peers: Vec<String> = peers.iter().map(SocketAddr::to_string).collect();
            assert_eq!(peers, wanted, "{capture}");
        }
    }
}
