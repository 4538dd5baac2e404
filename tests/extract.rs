//! `bittrace extract` over the reference captures: whole files have the SHA-256 of the content that was sent, and of
//! others exactly those bytes are named that the capture lacks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bittrace_protocol::wire::Message;
use bittrace_testing::captures::{captures, captures_folder, records, scenario, torrent};
use bittrace_testing::command::{self, code, scratch_folder};
use bittrace_trace::{Body, PeerWireBody, Reason, Unreadable, WebSeedBody};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn extract(arguments: &[&str], into: &Path) -> Output {
    let mut command = bittrace(&[&["extract"], arguments].concat());
    command.arg("-o").arg(into).output().expect("bittrace starts")
}

fn analyze(arguments: &[&str]) -> Output {
    bittrace(&[&["analyze"], arguments].concat()).output().expect("bittrace starts")
}

fn bittrace(arguments: &[&str]) -> Command {
    command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), arguments)
}

/// The objects of a run with `--format json`: the torrents, then the summary.
fn objects(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).expect("output is UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is an object")).collect()
}

fn bytes_of(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn hash(bytes: &[u8]) -> String {
    bittrace_protocol::Hex(&Sha256::digest(bytes)).to_string()
}

/// All files below a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder can be listed") {
            let path = entry.expect("a folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).expect("below it").to_owned());
            }
        }
    }
    found
}

/// What captures/tools/content.py makes of a seed: an implementation of its own.
fn content(seed: &str, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut counter = 0;
    while bytes.len() < length {
        bytes.extend_from_slice(&Sha256::digest(format!("{seed}:{counter}")));
        counter += 1;
    }
    bytes.truncate(length);
    bytes
}

/// A file: its path, the seed of its content, and its length. The content of two captures was made in another way, and is
/// known by its SHA-256 alone.
type Content = (&'static str, Option<&'static str>, usize);

/// The captures that hold every byte of their torrents, and what the scenarios put into them.
const WHOLE: &[(&str, &[Content])] = &[
    ("corrupt-peer.pcap.gz", &[("corrupt.bin", Some("corrupt"), 163_840)]),
    ("dht-get-peers.pcap", &[("dht.bin", Some("dht"), 100_000)]),
    ("download-aria2.pcap", &[("download.bin", Some("download"), 245_777)]),
    ("download-qbittorrent.pcapng", &[("download.bin", Some("download"), 245_777)]),
    ("download-rtorrent.pcap", &[("download.bin", Some("download"), 245_777)]),
    ("download-transmission.pcap", &[("download.bin", Some("download"), 245_777)]),
    ("http-tracker-single-peer.pcap", &[("sample.bin", None, 300_123)]),
    (
        "hybrid-upgrade.pcap",
        &[("hybrid/large.bin", Some("hybrid-1"), 150_000), ("hybrid/small.bin", Some("hybrid-2"), 20_000)],
    ),
    (
        "hybrid-v2-hashes.pcap",
        &[("hybrid/large.bin", Some("hybrid-1"), 300_000), ("hybrid/small.bin", Some("hybrid-2"), 70_000)],
    ),
    ("http-seed.pcap", &[("pieces.bin", None, 200_000)]),
    ("ipv6-peers6.pcap", &[("ipv6.bin", Some("ipv6"), 150_000)]),
    ("lossy-link.pcap.gz", &[("lossy.bin", Some("lossy"), 200_000)]),
    ("lsd-announce.pcapng", &[("lsd.bin", Some("lsd"), 100_000)]),
    ("magnet-metadata-pex.pcap", &[("sample.bin", None, 390_000)]),
    ("mse-plaintext.pcap", &[("mse.bin", Some("mse"), 150_000)]),
    ("mse-rc4-keyed.pcapng", &[("mse-keyed.bin", Some("mse-keyed"), 150_000)]),
    (
        "multi-file-several-peers.pcap",
        &[
            ("collection/about.txt", Some("multi-1"), 61),
            ("collection/numbers/one.bin", Some("multi-2"), 100_003),
            ("collection/numbers/deep/two.bin", Some("multi-3"), 41_234),
            ("collection/numbers/snøfnugg ❄.bin", Some("multi-4"), 80_000),
            ("collection/numbers/empty.bin", Some(""), 0),
            ("collection/zeros.bin", Some("zeros"), 100_000),
        ],
    ),
    ("offloaded-segments.pcap", &[("offloaded.bin", Some("offloaded"), 400_000)]),
    ("udp-tracker-scrape.pcap", &[("small.bin", Some("udp-tracker"), 100_000)]),
    ("v2-download.pcapng", &[("v2.bin", Some("v2"), 150_000)]),
    ("web-seed.pcap", &[("web.bin", None, 200_000)]),
];

