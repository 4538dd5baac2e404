//! Messages of the DHT: bencoded dictionaries over UDP, called KRPC (BEP 5), with what BEP 32, 33, 42, 43, 44 and 51
//! add to them.
//!
//! What a message holds beyond its frame is read as far as it goes; what should be there and is not, is a fault of
//! the message and no reason to drop it.
//!
//! ```
//! use bittrace_protocol::dht::{Kind, Message, Method, NodeId, Query};
//!
//! let ping = Message::new(b"aa", Kind::Query(Query::new(Method::Ping, NodeId(*b"abcdefghij0123456789"))));
//! assert_eq!(ping.encode(), b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe");
//! assert_eq!(Message::decode(&ping.encode()), Ok(ping));
//! ```

use std::net::SocketAddr;

use crate::bencode::OtherEntries;
use crate::{DecodeError, Hex, InfoHash, compact};

mod decode;
mod encode;
mod fields;
mod gate;
mod lookup;
mod node;
mod node_id;
mod peer_store;
mod table;
#[cfg(test)]
mod tests;
mod tokens;
mod transactions;

pub use decode::{begins_message, may_be_message};
pub use fields::fields;
pub use node::{DhtInput, DhtNode, DhtOutput, DhtSettings, SavedNodes, SearchResult};

/// A query, its response, or an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What the asking node chose, and the response repeats (BEP 5, "KRPC protocol": `t`).
    pub transaction: Vec<u8>,
    /// The speaker's client: two letters and a version (`v`).
    pub version: Option<Vec<u8>>,
    /// The receiver's address as the speaker sees it (BEP 42: `ip`).
    pub your_address: Option<SocketAddr>,
    /// Whether the speaker answers no queries (BEP 43: `ro`). Any number but 0 says that it does not.
    pub read_only: Option<bool>,
    /// What it says.
    pub kind: Kind,
    /// The entries of the outermost dictionary that the fields above do not give back.
    pub others: OtherEntries,
    /// What the message should hold and does not, with offsets into its bytes.
    pub faults: Vec<DecodeError>,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `y` is `q`.
    Query(Query),
    /// `y` is `r`.
    Response(Response),
    /// `y` is `e`: a number of BEP 5, "errors", and a text.
    Error(i64, Vec<u8>),
}

/// What a node asks: its method, and what stands in its arguments (`a`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What for.
    pub method: Method,
    /// The asking node. Only [`Message::decode_incomplete`] reads a query without.
    pub id: Option<NodeId>,
    /// The node, torrent or item it asks about, where the method has one: `info_hash` with get_peers and
    /// announce_peer, `target` with find_node, get and sample_infohashes.
    pub target: Option<[u8; 20]>,
    /// With announce_peer: the port that the peer listens on (`port`). It counts for nothing where it is implied.
    pub port: Option<u16>,
    /// With announce_peer: whether the peer listens on the port that the query came from (`implied_port`).
    pub implied_port: Option<bool>,
    /// With announce_peer: whether the asker has the whole torrent (BEP 33: `seed`).
    pub seed: Option<bool>,
    /// With announce_peer and put: the token that the asked node gave before (`token`).
    pub token: Option<Vec<u8>>,
    /// Which nodes the response shall hold (BEP 32: `want`).
    pub want: Option<NodeFamilies>,
    /// With get_peers: whether the response shall hold the sets that count peers (BEP 33: `scrape`).
    pub scrape: Option<bool>,
    /// With get_peers: whether seeds are of no use to the asker (BEP 33: `noseed`).
    pub no_seed: Option<bool>,
    /// With put: the item. With get: the sequence number from which on the item is wanted (BEP 44).
    pub item: Option<Box<StoredItem>>,
    /// The entries of the arguments that the fields above do not give back.
    pub others: OtherEntries,
}

/// What a node answers. All but the id depends on what was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// The answering node. Only [`Message::decode_incomplete`] reads a response without.
    pub id: Option<NodeId>,
    /// IPv4 nodes near the target (`nodes`).
    pub nodes: Option<Vec<Node>>,
    /// IPv6 nodes near the target (BEP 32: `nodes6`).
    pub nodes6: Option<Vec<Node>>,
    /// Peers of the torrent (`values`). Of a list with items that are no peers, the peers.
    pub peers: Option<Vec<SocketAddr>>,
    /// With this token the asker may announce or put (`token`).
    pub token: Option<Vec<u8>>,
    /// A Bloom filter of the torrent's seeds (BEP 33: `BFsd`).
    pub seeds: Option<Box<[u8; BLOOM_FILTER]>>,
    /// A Bloom filter of the torrent's other peers (BEP 33: `BFpe`).
    pub downloaders: Option<Box<[u8; BLOOM_FILTER]>>,
    /// Some of the info hashes that the node knows (BEP 51: `samples`).
    pub samples: Option<Vec<InfoHash>>,
    /// How many info hashes the node knows in all (BEP 51: `num`).
    pub stored: Option<u64>,
    /// For how many seconds the samples stay the same (BEP 51: `interval`).
    pub interval: Option<u64>,
    /// An item, or the sequence number of one that the asker has already (BEP 44).
    pub item: Option<Box<StoredItem>>,
    /// The entries of the return values that the fields above do not give back.
    pub others: OtherEntries,
}

/// The bytes of a Bloom filter (BEP 33, "bloom filter": m of 256 * 8 bits).
pub const BLOOM_FILTER: usize = 256;

/// The families of nodes that a query wants (BEP 32: `want`, a list of `n4` and `n6`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeFamilies {
    /// Nodes with IPv4 addresses.
    pub ipv4: bool,
    /// Nodes with IPv6 addresses.
    pub ipv6: bool,
}

