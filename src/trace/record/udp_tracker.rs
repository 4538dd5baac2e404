//! Messages to and from UDP trackers (BEP 15): names, and a line for each.

use bittrace_protocol::tracker::udp;

use super::content::{NAMED, listed, lossy, scrape_of, transferred};
use super::units::{count, counted, seconds};

pub(super) const fn name(packet: &udp::Packet) -> &'static str {
    match packet {
        udp::Packet::ConnectRequest { .. } => "connect-request",
        udp::Packet::ConnectResponse { .. } => "connect-response",
        udp::Packet::AnnounceRequest(_) => "announce-request",
        udp::Packet::AnnounceResponse(_) => "announce-response",
        udp::Packet::ScrapeRequest { .. } => "scrape-request",
        udp::Packet::ScrapeResponse { .. } => "scrape-response",
        udp::Packet::Error { .. } => "error",
    }
}

pub(super) fn describe(packet: &udp::Packet) -> String {
    match packet {
        udp::Packet::ConnectRequest { .. } => "connect: asks for a connection id".to_owned(),
        udp::Packet::ConnectResponse { connection_id, .. } => format!("connection id {connection_id:016x}"),
        udp::Packet::AnnounceRequest(announce) => {
            let event = match (announce.event, announce.event()) {
                (0, _) => "regular".to_owned(),
                (_, Some(event)) => event.name().to_owned(),
                (number, None) => format!("with event {number}"),
            };
            let mut parts = vec![format!("announce {event}")];
            transferred(&mut parts, Some(announce.left), Some(announce.downloaded), Some(announce.uploaded));
            parts.push(format!("port {}", announce.port));
            if let Ok(wanted) = u64::try_from(announce.num_want) {
                parts.push(format!("asks for {}", counted(wanted, "peer")));
            }
            parts.extend(announce.url_data().map(|url| format!("for {}", lossy(&url))));
            parts.join(", ")
        }
        udp::Packet::AnnounceResponse(reply) => [
            counted(reply.peers.len() as u64, "peer"),
            counted(u64::from(reply.seeders), "seeder"),
            counted(u64::from(reply.leechers), "leecher"),
            format!("next announce in {}", seconds(u64::from(reply.interval))),
        ]
        .join(", "),
        udp::Packet::ScrapeRequest { info_hashes, .. } => scrape_of(info_hashes),
        udp::Packet::ScrapeResponse { torrents, .. } => {
            let some = torrents.iter().take(NAMED).map(|scraped| {
                format!(
                    "{} complete, {} incomplete, {} downloaded",
                    count(u64::from(scraped.seeders)),
                    count(u64::from(scraped.leechers)),
                    count(u64::from(scraped.completed))
                )
            });
            listed(some.collect(), torrents.len(), "no torrent")
        }
        udp::Packet::Error { message, .. } => format!("error: {}", lossy(message)),
    }
}
