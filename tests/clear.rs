//! `bittrace clear` as a user runs it: the messages of a capture as plain TCP, for readers that see less.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bittrace_protocol::wire::Handshake;
use bittrace_protocol::{InfoHash, PeerId, Timestamp};
use bittrace_testing::captures::{
    all_records, captures, captures_folder, options, records, scenario, torrent,
};
use bittrace_testing::command::{self, scratch_folder};
use bittrace_testing::programs::{has_path, is_there};
use bittrace_testing::tshark;
use bittrace_trace::{
    Body, Capture, Direction, Dissected, Flow, HostName, MseBody, Protocol, Record, Recorder, StreamClosing,
    StreamId, StreamOpening, Trace, TraceOptions, Transport, Unreadable,
};

const BITTRACE: &str = env!("CARGO_BIN_EXE_bittrace");

fn bittrace(arguments: &[&str]) -> (i32, String, String) {
    command::run(&mut command::bittrace(BITTRACE, &captures_folder(), arguments))
}

fn text_of(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The captures, those of slow downloads among them.
fn all_captures() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(captures_folder().join("diagnosis")).expect("captures/diagnosis");
    let diagnosis = folder.map(|entry| entry.expect("an entry").path());
    let mut all = captures();
    all.extend(diagnosis.filter(|path| path.to_string_lossy().contains(".pcap")));
    all.sort();
    all
}

/// Writes a capture clear, with what is known of it; what was said on standard error.
fn clear(capture: &Path, out: &Path) -> String {
    let beside = |extension: &str| capture.with_file_name(format!("{}.{extension}", scenario(capture)));
    let (torrent, keys) = (beside("torrent"), beside("keys"));
    let mut arguments = vec!["clear", text_of(capture), "-o", text_of(out)];
    if torrent.exists() {
        arguments.extend(["--torrent", text_of(&torrent)]);
    }
    if keys.exists() {
        arguments.extend(["--mse-keys", text_of(&keys)]);
    }
    let (code, printed, errors) = bittrace(&arguments);
    assert_eq!((code, &*printed), (0, ""), "{errors}");
    errors
}

/// What a clear capture has of a record: its protocol and message, its bytes, when it was complete. Of bytes that were lost only
/// how many, where that is known: the loss is noticed at another time.
fn said(record: &Record) -> Option<(&'static str, &'static str, Vec<u8>, Option<i64>)> {
    let (protocol, message) = (record.body.protocol().name(), record.body.message());
    match record.body {
        Body::Mse(_) | Body::Proxy(_) | Body::Unreadable(Protocol::Mse, _) => None,
        Body::Unreadable(_, Unreadable::LostPackets(_)) => Some((protocol, message, Vec::new(), None)),
        Body::Unreadable(_, Unreadable::Gap(length)) if record.transport == Transport::Tcp => {
            Some((protocol, message, length.to_be_bytes().to_vec(), None))
        }
        _ => Some((protocol, message, record.bytes.to_vec(), Some(record.at.as_nanos()))),
    }
}

/// What is said, by the ends and the direction.
fn by_way<'r>(
    records: impl Iterator<Item = &'r Record>,
) -> BTreeMap<(SocketAddr, SocketAddr), Vec<impl PartialEq + std::fmt::Debug>> {
    let mut ways: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for record in records {
        if let Some(said) = said(record) {
            ways.entry((record.source, record.destination)).or_default().push(said);
        }
    }
    ways
}

/// The records of a capture, with the torrent and without keys.
fn records_without_keys(capture: &Path, of: &Path) -> Vec<Record> {
    let torrents = torrent(of).into_iter().collect();
    let trace = Trace::open(capture, TraceOptions { torrents, ..TraceOptions::default() });
    all_records(trace.unwrap_or_else(|error| panic!("{error}")), text_of(capture))
}

