//! Downloads of some of a torrent's files: which files are made, and what later runs with other files go on from.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bittrace_client::{DownloadOptions, DownloadReport, Error, Outcome, Resume};
use bittrace_protocol::metainfo::ChoiceError;
use bittrace_protocol::session::Config;
use bittrace_testing::torrent::{SeededTorrent, all_files, visible_files};
use support::{Swarm, config, options, run};

const PIECE: usize = 32 * 1024;

/// In pieces 0-3, 3-9, 9 and 9-11.
const FILES: [(&str, usize); 4] =
    [("a.bin", 100_000), ("sub/b.bin", 200_000), ("tiny", 5), ("c.bin", 70_000)];

struct Choosing {
    swarm: Swarm,
    output: tempfile::TempDir,
}

impl Choosing {
    fn new() -> Self {
        let swarm = Swarm::new(|announce| SeededTorrent::folder(announce, &FILES, PIECE));
        Self { swarm, output: tempfile::tempdir().unwrap() }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.output.path().join("folder").join(file)
    }

    fn choose(&self, files: &str) -> Result<DownloadReport, Error> {
        self.choose_with(files, Resume::Verify)
    }

    /// Downloads these files, all of them where there are none.
    fn choose_with(&self, files: &str, resume: Resume) -> Result<DownloadReport, Error> {
        let choice = if files.is_empty() { Default::default() } else { files.parse().unwrap() };
        let config = Config { files: choice, ..config() };
        run(&self.swarm.seed, DownloadOptions { resume, ..options(self.output.path(), config) }).0
    }

    /// Downloads these files to the end; the pieces that were asked for.
    fn downloads(&self, files: &str) -> Vec<u32> {
        self.downloads_with(files, Resume::Verify)
    }

    fn downloads_with(&self, files: &str, resume: Resume) -> Vec<u32> {
        let before = self.swarm.peer.requests().len();
        let report = self.choose_with(files, resume).unwrap();
        assert_eq!(report.outcome, Outcome::Complete, "{files}");
        let requests = self.swarm.peer.requests();
        let pieces: BTreeSet<_> = requests[before..].iter().map(|(piece, _)| *piece).collect();
        pieces.into_iter().collect()
    }

    /// The files whose names are not hidden; each has its bytes.
    fn visible(&self) -> Vec<String> {
        let files = visible_files(self.output.path());
        for name in &files {
            let (_, bytes) =
                self.swarm.seed.files.iter().find(|(path, _)| path == name).expect("a file of ours");
            assert!(std::fs::read(self.output.path().join(name)).unwrap() == *bytes, "{name}");
        }
        files
    }

    fn hidden(&self) -> Vec<String> {
        all_files(self.output.path()).into_iter().filter(|name| name.starts_with('.')).collect()
    }
}

#[test]
fn chosen_files_alone_are_downloaded_and_made() {
    let choosing = Choosing::new();
    assert_eq!(choosing.downloads("0"), [0, 1, 2, 3]);
    assert_eq!(choosing.visible(), ["folder/a.bin"]);
    let choosing = Choosing::new();
    let report = choosing.choose("tiny").unwrap();
    let chosen = report.chosen.unwrap();
    assert_eq!((chosen.count(), chosen.of(), chosen.is_all()), (1, 4, false));
    let status = report.status.unwrap();
    assert_eq!((status.pieces_done, status.pieces, status.total, status.left), (1, 1, 32_768, 0));
    assert_eq!(choosing.visible(), ["folder/tiny"]);
}

