//! `analyze --format zeek`: logs that a strict reader of Zeek's format takes, and that say what the JSON of the same
//! messages says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use bittrace_testing::captures::{arguments, captures, captures_folder};
use bittrace_testing::command::{self, scratch_folder};
use serde_json::Value;

/// What `analyze` does in `captures/` with these arguments: exit code, standard output, standard error.
fn analyze(arguments: &[&str]) -> (i32, String, String) {
    let arguments = [&["analyze"], arguments].concat();
    command::run(&mut command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), &arguments))
}

/// The lines that `analyze` writes as JSON.
fn objects(arguments: &[&str]) -> Vec<Value> {
    let (code, json, stderr) = analyze(&[arguments, &["--format", "json"]].concat());
    assert_eq!(code, 0, "{arguments:?}: {stderr}");
    json.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

/// A value of a log, as its type reads it.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Unset,
    Time(f64),
    Count(u64),
    Flag(bool),
    Address(IpAddr),
    Text(String),
    Set(Vec<String>),
}

type LogRow = BTreeMap<String, Cell>;

/// Reads text with its escapes. What may not stand unescaped is an error.
fn unescape(text: &str) -> String {
    assert!(!text.contains(|c: char| c.is_control() || c == '#'), "{text:?} is not escaped");
    if text == "(empty)" {
        return String::new();
    }
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first != b'\\' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let [b'x', high, low, after @ ..] = tail else { panic!("a backslash alone in {text:?}") };
        let digits = [*high, *low];
        let digits = std::str::from_utf8(&digits).expect("two digits");
        bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
        rest = after;
    }
    String::from_utf8(bytes).expect("text is UTF-8")
}

/// Seconds with six digits after the point, or nine.
fn seconds(text: &str) -> f64 {
    let (whole, fraction) = text.split_once('.').expect("a point");
    assert!(whole.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit()), "{text}");
    assert!(matches!(fraction.len(), 6 | 9) && fraction.bytes().all(|byte| byte.is_ascii_digit()), "{text}");
    text.parse().expect("a number")
}

fn cell(kind: &str, text: &str) -> Cell {
    if text == "-" {
        return Cell::Unset;
    }
    match kind {
        "time" | "interval" => Cell::Time(seconds(text)),
        "count" => Cell::Count(text.parse().expect("a count")),
        "port" => Cell::Count(text.parse::<u16>().expect("a port").into()),
        "bool" => Cell::Flag(match text {
            "T" => true,
            "F" => false,
            other => panic!("{other} is not a flag"),
        }),
        "addr" => Cell::Address(text.parse().expect("an address")),
        "enum" => {
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte)), "{text}");
            Cell::Text(text.to_owned())
        }
        "string" => Cell::Text(unescape(text)),
        "set[string]" if text == "(empty)" => Cell::Set(Vec::new()),
        "set[string]" => Cell::Set(text.split(',').map(unescape).collect()),
        other => panic!("{other} is not a type of Zeek"),
    }
}

/// Reads a log, as strictly as its header says.
fn read(folder: &Path, name: &str) -> Vec<LogRow> {
    let text = std::fs::read_to_string(folder.join(format!("{name}.log"))).expect("a log");
    assert!(text.ends_with('\n'));
    let mut lines = text.lines();
    let mut header = |key: &str| -> Vec<String> {
        let line = lines.next().expect("a header");
        let mut parts = line.split('\t').map(str::to_owned);
        assert_eq!(parts.next().as_deref(), Some(key));
        parts.collect()
    };
    assert!(header("#separator \\x09").is_empty());
    assert_eq!(header("#set_separator"), [","]);
    assert_eq!(header("#empty_field"), ["(empty)"]);
    assert_eq!(header("#unset_field"), ["-"]);
    assert_eq!(header("#path"), [name]);
    let (fields, types) = (header("#fields"), header("#types"));
    assert_eq!(fields.len(), types.len());
    assert_eq!(fields.iter().collect::<BTreeSet<_>>().len(), fields.len());
    let row = |line: &str| -> LogRow {
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!(cells.len(), fields.len(), "{line:?}");
        let cells = types.iter().zip(cells).map(|(kind, text)| cell(kind, text));
        fields.iter().cloned().zip(cells).collect()
    };
    lines.map(row).collect()
}