#[test]
fn messages_are_those_of_the_capture_byte_for_byte() {
    let folder = scratch_folder();
    let out = folder.path().join("clear.pcapng");
    for path in all_captures() {
        clear(&path, &out);
        let (original, cleared) = (records(&path), records_without_keys(&out, &path));
        let (mut expected, found) = (by_way(original.iter()), by_way(cleared.iter()));
        // What cannot be decrypted is compared below.
        expected.retain(|_, said| !said.is_empty());
        for (way, said) in &expected {
            let found = found.get(way).map_or(&[][..], |found| found);
            let differs = said.iter().zip(found).position(|(said, found)| said != found);
            let place = differs.map(|at| (at, &said[at], &found[at]));
            assert_eq!((said.len(), place), (found.len(), None), "{}: {way:?}", path.display());
        }
        assert_eq!(expected.len(), found.len(), "{}", path.display());
        let transports = cleared.iter().filter(|record| record.transport == Transport::Utp).count();
        let unread = |record: &&Record| matches!(record.body, Body::Unreadable(Protocol::Utp, _));
        assert_eq!(transports, original.iter().filter(unread).count(), "{}: uTP", path.display());
        assert!(!cleared.iter().any(|record| record.decrypted || matches!(record.body, Body::Mse(_))));
    }
}

/// No packet is damaged, large, or earlier than the one before; each names the packets of the original.
#[test]
fn packets_are_small_in_order_and_named() {
    let folder = scratch_folder();
    let out = folder.path().join("clear.pcapng");
    for path in all_captures() {
        clear(&path, &out);
        let mut capture = Capture::open(&out).expect("a capture");
        let mut before = i64::MIN;
        // Messages after bytes that came late are complete before these.
        let comes_late = goes_back(&records(&path));
        while let Some(packet) = capture.next_packet().expect("a packet") {
            let at = packet.moment.at.as_nanos();
            assert!(at >= before || comes_late, "{}: packet {}", path.display(), packet.moment.frame);
            before = at;
            let is_tcp =
                matches!(packet.data, [0x45, _, _, _, _, _, _, _, _, 6, ..] | [0x60, _, _, _, _, _, 6, ..]);
            let room = 1_400 + 20 + if packet.data[0] >> 4 == 6 { 40 } else { 20 };
            assert!(!is_tcp || packet.data.len() <= room, "{}: {} bytes", path.display(), packet.data.len());
        }
    }
}

/// Whether a message is complete before one that precedes it in its direction.
fn goes_back(records: &[Record]) -> bool {
    let mut latest = BTreeMap::new();
    records.iter().any(|record| {
        let latest = latest.entry((record.stream, record.direction)).or_insert(record.at);
        let before = std::mem::replace(latest, record.at.max(*latest));
        record.at < before
    })
}

/// Where tshark 4.0.17 counts otherwise than we do in a clear capture, and why it is wrong there.
const TSHARK_IS_WRONG: &[(&str, &[&str], &str)] = &[
    ("hybrid-v2-hashes", &["hash-request", "hashes"], "messages of BEP 52 are not known"),
    ("magnet-metadata-pex", &["extended"], "a full 16 KiB piece of metadata becomes continuation data"),
];

#[test]
fn tshark_counts_the_same_messages() {
    if !is_there("tshark") {
        return;
    }
    let folder = scratch_folder();
    let out = folder.path().join("clear.pcapng");
    for path in captures() {
        clear(&path, &out);
        let name = scenario(&path);
        let records = records(&path);
        let theirs = tshark::peer_messages(&out, &decode_as(&records));
        let wrong = TSHARK_IS_WRONG.iter().find(|(scenario, ..)| *scenario == name);
        for message in tshark::MESSAGE_TYPES.iter().map(|(_, message)| *message).chain(["handshake"]) {
            let is_meant = |record: &&Record| {
                record.body.protocol() == Protocol::PeerWire && record.body.message() == message
            };
            let ours = records.iter().filter(is_meant).count() as u64;
            let theirs = theirs.get(message).copied().unwrap_or(0);
            match wrong.filter(|(_, messages, _)| messages.contains(&message)) {
                None => assert_eq!(ours, theirs, "{name}: {message}"),
                Some((_, _, reason)) => assert!(ours > theirs, "{name}: {message}: no longer true: {reason}"),
            }
        }
    }
}