fn torrent_file(capture: &str) -> String {
    format!("{}.torrent", scenario(Path::new(capture)))
}

#[test]
fn whole_captures_give_the_files_that_were_sent() {
    let readme = String::from_utf8(bytes_of(&captures_folder().join("README.md"))).expect("UTF-8");
    for (capture, expected) in WHOLE {
        let into = scratch_folder();
        let output = extract(&[capture, "--torrent", &torrent_file(capture)], into.path());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let page = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!((code(&output), errors.as_str()), (0, ""), "{capture}: {page}");
        let wanted: BTreeSet<PathBuf> = expected.iter().map(|(path, ..)| PathBuf::from(path)).collect();
        assert_eq!(files(into.path()), wanted, "{capture}");
        for (path, seed, length) in *expected {
            let bytes = bytes_of(&into.path().join(path));
            assert_eq!(bytes.len(), *length, "{capture}: {path}");
            if let Some(seed) = seed {
                let sent = if *seed == "zeros" { vec![0; *length] } else { content(seed, *length) };
                assert_eq!(hash(&bytes), hash(&sent), "{capture}: {path}");
            }
            assert!(readme.contains(&hash(&bytes)), "{capture}: {path}: not the hash in captures/README.md");
        }
    }
}

#[test]
fn a_torrent_that_peers_describe_is_written_too() {
    for capture in ["magnet-metadata-pex.pcap", "hybrid-v2-hashes.pcap", "dht-get-peers.pcap"] {
        let (_, expected) = WHOLE.iter().find(|(whole, _)| *whole == capture).expect("it is whole");
        let root = expected[0].0.split('/').next().expect("a path has a first part");
        let into = scratch_folder();
        let output = extract(&[capture, "--format", "json"], into.path());
        let objects = objects(&output);
        assert_eq!(code(&output), 0, "{capture}: {objects:?}");
        assert_eq!(objects[0]["origin"], "metadata");
        let written = bytes_of(&into.path().join(format!("{root}.torrent")));
        let rebuilt = bittrace_protocol::Metainfo::decode(&written).expect("a torrent");
        let original = torrent(&captures_folder().join(capture)).expect("it has one");
        assert_eq!(rebuilt.info_bytes(), original.info_bytes(), "{capture}");
        for (path, ..) in *expected {
            let given = scratch_folder();
            extract(&[capture, "--torrent", &torrent_file(capture)], given.path());
            assert_eq!(bytes_of(&into.path().join(path)), bytes_of(&given.path().join(path)), "{capture}");
        }
    }
}

