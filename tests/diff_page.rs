//! `diff --html` and `replay --html`: the page has what the text report has, every message stands in it once, what is left
//! out is counted, and in a browser keys, lines, fields and bytes belong together.

use std::collections::BTreeMap;
use std::path::Path;

use bittrace_protocol::Timestamp;
use bittrace_testing::assert_printed;
use bittrace_testing::browser::{Browser, axe, broken_rules_of_access, faults};
use bittrace_testing::captures::captures_folder;
use bittrace_testing::command::{self, scratch_folder};
use bittrace_testing::hostile;
use bittrace_testing::html_page::{between, block, body, data, is_inert};
use bittrace_trace::{Direction, Flow, Recorder, StreamId, StreamOpening};
use serde_json::{Value, json};

const ARIA2: &str = "download-aria2.pcap";
const TRANSMISSION: &str = "download-transmission.pcap";
const VERDICTS: [&str; 6] = ["same", "masked", "differs", "moved", "missing", "extra"];

/// Flags of a pair that is judged, and of one that is counted as a difference.
const JUDGED: u64 = 1;
const LOST: u64 = 8;
const DISAGREES: u64 = 32;

/// The exit code, standard output and standard error of a command in a folder.
fn run_in(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    command::run(&mut command::bittrace(env!("CARGO_BIN_EXE_bittrace"), folder, arguments))
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    run_in(&captures_folder(), arguments)
}

/// The page of a comparison of two captures, on standard output.
fn page(arguments: &[&str]) -> String {
    let (code, page, errors) = run(&[&["diff"], arguments, &["--html", "-"]].concat());
    assert!(code < 2, "{arguments:?}: {errors}");
    assert_eq!(errors, "", "{arguments:?}");
    page
}

fn list<'a>(value: &'a Value, path: &str) -> &'a Vec<Value> {
    value.pointer(path).and_then(Value::as_array).unwrap_or_else(|| panic!("no list {path}"))
}

fn numbers(value: &Value, path: &str) -> Vec<i64> {
    list(value, path).iter().map(|number| number.as_i64().expect("a number")).collect()
}

/// The summary that the same comparison has as JSON.
fn summary(arguments: &[&str]) -> Value {
    let (_, printed, _) = run(&[&["diff"], arguments, &["--format", "json"]].concat());
    let last: Value = serde_json::from_str(printed.lines().last().expect("a summary")).expect("JSON");
    last["summary"].clone()
}

/// How many judged pairs of the data have each verdict; those that a capture lost are not judged.
fn counted(data: &Value) -> BTreeMap<&'static str, u64> {
    let mut counts: BTreeMap<_, _> = VERDICTS.iter().map(|verdict| (*verdict, 0)).collect();
    let flags = numbers(data, "/pairs/flags");
    for (verdict, flags) in numbers(data, "/pairs/verdict").iter().zip(flags) {
        if flags as u64 & JUDGED != 0 && flags as u64 & LOST == 0 {
            *counts.entry(VERDICTS[*verdict as usize]).or_default() += 1;
        }
    }
    counts
}

/// Comparisons of several kinds: two clients, two runs, losses, several peers, exact, far ends.
const COMPARED: [&[&str]; 7] = [
    &[ARIA2, TRANSMISSION],
    &["download-qbittorrent.pcapng", "download-rtorrent.pcap"],
    &[ARIA2, "http-tracker-single-peer.pcap"],
    &["capture-loss.pcap", "capture-loss.pcap"],
    &["multi-file-several-peers.pcap", ARIA2],
    &[ARIA2, TRANSMISSION, "--no-mask"],
    &["download-rtorrent.pcap", ARIA2, "--side", "far"],
];

#[test]
fn prints_the_page_of_two_clients() {
    let page = page(&[ARIA2, TRANSMISSION, "--torrent", "download-aria2.torrent"]);
    assert_printed!("diff", "page-aria2-transmission", body(&page));
    let data = data(&page);
    let mut lines = String::new();
    for (key, value) in data.as_object().expect("the data are an object") {
        match key.as_str() {
            "pairs" => {
                for at in 0..list(value, "/verdict").len() {
                    lines.push_str(&format!("pair {at}:"));
                    for (name, column) in value.as_object().expect("columns") {
                        match column.as_object() {
                            Some(side) => {
                                let cells =
                                    side.iter().map(|(name, column)| format!("{name} {}", column[at]));
                                lines.push_str(&format!(" {name} ({})", cells.collect::<Vec<_>>().join(" ")));
                            }
                            None => lines.push_str(&format!(" {name} {}", column[at])),
                        }
                    }
                    lines.push('\n');
                }
            }
            _ => lines.push_str(&format!("{key}: {value}\n")),
        }
    }
    assert_printed!("diff", "page-data-aria2-transmission", lines);
}