/// Has tshark take the ports of peers for BitTorrent.
fn decode_as(records: &[Record]) -> Vec<&'static str> {
    let peers = records.iter().filter(|record| record.body.protocol() == Protocol::PeerWire);
    let ports: std::collections::BTreeSet<u16> = peers.map(|record| record.flow().responder.port()).collect();
    ports.into_iter().flat_map(|port| ["-d", format!("tcp.port=={port},bittorrent").leak()]).collect()
}

/// Warnings and errors of Wireshark's expert information, each with how often it was said.
fn warnings(capture: &Path, decode_as: &[&str]) -> BTreeMap<String, u64> {
    let checks =
        ["-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"];
    let arguments = [&checks[..], decode_as, &["-q", "-z", "expert,warn"]].concat();
    let printed = tshark::tshark(capture, &arguments);
    let mut warnings = BTreeMap::new();
    for line in printed.lines() {
        let mut columns = line.split_whitespace();
        let Some(Ok(count)) = columns.next().map(str::parse::<u64>) else { continue };
        *warnings.entry(columns.collect::<Vec<_>>().join(" ")).or_default() += count;
    }
    warnings
}

/// What Wireshark says where the original was reset, or lost bytes.
const RESET: &str = "Sequence TCP Connection reset (RST)";
const LOST: &[&str] = &[
    "Sequence TCP ACKed segment that wasn't captured (common at capture start)",
    "Sequence TCP Previous segment(s) not captured (common at capture start)",
];

/// How many connections of a capture were reset, or refused, as a clear capture shows them.
fn resets(capture: &Path) -> u64 {
    let mut trace = Trace::open(capture, options(capture)).unwrap_or_else(|error| panic!("{error}"));
    let mut resets = 0;
    while let Some(dissected) = trace.next().expect("a capture") {
        if let Dissected::Connection(end) = dissected {
            resets += u64::from(matches!(end.closing, StreamClosing::Reset | StreamClosing::Refused));
        }
    }
    resets
}

#[test]
fn tshark_warns_of_nothing_that_is_made_up() {
    if !is_there("tshark") {
        return;
    }
    let folder = scratch_folder();
    let out = folder.path().join("clear.pcapng");
    for path in all_captures() {
        clear(&path, &out);
        let records = records(&path);
        let mut warnings = warnings(&out, &decode_as(&records));
        let reset = warnings.remove(RESET).unwrap_or(0);
        assert_eq!(reset, resets(&path), "{}", path.display());
        if records.iter().any(|record| matches!(record.body, Body::Unreadable(_, Unreadable::Gap(_)))) {
            warnings.retain(|warning, _| !LOST.contains(&warning.as_str()));
        }
        assert_eq!(warnings, BTreeMap::new(), "{}", path.display());
    }
}

/// Follow Stream has the whole of what both ends say, in a capture of uTP and in an encrypted one.
#[test]
fn follow_stream_has_every_byte() {
    if !is_there("tshark") {
        return;
    }
    let folder = scratch_folder();
    let out = folder.path().join("clear.pcapng");
    for name in ["utp-download.pcap", "mse-rc4-keyed.pcapng"] {
        let path = captures_folder().join(name);
        clear(&path, &out);
        let cleared = records_without_keys(&out, &path);
        let mut streams: BTreeMap<u32, [Vec<u8>; 2]> = BTreeMap::new();
        for record in cleared.iter().filter(|record| record.body.protocol() == Protocol::PeerWire) {
            let number = record.wireshark_stream.expect("a conversation of a capture");
            let side = &mut streams.entry(number).or_default()[record.direction as usize];
            side.extend_from_slice(&record.bytes);
        }
        assert!(!streams.is_empty(), "{name}");
        for (number, expected) in streams {
            let follow = format!("follow,tcp,raw,{number}");
            let printed = tshark::tshark(&out, &["-q", "-z", &follow]);
            let mut found = [String::new(), String::new()];
            // Lines of the end that was called are indented.
            for line in printed.lines().skip_while(|line| !line.starts_with("Node 1")).skip(1) {
                let side = usize::from(line.starts_with('\t'));
                let line = line.trim();
                found[side].push_str(if line.starts_with('=') { "" } else { line });
            }
            let hex =
                expected.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
            assert!(found == hex, "{name}: stream {number}: {} {}", found[0].len(), hex[0].len());
        }
    }
}