/// What nodes keep for others: an item that never changes, known by its hash, or one that its owner signs and may
/// change, known by a public key (BEP 44). Queries and responses hold a part of this, as their method wants it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredItem {
    /// The item: any value, bencoded (`v`).
    pub value: Option<Vec<u8>>,
    /// The owner's ed25519 public key (`k`).
    pub public_key: Option<[u8; 32]>,
    /// What tells the items of one owner apart (`salt`).
    pub salt: Option<Vec<u8>>,
    /// Which version of the item this is (`seq`).
    pub sequence: Option<i64>,
    /// The version that the put replaces, or none (`cas`).
    pub expected_sequence: Option<i64>,
    /// The owner's signature (`sig`).
    pub signature: Option<[u8; 64]>,
}

/// A method of a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Method {
    /// Whether a node is there (BEP 5).
    Ping,
    /// Which nodes are near an id (BEP 5).
    FindNode,
    /// Who has a torrent (BEP 5).
    GetPeers,
    /// That the asker has a torrent (BEP 5).
    AnnouncePeer,
    /// An item by its hash or key (BEP 44).
    Get,
    /// To keep an item (BEP 44).
    Put,
    /// Some of the info hashes that a node knows (BEP 51).
    SampleInfohashes,
    /// Any other.
    Other(String),
}

impl Method {
    /// The method of this name.
    pub fn from_name(name: &[u8]) -> Self {
        match name {
            b"ping" => Self::Ping,
            b"find_node" => Self::FindNode,
            b"get_peers" => Self::GetPeers,
            b"announce_peer" => Self::AnnouncePeer,
            b"get" => Self::Get,
            b"put" => Self::Put,
            b"sample_infohashes" => Self::SampleInfohashes,
            other => Self::Other(String::from_utf8_lossy(other).into_owned()),
        }
    }

    /// The key of its target among the arguments, where the method has one (BEPs 5, 44 and 51).
    const fn target_key(&self) -> Option<&'static str> {
        match self {
            Self::FindNode | Self::Get | Self::SampleInfohashes => Some("target"),
            Self::GetPeers | Self::AnnouncePeer => Some("info_hash"),
            Self::Ping | Self::Put | Self::Other(_) => None,
        }
    }

    /// Its name in queries.
    pub fn name(&self) -> &str {
        match self {
            Self::Ping => "ping",
            Self::FindNode => "find_node",
            Self::GetPeers => "get_peers",
            Self::AnnouncePeer => "announce_peer",
            Self::Get => "get",
            Self::Put => "put",
            Self::SampleInfohashes => "sample_infohashes",
            Self::Other(name) => name,
        }
    }
}

/// The name that a node chose for itself, or had chosen for it by its address (BEP 42).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct NodeId(pub [u8; 20]);

impl std::fmt::Display for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

/// A node and where it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub id: NodeId,
    /// Its address.
    pub address: SocketAddr,
}

impl Message {
    /// A message without its speaker's version and what else is not needed.
    pub fn new(transaction: impl Into<Vec<u8>>, kind: Kind) -> Self {
        Self {
            transaction: transaction.into(),
            version: None,
            your_address: None,
            read_only: None,
            kind,
            others: OtherEntries::default(),
            faults: Vec::new(),
        }
    }

    /// The torrent that a query is about.
    pub const fn torrent(&self) -> Option<InfoHash> {
        match &self.kind {
            Kind::Query(Query {
                method: Method::GetPeers | Method::AnnouncePeer,
                target: Some(hash),
                ..
            }) => Some(InfoHash(*hash)),
            _ => None,
        }
    }
}

impl Query {
    /// A query without arguments but the id of the asking node. Each method but ping wants more.
    pub fn new(method: Method, id: NodeId) -> Self {
        Self {
            method,
            id: Some(id),
            target: None,
            port: None,
            implied_port: None,
            seed: None,
            token: None,
            want: None,
            scrape: None,
            no_seed: None,
            item: None,
            others: OtherEntries::default(),
        }
    }

    /// With announce_peer: the port that the peer listens on; `None` when it is the one that the query came from.
    pub fn listen_port(&self) -> Option<u16> {
        self.port.filter(|_| self.implied_port != Some(true))
    }
}

impl Response {
    /// A response with the id of the answering node alone: that to ping, announce_peer and put.
    pub fn new(id: NodeId) -> Self {
        Self { id: Some(id), ..Self::default() }
    }

    /// The method that a response answers, as far as what it holds tells. One that holds an id alone answers ping,
    /// announce_peer or put.
    pub fn answers(&self) -> Option<Method> {
        if self.samples.is_some() {
            Some(Method::SampleInfohashes)
        } else if self.item.is_some() {
            Some(Method::Get)
        } else if self.token.is_some() || self.peers.as_ref().is_some_and(|peers| !peers.is_empty()) {
            Some(Method::GetPeers)
        } else if self.all_nodes().next().is_some() {
            Some(Method::FindNode)
        } else {
            None
        }
    }

    /// Nodes near the target, IPv4 then IPv6.
    pub fn all_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().chain(&self.nodes6).flatten()
    }
}

/// The bytes of a node: its id, and its address as a peer's (BEP 5, "contact encoding"; BEP 32).
const fn node_stride(ipv6: bool) -> usize {
    20 + compact::stride(ipv6)
}

fn read_node(bytes: &[u8]) -> Option<Node> {
    let (id, address) = bytes.split_first_chunk::<20>()?;
    Some(Node { id: NodeId(*id), address: compact::endpoint(address)? })
}