/// The three logs: messages, connections, findings.
fn logs(arguments: &[&str]) -> [Vec<LogRow>; 3] {
    let folder = scratch_folder();
    let path = folder.path().join("logs");
    let output = path.to_str().expect("a path");
    let (code, stdout, stderr) = analyze(&[arguments, &["--format", "zeek", "-o", output]].concat());
    assert_eq!((code, stdout.as_str()), (0, ""), "{arguments:?}: {stderr}");
    let mut files: Vec<_> = std::fs::read_dir(&path)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    files.sort();
    assert_eq!(files, ["bittorrent.log", "bt_conn.log", "notice.log"]);
    ["bittorrent", "bt_conn", "notice"].map(|name| read(&path, name))
}

fn text(value: &Value) -> Cell {
    value.as_str().map_or(Cell::Unset, |text| Cell::Text(text.to_owned()))
}

fn count(value: &Value) -> Cell {
    value.as_u64().map_or(Cell::Unset, Cell::Count)
}

/// The address and the port of an end.
fn end(value: &Value) -> [Cell; 2] {
    let end: std::net::SocketAddr = value.as_str().expect("an end").parse().expect("an end");
    [Cell::Address(end.ip()), Cell::Count(end.port().into())]
}

#[test]
fn the_logs_of_a_capture_have_a_row_for_each_message_connection_and_finding() {
    let (mut rows, mut found) = (0, 0);
    let mut uids = BTreeSet::new();
    for path in captures() {
        let capture = arguments(&path);
        let capture: Vec<&str> = capture.iter().map(String::as_str).collect();
        let [messages, connections, notices] = logs(&capture);
        let (objects, others): (Vec<Value>, Vec<Value>) =
            objects(&capture).into_iter().partition(|object| object["n"].is_number());
        let summary = others.last().expect("a summary");
        let ids: Vec<Value> =
            self::objects(&[&capture[..], &["--fields", "community_id", "--no-summary"]].concat());
        assert_eq!(messages.len(), objects.len(), "{capture:?}");
        let mut expected_notices = Vec::new();
        let mut uid_of_stream: BTreeMap<u64, Cell> = BTreeMap::new();
        for ((row, message), id) in messages.iter().zip(&objects).zip(&ids) {
            for name in ["n", "stream", "offset", "length", "answers"] {
                assert_eq!(row[name], count(&message[name]), "{name} of {message}");
            }
            for name in
                ["capture", "speaker", "transport", "protocol", "message", "summary", "torrent", "client"]
            {
                assert_eq!(row[name], text(&message[name]), "{name} of {message}");
            }
            assert_eq!(row["frame"], count(&message["wireshark"]["frame"]));
            assert_eq!(row["community_id"], text(&id["community_id"]));
            assert_eq!(row["decrypted"], Cell::Flag(message["decrypted"] == true));
            let Cell::Time(at) = row["ts"] else { panic!("no time in {row:?}") };
            let expected: f64 = at_second(&message["time"]);
            assert!((at - expected).abs() < 1e-6, "{at} is not {}", message["time"]);
            let ends = match row["is_orig"] {
                Cell::Flag(true) => [&message["src"], &message["dst"]],
                _ => [&message["dst"], &message["src"]],
            };
            for (end, names) in
                ends.map(end).into_iter().zip([["id.orig_h", "id.orig_p"], ["id.resp_h", "id.resp_p"]])
            {
                assert_eq!(names.map(|name| row[name].clone()), end, "{message}");
            }
            let fields = &message["fields"];
            if matches!(message["message"].as_str(), Some("request" | "piece" | "cancel" | "reject-request"))
            {
                for (name, field) in [("index", "index"), ("begin", "begin"), ("block_length", "length")] {
                    assert_eq!(row[name], count(&fields[field]), "{name} of {message}");
                }
            }
            let notes = message["notes"].as_array().expect("notes");
            let mut rules: Vec<String> =
                notes.iter().map(|note| note["rule"].as_str().expect("a rule").to_owned()).collect();
            rules.sort();
            rules.dedup();
            assert_eq!(row["rules"], Cell::Set(rules));
            for note in notes.iter().filter(|note| note["severity"] != "chat") {
                expected_notices.push((count(&message["n"]), text(&note["rule"]), text(&note["text"]), row));
            }
            let stream = message["stream"].as_u64().expect("a number");
            let uid = uid_of_stream.entry(stream).or_insert_with(|| row["uid"].clone());
            assert_eq!(*uid, row["uid"]);
        }
        assert_eq!(notices.len(), expected_notices.len(), "{capture:?}");
        for (notice, (n, rule, says, row)) in notices.iter().zip(expected_notices) {
            assert_eq!((&notice["n"], &notice["rule"], &notice["msg"]), (&n, &rule, &says));
            for name in ["ts", "uid", "community_id", "frame", "id.orig_h", "id.resp_p"] {
                assert_eq!(notice[name], row[name]);
            }
            assert!(matches!(&notice["note"], Cell::Text(name) if name.starts_with("BitTorrent::")));
            found += 1;
        }
        let listed = summary["summary"]["connections"].as_array().cloned().unwrap_or_default();
        assert_eq!(connections.len(), listed.len(), "{capture:?}");
        let mut found_uids = BTreeSet::new();
        for row in &connections {
            let stream = row["stream"].clone();
            let mut same = listed.iter().filter(|object| {
                count(&object["stream"]) == stream
                    && end(&object["initiator"]) == ["id.orig_h", "id.orig_p"].map(|name| row[name].clone())
            });
            let object = same.next().unwrap_or_else(|| panic!("{row:?} is not in the summary"));
            assert_eq!(row["outcome"], text(&object["outcome"]));
            if let Cell::Count(stream) = stream {
                assert_eq!(row["uid"], uid_of_stream[&stream]);
                for (name, way) in [("orig", "from_initiator"), ("resp", "from_responder")] {
                    for total in ["bytes", "payload", "blocks"] {
                        assert_eq!(row[&format!("{name}_{total}")], count(&object[way][total]), "{row:?}");
                    }
                    assert_eq!(row[&format!("{name}_client")], text(&object[way]["client"]));
                }
            }
            let Cell::Text(uid) = &row["uid"] else { panic!("no uid in {row:?}") };
            assert!(found_uids.insert(uid.clone()), "{uid} is there twice in {capture:?}");
        }
        assert!(uids.is_disjoint(&found_uids), "{capture:?}");
        uids.append(&mut found_uids);
        rows += messages.len();
    }
    assert!(rows > 1_500 && found > 50, "{rows}, {found}");
}

