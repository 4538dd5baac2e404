//! `bittrace analyze` as a user runs it: what it prints for every reference capture, and how it ends.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bittrace_testing::assert_printed;
use bittrace_testing::captures::{captures, captures_folder, scenario};
use bittrace_testing::command::{self, code};
use bittrace_testing::json::indented;
use serde_json::Value;

fn bittrace(arguments: &[&str]) -> Output {
    command(arguments).output().expect("bittrace starts")
}

fn command(arguments: &[&str]) -> Command {
    command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), arguments)
}

fn printed(arguments: &[&str]) -> String {
    let output = bittrace(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    assert_eq!(errors, "", "{arguments:?}");
    String::from_utf8(output.stdout).expect("output is UTF-8")
}

#[test]
fn prints_every_capture() {
    for path in captures() {
        let file = path.file_name().expect("a capture has a name").to_string_lossy().into_owned();
        let name = scenario(&path);
        let torrent = format!("{name}.torrent");
        let mut arguments = vec!["analyze", file.as_str()];
        if captures_folder().join(&torrent).exists() {
            arguments.extend(["--torrent", torrent.as_str()]);
        }
        let printed = printed(&arguments);
        let wide = printed.lines().find(|line| line.chars().count() > 80);
        assert_eq!(wide, None, "{name}: a line is wider than 80 columns");
        assert_printed!("analyze", name.as_str(), printed);
    }
}

/// Whether a line of the table of messages is a row, or names a stream, or is the heading.
fn is_row(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    let elapsed = words.next().and_then(|word| word.parse::<f64>().ok());
    (first.bytes().all(|byte| byte.is_ascii_digit()) && elapsed.is_some())
        || (line.starts_with("-- stream ") && line.ends_with(" --"))
        || first == "n"
}

/// Rows have one line each; only findings have more lines, under their row.
#[test]
fn no_row_of_messages_wraps_at_any_width() {
    for path in captures() {
        let file = path.file_name().expect("a capture has a name").to_string_lossy().into_owned();
        for width in [None, Some(40), Some(60), Some(80), Some(120), Some(160)] {
            let mut command = command(&["analyze", &file, "--view", "messages"]);
            if let Some(width) = width {
                command.env("COLUMNS", width.to_string());
            }
            let (_, page, _) = command::run(&mut command);
            let mut in_finding = false;
            for line in page.lines().filter(|line| !line.contains(": no BitTorrent traffic in ")) {
                assert!(line.chars().count() <= width.unwrap_or(80), "{file}, {width:?}: {line:?}");
                let indented = line.starts_with("                        ");
                let severity = line.split_whitespace().next().unwrap_or_default().trim_end_matches(':');
                in_finding = indented && (in_finding || ["note", "warn", "error"].contains(&severity));
                assert!(is_row(line) || in_finding, "{file}, {width:?}: a row wraps at {line:?}");
            }
        }
    }
}

/// Where the locale is not one of UTF-8, tables are plain ASCII and keep within the width; JSON stays as it is.
#[test]
fn tables_are_plain_ascii_where_the_locale_is_not_utf8() {
    let run = |arguments: &[&str], locale: &str| {
        let (_, page, _) = command::run(command(arguments).env("LC_ALL", locale));
        page
    };
    for path in captures() {
        let file = path.file_name().expect("a capture has a name").to_string_lossy().into_owned();
        for views in ["summary,messages", "conversations,pieces,findings"] {
            let page = run(&["analyze", &file, "--view", views], "C");
            let other = page.lines().find(|line| !line.is_ascii() || line.len() > 80);
            assert_eq!(other, None, "{file}, {views}");
        }
    }
    let json = ["analyze", "http-seed.pcap", "--format", "json"];
    assert_eq!(run(&json, "C"), run(&json, "C.UTF-8"));
}

/// Connections in the order that was asked for, no more than were asked for, one line each.
#[test]
fn connections_are_sorted_and_limited() {
    let capture = "multi-file-several-peers.pcap";
    let csv = |more: &[&str]| {
        let arguments = ["analyze", capture, "--view", "conversations", "--format", "csv"];
        printed(&[&arguments[..], more].concat()).lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let (fastest, slowest) = (csv(&["--sort", "rate"]), csv(&["--sort", "slowest"]));
    assert!(fastest.len() > 1, "{fastest:?}");
    assert_eq!(fastest.len(), csv(&[]).len());
    assert_ne!(fastest[0], slowest[0]);
    assert_eq!(csv(&["--sort", "rate", "--limit", "1"]), fastest[..1]);
    let table = printed(&["analyze", capture, "--view", "conversations", "--sort", "rate", "--limit", "1"]);
    assert!(table.contains("more; --limit 0 shows them"), "{table}");
    let all = printed(&["analyze", capture, "--view", "conversations", "--limit", "0"]);
    assert!(!all.contains(" more;"), "{all}");
    // --sort alone asks for conversations, --limit beside it for so many of them.
    assert_eq!(printed(&["analyze", capture, "--sort", "rate", "--limit", "1"]), table);
}

/// A run of like messages is one row, which tells of how many; in a format for programs nothing is folded.
#[test]
fn runs_are_folded_in_the_table_alone() {
    let runs = ["analyze", "fast-extension.pcap", "--filter", "message == allowed-fast"];
    let folded = printed(&runs);
    let unfolded = printed(&[&runs[..], &["--no-fold"]].concat());
    let csv = printed(&[&runs[..], &["--format", "csv"]].concat());
    let rows = |page: &str| page.lines().filter(|line| is_row(line) && line.contains("allowed-fast")).count();
    assert!(rows(&folded) < rows(&unfolded), "{folded}");
    assert_eq!(csv.lines().count() - 1, rows(&unfolded));
}

/// The keyed capture with its secrets marked as of a type that nobody knows.
fn without_its_secrets(folder: &Path) -> String {
    let mut bytes = std::fs::read(captures_folder().join("mse-rc4-keyed.pcapng")).expect("it can be read");
    let kind =
        bytes.windows(4).position(|four| four == 0x4d53_454bu32.to_le_bytes()).expect("it has secrets");
    bytes[kind] = b'?';
    let path = folder.join("mse-rc4-keyed.pcapng");
    std::fs::write(&path, bytes).expect("it can be written");
    path.to_string_lossy().into_owned()
}

#[test]
fn a_key_log_reads_what_secrets_in_the_capture_do() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let sealed = without_its_secrets(folder.path());
    let shown = |arguments: &[&str]| -> Vec<Value> {
        let fixed = ["--format", "json", "--fields", "frames,offset,length,message,decrypted,fields"];
        let printed = printed(&[&["analyze"][..], arguments, &fixed].concat());
        printed.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
    };
    let inside = shown(&["mse-rc4-keyed.pcapng"]);
    // What comes last is the object of the capture, and the summary.
    let messages = &inside[..inside.len() - 2];
    let decrypted = messages.iter().filter(|message| message["decrypted"] == true).count();
    // 33 messages of peers, as expected.tsv has them, and what either end said in the negotiation.
    assert_eq!(decrypted, 33 + 2);
    let outside = shown(&[&sealed, "--mse-keys", "mse-rc4-keyed.keys"]);
    assert_eq!(messages, &outside[..outside.len() - 2]);

    let unread = shown(&[&sealed]);
    assert!(unread.iter().all(|message| message.get("decrypted").is_none_or(Value::is_null)));
    let summary = printed(&["analyze", &sealed, "--view", "summary"]);
    assert!(
        summary.contains("1 encrypted connection not decrypted: no key (use --mse-keys FILE)"),
        "{summary}"
    );
    let of_another = folder.path().join("other.keys");
    let log = std::fs::read_to_string(captures_folder().join("mse-rc4-keyed.keys")).expect("it can be read");
    let other = log.replacen("69b3e5e6", "00000000", 1);
    std::fs::write(&of_another, other).expect("it can be written");
    let summary =
        printed(&["analyze", &sealed, "--view", "summary", "--mse-keys", &of_another.to_string_lossy()]);
    assert!(summary.contains("mse.other-torrent"), "{summary}");
}

#[test]
fn a_key_log_that_is_none_is_wrong_usage() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let wrong = folder.path().join("wrong.keys");
    std::fs::write(&wrong, "# fine\n\nMSE a-b 00 11\n").expect("it can be written");
    let wrong = wrong.to_string_lossy().into_owned();
    let missing = folder.path().join("missing").to_string_lossy().into_owned();
    let cases = [
        (&*wrong, "wrong.keys: line 3: expected an info hash of 40 hexadecimal digits"),
        ("mse-rc4.torrent", "mse-rc4.torrent: line 1: expected MSE,"),
        (&*missing, "missing: no such file"),
    ];
    for command in [&["analyze"][..], &["extract"], &["diff", "mse-rc4.pcap"], &["replay"], &["profile"]] {
        for (log, said) in cases {
            let output = bittrace(&[command, &["mse-rc4.pcap", "--mse-keys", log]].concat());
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(code(&output), 2, "{command:?}: {errors}");
            assert!(errors.contains(said), "{command:?}: {errors}");
        }
    }
}

