//! `bittrace download` as a user runs it, against a tracker and a peer that are a few raw bytes on loopback.

#[path = "download/encryption.rs"]
mod encryption;
#[path = "download/fetch.rs"]
mod fetch;
#[path = "download/https.rs"]
mod https;
#[path = "download/live_trace.rs"]
mod live_trace;
#[path = "download/magnets.rs"]
mod magnets;
#[path = "download/memory.rs"]
mod memory;
#[path = "download/page.rs"]
mod page;
#[path = "download/proxies.rs"]
mod proxies;
#[path = "download/record_stream.rs"]
mod record_stream;
#[path = "download/selection.rs"]
mod selection;
#[path = "download/swarm.rs"]
mod swarm;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;

use bittrace_testing::command::scratch_folder;
use bittrace_testing::peer::{HostilePeer, Misconduct, nobody};
use bittrace_testing::torrent::SeededTorrent;
use bittrace_testing::tracker::ScriptedTracker;

/// A torrent of three pieces, the last one shorter.
fn torrent(announce: &str) -> SeededTorrent {
    SeededTorrent::single(announce, 70_000, 32 * 1024)
}

fn content() -> Vec<u8> {
    torrent("").bytes.to_vec()
}

fn write_torrent(folder: &Path, tracker: SocketAddr) -> String {
    let path = folder.join("file.torrent");
    let torrent = torrent(&format!("http://{tracker}/announce")).torrent;
    std::fs::write(&path, &*torrent).expect("a torrent can be written");
    path.to_string_lossy().into_owned()
}

/// A tracker that hands out these peers, in this order, to whoever asks.
fn tracker(peers: Vec<SocketAddr>) -> SocketAddr {
    ScriptedTracker::naming(peers).address
}

/// A peer that has everything and gives it; what it gives of piece 1 is wrong when `corrupt`.
fn seeder(corrupt: bool) -> SocketAddr {
    let fault = if corrupt { Misconduct::Corrupt(1) } else { Misconduct::None };
    HostilePeer::start(&torrent(""), fault).address
}

fn bittrace(arguments: &[&str]) -> Output {
    bittrace_testing::command::bittrace(env!("CARGO_BIN_EXE_bittrace"), Path::new("."), arguments)
        .output()
        .expect("bittrace starts")
}

fn download(torrent: &str, folder: &Path, more: &[&str]) -> (Output, String) {
    let folder = folder.to_string_lossy().into_owned();
    let arguments =
        [&["download", torrent, "-o", &folder, "--port", "0", "--listen", "127.0.0.1"][..], more].concat();
    let output = bittrace(&arguments);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, told)
}

#[test]
fn goes_through_the_peers_until_one_has_given_all() {
    let folder = scratch_folder();
    let (dead, good) = (nobody(), seeder(false));
    let torrent = write_torrent(folder.path(), tracker(vec![dead, good]));
    let record = folder.path().join("live.pcapng").to_string_lossy().into_owned();
    let out = folder.path().join("out");
    let (output, told) = download(&torrent, &out, &["--single-peer", "--record", &record]);
    assert_eq!(output.status.code(), Some(0), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read(out.join("file.bin")).expect("the file is there"), content());
    for says in [
        "file.bin",
        "3 of 32 KiB",
        "event          started",
        &format!("Peer 1: {dead}: connection refused"),
        &format!("Peer 2: {good}: connected"),
        "event          completed",
        "event          stopped",
        "complete: every piece is verified",
        "peers tried    2",
    ] {
        assert!(told.contains(says), "{says:?} is not told in\n{told}");
    }
    let analysis = bittrace(&["analyze", &record, "--torrent", &torrent, "--view", "summary"]);
    let analysis = String::from_utf8_lossy(&analysis.stdout).into_owned();
    assert!(analysis.contains("3 verified") && !analysis.contains("corrupt"), "{analysis}");
    assert!(analysis.contains("refused"), "{analysis}");
}

#[test]
fn leaves_a_peer_that_gives_corrupt_data() {
    let folder = scratch_folder();
    let (bad, good) = (seeder(true), seeder(false));
    let torrent = write_torrent(folder.path(), tracker(vec![bad, good]));
    let out = folder.path().join("out");
    let (output, told) = download(&torrent, &out, &["--single-peer"]);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert_eq!(std::fs::read(out.join("file.bin")).expect("the file is there"), content());
    assert!(told.contains(&format!("{bad}: sent corrupt data in piece 1")), "{told}");
}

#[test]
fn says_that_nobody_had_the_pieces() {
    let folder = scratch_folder();
    let torrent = write_torrent(folder.path(), tracker(vec![nobody()]));
    let out = folder.path().join("out");
    let (output, told) = download(&torrent, &out, &["--single-peer", "--rounds", "1"]);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("incomplete"), "{told}");
    assert!(!out.join("file.bin").exists());
}

#[test]
fn a_second_run_finds_the_file_whole() {
    let folder = scratch_folder();
    let torrent = write_torrent(folder.path(), tracker(vec![seeder(false)]));
    let out = folder.path().join("out");
    assert_eq!(download(&torrent, &out, &["-q"]).0.status.code(), Some(0));
    let (output, told) = download(&torrent, &out, &[]);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("3 pieces verified"), "{told}");
}

#[test]
fn a_file_in_the_way_is_not_overwritten() {
    let folder = scratch_folder();
    let torrent = write_torrent(folder.path(), tracker(vec![seeder(false)]));
    let out = folder.path().join("out");
    std::fs::create_dir(&out).expect("a folder can be made");
    std::fs::write(out.join("file.bin"), "another file").expect("a file can be written");
    let (output, _) = download(&torrent, &out, &[]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("file.bin"), "{errors}");
    assert_eq!(std::fs::read(out.join("file.bin")).expect("still there"), b"another file");
}

#[test]
fn a_torrent_that_cannot_be_read_is_code_2() {
    for (torrent, says) in [("no-such.torrent", "no-such.torrent"), (".", "."), ("Cargo.toml", "Cargo.toml")]
    {
        let folder = scratch_folder();
        let (output, _) = download(torrent, folder.path(), &[]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.starts_with("bittrace: ") && errors.contains(says), "{errors}");
    }
}

#[test]
fn a_url_of_another_kind_is_refused_with_those_that_work() {
    for url in ["ftp://example.test/file.torrent", "file:///file.torrent"] {
        let folder = scratch_folder();
        let (output, _) = download(url, folder.path(), &[]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(url) && errors.contains("http:// or https://"), "{errors}");
    }
}

#[test]
fn the_torrent_is_not_recorded_over() {
    let folder = scratch_folder();
    let torrent = write_torrent(folder.path(), tracker(vec![nobody()]));
    let before = std::fs::read(&torrent).expect("the torrent is there");
    let (link, symlink) = (folder.path().join("hard"), folder.path().join("soft"));
    std::fs::hard_link(&torrent, &link).expect("a link can be made");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&torrent, &symlink).expect("a link can be made");
    #[cfg(not(unix))]
    std::fs::hard_link(&torrent, &symlink).expect("a link can be made");
    for record in [Path::new(&torrent), &link, &symlink] {
        let record = record.to_string_lossy();
        let (output, _) = download(&torrent, &folder.path().join("out"), &["--record", &record]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains("--record") && errors.contains("the torrent file"), "{errors}");
        assert_eq!(std::fs::read(&torrent).expect("the torrent is there"), before);
    }
}
