//! The pictures of `analyze` in plain text, for every capture, at widths from 40 to 160 columns, in UTF-8 and in ASCII.

use std::path::Path;
use std::process::Command;

use bittrace_protocol::Timestamp;
use bittrace_testing::assert_printed;
use bittrace_testing::captures::{captures, captures_folder, scenario};
use bittrace_testing::command::{self, scratch_folder};
use bittrace_testing::torrent::SeededTorrent;
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
    // Where both ends have one address, the far end is known by its port.
    let one_address = ladder_of_greetings(&[[10, 0, 0, 1]], 80);
    assert!(
        one_address.contains("A 10.0.0.1 (local") && one_address.contains("B 10.0.0.1:"),
        "{one_address}"
    );
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
fn prints_maps_and_rates() {
    for width in [60, 80, 140] {
        let [map, ascii] = picture("corrupt-peer.pcap.gz", &["map"], width);
        assert_printed!("analyze", format!("map-{width}"), map);
        let [rates, rates_in_ascii] = picture("multi-file-several-peers.pcap", &["rates"], width);
        assert_printed!("analyze", format!("rates-{width}"), rates);
        if width == 80 {
            assert_printed!("analyze", "map-ascii", ascii);
            assert_printed!("analyze", "rates-ascii", rates_in_ascii);
        }
    }
}

#[test]
fn maps_and_rates_of_every_capture_fit_the_terminal() {
    for path in captures() {
        let capture = of_capture(&path);
        let capture: Vec<&str> = capture.iter().map(String::as_str).collect();
        for width in WIDTHS {
            let [page, ascii] =
                pages(&captures_folder(), &[&capture[..], &["--view", "map,rates"]].concat(), width);
            let wide = page.lines().find(|line| line.chars().count() > width && !line.contains(NOTHING));
            assert_eq!(wide, None, "{path:?}, {width}");
            let wide = ascii
                .lines()
                .filter(|line| !line.contains(NOTHING))
                .find(|line| !line.is_ascii() || line.len() > width);
            assert_eq!(wide, None, "{path:?}, {width}");
            // Headings may wrap at another place, since some characters are wider in ASCII.
            assert!(page.lines().count().abs_diff(ascii.lines().count()) <= 4, "{path:?}, {width}");
        }
    }
}

/// A message between peers with these bytes after the length.
fn framed(id: u8, parts: &[&[u8]]) -> Vec<u8> {
    let payload = parts.concat();
    let mut message = (payload.len() as u32 + 1).to_be_bytes().to_vec();
    message.push(id);
    message.extend(payload);
    message
}

/// A capture of a download: 10.0.0.1 asks 10.0.0.2, and gets blocks at their seconds: piece, begin, bytes.
fn download(folder: &Path, info_hash: &[u8], blocks: &[(f64, u32, u32, Vec<u8>)]) {
    let mut recorder = Recorder::new(Vec::new(), "a test").expect("memory takes all");
    let flow = Flow { initiator: ([10, 0, 0, 1], 50_000).into(), responder: ([10, 0, 0, 2], 6881).into() };
    let moment = |seconds: f64| Timestamp::from_nanos(1_790_000_000_000_000_000 + (seconds * 1e9) as i64);
    let (own, other) = (Direction::FromInitiator, Direction::FromResponder);
    recorder.opened(moment(0.0), StreamId(0), flow, StreamOpening::Syn).expect("memory takes all");
    let mut say = |seconds: f64, direction, bytes: &[u8]| {
        recorder.burst(moment(seconds), StreamId(0), direction, bytes).expect("memory takes all");
    };
    for (direction, id) in [(own, b"-TR3000-aaaaaaaaaaaa"), (other, b"-TR3000-bbbbbbbbbbbb")] {
        let head: &[u8] = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0";
        say(0.0, direction, &[head, info_hash, id].concat());
    }
    say(0.0, own, &framed(2, &[]));
    say(0.0, other, &framed(1, &[]));
    for (seconds, piece, begin, bytes) in blocks {
        let (piece, begin) = (piece.to_be_bytes(), begin.to_be_bytes());
        say(*seconds, own, &framed(6, &[&piece, &begin, &(bytes.len() as u32).to_be_bytes()]));
        say(*seconds, other, &framed(7, &[&piece, &begin, bytes]));
    }
    let capture = recorder.finish().expect("memory takes all");
    std::fs::write(folder.join("download.pcapng"), capture).expect("it can be written");
}

