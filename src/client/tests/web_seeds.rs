//! Downloads from web seeds: a server of ours, Python's, which sends whole files alone, and nginx.

#![allow(clippy::unwrap_used, reason = "a test ends at its first fault")]

mod support;

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use bittrace_client::Outcome;
use bittrace_protocol::session::Config;
use bittrace_testing::clients::start;
use bittrace_testing::peer::{HostilePeer, Misconduct};
use bittrace_testing::programs::{PYTHON, free_port, has_path, is_there, wait_until};
use bittrace_testing::torrent::SeededTorrent;
use bittrace_testing::tracker::ScriptedTracker;
use bittrace_testing::web_server::{RangeManner, WebServer};
use bittrace_trace::{Dissected, Trace, TraceOptions};
use support::{config, options, run};

const FILES: [(&str, usize); 4] =
    [("a.bin", 3_000_000), (".pad/1", 14_592), ("sub/b c.bin", 1_700_000), ("sub/d.bin", 1)];
const PIECE: usize = 32 * 1024;

/// Settings under which servers on loopback are used.
fn local() -> Config {
    Config { allow_local: true, ..config() }
}

/// A torrent without trackers that has a web seed.
fn seeded(url: &str) -> SeededTorrent {
    SeededTorrent::folder("", &FILES, PIECE).with_url_list(url)
}

/// The files of any such torrent.
fn files() -> Vec<(String, Vec<u8>)> {
    let escaped = |(path, bytes): (String, Vec<u8>)| (path.replace(' ', "%20"), bytes);
    SeededTorrent::folder("", &FILES, PIECE).files.into_iter().map(escaped).collect()
}

/// What a recording shows of its streams, none of it unread.
fn messages(recording: &Path, seed: &SeededTorrent) -> Vec<String> {
    let options = TraceOptions { torrents: vec![seed.metainfo.clone()], ..TraceOptions::default() };
    let mut trace = Trace::open(recording, options).unwrap();
    let mut names = Vec::new();
    while let Some(dissected) = trace.next().unwrap() {
        if let Dissected::Record(record) = dissected {
            let name = format!("{} {}", record.body.protocol().name(), record.body.message());
            assert!(!matches!(record.body, bittrace_trace::Body::Unreadable(..)), "{record:?}");
            names.push(name);
        }
    }
    names
}

/// Downloads all of it, and records it.
fn download(seed: &SeededTorrent, config: Config) -> (Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (output, recording) = (folder.path().join("out"), folder.path().join("live.pcapng"));
    let mut options = options(&output, config);
    options.record = Some(recording.clone());
    let (result, notices) = run(seed, options);
    assert_eq!(result.unwrap().outcome, Outcome::Complete, "{notices:#?}");
    seed.assert_whole(&output);
    (messages(&recording, seed), notices)
}

#[test]
fn files_come_in_parts_and_the_recording_is_read() {
    let server = WebServer::start(&files(), RangeManner::Parts);
    let (names, _) = download(&seeded(&server.url("/")), local());
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.contains("\r\nRange: bytes=")), "{requests:?}");
    assert_eq!(names.iter().filter(|name| **name == "web-seed request").count(), requests.len());
    assert!(names.iter().any(|name| name == "web-seed data"), "{names:?}");
}

#[test]
fn files_come_whole_from_a_server_without_ranges() {
    let server = WebServer::start(&files(), RangeManner::WholeFiles);
    let (names, _) = download(&seeded(&server.url("/")), local());
    let paths: Vec<_> =
        server.requests().iter().map(|request| request.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(paths, ["/folder/a.bin", "/folder/sub/b%20c.bin", "/folder/sub/d.bin"]);
    assert_eq!(names.iter().filter(|name| **name == "web-seed request").count(), 3);
}

#[test]
fn a_web_seed_on_loopback_is_not_used_unless_allowed() {
    let server = WebServer::start(&files(), RangeManner::Parts);
    let seed = seeded(&server.url("/"));
    let output = tempfile::tempdir().unwrap();
    let (result, notices) = run(&seed, options(output.path(), config()));
    assert_eq!(result.unwrap().outcome, Outcome::Incomplete);
    assert!(notices.iter().any(|notice| notice.contains("127.0.0.1 is in a local network")), "{notices:?}");
    assert!(server.requests().is_empty());
}

#[test]
fn a_peer_has_what_a_web_seed_sends_corrupt() {
    let mut files = files();
    files[0].1[5 * PIECE + 7] ^= 1;
    let server = WebServer::start(&files, RangeManner::Parts);
    let (tracker, named) = ScriptedTracker::naming_later();
    let seed = SeededTorrent::folder(&tracker.url(), &FILES, PIECE).with_url_list(&server.url("/"));
    let peer = HostilePeer::start(&seed, Misconduct::None);
    named.lock().unwrap().push(peer.address);
    let (names, _) = download(&seed, local());
    assert!(
        names.iter().any(|name| name == "web-seed data")
            && names.iter().any(|name| name == "peer-wire piece"),
        "{names:?}"
    );
}

/// Python's server knows no ranges (HTTP/1.0, all of the file).
#[test]
fn pythons_server_gives_whole_files() {
    if !has_path(PYTHON) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let seed = seeded(&format!("http://127.0.0.1:{port}/"));
    seed.write_files(folder.path());
    let mut command = Command::new(PYTHON);
    command.args(["-m", "http.server", &port.to_string(), "--bind", "127.0.0.1", "--directory"]);
    let _server = start(command.arg(folder.path()), folder.path());
    wait_until("listening", &folder.path().join("log"), || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let (names, _) = download(&seed, local());
    assert_eq!(names.iter().filter(|name| **name == "web-seed request").count(), 3, "{names:?}");
}

#[test]
fn nginx_gives_parts() {
    if !is_there("nginx") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let seed = seeded(&format!("http://127.0.0.1:{port}/"));
    seed.write_files(&folder.path().join("files"));
    let here = folder.path().display();
    let settings = format!(
        "daemon off; pid {here}/pid; error_log {here}/errors; events {{}}\n\
         http {{ access_log {here}/requests; client_body_temp_path {here}/t1; proxy_temp_path {here}/t2;\n\
         fastcgi_temp_path {here}/t3; uwsgi_temp_path {here}/t4; scgi_temp_path {here}/t5;\n\
         server {{ listen 127.0.0.1:{port}; root {here}/files; }} }}\n"
    );
    std::fs::write(folder.path().join("settings"), format!("user root;\n{settings}")).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-e").arg(folder.path().join("errors")).arg("-c").arg(folder.path().join("settings"));
    let _server = start(&mut command, folder.path());
    wait_until("listening", &folder.path().join("log"), || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let (names, _) = download(&seed, local());
    let requests = std::fs::read_to_string(folder.path().join("requests")).unwrap();
    assert!(
        requests.lines().count() > 3 && requests.lines().all(|line| line.contains("\" 206 ")),
        "{requests}"
    );
    assert_eq!(names.iter().filter(|name| **name == "web-seed request").count(), requests.lines().count());
}
