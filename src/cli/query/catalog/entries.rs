//! The table of messages and their fields, by protocol. A message stands under the name that JSON and tables have.

use super::{FieldEntry, FieldKind, MessageEntry};

macro_rules! catalog {
    ($($protocol:literal $name:literal $extension:literal $document:literal $section:literal $text:literal
        [$($field:literal $kind:ident $meaning:literal,)*])*) => {
        /// All messages, by protocol; within a protocol in the order of its documents.
        pub(crate) const MESSAGE_CATALOG: &[MessageEntry] = &[$(MessageEntry {
            protocol: $protocol,
            name: $name,
            extension: $extension,
            document: $document,
            section: $section,
            text: $text,
            fields: &[$(FieldEntry { name: $field, kind: FieldKind::$kind, text: $meaning },)*],
        },)*];
    };
}

catalog! {
    "http-tracker" "announce-request" "" "BEP 3" "trackers" "a client reports its progress to a tracker, and asks for peers" [
        "method" Text "the HTTP method: GET",
        "path" Text "the path of the URL, without parameters",
        "info_hash" Hash "the torrent: SHA-1 of its bencoded info dictionary",
        "peer_id" Hash "the id that the client chose for itself",
        "peer_id_text" Text "the same id as text, with unprintable bytes as %XX",
        "port" Number "the port on which the client accepts connections",
        "uploaded" Bytes "sent to peers so far",
        "downloaded" Bytes "received from peers so far",
        "left" Bytes "missing until the download is complete",
        "event" Text "started, completed or stopped; absent in regular announces",
        "numwant" Number "the number of peers requested",
        "key" Text "a number that identifies the client if its address changes",
        "compact" Number "1: peers as 6 bytes each (BEP 23)",
        "no_peer_id" Number "1: peers without their ids",
        "corrupt" Bytes "received with a wrong hash",
        "redundant" Bytes "received more than once",
        "supportcrypto" Number "1: the client can encrypt connections",
        "requirecrypto" Number "1: the client accepts only encrypted connections",
        "ip" Text "the client's address, if the tracker cannot see it",
        "ipv4" Text "the client's IPv4 address, with or without a port (BEP 7)",
        "ipv6" Text "the client's IPv6 address, with or without a port (BEP 7)",
        "trackerid" Text "the tracker id of an earlier response",
        "version" Text "the version of HTTP",
        "headers" Object "the HTTP headers by name",
    ]
    "http-tracker" "announce-response" "" "BEP 3" "trackers" "a tracker returns peers, and when to announce again" [
        "version" Text "the version of HTTP",
        "status" Number "the HTTP status: 200",
        "reason" Text "the HTTP reason",
        "headers" Object "the HTTP headers by name",
        "interval" Seconds "until the next regular announce",
        "min interval" Seconds "the shortest time between two announces",
        "complete" Number "peers that have everything (seeders)",
        "incomplete" Number "peers that do not (leechers)",
        "downloaded" Number "how often the torrent was downloaded completely",
        "downloaders" Number "peers that are downloading",
        "peers" Endpoints "peers",
        "peers6" Endpoints "peers with IPv6 addresses (BEP 7)",
        "peer_ids" List "the ids of the peers, in the same order",
        "tracker id" Text "to be sent back as trackerid",
        "external ip" Address "the client's address as the tracker sees it (BEP 24)",
        "warning message" Text "a warning for the user",
        "before" Hex "bytes before the dictionary that are not part of it",
        "after" Hex "bytes after the dictionary that are not part of it",
    ]
    "http-tracker" "scrape-request" "" "BEP 48" "Implementation" "a client asks how many peers torrents have" [
        "method" Text "the HTTP method: GET",
        "path" Text "the path of the URL, without parameters",
        "info_hash" Hash "each torrent in question; without one, all",
        "version" Text "the version of HTTP",
        "headers" Object "the HTTP headers by name",
    ]
    "http-tracker" "scrape-response" "" "BEP 48" "Implementation" "a tracker returns how many peers torrents have" [
        "version" Text "the version of HTTP",
        "status" Number "the HTTP status: 200",
        "reason" Text "the HTTP reason",
        "headers" Object "the HTTP headers by name",
        "files" Object "complete, downloaded and incomplete by info hash",
    ]
    "http-tracker" "error" "" "BEP 3" "trackers" "a tracker returns an error, or its response is not bencoded" [
        "version" Text "the version of HTTP",
        "status" Number "the HTTP status",
        "reason" Text "the HTTP reason",
        "headers" Object "the HTTP headers by name",
        "failure reason" Text "why the tracker returned an error",
        "retry in" Text "minutes until the next try, or never (BEP 31)",
    ]
    "udp-tracker" "connect-request" "" "BEP 15" "Connect" "a client asks a UDP tracker for a connection id" [
        "transaction_id" Number "drawn at random; the response has the same",
    ]
    "udp-tracker" "connect-response" "" "BEP 15" "Connect" "a UDP tracker gives a connection id, which shows that the client's address is real" [
        "transaction_id" Number "that of the request",
        "connection_id" Hex "to be sent in requests of the next two minutes",
    ]
    "udp-tracker" "announce-request" "" "BEP 15" "Announce" "a client reports its progress to a UDP tracker, and asks for peers" [
        "connection_id" Hex "from the connect response",
        "transaction_id" Number "drawn at random; the response has the same",
        "info_hash" Hash "the torrent",
        "peer_id" Hash "the id that the client chose for itself",
        "peer_id_text" Text "the same id as text, with unprintable bytes as %XX",
        "downloaded" Bytes "received from peers so far",
        "left" Bytes "missing until the download is complete",
        "uploaded" Bytes "sent to peers so far",
        "event" Text "none, completed, started or stopped",
        "ip" Address "the client's address; 0.0.0.0 is the sender's",
        "key" Number "a number that identifies the client if its address changes",
        "num_want" Number "the number of peers requested; -1 leaves it to the tracker",
        "port" Number "the port on which the client accepts connections",
        "url_data" Text "path and parameters of the tracker's URL (BEP 41)",
    ]
    "udp-tracker" "announce-response" "" "BEP 15" "Announce" "a UDP tracker returns peers, and when to announce again" [
        "transaction_id" Number "that of the request",
        "interval" Seconds "until the next regular announce",
        "leechers" Number "peers that do not have everything",
        "seeders" Number "peers that have everything",
        "peers" Endpoints "peers",
        "extra" Hex "bytes left at the end that are not a peer",
    ]
    "udp-tracker" "scrape-request" "" "BEP 15" "Scrape" "a client asks a UDP tracker how many peers torrents have" [
        "connection_id" Hex "from the connect response",
        "transaction_id" Number "drawn at random; the response has the same",
        "info_hash" Hash "each torrent in question",
    ]
    "udp-tracker" "scrape-response" "" "BEP 15" "Scrape" "a UDP tracker returns how many peers torrents have, in the order of the request" [
        "transaction_id" Number "that of the request",
        "seeders" Number "peers that have everything",
        "completed" Number "how often the torrent was downloaded completely",
        "leechers" Number "peers that do not have everything",
    ]
    "udp-tracker" "error" "" "BEP 15" "Errors" "a UDP tracker returns an error" [
        "transaction_id" Number "that of the request",
        "message" Text "why the tracker returned an error",
    ]
    "peer-wire" "handshake" "" "BEP 3" "peer protocol" "the first message of each end: which torrent, which peer, which extensions" [
        "reserved" Flags "the extensions that the peer offers, one bit each (BEP 4)",
        "reserved_hex" Hex "the 8 reserved bytes",
        "info_hash" Hash "the torrent: SHA-1 of its bencoded info dictionary",
        "peer_id" Hash "the id that the peer chose for itself",
        "peer_id_text" Text "the same id as text, with unprintable bytes as %XX",
    ]
    "peer-wire" "keep-alive" "" "BEP 3" "peer protocol" "keeps the connection open; nothing else" []
    "peer-wire" "choke" "" "BEP 3" "peer messages" "the sender will not answer requests until it unchokes" []
    "peer-wire" "unchoke" "" "BEP 3" "peer messages" "the sender answers requests from now on" []
    "peer-wire" "interested" "" "BEP 3" "peer messages" "the sender wants pieces that the receiver has" []
    "peer-wire" "not-interested" "" "BEP 3" "peer messages" "the sender wants no piece that the receiver has" []
    "peer-wire" "have" "" "BEP 3" "peer messages" "the sender has completed a piece and checked its hash" [
        "index" Number "the piece, from 0",
    ]
    "peer-wire" "bitfield" "" "BEP 3" "peer messages" "the pieces that the sender has, one bit each; only as the first message after the handshake" [
        "bitfield" Hex "the bits: piece 0 is the highest bit of the first byte",
    ]
    "peer-wire" "request" "" "BEP 3" "peer messages" "asks for a block" [
        "index" Number "the piece, from 0",
        "begin" Bytes "where the block begins in the piece",
        "length" Bytes "the length of the block, at most 16 KiB by convention",
    ]
    "peer-wire" "piece" "" "BEP 3" "peer messages" "carries a block" [
        "index" Number "the piece, from 0",
        "begin" Bytes "where the block begins in the piece",
        "length" Bytes "the length of the block",
    ]
    "peer-wire" "cancel" "" "BEP 3" "peer messages" "cancels a request" [
        "index" Number "the piece, from 0",
        "begin" Bytes "where the block begins in the piece",
        "length" Bytes "the length of the block",
    ]
    "peer-wire" "port" "" "BEP 5" "BitTorrent Protocol Extension" "the UDP port of the sender's DHT node" [
        "port" Number "the UDP port",
    ]
    "peer-wire" "suggest-piece" "" "BEP 6" "Suggest Piece" "proposes a piece to request" [
        "index" Number "the piece, from 0",
    ]
    "peer-wire" "have-all" "" "BEP 6" "Have All/Have None" "the sender has every piece; instead of a bitfield" []
    "peer-wire" "have-none" "" "BEP 6" "Have All/Have None" "the sender has no piece; instead of a bitfield" []
    "peer-wire" "reject-request" "" "BEP 6" "Reject Request" "the sender will not answer a request" [
        "index" Number "the piece, from 0",
        "begin" Bytes "where the block begins in the piece",
        "length" Bytes "the length of the block",
    ]
    "peer-wire" "allowed-fast" "" "BEP 6" "Allowed Fast" "a piece that the receiver may request even while choked" [
        "index" Number "the piece, from 0",
    ]
    "peer-wire" "extended" "handshake" "BEP 10" "handshake message" "the extensions that the sender supports, and under which ids" [
        "extension" Text "handshake",
        "extended_id" Number "0",
        "m" Object "for each extension its name and the id under which the sender receives it",
        "v" Text "name and version of the client",
        "p" Number "the port on which the sender accepts connections",
        "reqq" Number "how many outstanding requests the sender queues",
        "metadata_size" Bytes "the size of the info dictionary (BEP 9)",
        "yourip" Address "the receiver's address as the sender sees it",
        "ipv4" Address "the sender's IPv4 address",
        "ipv6" Address "the sender's IPv6 address",
        "e" Number "1: the sender prefers encrypted connections",
        "upload_only" Number "1: the sender downloads nothing (BEP 21)",
        "complete_ago" Seconds "since the sender completed the torrent; -1 before",
    ]
    "peer-wire" "extended" "ut_metadata" "BEP 9" "extension message" "requests a part of the info dictionary, sends the part, or rejects the request" [
        "extension" Text "ut_metadata",
        "extended_id" Number "the id that the receiver chose",
        "msg_type" Number "0 request, 1 data, 2 reject",
        "piece" Number "the part, from 0; parts have 16 KiB",
        "total_size" Bytes "the size of the whole info dictionary, in data",
        "length" Bytes "the length of the part, in data",
    ]
    "peer-wire" "extended" "ut_pex" "BEP 11" "Protocol Extension" "peers that the sender has connected to, or lost, since its last such message" [
        "extension" Text "ut_pex",
        "extended_id" Number "the id that the receiver chose",
        "added" Endpoints "new peers",
        "added.f" Hex "a byte of flags for each new peer",
        "added6" Endpoints "new peers with IPv6 addresses",
        "added6.f" Hex "a byte of flags for each of those",
        "dropped" Endpoints "peers that are gone",
        "dropped6" Endpoints "peers with IPv6 addresses that are gone",
    ]
    "peer-wire" "extended" "lt_donthave" "BEP 54" "Protocol operation" "the sender no longer has a piece" [
        "extension" Text "lt_donthave",
        "extended_id" Number "the id that the receiver chose",
        "index" Number "the piece, from 0",
    ]
    "peer-wire" "extended" "ut_holepunch" "BEP 55" "Protocol Extension" "a relay helps two peers behind NAT to connect" [
        "extension" Text "ut_holepunch",
        "extended_id" Number "the id that the receiver chose",
        "msg_type" Text "rendezvous, connect or error",
        "addr" Address "the address of the other peer",
        "port" Number "the port of the other peer",
        "err_code" Number "why the relay refuses",
    ]
    "peer-wire" "extended" "upload_only" "BEP 21" "Extension Header" "whether the sender downloads nothing from now on" [
        "extension" Text "upload_only",
        "extended_id" Number "the id that the receiver chose",
        "upload_only" Number "1: the sender downloads nothing",
    ]
    "peer-wire" "hash-request" "" "BEP 52" "peer messages" "asks for hashes of a file's hash tree" [
        "pieces_root" Hash "the root of the tree",
        "base_layer" Number "the layer of the hashes; 0 is that of the blocks",
        "index" Number "the first hash in that layer, from 0",
        "length" Number "how many hashes",
        "proof_layers" Number "how many layers of proof",
    ]
    "peer-wire" "hashes" "" "BEP 52" "peer messages" "carries hashes of a file's hash tree" [
        "pieces_root" Hash "the root of the tree",
        "base_layer" Number "the layer of the hashes; 0 is that of the blocks",
        "index" Number "the first hash in that layer, from 0",
        "length" Number "how many hashes",
        "proof_layers" Number "how many layers of proof",
        "hashes_length" Bytes "the length of the hashes and of the proof",
    ]
    "peer-wire" "hash-reject" "" "BEP 52" "peer messages" "the sender will not answer a hash request" [
        "pieces_root" Hash "the root of the tree",
        "base_layer" Number "the layer of the hashes; 0 is that of the blocks",
        "index" Number "the first hash in that layer, from 0",
        "length" Number "how many hashes",
        "proof_layers" Number "how many layers of proof",
    ]
    "peer-wire" "unknown" "" "BEP 4" "Reserved Message IDs" "a message with an id that no document assigns" [
        "id" Number "the id",
        "length" Bytes "the length of what follows the id",
    ]
    "peer-wire" "azureus" "" "bittrace" "" "a message of Azureus messaging (Vuze, BiglyBT) with an unknown id" [
        "id" Text "the id of the message",
        "version" Number "the version of the message",
    ]
    "peer-wire" "az-handshake" "" "bittrace" "" "the first message of Azureus messaging: the client, and the messages that it knows" [
        "id" Text "the id of the message",
        "version" Number "the version of the message",
    ]
    "peer-wire" "az-peer-exchange" "" "bittrace" "" "peers that the sender has connected to, or lost (Azureus messaging)" [
        "id" Text "the id of the message",
        "version" Number "the version of the message",
    ]
    "peer-wire" "az-have" "" "bittrace" "" "pieces that the sender has completed (Azureus messaging)" [
        "id" Text "the id of the message",
        "version" Number "the version of the message",
    ]
    "peer-wire" "az-bad-piece" "" "bittrace" "" "a piece from the receiver had a wrong hash (Azureus messaging)" [
        "id" Text "the id of the message",
        "version" Number "the version of the message",
    ]
    "peer-wire" "az-request-hint" "" "bittrace" "" "a block that the sender would like to be asked for (Azureus messaging)" [
        "id" Text "the id of the message",
        "version" Number "the version of the message",
    ]
    "peer-wire" "az-metadata" "" "bittrace" "" "a part of the info dictionary (Azureus messaging)" [
        "id" Text "the id of the message",
        "version" Number "the version of the message",
    ]
    "peer-wire" "az-stat-request" "" "bittrace" "" "asks for statistics (Azureus messaging)" [
        "id" Text "the id of the message",
        "version" Number "the version of the message",
    ]
    "peer-wire" "az-stat-reply" "" "bittrace" "" "statistics of the sender (Azureus messaging)" [
        "id" Text "the id of the message",
        "version" Number "the version of the message",
    ]
    "peer-wire" "opaque" "" "bittrace" "" "bytes that cannot be read as a message; they are kept and counted" [
        "length" Bytes "how many",
        "reason" Text "why: fragment, before-boundary, damaged, malformed, cut, ordinary-http, unfinished, near-miss, after-near-miss",
        "of" Text "the message that a fragment belongs to",
        "index" Number "the piece that a fragment belongs to",
        "begin" Bytes "where the block of a fragment begins in the piece",
        "from" Bytes "where the fragment begins in its message",
        "total" Bytes "the length of the whole message",
        "fault_at" Bytes "where the first wrong byte is",
        "expected" Text "what the document requires there",
    ]
    "peer-wire" "gap" "" "bittrace" "" "the capture lost bytes of the stream here" []
    "dht" "ping-query" "" "BEP 5" "ping" "asks whether a node is alive" [
        "id" Hash "the sender's node id",
        "transaction_id" Hex "the response has the same",
        "version" Hex "the sender's client",
        "read_only" Number "1: the sender answers no queries (BEP 43)",
    ]
    "dht" "ping-response" "" "BEP 5" "ping" "a node is alive" [
        "id" Hash "the sender's node id",
        "ip" Endpoint "the receiver's address as the sender sees it (BEP 42)",
        "p" Number "the receiver's port as the sender sees it",
        "transaction_id" Hex "that of the query",
        "version" Hex "the sender's client",
    ]
    "dht" "find_node-query" "" "BEP 5" "find_node" "asks for the nodes that are nearest to an id" [
        "id" Hash "the sender's node id",
        "target" Hash "the id to find",
        "want" List "n4 or n6: which addresses to return (BEP 32)",
        "transaction_id" Hex "the response has the same",
        "version" Hex "the sender's client",
    ]
    "dht" "find_node-response" "" "BEP 5" "find_node" "returns the nodes that are nearest to an id" [
        "id" Hash "the sender's node id",
        "nodes" List "nodes: id and address",
        "nodes6" List "nodes with IPv6 addresses (BEP 32)",
        "ip" Endpoint "the receiver's address as the sender sees it (BEP 42)",
        "p" Number "the receiver's port as the sender sees it",
        "transaction_id" Hex "that of the query",
        "version" Hex "the sender's client",
    ]
    "dht" "get_peers-query" "" "BEP 5" "get_peers" "asks for the peers of a torrent" [
        "id" Hash "the sender's node id",
        "info_hash" Hash "the torrent",
        "noseed" Number "1: leave out seeds (BEP 33)",
        "scrape" Number "1: return filters that count peers (BEP 33)",
        "want" List "n4 or n6: which addresses to return (BEP 32)",
        "transaction_id" Hex "the response has the same",
        "version" Hex "the sender's client",
    ]
    "dht" "get_peers-response" "" "BEP 5" "get_peers" "returns peers of a torrent, or nodes nearer to the info hash" [
        "id" Hash "the sender's node id",
        "token" Hex "to be sent with announce_peer",
        "values" Endpoints "peers",
        "nodes" List "nodes: id and address",
        "nodes6" List "nodes with IPv6 addresses (BEP 32)",
        "ip" Endpoint "the receiver's address as the sender sees it (BEP 42)",
        "p" Number "the receiver's port as the sender sees it",
        "transaction_id" Hex "that of the query",
        "version" Hex "the sender's client",
    ]
    "dht" "announce_peer-query" "" "BEP 5" "announce_peer" "tells a node that the sender is a peer of a torrent" [
        "id" Hash "the sender's node id",
        "info_hash" Hash "the torrent",
        "port" Number "the port on which the sender accepts connections",
        "implied_port" Number "1: the port is the one that the query comes from",
        "seed" Number "1: the sender has everything (BEP 33)",
        "token" Hex "from the get_peers response",
        "transaction_id" Hex "the response has the same",
        "version" Hex "the sender's client",
    ]
    "dht" "announce_peer-response" "" "BEP 5" "announce_peer" "confirms announce_peer" [
        "id" Hash "the sender's node id",
        "ip" Endpoint "the receiver's address as the sender sees it (BEP 42)",
        "p" Number "the receiver's port as the sender sees it",
        "transaction_id" Hex "that of the query",
        "version" Hex "the sender's client",
    ]
    "dht" "get-query" "" "BEP 44" "get message" "asks for an item that is stored in the DHT" [
        "id" Hash "the sender's node id",
        "target" Hash "the key of the item",
        "seq" Number "return only an item with a higher number",
        "transaction_id" Hex "the response has the same",
        "version" Hex "the sender's client",
    ]
    "dht" "get-response" "" "BEP 44" "get message" "returns an item that is stored in the DHT, or nearer nodes" [
        "id" Hash "the sender's node id",
        "token" Hex "to be sent with put",
        "k" Hex "the public key of a mutable item",
        "sig" Hex "the signature of a mutable item",
        "seq" Number "the number of a mutable item",
        "nodes" List "nodes: id and address",
        "nodes6" List "nodes with IPv6 addresses (BEP 32)",
        "transaction_id" Hex "that of the query",
        "version" Hex "the sender's client",
    ]
    "dht" "put-query" "" "BEP 44" "put message" "stores an item in the DHT" [
        "id" Hash "the sender's node id",
        "token" Hex "from the get response",
        "k" Hex "the public key of a mutable item",
        "salt" Hex "tells items of one key apart",
        "sig" Hex "the signature of a mutable item",
        "seq" Number "the number of a mutable item",
        "cas" Number "the number that the stored item must have",
        "transaction_id" Hex "the response has the same",
        "version" Hex "the sender's client",
    ]
    "dht" "put-response" "" "BEP 44" "put message" "confirms put" [
        "id" Hash "the sender's node id",
        "transaction_id" Hex "that of the query",
        "version" Hex "the sender's client",
    ]
    "dht" "sample_infohashes-query" "" "BEP 51" "Sampling RPC" "asks for some of the info hashes that a node stores" [
        "id" Hash "the sender's node id",
        "target" Hash "the id to find",
        "transaction_id" Hex "the response has the same",
        "version" Hex "the sender's client",
    ]
    "dht" "sample_infohashes-response" "" "BEP 51" "Sampling RPC" "returns some of the info hashes that a node stores" [
        "id" Hash "the sender's node id",
        "interval" Seconds "until other samples can be requested",
        "num" Number "how many info hashes the node stores",
        "samples" List "info hashes",
        "nodes" List "nodes: id and address",
        "nodes6" List "nodes with IPv6 addresses (BEP 32)",
        "transaction_id" Hex "that of the query",
        "version" Hex "the sender's client",
    ]
    "dht" "query" "" "BEP 5" "Queries" "a query with an unknown method" [
        "method" Text "the method",
        "id" Hash "the sender's node id",
        "transaction_id" Hex "the response has the same",
        "version" Hex "the sender's client",
    ]
    "dht" "response" "" "BEP 5" "Responses" "a response to a query that is not in the capture" [
        "id" Hash "the sender's node id",
        "transaction_id" Hex "that of the query",
        "version" Hex "the sender's client",
    ]
    "dht" "error" "" "BEP 5" "Errors" "a node returns an error" [
        "code" Number "the kind of error, such as 203 for a protocol error",
        "message" Text "what is wrong",
        "transaction_id" Hex "that of the query",
        "version" Hex "the sender's client",
    ]
    "lsd" "announce" "" "BEP 14" "Protocol" "announces a client's torrents to the local network" [
        "host" Text "the multicast group and port",
        "port" Number "the port on which the client accepts connections",
        "info_hash" Hash "each torrent",
        "cookie" Text "lets a client recognise its own announces",
    ]
    "web-seed" "request" "" "BEP 19" "Client Implementation Overview" "asks a web seed for a range of a file, or for parts of a piece (BEP 17)" [
        "method" Text "the HTTP method: GET",
        "path" Text "the path of the URL, without parameters",
        "info_hash" Hash "the torrent (BEP 17)",
        "piece" Text "the piece (BEP 17)",
        "ranges" Text "the first and the last byte of each part of the piece (BEP 17)",
        "file" Text "the file in the torrent",
        "range" Text "the first and the last byte in the file",
        "pieces" Text "the first and the last piece that the bytes belong to",
        "version" Text "the version of HTTP",
        "headers" Object "the HTTP headers by name",
    ]
    "web-seed" "response" "" "BEP 19" "Client Implementation Overview" "the head of a web seed's response" [
        "version" Text "the version of HTTP",
        "status" Number "the HTTP status: 206 for a part, 200 for the whole",
        "reason" Text "the HTTP reason",
        "headers" Object "the HTTP headers by name",
        "file" Text "the file in the torrent",
        "range" Text "the first and the last byte in the file",
        "ranges" Text "the first and the last byte of each part of the piece (BEP 17)",
        "pieces" Text "the first and the last piece that the bytes belong to",
    ]
    "web-seed" "data" "" "BEP 19" "Client Implementation Overview" "a part of a web seed's response, as it arrived" [
        "length" Bytes "how many bytes",
        "file" Text "the file in the torrent",
        "range" Text "the first and the last byte in the file",
        "ranges" Text "the first and the last byte of each part of the piece (BEP 17)",
        "pieces" Text "the first and the last piece that the bytes belong to",
    ]
    "utp" "opaque" "" "BEP 29" "header format" "a datagram of a uTP connection that cannot be read" [
        "type" Text "data, fin, state, reset or syn",
        "connection_id" Number "the connection",
        "timestamp_microseconds" Number "when it was sent, by the sender's clock",
        "timestamp_difference_microseconds" Number "how long the last packet took, by both clocks",
        "wnd_size" Bytes "how many bytes the sender can still receive",
        "seq_nr" Number "the number of the packet",
        "ack_nr" Number "the last packet that was received",
    ]
    "mse" "key-exchange" "" "bittrace" "" "the public key that begins an encrypted connection, with random padding" [
        "public_key" Hex "96 bytes of key, and up to 512 of padding",
    ]
    "mse" "torrent-hash" "" "bittrace" "" "hashes that prove that the initiator has the secret and knows the torrent" [
        "req1" Hex "SHA-1 of \"req1\" and the secret",
        "req2_xor_req3" Hex "names the torrent, readable only for peers that have it",
    ]
    "mse" "crypto-provide" "" "bittrace" "" "the encryption methods that the initiator offers" [
        "crypto_provide" Flags "plaintext, rc4",
        "crypto_provide_hex" Hex "the 4 bytes",
        "length" Bytes "the length of the padding",
        "sent_ahead" Bytes "the length of the initial payload",
    ]
    "mse" "crypto-select" "" "bittrace" "" "the encryption method that the responder chooses" [
        "crypto_select" Flags "plaintext or rc4",
        "crypto_select_hex" Hex "the 4 bytes",
        "length" Bytes "the length of the padding",
    ]
    "mse" "padding" "" "bittrace" "" "random bytes that hide where messages begin" [
        "length" Bytes "how many",
    ]
    "mse" "encrypted" "" "bittrace" "" "bytes of an encrypted connection without a known key" [
        "length" Bytes "how many",
    ]
    "proxy" "socks4-request" "" "SOCKS4" "" "a client asks a SOCKS4 proxy to connect" [
        "port" Number "the port to connect to",
        "address" Address "the address to connect to",
        "user" Text "the user",
        "name" Text "the name to connect to (SOCKS4a)",
    ]
    "proxy" "socks4-reply" "" "SOCKS4" "" "a SOCKS4 proxy responds" [
        "reply" Number "90: granted",
    ]
    "proxy" "socks5-greeting" "" "RFC 1928" "3" "a client offers authentication methods" [
        "methods" Hex "a byte for each method",
    ]
    "proxy" "socks5-method" "" "RFC 1928" "3" "a SOCKS5 proxy chooses the authentication method" [
        "method" Number "0: no authentication, 2: user and password, 255: none",
    ]
    "proxy" "socks5-auth" "" "RFC 1929" "2" "user and password; the password is not shown" [
        "user" Text "the user",
    ]
    "proxy" "socks5-auth-reply" "" "RFC 1929" "2" "whether user and password are right" [
        "status" Number "0: yes",
    ]
    "proxy" "socks5-request" "" "RFC 1928" "4" "a client asks a SOCKS5 proxy to connect" [
        "address" Address "the address to connect to",
        "name" Text "the name to connect to",
        "port" Number "the port to connect to",
    ]
    "proxy" "socks5-reply" "" "RFC 1928" "6" "a SOCKS5 proxy responds" [
        "reply" Number "0: connected",
        "address" Address "the address that the proxy connects from",
        "port" Number "the port that the proxy connects from",
    ]
    "proxy" "http-connect-request" "" "RFC 9110" "9.3.6" "a client asks an HTTP proxy to connect" [
        "authority" Text "host and port to connect to",
    ]
    "proxy" "http-connect-response" "" "RFC 9110" "9.3.6" "an HTTP proxy responds" [
        "status" Number "the HTTP status: 2xx is connected",
    ]
}
