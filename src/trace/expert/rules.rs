//! Every rule by which notes are given: one table, for whoever filters by them, counts them, or looks them up.

mod near_misses;
mod peer_faults;

use bittrace_protocol::PieceIndex;

use crate::record::{Note, Rule, Severity};
pub use near_misses::note_near_miss;
pub(crate) use peer_faults::note_fault;

/// The piece of which a note says that it came whole, and whether it was right.
pub fn verdict_on_piece(note: &Note) -> Option<(PieceIndex, bool)> {
    let piece = note.piece?;
    let is = |rules: [&'static Rule; 2]| rules.contains(&note.rule);
    if is([BEP3_PIECE_VERIFIED, BEP52_PIECE_VERIFIED]) {
        return Some((piece, true));
    }
    is([BEP3_PIECE_CORRUPT, BEP52_PIECE_CORRUPT]).then_some((piece, false))
}

/// The rule of that name.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.id == id)
}

macro_rules! rules {
    ($($name:ident: $id:literal $severity:ident $document:literal $section:literal $text:literal;)*) => {
        $(
            #[doc = concat!("`", $id, "`: ", $text, ".")]
            pub(crate) const $name: &Rule = &Rule {
                id: $id,
                severity: Severity::$severity,
                document: $document,
                section: $section,
                text: $text,
            };
        )*

        /// All rules, in the order of their names.
        pub const RULES: &[&Rule] = &[$($name),*];
    };
}

