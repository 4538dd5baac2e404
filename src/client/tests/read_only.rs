//! Torrents in folders where nothing can be written: whole ones are served, and nothing is written.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]
#![allow(clippy::print_stderr, reason = "a test tells why it does nothing")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bittrace_client::{Download, DownloadReport, Error, Notice, Outcome};
use bittrace_protocol::session::{Config, SeedGoal};
use bittrace_testing::torrent::{SeededTorrent, all_files};
use bittrace_testing::tracker::ScriptedTracker;
use support::{config, options};

const FILES: [(&str, usize); 4] = [("a.bin", 100_000), ("sub/b.bin", 50_000), ("empty", 0), ("tiny", 5)];

fn seed(announce: &str) -> SeededTorrent {
    SeededTorrent::folder(announce, &FILES, 32 * 1024)
}

/// Serves what is in a folder until the first announce; what was told of it.
fn serve(output: &Path) -> (Result<DownloadReport, Error>, Vec<String>) {
    let tracker = ScriptedTracker::naming(Vec::new());
    let seed = seed(&tracker.url());
    let config = Config { seeding: Some(SeedGoal::default()), ..config() };
    let download = Download::new(seed.metainfo, options(output, config)).unwrap();
    let (stop, mut notices) = (download.stop(), Vec::new());
    let report = download.run_blocking(|notice| {
        if matches!(&notice, Notice::Session(_)) && format!("{notice:?}").contains("Announced") {
            stop.stop();
        }
        notices.push(format!("{notice:?}"));
    });
    (report, notices)
}

/// What holds in a folder where nothing can be written, whatever the reason.
fn assert_served_or_refused(output: &Path) {
    let before = all_files(output);
    let missing = FILES.iter().filter(|(name, _)| !output.join("folder").join(name).exists()).count();
    let (result, notices) = serve(output);
    match missing {
        0 => {
            assert_eq!(result.unwrap().outcome, Outcome::Complete);
            assert!(notices.iter().any(|notice| notice.starts_with("ReadOnly")), "{notices:?}");
        }
        _ => {
            let Err(Error::ReadOnly { pieces, missing, .. }) = result else { panic!("{result:?}") };
            // Without the file that has no bytes, every piece is there.
            assert_eq!((pieces, missing > 0), (5, output.join("folder/empty").exists()));
        }
    }
    assert_eq!(all_files(output), before);
}

/// Folders with the torrent: whole, without a file, and without a file that has no bytes.
fn folders() -> Vec<tempfile::TempDir> {
    let without = |gone: Option<&str>| {
        let output = tempfile::tempdir().unwrap();
        seed("http://127.0.0.1:1/announce").write_files(output.path());
        gone.into_iter()
            .for_each(|name| std::fs::remove_file(output.path().join("folder").join(name)).unwrap());
        output
    };
    [None, Some("sub/b.bin"), Some("empty")].map(without).into()
}

#[test]
fn what_is_whole_is_served_from_a_folder_that_this_user_may_not_write_to() {
    for output in folders() {
        let all =
            ["folder/a.bin", "folder/sub/b.bin", "folder/empty", "folder/tiny", "folder/sub", "folder", ""];
        let allow = |files: u32, folders: u32| {
            for path in all.map(|path| output.path().join(path)).iter().filter(|path| path.exists()) {
                let mode = if path.is_dir() { folders } else { files };
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            }
        };
        allow(0o444, 0o555);
        // Rights do not bind root; there the test with a mount shows the same.
        let is_bound = std::fs::write(output.path().join("probe"), "").is_err();
        if is_bound {
            assert_served_or_refused(output.path());
        } else {
            eprintln!("skipped: this user may write everywhere");
        }
        allow(0o644, 0o755);
    }
}

#[test]
fn what_is_whole_is_served_from_a_file_system_that_is_read_only() {
    let mount = "mount --bind \"$BITTRACE_TEST_OUTPUT\" \"$BITTRACE_TEST_OUTPUT\" && \
                 mount -o remount,ro,bind \"$BITTRACE_TEST_OUTPUT\" && exec \"$0\" \"$@\"";
    for output in folders() {
        let status = std::process::Command::new("unshare")
            .args(["--mount", "--map-root-user", "sh", "-c", mount])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "a_run_on_a_mount", "--ignored", "--nocapture"])
            .env("BITTRACE_TEST_OUTPUT", output.path())
            .status();
        // Some systems have no such mounts, or not for every user.
        match status {
            Ok(status) if status.success() => {}
            Ok(status) if matches!(status.code(), Some(1 | 32)) => {
                eprintln!("skipped: nothing can be mounted")
            }
            Ok(status) => panic!("{status}"),
            Err(error) => eprintln!("skipped: {error}"),
        }
    }
}

#[test]
#[ignore = "another test runs it, in a mount namespace"]
fn a_run_on_a_mount() {
    let Some(output) = std::env::var_os("BITTRACE_TEST_OUTPUT") else { return };
    assert_served_or_refused(Path::new(&output));
}

#[test]
fn whole_files_that_are_read_only_are_served_from_a_folder_that_is_not() {
    let output = tempfile::tempdir().unwrap();
    seed("http://127.0.0.1:1/announce").write_files(output.path());
    let file = output.path().join("folder/a.bin");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o444)).unwrap();
    let (result, _) = serve(output.path());
    assert_eq!(result.unwrap().outcome, Outcome::Complete);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o444);
}