/// The rows of a map: the label, what is drawn, how the pieces stand.
fn map_rows(page: &str) -> Vec<&str> {
    let is_label = |line: &&str| {
        let label = line.split_whitespace().next().unwrap_or_default();
        let is_drawn =
            line.split_whitespace().any(|word| !word.contains(|c: char| c.is_ascii_digit() || c == '-'));
        line.starts_with("  ")
            && label.chars().all(|c| c.is_ascii_digit() || c == '-')
            && is_drawn
            && !line.contains(" a column is ")
    };
    page.lines().filter(is_label).collect()
}

#[test]
fn a_map_folds_to_forty_rows_and_shows_the_worst() {
    let folder = scratch_folder();
    let torrent = SeededTorrent::single("http://t/announce", 100 * 1024, 1024);
    std::fs::write(folder.path().join("t.torrent"), torrent.torrent.as_slice()).expect("it can be written");
    let whole = |piece: usize| torrent.bytes[1024 * piece..1024 * (piece + 1)].to_vec();
    // All but the last piece; 50 is wrong at first, 77 always.
    let mut blocks: Vec<(f64, u32, u32, Vec<u8>)> = Vec::new();
    for piece in 0..99 {
        let bytes = if piece == 50 || piece == 77 { vec![7; 1024] } else { whole(piece) };
        blocks.push((0.1 * piece as f64, piece as u32, 0, bytes));
    }
    blocks.push((12.0, 50, 0, whole(50)));
    let hash = torrent.metainfo.info_hash.0;
    download(folder.path(), &hash, &blocks);
    let arguments =
        ["analyze", "download.pcapng", "--torrent", "t.torrent", "--local", "10.0.0.1", "--view", "map"];
    let [page, _] = pages(folder.path(), &arguments, 80);
    assert!(page.contains("Pieces of file.bin over 12.00 s: a column is"), "{page}");
    let rows = map_rows(&page);
    assert_eq!(rows.len(), 34, "{page}");
    let row = |label: &str| {
        let starts = |row: &&&str| row.trim_start().starts_with(label);
        *rows.iter().find(starts).unwrap_or_else(|| panic!("no row {label}: {page}"))
    };
    assert!(row("0-2 ").ends_with("  ✓") && row("0-2 ").contains('━'), "{page}");
    assert!(row("48-50 ").contains('✕') && row("48-50 ").ends_with("✓, after 1 × wrong from a"), "{page}");
    assert!(row("75-77 ").contains('✕') && row("75-77 ").ends_with("1 wrong from a"), "{page}");
    assert!(!row("75-77 ").contains('━') && row("75-77 ").contains('─'), "{page}");
    assert!(row("99 ").ends_with("missing"), "{page}");
    assert!(page.contains("  a 10.0.0.2:6881  "), "{page}");
}

/// Of more blocks than are kept one by one a map has the cells, and every row its blocks.
#[test]
fn a_map_of_many_blocks_has_no_more_rows() {
    let folder = scratch_folder();
    let blocks: Vec<(f64, u32, u32, Vec<u8>)> =
        (0..13_000).map(|piece| (0.01 * f64::from(piece), piece, 0, vec![1; 16])).collect();
    download(folder.path(), &[b'a'; 20], &blocks);
    let arguments = ["analyze", "download.pcapng", "--local", "10.0.0.1", "--view", "map,rates"];
    let [page, _] = pages(folder.path(), &arguments, 100);
    let rows = map_rows(&page);
    assert!((30..=40).contains(&rows.len()), "{page}");
    assert!(rows.iter().all(|row| row.contains('a')), "{page}");
    // Pieces came in their order: each row begins further to the right.
    let places: Vec<_> = rows.iter().map(|row| row.find('a')).collect();
    assert!(places.is_sorted(), "{page}");
    assert!(page.contains("203 KiB"), "13,000 blocks of 16 bytes: {page}");
}

#[test]
fn programs_are_led_to_what_has_the_same() {
    for (arguments, said) in [
        (
            &["--view", "ladder", "--format", "json"][..],
            "--view messages has the same messages as JSON and CSV",
        ),
        (&["--view", "ladder", "--format", "csv"], "--view messages has the same messages as JSON and CSV"),
        (&["--view", "map", "--format", "csv"], "--view pieces has"),
        (&["--view", "rates", "--format", "json"], "has each block as JSON and CSV"),
        (&["--view", "ladder,messages"], "show the same messages; name one of them"),
    ] {
        let arguments = [&["analyze", "corrupt-peer.pcap.gz"], arguments].concat();
        let (code, _, errors) = command::run(&mut command(&captures_folder(), &arguments, 80));
        assert!(code == 2 && errors.contains(said), "{arguments:?}: {code}, {errors}");
    }
}
