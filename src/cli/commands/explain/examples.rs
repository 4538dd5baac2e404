//! A small example of each message, made by the encoders that a download uses: the bytes are right by construction.

use std::net::{Ipv4Addr, SocketAddr};

use bittrace_protocol::dht::{self, Kind, Method, Node, NodeId, Query, Response, StoredItem};
use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::tracker::http::{
    self, Escaping, RequestStyle, StyledHeader, StyledParameter, encode_response,
};
use bittrace_protocol::tracker::{Event, udp};
use bittrace_protocol::wire::{
    ExtendedHandshake, Extension, Handshake, HashRange, Holepunch, HolepunchKind, Message, Metadata,
    MetadataKind, Pex, PexPeer,
};
use bittrace_protocol::{Block, Field, InfoHash, PeerId, PieceIndex, bencode, lsd, utp};
use bittrace_trace::record::PeerWireBody;
use bytes::Bytes;

/// A message in bytes, and the fields that tile them.
pub(super) struct Example {
    pub(super) fields: Vec<Field>,
    pub(super) bytes: Vec<u8>,
}

/// The content of the torrent that all examples are about: one file of 300,000 bytes in pieces of 32 KiB.
pub(super) const SIZE: u64 = 300_000;
pub(super) const PIECE: u32 = 32_768;

/// Its info dictionary. The hashes of its pieces are left out of the examples, and are zeros here.
pub(super) fn info_dictionary() -> Vec<u8> {
    bencode::dictionary(|info| {
        info.integer("length", SIZE);
        info.bytes("name", "sample.bin");
        info.integer("piece length", PIECE);
        info.bytes("pieces", [0u8; 20 * SIZE.div_ceil(PIECE as u64) as usize]);
    })
}

/// Its info hash.
pub(super) fn info_hash() -> InfoHash {
    // An info dictionary of our own making is one that our decoder reads.
    Metainfo::decode_info(&info_dictionary()).map_or(InfoHash([0; 20]), |torrent| torrent.info_hash)
}

/// The client of the examples.
pub(super) const PEER_ID: PeerId = PeerId(*b"-BT0100-k8hj0wgej6ch");

const PORT: u16 = 6881;
const CONNECTION: u64 = 0x9b95_9090_9629_55cb;
const TRANSACTION: u32 = 0x1234_5678;

fn peer(last: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(192, 0, 2, last), PORT))
}

/// The example of a message; `None` for what has no bytes of its own, or is not encoded by bittrace.
pub(super) fn example(protocol: &str, name: &str, extension: &str) -> Option<Example> {
    match protocol {
        "peer-wire" if !extension.is_empty() => extended(extension),
        "peer-wire" => peer_wire(name),
        "http-tracker" => http_tracker(name),
        "udp-tracker" => udp_tracker(name),
        "dht" => dht_message(name),
        "lsd" => {
            let announce = lsd::Announce {
                host: Some("239.192.152.143:6771".to_owned()),
                port: PORT,
                info_hashes: vec![info_hash()],
                cookie: Some("5487d28f".to_owned()),
                capital_digits: false,
                others: Vec::new(),
            };
            let bytes = announce.encode();
            Some(Example { fields: lsd::fields(&bytes), bytes })
        }
        "utp" => {
            let header = utp::Header {
                kind: utp::Kind::Syn,
                connection: 10_049,
                timestamp: 2_783_964_311,
                delay: 0,
                window: 65_535,
                sequence: 1,
                acknowledged: 0,
                length: 20,
            };
            let bytes = header.encode([]);
            Some(Example { fields: utp::fields(&bytes), bytes })
        }
        _ => None,
    }
}

fn peer_wire(name: &str) -> Option<Example> {
    if name == "handshake" {
        let handshake =
            Handshake { reserved: [0, 0, 0, 0, 0, 0x10, 0, 0x05], info_hash: info_hash(), peer_id: PEER_ID };
        return Some(Example { fields: handshake.fields(), bytes: handshake.encode().to_vec() });
    }
    let index = PieceIndex(7);
    // The second block of piece 7.
    let block = Block { index, begin: 16_384, length: 16_384 };
    let range = HashRange { pieces_root: [0x2a; 32], base_layer: 1, index: 0, length: 4, proof_layers: 0 };
    let message = match name {
        "keep-alive" => Message::KeepAlive,
        "choke" => Message::Choke,
        "unchoke" => Message::Unchoke,
        "interested" => Message::Interested,
        "not-interested" => Message::NotInterested,
        "have" => Message::Have(index),
        // Pieces 0 to 7 and 9 of ten: the last six bits are spare.
        "bitfield" => Message::Bitfield(Bytes::from_static(&[0xff, 0x40])),
        "request" => Message::Request(block),
        "piece" => {
            Message::Piece { index, begin: block.begin, block: Bytes::from_static(b"the bytes of the block") }
        }
        "cancel" => Message::Cancel(block),
        "port" => Message::Port(PORT),
        "suggest-piece" => Message::SuggestPiece(index),
        "have-all" => Message::HaveAll,
        "have-none" => Message::HaveNone,
        "reject-request" => Message::RejectRequest(block),
        "allowed-fast" => Message::AllowedFast(index),
        "hash-request" => Message::HashRequest(range),
        "hashes" => Message::Hashes(range, Bytes::from_static(&[0x5c; 4 * 32])),
        "hash-reject" => Message::HashReject(range),
        _ => return None,
    };
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    Some(Example { fields: message.fields(), bytes })
}