/// A moment of the JSON in seconds since the epoch, to the microsecond.
fn at_second(time: &Value) -> f64 {
    let moment: jiff::Timestamp = time.as_str().expect("a time").parse().expect("a time");
    moment.as_nanosecond() as f64 / 1e9
}

#[test]
fn a_filter_chooses_the_rows() {
    let [messages, connections, _] = logs(&["download-aria2.pcap", "--filter", "message == piece"]);
    assert!(!messages.is_empty());
    assert!(messages.iter().all(|row| row["message"] == Cell::Text("piece".to_owned())));
    assert!(!connections.is_empty());
}

#[test]
fn two_runs_write_the_same_bytes_and_the_second_takes_the_place_of_the_first() {
    let folder = scratch_folder();
    let output = folder.path().to_str().expect("a path");
    let run = || {
        let (code, _, stderr) = analyze(&[
            "multi-file-several-peers.pcap",
            "download-aria2.pcap",
            "--format",
            "zeek",
            "-o",
            output,
        ]);
        assert_eq!(code, 0, "{stderr}");
        assert!(stderr.contains("rows in bittorrent.log"), "{stderr}");
        ["bittorrent", "bt_conn", "notice"]
            .map(|name| std::fs::read(folder.path().join(format!("{name}.log"))).expect("a log"))
    };
    assert!(run() == run());
}

#[test]
fn nothing_is_left_where_no_capture_can_be_read() {
    let folder = scratch_folder();
    let output = folder.path().to_str().expect("a path");
    let (code, _, stderr) = analyze(&["absent.pcap", "--format", "zeek", "-o", output]);
    assert_eq!(code, 2, "{stderr}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder is there").count(), 0);
}

#[test]
fn options_that_do_not_go_with_logs_are_refused() {
    for (arguments, says) in [
        (&["--format", "zeek"][..], "-o DIR"),
        (&["--format", "json", "-o", "x"], "-o is for --format zeek"),
        (&["--format", "zeek", "-o", "x", "--hex"], "leave out --hex"),
        (&["--format", "zeek", "-o", "x", "--view", "pieces"], "leave out --view"),
        (&["--format", "zeek", "-o", "download-aria2.pcap"], "download-aria2.pcap: cannot be written"),
    ] {
        let (code, stdout, stderr) = analyze(&[&["download-aria2.pcap"], arguments].concat());
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(stderr.contains(says), "{stderr}");
    }
}