#[test]
fn prints_the_bytes_of_messages() {
    let capture = "http-tracker-scrape.pcapng";
    assert_printed!(
        "analyze",
        "hex-http-tracker",
        printed(&["analyze", capture, "--view", "messages", "--hex", "--limit", "4"])
    );
    let capture = "udp-tracker-scrape.pcap";
    let filter = ["--filter", "protocol == udp-tracker"];
    assert_printed!(
        "analyze",
        "hex-udp-tracker",
        printed(&[&["analyze", capture, "--view", "messages", "--hex"][..], &filter].concat())
    );
    let capture = "magnet-metadata-pex.pcap";
    let filter = ["--filter", "message == extended || message == handshake", "--limit", "12"];
    assert_printed!(
        "analyze",
        "hex-extended",
        printed(&[&["analyze", capture, "--view", "messages", "--hex"][..], &filter].concat())
    );
}

/// The version with the commit, which differs from build to build.
fn version() -> String {
    let printed = printed(&["--version"]);
    let version = printed.trim().strip_prefix("bittrace ");
    version.expect("a name and a version").to_owned()
}

#[test]
fn prints_json() {
    let torrent = ["--torrent", "download-aria2.torrent"];
    let json = printed(&[&["analyze", "download-aria2.pcap", "--format", "json"][..], &torrent].concat());
    for line in json.lines() {
        let object: serde_json::Value = serde_json::from_str(line).expect("each line is an object");
        let keys = [
            "n",
            "time",
            "elapsed",
            "capture",
            "frames",
            "stream",
            "src",
            "dst",
            "speaker",
            "transport",
            "protocol",
            "message",
            "offset",
            "length",
            "summary",
            "fields",
            "notes",
        ];
        let complete = keys.iter().all(|key| object.get(key).is_some());
        let is_closing =
            object["summary"]["messages"].is_object() || object["capture"]["findings"].is_object();
        assert!(complete || is_closing, "{line}");
    }
    let json_printed = |json: &str| indented(&json.replace(&version(), "VERSION"));
    assert_printed!("analyze", "json-download-aria2", json_printed(&json));
    let magnet =
        ["analyze", "magnet-metadata-pex.pcap", "--format", "json", "--filter", "message == extended"];
    assert_printed!("analyze", "json-extended", json_printed(&printed(&magnet)));
    let encodings = [
        "analyze",
        "http-tracker-encodings.pcapng",
        "--format",
        "json",
        "--filter",
        "protocol == http-tracker",
    ];
    assert_printed!("analyze", "json-http-tracker", json_printed(&printed(&encodings)));
}