/// Pieces of the new capture check against the torrent as those of the old one did.
#[test]
fn pieces_are_verified_in_the_clear_capture() {
    let folder = scratch_folder();
    let out = folder.path().join("clear.pcapng");
    for name in ["utp-download", "mse-rc4-keyed", "mse-plaintext", "corrupt-peer"] {
        let path = captures().into_iter().find(|path| scenario(path) == name).expect("a capture");
        clear(&path, &out);
        let pieces = |capture: &Path| {
            let torrent = format!("{name}.torrent");
            let keys = format!("{name}.keys");
            let mut arguments = vec![
                "analyze",
                text_of(capture),
                "--view",
                "pieces",
                "--format",
                "csv",
                "--torrent",
                &torrent,
            ];
            if captures_folder().join(&keys).exists() && capture != out {
                arguments.extend(["--mse-keys", &keys]);
            }
            let (code, printed, errors) = bittrace(&arguments);
            assert_eq!(code, 0, "{errors}");
            let mut rows = printed.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
            let header = rows.next().expect("a header");
            let columns = ["torrent", "piece", "size", "from", "verdict", "right", "wrong", "missing"]
                .map(|name| header.iter().position(|column| column == name).expect("a column"));
            rows.map(|row| columns.map(|column| row[column].clone())).collect::<Vec<_>>()
        };
        let expected = pieces(&path);
        assert!(!expected.is_empty(), "{name}");
        assert_eq!(pieces(&out), expected, "{name}");
    }
}

/// A connection without a key is left out, and that is said; with the key it is there.
#[test]
fn what_cannot_be_decrypted_is_told() {
    let folder = scratch_folder();
    let out = folder.path().join("clear.pcapng");
    let (code, _, errors) = bittrace(&["clear", "mse-rc4.pcap", "-o", text_of(&out)]);
    let encrypted = records(&captures_folder().join("mse-rc4.pcap"));
    let bytes: u64 = encrypted
        .iter()
        .filter(|record| matches!(record.body, Body::Mse(MseBody::Encrypted)))
        .map(|record| record.bytes.len() as u64)
        .sum();
    assert_eq!(code, 0, "{errors}");
    assert!(errors.contains("encrypted connection") && errors.contains("--mse-keys"), "{errors}");
    let told = bittrace_trace::units::size(bytes);
    assert!(errors.contains(&format!("{told} left out in all")), "{told}: {errors}");
    let (code, _, quiet) = bittrace(&["clear", "mse-rc4.pcap", "-o", text_of(&out), "-q"]);
    assert_eq!((code, &*quiet), (0, ""));
}

#[test]
fn standard_input_and_standard_output_serve() {
    let folder = scratch_folder();
    let out = folder.path().join("clear.pcapng");
    let capture = captures_folder().join("utp-download.pcap");
    clear(&capture, &out);
    let arguments = ["clear", "-", "-o", "-", "--torrent", "utp-download.torrent", "-q"];
    let mut command = command::bittrace(BITTRACE, &captures_folder(), &arguments);
    let input = std::fs::File::open(&capture).expect("a capture");
    let piped = command.stdin(input).output().expect("bittrace starts");
    assert!(piped.status.success(), "{}", String::from_utf8_lossy(&piped.stderr));
    let rows = |file: &Path| {
        records_without_keys(file, &capture).iter().map(|record| format!("{record:?}")).collect::<Vec<_>>()
    };
    let other = folder.path().join("piped.pcapng");
    std::fs::write(&other, &piped.stdout).expect("written");
    assert!(rows(&out) == rows(&other), "other messages through pipes");
    let is_named = |bytes: &[u8], name: &str| String::from_utf8_lossy(bytes).contains(name);
    assert!(is_named(&std::fs::read(&out).expect("the output"), "The messages of utp-download.pcap as"));
    assert!(is_named(&piped.stdout, "The messages of standard input as"));
}

