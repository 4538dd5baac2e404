//! Files that are not what they seem: links and folders that change places meanwhile, second names of a file, damaged
//! files, hidden names, and recordings onto the run's own files.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::path::Path;

use bittrace_client::{DownloadOptions, DownloadReport, Error, Outcome, RootName};
use bittrace_testing::torrent::{SeededTorrent, content};
use support::{Swarm, config, options, run};

const PIECE: usize = 32 * 1024;
const FILES: [(&str, usize); 4] =
    [("a.bin", 100_000), ("sub/b.bin", 200_000), ("tiny", 5), ("c.bin", 70_000)];

fn folder() -> Swarm {
    Swarm::new(|announce| SeededTorrent::folder(announce, &FILES, PIECE))
}

fn single() -> Swarm {
    Swarm::new(|announce| SeededTorrent::single(announce, 300_000, PIECE))
}

impl Swarm {
    fn download(&self, output: &Path) -> Result<DownloadReport, Error> {
        run(&self.seed, options(output, config())).0
    }

    fn repair(&self, output: &Path) -> Result<DownloadReport, Error> {
        run(&self.seed, DownloadOptions { repair: true, ..options(output, config()) }).0
    }

    /// The beginning of the info hash, as the state file has it in its name.
    fn state_name(&self, root: &str) -> String {
        format!(".{root}.{}.bittrace", &self.seed.metainfo.info_hash.to_string()[..8])
    }
}

