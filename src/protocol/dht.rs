//! Messages of the DHT: bencoded dictionaries over UDP, called KRPC (BEP 5), with what BEP 32, 42, 43, 44 and 51
//! add to them.
//!
//! What a message holds beyond its frame is read as far as it goes; what should be there and is not, is a fault of
//! the message and no reason to drop it.

use std::net::SocketAddr;

use crate::bencode::{self, Document, View};
use crate::{DecodeError, Hex, InfoHash, compact};

mod fields;
#[cfg(test)]
mod tests;

pub use fields::fields;

/// A query, its response, or an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What the asking node chose, and the response repeats (BEP 5, "KRPC protocol": `t`).
    pub transaction: Vec<u8>,
    /// The speaker's client: two letters and a version (`v`).
    pub version: Option<Vec<u8>>,
    /// The receiver's address as the speaker sees it (BEP 42: `ip`).
    pub your_address: Option<SocketAddr>,
    /// Whether the speaker answers no queries (BEP 43: `ro`).
    pub read_only: bool,
    /// What it says.
    pub kind: Kind,
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

/// What a node asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What for.
    pub method: Method,
    /// The asking node.
    pub id: NodeId,
    /// The node, torrent or item it asks about, where the method has one.
    pub target: Option<[u8; 20]>,
    /// With announce_peer: the port the peer listens on; `None` when it is the one that the query came from.
    pub port: Option<u16>,
}

/// What a node answers. All but the id depends on what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The answering node.
    pub id: NodeId,
    /// Nodes near the target, IPv4 then IPv6.
    pub nodes: Vec<Node>,
    /// Peers of the torrent.
    pub peers: Vec<SocketAddr>,
    /// Whether it holds a token, with which the asker may announce or put.
    pub has_token: bool,
    /// How many info hashes it names (BEP 51).
    pub samples: Option<u64>,
    /// How many info hashes the node has in all (BEP 51).
    pub stored: Option<u64>,
    /// Whether it holds an item (BEP 44).
    pub has_item: bool,
    /// The item's sequence number (BEP 44).
    pub sequence: Option<i64>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// Whether `bytes` can be a message, told from its ends alone.
#[inline]
pub const fn may_be_message(bytes: &[u8]) -> bool {
    matches!(bytes, [b'd', b'1'..=b'9', .., b'e'])
}

impl Message {
    /// Reads the message that `bytes` are, to the last byte.
    ///
    /// # Errors
    /// Where they are no dictionary with a transaction, a type, and what belongs to that: for a query its method
    /// and arguments with the node's id, for a response values with the node's id, for an error its number.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if !may_be_message(bytes) {
            return Err(DecodeError::new(0, "a bencoded dictionary"));
        }
        let document = bencode::scan(bytes)?;
        let root = document.root();
        let transaction = string(&document, b"t", "a string under t, the transaction")?;
        let mut faults = Vec::new();
        let kind = match string(&document, b"y", "q, r or e under y, the type")? {
            b"q" => {
                let method = string(&document, b"q", "a string under q, the method")?;
                Kind::Query(Query::read(
                    Method::from_name(method),
                    dictionary(&document, b"a")?,
                    &mut faults,
                )?)
            }
            b"r" => Kind::Response(Response::read(dictionary(&document, b"r")?, &mut faults)?),
            b"e" => error(&document)?,
            _ => return Err(DecodeError::new(0, "q, r or e under y, the type")),
        };
        Ok(Self {
            transaction: transaction.to_vec(),
            version: root.get(b"v").and_then(View::bytes).map(<[u8]>::to_vec),
            your_address: root.get(b"ip").and_then(View::bytes).and_then(compact::endpoint),
            read_only: root.get(b"ro").and_then(View::unsigned) == Some(1),
            kind,
            faults,
        })
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
    fn read(method: Method, arguments: View<'_>, faults: &mut Vec<DecodeError>) -> Result<Self, DecodeError> {
        let mut wants = |there: bool, wanted| {
            if !there {
                faults.push(DecodeError::new(arguments.span().start, wanted));
            }
        };
        let hash = |key: &[u8]| twenty(arguments.get(key)?.bytes()?);
        let target = match method {
            Method::FindNode | Method::Get | Method::SampleInfohashes => {
                let target = hash(b"target");
                wants(target.is_some(), "a target of 20 bytes");
                target
            }
            Method::GetPeers | Method::AnnouncePeer => {
                let target = hash(b"info_hash");
                wants(target.is_some(), "an info_hash of 20 bytes");
                target
            }
            Method::Ping | Method::Put | Method::Other(_) => None,
        };
        let has_token = arguments.get(b"token").is_some_and(|token| token.bytes().is_some());
        let mut port = None;
        if method == Method::AnnouncePeer {
            wants(has_token, "a token");
            let implied = arguments.get(b"implied_port").and_then(View::unsigned).is_some_and(|one| one != 0);
            let named = arguments.get(b"port").and_then(View::unsigned);
            port = named.and_then(|port| u16::try_from(port).ok()).filter(|_| !implied);
            wants(implied || port.is_some(), "a port of 16 bits");
        }
        if method == Method::Put {
            wants(has_token, "a token");
            wants(arguments.get(b"v").is_some(), "an item under v");
        }
        Ok(Self { id: node_id(arguments)?, method, target, port })
    }
}

