//! The pictures of `analyze` in plain text, for every capture, at widths from 40 to 160 columns, in UTF-8 and in ASCII.

use std::path::Path;
use std::process::Command;

use bittrace_protocol::Timestamp;
use bittrace_testing::assert_printed;
use bittrace_testing::captures::{captures, captures_folder, scenario};
use bittrace_testing::command::{self, scratch_folder};
use bittrace_trace::{Direction, Flow, Recorder, StreamId, StreamOpening};

/// What is said of a capture without messages, in a line of any length.
const NOTHING: &str = ": no BitTorrent traffic in ";

const WIDTHS: [usize; 6] = [40, 60, 80, 100, 140, 160];

fn command(folder: &Path, arguments: &[&str], width: usize) -> Command {
    let mut command = command::bittrace(env!("CARGO_BIN_EXE_bittrace"), folder, arguments);
    command.env("COLUMNS", width.to_string());
    command
}

/// A page in so many columns, and the same in plain ASCII.
fn pages(folder: &Path, arguments: &[&str], width: usize) -> [String; 2] {
    ["C.UTF-8", "C"].map(|locale| {
        let (code, page, errors) = command::run(command(folder, arguments, width).env("LC_ALL", locale));
        assert_eq!((code, errors.as_str()), (0, ""), "{arguments:?}");
        page
    })
}

/// The arguments that name a capture, and its torrent where it has one.
fn of_capture(path: &Path) -> Vec<String> {
    let file = path.file_name().expect("a capture has a name").to_string_lossy().into_owned();
    let torrent = format!("{}.torrent", scenario(path));
    match captures_folder().join(&torrent).exists() {
        true => vec!["analyze".to_owned(), file, "--torrent".to_owned(), torrent],
        false => vec!["analyze".to_owned(), file],
    }
}

fn picture(capture: &str, view: &[&str], width: usize) -> [String; 2] {
    let path = captures_folder().join(capture);
    let capture = of_capture(&path);
    let arguments: Vec<&str> = capture.iter().map(String::as_str).chain(["--view"]).collect();
    pages(&captures_folder(), &[&arguments[..], view].concat(), width)
}

#[test]
fn prints_ladders() {
    for (width, name) in [(60, "ladder-60"), (80, "ladder-80"), (140, "ladder-140")] {
        assert_printed!("analyze", name, picture("corrupt-peer.pcap.gz", &["ladder"], width)[0]);
    }
    let [_, ascii] = picture("corrupt-peer.pcap.gz", &["ladder"], 80);
    assert_printed!("analyze", "ladder-ascii", ascii);
}

/// How many messages the rows of a ladder stand for: a row has the number of its message first, and a run says how many.
fn messages(page: &str) -> u64 {
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let number = words.next()?.parse::<u64>().ok();
        let elapsed = words.next()?.parse::<f64>().ok();
        number.and(elapsed)?;
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let run = words.iter().position(|word| *word == "×" || *word == "x");
        let count = run.map(|at| words.swap_remove(at - 1).replace(',', ""));
        Some(count.map_or(1, |count| count.parse().expect("how many")))
    };
    page.lines().filter_map(row).sum()
}

#[test]
fn every_message_of_every_capture_is_a_row_of_the_ladder_or_part_of_one() {
    for path in captures() {
        let capture = of_capture(&path);
        let capture: Vec<&str> = capture.iter().map(String::as_str).collect();
        let csv = [&capture[..], &["--format", "csv", "--fields", "n"]].concat();
        let (_, numbers, _) = command::run(&mut command(&captures_folder(), &csv, 80));
        let count = numbers.lines().count() as u64 - 1;
        for width in WIDTHS {
            let ladder = [&capture[..], &["--view", "ladder"]].concat();
            let [page, ascii] = pages(&captures_folder(), &ladder, width);
            assert_eq!(messages(&page), count, "{path:?}, {width}");
            for line in page.lines().filter(|line| !line.contains(NOTHING)) {
                assert!(line.chars().count() <= width, "{path:?}, {width}: {line:?}");
            }
            for line in ascii.lines().filter(|line| !line.contains(NOTHING)) {
                assert!(line.is_ascii() && line.len() <= width, "{path:?}, {width}: {line:?}");
            }
            assert_eq!(page.lines().count(), ascii.lines().count(), "{path:?}, {width}");
        }
    }
}

#[test]
fn the_ladder_is_of_the_chosen_messages() {
    let ladder =
        |more: &[&str]| picture("corrupt-peer.pcap.gz", &[&["ladder"], more].concat(), 80)[0].clone();
    let wrong = ladder(&["--filter", "severity == error"]);
    assert_eq!(messages(&wrong), 6, "{wrong}");
    assert!(wrong.lines().filter(|line| line.contains('✕')).count() > 6, "{wrong}");
    assert!(!wrong.contains("10.77.0.1"), "a tracker said nothing of it: {wrong}");
    assert_eq!(messages(&ladder(&["--stream", "2"])), 16);
    assert_eq!(messages(&ladder(&["--from", "24", "--to", "24.5"])), 4);
    let limited = ladder(&["--limit", "3"]);
    assert_eq!(messages(&limited), 3);
    assert!(limited.ends_with("… 72 more messages\n"), "{limited}");
    assert_eq!(ladder(&["--no-fold"]).matches(" × ").count(), 0);
}

