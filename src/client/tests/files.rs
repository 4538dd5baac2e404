//! What downloads do to files: resume them, protect them, and never leave the output folder.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::path::Path;
use std::time::Duration;

use bittrace_client::{DownloadReport, Error, Outcome, Resume};
use bittrace_protocol::session::{Config, SeedGoal};
use bittrace_testing::peer::{HostilePeer, Misconduct};
use bittrace_testing::torrent::{SeededTorrent, all_files};
use bittrace_testing::tracker::ScriptedTracker;
use support::{Swarm, options, run};

const PIECE: usize = 32 * 1024;
const FILES: [(&str, usize); 4] =
    [("a.bin", 100_000), ("sub/b.bin", 200_000), ("tiny", 5), ("c.bin", 70_000)];

fn folder() -> Swarm {
    Swarm::new(|announce| SeededTorrent::folder(announce, &FILES, PIECE))
}

impl Swarm {
    fn download(&self, output: &Path) -> Result<DownloadReport, Error> {
        self.download_with(output, Resume::Verify, false)
    }

    fn download_with(&self, output: &Path, resume: Resume, overwrite: bool) -> Result<DownloadReport, Error> {
        let options = bittrace_client::DownloadOptions { resume, overwrite, ..options(output, config()) };
        run(&self.seed, options).0
    }

    fn blocks(&self) -> usize {
        self.seed.bytes.len().div_ceil(16 * 1024)
    }
}

/// Nothing here depends on how soon somebody is given up, and under Wine all is slow.
fn config() -> Config {
    let patience = Duration::from_secs(20);
    Config {
        connect_timeout: patience,
        handshake_timeout: patience,
        request_timeout: patience,
        choke_timeout: patience,
        silence_timeout: patience,
        tracker_timeout: patience,
        ..support::config()
    }
}

#[test]
fn what_is_whole_is_not_fetched_again() {
    let swarm = folder();
    let output = tempfile::tempdir().unwrap();
    assert_eq!(swarm.download(output.path()).unwrap().outcome, Outcome::Complete);
    let report = swarm.download(output.path()).unwrap();
    assert_eq!((report.outcome, report.pieces_before), (Outcome::Complete, 12));
    swarm.seed.assert_whole(output.path());
    assert_eq!(swarm.peer.requests().len(), swarm.blocks());
}

#[test]
fn a_missing_file_is_fetched_and_the_others_are_kept() {
    let swarm = folder();
    let output = tempfile::tempdir().unwrap();
    swarm.download(output.path()).unwrap();
    std::fs::remove_file(output.path().join("folder/sub/b.bin")).unwrap();
    // Of the small file beside it nothing can be told without it.
    std::fs::remove_file(output.path().join("folder/tiny")).unwrap();
    let before = swarm.peer.requests().len();
    assert_eq!(swarm.download(output.path()).unwrap().outcome, Outcome::Complete);
    swarm.seed.assert_whole(output.path());
    // Its seven pieces, of two blocks each.
    assert_eq!(swarm.peer.requests().len() - before, 14);
}

