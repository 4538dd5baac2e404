//! Writes messages of the DHT. Keys stand in order, as BEP 3 wants them.

use std::net::SocketAddr;

use super::{Kind, Message, Node, NodeFamilies, Query, Response, StoredItem};
use crate::bencode::DictionaryWriter;
use crate::compact;

impl Message {
    /// The message's bytes.
    ///
    /// What was decoded is encoded to the same bytes, except for dictionaries whose keys were out of order or twice,
    /// and for numbers or lengths with leading zeros (those of BEP 3 are written).
    pub fn encode(&self) -> Vec<u8> {
        self.others.dictionary(|out| {
            if let Kind::Query(query) = &self.kind {
                out.raw("a", &query.others.dictionary(|out| query.write(out)));
            }
            if let Kind::Error(code, text) = &self.kind {
                out.list("e", |error| {
                    error.integer(*code);
                    error.bytes(text);
                });
            }
            if let Some(address) = self.your_address {
                out.bytes("ip", endpoint(address));
            }
            if let Kind::Query(query) = &self.kind {
                out.bytes("q", query.method.name());
            }
            if let Kind::Response(response) = &self.kind {
                out.raw("r", &response.others.dictionary(|out| response.write(out)));
            }
            write_flag(out, "ro", self.read_only);
            out.bytes("t", &self.transaction);
            write_bytes(out, "v", self.version.as_ref());
            out.bytes("y", self.kind.letter());
        })
    }
}

impl Kind {
    /// What stands under `y` (BEP 5, "KRPC protocol").
    pub(super) const fn letter(&self) -> &'static str {
        match self {
            Self::Query(_) => "q",
            Self::Response(_) => "r",
            Self::Error(..) => "e",
        }
    }
}

impl Query {
    fn write(&self, out: &mut DictionaryWriter<'_>) {
        let item = self.item.as_deref();
        let target = |key| self.target.filter(|_| self.method.target_key() == Some(key));
        write_integer(out, "cas", item.and_then(|item| item.expected_sequence));
        write_bytes(out, "id", self.id.map(|id| id.0));
        write_flag(out, "implied_port", self.implied_port);
        write_bytes(out, "info_hash", target("info_hash"));
        write_bytes(out, "k", item.and_then(|item| item.public_key));
        write_flag(out, "noseed", self.no_seed);
        write_integer(out, "port", self.port);
        write_bytes(out, "salt", item.and_then(|item| item.salt.as_ref()));
        write_flag(out, "scrape", self.scrape);
        write_flag(out, "seed", self.seed);
        write_integer(out, "seq", item.and_then(|item| item.sequence));
        write_bytes(out, "sig", item.and_then(|item| item.signature));
        write_bytes(out, "target", target("target"));
        write_bytes(out, "token", self.token.as_ref());
        write_value(out, item);
        if let Some(families) = self.want {
            out.raw("want", families.encode());
        }
    }
}

impl Response {
    fn write(&self, out: &mut DictionaryWriter<'_>) {
        let item = self.item.as_deref();
        write_bytes(out, "BFpe", self.downloaders.as_deref());
        write_bytes(out, "BFsd", self.seeds.as_deref());
        write_integer(out, "cas", item.and_then(|item| item.expected_sequence));
        write_bytes(out, "id", self.id.map(|id| id.0));
        write_integer(out, "interval", self.interval);
        write_bytes(out, "k", item.and_then(|item| item.public_key));
        write_bytes(out, "nodes", self.nodes.as_deref().map(node_bytes));
        write_bytes(out, "nodes6", self.nodes6.as_deref().map(node_bytes));
        write_integer(out, "num", self.stored);
        write_bytes(out, "salt", item.and_then(|item| item.salt.as_ref()));
        write_bytes(
            out,
            "samples",
            self.samples.as_ref().map(|samples| samples.iter().flat_map(|hash| hash.0).collect::<Vec<_>>()),
        );
        write_integer(out, "seq", item.and_then(|item| item.sequence));
        write_bytes(out, "sig", item.and_then(|item| item.signature));
        write_bytes(out, "token", self.token.as_ref());
        write_value(out, item);
        if let Some(peers) = &self.peers {
            out.list("values", |list| peers.iter().for_each(|peer| list.bytes(endpoint(*peer))));
        }
    }
}

impl NodeFamilies {
    /// The list that names them.
    pub(super) const fn encode(self) -> &'static [u8] {
        match (self.ipv4, self.ipv6) {
            (true, true) => b"l2:n42:n6e",
            (true, false) => b"l2:n4e",
            (false, true) => b"l2:n6e",
            (false, false) => b"le",
        }
    }
}

fn write_integer<N: Into<i128>>(out: &mut DictionaryWriter<'_>, key: &str, number: Option<N>) {
    if let Some(number) = number {
        out.integer(key, number);
    }
}

fn write_flag(out: &mut DictionaryWriter<'_>, key: &str, flag: Option<bool>) {
    write_integer(out, key, flag.map(u8::from));
}

fn write_bytes<B: AsRef<[u8]>>(out: &mut DictionaryWriter<'_>, key: &str, bytes: Option<B>) {
    if let Some(bytes) = bytes {
        out.bytes(key, bytes);
    }
}

fn write_value(out: &mut DictionaryWriter<'_>, item: Option<&StoredItem>) {
    if let Some(value) = item.and_then(|item| item.value.as_ref()) {
        out.raw("v", value);
    }
}

fn endpoint(address: SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(18);
    compact::put_endpoint(&mut bytes, address);
    bytes
}

pub(super) fn node_bytes(nodes: &[Node]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for node in nodes {
        bytes.extend(node.id.0);
        compact::put_endpoint(&mut bytes, node.address);
    }
    bytes
}
