//! `download --encryption` and `--key-log`: against a peer that does not encrypt, and between two runs of ours.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};

use bittrace_testing::command::{self, scratch_folder};
use bittrace_testing::programs::{free_port, wait_until};
use serde_json::Value;

use super::{bittrace, content, download, seeder, torrent, tracker, write_torrent};

/// A run that seeds; it ends with the test.
pub(super) struct Seeding(Child);

impl Drop for Seeding {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Has a run of ours seed on this port under a policy.
pub(super) fn seed(torrent_file: &str, folder: &Path, port: u16, policy: &str) -> Seeding {
    torrent("").write_files(folder);
    let (folder, port_text) = (folder.to_string_lossy().into_owned(), port.to_string());
    let arguments = ["download", torrent_file, "-q", "-o", &folder, "--seed", "--listen", "127.0.0.1"];
    let arguments = [&arguments[..], &["--port", &port_text, "--encryption", policy]].concat();
    let mut command = command::bittrace(env!("CARGO_BIN_EXE_bittrace"), Path::new("."), &arguments);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("bittrace starts");
    let seeding = Seeding(child);
    wait_until("listening", Path::new("no log"), || TcpStream::connect(("127.0.0.1", port)).is_ok());
    seeding
}

#[test]
fn a_peer_in_clear_is_found_unless_encryption_is_required() {
    let folder = scratch_folder();
    let peer = seeder(false);
    let torrent = write_torrent(folder.path(), tracker(vec![peer]));
    for (policy, code) in [("off", 0), ("allow", 0), ("prefer", 0), ("require", 1)] {
        let out = folder.path().join(policy);
        let (output, told) =
            download(&torrent, &out, &["--encryption", policy, "--single-peer", "--timeout", "2"]);
        assert_eq!(output.status.code(), Some(code), "{policy}: {told}");
        let first = if matches!(policy, "off" | "allow") { "in clear" } else { "encrypted" };
        assert!(told.contains(&format!("Peer 1: {peer}: connecting (TCP, {first})")), "{policy}: {told}");
        if policy == "prefer" {
            assert!(told.contains(&format!("Peer 2: {peer}: connecting (TCP, in clear)")), "{told}");
        }
        assert!(told.contains("Peers and the ways that were tried"), "{told}");
        let by_way = told.split("Ways to peers").nth(1).expect("a table by way");
        assert_eq!(by_way.contains("TCP, in clear"), policy != "require", "{told}");
        assert_eq!(by_way.contains("TCP, encrypted"), first == "encrypted", "{told}");
    }
    let (output, _) = download(&torrent, folder.path(), &["--encryption", "always"]);
    assert_eq!(output.status.code(), Some(2));
}

/// Takes the blocks of secrets out of a recording: their type is 10, and each block has its length in its second word.
fn without_secrets(recording: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut rest = recording;
    while let Some(head) = rest.first_chunk::<8>() {
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let length = word(4) as usize;
        let (block, others) = rest.split_at(length);
        if word(0) != 10 {
            kept.extend_from_slice(block);
        }
        rest = others;
    }
    kept
}

#[test]
fn the_key_log_of_a_run_reads_its_recording() {
    let folder = scratch_folder();
    let port = free_port();
    let torrent = write_torrent(folder.path(), tracker(vec![SocketAddr::from(([127, 0, 0, 1], port))]));
    let _seeding = seed(&torrent, &folder.path().join("seed"), port, "require");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (record, keys, sealed) = (path("live.pcapng"), path("live.keys"), path("sealed.pcapng"));
    let out = folder.path().join("out");
    let more = ["--encryption", "require", "--key-log", &keys, "--record", &record];
    let (output, told) = download(&torrent, &out, &more);
    assert_eq!(output.status.code(), Some(0), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read(out.join("file.bin")).expect("the file is there"), content());
    assert!(told.contains("encrypted with RC4") && told.contains("key log"), "{told}");
    // The file is appended to: the line of another run stays.
    let lines = std::fs::read_to_string(&keys).expect("the key log is there");
    assert!(lines.lines().count() >= 1, "{lines}");

    let recording = std::fs::read(&record).expect("the recording is there");
    let stripped = without_secrets(&recording);
    assert!(stripped.len() < recording.len(), "the recording has its keys");
    std::fs::write(&sealed, stripped).expect("it can be written");
    let messages = |arguments: &[&str]| -> Vec<(Value, Value)> {
        let all = [&["analyze"][..], arguments, &["--view", "messages", "--no-summary", "--format", "json"]];
        let output = bittrace(&all.concat());
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let rows = printed.lines().map(|line| serde_json::from_str::<Value>(line).expect("an object"));
        rows.map(|mut row| (row["message"].take(), row["decrypted"].take())).collect()
    };
    let pieces = |messages: &[(Value, Value)]| {
        messages.iter().filter(|(message, decrypted)| message == "piece" && *decrypted == true).count()
    };
    let whole = messages(&[&record]);
    assert_eq!(pieces(&whole), 5, "70,000 bytes in pieces of 32 KiB: 2, 2 and 1 blocks");
    assert_eq!(messages(&[&sealed, "--mse-keys", &keys]), whole);
    let unread = messages(&[&sealed]);
    assert_eq!(pieces(&unread), 0);
    assert!(unread.iter().any(|(message, _)| message == "encrypted"), "{unread:?}");
}