#[test]
fn damage_is_found_and_mended() {
    let swarm = folder();
    let output = tempfile::tempdir().unwrap();
    swarm.download(output.path()).unwrap();
    let path = output.path().join("folder/sub/b.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    // Somebody may have changed it on purpose.
    assert!(matches!(swarm.download(output.path()), Err(Error::Damaged { piece: 6, .. })));
    let before = swarm.peer.requests().len();
    let report = swarm.download_with(output.path(), Resume::Verify, true).unwrap();
    assert_eq!((report.outcome, report.pieces_before), (Outcome::Complete, 11));
    assert_eq!(swarm.peer.requests().len() - before, 2);
    swarm.seed.assert_whole(output.path());
}

#[test]
fn unrelated_files_stay() {
    for (name, length) in [("a.bin", 100_000), ("a.bin", 3), ("sub/b.bin.part", 10), ("tiny", 5), ("tiny", 6)]
    {
        let swarm = folder();
        let output = tempfile::tempdir().unwrap();
        let path = output.path().join("folder").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, vec![b'!'; length]).unwrap();
        match swarm.download(output.path()) {
            Err(Error::Exists { path: named } | Error::OtherLength { path: named, .. }) => {
                assert_eq!(named, path);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(std::fs::read(&path).unwrap(), vec![b'!'; length]);
        assert_eq!(all_files(output.path()), [format!("folder/{name}")]);
        // Unless that is asked for.
        assert_eq!(
            swarm.download_with(output.path(), Resume::Verify, true).unwrap().outcome,
            Outcome::Complete
        );
        swarm.seed.assert_whole(output.path());
    }
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    for link in ["folder", "folder/sub", "folder/a.bin", "folder/a.bin.part"] {
        let swarm = folder();
        let (output, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = output.path().join(link);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(outside.path(), &path).unwrap();
        let error = swarm.download(output.path()).unwrap_err();
        assert!(matches!(error, Error::Symlink { .. } | Error::Exists { .. }), "{link}: {error:?}");
        assert_eq!(all_files(outside.path()), [""; 0]);
        assert_eq!(swarm.peer.requests().len(), 0);
    }
}

#[test]
fn paths_that_lead_out_stay_below() {
    let swarm = Swarm::new(|announce| {
        let bytes = bittrace_testing::torrent::content(1, 40_000);
        let file = |length: usize, path: &str| format!("d6:lengthi{length}e4:pathl{path}ee");
        let files = [
            file(10_000, "2:..2:..6:escape"),
            file(10_000, "9:/abs/path"),
            file(10_000, "0:1:.2:.."),
            file(10_000, "12:..\\..\\escape"),
        ];
        let info = format!("5:filesl{}e4:name11:../../outer", files.concat());
        let names = ["__/__/escape", "_abs_path", "_/_/__", ".._.._escape"];
        let stored = names
            .iter()
            .zip(bytes.chunks(10_000))
            .map(|(name, bytes)| (format!(".._.._outer/{name}"), bytes.to_vec()))
            .collect();
        SeededTorrent::new(announce, &info, bytes.clone(), PIECE, stored)
    });
    let around = tempfile::tempdir().unwrap();
    let output = around.path().join("a/b/c");
    assert_eq!(swarm.download(&output).unwrap().outcome, Outcome::Complete);
    swarm.seed.assert_whole(&output);
    assert_eq!(all_files(around.path()).len(), 4);
}

#[test]
fn names_that_mean_something_else_on_some_system_stay_below() {
    let names = [
        ("CON", "_CON"),
        ("con.txt", "_con.txt"),
        ("PRN", "_PRN"),
        ("AUX.c", "_AUX.c"),
        ("NUL", "_NUL"),
        ("nul.tar.gz", "_nul.tar.gz"),
        ("aux .h", "_aux .h"),
        ("COM1", "_COM1"),
        ("COM9.log", "_COM9.log"),
        ("LPT1", "_LPT1"),
        ("COM\u{b9}", "_COM\u{b9}"),
        ("LPT\u{b3}.x", "_LPT\u{b3}.x"),
        ("CONIN$", "_CONIN$"),
        ("CONOUT$", "_CONOUT$"),
        ("s:t", "s_t"),
        ("s.txt::$DATA", "s.txt__$DATA"),
        ("s.txt:t.exe", "s.txt_t.exe"),
        ("s::$INDEX_ALLOCATION", "s__$INDEX_ALLOCATION"),
        ("C:", "C_"),
        ("C:x", "C_x"),
        ("C:\\x", "C__x"),
        ("\\\\?\\C:\\x", "____C__x"),
        ("\\\\.\\NUL", "__._NUL"),
        ("\\\\server\\share\\x", "__server_share_x"),
        ("\\??\\C:\\x", "____C__x (2)"),
        ("\\x", "_x"),
        ("/y", "_y"),
        ("..", "__"),
        ("...", "___"),
        (". . ", "____"),
        ("..\\..\\x", ".._.._x"),
        ("../../y", ".._.._y"),
        ("dot.", "dot_"),
        ("blank ", "blank_"),
        ("both. .", "both___"),
        ("a<b", "a_b"),
        ("a>c", "a_c"),
        ("a\"d", "a_d"),
        ("a|e", "a_e"),
        ("a?f", "a_f"),
        ("a*g", "a_g"),
        ("a\u{1}h", "a_h"),
        ("PROGRA~1", "PROGRA_1"),
        ("Case", "Case"),
        ("cASE", "cASE (2)"),
        ("caf\u{e9}", "caf\u{e9}"),
        ("cafe\u{301}", "cafe\u{301} (2)"),
    ];
    let deep = "a folder so deep that its path is far too long for some";
    let swarm = Swarm::new(|announce| {
        let size = 1_000;
        let bytes = bittrace_testing::torrent::content(1, (names.len() + 1) * size);
        let mut files = String::new();
        for (name, _) in names {
            files += &format!("d6:lengthi{size}e4:pathl{}:{name}ee", name.len());
        }
        let level = format!("{}:{deep}", deep.len());
        files += &format!("d6:lengthi{size}e4:pathl{}4:last{}", level.repeat(10), "ee");
        let info = format!("5:filesl{files}e4:name3:NUL");
        let places = names.iter().map(|(_, place)| format!("_NUL/{place}"));
        let last = format!("_NUL/{}last", format!("{deep}/").repeat(10));
        let stored = places.chain([last]).zip(bytes.chunks(size).map(<[u8]>::to_vec)).collect();
        SeededTorrent::new(announce, &info, bytes.clone(), PIECE, stored)
    });
    let around = tempfile::tempdir().unwrap();
    let output = around.path().join("output");
    assert_eq!(swarm.download(&output).unwrap().outcome, Outcome::Complete);
    swarm.seed.assert_whole(&output);
    assert_eq!(all_files(around.path()).len(), names.len() + 1);
    // All of them are found again.
    assert_eq!(swarm.download(&output).unwrap().pieces_before as usize, swarm.seed.piece_count());
}

#[test]
fn what_stands_in_the_way_is_told_and_a_later_run_carries_on() {
    let swarm = folder();
    let output = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(output.path().join("folder")).unwrap();
    std::fs::write(output.path().join("folder/sub"), "a file where a folder belongs").unwrap();
    let error = swarm.download(output.path()).unwrap_err();
    assert!(error.to_string().contains("sub"), "{error}");
    std::fs::remove_file(output.path().join("folder/sub")).unwrap();
    assert_eq!(swarm.download(output.path()).unwrap().outcome, Outcome::Complete);
    swarm.seed.assert_whole(output.path());
}

/// Says when the far end has been asked for so many blocks.
fn wait_for(swarm: &Swarm, child: &mut std::process::Child, blocks: usize) -> bool {
    while swarm.peer.requests().len() < blocks {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        // A process that waits in a loop takes its time from the one that it waits for.
        std::thread::sleep(Duration::from_micros(200));
    }
    true
}

#[test]
fn runs_killed_at_any_moment_carry_on() {
    let swarm = Swarm::new(|announce| {
        SeededTorrent::folder(
            announce,
            &[("a.bin", 3_000_000), ("sub/b.bin", 20_000), ("c.bin", 2_000_000)],
            PIECE,
        )
    });
    let torrent = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(torrent.path(), &*swarm.seed.torrent).unwrap();
    let (mut killed, mut remembered, mut random) = (0, 0, 1_u64);
    for _ in 0..30 {
        let output = tempfile::tempdir().unwrap();
        let mut journaled = Vec::new();
        loop {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let before = swarm.peer.requests().len();
            let mut child = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "a_run_to_be_killed", "--ignored"])
                .env("BITTRACE_TEST_TORRENT", torrent.path())
                .env("BITTRACE_TEST_OUTPUT", output.path())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap();
            let wanted = before + (random >> 33) as usize % 200;
            let in_time = wait_for(&swarm, &mut child, wanted);
            if in_time {
                child.kill().unwrap();
            }
            let ended = child.wait().unwrap();
            for piece in &journaled {
                let again = swarm.peer.requests()[before..].iter().any(|(index, _)| index == piece);
                assert!(!again, "piece {piece} was verified, and fetched again");
            }
            if ended.success() {
                break;
            }
            assert!(in_time, "{ended}");
            killed += 1;
            journaled = journal(output.path());
            remembered += journaled.len();
        }
        swarm.seed.assert_whole(output.path());
    }
    assert!(killed >= 15 && remembered > 100, "{killed} were killed, having verified {remembered}");
}

/// The pieces that the state file in a folder names.
fn journal(output: &Path) -> Vec<u32> {
    let is_state = |name: &String| name.ends_with(".bittrace");
    let Some(name) = all_files(output).into_iter().find(is_state) else { return Vec::new() };
    let bytes = std::fs::read(output.join(name)).unwrap();
    let records = bytes.get(17 + 20 + 4..).unwrap_or_default().chunks_exact(8);
    records.map(|record| u32::from_be_bytes(record[..4].try_into().unwrap())).collect()
}

#[test]
fn a_full_disk_is_told_and_a_later_run_carries_on() {
    let mount = "mount -t tmpfs -o size=1m none \"$BITTRACE_TEST_OUTPUT\" && exec \"$0\" \"$@\"";
    let output = tempfile::tempdir().unwrap();
    let status = std::process::Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", mount])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_run_on_a_small_disk", "--ignored", "--nocapture"])
        .env("BITTRACE_TEST_OUTPUT", output.path())
        .status();
    // Where no file system can be made there is nothing to fill.
    if let Ok(status) = status {
        assert!(status.success() || status.code() == Some(1), "{status}");
    }
}