/// Whatever was chosen before, nothing is fetched twice, and nothing but the files is left in the end.
#[test]
fn other_files_later_go_on_from_what_is_there() {
    for steps in [&["0", ""][..], &["1", ""], &["tiny", "0", "3", ""], &["0", "1", "2", "3"], &["0,3", "1-2"]]
    {
        let choosing = Choosing::new();
        let mut fetched = BTreeSet::new();
        for files in steps {
            for piece in choosing.downloads(files) {
                assert!(fetched.insert(piece), "{steps:?}: {files}: piece {piece} comes again");
            }
        }
        assert_eq!(fetched.len(), 12, "{steps:?}");
        // One that wanted all at last takes away what was kept apart; the others leave nothing unfinished, and nothing is missing.
        choosing.choose("").unwrap();
        choosing.swarm.seed.assert_whole(choosing.output.path());
    }
}

#[test]
fn a_file_that_is_there_already_in_pieces_of_others_is_made_without_a_request() {
    for resume in [Resume::Verify, Resume::Trust] {
        let choosing = Choosing::new();
        choosing.downloads("1");
        assert_eq!(choosing.downloads_with("tiny", resume), [0; 0]);
        assert_eq!(choosing.visible(), ["folder/sub/b.bin", "folder/tiny"]);
        // The last piece of b.bin is where it was, for its other file.
        assert_eq!(choosing.downloads_with("1", resume), [0; 0]);
        assert_eq!(choosing.downloads_with("3", resume), [10, 11]);
    }
}

