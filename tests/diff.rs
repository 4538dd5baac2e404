//! `bittrace diff` as a user runs it: what it prints for reference captures, and how it ends.

use std::io::Write;
use std::process::{Command, Stdio};

use bittrace_testing::assert_printed;
use bittrace_testing::captures::{captures, captures_folder, scenario};
use bittrace_testing::command;
use bittrace_testing::json::indented;

const ARIA2: &str = "download-aria2.pcap";
const TRANSMISSION: &str = "download-transmission.pcap";

fn command(arguments: &[&str]) -> Command {
    command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), &[&["diff"], arguments].concat())
}

/// The exit code, standard output and standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    command::run(&mut command(arguments))
}

fn printed(wanted: i32, arguments: &[&str]) -> String {
    let (code, printed, errors) = run(arguments);
    assert_eq!((code, errors.as_str()), (wanted, ""), "{arguments:?}");
    printed
}

/// What is printed, which must fit a terminal.
fn page(wanted: i32, arguments: &[&str]) -> String {
    let printed = printed(wanted, arguments);
    let wide = printed.lines().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None, "{arguments:?}: a line is wider than 80 columns");
    printed
}

#[test]
fn prints_how_two_clients_differ() {
    let torrent = ["--torrent", "download-aria2.torrent"];
    assert_printed!("diff", "aria2-transmission", page(1, &[&[ARIA2, TRANSMISSION][..], &torrent].concat()));
    let hex = [ARIA2, TRANSMISSION, "--only", "extended,handshake", "--hex", "--context", "2", "-v"];
    assert_printed!("diff", "hex-aria2-transmission", page(1, &hex));
    assert_printed!(
        "diff",
        "verbose-aria2-transmission",
        page(1, &[ARIA2, TRANSMISSION, "-v", "--side", "both"])
    );
    assert_printed!(
        "diff",
        "qbittorrent-rtorrent",
        page(1, &["download-qbittorrent.pcapng", "download-rtorrent.pcap"])
    );
    assert_printed!("diff", "quiet-aria2-transmission", printed(1, &[ARIA2, TRANSMISSION, "-q"]));
}

#[test]
fn prints_two_runs_of_one_client() {
    assert_printed!("diff", "aria2-two-torrents", page(1, &[ARIA2, "http-tracker-single-peer.pcap"]));
}

#[test]
fn what_a_capture_lost_is_not_held_against_the_client() {
    let reference = "http-tracker-single-peer.pcap";
    let whole = std::fs::read(captures_folder().join(reference)).expect("the capture can be read");
    let folder = tempfile::tempdir().expect("a folder can be made");
    // The packet with the first requests.
    let lossy = folder.path().join("lossy.pcap");
    std::fs::write(&lossy, without_packet(&whole, 52)).expect("a file can be written");
    let lossy = lossy.to_string_lossy().into_owned();
    let page = page(0, &[reference, &lossy]).replace(&lossy, "lossy.pcap");
    assert_printed!("diff", "lost-packet", page);
    assert_eq!(run(&[&lossy, reference]).0, 0, "nor what the reference lost");
}

/// A pcap file of little-endian headers without one of its packets.
fn without_packet(bytes: &[u8], number: usize) -> Vec<u8> {
    let mut kept = bytes[..24].to_vec();
    let mut rest = &bytes[24..];
    let mut packet = 0;
    while let Some(length) = rest.get(8..12) {
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        let (this, more) = rest.split_at(16 + length);
        packet += 1;
        if packet != number {
            kept.extend_from_slice(this);
        }
        rest = more;
    }
    kept
}

#[test]
fn every_capture_is_the_same_as_itself() {
    for path in captures() {
        let file = path.file_name().expect("a capture has a name").to_string_lossy().into_owned();
        let itself = page(0, &[&file, &file, "--no-mask"]);
        if ["download-aria2", "download-transmission", "not-bittorrent"].contains(&scenario(&path).as_str()) {
            assert_printed!("diff", format!("self-{}", scenario(&path)), itself);
        }
    }
}