#[test]
#[ignore = "another test runs it, in a mount namespace"]
fn a_run_on_a_small_disk() {
    let Some(output) = std::env::var_os("BITTRACE_TEST_OUTPUT") else { return };
    let output = Path::new(&output);
    let swarm = Swarm::new(|announce| {
        SeededTorrent::folder(announce, &[("a.bin", 300_000), ("b.bin", 600_000)], PIECE)
    });
    let filler = output.join("filler");
    std::fs::write(&filler, vec![0; 400_000]).unwrap();
    let error = swarm.download(output).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(error.to_string().contains(".bin") && cause.contains("No space"), "{error}: {cause}");
    std::fs::remove_file(filler).unwrap();
    let kept = journal(output);
    let before = swarm.peer.requests().len();
    assert_eq!(swarm.download(output).unwrap().outcome, Outcome::Complete);
    assert!(
        !kept.is_empty() && !swarm.peer.requests()[before..].iter().any(|(index, _)| kept.contains(index))
    );
    swarm.seed.assert_whole(output);
}

#[test]
#[ignore = "another test runs it, and kills it"]
fn a_run_to_be_killed() {
    let (Some(torrent), Some(output)) =
        (std::env::var_os("BITTRACE_TEST_TORRENT"), std::env::var_os("BITTRACE_TEST_OUTPUT"))
    else {
        return;
    };
    let torrent = bittrace_client::TorrentFile::read(torrent.as_ref()).unwrap();
    let download =
        bittrace_client::Download::new(torrent.metainfo.into(), options(output.as_ref(), config())).unwrap();
    assert_eq!(download.run_blocking(|_| {}).unwrap().outcome, Outcome::Complete);
}

