//! `torrent fetch`, from a run of ours that seeds: where the torrent, the recording and what is told go.

use std::path::Path;

use bittrace_testing::command::{code, scratch_folder};
use bittrace_testing::programs::free_port;

use super::encryption::seed;
use super::{bittrace, torrent, tracker, write_torrent};

#[test]
fn standard_output_has_one_thing_alone() {
    let folder = scratch_folder();
    let port = free_port();
    let file = write_torrent(folder.path(), tracker(Vec::new()));
    let seeded = torrent("");
    let hash = seeded.metainfo.info_hash;
    let link = format!("magnet:?xt=urn:btih:{hash}&x.pe=127.0.0.1:{port}");
    let _seeding = seed(&file, &folder.path().join("seed"), port, "allow");
    let fetch = |more: &[&str]| {
        let line = ["torrent", "fetch", &link, "--port", "0", "--listen", "127.0.0.1", "--rounds", "1"];
        bittrace(&[&line[..], more].concat())
    };
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let is_torrent = |bytes: &[u8]| {
        let metainfo = bittrace_protocol::Metainfo::decode(bytes).expect("a torrent");
        assert_eq!(metainfo.info_hash, hash);
    };

    let output = fetch(&["-o", "-"]);
    assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
    is_torrent(&output.stdout);

    let fetched = path("fetched.torrent");
    let output = fetch(&["-o", &fetched, "--record", "-"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(code(&output), 0, "{told}");
    assert!(told.contains(&format!("to {fetched}")), "{told}");
    assert!(output.stdout.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]), "a recording");
    is_torrent(&std::fs::read(&fetched).expect("the torrent is there"));
    let recording = path("run.pcapng");
    std::fs::write(&recording, &output.stdout).expect("written");
    let analysis = bittrace(&["analyze", &recording, "--view", "summary"]);
    let analysis = String::from_utf8_lossy(&analysis.stdout).into_owned();
    assert!(analysis.contains("torrent fetch") && analysis.contains("extended 4"), "{analysis}");
    assert!(!analysis.contains("cut short"), "{analysis}");

    let output = fetch(&["-o", &fetched, "--format", "json"]);
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(object["info_hash"], hash.to_string());
}

/// There is no tracker, and no node of the DHT is known: the well-known ones are not asked from an address that leads nowhere.
#[test]
fn a_link_that_leads_to_nobody_is_given_up() {
    let folder = scratch_folder();
    let link = format!("magnet:?xt=urn:btih:{}", "0".repeat(40));
    let fetched = folder.path().join("fetched.torrent").to_string_lossy().into_owned();
    let alone = ["--port", "0", "--listen", "127.0.0.1", "--rounds", "1"];
    let output = bittrace(&[&["torrent", "fetch", &link, "-o", &fetched][..], &alone].concat());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(code(&output), 2, "{told}");
    assert!(told.contains("no peer sent the metadata"), "{told}");
}

#[test]
fn what_cannot_be_kept_apart_is_refused_before_anybody_is_asked() {
    let folder = scratch_folder();
    let link = format!("magnet:?xt=urn:btih:{}&x.pe=127.0.0.1:9", "0".repeat(40));
    let (there, nowhere) = (folder.path().join("x"), folder.path().join("missing/x"));
    let [there, nowhere] = [there, nowhere].map(|path| path.to_string_lossy().into_owned());
    let cases: [(&[&str], &str); 5] = [
        (&["-o", "-", "--record", "-"], "--record -: standard output has the torrent"),
        (&["-o", "-", "--format", "json"], "--format json: standard output has the torrent"),
        (
            &["-o", &there, "--format", "json", "--record", "-"],
            "--format json: standard output has the recording",
        ),
        (&["-o", &nowhere], "cannot be written"),
        (&["-o", "."], "this is a folder"),
    ];
    for (more, expected) in cases {
        let output = bittrace(&[&["torrent", "fetch", &link][..], more].concat());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(code(&output) == 2 && errors.contains(expected), "{more:?}: {errors}");
    }
    assert!(!Path::new(&there).exists());
}
