//! A download that begins with a magnet link, and its recording, which is played without a .torrent file.

use std::path::Path;

use bittrace_testing::command::{code, scratch_folder};
use bittrace_testing::peer::nobody;
use bittrace_testing::programs::free_port;
use bittrace_testing::tracker::ScriptedTracker;

use super::encryption::seed;
use super::{bittrace, content, torrent, write_torrent};

const ALONE: [&str; 6] = ["--port", "0", "--listen", "127.0.0.1", "--no-dht", "--no-lsd"];

#[test]
fn a_recording_of_a_download_by_a_link_is_played_by_what_its_peers_described() {
    let folder = scratch_folder();
    let port = free_port();
    let file = write_torrent(folder.path(), ScriptedTracker::naming(vec![nobody()]).address);
    let _seeding = seed(&file, &folder.path().join("seed"), port, "allow");
    let [output, recording] =
        ["out", "run.pcapng"].map(|name| folder.path().join(name).display().to_string());
    let link = format!("magnet:?xt=urn:btih:{}&x.pe=127.0.0.1:{port}", torrent("").metainfo.info_hash);
    let ran = bittrace(&[&["download", &link, "-o", &output, "--record", &recording][..], &ALONE].concat());
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert_eq!(code(&ran), 0, "{said}");
    assert_eq!(std::fs::read(Path::new(&output).join("file.bin")).expect("the file is there"), content());

    let played = bittrace(&["replay", &recording, "--format", "json"]);
    let report = String::from_utf8_lossy(&played.stdout).into_owned();
    assert_eq!(code(&played), 0, "{report}{}", String::from_utf8_lossy(&played.stderr));
    let summary: serde_json::Value =
        serde_json::from_str(report.lines().last().expect("a summary")).expect("an object");
    assert_eq!(summary["summary"]["coverage"], 1.0, "{report}");
    assert_eq!(summary["summary"]["fidelity"], 1.0, "{report}");
}

#[test]
fn a_link_that_leads_to_nobody_is_an_error_where_nobody_can_call_either() {
    let link = "magnet:?xt=urn:btih:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let folder = scratch_folder();
    let output = folder.path().display().to_string();
    let ran = bittrace(&["download", link, "--no-dht", "--single-peer", "-o", &output]);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(code(&ran), 2, "{said}");
    let wanted = "the magnet link has no tracker (tr=) and no peer (x.pe=), so there is no source of peers";
    assert!(said.contains(wanted), "{said}");
}