#[test]
fn runs_dropped_at_any_moment_carry_on() {
    let swarm = Swarm::new(|announce| {
        SeededTorrent::folder(
            announce,
            &[("a.bin", 3_000_000), ("sub/b.bin", 20_000), ("c.bin", 2_000_000)],
            PIECE,
        )
    });
    let (mut cut_short, mut random) = (0, 1_u64);
    for _ in 0..30 {
        let output = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        loop {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let download =
                bittrace_client::Download::new(swarm.seed.metainfo.clone(), options(output.path(), config()));
            // So many pieces, and then the future is dropped where it stands.
            let most = (random >> 33) as usize % 100;
            let (done, enough) = (std::cell::Cell::new(0), tokio::sync::Notify::new());
            let run = download.unwrap().run(|notice| {
                if format!("{notice:?}").starts_with("Session(PieceDone") {
                    done.set(done.get() + 1);
                    if done.get() > most {
                        enough.notify_one();
                    }
                }
            });
            let ended = runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = enough.notified() => None::<DownloadReport>,
                    report = run => Some(report.unwrap()),
                }
            });
            if let Some(report) = ended {
                assert_eq!(report.outcome, Outcome::Complete);
                break;
            }
            cut_short += 1;
        }
        swarm.seed.assert_whole(output.path());
    }
    assert!(cut_short >= 20, "{cut_short}");
}

