//! `bittrace analyze --html`: what the page has of every capture, that it is inert, and that its size is bounded.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output};

use bittrace_testing::assert_printed;
use bittrace_testing::captures::{captures, captures_folder, scenario};
use bittrace_testing::command::{self, code, scratch_folder};
use bittrace_testing::hostile;
use bittrace_testing::html_page::{between, block, body, data, is_inert};
use bittrace_testing::swarm::Swarm;
use serde_json::Value;

fn bittrace(folder: &Path, arguments: &[&str]) -> Output {
    command_in(folder, arguments).output().expect("bittrace starts")
}

fn command_in(folder: &Path, arguments: &[&str]) -> Command {
    command::bittrace(env!("CARGO_BIN_EXE_bittrace"), folder, arguments)
}

/// The page of a reference capture, with its torrent where it has one.
fn page_of(path: &Path, more: &[&str]) -> String {
    let file = path.file_name().expect("a capture has a name").to_string_lossy().into_owned();
    let torrent = format!("{}.torrent", scenario(path));
    let mut arguments = vec!["analyze", file.as_str(), "--html", "-"];
    if captures_folder().join(&torrent).exists() {
        arguments.extend(["--torrent", torrent.as_str()]);
    }
    arguments.extend(more);
    printed(&captures_folder(), &arguments)
}

fn printed(folder: &Path, arguments: &[&str]) -> String {
    let output = bittrace(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    assert_eq!(errors, "", "{arguments:?}");
    String::from_utf8(output.stdout).expect("a page is UTF-8")
}

fn list<'a>(value: &'a Value, path: &str) -> &'a Vec<Value> {
    value.pointer(path).and_then(Value::as_array).unwrap_or_else(|| panic!("no list {path}"))
}

fn numbers(value: &Value, path: &str) -> Vec<i64> {
    list(value, path).iter().map(|number| number.as_i64().expect("a number")).collect()
}

#[test]
fn data_of_small_captures() {
    for name in
        ["corrupt-peer.pcap.gz", "mse-rc4.pcap", "udp-tracker-fragments.pcap", "not-bittorrent.pcapng"]
    {
        let path = captures_folder().join(name);
        let mut data = data(&page_of(&path, &[]));
        // The names of the filter are those of `bittrace fields`, which has a snapshot of its own.
        let entries = data.as_object_mut().expect("the data are an object");
        entries.remove("vocabulary").expect("the page has the names that its filter knows");
        assert_printed!("html", scenario(&path).as_str(), by_lines(&data));
    }
}

/// The data with a line for each part, and for each message.
fn by_lines(data: &Value) -> String {
    let mut text = String::new();
    for (key, value) in data.as_object().expect("the data are an object") {
        let Some(columns) = value.as_object().filter(|_| key == "messages") else {
            text.push_str(&format!("{key}: {value}\n"));
            continue;
        };
        for at in 0..list(value, "/n").len() {
            let row = columns.iter().map(|(name, column)| format!("{name} {}", column[at]));
            text.push_str(&format!("message: {}\n", row.collect::<Vec<_>>().join(" ")));
        }
    }
    text
}

#[test]
fn heads_of_all_captures() {
    let mut heads = String::new();
    for path in captures() {
        let page = page_of(&path, &[]);
        let sentence = between(&page, "<p class=\"sentence\">", "</p>");
        heads.push_str(&format!("{}: {sentence}\n", scenario(&path)));
    }
    assert_printed!("html", "sentences", heads);
    let page = page_of(&captures_folder().join("multi-file-several-peers.pcap"), &[]);
    assert_printed!("html", "multi-file-several-peers-body", body(&page));
}

#[test]
fn pages_agree_with_themselves() {
    for path in captures() {
        let name = scenario(&path);
        let page = page_of(&path, &[]);
        agrees_with_itself(&page, &name);
        assert_eq!(list(&data(&page), "/holes").len(), 0, "{name} is small");
        assert!(page == page_of(&path, &[]), "{name}: two runs differ");
        let folder = captures_folder();
        let folder = folder.to_str().expect("the path is UTF-8");
        assert!(!page.contains(folder), "{name}: the page names a folder of this machine");
    }
}

