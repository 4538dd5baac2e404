//! The numbers that Wireshark gives conversations and packets: bittrace's are the same, checked against tshark.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use bittrace_protocol::wire::Handshake;
use bittrace_protocol::{InfoHash, PeerId};
use bittrace_testing::captures::{all_records, captures, captures_folder, options, records, scenario};
use bittrace_testing::command;
use bittrace_testing::programs::is_there;
use bittrace_testing::tshark::{fields as tshark, fields_with};
use bittrace_trace::record::Transport;
use bittrace_trace::{CommunityIds, Record, Trace};

/// The conversation that Wireshark counts each packet to, over TCP and over UDP. A packet in a tunnel has several; the
/// innermost is what it carries.
fn conversations(capture: &Path) -> HashMap<u64, [Option<u32>; 2]> {
    let rows = tshark(capture, "", &["frame.number", "tcp.stream", "udp.stream"]);
    let innermost = |text: &String| text.split(',').next_back().and_then(|number| number.parse().ok());
    let row =
        |row: Vec<String>| (row[0].parse().expect("a number"), [innermost(&row[1]), innermost(&row[2])]);
    rows.into_iter().map(row).collect()
}

fn compare(capture: &Path, records: &[Record]) {
    let expected = conversations(capture);
    assert!(!records.is_empty() || scenario(capture) == "not-bittorrent");
    for record in records {
        let frame = record.frames.last().expect("a packet");
        let over = usize::from(record.transport != Transport::Tcp);
        assert_eq!(
            record.wireshark_stream,
            expected[frame][over],
            "{}: message {}, packet {frame}",
            capture.display(),
            record.number
        );
    }
}

#[test]
fn every_message_has_wiresharks_number_of_its_conversation() {
    if !is_there("tshark") {
        return;
    }
    for path in captures() {
        compare(&path, &records(&path));
    }
}

/// The Community ID that Wireshark gives each packet; of a packet in a tunnel, that of the two ends that talk through it.
fn community_ids(capture: &Path) -> HashMap<u64, String> {
    let rows = fields_with(capture, &["--enable-protocol", "communityid"], &["frame.number", "communityid"]);
    rows.into_iter().map(|row| (row[0].parse().expect("a number"), row[1].clone())).collect()
}

fn compare_community_ids(capture: &Path, records: &[Record]) {
    let expected = community_ids(capture);
    let mut ids = CommunityIds::default();
    for record in records {
        let frame = record.frames.last().expect("a packet");
        let id = ids.of(record);
        assert_eq!(
            id.as_str(),
            expected[frame],
            "{}: message {}, packet {frame}",
            capture.display(),
            record.number
        );
    }
}

#[test]
fn every_message_has_wiresharks_community_id() {
    if !is_there("tshark") {
        return;
    }
    let mut seen = HashSet::new();
    for path in captures() {
        let records = records(&path);
        compare_community_ids(&path, &records);
        seen.extend(records.iter().map(|record| (record.transport.name(), record.source.is_ipv6())));
    }
    for kind in [("tcp", false), ("tcp", true), ("udp", false), ("utp", false)] {
        assert!(seen.contains(&kind), "no message {kind:?} in {seen:?}");
    }
}

#[test]
fn a_message_in_a_tunnel_has_the_community_id_of_its_innermost_ends() {
    if !is_there("tshark") {
        return;
    }
    let mut plain = Made::new();
    plain.connection((4_001, 6_881), 1_000);
    let mut tunnelled = Made { tunnel: &[0, 0, 8, 0], ..Made::new() };
    tunnelled.connection((4_001, 6_881), 1_000);
    let ids = [plain, tunnelled].map(|made| {
        let (folder, path) = made.write();
        let records = all_records(Trace::open(&path, options(&path)).expect("a capture"), "made");
        compare_community_ids(&path, &records);
        drop(folder);
        CommunityIds::default().of(records.first().expect("a handshake"))
    });
    assert_eq!(ids[0], ids[1]);
}

/// Blocks that Wireshark puts together as we do, in captures that have every packet in order.
#[test]
fn the_last_packet_of_a_block_is_where_wireshark_shows_it() {
    if !is_there("tshark") {
        return;
    }
    for path in captures() {
        if !["download-aria2", "fast-extension", "http-tracker-single-peer"]
            .contains(&scenario(&path).as_str())
        {
            continue;
        }
        let rows = tshark(&path, "bittorrent.msg.type == 7", &["frame.number"]);
        let mut expected: Vec<u64> = rows.iter().map(|row| row[0].parse().expect("a number")).collect();
        let blocks = records(&path).into_iter().filter(|record| record.body.message() == "piece");
        let mut ours: Vec<u64> = blocks.filter_map(|record| record.frames.last().copied()).collect();
        expected.dedup();
        ours.dedup();
        assert_eq!(ours, expected, "{}", path.display());
    }
}

#[test]
fn the_display_filter_of_a_finding_selects_its_packets() {
    if !is_there("tshark") {
        return;
    }
    let path = captures_folder().join("fast-extension.pcap");
    let arguments =
        ["analyze", "fast-extension.pcap", "--view", "findings", "--format", "json", "--no-summary"];
    let mut command = command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), &arguments);
    let output = command.output().expect("bittrace starts");
    let rows = String::from_utf8(output.stdout).expect("text");
    assert!(rows.lines().count() > 1, "{rows}");
    for row in rows.lines() {
        let row: serde_json::Value = serde_json::from_str(row).expect("an object");
        let selected = tshark(&path, row["finding"]["filter"].as_str().expect("a filter"), &["frame.number"]);
        let mut named: Vec<String> =
            row["finding"]["frames"].as_array().expect("packets").iter().map(ToString::to_string).collect();
        named.dedup();
        assert_eq!(selected.concat(), named, "{row}");
    }
}

