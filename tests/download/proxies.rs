//! Announces through the proxy that the environment names.

use std::path::Path;

use bittrace_testing::command::{bittrace, run, scratch_folder};
use bittrace_testing::tracker::ScriptedTracker;

use super::{content, seeder, torrent};

/// Downloads from a tracker whose name has no address; standard output and standard error.
fn download(folder: &Path, proxy: &str, no_proxy: &str) -> (i32, String) {
    let torrent = torrent("http://tracker.invalid:6969/announce").torrent;
    std::fs::write(folder.join("file.torrent"), &*torrent).expect("a torrent can be written");
    let arguments = ["download", "file.torrent", "-o", "out", "--port", "0", "--listen", "127.0.0.1"];
    let more = ["--rounds", "1", "--record", "live.pcapng"];
    let mut command = bittrace(env!("CARGO_BIN_EXE_bittrace"), folder, &[&arguments[..], &more].concat());
    let (code, told, errors) = run(command.env("http_proxy", proxy).env("no_proxy", no_proxy));
    (code, told + &errors)
}

#[test]
fn announces_go_through_the_proxy_of_the_environment() {
    let folder = scratch_folder();
    let proxy = ScriptedTracker::naming(vec![seeder(false)]);
    let (code, told) = download(folder.path(), &format!("http://u:p@{}", proxy.address), "localhost");
    assert_eq!(code, 0, "{told}");
    assert_eq!(std::fs::read(folder.path().join("out/file.bin")).expect("the file is there"), content());
    let requests = proxy.requests();
    assert_eq!(proxy.events(), ["started", "completed", "stopped"]);
    for request in &requests {
        assert!(request.starts_with("GET http://tracker.invalid:6969/announce?info_hash="), "{request}");
        assert!(request.contains("\r\nHost: tracker.invalid:6969\r\n"), "{request}");
        assert!(request.ends_with("\r\nProxy-Authorization: Basic dTpw\r\n\r\n"), "{request}");
    }
    // The recording shows the announces for what they are.
    let arguments = ["analyze", "live.pcapng", "--view", "messages", "--format", "json", "--quiet"];
    let filter = ["--filter", "message == announce-request || message == announce-response"];
    let mut command =
        bittrace(env!("CARGO_BIN_EXE_bittrace"), folder.path(), &[&arguments[..], &filter].concat());
    let (_, rows, errors) = run(&mut command);
    let count = |name: &str| rows.lines().filter(|row| row.contains(name)).count();
    let counts = (count("\"message\":\"announce-request\""), count("\"message\":\"announce-response\""));
    assert_eq!(counts, (3, 3), "{rows}{errors}");
    assert!(!rows.contains("\"severity\""), "{rows}");
}

#[test]
fn a_host_that_needs_no_proxy_is_asked_itself() {
    let folder = scratch_folder();
    let proxy = ScriptedTracker::naming(vec![seeder(false)]);
    let (code, told) = download(folder.path(), &proxy.address.to_string(), "10.0.0.0/8, .invalid");
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("the name cannot be resolved"), "{told}");
    assert_eq!(proxy.requests(), Vec::<String>::new());
}

#[test]
fn a_proxy_of_another_kind_is_named_and_not_passed_by() {
    let folder = scratch_folder();
    let (code, told) = download(folder.path(), "socks5://u:secret@127.0.0.1:1080", "");
    assert_eq!(code, 1, "{told}");
    let flat = told.split_whitespace().collect::<Vec<_>>().join(" ");
    let wanted = "the proxy socks5://127.0.0.1 cannot be used: expected a URL that begins with http://";
    assert!(flat.contains(wanted) && !flat.contains("secret"), "{told}");
}