#[test]
fn prints_chosen_columns_as_csv() {
    let columns = "n,elapsed,src,message,index,begin,length,answers,latency";
    let arguments = ["analyze", "capture-loss.pcap", "--format", "csv", "--fields", columns, "--stream", "1"];
    assert_printed!("analyze", "csv-capture-loss", printed(&arguments));
}

#[test]
fn prints_the_other_views_of_every_capture_in_80_columns() {
    for path in captures() {
        let file = path.file_name().expect("a capture has a name").to_string_lossy().into_owned();
        let mut arguments = vec!["analyze", file.as_str(), "--view", "conversations,pieces,findings"];
        let torrent = capture_torrent(&file);
        if captures_folder().join(&torrent).exists() {
            arguments.extend(["--torrent", torrent.as_str()]);
        }
        let page = printed(&arguments);
        let wide = page.lines().find(|line| line.chars().count() > 80);
        assert_eq!(wide, None, "{file}: a line is wider than 80 columns");
        let name = scenario(&path);
        if ["corrupt-peer", "capture-loss", "fast-extension", "mse-rc4"].contains(&name.as_str()) {
            assert_printed!("analyze", format!("views-{name}"), page);
        }
    }
}

/// The names of all values of an object, those of objects in it joined to its own by `_`: the columns of CSV.
fn leaves(object: &Value, before: &str) -> Vec<String> {
    let Some(entries) = object.as_object() else { return vec![before.to_owned()] };
    let joined = |key: &String| if before.is_empty() { key.clone() } else { format!("{before}_{key}") };
    entries.iter().flat_map(|(key, value)| leaves(value, &joined(key))).collect()
}

