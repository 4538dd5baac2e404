//! Requests to an HTTP tracker and its responses: names, fields, and a line for each.

use std::sync::Arc;

use bittrace_protocol::field::Field;
use bittrace_protocol::tracker::http;

use super::content::{
    NAMED, add_readable_peer_id, listed, lossy, scrape_of, set, short_hash, texts, transferred,
};
use super::units::{count, counted, seconds, wanted_at};

/// What is said between a client and an HTTP tracker (BEPs 3, 23 and 48).
#[derive(Debug, Clone)]
pub enum HttpTrackerBody {
    /// A request.
    Request(Arc<http::Request>, Arc<http::RequestKind>),
    /// The response.
    Response(Arc<http::Response>, Arc<http::Reply>),
}

impl HttpTrackerBody {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Request(_, kind) => match **kind {
                http::RequestKind::Announce(_) | http::RequestKind::NoTorrent(_) => "announce-request",
                http::RequestKind::Scrape(_) => "scrape-request",
                http::RequestKind::Other => "opaque",
            },
            Self::Response(_, reply) => match **reply {
                http::Reply::Announce(_) => "announce-response",
                http::Reply::Scrape(_) => "scrape-response",
                http::Reply::Failure { .. } | http::Reply::NotBencoded(_) => "error",
            },
        }
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        match self {
            Self::Request(request, _) => request.fields(),
            Self::Response(response, _) => response.fields(),
        }
    }

    pub(super) fn add_meaning(&self, fields: &mut Vec<Field>) {
        match self {
            Self::Request(..) => add_readable_peer_id(fields),
            Self::Response(response, reply) => {
                // A body in chunks or packed is one field of the bytes; its content is after that.
                if let Some(at) = fields.iter().position(|field| field.name == "body") {
                    fields.truncate(at);
                    fields.extend(response.reply_fields());
                }
                if let http::Reply::Announce(reply) = &**reply {
                    name_peers(fields, reply);
                }
            }
        }
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Self::Request(request, kind) => match &**kind {
                http::RequestKind::Announce(announce) => describe_announce(announce),
                http::RequestKind::NoTorrent(fault) => {
                    let fault = wanted_at(fault.offset, fault.wanted);
                    format!("announce without a valid info_hash: {fault}")
                }
                http::RequestKind::Scrape(scrape) => scrape_of(&scrape.info_hashes),
                http::RequestKind::Other => format!("{} {}", lossy(request.method()), lossy(request.path())),
            },
            Self::Response(response, reply) => describe_reply(response, reply),
        }
    }
}

/// Makes `peers` the list of all peers of a response, as `address:port`, whatever form they were sent in. Peers of IPv6
/// also stand under the key that they were sent under; the peer ids of the long form are added.
fn name_peers(fields: &mut Vec<Field>, reply: &http::AnnounceReply) {
    if reply.peers.is_empty() {
        return;
    }
    set(fields, texts("peers", reply.peers.iter().map(ToString::to_string)));
    let ids: Vec<_> = reply.peers.iter().filter_map(|peer| peer.peer_id).map(|id| id.to_string()).collect();
    if !ids.is_empty() {
        fields.push(texts("peer_ids", ids.into_iter()));
    }
}

fn describe_announce(announce: &http::Announce) -> String {
    let mut parts = vec![format!(
        "announce {}",
        announce.event.map_or("regular", bittrace_protocol::tracker::Event::name)
    )];
    transferred(&mut parts, announce.left, announce.downloaded, announce.uploaded);
    parts.extend(announce.port.map(|port| format!("port {port}")));
    parts.extend(announce.numwant.map(|wanted| format!("asks for {}", counted(u64::from(wanted), "peer"))));
    if !announce.faults.is_empty() {
        parts.push(format!("{} unreadable", counted(announce.faults.len() as u64, "parameter")));
    }
    parts.join(", ")
}

fn describe_reply(response: &http::Response, reply: &http::Reply) -> String {
    let status = match response.status {
        200 => String::new(),
        status => format!(" (HTTP status {status})"),
    };
    let text = match reply {
        http::Reply::Announce(reply) => {
            let mut parts = vec![counted(reply.peers.len() as u64, "peer")];
            parts.extend(reply.complete.map(|n| counted(n, "seeder")));
            parts.extend(reply.incomplete.map(|n| counted(n, "leecher")));
            parts.extend(reply.interval.map(|interval| format!("next announce in {}", seconds(interval))));
            parts.extend(reply.external_ip.map(|ip| format!("external ip {ip}")));
            parts.extend(reply.warning.as_ref().map(|warning| format!("warning: {warning}")));
            if !reply.faults.is_empty() {
                parts.push(format!("{} unreadable", counted(reply.faults.len() as u64, "value")));
            }
            parts.join(", ")
        }
        http::Reply::Scrape(scrape) => {
            let some = scrape.files.iter().take(NAMED).map(|file| {
                let known = |number: Option<u64>| number.map_or("?".to_owned(), count);
                format!(
                    "{}: {} complete, {} incomplete, {} downloaded",
                    short_hash(&file.info_hash),
                    known(file.complete),
                    known(file.incomplete),
                    known(file.downloaded)
                )
            });
            listed(some.collect(), scrape.files.len(), "no torrent")
        }
        http::Reply::Failure { reason, retry_in } => {
            let retry = match retry_in {
                Some(http::RetryIn::Minutes(minutes)) => format!(", retry in {}", seconds(minutes * 60)),
                Some(http::RetryIn::Never) => ", do not retry".to_owned(),
                None => String::new(),
            };
            format!("error: {reason}{retry}")
        }
        http::Reply::NotBencoded(_) if response.body().is_empty() => {
            "no tracker response in the body".to_owned()
        }
        http::Reply::NotBencoded(error) => {
            format!("not a tracker response: at byte {} of the body expected {}", error.offset, error.wanted)
        }
    };
    text + &status
}