/// Holds a page to what every page is.
fn agrees_with_itself(page: &str, name: &str) {
    is_inert(page, name);
    let data = data(page);
    let messages = data["messages"].as_object().expect("messages are an object of columns");
    let n = numbers(&data, "/messages/n");
    assert!(n.is_sorted(), "{name}");
    for (column, values) in messages {
        assert_eq!(values.as_array().expect("a column is a list").len(), n.len(), "{name}: {column}");
    }
    let left_out: i64 =
        list(&data, "/holes").iter().map(|hole| hole["count"].as_i64().expect("a count")).sum();
    assert_eq!(n.len() as i64 + left_out, data["totals"]["messages"].as_i64().expect("a count"), "{name}");
    for hole in list(&data, "/holes") {
        let kinds = hole["kinds"].as_object().expect("counts by name").values();
        assert_eq!(
            kinds.map(|count| count.as_i64().expect("a count")).sum::<i64>(),
            hole["count"],
            "{name}: {hole}"
        );
        let after = hole["after"].as_i64().expect("a place");
        let before = if after < 0 { 0 } else { n[after as usize] };
        let next = n.get((after + 1) as usize).copied().unwrap_or(i64::MAX);
        let (from, to) = (hole["from"].as_i64().expect("a number"), hole["to"].as_i64().expect("a number"));
        assert!(before < from && from <= to && to < next, "{name}: {hole}");
    }
    let places: HashMap<i64, usize> = n.iter().enumerate().map(|(at, &n)| (n, at)).collect();
    for finding in list(&data, "/findings") {
        let leads_to = numbers(finding, "/n");
        assert!(!leads_to.is_empty(), "{name}: {finding}");
        for n in leads_to {
            let at =
                places.get(&n).unwrap_or_else(|| panic!("{name}: #{n} of {} is missing", finding["rule"]));
            let notes = list(&data, "/messages/notes")[*at].as_array().expect("the message has notes");
            assert!(notes.iter().any(|note| note[1] == finding["rule"]), "{name}: #{n}");
        }
    }
    let (answers, answered_by) =
        (numbers(&data, "/messages/answers"), numbers(&data, "/messages/answered_by"));
    for (at, &answers) in answers.iter().enumerate().filter(|(_, answers)| **answers > 0) {
        if let Some(&asked) = places.get(&answers) {
            assert!(answered_by[asked] > 0 && answered_by[asked] <= n[at], "{name}: #{}", n[at]);
        }
    }
    for (column, words) in [
        ("name", "names"),
        ("protocol", "protocols"),
        ("from", "hosts"),
        ("to", "hosts"),
        ("lane", "lanes"),
        ("client", "clients"),
        ("torrent", "torrents"),
    ] {
        let most = list(&data, &format!("/{words}")).len() as i64;
        let column = numbers(&data, &format!("/messages/{column}"));
        assert!(column.iter().all(|&place| place < most && place >= -1), "{name}: {words}");
    }
    let lengths = numbers(&data, "/messages/length");
    for (at, fields) in list(&data, "/messages/fields").iter().enumerate() {
        for field in fields.as_array().expect("fields are a list") {
            let (first, end) = (field[2].as_i64().expect("a place"), field[3].as_i64().expect("a place"));
            assert!(first <= end && end <= lengths[at], "{name}: #{}: {field}", n[at]);
        }
    }
}