#[test]
fn nothing_is_written_where_nothing_can_be_read_or_written() {
    let folder = scratch_folder();
    let out = folder.path().join("out.pcapng");
    let (code, _, errors) = bittrace(&["clear", "absent.pcap", "-o", text_of(&out)]);
    assert!(code == 2 && errors.contains("absent.pcap: no such file") && !out.exists(), "{errors}");
    let (code, _, errors) = bittrace(&["clear", "README.md", "-o", text_of(&out)]);
    assert!(code == 2 && errors.contains("README.md") && !out.exists(), "{errors}");
    let there = captures_folder().join("download-aria2.pcap");
    let (code, _, errors) = bittrace(&["clear", text_of(&there), "-o", text_of(&there)]);
    assert!(code == 2 && errors.contains("would be overwritten"), "{errors}");
    let (code, _, errors) = bittrace(&["clear", text_of(&there), "-o", text_of(folder.path())]);
    assert!(code == 2 && errors.contains("this is a folder"), "{errors}");
    if has_path("/dev/full") {
        let (code, _, errors) = bittrace(&["clear", text_of(&there), "-o", "/dev/full"]);
        assert!(code == 2 && errors.contains("--output /dev/full: cannot be written"), "{errors}");
    }
}

/// What comes before a cut, or a fault, is written; both are said.
#[test]
fn a_spoilt_capture_is_written_up_to_where_it_is_whole() {
    let folder = scratch_folder();
    let whole = std::fs::read(captures_folder().join("download-aria2.pcap")).expect("a capture");
    let spoilt = folder.path().join("spoilt.pcap");
    let out = folder.path().join("out.pcapng");
    let clear = || bittrace(&["clear", text_of(&spoilt), "-o", text_of(&out)]);
    std::fs::write(&spoilt, &whole[..whole.len() - 7]).expect("written");
    let (code, _, errors) = clear();
    assert!(code == 0 && errors.contains("spoilt.pcap: cut short: the packet at byte "), "{errors}");
    // A packet of four gigabytes.
    std::fs::write(&spoilt, [&whole[..], &[0xff; 16]].concat()).expect("written");
    let (code, _, errors) = clear();
    assert!(code == 2 && errors.contains("spoilt.pcap"), "{errors}");
    let original = records(&captures_folder().join("download-aria2.pcap"));
    assert_eq!(records(&out).len(), original.len(), "{errors}");
}

/// A reader that goes away is no error.
#[test]
fn a_closed_pipe_ends_it_quietly() {
    let arguments = ["clear", "download-qbittorrent.pcapng", "-o", "-", "-q"];
    let mut command = command::bittrace(BITTRACE, &captures_folder(), &arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bittrace starts");
    let mut first = [0; 16];
    let mut output = child.stdout.take().expect("a pipe");
    output.read_exact(&mut first).expect("the first bytes");
    drop(output);
    let mut errors = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut errors).expect("text");
    child.wait().expect("an end");
    assert_eq!(errors, "");
}