/// The views as objects: one conversation a stream between peers, one piece of each number, one finding a rule.
#[test]
fn views_are_rows_for_programs() {
    let capture = ["analyze", "corrupt-peer.pcap.gz", "--torrent", "corrupt-peer.torrent", "--view"];
    let objects = |view: &str, name: &str| -> Vec<serde_json::Value> {
        let json = printed(&[&capture[..], &[view, "--format", "json"]].concat());
        let csv = printed(&[&capture[..], &[view, "--format", "csv"]].concat());
        let lines = json.lines().map(|line| serde_json::from_str(line).expect("an object"));
        let mut rows: Vec<serde_json::Value> = lines.collect();
        let summary = rows.pop().expect("a last object");
        assert!(summary["summary"]["findings"].is_object(), "{summary}");
        let whole = rows.pop().expect("an object of the capture");
        assert_eq!(whole["capture"]["ok"], true, "{whole}");
        let header = csv.lines().next().expect("a header");
        for row in &rows {
            assert_eq!(leaves(&row[name], ""), header.split(',').collect::<Vec<_>>());
        }
        assert_eq!(csv.lines().count(), rows.len() + 1);
        rows.into_iter().map(|mut row| row[name].take()).collect()
    };
    let conversations = objects("conversations", "conversation");
    // Two of them, and the call that was refused when the peer had gone.
    let outcomes: Vec<_> = conversations.iter().map(|row| row["outcome"].as_str().expect("text")).collect();
    assert_eq!(outcomes, ["finished", "finished", "refused"]);
    // 22 blocks came where 10 make the content (captures/README.md).
    let count = |key: &str| -> u64 {
        let ways = ["from_initiator", "from_responder"];
        let of =
            |row: &serde_json::Value| ways.map(|way| row[way][key].as_u64().expect("a number")).iter().sum();
        conversations.iter().map(|row| -> u64 { of(row) }).sum()
    };
    assert_eq!((count("blocks"), count("requests"), count("duplicate")), (22, 22, 12 * 16_384));
    let pieces = objects("pieces", "piece");
    let verdicts: Vec<_> = pieces.iter().map(|row| (row["right"].as_u64(), row["wrong"].as_u64())).collect();
    let (good, bad) = ((Some(1), Some(0)), (Some(1), Some(3)));
    assert_eq!(verdicts, [good, bad, good, bad, good]);
    // Three attempts at two pieces of two blocks each were wrong: the peer that sent them wasted their bytes, and nobody sent
    // a block for nothing.
    assert_eq!((count("again_after_wrong_hash"), count("wrong_hash")), (12 * 16_384, 12 * 16_384));
    let sent_wrong: Vec<_> = conversations.iter().map(|row| &row["from_responder"]["wrong_hash"]).collect();
    // The third was refused.
    assert_eq!(sent_wrong, [&serde_json::Value::from(12 * 16_384), &0.into(), &0.into()]);
    let again: Vec<_> = pieces
        .iter()
        .map(|row| {
            let again = &row["again"];
            (row["wrong_blocks"].as_u64(), again["after_wrong_hash"].as_u64(), again["for_nothing"].as_u64())
        })
        .collect();
    let (good, bad) = ((Some(0), Some(0), Some(0)), (Some(6), Some(6 * 16_384), Some(0)));
    assert_eq!(again, [good, bad, good, bad, good]);
    // Whole first at 10.8 s, right only much later, by the other peer's block.
    let verified = &pieces[1]["verified"];
    assert_eq!(
        (verified["elapsed"].as_f64(), pieces[1]["complete"].as_f64()),
        (Some(24.109613), Some(10.806533))
    );
    assert!(verified["n"].as_u64() > pieces[1]["n"].as_u64(), "{verified}");
    let findings = objects("findings", "finding");
    let corrupt = findings.iter().find(|row| row["rule"] == "bep3.piece-corrupt").expect("a finding");
    assert_eq!((&corrupt["count"], &corrupt["document"]), (&6.into(), &"BEP 3".into()));
}

