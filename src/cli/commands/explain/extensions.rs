//! What a reader should know of each extension of the protocol that bittrace reads.

use super::ExtensionNotes;

macro_rules! notes {
    ($($name:literal $document:literal $section:literal $text:literal $says:literal $offered:literal [$($about:literal)*])*) => {
        /// A page for each extension.
        pub(super) const EXTENSIONS: &[ExtensionNotes] = &[$(ExtensionNotes {
            name: $name,
            document: $document,
            section: $section,
            text: $text,
            says: $says,
            offered: $offered,
            about: &[$($about),*],
        }),*];
    };
}

notes! {
    "fast" "BEP 6" "Modifications to Semantics of Existing Messages" "the fast extension: explicit rejects, have-all and have-none, pieces for choked peers"
    "Every request results in exactly one response, the block or a reject. A choke no longer drops outstanding requests: the sender rejects each of them."
    "The bit 0x04 in the last reserved byte of the handshake. The extension is on only if both ends set it."
    ["have-all" "have-none" "suggest-piece" "reject-request" "allowed-fast"]
    "extended" "BEP 10" "handshake message" "the extension protocol: message 20 carries messages of further extensions"
    "After the handshake each end sends an extended handshake with a dictionary m: the extensions that it supports, and the id under which it receives each of them. Ids belong to the receiver."
    "The bit 0x10 in the sixth reserved byte of the handshake. The extension is on only if both ends set it."
    ["extended" "ut_metadata" "ut_pex"]
    "dht" "BEP 5" "BitTorrent Protocol Extension" "the distributed hash table: peers without a tracker"
    "Nodes have ids of 20 bytes, and store the peers of the torrents whose info hashes are near their ids. get_peers finds peers, announce_peer adds one."
    "The bit 0x01 in the last reserved byte of the handshake; a port message then gives the UDP port of the node."
    ["port" "ping-query" "find_node-query" "get_peers-query" "announce_peer-query"]
    "v2" "BEP 52" "Upgrade Path" "torrents of version 2: SHA-256 and a hash tree for each file"
    "Pieces are checked against the hash tree of their file. Peers send each other the hashes. A hybrid torrent has both info hashes; the 32 bytes of the v2 info hash are cut to 20 in handshakes and announces."
    "The bit 0x10 in the last reserved byte of the handshake."
    ["hash-request" "hashes" "hash-reject"]
    "ut_metadata" "BEP 9" "extension header" "the info dictionary from peers, for magnet links"
    "Peers send the info dictionary in parts of 16 KiB. Its SHA-1 must be the info hash. A peer that does not have all of it must reject."
    "The key ut_metadata in the m dictionary of the extended handshake, and metadata_size beside m."
    ["ut_metadata"]
    "ut_pex" "BEP 11" "Protocol Extension" "peer exchange: peers send each other the addresses of peers"
    "A message has the peers that connected or disconnected since the last message: at most one message a minute, and at most 50 of each after the first."
    "The key ut_pex in the m dictionary of the extended handshake."
    ["ut_pex"]
    "lt_donthave" "BEP 54" "Protocol operation" "withdraws a have"
    "The sender no longer has a piece, for example because its cache dropped it."
    "The key lt_donthave in the m dictionary of the extended handshake."
    ["lt_donthave"]
    "ut_holepunch" "BEP 55" "Protocol Extension" "two peers behind NAT connect with the help of a third"
    "The relay sends connect to both peers, which then begin a uTP connection to each other at the same time."
    "The key ut_holepunch in the m dictionary of the extended handshake."
    ["ut_holepunch"]
    "upload_only" "BEP 21" "Extension Header" "partial seeds: peers that have stopped downloading"
    "A peer announces that it will not download anything more, even if it does not have all pieces: a partial seed."
    "The key upload_only beside m in the extended handshake; a message of the same name announces a change."
    ["upload_only"]
    "lsd" "BEP 14" "Protocol" "local service discovery: peers in the same network"
    "Clients send an announce to a multicast group, every five minutes for each torrent, and not more than once a minute."
    "Nothing: the announce goes to 239.192.152.143:6771 or [ff15::efc0:988f]:6771."
    ["announce"]
    "udp-tracker" "BEP 15" "UDP tracker protocol" "trackers over UDP, in four datagrams"
    "A connect request gets a connection id, which proves the client's address. Requests that are not answered are repeated after 15 * 2^n seconds."
    "The scheme udp: in the tracker's URL."
    ["connect-request" "announce-request" "scrape-request"]
    "compact" "BEP 23" "Overview" "peers in 6 bytes each"
    "4 bytes of address and 2 of port, big-endian, instead of a dictionary for each peer."
    "The parameter compact=1 of the announce."
    ["announce-response"]
    "scrape" "BEP 48" "Implementation" "how many peers torrents have, without an announce"
    "The URL is that of the announce with scrape instead of announce in the last part of its path."
    "Nothing: a tracker whose path has no announce has no scrape."
    ["scrape-request" "scrape-response"]
    "web-seed" "BEP 19" "Metadata Extension" "pieces from ordinary web servers"
    "The torrent lists URLs under url-list. Clients request ranges of the files with the Range header, and check pieces as usual. Seeds of BEP 17 are asked for pieces by number."
    "The keys url-list (BEP 19) or httpseeds (BEP 17) of the torrent."
    ["request" "response" "data"]
    "utp" "BEP 29" "overview" "a transport over UDP that gives way to other traffic"
    "uTP has sequence numbers and acknowledgements like TCP, and slows down when the delay grows."
    "Nothing: a client tries it beside TCP, on the same port number."
    ["opaque"]
    "mse" "bittrace" "" "message stream encryption: the peer protocol in RC4 after a key exchange"
    "No BEP has it. Both ends exchange public keys of 96 bytes; the stream's keys depend on the shared secret and the info hash. It hides the protocol from simple filters, not from an observer who knows the info hash and takes part."
    "Nothing: the initiator begins with its public key instead of a handshake."
    ["key-exchange" "torrent-hash" "crypto-provide" "crypto-select" "encrypted"]
    "azureus" "bittrace" "" "Azureus messaging: the message format of Vuze and BiglyBT"
    "No BEP has it. After the handshake, messages have names instead of numbers; those of BEP 3 are wrapped."
    "The highest bit of the first reserved byte of the handshake."
    ["azureus" "az-handshake"]
}
