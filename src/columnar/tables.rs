//! The tables, column by column.

use crate::table::{Column, ColumnType, Table};

/// The version of all tables. A column more keeps it; anything else raises it.
pub const SCHEMA_VERSION: &str = "1";

/// All tables.
pub const TABLES: [&Table; 5] = [&MESSAGES, &CONVERSATIONS, &PIECES, &FINDINGS, &CAPTURES];

/// Values may be missing.
const NULL: bool = true;
/// Every row has a value.
const SET: bool = false;

macro_rules! columns {
    ($($name:literal $kind:ident $(($parts:expr))? $null:ident $json:literal $text:literal,)*) => {
        &[$(Column {
            name: $name,
            kind: ColumnType::$kind $(($parts))?,
            null: $null,
            json: $json,
            text: $text,
        },)*]
    };
}

/// What a note of a message has.
pub(crate) const NOTE: &[Column] = columns! {
    "severity" Text SET "severity" "chat, note, warn or error",
    "rule" Text SET "rule" "the rule",
    "text" Text SET "text" "the finding",
};

/// A message in each row.
pub static MESSAGES: Table = Table {
    name: "messages",
    text: "a message of a capture; capture and n are its key",
    columns: columns! {
        "capture" Name SET "capture" "the capture",
        "n" Counter SET "n_in_capture" "the number of the message in its capture, from 1",
        "time" Moment SET "time" "when its last packet was captured, to the microsecond",
        "time_ns" MomentInNanoseconds SET "time" "the same in nanoseconds since 1970 UTC",
        "elapsed_ns" Nanoseconds SET "elapsed" "the same since the first packet of the capture",
        "frame" Counter NULL "wireshark.frame" "the packet where Wireshark shows the message: the last of frames",
        "frames" Counters SET "frames" "the packets that carried it, by Wireshark's numbers",
        "stream" Small SET "stream" "the stream, from 0 in the order in which bittrace recognises them",
        "ws_stream" Small NULL "wireshark.stream" "Wireshark's tcp.stream or udp.stream",
        "community_id" Name SET "community_id" "the Community ID of the conversation, as Zeek, Suricata and Wireshark have it",
        "src_ip" Name SET "src" "the address that sent it",
        "src_port" Small SET "src" "the port that sent it",
        "dst_ip" Name SET "dst" "the address that received it",
        "dst_port" Small SET "dst" "the port that received it",
        "speaker" Name SET "speaker" "local or far, or initiator or responder",
        "transport" Name SET "transport" "tcp, udp or utp",
        "protocol" Name SET "protocol" "such as peer-wire",
        "message" Name SET "message" "such as request",
        "offset" Counter SET "offset" "its first byte in its direction of the stream",
        "length" Number SET "length" "its length on the wire in bytes",
        "summary" Text SET "summary" "the message on one line; --no-summary leaves the column out",
        "index" Number NULL "fields.index" "the piece, from 0: of have, request, piece, cancel, reject-request, allowed-fast, suggest-piece",
        "begin" Number NULL "fields.begin" "where the block begins in the piece: of request, piece, cancel, reject-request",
        "block_length" Number NULL "fields.length" "the length of the block in bytes: of request, piece, cancel, reject-request",
        "extension" Name NULL "fields.extension" "the extension of an extended message, such as ut_pex",
        "event" Name NULL "fields.event" "the event of an announce, such as started",
        "left" Number NULL "fields.left" "left of an announce in bytes; null where it is above 2^63 - 1",
        "uploaded" Number NULL "fields.uploaded" "uploaded of an announce in bytes; null where it is above 2^63 - 1",
        "downloaded" Number NULL "fields.downloaded" "downloaded of an announce in bytes; null where it is above 2^63 - 1",
        "interval" Number NULL "fields.interval" "the seconds until the next announce, of a tracker's answer",
        "seeders" Number NULL "fields.seeders" "peers that have everything, of a tracker's answer (HTTP: complete)",
        "leechers" Number NULL "fields.leechers" "peers that do not, of a tracker's answer (HTTP: incomplete)",
        "peers" Texts NULL "fields.peers" "the peers of a tracker's answer, of PEX (added) and of the DHT (values)",
        "fields" Text NULL "fields" "all fields as JSON; null where there are none, or index, begin and block_length say everything",
        "client" Name NULL "client" "the sender's client, once it is known",
        "torrent" Name NULL "torrent" "the info hash of the torrent it is about",
        "decrypted" Flag SET "decrypted" "it was encrypted on the wire",
        "answers" Counter NULL "answers" "the n of the message that it answers",
        "latency_ns" Nanoseconds NULL "latency" "the time from that message to this one",
        "severity" Name NULL "severity" "the highest severity of its notes",
        "notes" Structs(NOTE) SET "notes" "findings on the message; an empty list where there are none",
        "bytes" Bytes SET "bytes" "its bytes; with --hex only",
    },
};