/// For each byte of the torrent's row, whether some message or part of one in the capture holds it. Counted byte by
/// byte, not in ranges.
fn seen(capture: &Path) -> Vec<bool> {
    let torrent = torrent(capture).expect("it has a torrent");
    let length = torrent.piece_length as usize;
    let mut seen = vec![false; torrent.total() as usize];
    let mut mark = |index: u32, begin: usize, bytes: usize| {
        let start = index as usize * length + begin;
        for place in seen.iter_mut().skip(start).take(bytes) {
            *place = true;
        }
    };
    for record in records(capture) {
        match &record.body {
            Body::PeerWire(PeerWireBody::Message(Message::Piece { index, begin, block })) => {
                mark(index.0, *begin as usize, block.len())
            }
            Body::Unreadable(_, Unreadable::Opaque(Reason::Fragment(fragment))) => {
                let Some((index, begin)) = fragment.block else { continue };
                for at in fragment.from..fragment.from + record.bytes.len() as u64 {
                    if at >= 13 {
                        mark(index.0, begin as usize + at as usize - 13, 1);
                    }
                }
            }
            Body::WebSeed(WebSeedBody::FileData(part)) => {
                let before: u64 = torrent.files[..part.file].iter().map(|file| file.length).sum();
                mark(0, (before + part.bytes.start) as usize, record.bytes.len());
            }
            // Ranges of a block each are asked for one by one.
            Body::WebSeed(WebSeedBody::PieceData(data)) => {
                mark(data.piece.0, data.ranges[0].start as usize, record.bytes.len())
            }
            _ => {}
        }
    }
    seen
}

/// Every capture of a torrent of version 1, whole or not, with `--unverified`: what is missing, and what is not.
#[test]
fn exactly_the_missing_bytes_are_named() {
    let mut incomplete = Vec::new();
    for path in captures() {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let Some(torrent) = torrent(&path).filter(|torrent| torrent.geometry.is_some()) else { continue };
        let seen = seen(&path);
        let into = scratch_folder();
        let arguments = [&name, "--torrent", &torrent_file(&name), "--format", "json", "--unverified"];
        let output = extract(&arguments, into.path());
        let objects = objects(&output);
        let files = objects[0]["files"].as_array().expect("files");
        let mut start = 0;
        let mut listed = files.iter();
        for file in &torrent.files {
            let length = file.length as usize;
            if file.is_padding() {
                start += length;
                continue;
            }
            let listed = listed.next().expect("each file is listed");
            let mut there = vec![true; length];
            for range in listed["missing"].as_array().expect("ranges") {
                let (first, last) = (range[0].as_u64().expect("first"), range[1].as_u64().expect("last"));
                there[first as usize..=last as usize].fill(false);
            }
            assert_eq!(there, seen[start..start + length], "{name}: {}", listed["name"]);
            if let Some(written) = listed["written"].as_str() {
                let bytes = bytes_of(Path::new(written));
                assert_eq!(bytes.len(), length, "{name}");
                let holes = bytes.iter().zip(&there).filter(|(_, there)| !**there);
                assert!(holes.map(|(byte, _)| *byte).all(|byte| byte == 0), "{name}: a hole has bytes");
                assert_eq!(written.ends_with(".part"), listed["whole"] == false, "{name}: {written}");
            }
            start += length;
        }
        if code(&output) == 1 {
            incomplete.push(scenario(&path));
        }
    }
    // What lost packets, begins in the middle, is encrypted, or downloads nothing.
    for scenario in ["capture-loss", "mid-stream", "mse-rc4", "udp-tracker-fragments"] {
        assert!(incomplete.iter().any(|incomplete| incomplete == scenario), "{scenario}: {incomplete:?}");
    }
}

/// What the view of pieces says is missing, by the same count. Padding is not missing.
#[test]
fn the_view_of_pieces_names_the_same_bytes() {
    for path in captures() {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let Some(torrent) = torrent(&path).filter(|torrent| torrent.geometry.is_some()) else { continue };
        let mut there = seen(&path);
        let mut start = 0;
        for file in &torrent.files {
            let length = file.length as usize;
            if file.is_padding() {
                there[start..start + length].fill(true);
            }
            start += length;
        }
        let arguments = [&name, "--torrent", &torrent_file(&name), "--view", "pieces", "--format", "json"];
        for row in objects(&analyze(&arguments)).iter().map(|object| &object["piece"]) {
            // The last object closes the stream.
            if row["torrent"].as_str() != Some(&torrent.info_hash.to_string()) {
                continue;
            }
            let (piece, size) =
                (row["piece"].as_u64().expect("a piece"), row["size"].as_u64().expect("a size"));
            let start = piece as usize * torrent.piece_length as usize;
            let mut told = vec![true; size as usize];
            for range in row["missing"].as_array().expect("ranges") {
                let (first, last) = (range[0].as_u64().expect("first"), range[1].as_u64().expect("last"));
                told[first as usize..=last as usize].fill(false);
            }
            assert_eq!(told, there[start..start + size as usize], "{name}: piece {piece}");
            assert_eq!(row["complete"].is_number(), !told.contains(&false), "{name}: piece {piece}");
        }
    }
}

