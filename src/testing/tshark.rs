//! What Wireshark's program for the command line says of a capture, to compare with what bittrace says.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// The types of peer wire messages that tshark numbers. Keep-alives have no number: it cannot count them.
pub const MESSAGE_TYPES: &[(u8, &str)] = &[
    (0, "choke"),
    (1, "unchoke"),
    (2, "interested"),
    (3, "not-interested"),
    (4, "have"),
    (5, "bitfield"),
    (6, "request"),
    (7, "piece"),
    (8, "cancel"),
    (9, "port"),
    (13, "suggest-piece"),
    (14, "have-all"),
    (15, "have-none"),
    (16, "reject-request"),
    (17, "allowed-fast"),
    (20, "extended"),
    (21, "hash-request"),
    (22, "hashes"),
    (23, "hash-reject"),
];

/// What tshark prints of a capture when it has these arguments.
///
/// # Panics
/// When tshark does not start, or fails.
pub fn tshark(capture: &Path, arguments: &[&str]) -> String {
    let output = Command::new("tshark").arg("-r").arg(capture).args(arguments).output();
    let output = output.expect("tshark starts");
    assert!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// These fields of the packets that a display filter selects; of all packets where the filter is empty.
///
/// # Panics
/// As of [`tshark`].
pub fn fields(capture: &Path, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let filter = if filter.is_empty() { vec![] } else { vec!["-Y", filter] };
    fields_with(capture, &filter, fields)
}

/// These fields of packets; tshark has these arguments as well.
///
/// # Panics
/// As of [`tshark`].
pub fn fields_with(capture: &Path, more: &[&str], fields: &[&str]) -> Vec<Vec<String>> {
    let columns = fields.iter().flat_map(|field| ["-e", *field]);
    let arguments: Vec<_> = more.iter().copied().chain(["-T", "fields"]).chain(columns).collect();
    let rows = tshark(capture, &arguments);
    rows.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// How many messages between peers of each type tshark finds, by their names; it has these arguments as well.
///
/// # Panics
/// As of [`tshark`].
pub fn peer_messages(capture: &Path, more: &[&str]) -> BTreeMap<&'static str, u64> {
    let columns = ["-e", "bittorrent.msg.type", "-e", "bittorrent.protocol.name.length"];
    let arguments = [more, &["-Y", "bittorrent", "-T", "fields"], &columns].concat();
    let mut counts = BTreeMap::new();
    for line in tshark(capture, &arguments).lines() {
        let (types, handshakes) = line.split_once('\t').expect("two columns were asked for");
        for number in types.split(',').filter(|number| !number.is_empty()) {
            let number: u8 = number.parse().expect("a message type is a number");
            let known = MESSAGE_TYPES.iter().find(|(id, _)| *id == number);
            *counts.entry(known.map_or("unknown", |(_, name)| *name)).or_default() += 1;
        }
        let handshakes = handshakes.split(',').filter(|length| !length.is_empty()).count() as u64;
        *counts.entry("handshake").or_default() += handshakes;
    }
    counts
}