/// Of a finished file somebody changed what it shares with a file that is not there.
#[test]
fn a_finished_file_that_was_changed_where_it_shares_a_piece_is_not_written_over() {
    let choosing = Choosing::new();
    choosing.downloads("0");
    let path = choosing.path("a.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    for files in ["0", "0,1"] {
        let error = choosing.choose(files).unwrap_err();
        assert!(matches!(error, Error::Damaged { piece: 3, .. }), "{files}: {error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}

#[cfg(unix)]
#[test]
fn what_stands_on_the_way_to_an_unwanted_file_is_not_followed_and_does_no_harm() {
    let choosing = Choosing::new();
    std::fs::create_dir_all(choosing.path("")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), choosing.path("sub")).unwrap();
    assert_eq!(choosing.downloads("0"), [0, 1, 2, 3]);
    assert!(all_files(elsewhere.path()).is_empty());
    // Wanted, it is refused.
    assert!(choosing.choose("1").is_err());
}

#[test]
fn what_was_kept_apart_is_hashed_again() {
    let choosing = Choosing::new();
    choosing.downloads("0");
    let name = choosing.hidden().into_iter().find(|name| name.ends_with(".bittrace-pieces")).unwrap();
    let path = choosing.output.path().join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(choosing.downloads("1"), [3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(choosing.downloads(""), [10, 11]);
    choosing.swarm.seed.assert_whole(choosing.output.path());
}

/// A run for all files that was ended goes on with some, and then with all again.
#[test]
fn unfinished_files_that_are_not_chosen_stay_as_they_are() {
    let choosing = Choosing::new();
    choosing.downloads("");
    // As if the run had ended before: b.bin lacks its end.
    let bytes = &choosing.swarm.seed.files[1].1;
    std::fs::remove_file(choosing.path("sub/b.bin")).unwrap();
    std::fs::remove_file(choosing.path("a.bin")).unwrap();
    // Of the small file nothing can be told without b.bin.
    std::fs::remove_file(choosing.path("tiny")).unwrap();
    let part = choosing.path("sub/b.bin.part");
    std::fs::write(&part, &bytes[..100_000]).unwrap();
    assert_eq!(choosing.downloads("0"), [0, 1, 2, 3]);
    assert_eq!(std::fs::read(&part).unwrap(), bytes[..100_000]);
    // Pieces 4 and 5 are in it; piece 3 was kept apart, and 9 is of c.bin as well.
    assert_eq!(choosing.downloads(""), [6, 7, 8, 9]);
    choosing.swarm.seed.assert_whole(choosing.output.path());
}

#[test]
fn what_stands_where_an_unwanted_file_belongs_is_not_touched() {
    let choosing = Choosing::new();
    std::fs::create_dir_all(choosing.path("sub")).unwrap();
    std::fs::write(choosing.path("sub/b.bin"), vec![b'!'; 200_000]).unwrap();
    std::fs::create_dir(choosing.path("c.bin")).unwrap();
    assert_eq!(choosing.downloads("a.bin"), [0, 1, 2, 3]);
    assert_eq!(choosing.downloads("a.bin"), [0; 0]);
    assert_eq!(std::fs::read(choosing.path("sub/b.bin")).unwrap(), vec![b'!'; 200_000]);
    assert!(matches!(choosing.choose(""), Err(Error::Exists { .. })));
}

/// The state file of a run says that unfinished files are ours, so that one that is not has no place beside it.
#[test]
fn an_unfinished_file_of_others_ends_the_run_though_it_is_not_chosen() {
    let choosing = Choosing::new();
    std::fs::create_dir_all(choosing.path("sub")).unwrap();
    let part = choosing.path("sub/b.bin.part");
    std::fs::write(&part, "somebody's own").unwrap();
    match choosing.choose("0") {
        Err(Error::Exists { path }) => assert_eq!(path, part),
        other => panic!("{other:?}"),
    }
    assert_eq!(std::fs::read(&part).unwrap(), b"somebody's own");
    assert_eq!(choosing.hidden(), [""; 0]);
}

#[test]
fn a_run_anew_fetches_what_is_chosen_and_leaves_the_rest() {
    let choosing = Choosing::new();
    choosing.downloads("0,3");
    assert_eq!(choosing.downloads("1"), [4, 5, 6, 7, 8]);
    std::fs::remove_file(choosing.path("c.bin")).unwrap();
    assert_eq!(choosing.downloads_with("3", Resume::Ignore), [9, 10, 11]);
    assert_eq!(choosing.visible(), ["folder/a.bin", "folder/c.bin", "folder/sub/b.bin"]);
}

/// Files that begin a piece each share none: nothing is kept apart, and nothing hidden is left.
#[test]
fn files_that_begin_a_piece_each_leave_nothing_beside_them() {
    let files =
        [("a.bin", 100_000), (".pad/31072", 31_072), ("b.bin", 50_000), (".pad/15536", 15_536), ("c.bin", 7)];
    let swarm = Swarm::new(|announce| SeededTorrent::folder(announce, &files, PIECE));
    let output = tempfile::tempdir().unwrap();
    for (number, wanted) in [("2", &["folder/b.bin"][..]), ("4", &["folder/b.bin", "folder/c.bin"])] {
        let config = Config { files: number.parse().unwrap(), ..config() };
        assert_eq!(run(&swarm.seed, options(output.path(), config)).0.unwrap().outcome, Outcome::Complete);
        assert_eq!(all_files(output.path()), wanted);
    }
}

#[test]
fn files_that_the_torrent_has_not_got_are_refused_before_anything_is_made() {
    let choosing = Choosing::new();
    let config = Config { files: "2-4".parse().unwrap(), ..config() };
    let options = options(choosing.output.path(), config);
    match bittrace_client::Download::new(choosing.swarm.seed.metainfo.clone(), options) {
        Err(Error::Choice(ChoiceError::NoSuchNumber { number: 4, files: 4 })) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(all_files(choosing.output.path()), [""; 0]);
}

/// The recording would take the place of what is kept apart.
#[test]
fn the_file_of_shared_pieces_is_not_recorded_over() {
    let choosing = Choosing::new();
    choosing.downloads("0");
    let name = choosing.hidden().into_iter().find(|name| name.ends_with(".bittrace-pieces")).unwrap();
    let record = Some(choosing.output.path().join(Path::new(&name)));
    let refused =
        run(&choosing.swarm.seed, DownloadOptions { record, ..options(choosing.output.path(), config()) }).0;
    assert!(matches!(refused, Err(Error::RecordingInTheWay { .. })), "{refused:?}");
}
