//! Captures in which no side is the local one: `--local none` makes speakers initiator and responder.

use std::path::Path;

use bittrace_protocol::Timestamp;
use bittrace_testing::assert_printed;
use bittrace_testing::captures::{captures, captures_folder, scenario};
use bittrace_testing::command::{self, scratch_folder};
use bittrace_trace::{Direction, Flow, Recorder, StreamId, StreamOpening, Viewpoint};
use serde_json::Value;

fn printed_in(folder: &Path, arguments: &[&str]) -> String {
    let mut command = command::bittrace(env!("CARGO_BIN_EXE_bittrace"), folder, arguments);
    let (code, output, errors) = command::run(&mut command);
    assert_eq!((code, errors.as_str()), (0, ""), "{arguments:?}");
    output
}

fn printed(arguments: &[&str]) -> String {
    printed_in(&captures_folder(), arguments)
}

fn assert_narrow(page: &str, of: &str) {
    // A command to be copied is never broken.
    let mut lines = page.lines().filter(|line| !line.starts_with("    bittrace "));
    let wide = lines.find(|line| line.chars().count() > 80);
    assert_eq!(wide, None, "{of}: a line is wider than 80 columns");
}

/// `n speaker` of each message.
fn speakers(folder: &Path, arguments: &[&str]) -> Vec<(u64, String)> {
    let all = [arguments, &["--view", "messages", "--no-summary", "--format", "json"]].concat();
    let rows = printed_in(folder, &all);
    let rows = rows.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    let said = rows.filter_map(|row| Some((row["n"].as_u64()?, row["speaker"].as_str()?.to_owned())));
    said.collect()
}

#[test]
fn pages_name_both_ends_and_fit_80_columns() {
    for file in ["dht-get-peers.pcap", "lossy-link.pcap.gz", "multi-file-several-peers.pcap"] {
        let views = "summary,messages,conversations";
        let page = printed(&["analyze", "--local", "none", file, "--view", views, "--limit", "24"]);
        assert_narrow(&page, file);
        assert!(page.contains("no local host;"), "{page}");
        assert!(!page.contains("(local)") && !page.contains("local host 10."), "{page}");
        assert_printed!("no-local", file.split('.').next().unwrap_or(file), page);
    }
    let page = printed(&["diagnose", "--local", "none", "multi-file-several-peers.pcap"]);
    assert_narrow(&page, "diagnose");
    assert_printed!("no-local", "diagnose-multi-file-several-peers", page);
}

/// The speaker is the initiator or the responder of every message of every capture, and a filter takes these words.
#[test]
fn every_speaker_is_initiator_or_responder() {
    for path in captures() {
        let file = path.file_name().expect("a capture has a name").to_string_lossy().into_owned();
        let said = speakers(&captures_folder(), &["analyze", &file, "--local", "none"]);
        let named = speakers(&captures_folder(), &["analyze", &file]);
        assert_eq!(said.len(), named.len(), "{file}");
        let is_role = |speaker: &str| matches!(speaker, "initiator" | "responder");
        let other = said.iter().find(|(_, speaker)| !is_role(speaker));
        assert_eq!(other, None, "{}", scenario(&path));
        assert!(named.iter().all(|(_, speaker)| !is_role(speaker)), "{file}: one host is local");
    }
    let only = ["analyze", "lossy-link.pcap.gz", "--local", "none", "--filter", "speaker == responder"];
    let said = speakers(&captures_folder(), &only);
    assert!(!said.is_empty() && said.iter().all(|(_, speaker)| speaker == "responder"), "{said:?}");
    let local = ["analyze", "lossy-link.pcap.gz", "--local", "none", "--filter", "speaker == local"];
    assert_eq!(speakers(&captures_folder(), &local), []);
}

#[test]
fn a_page_says_who_opened_connections_instead_of_received_and_sent() {
    let folder = scratch_folder();
    let html = folder.path().join("page.html");
    let file = html.to_str().expect("a path in UTF-8");
    printed(&["-q", "analyze", "multi-file-several-peers.pcap", "--local", "none", "--html", file]);
    let page = std::fs::read_to_string(&html).expect("the page is there");
    assert!(page.contains("\"has_roles\":true"), "the script is told");
    assert!(page.contains("blocks to initiators") && !page.contains("blocks received"), "the tiles");
    assert!(page.contains("<b>5 hosts</b> exchanged"), "the sentence");
}

