//! What a reader should know of each rule beside its line in the table of rules: what the document says, what to do, and
//! the messages it is about.

use super::RuleNotes;

macro_rules! notes {
    ($($id:literal $says:literal $fix:literal [$($about:literal)*])*) => {
        /// A page for each rule, in the order of their names.
        pub(super) const RULE_NOTES: &[RuleNotes] =
            &[$(RuleNotes { id: $id, says: $says, fix: $fix, about: &[$($about),*] }),*];
    };
}

notes! {
    "bep10.malformed"
    "The payload of an extended message begins with its extended id. An extended handshake, ut_metadata and ut_pex then have a bencoded dictionary, and lt_donthave, upload_only and ut_holepunch have fixed bytes."
    "Check the extended id against the m dictionary of the receiver, and encode the payload as that extension defines it."
    ["extended"]
    "bep10.reqq-exceeded"
    "reqq is the number of outstanding request messages that the client supports without dropping any."
    "Keep at most reqq requests outstanding to that peer. Count a request as outstanding until its block, its reject or a choke comes."
    ["extended" "request"]
    "bep10.unannounced"
    "The m dictionary of the receiver says under which id it receives each extension. Ids are those of the receiver, not of the sender."
    "Send an extension's messages under the id that the other peer's handshake gives. Do not send them if it gives none, or 0."
    ["extended"]
    "bep10.wrong-type"
    "The handshake of the extension protocol gives each known key one type: p and reqq are integers, v is text, m is a dictionary."
    "Encode the value with the type of the document: i6881e is a number, 4:6881 is text."
    ["extended"]
    "bep11.too-many"
    "Except for the first message, added and added6 together should not exceed 50 peers. The same applies to the dropped ones."
    "Keep the rest for the next message, a minute later."
    ["ut_pex"]
    "bep11.too-often"
    "Updates must be batched: no more than one message of peer exchange per minute."
    "Gather changes for 60 seconds, and send one message."
    ["ut_pex"]
    "bep14.malformed"
    "A local service discovery announce has the lines Host, Port and at least one Infohash, in the form of an HTTP header; the info hash has 40 hexadecimal digits."
    "Send Port in decimal and each info hash in 40 hexadecimal digits, and end with two empty lines."
    ["announce"]
    "bep15.error"
    "A tracker reports an error with action 3 and a text. The transaction id is that of the request."
    "Read the text. If the connection id is refused, request a new one: a client may use an id for one minute."
    ["error"]
    "bep15.extra-bytes"
    "After the head of 20 bytes, a response to an announce has 6 bytes per peer, or 18 bytes over IPv6."
    "On the tracker's side: send only whole peers. On the client's side: use the whole peers and ignore the rest."
    ["announce-response"]
    "bep15.malformed"
    "Each message has a fixed layout. Clients check that a response has at least its shortest length, and the transaction id of the request."
    "Compare the length and the order of the fields with the layout. All numbers are big-endian."
    ["connect-request" "announce-request"]
    "bep3.announce-early"
    "interval is the number of seconds to wait between regular announces. Announces with an event, or because more peers are needed, may come sooner."
    "Wait for the whole interval after each response, and count from the response."
    ["announce-request" "interval"]
    "bep3.announce-malformed"
    "info_hash is the 20-byte SHA-1 of the bencoded info dictionary, percent-encoded as 20 bytes."
    "Encode the 20 raw bytes, not the 40 hexadecimal digits, and encode them once. See bittrace explain info_hash."
    ["announce-request" "info_hash"]
    "bep3.bitfield-late"
    "A bitfield is only ever sent as the first message after the handshake. A peer that has nothing yet may leave it out."
    "Send the bitfield right after the handshake, before the extended handshake. Announce each later piece with a have message."
    ["bitfield" "have"]
    "bep3.bitfield-length"
    "A bitfield has one bit for each piece, the first piece in the highest bit of the first byte; spare bits at the end are zero."
    "Send (pieces + 7) / 8 bytes, rounded down, and clear the last bits beyond the number of pieces."
    ["bitfield"]
    "bep3.block-after-cancel"
    "A cancel can cross the block on its way. That is nobody's fault."
    "Nothing: use the block if it is still missing."
    ["cancel" "piece"]
    "bep3.block-again"
    "Each request is answered by one block. A block that comes twice wastes the bandwidth of both ends."
    "Remove a request from the queue once its block is sent. On the other side, do not request a block again while it is outstanding."
    ["request" "piece"]
    "bep3.block-unsolicited"
    "A piece message answers a request: it has the index, begin and length that were requested. With the fast extension, a peer that receives a piece that was never requested must close the connection (BEP 6)."
    "Answer with exactly the block that was requested. After a choke, drop the queued requests of that peer."
    ["request" "piece"]
    "bep3.block-while-choking"
    "Choking says that no data will be sent until unchoking happens. A block that was already on its way can cross the choke."
    "Drop queued blocks when choking, and serve only allowed-fast pieces."
    ["choke" "piece"]
    "bep3.cancel-unrequested"
    "A cancel has the same payload as the request that it cancels."
    "Cancel an outstanding request, with the same index, begin and length."
    ["cancel" "request"]
    "bep3.completed-with-bytes-left"
    "completed is sent when the download is complete: left is then 0."
    "Compute left from the pieces that have passed their hash check, and send completed after the last one."
    ["announce-request" "event" "left"]
    "bep3.duplicate-connection"
    "Two peers need one connection for a torrent. Both ends often connect to each other at the same time."
    "Compare the peer id of each handshake with those of the open connections, and close the second one."
    ["handshake"]
    "bep3.failure-reason"
    "If a tracker's response has the key failure reason, the request failed, and no other keys are required."
    "Show the text to the user. Frequent reasons: the torrent is not registered, the client is not allowed, a parameter is missing."
    ["error" "announce-request"]
    "bep3.handshake-malformed"
    "The handshake is 68 bytes: 19, the 19 letters \"BitTorrent protocol\", 8 reserved bytes, 20 bytes of info hash, 20 bytes of peer id."
    "Compare the bytes with the example. The first byte is the number 19 (0x13), and the info hash is raw, not in hexadecimal digits."
    ["handshake"]
    "bep3.http-to-peer"
    "Peers speak first with a handshake. HTTP is for trackers and web seeds."
    "Check the address: a peer's port was taken for a tracker's."
    ["handshake" "announce-request"]
    "bep3.idle"
    "Messages of length zero are keep-alives, generally sent once every two minutes."
    "Send a keep-alive when nothing else was sent for two minutes, and close connections that stay silent for longer."
    ["keep-alive"]
    "bep3.info-hash-mismatch"
    "If both ends do not send the same info hash, they sever the connection."
    "Compare the info hash of an incoming handshake with the torrents that are served, before answering. A hybrid torrent may be called by either of its hashes (BEP 52)."
    ["handshake" "info_hash"]
    "bep3.irregular-bencoding"
    "Keys must be strings in sorted order, compared as raw bytes; numbers have no leading zeros; -0 is invalid."
    "Sort the keys by their bytes before encoding, and write each number in its shortest form."
    ["announce-response" "extended"]
    "bep3.left-grew"
    "left is the number of bytes that the client still has to download."
    "Count only verified pieces as downloaded. A larger left is right if a verified piece was lost."
    ["announce-request" "left"]
    "bep3.left-too-little"
    "left is the number of bytes that the client still has to download. A tracker counts a client with left=0 as a seed, and may leave seeds out of the peers that it names to a seed."
    "Send left=SIZE of the torrent before the first piece, then SIZE minus the size of verified pieces. A client that does not know the size yet (a magnet link) sends any number above 0."
    ["announce-request" "left" "request"]
    "bep3.left-too-much"
    "left is the number of bytes that are still missing. It cannot exceed the size of the torrent minus the pieces that passed their hash check."
    "Compute left as the size of the torrent minus the size of verified pieces; the last piece is shorter."
    ["announce-request" "left"]
    "bep3.little-endian"
    "All integers after the handshake are four bytes, big-endian."
    "Convert to network order (htonl): a length of 13 is 00 00 00 0d, not 0d 00 00 00."
    ["request"]
    "bep3.malformed"
    "Most messages have one possible length: choke, unchoke, interested and not interested 1, have 5, request and cancel 13. The length counts the id, but not itself."
    "Set the length prefix to 1 for the id plus the length of the payload."
    ["request" "have"]
    "bep3.malformed-answer"
    "interval is an integer. peers is a list of dictionaries (BEP 3), or text of 6 bytes per peer (BEP 23)."
    "On the tracker's side: encode the value with the type of the document. On the client's side: use the valid values."
    ["announce-response"]
    "bep3.not-bencoded"
    "A tracker's response is a bencoded dictionary."
    "Open the tracker's URL in a browser: often a web server responds with a page or an error text."
    ["announce-response"]
    "bep3.out-of-range"
    "Index and begin must lie within the torrent. The last piece is shorter than the others, and its last block is usually shorter than 16 KiB."
    "Request min(16384, size of the piece - begin) bytes, where the size of the last piece is what remains of the torrent."
    ["request" "have"]
    "bep3.peer-from-tracker"
    "A tracker's response lists peers to connect to."
    "Nothing: this shows where the address came from."
    ["announce-response" "handshake"]
    "bep3.piece-corrupt"
    "pieces has the SHA-1 of each piece. A piece is announced with have only after its hash matched."
    "Discard the piece and request it again, from a single peer if several peers sent its blocks. Disconnect a peer that sends wrong data repeatedly. If every piece is wrong, check the offset at which blocks are stored."
    ["piece" "have"]
    "bep3.piece-verified"
    "A piece with the right SHA-1 is complete, and is announced to all peers with have."
    "Nothing: all is well."
    ["piece" "have"]
    "bep3.request-too-long"
    "length is generally a power of two. All current implementations use 2^14 (16 KiB), and close connections which request an amount greater than that."
    "Split each piece into blocks of 16,384 bytes, and send a request for each of them."
    ["request"]
    "bep3.request-while-choked"
    "Choking says that no data will be sent until unchoking happens. Connections start out choked."
    "Wait for unchoke before the first request. After a choke, treat outstanding requests as dropped, unless both ends have the fast extension: then the peer rejects each of them."
    ["request" "choke" "unchoke" "allowed-fast"]
    "bep3.request-without-interest"
    "Data transfer takes place when one side is interested and the other side is not choking. Interest must be kept up to date."
    "Send interested as soon as the peer has a piece that is missing, before the first request."
    ["interested" "request"]
    "bep3.self-connection"
    "A client learns its own address from trackers and other peers."
    "Close a connection whose handshake has the client's own peer id, and remember the address."
    ["handshake"]
    "bep3.snubbed"
    "A peer that is unchoked, and sends no block for a minute though requests are outstanding, is called snubbed."
    "Request the blocks from other peers. On the sender's side: answer each request, or choke."
    ["request" "piece" "choke"]
    "bep3.started-missing"
    "An announce with event=started is sent when a download first begins. Announces without an event are those at regular intervals. Only replay and download --against judge this: there the first announce of the capture is known to be the first of the client."
    "Add event=started to the first announce of each run, and leave event out of the regular announces after it."
    ["announce-request" "event"]
    "bep3.warning-message"
    "A tracker may respond normally and add a warning message."
    "Show the text to the user."
    ["announce-response"]
    "bep4.unknown-message"
    "This document assigns message ids: 0 to 9, 13 to 17, 20 to 23."
    "Use the extension protocol (BEP 10) for messages of your own: their ids cannot collide."
    ["unknown" "extended"]
    "bep5.error"
    "An error has a number and a text: 201 generic, 202 server, 203 protocol, 204 method unknown."
    "203 mostly means a wrong token or a missing argument; get a new token with get_peers."
    ["error" "announce_peer-query"]
    "bep5.malformed"
    "Each message has the keys t and y; a query has q and a, a response has r. Each query and response has the id of its sender in 20 bytes."
    "Compare the keys with the example of the method. Numbers are integers, ids are raw bytes."
    ["ping-query" "get_peers-query"]
    "bep5.port-not-offered"
    "A peer that supports the DHT sets the last bit of the reserved bytes. Such a peer that sees the bit of the other end sends a port message."
    "Send port only where the reserved bytes of the other end have the bit 0x01 in the last byte."
    ["port" "handshake"]
    "bep52.hash-malformed"
    "index must be a multiple of length; length must be a power of two, at least two."
    "Request aligned ranges: with 8 hashes, index 0, 8, 16 and so on."
    ["hash-request"]
    "bep52.hash-root-unknown"
    "pieces root is the root of the hash tree of one file of the torrent."
    "Take the root from the file tree of the info dictionary."
    ["hash-request"]
    "bep52.hash-too-many"
    "length should not be greater than 512."
    "Split the request."
    ["hash-request"]
    "bep52.hashes-unsolicited"
    "A hashes message must correlate with a hash request."
    "Answer with the same pieces root, base layer, index, length and proof layers."
    ["hash-request" "hashes"]
    "bep52.hashes-verified"
    "Hashes and proof, hashed in pairs, lead to the root of the file."
    "Nothing: all is well."
    ["hashes"]
    "bep52.hashes-wrong"
    "The hashes start with the base layer and end with the uncle hash closest to the root. Proof layers that follow from the hashes themselves are left out."
    "Check the order of each pair, and which proof layers are left out: the first log2(length) - 1 of them."
    ["hashes"]
    "bep52.piece-corrupt"
    "A piece of a v2 torrent is checked against its hash in the tree of its file: SHA-256 of blocks of 16 KiB, hashed in pairs."
    "Request the piece again. If every piece is wrong, check the padding of the tree: missing leaves are 32 zero bytes."
    ["piece" "hashes"]
    "bep52.piece-verified"
    "A piece whose hash is in the hash tree of its file is complete."
    "Nothing: all is well."
    ["piece"]
    "bep52.reject-unrequested"
    "A hash reject has the same payload as the hash request that it refuses."
    "Reject requests that are outstanding, with the same values."
    ["hash-reject" "hash-request"]
    "bep52.upgraded"
    "A handshake with the v1 info hash of a hybrid torrent can be answered with the v2 info hash, which upgrades the connection."
    "Nothing: both ends know the v2 torrent."
    ["handshake"]
    "bep6.answered-twice"
    "With the fast extension, every request results in exactly one response: the block, or the reject."
    "Remove a request from the queue when it is rejected, and do not reject a block that was sent."
    ["request" "piece" "reject-request"]
    "bep6.cancel-unanswered"
    "With the fast extension, even a cancelled request is answered, with the block or a reject."
    "On a cancel, send reject-request unless the block is sent already."
    ["cancel" "reject-request"]
    "bep6.holding-late"
    "Exactly one of have-all, have-none and bitfield must appear, and only immediately after the handshake."
    "Send one of the three right after the handshake, before the extended handshake."
    ["have-all" "have-none" "bitfield"]
    "bep6.not-offered"
    "The fast extension is enabled only if both ends set the bit 0x04 in the last reserved byte. Otherwise a peer that receives one of its messages must close the connection."
    "Look at both handshakes before sending have-all, have-none, suggest-piece, reject-request or allowed-fast."
    ["handshake" "have-all" "reject-request" "fast"]
    "bep6.reject-unrequested"
    "A peer that receives a reject for a request that was never sent should close the connection."
    "Reject each outstanding request once, with the same index, begin and length."
    ["reject-request" "request"]
    "bep9.wrong-hash"
    "The metadata is the info dictionary as it stands in the torrent: its SHA-1 is the info hash."
    "Discard all parts and request them again from another peer. On the sender's side: send the original bytes, not a new encoding of the decoded values."
    ["ut_metadata" "info_hash"]
    "bep9.wrong-size"
    "Parts of metadata have 16 KiB; the last part may be shorter. total_size is the same as metadata_size of the handshake."
    "Check the length of each part against metadata_size."
    ["ut_metadata"]
    "capture.cut"
    "The capture has only the first bytes of the packet: it was taken with a length limit (snap length)."
    "Capture with the full length: tcpdump -s 0."
    ["opaque"]
    "capture.damaged"
    "A message should begin here, but these bytes cannot be a message. The next certain message begins later."
    "Look at the bytes with --hex: usually the length of the message before is wrong."
    ["opaque"]
    "capture.fragment"
    "The capture lost packets in the middle of a message. The remaining bytes are shown with their position in the message."
    "Nothing, if only the capture is to blame; a larger buffer (tcpdump -B) loses less."
    ["opaque" "gap"]
    "capture.gap"
    "Later bytes arrived or were acknowledged, so these were sent; the capture does not have them."
    "Capture on the host itself, with a larger buffer (tcpdump -B 65536), or with a filter for the port."
    ["gap"]
    "capture.memory"
    "Incomplete messages wait for their missing bytes. All streams together have a limit for such bytes, so that no capture exhausts the memory."
    "Analyze fewer streams at once: cut the capture by a display filter in Wireshark."
    ["opaque"]
    "capture.other-side-of-nat"
    "The capture sees both sides of a router that translates addresses: the same packets under two pairs of addresses."
    "Count one of the two connections."
    ["handshake"]
    "capture.resynchronised"
    "The capture begins in the middle of the stream. Messages are shown from the first certain beginning of a message on."
    "Start the capture before the client."
    ["opaque"]
    "capture.unfinished"
    "The connection ended in the middle of a message."
    "Nothing, if the connection was cut. If all connections end like this, check the length prefix."
    ["opaque"]
    "http.status"
    "A status of 2xx says that the request was understood; 3xx redirects, 4xx is an error of the request, 5xx an error of the server (RFC 9110, section 15)."
    "404: check the path of the announce URL. 400: check how info_hash and peer_id are percent-encoded."
    ["announce-response" "announce-request"]
    "mse.not-deciphered"
    "The key log has a key for the connection, but the decrypted bytes are not messages."
    "Check that the key belongs to this connection: info hash, addresses and the shared secret."
    ["encrypted" "key-exchange"]
    "mse.other-torrent"
    "The shared secret is right, but the key of the connection also depends on the info hash."
    "Put the right info hash into the key log."
    ["torrent-hash"]
    "state.changed"
    "Each end is choked or not, and interested or not. Connections start out choked and not interested."
    "Nothing: this shows the state of the connection."
    ["choke" "unchoke" "interested" "not-interested"]
    "state.unchanged"
    "choke, unchoke, interested and not interested announce a change of state."
    "Send them only when the state changes."
    ["choke" "unchoke" "interested" "not-interested"]
}
