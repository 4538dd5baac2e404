//! `bittrace diagnose` as a user runs it: its first sentences for every reference capture, what adds up, and the truth of captures
//! whose causes were put there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

use bittrace_testing::assert_printed;
use bittrace_testing::captures::{captures, captures_folder, scenario};
use bittrace_testing::command::{self, code};
use serde_json::Value;

fn bittrace(arguments: &[&str]) -> Output {
    let mut command = command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), arguments);
    command.output().expect("bittrace starts")
}

fn printed(arguments: &[&str]) -> String {
    let output = bittrace(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((code(&output), &*errors), (0, ""), "{arguments:?}");
    String::from_utf8(output.stdout).expect("output is UTF-8")
}

/// The objects of `--format json`: the run, and the budgets.
fn diagnosis(path: &Path) -> (Value, Vec<Value>) {
    let file = path.to_str().expect("a path in UTF-8");
    let torrent = path.with_file_name(format!("{}.torrent", scenario(path)));
    let mut arguments = vec!["diagnose", file, "--format", "json"];
    if torrent.exists() {
        arguments.extend(["--torrent", torrent.to_str().expect("a path in UTF-8")]);
    }
    let printed = printed(&arguments);
    let mut objects = printed.lines().map(|line| serde_json::from_str::<Value>(line).expect("an object"));
    let run = objects.next().expect("a run")["diagnosis"].clone();
    (run, objects.map(|object| object["budget"].clone()).collect())
}

fn seconds(object: &Value) -> BTreeMap<String, f64> {
    let seconds = object["seconds"].as_object().expect("seconds by cause");
    seconds.iter().map(|(cause, seconds)| (cause.clone(), seconds.as_f64().expect("a number"))).collect()
}

fn number(object: &Value, key: &str) -> f64 {
    object[key].as_f64().unwrap_or_else(|| panic!("{key} of {object}"))
}

#[test]
fn the_first_sentences_of_every_capture() {
    let mut page = String::new();
    for path in captures() {
        let (run, _) = diagnosis(&path);
        page.push_str(&format!("{}\n", scenario(&path)));
        for sentence in run["sentences"].as_array().expect("sentences") {
            page.push_str(&format!("  {}\n", sentence["text"].as_str().expect("a text")));
        }
    }
    assert_printed!("diagnose", "sentences", page);
}

#[test]
fn the_page_of_a_choked_download() {
    let page = printed(&["diagnose", "udp-tracker-scrape.pcap", "--torrent", "udp-tracker-scrape.torrent"]);
    assert_printed!("diagnose", "udp-tracker-scrape", page);
}

#[test]
fn pages_fit_the_terminal_and_views_are_the_same() {
    for path in captures() {
        let file = path.file_name().expect("a capture has a name").to_string_lossy().into_owned();
        let page = printed(&["diagnose", &file]);
        // Commands and filters are there to be copied.
        let is_to_copy =
            |line: &str| ["    bittrace ", "    Wireshark: "].iter().any(|start| line.starts_with(start));
        let wide = page.lines().find(|line| line.chars().count() > 80 && !is_to_copy(line));
        assert_eq!(wide, None, "{file}: a line is wider than 80 columns");
        let view = printed(&["analyze", &file, "--view", "diagnosis"]);
        assert!(view.ends_with(&page), "{file}: {view}");
    }
}

/// A place to look is a command where the capture can be read once more, with its name as a shell reads it, and a filter
/// where not.
#[test]
fn a_place_to_look_is_a_command_that_works() {
    let folder = command::scratch_folder();
    let capture = folder.path().join("it's here.pcap");
    std::fs::copy(captures_folder().join("udp-tracker-scrape.pcap"), &capture).expect("copied");
    let page = printed(&["diagnose", capture.to_str().expect("a path in UTF-8")]);
    assert!(
        page.contains("    bittrace analyze '") && page.contains(r"/it'\''s here.pcap' --filter '"),
        "{page}"
    );
    let input = std::fs::File::open(&capture).expect("a capture");
    let mut piped = command::bittrace(env!("CARGO_BIN_EXE_bittrace"), folder.path(), &["diagnose", "-"]);
    let output = piped.stdin(input).output().expect("bittrace starts");
    let page = String::from_utf8(output.stdout).expect("output is UTF-8");
    assert!(page.contains("\n    --filter '") && !page.contains("bittrace analyze "), "{page}");
}

#[test]
fn seconds_and_bytes_add_up() {
    for path in captures().into_iter().chain(known_captures()) {
        let (run, budgets) = diagnosis(&path);
        let name = scenario(&path);
        let all: f64 = seconds(&run).values().sum();
        assert!((all - number(&run, "duration")).abs() < 1e-6, "{name}: {all} s of the run");
        for budget in budgets {
            let all: f64 = seconds(&budget).values().sum();
            assert!((all - number(&budget, "duration")).abs() < 1e-6, "{name}: {all} s of {budget}");
            let bytes = budget["bytes_by_cause"].as_object().expect("bytes by cause").values();
            let all: u64 = bytes.map(|bytes| bytes.as_u64().expect("a number")).sum();
            assert_eq!(Some(all), budget["bytes"].as_u64(), "{name}: {budget}");
        }
    }
}

#[test]
fn csv_has_a_cell_for_each_cause() {
    let csv = printed(&["diagnose", "udp-tracker-scrape.pcap", "--format", "csv"]);
    let mut lines = csv.lines();
    let header = lines.next().expect("a header");
    assert!(header.contains("seconds_choked") && header.contains("bytes_by_cause_far-pace"), "{header}");
    let columns = header.split(',').count();
    assert!(lines.next().is_some_and(|row| row.split(',').count() >= columns), "{csv}");
}

#[test]
fn a_file_that_is_no_capture_could_not_be_told() {
    let output = bittrace(&["diagnose", "README.md", "udp-tracker-scrape.pcap"]);
    assert_eq!(code(&output), 2);
    assert!(String::from_utf8_lossy(&output.stdout).contains("Diagnosis of udp-tracker-scrape.pcap"));
}

fn truth_folder() -> PathBuf {
    captures_folder().join("diagnosis")
}

/// The captures whose causes were put there.
fn known_captures() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(truth_folder()) else { return Vec::new() };
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| path.to_string_lossy().contains(".pcap"))
        .collect();
    paths.sort();
    paths
}

