//! Torrents of many small files, and of files without bytes: none takes long, and a run ends soon when it is stopped.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use bittrace_client::{Download, DownloadReport, Notice, Outcome};
use bittrace_testing::torrent::{SeededTorrent, all_files};
use support::{Swarm, config, options, run};

const PIECE: usize = 32 * 1024;

fn swarm(files: &[(String, usize)]) -> Swarm {
    let files: Vec<_> = files.iter().map(|(name, length)| (name.as_str(), *length)).collect();
    Swarm::new(|announce| SeededTorrent::folder(announce, &files, PIECE))
}

/// So many files of 20 bytes in 30 folders, which change from file to file.
fn small_files(count: usize) -> Vec<(String, usize)> {
    (0..count).map(|number| (format!("d{:02}/f{number}", number % 30), 20)).collect()
}

/// Downloads, and stops the run once at the first notice that is chosen; how long the run went on after that.
fn stopped(swarm: &Swarm, output: &Path, chosen: impl Fn(&Notice) -> bool) -> (DownloadReport, Duration) {
    let download = Download::new(swarm.seed.metainfo.clone(), options(output, config())).unwrap();
    let (stop, mut stopped_at) = (download.stop(), None);
    let report = download.run_blocking(|notice| {
        if stopped_at.is_none() && chosen(&notice) {
            stopped_at = Some(Instant::now());
            stop.stop();
        }
    });
    (report.unwrap(), stopped_at.unwrap().elapsed())
}

#[test]
fn many_small_files_are_whole_and_found_again() {
    let swarm = swarm(&small_files(6_000));
    let output = tempfile::tempdir().unwrap();
    let (report, notices) = run(&swarm.seed, options(output.path(), config()));
    assert_eq!(report.unwrap().outcome, Outcome::Complete);
    assert_eq!(notices.iter().filter(|notice| notice.starts_with("FileDone")).count(), 6_000);
    swarm.seed.assert_whole(output.path());
    let before = swarm.peer.requests().len();
    let report = run(&swarm.seed, options(output.path(), config())).0.unwrap();
    assert_eq!((report.outcome, report.pieces_before), (Outcome::Complete, 4));
    assert_eq!(swarm.peer.requests().len(), before);
}

#[test]
fn a_run_that_is_stopped_among_many_files_ends_soon_and_the_next_one_carries_on() {
    type Chosen = fn(&Notice) -> bool;
    let moments: [(&str, Chosen); 3] = [
        ("before the first peer", |notice| matches!(notice, Notice::Listening { .. })),
        ("when a piece is there", |notice| format!("{notice:?}").starts_with("Session(PieceDone")),
        ("when a file is finished", |notice| matches!(notice, Notice::FileDone { .. })),
    ];
    let swarm = swarm(&small_files(6_000));
    for (moment, chosen) in moments {
        let output = tempfile::tempdir().unwrap();
        let (report, took) = stopped(&swarm, output.path(), chosen);
        // Goodbyes take 0.7 s at most.
        assert!(took < Duration::from_secs(5), "{moment}: {took:?}");
        let is_whole = all_files(output.path()).iter().filter(|name| name.starts_with("folder/d")).count()
            == 6_000
            && !all_files(output.path()).iter().any(|name| name.ends_with(".part"));
        assert_eq!(report.outcome == Outcome::Complete, is_whole, "{moment}: {report:?}");
        let (verified, before) = (report.status.unwrap().pieces_done, swarm.peer.requests().len());
        let report = run(&swarm.seed, options(output.path(), config())).0.unwrap();
        assert_eq!(report.outcome, Outcome::Complete, "{moment}");
        assert!(report.pieces_before >= verified, "{moment}: {report:?}");
        // Pieces have two blocks, the last one has fewer.
        assert!(swarm.peer.requests().len() - before <= 2 * (4 - verified as usize), "{moment}");
        swarm.seed.assert_whole(output.path());
    }
}

#[test]
fn files_are_looked_for_until_the_run_is_stopped() {
    let swarm = swarm(&small_files(6_000));
    let output = tempfile::tempdir().unwrap();
    swarm.seed.write_files(output.path());
    let (report, took) = stopped(&swarm, output.path(), |notice| matches!(notice, Notice::Checking { .. }));
    assert!(took < Duration::from_secs(5), "{took:?}");
    // The survey may have been over by then.
    assert!(matches!(report.outcome, Outcome::Stopped | Outcome::Complete), "{report:?}");
    let report = run(&swarm.seed, options(output.path(), config())).0.unwrap();
    assert_eq!((report.outcome, report.pieces_before), (Outcome::Complete, 4));
    swarm.seed.assert_whole(output.path());
}

#[test]
fn files_without_bytes_are_made_last() {
    let empty = (0..2_000).map(|number| (format!("empty/e{number}"), 0));
    let files: Vec<_> = empty.chain([("a.bin".to_owned(), 100_000)]).collect();
    let swarm = swarm(&files);
    let output = tempfile::tempdir().unwrap();
    let (report, _) = stopped(&swarm, output.path(), |notice| matches!(notice, Notice::Listening { .. }));
    assert_eq!(report.outcome, Outcome::Stopped);
    assert!(!all_files(output.path()).iter().any(|name| name.contains("empty")));
    assert_eq!(run(&swarm.seed, options(output.path(), config())).0.unwrap().outcome, Outcome::Complete);
    swarm.seed.assert_whole(output.path());
    assert_eq!(all_files(output.path()).len(), files.len());
}

#[test]
fn files_without_bytes_alone_are_made_too() {
    let swarm = swarm(&[("e1".to_owned(), 0), ("d/e2".to_owned(), 0)]);
    let output = tempfile::tempdir().unwrap();
    for made in [2, 0] {
        let (report, notices) = run(&swarm.seed, options(output.path(), config()));
        assert_eq!(report.unwrap().outcome, Outcome::Complete);
        assert_eq!(notices.iter().filter(|notice| notice.starts_with("FileDone")).count(), made);
        assert_eq!(all_files(output.path()), ["folder/d/e2", "folder/e1"]);
    }
}