#[test]
fn cells_of_csv_do_not_nest() {
    let capture = ["analyze", "corrupt-peer.pcap.gz", "--torrent", "corrupt-peer.torrent", "--format", "csv"];
    for view in ["conversations", "pieces", "findings"] {
        let csv = printed(&[&capture[..], &["--view", view]].concat());
        assert!(!csv.contains('[') || csv.contains("::"), "{csv}");
        assert!(!csv.contains("{\""), "{csv}");
    }
    let pieces = printed(&[&capture[..], &["--view", "pieces"]].concat());
    assert!(pieces.lines().any(|line| line.contains(",10.77.0.4:6885 10.77.0.2:57385,")), "{pieces}");
    let findings = printed(&[&capture[..], &["--view", "findings"]].concat());
    assert!(findings.contains("\"frame.number in {"), "{findings}");
    let columns =
        ["--fields", "frames,frame,rule,notes,ws_stream,index,fields.length", "--filter", "message == piece"];
    let messages = printed(&[&capture[..], &columns].concat());
    let mut lines = messages.lines();
    assert_eq!(lines.next(), Some("frames,frame,rule,notes,ws_stream,index,fields.length"));
    for line in lines {
        let mut cells = line.split(',');
        let frames = cells.next().expect("packets");
        assert_eq!(frames.split(' ').next_back(), cells.next(), "{line}");
    }
}

#[test]
fn no_summary_leaves_messages_alone() {
    let plain = printed(&["analyze", "download-aria2.pcap", "--format", "json", "--no-summary"]);
    assert!(plain.lines().all(|line| line.starts_with("{\"n\":")), "{plain}");
    let table = printed(&["analyze", "download-aria2.pcap", "--no-summary"]);
    assert!(!table.contains("Trackers") && table.contains("handshake"), "{table}");
}

/// The verdicts on a capture's pieces, and who sent them.
fn verdicts(arguments: &[&str]) -> Vec<(String, bool)> {
    let json = printed(&[&["analyze", "--view", "pieces", "--format", "json"][..], arguments].concat());
    let objects =
        json.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("an object"));
    let pieces = objects.map(|mut object| object["piece"].take()).filter(|piece| piece.is_object());
    let verdict = |piece: serde_json::Value| {
        let is_web_seed = piece["from"][0]["web_seed"] == true;
        (piece["verdict"].as_str().expect("a verdict").to_owned(), is_web_seed)
    };
    pieces.map(verdict).collect()
}