#[test]
fn what_a_peer_says_never_becomes_markup() {
    let folder = scratch_folder();
    let markup = "</script></style><img src=x onerror=alert(1)>'\"<!--<script>";
    let long = markup.repeat(1200);
    let name = "</title><img src=x>\u{202e}.pcapng";
    for said in [markup, "\u{202e}fdp\u{2028}\0\u{9b}2J\u{1b}[31m</script>", &long] {
        std::fs::write(folder.path().join("a.pcapng"), hostile::capture(said)).unwrap();
        let info = format!(
            "d5:filesld6:lengthi5e4:pathl{0}:{1}eee4:name{0}:{1}12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae",
            said.len(),
            said
        );
        std::fs::write(folder.path().join("t.torrent"), format!("d4:info{info}e")).unwrap();
        let page = printed(folder.path(), &["analyze", "a.pcapng", "--html", "-"]);
        agrees_with_itself(&page, said.get(..20).unwrap_or(said));
        let output =
            bittrace(folder.path(), &["analyze", "a.pcapng", "--torrent", "t.torrent", "--html", "-"]);
        let with_torrent = String::from_utf8(output.stdout).expect("a page is UTF-8");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        agrees_with_itself(&with_torrent, "with its torrent");
        // The text is shown, not left out, and a page does not grow with it.
        assert!(page.contains("script") && block(&page).contains("\\u003c/script\\u003e"), "{page}");
        assert!(page.len() < 600_000, "{}", page.len());
    }
    if cfg!(unix) {
        std::fs::write(folder.path().join("name.pcapng"), hostile::capture("x")).unwrap();
        std::fs::write(folder.path().join(name), hostile::capture("x")).ok();
        if folder.path().join(name).exists() {
            agrees_with_itself(
                &printed(folder.path(), &["analyze", name, "--html", "-"]),
                "a hostile file name",
            );
        }
    }
}

#[test]
fn a_page_is_of_the_chosen_messages() {
    let path = captures_folder().join("corrupt-peer.pcap.gz");
    let page = page_of(&path, &["--filter", "message == piece && index == 1"]);
    agrees_with_itself(&page, "filtered");
    let data = data(&page);
    let names: Vec<_> =
        numbers(&data, "/messages/name").iter().map(|&name| data["names"][name as usize].clone()).collect();
    assert!(names.len() > 2 && names.iter().all(|name| name == "piece"), "{names:?}");
    let remark = data["incomplete"].as_str().expect("a remark");
    assert_eq!(remark, format!("Only the chosen messages count here: {} of 75 messages.", names.len()));
    let command = data["command"].as_str().expect("a command");
    let expected = "bittrace analyze corrupt-peer.pcap.gz --torrent corrupt-peer.torrent --filter 'message == piece && index == 1'";
    assert_eq!(command, expected);
    let nothing = page_of(&path, &["--stream", "1", "--from", "0", "--to", "0.5"]);
    assert!(body(&nothing).contains("<b>No message matches</b> (75 read)"));
}