/// A torrent of one file, always of the same name; its content is another for each length.
fn single(length: usize) -> Swarm {
    Swarm::new(|announce| SeededTorrent::single(announce, length, PIECE))
}

/// Downloads, and does something each time a piece is done.
fn run_and(swarm: &Swarm, output: &Path, mut piece_done: impl FnMut()) -> Result<DownloadReport, Error> {
    let download =
        bittrace_client::Download::new(swarm.seed.metainfo.clone(), options(output, config())).unwrap();
    download.run_blocking(|notice| {
        if format!("{notice:?}").starts_with("Session(PieceDone") {
            piece_done();
        }
    })
}

#[test]
fn torrents_of_one_name_are_not_mixed() {
    let (first, second) = (single(600_000), single(500_000));
    let output = tempfile::tempdir().unwrap();
    let report = run_and(&first, output.path(), || {
        if !output.path().join("file.bin.part").exists() {
            return;
        }
        // A thread, since a runtime does not run in another.
        let other =
            std::thread::scope(|scope| scope.spawn(|| second.download(output.path())).join().unwrap());
        match other {
            Err(Error::Busy { path }) => assert_eq!(path, output.path().join("file.bin")),
            // The last piece may be told after its file is whole.
            Err(Error::Exists { .. }) => {}
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(report.unwrap().outcome, Outcome::Complete);
    first.seed.assert_whole(output.path());
    assert_eq!(second.peer.requests().len(), 0);
}

#[test]
fn what_is_served_is_not_replaced_by_another_run() {
    let (served, other) = (single(600_000), single(500_000));
    let output = tempfile::tempdir().unwrap();
    served.download(output.path()).unwrap();
    let config = Config { seeding: Some(SeedGoal::default()), ..config() };
    let download =
        bittrace_client::Download::new(served.seed.metainfo.clone(), options(output.path(), config)).unwrap();
    let (stop, mut refused) = (download.stop(), 0);
    let report = download.run_blocking(|notice| {
        if format!("{notice:?}").starts_with("Session(Announced") && refused == 0 {
            for swarm in [&served, &other] {
                let result = std::thread::scope(|scope| {
                    let run = scope.spawn(|| swarm.download_with(output.path(), Resume::Verify, true));
                    run.join().unwrap()
                });
                assert!(matches!(result, Err(Error::Busy { .. })), "{result:?}");
                refused += 1;
            }
            stop.stop();
        }
    });
    assert_eq!((report.unwrap().outcome, refused), (Outcome::Complete, 2));
    served.seed.assert_whole(output.path());
}

#[test]
fn an_unfinished_file_that_comes_to_stand_meanwhile_stays() {
    let swarm = single(600_000);
    let output = tempfile::tempdir().unwrap();
    let part = output.path().join("file.bin.part");
    let download =
        bittrace_client::Download::new(swarm.seed.metainfo.clone(), options(output.path(), config()))
            .unwrap();
    let result = download.run_blocking(|notice| {
        if matches!(notice, bittrace_client::Notice::Listening { .. }) {
            std::fs::write(&part, "another's").unwrap();
        }
    });
    assert!(matches!(&result, Err(Error::Exists { path }) if *path == part), "{result:?}");
    assert_eq!(std::fs::read(&part).unwrap(), b"another's");
}

#[test]
fn a_final_name_that_is_taken_meanwhile_ends_the_run() {
    let swarm = single(600_000);
    let output = tempfile::tempdir().unwrap();
    let path = output.path().join("file.bin");
    let mut taken = false;
    let result = run_and(&swarm, output.path(), || {
        if !std::mem::replace(&mut taken, true) {
            std::fs::write(&path, "mine").unwrap();
        }
    });
    assert!(matches!(&result, Err(Error::Exists { path: named }) if *named == path), "{result:?}");
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}

#[test]
#[cfg_attr(windows, ignore = "under Wine the name of a removed file stays until the file is closed")]
fn an_unfinished_file_that_is_replaced_meanwhile_ends_the_run() {
    for with in [None, Some("another's")] {
        let swarm = single(600_000);
        let output = tempfile::tempdir().unwrap();
        let part = output.path().join("file.bin.part");
        let mut gone = false;
        let result = run_and(&swarm, output.path(), || {
            if !std::mem::replace(&mut gone, true) {
                std::fs::remove_file(&part).unwrap();
                with.iter().for_each(|bytes| std::fs::write(&part, bytes).unwrap());
            }
        });
        assert!(matches!(&result, Err(Error::File { path, .. }) if *path == part), "{result:?}");
        assert!(!output.path().join("file.bin").exists());
    }
}

#[test]
fn a_start_that_fails_leaves_all_as_it_was() {
    let swarm = single(100_000);
    let around = tempfile::tempdir().unwrap();
    let (output, recording) = (around.path().join("out"), around.path().join("old.pcapng"));
    std::fs::write(&recording, "an older recording").unwrap();
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut busy_port = options(&output, config());
    busy_port.config.port = busy.local_addr().unwrap().port();
    busy_port.record = Some(recording.clone());
    assert!(matches!(run(&swarm.seed, busy_port).0, Err(Error::Listen { .. })));
    assert_eq!(std::fs::read(&recording).unwrap(), b"an older recording");

    let pipe = around.path().join("pipe");
    if cfg!(unix) {
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    } else {
        std::fs::create_dir(&pipe).unwrap();
    }
    let nowhere = around.path().join("missing/new.pcapng");
    for path in [pipe, nowhere, output.clone()] {
        let options =
            bittrace_client::DownloadOptions { record: Some(path.clone()), ..options(&output, config()) };
        let (result, _) = run(&swarm.seed, options);
        assert!(matches!(&result, Err(Error::Record { path: named, .. }) if *named == path), "{result:?}");
    }
    assert_eq!(all_files(&output), [""; 0]);
}

#[test]
fn what_comes_as_padding_does_not_matter() {
    let files = [("a.bin", 100_000), (".pad/1", 31_072), ("b.bin", 50_000)];
    let (tracker, named) = ScriptedTracker::naming_later();
    let seed = SeededTorrent::folder(&tracker.url(), &files, PIECE);
    let mut bytes = seed.bytes.to_vec();
    bytes[100_000..131_072].fill(b'!');
    let peer = HostilePeer::start(&SeededTorrent { bytes: bytes.into(), ..seed.clone() }, Misconduct::None);
    named.lock().unwrap().push(peer.address);
    let output = tempfile::tempdir().unwrap();
    for pieces_before in [0, 6] {
        let report = run(&seed, options(output.path(), config())).0.unwrap();
        assert_eq!((report.outcome, report.pieces_before), (Outcome::Complete, pieces_before));
        seed.assert_whole(output.path());
    }
}