#[test]
fn pieces_are_checked_against_what_peers_tell_of_the_torrent() {
    for (capture, pieces) in [("magnet-metadata-pex", 24), ("hybrid-v2-hashes", 13), ("dht-get-peers", 4)] {
        let right = ("right".to_owned(), false);
        assert_eq!(verdicts(&[&format!("{capture}.pcap")]), vec![right; pieces], "{capture}");
    }
}

#[test]
fn pieces_of_version_2_and_of_web_seeds_are_checked() {
    let right = |is_web_seed| ("right".to_owned(), is_web_seed);
    let v2 = verdicts(&["v2-download.pcapng", "--torrent", "v2-download.torrent"]);
    assert_eq!(v2, vec![right(false); 5]);
    let seed = verdicts(&["web-seed.pcap", "--torrent", "web-seed.torrent"]);
    assert_eq!(seed, vec![right(true); 7]);
    let json = ["analyze", "web-seed.pcap", "--torrent", "web-seed.torrent", "--format", "json"];
    let notes = printed(&json);
    assert!(notes.contains("its SHA-1 is right, from web seed 10.77.0.4:8080"));
}

#[test]
fn tells_a_stream_as_a_conversation() {
    let torrent = ["--torrent", "corrupt-peer.torrent"];
    let told = printed(&[&["analyze", "corrupt-peer.pcap.gz", "--follow", "1"][..], &torrent].concat());
    assert_eq!(told.lines().find(|line| line.chars().count() > 80), None);
    assert_printed!("analyze", "follow-corrupt-peer", told);
}

#[test]
fn lists_the_rules() {
    let page = printed(&["analyze", "--list-rules"]);
    assert_eq!(page.lines().find(|line| line.chars().count() > 80), None);
    assert_printed!("analyze", "list-rules", page);
    let json = printed(&["analyze", "--list-rules", "--format", "json"]);
    assert_eq!(json.lines().count(), bittrace_trace::rules::RULES.len());
}

/// Clients that keep the rules break none: what is found at warn or above in a reference capture is what its row in
/// captures/README.md tells of.
#[test]
fn nothing_is_held_against_clients_that_keep_the_rules() {
    for path in captures() {
        let records = bittrace_testing::captures::records(&path);
        let notes = records.iter().flat_map(|record| &record.notes);
        let grave = notes.filter(|note| note.rule.severity >= bittrace_trace::Severity::Warn);
        let mut rules: Vec<&str> = grave.map(|note| note.rule.id).collect();
        rules.sort_unstable();
        rules.dedup();
        let expected: &[&str] = match scenario(&path).as_str() {
            "capture-loss" | "mid-stream" => &["capture.gap"],
            "corrupt-peer" => &["bep3.piece-corrupt"],
            "http-tracker-encodings" | "http-tracker-scrape" | "hybrid-upgrade" => &["bep3.failure-reason"],
            // libtorrent sends its first PEX message twice.
            "magnet-metadata-pex" => &["bep11.too-often"],
            _ => &[],
        };
        let unexpected: Vec<_> = rules.iter().filter(|rule| !expected.contains(rule)).collect();
        assert!(unexpected.is_empty(), "{}: {unexpected:?}", scenario(&path));
    }
}

#[test]
fn a_file_that_is_no_capture_is_one_clear_line_and_code_2() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let empty = folder.path().join("empty.pcap");
    std::fs::write(&empty, "").expect("a file can be written");
    let empty = empty.to_string_lossy().into_owned();
    let scenarios = captures_folder().join("scenarios").to_string_lossy().into_owned();
    for (file, says) in [
        ("no-such-file.pcap", "no such file"),
        (scenarios.as_str(), "no captures in this folder"),
        ("README.md", "not a capture file: begins with 23 20 43"),
        (empty.as_str(), "empty"),
    ] {
        let output = bittrace(&["analyze", file]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((code(&output), output.stdout.len()), (2, 0), "{file}: {errors}");
        let first = errors.lines().next().unwrap_or_default();
        assert!(first.starts_with(&format!("bittrace: {file}: ")) && first.contains(says), "{errors}");
        assert!(errors.lines().count() <= 2, "{errors}");
    }
}