#[test]
fn a_file_has_its_name_once_it_is_whole() {
    let folder = scratch_folder();
    let place = folder.path();
    let capture = captures_folder().join("mse-rc4.pcap");
    let capture = capture.to_str().expect("the path is UTF-8");
    let output = bittrace(place, &["analyze", capture, "--html", "a.html"]);
    assert_eq!((code(&output), output.stdout.as_slice()), (0, &b""[..]));
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1, "one line says what was written");
    let page = std::fs::read_to_string(place.join("a.html")).unwrap();
    assert!(page == printed(&captures_folder(), &["analyze", "mse-rc4.pcap", "--html", "-"]));
    // Another view beside it, and the page again in the same place.
    let output = bittrace(place, &["analyze", capture, "--html", "a.html", "--view", "findings", "-q"]);
    assert!(code(&output) == 0 && output.stderr.is_empty() && !output.stdout.is_empty());
    assert_eq!(page, std::fs::read_to_string(place.join("a.html")).unwrap());
    // A capture that cannot be read leaves what was there.
    std::fs::write(place.join("not-a-capture"), "no capture").unwrap();
    assert_eq!(code(&bittrace(place, &["analyze", "not-a-capture", "--html", "a.html"])), 2);
    assert_eq!(page, std::fs::read_to_string(place.join("a.html")).unwrap());
    let left: Vec<_> = std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn refuses_what_cannot_be_written_and_names_it() {
    let folder = scratch_folder();
    std::fs::copy(captures_folder().join("mse-rc4.pcap"), folder.path().join("a.pcap")).unwrap();
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    let cases: [(&[&str], &str); 8] = [
        (&["a.pcap", "a.pcap", "--html", "x.html"], "--html takes one capture"),
        (
            &["a.pcap", "--html", "a.pcap"],
            "--html a.pcap: this is a file that is read and would be overwritten",
        ),
        (&["a.pcap", "--html", "folder"], "--html folder: this is a folder"),
        (&["a.pcap", "--html", "missing/x.html"], "--html missing/x.html: cannot be written"),
        (&["a.pcap", "--html", "-", "--view", "messages"], "--html - writes the page to standard output"),
        (&["a.pcap", "--html", "-", "--format", "json"], "--html - writes the page to standard output"),
        (&["a.pcap", "--html", "x.html", "--limit", "9"], "--limit does not apply to the page"),
        (&["a.pcap", "--html-messages", "900"], "--html <FILE>"),
    ];
    for (arguments, expected) in cases {
        let arguments = [&["analyze"], arguments].concat();
        let output = bittrace(folder.path(), &arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!((code(&output), output.stdout.len()), (2, 0), "{arguments:?}: {errors}");
        assert!(errors.contains(expected), "{arguments:?}: {errors}");
    }
    assert!(!folder.path().join("x.html").exists());
}

/// The page of a download of about so many messages, its data, and how many messages there are.
fn page_of_swarm(messages: usize, more: &[&str]) -> (String, Value) {
    let folder = scratch_folder();
    let swarm = Swarm::of(messages);
    std::fs::write(folder.path().join("long.pcapng"), &swarm.capture).expect("the disk has room");
    let page = printed(folder.path(), &[&["analyze", "long.pcapng", "--html", "-", "-q"], more].concat());
    agrees_with_itself(&page, &messages.to_string());
    let data = data(&page);
    assert_eq!(data["totals"]["messages"], swarm.messages);
    (page, data)
}

#[test]
fn a_thousand_messages_are_all_there() {
    let (page, data) = page_of_swarm(1000, &[]);
    assert_eq!(data["totals"]["messages"], list(&data, "/messages/n").len());
    assert_eq!(data["incomplete"], Value::Null);
    assert!(page.len() < 1_200_000, "{}", page.len());
}

#[test]
fn of_more_messages_the_page_has_what_matters_and_counts_the_rest() {
    for (more, most) in [(&["--html-messages", "300"][..], 300), (&[], 4000)] {
        let (page, data) = page_of_swarm(20_000, more);
        is_a_choice(&page, &data, most);
    }
}

/// Holds the page of more messages than it can have to the order in which they are chosen.
fn is_a_choice(page: &str, data: &Value, most: usize) {
    let n = numbers(data, "/messages/n");
    assert!(n.len() <= most && n.len() > most / 4, "{} of {most}", n.len());
    assert!(page.len() < 4_000_000, "{}", page.len());
    let incomplete = data["incomplete"].as_str().expect("the page says that it is not all");
    assert!(incomplete.starts_with("Not everything is in this file."), "{incomplete}");
    assert!(incomplete.ends_with("bittrace analyze long.pcapng --view messages"), "{incomplete}");
    // The whole course is there, not only its beginning.
    let all = data["totals"]["messages"].as_i64().expect("a count");
    assert!(n.iter().filter(|&&n| n > all / 2).count() > n.len() / 8, "the second half");
    // Kinds that take turns are all there.
    let names = numbers(data, "/messages/name");
    for kind in ["request", "piece", "have"] {
        let shown = names.iter().filter(|&&name| data["names"][name as usize] == kind).count();
        assert!(shown > n.len() / 40, "{shown} of {kind}");
    }
}

#[test]
#[ignore = "makes 300 MB of captures"]
fn a_million_messages_stay_below_four_megabytes() {
    for messages in [100_000, 1_000_000] {
        let (page, data) = page_of_swarm(messages, &[]);
        is_a_choice(&page, &data, 4000);
    }
    let (page, data) = page_of_swarm(1_000_000, &["--html-messages", "20000"]);
    assert!(page.len() < 8_000_000, "{}", page.len());
    assert!(list(&data, "/messages/n").len() > 5000);
}