rules! {
    BEP10_MALFORMED: "bep10.malformed" Error "BEP 10" "handshake message" "an extended message does not have the format that its extension defines";
    BEP10_REQQ: "bep10.reqq-exceeded" Warn "BEP 10" "handshake message" "a peer has more outstanding requests than the receiver queues (reqq)";
    BEP10_UNANNOUNCED: "bep10.unannounced" Note "BEP 10" "handshake message" "an extended message has an id that the receiver's handshakes did not announce";
    BEP10_WRONG_TYPE: "bep10.wrong-type" Warn "BEP 10" "handshake message" "a known key of an extended message has a value of the wrong type";
    BEP11_TOO_MANY: "bep11.too-many" Note "BEP 11" "Security Considerations" "a PEX message after the first adds or drops more than 50 peers";
    BEP11_TOO_OFTEN: "bep11.too-often" Warn "BEP 11" "Security Considerations" "PEX messages follow each other in less than a minute";
    BEP14_MALFORMED: "bep14.malformed" Warn "BEP 14" "Protocol" "a local service discovery announce has no valid port or info hash";
    BEP15_ERROR: "bep15.error" Warn "BEP 15" "Errors" "a UDP tracker returns an error";
    BEP15_EXTRA: "bep15.extra-bytes" Note "BEP 15" "UDP tracker protocol" "a UDP tracker's response has extra bytes after the last peer or torrent";
    BEP15_MALFORMED: "bep15.malformed" Warn "BEP 15" "UDP tracker protocol" "a datagram to or from a UDP tracker is not a valid message, or responds to no request";
    BEP3_ANNOUNCE_EARLY: "bep3.announce-early" Note "BEP 3" "trackers" "a regular announce comes before the interval has passed";
    BEP3_ANNOUNCE_MALFORMED: "bep3.announce-malformed" Warn "BEP 3" "trackers" "an announce has no valid info_hash: it is missing, or is not 20 bytes escaped once";
    BEP3_BITFIELD_LATE: "bep3.bitfield-late" Note "BEP 3" "peer protocol" "a bitfield is not the first message after the handshake, or is repeated";
    BEP3_BITFIELD_LENGTH: "bep3.bitfield-length" Warn "BEP 3" "peer protocol" "a bitfield does not have exactly one bit per piece, padded with zero bits to whole bytes";
    BEP3_BLOCK_AFTER_CANCEL: "bep3.block-after-cancel" Chat "BEP 3" "peer messages" "a cancelled block arrives: the block and the cancel crossed";
    BEP3_BLOCK_AGAIN: "bep3.block-again" Note "BEP 3" "peer messages" "a block that was requested once arrives twice";
    BEP3_BLOCK_UNSOLICITED: "bep3.block-unsolicited" Warn "BEP 3" "peer messages" "a block arrives that was not requested";
    BEP3_BLOCK_WHILE_CHOKING: "bep3.block-while-choking" Note "BEP 3" "peer protocol" "a block is sent to a choked peer";
    BEP3_CANCEL_UNREQUESTED: "bep3.cancel-unrequested" Note "BEP 3" "peer messages" "a cancel names a block that was not requested";
    BEP3_COMPLETED_LEFT: "bep3.completed-with-bytes-left" Warn "BEP 3" "trackers" "an announce has the event completed, but left is not 0";
    BEP3_DUPLICATE_CONNECTION: "bep3.duplicate-connection" Note "BEP 3" "peer protocol" "two peers open a second connection for the same torrent";
    BEP3_FAILURE_REASON: "bep3.failure-reason" Warn "BEP 3" "trackers" "an HTTP tracker returns a failure reason";
    BEP3_HANDSHAKE_MALFORMED: "bep3.handshake-malformed" Error "BEP 3" "peer protocol" "a part of a handshake is missing or wrong: the length byte, the protocol name, the reserved bytes or the info hash";
    BEP3_HTTP_TO_PEER: "bep3.http-to-peer" Error "BEP 3" "peer protocol" "an HTTP request is sent to a peer instead of a handshake";
    BEP3_IDLE: "bep3.idle" Note "BEP 3" "peer protocol" "a peer sends nothing, not even keep-alives, for well over two minutes";
    BEP3_INFO_HASH_MISMATCH: "bep3.info-hash-mismatch" Warn "BEP 3" "peer protocol" "the two handshakes name different torrents";
    BEP3_IRREGULAR_BENCODING: "bep3.irregular-bencoding" Note "BEP 3" "bencoding" "bencoding is readable but breaks its rules: keys unsorted or repeated, leading zeros, -0, bytes after the value";
    BEP3_LEFT_GREW: "bep3.left-grew" Note "BEP 3" "trackers" "the left of an announce is larger than in the announce before";
    BEP3_LEFT_TOO_LITTLE: "bep3.left-too-little" Warn "BEP 3" "trackers" "an announce says that no bytes are left, and its client then requests blocks";
    BEP3_LEFT_TOO_MUCH: "bep3.left-too-much" Note "BEP 3" "trackers" "the left of an announce is larger than the torrent without the pieces verified so far";
    BEP3_LITTLE_ENDIAN: "bep3.little-endian" Error "BEP 3" "peer protocol" "a message length is sent in little-endian byte order";
    BEP3_MALFORMED: "bep3.malformed" Error "BEP 3" "peer messages" "a message has the wrong length for its id";
    BEP3_MALFORMED_ANSWER: "bep3.malformed-answer" Warn "BEP 3" "trackers" "a value in an HTTP tracker's response has the wrong type or format";
    BEP3_NOT_BENCODED: "bep3.not-bencoded" Error "BEP 3" "trackers" "an HTTP tracker's response is not a bencoded dictionary";
    BEP3_OUT_OF_RANGE: "bep3.out-of-range" Error "BEP 3" "peer messages" "a message names a piece or bytes that the torrent does not have";
    BEP3_PEER_FROM_TRACKER: "bep3.peer-from-tracker" Chat "BEP 3" "trackers" "a tracker had returned the address of the peer before the connection";
    BEP3_PIECE_CORRUPT: "bep3.piece-corrupt" Error "BEP 3" "metainfo files" "a piece is complete, but its SHA-1 is wrong";
    BEP3_PIECE_VERIFIED: "bep3.piece-verified" Chat "BEP 3" "metainfo files" "a piece is complete, and its SHA-1 is right";
    BEP3_REQUEST_LONG: "bep3.request-too-long" Warn "BEP 3" "peer messages" "a request asks for more than 16 KiB";
    BEP3_REQUEST_CHOKED: "bep3.request-while-choked" Warn "BEP 3" "peer protocol" "a choked peer requests a block of a piece that is not allowed fast";
    BEP3_REQUEST_UNINTERESTED: "bep3.request-without-interest" Note "BEP 3" "peer protocol" "a peer requests blocks but has not sent interested";
    BEP3_SELF_CONNECTION: "bep3.self-connection" Note "BEP 3" "peer protocol" "both ends have the same peer id: a client connected to itself";
    BEP3_SNUBBED: "bep3.snubbed" Note "BEP 3" "peer protocol" "no block arrives for over a minute, although an unchoked peer has outstanding requests";
    BEP3_STARTED_MISSING: "bep3.started-missing" Note "BEP 3" "trackers" "the first announce of a download does not have the event started";
    BEP3_WARNING_MESSAGE: "bep3.warning-message" Note "BEP 3" "trackers" "an HTTP tracker returns a warning message";
    BEP4_UNKNOWN_MESSAGE: "bep4.unknown-message" Note "BEP 4" "Reserved Message IDs" "a message has an id that no specification assigns";
    BEP5_ERROR: "bep5.error" Note "BEP 5" "Errors" "a DHT node returns an error";
    BEP5_MALFORMED: "bep5.malformed" Warn "BEP 5" "KRPC Protocol" "a DHT message lacks a required key, or a value has the wrong type or length";
    BEP5_PORT: "bep5.port-not-offered" Warn "BEP 5" "BitTorrent Protocol Extension" "a port message is sent to a peer whose handshake does not offer DHT";
    BEP52_MALFORMED_RANGE: "bep52.hash-malformed" Warn "BEP 52" "peer messages" "a message names a range of hashes that cannot exist";
    BEP52_UNKNOWN_ROOT: "bep52.hash-root-unknown" Warn "BEP 52" "peer messages" "a message names the root of a file that the torrent does not have";
    BEP52_MANY_HASHES: "bep52.hash-too-many" Note "BEP 52" "peer messages" "more than 512 hashes are requested at once";
    BEP52_HASHES_UNSOLICITED: "bep52.hashes-unsolicited" Warn "BEP 52" "peer messages" "hashes arrive that were not requested";
    BEP52_HASHES_VERIFIED: "bep52.hashes-verified" Chat "BEP 52" "peer messages" "hashes lead to the root of their file, or to a known hash of its tree";
    BEP52_HASHES_WRONG: "bep52.hashes-wrong" Error "BEP 52" "peer messages" "hashes do not lead to the root of their file, or are not as many as requested";
    BEP52_PIECE_CORRUPT: "bep52.piece-corrupt" Error "BEP 52" "info dictionary" "a piece is complete, but its hash is not in the hash tree of its file";
    BEP52_PIECE_VERIFIED: "bep52.piece-verified" Chat "BEP 52" "info dictionary" "a piece is complete, and its hash is in the hash tree of its file";
    BEP52_REJECT_UNREQUESTED: "bep52.reject-unrequested" Warn "BEP 52" "peer messages" "a hash reject names hashes that were not requested";
    BEP52_UPGRADED: "bep52.upgraded" Chat "BEP 52" "Upgrade Path" "the response to a handshake has the other info hash of a hybrid torrent";
    BEP6_ANSWERED_TWICE: "bep6.answered-twice" Warn "BEP 6" "Modifications to Semantics of Existing Messages" "a request is answered with both a block and a reject";
    BEP6_CANCEL_UNANSWERED: "bep6.cancel-unanswered" Warn "BEP 6" "Modifications to Semantics of Existing Messages" "a cancelled request is answered with neither a block nor a reject";
    BEP6_HOLDING_LATE: "bep6.holding-late" Note "BEP 6" "Have All/Have None" "have-all or have-none is not the first message after the handshake, or is repeated";
    BEP6_NOT_OFFERED: "bep6.not-offered" Warn "BEP 6" "" "a message of the fast extension is sent, but one end did not offer the extension";
    BEP6_REJECT_UNREQUESTED: "bep6.reject-unrequested" Warn "BEP 6" "Reject Request" "a reject names a block that was not requested";
    BEP9_WRONG_HASH: "bep9.wrong-hash" Error "BEP 9" "metadata" "the metadata is complete, but its hash is not the info hash";
    BEP9_WRONG_SIZE: "bep9.wrong-size" Warn "BEP 9" "data" "a piece of metadata has the wrong length, or another total size than announced";
    CAPTURE_CUT: "capture.cut" Note "bittrace" "" "only the beginning of a datagram or of an HTTP message was captured";
    CAPTURE_DAMAGED: "capture.damaged" Warn "bittrace" "" "a message is expected here, but the bytes are not a message";
    CAPTURE_FRAGMENT: "capture.fragment" Note "bittrace" "" "the capture has a part of a message and lost the rest";
    CAPTURE_GAP: "capture.gap" Warn "bittrace" "" "the capture lost bytes of the stream";
    CAPTURE_MEMORY: "capture.memory" Note "bittrace" "" "an incomplete message is shown as it is: too many bytes wait in all streams together";
    CAPTURE_OTHER_SIDE: "capture.other-side-of-nat" Note "bittrace" "" "a connection is in the capture twice, once on each side of a NAT";
    CAPTURE_RESYNCHRONISED: "capture.resynchronised" Note "bittrace" "" "the bytes before these are missing";
    CAPTURE_UNFINISHED: "capture.unfinished" Note "bittrace" "" "the stream ends before the message does";
    HTTP_STATUS: "http.status" Warn "RFC 9110" "15" "an HTTP tracker responds with a status other than 200";
    MSE_NOT_DECIPHERED: "mse.not-deciphered" Note "bittrace" "" "the key of an encrypted connection is known, but the data cannot be decrypted with it";
    MSE_OTHER_TORRENT: "mse.other-torrent" Note "bittrace" "" "the secret of an encrypted connection is known, but for another torrent";
    STATE_CHANGED: "state.changed" Chat "BEP 3" "peer protocol" "a peer becomes choked, unchoked, interested or not interested";
    STATE_UNCHANGED: "state.unchanged" Note "BEP 3" "peer protocol" "a choke, unchoke, interested or not-interested message changes nothing";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    use super::*;

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }

    #[test]
    fn names_are_in_order_and_unique() {
        assert!(RULES.is_sorted_by(|one, next| one.id < next.id));
        assert_eq!(rule("bep3.malformed"), Some(BEP3_MALFORMED));
        assert_eq!(rule("bep3.none"), None);
    }

    /// Every rule of the table is used, and nobody makes a rule or a note but by the table.
    #[test]
    fn every_rule_has_a_note_and_every_note_a_rule() {
        let mut files = Vec::new();
        sources(Path::new(env!("CARGO_MANIFEST_DIR")), &mut files);
        let table = include_str!("rules.rs");
        let mut used: BTreeMap<&str, bool> = RULES.iter().map(|rule| (rule.id, false)).collect();
        for path in files.iter().filter(|path| !path.ends_with("expert/rules.rs")) {
            let text = std::fs::read_to_string(path).unwrap();
            for rule in RULES {
                let declared = format!(": \"{}\"", rule.id);
                let line = table.lines().find(|line| line.contains(&declared)).unwrap();
                let name = line.trim().split(':').next().unwrap();
                let noted = [format!("{name}.note("), format!("rules::{name}")];
                if noted.iter().any(|noted| text.contains(noted)) {
                    used.insert(rule.id, true);
                }
            }
            if path.ends_with("record/note.rs") {
                continue;
            }
            for made in ["Rule {", "Note {"] {
                let literal = text.match_indices(made).find(|(at, _)| {
                    // Not the end of another name, nor a type that is declared or returned.
                    let before = text[..*at].trim_end();
                    let type_follows =
                        ["struct", "impl", "for", "->"].iter().any(|word| before.ends_with(word));
                    text[..*at].ends_with([' ', '(', '[', '\n']) && !type_follows
                });
                assert!(literal.is_none(), "{}: {made} is made by hand", path.display());
            }
        }
        let idle: Vec<_> = used.iter().filter(|(_, used)| !**used).map(|(id, _)| id).collect();
        assert!(idle.is_empty(), "no note is by {idle:?}");
    }
}