#[test]
fn a_capture_without_bittorrent_is_told_in_a_sentence_and_code_0() {
    let output = bittrace(&["analyze", "not-bittorrent.pcapng"]);
    assert_eq!(code(&output), 0);
    assert!(String::from_utf8_lossy(&output.stdout).contains("No BitTorrent traffic found"));
}

#[test]
fn a_cut_file_is_shown_as_far_as_it_goes() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let cut = folder.path().join("cut.pcap");
    let whole =
        std::fs::read(captures_folder().join("download-aria2.pcap")).expect("the capture can be read");
    std::fs::write(&cut, &whole[..100_000]).expect("a file can be written");
    let cut = cut.to_string_lossy().into_owned();
    let output = bittrace(&["analyze", &cut, "--format", "json"]);
    assert_eq!(code(&output), 0);
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let last: serde_json::Value =
        serde_json::from_str(lines.lines().last().expect("there are lines")).expect("JSON");
    assert_eq!(last["summary"]["truncated"], true);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains(&cut) && errors.contains("byte 99"), "{errors}");
}

#[test]
fn half_a_header_is_no_capture() {
    let whole =
        std::fs::read(captures_folder().join("download-aria2.pcap")).expect("the capture can be read");
    for (length, expected) in [(20, 2), (24, 0)] {
        let mut child = command(&["analyze", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bittrace starts");
        child.stdin.take().expect("a pipe").write_all(&whole[..length]).expect("bittrace reads");
        let output = child.wait_with_output().expect("bittrace ends");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(code(&output), expected, "{errors}");
        assert_eq!(errors.contains("not a capture file: ends after 20 bytes"), length == 20, "{errors}");
    }
}

#[test]
fn standard_input_and_gzip_read_as_the_file() {
    let path = captures_folder().join("lossy-link.pcap.gz");
    let mut child = command(&["analyze", "-", "--view", "messages"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bittrace starts");
    let bytes = std::fs::read(path).expect("the capture can be read");
    child.stdin.take().expect("a pipe").write_all(&bytes).expect("bittrace reads all");
    let output = child.wait_with_output().expect("bittrace ends");
    let file = printed(&["analyze", "lossy-link.pcap.gz", "--view", "messages"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), file);
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let mut child = command(&["analyze", "download-aria2.pcap", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bittrace starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("bittrace ends");
    assert_eq!((code(&output), String::from_utf8_lossy(&output.stderr).as_ref()), (0, ""));
}

#[test]
fn fail_on_decides_the_exit_code() {
    let fail_on = |capture, severity| {
        let torrent = capture_torrent(capture);
        code(&bittrace(&["analyze", capture, "--torrent", &torrent, "--fail-on", severity]))
    };
    assert_eq!(fail_on("download-aria2.pcap", "warn"), 0);
    assert_eq!(fail_on("capture-loss.pcap", "warn"), 1);
    assert_eq!(fail_on("capture-loss.pcap", "error"), 0);
    assert_eq!(fail_on("corrupt-peer.pcap.gz", "error"), 1);
}

fn capture_torrent(capture: &str) -> String {
    format!("{}.torrent", scenario(std::path::Path::new(capture)))
}

#[test]
fn a_wrong_filter_is_shown_where_it_is_wrong() {
    let output = bittrace(&["analyze", "download-aria2.pcap", "--filter", "message == piece && indx == 3"]);
    assert_eq!(code(&output), 2);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut lines = errors.lines();
    assert!(lines.next().is_some_and(|line| line.contains("indx")), "{errors}");
    let expression = lines.next().expect("the expression");
    let caret = lines.next().expect("a caret under it");
    assert_eq!(caret.find('^'), expression.find("indx"), "{errors}");
}
