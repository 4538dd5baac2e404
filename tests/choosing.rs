//! The options of `analyze` that choose messages: every view obeys them, and a choice that nothing fits is an error that
//! lists what there is.

use std::process::Output;

use bittrace_testing::captures::captures_folder;
use bittrace_testing::command::{self, code};
use serde_json::Value;

const CAPTURE: &str = "fast-extension.pcap";

fn bittrace(arguments: &[&str]) -> Output {
    let mut command = command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), arguments);
    command.output().expect("bittrace starts")
}

fn printed(arguments: &[&str]) -> String {
    let output = bittrace(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((code(&output), errors.as_ref()), (0, ""), "{arguments:?}");
    String::from_utf8(output.stdout).expect("output is UTF-8")
}

/// What standard error says, where the exit code is 2.
fn refused(arguments: &[&str]) -> String {
    let output = bittrace(arguments);
    assert_eq!(code(&output), 2, "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn objects(arguments: &[&str]) -> Vec<Value> {
    let json = printed(&[&["analyze", "--format", "json"], arguments].concat());
    json.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

#[test]
fn options_about_messages_show_messages_alone() {
    for options in [
        &["--filter", "message == request"][..],
        &["--stream", "1"],
        &["--hex", "--limit", "3"],
        &["--fields", "n,message"],
        &["--limit", "3"],
        &["--from", "0"],
        &["--to", "100"],
    ] {
        let chosen = printed(&[&["analyze", CAPTURE], options].concat());
        let asked = printed(&[&["analyze", CAPTURE, "--view", "messages"], options].concat());
        assert_eq!(chosen, asked, "{options:?}");
        assert!(!chosen.contains("Connections"), "{options:?}");
    }
}

#[test]
fn every_view_counts_the_chosen_messages_alone() {
    let all = objects(&[CAPTURE, "--view", "messages"]);
    let messages = |stream: u64| all.iter().filter(|row| row["stream"] == stream).count() as u64;
    let counted = |rows: &[Value]| -> u64 {
        let summary = &rows.last().expect("a summary")["summary"];
        summary["messages"].as_object().expect("counts").values().filter_map(Value::as_u64).sum()
    };
    let one = objects(&[CAPTURE, "--view", "summary,conversations,pieces,findings", "--stream", "1"]);
    assert_eq!((counted(&one), one.last().unwrap()["summary"]["streams"].as_u64()), (messages(1), Some(1)));
    let conversations: Vec<_> = one.iter().filter_map(|row| row["conversation"]["stream"].as_u64()).collect();
    assert_eq!(conversations, [1]);
    let both = objects(&[CAPTURE, "--view", "summary", "--stream", "1,0"]);
    assert_eq!(counted(&both), messages(0) + messages(1));
    let findings = objects(&[CAPTURE, "--view", "findings", "--filter", "severity == warn"]);
    let notes = |row: &Value| {
        row["notes"].as_array().is_some_and(|notes| notes.iter().any(|note| note["severity"] == "warn"))
    };
    assert_eq!(counted(&findings), all.iter().filter(|row| notes(row)).count() as u64);
    let pieces = objects(&[CAPTURE, "--view", "pieces", "--filter", "message == piece && index == 3"]);
    let numbers: Vec<_> = pieces.iter().filter_map(|row| row["piece"]["piece"].as_u64()).collect();
    assert_eq!(numbers, [3]);
    let early = objects(&[CAPTURE, "--view", "summary", "--to", "0.000001"]);
    assert!(counted(&early) < all.len() as u64 - 1);
}

#[test]
fn a_summary_of_chosen_messages_says_so() {
    let page = printed(&["analyze", CAPTURE, "--view", "summary", "--stream", "1"]);
    assert!(
        page.trim_end()
            .lines()
            .last()
            .is_some_and(|line| line.starts_with("  Only the chosen messages are counted: ")),
        "{page}"
    );
    let none = printed(&["analyze", CAPTURE, "--view", "summary,findings", "--filter", "n > 100000"]);
    assert_eq!((none.lines().count(), none.starts_with("no message matches (")), (1, true), "{none}");
}

#[test]
fn what_is_not_there_is_refused_with_what_there_is() {
    let streams = refused(&["analyze", CAPTURE, "--stream", "0,99"]);
    assert!(streams.contains("--stream: there is no stream 99: streams are 0 to "), "{streams}");
    assert!(refused(&["analyze", CAPTURE, "--follow", "99"]).contains("--follow: there is no stream 99"));
    for command in ["analyze", "profile"] {
        let host = refused(&[command, CAPTURE, "--local", "192.0.2.1"]);
        assert!(host.contains("no message is from or to 192.0.2.1; addresses are 10.77.0."), "{host}");
    }
    let compared = refused(&["diff", CAPTURE, CAPTURE, "--local", "192.0.2.1"]);
    assert!(compared.contains("no message is from or to 192.0.2.1"), "{compared}");
    let only = refused(&["diff", CAPTURE, CAPTURE, "--only", "handshake,reqest"]);
    assert!(only.contains("--only: unknown message \"reqest\"; did you mean request?"), "{only}");
    let only = refused(&["diff", CAPTURE, CAPTURE, "--only", "xyzzy"]);
    assert!(only.contains("the captures have allowed-fast, announce-request, "), "{only}");
    let streams = refused(&["diff", CAPTURE, CAPTURE, "--streams", "99"]);
    assert!(streams.contains("--streams: the reference has no stream 99; it has "), "{streams}");
}

#[test]
fn times_that_hold_no_moment_are_refused() {
    let reversed = refused(&["analyze", CAPTURE, "--from", "5", "--to", "3"]);
    assert!(reversed.contains("--from 5 is later than --to 3"), "{reversed}");
    let moments = ["--from", "2026-01-02T00:00:01Z", "--to", "2026-01-02T00:00:00Z"];
    assert!(refused(&[&["analyze", CAPTURE], &moments[..]].concat()).contains("is later than"));
    assert!(
        refused(&["analyze", CAPTURE, "--to", "soon"])
            .contains("--to: \"soon\" is neither seconds nor a time")
    );
}

#[test]
fn columns_and_bytes_are_for_messages() {
    for option in [&["--hex"][..], &["--fields", "n"]] {
        let errors = refused(&[&["analyze", CAPTURE, "--view", "pieces"], option].concat());
        assert!(errors.contains("needs the messages: add messages to --view"), "{errors}");
    }
}

#[test]
fn a_torrent_that_no_message_is_about_is_told() {
    let told = |captures: &[&str]| {
        let output = bittrace(&[&["analyze", "--torrent", "lossy-link.torrent"], captures].concat());
        assert_eq!(code(&output), 0);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let errors = told(&[CAPTURE]);
    assert!(errors.contains("lossy-link.torrent: no message is about this torrent ("), "{errors}");
    assert!(errors.contains("); messages are about "), "{errors}");
    assert_eq!(told(&[CAPTURE, "lossy-link.pcap.gz"]), "");
    assert_eq!(told(&["not-bittorrent.pcapng"]), "");
}

#[test]
fn tables_of_several_captures_name_theirs() {
    let captures = [CAPTURE, "lsd-announce.pcapng"];
    for options in [&["--limit", "2"][..], &["--follow", "0"], &["--filter", "n < 0"]] {
        let page = printed(&[&["analyze"], &captures[..], options].concat());
        for capture in captures {
            assert_eq!(page.lines().filter(|line| *line == capture).count(), 1, "{options:?}: {page}");
        }
        let page = printed(&[&["analyze", captures[0]], options].concat());
        assert!(page.lines().all(|line| line != captures[0]), "{page}");
    }
}

/// A file of another kind is refused with the name of its kind, and of the command that reads it.
#[test]
fn files_of_other_kinds_are_refused_with_advice() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file can be written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let resume = file("a.fastresume", b"d11:file-format22:libtorrent resume filee");
    let json = file("a.json", b"{\"n\":1}\n");
    let page = file("a.torrent", b"<!DOCTYPE html><html>");
    let torrent = "download-aria2.torrent";
    let magnet = "magnet:?xt=urn:btih:758c3826a6e5ddb4385453ad93c60e5d5dc88b06";
    for (arguments, advice) in [
        (&["analyze", torrent][..], "looks like a torrent: use bittrace torrent show"),
        (&["diff", CAPTURE, torrent], "looks like a torrent"),
        (&["extract", &resume], "resume data of libtorrent"),
        (&["diff", CAPTURE, &json], "looks like JSON"),
        (&["analyze", magnet], "this is a magnet link: bittrace download"),
        (&["analyze", CAPTURE, "--torrent", CAPTURE], "looks like a capture: bittrace analyze"),
        (&["torrent", "show", magnet], "this is a magnet link: bittrace download"),
        (&["torrent", "show", &resume], "resume data of libtorrent"),
        (&["download", "magnet:?xt=urn:btih:00"], "xt=urn:btih:00: expected urn:btih: with 40 hexadecimal"),
        (&["torrent", "fetch", "x.torrent", "-o", "y"], "expected a magnet link"),
        (&["download", CAPTURE], "looks like a capture: bittrace analyze"),
        (&["download", &page], "is a web page"),
    ] {
        let errors = refused(arguments);
        assert!(errors.contains(advice), "{arguments:?}: {errors}");
    }
}
