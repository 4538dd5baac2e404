//! Wireshark's names for what a message has, where they mean the same: a display filter that uses them can be pasted.

use bittrace_trace::record::{Protocol, Record, Transport};

use super::{FieldName, RowKey};

/// The messages that a name of Wireshark's is about. A message outside the scope has nothing under the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Messages over TCP.
    Tcp,
    /// Messages over UDP, those of uTP among them.
    Udp,
    /// Messages over uTP.
    Utp,
    /// Messages over IPv4.
    V4,
    /// Messages over IPv6.
    V6,
    /// Messages of peers.
    PeerWire,
    /// Messages of the DHT.
    Dht,
    /// HTTP requests and responses of trackers and web seeds.
    Http,
}

impl Scope {
    /// Whether a message is within the scope.
    pub(crate) fn contains(self, record: &Record) -> bool {
        match self {
            Self::Tcp => record.transport == Transport::Tcp,
            Self::Udp => record.transport != Transport::Tcp,
            Self::Utp => record.transport == Transport::Utp,
            Self::V4 => record.source.ip().to_canonical().is_ipv4(),
            Self::V6 => record.source.ip().to_canonical().is_ipv6(),
            Self::PeerWire => record.body.protocol() == Protocol::PeerWire,
            Self::Dht => record.body.protocol() == Protocol::Dht,
            Self::Http => matches!(record.body.protocol(), Protocol::HttpTracker | Protocol::WebSeed),
        }
    }
}

/// What a name of Wireshark's stands for.
enum Meaning {
    Key(RowKey),
    Field(&'static str),
}

use Meaning::{Field, Key};

const NAMES: &[(&str, Option<Scope>, Meaning)] = &[
    ("wireshark.stream", None, Key(RowKey::WiresharkStream)),
    ("wireshark.frame", None, Key(RowKey::Frame)),
    ("frame.number", None, Key(RowKey::Frame)),
    ("frame.time", None, Key(RowKey::Time)),
    ("frame.time_relative", None, Key(RowKey::Elapsed)),
    ("ip.addr", Some(Scope::V4), Key(RowKey::Addr)),
    ("ip.src", Some(Scope::V4), Key(RowKey::SrcAddr)),
    ("ip.dst", Some(Scope::V4), Key(RowKey::DstAddr)),
    ("ipv6.addr", Some(Scope::V6), Key(RowKey::Addr)),
    ("ipv6.src", Some(Scope::V6), Key(RowKey::SrcAddr)),
    ("ipv6.dst", Some(Scope::V6), Key(RowKey::DstAddr)),
    ("communityid", None, Key(RowKey::CommunityId)),
    ("tcp.stream", Some(Scope::Tcp), Key(RowKey::WiresharkStream)),
    ("tcp.port", Some(Scope::Tcp), Key(RowKey::Port)),
    ("tcp.srcport", Some(Scope::Tcp), Key(RowKey::SrcPort)),
    ("tcp.dstport", Some(Scope::Tcp), Key(RowKey::DstPort)),
    ("udp.stream", Some(Scope::Udp), Key(RowKey::WiresharkStream)),
    ("udp.port", Some(Scope::Udp), Key(RowKey::Port)),
    ("udp.srcport", Some(Scope::Udp), Key(RowKey::SrcPort)),
    ("udp.dstport", Some(Scope::Udp), Key(RowKey::DstPort)),
    ("bittorrent.msg.type", Some(Scope::PeerWire), Key(RowKey::MessageId)),
    ("bittorrent.msg.bitfield", Some(Scope::PeerWire), Field("bitfield")),
    ("bittorrent.piece.index", Some(Scope::PeerWire), Field("index")),
    ("bittorrent.piece.begin", Some(Scope::PeerWire), Field("begin")),
    ("bittorrent.info_hash", Some(Scope::PeerWire), Field("info_hash")),
    ("bittorrent.peer_id", Some(Scope::PeerWire), Field("peer_id")),
    ("bittorrent.reserved", Some(Scope::PeerWire), Field("reserved_hex")),
    ("bittorrent.port", Some(Scope::PeerWire), Field("port")),
    ("bittorrent.extended.id", Some(Scope::PeerWire), Field("extended_id")),
    ("bt-dht.id", Some(Scope::Dht), Field("id")),
    ("http.request.method", Some(Scope::Http), Field("method")),
    ("http.response.code", Some(Scope::Http), Field("status")),
    ("http.user_agent", Some(Scope::Http), Field("headers.User-Agent")),
    ("http.host", Some(Scope::Http), Field("headers.Host")),
];

/// What a name of Wireshark's means here.
pub(super) fn name(text: &str) -> Option<FieldName> {
    let (_, scope, meaning) = NAMES.iter().find(|(name, ..)| *name == text)?;
    let name = match meaning {
        Key(key) => FieldName::Key(*key),
        Field(path) => FieldName::Field((*path).to_owned()),
    };
    Some(match scope {
        Some(scope) => FieldName::Scoped(*scope, Box::new(name)),
        None => name,
    })
}

/// All of Wireshark's names that are known.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, ..)| *name)
}

/// The messages that the name of a protocol, alone in a display filter, stands for.
pub(crate) fn scope_of_word(word: &str) -> Option<Scope> {
    Some(match word {
        "tcp" => Scope::Tcp,
        "udp" => Scope::Udp,
        "bt-utp" => Scope::Utp,
        "ip" => Scope::V4,
        "ipv6" => Scope::V6,
        "bittorrent" => Scope::PeerWire,
        "bt-dht" => Scope::Dht,
        "http" => Scope::Http,
        _ => return None,
    })
}