/// The ids under which the receiver of the examples has its extensions.
const EXTENSIONS: [(&str, u8); 5] =
    [("lt_donthave", 4), ("upload_only", 3), ("ut_holepunch", 5), ("ut_metadata", 2), ("ut_pex", 1)];

fn extended(name: &str) -> Option<Example> {
    let (extension, payload) = match name {
        "handshake" => {
            let handshake = ExtendedHandshake {
                extensions: EXTENSIONS.map(|(name, id)| (name.to_owned(), id)).to_vec(),
                client: Some("bittrace 0.1.0".to_owned()),
                port: Some(PORT),
                reqq: Some(512),
                metadata_size: Some(info_dictionary().len() as u64),
                ..ExtendedHandshake::default()
            };
            (Extension::Handshake, handshake.encode())
        }
        "ut_metadata" => {
            let request = Metadata {
                kind: MetadataKind::Request,
                piece: 0,
                total_size: None,
                others: bencode::OtherEntries::default(),
                data: Vec::new(),
            };
            (Extension::Metadata, request.encode())
        }
        "ut_pex" => {
            let pex = Pex {
                added: vec![PexPeer { address: peer(7), flags: 0x10 }],
                dropped: vec![peer(8)],
                ..Pex::default()
            };
            (Extension::Pex, pex.encode())
        }
        "ut_holepunch" => {
            let rendezvous = Holepunch { kind: HolepunchKind::Rendezvous, endpoint: peer(7), error: Some(0) };
            (Extension::Holepunch, rendezvous.encode())
        }
        "lt_donthave" => (Extension::DontHave, 7u32.to_be_bytes().to_vec()),
        "upload_only" => (Extension::UploadOnly, vec![1]),
        _ => return None,
    };
    let id = EXTENSIONS.iter().find(|(known, _)| *known == name).map_or(0, |(_, id)| *id);
    let message = Message::Extended { id, payload: payload.into() };
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    let body = bittrace_trace::record::Body::PeerWire(PeerWireBody::Extended(message, extension));
    let bytes = Bytes::from(bytes);
    Some(Example { fields: body.fields(&bytes), bytes: bytes.to_vec() })
}

/// The announce of the examples: the first of a download.
fn announce() -> http::Announce {
    let mut announce = http::Announce::new(info_hash(), PEER_ID);
    announce.port = Some(PORT);
    announce.uploaded = Some(0);
    announce.downloaded = Some(0);
    announce.left = Some(SIZE);
    announce.event = Some(Event::Started);
    announce.numwant = Some(50);
    announce.compact = Some(true);
    announce
}

/// The same with every parameter that is known.
fn full_announce() -> http::Announce {
    let mut announce = announce();
    announce.no_peer_id = Some(true);
    announce.key = Some(b"1f2e3d4c".to_vec());
    announce.ip = Some(b"192.0.2.1".to_vec());
    announce.ipv4 = Some(b"192.0.2.1:6881".to_vec());
    announce.ipv6 = Some(b"2001:db8::1".to_vec());
    announce.trackerid = Some(b"tracker-7".to_vec());
    announce.supportcrypto = Some(true);
    announce.requirecrypto = Some(false);
    announce.corrupt = Some(0);
    announce.redundant = Some(0);
    announce
}

/// The parameters of an ordinary announce, in order.
const ORDINARY: [&str; 9] =
    ["info_hash", "peer_id", "port", "uploaded", "downloaded", "left", "compact", "numwant", "event"];