/// What `tshark -T fields -E header=y` prints of the packets with a block, bittrace prints under the same names.
#[test]
fn columns_under_wiresharks_names_are_those_of_tshark() {
    if !is_there("tshark") {
        return;
    }
    let names = ["frame.number", "ip.src", "tcp.srcport", "ip.dst", "tcp.stream", "communityid"];
    let path = captures_folder().join("download-aria2.pcap");
    let (fields, filter) = (names.join(","), "bittorrent.msg.type == 7");
    let more = ["--enable-protocol", "communityid", "-Y", filter, "-E", "header=y"];
    let theirs = fields_with(&path, &more, &names);
    let arguments = ["analyze", "download-aria2.pcap", "--filter", filter, "--fields", &fields];
    let arguments = [&arguments[..], &["--format", "csv", "--separator", "tab"]].concat();
    let (code, ours, stderr) =
        command::run(&mut command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), &arguments));
    assert_eq!((code, stderr.as_str()), (0, ""));
    let mut ours: Vec<Vec<String>> =
        ours.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect();
    // A packet that ends two blocks is one row of tshark.
    ours.dedup();
    assert!(ours.len() > 10, "{ours:?}");
    assert_eq!(ours, theirs);
}

/// A packet of IPv4.
fn ip(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0];
    bytes.extend((20 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 1]);
    bytes.extend(payload);
    bytes
}

/// A capture of IPv4 packets without a link layer.
struct Made {
    bytes: Vec<u8>,
    /// The header of the tunnel that the packets go through, after an IP header of protocol GRE (RFC 2784); empty for none.
    tunnel: &'static [u8],
}

impl Made {
    fn new() -> Self {
        let mut bytes = 0xa1b2_c3d4u32.to_be_bytes().to_vec();
        bytes.extend([0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 101]);
        Self { bytes, tunnel: &[] }
    }

    /// Writes the capture to a file of a folder that goes when it is dropped.
    fn write(&self) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("made.pcap");
        std::fs::write(&path, &self.bytes).expect("it can be written");
        (folder, path)
    }

    fn packet(&mut self, protocol: u8, payload: &[u8]) {
        let mut packet = ip(protocol, payload);
        if !self.tunnel.is_empty() {
            packet = ip(GRE, &[self.tunnel, &packet].concat());
        }
        let (time, length) = (self.bytes.len() as u32, packet.len() as u32);
        for number in [time, 0, length, length] {
            self.bytes.extend(number.to_be_bytes());
        }
        self.bytes.extend(packet);
    }

    fn tcp(&mut self, (from, to): (u16, u16), (seq, ack): (u32, u32), flags: u8, payload: &[u8]) {
        let mut segment = [from.to_be_bytes(), to.to_be_bytes()].concat();
        segment.extend([seq.to_be_bytes(), ack.to_be_bytes()].concat());
        segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend(payload);
        self.packet(6, &segment);
    }

    fn udp(&mut self, from: u16, to: u16) {
        let mut datagram = [from.to_be_bytes(), to.to_be_bytes()].concat();
        datagram.extend([0, 9, 0, 0, b'x']);
        self.packet(17, &datagram);
    }

    /// A connection that begins with this number, and a handshake on it.
    fn connection(&mut self, ports: (u16, u16), seq: u32) {
        self.tcp(ports, (seq, 0), SYN, &[]);
        self.tcp((ports.1, ports.0), (seq ^ 0xffff, seq + 1), SYN | ACK, &[]);
        let handshake =
            Handshake { reserved: [0; 8], info_hash: InfoHash([7; 20]), peer_id: PeerId([8; 20]) };
        self.tcp(ports, (seq + 1, (seq ^ 0xffff) + 1), ACK, &handshake.encode());
    }
}

/// The number of GRE in an IP header.
const GRE: u8 = 47;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

#[test]
fn reused_ports_refused_connections_and_other_traffic_are_counted_as_wireshark_does() {
    if !is_there("tshark") {
        return;
    }
    let mut made = Made::new();
    made.udp(5_000, 53);
    made.tcp((4_000, 80), (1, 0), SYN, &[]);
    made.tcp((80, 4_000), (0, 2), RST | ACK, &[]);
    made.connection((4_001, 6_881), 1_000);
    // The same ports again without an end, after an end, and with the number that they began with.
    made.connection((4_001, 6_881), 90_000);
    made.tcp((4_001, 6_881), (90_069, 24_464), FIN | ACK, &[]);
    made.connection((4_001, 6_881), 200_000);
    made.tcp((4_001, 6_881), (200_000, 0), SYN, &[]);
    made.tcp((6_881, 4_001), (77, 200_001), SYN | ACK, &[]);
    made.udp(5_001, 53);
    made.connection((4_002, 6_881), 5);
    // The other end calls from the port that it listened on.
    made.connection((6_881, 4_002), 777_000);
    let (_folder, path) = made.write();
    let records = all_records(Trace::open(&path, options(&path)).expect("a capture"), "made");
    let numbers: Vec<_> = records.iter().filter_map(|record| record.wireshark_stream).collect();
    assert!(numbers.len() >= 5, "{numbers:?}");
    compare(&path, &records);
}