#[cfg(unix)]
#[test]
fn nothing_leaves_the_folder_while_folders_and_links_change_places() {
    use bittrace_testing::torrent::all_files;
    use std::sync::atomic::{AtomicBool, Ordering};
    // More by hand: a run of the tests should not take long.
    let wanted = std::env::var("BITTRACE_TEST_SWAPS").map_or(60, |swaps| swaps.parse().unwrap());
    let files: Vec<_> = (0..300).map(|number| (format!("sub/f{number}"), 2_000)).collect();
    let files: Vec<_> = files.iter().map(|(name, length)| (name.as_str(), *length)).collect();
    let swarm = Swarm::new(|announce| SeededTorrent::folder(announce, &files, PIECE));
    let (mut swaps, mut written, mut random) = (0, 0, 1_u64);
    while swaps < wanted || written == 0 {
        let (output, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (name, _) in files.iter().take(20) {
            let name = name.trim_start_matches("sub/");
            std::fs::write(outside.path().join(format!("{name}.part")), "mine").unwrap();
        }
        let names = all_files(outside.path());
        let (begun, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let sub = output.path().join("folder/sub");
        std::fs::create_dir_all(&sub).unwrap();
        let result = std::thread::scope(|scope| {
            let swapping = scope.spawn(|| {
                let away = output.path().join("folder/away");
                while !over.load(Ordering::Relaxed) {
                    // The folder is mostly there, so that a run comes to write into it.
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    (0..random >> 48).for_each(|_| std::hint::spin_loop());
                    if !begun.load(Ordering::Relaxed) {
                        continue;
                    }
                    std::fs::rename(&sub, &away).unwrap();
                    // The run may make the folder anew before a link is there, and after it is gone.
                    if std::os::unix::fs::symlink(outside.path(), &sub).is_ok() {
                        std::fs::remove_file(&sub).unwrap();
                        swaps += 1;
                    }
                    while std::fs::rename(&away, &sub).is_err() {
                        let _ = std::fs::remove_dir_all(&sub);
                    }
                }
            });
            let options = options(output.path(), config());
            let download = bittrace_client::Download::new(swarm.seed.metainfo.clone(), options).unwrap();
            let result = download.run_blocking(|notice| {
                if matches!(notice, bittrace_client::Notice::Listening { .. }) {
                    begun.store(true, Ordering::Relaxed);
                }
            });
            over.store(true, Ordering::Relaxed);
            swapping.join().unwrap();
            result
        });
        // Many runs meet a link or a missing folder, and say so.
        assert!(
            matches!(result, Ok(_) | Err(Error::Symlink { .. } | Error::File { .. } | Error::Exists { .. })),
            "{result:?}"
        );
        written += all_files(&sub).len();
        assert_eq!(all_files(outside.path()), names, "after {swaps} swaps");
        for name in names {
            assert_eq!(std::fs::read(outside.path().join(name)).unwrap(), b"mine");
        }
    }
}

#[test]
fn a_file_with_a_second_name_is_not_written_to() {
    let swarm = folder();
    for (name, repaired) in [("a.bin.part", false), ("a.bin", true)] {
        let (output, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        swarm.seed.write_files(output.path());
        let mut bytes = std::fs::read(output.path().join("folder/a.bin")).unwrap();
        std::fs::remove_file(output.path().join("folder/a.bin")).unwrap();
        bytes[50_000] ^= 1;
        let other = outside.path().join("other");
        std::fs::write(&other, &bytes).unwrap();
        std::fs::hard_link(&other, output.path().join("folder").join(name)).unwrap();
        let result = if repaired { swarm.repair(output.path()) } else { swarm.download(output.path()) };
        assert!(matches!(result, Err(Error::HardLink { .. })), "{name}: {result:?}");
        assert_eq!(std::fs::read(&other).unwrap(), bytes, "{name}");
        assert!(output.path().join("folder").join(name).exists(), "{name}");
    }
}

#[test]
fn a_damaged_file_is_repaired_when_that_is_asked_for() {
    // The byte, the first piece it makes wrong, and the file that has the byte.
    for (name, byte, piece) in
        [("a.bin", 0, 0), ("a.bin", 70_000, 2), ("sub/b.bin", 150_000, 7), ("c.bin", 69_999, 11)]
    {
        let swarm = folder();
        let output = tempfile::tempdir().unwrap();
        assert_eq!(swarm.download(output.path()).unwrap().outcome, Outcome::Complete);
        let path = output.path().join("folder").join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[byte] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let before = swarm.peer.requests().len();
        let error = swarm.download(output.path()).unwrap_err();
        assert!(matches!(error, Error::Damaged { piece: named, .. } if named == piece), "{name}: {error:?}");
        assert!(error.to_string().contains("--repair"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{name}");
        assert_eq!(swarm.peer.requests().len(), before);
        let report = swarm.repair(output.path()).unwrap();
        assert_eq!((report.outcome, report.pieces_before), (Outcome::Complete, 11), "{name}");
        assert!(swarm.peer.requests()[before..].iter().all(|(index, _)| *index == piece));
        swarm.seed.assert_whole(output.path());
    }
}

#[test]
fn a_damaged_file_of_an_unfinished_torrent_is_not_changed_either() {
    let swarm = folder();
    let output = tempfile::tempdir().unwrap();
    swarm.seed.write_files(output.path());
    std::fs::remove_file(output.path().join("folder/c.bin")).unwrap();
    // Of the small file beside it nothing can be told without it.
    std::fs::remove_file(output.path().join("folder/tiny")).unwrap();
    // A run that ends before the torrent is whole leaves a state file.
    let download =
        bittrace_client::Download::new(swarm.seed.metainfo.clone(), options(output.path(), config()));
    let download = download.unwrap();
    let stop = download.stop();
    let stopped = download.run_blocking(|notice| {
        if matches!(notice, bittrace_client::Notice::Listening { .. }) {
            stop.stop();
        }
    });
    assert_eq!(stopped.unwrap().outcome, Outcome::Stopped);
    assert!(output.path().join(swarm.state_name("folder")).exists());
    let path = output.path().join("folder/a.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = swarm.download(output.path()).unwrap_err();
    assert!(matches!(error, Error::Damaged { piece: 0, .. }), "{error:?}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert_eq!(swarm.repair(output.path()).unwrap().outcome, Outcome::Complete);
    swarm.seed.assert_whole(output.path());
}

#[test]
fn a_file_that_was_cut_short_is_repaired() {
    let swarm = folder();
    let output = tempfile::tempdir().unwrap();
    swarm.seed.write_files(output.path());
    let path = output.path().join("folder/sub/b.bin");
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(150_000).unwrap();
    let cut = swarm.download(output.path());
    assert!(matches!(cut, Err(Error::OtherLength { found: 150_000, .. })), "{cut:?}");
    assert_eq!(swarm.repair(output.path()).unwrap().outcome, Outcome::Complete);
    swarm.seed.assert_whole(output.path());
}

#[test]
fn a_file_of_another_length_and_content_is_not_repaired() {
    let swarm = folder();
    let output = tempfile::tempdir().unwrap();
    let path = output.path().join("folder/a.bin");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, vec![b'!'; 90_000]).unwrap();
    assert!(matches!(swarm.repair(output.path()), Err(Error::Exists { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), vec![b'!'; 90_000]);
}

#[test]
fn a_recording_never_takes_the_place_of_a_file_of_the_run() {
    let swarm = single();
    let around = tempfile::tempdir().unwrap();
    let output = around.path().join("out");
    std::fs::create_dir(&output).unwrap();
    swarm.seed.write_files(&output);
    let state = swarm.state_name("file.bin");
    for name in [state.as_str(), ".file.bin.bittrace-lock", "file.bin", "file.bin.part", "FILE.bin"] {
        for record in [output.join(name), around.path().join("out/../out").join(name)] {
            let options = DownloadOptions { record: Some(record), ..options(&output, config()) };
            let result = run(&swarm.seed, options).0;
            assert!(matches!(result, Err(Error::RecordingInTheWay { .. })), "{name}: {result:?}");
            swarm.seed.assert_whole(&output);
        }
    }
    let second = around.path().join("second");
    std::fs::hard_link(output.join("file.bin"), &second).unwrap();
    let record = DownloadOptions { record: Some(second.clone()), ..options(&output, config()) };
    assert!(matches!(run(&swarm.seed, record).0, Err(Error::RecordingInTheWay { .. })));
    swarm.seed.assert_whole(&output);
    // Elsewhere in the folder there is room for a recording.
    let record = DownloadOptions { record: Some(output.join("run.pcapng")), ..options(&output, config()) };
    assert_eq!(run(&swarm.seed, record).0.unwrap().outcome, Outcome::Complete);
}

#[cfg(unix)]
#[test]
fn a_recording_through_a_link_takes_no_files_place_either() {
    let swarm = single();
    let around = tempfile::tempdir().unwrap();
    let output = around.path().join("out");
    std::fs::create_dir(&output).unwrap();
    swarm.seed.write_files(&output);
    let (link, folder) = (around.path().join("link"), around.path().join("folder"));
    std::os::unix::fs::symlink(&output, &folder).unwrap();
    for target in [swarm.state_name("file.bin"), "file.bin".to_owned(), "nothing-yet".to_owned()] {
        std::os::unix::fs::symlink(output.join(&target), &link).unwrap();
        let record = DownloadOptions { record: Some(link.clone()), ..options(&output, config()) };
        let result = run(&swarm.seed, record).0;
        assert!(matches!(result, Err(Error::RecordingInTheWay { .. })), "{target}: {result:?}");
        std::fs::remove_file(&link).unwrap();
        if target != "nothing-yet" {
            let record = DownloadOptions { record: Some(folder.join(&target)), ..options(&output, config()) };
            assert!(matches!(run(&swarm.seed, record).0, Err(Error::RecordingInTheWay { .. })), "{target}");
        }
        swarm.seed.assert_whole(&output);
    }
}

#[test]
fn names_that_begin_with_a_dot_are_made_visible_where_that_is_wanted() {
    let named = |name: &str, file: Option<&str>, stored: &str| {
        let (name, stored) = (name.to_owned(), stored.to_owned());
        let file = file.map(str::to_owned);
        Swarm::new(move |announce| {
            let bytes = content(1, 40_000);
            let info = match &file {
                None => format!("6:lengthi40000e4:name{}:{name}", name.len()),
                Some(file) => format!(
                    "5:filesld6:lengthi40000e4:pathl{}:{file}eee4:name{}:{name}",
                    file.len(),
                    name.len()
                ),
            };
            SeededTorrent::new(announce, &info, bytes.clone(), PIECE, vec![(stored, bytes)])
        })
    };
    for (name, file, visible, as_it_is) in [
        (".bashrc", None, "_.bashrc", ".bashrc"),
        (".ssh", Some("authorized_keys"), "_.ssh/authorized_keys", ".ssh/authorized_keys"),
        ("\u{202e}.x", None, "_.x", "_.x"),
        (".\u{202e}x", None, "_._x", "._x"),
        ("...x", None, "_...x", "...x"),
        ("a.x", None, "a.x", "a.x"),
    ] {
        for (root_name, stored) in [(RootName::SafeAndVisible, visible), (RootName::Safe, as_it_is)] {
            let swarm = named(name, file, stored);
            let output = tempfile::tempdir().unwrap();
            let (report, notices) =
                run(&swarm.seed, DownloadOptions { root_name, ..options(output.path(), config()) });
            assert_eq!(report.unwrap().outcome, Outcome::Complete);
            swarm.seed.assert_whole(output.path());
            let root = stored.split('/').next().unwrap();
            let is_told = notices.iter().any(|notice| notice.starts_with("Renamed"));
            assert_eq!(is_told, root != name, "{name}: {notices:?}");
        }
    }
}