#[test]
fn commands_that_follow_one_host_say_so() {
    for arguments in [
        &["diff", "--local", "none", "download-aria2.pcap", "download-aria2.pcap"][..],
        &["replay", "--local", "none", "download-aria2.pcap"],
        &["profile", "--local", "none", "download-aria2.pcap"],
    ] {
        let mut command = command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), arguments);
        let (code, _, errors) = command::run(&mut command);
        assert_eq!(code, 2, "{arguments:?}");
        assert!(
            errors.contains("this command follows one host of the capture; give its address"),
            "{errors}"
        );
    }
    let arguments = ["analyze", "--local", "nobody", "download-aria2.pcap"];
    let mut command = command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), &arguments);
    let (code, _, errors) = command::run(&mut command);
    assert_eq!(code, 2);
    assert!(errors.contains("neither an IP address nor none"), "{errors}");
}

/// 1,000 hosts of two programs, each of which calls the next one.
fn ring_of_hosts(folder: &Path, viewpoint: Viewpoint) {
    let mut recorder = Recorder::seen_from(viewpoint, Vec::new(), "a test").expect("memory takes all");
    let greeting = |host: usize| {
        let program = if host.is_multiple_of(5) { "-TR3000-" } else { "-qB4520-" };
        let header = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0aaaaaaaaaaaaaaaaaaaa";
        [&header[..], program.as_bytes(), format!("{host:012}").as_bytes()].concat()
    };
    let address = |host: usize| [10, 0, (host / 250) as u8, (host % 250) as u8 + 1];
    for host in 0..HOSTS {
        let (stream, called) = (StreamId(host as u32), (host + 1) % HOSTS);
        let at = Timestamp::from_secs_nanos(1_790_000_000, 1000 * host as u32);
        let flow = Flow {
            initiator: (address(host), 50_000 + (host % 10_000) as u16).into(),
            responder: (address(called), 6881).into(),
        };
        recorder.opened(at, stream, flow, StreamOpening::Syn).expect("memory takes all");
        for (direction, speaker) in [(Direction::FromInitiator, host), (Direction::FromResponder, called)] {
            recorder.burst(at, stream, direction, &greeting(speaker)).expect("memory takes all");
        }
    }
    let capture = recorder.finish().expect("memory takes all");
    std::fs::write(folder.join("ring.pcapng"), capture).expect("it can be written");
}

const HOSTS: usize = 1_000;

#[test]
fn tables_of_a_thousand_clients_are_short_and_say_how_many_are_left_out() {
    let folder = scratch_folder();
    ring_of_hosts(folder.path(), Viewpoint::AnyHost);
    let pages = ["summary,messages,conversations", "ladder"].map(|views| {
        let arguments = ["analyze", "--local", "none", "ring.pcapng", "--view", views, "--limit", "20"];
        printed_in(folder.path(), &arguments)
    });
    let page = pages.concat();
    assert_narrow(&page, "1,000 clients");
    let lines = page.lines().count();
    assert!(lines < 250, "{lines} lines");
    for part in [
        "Clients by program (each with -v)",
        "qBittorrent 4.5.2      800  10.0.0.2 to 10.0.3.250       1,600",
        "Transmission 3.00      200  10.0.0.1 to 10.0.3.246         400",
        "… 980 more",
        "More than 9 hosts",
    ] {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
    let verbose =
        printed_in(folder.path(), &["-v", "analyze", "--local", "none", "ring.pcapng", "--view", "summary"]);
    assert!(verbose.lines().count() > 2 * HOSTS, "every client and every connection has its row with -v");
}

#[test]
fn a_clear_copy_is_of_a_network_where_the_capture_is() {
    for (viewpoint, is_of_a_network) in [(Viewpoint::BetweenHosts, true), (Viewpoint::AnyHost, false)] {
        let folder = scratch_folder();
        ring_of_hosts(folder.path(), viewpoint);
        let mut clear = command::bittrace(
            env!("CARGO_BIN_EXE_bittrace"),
            folder.path(),
            &["--quiet", "clear", "ring.pcapng", "--output", "clear.pcapng"],
        );
        let (code, _, errors) = command::run(&mut clear);
        assert_eq!(code, 0, "{errors}");
        for file in ["ring.pcapng", "clear.pcapng"] {
            let page = printed_in(folder.path(), &["analyze", file, "--view", "summary"]);
            assert_eq!(page.contains("no local host;"), is_of_a_network, "{file}:\n{page}");
        }
    }
}