/// A peer at each of these addresses says hello to 10.0.0.1, one after another.
fn greetings(folder: &Path, hosts: &[[u8; 4]]) {
    let mut recorder = Recorder::new(Vec::new(), "a test").expect("memory takes all");
    let greeting = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0aaaaaaaaaaaaaaaaaaaa-TR3000-aaaaaaaaaaaa";
    for (at, host) in hosts.iter().enumerate() {
        let (stream, seconds) = (StreamId(at as u32), at as i64 / 200);
        let moment = Timestamp::from_secs_nanos(1_790_000_000 + seconds, 1000 * at as u32);
        let flow =
            Flow { initiator: (*host, 50_000 + at as u16).into(), responder: ([10, 0, 0, 1], 6881).into() };
        recorder.opened(moment, stream, flow, StreamOpening::Syn).expect("memory takes all");
        recorder.burst(moment, stream, Direction::FromInitiator, greeting).expect("memory takes all");
        recorder.burst(moment, stream, Direction::FromResponder, greeting).expect("memory takes all");
    }
    let capture = recorder.finish().expect("memory takes all");
    std::fs::write(folder.join("greetings.pcapng"), capture).expect("it can be written");
}

fn ladder_of_greetings(hosts: &[[u8; 4]], width: usize) -> String {
    let folder = scratch_folder();
    greetings(folder.path(), hosts);
    let arguments = ["analyze", "greetings.pcapng", "--local", "10.0.0.1", "--view", "ladder"];
    let [page, _] = pages(folder.path(), &arguments, width);
    assert_eq!(messages(&page), 2 * hosts.len() as u64, "{page}");
    page
}

#[test]
fn more_hosts_than_nine_have_two_lifelines_a_stream() {
    let host = |last: u8| [10, 0, 0, last];
    let nine = ladder_of_greetings(&(2..=9).map(host).collect::<Vec<_>>(), 80);
    assert!(nine.contains("A   B   C   D   E   F   G   H   I"), "{nine}");
    assert!(!nine.contains("-- stream"), "{nine}");
    let ten = ladder_of_greetings(&(2..=10).map(host).collect::<Vec<_>>(), 80);
    assert!(
        ten.starts_with("More than 9 hosts: each stream has two lifelines, 10.0.0.1 is on the left."),
        "{ten}"
    );
    assert_eq!(ten.matches("-- stream ").count(), 9, "{ten}");
    assert!(ten.contains("  8  │<──┤ "), "{ten}");
    let narrow = ladder_of_greetings(&(2..=9).map(host).collect::<Vec<_>>(), 44);
    assert!(narrow.contains("-- stream"), "{narrow}");
    let one_address = ladder_of_greetings(&[[10, 0, 0, 1]], 80);
    assert!(one_address.starts_with("Both ends have one address"), "{one_address}");
}

/// Rows are written before all messages are read: hosts that come later get a lifeline then, or the streams two each.
#[test]
fn hosts_that_come_late_get_their_lifelines_then() {
    let mut hosts = vec![[10, 0, 0, 2]; 300];
    hosts.push([10, 0, 0, 3]);
    let late = ladder_of_greetings(&hosts, 80);
    let legends: Vec<&str> =
        late.lines().filter(|line| line.starts_with("  ") && line.contains(" 10.0.0.")).collect();
    assert_eq!(legends.len(), 2, "{legends:?}");
    assert_eq!(late.lines().filter(|line| line.contains("elapsed")).count(), 2);
    assert!(late.contains("│<──┼───┤ "), "the third host speaks to the first");
    hosts.extend((4..=12).map(|last| [10, 0, 0, last]));
    let many = ladder_of_greetings(&hosts, 80);
    let at = many.find("More than 9 hosts").expect("it says so");
    assert!(many[..at].lines().count() > 600 && many[at..].contains("-- stream 309:"), "{}", &many[at..]);
}

#[test]
fn programs_are_led_to_what_has_the_same() {
    for (arguments, said) in [
        (
            &["--view", "ladder", "--format", "json"][..],
            "--view messages has the same messages as JSON and CSV",
        ),
        (&["--view", "ladder", "--format", "csv"], "--view messages has the same messages as JSON and CSV"),
        (&["--view", "ladder,messages"], "show the same messages; name one of them"),
    ] {
        let arguments = [&["analyze", "corrupt-peer.pcap.gz"], arguments].concat();
        let (code, _, errors) = command::run(&mut command(&captures_folder(), &arguments, 80));
        assert!(code == 2 && errors.contains(said), "{arguments:?}: {code}, {errors}");
    }
}