/// An announce in bytes, with these parameters first.
fn encoded(announce: &http::Announce, parameters: &[&str]) -> Vec<u8> {
    let style = RequestStyle {
        method: b"GET".to_vec(),
        path: b"/announce".to_vec(),
        has_query: true,
        parameters: parameters
            .iter()
            .map(|name| StyledParameter {
                spelled: name.as_bytes().to_vec(),
                name: name.as_bytes().to_vec(),
                has_equals: true,
                escaping: Escaping::standard(),
            })
            .collect(),
        escaping: Escaping::standard(),
        version: b"HTTP/1.1".to_vec(),
        headers: vec![StyledHeader { name: b"Host".to_vec(), separator: b": ".to_vec(), value: None }],
        line_end: b"\r\n".to_vec(),
    };
    style.encode_announce(announce, "tracker.example:6969")
}

/// A parameter of an announce as it stands in the request, such as `left=300000`.
pub(super) fn parameter(name: &str) -> Option<String> {
    let line = String::from_utf8(encoded(&full_announce(), &[name])).ok()?;
    let query = line.split_once('?')?.1.split(' ').next()?;
    query.split('&').find(|part| part.split('=').next() == Some(name)).map(str::to_owned)
}

/// The bytes of an info hash percent-encoded, as it stands in an announce.
pub(super) fn percent_encoded(hash: &InfoHash) -> String {
    let mut text = Vec::new();
    Escaping::standard().encode(&hash.0, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// A byte as it stands in the URL of an announce.
pub(super) fn escaped_byte(byte: u8) -> String {
    let mut text = Vec::new();
    Escaping::standard().encode(&[byte], &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// A response of the tracker, or a part of one, bencoded.
fn tracker_dictionary(keys: &[&str]) -> Vec<u8> {
    bencode::dictionary(|out| {
        for key in keys {
            match *key {
                "complete" | "downloaded" | "downloaders" => out.integer(key, 1),
                "incomplete" => out.integer(key, 2),
                "interval" => out.integer(key, 1_800),
                "min interval" => out.integer(key, 900),
                "external ip" => out.bytes(key, [192, 0, 2, 1]),
                "failure reason" => out.bytes(key, "unregistered torrent"),
                "retry in" => out.integer(key, 5),
                "tracker id" => out.bytes(key, "tracker-7"),
                "warning message" => out.bytes(key, "announce less often"),
                "peers" => out.bytes(key, compact(&[peer(7), peer(8)])),
                "peers6" => {
                    out.bytes(key, [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[7], &PORT.to_be_bytes()].concat())
                }
                _ => out.dictionary(key, |files| {
                    files.dictionary(info_hash().0, |torrent| {
                        torrent.integer("complete", 1);
                        torrent.integer("downloaded", 4);
                        torrent.integer("incomplete", 2);
                    });
                }),
            }
        }
    })
}

fn compact(peers: &[SocketAddr]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for peer in peers {
        if let SocketAddr::V4(peer) = peer {
            bytes.extend(peer.ip().octets());
            bytes.extend(peer.port().to_be_bytes());
        }
    }
    bytes
}

/// A key of a tracker's response with its value, bencoded; bytes that are not text are escaped.
pub(super) fn response_key(name: &str) -> String {
    let dictionary = tracker_dictionary(&[name]);
    dictionary[1..dictionary.len() - 1].escape_ascii().to_string()
}

fn http_tracker(name: &str) -> Option<Example> {
    let body = match name {
        "announce-request" => return request(encoded(&announce(), &ORDINARY)),
        "scrape-request" => {
            let hash = percent_encoded(&info_hash());
            let line = format!("GET /scrape?info_hash={hash} HTTP/1.1\r\nHost: tracker.example:6969\r\n\r\n");
            return request(line.into_bytes());
        }
        "announce-response" => tracker_dictionary(&["complete", "incomplete", "interval", "peers"]),
        "scrape-response" => tracker_dictionary(&["files"]),
        "error" => tracker_dictionary(&["failure reason"]),
        _ => return None,
    };
    let bytes = encode_response(200, "OK", &[("Content-Type", "text/plain")], &body);
    let fields = http::Response::decode(&bytes).ok()?.fields();
    Some(Example { fields, bytes })
}

fn request(bytes: Vec<u8>) -> Option<Example> {
    let fields = http::Request::decode(&bytes).ok()?.fields();
    Some(Example { fields, bytes })
}

fn udp_tracker(name: &str) -> Option<Example> {
    let (connection_id, transaction_id) = (CONNECTION, TRANSACTION);
    let packet = match name {
        "connect-request" => udp::Packet::ConnectRequest { transaction_id, extra: Vec::new() },
        "connect-response" => {
            udp::Packet::ConnectResponse { transaction_id, connection_id, extra: Vec::new() }
        }
        "announce-request" => udp::Packet::AnnounceRequest(Box::new(udp::AnnounceRequest {
            connection_id,
            transaction_id,
            info_hash: info_hash(),
            peer_id: PEER_ID,
            downloaded: 0,
            left: SIZE,
            uploaded: 0,
            // started
            event: 2,
            ip: Ipv4Addr::UNSPECIFIED,
            key: 0x1f2e_3d4c,
            num_want: -1,
            port: PORT,
            options: Vec::new(),
            extra: Vec::new(),
        })),
        "announce-response" => udp::Packet::AnnounceResponse(udp::AnnounceResponse {
            transaction_id,
            interval: 1_800,
            leechers: 2,
            seeders: 1,
            peers: vec![peer(7), peer(8)],
            extra: Vec::new(),
        }),
        "scrape-request" => udp::Packet::ScrapeRequest {
            connection_id,
            transaction_id,
            info_hashes: vec![info_hash()],
            extra: Vec::new(),
        },
        "scrape-response" => udp::Packet::ScrapeResponse {
            transaction_id,
            torrents: vec![udp::Scraped { seeders: 1, completed: 4, leechers: 2 }],
            extra: Vec::new(),
        },
        "error" => udp::Packet::Error { transaction_id, message: b"unregistered torrent".to_vec() },
        _ => return None,
    };
    Some(Example { fields: packet.fields(), bytes: packet.encode() })
}

fn dht_message(name: &str) -> Option<Example> {
    let own = NodeId(*b"abcdefghij0123456789");
    let other = NodeId(*b"mnopqrstuvwxyz123456");
    let nodes = Some(vec![Node { id: own, address: peer(7) }]);
    let query = |method, target: Option<[u8; 20]>| Query { target, ..Query::new(method, own) };
    let hash = Some(info_hash().0);
    let item =
        |value: &[u8]| Some(Box::new(StoredItem { value: Some(value.to_vec()), ..StoredItem::default() }));
    let token = Some(b"aoeusnth".to_vec());
    let answer = Response::new(other);
    let kind = match name {
        "ping-query" => Kind::Query(query(Method::Ping, None)),
        "ping-response" | "announce_peer-response" | "put-response" | "response" => Kind::Response(answer),
        "find_node-query" => Kind::Query(query(Method::FindNode, Some(other.0))),
        "find_node-response" => Kind::Response(Response { nodes, ..answer }),
        "get_peers-query" => Kind::Query(query(Method::GetPeers, hash)),
        "get_peers-response" => {
            Kind::Response(Response { peers: Some(vec![peer(7), peer(8)]), token, ..answer })
        }
        "announce_peer-query" => Kind::Query(Query {
            port: Some(PORT),
            implied_port: Some(true),
            token,
            ..query(Method::AnnouncePeer, hash)
        }),
        "get-query" => Kind::Query(query(Method::Get, hash)),
        "get-response" => Kind::Response(Response { item: item(b"12:Hello World!"), token, nodes, ..answer }),
        "put-query" => {
            Kind::Query(Query { item: item(b"12:Hello World!"), token, ..query(Method::Put, None) })
        }
        "sample_infohashes-query" => Kind::Query(query(Method::SampleInfohashes, Some(other.0))),
        "sample_infohashes-response" => Kind::Response(Response {
            interval: Some(3_600),
            stored: Some(1),
            samples: Some(vec![info_hash()]),
            nodes,
            ..answer
        }),
        "query" => Kind::Query(query(Method::from_name(b"vote"), None)),
        "error" => Kind::Error(203, b"bad token".to_vec()),
        _ => return None,
    };
    let bytes = dht::Message::new(*b"aa", kind).encode();
    Some(Example { fields: dht::fields(&bytes), bytes })
}

#[cfg(test)]
mod tests {
    use bittrace_protocol::field::untiled;

    use super::*;
    use crate::query::catalog::MESSAGE_CATALOG;

    #[test]
    fn the_fields_of_every_example_tile_its_bytes() {
        let mut examples = 0;
        for entry in MESSAGE_CATALOG {
            let Some(example) = example(entry.protocol, entry.name, entry.extension) else { continue };
            assert_eq!(untiled(&example.fields, 0..example.bytes.len()), None, "{}", entry.name);
            examples += 1;
        }
        assert!(examples >= 55, "{examples}");
    }

    #[test]
    fn the_example_of_an_announce_reads_as_one() {
        let announced = http::Request::decode(&encoded(&announce(), &ORDINARY)).unwrap();
        let http::RequestKind::Announce(announced) = announced.kind() else { panic!("an announce") };
        assert_eq!((announced.info_hash, announced.left), (info_hash(), Some(SIZE)));
        assert!(announced.faults.is_empty());
    }
}
