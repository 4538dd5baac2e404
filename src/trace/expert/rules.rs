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
    BEP10_MALFORMED: "bep10.malformed" Error "BEP 10" "handshake message" "an extended message is not what its extension asks for";
    BEP10_REQQ: "bep10.reqq-exceeded" Warn "BEP 10" "handshake message" "more requests wait than the receiver keeps (reqq)";
    BEP10_UNANNOUNCED: "bep10.unannounced" Note "BEP 10" "handshake message" "an extended message has an id that no handshake of the receiver announced";
    BEP10_WRONG_TYPE: "bep10.wrong-type" Warn "BEP 10" "handshake message" "a known key of an extended message has a value of another type";
    BEP11_TOO_MANY: "bep11.too-many" Note "BEP 11" "Security Considerations" "a later PEX message adds or drops more than 50 peers";
    BEP11_TOO_OFTEN: "bep11.too-often" Warn "BEP 11" "Security Considerations" "PEX messages come within less than a minute";
    BEP14_MALFORMED: "bep14.malformed" Warn "BEP 14" "Protocol" "an announce to the local network lacks its port or info hash, or has it otherwise";
    BEP15_ERROR: "bep15.error" Warn "BEP 15" "Errors" "a UDP tracker refuses";
    BEP15_EXTRA: "bep15.extra-bytes" Note "BEP 15" "UDP tracker protocol" "bytes are left at the end of the peers or torrents of a UDP tracker's answer";
    BEP15_MALFORMED: "bep15.malformed" Warn "BEP 15" "UDP tracker protocol" "a datagram to or from a UDP tracker is no message, or answers no request";
    BEP3_ANNOUNCE_EARLY: "bep3.announce-early" Note "BEP 3" "trackers" "a regular announce comes before the interval is over";
    BEP3_ANNOUNCE_MALFORMED: "bep3.announce-malformed" Warn "BEP 3" "trackers" "an announce names no torrent: its info_hash is missing, or is not 20 bytes escaped once";
    BEP3_BITFIELD_LATE: "bep3.bitfield-late" Note "BEP 3" "peer protocol" "a bitfield is not the first message, or comes again";
    BEP3_BITFIELD_LENGTH: "bep3.bitfield-length" Warn "BEP 3" "peer protocol" "a bitfield has not a bit a piece in whole bytes, the spare ones zero";
    BEP3_BLOCK_AFTER_CANCEL: "bep3.block-after-cancel" Chat "BEP 3" "peer messages" "a block comes that was cancelled: both were on their way";
    BEP3_BLOCK_AGAIN: "bep3.block-again" Note "BEP 3" "peer messages" "a block comes again that was asked for once";
    BEP3_BLOCK_UNSOLICITED: "bep3.block-unsolicited" Warn "BEP 3" "peer messages" "a block comes that was not asked for";
    BEP3_BLOCK_WHILE_CHOKING: "bep3.block-while-choking" Note "BEP 3" "peer protocol" "a block is sent to a peer that is choked";
    BEP3_CANCEL_UNREQUESTED: "bep3.cancel-unrequested" Note "BEP 3" "peer messages" "a cancel is about a block that was not asked for";
    BEP3_COMPLETED_LEFT: "bep3.completed-with-bytes-left" Warn "BEP 3" "trackers" "an announce says completed and that bytes are left";
    BEP3_DUPLICATE_CONNECTION: "bep3.duplicate-connection" Note "BEP 3" "peer protocol" "two peers have a second connection about one torrent";
    BEP3_FAILURE_REASON: "bep3.failure-reason" Warn "BEP 3" "trackers" "an HTTP tracker refuses";
    BEP3_HANDSHAKE_MALFORMED: "bep3.handshake-malformed" Error "BEP 3" "peer protocol" "a handshake has a part missing or in another form: the length byte, the name, the reserved bytes, the info hash";
    BEP3_HTTP_TO_PEER: "bep3.http-to-peer" Error "BEP 3" "peer protocol" "an HTTP request is sent to a peer, in place of a handshake";
    BEP3_IDLE: "bep3.idle" Note "BEP 3" "peer protocol" "a peer said nothing, not even keep-alives, for well over two minutes";
    BEP3_INFO_HASH_MISMATCH: "bep3.info-hash-mismatch" Warn "BEP 3" "peer protocol" "the two handshakes are about different torrents";
    BEP3_IRREGULAR_BENCODING: "bep3.irregular-bencoding" Note "BEP 3" "bencoding" "bencoding breaks its rules and can be read: keys out of order or twice, zeros in front, -0, bytes behind the value";
    BEP3_LEFT_GREW: "bep3.left-grew" Note "BEP 3" "trackers" "an announce says that more bytes are left than the one before";
    BEP3_LEFT_TOO_LITTLE: "bep3.left-too-little" Warn "BEP 3" "trackers" "an announce says that no bytes are left, and its client then requests blocks";
    BEP3_LEFT_TOO_MUCH: "bep3.left-too-much" Note "BEP 3" "trackers" "an announce says that more bytes are left than the torrent has, without the pieces that came right before";
    BEP3_LITTLE_ENDIAN: "bep3.little-endian" Error "BEP 3" "peer protocol" "the length of a message is sent in little endian";
    BEP3_MALFORMED: "bep3.malformed" Error "BEP 3" "peer messages" "a message has a wrong length for its id";
    BEP3_MALFORMED_ANSWER: "bep3.malformed-answer" Warn "BEP 3" "trackers" "a value of an HTTP tracker's answer is not what it should be";
    BEP3_NOT_BENCODED: "bep3.not-bencoded" Error "BEP 3" "trackers" "an HTTP tracker's answer is no bencoded dictionary";
    BEP3_OUT_OF_RANGE: "bep3.out-of-range" Error "BEP 3" "peer messages" "a message names a piece or bytes that the torrent has not";
    BEP3_PEER_FROM_TRACKER: "bep3.peer-from-tracker" Chat "BEP 3" "trackers" "a tracker had named the peer that is called";
    BEP3_PIECE_CORRUPT: "bep3.piece-corrupt" Error "BEP 3" "metainfo files" "a piece came whole and does not have its SHA-1";
    BEP3_PIECE_VERIFIED: "bep3.piece-verified" Chat "BEP 3" "metainfo files" "a piece came whole and has its SHA-1";
    BEP3_REQUEST_LONG: "bep3.request-too-long" Warn "BEP 3" "peer messages" "a request asks for more than 16 KiB";
    BEP3_REQUEST_CHOKED: "bep3.request-while-choked" Warn "BEP 3" "peer protocol" "a peer asks for a block while it is choked, and the piece is not allowed fast";
    BEP3_REQUEST_UNINTERESTED: "bep3.request-without-interest" Note "BEP 3" "peer protocol" "a peer asks for blocks and has not said that it is interested";
    BEP3_SELF_CONNECTION: "bep3.self-connection" Note "BEP 3" "peer protocol" "both ends have one peer id: a client called itself";
    BEP3_SNUBBED: "bep3.snubbed" Note "BEP 3" "peer protocol" "no block came for over a minute though some were asked for and may be had";
    BEP3_STARTED_MISSING: "bep3.started-missing" Note "BEP 3" "trackers" "the first announce of a download does not have the event started";
    BEP3_WARNING_MESSAGE: "bep3.warning-message" Note "BEP 3" "trackers" "an HTTP tracker warns";
    BEP4_UNKNOWN_MESSAGE: "bep4.unknown-message" Note "BEP 4" "Reserved Message IDs" "a message has an id that nobody has allocated";
    BEP5_ERROR: "bep5.error" Note "BEP 5" "Errors" "a DHT node refuses";
    BEP5_MALFORMED: "bep5.malformed" Warn "BEP 5" "KRPC Protocol" "a DHT message lacks what its method asks for, or has it otherwise";
    BEP5_PORT: "bep5.port-not-offered" Warn "BEP 5" "BitTorrent Protocol Extension" "a port message goes to a peer that did not offer DHT";
    BEP52_MALFORMED_RANGE: "bep52.hash-malformed" Warn "BEP 52" "peer messages" "a message names hashes that there cannot be";
    BEP52_UNKNOWN_ROOT: "bep52.hash-root-unknown" Warn "BEP 52" "peer messages" "a message names the root of a file that the torrent has not";
    BEP52_MANY_HASHES: "bep52.hash-too-many" Note "BEP 52" "peer messages" "more than 512 hashes are asked for at once";
    BEP52_HASHES_UNSOLICITED: "bep52.hashes-unsolicited" Warn "BEP 52" "peer messages" "hashes come that were not asked for";
    BEP52_HASHES_VERIFIED: "bep52.hashes-verified" Chat "BEP 52" "peer messages" "hashes came that lead to the root of their file, or to a hash that is known of it";
    BEP52_HASHES_WRONG: "bep52.hashes-wrong" Error "BEP 52" "peer messages" "hashes came that do not lead to the root of their file, or not as many as asked for";
    BEP52_PIECE_CORRUPT: "bep52.piece-corrupt" Error "BEP 52" "info dictionary" "a piece came whole and does not have its place in the hash tree of its file";
    BEP52_PIECE_VERIFIED: "bep52.piece-verified" Chat "BEP 52" "info dictionary" "a piece came whole and has its place in the hash tree of its file";
    BEP52_REJECT_UNREQUESTED: "bep52.reject-unrequested" Warn "BEP 52" "peer messages" "a hash reject is about hashes that were not asked for";
    BEP52_UPGRADED: "bep52.upgraded" Chat "BEP 52" "Upgrade Path" "the answer to a handshake has the other info hash of a hybrid torrent";
    BEP6_ANSWERED_TWICE: "bep6.answered-twice" Warn "BEP 6" "Modifications to Semantics of Existing Messages" "a request is answered by a block and by a reject";
    BEP6_CANCEL_UNANSWERED: "bep6.cancel-unanswered" Warn "BEP 6" "Modifications to Semantics of Existing Messages" "a cancelled request is answered neither by a block nor by a reject";
    BEP6_HOLDING_LATE: "bep6.holding-late" Note "BEP 6" "Have All/Have None" "have-all or have-none is not the first message, or comes again";
    BEP6_NOT_OFFERED: "bep6.not-offered" Warn "BEP 6" "" "a message of the fast extension comes although an end did not offer it";
    BEP6_REJECT_UNREQUESTED: "bep6.reject-unrequested" Warn "BEP 6" "Reject Request" "a reject is about a block that was not asked for";
    BEP9_WRONG_HASH: "bep9.wrong-hash" Error "BEP 9" "metadata" "metadata came whole and does not have the info hash";
    BEP9_WRONG_SIZE: "bep9.wrong-size" Warn "BEP 9" "data" "a piece of metadata has a wrong length, or another total than announced";
    CAPTURE_CUT: "capture.cut" Note "bittrace" "" "only the beginning of a datagram or of an HTTP message was captured";
    CAPTURE_DAMAGED: "capture.damaged" Warn "bittrace" "" "a message should begin here, and these bytes are none";
    CAPTURE_FRAGMENT: "capture.fragment" Note "bittrace" "" "a part of a message of which the capture lost the rest";
    CAPTURE_GAP: "capture.gap" Warn "bittrace" "" "the capture lost bytes of the stream";
    CAPTURE_MEMORY: "capture.memory" Note "bittrace" "" "bytes that wait for the rest of their message are shown without it: all streams together hold too many";
    CAPTURE_OTHER_SIDE: "capture.other-side-of-nat" Note "bittrace" "" "a connection is another one of the capture, seen on the other side of a translation of addresses (NAT)";
    CAPTURE_RESYNCHRONISED: "capture.resynchronised" Note "bittrace" "" "what precedes these bytes is missing";
    CAPTURE_UNFINISHED: "capture.unfinished" Note "bittrace" "" "the stream ends before the message does";
    HTTP_STATUS: "http.status" Warn "RFC 9110" "15" "an HTTP tracker answers with a status other than 200";
    MSE_NOT_DECIPHERED: "mse.not-deciphered" Note "bittrace" "" "the key of an encrypted connection is known, but what follows cannot be deciphered by it";
    MSE_OTHER_TORRENT: "mse.other-torrent" Note "bittrace" "" "the secret of an encrypted connection is known, but with another torrent than the connection is about";
    STATE_CHANGED: "state.changed" Chat "BEP 3" "peer protocol" "who is choked or interested has changed";
    STATE_UNCHANGED: "state.unchanged" Note "BEP 3" "peer protocol" "a message says what was so already";
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