#[test]
fn prints_json() {
    let json = printed(1, &[ARIA2, TRANSMISSION, "--format", "json"]);
    let mut pairs = 0;
    for line in json.lines() {
        let object: serde_json::Value = serde_json::from_str(line).expect("each line is an object");
        if object.get("summary").is_some_and(serde_json::Value::is_object) {
            continue;
        }
        pairs += 1;
        let keys = ["verdict", "message", "fields", "speaker", "counts"];
        assert!(keys.iter().all(|key| object.get(key).is_some()), "{line}");
        let kind = match object["verdict"].as_str() {
            Some("same" | "masked") => None,
            Some("differs") => {
                let fields = object["fields"].as_array().expect("fields");
                let is_content =
                    |field: &&serde_json::Value| field["differs"] == true && field["kind"] == "phrasing";
                Some(if fields.iter().any(|field| is_content(&field)) { "phrasing" } else { "identity" })
            }
            _ => Some("choice"),
        };
        assert_eq!(object.get("kind").and_then(|kind| kind.as_str()), kind, "{line}");
    }
    assert_eq!(pairs + 1, json.lines().count());
    assert_printed!("diff", "json-aria2-transmission", indented(&json));
}

#[test]
fn standard_input_is_read_as_the_file() {
    let mut child = command(&["-", TRANSMISSION])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bittrace starts");
    let bytes = std::fs::read(captures_folder().join(ARIA2)).expect("the capture can be read");
    child.stdin.take().expect("a pipe").write_all(&bytes).expect("bittrace reads all");
    let output = child.wait_with_output().expect("bittrace ends");
    let file = printed(1, &[ARIA2, TRANSMISSION]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), file.replace(ARIA2, "standard input"));
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let mut child = command(&[ARIA2, TRANSMISSION, "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bittrace starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("bittrace ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn choices_can_be_allowed() {
    let requests = ["--only", "request"];
    let of = |more: &[&str]| run(&[&[ARIA2, TRANSMISSION][..], &requests, more].concat()).0;
    assert_eq!(of(&[]), 1);
    assert_eq!(of(&["--allow", "missing,extra"]), 1);
    assert_eq!(of(&["--allow", "moved"]), 0);
}

#[test]
fn only_some_streams_and_messages_can_be_compared() {
    let count = |arguments: &[&str]| {
        let json = run(&[&[ARIA2, TRANSMISSION, "--format", "json"][..], arguments].concat()).1;
        json.lines().filter(|line| line.contains("\"verdict\"")).count()
    };
    assert_eq!(count(&["--streams", "0,2"]), 4);
    assert_eq!(count(&["--only", "interested"]), 1);
    assert_eq!(count(&["--streams", "0", "--only", "interested"]), 0);
}

#[test]
fn what_cannot_be_told_is_one_clear_line_and_code_2() {
    for (arguments, says) in [
        (&[ARIA2, "no-such.pcap"][..], "no-such.pcap: no such file"),
        (&["-", "-"], "not both"),
        (&[ARIA2, TRANSMISSION, "--mask", "numwant"], "--mask: \"numwant\" is not a mask"),
        (
            &[ARIA2, TRANSMISSION, "--mask", "*.numwant=perhaps"],
            "unknown rule \"perhaps\"; the rules are exact",
        ),
        (&[ARIA2, TRANSMISSION, "--mask", "*.numwnt=ignore"], "no message of either capture has *.numwnt"),
        (&[ARIA2, TRANSMISSION, "--no-mask", "--mask", "*.v=ignore"], "cannot be used with"),
    ] {
        let (code, output, errors) = run(arguments);
        assert_eq!((code, output.as_str()), (2, ""), "{arguments:?}: {errors}");
        assert!(errors.contains(says), "{arguments:?}: {errors}");
    }
}