#[test]
fn pages_count_what_the_text_report_counts() {
    for arguments in COMPARED {
        let page = page(arguments);
        is_inert(&page, &format!("{arguments:?}"));
        let data = data(&page);
        let summary = summary(arguments);
        for (verdict, count) in counted(&data) {
            assert_eq!(json!(count), summary["verdicts"][verdict], "{arguments:?}: {verdict}");
        }
        let (_, text, _) = run(&[&["diff", "-q"], arguments].concat());
        let verdict = between(&page, "aria-hidden=\"true\">", "</p>");
        let said = verdict.split_once("</span> ").expect("a sign and a sentence").1;
        assert_eq!(said, text.trim_end(), "{arguments:?}");
        assert!(page == self::page(arguments), "{arguments:?}: two runs differ");
        let folder = captures_folder();
        assert!(!page.contains(folder.to_str().expect("UTF-8")), "{arguments:?}: the page names a folder");
    }
}

#[test]
fn every_message_stands_once_on_its_side_and_in_its_order() {
    for arguments in COMPARED {
        let data = data(&page(arguments));
        let flags = numbers(&data, "/pairs/flags");
        let is_split = data["judged"] != "both";
        for (side, shown) in
            [("reference", "rows"), ("candidate", "rows"), ("reference", "all"), ("candidate", "all")]
        {
            if shown == "all" && !is_split {
                continue;
            }
            let n = numbers(&data, &format!("/pairs/{side}/n"));
            let wanted = |pair: usize| shown == "all" || !is_split || flags[pair] as u64 & JUDGED != 0;
            let mut seen = vec![0; n.len()];
            for conversation in list(&data, "/conversations") {
                let column = numbers(conversation, &format!("/{shown}/{side}"));
                let pairs: Vec<usize> =
                    column.iter().filter(|pair| **pair >= 0).map(|pair| *pair as usize).collect();
                assert!(pairs.windows(2).all(|two| n[two[0]] < n[two[1]]), "{arguments:?}, {side}, {shown}");
                pairs.into_iter().for_each(|pair| seen[pair] += 1);
            }
            for (pair, seen) in seen.into_iter().enumerate() {
                assert_eq!(
                    seen,
                    i32::from(n[pair] > 0 && wanted(pair)),
                    "{arguments:?}, {side}, {shown}: pair {pair}"
                );
            }
        }
    }
}

#[test]
fn fields_name_bytes_that_are_in_the_file() {
    let data = data(&page(&[ARIA2, TRANSMISSION]));
    let mut marked = 0;
    for (pair, detail) in list(&data, "/pairs/detail").iter().enumerate() {
        let lengths = ["reference", "candidate"]
            .map(|side| numbers(&data, &format!("/pairs/{side}/length"))[pair] as u64);
        for field in list(detail, "/fields") {
            for (side, length) in lengths.into_iter().enumerate() {
                for range in list(field, &format!("/5/{side}")) {
                    let [from, to] = [0, 1].map(|at| range[at].as_u64().expect("a number"));
                    assert!(from < to && to <= length, "pair {pair}: {field}");
                    marked += 1;
                }
            }
            // Of a field that is the same no byte is marked, and of one that differs some are, unless it only moved.
            let is_marked = (0..2).any(|side| !list(field, &format!("/5/{side}")).is_empty());
            let has_moved = field[3].as_str().is_some_and(|remark| remark.starts_with("order"));
            assert_eq!(is_marked, field[2] != json!(0) && !has_moved, "{field}");
        }
    }
    assert!(marked > 20, "{marked}");
}