/// capture-loss has 19 blocks, of which 7 lost a packet each: the pieces of these cannot be verified.
#[test]
fn only_verified_bytes_are_written_unless_more_is_asked_for() {
    let whole = content("capture-loss", 300_000);
    let arguments = ["capture-loss.pcap", "--torrent", "capture-loss.torrent", "--format", "json"];
    for unverified in [false, true] {
        let into = scratch_folder();
        let more: &[&str] = if unverified { &["--unverified"] } else { &[] };
        let output = extract(&[&arguments[..], more].concat(), into.path());
        assert_eq!(code(&output), 1);
        let object = objects(&output).swap_remove(0);
        let written = bytes_of(&into.path().join("lost.bin.part"));
        assert_eq!(files(into.path()).len(), 1);
        let mut holes = BTreeSet::new();
        let kinds: &[&str] = if unverified { &["missing"] } else { &["missing", "unverified"] };
        for kind in kinds {
            for range in object["files"][0][kind].as_array().expect("ranges") {
                holes.extend(range[0].as_u64().expect("first")..=range[1].as_u64().expect("last"));
            }
        }
        assert!(!holes.is_empty());
        for (at, (byte, sent)) in written.iter().zip(&whole).enumerate() {
            let wanted = if holes.contains(&(at as u64)) { 0 } else { *sent };
            assert_eq!(*byte, wanted, "byte {at}, unverified: {unverified}");
        }
    }
}

#[test]
fn whoever_sent_wrong_blocks_is_named() {
    let into = scratch_folder();
    let arguments = ["corrupt-peer.pcap.gz", "--torrent", "corrupt-peer.torrent", "--format", "json"];
    let output = extract(&arguments, into.path());
    let object = objects(&output).swap_remove(0);
    let wrong: Vec<_> = object["wrong_pieces"]
        .as_array()
        .expect("pieces")
        .iter()
        .map(|fault| {
            let blocks = fault["blocks"].as_array().expect("blocks");
            let named: Vec<_> = blocks
                .iter()
                .map(|block| (block["begin"].as_u64(), block["from"][0].as_str().map(str::to_owned)))
                .collect();
            (fault["piece"].as_u64(), fault["mended"].as_bool(), named)
        })
        .collect();
    // The scenario alters bytes 40,000 and 100,000: in the first blocks of pieces 1 and 3.
    let block = |begin| vec![(Some(begin), Some("10.77.0.4:6885".to_owned()))];
    assert_eq!(wrong, [(Some(1), Some(true), block(0)), (Some(3), Some(true), block(0))]);
}

#[test]
fn nothing_is_written_of_a_torrent_that_nothing_describes() {
    let into = scratch_folder();
    let output = extract(&["download-aria2.pcap"], into.path());
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(code(&output), 2);
    assert!(page.contains("16 blocks") && page.contains("--torrent"), "{page}");
    assert_eq!(files(into.path()), BTreeSet::new());
}

