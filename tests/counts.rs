//! How many messages of each type a capture holds, by others' counts.

use std::collections::BTreeMap;
use std::path::Path;

use bittrace_testing::captures::{captures, captures_folder, records};
use bittrace_testing::tshark;
use bittrace_trace::{Body, Reason, Unreadable};

/// Messages by `protocol.message`.
type Counts = BTreeMap<String, u64>;

/// captures/expected.tsv is counted by captures/tools/count_messages.py, which shares no code with bittrace, and
/// checked against the clients' logs when a capture is recorded.
#[test]
fn counts_equal_those_taken_when_the_captures_were_recorded() {
    let mut expected: BTreeMap<String, Counts> = BTreeMap::new();
    let table =
        std::fs::read_to_string(captures_folder().join("expected.tsv")).expect("expected.tsv is there");
    for line in table.lines() {
        let [capture, message, count] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("expected.tsv: {line:?} is not three columns");
        };
        let count = count.parse().expect("the third column is a number");
        expected.entry(capture.to_owned()).or_default().insert(message.to_owned(), count);
    }
    for path in captures() {
        let name = path.file_name().expect("a capture has a name").to_string_lossy().into_owned();
        let mut expected = expected.remove(&name).unwrap_or_else(|| panic!("{name} is not in expected.tsv"));
        expected.remove("packets");
        let mut counted = counts(&path);
        counted.retain(|message, _| is_a_message(message));
        if name == "capture-loss.pcap" {
            // The counting program stops at a lost segment; we go on, as the next test shows.
            assert!(counted.remove("peer-wire.piece") > expected.remove("peer-wire.piece"));
        }
        assert_eq!(counted, expected, "{name}");
    }
    assert!(expected.is_empty(), "expected.tsv counts captures that are not there: {:?}", expected.keys());
}

/// In capture-loss all 19 blocks of the content were sent, each once; 7 of them lost one packet each.
#[test]
fn a_lost_packet_costs_one_message_alone() {
    let records = records(&captures_folder().join("capture-loss.pcap"));
    let whole = records.iter().filter(|record| record.body.message() == "piece").count();
    let begun = records.iter().filter(|record| match &record.body {
        Body::Unreadable(_, Unreadable::Opaque(Reason::Fragment(fragment))) => {
            fragment.name() == "piece" && fragment.from == 0
        }
        _ => false,
    });
    let gaps = records.iter().filter(|record| matches!(record.body, Body::Unreadable(_, Unreadable::Gap(_))));
    assert_eq!((whole, begun.count(), gaps.count()), (12, 7, 7));
    let answered = records.iter().filter(|record| {
        let piece = matches!(&record.body, Body::Unreadable(_, Unreadable::Opaque(Reason::Fragment(fragment))) if fragment.from == 0);
        (piece || record.body.message() == "piece") && record.answers.is_some()
    });
    assert_eq!(answered.count(), 19);
}

/// Where tshark 4.0.17 counts otherwise than we do, and why it is wrong there.
const TSHARK_IS_WRONG: &[(&str, &[&str], &str)] = &[
    ("capture-loss", &["piece"], "nothing is read after a lost segment"),
    (
        "hybrid-v2-hashes",
        &["allowed-fast", "hash-request", "hashes", "interested", "request", "unchoke"],
        "messages of BEP 52 swallow the rest of their segment",
    ),
    ("magnet-metadata-pex", &["extended"], "a full 16 KiB piece of metadata becomes continuation data"),
    ("mid-stream", &["have", "piece", "request"], "what precedes the first handshake is never recognised"),
    ("mse-plaintext", &["handshake"], "a handshake after a key exchange is missed"),
    (
        "mse-rc4-keyed",
        &[
            "extended",
            "handshake",
            "have",
            "have-all",
            "have-none",
            "interested",
            "piece",
            "request",
            "unchoke",
        ],
        "what is encrypted is not read",
    ),
];

#[test]
fn counts_equal_those_of_tshark_where_it_is_right() {
    if !bittrace_testing::programs::is_there("tshark") {
        return;
    }
    for path in captures() {
        let name = bittrace_testing::captures::scenario(&path);
        let theirs = tshark::peer_messages(&path, &[REASSEMBLED, decode_as(&path)].concat());
        let ours = counts(&path);
        let wrong = TSHARK_IS_WRONG.iter().find(|(scenario, ..)| *scenario == name);
        for message in tshark::MESSAGE_TYPES.iter().map(|(_, message)| *message).chain(["handshake"]) {
            let ours = ours.get(&format!("peer-wire.{message}")).copied().unwrap_or(0);
            let theirs = theirs.get(message).copied().unwrap_or(0);
            match wrong.filter(|(_, messages, _)| messages.contains(&message)) {
                None => assert_eq!(ours, theirs, "{name}: {message}"),
                Some((_, _, reason)) => {
                    assert!(ours > theirs, "{name}: {message}: no longer true: {reason}");
                }
            }
        }
        let ours = ["http-tracker.announce-request", "http-tracker.scrape-request"]
            .iter()
            .filter_map(|message| counts(&path).get(*message).copied())
            .sum::<u64>();
        assert_eq!(ours, tshark_tracker_requests(&path), "{name}: requests to HTTP trackers");
    }
}

fn is_a_message(message: &str) -> bool {
    let unread = ["opaque", "gap", "key-exchange", "encrypted"];
    !unread.iter().any(|other| message.ends_with(&format!(".{other}")))
}

fn counts(path: &Path) -> Counts {
    let mut counts = Counts::new();
    for record in records(path) {
        let message = format!("{}.{}", record.body.protocol().name(), record.body.message());
        *counts.entry(message).or_default() += 1;
    }
    counts
}

/// uTP is recognised where tshark is told to look for it.
fn decode_as(path: &Path) -> &'static [&'static str] {
    if bittrace_testing::captures::scenario(path) == "utp-download" {
        &["-d", "udp.port==6885,bt-utp"]
    } else {
        &[]
    }
}

fn tshark(path: &Path, arguments: &[&str]) -> String {
    tshark::tshark(path, &[REASSEMBLED, decode_as(path), arguments].concat())
}

/// Segments that come late are put in their place.
const REASSEMBLED: &[&str] = &["-o", "tcp.reassemble_out_of_order:TRUE"];

fn tshark_tracker_requests(path: &Path) -> u64 {
    // A web seed of BEP 17 is asked by info hash and piece.
    let filter = "(http.request.uri contains \"info_hash\" || http.request.uri contains \"/scrape\") \
        && !(http.request.uri contains \"&piece=\")";
    tshark(path, &["-Y", filter, "-T", "fields", "-e", "frame.number"]).lines().count() as u64
}