/// A capture of a peer that is asked for `requests` blocks. `last` is the length of the last one.
fn long_capture(file: &Path, requests: u32, last: u32) {
    let mut recorder = Recorder::new(Vec::new(), "long").expect("memory takes all");
    let flow = Flow {
        initiator: "10.0.0.1:50000".parse().expect("an address"),
        responder: "10.0.0.2:6881".parse().expect("an address"),
    };
    let at = |message: u32| Timestamp::from_nanos(1_790_000_000_000_000_000 + i64::from(message) * 1_000_000);
    recorder.opened(at(0), StreamId(0), flow, StreamOpening::Syn).expect("memory takes all");
    let mut say = |message: u32, direction, bytes: &[u8]| {
        recorder.burst(at(message), StreamId(0), direction, bytes).expect("memory takes all");
    };
    let mut greeting = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0aaaaaaaaaaaaaaaaaaaa".to_vec();
    greeting.extend(b"-XX0000-aaaaaaaaaaaa");
    say(1, Direction::FromInitiator, &greeting);
    say(2, Direction::FromResponder, &greeting);
    say(3, Direction::FromResponder, &[0, 0, 0, 1, 1]);
    say(4, Direction::FromInitiator, &[0, 0, 0, 1, 2]);
    for number in 0..requests {
        let length = if number + 1 == requests { last } else { 16_384 };
        let mut request = vec![0, 0, 0, 13, 6];
        for word in [number / 16, number % 16 * 16_384, length] {
            request.extend(word.to_be_bytes());
        }
        say(5 + number, Direction::FromInitiator, &request);
    }
    std::fs::write(file, recorder.finish().expect("memory takes all")).expect("a folder of our own");
}

#[test]
fn of_many_messages_the_page_has_what_differs_and_counts_the_rest() {
    let folder = scratch_folder();
    for (requests, whole) in [(3_000, true), (100_000, false)] {
        long_capture(&folder.path().join("a.pcapng"), requests, 16_384);
        long_capture(&folder.path().join("b.pcapng"), requests, 100);
        let (code, page, errors) = run_in(folder.path(), &["diff", "a.pcapng", "b.pcapng", "--html", "-"]);
        assert_eq!((code, errors.as_str()), (1, ""));
        assert!(page.len() < 4_000_000, "{requests} requests: {} bytes", page.len());
        is_inert(&page, "many requests");
        let data = data(&page);
        let pairs = list(&data, "/pairs/verdict").len() as u64;
        let holes = list(&data, "/conversations/0/holes");
        let left_out: u64 = holes
            .iter()
            .map(|hole| {
                let text = hole.as_str().expect("a text");
                text.split(' ').next().expect("a number").replace(',', "").parse::<u64>().expect("a number")
            })
            .sum();
        // Each hole stands once among the rows of judged messages, and once among all: only requests are left out.
        assert_eq!(pairs + left_out / 2, u64::from(requests) + 4, "{requests} requests");
        assert_eq!(holes.is_empty(), whole);
        assert_eq!(data["incomplete"].is_null(), whole);
        let differs =
            numbers(&data, "/pairs/flags").iter().filter(|flags| **flags as u64 & DISAGREES != 0).count();
        assert_eq!(differs, 1, "the last request differs, and is in the file");
        if whole {
            continue;
        }
        assert!(pairs <= 4_000, "{pairs}");
        assert!(page.contains("Not everything is in this file"));
        let command = "bittrace diff a.pcapng b.pcapng --streams 0 --format json";
        assert_eq!(data["conversations"][0]["command"], json!(command));
        let (_, listed, _) = run_in(folder.path(), &command.split(' ').skip(1).collect::<Vec<_>>());
        assert_eq!(listed.lines().count() as u32, requests + 4 + 1, "a line a pair, and the summary");
    }
}

#[test]
fn what_peers_say_never_becomes_markup() {
    let folder = scratch_folder();
    let markup = "</script></style><img src=x onerror=alert(1)>'\"<!--<script>";
    let long = markup.repeat(1100);
    for said in [markup, "\u{202e}fdp\u{2028}\0\u{9b}2J</script><img src=x>", &long] {
        let other = format!("x{said}");
        for (name, said) in [("a.pcapng", said), ("b.pcapng", &other)] {
            std::fs::write(folder.path().join(name), hostile::capture(said)).expect("a folder of our own");
        }
        std::fs::write(folder.path().join("t.torrent"), hostile::torrent(said)).expect("a folder of our own");
        let arguments =
            ["diff", "a.pcapng", "b.pcapng", "--torrent", "t.torrent", "--side", "both", "--html", "-"];
        let (code, page, errors) = run_in(folder.path(), &arguments);
        assert_eq!(code, 1, "{errors}");
        is_inert(&page, "hostile");
        assert!(page.len() < 1_000_000, "{}", page.len());
        assert!(block(&page).contains("\\u003c/script\\u003e"), "the text is there");
    }
}