#[test]
fn blocks_of_a_torrent_that_nothing_describes_are_written_in_their_order_when_asked_for() {
    let folder = scratch_folder();
    let arguments = ["download-aria2.pcap", "--unverified", "--format", "json"];
    let output = extract(&arguments, folder.path());
    assert_eq!(code(&output), 1, "{}", String::from_utf8_lossy(&output.stderr));
    let summary = &objects(&output)[0]["summary"];
    let undescribed = &summary["undescribed"][0];
    let info_hash = undescribed["info_hash"].as_str().expect("the handshakes name the torrent");
    let file = &undescribed["file"];
    assert_eq!((&file["length"], &file["piece_length"]), (&245_777.into(), &32_768.into()), "{file}");
    assert_eq!((&file["piece_length_proved"], &file["missing"]), (&true.into(), &Value::Array(Vec::new())));
    let name = PathBuf::from(format!("{info_hash}.unverified"));
    assert_eq!(files(folder.path()), BTreeSet::from([name.clone()]));
    assert_eq!(hash(&bytes_of(&folder.path().join(&name))), hash(&content("download", 245_777)));
    // It stays, unless it is to be replaced.
    let again = extract(&["download-rtorrent.pcap", "download-aria2.pcap", "--unverified"], folder.path());
    assert_eq!(code(&again), 2);
    assert!(String::from_utf8_lossy(&again.stderr).contains("--overwrite"), "{again:?}");
    let replaced = extract(&[&arguments[..], &["--overwrite"]].concat(), folder.path());
    assert_eq!(code(&replaced), 1);
    // Without the option nothing is written.
    let empty = scratch_folder();
    assert_eq!(code(&extract(&arguments[..1], empty.path())), 2);
    assert_eq!(files(empty.path()), BTreeSet::new());
}

#[test]
fn holes_among_blocks_without_a_description_are_named() {
    let folder = scratch_folder();
    let output = extract(&["capture-loss.pcap", "--unverified", "--format", "json"], folder.path());
    let undescribed = objects(&output)[0]["summary"]["undescribed"].clone();
    let files = undescribed.as_array().expect("a list").iter().map(|one| &one["file"]);
    let missing: usize = files.map(|file| file["missing"].as_array().expect("a list").len()).sum();
    assert!(missing > 0, "{undescribed}");
}

#[test]
fn files_in_the_way_stay_unless_they_are_to_be_replaced() {
    let into = scratch_folder();
    let there = into.path().join("download.bin");
    std::fs::write(&there, "mine").expect("a file can be written");
    let arguments = ["download-aria2.pcap", "--torrent", "download-aria2.torrent"];
    let output = extract(&arguments, into.path());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(code(&output), 2);
    assert!(errors.contains("download.bin: already exists; --overwrite replaces it"), "{errors}");
    assert_eq!(bytes_of(&there), b"mine");
    let output = extract(&[&arguments[..], &["--overwrite"]].concat(), into.path());
    assert_eq!(code(&output), 0);
    assert_eq!(bytes_of(&there), content("download", 245_777));
    assert_eq!(files(into.path()).len(), 1);
}

/// A link stands where the file belongs. Names that would lead elsewhere are tested in the client's library.
#[cfg(unix)]
#[test]
fn nothing_is_written_outside_the_folder() {
    let into = scratch_folder();
    let inner = into.path().join("inner");
    std::fs::create_dir(&inner).expect("a folder can be made");
    std::os::unix::fs::symlink("../target", inner.join("download.bin")).expect("a link can be made");
    std::fs::write(into.path().join("target"), "mine").expect("a file can be written");
    let arguments = ["download-aria2.pcap", "--torrent", "download-aria2.torrent", "--overwrite"];
    let output = extract(&arguments, &inner);
    assert_eq!(code(&output), 2, "a link is no file to be replaced");
    assert_eq!(bytes_of(&into.path().join("target")), b"mine");
    assert_eq!(files(&inner), BTreeSet::from([PathBuf::from("download.bin")]));
}

#[test]
fn several_captures_count_together_and_pages_keep_their_width() {
    let into = scratch_folder();
    let captures = ["capture-loss.pcap", "mid-stream.pcapng.gz"];
    let torrents = ["--torrent", "capture-loss.torrent", "--torrent", "mid-stream.torrent"];
    let output = extract(&[&captures[..], &torrents[..]].concat(), into.path());
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(code(&output), 1, "{page}");
    assert!(page.contains("lost.bin") && page.contains("long.bin"), "{page}");
    assert_eq!(page.lines().find(|line| line.chars().count() > 80), None);
}