/// A connection between peers in each row.
pub static CONVERSATIONS: Table = Table {
    name: "conversations",
    text: "a connection between peers; capture and stream are its key",
    columns: columns! {
        "capture" Name SET "capture" "the capture",
        "stream" Small NULL "stream" "the stream; null for an attempt that was refused or not answered",
        "ws_stream" Small NULL "ws_stream" "Wireshark's tcp.stream or udp.stream",
        "transport" Name SET "transport" "tcp or utp",
        "initiator" Name SET "initiator" "address and port that opened the connection",
        "responder" Name SET "responder" "address and port that were called",
        "torrent" Name NULL "torrent" "the info hash",
        "opened" Moment SET "opened" "when its first packet was captured, to the microsecond",
        "opened_ns" MomentInNanoseconds SET "opened" "the same in nanoseconds since 1970 UTC",
        "elapsed_ns" Nanoseconds SET "elapsed" "the same since the first packet of the capture",
        "duration_ns" Nanoseconds SET "duration" "from there to its last packet",
        "outcome" Text NULL "outcome" "how it ended",
        "initiator_client" Name NULL "from_initiator.client" "the initiator's client",
        "initiator_bytes" Number SET "from_initiator.bytes" "bytes that the initiator sent",
        "initiator_payload" Number SET "from_initiator.payload" "bytes of blocks among them",
        "initiator_blocks" Number SET "from_initiator.blocks" "blocks",
        "initiator_rate" Fraction NULL "from_initiator.rate" "bytes of blocks a second",
        "initiator_requests" Number SET "from_initiator.requests" "requests that the initiator sent",
        "initiator_unanswered" Number SET "from_initiator.unanswered" "requests that were never answered",
        "initiator_depth_median" Number NULL "from_initiator.depth.median" "outstanding requests, the median",
        "initiator_depth_max" Number NULL "from_initiator.depth.max" "outstanding requests, at most",
        "initiator_latency_p50_ns" Nanoseconds NULL "from_initiator.latency.p50" "from a request to its block, the median",
        "initiator_latency_p95_ns" Nanoseconds NULL "from_initiator.latency.p95" "the same, of 95 in 100 requests at most",
        "initiator_latency_max_ns" Nanoseconds NULL "from_initiator.latency.max" "the same, the longest",
        "initiator_choked_ns" Nanoseconds NULL "from_initiator.choked" "how long the initiator was choked",
        "initiator_chokes" Number SET "from_initiator.chokes" "how often the initiator was choked",
        "initiator_duplicate" Number SET "from_initiator.duplicate" "bytes of blocks that the receiver had already",
        "initiator_again_after_wrong_hash" Number SET "from_initiator.again_after_wrong_hash" "of these, bytes that had to come again",
        "initiator_wrong_hash" Number SET "from_initiator.wrong_hash" "bytes of pieces that then had the wrong hash",
        "initiator_unsolicited" Number SET "from_initiator.unsolicited" "blocks that nobody had requested",
        "responder_client" Name NULL "from_responder.client" "the responder's client",
        "responder_bytes" Number SET "from_responder.bytes" "bytes that the responder sent",
        "responder_payload" Number SET "from_responder.payload" "bytes of blocks among them",
        "responder_blocks" Number SET "from_responder.blocks" "blocks",
        "responder_rate" Fraction NULL "from_responder.rate" "bytes of blocks a second",
        "responder_requests" Number SET "from_responder.requests" "requests that the responder sent",
        "responder_unanswered" Number SET "from_responder.unanswered" "requests that were never answered",
        "responder_depth_median" Number NULL "from_responder.depth.median" "outstanding requests, the median",
        "responder_depth_max" Number NULL "from_responder.depth.max" "outstanding requests, at most",
        "responder_latency_p50_ns" Nanoseconds NULL "from_responder.latency.p50" "from a request to its block, the median",
        "responder_latency_p95_ns" Nanoseconds NULL "from_responder.latency.p95" "the same, of 95 in 100 requests at most",
        "responder_latency_max_ns" Nanoseconds NULL "from_responder.latency.max" "the same, the longest",
        "responder_choked_ns" Nanoseconds NULL "from_responder.choked" "how long the responder was choked",
        "responder_chokes" Number SET "from_responder.chokes" "how often the responder was choked",
        "responder_duplicate" Number SET "from_responder.duplicate" "bytes of blocks that the receiver had already",
        "responder_again_after_wrong_hash" Number SET "from_responder.again_after_wrong_hash" "of these, bytes that had to come again",
        "responder_wrong_hash" Number SET "from_responder.wrong_hash" "bytes of pieces that then had the wrong hash",
        "responder_unsolicited" Number SET "from_responder.unsolicited" "blocks that nobody had requested",
    },
};

/// What a sender of a piece has.
const SENDER: &[Column] = columns! {
    "peer" Text SET "peer" "the address that sent blocks",
    "web_seed" Flag SET "web_seed" "it is a web seed",
    "blocks" Number SET "blocks" "how many blocks",
    "parts" Number SET "parts" "how many parts of blocks or of files",
};