/// The causes that stand for a cause of truth.tsv.
fn causes_of(truth: &str) -> &'static [&'static str] {
    match truth {
        "start" => &["connecting", "handshake-wait", "metadata-wait"],
        "choked" => &["choked"],
        "nothing wanted" => &["nothing-wanted"],
        "nothing asked" => &["not-asked"],
        "too few requests" => &["asked-too-little"],
        "upload limit" | "far end" => &["far-pace"],
        "network" => &["network"],
        "window" => &["receiver"],
        _ => &[],
    }
}

/// Each line of truth.tsv: capture, sender, receiver, cause, seconds.
#[test]
fn what_was_put_there_is_found() {
    let Ok(truth) = std::fs::read_to_string(truth_folder().join("truth.tsv")) else { return };
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut checked = 0;
    for line in truth.lines().filter(|line| !line.starts_with('#')) {
        let [capture, sender, receiver, cause, wanted] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("five columns: {line}")
        };
        let wanted: f64 = wanted.parse().expect("seconds");
        let causes = causes_of(cause);
        if causes.is_empty() || wanted < 1.0 {
            continue;
        }
        let budgets =
            found.entry(capture.to_owned()).or_insert_with(|| diagnosis(&truth_folder().join(capture)).1);
        let Some(budget) =
            budgets.iter().find(|budget| budget["sender"] == sender && budget["receiver"] == receiver)
        else {
            // Of a direction in which nothing was ever wanted there is no row.
            assert!(["nothing wanted", "start"].contains(&cause), "{line}: no such direction");
            continue;
        };
        let by_cause = seconds(budget);
        let said: f64 = causes.iter().map(|cause| by_cause[*cause]).sum();
        let life = number(budget, "duration");
        assert!((said - wanted).abs() <= life / 10.0, "{line}: {said} of {life} s\n{by_cause:?}");
        checked += 1;
    }
    assert!(checked > 0, "truth.tsv has no line that can be checked");
}

/// The cause that the first sentence of a capture names.
#[test]
fn the_first_sentence_names_the_cause() {
    let wanted = [
        ("seed-rate-limit", "far-pace"),
        ("link-limit", "network"),
        ("few-requests", "asked-too-little"),
        ("eight-requests", "asked-too-little"),
        ("small-window", "receiver"),
        ("losses", "network"),
        ("utp-link-limit", "network"),
        ("one-slot", "choked"),
        ("nothing-wanted", "nothing-wanted"),
        ("super-seed", "nothing-wanted"),
        ("idle-downloader", "not-asked"),
        ("paused-downloader", "not-asked"),
        ("paused-seeder", "far-pace"),
        ("paused-by-command", "no-peer"),
        ("own-limit", "not-asked"),
        ("slow-last-piece", "far-pace"),
        ("silent-tracker", "tracker-wait"),
        ("dead-peers", "connecting"),
    ];
    for path in known_captures() {
        let name = scenario(&path);
        let stem = name.trim_end_matches("-at-seeder");
        let Some((_, cause)) = wanted.iter().find(|(known, _)| *known == stem) else { continue };
        let (run, _) = diagnosis(&path);
        assert_eq!(run["sentences"][0]["cause"], *cause, "{name}: {}", run["sentences"]);
    }
}