/// Ctrl-C while it waits for input: exit code 130, and no file.
#[cfg(unix)]
#[test]
fn an_interrupt_leaves_no_file() {
    use std::io::Write;

    let folder = scratch_folder();
    let out = folder.path().join("out.pcapng");
    let mut command = command::bittrace(BITTRACE, &captures_folder(), &["clear", "-", "-o", text_of(&out)]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bittrace starts");
    let mut input = child.stdin.take().expect("a pipe");
    let capture = std::fs::read(captures_folder().join("download-aria2.pcap")).expect("a capture");
    // The reader has taken what it reads ahead once all this is written.
    for _ in 0..4 {
        input.write_all(&capture).expect("taken");
    }
    let signal = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(signal.expect("kill starts").success());
    let status = child.wait().expect("an end");
    drop(input);
    assert_eq!(status.code(), Some(130));
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Names of addresses that the capture holds are in the new one, and Wireshark shows them.
#[test]
fn host_names_are_kept() {
    let folder = scratch_folder();
    let (named, out) = (folder.path().join("named.pcapng"), folder.path().join("out.pcapng"));
    let hosts = [
        HostName {
            address: "10.0.0.1".parse().expect("an address"),
            names: vec!["leech.example".to_owned()],
        },
        HostName { address: "10.0.0.2".parse().expect("an address"), names: vec!["seed.example".to_owned()] },
    ];
    let at = Timestamp::from_nanos(1_700_000_000_000_000_000);
    let end = |text: &str| text.parse().expect("an end");
    let flow = Flow { initiator: end("10.0.0.1:6881"), responder: end("10.0.0.2:51413") };
    let mut recorder = Recorder::new(Vec::new(), "with names").expect("memory takes all");
    recorder.host_names(&hosts).expect("memory takes all");
    recorder.opened(at, StreamId(0), flow, StreamOpening::Syn).expect("memory takes all");
    let handshake =
        Handshake { reserved: [0; 8], info_hash: InfoHash([7; 20]), peer_id: PeerId([8; 20]) }.encode();
    recorder.burst(at, StreamId(0), Direction::FromInitiator, &handshake).expect("memory takes all");
    std::fs::write(&named, recorder.finish().expect("memory takes all")).expect("written");
    clear(&named, &out);
    let mut capture = Capture::open(&out).expect("a capture");
    while capture.next_packet().expect("a packet").is_some() {}
    assert_eq!(capture.hosts(), hosts);
    if is_there("tshark") {
        let fields = ["-T", "fields", "-e", "ip.src_host", "-e", "ip.dst_host"];
        let shown = tshark::tshark(&out, &[&["-N", "n", "-Y", "bittorrent"], &fields[..]].concat());
        assert_eq!(shown, "leech.example\tseed.example\n");
    }
}

/// uTP of which the capture lost packets, encrypted or not: the messages are those that the original shows.
#[test]
fn losses_of_utp_cost_no_other_messages() {
    let folder = scratch_folder();
    let (lossy, out) = (folder.path().join("lossy.pcapng"), folder.path().join("out.pcapng"));
    let path = captures_folder().join("utp-download.pcap");
    for every in [7, 10, 13] {
        let mut copier =
            bittrace_trace::PacketCopier::new(Vec::new(), "with losses").expect("memory takes all");
        let mut capture = Capture::open(&path).expect("a capture");
        while let Some(packet) = capture.next_packet().expect("a packet") {
            if packet.moment.frame < 10 || packet.moment.frame % every != 0 {
                copier.packet(&packet).expect("memory takes all");
            }
        }
        std::fs::write(&lossy, copier.finish().expect("memory takes all")).expect("written");
        clear(&lossy, &out);
        let messages = |file: &Path| {
            let trace = Trace::open(file, options(&path)).unwrap_or_else(|error| panic!("{error}"));
            let records = all_records(trace, text_of(file));
            by_way(records.iter().filter(|record| !matches!(record.body, Body::Unreadable(..))))
                .into_iter()
                .map(|(way, said)| (way, format!("{said:?}")))
                .collect::<Vec<_>>()
        };
        let (expected, found) = (messages(&lossy), messages(&out));
        assert!(expected == found, "without every packet {every}");
        let records = all_records(Trace::open(&lossy, options(&path)).expect("a capture"), "lossy");
        let lost = |record: &&Record| matches!(record.body, Body::Unreadable(_, Unreadable::LostPackets(_)));
        assert!(records.iter().filter(lost).count() > 1, "without every packet {every}: nothing is lost");
    }
}