#[test]
fn a_page_stands_alone_on_standard_output_and_beside_the_answer_in_a_file() {
    let folder = scratch_folder();
    let file = folder.path().join("page.html");
    let name = file.to_str().expect("UTF-8");
    let (code, printed, errors) = run(&["diff", ARIA2, TRANSMISSION, "--html", name]);
    assert_eq!(code, 1);
    assert!(printed.starts_with("They differ: ") && printed.lines().count() == 1, "{printed}");
    assert!(errors.starts_with("bittrace: ") && errors.contains("page.html"), "{errors}");
    let written = std::fs::read_to_string(&file).expect("the page was written");
    assert_eq!(written, page(&[ARIA2, TRANSMISSION]));

    // As JSON, the report stays what it was.
    let (_, json, _) = run(&["diff", ARIA2, TRANSMISSION, "--format", "json", "-q", "--html", name]);
    let (_, alone, _) = run(&["diff", ARIA2, TRANSMISSION, "--format", "json", "-q"]);
    assert_eq!(json, alone);

    for (arguments, wanted) in [
        (&["--html", "-", "--format", "json"][..], "both write to standard output"),
        (&["--html", ARIA2][..], "this is a file that is read and would be overwritten"),
        (&["--html", "no/such/folder/page.html"][..], "cannot be written"),
    ] {
        let (code, printed, errors) = run(&[&["diff", ARIA2, TRANSMISSION], arguments].concat());
        assert_eq!((code, printed.as_str()), (2, ""), "{arguments:?}");
        assert!(errors.contains("--html") && errors.contains(wanted), "{arguments:?}: {errors}");
    }
}