/// What a missing part of a piece has.
const RANGE: &[Column] = columns! {
    "first" Number SET "0" "the first byte that is missing",
    "last" Number SET "1" "the last byte that is missing",
};

/// A piece in each row.
pub static PIECES: Table = Table {
    name: "pieces",
    text: "a piece of which the capture has blocks; capture, torrent and piece are its key",
    columns: columns! {
        "capture" Name SET "capture" "the capture",
        "torrent" Name SET "torrent" "the info hash",
        "piece" Number SET "piece" "the piece, from 0",
        "size" Number NULL "size" "its length in bytes",
        "senders" Structs(SENDER) SET "from" "who sent blocks of the piece",
        "complete_ns" Nanoseconds NULL "complete" "when its last missing byte came, since the first packet of the capture",
        "n" Number NULL "n" "the message that brought that byte",
        "verdict" Name SET "verdict" "whether its hash is right",
        "right" Number SET "right" "how often it was complete with the right hash",
        "wrong" Number SET "wrong" "how often it was complete with a wrong hash",
        "missing" Structs(RANGE) NULL "missing" "the bytes that are missing; null where its length is not known",
        "verified_ns" Nanoseconds NULL "verified.elapsed" "when it was first complete with the right hash, since the first packet of the capture",
        "verified_n" Number NULL "verified.n" "the message after which it was",
        "wrong_blocks" Number SET "wrong_blocks" "blocks of attempts that had a wrong hash",
        "again_after_wrong_hash" Number SET "again.after_wrong_hash" "bytes that came again because they had to",
        "again_for_nothing" Number SET "again.for_nothing" "bytes that came again for nothing",
    },
};

/// A broken rule in each row.
pub static FINDINGS: Table = Table {
    name: "findings",
    text: "a rule that messages of a capture broke; capture and rule are its key",
    columns: columns! {
        "capture" Name SET "capture" "the capture",
        "rule" Name SET "rule" "the rule",
        "severity" Name SET "severity" "chat, note, warn or error",
        "count" Number SET "count" "how often",
        "document" Name SET "document" "the document that makes the rule",
        "section" Name SET "section" "its section",
        "text" Text SET "text" "the rule in words",
        "says" Text SET "says" "the first finding in words",
        "first_n" Number SET "first" "the n of the first message",
        "frames" Counters SET "frames" "the first packets, by Wireshark's numbers",
        "filter" Text SET "filter" "a display filter for these packets",
        "messages" Counters SET "messages" "the n of the first messages",
        "message_count" Number SET "message_count" "how many messages",
    },
};

/// A capture in each row.
pub static CAPTURES: Table = Table {
    name: "captures",
    text: "a capture, also one that could not be read; capture is its key",
    columns: columns! {
        "capture" Name SET "capture" "the capture",
        "ok" Flag SET "ok" "it could be read; also true of a capture that is cut short",
        "exit" Number SET "exit" "the exit code for this capture alone",
        "error" Text NULL "error" "why it could not be read, or not to its end",
        "format" Name NULL "format" "the file's format",
        "packets" Number SET "packets" "packets that were read",
        "bytes" Number SET "bytes" "bytes of packets that were read",
        "copies" Number SET "copies" "packets that the capture has twice, and that count once",
        "first_time" Moment NULL "first_time" "when the first packet was captured, to the microsecond",
        "first_time_ns" MomentInNanoseconds NULL "first_time" "the same in nanoseconds since 1970 UTC",
        "last_time" Moment NULL "last_time" "when the last packet was captured, to the microsecond",
        "last_time_ns" MomentInNanoseconds NULL "last_time" "the same in nanoseconds since 1970 UTC",
        "local" Name NULL "local" "the address of the host that the capture is about",
        "truncated" Flag SET "truncated" "the file is cut short",
        "cut_at" Number NULL "cut_at" "the byte of the file where the incomplete packet begins",
        "messages" Number SET "messages" "messages that were read and chosen",
        "findings_chat" Number SET "findings.chat" "findings on these messages of severity chat",
        "findings_note" Number SET "findings.note" "of severity note",
        "findings_warn" Number SET "findings.warn" "of severity warn",
        "findings_error" Number SET "findings.error" "of severity error",
        "version" Name SET "version" "the version of bittrace",
        "schema" Name SET "schema" "the version of these tables",
    },
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_those_of_sql_and_stand_once() {
        for table in TABLES {
            let mut names = HashSet::new();
            for column in table.columns {
                let is_plain = column
                    .name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
                assert!(is_plain && names.insert(column.name), "{}.{}", table.name, column.name);
                assert!(!column.text.ends_with('.'), "{}.{}", table.name, column.name);
            }
            assert_eq!(table.columns[0].name, "capture");
        }
    }
}
