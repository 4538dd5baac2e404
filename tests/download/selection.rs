//! A download of some files of a torrent, chosen on the command line or by a magnet link.

use std::path::Path;

use bittrace_testing::command::{code, scratch_folder};
use bittrace_testing::peer::{HostilePeer, Misconduct};
use bittrace_testing::programs::free_port;
use bittrace_testing::torrent::{SeededTorrent, visible_files};
use bittrace_testing::tracker::ScriptedTracker;

use super::encryption::seed;
use super::{bittrace, download};

const FILES: [(&str, usize); 3] = [("a.bin", 50_000), ("sub/b.txt", 20_000), ("c.txt", 40_000)];

fn torrent(announce: &str) -> SeededTorrent {
    SeededTorrent::folder(announce, &FILES, 16 * 1024)
}

/// A torrent file whose tracker names a peer that has everything.
fn with_seed(folder: &Path) -> String {
    let peer = HostilePeer::start(&torrent(""), Misconduct::None).address;
    write(folder, &ScriptedTracker::naming(vec![peer]).url())
}

fn write(folder: &Path, announce: &str) -> String {
    let path = folder.join("file.torrent");
    std::fs::write(&path, &*torrent(announce).torrent).expect("a torrent can be written");
    path.to_string_lossy().into_owned()
}

#[test]
fn chosen_files_are_downloaded_alone_and_the_end_says_so() {
    let folder = scratch_folder();
    let file = with_seed(folder.path());
    let out = folder.path().join("out");
    let (output, told) = download(&file, &out, &["--select", "1"]);
    assert_eq!(code(&output), 0, "{told}{}", String::from_utf8_lossy(&output.stderr));
    for says in [
        "Files chosen: 1 of 3 files, in 2 pieces",
        "Every piece of the chosen files is verified",
        "complete: every piece of the chosen files is verified",
        "files chosen   1 of 3 files",
        "pieces         2 of 2",
    ] {
        assert!(told.contains(says), "{says:?} is not told in\n{told}");
    }
    assert_eq!(visible_files(&out), ["folder/sub/b.txt"]);
    // The same by a pattern, with one more file.
    let (output, told) = download(&file, &out, &["--select", "*.txt", "-q"]);
    assert_eq!(code(&output), 0, "{told}");
    assert_eq!(visible_files(&out), ["folder/c.txt", "folder/sub/b.txt"]);
    let (output, told) = download(&file, &out, &["-q"]);
    assert_eq!(code(&output), 0, "{told}");
    torrent("").assert_whole(&out);
}

#[test]
fn the_numbers_are_those_that_a_torrent_is_shown_with() {
    let folder = scratch_folder();
    let file = write(folder.path(), "http://t.test/announce");
    let shown = bittrace(&["torrent", "show", &file, "--format", "json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("an object");
    let numbers: Vec<_> =
        shown["files"].as_array().expect("a list").iter().map(|file| &file["number"]).collect();
    assert_eq!(numbers, [0, 1, 2]);
    let table = bittrace(&["torrent", "show", &file]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.lines().any(|line| line.trim_start().starts_with("2  40,000")), "{table}");
}

#[test]
fn a_file_that_the_torrent_has_not_got_is_an_error_that_says_how_many_there_are() {
    let folder = scratch_folder();
    let file = write(folder.path(), "http://t.test/announce");
    for (choice, says) in [
        ("0,3", "the torrent has no file 3: it has 3 files, numbered from 0 to 2"),
        ("d.txt", "no file of the torrent is called d.txt: it has 3 files, numbered from 0 to 2"),
        ("1,,2", "\"1,,2\" is not a list of numbers of files, such as 0,2,4-6, nor a name"),
        ("2-1", "2-1 runs backwards: write 1-2"),
        ("99999999999", "no torrent has a file 99999999999: files are numbered from 0"),
    ] {
        let out = folder.path().join("out");
        let (output, _) = download(&file, &out, &["--select", choice]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(code(&output), 2, "{error}");
        assert!(error.contains(says), "{error}");
        assert!(!out.exists(), "{choice}");
    }
}

#[test]
fn a_link_chooses_files_and_the_command_line_comes_first() {
    let folder = scratch_folder();
    let port = free_port();
    let file = with_seed(folder.path());
    torrent("").write_files(&folder.path().join("seed"));
    let _seeding = seed(&file, &folder.path().join("seed"), port, "allow");
    let hash = torrent("").metainfo.info_hash;
    let link = format!("magnet:?xt=urn:btih:{hash}&x.pe=127.0.0.1:{port}&so=2");
    let alone = ["--no-dht", "--no-lsd"];
    let out = folder.path().join("out");
    let (output, told) = download(&link, &out, &alone);
    assert_eq!(code(&output), 0, "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("chosen files    2"), "{told}");
    assert_eq!(visible_files(&out), ["folder/c.txt"]);
    let (output, told) = download(&link, &out, &[&alone[..], &["--select", "1"]].concat());
    assert_eq!(code(&output), 0, "{told}");
    assert_eq!(visible_files(&out), ["folder/c.txt", "folder/sub/b.txt"]);
    let beyond = link.replace("so=2", "so=1-7");
    let (output, _) = download(&beyond, &folder.path().join("beyond"), &alone);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(code(&output), 2, "{error}");
    assert!(error.contains("the torrent has no file 7: it has 3 files"), "{error}");
}
