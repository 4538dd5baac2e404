//! `--trace`: the rows of a run while it goes on.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use bittrace_testing::command::scratch_folder;
use bittrace_testing::peer::nobody;

use super::{bittrace, content, download, seeder, tracker, write_torrent};

/// The rows of messages on a page: from the number at the left on.
fn rows(page: &str) -> Vec<String> {
    let is_row = |line: &&str| {
        let numbered = line.get(..6).is_some_and(|start| start.trim().parse::<u64>().is_ok());
        numbered && line.contains(['→', '←'])
    };
    page.lines().filter(is_row).map(str::to_owned).collect()
}

#[test]
fn the_rows_are_those_of_the_recording() {
    let folder = scratch_folder();
    let (dead, good) = (nobody(), seeder(false));
    let torrent = write_torrent(folder.path(), tracker(vec![dead, good]));
    let record = folder.path().join("live.pcapng").to_string_lossy().into_owned();
    let out = folder.path().join("out");
    // Each message has a row of its own, as how long a row waits for others of its kind is the run's affair.
    let (output, told) = download(&torrent, &out, &["--trace", "-v", "--record", &record]);
    assert_eq!(output.status.code(), Some(0), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read(out.join("file.bin")).expect("the file is there"), content());
    let analysis = bittrace(&["analyze", &record, "--torrent", &torrent, "--view", "messages", "-v"]);
    let wanted = rows(&String::from_utf8_lossy(&analysis.stdout));
    assert!(wanted.len() > 10, "{wanted:?}");
    assert_eq!(rows(&told), wanted, "{told}");
    // What the rows say is not said beside them; what they cannot say is.
    assert!(!told.contains("Announcing to"), "{told}");
    assert!(told.contains(&format!("{dead}: connection refused")), "{told}");
    assert!(told.contains("complete: every piece is verified"), "{told}");
}

#[test]
fn rows_are_shown_without_a_recording_and_when_all_else_is_quiet() {
    let folder = scratch_folder();
    let torrent = write_torrent(folder.path(), tracker(vec![seeder(false)]));
    let (output, told) = download(&torrent, &folder.path().join("out"), &["--trace", "-q"]);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(rows(&told).iter().any(|row| row.contains("piece 2 at 0")), "{told}");
    assert!(!told.contains("Summary"), "{told}");
}

#[test]
fn a_reader_that_goes_changes_nothing_of_the_run() {
    let folder = scratch_folder();
    let torrent = write_torrent(folder.path(), tracker(vec![seeder(false)]));
    let out = folder.path().join("out");
    let output = out.to_string_lossy().into_owned();
    let arguments =
        ["download", &torrent, "-o", &output, "--port", "0", "--listen", "127.0.0.1", "--trace", "-q"];
    let mut run =
        bittrace_testing::command::bittrace(env!("CARGO_BIN_EXE_bittrace"), folder.path(), &arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("bittrace starts");
    let mut first = String::new();
    BufReader::new(run.stdout.take().expect("it is piped")).read_line(&mut first).expect("a line comes");
    assert_eq!(run.wait().expect("it ends").code(), Some(0), "{first}");
    assert_eq!(std::fs::read(out.join("file.bin")).expect("the file is there"), content());
}

#[test]
fn a_tracker_that_fails_at_the_end_of_the_run_is_not_asked_again() {
    let folder = scratch_folder();
    let torrent = write_torrent(folder.path(), nobody());
    let (output, told) = download(&torrent, &folder.path().join("out"), &["--single-peer"]);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("failed: the connection was refused\n"), "{told}");
}