impl Response {
    fn read(values: View<'_>, faults: &mut Vec<DecodeError>) -> Result<Self, DecodeError> {
        let mut whole = |key: &[u8], stride: usize, wanted| {
            let value = values.get(key)?;
            let bytes = value.bytes().filter(|bytes| bytes.len().is_multiple_of(stride));
            if bytes.is_none() {
                faults.push(DecodeError::new(value.span().start, wanted));
            }
            bytes
        };
        let mut nodes = Vec::new();
        for (key, ipv6, wanted) in [
            (b"nodes".as_slice(), false, "a string of 26 bytes a node"),
            (b"nodes6", true, "a string of 38 bytes a node"),
        ] {
            let stride = node_stride(ipv6);
            nodes
                .extend(whole(key, stride, wanted).unwrap_or_default().chunks_exact(stride).filter_map(node));
        }
        let samples = whole(b"samples", 20, "a string of 20 bytes an info hash");
        let samples = samples.map(|samples| samples.len() as u64 / 20);
        let mut peers = Vec::new();
        for peer in values.get(b"values").and_then(View::items).into_iter().flatten() {
            match peer.bytes().and_then(compact::endpoint) {
                Some(peer) => peers.push(peer),
                None if faults.len() < FAULTS => {
                    let wanted = "a string of 6 bytes, or of 18 for IPv6: a peer";
                    faults.push(DecodeError::new(peer.span().start, wanted));
                }
                None => {}
            }
        }
        Ok(Self {
            id: node_id(values)?,
            nodes,
            peers,
            has_token: values.get(b"token").is_some_and(|token| token.bytes().is_some()),
            samples,
            stored: values.get(b"num").and_then(View::unsigned),
            has_item: values.get(b"v").is_some(),
            sequence: values.get(b"seq").and_then(View::integer),
        })
    }

    /// The method that a response answers, as far as what it holds tells. One that holds an id alone answers ping,
    /// announce_peer or put.
    pub const fn answers(&self) -> Option<Method> {
        if self.samples.is_some() {
            Some(Method::SampleInfohashes)
        } else if self.has_item || self.sequence.is_some() {
            Some(Method::Get)
        } else if !self.peers.is_empty() || self.has_token {
            Some(Method::GetPeers)
        } else if !self.nodes.is_empty() {
            Some(Method::FindNode)
        } else {
            None
        }
    }
}

fn error(document: &Document<'_>) -> Result<Kind, DecodeError> {
    const WANTED: &str = "a list with a number under e, the error";
    let error = document.root().get(b"e").ok_or(DecodeError::new(0, WANTED))?;
    let wrong = DecodeError::new(error.span().start, WANTED);
    let mut items = error.items().ok_or(wrong.clone())?;
    let code = items.next().and_then(View::integer).ok_or(wrong)?;
    Ok(Kind::Error(code, items.next().and_then(View::bytes).unwrap_or_default().to_vec()))
}

fn string<'d>(document: &'d Document<'_>, key: &[u8], wanted: &'static str) -> Result<&'d [u8], DecodeError> {
    document.root().get(key).and_then(View::bytes).ok_or(DecodeError::new(0, wanted))
}

fn dictionary<'d>(document: &'d Document<'_>, key: &[u8]) -> Result<View<'d>, DecodeError> {
    let value = document.root().get(key).filter(|value| value.is_dictionary());
    value.ok_or(DecodeError::new(0, "a dictionary under the letter of its type, a or r"))
}

fn node_id(dictionary: View<'_>) -> Result<NodeId, DecodeError> {
    let wrong = DecodeError::new(dictionary.span().start, "an id of 20 bytes");
    let id = dictionary.get(b"id").and_then(View::bytes).and_then(twenty);
    id.map(NodeId).ok_or(wrong)
}

fn twenty(bytes: &[u8]) -> Option<[u8; 20]> {
    bytes.try_into().ok()
}

/// The bytes of a node: its id, and its address as a peer's (BEP 5, "contact encoding"; BEP 32).
const fn node_stride(ipv6: bool) -> usize {
    20 + compact::stride(ipv6)
}

fn node(bytes: &[u8]) -> Option<Node> {
    let (id, address) = bytes.split_first_chunk::<20>()?;
    Some(Node { id: NodeId(*id), address: compact::endpoint(address)? })
}

/// How many faults of one message are listed.
const FAULTS: usize = 8;
