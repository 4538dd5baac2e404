//! Messages of the DHT (BEPs 5, 44 and 51): names, and a line for each.

use bittrace_protocol::Hex;
use bittrace_protocol::dht::{self, Kind, Message, Method, Query, Response};

use super::content::{NAMED, lossy};
use super::units::{count, counted, short_hex, wanted_at};

/// The name of a DHT message; plain `query` and `response` where the method is unknown.
pub(super) const fn name(kind: &dht::Kind, method: Option<&dht::Method>) -> &'static str {
    use dht::Method::{AnnouncePeer, FindNode, Get, GetPeers, Other, Ping, Put, SampleInfohashes};
    match (kind, method) {
        (dht::Kind::Error(..), _) => "error",
        (dht::Kind::Query(_), Some(Ping)) => "ping-query",
        (dht::Kind::Query(_), Some(FindNode)) => "find_node-query",
        (dht::Kind::Query(_), Some(GetPeers)) => "get_peers-query",
        (dht::Kind::Query(_), Some(AnnouncePeer)) => "announce_peer-query",
        (dht::Kind::Query(_), Some(Get)) => "get-query",
        (dht::Kind::Query(_), Some(Put)) => "put-query",
        (dht::Kind::Query(_), Some(SampleInfohashes)) => "sample_infohashes-query",
        (dht::Kind::Query(_), Some(Other(_)) | None) => "query",
        (dht::Kind::Response(_), Some(Ping)) => "ping-response",
        (dht::Kind::Response(_), Some(FindNode)) => "find_node-response",
        (dht::Kind::Response(_), Some(GetPeers)) => "get_peers-response",
        (dht::Kind::Response(_), Some(AnnouncePeer)) => "announce_peer-response",
        (dht::Kind::Response(_), Some(Get)) => "get-response",
        (dht::Kind::Response(_), Some(Put)) => "put-response",
        (dht::Kind::Response(_), Some(SampleInfohashes)) => "sample_infohashes-response",
        (dht::Kind::Response(_), Some(Other(_)) | None) => "response",
    }
}

/// `name` is that of the record, which says query or response and of which method.
pub(super) fn describe(name: &str, message: &Message, method: Option<&Method>) -> String {
    let text = match &message.kind {
        Kind::Query(query) => describe_query(name, query),
        Kind::Response(response) => format!("{name}{}", describe_response(response)),
        Kind::Error(code, text) => {
            let asked =
                method.map_or(String::new(), |method| format!(" to {}", lossy(method.name().as_bytes())));
            format!("{name} {code}{asked}: {}", lossy(text))
        }
    };
    match message.faults.first() {
        Some(fault) => format!("{text}; malformed: {}", wanted_at(fault.offset, fault.wanted)),
        None => text,
    }
}

fn describe_query(name: &str, query: &Query) -> String {
    let target = query.target.map(|target| short_hex(&Hex(&target).to_string()).into_owned());
    match (&query.method, target) {
        (Method::Other(other), _) => format!("{name} {}", lossy(other.as_bytes())),
        (Method::FindNode, Some(target)) => format!("{name} near {target}"),
        (Method::AnnouncePeer, Some(target)) => {
            let port = query
                .listen_port()
                .map_or("the source port of the query".to_owned(), |port| format!("port {port}"));
            format!("{name} of {target}, {port}")
        }
        (_, Some(target)) => format!("{name} of {target}"),
        (_, None) => name.to_owned(),
    }
}

fn describe_response(response: &Response) -> String {
    let mut parts = Vec::new();
    if let Some(list) = response.peers.as_ref().filter(|peers| !peers.is_empty()) {
        let named: Vec<_> = list.iter().take(NAMED).map(ToString::to_string).collect();
        let more = if list.len() > NAMED { ", …" } else { "" };
        let peers = counted(list.len() as u64, "peer");
        parts.push(format!("{peers}: {}{more}", named.join(", ")));
    }
    let nodes = response.all_nodes().count() as u64;
    if nodes > 0 {
        parts.push(counted(nodes, "node"));
    }
    if let Some(samples) = &response.samples {
        let of = response.stored.map_or(String::new(), |stored| format!(" of {}", count(stored)));
        parts.push(format!("{}{of}", counted(samples.len() as u64, "info hash")));
    }
    if let Some(item) = &response.item {
        parts.extend(item.value.as_ref().map(|_| "an item".to_owned()));
        parts.extend(item.sequence.map(|sequence| format!("sequence number {sequence}")));
    }
    if response.token.is_some() {
        parts.push("a token".to_owned());
    }
    if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) }
}