#[test]
fn a_replay_has_the_page_of_a_comparison_and_says_what_was_played() {
    let (code, page, errors) = run(&["replay", TRANSMISSION, "--html", "-"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    is_inert(&page, "replay");
    assert!(
        page.contains("<p>The tracker and peers of download-transmission.pcap, replayed to bittrace"),
        "{}",
        body(&page)
    );
    let counts = counted(&data(&page));
    assert!(counts["same"] > 20 && counts["differs"] == 0, "{counts:?}");
}

#[test]
fn a_disturbed_client_has_a_row_for_each_run_with_its_last_messages() {
    let folder = scratch_folder();
    let file = folder.path().join("page.html");
    let file = file.to_str().expect("UTF-8");
    let client = [
        "--",
        env!("CARGO_BIN_EXE_bittrace"),
        "download",
        "-o",
        "{dir}",
        "--port",
        "{port}",
        "--listen",
        "127.0.0.1",
        "{torrent}",
    ];
    let arguments =
        ["replay", TRANSMISSION, "--disturb", "drop=9", "--disturb", "duplicate=3", "--html", file];
    let (code, printed, errors) = run(&[&arguments[..], &client].concat());
    assert_eq!(
        (code, printed.as_str()),
        (0, "The client downloaded everything in each of 3 runs.\n"),
        "{errors}"
    );
    let page = std::fs::read_to_string(file).expect("the page was written");
    is_inert(&page, "disturbances");
    let rows: Vec<&str> = body(&page).split("<tr class=\"run\">").skip(1).collect();
    let names: Vec<&str> = rows.iter().map(|row| between(row, "<th scope=\"row\">", "</th>")).collect();
    let wanted = ["(undisturbed)", "closes the connection after its message 9", "sends its block 3 twice"];
    assert_eq!(names, wanted);
    for row in &rows {
        let arrows = row.matches("class=\"sent\"").count() + row.matches("class=\"received\"").count();
        assert_eq!(arrows, 12, "{row}");
        let numbers: Vec<u64> = row
            .split("<tr><td class=\"number\">")
            .skip(1)
            .map(|line| line.split('<').next().and_then(|number| number.parse().ok()).expect("a number"))
            .collect();
        assert!(numbers.len() == 12 && numbers.is_sorted(), "{numbers:?}");
    }
    // The disturbed connection ends where the peer closed it.
    assert_eq!(rows.iter().map(|row| row.matches("class=\"end\"").count()).collect::<Vec<_>>(), [0, 1, 1]);
    let command = format!("--disturb drop=9 --disturb duplicate=3 --html -- {} download", "bittrace");
    assert!(page.contains(&command), "the command names no folder of the client");
}

/// The page of two clients in a browser; `None` where there is no browser.
fn open(fragment: &str) -> Option<(Browser, tempfile::TempDir)> {
    let mut browser = Browser::start()?;
    let folder = scratch_folder();
    let file = folder.path().join("page.html");
    let (code, _, errors) =
        run(&["diff", ARIA2, TRANSMISSION, "-q", "--html", file.to_str().expect("UTF-8")]);
    assert_eq!(code, 1, "{errors}");
    browser.open(&file, fragment);
    Some((browser, folder))
}

#[test]
fn keys_lead_from_difference_to_difference() {
    let Some((mut browser, _folder)) = open("") else { return };
    let chosen = |browser: &mut Browser| {
        browser.evaluate("bittrace.chosen()").as_u64().expect("a pair is chosen") as usize
    };
    let flags = browser.evaluate("bittrace.pairs.flags");
    let mut visited = vec![chosen(&mut browser)];
    loop {
        browser.press("n");
        let next = chosen(&mut browser);
        if visited.last() == Some(&next) {
            break;
        }
        visited.push(next);
    }
    let differences = flags
        .as_array()
        .expect("a list")
        .iter()
        .filter(|flags| flags.as_u64().is_some_and(|flags| flags & DISAGREES != 0));
    assert_eq!(visited.len(), differences.count(), "each difference is visited once");
    assert!(visited.iter().all(|pair| flags[pair].as_u64().is_some_and(|flags| flags & DISAGREES != 0)));
    browser.press("p");
    assert_eq!(chosen(&mut browser), visited[visited.len() - 2]);

    // Far ends are hidden until they are asked for.
    let rows = "bittrace.rows().length";
    let few = browser.evaluate(rows).as_u64();
    browser.press("f");
    assert!(browser.evaluate(rows).as_u64() > few);
    browser.press("f");
    assert_eq!(browser.evaluate(rows).as_u64(), few);
    browser.press("d");
    assert!(browser.evaluate(rows).as_u64() < few);
    browser.press("d");

    browser.press("j");
    let next = chosen(&mut browser);
    browser.press("k");
    assert_ne!(chosen(&mut browser), next);
    let ground = "getComputedStyle(document.body).backgroundColor";
    let before = browser.evaluate(ground);
    browser.press("t");
    assert_ne!(browser.evaluate(ground), before);
    browser.press("?");
    assert_eq!(browser.evaluate("document.querySelectorAll('dialog[open] dt').length"), json!(7));
    browser.press("Escape");
    assert_eq!(browser.evaluate("document.querySelectorAll('dialog').length"), json!(0));
    assert_eq!(faults(&browser), [""; 0]);
}

#[test]
fn a_click_shows_fields_and_the_bytes_that_differ() {
    let Some((mut browser, _folder)) = open("#reference=5") else { return };
    assert_eq!(
        browser.evaluate("document.querySelector('#detail h3').textContent"),
        json!("≠ differs: extended")
    );
    let marked = browser.evaluate(
        "[...document.querySelectorAll('#detail .hex')].map((pane) => [...pane.querySelectorAll('.hex-text .differs')].map((part) => part.textContent).join('|'))",
    );
    // Bytes that were put in before do not make the later ones differ.
    assert_eq!(marked[0].as_str().map(|text| text.contains("9")), Some(true), "{marked}");
    let style = browser.evaluate(
        "(() => { const style = getComputedStyle(document.querySelector('.hex .differs')); return [style.fontWeight, style.textDecorationLine]; })()",
    );
    assert_eq!(style, json!(["700", "underline"]));
    // A field and its bytes in both messages.
    let hot = browser.evaluate(
        "(() => { const row = [...document.querySelectorAll('.compared tr[data-row]')].find((row) => row.querySelector('th').textContent.endsWith('ut_metadata')); \
         row.dispatchEvent(new PointerEvent('pointerenter')); \
         return [...document.querySelectorAll('#detail .hex')].map((pane) => [...pane.querySelectorAll('.hex-text .hot')].map((part) => part.textContent).join('')); })()",
    );
    assert_eq!(hot, json!(["11:ut_metadatai9e", "11:ut_metadatai3e"]));
    // A click on a message of the candidate chooses its pair, and the lines follow.
    let place = browser.evaluate(
        "(() => { const cell = [...document.querySelectorAll('.side-row .cell')].find((cell) => cell.textContent.includes('have piece 7')); \
         cell.scrollIntoView({ block: 'center' }); const box = cell.getBoundingClientRect(); return [box.x + 60, box.y + 8]; })()",
    );
    browser.click(place[0].as_f64().expect("x"), place[1].as_f64().expect("y"), 1);
    assert_eq!(browser.evaluate("document.querySelector('#detail h3').textContent"), json!("+ extra: have"));
    assert_eq!(browser.evaluate("location.hash"), json!("#candidate=25"));
    assert_eq!(
        browser.evaluate("document.querySelectorAll('.joins .chosen circle').length"),
        json!(1),
        "an open ring"
    );
    assert_eq!(faults(&browser), [""; 0]);
}

#[test]
fn lines_join_the_two_rows_of_each_pair() {
    let Some((mut browser, _folder)) = open("") else { return };
    browser.resize(1400, 2400);
    browser.press("f");
    let wrong = browser.evaluate(
        "(() => { const model = page.side.model; const wrong = []; \
         for (const row of model.rows) if (row.kind === 'messages' && row.reference >= 0 && row.reference === row.candidate) { \
           if (pairs.flags[row.reference] & 4) wrong.push(`${row.reference} moved, and is level`); } \
         const joined = [...document.querySelectorAll('.joins g')].length; \
         const seen = new Set(model.stops.map(({ pair }) => pair)).size; \
         return [wrong, joined <= seen]; })()",
    );
    assert_eq!(wrong, json!([[], true]));
    assert_eq!(faults(&browser), [""; 0]);
}

#[test]
fn pages_can_be_read_in_every_width_theme_and_on_paper() {
    let Some((mut browser, folder)) = open("") else { return };
    let file = folder.path().join("page.html");
    for (width, theme) in [(1400, "light"), (390, "dark"), (320, "light")] {
        browser.emulate("", &[("prefers-color-scheme", theme)]);
        browser.resize(width, 900);
        browser.open(&file, "#reference=5");
        assert_eq!(faults(&browser), [""; 0]);
        let sizes = browser.evaluate("[document.documentElement.scrollWidth, innerWidth]");
        assert!(sizes[0].as_u64() <= sizes[1].as_u64(), "at {width}: {sizes}");
    }
    browser.resize(1400, 900);
    browser.open(&file, "");
    browser.emulate("print", &[]);
    browser.evaluate("dispatchEvent(new Event('beforeprint'))");
    let rows = browser.evaluate("[document.querySelectorAll('.print-only tr').length, getComputedStyle(document.body).backgroundColor, \
         getComputedStyle(document.querySelector('.rows')).display]");
    assert!(rows[0].as_u64().is_some_and(|rows| rows > 30), "{rows}");
    assert_eq!((&rows[1], &rows[2]), (&json!("rgb(255, 255, 255)"), &json!("none")));
    browser.evaluate("dispatchEvent(new Event('afterprint'))");
    assert_eq!(browser.evaluate("document.querySelectorAll('.print-only tr').length"), json!(0));
}

#[test]
fn what_far_ends_say_is_neither_an_element_nor_a_request() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = scratch_folder();
    let said = "</script></style><img src=x onerror=alert(1)>'\"<!--<script>\u{202e}\0";
    for (name, said) in [("a.pcapng", said.to_owned()), ("b.pcapng", format!("x{said}"))] {
        std::fs::write(folder.path().join(name), hostile::capture(&said)).expect("a folder of our own");
    }
    let arguments = ["diff", "a.pcapng", "b.pcapng", "-q", "--side", "both", "--html", "page.html"];
    let (code, _, errors) = run_in(folder.path(), &arguments);
    assert_eq!(code, 1, "{errors}");
    browser.open(&folder.path().join("page.html"), "");
    let number = browser.evaluate(
        "(() => { const stops = page.side.model.stops.length; for (let at = 0; at < stops; at++) page.side.choose(at); \
         dispatchEvent(new Event('beforeprint')); return stops; })()",
    );
    assert!(number.as_u64().is_some_and(|number| number >= 5), "{number}");
    browser.settle();
    let found = browser.evaluate("document.querySelectorAll('img, iframe, object, embed, link').length");
    assert_eq!(found, json!(0));
    assert_eq!(browser.evaluate("/[\\u202e\\u0000]/.test(document.body.textContent)"), json!(false));
    assert_eq!(faults(&browser), [""; 0]);
}

#[test]
fn no_rule_of_access_is_broken() {
    let Some(axe) = axe() else { return };
    let Some((mut browser, folder)) = open("") else { return };
    let file = folder.path().join("page.html");
    for (width, theme) in [(1400, "light"), (1400, "dark"), (390, "light")] {
        browser.emulate("", &[("prefers-color-scheme", theme)]);
        browser.resize(width, 900);
        browser.open(&file, "#reference=5");
        let found = broken_rules_of_access(&mut browser, &axe);
        assert_eq!(found, json!([]), "at {width}, {theme}");
    }
}
